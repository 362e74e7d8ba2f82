package render

import "encoding/binary"

// decodeRLE decodes one frame of RLE Lossless (PS3.5 Annex G) to color-by-plane little endian samples of
// width bytes. A frame has one segment for each byte of each sample, the most significant first; a segment
// must fill its plane.
func decodeRLE(frame []byte, pixels, samples, width int) ([]byte, error) {
	const header = 64
	if len(frame) < header {
		return nil, wrong("an RLE frame of %d bytes has no header", len(frame))
	}
	count := int(binary.LittleEndian.Uint32(frame))
	if count != samples*width {
		return nil, wrong("an RLE frame has %d segments instead of %d", count, samples*width)
	}
	out := make([]byte, pixels*samples*width)
	for s := range count {
		from := int64(binary.LittleEndian.Uint32(frame[4+4*s:]))
		to := int64(len(frame))
		if s+1 < count {
			to = int64(binary.LittleEndian.Uint32(frame[8+4*s:]))
		}
		if from < header || to < from || to > int64(len(frame)) {
			return nil, wrong("an RLE segment lies outside of its frame")
		}
		sample, byteOf := s/width, s%width
		plane := out[sample*pixels*width+width-1-byteOf:]
		if !unpackBits(plane, width, pixels, frame[from:to]) {
			return nil, wrong("an RLE segment ends before its pixels do")
		}
	}
	return out, nil
}

// unpackBits fills every stride-th byte of dst, n in all, from src (PS3.5 §G.3.2). What a segment has beyond
// them is padding.
func unpackBits(dst []byte, stride, n int, src []byte) bool {
	at := 0 // index of the next byte of the plane
	for at < n && len(src) > 0 {
		op := int(int8(src[0]))
		src = src[1:]
		switch {
		case op >= 0:
			run := min(op+1, n-at)
			if len(src) < run {
				return false
			}
			for i, b := range src[:run] {
				dst[(at+i)*stride] = b
			}
			at += run
			src = src[min(op+1, len(src)):]
		case op > -128:
			if len(src) == 0 {
				return false
			}
			run := min(1-op, n-at)
			for i := range run {
				dst[(at+i)*stride] = src[0]
			}
			at += run
			src = src[1:]
		}
	}
	return at == n
}
