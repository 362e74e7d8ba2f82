package dicomwave

import (
	"errors"
	"math"
)

// The header of an object is read as DICOM JSON (PS3.18 Annex F), which the scanner has just written. Of its
// some hundred attributes a few are wanted, and every waveform that arrives is described, so nothing is decoded
// before it is asked for: a data set is a list of fields whose values are slices of the document.

// maxHeaderDepth bounds objects and arrays in one another, some three a sequence.
const maxHeaderDepth = 256

var errHeader = errors.New("the header is no DICOM JSON")

// dataset is a data set or item of the header, its attributes in the document's order.
type dataset struct {
	doc    []byte
	fields []field
}

// field is one attribute: where its parts lie in the document. A part that is absent is empty.
type field struct{ tag, vr, value, inline span }

// span is a piece of a document of less than 4 GiB.
type span struct{ from, to uint32 }

func (d dataset) at(s span) []byte { return d.doc[s.from:s.to] }

// get returns an attribute; of several with one tag the last.
func (d dataset) get(tag string) attribute {
	for i := len(d.fields) - 1; i >= 0; i-- {
		if f := d.fields[i]; string(d.at(f.tag)) == tag {
			return attribute{vr: d.at(f.vr), value: d.at(f.value), inline: d.at(f.inline)}
		}
	}
	return attribute{}
}

// attribute is a field's parts, as slices of the document.
type attribute struct {
	vr     []byte
	value  []byte // the array of Value, brackets included
	inline []byte // the text of InlineBinary
}

// scanner walks a JSON document.
type scanner struct {
	doc []byte
	at  int
}

// parse reads an object of attributes, without what is in them.
func parse(doc []byte) (dataset, error) {
	if len(doc) > math.MaxUint32 {
		return dataset{}, errHeader
	}
	s := scanner{doc: doc}
	d := dataset{doc: doc, fields: make([]field, 0, 8)}
	err := s.object(func(tag span) error {
		f := field{tag: tag}
		err := s.object(func(key span) error {
			from := s.next()
			if err := s.skip(); err != nil {
				return err
			}
			raw := span{uint32(from), uint32(s.at)}
			switch string(d.at(key)) {
			case "vr":
				f.vr = d.inside(raw)
			case "Value":
				if doc[from] == '[' {
					f.value = raw
				}
			case "InlineBinary":
				f.inline = d.inside(raw)
			}
			return nil
		})
		d.fields = append(d.fields, f)
		return err
	})
	if err == nil && s.next() != len(doc) {
		err = errHeader
	}
	return d, err
}

// inside is a string without its quotes, nothing of any other value.
func (d dataset) inside(s span) span {
	if s.to-s.from < 2 || d.doc[s.from] != '"' {
		return span{}
	}
	return span{s.from + 1, s.to - 1}
}

// values calls fn with each value of an array until it returns false.
func (f attribute) values(fn func(raw []byte) bool) {
	if len(f.value) == 0 {
		return
	}
	s := scanner{doc: f.value, at: 1}
	for s.peek() != ']' {
		from := s.at
		if s.skip() != nil || !fn(f.value[from:s.at]) {
			return
		}
		if s.peek() == ',' {
			s.at++
			s.next()
		}
	}
}

// count is the number of values.
func (f attribute) count() (n int) {
	f.values(func([]byte) bool { n++; return true })
	return n
}

// unquoted returns the inside of a string without escapes, nil for anything else.
func unquoted(raw []byte) []byte {
	if len(raw) < 2 || raw[0] != '"' {
		return nil
	}
	return raw[1 : len(raw)-1]
}

// next skips white space and returns where it ends.
func (s *scanner) next() int {
	for s.at < len(s.doc) {
		switch s.doc[s.at] {
		case ' ', '\t', '\n', '\r':
			s.at++
		default:
			return s.at
		}
	}
	return s.at
}

// peek returns the next byte that is no white space, ']' at the end of the document: loops end there.
func (s *scanner) peek() byte {
	if s.next() == len(s.doc) {
		return ']'
	}
	return s.doc[s.at]
}

// object calls fn for each key, without its quotes, at its value.
func (s *scanner) object(fn func(key span) error) error {
	if s.next() == len(s.doc) || s.doc[s.at] != '{' {
		return errHeader
	}
	s.at++
	for n := 0; ; n++ {
		if s.next() < len(s.doc) && s.doc[s.at] == '}' && n == 0 {
			s.at++
			return nil
		}
		from := s.at
		if err := s.text(); err != nil {
			return err
		}
		key := span{uint32(from + 1), uint32(s.at - 1)}
		if s.next() == len(s.doc) || s.doc[s.at] != ':' {
			return errHeader
		}
		s.at++
		if err := fn(key); err != nil {
			return err
		}
		if s.next() == len(s.doc) {
			return errHeader
		}
		s.at++
		switch s.doc[s.at-1] {
		case '}':
			return nil
		case ',':
			s.next()
		default:
			return errHeader
		}
	}
}

// text passes a string.
func (s *scanner) text() error {
	if s.at >= len(s.doc) || s.doc[s.at] != '"' {
		return errHeader
	}
	for s.at++; s.at < len(s.doc); s.at++ {
		switch s.doc[s.at] {
		case '\\':
			s.at++
		case '"':
			s.at++
			return nil
		}
	}
	s.at = len(s.doc)
	return errHeader
}

// skip passes a value of any kind, without looking at its grammar inside.
func (s *scanner) skip() error {
	s.next()
	depth, from := 0, s.at
	for s.at < len(s.doc) {
		switch s.doc[s.at] {
		case '"':
			if err := s.text(); err != nil {
				return err
			}
		case '{', '[':
			if depth++; depth > maxHeaderDepth {
				return errHeader
			}
			s.at++
		case '}', ']':
			if depth == 0 {
				return s.passed(from)
			}
			depth--
			s.at++
		case ',':
			if depth == 0 {
				return s.passed(from)
			}
			s.at++
		default:
			s.at++
			continue
		}
		if depth == 0 {
			return nil
		}
	}
	return errHeader
}

// passed is the end of a number or a word.
func (s *scanner) passed(from int) error {
	if s.at == from {
		return errHeader
	}
	return nil
}
