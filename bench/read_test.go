package main

import (
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
)

// TestEarly: the first byte is all that is waited for, however long the rest takes, and every answer but 200 is a failure.
func TestEarly(t *testing.T) {
	web := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Path != "/endless" {
			http.Error(w, "no", http.StatusNotFound)
			return
		}
		_, _ = w.Write([]byte("x"))
		if err := http.NewResponseController(w).Flush(); err != nil {
			t.Error(err)
		}
		<-r.Context().Done() // until the client hangs up
	}))
	defer web.Close()
	srv := &server{http: strings.TrimPrefix(web.URL, "http://")}
	for path, good := range map[string]bool{"/endless": true, "/other": false} {
		c, err := srv.readEarly(reading{accept: "*/*", path: fixed(path)})(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		for range 3 { // each on a connection of its own
			if n, err := c.do(t.Context(), 0); (err == nil) != good || good && n != 1 {
				t.Errorf("%s: %d bytes, %v", path, n, err)
			}
		}
		c.close()
	}
}
