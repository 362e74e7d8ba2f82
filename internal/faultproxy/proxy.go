package faultproxy

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"net"
	"sync"
	"time"
)

// dialTimeout bounds how long the proxy waits for its engine. A client sees a reset when it is over.
const dialTimeout = 10 * time.Second

// Proxy forwards TCP connections to one engine. Safe for concurrent use.
type Proxy struct {
	addr     string // of the proxy, kept while the port is closed
	upstream string
	seed     uint64
	ctx      context.Context // ends with Close
	cancel   context.CancelFunc
	wg       sync.WaitGroup

	mu       sync.Mutex
	faults   Faults
	changed  chan struct{} // closed when faults change
	listener net.Listener  // nil while refusing
	links    map[*link]bool
	accepted uint64
	drops    []*drop
	closed   bool
}

// drop loses answers to requests that match.
type drop struct {
	match func([]byte) bool
	left  int
}

// Stats counts what a Proxy has seen.
type Stats struct {
	Accepted int // connections since Listen
	Open     int // connections now
	Pending  int // answers that DropAnswers shall still lose
}

// Listen starts a proxy on a free port of loopback before the engine at upstream ("host:port").
func Listen(upstream string, seed uint64) (*Proxy, error) {
	l, err := listen("127.0.0.1:0")
	if err != nil {
		return nil, fmt.Errorf("fault proxy: %w", err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	p := &Proxy{
		addr: l.Addr().String(), upstream: upstream, seed: seed, ctx: ctx, cancel: cancel,
		changed: make(chan struct{}), links: map[*link]bool{},
	}
	p.serve(l)
	return p, nil
}

func listen(addr string) (net.Listener, error) {
	return new(net.ListenConfig).Listen(context.Background(), "tcp", addr)
}

// Addr returns the proxy's "host:port", which clients use instead of the engine's.
func (p *Proxy) Addr() string { return p.addr }

// Set replaces the faults, for connections that are open too. It fails only when a port that was closed by
// Refuse cannot be opened again.
func (p *Proxy) Set(f Faults) error {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.closed {
		return net.ErrClosed
	}
	switch {
	case f.Refuse && p.listener != nil:
		p.listener.Close() //nolint:errcheck // it accepts nothing either way
		p.listener = nil
	case !f.Refuse && p.listener == nil:
		l, err := listen(p.addr)
		if err != nil {
			return fmt.Errorf("fault proxy: open the port again: %w", err)
		}
		p.serve(l)
	}
	p.faults = f
	close(p.changed)
	p.changed = make(chan struct{})
	return nil
}

// ResetAll resets every open connection, and returns how many there were.
func (p *Proxy) ResetAll() int {
	p.mu.Lock()
	open := make([]*link, 0, len(p.links))
	for l := range p.links {
		open = append(open, l)
	}
	p.mu.Unlock()
	for _, l := range open {
		l.reset()
	}
	return len(open)
}

// DropAnswers loses the next n answers to what match accepts, of all connections together: the request is
// forwarded, the first bytes that the engine sends afterwards are thrown away, and the connection is reset. The
// client cannot tell whether the engine did what it was asked. match sees each piece that the client sends; nil
// accepts all.
func (p *Proxy) DropAnswers(n int, match func(request []byte) bool) {
	if match == nil {
		match = func([]byte) bool { return true }
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	p.drops = append(p.drops, &drop{match, n})
}

// Stats returns the counts.
func (p *Proxy) Stats() Stats {
	p.mu.Lock()
	defer p.mu.Unlock()
	s := Stats{Accepted: int(p.accepted), Open: len(p.links)}
	for _, d := range p.drops {
		s.Pending += d.left
	}
	return s
}

// Close resets all connections, closes the port and returns when nothing of the proxy runs any more.
func (p *Proxy) Close() error {
	p.mu.Lock()
	p.closed = true
	if p.listener != nil {
		p.listener.Close() //nolint:errcheck // it accepts nothing either way
		p.listener = nil
	}
	p.cancel()
	p.mu.Unlock()
	p.ResetAll()
	p.wg.Wait()
	return nil
}

// serve accepts connections of l until it is closed. The caller holds p.mu, or nobody else knows p.
func (p *Proxy) serve(l net.Listener) {
	p.listener = l
	p.wg.Go(func() {
		for {
			conn, err := l.Accept()
			if errors.Is(err, net.ErrClosed) {
				return
			}
			if err != nil { // too many open files, say: the client sees what it would see of the engine
				continue
			}
			p.wg.Go(func() { p.forward(conn.(*net.TCPConn)) })
		}
	})
}

// forward carries one connection until either side ends it.
func (p *Proxy) forward(client *net.TCPConn) {
	ctx, cancel := context.WithTimeout(p.ctx, dialTimeout)
	defer cancel()
	engine, err := new(net.Dialer).DialContext(ctx, "tcp", p.upstream)
	if err != nil {
		reset(client)
		return
	}
	l := &link{proxy: p, client: client, engine: engine.(*net.TCPConn), broken: make(chan struct{})}
	if !p.enter(l) {
		l.reset()
		return
	}
	defer p.leave(l)
	var both sync.WaitGroup
	both.Go(func() { l.pump(ToEngine) })
	both.Go(func() { l.pump(ToClient) })
	both.Wait()
	l.finish()
}

// enter notes an open connection and gives it its share of the seed.
func (p *Proxy) enter(l *link) bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.closed {
		return false
	}
	l.rng[0] = rand.New(rand.NewPCG(p.seed, 2*p.accepted))
	l.rng[1] = rand.New(rand.NewPCG(p.seed, 2*p.accepted+1))
	p.accepted++
	p.links[l] = true
	return true
}

func (p *Proxy) leave(l *link) {
	p.mu.Lock()
	defer p.mu.Unlock()
	delete(p.links, l)
}

func (p *Proxy) now() (Faults, <-chan struct{}) {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.faults, p.changed
}

// loses tells whether the answer to a piece shall be lost.
func (p *Proxy) loses(request []byte) bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	for _, d := range p.drops {
		if d.left > 0 && d.match(request) {
			d.left--
			return true
		}
	}
	return false
}

// reset closes a connection so that its peer sees a reset, not an end.
func reset(c *net.TCPConn) {
	_ = c.SetLinger(0)
	_ = c.Close()
}
