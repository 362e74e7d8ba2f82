package faultproxy

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"io"
	"log"
	"math/rand/v2"
	"net"
	"net/http"
	"net/http/httputil"
	"net/url"
	"sync"
	"time"
)

// HTTPFaults is what an HTTP proxy does to requests. Shares are of 1 and add up to at most 1; what is left is
// forwarded. The zero value forwards everything.
type HTTPFaults struct {
	// Errors is the share that is answered with Status and never reaches the engine. Status 0 takes 500
	// (InternalError) and 503 (SlowDown) in turns by the seed; bodies are those of S3.
	Errors float64
	Status int

	// LostAnswers is the share that the engine does and whose answer is thrown away: the client sees a reset.
	LostAnswers float64

	// Slow is the share that waits for Delay before it is forwarded.
	Slow  float64
	Delay time.Duration

	// Match limits the faults to some requests; nil means all.
	Match func(*http.Request) bool
}

// verdict is the fate of a request.
type verdict int

const (
	forward verdict = iota
	refuse
	loseAnswer
	slow
)

// HTTPStats counts requests by their fate.
type HTTPStats struct{ Forwarded, Refused, Lost, Slowed int }

// HTTP is a reverse proxy over TLS with a certificate of its own, for one engine. It keeps the Host header, so
// that signed requests stay valid. Safe for concurrent use.
type HTTP struct {
	url       string
	authority *authority
	server    *http.Server
	transport *http.Transport
	proxy     *httputil.ReverseProxy
	seed      uint64
	served    error         // why the server ended
	done      chan struct{} // closed behind it
	closing   context.Context
	close     context.CancelFunc

	mu       sync.Mutex
	handlers sync.WaitGroup // grows under mu while not closed
	closed   bool
	faults   HTTPFaults
	seen     uint64 // requests that matched
	once     []scripted
	stats    HTTPStats
}

// scripted is a fate for the next requests that match.
type scripted struct {
	verdict verdict
	status  int
	match   func(*http.Request) bool
	left    int
}

// ListenHTTP starts a proxy on a free port of loopback before the engine at upstream ("https://host:port" or
// "http://host:port"). trust is how the engine's certificate is checked; nil means the system's roots.
func ListenHTTP(upstream string, trust *x509.CertPool, seed uint64) (*HTTP, error) {
	target, err := url.Parse(upstream)
	if err != nil {
		return nil, fmt.Errorf("fault proxy: %w", err)
	}
	ca, err := newAuthority()
	if err != nil {
		return nil, fmt.Errorf("fault proxy: %w", err)
	}
	l, err := listen("127.0.0.1:0")
	if err != nil {
		return nil, fmt.Errorf("fault proxy: %w", err)
	}
	p := &HTTP{url: "https://" + l.Addr().String(), authority: ca, seed: seed, done: make(chan struct{})}
	p.closing, p.close = context.WithCancel(context.Background())
	p.transport = &http.Transport{
		TLSClientConfig: &tls.Config{RootCAs: trust, MinVersion: tls.VersionTLS12}, DisableCompression: true,
		MaxIdleConnsPerHost: 16, ExpectContinueTimeout: time.Second,
	}
	silent := log.New(io.Discard, "", 0)
	p.proxy = &httputil.ReverseProxy{
		Rewrite: func(r *httputil.ProxyRequest) {
			r.Out.URL.Scheme, r.Out.URL.Host = target.Scheme, target.Host
			r.Out.Host = r.In.Host
		},
		Transport: p.transport, FlushInterval: -1, ErrorLog: silent,
		ErrorHandler: func(http.ResponseWriter, *http.Request, error) {
			panic(http.ErrAbortHandler) // an engine that is away looks the same through the proxy
		},
	}
	p.server = &http.Server{
		Handler: http.HandlerFunc(p.serve), ErrorLog: silent, ReadHeaderTimeout: 30 * time.Second,
		BaseContext:  func(net.Listener) context.Context { return p.closing },
		TLSNextProto: map[string]func(*http.Server, *tls.Conn, http.Handler){}, // resets are of connections: HTTP/1.1
	}
	secured := tls.NewListener(l, &tls.Config{Certificates: []tls.Certificate{ca.leaf}, MinVersion: tls.VersionTLS12})
	go func() {
		defer close(p.done)
		p.served = p.server.Serve(secured)
	}()
	return p, nil
}

// URL returns the proxy's "https://host:port".
func (p *HTTP) URL() string { return p.url }

// Trust returns the pool that has the proxy's authority.
func (p *HTTP) Trust() *x509.CertPool { return p.authority.pool }

// PEM returns the proxy's authority as PEM, for clients that read a file.
func (p *HTTP) PEM() []byte { return p.authority.pem }

// Set replaces the faults.
func (p *HTTP) Set(f HTTPFaults) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.faults = f
}

// RefuseNext answers the next n requests that match with a status, before the faults of Set. nil matches all.
func (p *HTTP) RefuseNext(n, status int, match func(*http.Request) bool) {
	p.script(scripted{refuse, status, match, n})
}

// LoseNext forwards the next n requests that match, throws their answers away and resets. nil matches all.
func (p *HTTP) LoseNext(n int, match func(*http.Request) bool) {
	p.script(scripted{loseAnswer, 0, match, n})
}

func (p *HTTP) script(s scripted) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.once = append(p.once, s)
}

// Stats returns the counts.
func (p *HTTP) Stats() HTTPStats {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.stats
}

// Close ends all connections and returns when nothing of the proxy runs any more.
func (p *HTTP) Close() error {
	p.mu.Lock()
	p.closed = true
	p.mu.Unlock()
	p.close()
	err := p.server.Close()
	p.handlers.Wait()
	<-p.done
	if !errors.Is(p.served, http.ErrServerClosed) {
		err = errors.Join(err, p.served)
	}
	p.transport.CloseIdleConnections()
	return err
}

// judge decides the fate of a request by the script, then by the seed and the request's number.
func (p *HTTP) judge(r *http.Request) (v verdict, status int, delay time.Duration) {
	p.mu.Lock()
	defer p.mu.Unlock()
	v, status = p.draw(r)
	switch v {
	case refuse:
		p.stats.Refused++
	case loseAnswer:
		p.stats.Lost++
	case slow:
		p.stats.Slowed++
	case forward:
		p.stats.Forwarded++
	}
	return v, status, p.faults.Delay
}

func (p *HTTP) draw(r *http.Request) (verdict, int) {
	for i := range p.once {
		if s := &p.once[i]; s.left > 0 && (s.match == nil || s.match(r)) {
			s.left--
			return s.verdict, s.status
		}
	}
	f := p.faults
	if f.Match != nil && !f.Match(r) {
		return forward, 0
	}
	rng := rand.New(rand.NewPCG(p.seed, p.seen))
	p.seen++
	status := f.Status
	if status == 0 {
		status = [...]int{http.StatusInternalServerError, http.StatusServiceUnavailable}[rng.IntN(2)]
	}
	switch x := rng.Float64(); {
	case x < f.Errors:
		return refuse, status
	case x < f.Errors+f.LostAnswers:
		return loseAnswer, 0
	case x < f.Errors+f.LostAnswers+f.Slow:
		return slow, 0
	}
	return forward, 0
}

func (p *HTTP) enter() bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	if !p.closed {
		p.handlers.Add(1)
	}
	return !p.closed
}

func (p *HTTP) serve(w http.ResponseWriter, r *http.Request) {
	if !p.enter() {
		panic(http.ErrAbortHandler)
	}
	defer p.handlers.Done()
	v, status, delay := p.judge(r)
	switch v {
	case refuse:
		answerError(w, status)
		return
	case slow:
		timer := time.NewTimer(delay)
		defer timer.Stop()
		select {
		case <-timer.C:
		case <-r.Context().Done():
			panic(http.ErrAbortHandler)
		}
	case loseAnswer:
		// The engine's answer goes nowhere; then the client's connection breaks.
		p.proxy.ServeHTTP(&nowhere{header: http.Header{}}, r.WithContext(p.closing)) // whether or not the client waits
		cutOff(w)
		return
	case forward:
	}
	p.proxy.ServeHTTP(w, r)
}

// nowhere is a ResponseWriter that keeps nothing.
type nowhere struct{ header http.Header }

func (n *nowhere) Header() http.Header         { return n.header }
func (n *nowhere) Write(b []byte) (int, error) { return len(b), nil }
func (n *nowhere) WriteHeader(int)             {}

// cutOff resets a client's connection.
func cutOff(w http.ResponseWriter) {
	if conn, _, err := http.NewResponseController(w).Hijack(); err == nil {
		if secured, ok := conn.(*tls.Conn); ok {
			if tcp, ok := secured.NetConn().(*net.TCPConn); ok {
				reset(tcp)
			}
		}
		_ = conn.Close()
		return
	}
	panic(http.ErrAbortHandler)
}

// answerError answers as an S3 server in trouble does.
func answerError(w http.ResponseWriter, status int) {
	code := "InternalError"
	if status == http.StatusServiceUnavailable {
		code = "SlowDown"
	}
	w.Header().Set("Content-Type", "application/xml")
	w.WriteHeader(status)
	_, _ = fmt.Fprintf(w, `<?xml version="1.0" encoding="UTF-8"?>`+"\n<Error><Code>%s</Code><Message>on purpose</Message></Error>", code)
}
