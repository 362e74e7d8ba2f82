package main

import (
	"crypto/sha256"
	"crypto/subtle"
	"net/http"
	"strings"
)

// guard lets in who shows one of tokens, as bearer token or as password of any user. Without tokens
// everyone comes in; then the node listens on loopback only, or its operator said --insecure. Cross-site
// requests of browsers that change something are refused either way.
func guard(next http.Handler, tokens []string) http.Handler {
	next = http.NewCrossOriginProtection().Handler(next)
	if len(tokens) == 0 {
		return next
	}
	// Equal lengths make the comparison's time say nothing.
	want := make([][sha256.Size]byte, len(tokens))
	for i, t := range tokens {
		want[i] = sha256.Sum256([]byte(t))
	}
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Path == "/healthz" || r.URL.Path == "/readyz" {
			next.ServeHTTP(w, r)
			return
		}
		token, ok := strings.CutPrefix(r.Header.Get("Authorization"), "Bearer ")
		if !ok {
			_, token, _ = r.BasicAuth()
		}
		got, match := sha256.Sum256([]byte(token)), 0
		for i := range want {
			match |= subtle.ConstantTimeCompare(got[:], want[i][:])
		}
		if match == 0 {
			w.Header().Set("WWW-Authenticate", `Bearer realm="tributary", Basic realm="tributary"`)
			w.Header().Set("Content-Type", "application/json")
			w.WriteHeader(http.StatusUnauthorized)
			_, _ = w.Write([]byte(`{"error":"send 'Authorization: Bearer TOKEN' with a token of this node"}` + "\n"))
			return
		}
		next.ServeHTTP(w, r)
	})
}
