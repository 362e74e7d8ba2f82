package draw

import (
	"bytes"
	"encoding/binary"
	"fmt"
	"hash/crc32"
	"image"
	"image/color"
	"image/draw"
	"image/jpeg"
	"image/png"
	"io"
	"math"

	"golang.org/x/image/font/sfnt"
	"golang.org/x/image/math/fixed"
	"golang.org/x/image/vector"
)

// maxPixels bounds a picture: A4 at 20 pixels a millimetre is 25 million, 100 MB.
const maxPixels = 30 << 20

// WritePNG writes the sheet as a PNG of a width in pixels, which says how many of them are a metre.
func (s *Sheet) WritePNG(w io.Writer, pixels int) error {
	img, err := s.Image(pixels)
	if err != nil {
		return err
	}
	var b bytes.Buffer
	if err := (&png.Encoder{CompressionLevel: png.BestSpeed}).Encode(&b, img); err != nil {
		return err
	}
	// pHYs stands between IHDR, which ends at byte 33, and the data (PNG, 11.3.5.3).
	const ihdrEnd = 33
	perMetre := uint32(math.Round(float64(pixels) / float64(s.Width) * 1e6))
	chunk := append(binary.BigEndian.AppendUint32(nil, 9), "pHYs"...)
	chunk = binary.BigEndian.AppendUint32(chunk, perMetre)
	chunk = binary.BigEndian.AppendUint32(chunk, perMetre)
	chunk = append(chunk, 1) // metres
	chunk = binary.BigEndian.AppendUint32(chunk, crc32.ChecksumIEEE(chunk[4:]))
	for _, part := range [][]byte{b.Bytes()[:ihdrEnd], chunk, b.Bytes()[ihdrEnd:]} {
		if _, err := w.Write(part); err != nil {
			return err
		}
	}
	return nil
}

// WriteJPEG writes the sheet as a JPEG of a width in pixels; quality is 1 to 100.
func (s *Sheet) WriteJPEG(w io.Writer, pixels, quality int) error {
	img, err := s.Image(pixels)
	if err != nil {
		return err
	}
	return jpeg.Encode(w, img, &jpeg.Options{Quality: quality})
}

// Image returns the sheet as a picture of a width in pixels.
func (s *Sheet) Image(pixels int) (*image.RGBA, error) {
	scale := float64(pixels) / float64(s.Width)
	high := int(math.Round(float64(s.Height) * scale))
	if pixels < 16 || high < 1 || pixels > maxPixels/high {
		return nil, fmt.Errorf("draw: a picture of %d × %d pixels: at most %d in all", pixels, high, maxPixels)
	}
	c := &canvas{img: image.NewRGBA(image.Rect(0, 0, pixels, high)), scale: scale, mask: make([]uint8, pixels*high)}
	for i := range c.img.Pix {
		c.img.Pix[i] = 0xFF
	}
	for i := range s.items {
		if it := &s.items[i]; it.text != "" {
			c.text(s.fonts, it)
		} else {
			c.lines(it)
		}
	}
	return c.img, nil
}

// canvas is a picture in the making. Lines go through mask, where overlapping strokes of one item count
// once; it is all zero between items.
type canvas struct {
	img   *image.RGBA
	scale float64 // pixels per µm
	mask  []uint8
	dirty image.Rectangle
	z     vector.Rasterizer
}

func (c *canvas) lines(it *item) {
	half := max(float64(it.width)*c.scale, 0.7) / 2
	if it.class == "trace" || it.class == "pulse" {
		half = max(half, 0.5)
	}
	c.dirty = image.Rectangle{}
	for _, line := range it.lines {
		if len(line) == 1 {
			c.stroke(line[0], line[0], half, true)
		}
		for i := 1; i < len(line); i++ {
			a, b := line[i-1], line[i]
			if !it.round() && (a.X == b.X || a.Y == b.Y) {
				c.bar(a, b, half, len(line) > 2)
			} else {
				c.stroke(a, b, half, true)
			}
		}
	}
	c.pour(inks[it.ink])
}

// touch returns the pixels of a box within the picture, and notes them.
func (c *canvas) touch(x0, y0, x1, y1 float64) image.Rectangle {
	limit := func(v float64) int { return int(max(-1, min(v, 1<<24))) }
	r := image.Rect(limit(math.Floor(x0)), limit(math.Floor(y0)), limit(math.Ceil(x1)), limit(math.Ceil(y1))).Intersect(c.img.Rect)
	c.dirty = c.dirty.Union(r)
	return r
}

func (c *canvas) cover(at int, v float64) {
	if m := uint8(max(0, min(1, v))*255 + 0.5); m > c.mask[at] {
		c.mask[at] = m
	}
}

// bar draws a level or upright line by the exact area of each pixel that it covers. Ends are flat, and reach
// half the width beyond the points where a corner follows.
func (c *canvas) bar(a, b Point, half float64, corner bool) {
	x0, x1 := float64(min(a.X, b.X))*c.scale, float64(max(a.X, b.X))*c.scale
	y0, y1 := float64(min(a.Y, b.Y))*c.scale, float64(max(a.Y, b.Y))*c.scale
	if a.X == b.X || corner {
		x0, x1 = x0-half, x1+half
	}
	if a.Y == b.Y || corner {
		y0, y1 = y0-half, y1+half
	}
	r := c.touch(x0, y0, x1, y1)
	overlap := func(i int, from, to float64) float64 { return min(float64(i+1), to) - max(float64(i), from) }
	for y := r.Min.Y; y < r.Max.Y; y++ {
		v := overlap(y, y0, y1)
		for x := r.Min.X; x < r.Max.X; x++ {
			c.cover(y*c.img.Rect.Dx()+x, v*overlap(x, x0, x1))
		}
	}
}

// stroke draws a line with round ends by the distance of each pixel's centre.
func (c *canvas) stroke(a, b Point, half float64, _ bool) {
	ax, ay := float64(a.X)*c.scale, float64(a.Y)*c.scale
	bx, by := float64(b.X)*c.scale, float64(b.Y)*c.scale
	edge := half + 0.5
	r := c.touch(min(ax, bx)-edge, min(ay, by)-edge, max(ax, bx)+edge, max(ay, by)+edge)
	dx, dy := bx-ax, by-ay
	length := dx*dx + dy*dy
	for y := r.Min.Y; y < r.Max.Y; y++ {
		py := float64(y) + 0.5 - ay
		for x := r.Min.X; x < r.Max.X; x++ {
			px := float64(x) + 0.5 - ax
			t := 0.0
			if length > 0 {
				t = max(0, min(1, (px*dx+py*dy)/length))
			}
			ex, ey := px-t*dx, py-t*dy
			if d := ex*ex + ey*ey; d < edge*edge {
				c.cover(y*c.img.Rect.Dx()+x, edge-math.Sqrt(d))
			}
		}
	}
}

// pour colours what the mask covers, and clears it.
func (c *canvas) pour(rgb [3]uint8) {
	for y := c.dirty.Min.Y; y < c.dirty.Max.Y; y++ {
		row := c.mask[y*c.img.Rect.Dx():]
		pix := c.img.Pix[y*c.img.Stride:]
		for x := c.dirty.Min.X; x < c.dirty.Max.X; x++ {
			m := uint32(row[x])
			if m == 0 {
				continue
			}
			row[x] = 0
			for i, v := range rgb {
				p := &pix[4*x+i]
				*p = uint8((uint32(*p)*(255-m) + uint32(v)*m + 127) / 255)
			}
		}
	}
}

// text fills the outlines of glyphs. A rune that no font has is a box with its code point.
func (c *canvas) text(fonts *fontSet, it *item) {
	glyphs := fonts.shape(it.text)
	x := float64(it.start(fonts))
	rgb := inks[it.ink]
	fill := image.NewUniform(color.RGBA{rgb[0], rgb[1], rgb[2], 0xFF})
	for _, g := range glyphs {
		if g.font == nil {
			for _, part := range codeBox(g.r, Point{int32(x), it.at.Y}, it) {
				if part.text != "" {
					c.text(fonts, &part)
				} else {
					c.lines(&part)
				}
			}
		} else {
			c.glyph(g, x*c.scale, float64(it.at.Y)*c.scale, float64(it.size)*c.scale, fill)
		}
		x += g.advance * float64(it.size)
	}
}

// start returns where a text begins, µm.
func (it *item) start(fonts *fontSet) int32 {
	switch it.anchor {
	case atMiddle:
		return it.at.X - fonts.width(it.text, it.size)/2
	case atEnd:
		return it.at.X - fonts.width(it.text, it.size)
	}
	return it.at.X
}

func (c *canvas) glyph(g glyph, x, y, size float64, fill image.Image) {
	var buf sfnt.Buffer
	segments, err := g.font.sf.LoadGlyph(&buf, g.index, fixed.I(int(g.font.em)), nil)
	if err != nil || len(segments) == 0 {
		return
	}
	unit := size / g.font.em / 64
	box := segments.Bounds()
	x0, y0 := math.Floor(x+float64(box.Min.X)*unit), math.Floor(y+float64(box.Min.Y)*unit)
	x1, y1 := math.Ceil(x+float64(box.Max.X)*unit), math.Ceil(y+float64(box.Max.Y)*unit)
	const largest = 4000 // pixels of one glyph
	if x1-x0 < 1 || y1-y0 < 1 || x1-x0 > largest || y1-y0 > largest {
		return
	}
	c.z.Reset(int(x1-x0)+1, int(y1-y0)+1)
	at := func(p fixed.Point26_6) (float32, float32) {
		return float32(x + float64(p.X)*unit - x0), float32(y + float64(p.Y)*unit - y0)
	}
	for _, s := range segments {
		ax, ay := at(s.Args[0])
		bx, by := at(s.Args[1])
		cx, cy := at(s.Args[2])
		switch s.Op {
		case sfnt.SegmentOpMoveTo:
			c.z.ClosePath()
			c.z.MoveTo(ax, ay)
		case sfnt.SegmentOpLineTo:
			c.z.LineTo(ax, ay)
		case sfnt.SegmentOpQuadTo:
			c.z.QuadTo(ax, ay, bx, by)
		case sfnt.SegmentOpCubeTo:
			c.z.CubeTo(ax, ay, bx, by, cx, cy)
		}
	}
	c.z.ClosePath()
	r := image.Rect(int(x0), int(y0), int(x1)+1, int(y1)+1)
	if r.In(c.img.Rect) {
		c.z.Draw(c.img, r, fill, image.Point{})
		return
	}
	if r.Overlaps(c.img.Rect) { // the rasteriser does not clip
		mask := image.NewAlpha(image.Rect(0, 0, r.Dx(), r.Dy()))
		c.z.Draw(mask, mask.Rect, image.Opaque, image.Point{})
		draw.DrawMask(c.img, r, fill, image.Point{}, mask, image.Point{}, draw.Over)
	}
}

// codeBox is what stands for a rune without a glyph: a box of an em with its code point in hexadecimal, in
// two rows.
func codeBox(r rune, at Point, like *item) []item {
	em := like.size
	x0, x1, y0, y1 := at.X+em/20, at.X+em*19/20, at.Y-em*85/100, at.Y+em/10
	code := fmt.Sprintf("%04X", r)
	split := (len(code) + 1) / 2
	small := em * 2 / 5
	if len(code) > 4 {
		small = em * 3 / 10
	}
	middle := (x0 + x1) / 2
	return []item{
		{ink: like.ink, class: "box", width: max(60, em/25), lines: [][]Point{{{x0, y0}, {x1, y0}, {x1, y1}, {x0, y1}, {x0, y0}}}},
		{ink: like.ink, text: code[:split], at: Point{middle, at.Y - em*45/100}, size: small, anchor: atMiddle},
		{ink: like.ink, text: code[split:], at: Point{middle, at.Y}, size: small, anchor: atMiddle},
	}
}
