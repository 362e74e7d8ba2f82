package draw

import (
	"bytes"
	"compress/zlib"
	"errors"
	"fmt"
	"io"
	"slices"
	"strconv"
	"strings"

	"golang.org/x/image/font/sfnt"
	"golang.org/x/image/math/fixed"
)

// maxPages bounds one PDF.
const maxPages = 500

// WritePDF writes sheets as the pages of one PDF 1.7. Page space is in millimetres from the top left, scaled
// once; fonts are embedded, with the glyphs that are used, and text can be searched. There is no date in
// it: the same sheets give the same bytes.
func WritePDF(w io.Writer, sheets ...*Sheet) error {
	if len(sheets) == 0 || len(sheets) > maxPages {
		return fmt.Errorf("draw: a PDF of %d pages: 1 to %d", len(sheets), maxPages)
	}
	d := &pdf{w: w}
	d.raw("%PDF-1.7\n%\xE2\xE3\xCF\xD3\n")
	const catalog, pages = 1, 2
	d.reserve(2)
	var kids []string
	fonts := &pdfFonts{}
	resources := d.reserve(1)
	for _, s := range sheets {
		content := d.stream("", pageContent(s, fonts))
		page := d.object(fmt.Sprintf("<< /Type /Page /Parent %d 0 R /MediaBox [0 0 %s %s] /Resources %d 0 R /Contents %d 0 R >>",
			pages, points(s.Width), points(s.Height), resources, content))
		kids = append(kids, strconv.Itoa(page)+" 0 R")
	}
	var names strings.Builder
	for i, f := range fonts.list {
		id, err := d.font(f)
		if err != nil {
			return err
		}
		fmt.Fprintf(&names, " /F%d %d 0 R", i, id)
	}
	d.objectAt(resources, "<< /Font <<"+names.String()+" >> >>")
	d.objectAt(catalog, fmt.Sprintf("<< /Type /Catalog /Pages %d 0 R /ViewerPreferences << /PrintScaling /None >> >>", pages))
	d.objectAt(pages, fmt.Sprintf("<< /Type /Pages /Count %d /Kids [%s] >>", len(kids), strings.Join(kids, " ")))
	return d.close(catalog)
}

// WritePDF writes the sheet as a PDF of one page.
func (s *Sheet) WritePDF(w io.Writer) error { return WritePDF(w, s) }

// points writes µm as points of 1/72 inch.
func points(v int32) string { return strconv.FormatFloat(float64(v)*72/25400, 'f', 4, 64) }

// pageContent returns the operators of a page.
func pageContent(s *Sheet, fonts *pdfFonts) []byte {
	var b bytes.Buffer
	// A unit becomes a millimetre, and y goes down.
	fmt.Fprintf(&b, "%.8f 0 0 %.8f 0 %s cm\n", 72/25.4, -72/25.4, points(s.Height))
	for i := range s.items {
		if it := &s.items[i]; it.text != "" {
			textContent(&b, s, fonts, it)
		} else {
			lineContent(&b, it)
		}
	}
	return b.Bytes()
}

func (k ink) components() string {
	c := inks[k]
	return fmt.Sprintf("%.3f %.3f %.3f", float64(c[0])/255, float64(c[1])/255, float64(c[2])/255)
}

func lineContent(b *bytes.Buffer, it *item) {
	ends := 0
	if it.round() {
		ends = 1
	}
	fmt.Fprintf(b, "%s RG %s w %d J %d j\n", it.ink.components(), micron(it.width), ends, ends)
	for _, line := range it.lines {
		for i, p := range line {
			op := " l\n"
			if i == 0 {
				op = " m\n"
			}
			b.WriteString(micron(p.X) + " " + micron(p.Y) + op)
		}
		if len(line) == 1 {
			b.WriteString(micron(line[0].X) + " " + micron(line[0].Y) + " l\n")
		}
	}
	b.WriteString("S\n")
}

// textContent writes text font by font. Glyphs of fonts that cannot be embedded as TrueType are filled
// outlines.
func textContent(b *bytes.Buffer, s *Sheet, fonts *pdfFonts, it *item) {
	x := float64(it.start(s.fonts))
	glyphs := s.fonts.shape(it.text)
	size := float64(it.size)
	for i := 0; i < len(glyphs); {
		g := glyphs[i]
		f := fonts.of(g.font)
		if f == nil {
			if g.font == nil {
				for _, part := range codeBox(g.r, Point{int32(x), it.at.Y}, it) {
					if part.text != "" {
						textContent(b, s, fonts, &part)
					} else {
						lineContent(b, &part)
					}
				}
			} else {
				outline(b, g, x/mm, float64(it.at.Y)/mm, size/mm, it.ink)
			}
			x += g.advance * size
			i++
			continue
		}
		from := x
		var hex strings.Builder
		for ; i < len(glyphs) && glyphs[i].font == g.font; i++ {
			fmt.Fprintf(&hex, "%04X", f.use(glyphs[i]))
			x += glyphs[i].advance * size
		}
		fmt.Fprintf(b, "BT /F%d %s Tf %s rg 1 0 0 -1 %s %s Tm <%s> Tj ET\n",
			f.number, micron(it.size), it.ink.components(), micron(int32(from)), micron(it.at.Y), hex.String())
	}
}

// outline fills a glyph whose baseline begins at x, y; all in mm.
func outline(b *bytes.Buffer, g glyph, x, y, size float64, k ink) {
	var buf sfnt.Buffer
	segments, err := g.font.sf.LoadGlyph(&buf, g.index, fixed.I(int(g.font.em)), nil)
	if err != nil || len(segments) == 0 {
		return
	}
	unit := size / g.font.em / 64
	fmt.Fprintf(b, "%s rg\n", k.components())
	var cur [2]float64
	at := func(p fixed.Point26_6) [2]float64 { return [2]float64{x + float64(p.X)*unit, y + float64(p.Y)*unit} }
	for _, s := range segments {
		p, q, r := at(s.Args[0]), at(s.Args[1]), at(s.Args[2])
		switch s.Op {
		case sfnt.SegmentOpMoveTo:
			fmt.Fprintf(b, "%.4f %.4f m\n", p[0], p[1])
			cur = p
		case sfnt.SegmentOpLineTo:
			fmt.Fprintf(b, "%.4f %.4f l\n", p[0], p[1])
			cur = p
		case sfnt.SegmentOpQuadTo: // as a cubic
			fmt.Fprintf(b, "%.4f %.4f %.4f %.4f %.4f %.4f c\n", cur[0]+(p[0]-cur[0])*2/3, cur[1]+(p[1]-cur[1])*2/3,
				q[0]+(p[0]-q[0])*2/3, q[1]+(p[1]-q[1])*2/3, q[0], q[1])
			cur = q
		case sfnt.SegmentOpCubeTo:
			fmt.Fprintf(b, "%.4f %.4f %.4f %.4f %.4f %.4f c\n", p[0], p[1], q[0], q[1], r[0], r[1])
			cur = r
		}
	}
	b.WriteString("f\n")
}

// pdf writes objects and remembers where they are.
type pdf struct {
	w       io.Writer
	at      int64
	offsets []int64 // by object number − 1
	err     error
}

func (d *pdf) raw(s string) {
	if d.err == nil {
		var n int
		n, d.err = io.WriteString(d.w, s)
		d.at += int64(n)
	}
}

// reserve returns the first of n numbers for objects that are written later.
func (d *pdf) reserve(n int) int {
	first := len(d.offsets) + 1
	d.offsets = append(d.offsets, make([]int64, n)...)
	return first
}

func (d *pdf) objectAt(id int, body string) {
	d.offsets[id-1] = d.at
	d.raw(strconv.Itoa(id) + " 0 obj\n" + body + "\nendobj\n")
}

func (d *pdf) object(body string) int {
	id := d.reserve(1)
	d.objectAt(id, body)
	return id
}

// stream writes a compressed stream; entries are added to its dictionary.
func (d *pdf) stream(entries string, data []byte) int {
	var z bytes.Buffer
	c := zlib.NewWriter(&z)
	_, err := c.Write(data)
	if err = errors.Join(err, c.Close()); err != nil && d.err == nil {
		d.err = err
	}
	return d.object("<< /Filter /FlateDecode /Length " + strconv.Itoa(z.Len()) + entries + " >>\nstream\n" + z.String() + "\nendstream")
}

func (d *pdf) close(catalog int) error {
	start := d.at
	d.raw("xref\n0 " + strconv.Itoa(len(d.offsets)+1) + "\n0000000000 65535 f \n")
	for _, at := range d.offsets {
		d.raw(fmt.Sprintf("%010d 00000 n \n", at))
	}
	d.raw(fmt.Sprintf("trailer\n<< /Size %d /Root %d 0 R >>\nstartxref\n%d\n%%%%EOF\n", len(d.offsets)+1, catalog, start))
	return d.err
}

// pdfFonts are the fonts of one document.
type pdfFonts struct {
	list  []*pdfFont
	plain []*Font // those that cannot be embedded
}

// of returns the document's font for f; nil when f is none or cannot be embedded.
func (fs *pdfFonts) of(f *Font) *pdfFont {
	if f == nil || slices.Contains(fs.plain, f) {
		return nil
	}
	for _, have := range fs.list {
		if have.font == f {
			return have
		}
	}
	tables, err := tablesOf(f.data)
	if err != nil {
		fs.plain = append(fs.plain, f)
		return nil
	}
	n := &pdfFont{font: f, number: len(fs.list), tables: tables, ids: map[sfnt.GlyphIndex]int{0: 0}, used: []glyph{{}}}
	fs.list = append(fs.list, n)
	return n
}

// pdfFont is a font and the glyphs of it that a document uses, numbered anew.
type pdfFont struct {
	font   *Font
	number int
	tables *glyfTables
	ids    map[sfnt.GlyphIndex]int
	used   []glyph // by new number; 0 is .notdef
}

func (f *pdfFont) use(g glyph) int {
	id, ok := f.ids[g.index]
	if !ok {
		id = len(f.used)
		f.ids[g.index] = id
		f.used = append(f.used, g)
	}
	return id
}

// font writes a font: Type 0 over CIDFontType2 with Identity-H (ISO 32000-1, 9.7).
func (d *pdf) font(f *pdfFont) (int, error) {
	data, err := f.tables.subset(f.used)
	if err != nil {
		return 0, err
	}
	name := "TRIB" + string(rune('A'+f.number%26)) + "A+" + pdfName(f.font.name)
	file := d.stream(" /Length1 "+strconv.Itoa(len(data)), data)
	t := f.tables
	units := func(v int) int { return v * 1000 / t.unitsPerEm }
	descriptor := d.object(fmt.Sprintf("<< /Type /FontDescriptor /FontName /%s /Flags 4 /FontBBox [%d %d %d %d] /ItalicAngle 0 /Ascent %d /Descent %d /CapHeight %d /StemV 80 /FontFile2 %d 0 R >>",
		name, units(t.box[0]), units(t.box[1]), units(t.box[2]), units(t.box[3]), units(t.ascent), units(t.descent), units(t.ascent*3/4), file))
	var widths, unicode strings.Builder
	for i, g := range f.used {
		fmt.Fprintf(&widths, " %.0f", g.advance*1000)
		if i == 0 {
			continue
		}
		if i%100 == 1 {
			if i > 1 {
				unicode.WriteString("endbfchar\n")
			}
			fmt.Fprintf(&unicode, "%d beginbfchar\n", min(100, len(f.used)-i))
		}
		fmt.Fprintf(&unicode, "<%04X> <%s>\n", i, utf16Hex(g.r))
	}
	if len(f.used) > 1 {
		unicode.WriteString("endbfchar\n")
	}
	child := d.object(fmt.Sprintf("<< /Type /Font /Subtype /CIDFontType2 /BaseFont /%s /CIDSystemInfo << /Registry (Adobe) /Ordering (Identity) /Supplement 0 >> /FontDescriptor %d 0 R /CIDToGIDMap /Identity /DW 1000 /W [0 [%s]] >>",
		name, descriptor, strings.TrimSpace(widths.String())))
	cmap := d.stream("", []byte("/CIDInit /ProcSet findresource begin\n12 dict begin\nbegincmap\n/CIDSystemInfo << /Registry (Adobe) /Ordering (UCS) /Supplement 0 >> def\n"+
		"/CMapName /Adobe-Identity-UCS def\n/CMapType 2 def\n1 begincodespacerange\n<0000> <FFFF>\nendcodespacerange\n"+unicode.String()+
		"endcmap\nCMapName currentdict /CMap defineresource pop\nend\nend\n"))
	return d.object(fmt.Sprintf("<< /Type /Font /Subtype /Type0 /BaseFont /%s /Encoding /Identity-H /DescendantFonts [%d 0 R] /ToUnicode %d 0 R >>", name, child, cmap)), nil
}

// pdfName keeps of a font's name what needs no escape.
func pdfName(name string) string {
	name = strings.Map(func(r rune) rune {
		if r >= '0' && r <= '9' || r >= 'A' && r <= 'Z' || r >= 'a' && r <= 'z' || r == '-' {
			return r
		}
		return -1
	}, name)
	if name == "" {
		return "Font"
	}
	return name[:min(len(name), 60)]
}

func utf16Hex(r rune) string {
	if r < 0x10000 {
		return fmt.Sprintf("%04X", r)
	}
	r -= 0x10000
	return fmt.Sprintf("%04X%04X", 0xD800+r>>10, 0xDC00+r&0x3FF)
}
