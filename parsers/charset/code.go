package charset

import (
	"unicode/utf8"

	"golang.org/x/text/encoding"
	"golang.org/x/text/encoding/charmap"
	"golang.org/x/text/encoding/japanese"
	"golang.org/x/text/encoding/korean"
	"golang.org/x/text/encoding/simplifiedchinese"
	"golang.org/x/text/encoding/traditionalchinese"
)

// code is a coded character set that code elements G0 or G1 hold (PS3.5 §6.1.2.5).
type code uint8

const (
	none     code = iota
	ascii         // ISO IR 6
	romaji        // ISO IR 14, the left half of JIS X 0201
	katakana      // ISO IR 13, its right half
	jisX0201      // both, as a term
	latin1        // ISO IR 100, and so on as the terms
	latin2
	latin3
	latin4
	cyrillic
	arabic
	greek
	hebrew
	latin5
	latin9
	thai
	jisX0208 // ISO IR 87; this and what follows take two bytes a character
	jisX0212 // ISO IR 159
	ksX1001  // ISO IR 149
	gb2312   // ISO IR 58
)

func (c code) pairs() bool { return c >= jisX0208 }

// western reports whether c is a set of Latin letters.
func (c code) western() bool {
	switch c {
	case latin1, latin2, latin3, latin4, latin5, latin9:
		return true
	}
	return false
}

// charmaps are the single-byte sets. Windows' variants stand in where they only add to the ISO set:
// devices that write ISO_IR 100 run Windows and put its quotes and its Š at 80H to 9FH.
var charmaps = [...]*charmap.Charmap{
	latin1: charmap.ISO8859_1, latin2: charmap.ISO8859_2, latin3: charmap.ISO8859_3, latin4: charmap.ISO8859_4,
	cyrillic: charmap.ISO8859_5, arabic: charmap.ISO8859_6, greek: charmap.ISO8859_7, hebrew: charmap.ISO8859_8,
	latin5: charmap.ISO8859_9, latin9: charmap.ISO8859_15, thai: charmap.Windows874,
}

// high returns the character that single-byte set c has at b, which is above 7FH; utf8.RuneError when it
// has none there. Control characters (C1, 80H to 9FH) are none: text has no use for them.
func (c code) high(b byte) rune {
	switch {
	case c == katakana && b >= 0xA1 && b <= 0xDF:
		return 0xFF61 + rune(b-0xA1)
	case int(c) >= len(charmaps) || charmaps[c] == nil || b < 0xA0:
		return utf8.RuneError
	}
	return charmaps[c].DecodeByte(b)
}

// appendPairs appends the characters of two-byte set c whose bytes, both with the high bit set, are
// pairs; false tells that some became U+FFFD.
func (c code) appendPairs(dst, pairs []byte) ([]byte, bool) {
	var enc encoding.Encoding
	switch c {
	case jisX0208:
		enc = japanese.EUCJP
	case jisX0212: // EUC-JP reaches it by SS3 before each character
		shifted := make([]byte, 0, len(pairs)/2*3)
		for i := 0; i+1 < len(pairs); i += 2 {
			shifted = append(shifted, 0x8F, pairs[i], pairs[i+1])
		}
		enc, pairs = japanese.EUCJP, shifted
	case ksX1001:
		enc = korean.EUCKR
	default:
		enc = simplifiedchinese.GBK
	}
	text, ok := convert(enc, pairs)
	return append(dst, text...), ok
}

// convert decodes raw; false tells that the result has U+FFFD.
func convert(enc encoding.Encoding, raw []byte) ([]byte, bool) {
	text, err := enc.NewDecoder().Bytes(raw)
	if err != nil {
		return append(text, "\uFFFD"...), false
	}
	for i := 0; i+2 < len(text); i++ {
		if text[i] == 0xEF && text[i+1] == 0xBF && text[i+2] == 0xBD {
			return text, false
		}
	}
	return text, true
}

// whole is a character set that needs no code extensions: all bytes of a value are in it.
type whole uint8

const (
	notWhole whole = iota
	utf8Text
	gb18030
	gbk
	big5
	shiftJIS
	eucJP
	eucKR
	windows1252
	windows1251
)

func (w whole) encoding() encoding.Encoding {
	switch w {
	case gb18030:
		return simplifiedchinese.GB18030
	case gbk:
		return simplifiedchinese.GBK
	case big5:
		return traditionalchinese.Big5
	case shiftJIS:
		return japanese.ShiftJIS
	case eucJP:
		return japanese.EUCJP
	case eucKR:
		return korean.EUCKR
	case windows1251:
		return charmap.Windows1251
	}
	return charmap.Windows1252
}
