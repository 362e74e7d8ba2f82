package dimse

import (
	"errors"
	"io"
	"net"
	"os"
	"sync"
	"sync/atomic"
	"time"
)

// readBufferSize holds the headers and commands of a connection, and data sets when the caller reads in
// small pieces. A reader with a large buffer gets its bytes straight from the socket.
const readBufferSize = 64 << 10

// directRead is the size from which the caller's buffer is worth a system call of its own.
const directRead = 8 << 10

var readBuffers = sync.Pool{New: func() any { return new([readBufferSize]byte) }}

// errInterrupted is what a read gets that interrupt has woken.
var errInterrupted = errors.New("dimse: read interrupted")

// link is a connection with a read buffer and absolute deadlines. One goroutine reads at a time; interrupt
// and close may be called by others.
type link struct {
	conn   net.Conn
	buf    *[readBufferSize]byte
	r, w   int           // unread bytes are buf[r:w]
	until  time.Time     // when the current read must have succeeded
	armed  time.Time     // deadline that the connection has
	slack  time.Duration // armed may be this much before until: saves most calls of SetReadDeadline
	stall  time.Duration // for writes
	broken atomic.Bool   // a write failed or the connection was closed by us
	wake   atomic.Bool
}

func newLink(conn net.Conn, stall time.Duration) *link {
	return &link{
		conn:  conn,
		buf:   readBuffers.Get().(*[readBufferSize]byte),
		slack: min(time.Second, stall/8),
		stall: stall,
	}
}

// free gives the buffer back; l cannot be read afterwards.
func (l *link) free() {
	if l.buf != nil {
		readBuffers.Put(l.buf)
		l.buf = nil
	}
}

func (l *link) buffered() int { return l.w - l.r }

// take returns the next n buffered bytes and moves behind them.
func (l *link) take(n int) []byte {
	b := l.buf[l.r : l.r+n]
	l.r += n
	return b
}

// interrupt makes the current read, and those that follow until resume, fail with errInterrupted.
func (l *link) interrupt() {
	l.wake.Store(true)
	_ = l.conn.SetReadDeadline(time.Unix(1, 0)) // the connection may be gone already
}

// resume ends the effect of interrupt.
func (l *link) resume() {
	l.armed = time.Time{}
	l.wake.Store(false)
}

// fill reads until n bytes are buffered; n is at most a few headers or a piece of a command. A failed fill
// loses nothing: what came stays buffered.
func (l *link) fill(n int) error {
	if l.buffered() >= n {
		return nil
	}
	if len(l.buf)-l.r < n || l.r == l.w {
		l.w = copy(l.buf[:], l.buf[l.r:l.w])
		l.r = 0
	}
	for l.buffered() < n {
		got, err := l.read(l.buf[l.w:])
		l.w += got
		if err != nil && l.buffered() < n {
			if errors.Is(err, io.EOF) && l.buffered() > 0 {
				return io.ErrUnexpectedEOF
			}
			return err
		}
	}
	return nil
}

// read reads from the connection before l.until.
func (l *link) read(p []byte) (int, error) {
	for {
		if d := l.until.Sub(l.armed); d < 0 || d > l.slack {
			l.armed = l.until
			if err := l.conn.SetReadDeadline(l.until); err != nil {
				return 0, err
			}
		}
		if l.wake.Load() {
			return 0, errInterrupted
		}
		n, err := l.conn.Read(p)
		if n > 0 {
			return n, nil
		}
		switch {
		case err == nil:
			continue
		case !errors.Is(err, os.ErrDeadlineExceeded):
			return 0, err
		case l.wake.Load():
			return 0, errInterrupted
		case l.armed.Equal(l.until) || !time.Now().Before(l.until):
			return 0, os.ErrDeadlineExceeded
		}
		l.armed = time.Time{} // armed was a little early
	}
}

// write sends b with one call.
func (l *link) write(b []byte) error {
	if l.broken.Load() {
		return ErrReleased
	}
	if err := l.conn.SetWriteDeadline(time.Now().Add(l.stall)); err != nil {
		return err
	}
	if _, err := l.conn.Write(b); err != nil {
		l.broken.Store(true)
		return err
	}
	return nil
}

// linger ends a connection so that the peer can still read what was written last: closing with unread bytes
// would make the kernel send RST, which throws away an A-ABORT or A-ASSOCIATE-RJ on its way. It half-closes
// and reads until the peer closes, until the deadline, or until most bytes are thrown away.
func (l *link) linger(deadline time.Time, most int64) {
	if hc, ok := l.conn.(interface{ CloseWrite() error }); ok && hc.CloseWrite() == nil && l.buf != nil {
		l.until = deadline
		for most > 0 {
			n, err := l.read(l.buf[:])
			if err != nil {
				break
			}
			most -= int64(n)
		}
	}
	l.close()
}

func (l *link) close() {
	l.broken.Store(true)
	_ = l.conn.Close()
}
