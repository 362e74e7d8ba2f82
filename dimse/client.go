package dimse

import (
	"context"
	"crypto/tls"
	"encoding/binary"
	"errors"
	"fmt"
	"net"
	"sync"
	"time"
)

// Client is the requestor of one Association. Its methods may be called concurrently and take turns: one
// operation at a time is what DICOM allows without an asynchronous operations window.
//
// A context that ends during an operation, and every error but those of arguments, ends the Association:
// what the peer thinks of a half-sent message cannot be known. Done tells.
type Client struct {
	config   ClientConfig
	accepted []PresentationContext
	server   UserInformation

	mu     sync.Mutex
	stream *stream // nil when the Association is over
	lastID uint16
}

// Dial connects to addr ("host:port") and negotiates an Association. A refusal is an *AssociateRJ.
func Dial(ctx context.Context, addr string, config ClientConfig) (*Client, error) {
	if err := config.Validate(); err != nil {
		return nil, err
	}
	config = config.withDefaults()
	connect, cancel := context.WithTimeout(ctx, config.ConnectTimeout)
	defer cancel()
	conn, err := config.connect(connect, addr)
	if err != nil {
		return nil, fmt.Errorf("dimse: connect: %w", err)
	}
	limits := DefaultLimits()
	limits.MaxPDU = config.MaxPDU
	c := &Client{config: config, stream: newStream(newLink(conn, config.Timeout), limits)}
	err = c.guard(ctx, func(s *stream) error { return c.associate(s) })
	if err != nil {
		return nil, err
	}
	return c, nil
}

func (c *ClientConfig) connect(ctx context.Context, addr string) (net.Conn, error) {
	dial := c.Dial
	if dial == nil {
		dial = new(net.Dialer).DialContext
	}
	conn, err := dial(ctx, "tcp", addr)
	if err != nil || c.TLS == nil {
		return conn, err
	}
	config := c.TLS
	if config.ServerName == "" && !config.InsecureSkipVerify {
		host, _, err := net.SplitHostPort(addr)
		if err != nil {
			_ = conn.Close()
			return nil, err
		}
		config = config.Clone()
		config.ServerName = host
	}
	t := tls.Client(conn, config)
	if err := t.HandshakeContext(ctx); err != nil {
		_ = conn.Close()
		return nil, err
	}
	return t, nil
}

// guard runs one operation on the stream. When it fails, or ctx ends meanwhile, the Association is over.
func (c *Client) guard(ctx context.Context, op func(s *stream) error) error {
	s := c.stream
	if s == nil {
		return ErrReleased
	}
	if err := ctx.Err(); err != nil {
		return err
	}
	stop := context.AfterFunc(ctx, func() {
		s.interrupt()
		_ = s.conn.SetWriteDeadline(time.Unix(1, 0))
		s.broken.Store(true)
	})
	err := op(s)
	if !stop() {
		err = context.Cause(ctx)
	}
	if err == nil || errors.Is(err, ErrNoContext) {
		return err
	}
	c.give(s, err)
	return err
}

// give ends the Association after err. The peer hears an A-ABORT unless it ended the Association itself.
func (c *Client) give(s *stream, err error) {
	var abort *AbortError
	var rj *AssociateRJ
	c.stream = nil
	switch {
	case errors.As(err, &abort) && abort.Peer, errors.As(err, &rj):
		s.close()
		s.free()
		return
	case errors.As(err, &abort):
	default:
		abort = &AbortError{Source: sourceUser}
	}
	// broken or not, an attempt costs nothing that matters; a full pipe is not waited for.
	_ = s.conn.SetWriteDeadline(time.Now().Add(abortTime))
	_, _ = s.conn.Write((&Abort{abort.Source, abort.Reason}).AppendTo(nil))
	s.close()
	s.free()
}

// abortTime bounds the attempt to tell the peer of an abort.
const abortTime = 250 * time.Millisecond

// associate sends the request and reads the answer (Sta5).
func (c *Client) associate(s *stream) error {
	rq := c.config.request()
	if err := s.write(rq.AppendTo(nil)); err != nil {
		return err
	}
	s.until = time.Now().Add(c.config.ConnectTimeout)
	if err := s.fill(pduHeader); err != nil {
		return peerGone(err)
	}
	kind, n := s.buf[s.r], int64(binary.BigEndian.Uint32(s.buf[s.r+2:]))
	switch kind {
	case pduAbort:
		if _, err := s.nextPDU(); err != nil {
			return err
		}
	case pduAssociateAC, pduAssociateRJ:
	default:
		return violation(abortUnexpected, "PDU of type %02XH for an answer", kind)
	}
	if n > int64(DefaultLimits().MaxAssociateBytes) {
		return violation(abortBadParam, "answer of %d bytes", n)
	}
	s.take(pduHeader)
	body, err := readBody(linkReader{s.link}, int(n))
	if err != nil {
		return peerGone(err)
	}
	if kind == pduAssociateRJ {
		rj, err := decodeAssociateRJ(body)
		if err != nil {
			return err
		}
		return rj
	}
	ac, err := decodeAssociateAC(body)
	if err != nil {
		return err
	}
	c.server = ac.User
	c.negotiated(rq, ac)
	return s.setPeerMax(ac.User.MaxLength)
}

func (c *ClientConfig) request() *AssociateRQ {
	rq := &AssociateRQ{
		ProtocolVersion: 1, CalledAETitle: c.CalledAE, CallingAETitle: c.CallingAE, ApplicationContext: ApplicationContext,
		User: UserInformation{
			MaxLength:                 c.MaxPDU,
			ImplementationClassUID:    c.ImplementationClassUID,
			ImplementationVersionName: c.ImplementationVersionName,
			Identity:                  c.Identity,
		},
	}
	for i, p := range c.Contexts {
		rq.Contexts = append(rq.Contexts, ProposedContext{byte(2*i + 1), p.AbstractSyntax, p.TransferSyntaxes})
		if p.SCP {
			rq.User.Roles = append(rq.User.Roles, RoleSelection{p.AbstractSyntax, p.SCU, p.SCP})
		}
	}
	return rq
}

// negotiated notes the accepted contexts; an answer to something not proposed is ignored.
func (c *Client) negotiated(rq *AssociateRQ, ac *AssociateAC) {
	answers := map[byte]ContextAnswer{}
	for _, a := range ac.Contexts {
		answers[a.ID] = a
	}
	for _, p := range rq.Contexts {
		a, ok := answers[p.ID]
		if !ok || a.Result != ContextAccepted {
			continue
		}
		pc := PresentationContext{ID: p.ID, AbstractSyntax: p.AbstractSyntax, TransferSyntax: a.TransferSyntax, RequestorSCU: true}
		for _, r := range ac.User.Roles {
			if r.SOPClassUID == p.AbstractSyntax {
				pc.RequestorSCU, pc.RequestorSCP = r.SCU, r.SCP
			}
		}
		c.accepted = append(c.accepted, pc)
	}
}

// Accepted returns the accepted Presentation Context for an abstract syntax and transfer syntax; with ts ""
// the first for the abstract syntax.
func (c *Client) Accepted(abstract, ts string) (PresentationContext, bool) {
	for _, pc := range c.accepted {
		if pc.AbstractSyntax == abstract && (ts == "" || pc.TransferSyntax == ts) {
			return pc, true
		}
	}
	return PresentationContext{}, false
}

// Contexts returns all accepted Presentation Contexts; the caller leaves them alone.
func (c *Client) Contexts() []PresentationContext { return c.accepted }

// ServerInformation returns what the peer said of itself.
func (c *Client) ServerInformation() UserInformation { return c.server }

// Done says whether the Association is over.
func (c *Client) Done() bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.stream == nil
}

// Release ends the Association in order: it waits for the A-RELEASE-RP and closes the connection.
func (c *Client) Release(ctx context.Context) error {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.guard(ctx, func(s *stream) error {
		if err := s.write((&ReleaseRQ{}).AppendTo(nil)); err != nil {
			return err
		}
		s.until = time.Now().Add(c.config.Timeout)
		for {
			ev, err := s.nextPDU()
			switch {
			case err != nil:
				return peerGone(err)
			case ev == eventReleaseRP:
				c.stream = nil
				s.close()
				s.free()
				return nil
			case ev == eventReleaseRQ: // release collision: the requestor answers first (Sta9)
				if err := s.write((&ReleaseRP{}).AppendTo(nil)); err != nil {
					return err
				}
			default:
				return violation(abortUnexpected, "data after the release")
			}
		}
	})
}

// Abort ends the Association with A-ABORT(0,0). It does nothing when the Association is over.
func (c *Client) Abort() {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.stream != nil {
		c.give(c.stream, ErrAbort)
	}
}
