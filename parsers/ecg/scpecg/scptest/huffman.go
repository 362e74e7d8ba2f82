package scptest

import (
	"encoding/binary"
	"fmt"
	"strings"
)

// Code is one code of a Huffman table.
type Code struct {
	Prefix string // its bits in the order of sending: "110"
	Extra  int    // bits of two's complement behind it
	Base   int    // added to those; the table to go on with, from 1, when Switch
	Switch bool
}

// Table is a Huffman table of section 2.
type Table []Code

// bytes is the code structure: lengths, mode, base value, base code with the first bit lowest.
func (c Code) bytes() []byte {
	mode := byte(1)
	if c.Switch {
		mode = 0
	}
	b := []byte{byte(len(c.Prefix)), byte(len(c.Prefix) + c.Extra), mode}
	b = binary.LittleEndian.AppendUint16(b, uint16(c.Base))
	var bits uint32
	for i, bit := range c.Prefix {
		if bit == '1' {
			bits |= 1 << i
		}
	}
	return binary.LittleEndian.AppendUint32(b, bits)
}

// Standard is the default table (Annex C), written out.
func Standard() Table {
	t := Table{{Prefix: "0"}}
	for v := 1; v <= 8; v++ {
		stem := strings.Repeat("1", v) + "0"
		t = append(t, Code{Prefix: stem + "0", Base: v}, Code{Prefix: stem + "1", Base: -v})
	}
	return append(t, Code{Prefix: "1111111110", Extra: 8}, Code{Prefix: "1111111111", Extra: 16})
}

// holds reports whether c can say v.
func (c Code) holds(v int16) bool {
	rest := int(v) - c.Base
	return !c.Switch && rest >= -(1<<c.Extra>>1) && rest <= (1<<c.Extra-1)>>1
}

// find returns the code for v, and whether there is one.
func (t Table) find(v int16) (Code, bool) {
	for _, c := range t {
		if c.holds(v) {
			return c, true
		}
	}
	return Code{}, false
}

// encode returns values as raw bytes or Huffman code. Each lead starts with the first table; when the present
// one cannot say a value, a code that switches to one that can comes first.
func (r *Record) encode(values []int16) []byte {
	tables := r.Tables
	if r.Default {
		tables = []Table{Standard()}
	}
	if tables == nil {
		var b []byte
		for _, v := range values {
			b = binary.LittleEndian.AppendUint16(b, uint16(v))
		}
		return b
	}
	var w bitWriter
	t := tables[0]
	for _, v := range values {
		c, ok := t.find(v)
		if !ok {
			change, to := t.switchFor(tables, v)
			w.bits(change.Prefix)
			t = to
			c, _ = t.find(v)
		}
		w.bits(c.Prefix)
		w.number(int(v)-c.Base, c.Extra)
	}
	return w.b
}

// switchFor returns a code of t that leads to a table with v.
func (t Table) switchFor(tables []Table, v int16) (Code, Table) {
	for _, c := range t {
		if c.Switch {
			if _, ok := tables[c.Base-1].find(v); ok {
				return c, tables[c.Base-1]
			}
		}
	}
	panic(fmt.Sprintf("scptest: no table says %d", v))
}

// bitWriter fills bytes from the highest bit on.
type bitWriter struct {
	b    []byte
	free int // bits in the last byte
}

func (w *bitWriter) bits(s string) {
	for _, c := range s {
		if w.free == 0 {
			w.b, w.free = append(w.b, 0), 8
		}
		w.free--
		if c == '1' {
			w.b[len(w.b)-1] |= 1 << w.free
		}
	}
}

func (w *bitWriter) number(v, n int) {
	if n > 0 {
		w.bits(fmt.Sprintf("%0*b", n, uint(v)&(1<<n-1)))
	}
}
