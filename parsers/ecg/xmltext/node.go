package xmltext

import (
	"encoding/base64"
	"errors"
	"io"
	"math"
	"strconv"
	"strings"

	"github.com/tributary-dicom/tributary/parsers/reject"
)

// maxNodes bounds the trees that one Reader builds: 64 MiB of empty elements would be gigabytes of nodes.
// Recordings with every beat annotated have some 20,000.
const maxNodes = 200_000

// Node is an element read whole. Methods of a nil Node find nothing, so that paths need no checks.
type Node struct {
	Name     string
	Attr     []Attr
	Text     string // its own text, all pieces together, trimmed
	Children []*Node
}

// Skip passes over the rest of the element whose Start token came last.
func (r *Reader) Skip() error {
	depth := len(r.open)
	for {
		t, err := r.Next()
		if err != nil {
			return unexpectedEOF(err)
		}
		if t.Kind == End && len(r.open) < depth {
			return nil
		}
	}
}

// Text returns the text of the element whose Start token came last, trimmed, and passes over its end.
// Elements within are left out.
func (r *Reader) Text() (string, error) {
	depth := len(r.open)
	var text strings.Builder
	for {
		t, err := r.Next()
		if err != nil {
			return "", unexpectedEOF(err)
		}
		switch {
		case t.Kind == Text && len(r.open) == depth:
			if text.Len()+len(t.Text) > r.lim.XMLText {
				return "", reject.At(reject.TooLarge, op, r.at, "text of more than %d bytes", r.lim.XMLText)
			}
			text.WriteString(t.Text)
		case t.Kind == End && len(r.open) < depth:
			return strings.TrimSpace(text.String()), nil
		}
	}
}

// Tree reads the rest of the element whose start is given, which came last, with all it contains.
func (r *Reader) Tree(start Token) (*Node, error) {
	type level struct {
		node *Node
		text []byte
	}
	root := &Node{Name: start.Name, Attr: start.Attr}
	stack := []level{{node: root}}
	for {
		t, err := r.Next()
		if err != nil {
			return nil, unexpectedEOF(err)
		}
		top := &stack[len(stack)-1]
		switch t.Kind {
		case Text:
			if len(top.text)+len(t.Text) > r.lim.XMLText {
				return nil, reject.At(reject.TooLarge, op, r.at, "text of more than %d bytes", r.lim.XMLText)
			}
			top.text = append(top.text, t.Text...)
		case Start:
			if r.nodes++; r.nodes > maxNodes {
				return nil, reject.At(reject.TooManyElements, op, r.at, "more than %d elements", maxNodes)
			}
			n := &Node{Name: t.Name, Attr: t.Attr}
			top.node.Children = append(top.node.Children, n)
			stack = append(stack, level{node: n})
		case End:
			top.node.Text = strings.TrimSpace(string(top.text))
			if stack = stack[:len(stack)-1]; len(stack) == 0 {
				return root, nil
			}
		}
	}
}

// unexpectedEOF: the end of the document inside an element cannot be, since Next refuses it.
func unexpectedEOF(err error) error {
	if err == io.EOF {
		return reject.New(reject.Truncated, op, "the document ends early")
	}
	return err
}

// Get returns an attribute's value, "" when there is none.
func (n *Node) Get(name string) string {
	if n == nil {
		return ""
	}
	return get(n.Attr, name)
}

// At returns the element at a path of child names, the first of each; nil when there is none.
func (n *Node) At(path ...string) *Node {
	for _, name := range path {
		if n == nil {
			return nil
		}
		var found *Node
		for _, c := range n.Children {
			if c.Name == name {
				found = c
				break
			}
		}
		n = found
	}
	return n
}

// TextAt returns the text of the element at a path, "" when there is none.
func (n *Node) TextAt(path ...string) string {
	if n = n.At(path...); n == nil {
		return ""
	}
	return n.Text
}

// All returns the children of a name.
func (n *Node) All(name string) []*Node {
	if n == nil {
		return nil
	}
	var out []*Node
	for _, c := range n.Children {
		if c.Name == name {
			out = append(out, c)
		}
	}
	return out
}

// Find returns the first element of a name anywhere below n, in the order of the document; nil when there is
// none.
func (n *Node) Find(name string) *Node {
	if n == nil {
		return nil
	}
	for _, c := range n.Children {
		if c.Name == name {
			return c
		}
		if f := c.Find(name); f != nil {
			return f
		}
	}
	return nil
}

// Errors of Counts and Base64.
var (
	ErrCount    = errors.New("not a list of whole numbers")
	ErrTooMany  = errors.New("more samples than the limit")
	errNoBase64 = errors.New("not base64")
)

// Counts reads a list of whole numbers between white space or commas. Nothing between two commas, as of a
// sample that was not taken, is missing; missing is nil when none is. A number with a fraction of zeros is
// whole. The slice grows with the text and never beyond limit.
func Counts(text string, limit int64) (counts []int32, missing []bool, err error) {
	afterComma, any := false, false
	add := func(v int32, miss bool) error {
		if int64(len(counts)) >= limit {
			return ErrTooMany
		}
		if miss && missing == nil {
			missing = make([]bool, len(counts), len(counts)+1)
		}
		counts = append(counts, v)
		if missing != nil {
			missing = append(missing, miss)
		}
		return nil
	}
	for i := 0; i < len(text); {
		c := text[i]
		if space(c) {
			i++
			continue
		}
		if c == ',' {
			if afterComma || !any {
				if err := add(0, true); err != nil {
					return nil, nil, err
				}
			}
			afterComma, any = true, true
			i++
			continue
		}
		end := i
		for end < len(text) && !space(text[end]) && text[end] != ',' {
			end++
		}
		v, ok := count(text[i:end])
		if !ok {
			return nil, nil, ErrCount
		}
		if err := add(v, false); err != nil {
			return nil, nil, err
		}
		afterComma, any, i = false, true, end
	}
	return counts, missing, nil
}

func count(s string) (int32, bool) {
	if len(s) > 24 {
		return 0, false
	}
	if whole, fraction, ok := strings.Cut(s, "."); ok && strings.Trim(fraction, "0") == "" {
		s = whole
	}
	n, err := strconv.ParseInt(s, 10, 64)
	if err != nil || n > math.MaxInt32 || n < math.MinInt32 {
		return 0, false
	}
	return int32(n), true
}

// Base64 decodes base64 with white space in it. Padding may be missing.
func Base64(text string) ([]byte, error) {
	clean := make([]byte, 0, len(text))
	for _, c := range []byte(text) {
		if !space(c) && c != '=' {
			clean = append(clean, c)
		}
	}
	out := make([]byte, base64.RawStdEncoding.DecodedLen(len(clean)))
	n, err := base64.RawStdEncoding.Decode(out, clean)
	if err != nil {
		return nil, errNoBase64
	}
	return out[:n], nil
}

// Children calls each for every element directly inside the one whose Start token came last (or, before the
// first token, for the root element), and passes over text and the end. each must consume its element: by
// Tree, Text, Skip or Children.
func (r *Reader) Children(each func(Token) error) error {
	depth := len(r.open)
	for {
		t, err := r.Next()
		if err == io.EOF && depth == 0 {
			return nil
		}
		if err != nil {
			return unexpectedEOF(err)
		}
		switch t.Kind {
		case Start:
			if err := each(t); err != nil {
				return err
			}
		case End:
			return nil
		}
	}
}
