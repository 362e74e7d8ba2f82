package render

import (
	"fmt"
	"image"
	"image/color"
	"image/gif"
	"image/jpeg"
	"image/png"
	"io"
)

// Media types of pictures.
const (
	TypeJPEG = "image/jpeg"
	TypePNG  = "image/png"
	TypeGIF  = "image/gif"
)

// Encode writes a picture as one of the media types above. quality is 1 to 100, for JPEG.
func Encode(w io.Writer, p image.Image, mediaType string, quality int) error {
	switch mediaType {
	case TypeJPEG:
		return jpeg.Encode(w, p, &jpeg.Options{Quality: quality})
	case TypePNG:
		return (&png.Encoder{CompressionLevel: png.BestSpeed}).Encode(w, p)
	case TypeGIF:
		if grey, ok := p.(*image.Gray); ok {
			p = exactGreys(grey)
		}
		return gif.Encode(w, p, &gif.Options{NumColors: 256})
	}
	return fmt.Errorf("no encoder for %s", mediaType)
}

// exactGreys is a grey picture with a palette of all greys, which GIF keeps without loss.
func exactGreys(p *image.Gray) image.Image {
	out := image.NewPaletted(p.Bounds(), greys)
	copy(out.Pix, p.Pix) // both begin at (0, 0) and have rows without gaps
	return out
}

var greys = func() color.Palette {
	all := make(color.Palette, 256)
	for i := range all {
		all[i] = color.Gray{Y: uint8(i)}
	}
	return all
}()
