package pdfreport

import (
	"bytes"
	"math"
	"slices"
	"strings"
)

// Bounds of what pages draw.
const (
	maxFragments = 20_000
	maxForms     = 200 // forms drawn, on all pages
	maxOperators = 3_000_000
	maxDrawn     = 64 << 20 // bytes of content, however often
	maxText      = 2 << 20  // bytes of text
)

// fragment is a text in its place, in points from the lower left corner of its page.
type fragment struct {
	x, y, size, width float64
	text              string
}

type matrix [6]float64

func (m matrix) by(n matrix) matrix {
	return matrix{
		m[0]*n[0] + m[1]*n[2], m[0]*n[1] + m[1]*n[3], m[2]*n[0] + m[3]*n[2], m[2]*n[1] + m[3]*n[3],
		m[4]*n[0] + m[5]*n[2] + n[4], m[4]*n[1] + m[5]*n[3] + n[5],
	}
}

var unit = matrix{1, 0, 0, 1, 0, 0}

// painter runs content streams for their text (§9.4).
type painter struct {
	file      *file
	fonts     map[any]*font
	out       []fragment
	forms     int
	operators int
	drawn     int
	direct    int // fonts that are no objects of their own
	written   int

	ctm, text, line matrix
	font            *font
	size, leading   float64
	stack           []matrix
}

// draw runs one content stream.
func (p *painter) draw(content []byte, resources dict, depth int) {
	if p.drawn += len(content); p.drawn > maxDrawn {
		return
	}
	l := &lexer{b: content}
	var args []any
	saved := len(p.stack)
	for {
		l.items = 0 // each operator has its own bound
		v := l.next(0)
		if v == nil {
			break
		}
		if p.operators++; p.operators > maxOperators || len(p.out) >= maxFragments {
			break
		}
		op, ok := v.(keyword)
		if !ok {
			if len(args) < 64 {
				args = append(args, v)
			}
			continue
		}
		if op == "BI" { // a picture inside the text; its bytes may look like anything
			i := bytes.Index(content[l.at:], []byte("EI"))
			if i < 0 {
				break
			}
			l.at += i + 2
		}
		p.operator(string(op), args, resources, depth)
		args = args[:0]
	}
	p.stack = p.stack[:min(saved, len(p.stack))]
}

func numbers(args []any, n int) ([]float64, bool) {
	if len(args) < n {
		return nil, false
	}
	out := make([]float64, n)
	for i := range out {
		v, ok := args[len(args)-n+i].(float64)
		if !ok || math.Abs(v) > 1e9 {
			return nil, false
		}
		out[i] = v
	}
	return out, true
}

func (p *painter) operator(op string, args []any, resources dict, depth int) {
	switch op {
	case "q":
		if len(p.stack) < 256 {
			p.stack = append(p.stack, p.ctm)
		}
	case "Q":
		if n := len(p.stack); n > 0 {
			p.ctm, p.stack = p.stack[n-1], p.stack[:n-1]
		}
	case "cm":
		if v, ok := numbers(args, 6); ok {
			p.ctm = matrix(v).by(p.ctm)
		}
	case "BT":
		p.text, p.line = unit, unit
	case "Tf":
		if v, ok := numbers(args, 1); ok && len(args) > 1 {
			p.size = v[0]
			n, _ := args[len(args)-2].(name)
			p.choose(p.file.dict(resources["Font"])[string(n)])
		}
	case "TL":
		if v, ok := numbers(args, 1); ok {
			p.leading = v[0]
		}
	case "Td", "TD":
		if v, ok := numbers(args, 2); ok {
			if op == "TD" {
				p.leading = -v[1]
			}
			p.move(v[0], v[1])
		}
	case "Tm":
		if v, ok := numbers(args, 6); ok {
			p.text, p.line = matrix(v), matrix(v)
		}
	case "T*":
		p.move(0, -p.leading)
	case "'", "\"":
		p.move(0, -p.leading)
		p.show(args)
	case "Tj":
		p.show(args)
	case "TJ":
		if len(args) > 0 {
			list, _ := args[len(args)-1].([]any)
			p.show(list)
		}
	case "Do":
		if len(args) > 0 {
			n, _ := args[len(args)-1].(name)
			p.form(p.file.dict(resources["XObject"])[string(n)], resources, depth)
		}
	}
}

func (p *painter) choose(v any) {
	if r, ok := v.(ref); ok {
		if p.fonts[r] == nil && len(p.fonts) < 200 {
			p.fonts[r] = p.file.font(v)
		}
		p.font = p.fonts[r]
		return
	}
	p.font = nil
	if p.direct++; v != nil && p.direct < 200 {
		p.font = p.file.font(v)
	}
}

func (p *painter) move(x, y float64) {
	p.line = matrix{1, 0, 0, 1, x, y}.by(p.line)
	p.text = p.line
}

// show draws strings, and moves by the numbers between them.
func (p *painter) show(list []any) {
	if p.font == nil {
		return
	}
	var b strings.Builder
	start := p.text.by(p.ctm)
	advance := 0.0
	for _, v := range list {
		switch v := v.(type) {
		case []byte:
			text, em := p.font.text(v)
			if p.written += len(text); p.written < maxText {
				b.WriteString(text)
			}
			advance += em * p.size
		case float64:
			// More than a fifth of an em to the right is a space that the font does not draw.
			if v < -200 && b.Len() > 0 && !strings.HasSuffix(b.String(), " ") {
				b.WriteByte(' ')
			}
			advance -= v / 1000 * p.size
		}
	}
	scale := math.Hypot(start[0], start[1])
	if text := strings.TrimSpace(b.String()); text != "" && !math.IsNaN(scale) && !math.IsInf(scale, 0) && len(p.out) < maxFragments {
		p.out = append(p.out, fragment{start[4], start[5], math.Abs(p.size) * scale, advance * scale, text})
	}
	p.text = matrix{1, 0, 0, 1, advance, 0}.by(p.text)
}

// form draws a form XObject (§8.10).
func (p *painter) form(v any, resources dict, depth int) {
	d := p.file.dict(v)
	if p.forms++; depth > 4 || p.forms > maxForms || d["Subtype"] != name("Form") {
		return
	}
	if own := p.file.dict(d["Resources"]); own != nil {
		resources = own
	}
	saved := p.ctm
	if list, ok := p.file.resolve(d["Matrix"]).([]any); ok {
		if m, ok := numbers(list, 6); ok {
			p.ctm = matrix(m).by(p.ctm)
		}
	}
	p.draw(p.file.stream(v), resources, depth+1)
	p.ctm = saved
}

// line is fragments of one height, from left to right; a tab parts those that stand apart.
type line struct {
	x, y, size float64
	text       string
}

// lines puts a page's fragments into lines, from the top.
func lines(all []fragment) []line {
	slices.SortStableFunc(all, func(a, b fragment) int {
		switch {
		case a.y > b.y:
			return -1
		case a.y < b.y:
			return 1
		}
		return 0
	})
	var out []line
	for len(all) > 0 {
		n := 1
		for n < len(all) && all[0].y-all[n].y <= 0.4*max(all[0].size, 1) {
			n++
		}
		row := all[:n]
		all = all[n:]
		slices.SortStableFunc(row, func(a, b fragment) int {
			switch {
			case a.x < b.x:
				return -1
			case a.x > b.x:
				return 1
			}
			return 0
		})
		l := line{x: row[0].x, y: row[0].y, size: row[0].size}
		var b strings.Builder
		for i, f := range row {
			if i > 0 {
				last := row[i-1]
				switch gap, em := f.x-last.x-last.width, max(f.size, 1); {
				case gap > 0.9*em:
					b.WriteByte('\t')
				case gap > 0.15*em:
					b.WriteByte(' ')
				}
			}
			b.WriteString(f.text)
		}
		l.text = b.String()
		out = append(out, l)
	}
	return out
}
