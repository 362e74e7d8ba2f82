package part10

import (
	"encoding/binary"
	"hash"
	"io"
	"sync"
)

// readBufferSize is what one Scan holds of the file at a time, in bytes. Smaller costs a read call more
// often than the disk or socket needs; larger only moves more memory through the cache.
const readBufferSize = 128 << 10

var readBuffers = sync.Pool{New: func() any { b := make([]byte, readBufferSize); return &b }}

// source reads r forwards through one buffer and knows where it is. Its zero value is unusable.
type source struct {
	r        io.Reader
	buf      []byte
	pos, end int   // unread bytes are buf[pos:end]
	base     int64 // offset of buf[0]
	err      error // of r, sticky; io.EOF at the end
	pooled   *[]byte
}

func newSource(r io.Reader) *source {
	b := readBuffers.Get().(*[]byte)
	return &source{r: r, buf: *b, pooled: b}
}

func (s *source) release() {
	readBuffers.Put(s.pooled)
	s.buf, s.pooled = nil, nil
}

func (s *source) off() int64 { return s.base + int64(s.pos) }

// peek returns the next n bytes without moving, fewer when the source ends before. n is at most
// readBufferSize.
func (s *source) peek(n int) []byte {
	if s.end-s.pos < n {
		s.fill(n)
	}
	if s.end-s.pos < n {
		return s.buf[s.pos:s.end]
	}
	return s.buf[s.pos : s.pos+n]
}

func (s *source) fill(n int) {
	if s.err != nil {
		return
	}
	if s.pos > 0 {
		copy(s.buf, s.buf[s.pos:s.end])
		s.base += int64(s.pos)
		s.end -= s.pos
		s.pos = 0
	}
	for empty := 0; s.end < n && s.err == nil; {
		m, err := s.r.Read(s.buf[s.end:])
		s.end += m
		s.err = err
		if m > 0 {
			empty = 0
		} else if empty++; empty > 100 && err == nil {
			s.err = io.ErrNoProgress
		}
	}
}

// skip moves n bytes on, handing them to h if it is not nil, and returns how many there were.
func (s *source) skip(n int64, h hash.Hash) int64 {
	left := n
	for left > 0 {
		if s.pos == s.end {
			s.fill(1)
			if s.pos == s.end {
				break
			}
		}
		m := s.end - s.pos
		if int64(m) > left {
			m = int(left)
		}
		if h != nil {
			h.Write(s.buf[s.pos : s.pos+m])
		}
		s.pos += m
		left -= int64(m)
	}
	return n - left
}

// appendTo appends the next n bytes to dst as they come, so that dst never grows beyond what is there.
func (s *source) appendTo(dst []byte, n int) ([]byte, bool) {
	for n > 0 {
		if s.pos == s.end {
			s.fill(1)
			if s.pos == s.end {
				return dst, false
			}
		}
		m := min(s.end-s.pos, n)
		dst = append(dst, s.buf[s.pos:s.pos+m]...)
		s.pos += m
		n -= m
	}
	return dst, true
}

// drain reads to the end.
func (s *source) drain() {
	for s.err == nil {
		s.pos = s.end
		s.fill(1)
	}
	s.pos = s.end
}

// Read and ReadByte make a source the input of a deflate reader: with ReadByte it takes no byte more than
// it needs.
func (s *source) Read(p []byte) (int, error) {
	if s.pos == s.end {
		s.fill(1)
		if s.pos == s.end {
			return 0, s.err
		}
	}
	n := copy(p, s.buf[s.pos:s.end])
	s.pos += n
	return n, nil
}

func (s *source) ReadByte() (byte, error) {
	if s.pos == s.end {
		s.fill(1)
		if s.pos == s.end {
			return 0, s.err
		}
	}
	s.pos++
	return s.buf[s.pos-1], nil
}

func u16(b []byte, big bool) uint16 {
	if big {
		return binary.BigEndian.Uint16(b)
	}
	return binary.LittleEndian.Uint16(b)
}

func u32(b []byte, big bool) uint32 {
	if big {
		return binary.BigEndian.Uint32(b)
	}
	return binary.LittleEndian.Uint32(b)
}

func u64(b []byte, big bool) uint64 {
	if big {
		return binary.BigEndian.Uint64(b)
	}
	return binary.LittleEndian.Uint64(b)
}

// tagAt reads a tag as group<<16 | element.
func tagAt(b []byte, big bool) uint32 { return uint32(u16(b, big))<<16 | uint32(u16(b[2:], big)) }
