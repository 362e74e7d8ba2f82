package dimse

import (
	"context"
	"io"
)

// Handler answers the messages of all Associations; it is called concurrently, once at a time for one
// Association.
//
// ServeDIMSE must give exactly one final Status; when it returns without one the Server answers 0110H
// (or, after ErrAbort, aborts). An error is logged, never told to the peer. m and m.Data are valid until
// ServeDIMSE returns. A panic aborts this Association only. ctx ends when the Association does or when
// Shutdown runs out of time, not when the Server starts to drain.
type Handler interface {
	ServeDIMSE(ctx context.Context, w ResponseWriter, m *Message) error
}

// HandlerFunc is a function as Handler.
type HandlerFunc func(ctx context.Context, w ResponseWriter, m *Message) error

// ServeDIMSE calls f.
func (f HandlerFunc) ServeDIMSE(ctx context.Context, w ResponseWriter, m *Message) error {
	return f(ctx, w, m)
}

// ResponseWriter sends the responses to one message.
type ResponseWriter interface {
	// Status sends the final response. comment goes into Error Comment (0000,0902), cut to 64 characters
	// of printable ASCII, and is sent only with a status that is not Success. rel are further command
	// elements (counts of sub-operations, say). When data of the request is unread it is drained first,
	// within Limits.DrainBytes and Limits.DrainTime; a peer that sends more than that is aborted.
	// The second call fails with ErrAnswered.
	Status(code uint16, comment string, rel ...Element) error

	// Pending sends an intermediate response of C-FIND, C-GET or C-MOVE. data is its data set in the
	// Transfer Syntax of the Presentation Context, nil for none; it is read to its end.
	Pending(code uint16, data io.Reader, rel ...Element) error

	// Final is Status with a data set in the response: the Failed SOP Instance UID List of C-MOVE and
	// C-GET, the reply of a DIMSE-N service.
	Final(code uint16, comment string, data io.Reader, rel ...Element) error

	// Canceled is closed when the peer sent a C-CANCEL-RQ for this message, aborted, or went away. The
	// first call starts to listen, so the request's data must have been read to its end before.
	Canceled() <-chan struct{}
}
