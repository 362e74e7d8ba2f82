package draw

import (
	"encoding/binary"
	"errors"
	"fmt"

	"golang.org/x/image/font/sfnt"
)

// glyfTables are the parts of a TrueType font (OpenType 1.9) that a subset is made of. Fonts may come from the
// system they run on, so nothing in them is trusted.
type glyfTables struct {
	head, hhea, maxp, hmtx, loca, glyf []byte

	unitsPerEm, ascent, descent int
	box                         [4]int
	long                        bool // offsets of loca have 4 bytes
	metrics                     int  // of hmtx that have an advance
}

var errNoGlyf = errors.New("draw: not a TrueType font")

func tablesOf(data []byte) (*glyfTables, error) {
	if len(data) < 12 || string(data[:4]) != "\x00\x01\x00\x00" && string(data[:4]) != "true" {
		return nil, errNoGlyf
	}
	t := &glyfTables{}
	into := map[string]*[]byte{"head": &t.head, "hhea": &t.hhea, "maxp": &t.maxp, "hmtx": &t.hmtx, "loca": &t.loca, "glyf": &t.glyf}
	for i := range int(binary.BigEndian.Uint16(data[4:])) {
		rec := data[12:]
		if len(rec) < 16*(i+1) {
			return nil, errNoGlyf
		}
		rec = rec[16*i:]
		offset, length := uint64(binary.BigEndian.Uint32(rec[8:])), uint64(binary.BigEndian.Uint32(rec[12:]))
		if p := into[string(rec[:4])]; p != nil && offset+length <= uint64(len(data)) {
			*p = data[offset : offset+length]
		}
	}
	if len(t.head) < 54 || len(t.hhea) < 36 || len(t.maxp) < 32 || len(t.glyf) == 0 {
		return nil, errNoGlyf
	}
	signed := func(b []byte) int { return int(int16(binary.BigEndian.Uint16(b))) }
	t.unitsPerEm = int(binary.BigEndian.Uint16(t.head[18:]))
	for i := range t.box {
		t.box[i] = signed(t.head[36+2*i:])
	}
	t.long = binary.BigEndian.Uint16(t.head[50:]) != 0
	t.ascent, t.descent = signed(t.hhea[4:]), signed(t.hhea[6:])
	t.metrics = int(binary.BigEndian.Uint16(t.hhea[34:]))
	if t.unitsPerEm == 0 || t.metrics == 0 || len(t.hmtx) < 4*t.metrics {
		return nil, errNoGlyf
	}
	return t, nil
}

// glyph returns a glyph's bytes; nil for one without an outline, or none.
func (t *glyfTables) glyph(g sfnt.GlyphIndex) []byte {
	var from, to uint64
	if t.long {
		if len(t.loca) < 4*(int(g)+2) {
			return nil
		}
		from, to = uint64(binary.BigEndian.Uint32(t.loca[4*int(g):])), uint64(binary.BigEndian.Uint32(t.loca[4*int(g)+4:]))
	} else {
		if len(t.loca) < 2*(int(g)+2) {
			return nil
		}
		from, to = 2*uint64(binary.BigEndian.Uint16(t.loca[2*int(g):])), 2*uint64(binary.BigEndian.Uint16(t.loca[2*int(g)+2:]))
	}
	if from+10 > to || to > uint64(len(t.glyf)) {
		return nil
	}
	return t.glyf[from:to]
}

// Flags of a component of a composite glyph.
const (
	argsAreWords   = 0x0001
	haveScale      = 0x0008
	moreComponents = 0x0020
	haveXYScale    = 0x0040
	haveTwoByTwo   = 0x0080
	haveHints      = 0x0100
)

// subset returns a font of the glyphs, in their order, and those that they are composed of. Hints are left
// out: they call programs that are not in it.
func (t *glyfTables) subset(used []glyph) ([]byte, error) {
	order := make([]sfnt.GlyphIndex, len(used))
	ids := map[sfnt.GlyphIndex]uint16{}
	for i, g := range used {
		order[i] = g.index
		if _, have := ids[g.index]; !have {
			ids[g.index] = uint16(i)
		}
	}
	var glyf, loca, hmtx []byte
	for i := 0; i < len(order); i++ { // components are appended on the way
		loca = binary.BigEndian.AppendUint32(loca, uint32(len(glyf)))
		if i > 0 || t.glyph(0) != nil {
			g := plainGlyph(t.glyph(order[i]), func(component sfnt.GlyphIndex) uint16 {
				id, have := ids[component]
				if !have {
					id = uint16(len(order))
					ids[component] = id
					order = append(order, component)
				}
				return id
			})
			glyf = append(glyf, g...)
			for len(glyf)%4 != 0 {
				glyf = append(glyf, 0)
			}
		}
		if len(order) > 0xFFF0 {
			return nil, fmt.Errorf("draw: a font of %d glyphs", len(order))
		}
		m := min(int(order[i]), t.metrics-1)
		hmtx = append(hmtx, t.hmtx[4*m:4*m+2]...)
		bearing := t.hmtx[4*m+2 : 4*m+4]
		if int(order[i]) >= t.metrics {
			if at := 4*t.metrics + 2*(int(order[i])-t.metrics); at+2 <= len(t.hmtx) {
				bearing = t.hmtx[at : at+2]
			}
		}
		hmtx = append(hmtx, bearing...)
	}
	loca = binary.BigEndian.AppendUint32(loca, uint32(len(glyf)))
	n := uint16(len(order))
	head := append([]byte(nil), t.head...)
	binary.BigEndian.PutUint32(head[8:], 0)
	binary.BigEndian.PutUint16(head[50:], 1)
	hhea := append([]byte(nil), t.hhea...)
	binary.BigEndian.PutUint16(hhea[34:], n)
	maxp := append([]byte(nil), t.maxp...)
	binary.BigEndian.PutUint16(maxp[4:], n)
	return joinTables([]namedTable{{"glyf", glyf}, {"head", head}, {"hhea", hhea}, {"hmtx", hmtx}, {"loca", loca}, {"maxp", maxp}}), nil
}

// plainGlyph returns a glyph without hints and with its components numbered anew; nil when it is broken.
func plainGlyph(g []byte, number func(sfnt.GlyphIndex) uint16) []byte {
	if len(g) < 10 {
		return nil
	}
	contours := int(int16(binary.BigEndian.Uint16(g)))
	if contours >= 0 {
		hints := 10 + 2*contours
		if len(g) < hints+2 {
			return nil
		}
		n := int(binary.BigEndian.Uint16(g[hints:]))
		if len(g) < hints+2+n {
			return nil
		}
		out := append([]byte(nil), g[:hints]...)
		return append(append(out, 0, 0), g[hints+2+n:]...)
	}
	out := append([]byte(nil), g...)
	for at := 10; ; {
		if len(out) < at+4 {
			return nil
		}
		flags := binary.BigEndian.Uint16(out[at:])
		binary.BigEndian.PutUint16(out[at+2:], number(sfnt.GlyphIndex(binary.BigEndian.Uint16(out[at+2:]))))
		binary.BigEndian.PutUint16(out[at:], flags&^haveHints)
		at += 4 + 2
		if flags&argsAreWords != 0 {
			at += 2
		}
		switch {
		case flags&haveScale != 0:
			at += 2
		case flags&haveXYScale != 0:
			at += 4
		case flags&haveTwoByTwo != 0:
			at += 8
		}
		if len(out) < at {
			return nil
		}
		if flags&moreComponents == 0 {
			return out[:at]
		}
	}
}

type namedTable struct {
	tag  string
	data []byte
}

// joinTables writes a font file; tables are in the order of their tags.
func joinTables(tables []namedTable) []byte {
	const search = 4 // the largest power of two within six tables
	out := []byte("\x00\x01\x00\x00")
	for _, v := range []int{len(tables), search * 16, 2, (len(tables) - search) * 16} {
		out = binary.BigEndian.AppendUint16(out, uint16(v))
	}
	at := 12 + 16*len(tables)
	for _, t := range tables {
		out = append(out, t.tag...)
		out = binary.BigEndian.AppendUint32(out, tableSum(t.data))
		out = binary.BigEndian.AppendUint32(out, uint32(at))
		out = binary.BigEndian.AppendUint32(out, uint32(len(t.data)))
		at += (len(t.data) + 3) &^ 3
	}
	for _, t := range tables {
		out = append(out, t.data...)
		for len(out)%4 != 0 {
			out = append(out, 0)
		}
	}
	return out
}

func tableSum(b []byte) uint32 {
	var sum uint32
	for i, c := range b {
		sum += uint32(c) << (24 - 8*(i&3))
	}
	return sum
}
