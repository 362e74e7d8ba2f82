package main

import (
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
)

func TestGuard(t *testing.T) {
	open := nodeConfig{nodeFlags: nodeFlags{Insecure: true}}
	locked := nodeConfig{tokens: []string{"first", "t0ken"}}
	for name, c := range map[string]struct {
		cfg    nodeConfig
		method string
		path   string
		host   string
		header map[string]string
		status int
	}{
		"bearer token":               {cfg: locked, header: map[string]string{"Authorization": "Bearer t0ken"}, status: 200},
		"bearer in lower case":       {cfg: locked, header: map[string]string{"Authorization": "bearer first"}, status: 200},
		"token as password":          {cfg: locked, header: map[string]string{"Authorization": "Basic YW55OnQwa2Vu"}, status: 200}, // any:t0ken
		"token as user":              {cfg: locked, header: map[string]string{"Authorization": "Basic dDBrZW46"}, status: 401},
		"no token":                   {cfg: locked, status: 401},
		"empty token":                {cfg: locked, header: map[string]string{"Authorization": "Bearer "}, status: 401},
		"other token":                {cfg: locked, header: map[string]string{"Authorization": "Bearer t0kem"}, status: 401},
		"token and more":             {cfg: locked, header: map[string]string{"Authorization": "Bearer t0ken x"}, status: 401},
		"both tokens":                {cfg: locked, header: map[string]string{"Authorization": "Bearer first\nt0ken"}, status: 401},
		"token without scheme":       {cfg: locked, header: map[string]string{"Authorization": "t0ken"}, status: 401},
		"health asks nobody":         {cfg: locked, path: "/healthz", status: 200},
		"readiness asks nobody":      {cfg: locked, path: "/readyz", status: 200},
		"metrics ask":                {cfg: locked, path: "/metrics", status: 401},
		"health has nothing below":   {cfg: locked, path: "/healthz/../quarantine", status: 401},
		"tokens, any name":           {cfg: locked, host: "pacs.example", header: map[string]string{"Authorization": "Bearer t0ken"}, status: 200},
		"insecure, any name":         {cfg: open, host: "pacs.example", status: 200},
		"loopback":                   {host: "127.0.0.1:8080", status: 200},
		"loopback, IPv6":             {host: "[::1]:8080", status: 200},
		"localhost":                  {host: "localhost:8080", status: 200},
		"a name without a dot":       {host: "kit", status: 200},
		"rebound name":               {host: "evil.example:8080", status: 421},
		"rebound name without port":  {host: "evil.example", status: 421},
		"rebound name that looks so": {host: "127.0.0.1.evil.example:8080", status: 421},
		"rebound name, final dot":    {host: "localhost.", status: 421},
		"write of a stranger's page": {cfg: open, method: http.MethodPost, header: map[string]string{"Sec-Fetch-Site": "cross-site"}, status: 403},
		"form of a stranger's page":  {cfg: open, method: http.MethodPost, host: "h", header: map[string]string{"Origin": "http://evil.example"}, status: 403},
		"stranger with our token":    {cfg: locked, method: http.MethodDelete, header: map[string]string{"Authorization": "Bearer t0ken", "Sec-Fetch-Site": "cross-site"}, status: 403},
		"write of our own page":      {cfg: open, method: http.MethodPost, header: map[string]string{"Sec-Fetch-Site": "same-origin"}, status: 200},
		"write of a device":          {cfg: open, method: http.MethodPost, status: 200},
	} {
		t.Run(name, func(t *testing.T) {
			reached := false
			h := c.cfg.guard(http.HandlerFunc(func(http.ResponseWriter, *http.Request) { reached = true }))
			method, path := c.method, c.path
			if method == "" {
				method = http.MethodGet
			}
			if path == "" {
				path = "/quarantine"
			}
			r := httptest.NewRequest(method, "/", nil)
			r.URL.Path = path
			if c.host != "" {
				r.Host = c.host
			} else {
				r.Host = "127.0.0.1:8080"
			}
			for k, v := range c.header {
				r.Header.Set(k, v)
			}
			w := httptest.NewRecorder()
			h.ServeHTTP(w, r)
			if w.Code != c.status || reached != (c.status == 200) {
				t.Errorf("%d, handler reached: %v; want %d", w.Code, reached, c.status)
			}
			switch w.Code {
			case 401:
				if w.Header().Get("WWW-Authenticate") == "" || !strings.Contains(w.Body.String(), "Bearer TOKEN") {
					t.Errorf("the answer does not say how to come in: %v %s", w.Header(), w.Body)
				}
			case 421:
				if !strings.Contains(w.Body.String(), "--token-file") {
					t.Errorf("the answer does not say what to do: %s", w.Body)
				}
			}
		})
	}
}

func TestLoopback(t *testing.T) {
	for addr, want := range map[string]bool{
		"127.0.0.1:8080": true, "127.9.9.9:0": true, "[::1]:80": true, "localhost:80": true,
		"0.0.0.0:8080": false, ":8080": false, "[::]:80": false, "192.168.1.2:80": false, "pacs:80": false,
		"localhost.evil.example:80": false, "127.0.0.1": false, "": false,
	} {
		if got := loopback(addr); got != want {
			t.Errorf("loopback(%q) = %v", addr, got)
		}
	}
}
