package charset

import (
	"unicode"
	"unicode/utf8"

	"golang.org/x/text/encoding/japanese"
	"golang.org/x/text/encoding/simplifiedchinese"
)

// mislabelled returns the character set that raw, which has high bytes and no escape sequences, is in
// although s declares another; notWhole when what s declares will do.
//
// The order is by strength of evidence: chance text is hardly ever valid UTF-8; Shift-JIS uses bytes that
// JIS X 0201 leaves empty; GBK is told by common hanzi in places where Latin text has no reason to put
// accented letters. Korean in EUC-KR without declaration looks like GBK: it is not told apart.
func (s *Set) mislabelled(raw []byte) whole {
	declared := s.g1
	if declared == none {
		declared = s.extension
	}
	chinese := !s.japanese && westernOrNone(declared)
	if looksUTF8(raw, declared) {
		if chinese && hardlyUTF8(raw) && looksGBK(raw, declared) {
			return gb18030
		}
		return utf8Text
	}
	if s.japanese {
		if looksShiftJIS(raw) {
			return shiftJIS
		}
		if s.g1 == none {
			if _, ok := convert(japanese.EUCJP, raw); ok {
				return eucJP
			}
		}
		return notWhole
	}
	if chinese && looksGBK(raw, declared) {
		return gb18030
	}
	return notWhole
}

// looksUTF8 reports whether raw is UTF-8 rather than text in declared. A sequence that the end of raw
// cuts (a field of 64 bytes) is overlooked when others are whole.
//
// Each sequence counts as evidence when the declared set could not mean it: it has a control character or
// a gap there, a symbol where a letter should be, or a capital (as which first bytes read) inside a word
// with small letters. Two-byte sets leave no such traces, so there all sequences must be of three bytes or
// more.
func looksUTF8(raw []byte, declared code) bool {
	sequences, evidence, long := 0, 0, 0
	for i := 0; i < len(raw); {
		if raw[i] < 0x80 {
			i++
			continue
		}
		r, n := utf8.DecodeRune(raw[i:])
		if n == 1 {
			if sequences > 0 && !utf8.FullRune(raw[i:]) {
				break
			}
			return false
		}
		if !unicode.IsGraphic(r) && r != 0xFEFF {
			return false
		}
		if n == 2 && (!unicode.Is(everyday, r) || unicode.IsLetter(r) && r > 0x24F && besideLetter(raw, i, n)) {
			return false // "Rӯ" out of Polish "RÓŻ": words do not mix scripts
		}
		sequences++
		if n > 2 {
			long++
		}
		if evidence == 0 && !declared.pairs() && contradicts(raw, i, n, declared) {
			evidence++
		}
		i += n
	}
	if declared.pairs() {
		return sequences > 0 && long == sequences
	}
	return evidence > 0
}

// everyday are the characters of two bytes in UTF-8 that languages of today use. The others are what
// pairs of bytes in another character set come to by chance.
var everyday = &unicode.RangeTable{R16: []unicode.Range16{
	{Lo: 0xA0, Hi: 0x17F, Stride: 1},  // Latin
	{Lo: 0x1A0, Hi: 0x1A1, Stride: 1}, // ơ and ư of Vietnamese
	{Lo: 0x1AF, Hi: 0x1B0, Stride: 1},
	{Lo: 0x1CD, Hi: 0x1DC, Stride: 1}, // tones of pinyin
	{Lo: 0x218, Hi: 0x21B, Stride: 1}, // ș and ț of Romanian
	{Lo: 0x300, Hi: 0x33F, Stride: 1}, // combining accents
	{Lo: 0x386, Hi: 0x3CE, Stride: 1}, // Greek
	{Lo: 0x400, Hi: 0x45F, Stride: 1}, // Cyrillic
	{Lo: 0x490, Hi: 0x493, Stride: 1}, // and more of it for Ukrainian, Kazakh, Kyrgyz, Mongolian
	{Lo: 0x49A, Hi: 0x49B, Stride: 1},
	{Lo: 0x4A2, Hi: 0x4A3, Stride: 1},
	{Lo: 0x4AE, Hi: 0x4B1, Stride: 1},
	{Lo: 0x4BA, Hi: 0x4BB, Stride: 1},
	{Lo: 0x4D8, Hi: 0x4D9, Stride: 1},
	{Lo: 0x4E8, Hi: 0x4E9, Stride: 1},
	{Lo: 0x531, Hi: 0x587, Stride: 1}, // Armenian
	{Lo: 0x5B0, Hi: 0x5EA, Stride: 1}, // Hebrew
	{Lo: 0x60C, Hi: 0x6D3, Stride: 1}, // Arabic, Persian, Urdu
	{Lo: 0x6F0, Hi: 0x6F9, Stride: 1}, // Persian digits
}, LatinOffset: 0}

// hardlyUTF8 reports whether raw, valid as UTF-8, has but one or two sequences, each a letter of two bytes
// that no ASCII letter touches. As many hanzi in GBK look just so.
func hardlyUTF8(raw []byte) bool {
	sequences := 0
	for i := 0; i < len(raw); {
		r, n := utf8.DecodeRune(raw[i:])
		if n > 2 || n == 2 && (!unicode.IsLetter(r) || besideLetter(raw, i, n)) {
			return false
		}
		if n == 2 {
			sequences++
		}
		i += n
	}
	return sequences <= 2
}

// besideLetter reports whether an ASCII letter touches raw[i:i+n].
func besideLetter(raw []byte, i, n int) bool {
	return i > 0 && asciiLetter(raw[i-1]) || i+n < len(raw) && asciiLetter(raw[i+n])
}

func asciiLetter(b byte) bool { return 'a' <= b|0x20 && b|0x20 <= 'z' }

// contradicts reports whether declared cannot well mean the bytes raw[i:i+n].
func contradicts(raw []byte, i, n int, declared code) bool {
	for _, b := range raw[i : i+n] {
		if !isLetter(declared, b) {
			return true
		}
	}
	return unicode.IsUpper(read(declared, raw[i])) && insideSmall(raw, i, declared)
}

// wordBytes bounds how far a word is followed in either direction. Names are shorter; without a bound a
// hostile value of one endless word costs the square of its length.
const wordBytes = 64

// insideSmall reports whether the byte at i is not the first of its word and the word has small letters
// without accents.
func insideSmall(raw []byte, i int, declared code) bool {
	part := func(b byte) bool { return asciiLetter(b) || b >= 0x80 && isLetter(declared, b) }
	if i == 0 || !part(raw[i-1]) {
		return false
	}
	start, end := i, i
	for start > max(0, i-wordBytes) && part(raw[start-1]) {
		start--
	}
	for end < min(len(raw), i+wordBytes) && part(raw[end]) {
		end++
	}
	for _, b := range raw[start:end] {
		if 'a' <= b && b <= 'z' {
			return true
		}
	}
	return false
}

// read returns what single-byte set c, Latin-1 when none is declared, has at b above 7FH.
func read(c code, b byte) rune {
	if c == none {
		c = latin1
	}
	return c.high(b)
}

// isLetter reports whether b is a letter, or a mark on one, in c.
func isLetter(c code, b byte) bool {
	r := read(c, b)
	switch r {
	case 'ª', 'º', 'µ', utf8.RuneError: // letters for Unicode, signs for those who type them
		return false
	}
	return unicode.IsLetter(r) || unicode.IsMark(r)
}

// damagedUTF8 reports whether raw, not valid as UTF-8, is UTF-8 all the same: at least two sequences of
// three bytes, and half of the high bytes in them. longOnly false counts sequences of two bytes, and one is
// enough.
func damagedUTF8(raw []byte, longOnly bool) bool {
	sequences, valid, high := 0, 0, 0
	for i := 0; i < len(raw); {
		_, n := utf8.DecodeRune(raw[i:])
		if raw[i] >= 0x80 {
			high += n
			if n > 2 || n == 2 && !longOnly {
				sequences++
				valid += n
			}
		}
		i += n
	}
	if longOnly && sequences < 2 {
		return false
	}
	return sequences > 0 && 2*valid >= high
}

// looksShiftJIS reports whether raw is valid Shift-JIS with a two-byte character in it.
func looksShiftJIS(raw []byte) bool {
	double := false
	for i := 0; i < len(raw); i++ {
		switch b := raw[i]; {
		case b >= 0x81 && b <= 0x9F, b >= 0xE0 && b <= 0xFC:
			i++
			if i == len(raw) || raw[i] < 0x40 || raw[i] == 0x7F || raw[i] > 0xFC {
				return false
			}
			double = true
		case b == 0x80, b == 0xA0, b > 0xFC:
			return false
		}
	}
	if !double {
		return false
	}
	_, ok := convert(japanese.ShiftJIS, raw)
	return ok
}

// looksGBK reports whether raw is Chinese in GBK rather than text in declared, a set of Latin letters or
// none. All high bytes must pair up to characters, at least half of them hanzi of level 1 (the 3,755 of
// GB 2312 that make nearly all running text), and some word must be one that Latin text cannot have.
func looksGBK(raw []byte, declared code) bool {
	if _, ok := convert(simplifiedchinese.GB18030, trimCut(raw)); !ok {
		return false
	}
	common, others := 0, 0
	for i := 0; i < len(raw); i++ {
		lead := raw[i]
		if lead < 0x80 {
			continue
		}
		if i+1 == len(raw) {
			if common+others < 2 { // cut by the field's length, or just an accented last letter
				return false
			}
			break
		}
		trail := raw[i+1]
		switch {
		case lead < 0x81 || lead > 0xFE || trail < 0x40 || trail == 0x7F || trail == 0xFF:
			return false // four-byte characters of GB18030 are too rare to guess at
		case lead >= 0xAA && lead <= 0xAF && trail >= 0xA1, lead >= 0xF8 && trail >= 0xA1, lead <= 0xA7 && lead >= 0xA1 && trail < 0xA1:
			return false // user-defined areas
		case lead >= 0xA1 && lead <= 0xA9 && trail >= 0xA1: // punctuation and full-width letters tell nothing
		case lead >= 0xB0 && lead <= 0xD7 && trail >= 0xA1:
			common++
		default:
			others++
			if trail < 0x80 && lonely(raw, i) && besideLetter(raw, i, 2) {
				return false // "ïc" of "Loïc"
			}
		}
		i++
	}
	return common > 0 && common >= others && !latinPlausible(raw, declared)
}

// trimCut returns raw without a last byte that would begin a two-byte character.
func trimCut(raw []byte) []byte {
	lead := false
	for _, b := range raw {
		lead = !lead && b >= 0x80
	}
	if lead {
		return raw[:len(raw)-1]
	}
	return raw
}

// lonely reports whether the pair at i has no high byte on either side.
func lonely(raw []byte, i int) bool {
	return (i == 0 || raw[i-1] < 0x80) && (i+2 >= len(raw) || raw[i+2] < 0x80)
}

// latinPlausible reports whether each word of raw with high bytes is one that people write in declared,
// Latin-1 when that is none. Languages with Latin letters put one or two, rarely three ("Sæþór"),
// accented letters together, and hardly any word has no plain letter. A single such word of two letters
// is taken for Latin where a Latin set is declared, and for something else where none is.
func latinPlausible(raw []byte, declared code) bool {
	alone := 0 // words of two accented letters
	for i := 0; i < len(raw); {
		if raw[i] < 0x80 && !asciiLetter(raw[i]) {
			i++
			continue
		}
		start, plain := i, false
		for i < len(raw) && (raw[i] >= 0x80 || asciiLetter(raw[i])) {
			plain = plain || raw[i] < 0x80
			i++
		}
		word := raw[start:i]
		switch longest, sound := accents(word, start > 0 && digit(raw[start-1]), declared); {
		case !sound, longest > 3, !plain && longest > 2:
			return false
		case !plain && longest == 2 && isLetter(declared, word[0]):
			alone++
		}
	}
	return alone == 0 || alone == 1 && declared != none
}

func digit(b byte) bool { return '0' <= b && b <= '9' }

// accents returns the longest run of high bytes in word, and whether each run is sound: letters, or a sign
// or two after a digit or a unit ("10³", "m²·s"), or one sign.
func accents(word []byte, afterDigit bool, declared code) (longest int, sound bool) {
	for i := 0; i < len(word); {
		if word[i] < 0x80 {
			i++
			continue
		}
		start, letters := i, 0
		for ; i < len(word) && word[i] >= 0x80; i++ {
			switch r := read(declared, word[i]); {
			case isLetter(declared, word[i]):
				letters++
			case r == utf8.RuneError && (!westernOrNone(declared) || !unicode.IsLetter(windowsRune(word[i]))):
				return 0, false
			case r == utf8.RuneError:
				letters++ // Š and its like, at home in Windows
			}
		}
		n := i - start
		longest = max(longest, n)
		switch signs := n - letters; {
		case signs == 0, n == 1:
		case n == 2 && signs == 2 && (start > 0 || afterDigit) && exponent(declared, word[start]) && exponent(declared, word[start+1]):
		default:
			return longest, false
		}
	}
	return longest, true
}

func westernOrNone(c code) bool { return c == none || c.western() }

// exponent reports whether b is a sign that follows numbers and units.
func exponent(declared code, b byte) bool {
	switch read(declared, b) {
	case '²', '³', '°', '±', '·', 'µ', '×', '÷', '½', '¼', '¾':
		return true
	}
	return false
}
