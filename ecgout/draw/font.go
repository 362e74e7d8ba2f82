package draw

import (
	"bytes"
	"compress/gzip"
	_ "embed"
	"errors"
	"fmt"
	"io"
	"strings"
	"sync"
	"unicode"
	"unicode/utf8"

	"golang.org/x/image/font"
	"golang.org/x/image/font/gofont/goregular"
	"golang.org/x/image/font/sfnt"
	"golang.org/x/image/math/fixed"
	"golang.org/x/text/unicode/norm"
)

// hanBytes is Droid Sans Fallback (Apache License 2.0, fonts/LICENSE-Apache-2.0.txt), cut to CJK: all of
// U+4E00–9FA5 and U+3400–4DB5, kana, punctuation and full-width forms. Names in China need more than GB 2312.
//
//go:embed fonts/DroidSansFallback-Han.ttf.gz
var hanBytes []byte

// builtIn are the fonts that every drawing has: Go Regular for Latin, Greek and Cyrillic, and Droid for
// hanzi. They are unpacked when something is first drawn, and stay (4 MiB).
var builtIn = sync.OnceValues(func() ([]*Font, error) {
	latin, err := ParseFont(goregular.TTF)
	if err != nil {
		return nil, err
	}
	z, err := gzip.NewReader(bytes.NewReader(hanBytes))
	if err != nil {
		return nil, err
	}
	data, err := io.ReadAll(z)
	if err != nil {
		return nil, err
	}
	han, err := ParseFont(data)
	if err != nil {
		return nil, err
	}
	return []*Font{latin, han}, nil
})

// Font is a TrueType or OpenType font. It is safe for concurrent use.
type Font struct {
	sf   *sfnt.Font
	data []byte // nil when it is one of a collection, of which no subset is made
	em   float64
	name string
}

// FontSource finds a font that has a rune; nil when there is none. Implementations are asked once per rune
// and drawing, and must be safe for concurrent use.
type FontSource interface {
	Find(r rune) *Font
}

// ParseFont reads a font, or the first of a collection. It keeps data.
func ParseFont(data []byte) (*Font, error) {
	f := &Font{data: data}
	if bytes.HasPrefix(data, []byte("ttcf")) {
		c, err := sfnt.ParseCollection(data)
		if err != nil {
			return nil, fmt.Errorf("draw: font: %w", err)
		}
		if f.sf, err = c.Font(0); err != nil {
			return nil, fmt.Errorf("draw: font: %w", err)
		}
		f.data = nil
	} else {
		var err error
		if f.sf, err = sfnt.Parse(data); err != nil {
			return nil, fmt.Errorf("draw: font: %w", err)
		}
	}
	f.em = float64(f.sf.UnitsPerEm())
	if f.em <= 0 {
		return nil, errors.New("draw: font: no size of an em")
	}
	var buf sfnt.Buffer
	f.name, _ = f.sf.Name(&buf, sfnt.NameIDPostScript)
	return f, nil
}

// Has reports whether the font has a glyph for r.
func (f *Font) Has(r rune) bool { return f.index(r) != 0 }

func (f *Font) index(r rune) sfnt.GlyphIndex {
	var buf sfnt.Buffer
	g, err := f.sf.GlyphIndex(&buf, r)
	if err != nil {
		return 0
	}
	return g
}

// advance returns a glyph's width as a fraction of an em.
func (f *Font) advance(g sfnt.GlyphIndex) float64 {
	var buf sfnt.Buffer
	a, err := f.sf.GlyphAdvance(&buf, g, fixed.I(int(f.em)), font.HintingNone)
	if err != nil {
		return 1
	}
	return float64(a) / 64 / f.em
}

// glyph is one rune on the paper. font is nil for one that no font has.
type glyph struct {
	r       rune
	font    *Font
	index   sfnt.GlyphIndex
	advance float64 // fraction of an em
}

// fontSet is what one drawing writes with.
type fontSet struct {
	fonts    []*Font
	fallback FontSource

	mu    sync.Mutex
	known map[rune]glyph
}

func newFontSet(fallback FontSource) (*fontSet, error) {
	fonts, err := builtIn()
	if err != nil {
		return nil, err
	}
	return &fontSet{fonts: fonts, fallback: fallback, known: map[rune]glyph{}}, nil
}

func (s *fontSet) glyph(r rune) glyph {
	s.mu.Lock()
	defer s.mu.Unlock()
	if g, ok := s.known[r]; ok {
		return g
	}
	g := glyph{r: r, advance: 1}
	for _, f := range s.fonts {
		if i := f.index(r); i != 0 {
			g.font, g.index, g.advance = f, i, f.advance(i)
			break
		}
	}
	if g.font == nil && s.fallback != nil {
		if f := s.fallback.Find(r); f != nil {
			if i := f.index(r); i != 0 {
				g.font, g.index, g.advance = f, i, f.advance(i)
			}
		}
	}
	s.known[r] = g
	return g
}

// shape returns the glyphs of a text from left to right: one a rune, or those of its compatibility
// decomposition where no font has the rune itself ("Ⅲ" as "III", "①" as "(1)").
func (s *fontSet) shape(text string) []glyph {
	gs := make([]glyph, 0, len(text))
	for _, r := range text {
		g := s.glyph(r)
		if g.font == nil {
			plain := norm.NFKC.String(string(r))
			if r >= 0x2460 && r <= 0x2473 {
				plain = "(" + plain + ")"
			}
			if plain != string(r) {
				var parts []glyph
				for _, p := range plain {
					if parts = append(parts, s.glyph(p)); parts[len(parts)-1].font == nil {
						parts = nil
						break
					}
				}
				if len(parts) > 0 {
					gs = append(gs, parts...)
					continue
				}
			}
		}
		gs = append(gs, g)
	}
	return gs
}

// width returns how wide a text is, µm; size is of an em.
func (s *fontSet) width(text string, size int32) int32 {
	w := 0.0
	for _, g := range s.shape(text) {
		w += g.advance
	}
	return int32(w * float64(size))
}

// clean makes a text from a file one line of printable text: white space is one space, and what is no text
// is U+FFFD or left out. It is cut at most runes.
func clean(text string, most int) string {
	var b strings.Builder
	space, n := false, 0
	for _, r := range text {
		switch {
		case unicode.IsSpace(r):
			space = b.Len() > 0
			continue
		case r == utf8.RuneError:
		case r == 0xFFFE || r == 0xFFFF || unicode.Is(unicode.Cc, r) || unicode.Is(unicode.Cf, r):
			continue
		}
		if n++; n > most {
			b.WriteString("…")
			break
		}
		if space {
			b.WriteByte(' ')
			space = false
		}
		b.WriteRune(r)
	}
	return b.String()
}
