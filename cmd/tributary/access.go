package main

import (
	"crypto/sha256"
	"crypto/subtle"
	"net"
	"net/http"
	"strings"
)

// guard lets in whom the configuration lets in. Cross-site requests of browsers that change something are
// refused in any case.
func (cfg nodeConfig) guard(next http.Handler) http.Handler {
	next = http.NewCrossOriginProtection().Handler(next)
	switch {
	case len(cfg.tokens) > 0:
		return askToken(next, cfg.tokens)
	case cfg.Insecure:
		return next
	}
	return localOnly(next) // nodeConfig has seen to it that --http is a loopback address
}

// askToken lets in who shows one of tokens, as bearer token or as password of any user. Health is told to
// everyone.
func askToken(next http.Handler, tokens []string) http.Handler {
	// Equal lengths make the comparison's time say nothing.
	want := make([][sha256.Size]byte, len(tokens))
	for i, t := range tokens {
		want[i] = sha256.Sum256([]byte(t))
	}
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Path == "/healthz" || r.URL.Path == "/readyz" || strings.HasPrefix(r.URL.Path, "/readyz/") {
			next.ServeHTTP(w, r)
			return
		}
		scheme, token, _ := strings.Cut(r.Header.Get("Authorization"), " ")
		if !strings.EqualFold(scheme, "Bearer") { // RFC 9110 §11.1: in any case
			_, token, _ = r.BasicAuth()
		}
		got, match := sha256.Sum256([]byte(token)), 0
		for i := range want {
			match |= subtle.ConstantTimeCompare(got[:], want[i][:])
		}
		if match == 0 {
			w.Header().Set("WWW-Authenticate", `Bearer realm="tributary", Basic realm="tributary"`)
			writeJSON(w, http.StatusUnauthorized, map[string]string{"error": "send 'Authorization: Bearer TOKEN' with a token of this node"})
			return
		}
		next.ServeHTTP(w, r)
	})
}

// localOnly refuses requests to names that may be anybody's. A stranger's page can let its own name point to
// 127.0.0.1; the browser then takes this node for a part of it, and lets it read patients. Addresses and
// names without a dot cannot be made to point here.
func localOnly(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		host := r.Host
		if name, _, err := net.SplitHostPort(host); err == nil {
			host = name
		}
		host = strings.Trim(host, "[]")
		if strings.Contains(host, ".") && net.ParseIP(host) == nil {
			writeJSON(w, http.StatusMisdirectedRequest, map[string]string{
				"error": "without tokens this node answers to localhost only; start it with --token-file, or with --insecure when what is in front of it asks who comes",
			})
			return
		}
		next.ServeHTTP(w, r)
	})
}

// hostPort reports whether addr is "HOST:PORT" or ":PORT".
func hostPort(addr string) bool {
	_, port, err := net.SplitHostPort(addr)
	return err == nil && port != ""
}

// loopback reports whether only this machine can reach addr, "HOST:PORT".
func loopback(addr string) bool {
	host, _, err := net.SplitHostPort(addr)
	if err != nil {
		return false
	}
	ip := net.ParseIP(host)
	return host == "localhost" || ip != nil && ip.IsLoopback()
}
