package index

import (
	"strings"
	"unicode"

	"golang.org/x/text/unicode/norm"
)

// maxFolded bounds, in bytes, what is kept of one value for matching. Longer text (LT may have 10,240
// characters) is shown whole, and found by its beginning only.
const maxFolded = 1024

// separator stands around each value in the columns that hold several. fold leaves no control
// characters in a value.
const separator = "\x1f"

// lastRune is a noncharacter that sorts behind all text: the upper bound of a prefix.
const lastRune = '\U0010FFFE'

// fold is the form in which text is compared: compatibility forms and full width folded (NFKC), lower
// case, control characters gone, no space at the ends.
func fold(s string) string {
	if len(s) > maxFolded {
		s = s[:maxFolded]
	}
	plain := true
	for i := range len(s) {
		if c := s[i]; c < ' ' || c >= 0x7f || 'A' <= c && c <= 'Z' {
			plain = false
			break
		}
	}
	if plain {
		return strings.Trim(s, " ")
	}
	s = foldSpaced(s)
	return strings.Trim(s, " ")
}

// foldSpaced is fold without the trimming, for pieces of a pattern.
func foldSpaced(s string) string {
	s = norm.NFKC.String(strings.ToValidUTF8(s, ""))
	s = strings.Map(func(r rune) rune {
		if unicode.IsControl(r) || r >= lastRune {
			return -1
		}
		return unicode.ToLower(r)
	}, s)
	return norm.NFC.String(s) // lower case of İ and the like may compose anew
}

// foldUID trims what pads a UID (PS3.5 §9.4); case does not occur.
func foldUID(s string) string {
	s = strings.Trim(s, " \x00")
	if strings.ContainsFunc(s, unicode.IsControl) {
		return fold(s) // no UID; it must not pass for several values
	}
	return s
}

// foldName is fold for one component group of a PN: no spaces around ^, no ^ at the end (PS3.5 §6.2.1.1).
func foldName(group string) string {
	s := fold(group)
	if strings.Contains(s, "^") {
		for strings.Contains(s, " ^") {
			s = strings.ReplaceAll(s, " ^", "^")
		}
		for strings.Contains(s, "^ ") {
			s = strings.ReplaceAll(s, "^ ", "^")
		}
		s = strings.TrimRight(s, "^ ")
	}
	return s
}

// nameGroups folds the three component groups of a PN: alphabetic, ideographic, phonetic.
func nameGroups(pn string) (groups [3]string) {
	for i := range groups {
		group, rest, _ := strings.Cut(pn, "=")
		groups[i], pn = foldName(group), rest
	}
	return groups
}

// nameWords is what fuzzy matching searches: words with a space before each, and what is written in
// Han, kana or Hangul without spaces, since nobody agrees on where a name is divided there.
func nameWords(groups [3]string) string {
	var b strings.Builder
	for _, g := range groups {
		dense := false
		for i, w := range words(g) {
			if i > 0 && dense && isDense(w) {
				b.WriteString(w)
				continue
			}
			b.WriteByte(' ')
			b.WriteString(w)
			dense = isDense(w)
		}
	}
	return b.String()
}

// words splits folded text at what divides words in names.
func words(s string) []string {
	return strings.FieldsFunc(s, func(r rune) bool {
		return !unicode.IsLetter(r) && !unicode.IsMark(r) && !unicode.IsDigit(r)
	})
}

// isDense tells a word of a script that is written without spaces.
func isDense(w string) bool {
	for _, r := range w {
		return unicode.In(r, unicode.Han, unicode.Hiragana, unicode.Katakana, unicode.Hangul)
	}
	return false
}
