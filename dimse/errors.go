package dimse

import (
	"errors"
	"fmt"
)

// Errors of this package; test for them with errors.Is.
var (
	// ErrPeerAbort: the peer sent an A-ABORT. The error is then also an *AbortError with its codes.
	ErrPeerAbort = errors.New("dimse: association aborted by the peer")

	// ErrTooLarge: a data set or a command is longer than its limit.
	ErrTooLarge = errors.New("dimse: larger than the limit")

	// ErrAnswered: the message has its final response already.
	ErrAnswered = errors.New("dimse: message is answered already")

	// ErrUnreadData: the data of the request must be read to its end before this call.
	ErrUnreadData = errors.New("dimse: data of the request is unread")

	// ErrAbort, returned by a Handler before it gave a Status, aborts the Association with A-ABORT(0,0).
	ErrAbort = errors.New("dimse: handler aborts the association")

	// ErrReleased: the Association was released or closed on this side.
	ErrReleased = errors.New("dimse: association is over")

	// ErrNoContext: no Presentation Context was accepted for what shall be sent.
	ErrNoContext = errors.New("dimse: no presentation context accepted")

	// ErrServerClosed: Serve was called after Shutdown.
	ErrServerClosed = errors.New("dimse: server closed")
)

// AbortError says why an Association was aborted. Source and Reason are those of the A-ABORT (PS3.8
// §9.3.8) which the peer sent, or which we send when the peer broke the protocol.
type AbortError struct {
	Source byte // 0 service-user, 2 service-provider
	Reason byte // significant with source 2 only
	Peer   bool // true: received, false: sent
	Detail string
}

// Error implements error.
func (e *AbortError) Error() string {
	by := "sent"
	if e.Peer {
		by = "received"
	}
	if e.Detail == "" {
		return fmt.Sprintf("dimse: A-ABORT(%d,%d) %s", e.Source, e.Reason, by)
	}
	return fmt.Sprintf("dimse: A-ABORT(%d,%d) %s: %s", e.Source, e.Reason, by, e.Detail)
}

// Is reports ErrPeerAbort for an A-ABORT of the peer.
func (e *AbortError) Is(target error) bool { return target == ErrPeerAbort && e.Peer }

// Reasons of a provider's A-ABORT (PS3.8 Table 9-26).
const (
	abortNoReason      = 0
	abortUnrecognized  = 1
	abortUnexpected    = 2
	abortUnrecognParam = 4
	abortUnexpParam    = 5
	abortBadParam      = 6
)

// violation is the error for a peer that broke the protocol.
func violation(reason byte, format string, args ...any) *AbortError {
	return &AbortError{Source: sourceProvider, Reason: reason, Detail: fmt.Sprintf(format, args...)}
}
