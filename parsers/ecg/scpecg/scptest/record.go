// Package scptest writes SCP-ECG records for tests. It shares no code with the decoder: what both agree on,
// two readings of the standard agree on. It can also write what no standard allows.
package scptest

import (
	"encoding/binary"
	"slices"
)

// Tag is a field of section 1.
type Tag struct {
	ID    byte
	Value []byte
}

// Bytes is a Tag of bytes.
func Bytes(id byte, value ...byte) Tag { return Tag{id, value} }

// Text is a Tag of text with its NUL.
func Text(id byte, s string) Tag { return Tag{id, append([]byte(s), 0)} }

// Device is tag 14 with a language support code and the five texts.
func Device(language byte, model string, texts ...string) Tag {
	v := make([]byte, 36)
	v[7] = 255
	copy(v[8:14], model)
	v[14], v[15], v[16] = 20, 0xA0, language
	if len(texts) > 0 {
		v[35] = byte(len(texts[0]) + 1)
	}
	for i := range 5 {
		if i < len(texts) {
			v = append(v, texts[i]...)
		}
		v = append(v, 0)
	}
	return Tag{14, v}
}

// Date is a date as tags 5 and 25 have it.
func Date(id byte, year, month, day int) Tag {
	return Tag{id, []byte{byte(year), byte(year >> 8), byte(month), byte(day)}}
}

// Lead is a lead as section 6 stores it, before differences and Huffman code.
type Lead struct {
	ID      byte
	Start   uint32  // of section 3, from 1; 0 means 1
	End     uint32  // of section 3; 0 means Start + len(Samples) − 1
	Samples []int16 // stored ones
}

// Beat is a QRS complex of section 4, in samples from 1.
type Beat struct {
	Type               uint16
	From, Center, Till uint32 // subtraction zone and fiducial point
	QRSFrom, QRSTill   uint32 // protected zone
}

// Signal is section 5 or 6.
type Signal struct {
	AVM      uint16 // nV
	Interval uint16 // µs
	Encoding byte
	Bimodal  bool
	Leads    [][]int16
}

// Record is a whole record.
type Record struct {
	Protocol byte // 20 when 0
	Tags     []Tag
	Tables   []Table // nil: raw samples, no section 2
	Default  bool    // the default Huffman table

	Leads      []Lead // the rhythm
	Subtracted bool   // flag of section 3
	Beats      []Beat
	BeatMillis uint16 // length of the reference beat
	Fiducial   uint16 // of the reference beat, from 1
	Reference  *Signal
	AVM        uint16 // of the rhythm, nV; 1000 when 0
	Interval   uint16 // of the rhythm, µs; 2000 when 0
	Encoding   byte
	Bimodal    bool
	NoRhythm   bool

	Other map[int][]byte // data of other sections, or instead of those above

	// What should not be.
	NoName      bool // section 0 without "SCPECG"
	Order       []int
	BadCRC      []int // sections whose CRC is wrong; −1 the record's
	WideLengths bool  // lead lengths of 32 bits
	Cut16       bool  // lead lengths cut to 16 bits though all is stored
	Pointers    map[int]uint32
	ZeroBased   bool // section 3 counts from 0
}

func u16(b []byte, v uint16) []byte { return binary.LittleEndian.AppendUint16(b, v) }

func u32(b []byte, v uint32) []byte { return binary.LittleEndian.AppendUint32(b, v) }

// crc is the CRC-CCITT, bit by bit.
func crc(b []byte) uint16 {
	c := uint16(0xFFFF)
	for _, x := range b {
		for bit := 7; bit >= 0; bit-- {
			in := uint16(x>>bit) & 1
			out := c >> 15
			c <<= 1
			if in != out {
				c ^= 0x1021
			}
		}
	}
	return c
}

func (r *Record) section1() []byte {
	var b []byte
	for _, t := range r.Tags {
		b = append(b, t.ID)
		b = u16(b, uint16(len(t.Value)))
		b = append(b, t.Value...)
	}
	return append(b, 255, 0, 0)
}

func (r *Record) section2() []byte {
	if r.Default {
		return u16(nil, 19999)
	}
	b := u16(nil, uint16(len(r.Tables)))
	for _, t := range r.Tables {
		b = u16(b, uint16(len(t)))
		for _, c := range t {
			b = append(b, c.bytes()...)
		}
	}
	return b
}

func (r *Record) section3() []byte {
	flags := byte(4 | len(r.Leads)<<3)
	if r.Subtracted {
		flags |= 1
	}
	b := []byte{byte(len(r.Leads)), flags}
	for _, l := range r.Leads {
		start := max(l.Start, 1)
		end := l.End
		if end == 0 {
			end = start + uint32(len(l.Samples)) - 1
		}
		if r.ZeroBased {
			start = 0
		}
		b = append(u32(u32(b, start), end), l.ID)
	}
	return b
}

func (r *Record) section4() []byte {
	b := u16(u16(u16(nil, r.BeatMillis), r.Fiducial), uint16(len(r.Beats)))
	for _, q := range r.Beats {
		b = u32(u32(u32(u16(b, q.Type), q.From), q.Center), q.Till)
	}
	for _, q := range r.Beats {
		b = u32(u32(b, q.QRSFrom), q.QRSTill)
	}
	return b
}

func (r *Record) signal(s *Signal) []byte {
	bimodal := byte(0)
	if s.Bimodal {
		bimodal = 1
	}
	b := append(u16(u16(nil, s.AVM), s.Interval), s.Encoding, bimodal)
	var data []byte
	for _, samples := range s.Leads {
		coded := r.encode(difference(samples, s.Encoding))
		switch {
		case r.WideLengths:
			b = u32(b, uint32(len(coded)))
		case len(coded) > 0xFFFF && !r.Cut16:
			panic("scptest: a lead of more than 65535 bytes")
		default:
			b = u16(b, uint16(len(coded)))
		}
		data = append(data, coded...)
	}
	return append(b, data...)
}

// difference returns first or second differences, cut to 16 bits.
func difference(v []int16, encoding byte) []int16 {
	out := slices.Clone(v)
	for i := range v {
		switch {
		case encoding == 1 && i > 0:
			out[i] = v[i] - v[i-1]
		case encoding == 2 && i > 1:
			out[i] = v[i] - 2*v[i-1] + v[i-2]
		}
	}
	return out
}

func (r *Record) rhythm() *Signal {
	s := &Signal{AVM: r.AVM, Interval: r.Interval, Encoding: r.Encoding, Bimodal: r.Bimodal}
	if s.AVM == 0 {
		s.AVM = 1000
	}
	if s.Interval == 0 {
		s.Interval = 2000
	}
	for _, l := range r.Leads {
		s.Leads = append(s.Leads, l.Samples)
	}
	return s
}

// Bytes returns the record.
func (r *Record) Bytes() []byte {
	protocol := r.Protocol
	if protocol == 0 {
		protocol = 20
	}
	data := map[int][]byte{1: r.section1()}
	if r.Default || r.Tables != nil {
		data[2] = r.section2()
	}
	if len(r.Leads) > 0 {
		data[3] = r.section3()
		if !r.NoRhythm {
			data[6] = r.signal(r.rhythm())
		}
	}
	if r.Beats != nil || r.BeatMillis > 0 {
		data[4] = r.section4()
	}
	if r.Reference != nil {
		data[5] = r.signal(r.Reference)
	}
	for id, b := range r.Other {
		data[id] = b
	}
	order := r.Order
	if order == nil {
		for id := range data {
			order = append(order, id)
		}
		slices.Sort(order)
	}
	const first = 12 // pointers that are always there
	count := first
	for id := range data {
		count = max(count, id+1)
	}
	head := 16 + 10*count
	offset := 6 + head
	at := map[int]int{0: 6}
	var sections []byte
	for _, id := range order {
		b := data[id]
		if b == nil {
			continue
		}
		at[id] = offset + len(sections)
		sections = append(sections, r.section(id, b, protocol, make([]byte, 6))...)
	}
	var table []byte
	for id := range count {
		length, index := 0, at[id]+1
		switch {
		case id == 0:
			length = head
		case data[id] != nil:
			length = sectionLength(data[id])
		}
		if p, ok := r.Pointers[id]; ok {
			index = int(p)
		}
		table = u32(u32(u16(table, uint16(id)), uint32(length)), uint32(index))
	}
	name := []byte("SCPECG")
	if r.NoName {
		name = make([]byte, 6)
	}
	all := append(r.section(0, table, protocol, name), sections...)
	all = append(u32(nil, uint32(len(all)+6)), all...)
	sum := crc(all)
	if slices.Contains(r.BadCRC, -1) {
		sum ^= 0x5555
	}
	return append(u16(nil, sum), all...)
}

func sectionLength(b []byte) int { return 16 + len(b) + len(b)%2 }

func (r *Record) section(id int, data []byte, protocol byte, reserved []byte) []byte {
	b := u32(u16(nil, uint16(id)), uint32(sectionLength(data)))
	b = append(b, protocol, protocol)
	b = append(b, reserved...)
	b = append(b, data...)
	if len(data)%2 == 1 {
		b = append(b, 0)
	}
	sum := crc(b)
	if slices.Contains(r.BadCRC, id) {
		sum ^= 0x5555
	}
	return append(u16(nil, sum), b...)
}
