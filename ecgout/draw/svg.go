package draw

import (
	"bufio"
	"io"
	"strconv"
	"strings"
)

// svgFonts are fonts near the metrics that the drawing was laid out with, and then those that have hanzi.
const svgFonts = "Go,Helvetica,Arial,'Liberation Sans','Noto Sans CJK SC','Noto Sans SC','Source Han Sans SC','PingFang SC','Microsoft YaHei','WenQuanYi Micro Hei','Droid Sans Fallback',sans-serif"

// WriteSVG writes the sheet as SVG 1.1. A unit of the view box is a millimetre, and so is it on paper.
// Traces have the class "trace" and their lead in data-lead.
func (s *Sheet) WriteSVG(w io.Writer) error {
	b := bufio.NewWriter(w)
	width, height := micron(s.Width), micron(s.Height)
	b.WriteString(`<svg xmlns="http://www.w3.org/2000/svg" width="` + width + `mm" height="` + height + `mm" viewBox="0 0 ` + width + ` ` + height + `" font-family="` + svgFonts + `">` + "\n")
	b.WriteString("<title>ECG</title>\n")
	b.WriteString(`<rect width="100%" height="100%" fill="#ffffff"/>` + "\n")
	for i := range s.items {
		it := &s.items[i]
		if it.text != "" {
			b.WriteString(`<text x="` + micron(it.at.X) + `" y="` + micron(it.at.Y) + `" font-size="` + micron(it.size) + `" fill="` + it.ink.hex() + `"`)
			switch it.anchor {
			case atMiddle:
				b.WriteString(` text-anchor="middle"`)
			case atEnd:
				b.WriteString(` text-anchor="end"`)
			}
			b.WriteString(` xml:space="preserve">` + escape(it.text) + "</text>\n")
			continue
		}
		b.WriteString(`<path class="` + it.class + `"`)
		if it.lead != "" {
			b.WriteString(` data-lead="` + escape(it.lead) + `"`)
		}
		b.WriteString(` fill="none" stroke="` + it.ink.hex() + `" stroke-width="` + micron(it.width) + `"`)
		if it.round() {
			b.WriteString(` stroke-linejoin="round" stroke-linecap="round"`)
		}
		b.WriteString(` d="`)
		for _, line := range it.lines {
			writePath(b, line)
		}
		b.WriteString("\"/>\n")
	}
	b.WriteString("</svg>\n")
	return b.Flush()
}

// writePath writes one line: an absolute start, and steps. A line of one point is a dot.
func writePath(b *bufio.Writer, line []Point) {
	b.WriteString("M" + micron(line[0].X) + " " + micron(line[0].Y))
	if len(line) == 1 {
		b.WriteString("h0")
	}
	for i, p := range line[1:] {
		dx, dy := int64(p.X)-int64(line[i].X), int64(p.Y)-int64(line[i].Y)
		sep := " "
		if i == 0 {
			sep = "l"
		}
		b.WriteString(sep + micron64(dx) + " " + micron64(dy))
	}
}

// round reports whether the ends of lines are round: of traces, so that a lone sample is a dot.
func (it *item) round() bool { return it.class == "trace" }

func (k ink) hex() string {
	const digits = "0123456789abcdef"
	var b [7]byte
	b[0] = '#'
	for i, v := range inks[k] {
		b[1+2*i], b[2+2*i] = digits[v>>4], digits[v&15]
	}
	return string(b[:])
}

func micron(v int32) string { return micron64(int64(v)) }

// micron64 writes µm as mm, exactly.
func micron64(v int64) string {
	sign := ""
	if v < 0 {
		sign, v = "-", -v
	}
	whole, rest := v/mm, v%mm
	if rest == 0 {
		return sign + strconv.FormatInt(whole, 10)
	}
	frac := strings.TrimRight(strconv.FormatInt(rest+mm, 10)[1:], "0")
	if whole == 0 {
		return sign + "." + frac
	}
	return sign + strconv.FormatInt(whole, 10) + "." + frac
}

var escaper = strings.NewReplacer("&", "&amp;", "<", "&lt;", ">", "&gt;", `"`, "&quot;", "'", "&#39;")

// escape makes text safe in XML. It was cleaned of control characters before.
func escape(text string) string { return escaper.Replace(text) }
