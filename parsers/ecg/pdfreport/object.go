package pdfreport

import (
	"bytes"
	"encoding/hex"
	"strconv"
)

// Values of PDF (ISO 32000-1 §7.3). Strings are []byte, numbers float64, arrays []any.
type (
	name    string
	ref     int // of an object's number
	dict    map[string]any
	keyword string // an operator, or what is none of the others
)

// Limits of one value.
const (
	maxNesting = 32
	maxItems   = 100_000 // of the arrays and dictionaries in one object
	maxString  = 64 << 10
)

// lexer reads values from bytes.
type lexer struct {
	b     []byte
	at    int
	items int
	bad   bool // beyond a limit, or not PDF: nothing more comes
}

func blank(c byte) bool {
	return c == ' ' || c == '\n' || c == '\r' || c == '\t' || c == '\f' || c == 0
}

func delimiter(c byte) bool {
	return blank(c) || bytes.IndexByte([]byte("()<>[]{}/%"), c) >= 0
}

func (l *lexer) skip() {
	for l.at < len(l.b) {
		switch c := l.b[l.at]; {
		case blank(c):
			l.at++
		case c == '%':
			for l.at < len(l.b) && l.b[l.at] != '\n' && l.b[l.at] != '\r' {
				l.at++
			}
		default:
			return
		}
	}
}

// next returns the next value; nil at the end, and after an error.
func (l *lexer) next(depth int) any {
	v := l.value(depth)
	l.at = min(l.at, len(l.b)) // of what the end of the bytes cut
	return v
}

func (l *lexer) value(depth int) any {
	l.skip()
	if l.at >= len(l.b) || l.bad {
		return nil
	}
	if l.items++; depth > maxNesting || l.items > maxItems {
		l.bad = true
		return nil
	}
	switch c := l.b[l.at]; c {
	case '/':
		l.at++
		return l.name()
	case '(':
		return l.literal()
	case '[':
		l.at++
		return l.array(depth)
	case '<':
		if l.at+1 < len(l.b) && l.b[l.at+1] == '<' {
			l.at += 2
			return l.dict(depth)
		}
		return l.hex()
	case ']', '>', '{', '}', ')':
		l.at++
		if c == '>' && l.at < len(l.b) && l.b[l.at] == '>' {
			l.at++
			return keyword(">>")
		}
		return keyword(c)
	}
	start := l.at
	for l.at < len(l.b) && !delimiter(l.b[l.at]) {
		l.at++
	}
	word := l.b[start:l.at]
	if len(word) > 64 {
		return keyword("?")
	}
	if c := word[0]; c >= '0' && c <= '9' || c == '-' || c == '+' || c == '.' {
		if f, err := strconv.ParseFloat(string(word), 64); err == nil {
			return f
		}
	}
	return keyword(word)
}

func (l *lexer) name() name {
	start := l.at
	for l.at < len(l.b) && !delimiter(l.b[l.at]) {
		l.at++
	}
	raw := l.b[start:min(l.at, start+256)]
	if bytes.IndexByte(raw, '#') < 0 {
		return name(raw)
	}
	var out []byte
	for i := 0; i < len(raw); i++ {
		if raw[i] == '#' && i+2 < len(raw) {
			if v, err := strconv.ParseUint(string(raw[i+1:i+3]), 16, 8); err == nil {
				out = append(out, byte(v))
				i += 2
				continue
			}
		}
		out = append(out, raw[i])
	}
	return name(out)
}

// literal reads (…) with its escapes.
func (l *lexer) literal() []byte {
	var out []byte
	depth := 0
	for ; l.at < len(l.b); l.at++ {
		c := l.b[l.at]
		switch c {
		case '(':
			if depth++; depth == 1 {
				continue
			}
		case ')':
			if depth--; depth == 0 {
				l.at++
				return out
			}
		case '\\':
			if l.at++; l.at >= len(l.b) {
				return out
			}
			c = l.b[l.at]
			switch {
			case c == '\n':
				continue
			case c == '\r':
				if l.at+1 < len(l.b) && l.b[l.at+1] == '\n' {
					l.at++
				}
				continue
			case c >= '0' && c <= '7':
				v := 0
				for n := 0; n < 3 && l.at < len(l.b) && l.b[l.at] >= '0' && l.b[l.at] <= '7'; n++ {
					v = v*8 + int(l.b[l.at]-'0')
					l.at++
				}
				l.at--
				c = byte(v)
			default:
				if i := bytes.IndexByte([]byte("nrtbf"), c); i >= 0 {
					c = "\n\r\t\b\f"[i]
				}
			}
		}
		if len(out) >= maxString {
			l.bad = true
			return nil
		}
		out = append(out, c)
	}
	return out
}

func (l *lexer) hex() []byte {
	l.at++
	var digits []byte
	for l.at < len(l.b) && l.b[l.at] != '>' {
		if c := l.b[l.at]; !blank(c) {
			digits = append(digits, c)
		}
		if l.at++; len(digits) > 2*maxString {
			l.bad = true
			return nil
		}
	}
	l.at++
	if len(digits)%2 != 0 {
		digits = append(digits, '0')
	}
	out := make([]byte, len(digits)/2)
	if _, err := hex.Decode(out, digits); err != nil {
		return nil
	}
	return out
}

// array reads up to "]"; "12 0 R" becomes a reference.
func (l *lexer) array(depth int) []any {
	var out []any
	for {
		v := l.next(depth + 1)
		if v == nil {
			return out
		}
		if k, ok := v.(keyword); ok {
			switch k {
			case "]":
				return out
			case ">>":
				l.bad = true
				return out
			case "R":
				out = reference(out)
				continue
			case "null":
			}
		}
		out = append(out, v)
	}
}

func reference(list []any) []any {
	n := len(list)
	if n < 2 {
		return list
	}
	number, ok := list[n-2].(float64)
	if _, also := list[n-1].(float64); !ok || !also || number < 0 || number > 1<<30 {
		return list
	}
	return append(list[:n-2], ref(int(number)))
}

// dict reads up to ">>".
func (l *lexer) dict(depth int) dict {
	var list []any
	for {
		v := l.next(depth + 1)
		if k, ok := v.(keyword); v == nil || ok && k == ">>" {
			break
		} else if ok && k == "R" {
			list = reference(list)
			continue
		}
		list = append(list, v)
	}
	out := dict{}
	for i := 0; i+1 < len(list); i += 2 {
		if k, ok := list[i].(name); ok {
			out[string(k)] = list[i+1]
		}
	}
	return out
}
