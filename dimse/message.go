package dimse

import "io"

// Message is one DIMSE request as a Handler sees it.
type Message struct {
	Assoc   *Assoc
	Context PresentationContext
	Cmd     Command

	// Data yields the data set's bytes exactly as sent, in Context.TransferSyntax; nil when the command
	// has none. io.EOF comes only after the last fragment. Other errors, all sticky: ErrPeerAbort,
	// io.ErrUnexpectedEOF (the peer went away), ErrTooLarge, os.ErrDeadlineExceeded (stalled or too slow),
	// and *AbortError (the peer broke the protocol). It is also an io.WriterTo. Not for concurrent use.
	Data io.Reader
}
