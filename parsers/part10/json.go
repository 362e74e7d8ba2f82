package part10

import (
	"encoding/base64"
	"strings"
	"unicode/utf8"

	"github.com/tributary-dicom/tributary/parsers/charset"
	"github.com/tributary-dicom/tributary/parsers/reject"
)

// jsonWriter turns entries into DICOM JSON (PS3.18 Annex F) and picks the index attributes on the way.
type jsonWriter struct {
	out    []byte
	levels []jsonLevel
	text   []byte // scratch: decoded text
	swap   []byte // scratch: big endian words

	attrs   []byte // values of attributes, back to back
	marks   []attrMark
	capture bool // what is written is an index attribute
	start   int  // of that attribute in attrs

	nonASCII     bool
	charsetAt    int // where (0008,0005) belongs when the data set has none; -1 when it has
	defaultChars *charset.Set
	lastRaw      string // the Specific Character Set parsed last, and what it means
	lastSet      *charset.Set
}

type attrMark struct {
	name       string
	start, end int
}

// jsonLevel is an item or sequence that is open; the data set is the first one.
type jsonLevel struct {
	end      int // index of the entry behind it
	sequence bool
	tag      uint32 // of the sequence
	last     uint32 // tag written last
	chars    *charset.Set
	plain    bool // ASCII bytes mean ASCII
}

func (w *jsonWriter) release() {
	w.lastRaw, w.lastSet = "", nil
	clear(w.levels[:cap(w.levels)])
}

const utf8Charset = `"00080005":{"vr":"CS","Value":["ISO_IR 192"]}`

// jsonGrowth bounds the JSON against the header that it is made of: numbers and escapes double it at
// most in real objects.
const jsonGrowth = 2

// writeHeader fills Object.Header and Object.Attributes from the entries.
func (s *scanner) writeHeader() error {
	s.collectFacts()
	w := &s.json
	w.begin(len(s.entries))
	limit := int(min(jsonGrowth*s.limits.Header+readBufferSize, 1<<30))
	nextIndexed := 0
	for i := 0; i < len(s.entries); {
		w.closeUntil(i)
		e := &s.entries[i]
		l := &w.levels[len(w.levels)-1]
		if e.kind == kindItem {
			w.comma('[')
			w.out = append(w.out, '{')
			w.levels = append(w.levels, jsonLevel{end: i + int(e.span), tag: l.tag, chars: l.chars, plain: l.plain})
			i++
			continue
		}
		if e.tag&0xFFFF == 0 || e.tag == l.last { // group lengths are not for JSON; of equal tags one counts
			i += int(e.span)
			continue
		}
		l.last = e.tag
		name := ""
		switch len(w.levels) {
		case 1:
			if w.charsetAt == 0 && e.tag > 0x00080005 {
				w.charsetAt = len(w.out)
			}
			for nextIndexed < len(indexed) && indexed[nextIndexed].tag < e.tag {
				nextIndexed++
			}
			if nextIndexed < len(indexed) && indexed[nextIndexed].tag == e.tag {
				name = indexed[nextIndexed].name
			}
		case 3:
			name = indexedInItem(l.tag, e.tag)
		}
		w.comma('{')
		w.beginCapture(name)
		s.writeEntry(w, l, e, i)
		w.endCapture(name, e.vr == vrPN)
		if len(w.out) > limit {
			s.obj.Attributes = w.attributes(s.obj.Attributes)
			return reject.New(reject.HeaderTooLarge, op, "header as JSON exceeds %d bytes", limit)
		}
		i++
	}
	w.closeUntil(len(s.entries))
	s.obj.Header = w.finish()
	s.obj.Attributes = w.attributes(s.obj.Attributes)
	return nil
}

func (w *jsonWriter) begin(entries int) {
	if w.defaultChars == nil {
		w.defaultChars = charset.Parse("")
	}
	w.out = append(w.out[:0], '{')
	w.attrs, w.marks = w.attrs[:0], w.marks[:0]
	w.nonASCII, w.charsetAt, w.capture = false, 0, false
	w.levels = append(w.levels[:0], jsonLevel{end: entries + 1, chars: w.defaultChars, plain: true})
}

func (w *jsonWriter) closeUntil(i int) {
	for len(w.levels) > 1 {
		l := &w.levels[len(w.levels)-1]
		if l.end > i {
			return
		}
		if l.sequence {
			w.out = append(w.out, "]}"...)
		} else {
			w.out = append(w.out, '}')
		}
		w.levels = w.levels[:len(w.levels)-1]
	}
}

// finish returns the document, with ISO_IR 192 declared when its text needs it.
func (w *jsonWriter) finish() []byte {
	w.out = append(w.out, '}')
	if !w.nonASCII || w.charsetAt < 0 {
		return append(make([]byte, 0, len(w.out)), w.out...)
	}
	at := w.charsetAt
	if at == 0 { // nothing comes after it
		at = len(w.out) - 1
	}
	doc := make([]byte, 0, len(w.out)+len(utf8Charset)+1)
	doc = append(doc, w.out[:at]...)
	if at > 1 {
		doc = append(doc, ',')
	}
	doc = append(doc, utf8Charset...)
	if at == 1 && w.out[at] != '}' {
		doc = append(doc, ',')
	}
	return append(doc, w.out[at:]...)
}

func (w *jsonWriter) comma(open byte) {
	if w.out[len(w.out)-1] != open {
		w.out = append(w.out, ',')
	}
}

// writeEntry writes one attribute of a data set or item.
func (s *scanner) writeEntry(w *jsonWriter, l *jsonLevel, e *entry, i int) {
	w.out = append(w.out, '"')
	w.out = appendTag(w.out, e.tag)
	w.out = append(w.out, `":{"vr":"`...)
	v := e.vr
	if v == vrUSorSS {
		if v = vrUS; s.facts.signed {
			v = vrSS
		}
	}
	w.out = append(w.out, vrs[v].name...)
	w.out = append(w.out, '"')
	switch {
	case e.kind == kindSequence:
		if e.span > 1 {
			w.out = append(w.out, `,"Value":[`...)
			w.levels = append(w.levels, jsonLevel{
				end: i + int(e.span), sequence: true, tag: e.tag, chars: l.chars, plain: l.plain,
			})
			return
		}
	case e.kind == kindBulk:
		w.out = append(w.out, `,"BulkDataURI":"bulkdata/`...)
		w.out = append(w.out, s.obj.Bulk[e.off].Path...)
		w.out = append(w.out, '"')
	case e.tag == 0x00080005:
		s.setCharset(w, l, e)
		w.out = append(w.out, `,"Value":["ISO_IR 192"]`...)
	case e.len > 0:
		s.writeValue(w, l, e, v)
	}
	w.out = append(w.out, '}')
}

// setCharset makes Specific Character Set (0008,0005) hold for an item and what lies in it.
func (s *scanner) setCharset(w *jsonWriter, l *jsonLevel, e *entry) {
	raw := string(trimValue(s.bytesOf(e)))
	if w.lastSet == nil || raw != w.lastRaw {
		w.lastRaw, w.lastSet = raw, charset.Parse(raw)
		if len(w.lastSet.Unknown()) > 0 {
			s.warn(WarnCharsetUnknown, tagPath(e.tag), 0)
		}
	}
	// In ISO_IR 13 the byte of a backslash is a yen sign, so nothing there may pass undecoded.
	l.chars, l.plain = w.lastSet, !strings.Contains(raw, "13")
	if len(w.levels) == 1 {
		w.charsetAt = -1
	}
	if w.capture {
		w.attrs = append(w.attrs, strings.ToValidUTF8(raw, "\uFFFD")...)
	}
}

// decode returns text as UTF-8, valid until the next call.
func (s *scanner) decode(w *jsonWriter, l *jsonLevel, e *entry, raw []byte) []byte {
	if l.plain && isPlain(raw) {
		return raw
	}
	text, note := l.chars.Decode(raw, vrs[e.vr].name)
	if note&charset.Repaired != 0 {
		s.warn(WarnCharsetRepaired, tagPath(e.tag), 0)
	}
	if note&charset.Replaced != 0 {
		s.warn(WarnTextReplaced, tagPath(e.tag), 0)
	}
	w.text = append(w.text[:0], text...)
	return w.text
}

// isPlain tells printable ASCII with line breaks: the same in every character set but ISO_IR 13.
func isPlain(b []byte) bool {
	for _, c := range b {
		if c < 0x20 && c != '\n' && c != '\r' && c != '\t' && c != '\f' || c >= 0x7F {
			return false
		}
	}
	return true
}

// appendJSON appends text as a JSON string.
func (w *jsonWriter) appendJSON(text []byte) {
	out := append(w.out, '"')
	start := 0
	for i := 0; i < len(text); {
		c := text[i]
		if c >= 0x20 && c < 0x80 && c != '"' && c != '\\' {
			i++
			continue
		}
		if c >= 0x80 {
			w.nonASCII = true
			if r, n := utf8.DecodeRune(text[i:]); r != utf8.RuneError || n > 1 {
				i += n
				continue
			}
		}
		out = append(out, text[start:i]...)
		switch {
		case c == '"' || c == '\\':
			out = append(out, '\\', c)
		case c == '\n':
			out = append(out, `\n`...)
		case c == '\r':
			out = append(out, `\r`...)
		case c == '\t':
			out = append(out, `\t`...)
		case c == 0 || c >= 0x80: // NUL is in no character set of text, and no data base takes it
			out = append(out, `\ufffd`...)
		default:
			out = append(out, `\u00`...)
			out = append(out, hexDigits[c>>4], hexDigits[c&15])
		}
		i++
		start = i
	}
	out = append(out, text[start:]...)
	w.out = append(out, '"')
}

func (w *jsonWriter) appendBase64(b []byte) {
	w.out = append(w.out, `,"InlineBinary":"`...)
	w.out = base64.StdEncoding.AppendEncode(w.out, b)
	w.out = append(w.out, '"')
}

func (w *jsonWriter) beginCapture(name string) {
	w.capture, w.start = name != "", len(w.attrs)
}

// part adds one value to the attribute that is captured.
func (w *jsonWriter) part(value []byte, first bool) {
	if !w.capture {
		return
	}
	if !first {
		w.attrs = append(w.attrs, '\\')
	}
	w.attrs = append(w.attrs, value...)
}

func (w *jsonWriter) endCapture(name string, person bool) {
	if !w.capture {
		return
	}
	w.capture = false
	limit := maxAttribute
	if person {
		limit = maxPersonName
	}
	value := w.attrs[w.start:]
	if len(value) > limit { // as many bytes as characters at least
		n := 0
		for i := 0; i < len(value); n++ {
			if n == limit {
				value = value[:i]
				break
			}
			_, size := utf8.DecodeRune(value[i:])
			i += size
		}
	}
	w.attrs = w.attrs[:w.start+len(value)]
	if len(value) > 0 {
		w.marks = append(w.marks, attrMark{name, w.start, len(w.attrs)})
	}
}

// attributes returns what was captured: one string behind all values, of which a hostile object may have
// many of one name.
func (w *jsonWriter) attributes(into map[string]string) map[string]string {
	all := string(w.attrs)
	for _, m := range w.marks {
		value := all[m.start:m.end]
		if strings.IndexByte(value, 0) >= 0 || !utf8.ValidString(value) {
			value = strings.ReplaceAll(strings.ToValidUTF8(value, "\uFFFD"), "\x00", "\uFFFD")
		}
		if had, ok := into[m.name]; ok {
			if len(had)+len(value) >= maxAttribute {
				continue
			}
			value = had + `\` + value
		}
		into[m.name] = value
	}
	return into
}
