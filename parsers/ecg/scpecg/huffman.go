package scpecg

import (
	"encoding/binary"
	"math/bits"
	"sort"

	"github.com/tributary-dicom/tributary/parsers/ecg"
	"github.com/tributary-dicom/tributary/parsers/reject"
)

// Bounds of section 2 (§5.5).
const (
	defaultTables = 19999 // number of tables that stands for the default one
	maxTables     = 64
	maxCodes      = 1 << 16 // over all tables: the alphabet has 16 bits
	codeBytes     = 9
	maxPrefix     = 32 // bits of a prefix: its field has as many
	maxExtra      = 16 // bits behind it: samples have as many
	fastBits      = 12
)

// code is one code structure: prefix bits tell it apart; total less prefix bits of two's complement follow it,
// to be added to base. A code that switches has no sample: base is the number of the table to go on with.
type code struct {
	prefix, total int
	switches      bool
	base          int16
	bits          uint32 // prefix, the first bit lowest
}

// table finds codes by the next bits of the data.
type table struct {
	codes []code
	fast  [1 << fastBits]entry // the code that begins with these bits
	nodes [][2]int32           // tree of codes longer than fastBits: above 0 a node, below 0 a code, 0 nothing
}

// entry is a code made ready for use. Its total is 0 where there is none.
type entry struct {
	prefix, total uint8 // bits
	base          int16
	switches      bool
}

func (c *code) entry() entry {
	return entry{prefix: uint8(c.prefix), total: uint8(c.total), base: c.base, switches: c.switches}
}

// standard is the default Huffman table (Annex C): 0, then 1, 10x, 110x … for ±1 … ±8, then two escapes
// with 8 and 16 bits.
var standard = func() *table {
	codes := []code{{prefix: 1, total: 1}}
	for v := range int16(8) {
		ones := uint32(1)<<(v+1) - 1 // v+1 ones, then 0, then the sign
		n := int(v) + 3
		codes = append(codes,
			code{prefix: n, total: n, base: v + 1, bits: ones},
			code{prefix: n, total: n, base: -v - 1, bits: ones | 1<<(n-1)})
	}
	codes = append(codes, code{prefix: 10, total: 18, bits: 1<<9 - 1}, code{prefix: 10, total: 26, bits: 1<<10 - 1})
	t, _ := newTable(codes)
	return t
}()

// newTable arranges codes for look-up. clash tells that some code can never be met, because a shorter or
// earlier one begins the same way.
func newTable(codes []code) (t *table, clash bool) {
	order := append([]code(nil), codes...)
	sort.SliceStable(order, func(i, j int) bool { return order[i].prefix < order[j].prefix })
	t = &table{codes: order, nodes: make([][2]int32, 1, 64)}
	for i, c := range order {
		head := bits.Reverse32(c.bits) // first bit highest
		if c.prefix <= fastBits {
			first := int(head >> (32 - fastBits))
			for k := range 1 << (fastBits - c.prefix) {
				if t.fast[first+k].total != 0 {
					clash = true
					continue
				}
				t.fast[first+k] = c.entry()
			}
			continue
		}
		if t.fast[head>>(32-fastBits)].total != 0 || !t.insert(head, c.prefix, int32(i)) {
			clash = true
		}
	}
	return t, clash
}

// insert puts code number i into the tree.
func (t *table) insert(head uint32, prefix int, i int32) bool {
	node := int32(0)
	for n := range prefix {
		bit := head >> (31 - n) & 1
		next := t.nodes[node][bit]
		switch {
		case n == prefix-1:
			if next != 0 {
				return false
			}
			t.nodes[node][bit] = -i - 1
		case next < 0:
			return false
		case next == 0:
			next = int32(len(t.nodes))
			t.nodes[node][bit] = next
			t.nodes = append(t.nodes, [2]int32{})
			node = next
		default:
			node = next
		}
	}
	return true
}

// find returns the long code that the bits of w, first highest, begin with.
func (t *table) find(w uint64) entry {
	node := int32(0)
	for n := range maxPrefix {
		node = t.nodes[node][w>>(63-n)&1]
		if node <= 0 {
			break
		}
	}
	if node >= 0 {
		return entry{}
	}
	return t.codes[-node-1].entry()
}

// section2 reads the Huffman tables. Without the section, and with tables that have no codes, samples are raw.
func (d *decoder) section2() error {
	b, ok, err := d.body(2, true)
	if err != nil || !ok {
		return err
	}
	f := fields{b: b}
	n := f.u16()
	if n == defaultTables {
		d.tables = []*table{standard}
		return nil
	}
	if n > maxTables {
		return reject.At(reject.TooManyElements, op, d.sections[2].offset, "%d Huffman tables", n)
	}
	total := 0
	for i := range n {
		codes := f.u16()
		if f.short || codes == 0 {
			if i == 0 { // "one table", and none follows
				d.rec.Warn(ecg.WarnLayout, "section 2 without codes")
				return nil
			}
			return reject.At(reject.Malformed, op, d.sections[2].offset, "Huffman table %d of %d has no codes", i+1, n)
		}
		total += codes
		if total > maxCodes || codes*codeBytes > len(f.b) {
			return reject.At(reject.Malformed, op, d.sections[2].offset, "%d Huffman codes in %d bytes", codes, len(f.b))
		}
		t, err := d.readTable(&f, codes, n)
		if err != nil {
			return err
		}
		d.tables = append(d.tables, t)
	}
	return nil
}

// readTable reads one table of section 2.
func (d *decoder) readTable(f *fields, n, tables int) (*table, error) {
	codes := make([]code, n)
	for i := range codes {
		c := &codes[i]
		c.prefix, c.total = f.u8(), f.u8()
		c.switches = f.u8() == 0
		c.base = int16(f.u16())
		c.bits = uint32(f.u32())
		if c.prefix < 32 {
			c.bits &= 1<<c.prefix - 1
		}
		// A prefix without bits tells nothing apart and may only stand alone.
		lone := n == 1 && c.prefix == 0 && c.total > 0 && !c.switches
		if c.prefix > maxPrefix || c.total < c.prefix || c.total-c.prefix > maxExtra || c.prefix == 0 && !lone ||
			c.switches && (c.base < 1 || int(c.base) > tables || c.total != c.prefix) {
			return nil, reject.At(reject.Malformed, op, d.sections[2].offset,
				"Huffman code of %d of %d bits, base %d", c.prefix, c.total, c.base)
		}
	}
	t, clash := newTable(codes)
	if clash {
		d.rec.Warn(ecg.WarnLayout, "section 2: Huffman codes that others hide")
	}
	return t, nil
}

// fixedWidth reports that section 2 has nothing but one code of 16 bits without prefix: raw samples.
func (d *decoder) fixedWidth() bool {
	return len(d.tables) == 1 && len(d.tables[0].codes) == 1 && d.tables[0].codes[0].prefix == 0
}

// unpack decodes up to n samples of Huffman code. It starts with the first table, ends at the end of b, and
// returns how many bytes of b it took. A code that none of the tables has is an error.
func unpack(b []byte, tables []*table, n int) (samples []int16, used int, err error) {
	samples = make([]int16, 0, min(n, 8*len(b)))
	t := tables[0]
	all := 8 * len(b)
	pos := 0
	for len(samples) < n && pos < all {
		w := peek(b, pos)
		c := t.fast[w>>(64-fastBits)]
		if c.total == 0 {
			c = t.find(w)
		}
		if c.total == 0 {
			if all-pos < 8 { // padding of the last byte
				break
			}
			return nil, 0, reject.New(reject.Malformed, op, "no Huffman code fits at bit %d of %d", pos, all)
		}
		if pos+int(c.total) > all {
			break
		}
		pos += int(c.total)
		if c.switches {
			t = tables[c.base-1]
			continue
		}
		v := c.base
		if extra := c.total - c.prefix; extra > 0 {
			v += int16(int64(w<<c.prefix) >> (64 - extra))
		}
		samples = append(samples, v)
	}
	return samples, (pos + 7) / 8, nil
}

// peek returns the bits from bit pos on, first highest: 57 of them or more, with zeros behind the end of b.
func peek(b []byte, pos int) uint64 {
	i := pos >> 3
	if i+8 <= len(b) {
		return binary.BigEndian.Uint64(b[i:]) << (pos & 7)
	}
	var tail [8]byte
	copy(tail[:], b[i:])
	return binary.BigEndian.Uint64(tail[:]) << (pos & 7)
}
