package dicomweb

import (
	"bufio"
	"compress/flate"
	"context"
	"errors"
	"fmt"
	"io"
)

// source opens runs of bytes of one stored value. A run that ends early is an error of its reader.
type source interface {
	open(ctx context.Context, off, n int64) (io.ReadCloser, error)
}

// stored is the file as it lies in the blob store.
type stored struct {
	blobs Blobs
	key   string
}

func (s stored) open(ctx context.Context, off, n int64) (io.ReadCloser, error) {
	rc, err := s.blobs.Open(ctx, s.key, off, n)
	if err != nil {
		return nil, fmt.Errorf("open blob: %w", err)
	}
	return rc, nil
}

// inflated is the data set behind a deflated one (PS3.5 §A.5), from its first element. It keeps its
// place, so that ascending runs cost one inflation. Not safe for concurrent use; runs are read one after
// another.
type inflated struct {
	stored
	dataset int64 // offset of the deflate stream in the file
	file    io.Closer
	stream  io.Reader
	pos     int64
}

func (z *inflated) open(ctx context.Context, off, n int64) (io.ReadCloser, error) {
	if z.stream == nil || off < z.pos {
		z.close()
		file, err := z.stored.open(ctx, z.dataset, -1)
		if err != nil {
			return nil, err
		}
		z.file, z.stream, z.pos = file, flate.NewReader(bufio.NewReaderSize(file, 64<<10)), 0
	}
	// Skipping reads what admission has read before: its budget bounds what a bomb can cost here.
	if err := skip(ctx, io.LimitReader(countReader{z}, off-z.pos), off-z.pos); err != nil {
		return nil, fmt.Errorf("inflate: %w", err)
	}
	return io.NopCloser(io.LimitReader(countReader{z}, n)), nil
}

func (z *inflated) close() {
	if z.file != nil {
		_ = z.file.Close() // only read from
	}
	z.file, z.stream = nil, nil
}

type countReader struct{ z *inflated }

func (c countReader) Read(p []byte) (int, error) {
	n, err := c.z.stream.Read(p)
	c.z.pos += int64(n)
	return n, err
}

// skip reads n bytes of r away, looking up from time to time whether anybody still waits.
func skip(ctx context.Context, r io.Reader, n int64) error {
	const step = 4 << 20
	for n > 0 {
		if err := ctx.Err(); err != nil {
			return err
		}
		m, err := io.CopyN(io.Discard, r, min(n, step))
		n -= m
		if errors.Is(err, io.EOF) {
			return io.ErrUnexpectedEOF
		}
		if err != nil {
			return err
		}
	}
	return nil
}

// swapped turns a big endian value into a little endian one: words of width bytes, counted from base,
// are reversed. It passes on what lies outside of [base, base+length).
type swapped struct {
	source
	base, length int64
	width        int64 // 2, 4 or 8
}

func (s swapped) open(ctx context.Context, off, n int64) (io.ReadCloser, error) {
	rel := off - s.base
	if rel < 0 || n < 0 || rel+n > s.length {
		return nil, fmt.Errorf("run [%d,+%d) outside of a value of %d bytes", rel, n, s.length)
	}
	lo := rel / s.width * s.width
	hi := min((rel+n+s.width-1)/s.width*s.width, s.length)
	rc, err := s.source.open(ctx, s.base+lo, hi-lo)
	if err != nil {
		return nil, err
	}
	r := &wordReader{src: bufio.NewReaderSize(rc, 64<<10), width: int(s.width)}
	if _, err := io.CopyN(io.Discard, r, rel-lo); err != nil {
		_ = rc.Close()
		return nil, fmt.Errorf("swap bytes: %w", err)
	}
	return joined{io.LimitReader(r, n), rc}, nil
}

// wordReader reverses the bytes of each word. A last incomplete word passes as it is.
type wordReader struct {
	src   io.Reader
	width int
	word  [8]byte
	have  []byte // of word, not given out yet
}

func (w *wordReader) Read(p []byte) (int, error) {
	n := 0
	for n < len(p) {
		if len(w.have) == 0 {
			m, err := io.ReadFull(w.src, w.word[:w.width])
			if m == 0 {
				if n > 0 && errors.Is(err, io.EOF) {
					return n, nil
				}
				return n, err
			}
			if err != nil && !errors.Is(err, io.ErrUnexpectedEOF) {
				return n, err
			}
			if m == w.width {
				for i, j := 0, m-1; i < j; i, j = i+1, j-1 {
					w.word[i], w.word[j] = w.word[j], w.word[i]
				}
			}
			w.have = w.word[:m]
		}
		m := copy(p[n:], w.have)
		w.have = w.have[m:]
		n += m
	}
	return n, nil
}

// bitReader shifts a run of bits to a byte boundary. Bits fill bytes from the least significant one up
// (PS3.5 §8.1.1).
type bitReader struct {
	src    io.Reader
	more   int64 // bytes that src still has
	left   int64 // bytes to give out
	shift  uint  // 0 to 7
	mask   byte  // of the last byte
	cur    byte
	primed bool
}

func (b *bitReader) Read(p []byte) (int, error) {
	if b.left == 0 {
		return 0, io.EOF
	}
	if len(p) == 0 {
		return 0, nil
	}
	if !b.primed {
		one := p[:1]
		if _, err := io.ReadFull(b.src, one); err != nil {
			return 0, noEOF(err)
		}
		b.cur, b.primed = one[0], true
		b.more--
	}
	p = p[:min(int64(len(p)), b.left)]
	m, err := io.ReadFull(b.src, p[:min(int64(len(p)), b.more)])
	if err != nil {
		return 0, noEOF(err)
	}
	b.more -= int64(m)
	for i := range p {
		var next byte
		if i < m {
			next = p[i]
		}
		p[i] = b.cur>>b.shift | next<<(8-b.shift)
		b.cur = next
	}
	if b.left -= int64(len(p)); b.left == 0 {
		p[len(p)-1] &= b.mask
	}
	return len(p), nil
}

// noEOF keeps an early end from passing for a good one.
func noEOF(err error) error {
	if errors.Is(err, io.EOF) {
		return io.ErrUnexpectedEOF
	}
	return err
}

// joined reads from one and closes another.
type joined struct {
	io.Reader
	io.Closer
}
