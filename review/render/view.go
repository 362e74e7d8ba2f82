package render

import (
	"image"
	"math"
)

// Bounds of a picture that is sent, in pixels of one side. More than a wall of screens shows is a mistake.
const maxSide = 4096

// View is which part of a picture is shown, and how large.
type View struct {
	// Width and Height are of the box that the picture is fitted into, keeping its shape; 0 for its own
	// size. NoEnlarge keeps a smaller picture as it is.
	Width, Height int
	NoEnlarge     bool

	// Part is the region that is shown, in pixels of the image; empty for all of it.
	Part image.Rectangle
	// FlipX and FlipY mirror the region left to right and top to bottom.
	FlipX, FlipY bool
}

// apply cuts, shapes and scales a picture; aspect is the height of a pixel over its width.
func (v View) apply(p image.Image, aspect float64) (image.Image, error) {
	part := p.Bounds()
	if !v.Part.Empty() {
		if part = v.Part.Intersect(part); part.Empty() {
			return nil, wrong("the region that was asked for lies outside of the picture")
		}
	}
	width, height := v.size(part, aspect)
	if part == p.Bounds() && width == part.Dx() && height == part.Dy() && !v.FlipX && !v.FlipY {
		return p, nil
	}
	return scale(p, part, width, height, v.FlipX, v.FlipY), nil
}

// size returns the sides of the picture that shows part.
func (v View) size(part image.Rectangle, aspect float64) (width, height int) {
	w, h := float64(part.Dx()), float64(part.Dy())
	if aspect > 1 { // never fewer pixels than there were
		h *= aspect
	} else {
		w /= aspect
	}
	factor := min(1, maxSide/w, maxSide/h)
	if v.Width > 0 || v.Height > 0 {
		factor = min(orSide(v.Width)/w, orSide(v.Height)/h)
		if v.NoEnlarge {
			factor = min(factor, 1)
		}
	} else if aspect == 1 {
		factor = 1
	}
	return max(1, int(math.Round(w*factor))), max(1, int(math.Round(h*factor)))
}

func orSide(n int) float64 {
	if n <= 0 {
		return maxSide
	}
	return float64(min(n, maxSide))
}

// scale resamples part of a picture with a triangle as wide as a pixel of the coarser side: an average where
// the picture shrinks, straight lines where it grows. It holds one row of the source at a time.
func scale(p image.Image, part image.Rectangle, width, height int, flipX, flipY bool) image.Image {
	var src []byte
	var stride, channels int
	var dst []byte
	var out image.Image
	size := image.Rect(0, 0, width, height)
	switch s := p.(type) {
	case *image.Gray:
		o := image.NewGray(size)
		src, stride, channels, dst, out = s.Pix, s.Stride, 1, o.Pix, o
	case *image.RGBA:
		o := image.NewRGBA(size)
		src, stride, channels, dst, out = s.Pix, s.Stride, 4, o.Pix, o
	default:
		return p // Draw makes no other
	}
	columns := taps(part.Dx(), width, flipX)
	rows := taps(part.Dy(), height, flipY)
	sum := make([]float32, part.Dx()*channels)
	for y, t := range rows {
		clear(sum)
		for i, weight := range t.weights {
			at := (part.Min.Y+t.first+i)*stride + part.Min.X*channels
			for x, b := range src[at : at+len(sum)] {
				sum[x] += weight * float32(b)
			}
		}
		for x, t := range columns {
			for c := range channels {
				var v float32
				for i, weight := range t.weights {
					v += weight * sum[(t.first+i)*channels+c]
				}
				dst[(y*width+x)*channels+c] = byte(min(max(v, 0), 255) + 0.5)
			}
		}
	}
	return out
}

// tap is the source pixels of one target pixel, with weights that add up to 1.
type tap struct {
	first   int
	weights []float32
}

func taps(from, to int, flip bool) []tap {
	out := make([]tap, to)
	ratio := float64(from) / float64(to)
	support := max(1, ratio)
	for i := range out {
		center := (float64(i)+0.5)*ratio - 0.5
		first := max(0, int(math.Ceil(center-support)))
		last := min(from-1, int(math.Floor(center+support)))
		t := tap{first: first}
		var sum float64
		for j := first; j <= last; j++ {
			w := 1 - math.Abs(float64(j)-center)/support
			t.weights = append(t.weights, float32(w))
			sum += w
		}
		if !(sum > 0) {
			t = tap{first: min(max(0, int(math.Round(center))), from-1), weights: []float32{1}}
			sum = 1
		}
		for j := range t.weights {
			t.weights[j] /= float32(sum)
		}
		if flip {
			out[to-1-i] = t
		} else {
			out[i] = t
		}
	}
	return out
}
