package render

import (
	"bytes"
	"compress/flate"
	"image"
	"io"

	"github.com/tributary-dicom/tributary/parsers/uid"
)

// Options is what a client asks of a picture (PS3.18 §8.3.5).
type Options struct {
	Window *Window // takes the place of the image's own; colour has none
	View   View
}

// Memory is what drawing a frame of so many stored bytes takes at most, in bytes.
func (o Options) Memory(m *Module, stored int64) int64 {
	part := image.Rect(0, 0, m.Columns, m.Rows)
	if cut := o.View.Part.Intersect(part); !cut.Empty() {
		part = cut
	}
	width, height := o.View.size(part, m.Aspect)
	return m.memory(stored) + 2*4*int64(width)*int64(height) // the picture to send, and its compressed form
}

// Draw decodes one frame and draws it. Native frames are in little endian order, whatever their syntax. Errors
// are *PixelError and *NoDecoderError.
func Draw(m *Module, syntax string, frame []byte, opt Options) (image.Image, error) {
	if int64(len(frame)) > MaxFrameBytes {
		return nil, wrong("a frame of %d bytes is larger than those that are drawn", len(frame))
	}
	picture, err := m.draw(syntax, frame, opt.Window)
	if err != nil {
		return nil, err
	}
	return opt.View.apply(picture, m.Aspect)
}

func (m *Module) draw(syntax string, frame []byte, window *Window) (image.Image, error) {
	if err := CanDecode(syntax); err != nil {
		return nil, err
	}
	planar, ybr := m.Planar, m.SamplesPerPixel == 3 && m.Photometric != "RGB"
	pixels := m.Rows * m.Columns
	var err error
	switch syntax {
	case jpegBaseline, jpegExtended:
		if m.BitsAllocated == 16 { // eight bits that were to be stored in sixteen
			one := *m
			one.BitsAllocated, one.BitsStored, one.HighBit = 8, min(m.BitsStored, 8), min(m.HighBit, 7)
			m = &one
		}
		if frame, err = decodeJPEG(frame, m, syntax); err != nil {
			return nil, err
		}
		planar, ybr = false, false
	case rleLossless:
		if m.BitsAllocated < 8 { // eight pixels a byte, as in native frames
			frame, err = decodeRLE(frame, int(m.FrameBytes()), 1, 1)
		} else {
			frame, err = decodeRLE(frame, pixels, m.SamplesPerPixel, m.BitsAllocated/8)
		}
		if err != nil {
			return nil, err
		}
		planar = true
	case deflatedFrame:
		if frame, err = inflate(frame, m.FrameBytes()); err != nil {
			return nil, err
		}
		fallthrough
	default:
		if m.subsampled() && int64(len(frame)) < m.FrameBytes() {
			if frame, err = m.spread(frame); err != nil {
				return nil, err
			}
			planar = false
		}
	}
	if int64(len(frame)) < m.FrameBytes() {
		return nil, wrong("a frame of %d × %d pixels has %d bytes instead of %d", m.Columns, m.Rows, len(frame), m.FrameBytes())
	}
	switch {
	case m.SamplesPerPixel == 3:
		// Decoders of the reversible and irreversible transforms give RGB; nothing here decodes them.
		return m.colour(frame, planar, ybr && m.Photometric != "YBR_ICT" && m.Photometric != "YBR_RCT"), nil
	case m.Photometric == "PALETTE COLOR":
		return m.paletted(frame), nil
	}
	return m.grey(frame, window), nil
}

// subsampled reports whether native frames have one colour difference for two pixels.
func (m *Module) subsampled() bool {
	return m.Photometric == "YBR_FULL_422" || m.Photometric == "YBR_PARTIAL_422"
}

// inflate decodes one frame of Deflated Image Frame Compression (PS3.5 §A.4.14); at most n bytes of it.
func inflate(frame []byte, n int64) ([]byte, error) {
	out, err := io.ReadAll(io.LimitReader(flate.NewReader(bytes.NewReader(frame)), n))
	if err != nil {
		return nil, wrong("the deflated frame is damaged")
	}
	return out, nil
}

// IsNative reports whether frames of a syntax are stored without compression of each.
func IsNative(syntax string) bool {
	ts, known := uid.TransferSyntax(syntax)
	return known && !ts.Encapsulated
}
