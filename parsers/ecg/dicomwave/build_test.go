package dicomwave

import (
	"bytes"
	"compress/flate"
	"encoding/binary"
	"strconv"
	"testing"
)

// builder writes data elements in one of the transfer syntaxes.
type builder struct {
	b             []byte
	implicit, big bool
}

func (m *builder) order() binary.AppendByteOrder {
	if m.big {
		return binary.BigEndian
	}
	return binary.LittleEndian
}

func (m *builder) element(tag uint32, vr string, value []byte) {
	if len(value)%2 == 1 {
		pad := byte(' ')
		if vr == "UI" || vr == "OB" {
			pad = 0
		}
		value = append(value[:len(value):len(value)], pad)
	}
	m.b = m.order().AppendUint16(m.b, uint16(tag>>16))
	m.b = m.order().AppendUint16(m.b, uint16(tag))
	switch {
	case m.implicit:
		m.b = m.order().AppendUint32(m.b, uint32(len(value)))
	case vr == "OB" || vr == "OW" || vr == "SQ":
		m.b = m.order().AppendUint32(append(append(m.b, vr...), 0, 0), uint32(len(value)))
	default:
		m.b = m.order().AppendUint16(append(m.b, vr...), uint16(len(value)))
	}
	m.b = append(m.b, value...)
}

func (m *builder) text(tag uint32, vr, value string) { m.element(tag, vr, []byte(value)) }

func (m *builder) short(tag uint32, values ...uint16) {
	var b []byte
	for _, v := range values {
		b = m.order().AppendUint16(b, v)
	}
	m.element(tag, "US", b)
}

func (m *builder) long(tag uint32, v uint32) { m.element(tag, "UL", m.order().AppendUint32(nil, v)) }

// sequence writes items that fill in what each is to hold.
func (m *builder) sequence(tag uint32, items ...func(*builder)) {
	var all builder
	all.implicit, all.big = m.implicit, m.big
	for _, fill := range items {
		item := builder{implicit: m.implicit, big: m.big}
		fill(&item)
		all.b = m.order().AppendUint16(all.b, 0xFFFE)
		all.b = m.order().AppendUint16(all.b, 0xE000)
		all.b = m.order().AppendUint32(all.b, uint32(len(item.b)))
		all.b = append(all.b, item.b...)
	}
	m.element(tag, "SQ", all.b)
}

func (m *builder) code(tag uint32, value, scheme, meaning string) {
	m.sequence(tag, func(i *builder) {
		i.text(0x00080100, "SH", value)
		i.text(0x00080102, "SH", scheme)
		i.text(0x00080104, "LO", meaning)
	})
}

// channel is one channel of a test object.
type channel struct {
	value, scheme, meaning string // of Channel Source
	sensitivity, unit      string
	correction, baseline   string
}

// wave is one multiplex group.
type wave struct {
	label, rate string
	channels    []channel
	samples     int
	kind        string // of samples
	bits        uint16
	vr          string
	data        []byte
	padding     []byte
	stated      int // samples; samples where 0
	skew        string
}

// object is a test object.
type object struct {
	syntax, class string
	waves         []wave
	more          func(*builder)
	spoil         func(*builder) // in the first group's item
}

func (o object) bytes(t testing.TB) []byte {
	t.Helper()
	m := builder{implicit: o.syntax == "1.2.840.10008.1.2", big: o.syntax == bigEndianSyntax}
	class := o.class
	if class == "" {
		class = twelveLead
	}
	m.text(0x00080005, "CS", "ISO_IR 192")
	m.text(0x00080016, "UI", class)
	m.text(0x00080018, "UI", "1.2.3.4")
	m.text(0x0008002A, "DT", "20240229101112.5+0800")
	m.text(0x00080060, "CS", "ECG")
	m.text(0x00100010, "PN", "Li^Hua=黎^华")
	m.text(0x00100020, "LO", "P-1")
	m.text(0x00100030, "DA", "19700309")
	m.text(0x00100040, "CS", "F")
	m.text(0x00101010, "AS", "053Y")
	m.text(0x0020000D, "UI", "1.2.3.1")
	m.text(0x0020000E, "UI", "1.2.3.2")
	if o.more != nil {
		o.more(&m)
	}
	var items []func(*builder)
	for n, w := range o.waves {
		items = append(items, func(i *builder) {
			i.text(0x00181068, "DS", strconv.Itoa(n*10))
			i.text(0x003A0004, "CS", "ORIGINAL")
			i.short(0x003A0005, uint16(len(w.channels)))
			stated := w.samples
			if w.stated != 0 {
				stated = w.stated
			}
			i.long(0x003A0010, uint32(stated))
			i.text(0x003A001A, "DS", w.rate)
			i.text(0x003A0020, "SH", w.label)
			var defs []func(*builder)
			for _, c := range w.channels {
				defs = append(defs, func(d *builder) {
					d.code(0x003A0208, c.value, c.scheme, c.meaning)
					if c.sensitivity != "" {
						d.text(0x003A0210, "DS", c.sensitivity)
						d.code(0x003A0211, c.unit, "UCUM", c.unit)
						d.text(0x003A0212, "DS", c.correction)
						d.text(0x003A0213, "DS", c.baseline)
					}
					if w.skew != "" {
						d.text(0x003A0214, "DS", w.skew)
					}
					d.short(0x003A021A, w.bits)
				})
			}
			i.sequence(0x003A0200, defs...)
			if n == 0 && o.spoil != nil {
				o.spoil(i)
			}
			i.short(0x54001004, w.bits)
			i.text(0x54001006, "CS", w.kind)
			if w.padding != nil {
				i.element(0x5400100A, w.vr, w.padding)
			}
			i.element(0x54001010, w.vr, w.data)
		})
	}
	m.sequence(0x54000100, items...)

	meta := builder{}
	meta.text(0x00020002, "UI", class)
	meta.text(0x00020003, "UI", "1.2.3.4")
	meta.text(0x00020010, "UI", o.syntax)
	out := append(make([]byte, 128), "DICM"...)
	var length builder
	length.long(0x00020000, uint32(len(meta.b)))
	out = append(append(out, length.b...), meta.b...)
	if o.syntax != deflatedSyntax {
		return append(out, m.b...)
	}
	var z bytes.Buffer
	f, err := flate.NewWriter(&z, 6)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := f.Write(m.b); err != nil {
		t.Fatal(err)
	}
	if err := f.Close(); err != nil {
		t.Fatal(err)
	}
	return append(out, z.Bytes()...)
}

// interleave writes samples value(channel, sample) as the object's words are.
func interleave(channels, n, size int, big bool, value func(c, i int) int64) []byte {
	var b []byte
	for i := range n {
		for c := range channels {
			v := value(c, i)
			switch size {
			case 1:
				b = append(b, byte(v))
			case 2:
				b = binary.LittleEndian.AppendUint16(b, uint16(v))
			default:
				b = binary.LittleEndian.AppendUint32(b, uint32(v))
			}
		}
	}
	if len(b)%2 == 1 {
		b = append(b, 0)
	}
	if big {
		for i := 0; i+1 < len(b); i += 2 {
			b[i], b[i+1] = b[i+1], b[i]
		}
	}
	return b
}
