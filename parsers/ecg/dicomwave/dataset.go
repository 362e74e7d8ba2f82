package dicomwave

import (
	"bytes"
	"encoding/base64"
	"encoding/json"
	"strings"

	"github.com/tributary-dicom/tributary/parsers/ecg"
)

// strings returns an attribute's values as text, numbers as they stand in the file.
func (d dataset) strings(tag string) (out []string) {
	d.get(tag).values(func(raw []byte) bool {
		if s, ok := plain(raw); ok {
			out = append(out, s)
		}
		return true
	})
	return out
}

// plain is a value as text, "" for null; false for one that is none.
func plain(raw []byte) (s string, ok bool) {
	switch {
	case raw[0] == '"' && bytes.IndexByte(raw, '\\') < 0:
		s = string(unquoted(raw))
	case raw[0] == '"':
		if json.Unmarshal(raw, &s) != nil {
			return "", false
		}
	case string(bytes.TrimSpace(raw)) != "null":
		s = string(bytes.TrimSpace(raw))
	}
	return strings.Trim(s, " \x00\uFFFD"), true
}

// text returns an attribute's first value.
func (d dataset) text(tag string) string {
	text := ""
	d.get(tag).values(func(raw []byte) bool {
		s, ok := plain(raw)
		text = s
		return !ok
	})
	return text
}

// name returns a person name with its component groups joined, "Zhang^San=张^三".
func (d dataset) name(tag string) string {
	var n struct{ Alphabetic, Ideographic, Phonetic string }
	d.get(tag).values(func(raw []byte) bool {
		if json.Unmarshal(raw, &n) != nil {
			n.Alphabetic, n.Ideographic, n.Phonetic = "", "", ""
		}
		return false
	})
	return strings.TrimRight(strings.TrimRight(n.Alphabetic, "^ ")+"="+strings.TrimRight(n.Ideographic, "^ ")+"="+strings.TrimRight(n.Phonetic, "^ "), "=")
}

// number returns an attribute's first value as a number.
func (d dataset) number(tag string) (ecg.Rat, bool) {
	s := d.text(tag)
	if s == "" {
		return ecg.Rat{}, false
	}
	r, err := ecg.ParseRat(s)
	return r, err == nil
}

// count returns an attribute's first value as a whole number, 0 when it is none.
func (d dataset) count(tag string) int64 {
	r, _ := d.number(tag)
	n, _ := r.Int64()
	return n
}

// rawItems returns the items of a sequence as DICOM JSON, at most limit.
func (d dataset) rawItems(tag string, limit int) (out [][]byte) {
	f := d.get(tag)
	if string(f.vr) != "SQ" {
		return nil
	}
	f.values(func(raw []byte) bool {
		if len(out) == limit {
			return false
		}
		if raw[0] == '{' {
			out = append(out, raw)
		}
		return true
	})
	return out
}

// items returns the items of a sequence, at most limit.
func (d dataset) items(tag string, limit int) (out []dataset) {
	for _, raw := range d.rawItems(tag, limit) {
		if item, err := parse(raw); err == nil {
			out = append(out, item)
		}
	}
	return out
}

// code is a coded entry (PS3.3 §8.8).
type code struct{ value, scheme, meaning string }

// code returns the first item of a code sequence.
func (d dataset) code(tag string) code {
	items := d.items(tag, 1)
	if len(items) == 0 {
		return code{}
	}
	c := code{items[0].text("00080100"), items[0].text("00080102"), items[0].text("00080104")}
	if c.value == "" {
		c.value = items[0].text("00080119") // Long Code Value
	}
	return c
}

// binary returns an inline binary value.
func (d dataset) binary(tag string) []byte {
	b, err := base64.StdEncoding.DecodeString(string(d.get(tag).inline))
	if err != nil {
		return nil
	}
	return b
}
