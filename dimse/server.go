package dimse

import (
	"context"
	"crypto/tls"
	"errors"
	"io"
	"log/slog"
	"net"
	"sync"
	"sync/atomic"
	"time"
)

// Server accepts Associations. Set its fields before Serve and leave them alone afterwards.
type Server struct {
	Policy  Policy       // required
	Handler Handler      // required
	Limits  Limits       // zero fields are defaults
	TLS     *tls.Config  // nil serves plain TCP
	Log     *slog.Logger // nil discards
	Metrics Metrics      // nil counts nothing

	// ImplementationClassUID and ImplementationVersionName are told to peers; "" are the defaults.
	ImplementationClassUID    string
	ImplementationVersionName string

	mu        sync.Mutex
	started   bool
	closing   bool
	listeners map[net.Listener]struct{}
	conns     map[*tracked]struct{}
	emptied   chan struct{} // closed when closing and conns is empty

	limits    Limits // with defaults
	log       *slog.Logger
	metrics   Metrics
	budget    *budget
	admission *admission
	lastID    atomic.Uint64
	refusing  chan struct{} // slots of goroutines that deliver a refusal
}

// tracked is a connection that Shutdown has to end.
type tracked struct {
	stop func() // end soon: at once when idle, else after the message in hand
	kill func() // end now
}

// Bounds of telling a peer that we are busy. A refusal needs no state, but a crowd that is refused shall
// not cost more than a crowd that is served; beyond maxRefusing the connection is just closed.
const (
	maxRefusing  = 64
	refuseTime   = time.Second
	refuseDrain  = 256 << 10
	lingerDrain  = 64 << 20
	acceptPause  = 5 * time.Millisecond
	acceptPauses = time.Second
)

// Serve accepts connections of ln and closes it in the end. It may run for several listeners at once.
//
// When ctx ends, Serve drains as Shutdown does, for at most Limits.ShutdownGrace, and returns nil if every
// Association could end by itself. After a call of Shutdown it returns nil at once; Shutdown waits.
func (s *Server) Serve(ctx context.Context, ln net.Listener) error {
	defer ln.Close() // a second close of a listener tells nothing
	if err := s.listen(ln); err != nil {
		return err
	}
	defer s.forget(ln)
	stop := context.AfterFunc(ctx, func() { _ = ln.Close() })
	defer stop()
	pause := acceptPause
	for {
		conn, err := ln.Accept()
		switch {
		case err == nil:
			pause = acceptPause
			s.accept(ctx, conn)
			continue
		case ctx.Err() != nil:
			drain, cancel := context.WithTimeout(context.WithoutCancel(ctx), s.limits.ShutdownGrace)
			defer cancel()
			return s.Shutdown(drain)
		case s.isClosing():
			return nil
		case errors.Is(err, net.ErrClosed):
			return err
		}
		// Out of file descriptors, or the peer was gone before we looked: neither is a reason to stop.
		s.log.Warn("accept failed", "error", err, "pause", pause)
		select {
		case <-time.After(pause):
		case <-ctx.Done():
		}
		pause = min(2*pause, acceptPauses)
	}
}

// listen checks the configuration, once, and registers ln.
func (s *Server) listen(ln net.Listener) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.closing {
		return ErrServerClosed
	}
	if !s.started {
		if s.Policy == nil || s.Handler == nil {
			return errors.New("dimse: Server needs a Policy and a Handler")
		}
		if err := s.Limits.Validate(); err != nil {
			return err
		}
		s.limits = s.Limits.withDefaults()
		if s.log = s.Log; s.log == nil {
			s.log = slog.New(slog.DiscardHandler)
		}
		if s.metrics = s.Metrics; s.metrics == nil {
			s.metrics = noMetrics{}
		}
		s.budget = &budget{max: s.limits.MaxBytesInFlight}
		s.admission = newAdmission()
		s.refusing = make(chan struct{}, maxRefusing)
		s.listeners = map[net.Listener]struct{}{}
		s.conns = map[*tracked]struct{}{}
		s.started = true
	}
	s.listeners[ln] = struct{}{}
	return nil
}

func (s *Server) forget(ln net.Listener) {
	s.mu.Lock()
	defer s.mu.Unlock()
	delete(s.listeners, ln)
}

func (s *Server) isClosing() bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.closing
}

// accept starts an Association's goroutine, or refuses.
func (s *Server) accept(ctx context.Context, conn net.Conn) {
	ip := Peer{Addr: conn.RemoteAddr()}.IP()
	if !s.admission.enter(ip, s.limits.MaxAssociations, s.limits.MaxPerIP) {
		s.refuse(conn)
		return
	}
	ss := newSession(ctx, s, conn)
	t := &tracked{stop: ss.stop, kill: ss.kill}
	if !s.track(t) {
		s.admission.leave(ip)
		_ = conn.Close()
		return
	}
	go func() {
		defer s.untrack(t)
		defer s.admission.leave(ip)
		ss.run()
	}()
}

// refuse answers a connection beyond the limits with A-ASSOCIATE-RJ(2,3,2), without reading its request.
func (s *Server) refuse(conn net.Conn) {
	s.metrics.AssociationRefused(RejectBusy)
	t := &tracked{stop: func() { _ = conn.Close() }, kill: func() { _ = conn.Close() }}
	select {
	case s.refusing <- struct{}{}:
	default:
		_ = conn.Close()
		return
	}
	if !s.track(t) {
		<-s.refusing
		_ = conn.Close()
		return
	}
	go func() {
		defer s.untrack(t)
		defer func() { <-s.refusing }()
		defer conn.Close()
		deadline := time.Now().Add(refuseTime)
		if conn.SetDeadline(deadline) != nil {
			return
		}
		if s.TLS != nil {
			conn = tls.Server(conn, s.TLS)
		}
		if _, err := conn.Write(RejectBusy.AppendTo(nil)); err != nil {
			return
		}
		// Closing with unread bytes would take the refusal back; see link.linger.
		if hc, ok := conn.(interface{ CloseWrite() error }); ok && hc.CloseWrite() == nil {
			_, _ = io.Copy(io.Discard, io.LimitReader(conn, refuseDrain))
		}
	}()
}

// track registers a connection unless the Server is closing.
func (s *Server) track(t *tracked) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.closing {
		return false
	}
	s.conns[t] = struct{}{}
	return true
}

func (s *Server) untrack(t *tracked) {
	s.mu.Lock()
	defer s.mu.Unlock()
	delete(s.conns, t)
	if s.closing && len(s.conns) == 0 {
		close(s.emptied)
	}
}

// Shutdown stops accepting, aborts idle Associations with A-ABORT(0,0), lets every message in hand finish
// with its true status and aborts its Association after that. When ctx ends first, what is left is cut and
// ctx's error returned.
func (s *Server) Shutdown(ctx context.Context) error {
	s.mu.Lock()
	first := !s.closing
	if first {
		s.closing = true
		s.emptied = make(chan struct{})
		if len(s.conns) == 0 {
			close(s.emptied)
		}
	}
	for ln := range s.listeners {
		_ = ln.Close()
	}
	open := make([]*tracked, 0, len(s.conns))
	for t := range s.conns {
		open = append(open, t)
	}
	emptied := s.emptied
	s.mu.Unlock()

	if first {
		for _, t := range open {
			t.stop()
		}
	}
	select {
	case <-emptied:
		return nil
	case <-ctx.Done():
	}
	for _, t := range open {
		t.kill()
	}
	return ctx.Err()
}
