package httpbody

import (
	"errors"
	"io"
	"net/http"
	"os"
	"time"

	"github.com/tributary-dicom/tributary/parsers/reject"
)

// Pace is how slow a sender may be. Zero fields take the defaults.
type Pace struct {
	Stall   time.Duration // longest wait for the next bytes; default 30 s
	Grace   time.Duration // time before MinRate counts; default 10 s
	MinRate int64         // bytes a second on the whole, once Grace is over; default 1 KiB
}

func (p Pace) withDefaults() Pace {
	if p.Stall == 0 {
		p.Stall = 30 * time.Second
	}
	if p.Grace == 0 {
		p.Grace = 10 * time.Second
	}
	if p.MinRate == 0 {
		p.MinRate = 1 << 10
	}
	return p
}

// Guard reads a request's body within limits of time and length. Only waiting for the sender counts as
// time: a store that takes long to commit is not the sender's fault. Its errors are *reject.Error where
// a limit is passed (aborted, too-large). Not safe for concurrent use.
type Guard struct {
	body   io.ReadCloser
	rc     *http.ResponseController
	pace   Pace
	limit  int64
	n      int64
	waited time.Duration
	err    error
}

// NewGuard guards r's body: at most limit bytes, not slower than pace.
// Beyond the limit the connection is closed after the answer.
func NewGuard(w http.ResponseWriter, r *http.Request, pace Pace, limit int64) *Guard {
	return &Guard{body: http.MaxBytesReader(w, r.Body, limit), rc: http.NewResponseController(w), pace: pace.withDefaults(), limit: limit}
}

// Err returns what ended the body other than its end, nil so far.
func (g *Guard) Err() error { return g.err }

// Slow reports whether the sender was cut for being slow.
func (g *Guard) Slow() bool { return errors.Is(g.err, errSlow) }

var errSlow = errors.New("the sender is too slow")

// Read implements io.Reader.
func (g *Guard) Read(p []byte) (int, error) {
	if g.err != nil {
		return 0, g.err
	}
	left := g.pace.Grace + time.Duration(float64(g.n)/float64(g.pace.MinRate)*float64(time.Second)) - g.waited
	if left <= 0 {
		return 0, g.slow()
	}
	begin := time.Now()
	// Where deadlines are not supported (a recorder in tests) the rate is still checked between reads.
	_ = g.rc.SetReadDeadline(begin.Add(min(left, g.pace.Stall)))
	n, err := g.body.Read(p)
	g.waited += time.Since(begin)
	g.n += int64(n)
	var long *http.MaxBytesError
	switch {
	case err == nil:
	case err == io.EOF:
		// net/http now watches the connection for the peer's leaving; a deadline left behind would look like it.
		_ = g.rc.SetReadDeadline(time.Time{})
		return n, io.EOF
	case errors.Is(err, os.ErrDeadlineExceeded):
		return n, g.slow()
	case errors.As(err, &long):
		g.err = reject.New(reject.TooLarge, "http body", "more than %d bytes", g.limit)
		return n, g.err
	default:
		g.err = &reject.Error{Code: reject.Aborted, Op: "http body", Offset: -1, Err: err}
		return n, g.err
	}
	return n, nil
}

func (g *Guard) slow() error {
	g.err = &reject.Error{Code: reject.Aborted, Op: "http body", Offset: -1, Err: errSlow}
	// net/http tries to drain the body before it answers; it shall not wait for this sender again.
	_ = g.rc.SetReadDeadline(time.Now())
	return g.err
}

// Close closes the body.
func (g *Guard) Close() error { return g.body.Close() }
