package charset

import (
	"bytes"
	"strings"
	"unicode/utf8"

	"golang.org/x/text/encoding/charmap"
)

// decode returns raw, declared to be in w, with high bytes in it. Where the bytes say otherwise it reads
// them by what fits.
func (w whole) decode(raw []byte) (string, Note) {
	text, note := w.plain(raw)
	switch w {
	case utf8Text:
		if note == 0 || damagedUTF8(raw, true) {
			return text, note
		}
		if looksGBK(raw, none) {
			text, note = gb18030.plain(raw)
			return text, note | Repaired
		}
		if !damagedUTF8(raw, false) && latinPlausible(raw, none) {
			text, note = windows1252.plain(raw)
			return text, note | Repaired
		}
	case gb18030, gbk:
		if looksUTF8(raw, gb2312) {
			text, note = utf8Text.plain(raw)
			return text, note | Repaired
		}
		if note&Replaced != 0 && w == gbk { // four-byte characters under the name of the older standard
			if full, n := gb18030.plain(raw); n == 0 {
				return full, Repaired
			}
		}
		if note&Replaced != 0 && latinPlausible(raw, none) {
			text, note = windows1252.plain(raw)
			return text, note | Repaired
		}
	}
	return text, note
}

var byteOrderMark = []byte("\xEF\xBB\xBF")

// plain returns raw read as w and nothing else.
func (w whole) plain(raw []byte) (string, Note) {
	switch w {
	case utf8Text:
		raw = bytes.TrimPrefix(raw, byteOrderMark)
		if utf8.Valid(raw) {
			return string(raw), 0
		}
		return strings.ToValidUTF8(string(raw), "\uFFFD"), Replaced
	case windows1252:
		var note Note
		out := make([]byte, 0, len(raw)+len(raw)/4)
		for _, b := range raw {
			if b < 0x80 {
				out = append(out, b)
				continue
			}
			r := windowsRune(b)
			if r == utf8.RuneError {
				note |= Replaced
			}
			out = utf8.AppendRune(out, r)
		}
		return string(out), note
	}
	text, ok := convert(w.encoding(), raw)
	if !ok {
		return string(text), Replaced
	}
	return string(text), 0
}

// windowsRune returns what Windows code page 1252 has at b, which is above 7FH; utf8.RuneError at its
// five gaps.
func windowsRune(b byte) rune {
	if r := charmap.Windows1252.DecodeByte(b); r >= 0xA0 {
		return r
	}
	return utf8.RuneError
}
