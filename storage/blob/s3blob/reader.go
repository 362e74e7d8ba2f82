package s3blob

import (
	"context"
	"fmt"
	"hash/crc32"
	"io"
	"io/fs"
	"sync"

	"github.com/minio/minio-go/v7"

	"github.com/tributary-dicom/tributary/storage/blob"
)

var pieces = sync.Pool{New: func() any { return new([pieceBytes]byte) }}

// Open returns a reader that also is an io.WriterTo. No byte of it is given out, of a range or of the whole,
// before the piece that it lies in was compared with the record. A line that breaks or stalls is made
// anew, at the piece where it broke. ctx covers all of reading.
func (s *Store) Open(ctx context.Context, key string, off, n int64) (io.ReadCloser, error) {
	if err := s.usable(ctx); err != nil {
		return nil, err
	}
	if err := s.visible(key); err != nil {
		return nil, err
	}
	if off < 0 {
		return nil, fmt.Errorf("open blob: negative offset %d", off)
	}
	ctx, cancel := s.join(ctx)
	r := &reader{s: s, ctx: ctx, cancel: cancel, key: key, index: -1}
	if err := r.open(off, n); err != nil {
		err = explain(ctx, "blob "+key, err, false)
		_ = r.Close()
		return nil, err
	}
	return r, nil
}

// reader reads a range of one blob.
type reader struct {
	s      *Store
	ctx    context.Context
	cancel context.CancelFunc
	key    string
	record record
	known  bool // the record is

	pos, end int64 // of the range

	body   io.ReadCloser // nil when there is no request under way
	watch  *watch
	at     int64 // where body stands
	until  int64 // where it ends, -1 for the payload's end
	index  int64 // of the piece in buf, -1 for none
	from   int64 // where that begins
	piece  []byte
	pooled *[pieceBytes]byte

	err    error
	closed bool
}

// open finds the blob and sends for its bytes.
func (r *reader) open(off, n int64) error {
	if isTrailed(r.key) {
		var err error
		if r.record, r.known = r.s.cache.get(r.key); !r.known {
			if r.record, err = r.s.fetchRecord(r.ctx, r.key); err != nil {
				return err
			}
			r.known = true
			r.s.cache.put(r.key, r.record)
		}
	}
	first, last, err := r.window(off, n)
	if err != nil {
		return err
	}
	if first != last {
		r.until = last
		err = r.s.again(r.ctx, func() error { return r.connect(first) })
	}
	if first == last || err != nil && judge(err) == noRange {
		// There may be no such byte. Whether there is a blob must be told none the less.
		if r.record, err = r.s.fetchRecord(r.ctx, r.key); err != nil {
			return err
		}
		r.known = true
	}
	if err != nil {
		return err
	}
	r.pos = min(off, r.record.payload)
	r.end = r.record.payload
	if n >= 0 && n < r.end-r.pos {
		r.end = r.pos + n
	}
	return nil
}

// window returns the whole pieces that a range touches; last is -1 for the end of a bare blob, and both are
// the same where there is nothing to read.
func (r *reader) window(off, n int64) (first, last int64, err error) {
	payload := int64(maxPartBytes) // of a bare blob at most
	if r.known {
		payload = r.record.payload
	}
	if n == 0 || off > payload || r.known && off == payload {
		return 0, 0, nil
	}
	_, first, _ = pieceAt(off)
	if n < 0 || n >= payload-off {
		if r.known {
			return first, payload, nil
		}
		return first, -1, nil
	}
	_, _, last = pieceAt(off + n - 1)
	if r.known {
		last = min(last, payload)
	}
	return first, last, nil
}

// connect sends for the bytes from a place to r.until. Its errors are the library's.
func (r *reader) connect(from int64) error {
	c := r.s.client
	var opts minio.GetObjectOptions
	var err error
	switch {
	case r.until >= 0:
		err = opts.SetRange(from, r.until-1)
	case from > 0:
		err = opts.SetRange(from, 0) // to the end
	}
	if err != nil {
		return err
	}
	ctx, w := newWatch(r.ctx, r.s.opt.Timeout)
	body, info, header, err := c.core.GetObject(ctx, c.bucket, c.name(r.key), opts)
	if cause := context.Cause(ctx); err != nil && cause != nil {
		err = cause
	}
	if err != nil {
		w.end()
		if r.ctx.Err() == nil {
			r.s.health.heard(err)
		}
		return err
	}
	r.s.health.heard(nil)
	w.pause()
	r.body, r.watch, r.at = body, w, from
	first, object, err := extent(info, header)
	if err == nil && first != from {
		err = errNoRanges
	}
	if err == nil && !r.known {
		r.record, err = bareRecord(r.key, info.UserMetadata[headerName], object)
		r.known = err == nil
	}
	if err == nil && object != r.record.object {
		err = fmt.Errorf("%d bytes of %d: %w", object, r.record.object, blob.ErrCorrupt)
	}
	if err != nil {
		r.hangUp()
	}
	return err
}

func (r *reader) hangUp() {
	if r.body == nil {
		return
	}
	_ = r.body.Close()
	r.watch.end()
	r.body, r.watch = nil, nil
}

// load fills piece with that in which pos lies.
func (r *reader) load() error {
	index, from, to := pieceAt(r.pos)
	if index == r.index {
		return nil
	}
	to = min(to, r.record.payload)
	if to-from <= pieceBytes {
		if r.pooled == nil {
			r.pooled = pieces.Get().(*[pieceBytes]byte)
		}
		r.piece = r.pooled[:to-from]
	} else if int64(cap(r.piece)) >= to-from {
		r.piece = r.piece[:to-from]
	} else {
		r.piece = make([]byte, to-from)
	}
	r.index = -1
	wrong := 0
	err := r.s.again(r.ctx, func() error {
		if r.body != nil && r.at != from {
			r.hangUp()
		}
		if r.body == nil {
			if err := r.connect(from); err != nil {
				return err
			}
		}
		if err := r.fill(); err != nil {
			r.hangUp()
			return err
		}
		if crc32.Checksum(r.piece, castagnoli) == r.record.sum(index) {
			return nil
		}
		r.hangUp()
		if wrong++; wrong > 1 { // twice the same is no accident on the way
			return fmt.Errorf("bytes %d to %d: %w", from, to, blob.ErrCorrupt)
		}
		return errTransit
	})
	if err != nil {
		return err
	}
	r.index, r.from = index, from
	return nil
}

// fill reads piece from the line.
func (r *reader) fill() error {
	for done := 0; done < len(r.piece); {
		r.watch.touch()
		n, err := r.body.Read(r.piece[done:])
		r.watch.pause()
		done += n
		r.at += int64(n)
		if err != nil && done < len(r.piece) {
			if r.ctx.Err() == nil {
				r.s.health.heard(fmt.Errorf("read blob: %w", err))
			}
			return fmt.Errorf("the line broke: %w", err)
		}
	}
	return nil
}

// next returns bytes that are sound, and not yet read, or why there are none.
func (r *reader) next() ([]byte, error) {
	switch {
	case r.closed:
		return nil, fs.ErrClosed
	case r.err != nil:
		return nil, r.err
	case r.pos >= r.end:
		r.err = io.EOF
		return nil, r.err
	}
	if err := r.load(); err != nil {
		r.err = explain(r.ctx, "blob "+r.key, err, false)
		if judge(err) == rejected {
			r.s.opt.Log.Error("a blob is damaged", "blob", r.key, "error", err.Error())
		}
		return nil, r.err
	}
	b := r.piece[r.pos-r.from:]
	return b[:min(int64(len(b)), r.end-r.pos)], nil
}

func (r *reader) Read(p []byte) (int, error) {
	if len(p) == 0 && r.err == nil && !r.closed {
		return 0, nil
	}
	b, err := r.next()
	n := copy(p, b)
	r.pos += int64(n)
	return n, err
}

// WriteTo hands on whole pieces, without another buffer.
func (r *reader) WriteTo(w io.Writer) (int64, error) {
	var total int64
	for {
		b, err := r.next()
		if err == io.EOF {
			return total, nil
		}
		if err != nil {
			return total, err
		}
		n, err := w.Write(b)
		total += int64(n)
		r.pos += int64(n)
		if err == nil && n < len(b) {
			err = io.ErrShortWrite
		}
		if err != nil {
			return total, err
		}
	}
}

func (r *reader) Close() error {
	if r.closed {
		return nil
	}
	r.closed = true
	r.hangUp()
	r.cancel()
	if r.pooled != nil {
		pieces.Put(r.pooled)
		r.pooled, r.piece = nil, nil
	}
	return nil
}
