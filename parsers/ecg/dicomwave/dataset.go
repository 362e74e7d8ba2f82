package dicomwave

import (
	"encoding/base64"
	"encoding/json"
	"strings"

	"github.com/tributary-dicom/tributary/parsers/ecg"
)

// dataset is a data set or item of the header as DICOM JSON (PS3.18 Annex F), by tag.
type dataset map[string]element

type element struct {
	VR           string            `json:"vr"`
	Value        []json.RawMessage `json:"Value"`
	InlineBinary string            `json:"InlineBinary"`
	BulkDataURI  string            `json:"BulkDataURI"`
}

// strings returns an attribute's values as text, numbers as they stand in the file.
func (d dataset) strings(tag string) []string {
	var out []string
	for _, raw := range d[tag].Value {
		var s string
		if len(raw) > 0 && raw[0] == '"' {
			if json.Unmarshal(raw, &s) != nil {
				continue
			}
		} else if string(raw) != "null" {
			s = string(raw)
		}
		out = append(out, strings.Trim(s, " \x00\uFFFD"))
	}
	return out
}

// text returns an attribute's first value.
func (d dataset) text(tag string) string {
	if v := d.strings(tag); len(v) > 0 {
		return v[0]
	}
	return ""
}

// name returns a person name with its component groups joined, "Zhang^San=张^三".
func (d dataset) name(tag string) string {
	if len(d[tag].Value) == 0 {
		return ""
	}
	var n struct{ Alphabetic, Ideographic, Phonetic string }
	if json.Unmarshal(d[tag].Value[0], &n) != nil {
		return ""
	}
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

// items returns the items of a sequence, at most limit.
func (d dataset) items(tag string, limit int) []dataset {
	e := d[tag]
	if e.VR != "SQ" {
		return nil
	}
	var out []dataset
	for _, raw := range e.Value {
		if len(out) == limit {
			break
		}
		var item dataset
		if json.Unmarshal(raw, &item) == nil {
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
	b, err := base64.StdEncoding.DecodeString(d[tag].InlineBinary)
	if err != nil {
		return nil
	}
	return b
}
