package dimse

import (
	"bytes"
	"context"
	"errors"
	"io"
	"time"
)

// Request is one DIMSE operation.
type Request struct {
	// Context is one of those accepted.
	Context PresentationContext
	// Command is the command to send; its MessageID and HasData are filled in.
	Command Command
	// Data is its data set in the transfer syntax of Context; nil for none.
	Data io.Reader
	// Pending is called for each response with a pending status; an error sends a C-CANCEL-RQ, once, and
	// is returned by Do after the final response. nil drops them.
	Pending func(*Response) error
	// MaxData bounds the data set of one response, in bytes. Default 1 MiB.
	MaxData int64
}

// Response is one answer.
type Response struct {
	Command Command
	Data    []byte // data set, nil for none
}

// Do sends a request and waits for its final response. A status that is not success is no error.
func (c *Client) Do(ctx context.Context, rq Request) (*Response, error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if pc, ok := c.contextByID(rq.Context.ID); !ok || pc != rq.Context {
		return nil, ErrNoContext
	}
	orDefault(&rq.MaxData, 1<<20)
	c.lastID++
	rq.Command.MessageID = c.lastID
	var (
		final *Response
		stop  error // of Pending
	)
	err := c.guard(ctx, func(s *stream) error {
		if _, err := s.writeMessage(rq.Context.ID, &rq.Command, rq.Data); err != nil {
			return c.whyWriteFailed(s, err)
		}
		for {
			rsp, err := c.response(s, &rq)
			if err != nil {
				return err
			}
			if !IsPending(rsp.Command.Status) {
				final = rsp
				return nil
			}
			if rq.Pending == nil || stop != nil {
				continue
			}
			if stop = rq.Pending(rsp); stop != nil {
				cancel := &Command{Field: CCancelRQ, MessageIDBeingRespondedTo: rq.Command.MessageID}
				if _, err := s.writeMessage(rq.Context.ID, cancel, nil); err != nil {
					return err
				}
			}
		}
	})
	if err == nil {
		err = stop
	}
	return final, err
}

func (c *Client) contextByID(id byte) (PresentationContext, bool) {
	for _, pc := range c.accepted {
		if pc.ID == id {
			return pc, true
		}
	}
	return PresentationContext{}, false
}

// response reads one response to rq.
func (c *Client) response(s *stream, rq *Request) (*Response, error) {
	ev, id, raw, err := s.readCommand(time.Now().Add(c.config.Timeout), nil)
	switch {
	case err != nil:
		return nil, peerGone(err)
	case ev != eventCommand:
		return nil, violation(abortUnexpected, "release while a response is due")
	case id != rq.Context.ID:
		return nil, violation(abortBadParam, "response on presentation context %d", id)
	}
	cmd, err := DecodeCommand(raw)
	switch {
	case err != nil:
		return nil, violation(abortBadParam, "%v", err)
	case cmd.Field != rq.Command.Field|0x8000 || cmd.MessageIDBeingRespondedTo != rq.Command.MessageID:
		return nil, violation(abortBadParam, "response %04XH to another message", uint16(cmd.Field))
	}
	rsp := &Response{Command: cmd}
	if cmd.HasData {
		var b bytes.Buffer
		d := &dataReader{s: s, id: id, limit: rq.MaxData}
		if _, err := d.WriteTo(&b); err != nil {
			return nil, err
		}
		rsp.Data = b.Bytes()
	}
	return rsp, nil
}

// whyWriteFailed looks for the A-ABORT that made the peer close.
func (c *Client) whyWriteFailed(s *stream, err error) error {
	var own *dataError
	if errors.As(err, &own) {
		return err
	}
	s.until = time.Now().Add(abortTime)
	for {
		ev, rerr := s.nextPDV()
		var abort *AbortError
		switch {
		case errors.As(rerr, &abort) && abort.Peer:
			return abort
		case rerr != nil || ev != 0:
			return peerGone(err)
		}
		for s.pdvLeft > 0 { // a response, which does not matter now
			if s.fill(1) != nil {
				return peerGone(err)
			}
			n := min(s.pdvLeft, s.buffered())
			s.take(n)
			s.consumed(n)
		}
	}
}

// Echo sends a C-ECHO-RQ on an accepted context for Verification and returns the status.
func (c *Client) Echo(ctx context.Context) (status uint16, err error) {
	pc, ok := c.Accepted(Verification, "")
	if !ok {
		return 0, ErrNoContext
	}
	rsp, err := c.Do(ctx, Request{Context: pc, Command: Command{Field: CEchoRQ, AffectedSOPClassUID: Verification}})
	if err != nil {
		return 0, err
	}
	return rsp.Command.Status, nil
}
