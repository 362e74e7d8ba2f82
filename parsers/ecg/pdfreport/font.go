package pdfreport

import (
	"strings"
	"unicode/utf16"
	"unicode/utf8"

	"golang.org/x/text/encoding/simplifiedchinese"

	"github.com/tributary-dicom/tributary/parsers/charset"
)

// font turns the bytes of a string into text.
type font struct {
	wide      bool // codes of two bytes
	unicode   map[uint32]string
	lengths   [5]bool // of codes in bytes, as the CMap's code space has them
	charset   string  // "utf16", "gbk" or ""
	glyphs    map[byte]string
	widths    []float64 // in 1/1000 em, from first on
	first     int
	scale     float64 // of a width to an em: FontMatrix of Type 3
	composite bool
}

// glyphNames are names of glyphs that are no letters (Adobe Glyph List).
var glyphNames = map[string]string{
	"space": " ", "exclam": "!", "quotedbl": "\"", "numbersign": "#", "dollar": "$", "percent": "%", "ampersand": "&", "quotesingle": "'", "quoteright": "'",
	"parenleft": "(", "parenright": ")", "asterisk": "*", "plus": "+", "comma": ",", "hyphen": "-", "minus": "-", "period": ".", "slash": "/", "zero": "0", "one": "1",
	"two": "2", "three": "3", "four": "4", "five": "5", "six": "6", "seven": "7", "eight": "8", "nine": "9", "colon": ":", "semicolon": ";", "less": "<", "equal": "=",
	"greater": ">", "question": "?", "at": "@", "bracketleft": "[", "backslash": "\\", "bracketright": "]", "underscore": "_", "bar": "|", "degree": "°", "mu": "µ", "endash": "-",
}

func (f *file) font(v any) *font {
	d := f.dict(v)
	out := &font{scale: 0.001}
	if d == nil {
		return out
	}
	out.composite = d["Subtype"] == name("Type0")
	out.wide = out.composite
	if cmap := f.stream(d["ToUnicode"]); cmap != nil {
		f.output += min(len(cmap), maxCMapBytes) // one CMap may serve many fonts
		out.cmap(cmap)
	}
	switch e := f.resolve(d["Encoding"]).(type) {
	case name:
		out.encoding(string(e))
	case dict:
		out.differences(f, e)
	}
	if m, ok := f.resolve(d["FontMatrix"]).([]any); ok && len(m) > 0 {
		if s, ok := f.resolve(m[0]).(float64); ok && s > 0 && s < 10 {
			out.scale = s
		}
	}
	if n, ok := f.resolve(d["FirstChar"]).(float64); ok && n >= 0 && n < 256 {
		out.first = int(n)
	}
	list, _ := f.resolve(d["Widths"]).([]any)
	for i, w := range list {
		if i >= 256 {
			break
		}
		n, _ := f.resolve(w).(float64)
		out.widths = append(out.widths, n)
	}
	return out
}

// encoding knows the predefined CMaps (§9.7.5.2) that have a character set in their name.
func (t *font) encoding(name string) {
	switch {
	case strings.Contains(name, "UCS2"), strings.Contains(name, "UTF16"):
		t.charset = "utf16"
	case strings.HasPrefix(name, "GBK"), strings.HasPrefix(name, "GB-EUC"), strings.HasPrefix(name, "GBpc-EUC"):
		t.charset = "gbk"
	}
}

func (t *font) differences(f *file, d dict) {
	list, _ := f.resolve(d["Differences"]).([]any)
	code := 0
	t.glyphs = map[byte]string{}
	for _, v := range list {
		switch v := f.resolve(v).(type) {
		case float64:
			code = int(max(0, min(v, 255)))
		case name:
			if text := glyph(string(v)); text != "" && code < 256 {
				t.glyphs[byte(code)] = text
			}
			code++
		}
	}
}

func glyph(n string) string {
	if text, ok := glyphNames[n]; ok {
		return text
	}
	if utf8.RuneCountInString(n) == 1 {
		return n
	}
	digits := ""
	if rest, ok := strings.CutPrefix(n, "uni"); ok && len(rest) == 4 {
		digits = rest
	} else if rest, ok := strings.CutPrefix(n, "u"); ok && len(rest) >= 4 && len(rest) <= 6 {
		digits = rest
	}
	v := rune(0)
	for _, c := range digits {
		i := strings.IndexRune("0123456789ABCDEF", c)
		if i < 0 {
			return ""
		}
		v = v<<4 | rune(i)
	}
	if v == 0 || !utf8.ValidRune(v) {
		return ""
	}
	return string(v)
}

// maxCMap bounds the entries of one ToUnicode CMap, and its bytes.
const (
	maxCMap      = 1 << 16
	maxCMapBytes = 2 << 20
)

// cmap reads a ToUnicode CMap (§9.10.3).
func (t *font) cmap(b []byte) {
	t.unicode = map[uint32]string{}
	l := &lexer{b: b[:min(len(b), maxCMapBytes)]}
	var stack []any
	for {
		l.items = 0
		v := l.next(0)
		if v == nil {
			return
		}
		k, ok := v.(keyword)
		if !ok {
			if stack = append(stack, v); len(stack) > 4*maxCMap {
				return
			}
			continue
		}
		switch k {
		case "endcodespacerange":
			for _, s := range stack {
				if s, ok := s.([]byte); ok && len(s) >= 1 && len(s) <= 4 {
					t.lengths[len(s)] = true
				}
			}
		case "endbfchar":
			for i := 0; i+1 < len(stack); i += 2 {
				from, ok := stack[i].([]byte)
				to, also := stack[i+1].([]byte)
				if ok && also {
					t.add(number(from), utf16Text(to))
				}
			}
		case "endbfrange":
			for i := 0; i+2 < len(stack); i += 3 {
				t.span(stack[i], stack[i+1], stack[i+2])
			}
		}
		stack = stack[:0]
	}
}

func (t *font) add(code uint32, text string) {
	if len(t.unicode) < maxCMap && len(text) <= 64 {
		t.unicode[code] = text
	}
}

// span maps a range of codes: to a run of characters, or one by one.
func (t *font) span(low, high, to any) {
	a, ok := low.([]byte)
	z, also := high.([]byte)
	if !ok || !also || number(z) < number(a) || number(z)-number(a) > 0xFFFF {
		return
	}
	n := number(z) - number(a) + 1
	switch to := to.(type) {
	case []byte:
		text := []rune(utf16Text(to))
		for i := uint32(0); i < n && len(text) > 0 && len(text) < 16 && len(t.unicode) < maxCMap; i++ {
			t.add(number(a)+i, string(text))
			text[len(text)-1]++
		}
	case []any:
		for i := uint32(0); i < n && int(i) < len(to); i++ {
			if s, ok := to[i].([]byte); ok {
				t.add(number(a)+i, utf16Text(s))
			}
		}
	}
}

// number is a code: its length and its bytes, so that <41> and <0041> are two.
func number(b []byte) uint32 {
	v := uint32(min(len(b), 3)) << 24
	for _, c := range b[max(0, len(b)-3):] {
		v = v&0xFF000000 | (v<<8|uint32(c))&0xFFFFFF
	}
	return v
}

func utf16Text(b []byte) string {
	units := make([]uint16, len(b)/2)
	for i := range units {
		units[i] = uint16(b[2*i])<<8 | uint16(b[2*i+1])
	}
	return string(utf16.Decode(units))
}

// text decodes a string, and returns how wide it is in em.
func (t *font) text(raw []byte) (text string, em float64) {
	if !t.composite {
		for _, c := range raw {
			w := 500.0
			if i := int(c) - t.first; i >= 0 && i < len(t.widths) {
				w = t.widths[i]
			}
			em += w * t.scale
		}
	}
	switch {
	case t.unicode != nil:
		text = t.mapped(raw)
	case t.charset == "utf16":
		text = utf16Text(raw)
	case t.charset == "gbk":
		text, _ = simplifiedchinese.GB18030.NewDecoder().String(string(raw)) // what it cannot read is U+FFFD
	case t.composite:
		return "", float64(len(raw)) / 2 // glyph numbers of nobody knows which characters
	case t.glyphs != nil:
		var b strings.Builder
		for _, c := range raw {
			if g, ok := t.glyphs[c]; ok {
				b.WriteString(g)
			} else if c >= ' ' && c < 0x7F {
				b.WriteByte(c)
			}
		}
		text = b.String()
	default:
		text, _ = charset.Parse("ISO_IR 100").Decode(raw, "LT")
	}
	if t.composite {
		for _, r := range text {
			if em += 1; r < 0x2E80 {
				em -= 0.5
			}
		}
	}
	return clean(text), em
}

// clean leaves characters that people read.
func clean(s string) string {
	return strings.Map(func(r rune) rune {
		switch {
		case r < ' ' || r == 0x7F || r == 0x3000 || r == 0xA0:
			return ' '
		case r == utf8.RuneError || r == 0xFEFF || r >= 0xE000 && r <= 0xF8FF:
			return -1
		}
		return r
	}, s)
}

// mapped decodes by the CMap: codes of the lengths it knows, the shortest that has an entry.
func (t *font) mapped(raw []byte) string {
	var b strings.Builder
	for i := 0; i < len(raw); {
		step := 1
		if t.wide || t.lengths[2] && !t.lengths[1] {
			step = 2
		}
		for n := 1; n <= min(4, len(raw)-i); n++ {
			if text, ok := t.unicode[number(raw[i:i+n])]; ok && (t.lengths[n] || t.lengths == [5]bool{}) {
				b.WriteString(text)
				step = n
				break
			}
		}
		i += step
	}
	return b.String()
}
