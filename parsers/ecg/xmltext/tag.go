package xmltext

import (
	"strconv"
	"strings"
	"unicode/utf8"

	"github.com/tributary-dicom/tributary/parsers/reject"
)

// tag reads a start or end tag whose '<' was read.
func (r *Reader) tag() (Token, error) {
	b, err := r.must()
	if err != nil {
		return Token{}, err
	}
	if b == '/' {
		name, b, err := r.name(0)
		if err != nil {
			return Token{}, err
		}
		for space(b) {
			if b, err = r.must(); err != nil {
				return Token{}, err
			}
		}
		if b != '>' || len(r.open) == 0 || r.open[len(r.open)-1] != name {
			return Token{}, r.malformed("an end tag without its start tag")
		}
		return r.pop(), nil
	}
	name, b, err := r.name(b)
	if err != nil {
		return Token{}, err
	}
	t := Token{Kind: Start, Name: name}
	for {
		for space(b) {
			if b, err = r.must(); err != nil {
				return Token{}, err
			}
		}
		switch b {
		case '/':
			if b, err = r.must(); err != nil {
				return Token{}, err
			}
			if b != '>' {
				return Token{}, r.malformed("'/' inside a tag")
			}
			r.closeNext = true
			return t, r.push(name)
		case '>':
			return t, r.push(name)
		}
		if len(t.Attr) == maxAttrs {
			return Token{}, reject.At(reject.TooManyElements, op, r.at, "more than %d attributes", maxAttrs)
		}
		var a Attr
		if a, b, err = r.attr(b); err != nil {
			return Token{}, err
		}
		t.Attr = append(t.Attr, a)
	}
}

func (r *Reader) push(name string) error {
	if len(r.open) >= r.lim.XMLDepth {
		return reject.At(reject.TooDeep, op, r.at, "elements nested more than %d deep", r.lim.XMLDepth)
	}
	r.open, r.rooted = append(r.open, name), true
	return nil
}

func (r *Reader) pop() Token {
	last := len(r.open) - 1
	t := Token{Kind: End, Name: r.open[last]}
	r.open = r.open[:last]
	return t
}

// name reads a name, which begins with first unless that is 0, and returns it without prefix, and the byte
// that ended it.
func (r *Reader) name(first byte) (string, byte, error) {
	var raw []byte
	b := first
	for {
		if b != 0 {
			switch {
			case space(b), b == '/', b == '>', b == '=':
				if len(raw) == 0 {
					return "", 0, r.malformed("no name")
				}
				name := r.decode(raw)
				if i := strings.IndexByte(name, ':'); i >= 0 {
					name = name[i+1:]
				}
				return name, b, nil
			case b == '<', b == '"', b == '\'', b == '&', b < ' ', len(raw) == 0 && (b >= '0' && b <= '9' || b == '-' || b == '.'):
				return "", 0, r.malformed("a character in a name that has no place there")
			}
			if raw = append(raw, b); len(raw) > maxName {
				return "", 0, r.malformed("a name of more than %d bytes", maxName)
			}
		}
		var err error
		if b, err = r.must(); err != nil {
			return "", 0, err
		}
		if b == 0 {
			return "", 0, r.malformed("NUL in a name")
		}
	}
}

// attr reads an attribute and returns the byte after it.
func (r *Reader) attr(first byte) (Attr, byte, error) {
	name, b, err := r.name(first)
	if err != nil {
		return Attr{}, 0, err
	}
	for space(b) {
		if b, err = r.must(); err != nil {
			return Attr{}, 0, err
		}
	}
	if b != '=' {
		return Attr{}, 0, r.malformed("an attribute without value")
	}
	if b, err = r.must(); err != nil {
		return Attr{}, 0, err
	}
	for space(b) {
		if b, err = r.must(); err != nil {
			return Attr{}, 0, err
		}
	}
	if b != '"' && b != '\'' {
		return Attr{}, 0, r.malformed("an attribute without quotes")
	}
	quote := b
	r.raw = r.raw[:0]
	for {
		if b, err = r.must(); err != nil {
			return Attr{}, 0, err
		}
		if b == quote {
			break
		}
		if b == '<' {
			return Attr{}, 0, r.malformed("'<' in an attribute")
		}
		if r.raw = append(r.raw, b); len(r.raw) > r.lim.XMLText {
			return Attr{}, 0, reject.At(reject.TooLarge, op, r.at, "an attribute of more than %d bytes", r.lim.XMLText)
		}
	}
	value := r.references(r.decode(r.raw))
	if b, err = r.must(); err != nil {
		return Attr{}, 0, err
	}
	return Attr{name, value}, b, nil
}

// references replaces character references and the five entities of XML. Others stay as they are: there is
// nothing that could define them.
func (r *Reader) references(text string) string {
	i := strings.IndexByte(text, '&')
	if i < 0 {
		return text
	}
	var out strings.Builder
	for i >= 0 {
		out.WriteString(text[:i])
		text = text[i:]
		end := strings.IndexByte(text[:min(len(text), 12)], ';')
		if c, ok := reference(text[1:max(1, end)]); end > 0 && ok {
			out.WriteRune(c)
			text = text[end+1:]
		} else {
			out.WriteByte('&')
			text = text[1:]
		}
		i = strings.IndexByte(text, '&')
	}
	out.WriteString(text)
	return out.String()
}

func reference(name string) (rune, bool) {
	switch name {
	case "lt":
		return '<', true
	case "gt":
		return '>', true
	case "amp":
		return '&', true
	case "quot":
		return '"', true
	case "apos":
		return '\'', true
	}
	if !strings.HasPrefix(name, "#") || len(name) < 2 {
		return 0, false
	}
	digits, base := name[1:], 10
	if digits[0] == 'x' || digits[0] == 'X' {
		digits, base = digits[1:], 16
	}
	n, err := strconv.ParseUint(digits, base, 32)
	if err != nil || n > utf8.MaxRune || !utf8.ValidRune(rune(n)) {
		return 0, false
	}
	if control(rune(n)) {
		return ' ', true
	}
	return rune(n), true
}
