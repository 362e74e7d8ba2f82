package pinyin

import (
	"slices"
	"strings"
	"unicode"
)

// Bounds of what is made of one name. Names of people have two to four characters; those of some peoples, written by
// their sound, a dozen.
const (
	maxRunes     = 24
	maxSpellings = 8
)

// Spelling is how a name may be typed.
type Spelling struct {
	Name     string   // the likeliest, divided as a PN is: zhang^sanfeng
	Whole    []string // undivided, with each reading: zhangsanfeng; the likeliest first
	Tails    []string // Whole and each part of it from a syllable to the end, each once: zhangsanfeng, sanfeng, feng
	Initials []string // first letters: zsf
}

// Spell spells a component group of a PN that is written in Han characters: 张^三, 张三丰, 歐陽^娜娜. A name that is not
// divided is divided behind its surname. It returns false for what has no Han character, and for names with kana or
// Hangul, which are not read in Chinese. Letters a to z between Han characters are kept.
func Spell(name string) (Spelling, bool) {
	family, given, ok := divide(name)
	if !ok {
		return Spelling{}, false
	}
	syllables := familyReadings(family)
	first := len(syllables)
	for _, r := range given {
		if list := readingsOf(r); len(list) > 0 {
			syllables = append(syllables, list)
		}
	}
	if len(syllables) == 0 {
		return Spelling{}, false
	}
	var s Spelling
	each(syllables, func(chosen []string) {
		whole := strings.Join(chosen, "")
		if s.Name == "" {
			s.Name = strings.Join(chosen[:first], "")
			if first < len(chosen) {
				s.Name += "^" + strings.Join(chosen[first:], "")
			}
		}
		s.Whole = appendNew(s.Whole, whole)
		initials := make([]byte, 0, len(chosen))
		for tail, i := whole, 0; i < len(chosen); i++ {
			s.Tails = appendNew(s.Tails, tail)
			tail = tail[len(chosen[i]):]
			initials = append(initials, chosen[i][0])
		}
		if len(initials) > 1 {
			s.Initials = appendNew(s.Initials, string(initials))
		}
	})
	return s, true
}

func appendNew(list []string, s string) []string {
	if slices.Contains(list, s) {
		return list
	}
	return append(list, s)
}

// divide takes the letters of a name apart: those of the family name and the rest.
func divide(name string) (family, given []rune, ok bool) {
	if at := nthCaret(name, 3); at >= 0 { // prefix and suffix are no names (PS3.5 §6.2.1.2)
		name = name[:at]
	}
	var parts [][]rune
	n, han, within := 0, false, false
	for _, r := range name {
		switch {
		case unicode.In(r, unicode.Hiragana, unicode.Katakana, unicode.Hangul):
			return nil, nil, false
		case unicode.Is(unicode.Han, r), 'a' <= r && r <= 'z', 'A' <= r && r <= 'Z':
			if n++; n > maxRunes {
				continue
			}
			if !within {
				parts, within = append(parts, nil), true
			}
			last := len(parts) - 1
			parts[last] = append(parts[last], unicode.ToLower(r))
			han = han || unicode.Is(unicode.Han, r)
		default:
			within = false
		}
	}
	switch {
	case !han:
		return nil, nil, false
	case strings.HasPrefix(name, "^"): // without a family name
		return nil, slices.Concat(parts...), true
	case len(parts) > 1:
		return parts[0], slices.Concat(parts[1:]...), true
	}
	all := parts[0]
	at := 1
	if len(all) > 2 && surnames()[string(all[:2])] != nil {
		at = 2
	}
	return all[:at], all[at:], true
}

// familyReadings reads a surname; of one that is none, the first character as a surname and the others as ever.
func familyReadings(family []rune) [][]string {
	if known := surnames()[string(family)]; known != nil {
		return slices.Clip(known)
	}
	var out [][]string
	for i, r := range family {
		list := readingsOf(r)
		if known := surnames()[string(r)]; i == 0 && known != nil {
			list = known[0]
		}
		if len(list) > 0 {
			out = append(out, list)
		}
	}
	return out
}

func readingsOf(r rune) []string {
	if r >= 'a' && r <= 'z' {
		return []string{string(r)}
	}
	list := readings().of(r)
	if len(list) > 1 && strings.ContainsRune(plain, r) {
		list = list[:1]
	}
	return asTyped(list)
}

// asTyped adds to readings with ü those with u, as which it is often typed.
func asTyped(list []string) []string {
	out := list
	for _, s := range list {
		if strings.Contains(s, "v") {
			out = appendNew(slices.Clip(out), strings.Replace(s, "v", "u", 1))
		}
	}
	return out
}

// each calls visit with a reading of each syllable, the likeliest first, up to maxSpellings times: those with one second
// reading before those with two, or with a third.
func each(syllables [][]string, visit func(chosen []string)) {
	chosen := make([]string, len(syllables))
	left := maxSpellings
	var choose func(i, distance int)
	choose = func(i, distance int) {
		if left == 0 {
			return
		}
		if i == len(syllables) {
			if distance == 0 {
				left--
				visit(chosen)
			}
			return
		}
		for n := min(distance, len(syllables[i])-1); n >= 0; n-- { // surnames vary first
			chosen[i] = syllables[i][n]
			choose(i+1, distance-n)
		}
	}
	most := 0
	for _, list := range syllables {
		most += len(list) - 1
	}
	for distance := 0; distance <= min(most, 3) && left > 0; distance++ {
		choose(0, distance)
	}
}

// nthCaret returns where the nth ^ stands, -1 when there are fewer.
func nthCaret(s string, n int) int {
	for i := range len(s) {
		if s[i] == '^' {
			if n--; n == 0 {
				return i
			}
		}
	}
	return -1
}
