// Package slowreader ends answers that nobody takes. A client that stops reading holds a goroutine, a connection,
// an open blob and a buffer; without an end to it a thousand of them hold a node's memory for ever.
package slowreader

import (
	"net/http"
	"time"
)

// piece is how many bytes a client must take before its time begins anew. With 30 s that is 2 KiB/s, less than
// any line that a picture could be looked at on.
const piece = 64 << 10

// DefaultStall is how long a client may take nothing.
const DefaultStall = 30 * time.Second

// Limit breaks the connection of a client that does not take 64 KiB of an answer of next within stall (or an eighth
// less), which is DefaultStall where it is 0. However long an answer takes in all, one that is being read is not cut.
func Limit(next http.Handler, stall time.Duration) http.Handler {
	if stall <= 0 {
		stall = DefaultStall
	}
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		a := &answer{ResponseWriter: w, conn: http.NewResponseController(w), stall: stall}
		defer a.end()
		next.ServeHTTP(a, r)
	})
}

// answer is a response with a deadline that moves on as the client reads.
type answer struct {
	http.ResponseWriter
	conn  *http.ResponseController
	stall time.Duration
	set   time.Time // when the deadline was set last
	sent  int64
}

// Unwrap lets http.ResponseController see the connection.
func (a *answer) Unwrap() http.ResponseWriter { return a.ResponseWriter }

func (a *answer) Write(p []byte) (n int, err error) {
	for {
		a.extend()
		part := p[n:min(n+piece, len(p))]
		m, err := a.ResponseWriter.Write(part)
		a.sent += int64(m)
		if n += m; err != nil || n >= len(p) {
			return n, err
		}
	}
}

// extend moves the deadline, not for each of many small writes. Where there is no connection there is none.
func (a *answer) extend() {
	if now := time.Now(); now.Sub(a.set) > a.stall/8 {
		a.set = now
		_ = a.conn.SetWriteDeadline(now.Add(a.stall))
	}
}

// end sends what is still buffered, while there is a deadline, and takes that off the connection: its next request
// may be anybody's.
func (a *answer) end() {
	if a.sent > piece { // less is in the kernel's hands already
		a.set = time.Time{}
		a.extend()
		_ = a.conn.Flush() // what fails here has failed for the server too
	}
	_ = a.conn.SetWriteDeadline(time.Time{})
}
