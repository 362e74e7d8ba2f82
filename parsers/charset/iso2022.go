package charset

import (
	"bytes"
	"unicode/utf8"
)

const esc = 0x1B

// designation is an escape sequence that puts a character set into G0 or G1 (PS3.3 Tables C.12-3 and
// C.12-4, ISO 2022).
type designation struct {
	sequence string // after ESC
	set      code
	g1       bool
}

// designations are those of the standard, and after them the ones that programs emit for the same sets.
var designations = [...]designation{
	{"(B", ascii, false},
	{"(J", romaji, false},
	{")I", katakana, true},
	{"-A", latin1, true},
	{"-B", latin2, true},
	{"-C", latin3, true},
	{"-D", latin4, true},
	{"-L", cyrillic, true},
	{"-G", arabic, true},
	{"-F", greek, true},
	{"-H", hebrew, true},
	{"-M", latin5, true},
	{"-b", latin9, true},
	{"-T", thai, true},
	{"$B", jisX0208, false},
	{"$(D", jisX0212, false},
	{"$)C", ksX1001, true},
	{"$)A", gb2312, true},

	{"$@", jisX0208, false},
	{"$(B", jisX0208, false},
	{"$)B", jisX0208, true},
	{"$)D", jisX0212, true},
	{"$(C", ksX1001, false},
	{"$A", gb2312, false},
	{"$(A", gb2312, false},
	{"(I", katakana, false},
}

// designated returns the designation at the start of b, which begins with ESC; nil when there is none.
func designated(b []byte) *designation {
	for i := range designations {
		if d := &designations[i]; len(b) > len(d.sequence) && string(b[1:1+len(d.sequence)]) == d.sequence {
			return d
		}
	}
	return nil
}

// designates reports whether raw has an escape sequence that we know.
func designates(raw []byte) bool {
	for {
		i := bytes.IndexByte(raw, esc)
		if i < 0 {
			return false
		}
		if raw = raw[i:]; designated(raw) != nil {
			return true
		}
		raw = raw[1:]
	}
}

// iso2022 is the state while one value field is decoded with code extensions.
type iso2022 struct {
	set    *Set
	class  vrClass
	g0, g1 code
	out    []byte
	pairs  []byte // buffer of a run of two-byte characters
	note   Note
}

func (s *Set) decodeISO2022(raw []byte, class vrClass) (string, Note) {
	d := iso2022{set: s, class: class, g0: s.g0, g1: s.g1, out: make([]byte, 0, len(raw)+len(raw)/2)}
	for len(raw) > 0 {
		raw = raw[d.step(raw):]
	}
	return string(d.out), d.note
}

// step decodes what raw begins with and returns how many bytes that was, at least one.
func (d *iso2022) step(raw []byte) int {
	switch b := raw[0]; {
	case b == esc:
		return d.escape(raw)
	case b >= 0x80:
		return d.right(raw)
	case b <= 0x20 || b == 0x7F:
		if d.class.resets(b) {
			d.reset()
		}
		d.out = append(d.out, b)
		return 1
	default:
		return d.left(raw)
	}
}

func (d *iso2022) reset() { d.g0, d.g1 = d.set.g0, d.set.g1 }

func (d *iso2022) replace() int {
	d.out = utf8.AppendRune(d.out, utf8.RuneError)
	d.note |= Replaced
	return 1
}

func (d *iso2022) escape(raw []byte) int {
	e := designated(raw)
	if e == nil {
		return d.replace()
	}
	if e.g1 {
		d.g1 = e.set
	} else {
		d.g0 = e.set
	}
	return 1 + len(e.sequence)
}

// left decodes a byte of 21H to 7EH, or a run of pairs of them when G0 holds a two-byte set.
func (d *iso2022) left(raw []byte) int {
	b := raw[0]
	if d.g0.pairs() {
		d.pairs = d.pairs[:0]
		n := 0
		for n+1 < len(raw) && graphic(raw[n]) && graphic(raw[n+1]) {
			d.pairs = append(d.pairs, raw[n]|0x80, raw[n+1]|0x80)
			n += 2
		}
		if n > 0 {
			d.appendPairs(d.g0)
			return n
		}
	}
	switch {
	case d.class.resets(b): // even where a writer forgot to leave a two-byte set before it
		d.reset()
		d.out = append(d.out, b)
	case d.g0.pairs():
		return d.replace()
	case d.g0 == katakana:
		if b > 0x5F {
			return d.replace()
		}
		d.out = utf8.AppendRune(d.out, 0xFF61+rune(b-0x21))
	case d.g0 == romaji && b == '~':
		d.out = append(d.out, "‾"...)
	case d.g0 == romaji && b == '\\' && d.class == textVR: // a delimiter wherever values have one
		d.out = append(d.out, "¥"...)
	default:
		d.out = append(d.out, b)
	}
	return 1
}

func graphic(b byte) bool { return b > 0x20 && b < 0x7F }

// right decodes a byte above 7FH, or a run of pairs of them when G1 holds a two-byte set.
func (d *iso2022) right(raw []byte) int {
	set := d.g1
	if set == none && d.set.extension != none {
		set = d.set.extension // its escape sequence is missing
		d.note |= Repaired
	}
	if !set.pairs() {
		return d.single(raw[0], set)
	}
	d.pairs = d.pairs[:0]
	n := 0
	for n+1 < len(raw) && raw[n] >= 0xA1 && raw[n] < 0xFF && raw[n+1] >= 0xA1 && raw[n+1] < 0xFF {
		d.pairs = append(d.pairs, raw[n], raw[n+1])
		n += 2
	}
	if n > 0 {
		d.appendPairs(set)
		return n
	}
	// Not in the set. Windows' supersets (GBK, code page 949) use other second bytes, and first bytes
	// from 81H; their programs announce the small set and write the large one.
	if len(raw) > 1 && raw[0] > 0x80 && raw[1] > 0x3F && (set == gb2312 || set == ksX1001) {
		if text, ok := set.appendPairs(nil, raw[:2]); ok && oneRune(text) {
			d.out = append(d.out, text...)
			d.note |= Repaired
			return 2
		}
	}
	return d.replace()
}

func oneRune(text []byte) bool {
	_, n := utf8.DecodeRune(text)
	return n == len(text)
}

func (d *iso2022) single(b byte, set code) int {
	r := set.high(b)
	if r == utf8.RuneError && set.western() {
		if r = windowsRune(b); r != utf8.RuneError {
			d.note |= Repaired
		}
	}
	if r == utf8.RuneError {
		return d.replace()
	}
	d.out = utf8.AppendRune(d.out, r)
	return 1
}

func (d *iso2022) appendPairs(set code) {
	var ok bool
	if d.out, ok = set.appendPairs(d.out, d.pairs); !ok {
		d.note |= Replaced
	}
}
