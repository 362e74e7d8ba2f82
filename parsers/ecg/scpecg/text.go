package scpecg

import (
	"bytes"
	"encoding/binary"
	"strings"
	"unicode/utf16"

	"github.com/tributary-dicom/tributary/parsers/charset"
	"github.com/tributary-dicom/tributary/parsers/ecg"
)

// textReader decodes texts by the language support code of section 1 tag 14 (§5.4.5, Annex A).
type textReader struct {
	set  *charset.Set
	wide bool // ISO 10646 in two bytes
}

// languages are the character sets of the language support codes, as DICOM's terms. Without bit 0 text is
// ASCII; with bit 0 alone, whatever is above bit 1, it is Latin-1. JIS codes come with the escape sequences of
// Annex A; without them bytes are read as Shift-JIS or EUC where they fit.
var languages = map[byte]string{
	0x03: "ISO_IR 101", 0x0B: "ISO_IR 110", 0x13: "ISO_IR 144", 0x1B: "ISO_IR 127", 0x23: "ISO_IR 126",
	0x2B: "ISO_IR 138", 0x33: "ISO_IR 166", 0x3B: "ISO_IR 203",
	0x0F: `ISO 2022 IR 13\ISO 2022 IR 87\ISO 2022 IR 159`, 0x17: `\ISO 2022 IR 87\ISO 2022 IR 159`,
	0x1F: `\ISO 2022 IR 87\ISO 2022 IR 159`,
	0x27: "GBK", 0x2F: "EUC-KR", 0x37: "ISO_IR 192",
}

// newTextReader returns the reader for a language support code, and whether the code is known.
func newTextReader(code byte) (textReader, bool) {
	switch {
	case code&1 == 0:
		return textReader{set: charset.Parse("")}, true
	case code&3 == 1:
		return textReader{set: charset.Parse("ISO_IR 100")}, true
	case code == 0x07:
		return textReader{wide: true}, true
	}
	term, ok := languages[code]
	return textReader{set: charset.Parse(term)}, ok
}

// string decodes a text field, which ends at its NUL, or at its own end where it has none. where names it in
// warnings.
func (d *decoder) string(b []byte, where string) string {
	if d.text.wide {
		return d.wideString(b, where)
	}
	if i := bytes.IndexByte(b, 0); i >= 0 {
		b = b[:i]
	} else {
		n := len(b)
		for n > 0 && (b[n-1] == 0xFF || b[n-1] < ' ') {
			n--
		}
		if n < len(b) {
			d.rec.Warn(ecg.WarnLayout, where+" ends in stray bytes")
		}
		b = b[:n]
	}
	b = d.cut(b, where)
	text, note := d.text.set.Decode(b, "ST")
	if note&charset.Replaced != 0 {
		d.rec.Warn(ecg.WarnTextReplaced, where)
	} else if note&charset.Repaired != 0 {
		d.rec.Warn(ecg.WarnTextRepaired, where)
	}
	return clean(text)
}

// wideString decodes UTF-16, little-endian unless a byte order mark says otherwise.
func (d *decoder) wideString(b []byte, where string) string {
	b = d.cut(b, where)
	var order binary.ByteOrder = binary.LittleEndian
	if len(b) >= 2 && b[0] == 0xFE && b[1] == 0xFF {
		order = binary.BigEndian
	}
	units := make([]uint16, 0, len(b)/2)
	for ; len(b) >= 2; b = b[2:] {
		u := order.Uint16(b)
		if u == 0 {
			break
		}
		if u != 0xFEFF {
			units = append(units, u)
		}
	}
	text := string(utf16.Decode(units))
	if strings.ContainsRune(text, '\uFFFD') {
		d.rec.Warn(ecg.WarnTextReplaced, where)
	}
	return clean(text)
}

func (d *decoder) cut(b []byte, where string) []byte {
	if len(b) > d.lim.Text {
		d.rec.Warn(ecg.WarnValueCut, where)
		b = b[:d.lim.Text]
	}
	return b
}

// clean trims blanks and drops control characters other than line ends and tabs.
func clean(s string) string {
	s = strings.Map(func(r rune) rune {
		if r < ' ' && r != '\n' && r != '\t' || r == 0x7F {
			return -1
		}
		return r
	}, s)
	return strings.TrimSpace(s)
}
