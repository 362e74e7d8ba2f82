package scpecg

import "encoding/binary"

// fields takes little-endian fields from the front of a section. Once one lies beyond the end, short is set,
// and that and all later ones are 0.
type fields struct {
	b     []byte
	short bool
}

// take returns the next n bytes, or nil.
func (f *fields) take(n int) []byte {
	if f.short || n < 0 || n > len(f.b) {
		f.short = true
		return nil
	}
	b := f.b[:n]
	f.b = f.b[n:]
	return b
}

func (f *fields) u8() int {
	if b := f.take(1); b != nil {
		return int(b[0])
	}
	return 0
}

func (f *fields) u16() int {
	if b := f.take(2); b != nil {
		return int(binary.LittleEndian.Uint16(b))
	}
	return 0
}

func (f *fields) i16() int { return int(int16(f.u16())) }

func (f *fields) u32() int64 {
	if b := f.take(4); b != nil {
		return int64(binary.LittleEndian.Uint32(b))
	}
	return 0
}
