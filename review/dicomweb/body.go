package dicomweb

import (
	"context"
	"errors"
	"io"
	"os"
	"sync"
	"sync/atomic"

	"github.com/tributary-dicom/tributary/parsers/part10"
)

// body is something of known length that can be sent from any byte on.
type body struct {
	length int64
	open   func(ctx context.Context, off, n int64) (io.ReadCloser, error)
}

// runBody is one run of src.
func runBody(src source, run part10.Range) body {
	return body{run.Length, func(ctx context.Context, off, n int64) (io.ReadCloser, error) {
		return src.open(ctx, run.Offset+off, n)
	}}
}

// bridge is how many bytes between two runs are read over rather than opening the second one anew.
// Fragments of a frame lie eight bytes apart.
const bridge = 64 << 10

// runsBody is several runs of src as one.
func runsBody(src source, runs []part10.Range) body {
	if len(runs) == 1 {
		return runBody(src, runs[0])
	}
	var length int64
	for _, r := range runs {
		length += r.Length
	}
	return body{length, func(ctx context.Context, off, n int64) (io.ReadCloser, error) {
		var cut []part10.Range
		for _, r := range runs {
			if off >= r.Length {
				off -= r.Length
				continue
			}
			take := min(r.Length-off, n)
			if take <= 0 {
				break
			}
			cut = append(cut, part10.Range{Offset: r.Offset + off, Length: take})
			off, n = 0, n-take
		}
		rr := &runsReader{ctx: ctx, src: src, runs: cut}
		if len(cut) > 0 {
			if err := rr.advance(); err != nil { // before the status line, so that it can still fail
				return nil, err
			}
		}
		return rr, nil
	}}
}

// runsReader reads runs one after another. Neighbours are read in one go.
type runsReader struct {
	ctx  context.Context
	src  source
	runs []part10.Range // not begun yet
	rc   io.ReadCloser  // open, at pos
	pos  int64
	end  int64 // where rc ends
	left int64 // of the current run
}

func (r *runsReader) Read(p []byte) (int, error) {
	for r.left == 0 {
		if len(r.runs) == 0 {
			return 0, io.EOF
		}
		if err := r.advance(); err != nil {
			return 0, err
		}
	}
	n, err := r.rc.Read(p[:min(int64(len(p)), r.left)])
	r.left -= int64(n)
	r.pos += int64(n)
	if errors.Is(err, io.EOF) {
		if err = nil; n == 0 && r.left > 0 && len(p) > 0 {
			err = io.ErrUnexpectedEOF
		}
	}
	return n, err
}

func (r *runsReader) advance() error {
	next := r.runs[0]
	if r.rc != nil && next.Offset >= r.pos && next.Offset+next.Length <= r.end {
		if err := skip(r.ctx, r.rc, next.Offset-r.pos); err != nil {
			return err
		}
	} else {
		if err := r.Close(); err != nil {
			return err
		}
		end := next.Offset + next.Length
		for _, more := range r.runs[1:] {
			if more.Offset < end || more.Offset-end > bridge {
				break
			}
			end = more.Offset + more.Length
		}
		rc, err := r.src.open(r.ctx, next.Offset, end-next.Offset)
		if err != nil {
			return err
		}
		r.rc, r.end = rc, end
	}
	r.runs = r.runs[1:]
	r.pos, r.left = next.Offset, next.Length
	return nil
}

func (r *runsReader) Close() error {
	if r.rc == nil {
		return nil
	}
	rc := r.rc
	r.rc = nil
	return rc.Close()
}

// bitsBody is a run of bits of src, counted from byte base, moved to a byte boundary; unused bits of the
// last byte are zero.
func bitsBody(src source, base, firstBit, bits int64) body {
	length := (bits + 7) / 8
	return body{length, func(ctx context.Context, off, n int64) (io.ReadCloser, error) {
		from := firstBit + off*8
		to := min(from+n*8, firstBit+bits)
		lo, hi := from/8, (to+7)/8
		rc, err := src.open(ctx, base+lo, hi-lo)
		if err != nil {
			return nil, err
		}
		mask := byte(0xFF)
		if rest := (to - from) % 8; rest != 0 {
			mask = 1<<rest - 1
		}
		return joined{&bitReader{src: rc, more: hi - lo, left: n, shift: uint(from % 8), mask: mask}, rc}, nil
	}}
}

// copyBuffer is the size of a pooled copy buffer, bytes. Smaller ones cost system calls (500 MB/s needs
// 2,000 of this size a second); larger ones cost memory per reader.
const copyBuffer = 256 << 10

// manyReaders is how many readers at a time have a buffer of that size, 32 MiB in all; each one more has an eighth
// of it, so that a thousand clients that hardly read cost no more memory than a hundred that do.
const manyReaders = 128

var (
	copyBuffers  = sync.Pool{New: func() any { b := make([]byte, copyBuffer); return &b }}
	smallBuffers = sync.Pool{New: func() any { b := make([]byte, copyBuffer/8); return &b }}
	readersNow   atomic.Int64
)

// takeBuffer returns a buffer and what to call when it is no longer needed.
func takeBuffer() ([]byte, func()) {
	pool := &copyBuffers
	if readersNow.Add(1) > manyReaders {
		pool = &smallBuffers
	}
	pooled := pool.Get().(*[]byte)
	return *pooled, func() {
		readersNow.Add(-1)
		pool.Put(pooled)
	}
}

// sending is a body under way. Its first piece is read before anything is sent, so that what cannot be read at all,
// and of small bodies whatever is wrong, can still be answered as an error.
type sending struct {
	src   io.Reader
	left  int64 // of src, after piece
	buf   []byte
	piece []byte // read, not sent
	free  func()
}

// begin reads the first piece of the n bytes of src. The caller frees what it returns.
func begin(src io.Reader, n int64) (*sending, error) {
	s := &sending{src: src, left: n}
	s.buf, s.free = takeBuffer()
	if _, ok := src.(*os.File); ok {
		return s, nil
	}
	if err := s.next(); err != nil {
		s.free()
		return nil, err
	}
	return s, nil
}

// next reads a piece. The last one is held back until src has said that it ended well: a store that finds a wrong
// checksum at the end can then still spoil the answer.
func (s *sending) next() error {
	s.piece = s.buf[:min(s.left, int64(len(s.buf)))]
	if _, err := io.ReadFull(s.src, s.piece); err != nil {
		return noEOF(err)
	}
	if s.left -= int64(len(s.piece)); s.left == 0 {
		return ended(s.src)
	}
	return nil
}

// to sends exactly as many bytes to w as were to be sent: a file by sendfile where w allows it, all others through
// the one buffer.
func (s *sending) to(w io.Writer) error {
	if f, ok := s.src.(*os.File); ok {
		sent, err := io.Copy(w, io.LimitReader(f, s.left))
		if err == nil && sent != s.left {
			err = io.ErrUnexpectedEOF
		}
		return err
	}
	for {
		if _, err := w.Write(s.piece); err != nil {
			return err
		}
		if s.left == 0 {
			return nil
		}
		if err := s.next(); err != nil {
			return err
		}
	}
}

var errLonger = errors.New("stored bytes go on after their recorded end")

// ended reads the end of src.
func ended(src io.Reader) error {
	var one [1]byte
	for range 100 { // readers may return nothing and no error, but not for ever
		n, err := src.Read(one[:])
		switch {
		case n > 0:
			return errLonger
		case errors.Is(err, io.EOF):
			return nil
		case err != nil:
			return err
		}
	}
	return io.ErrNoProgress
}
