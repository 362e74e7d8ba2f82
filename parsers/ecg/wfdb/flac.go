package wfdb

import (
	"errors"
	"fmt"
	"io"
	"math/bits"

	"github.com/tributary-dicom/tributary/parsers/reject"
)

// FLAC (RFC 9639), as far as formats 508, 516 and 524 use it: up to 8 channels of 8, 16 or 24 bits. Each channel
// is a signal, and the rate in the stream means nothing. Memory is one block of each channel: at most 8 × 65535
// samples.

// flacInfo is the stream information block (RFC 9639 §8.2).
type flacInfo struct {
	channels, bits int
	samples        int64 // of each channel; 0: not known
	data           int64 // offset of the first frame, bytes
}

var errFLAC = errors.New("a FLAC stream that breaks its rules")

// readFLACInfo reads the metadata.
func readFLACInfo(at io.ReaderAt, size int64) (flacInfo, error) {
	var info flacInfo
	var b [42]byte
	if n, err := at.ReadAt(b[:], 0); n < len(b) {
		if err != nil && err != io.EOF {
			return info, fmt.Errorf("wfdb: read: %w", err)
		}
		return info, reject.New(reject.Truncated, op, "a FLAC file of %d bytes", n)
	}
	if string(b[:4]) != "fLaC" || b[4]&0x7F != 0 || b[5] != 0 || b[6] != 0 || b[7] != 34 {
		return info, reject.New(reject.Malformed, op, "no FLAC stream")
	}
	s := b[8:]
	info.channels = int(s[12]>>1&7) + 1
	info.bits = int(s[12]&1)<<4 | int(s[13]>>4) + 1
	info.samples = int64(s[13]&0x0F)<<32 | int64(s[14])<<24 | int64(s[15])<<16 | int64(s[16])<<8 | int64(s[17])
	last, offset := b[4]&0x80 != 0, int64(42)
	for blocks := 0; !last; blocks++ { // comments, pictures, padding
		var h [4]byte
		if n, err := at.ReadAt(h[:], offset); n < len(h) {
			if err != nil && err != io.EOF {
				return info, fmt.Errorf("wfdb: read: %w", err)
			}
			return info, reject.New(reject.Truncated, op, "FLAC metadata")
		}
		last = h[0]&0x80 != 0
		offset += 4 + (int64(h[1])<<16 | int64(h[2])<<8 | int64(h[3]))
		if offset > size || blocks > 1000 {
			return info, reject.New(reject.Malformed, op, "FLAC metadata")
		}
	}
	info.data = offset
	return info, nil
}

// flacSource reads a FLAC file as frames of perFrame samples of each channel.
type flacSource struct {
	in       bitReader
	info     flacInfo
	perFrame int

	block [][]int32 // [channel][sample]
	size  int       // samples in block
	used  int
}

func newFLAC(at io.ReaderAt, size int64, info flacInfo, perFrame int) *flacSource {
	return &flacSource{
		in: bitReader{at: at, size: size, offset: info.data}, info: info, perFrame: perFrame, block: make([][]int32, info.channels),
	}
}

// read fills dst, which has whole frames of the record.
func (f *flacSource) read(dst []int32) error {
	n := f.perFrame
	for len(dst) > 0 {
		if f.size-f.used < n { // a frame of the record may lie in two blocks of the stream
			if err := f.more(n); err != nil {
				return err
			}
		}
		for f.size-f.used >= n && len(dst) >= n*len(f.block) {
			for _, channel := range f.block {
				copy(dst[:n], channel[f.used:f.used+n])
				dst = dst[n:]
			}
			f.used += n
		}
	}
	return nil
}

// more decodes blocks until n samples wait.
func (f *flacSource) more(n int) error {
	for f.size-f.used < n {
		rest := f.size - f.used
		for c := range f.block {
			copy(f.block[c], f.block[c][f.used:f.size])
		}
		f.size, f.used = rest, 0
		got, err := f.frame(rest)
		if err != nil {
			return err
		}
		f.size += got
	}
	return nil
}

// frame decodes one FLAC frame behind the first at samples of each channel (RFC 9639 §9).
func (f *flacSource) frame(at int) (int, error) {
	r := &f.in
	r.sum = 0
	if r.take(14) != 0x3FFE {
		return 0, r.fail(errFLAC)
	}
	r.take(2) // reserved, blocking strategy
	sizeCode, rateCode := r.take(4), r.take(4)
	channelCode, bitsCode := int(r.take(4)), r.take(3)
	r.take(1)
	// The frame's or sample's number, in the manner of UTF-8.
	for ones := bits.LeadingZeros8(^uint8(r.take(8))); ones > 1; ones-- {
		r.take(8)
	}
	size := 0
	switch {
	case sizeCode == 1:
		size = 192
	case sizeCode >= 2 && sizeCode <= 5:
		size = 576 << (sizeCode - 2)
	case sizeCode == 6:
		size = int(r.take(8)) + 1
	case sizeCode == 7:
		size = int(r.take(16)) + 1
	case sizeCode >= 8:
		size = 256 << (sizeCode - 8)
	}
	switch rateCode {
	case 12:
		r.take(8)
	case 13, 14:
		r.take(16)
	}
	r.take(8) // checksum of the header; that of the frame covers it
	depth := f.info.bits
	if want := [...]int{0, 8, 12, -1, 16, 20, 24, 32}[bitsCode]; r.err != nil || size == 0 || want != 0 && want != depth {
		return 0, r.fail(errFLAC)
	}
	channels := channelCode + 1
	if channelCode >= 8 {
		channels = 2
	}
	if channels != f.info.channels || channelCode > 10 {
		return 0, r.fail(errFLAC)
	}
	for c := range channels {
		if cap(f.block[c]) < at+size {
			f.block[c] = append(make([]int32, 0, at+size), f.block[c][:at]...)
		}
		f.block[c] = f.block[c][:at+size]
		extra := 0
		if channelCode == 8 && c == 1 || channelCode == 9 && c == 0 || channelCode == 10 && c == 1 {
			extra = 1
		}
		if err := r.subframe(f.block[c][at:], uint(depth+extra)); err != nil {
			return 0, err
		}
	}
	if channelCode >= 8 {
		decorrelate(channelCode, f.block[0][at:], f.block[1][at:])
	}
	r.align()
	sum := r.sum
	if uint32(sum) != r.take(16) || r.err != nil {
		return 0, r.fail(errFLAC)
	}
	return size, nil
}

// decorrelate turns left/side (8), side/right (9) and mid/side (10) into left and right (RFC 9639 §4.2).
func decorrelate(code int, a, b []int32) {
	for i := range a {
		switch code {
		case 8:
			b[i] = a[i] - b[i]
		case 9:
			a[i] += b[i]
		default:
			mid := a[i]<<1 | b[i]&1
			a[i], b[i] = (mid+b[i])>>1, (mid-b[i])>>1
		}
	}
}

// fixedTaps are the fixed predictors (RFC 9639 §9.2.5), the latest sample first.
var fixedTaps = [5][]int64{{}, {1}, {2, -1}, {3, -3, 1}, {4, -6, 4, -1}}

// subframe decodes one channel of depth bits (RFC 9639 §9.2).
func (r *bitReader) subframe(out []int32, depth uint) error {
	r.take(1)
	kind := int(r.take(6))
	wasted := uint(0)
	if r.take(1) == 1 {
		wasted = uint(r.unary()) + 1
	}
	if r.err != nil || wasted >= depth {
		return r.fail(errFLAC)
	}
	depth -= wasted
	order, taps, shift := 0, []int64(nil), uint(0)
	switch {
	case kind == 0:
		v := r.signed(depth)
		for i := range out {
			out[i] = v << wasted
		}
		return r.err
	case kind == 1:
		for i := range out {
			out[i] = r.signed(depth) << wasted
		}
		return r.err
	case kind >= 8 && kind <= 12:
		order = kind - 8
		taps = fixedTaps[order]
	case kind >= 32:
		order = kind - 31
	default:
		return r.fail(errFLAC)
	}
	if order > len(out) {
		return r.fail(errFLAC)
	}
	for i := range order {
		out[i] = r.signed(depth)
	}
	if kind >= 32 {
		precision := uint(r.take(4)) + 1
		s := r.signed(5)
		if precision == 16 || s < 0 {
			return r.fail(errFLAC)
		}
		shift, taps = uint(s), make([]int64, order)
		for i := range taps {
			taps[i] = int64(r.signed(precision))
		}
	}
	if err := r.residual(out, order); err != nil {
		return err
	}
	for i := order; i < len(out); i++ {
		sum := int64(0)
		for j, tap := range taps {
			sum += tap * int64(out[i-1-j])
		}
		out[i] += int32(sum >> shift)
	}
	if wasted > 0 {
		for i := range out {
			out[i] <<= wasted
		}
	}
	return r.err
}

// residual decodes what the predictor leaves, in partitions of Rice code (RFC 9639 §9.2.7).
func (r *bitReader) residual(out []int32, order int) error {
	width, escape := uint(4), uint32(15)
	switch r.take(2) {
	case 0:
	case 1:
		width, escape = 5, 31
	default:
		return r.fail(errFLAC)
	}
	partitions := 1 << r.take(4)
	if len(out)%partitions != 0 || len(out)/partitions < order {
		return r.fail(errFLAC)
	}
	at := order
	for p := range partitions {
		end := (p + 1) * (len(out) / partitions)
		k := r.take(width)
		if k == escape {
			n := uint(r.take(5))
			for ; at < end; at++ {
				out[at] = r.signed(n)
			}
		}
		for ; at < end; at++ {
			v := r.unary()<<k | r.take(uint(k))
			out[at] = int32(v>>1) ^ -int32(v&1)
		}
		if r.err != nil {
			return r.err
		}
	}
	return nil
}
