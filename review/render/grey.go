package render

import (
	"encoding/binary"
	"image"
	"math"
)

// bits returns the stored bits of pixel i of a frame of one sample of up to 32 bits.
func (m *Module) bits(data []byte, i int) uint32 {
	var v uint32
	switch m.BitsAllocated {
	case 1:
		return uint32(data[i/8]>>(i%8)) & 1
	case 8:
		v = uint32(data[i])
	case 16:
		v = uint32(binary.LittleEndian.Uint16(data[2*i:]))
	default:
		v = binary.LittleEndian.Uint32(data[4*i:])
	}
	return v >> (m.HighBit + 1 - m.BitsStored) & uint32(1<<m.BitsStored-1)
}

// stored returns the value of stored bits, with their sign.
func (m *Module) stored(v uint32) int {
	if m.Signed && v>>(m.BitsStored-1)&1 == 1 {
		return int(v) - 1<<m.BitsStored
	}
	return int(v)
}

// value returns stored bits after the Modality LUT.
func (m *Module) value(v uint32) float64 {
	s := m.stored(v)
	if m.modality != nil {
		return float64(m.modality.at(s))
	}
	return float64(s)*m.slope + m.intercept
}

func (m *Module) isPadding(v uint32) bool {
	if !m.padded {
		return false
	}
	s := m.stored(v)
	return s >= m.padding[0] && s <= m.padding[1]
}

// plain reports whether stored values of 8 bits are shown as they are.
func (m *Module) plain() bool {
	if m.inverse || m.modality != nil || m.voi != nil || m.slope != 1 || m.intercept != 0 || m.padded || m.Signed || m.BitsStored != 8 {
		return false
	}
	w := m.window
	return w == nil || w.Width >= 255 && w.Width <= 256 && math.Abs(w.Center-128) <= 1 && w.Function != Sigmoid
}

// grey draws a frame of one sample. Without a window or VOI LUT, the values that the frame has fill the range
// from black to white, except for those of eight bits, which are shown as they are.
func (m *Module) grey(data []byte, asked *Window) image.Image {
	img := image.NewGray(image.Rect(0, 0, m.Columns, m.Rows))
	if m.Float || m.BitsStored > 16 {
		m.wide(img.Pix, data, asked)
		return img
	}
	shade := m.shades(data, asked)
	for i := range img.Pix {
		img.Pix[i] = shade[m.bits(data, i)]
	}
	return img
}

// shades returns the grey of each stored value of up to 16 bits.
func (m *Module) shades(data []byte, asked *Window) []byte {
	show := m.voiStep(asked)
	if show == nil {
		var low, high float64
		if m.BitsStored <= 8 && m.modality == nil {
			a, b := m.value(uint32(m.least())), m.value(uint32(m.greatest()))
			low, high = min(a, b), max(a, b)
		} else {
			low, high = m.extent(data)
		}
		show = stretch(low, high)
	}
	shade := make([]byte, 1<<m.BitsStored)
	for v := range shade {
		if m.isPadding(uint32(v)) {
			continue // black, inverse or not: there is no image
		}
		shade[v] = m.shade(show(m.value(uint32(v))))
	}
	return shade
}

// least and greatest are the stored bits of the extreme values.
func (m *Module) least() int {
	if m.Signed {
		return 1 << (m.BitsStored - 1)
	}
	return 0
}

func (m *Module) greatest() int {
	if m.Signed {
		return 1<<(m.BitsStored-1) - 1
	}
	return 1<<m.BitsStored - 1
}

// voiStep returns the VOI step that was asked for, or else the image's first one; nil for none.
func (m *Module) voiStep(asked *Window) func(float64) float64 {
	switch {
	case asked != nil:
		return asked.at
	case m.window != nil:
		return m.window.at
	case m.voi != nil:
		t := m.voi
		return func(x float64) float64 {
			x = max(-1<<17, min(x, 1<<17)) // beyond any table; NaN stays, and is taken for its first entry
			return float64(t.at(int(math.Round(x)))) / t.most()
		}
	}
	return nil
}

// extent returns the least and greatest value of a frame, padding apart.
func (m *Module) extent(data []byte) (low, high float64) {
	used := make([]bool, 1<<m.BitsStored)
	for i := range m.Rows * m.Columns {
		used[m.bits(data, i)] = true
	}
	low, high = math.Inf(1), math.Inf(-1)
	for v, u := range used {
		if u && !m.isPadding(uint32(v)) {
			x := m.value(uint32(v))
			low, high = min(low, x), max(high, x)
		}
	}
	return low, high
}

// stretch maps low to black and high to white; a frame of one value is black.
func stretch(low, high float64) func(float64) float64 {
	if !(high > low) {
		return func(float64) float64 { return 0 }
	}
	return func(x float64) float64 { return clamp((x - low) / (high - low)) }
}

// shade is the last step: brightness 0 to 1 as a grey, turned round where the image says so.
func (m *Module) shade(brightness float64) byte {
	v := byte(255*clamp(brightness) + 0.5)
	if m.inverse {
		return 255 - v
	}
	return v
}

// wide draws values that are too many for a table: 32 bits and floating point. What is no number is black.
func (m *Module) wide(dst, data []byte, asked *Window) {
	at := m.wideValue(data)
	show := m.voiStep(asked)
	if show == nil {
		low, high := math.Inf(1), math.Inf(-1)
		for i := range dst {
			if x, ok := at(i); ok {
				low, high = min(low, x), max(high, x)
			}
		}
		show = stretch(low, high)
	}
	for i := range dst {
		if x, ok := at(i); ok {
			dst[i] = m.shade(show(x))
		}
	}
}

func (m *Module) wideValue(data []byte) func(i int) (float64, bool) {
	if !m.Float {
		return func(i int) (float64, bool) {
			v := m.bits(data, i)
			return m.value(v), !m.isPadding(v)
		}
	}
	return func(i int) (float64, bool) {
		var x float64
		if m.BitsAllocated == 32 {
			x = float64(math.Float32frombits(binary.LittleEndian.Uint32(data[4*i:])))
		} else {
			x = math.Float64frombits(binary.LittleEndian.Uint64(data[8*i:]))
		}
		x = x*m.slope + m.intercept
		return x, !math.IsNaN(x) && !math.IsInf(x, 0)
	}
}
