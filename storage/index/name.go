package index

import (
	"strings"
	"unicode"

	"github.com/tributary-dicom/tributary/parsers/pinyin"
)

// maxSpelled bounds what pinyin adds to a row's names, bytes: together with the other columns they must fit an entry of
// an index (maxIndexed). What does not fit is left out, rarer readings first.
const maxSpelled = 128

// spelledName is what searches compare with a patient's name, beside its component groups.
type spelledName struct {
	pinyin string // zhang^san, when the name is written in Han characters alone
	all    string // the groups, and spellings in pinyin with initials, a separator before each
	words  string // for fuzzy matching
}

// spellName makes what searches compare with of folded component groups. A name in Han characters is also found by how
// it is typed in pinyin. That stands apart from the groups: exact matching is with what the object says.
func spellName(groups [3]string) (n spelledName) {
	var b strings.Builder
	for _, g := range groups {
		if g != "" {
			b.WriteString(separator)
			b.WriteString(g)
		}
	}
	n.words = nameWords(groups)
	var s pinyin.Spelling
	han := false
	for _, i := range []int{1, 0} { // older devices write it into the first group
		if s, han = pinyin.Spell(groups[i]); han {
			break
		}
	}
	if !han {
		n.all = b.String()
		return n
	}
	left := maxSpelled
	add := func(text string) {
		if len(text) < left {
			left -= len(text) + len(separator)
			b.WriteString(separator)
			b.WriteString(text)
		}
	}
	if !hasLatin(groups[0]) && len(s.Name) <= maxSpelled/2 {
		n.pinyin = s.Name
		if s.Name != s.Whole[0] {
			add(s.Name)
		}
	}
	add(s.Whole[0])
	for _, text := range s.Initials {
		add(text)
	}
	for _, text := range s.Whole[1:] {
		add(text)
	}
	n.all = b.String()
	b.Reset()
	b.WriteString(n.words)
	for _, list := range [][]string{s.Tails, s.Initials} {
		for _, text := range list {
			if b.Len() < maxFolded {
				b.WriteByte(' ')
				b.WriteString(text)
			}
		}
	}
	n.words = b.String()
	return n
}

func hasLatin(s string) bool {
	return strings.ContainsFunc(s, func(r rune) bool { return unicode.Is(unicode.Latin, r) })
}
