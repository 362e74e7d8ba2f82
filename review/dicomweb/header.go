package dicomweb

import (
	"bytes"
	"errors"
	"io"
)

// errHeader is returned for header JSON that is none. Admission wrote it, so it is our fault or a
// damaged store's.
var errHeader = errors.New("recorded header is not a JSON object")

// members walks the outermost members of recorded header JSON without parsing their values.
type members struct {
	b   []byte
	pos int // of the next member's first quote, or of the closing brace
}

func newMembers(header []byte) (*members, error) {
	m := &members{b: header}
	m.space()
	if m.pos >= len(m.b) || m.b[m.pos] != '{' {
		return nil, errHeader
	}
	m.pos++
	m.space()
	return m, nil
}

func (m *members) space() {
	for m.pos < len(m.b) {
		switch m.b[m.pos] {
		case ' ', '\t', '\r', '\n':
			m.pos++
		default:
			return
		}
	}
}

// next returns the key of the next member, the member as it is written and its value. A nil key is the
// end.
func (m *members) next() (key, member, value []byte, err error) {
	if m.pos >= len(m.b) {
		return nil, nil, nil, errHeader
	}
	if m.b[m.pos] == '}' {
		return nil, nil, nil, nil
	}
	start := m.pos
	if err := m.str(); err != nil {
		return nil, nil, nil, err
	}
	key = m.b[start+1 : m.pos-1]
	m.space()
	if m.pos >= len(m.b) || m.b[m.pos] != ':' {
		return nil, nil, nil, errHeader
	}
	m.pos++
	m.space()
	from := m.pos
	if err := m.skip(); err != nil {
		return nil, nil, nil, err
	}
	member, value = m.b[start:m.pos], m.b[from:m.pos]
	m.space()
	if m.pos < len(m.b) && m.b[m.pos] == ',' {
		m.pos++
		m.space()
	}
	return key, member, value, nil
}

// str moves behind the string at pos.
func (m *members) str() error {
	if m.pos >= len(m.b) || m.b[m.pos] != '"' {
		return errHeader
	}
	for i := m.pos + 1; i < len(m.b); i++ {
		switch m.b[i] {
		case '\\':
			i++
		case '"':
			m.pos = i + 1
			return nil
		}
	}
	return errHeader
}

// skip moves behind the object at pos, the only kind of value that DICOM JSON has there.
func (m *members) skip() error {
	if m.pos >= len(m.b) || m.b[m.pos] != '{' {
		return errHeader
	}
	for depth := 0; m.pos < len(m.b); {
		switch m.b[m.pos] {
		case '"':
			if err := m.str(); err != nil {
				return err
			}
			continue
		case '{', '[':
			depth++
		case '}', ']':
			depth--
		}
		m.pos++
		if depth == 0 {
			return nil
		}
	}
	return errHeader
}

// bulkMark is how recorded headers begin a reference to bulk data (part10.Object.Header). It cannot occur
// inside a JSON string, whose quotes are escaped.
var bulkMark = []byte(`"BulkDataURI":"bulkdata/`)

// writeMembers writes text cut out of a header with its bulk data references made server-relative.
// base is the URL of the instance.
func writeMembers(w io.Writer, text []byte, base string) error {
	for {
		i := bytes.Index(text, bulkMark)
		if i < 0 {
			_, err := w.Write(text)
			return err
		}
		at := i + len(`"BulkDataURI":"`)
		if _, err := w.Write(text[:at]); err != nil {
			return err
		}
		if _, err := io.WriteString(w, base+"/"); err != nil {
			return err
		}
		text = text[at:]
	}
}

// writeHeader writes an instance's header as /metadata returns it: references made server-relative,
// Specific Character Set (0008,0005) as JSON has it, Available Transfer Syntax UID (0008,3002) added in
// its place in the order of tags (PS3.18 §F.2.2). Only the members before that place are walked.
func writeHeader(w io.Writer, header []byte, base, transferSyntax string) error {
	m, err := newMembers(header)
	if err != nil {
		return err
	}
	sep := []byte("{")
	put := func(member []byte) {
		if err == nil {
			_, err = w.Write(sep)
		}
		if err == nil {
			err = writeMembers(w, member, base)
		}
		sep = []byte(",")
	}
	ours := []struct {
		key, member string
	}{
		{"00080005", `"00080005":{"vr":"CS","Value":["ISO_IR 192"]}`},
		{"00083002", `"00083002":{"vr":"UI","Value":["` + transferSyntax + `"]}`},
	}
	if transferSyntax == "" || !digitsAndDots(transferSyntax) {
		ours = ours[:1]
	}
	rest := m.pos
	for len(ours) > 0 {
		key, member, _, errNext := m.next()
		if errNext != nil {
			return errNext
		}
		for len(ours) > 0 && (key == nil || ours[0].key <= string(key)) {
			put([]byte(ours[0].member))
			if string(key) == ours[0].key {
				member = nil
			}
			ours = ours[1:]
		}
		if key == nil {
			break
		}
		if member != nil {
			put(member)
		}
		rest = m.pos
	}
	if err != nil {
		return err
	}
	tail := header[rest:]
	if len(tail) > 0 && tail[0] != '}' {
		if _, err := w.Write(sep); err != nil {
			return err
		}
	}
	return writeMembers(w, tail, base)
}
