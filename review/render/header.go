package render

import (
	"encoding/json"
	"errors"
	"math"
	"strconv"
	"strings"
)

// errHeader is returned for a recorded header that is no DICOM JSON: ours to answer for, not the device's.
var errHeader = errors.New("recorded header is not DICOM JSON")

// element is one attribute of DICOM JSON (PS3.18 §F.2.2). InlineBinary and the values behind BulkDataURI are
// in little endian order.
type element struct {
	VR           string            `json:"vr"`
	Value        []json.RawMessage `json:"Value"`
	InlineBinary []byte            `json:"InlineBinary"`
	BulkDataURI  string            `json:"BulkDataURI"`
}

// dataset is the attributes of one level that were asked for, by tag as eight hexadecimal digits.
type dataset map[string]element

// number returns value i of an attribute, which may be written as a JSON number or string.
func (d dataset) number(tag string, i int) (float64, bool) {
	e := d[tag]
	if i >= len(e.Value) {
		return 0, false
	}
	f, err := strconv.ParseFloat(strings.TrimSpace(strings.Trim(string(e.Value[i]), `"`)), 64)
	if err != nil || math.IsNaN(f) || math.IsInf(f, 0) {
		return 0, false
	}
	return f, true
}

// integer returns the first value of an attribute, or otherwise.
func (d dataset) integer(tag string, otherwise int) int {
	f, ok := d.number(tag, 0)
	if !ok || f != math.Trunc(f) || math.Abs(f) > 1<<40 {
		return otherwise
	}
	return int(f)
}

func (d dataset) text(tag string) string {
	e := d[tag]
	if len(e.Value) == 0 {
		return ""
	}
	var s string
	if json.Unmarshal(e.Value[0], &s) != nil {
		return ""
	}
	return strings.ToUpper(strings.TrimSpace(s))
}

// item returns the attributes of item i of a sequence that want names.
func (d dataset) item(tag string, i int, want func(tag string) bool) dataset {
	e := d[tag]
	if i < 0 || i >= len(e.Value) {
		return nil
	}
	out, err := parse(e.Value[i], want)
	if err != nil {
		return nil
	}
	return out
}

func everything(string) bool { return true }

// parse reads those members of an object that want names. The others are walked over without being decoded:
// a header has up to 16 MiB, of which a few hundred bytes are about pixels.
func parse(object []byte, want func(tag string) bool) (dataset, error) {
	out := dataset{}
	err := walk(object, '{', func(key string, value []byte) error {
		if !want(key) {
			return nil
		}
		var e element
		if json.Unmarshal(value, &e) != nil {
			return errHeader
		}
		out[key] = e
		return nil
	})
	return out, err
}

// functional returns the functional groups of frame i, counted from 0: of the item of Per-Frame Functional
// Groups Sequence (5200,9230), whose items are only walked over, or of the shared ones (5200,9229).
func functional(sequence []byte, i int) (dataset, error) {
	var groups dataset
	n := 0
	err := walk(sequence, '{', func(key string, value []byte) error {
		if key != "Value" {
			return nil
		}
		return walk(value, '[', func(_ string, item []byte) (err error) {
			if n == i {
				if groups, err = parse(item, isFunctional); err == nil {
					err = errFound
				}
			}
			n++
			return err
		})
	})
	if errors.Is(err, errFound) {
		err = nil
	}
	return groups, err
}

var errFound = errors.New("found")

// walk calls fn for each member of an object, or with an empty key for each element of an array, without
// decoding values. Only what surrounds values is checked.
func walk(b []byte, open byte, fn func(key string, value []byte) error) error {
	w := walker{b: b}
	if w.byte() != open {
		return errHeader
	}
	w.pos++
	end := open + 2 // ']' and '}' stand two after '[' and '{'
	for first := true; ; first = false {
		switch c := w.byte(); {
		case c == end:
			return nil
		case c == ',' && !first:
			w.pos++
		case !first:
			return errHeader
		}
		key := ""
		if open == '{' {
			start := w.pos
			if w.byte() == '"' {
				start = w.pos
			}
			if !w.skip() || w.b[start] != '"' || w.pos-start < 2 {
				return errHeader
			}
			key = string(w.b[start+1 : w.pos-1])
			if w.byte() != ':' {
				return errHeader
			}
			w.pos++
		}
		w.byte()
		start := w.pos
		if !w.skip() {
			return errHeader
		}
		if err := fn(key, w.b[start:w.pos]); err != nil {
			return err
		}
	}
}

type walker struct {
	b   []byte
	pos int
}

// byte returns the next byte that is not white space, 0 at the end.
func (w *walker) byte() byte {
	for ; w.pos < len(w.b); w.pos++ {
		switch c := w.b[w.pos]; c {
		case ' ', '\t', '\r', '\n':
		default:
			return c
		}
	}
	return 0
}

// skip moves behind the value at pos.
func (w *walker) skip() bool {
	start, depth := w.pos, 0
	for w.pos < len(w.b) {
		switch w.b[w.pos] {
		case '"':
			if !w.skipString() {
				return false
			}
			if depth == 0 {
				return true
			}
			continue
		case '{', '[':
			depth++
		case '}', ']':
			if depth == 0 {
				return w.pos > start // a number or literal before it
			}
			if depth--; depth == 0 {
				w.pos++
				return true
			}
		case ',', ':', ' ', '\t', '\r', '\n':
			if depth == 0 {
				return w.pos > start
			}
		}
		w.pos++
	}
	return false
}

func (w *walker) skipString() bool {
	for i := w.pos + 1; i < len(w.b); i++ {
		switch w.b[i] {
		case '\\':
			i++
		case '"':
			w.pos = i + 1
			return true
		}
	}
	return false
}
