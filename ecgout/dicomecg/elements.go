package dicomecg

import (
	"encoding/binary"
	"slices"

	"github.com/tributary-dicom/tributary/parsers/ecg"
)

// dataset is a data set or item before it is written: Explicit VR Little Endian (PS3.5 §A.2).
type dataset struct {
	t        *texts
	elements []element
}

type element struct {
	tag   uint32
	vr    string
	value []byte
	items []*dataset // of SQ
}

const undefinedLength = 0xFFFFFFFF

func (d *dataset) put(tag uint32, vr string, value []byte) {
	d.elements = append(d.elements, element{tag: tag, vr: vr, value: value})
}

// text puts text, cut and cleaned to what the VR allows; an empty text is an empty element (Type 2).
func (d *dataset) text(tag uint32, vr, s string) { d.put(tag, vr, d.t.value(tag, vr, s)) }

// known puts text that says something (Type 3).
func (d *dataset) known(tag uint32, vr, s string) {
	if b := d.t.value(tag, vr, s); len(b) > 0 {
		d.put(tag, vr, b)
	}
}

// ascii puts a value of ours: UIDs, codes, dates and numbers, which are never cut.
func (d *dataset) ascii(tag uint32, vr, s string) { d.put(tag, vr, []byte(s)) }

func (d *dataset) short(tag uint32, values ...uint16) {
	var b []byte
	for _, v := range values {
		b = binary.LittleEndian.AppendUint16(b, v)
	}
	d.put(tag, "US", b)
}

func (d *dataset) long(tag uint32, values ...uint32) {
	b := make([]byte, 0, 4*len(values))
	for _, v := range values {
		b = binary.LittleEndian.AppendUint32(b, v)
	}
	d.put(tag, "UL", b)
}

// number puts a decimal string, and warns with where when 16 characters cannot say r exactly.
func (d *dataset) number(tag uint32, r ecg.Rat, where string) {
	s, exact := decimal(r)
	if !exact {
		d.t.warn(WarnRounded, where)
	}
	d.ascii(tag, "DS", s)
}

func (d *dataset) items(tag uint32, items ...*dataset) {
	d.elements = append(d.elements, element{tag: tag, vr: "SQ", items: items})
}

// item returns a new item for a sequence of d.
func (d *dataset) item() *dataset { return &dataset{t: d.t} }

// code is a coded entry (PS3.3 §8.8).
type code struct{ value, scheme, meaning string }

func (d *dataset) code(tag uint32, c code) {
	i := d.item()
	i.text(0x00080100, "SH", c.value)
	i.ascii(0x00080102, "SH", c.scheme)
	meaning := d.t.value(0x00080104, "LO", c.meaning)
	if len(meaning) == 0 { // Type 1
		meaning = d.t.value(0x00080104, "LO", c.value)
	}
	i.put(0x00080104, "LO", meaning)
	d.items(tag, i)
}

// appendTo appends the elements in ascending order.
func (d *dataset) appendTo(dst []byte) []byte {
	slices.SortStableFunc(d.elements, func(a, b element) int {
		switch {
		case a.tag < b.tag:
			return -1
		case a.tag > b.tag:
			return 1
		}
		return 0
	})
	for _, e := range d.elements {
		if e.vr != "SQ" {
			dst = appendElement(dst, e.tag, e.vr, e.value)
			continue
		}
		dst = appendLongHeader(dst, e.tag, "SQ", 0)
		at := len(dst)
		for _, i := range e.items {
			dst = appendTag(dst, 0xFFFEE000)
			dst = binary.LittleEndian.AppendUint32(dst, 0)
			from := len(dst)
			dst = i.appendTo(dst)
			binary.LittleEndian.PutUint32(dst[from-4:], uint32(len(dst)-from))
		}
		binary.LittleEndian.PutUint32(dst[at-4:], uint32(len(dst)-at))
	}
	return dst
}

func appendTag(dst []byte, tag uint32) []byte {
	dst = binary.LittleEndian.AppendUint16(dst, uint16(tag>>16))
	return binary.LittleEndian.AppendUint16(dst, uint16(tag))
}

// appendLongHeader appends the header of an element whose length has 32 bits (PS3.5 §7.1.2).
func appendLongHeader(dst []byte, tag uint32, vr string, length uint32) []byte {
	dst = append(append(appendTag(dst, tag), vr...), 0, 0)
	return binary.LittleEndian.AppendUint32(dst, length)
}

// appendElement appends an element, padded to an even length (PS3.5 §6.2).
func appendElement(dst []byte, tag uint32, vr string, value []byte) []byte {
	n := len(value) + len(value)%2
	switch vr {
	case "OB", "OW", "UN":
		dst = appendLongHeader(dst, tag, vr, uint32(n))
	default:
		dst = append(appendTag(dst, tag), vr...)
		dst = binary.LittleEndian.AppendUint16(dst, uint16(n))
	}
	dst = append(dst, value...)
	if n > len(value) {
		pad := byte(' ')
		if vr == "UI" || vr == "OB" {
			pad = 0
		}
		dst = append(dst, pad)
	}
	return dst
}
