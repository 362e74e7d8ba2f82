package xmltext

import (
	"bufio"
	"bytes"
	"errors"
	"fmt"
	"io"
	"strings"

	"golang.org/x/text/encoding/unicode"
	"golang.org/x/text/transform"

	"github.com/tributary-dicom/tributary/parsers/charset"
	"github.com/tributary-dicom/tributary/parsers/ecg"
	"github.com/tributary-dicom/tributary/parsers/reject"
)

const op = "ecg/xmltext"

// Bounds that no device comes near.
const (
	maxName  = 256 // bytes of an element's or attribute's name
	maxAttrs = 256 // of an element
)

// Kind is what a Token is.
type Kind uint8

// Kinds of Token.
const (
	Start Kind = iota + 1
	End
	Text
)

// Attr is an attribute; Name has no prefix.
type Attr struct{ Name, Value string }

// Token is a start tag, an end tag, or text between tags. Neighbouring text and CDATA come as one. Text of
// white space alone, as between elements, is left out.
type Token struct {
	Kind Kind
	Name string // of Start and End, without prefix
	Attr []Attr // of Start
	Text string // of Text, UTF-8
}

// Get returns an attribute's value, "" when there is none.
func (t *Token) Get(name string) string { return get(t.Attr, name) }

func get(attrs []Attr, name string) string {
	for _, a := range attrs {
		if a.Name == name {
			return a.Value
		}
	}
	return ""
}

// Reader reads one document.
type Reader struct {
	in    *bufio.Reader
	base  *io.LimitedReader
	lim   ecg.Limits
	at    int64 // bytes read, of UTF-8 when the file is UTF-16
	cs    *charset.Set
	notes charset.Note

	unknownCharset bool
	open           []string // names of open elements
	closeNext      bool     // the last Start was an empty element
	rooted         bool     // the root element was seen
	nodes          int
	raw            []byte // a text segment's bytes
	pending        byte   // '<' was read ahead
	trailing       bool
}

// New starts reading src. It finds out the encoding from the first bytes and the declaration.
func New(src ecg.File, lim ecg.Limits) (*Reader, error) {
	lim = lim.Fill()
	if src.Size > lim.XMLBytes {
		return nil, reject.New(reject.TooLarge, op, "XML of %d bytes", src.Size)
	}
	head, err := src.Head(4)
	if err != nil {
		return nil, err
	}
	r := &Reader{lim: lim, cs: charset.Parse("ISO_IR 192")}
	var in io.Reader = src.Reader()
	wide := func(e unicode.Endianness) {
		in = transform.NewReader(in, unicode.UTF16(e, unicode.UseBOM).NewDecoder())
	}
	switch {
	case len(head) == 0:
		return nil, reject.New(reject.Empty, op, "no bytes")
	case bytes.Equal(head, []byte{0xFF, 0xFE, 0, 0}), bytes.HasPrefix(head, []byte{0, 0}), bytes.HasPrefix(head, []byte{'<', 0, 0}):
		return nil, reject.At(reject.Malformed, op, 0, "UTF-32")
	case bytes.HasPrefix(head, []byte{0x4C, 0x6F, 0xA7, 0x94}):
		return nil, reject.At(reject.Malformed, op, 0, "EBCDIC")
	case bytes.HasPrefix(head, []byte{0xFF, 0xFE}), bytes.HasPrefix(head, []byte{'<', 0}):
		wide(unicode.LittleEndian)
	case bytes.HasPrefix(head, []byte{0xFE, 0xFF}), bytes.HasPrefix(head, []byte{0, '<'}):
		wide(unicode.BigEndian)
	}
	_, narrow := in.(*io.SectionReader)
	// A character of UTF-16 takes at most three bytes in UTF-8.
	r.base = &io.LimitedReader{R: in, N: 2*lim.XMLBytes + 1}
	r.in = bufio.NewReaderSize(r.base, 32<<10)
	if b, err := r.in.Peek(3); err == nil && bytes.Equal(b, []byte("\xEF\xBB\xBF")) {
		if _, err := r.in.Discard(3); err != nil {
			return nil, r.fail(err)
		}
	}
	return r, r.declaration(narrow)
}

// opaque are encodings in which '<' may be part of another character, or something else altogether.
var opaque = []string{"utf-7", "utf7", "utf-32", "utf32", "ucs", "iso-10646-ucs", "ebcdic", "cp037", "cp500", "cp1047", "ibm037", "ibm500", "ibm1047", "hz", "iso-2022"}

// declaration looks at the XML declaration's encoding without consuming it.
func (r *Reader) declaration(narrow bool) error {
	head, err := r.in.Peek(512)
	if err != nil && err != io.EOF && !errors.Is(err, bufio.ErrBufferFull) {
		return r.fail(err)
	}
	head = bytes.TrimLeft(head, " \t\r\n")
	if !narrow || !bytes.HasPrefix(head, []byte("<?xml")) {
		return nil
	}
	end := bytes.Index(head, []byte("?>"))
	if end < 0 {
		return nil
	}
	_, rest, found := strings.Cut(string(head[:end]), "encoding")
	rest = strings.TrimLeft(strings.TrimLeft(rest, " \t\r\n"), "= \t\r\n")
	if !found || len(rest) < 2 {
		return nil
	}
	name, _, _ := strings.Cut(rest[1:], rest[:1])
	lower := strings.ToLower(strings.TrimSpace(name))
	for _, o := range opaque {
		if strings.HasPrefix(lower, o) {
			return reject.At(reject.Malformed, op, 0, "encoding %.20q", lower)
		}
	}
	switch lower {
	case "", "utf-16", "utf-16le", "utf-16be", "utf16", "unicode", "ucs-2":
		return nil // single bytes all the same: a copy that kept the original's declaration
	}
	set := charset.Parse(name)
	if len(set.Unknown()) > 0 {
		r.unknownCharset = true
		return nil
	}
	r.cs = set
	return nil
}

// fail turns the end of input into a refusal, and wraps other errors.
func (r *Reader) fail(err error) error {
	switch {
	case err == io.EOF && r.base.N <= 0:
		return reject.At(reject.TooLarge, op, r.at, "more than %d bytes", r.lim.XMLBytes)
	case err == io.EOF:
		return reject.At(reject.Truncated, op, r.at, "the document ends early")
	}
	return fmt.Errorf("ecg/xmltext: read: %w", err)
}

func (r *Reader) malformed(format string, args ...any) error {
	return reject.At(reject.Malformed, op, r.at, format, args...)
}

func (r *Reader) byte() (byte, error) {
	b, err := r.in.ReadByte()
	if err != nil {
		return 0, err
	}
	r.at++
	return b, nil
}

// must is byte where the document cannot end.
func (r *Reader) must() (byte, error) {
	b, err := r.byte()
	if err != nil {
		return 0, r.fail(err)
	}
	return b, nil
}

// Depth returns how many elements are open.
func (r *Reader) Depth() int { return len(r.open) }

// Path returns the names of the open elements, root first. The caller does not keep it.
func (r *Reader) Path() []string { return r.open }

// Warn adds to rec what was wrong with the text so far.
func (r *Reader) Warn(rec *ecg.Recording) {
	if r.notes&charset.Repaired != 0 {
		rec.Warn(ecg.WarnTextRepaired, "")
	}
	if r.notes&charset.Replaced != 0 {
		rec.Warn(ecg.WarnTextReplaced, "")
	}
	if r.unknownCharset {
		rec.Warn(ecg.WarnCharset, "")
	}
	if r.trailing {
		rec.Warn(ecg.WarnTrailingBytes, "")
	}
}

// Next returns the next token, and io.EOF when the root element has ended. Other errors are *reject.Error, or
// the source's own, wrapped.
func (r *Reader) Next() (Token, error) {
	if r.closeNext {
		r.closeNext = false
		return r.pop(), nil
	}
	var text strings.Builder
	for {
		if r.rooted && len(r.open) == 0 {
			return Token{}, r.finish()
		}
		if r.pending == 0 {
			if err := r.chars(&text); err != nil {
				return Token{}, err
			}
		}
		// A '<' was read. CDATA joins the text around it; comments and instructions are nothing.
		more, err := r.markupInText(&text)
		if err != nil {
			return Token{}, err
		}
		if more {
			r.pending = 0
			continue
		}
		if len(r.open) > 0 && strings.TrimSpace(text.String()) != "" {
			r.pending = '<'
			return Token{Kind: Text, Text: text.String()}, nil
		}
		r.pending = 0
		return r.tag()
	}
}

// finish looks at what follows the root element.
func (r *Reader) finish() error {
	for range 4096 {
		b, err := r.byte()
		if err != nil {
			if err == io.EOF {
				return io.EOF
			}
			return r.fail(err)
		}
		if !space(b) && b != 0 && b != 0x1A {
			r.trailing = true
			break
		}
	}
	return io.EOF
}

func space(b byte) bool { return b == ' ' || b == '\t' || b == '\r' || b == '\n' }

// chars reads up to and including the next '<' into text.
func (r *Reader) chars(text *strings.Builder) error {
	r.raw = r.raw[:0]
	for {
		chunk, err := r.in.ReadSlice('<')
		r.at += int64(len(chunk))
		if len(r.raw)+text.Len()+len(chunk) > r.lim.XMLText {
			return reject.At(reject.TooLarge, op, r.at, "text of more than %d bytes", r.lim.XMLText)
		}
		if len(r.open) > 0 {
			r.raw = append(r.raw, chunk...)
		} else if len(bytes.Trim(chunk, " \t\r\n<\x00")) > 0 {
			return r.malformed("text outside the root element")
		}
		if err == bufio.ErrBufferFull {
			continue
		}
		if err != nil {
			return r.fail(err)
		}
		break
	}
	if n := len(r.raw); n > 0 {
		text.WriteString(r.references(r.decode(r.raw[:n-1])))
	}
	return nil
}

// decode turns bytes of the document into UTF-8 without control characters.
func (r *Reader) decode(raw []byte) string {
	text, note := r.cs.Decode(raw, "LT")
	r.notes |= note
	if note&charset.Repaired != 0 && r.cs != chinese {
		// A document has one encoding. Of a short text that is Chinese alone nobody can tell: the bytes of 某 in
		// GBK are a Latin ligature in UTF-8.
		if t, n := chinese.Decode(raw, "LT"); n == 0 && t == text {
			r.cs = chinese
		}
	}
	if strings.IndexFunc(text, control) < 0 {
		return text
	}
	return strings.Map(func(c rune) rune {
		if control(c) {
			return ' '
		}
		return c
	}, text)
}

// chinese is what documents turn out to be in that declare another encoding, or none.
var chinese = charset.Parse("GB18030")

func control(c rune) bool { return c < ' ' && c != '\t' && c != '\n' && c != '\r' || c == 0x7F }

// markupInText handles what may stand in the middle of text, after '<': more is true for CDATA, comments,
// instructions and the document type.
func (r *Reader) markupInText(text *strings.Builder) (more bool, err error) {
	head, err := r.in.Peek(1)
	if err != nil {
		return false, r.fail(err)
	}
	if head[0] != '!' && head[0] != '?' {
		return false, nil
	}
	if head[0] == '?' {
		return true, r.skipTo("?>")
	}
	head, err = r.in.Peek(9)
	if err != nil && len(head) < 3 {
		return false, r.fail(io.EOF)
	}
	switch {
	case bytes.HasPrefix(head, []byte("!--")):
		if err := r.discard(3); err != nil {
			return false, err
		}
		return true, r.skipTo("-->")
	case bytes.HasPrefix(head, []byte("![CDATA[")):
		if len(r.open) == 0 {
			return false, r.malformed("text outside the root element")
		}
		if err := r.discard(8); err != nil {
			return false, err
		}
		return true, r.cdata(text)
	case bytes.EqualFold(head[:min(len(head), 8)], []byte("!DOCTYPE")) && !r.rooted:
		if err := r.discard(8); err != nil {
			return false, err
		}
		return true, r.doctype()
	}
	return false, r.malformed("a declaration inside the document")
}

func (r *Reader) discard(n int) error {
	k, err := r.in.Discard(n)
	r.at += int64(k)
	if err != nil {
		return r.fail(err)
	}
	return nil
}

// skipTo passes over everything up to and including end.
func (r *Reader) skipTo(end string) error {
	tail := make([]byte, 0, len(end))
	for {
		b, err := r.must()
		if err != nil {
			return err
		}
		if len(tail) == len(end) {
			tail = append(tail[:0], tail[1:]...)
		}
		tail = append(tail, b)
		if string(tail) == end {
			return nil
		}
	}
}

func (r *Reader) cdata(text *strings.Builder) error {
	r.raw = r.raw[:0]
	for !bytes.HasSuffix(r.raw, []byte("]]>")) {
		b, err := r.must()
		if err != nil {
			return err
		}
		if len(r.raw)+text.Len() >= r.lim.XMLText {
			return reject.At(reject.TooLarge, op, r.at, "text of more than %d bytes", r.lim.XMLText)
		}
		r.raw = append(r.raw, b)
	}
	text.WriteString(r.decode(r.raw[:len(r.raw)-3]))
	return nil
}

// doctype passes over a document type that defines nothing. Its identifiers are names, never fetched; one
// that is a URL has no business in a device's file.
func (r *Reader) doctype() error {
	const longest = 64 << 10
	var text []byte
	quote, subset := byte(0), false
	for {
		b, err := r.must()
		if err != nil {
			return err
		}
		if len(text) >= longest {
			return r.malformed("a document type of more than %d bytes", longest)
		}
		text = append(text, b)
		switch {
		case quote != 0:
			if b == quote {
				quote = 0
			}
		case b == '"' || b == '\'':
			quote = b
		case b == '[':
			subset = true
		case b == ']':
			subset = false
		case b == '>' && !subset:
			if bytes.Contains(bytes.ToUpper(text), []byte("<!ENTITY")) {
				return r.malformed("the document type defines entities")
			}
			if bytes.Contains(text, []byte("://")) || bytes.Contains(bytes.ToLower(text), []byte("file:")) {
				return r.malformed("the document type is at a URL")
			}
			return nil
		}
	}
}
