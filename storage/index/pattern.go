package index

import (
	"regexp"
	"strings"
)

const (
	anyRunes = "*" // wildcard: any characters, none included (PS3.4 §C.2.2.2.4)
	oneRune  = "?" // wildcard: one character
)

// piece is a folded literal, or a wildcard.
type piece struct {
	literal string
	wild    string // anyRunes, oneRune or ""
}

// pattern is a matching key value taken apart. Literals never hold a wildcard's meaning.
type pattern []piece

// maxWildcards bounds one value: each * multiplies the work of a match.
const maxWildcards = 16

// parsePattern folds what lies between the wildcards. Values of a name are one component group.
func parsePattern(s string, name bool) (p pattern, ok bool) {
	wildcards := 0
	for s != "" {
		at := strings.IndexAny(s, "*?")
		if at != 0 {
			text := s
			if at > 0 {
				text = s[:at]
			}
			s = s[len(text):]
			if text = foldSpaced(text); text != "" {
				p = append(p, piece{literal: text})
			}
			continue
		}
		w := piece{wild: s[:1]}
		s = s[1:]
		if w.wild == anyRunes && len(p) > 0 && p[len(p)-1].wild == anyRunes {
			continue
		}
		wildcards++
		p = append(p, w)
	}
	p = p.trim(name)
	return p, wildcards <= maxWildcards
}

// trim removes padding at both ends, and from names what foldName removes.
func (p pattern) trim(name bool) pattern {
	if len(p) == 0 {
		return p
	}
	for i := range p {
		if p[i].wild != "" || !name {
			continue
		}
		s := p[i].literal
		for strings.Contains(s, " ^") {
			s = strings.ReplaceAll(s, " ^", "^")
		}
		for strings.Contains(s, "^ ") {
			s = strings.ReplaceAll(s, "^ ", "^")
		}
		p[i].literal = s
	}
	p[0].literal = strings.TrimLeft(p[0].literal, " ")
	last, cut := &p[len(p)-1], " "
	if name {
		cut = " ^"
	}
	last.literal = strings.TrimRight(last.literal, cut)
	out := p[:0]
	for _, x := range p {
		if x.wild != "" || x.literal != "" {
			out = append(out, x)
		}
	}
	return out
}

// universal tells a pattern that everything matches, also what is absent.
func (p pattern) universal() bool { return len(p) == 0 || len(p) == 1 && p[0].wild == anyRunes }

// exact tells a pattern without wildcards.
func (p pattern) exact() (string, bool) {
	if len(p) == 1 && p[0].wild == "" {
		return p[0].literal, true
	}
	return "", false
}

// prefix tells a literal with * behind it.
func (p pattern) prefix() (string, bool) {
	if len(p) == 2 && p[0].wild == "" && p[1].wild == anyRunes {
		return p[0].literal, true
	}
	return "", false
}

// within tells a literal between two *.
func (p pattern) within() (string, bool) {
	if len(p) == 3 && p[0].wild == anyRunes && p[1].wild == "" && p[2].wild == anyRunes {
		return p[1].literal, true
	}
	return "", false
}

// longest returns the longest literal: what matches has it.
func (p pattern) longest() string {
	out := ""
	for _, x := range p {
		if len(x.literal) > len(out) {
			out = x.literal
		}
	}
	return out
}

var likeEscapes = strings.NewReplacer("~", "~~", "%", "~%", "_", "~_")

// like writes p for LIKE … ESCAPE '~'.
func (p pattern) like() string {
	var b strings.Builder
	for _, x := range p {
		switch x.wild {
		case anyRunes:
			b.WriteByte('%')
		case oneRune:
			b.WriteByte('_')
		default:
			b.WriteString(likeEscapes.Replace(x.literal))
		}
	}
	return b.String()
}

// expression writes p as a regular expression in which wildcards don't match the class' characters.
func (p pattern) expression(not string) string {
	var b strings.Builder
	for _, x := range p {
		switch x.wild {
		case anyRunes:
			b.WriteString("[^" + not + "]*")
		case oneRune:
			b.WriteString("[^" + not + "]")
		default:
			b.WriteString(regexp.QuoteMeta(x.literal))
		}
	}
	return b.String()
}
