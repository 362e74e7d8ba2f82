package charset

import (
	"strings"
	"unicode/utf8"
)

// Note is a set of flags on decoded text.
type Note uint8

const (
	// Replaced says that bytes to which the character set gives no meaning became U+FFFD.
	Replaced Note = 1 << iota

	// Repaired says that the bytes contradict the declared character set (or none was declared) and were read by
	// another that fits, or text stands where its VR allows none.
	Repaired
)

// Set is what a Specific Character Set (0008,0005) says. It is immutable and safe for concurrent use.
type Set struct {
	whole  whole // a character set for all bytes, without code extensions; notWhole for ISO 2022
	g0, g1 code  // what is designated at the start and after each delimiter (PS3.5 §6.1.2.5.3)

	// extension is the first declared multi-byte set for G1, read when high bytes come without the
	// escape sequence that should announce them.
	extension code
	japanese  bool // a JIS character set is among the terms: Shift-JIS and EUC-JP are likely mistakes

	unknown []string
}

// Unknown returns the defined terms that are not known, in the order of the value. Text is decoded as
// though they were absent.
func (s *Set) Unknown() []string { return append([]string(nil), s.unknown...) }

// Decode returns raw as valid UTF-8. raw is the whole value field: it must not be split on backslash
// before, because a second byte of GB18030, GBK or Shift-JIS may be 5CH; the backslashes of the result
// are true delimiters. vr tells where code extensions fall back to their initial state (PS3.5
// §6.1.2.5.3): PN at "^", "=" and backslash; SH, LO and UC at backslash; all of them and ST, LT, UT at
// TAB, LF, FF and CR. Other VRs know ASCII only (PS3.5 §6.2); what they have beyond is decoded all the
// same and noted as Repaired. Padding stays.
func (s *Set) Decode(raw []byte, vr string) (string, Note) {
	high, escape := scan(raw)
	if !high && !escape && (s.g0 == ascii || vrs(vr) != textVR) {
		return string(raw), 0
	}
	text, note := s.decode(raw, vrs(vr), high, escape)
	if !utf8.ValidString(text) {
		text, note = strings.ToValidUTF8(text, "\uFFFD"), note|Replaced
	}
	if high && vrs(vr) == otherVR {
		note |= Repaired
	}
	return text, note
}

// scan reports whether raw has bytes above 7FH and whether it has ESC.
func scan(raw []byte) (high, escape bool) {
	for _, b := range raw {
		if b >= 0x80 {
			high = true
		} else if b == esc {
			escape = true
		}
	}
	return high, escape
}

func (s *Set) decode(raw []byte, class vrClass, high, escape bool) (string, Note) {
	switch {
	case escape && designates(raw):
		text, note := s.decodeISO2022(raw, class)
		if s.whole != notWhole {
			note |= Repaired // neither UTF-8 nor GB18030 nor GBK goes with code extensions
		}
		return text, note
	case !high:
		if s.whole != notWhole {
			return string(raw), 0
		}
		return s.decodeISO2022(raw, class)
	case s.whole != notWhole:
		return s.whole.decode(raw)
	}
	if enc := s.mislabelled(raw); enc != notWhole {
		text, note := enc.plain(raw)
		return text, note | Repaired
	}
	if s.g1 == none && s.extension == none {
		text, note := windows1252.plain(raw) // nothing was declared: the commonest mistake
		return text, note | Repaired
	}
	return s.decodeISO2022(raw, class)
}

// vrClass tells VRs apart by their delimiters.
type vrClass uint8

const (
	otherVR  vrClass = iota // no character set applies
	textVR                  // one value of text with line breaks: ST, LT, UT
	stringVR                // several values: SH, LO, UC, and UN, which may be any of them
	nameVR                  // PN
)

func vrs(vr string) vrClass {
	switch vr {
	case "PN":
		return nameVR
	case "SH", "LO", "UC", "UN", "":
		return stringVR
	case "ST", "LT", "UT":
		return textVR
	}
	return otherVR
}

// resets reports whether b, as a character of its own, brings code extensions back to the initial state.
func (c vrClass) resets(b byte) bool {
	switch b {
	case '\t', '\n', '\f', '\r':
		return true
	case '\\':
		return c != textVR
	case '^', '=':
		return c == nameVR
	}
	return false
}
