package render

import (
	"bytes"
	"encoding/binary"
	"image"
	"image/jpeg"
)

// JPEGHead is what a JPEG stream says before its first scan (ISO/IEC 10918-1 §B.2).
type JPEGHead struct {
	Process    byte // n of the SOFn marker: 0 baseline, 1 extended sequential, 2 progressive, 3 lossless
	Precision  int  // bits of a sample
	Rows       int
	Columns    int
	Components int
	JFIF       bool // components are YCbCr
	Adobe      int  // transform of the Adobe marker: 0 none, 1 YCbCr; -1 where there is no such marker
}

// MaxJPEGHead is how far into a stream a frame header is looked for, bytes: profiles and thumbnails in
// application segments come before it.
const MaxJPEGHead = 1 << 20

// ReadJPEGHead reads the markers at the begin of a stream. false means that none of them is a frame header.
func ReadJPEGHead(b []byte) (JPEGHead, bool) {
	h := JPEGHead{Adobe: -1}
	if len(b) < 2 || b[0] != 0xFF || b[1] != 0xD8 {
		return h, false
	}
	b = b[2:]
	for len(b) >= 4 {
		if b[0] != 0xFF {
			return h, false
		}
		marker := b[1]
		if marker == 0xFF { // fill byte
			b = b[1:]
			continue
		}
		length := int(binary.BigEndian.Uint16(b[2:]))
		if length < 2 || 2+length > len(b) || marker == 0xDA || marker == 0xD9 {
			return h, false
		}
		body := b[4 : 2+length]
		switch {
		case marker >= 0xC0 && marker <= 0xCF && marker != 0xC4 && marker != 0xC8 && marker != 0xCC:
			if len(body) < 6 {
				return h, false
			}
			h.Process, h.Precision, h.Components = marker-0xC0, int(body[0]), int(body[5])
			h.Rows, h.Columns = int(binary.BigEndian.Uint16(body[1:])), int(binary.BigEndian.Uint16(body[3:]))
			return h, true
		case marker == 0xE0 && bytes.HasPrefix(body, []byte("JFIF\x00")):
			h.JFIF = true
		case marker == 0xEE && bytes.HasPrefix(body, []byte("Adobe")) && len(body) >= 12:
			h.Adobe = int(body[11])
		}
		b = b[2+length:]
	}
	return h, false
}

// Check returns an error for a stream that is not drawn: a *NoDecoderError for a process without a decoder,
// a *PixelError where it contradicts the header.
func (h JPEGHead) Check(m *Module, syntax string) error {
	switch {
	case h.Process > 1:
		return &NoDecoderError{syntax, "a JPEG process that is not sequential DCT"}
	case h.Precision != 8:
		return &NoDecoderError{syntax, "JPEG of 12 bits"}
	case h.Rows != m.Rows || h.Columns != m.Columns:
		return wrong("the JPEG stream has %d × %d pixels where the header has %d × %d", h.Columns, h.Rows, m.Columns, m.Rows)
	case h.Components != m.SamplesPerPixel:
		return wrong("the JPEG stream has %d components where the header has %d samples a pixel", h.Components, m.SamplesPerPixel)
	case m.BitsAllocated != 8 && m.BitsAllocated != 16:
		return wrong("a JPEG stream of 8 bits does not fit %d bits allocated", m.BitsAllocated)
	}
	return nil
}

// Shows reports whether a browser shows the stream as DICOM means it: as it is, without window, inversion
// or another shape, and in the colours that the header names.
func (h JPEGHead) Shows(m *Module) bool {
	if m.Aspect != 1 || h.Process > 1 || h.Precision != 8 {
		return false
	}
	if h.Components == 1 {
		return m.Photometric == "MONOCHROME2" && m.plain()
	}
	return h.Components == 3 && h.ycc(m) == (h.Adobe != 0)
}

// ycc reports whether three components are YCbCr: by the stream's own word before the header's, which is
// often RGB for streams that are not.
func (h JPEGHead) ycc(m *Module) bool {
	switch {
	case h.Adobe >= 0:
		return h.Adobe != 0
	case h.JFIF:
		return true
	}
	return m.Photometric != "RGB"
}

// decodeJPEG decodes a sequential DCT stream of 8 bits, after its head was checked. The result is grey or
// RGB, 8 bits, color-by-pixel.
func decodeJPEG(frame []byte, m *Module, syntax string) ([]byte, error) {
	head, ok := ReadJPEGHead(frame[:min(len(frame), MaxJPEGHead)])
	if !ok {
		return nil, wrong("the frame is no JPEG stream")
	}
	if err := head.Check(m, syntax); err != nil {
		return nil, err
	}
	picture, err := jpeg.Decode(bytes.NewReader(frame))
	if err != nil {
		return nil, wrong("the JPEG stream is damaged")
	}
	switch p := picture.(type) {
	case *image.Gray:
		if m.SamplesPerPixel == 1 {
			return rowsOf(p.Pix, p.Stride, m.Columns, m.Rows), nil
		}
	case *image.YCbCr:
		if m.SamplesPerPixel == 3 {
			return colourOf(p, head.ycc(m)), nil
		}
	case *image.RGBA:
		if m.SamplesPerPixel == 3 {
			out := make([]byte, 0, 3*m.Rows*m.Columns)
			for y := range m.Rows {
				for x := range m.Columns {
					out = append(out, p.Pix[y*p.Stride+4*x:][:3]...)
				}
			}
			return out, nil
		}
	}
	return nil, wrong("the JPEG stream's components do not fit the header")
}

// rowsOf drops what a row has beyond its width.
func rowsOf(pix []byte, stride, width, height int) []byte {
	if stride == width {
		return pix[:width*height]
	}
	out := make([]byte, 0, width*height)
	for y := range height {
		out = append(out, pix[y*stride:][:width]...)
	}
	return out
}

func colourOf(p *image.YCbCr, ycc bool) []byte {
	b := p.Bounds()
	out := make([]byte, 0, 3*b.Dx()*b.Dy())
	for y := b.Min.Y; y < b.Max.Y; y++ {
		for x := b.Min.X; x < b.Max.X; x++ {
			c := p.COffset(x, y)
			one := [3]byte{p.Y[p.YOffset(x, y)], p.Cb[c], p.Cr[c]}
			if ycc {
				one = fromYBR(one)
			}
			out = append(out, one[:]...)
		}
	}
	return out
}
