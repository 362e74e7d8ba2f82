package wfdb

import (
	"fmt"
	"io"
	"math/bits"

	"github.com/tributary-dicom/tributary/parsers/reject"
)

// bitReader reads bits, most significant first, and keeps CRC-16 (8005H) of the bytes it took.
type bitReader struct {
	at           io.ReaderAt
	offset, size int64 // of what to read next, and of the file

	buf   []byte
	pos   int
	cache uint64
	n     uint // bits in cache
	sum   uint16
	err   error
}

// fail keeps the first error: the file's own, its end, or err as a refusal.
func (r *bitReader) fail(err error) error {
	if r.err == nil {
		r.err = reject.At(reject.Malformed, op, r.offset, "%w", err)
	}
	return r.err
}

// fill takes one byte more; zeros after an error, which ends every loop that asks for it.
func (r *bitReader) fill() {
	if r.pos == len(r.buf) {
		if r.buf == nil {
			r.buf = make([]byte, 0, 32<<10)
		}
		n := min(int64(cap(r.buf)), r.size-r.offset)
		if n <= 0 || r.err != nil {
			if r.err == nil {
				r.err = reject.At(reject.Truncated, op, r.offset, "the FLAC stream ends early")
			}
			r.cache, r.n = r.cache<<8, r.n+8
			return
		}
		r.buf = r.buf[:n]
		if got, err := r.at.ReadAt(r.buf, r.offset); int64(got) < n {
			if err == nil || err == io.EOF {
				err = io.ErrUnexpectedEOF
			}
			r.err = fmt.Errorf("wfdb: read samples: %w", err)
			r.buf, r.pos = r.buf[:0], 0
			r.cache, r.n = r.cache<<8, r.n+8
			return
		}
		r.offset += n
		r.pos = 0
	}
	b := r.buf[r.pos]
	r.pos++
	r.sum = r.sum<<8 ^ crcTable[byte(r.sum>>8)^b]
	r.cache, r.n = r.cache<<8|uint64(b), r.n+8
}

// take reads n bits, at most 32.
func (r *bitReader) take(n uint) uint32 {
	for r.n < n {
		r.fill()
	}
	r.n -= n
	return uint32(r.cache >> r.n & (1<<n - 1))
}

// signed reads a number of n bits in two's complement; 0 for n of 0.
func (r *bitReader) signed(n uint) int32 {
	if n == 0 {
		return 0
	}
	return int32(r.take(n)<<(32-n)) >> (32 - n)
}

// unary counts zeros up to the next one.
func (r *bitReader) unary() uint32 {
	count := uint32(0)
	for r.err == nil {
		if r.n == 0 {
			r.fill()
		}
		v := r.cache & (1<<r.n - 1)
		if v == 0 {
			count, r.n = count+uint32(r.n), 0
			continue
		}
		zeros := r.n - uint(bits.Len64(v))
		r.n -= zeros + 1
		return count + uint32(zeros)
	}
	return 0
}

// align passes over the rest of a byte.
func (r *bitReader) align() { r.n -= r.n % 8 }

var crcTable = func() (t [256]uint16) {
	for i := range t {
		v := uint16(i) << 8
		for range 8 {
			if v&0x8000 != 0 {
				v = v<<1 ^ 0x8005
			} else {
				v <<= 1
			}
		}
		t[i] = v
	}
	return t
}()
