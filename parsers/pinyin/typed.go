package pinyin

import (
	"strings"
	"unicode"
)

// maxTyped bounds what is looked for, bytes: the longest spelling of a name is shorter.
const maxTyped = 128

// Typed returns the forms in which typed text may stand in a Spelling's Whole, Tails or Initials, one or two: small
// letters alone, ü as v; then with v for the yu that passports have behind l and n (lyu). It returns nil for text that
// is no pinyin.
func Typed(s string) []string {
	form := letters(s, false)
	if form == "" {
		return nil
	}
	return appendNew([]string{form}, passport.Replace(form))
}

// TypedName is Typed for Spelling.Name: ^ stays, and there may be a third form, with v for u behind l and n.
func TypedName(s string) []string {
	form := letters(s, true)
	if form == "" {
		return nil
	}
	return appendNew(appendNew([]string{form}, passport.Replace(form)), bare.Replace(form))
}

var (
	keyed    = strings.NewReplacer("jv", "ju", "qv", "qu", "xv", "xu", "yv", "yu")
	passport = strings.NewReplacer("lyu", "lv", "nyu", "nv") // or a syllable that ends in n, before one with y
	bare     = strings.NewReplacer("lu", "lv", "nu", "nv")
)

// letters returns the letters of typed text, and ^ when divided is set; "" of what is no pinyin.
func letters(s string, divided bool) string {
	if len(s) > maxTyped {
		return ""
	}
	var b strings.Builder
	for _, r := range s {
		switch r = unicode.ToLower(r); {
		case r >= 'a' && r <= 'z', r == '^' && divided:
			b.WriteRune(r)
		case strings.ContainsRune(" ^'’-.,·", r):
		case r == '\u0300', r == '\u0301', r == '\u0304', r == '\u030c': // tones that stand by themselves
		case r == '\u0308':
			text, ok := strings.CutSuffix(b.String(), "u")
			if !ok {
				return ""
			}
			b.Reset()
			b.WriteString(text + "v")
		default:
			vowel, ok := vowels[r]
			if !ok {
				return ""
			}
			b.WriteByte(vowel)
		}
	}
	if strings.Trim(b.String(), "^") == "" {
		return ""
	}
	return keyed.Replace(b.String())
}

// vowels are letters with their tones.
var vowels = func() map[rune]byte {
	m := make(map[rune]byte, 32)
	for _, group := range strings.Fields("aāáǎà eēéěè iīíǐì oōóǒò uūúǔù vüǖǘǚǜ") {
		for _, r := range group[1:] {
			m[r] = group[0]
		}
	}
	return m
}()
