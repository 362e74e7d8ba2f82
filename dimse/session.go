package dimse

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"runtime/debug"
	"sync"
	"time"
)

// phase says what Shutdown may do to a session.
type phase int

const (
	phaseRequest phase = iota // no Association yet, or the connection is closing: close at once
	phaseIdle                 // between messages: A-ABORT(0,0)
	phaseMessage              // a message is under way: let it finish
)

var (
	errShutdown = errors.New("dimse: server shuts down")
	errPanic    = errors.New("dimse: handler panicked")
)

// shutdownLinger is how long a peer may take to read the A-ABORT of a Server that shuts down.
const shutdownLinger = time.Second

// session serves one connection, in one goroutine. Its states are those of an acceptor in PS3.8 §9.2:
// Sta2 awaits the request, Sta3 asks the Policy, Sta6 is serve, Sta8 answers a release, Sta13 is linger.
type session struct {
	*stream
	server *Server
	ctx    context.Context //nolint:containedctx // the life of the connection
	cancel context.CancelFunc
	peer   Peer
	assoc  *Assoc
	idle   time.Duration

	queued *queuedCommand // read by a watcher of C-CANCEL, to be served next

	mu      sync.Mutex
	phase   phase
	closing bool
}

// queuedCommand is what readCommand returned, with bytes of its own.
type queuedCommand struct {
	ev  event
	id  byte
	raw []byte
}

func newSession(ctx context.Context, s *Server, conn net.Conn) *session {
	ctx, cancel := context.WithCancel(context.WithoutCancel(ctx))
	ss := &session{server: s, ctx: ctx, cancel: cancel, idle: s.limits.Idle}
	ss.peer = Peer{Addr: conn.RemoteAddr(), Local: conn.LocalAddr()}
	if s.TLS != nil {
		conn = tls.Server(conn, s.TLS)
	}
	ss.stream = newStream(newLink(conn, s.limits.Stall), s.limits)
	return ss
}

// stop ends the session soon; see Server.Shutdown.
func (ss *session) stop() {
	ss.mu.Lock()
	defer ss.mu.Unlock()
	ss.closing = true
	switch ss.phase {
	case phaseRequest:
		ss.close()
	case phaseIdle:
		ss.interrupt()
	}
}

// kill ends the session now.
func (ss *session) kill() {
	ss.cancel()
	ss.close()
}

// enter changes the phase; it fails when the session shall end instead.
func (ss *session) enter(p phase) error {
	ss.mu.Lock()
	defer ss.mu.Unlock()
	ss.phase = p
	if ss.closing && p != phaseRequest {
		return errShutdown
	}
	return nil
}

func (ss *session) run() {
	defer ss.free()
	defer ss.cancel()
	defer ss.close()
	defer func() {
		// Handlers and the Policy have a recover of their own; what arrives here is our bug. It must not
		// take the other Associations along.
		if p := recover(); p != nil {
			ss.panicked(p)
		}
	}()
	opened := time.Now()
	device, err := ss.establish(opened.Add(ss.server.limits.ARTIM))
	defer ss.server.admission.leaveDevice(device)
	if err != nil {
		ss.refused(err)
		return
	}
	ss.server.metrics.AssociationOpened()
	how := ss.finish(ss.serve())
	ss.server.metrics.AssociationClosed(how, time.Since(opened))
}

// serve is the Association's life: one message after the other. The error says why it ended, nil after an
// A-RELEASE-RQ.
func (ss *session) serve() error {
	for {
		if err := ss.enter(phaseIdle); err != nil {
			return err
		}
		next, err := ss.next()
		switch {
		case errors.Is(err, errInterrupted), errors.Is(err, errShutdown):
			return errShutdown
		case err != nil:
			return peerGone(err)
		}
		switch next.ev {
		case eventReleaseRQ:
			return nil
		case eventReleaseRP:
			return violation(abortUnexpected, "A-RELEASE-RP that nobody asked for")
		}
		if err := ss.message(next.id, next.raw); err != nil {
			return err
		}
	}
}

func (ss *session) next() (queuedCommand, error) {
	if q := ss.queued; q != nil {
		ss.queued = nil
		return *q, ss.enter(phaseMessage)
	}
	ev, id, raw, err := ss.readCommand(time.Now().Add(ss.idle), func() error { return ss.enter(phaseMessage) })
	return queuedCommand{ev, id, raw}, err
}

// message serves one command and its data set. A non-nil error ends the Association.
func (ss *session) message(id byte, raw []byte) error {
	cmd, err := DecodeCommand(raw)
	if err != nil {
		return violation(abortBadParam, "%v", err)
	}
	pc, ok := ss.assoc.Context(id)
	switch {
	case !ok:
		return violation(abortBadParam, "command on presentation context %d, which was not accepted", id)
	case cmd.Field.IsResponse():
		return violation(abortBadParam, "response %04XH that nobody asked for", uint16(cmd.Field))
	case cmd.Field == CCancelRQ && cmd.HasData:
		return violation(abortBadParam, "C-CANCEL-RQ with a data set")
	case cmd.Field == CCancelRQ:
		return nil // crossed our final response on the wire
	}

	limits := &ss.server.limits
	m := &Message{Assoc: ss.assoc, Context: pc, Cmd: cmd}
	w := &responseWriter{ss: ss, m: m, began: time.Now()}
	if cmd.HasData {
		w.data = &dataReader{
			s: ss.stream, id: id, limit: limits.MaxIdentifierBytes,
			minRate: limits.MinRate, grace: limits.MinRateGrace,
		}
		if cmd.Field == CStoreRQ {
			w.data.limit = ss.assoc.MaxObject
		}
		m.Data = w.data
	}
	defer w.stopWatching()
	if status, comment := precheck(&cmd, pc); status != StatusSuccess {
		_ = w.Status(status, comment)
		return w.over()
	}
	if cmd.Field == CStoreRQ {
		if !ss.server.budget.enter(ss.ctx, limits.BudgetWait) {
			_ = w.Status(StatusOutOfResources, "too many bytes in flight")
			return w.over()
		}
		part := &share{b: ss.server.budget}
		defer part.leave()
		w.data.grow = part.grow
	}
	return ss.handle(w, m)
}

// precheck answers what no Handler needs to see; StatusSuccess passes. SOP Classes of DIMSE-N messages may
// differ from the abstract syntax (UPS, Print), so that Handlers check them.
func precheck(c *Command, pc PresentationContext) (status uint16, comment string) {
	wrongClass := c.AffectedSOPClassUID != pc.AbstractSyntax
	switch c.Field {
	case CStoreRQ:
		switch {
		case wrongClass:
			return StatusSOPClassNotSupported, "SOP Class is not the presentation context's"
		case !ValidUID(c.AffectedSOPInstanceUID):
			return StatusInvalidSOPInstance, "malformed SOP Instance UID"
		case !c.HasData:
			return StatusCannotUnderstand, "no data set"
		}
	case CFindRQ, CGetRQ, CMoveRQ:
		switch {
		case wrongClass:
			return StatusSOPClassNotSupported, "SOP Class is not the presentation context's"
		case !c.HasData:
			return StatusCannotUnderstand, "no identifier"
		}
	case CEchoRQ:
		if wrongClass {
			return StatusSOPClassNotSupported, "SOP Class is not the presentation context's"
		}
	case NEventReportRQ, NGetRQ, NSetRQ, NActionRQ, NCreateRQ, NDeleteRQ:
		for _, uid := range []string{c.AffectedSOPInstanceUID, c.RequestedSOPInstanceUID} {
			if uid != "" && !ValidUID(uid) {
				return StatusInvalidSOPInstance, "malformed SOP Instance UID"
			}
		}
	default:
		return StatusUnrecognizedOperation, "unknown command field"
	}
	return StatusSuccess, ""
}

// handle calls the Handler and sees to it that the peer gets one answer.
func (ss *session) handle(w *responseWriter, m *Message) error {
	err := ss.callHandler(w, m)
	w.stopWatching()
	switch {
	case errors.Is(err, errPanic):
		return err
	case w.over() != nil:
		return w.over()
	case errors.Is(err, ErrAbort) && !w.answered:
		return ErrAbort
	case err != nil:
		ss.server.log.Error("dimse handler failed", "association", ss.assoc.ID,
			"command", uint16(m.Cmd.Field), "answered", w.answered, "error", err)
	}
	switch {
	case w.answered:
	case w.data != nil && errors.Is(w.data.err, ErrTooLarge):
		_ = w.Status(StatusOutOfResources, "larger than the limit") // its error is w.over's
	default:
		_ = w.Status(StatusProcessingFailure, "internal error")
	}
	return w.over()
}

func (ss *session) callHandler(w *responseWriter, m *Message) (err error) {
	defer func() {
		if p := recover(); p != nil {
			ss.panicked(p)
			err = errPanic
		}
	}()
	return ss.server.Handler.ServeDIMSE(ss.ctx, w, m)
}

// panicked logs a panic. Its value is left out unless the runtime wrote it: anything else may quote data.
func (ss *session) panicked(p any) {
	ss.server.metrics.HandlerPanicked()
	what := fmt.Sprintf("%T", p)
	if e, ok := p.(interface {
		error
		RuntimeError()
	}); ok {
		what = e.Error()
	}
	ss.server.log.Error("dimse handler panicked, association aborted",
		"peer", ss.peer.IP(), "panic", what, "stack", string(debug.Stack()))
}

// finish ends an established Association as err demands.
func (ss *session) finish(err error) End {
	_ = ss.enter(phaseRequest)
	ss.resume()
	deadline := time.Now().Add(ss.server.limits.ARTIM)
	var (
		abort *AbortError
		how   End
		pdu   = Abort{Source: sourceUser}
	)
	switch {
	case err == nil:
		if ss.write((&ReleaseRP{}).AppendTo(nil)) == nil {
			ss.linger(deadline, lingerDrain)
		}
		ss.close()
		return EndReleased
	case errors.As(err, &abort) && abort.Peer:
		ss.close()
		return EndPeerAbort
	case errors.As(err, &abort):
		how, pdu = EndViolation, Abort{abort.Source, abort.Reason}
	case errors.Is(err, errShutdown):
		how = EndShutdown
		deadline = time.Now().Add(min(shutdownLinger, ss.server.limits.ARTIM))
	case errors.Is(err, os.ErrDeadlineExceeded):
		how, pdu = EndTimeout, Abort{sourceProvider, abortNoReason}
	case errors.Is(err, ErrTooLarge):
		how = EndTooLarge
	case errors.Is(err, errPanic), errors.Is(err, ErrAbort):
		how = EndHandler
	default:
		ss.close()
		ss.server.log.Info("association lost", "association", ss.assoc.ID, "peer", ss.peer.IP(), "error", err)
		return EndPeerGone
	}
	ss.server.log.Info("association aborted", "association", ss.assoc.ID, "peer", ss.peer.IP(), "end", string(how), "error", err)
	if ss.write(pdu.AppendTo(nil)) == nil {
		ss.linger(deadline, lingerDrain)
	}
	ss.close()
	return how
}

// readRest reads n bytes of a PDU through the buffer.
func (ss *session) readRest(n int) ([]byte, error) {
	return readBody(linkReader{ss.link}, n)
}

// linkReader reads a link through its buffer.
type linkReader struct{ l *link }

func (r linkReader) Read(p []byte) (int, error) {
	if err := r.l.fill(1); err != nil {
		return 0, err
	}
	return copy(p, r.l.take(min(len(p), r.l.buffered()))), nil
}

var _ io.Reader = linkReader{}
