package kafkalog

import (
	"context"
	"errors"
	"net"
	"sync"
	"sync/atomic"
	"time"

	"github.com/segmentio/kafka-go"
	"github.com/segmentio/kafka-go/sasl"
)

const (
	clientID = "tributary"

	// metadataTTL is how old the idea of who leads a partition may be.
	metadataTTL = 2 * time.Second

	// silence bounds how long a broker may take for one read or write where kafka-go sets no deadline: it
	// sets none while it authenticates, and a broker that hangs there would hang us for good.
	silence = 30 * time.Second
)

// cluster is the way to the brokers. kafka-go's transport keeps what it knows of them, also when that has
// become wrong; renew begins again.
type cluster struct {
	cfg       *config
	mechanism sasl.Mechanism
	conns     connections

	mu        sync.Mutex
	client    *kafka.Client
	transport *kafka.Transport
	renewed   time.Time
}

func newCluster(cfg *config, mechanism sasl.Mechanism) *cluster {
	return &cluster{cfg: cfg, mechanism: mechanism}
}

// kafka returns the client of now.
func (c *cluster) kafka() *kafka.Client {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.client == nil {
		c.transport = &kafka.Transport{
			Dial: c.conns.dialer(c.cfg), DialTimeout: c.cfg.timeout, IdleTimeout: time.Minute,
			MetadataTTL: metadataTTL, MetadataTopics: c.cfg.topics(), ClientID: clientID,
			TLS: c.cfg.tls, SASL: c.mechanism,
		}
		c.client = &kafka.Client{Addr: kafka.TCP(c.cfg.brokers...), Timeout: c.cfg.timeout, Transport: c.transport}
		c.renewed = time.Now()
	}
	return c.client
}

// renew forgets connections and what they told, unless that is news. Requests under way end as they will.
func (c *cluster) renew(client *kafka.Client, atLeast time.Duration) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.client == nil || client != c.client || time.Since(c.renewed) < atLeast {
		return
	}
	c.transport.CloseIdleConnections()
	c.client, c.transport = nil, nil
}

// close ends every connection, and with them kafka-go's goroutines.
func (c *cluster) close() {
	c.mu.Lock()
	if c.client != nil {
		c.transport.CloseIdleConnections()
		c.client, c.transport = nil, nil
	}
	c.mu.Unlock()
	c.conns.close()
}

// connections are those that are open.
type connections struct {
	mu     sync.Mutex
	open   map[*connection]struct{}
	closed bool
}

var errConnectionsClosed = errors.New("connections are closed")

// dialer returns how to connect, within a share of the time where there are several brokers to try.
func (s *connections) dialer(cfg *config) func(ctx context.Context, network, address string) (net.Conn, error) {
	each := max(cfg.timeout/time.Duration(len(cfg.brokers)), 500*time.Millisecond)
	d := net.Dialer{Timeout: each, KeepAlive: 15 * time.Second}
	return func(ctx context.Context, network, address string) (net.Conn, error) {
		conn, err := d.DialContext(ctx, network, address)
		if err != nil {
			return nil, err
		}
		c := &connection{Conn: conn, of: s}
		c.unbounded.Store(true)
		s.mu.Lock()
		defer s.mu.Unlock()
		if s.closed {
			_ = conn.Close()
			return nil, errConnectionsClosed
		}
		if s.open == nil {
			s.open = map[*connection]struct{}{}
		}
		s.open[c] = struct{}{}
		return c, nil
	}
}

// cut closes those that are open; new ones may be made.
func (s *connections) cut() {
	s.mu.Lock()
	open := s.open
	s.open = nil
	s.mu.Unlock()
	for c := range open {
		_ = c.Conn.Close() // nobody waits for what was on its way
	}
}

// close is cut for good.
func (s *connections) close() {
	s.mu.Lock()
	s.closed = true
	s.mu.Unlock()
	s.cut()
}

// connection is one whose every read and write ends.
type connection struct {
	net.Conn
	of        *connections
	unbounded atomic.Bool // no deadline is set by its user
}

func (c *connection) SetDeadline(t time.Time) error {
	c.unbounded.Store(t.IsZero())
	return c.Conn.SetDeadline(t)
}

func (c *connection) SetReadDeadline(t time.Time) error {
	c.unbounded.Store(t.IsZero())
	return c.Conn.SetReadDeadline(t)
}

func (c *connection) Read(p []byte) (int, error) {
	if c.unbounded.Load() {
		if err := c.Conn.SetReadDeadline(time.Now().Add(silence)); err != nil {
			return 0, err
		}
	}
	return c.Conn.Read(p)
}

func (c *connection) Write(p []byte) (int, error) {
	if c.unbounded.Load() {
		if err := c.Conn.SetWriteDeadline(time.Now().Add(silence)); err != nil {
			return 0, err
		}
	}
	return c.Conn.Write(p)
}

func (c *connection) Close() error {
	c.of.mu.Lock()
	delete(c.of.open, c)
	c.of.mu.Unlock()
	return c.Conn.Close()
}
