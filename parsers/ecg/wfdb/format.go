package wfdb

import (
	"encoding/binary"
	"fmt"
	"io"
	"math"
)

// width is how samples are packed: so many samples in so many bytes.
type width struct {
	samples, bytes int64
	missing        int32 // the count that says that there is none
}

// widths are the formats of signal(5) other than FLAC. Format 8 has differences, and none missing.
var widths = map[int]width{
	8: {1, 1, math.MinInt32}, 16: {1, 2, -1 << 15}, 24: {1, 3, -1 << 23}, 32: {1, 4, math.MinInt32}, 61: {1, 2, -1 << 15},
	80: {1, 1, -1 << 7}, 160: {1, 2, -1 << 15}, 212: {2, 3, -1 << 11}, 310: {3, 4, -1 << 9}, 311: {3, 4, -1 << 9},
}

// isFLAC tells the formats that are FLAC, of 8, 16 and 24 bits.
func isFLAC(format int) bool { return format == 508 || format == 516 || format == 524 }

// missingCount is the count that stands for no sample.
func missingCount(format int) (int32, bool) {
	if isFLAC(format) {
		return -1 << (format - 500 - 1), true
	}
	return widths[format].missing, format != 8 && format != 0
}

// samplesIn is how many samples n bytes hold; the last group of a packed format may be cut.
func samplesIn(format int, n int64) int64 {
	w := widths[format]
	count := n / w.bytes * w.samples
	switch rest := n % w.bytes; {
	case rest >= 3 && format == 311:
		count += 2
	case rest >= 2 && w.samples > 1:
		count++
	}
	return count
}

// sampleSource gives the samples of one signal file in its own order: frame by frame, of each signal in turn.
type sampleSource interface {
	read(dst []int32) error
}

// packed reads the formats of fixed width.
type packed struct {
	at     io.ReaderAt
	size   int64 // of the file
	offset int64 // of the first sample
	format int
	next   int64 // sample
	buf    []byte
}

// maxChunk bounds one read, in samples.
const maxChunk = 64 << 10

func (p *packed) read(dst []int32) error {
	for len(dst) > 0 {
		n := min(len(dst), maxChunk)
		if err := p.chunk(dst[:n]); err != nil {
			return err
		}
		dst = dst[n:]
	}
	return nil
}

func (p *packed) chunk(dst []int32) error {
	w := widths[p.format]
	first := p.next / w.samples
	last := (p.next + int64(len(dst)) + w.samples - 1) / w.samples
	need := int((last - first) * w.bytes)
	if cap(p.buf) < need {
		p.buf = make([]byte, need)
	}
	raw := p.buf[:need]
	from := p.offset + first*w.bytes
	have := int(max(0, min(int64(need), p.size-from)))
	if n, err := p.at.ReadAt(raw[:have], from); n < have {
		if err == nil || err == io.EOF {
			err = io.ErrUnexpectedEOF
		}
		return fmt.Errorf("wfdb: read samples: %w", err)
	}
	clear(raw[have:])
	unpack(p.format, raw, int(p.next-first*w.samples), dst)
	p.next += int64(len(dst))
	return nil
}

// unpack reads len(dst) samples from raw, of which it passes over the first skip.
func unpack(format int, raw []byte, skip int, dst []int32) {
	switch format {
	case 8, 80:
		for i := range dst {
			dst[i] = int32(int8(raw[i]))
			if format == 80 {
				dst[i] = int32(raw[i]) - 128
			}
		}
	case 16:
		for i := range dst {
			dst[i] = int32(int16(binary.LittleEndian.Uint16(raw[2*i:])))
		}
	case 61:
		for i := range dst {
			dst[i] = int32(int16(binary.BigEndian.Uint16(raw[2*i:])))
		}
	case 160:
		for i := range dst {
			dst[i] = int32(binary.LittleEndian.Uint16(raw[2*i:])) - 1<<15
		}
	case 24:
		for i := range dst {
			b := raw[3*i : 3*i+3]
			dst[i] = int32(uint32(b[0])<<8|uint32(b[1])<<16|uint32(b[2])<<24) >> 8
		}
	case 32:
		for i := range dst {
			dst[i] = int32(binary.LittleEndian.Uint32(raw[4*i:]))
		}
	case 212:
		for i := range dst {
			b := raw[(i+skip)/2*3:]
			v := uint32(b[0]) | uint32(b[1]&0x0F)<<8
			if (i+skip)&1 == 1 {
				v = uint32(b[2]) | uint32(b[1]&0xF0)<<4
			}
			dst[i] = int32(v<<20) >> 20
		}
	case 310:
		for i := range dst {
			b := raw[(i+skip)/3*4:]
			one, two := uint32(binary.LittleEndian.Uint16(b)), uint32(binary.LittleEndian.Uint16(b[2:]))
			v := [...]uint32{one >> 1, two >> 1, one>>11 | two>>11<<5}[(i+skip)%3]
			dst[i] = int32(v<<22) >> 22
		}
	case 311:
		for i := range dst {
			v := binary.LittleEndian.Uint32(raw[(i+skip)/3*4:]) >> (10 * ((i + skip) % 3))
			dst[i] = int32(v<<22) >> 22
		}
	}
}

// summed turns the differences of format 8 into samples. order tells which signal each sample of a frame is of.
type summed struct {
	packed
	order []int
	last  []int32 // of each signal
	place int     // in order
}

func (s *summed) read(dst []int32) error {
	if err := s.packed.read(dst); err != nil {
		return err
	}
	for i := range dst {
		of := s.order[s.place]
		if s.place++; s.place == len(s.order) {
			s.place = 0
		}
		s.last[of] += dst[i]
		dst[i] = s.last[of]
	}
	return nil
}
