package dicomecg

import (
	"fmt"
	"strings"
	"unicode"
	"unicode/utf8"

	"golang.org/x/text/encoding/simplifiedchinese"

	"github.com/tributary-dicom/tributary/parsers/ecg"
)

// Charset is how text is encoded: a defined term of Specific Character Set (0008,0005).
type Charset string

// The character sets that are written.
const (
	UTF8    Charset = "ISO_IR 192"
	GB18030 Charset = "GB18030" // for archives in China that read nothing else
)

// mostCharacters is the length that PS3.5 §6.2 allows a value of each VR.
var mostCharacters = map[string]int{"SH": 16, "LO": 64, "ST": 1024, "LT": 10240, "PN": 64, "CS": 16}

// texts encodes text and notes what had to change.
type texts struct {
	charset Charset
	warn    func(code ecg.WarningCode, where string)
}

// value returns the bytes of one value: control characters gone, cut to what the VR allows. A backslash,
// which parts values, becomes a slash except in ST and LT, which have one value only.
func (t *texts) value(tag uint32, vr, s string) []byte {
	where := fmt.Sprintf("%08X", tag)
	var clean string
	if vr == "PN" {
		clean = t.personName(s, where)
	} else {
		clean = t.fit(vr, s, where)
	}
	return t.encode(clean)
}

func (t *texts) encode(s string) []byte {
	if t.charset != GB18030 {
		return []byte(s)
	}
	b, err := simplifiedchinese.GB18030.NewEncoder().Bytes([]byte(s))
	if err != nil { // GB18030 has a place for every character
		return []byte(strings.Map(func(r rune) rune {
			if r >= utf8.RuneSelf {
				return '?'
			}
			return r
		}, s))
	}
	return b
}

// fit cleans s and cuts it to the length of vr in characters.
func (t *texts) fit(vr, s, where string) string {
	multiline := vr == "ST" || vr == "LT"
	clean := strings.Map(func(r rune) rune {
		switch {
		case r == '\n' && multiline:
			return r
		case r == '\t', r == '\n':
			return ' '
		case unicode.IsControl(r), r == '\ufeff':
			return -1
		case r == '\\' && !multiline:
			return '/'
		}
		return r
	}, strings.ToValidUTF8(s, "\ufffd"))
	clean = strings.TrimSpace(clean)
	if multiline {
		clean = strings.ReplaceAll(clean, "\n", "\r\n")
	}
	if most := mostCharacters[vr]; most > 0 && utf8.RuneCountInString(clean) > most {
		clean = strings.TrimSpace(string([]rune(clean)[:most]))
		t.warn(ecg.WarnValueCut, where)
	}
	return clean
}

// personName keeps the component groups and components that s has (PS3.5 §6.2.1). A name in one piece stays
// in one piece, hanzi as they are in the first group: that is what carts and archives in China write, what
// every viewer shows, and what a query by that name finds.
func (t *texts) personName(s, where string) string {
	groups := strings.Split(s, "=")
	if len(groups) > 3 {
		groups = groups[:3]
		t.warn(ecg.WarnValueCut, where)
	}
	for i, g := range groups {
		parts := strings.Split(t.fit("PN", g, where), "^")
		if len(parts) > 5 {
			parts = parts[:5]
			t.warn(ecg.WarnValueCut, where)
		}
		for j := range parts {
			parts[j] = strings.TrimSpace(parts[j])
		}
		groups[i] = strings.TrimRight(strings.Join(parts, "^"), "^")
	}
	return strings.TrimRight(strings.Join(groups, "="), "=")
}
