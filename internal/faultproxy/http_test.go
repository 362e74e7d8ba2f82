package faultproxy

import (
	"bytes"
	"crypto/tls"
	"crypto/x509"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"
)

// shop is an engine that remembers what was put.
type shop struct {
	*httptest.Server
	mu   sync.Mutex
	kept map[string][]byte
	host string
}

func newShop(t *testing.T) *shop {
	t.Helper()
	s := &shop{kept: map[string][]byte{}}
	s.Server = httptest.NewTLSServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		body, err := io.ReadAll(r.Body)
		if err != nil {
			return
		}
		s.mu.Lock()
		defer s.mu.Unlock()
		s.host = r.Host
		if r.Method == http.MethodPut {
			s.kept[r.URL.EscapedPath()] = body
		}
		_, _ = w.Write(s.kept[r.URL.EscapedPath()])
	}))
	t.Cleanup(s.Close)
	return s
}

func (s *shop) has(path string) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	_, ok := s.kept[path]
	return ok
}

func startHTTP(t *testing.T, seed uint64) (*HTTP, *shop, *http.Client) {
	t.Helper()
	s := newShop(t)
	trust := x509.NewCertPool()
	trust.AddCert(s.Certificate())
	p, err := ListenHTTP(s.URL, trust, seed)
	if err != nil {
		t.Fatal(err)
	}
	transport := &http.Transport{TLSClientConfig: &tls.Config{RootCAs: p.Trust()}}
	t.Cleanup(func() { transport.CloseIdleConnections(); p.Close() })
	return p, s, &http.Client{Transport: transport, Timeout: 30 * time.Second}
}

// put returns the answer's status, or 0 when there was none.
func put(t *testing.T, c *http.Client, url string, body []byte) (int, string) {
	t.Helper()
	r, err := http.NewRequest(http.MethodPut, url, bytes.NewReader(body))
	if err != nil {
		t.Fatal(err)
	}
	res, err := c.Do(r)
	if err != nil {
		return 0, ""
	}
	defer res.Body.Close()
	text, _ := io.ReadAll(res.Body)
	return res.StatusCode, string(text)
}

func TestHTTPForwards(t *testing.T) {
	p, s, c := startHTTP(t, 1)
	whole := bytes.Repeat([]byte("x"), 3<<20)
	status, text := put(t, c, p.URL()+"/b/a%2Fb%20c?x=1", whole)
	if status != 200 || len(text) != len(whole) || !s.has("/b/a%2Fb%20c") {
		t.Errorf("status %d, %d bytes, kept %v", status, len(text), s.has("/b/a%2Fb%20c"))
	}
	if want := strings.TrimPrefix(p.URL(), "https://"); s.host != want {
		t.Errorf("the engine saw host %q; a signature needs %q", s.host, want)
	}
}

func TestHTTPFaultsFollowTheSeed(t *testing.T) {
	const requests = 60
	run := func(seed uint64) (fates []int, kept []bool) {
		p, s, c := startHTTP(t, seed)
		p.Set(HTTPFaults{Errors: 0.3, LostAnswers: 0.2, Slow: 0.1, Delay: time.Millisecond})
		for i := range requests {
			path := fmt.Sprintf("/o/%d", i)
			status, _ := put(t, c, p.URL()+path, []byte("x"))
			fates, kept = append(fates, status), append(kept, s.has(path))
		}
		if got := p.Stats(); got.Forwarded+got.Refused+got.Lost+got.Slowed != requests {
			t.Errorf("counted %+v of %d", got, requests)
		}
		return fates, kept
	}
	fates, kept := run(7)
	seen := map[int]int{}
	for i, status := range fates {
		seen[status]++
		// 0 is a lost answer: the engine did it. 500 and 503 never reached it.
		if want := status == 0 || status == 200; kept[i] != want {
			t.Errorf("request %d: status %d, kept %v", i, status, kept[i])
		}
	}
	for _, status := range []int{0, 200, 500, 503} {
		if seen[status] == 0 {
			t.Errorf("no request had status %d: %v", status, seen)
		}
	}
	if again, _ := run(7); !slices.Equal(again, fates) {
		t.Errorf("seed 7 twice:\n%v\n%v", fates, again)
	}
	if other, _ := run(8); slices.Equal(other, fates) {
		t.Error("seeds 7 and 8 tell the same story")
	}
}

func TestHTTPScript(t *testing.T) {
	p, s, c := startHTTP(t, 1)
	p.RefuseNext(1, http.StatusServiceUnavailable, nil)
	if status, text := put(t, c, p.URL()+"/a", nil); status != 503 || !strings.Contains(text, "SlowDown") || s.has("/a") {
		t.Errorf("status %d, %q", status, text)
	}
	p.LoseNext(1, func(r *http.Request) bool { return r.URL.Path == "/b" })
	if status, _ := put(t, c, p.URL()+"/c", nil); status != 200 {
		t.Errorf("a request that does not match: status %d", status)
	}
	if status, _ := put(t, c, p.URL()+"/b", nil); status != 0 || !s.has("/b") {
		t.Errorf("status %d, kept %v; want no answer and the object", status, s.has("/b"))
	}
	if status, _ := put(t, c, p.URL()+"/b", nil); status != 200 {
		t.Errorf("status %d after the script", status)
	}
}

func TestHTTPEngineAway(t *testing.T) {
	p, s, c := startHTTP(t, 1)
	s.CloseClientConnections()
	s.Close()
	if status, _ := put(t, c, p.URL()+"/a", nil); status != 0 {
		t.Errorf("status %d of an engine that is away", status)
	}
}

// TestHTTPCloseWhileSlow ends a request that waits; goleak looks for what is left.
func TestHTTPCloseWhileSlow(t *testing.T) {
	p, _, c := startHTTP(t, 1)
	p.Set(HTTPFaults{Slow: 1, Delay: time.Hour})
	done := make(chan int, 1)
	go func() {
		status, _ := put(t, c, p.URL()+"/a", nil)
		done <- status
	}()
	eventually(t, "the request waits", func() bool { return p.Stats().Slowed == 1 })
	if err := p.Close(); err != nil {
		t.Fatal(err)
	}
	if status := <-done; status == 200 {
		t.Error("a request succeeded in a proxy that was closed")
	}
}
