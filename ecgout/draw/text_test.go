package draw

import (
	"bytes"
	"reflect"
	"strings"
	"testing"

	"golang.org/x/image/font/sfnt"
	"golang.org/x/image/math/fixed"

	"github.com/tributary-dicom/tributary/parsers/ecg"
)

func TestPersonName(t *testing.T) {
	for pn, want := range map[string]string{
		"": "", "Doe": "Doe", "Doe^Jane": "Doe, Jane", "Doe^Jane^M^Dr^PhD": "Doe, Jane M Dr, PhD", "^Jane": "Jane",
		"王^小东": "王小东", "测试者": "测试者", "Wang^XiaoDong=王^小東": "王小東 (Wang, XiaoDong)", "Wang^XiaoDong=王^小東=ㄨㄤ": "王小東 (Wang, XiaoDong)",
		"=王^小東": "王小東", "王=王": "王", "a\r\nb^\x00c": "a b, c", "^^^^": "",
	} {
		if got := personName(pn); got != want {
			t.Errorf("%q: %q, want %q", pn, got, want)
		}
	}
}

func TestClean(t *testing.T) {
	for in, want := range map[string]string{
		"\ta \t b\n": "a b", "a\x00b\u202Ec": "abc", "\xff": "\uFFFD", "黎某某": "黎某某", strings.Repeat("x", 20): "xxxxxxxxxx…", "\uFFFE": "",
	} {
		if got := clean(in, 10); got != want {
			t.Errorf("%q: %q, want %q", in, got, want)
		}
	}
}

func TestBuiltInFonts(t *testing.T) {
	fonts, err := newFontSet(nil)
	if err != nil {
		t.Fatal(err)
	}
	for r := rune(0x4E00); r <= 0x9FA5; r++ { // all that GBK has, and GB 18030's two-byte plane
		if fonts.glyph(r).font == nil {
			t.Fatalf("no glyph for %U", r)
		}
	}
	for _, r := range "AZaz09äéñçßøŁЖΩµμ°±–—…−·×（），。；：？！《》℃Ⅲ①々ー㐂" {
		for _, g := range fonts.shape(string(r)) {
			if g.font == nil {
				t.Errorf("no glyph for %c", r)
			}
		}
	}
	if n := len(fonts.shape("①Ⅲ°")); n != 3+3+1 {
		t.Errorf("%d glyphs for (1)III°", n)
	}
}

// TestNoGlyph: what no font has is a box with its code, never nothing.
func TestNoGlyph(t *testing.T) {
	rec := synth(500, 10, standard...)
	rec.Patient.Name = "\U0002B5AF\U0002B5AF\U0002B5AF" // three ems of 5 mm, from 13.5 mm on
	img, err := mustPlan(t, rec, Options{}).Image(2970)
	if err != nil {
		t.Fatal(err)
	}
	for i := range 3 {
		edge, inside := 137+50*i, 0
		if img.Pix[img.PixOffset(edge, 90)] > 0xA0 {
			t.Errorf("box %d has no left edge", i)
		}
		for y := 72; y < 110; y++ {
			for x := edge + 5; x < edge+40; x++ {
				if img.Pix[img.PixOffset(x, y)] < 0x80 {
					inside++
				}
			}
		}
		if inside < 60 {
			t.Errorf("box %d has no code in it: %d dark pixels", i, inside)
		}
	}
	var pdf bytes.Buffer
	if err := mustPlan(t, rec, Options{}).WritePDF(&pdf); err != nil {
		t.Fatal(err)
	}
	rec.Patient.Name = "𫖯"
	_, texts := readSVG(t, svgOf(t, mustPlan(t, rec, Options{})))
	if !hasText(texts, "𫖯") { // a viewer may have the font
		t.Error("the SVG has lost a rune")
	}
}

func TestEscape(t *testing.T) {
	rec := synth(500, 10, "II")
	rec.Groups[0].Leads[0].Name = `"><script>alert(1)</script>&`
	rec.Patient.Name = `</text><script>`
	rec.Statements = []ecg.Statement{{Text: "]]> & <b>ST</b> \x00\x1b[31m"}}
	svg := svgOf(t, mustPlan(t, rec, Options{}))
	if strings.Contains(svg, "<script") || strings.Contains(svg, "<b>") {
		t.Error("markup came through")
	}
	if _, texts := readSVG(t, svg); !hasText(texts, "<b>ST</b>") {
		t.Errorf("%q", texts)
	}
}

// TestStatementsThatDoNotFit: what is left out is counted.
func TestStatementsThatDoNotFit(t *testing.T) {
	rec := synth(500, 10, standard...)
	for range 60 {
		rec.Statements = append(rec.Statements, ecg.Statement{Text: "左心室高电压，ST-T改变，请结合临床", Author: ecg.Machine})
	}
	s := mustPlan(t, rec, Options{})
	_, texts := readSVG(t, svgOf(t, s))
	shown := 0
	for _, text := range texts {
		if strings.HasPrefix(text, "左心室") {
			shown++
		}
	}
	if want := "+ " + itoa(60-shown) + " more"; !hasText(texts, want) || shown < 5 {
		t.Errorf("%d shown, no %q in %q", shown, want, texts)
	}
	for _, it := range s.items {
		if it.text != "" && it.at.Y > bannerTop+bannerHigh && it.at.Y < gridTop {
			t.Errorf("%q runs into the grid", it.text)
		}
		if it.text != "" && it.start(s.fonts)+s.textWidth(it.text, it.size) > s.Width-gridLeft+500 {
			t.Errorf("%q runs off the page", it.text)
		}
	}
}

// TestSubset: a font that is embedded draws its glyphs as the whole font does.
func TestSubset(t *testing.T) {
	fonts, err := newFontSet(nil)
	if err != nil {
		t.Fatal(err)
	}
	for _, text := range []string{"QRS 98 ms äöÉñ ½", "黎某未确认囍龘，。"} {
		glyphs := fonts.shape(text)
		f := glyphs[0].font
		tables, err := tablesOf(f.data)
		if err != nil {
			t.Fatal(err)
		}
		data, err := tables.subset(append([]glyph{{}}, glyphs...))
		if err != nil {
			t.Fatal(err)
		}
		small, err := sfnt.Parse(addCmap(data))
		if err != nil {
			t.Fatal(err)
		}
		if len(data) > 40<<10 {
			t.Errorf("%d bytes for %q", len(data), text)
		}
		var b1, b2 sfnt.Buffer
		for i, g := range glyphs {
			a, err1 := f.sf.LoadGlyph(&b1, g.index, fixed.I(int(f.em)), nil)
			b, err2 := small.LoadGlyph(&b2, sfnt.GlyphIndex(i+1), fixed.I(int(f.em)), nil)
			if err1 != nil || err2 != nil || !reflect.DeepEqual(a, b) {
				t.Errorf("%c differs: %v %v", g.r, err1, err2)
			}
		}
	}
}

// addCmap adds the tables that a PDF does not need and the parser of the test does.
func addCmap(font []byte) []byte {
	t, _ := tablesOf(font)
	cmap := []byte{0, 0, 0, 1, 0, 3, 0, 1, 0, 0, 0, 12, 0, 4, 0, 24, 0, 0, 0, 2, 0, 0, 0, 0, 0, 0, 0xFF, 0xFF, 0, 0, 0xFF, 0xFF, 0, 1, 0, 0}
	post := make([]byte, 32)
	post[1] = 3
	name := []byte{0, 0, 0, 0, 0, 6}
	return joinTables([]namedTable{
		{"cmap", cmap},
		{"glyf", t.glyf},
		{"head", t.head},
		{"hhea", t.hhea},
		{"hmtx", t.hmtx},
		{"loca", t.loca},
		{"maxp", t.maxp},
		{"name", name},
		{"post", post},
	})
}
