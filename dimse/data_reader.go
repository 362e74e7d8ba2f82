package dimse

import (
	"errors"
	"io"
	"os"
	"time"
)

// dataReader is Message.Data: the data set fragments of one message, pulled off the socket by Read.
type dataReader struct {
	s       *stream
	id      byte  // Presentation Context
	limit   int64 // bytes
	total   int64 // bytes of fragments begun
	got     int64 // bytes read
	minRate int64
	grace   time.Duration
	waited  time.Duration // time spent waiting for the peer
	until   time.Time     // absolute deadline while draining, else zero
	ended   bool          // the last fragment was begun
	over    bool          // and read to its end: the stream is the next message's
	err     error         // sticky

	grow func(n int64) // hears of bytes as they come; nil for none
}

// Read implements io.Reader.
func (d *dataReader) Read(p []byte) (int, error) {
	if d.err != nil {
		return 0, d.err
	}
	if len(p) == 0 {
		return 0, nil
	}
	n, err := d.read(p)
	if err != nil {
		d.err = err
	}
	return n, err
}

// WriteTo implements io.WriterTo with a buffer that takes a whole PDV, so that io.Copy needs few calls.
func (d *dataReader) WriteTo(w io.Writer) (int64, error) {
	b := dataBuffers.Get().(*[]byte)
	defer dataBuffers.Put(b)
	if cap(*b) < copyBufferSize {
		*b = make([]byte, copyBufferSize)
	}
	p := (*b)[:cap(*b)]
	var written int64
	for {
		n, err := d.Read(p)
		if n > 0 {
			m, werr := w.Write(p[:n])
			written += int64(m)
			if werr == nil && m < n {
				werr = io.ErrShortWrite
			}
			if werr != nil {
				return written, werr
			}
		}
		switch {
		case err == io.EOF: // Read returns it bare
			return written, nil
		case err != nil:
			return written, err
		}
	}
}

// copyBufferSize takes the longest P-DATA-TF of common senders and the header of the next.
const copyBufferSize = 128<<10 + 512

// read does one read. It may use all of p, beyond what it returns, as scratch space.
func (d *dataReader) read(p []byte) (int, error) {
	s := d.s
	for !d.over && s.pdvLeft == 0 {
		if err := d.nextFragment(); err != nil {
			return 0, err
		}
	}
	if d.over {
		return 0, io.EOF
	}
	if s.buffered() == 0 {
		if len(p) >= directRead {
			return d.readDirect(p)
		}
		if err := d.wait(func() error { return s.fill(1) }); err != nil {
			return 0, err
		}
	}
	n := copy(p, s.buf[s.r:s.r+min(s.buffered(), s.pdvLeft)])
	s.r += n
	d.count(n)
	return n, nil
}

// readDirect reads into the caller's buffer; the headers behind the PDV, which come along when there is
// room, go to the link's buffer, which is empty.
func (d *dataReader) readDirect(p []byte) (int, error) {
	s := d.s
	var n int
	err := d.wait(func() (err error) {
		n, err = s.read(p[:min(len(p), s.pdvLeft+pduHeader+pdvHeader)])
		return err
	})
	if err != nil {
		return 0, err
	}
	if n > s.pdvLeft {
		s.r, s.w = 0, copy(s.buf[:], p[s.pdvLeft:n])
		n = s.pdvLeft
	}
	d.count(n)
	return n, nil
}

func (d *dataReader) count(n int) {
	d.s.consumed(n)
	d.got += int64(n)
	d.fragmentEnds()
	if d.grow != nil {
		d.grow(int64(n))
	}
}

// fragmentEnds notes the end of a PDV and of the data set.
func (d *dataReader) fragmentEnds() {
	if d.s.pdvLeft == 0 {
		d.s.inPDV = false
		d.over = d.ended
	}
}

// nextFragment moves to the next PDV and checks that it belongs here.
func (d *dataReader) nextFragment() error {
	s := d.s
	var ev event
	err := d.wait(func() (err error) {
		ev, err = s.nextPDV()
		return err
	})
	switch {
	case err != nil:
		return err
	case ev != 0:
		return violation(abortUnexpected, "release within a data set")
	case s.pdv.Command:
		return violation(abortBadParam, "command fragment within a data set")
	case s.pdv.ContextID != d.id:
		return violation(abortBadParam, "presentation context changes within a message")
	}
	d.total += int64(s.pdvLeft)
	d.ended = s.pdv.Last
	if d.limit > 0 && d.total > d.limit {
		return ErrTooLarge
	}
	d.fragmentEnds()
	return nil
}

// wait runs one step that may block, with the deadline that the stall limit and the minimum rate allow, and
// books the time. Time that the caller spends elsewhere is not the peer's fault and does not count.
func (d *dataReader) wait(step func() error) error {
	start := time.Now()
	d.s.until = d.deadline(start)
	err := step()
	d.waited += time.Since(start)
	switch {
	case err == nil:
		return nil
	case errors.Is(err, io.EOF):
		return io.ErrUnexpectedEOF
	}
	return peerGone(err)
}

func (d *dataReader) deadline(now time.Time) time.Time {
	if !d.until.IsZero() {
		return d.until
	}
	allowed := d.s.stall
	if d.minRate > 0 {
		if sec := d.got / d.minRate; sec < int64(24*time.Hour/time.Second)*365 {
			fine := time.Duration(d.got%d.minRate) * time.Second / time.Duration(d.minRate)
			allowed = min(allowed, d.grace+time.Duration(sec)*time.Second+fine-d.waited)
		}
	}
	return now.Add(allowed)
}

// drain throws away what is left of the data set, within limits. ErrTooLarge means that the peer sends more
// than that.
func (d *dataReader) drain(most int64, deadline time.Time) error {
	if d.err != nil && !errors.Is(d.err, ErrTooLarge) {
		if d.err == io.EOF { // ours, never wrapped
			return nil
		}
		return d.err
	}
	if d.over {
		return nil
	}
	// The reader that the Handler holds stays at its error.
	rest := dataReader{s: d.s, id: d.id, until: deadline, ended: d.ended}
	b := dataBuffers.Get().(*[]byte)
	defer dataBuffers.Put(b)
	if cap(*b) < copyBufferSize {
		*b = make([]byte, copyBufferSize)
	}
	for {
		n, err := rest.read((*b)[:cap(*b)])
		most -= int64(n)
		switch {
		case err == io.EOF: // ours
			d.over = true
			return nil
		case errors.Is(err, os.ErrDeadlineExceeded):
			return ErrTooLarge
		case err != nil:
			d.err = err
			return err
		case most < 0:
			return ErrTooLarge
		}
	}
}

// peerGone turns the many ways to say that a connection is lost into io.ErrUnexpectedEOF, and leaves ours
// alone.
func peerGone(err error) error {
	var abort *AbortError
	switch {
	case errors.As(err, &abort), errors.Is(err, os.ErrDeadlineExceeded), errors.Is(err, ErrTooLarge),
		errors.Is(err, errInterrupted), errors.Is(err, io.ErrUnexpectedEOF):
		return err
	}
	return &lostError{err}
}

// lostError is a connection that broke.
type lostError struct{ err error }

func (e *lostError) Error() string { return "dimse: connection lost: " + e.err.Error() }
func (e *lostError) Unwrap() []error {
	return []error{io.ErrUnexpectedEOF, e.err}
}
