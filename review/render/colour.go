package render

import (
	"encoding/binary"
	"image"
	"image/color"
)

// colour draws a frame of three samples; data are color-by-pixel or, with planar, color-by-plane.
func (m *Module) colour(data []byte, planar, ybr bool) image.Image {
	pixels := m.Rows * m.Columns
	img := image.NewRGBA(image.Rect(0, 0, m.Columns, m.Rows))
	step, next := 3, 1 // in samples: from pixel to pixel, from sample to sample
	if planar {
		step, next = 1, pixels
	}
	partial := m.Photometric == "YBR_PARTIAL_422" || m.Photometric == "YBR_PARTIAL_420"
	for i := range pixels {
		var one [3]byte
		for s := range one {
			one[s] = m.sample8(data, i*step+s*next)
		}
		if ybr {
			if partial {
				one = fullRange(one)
			}
			one = fromYBR(one)
		}
		p := img.Pix[4*i:][:4]
		p[0], p[1], p[2], p[3] = one[0], one[1], one[2], 0xFF
	}
	return img
}

// sample8 returns the eight most significant stored bits of sample i.
func (m *Module) sample8(data []byte, i int) byte {
	v := uint32(0)
	if m.BitsAllocated == 8 {
		v = uint32(data[i])
	} else {
		v = uint32(binary.LittleEndian.Uint16(data[2*i:]))
	}
	v = v >> (m.HighBit + 1 - m.BitsStored) & (1<<m.BitsStored - 1)
	if m.BitsStored >= 8 {
		return byte(v >> (m.BitsStored - 8))
	}
	return byte(v * 255 / (1<<m.BitsStored - 1))
}

// spread turns native 4:2:2, two luminances and their two colour differences (PS3.3 §C.7.6.3.1.2), into
// color-by-pixel. A column without its neighbour at the end of an odd row has its own pair of four bytes.
func (m *Module) spread(data []byte) ([]byte, error) {
	pairs := (m.Columns + 1) / 2
	if m.BitsAllocated != 8 || len(data) < m.Rows*m.Columns*2 {
		return nil, wrong("a 4:2:2 frame is shorter than its rows and columns")
	}
	if m.Columns%2 == 1 && len(data) < m.Rows*pairs*4 {
		return nil, wrong("a 4:2:2 frame of an odd number of columns is not drawn")
	}
	out := make([]byte, 0, m.Rows*m.Columns*3)
	for y := range m.Rows {
		row := data[y*pairs*4:]
		for x := range m.Columns {
			pair := row[x/2*4:][:4]
			out = append(out, pair[x%2], pair[2], pair[3])
		}
	}
	return out, nil
}

// fromYBR converts full-range YBR to RGB (PS3.3 §C.7.6.3.1.2, YBR_FULL).
func fromYBR(p [3]byte) [3]byte {
	r, g, b := color.YCbCrToRGB(p[0], p[1], p[2])
	return [3]byte{r, g, b}
}

// fullRange widens the partial range of YBR_PARTIAL_422: 16 to 235, colour differences 16 to 240.
func fullRange(p [3]byte) [3]byte {
	return [3]byte{
		byte(255*clamp((float64(p[0])-16)/219) + 0.5),
		byte(255*clamp((float64(p[1])-128)/224+0.5) + 0.5),
		byte(255*clamp((float64(p[2])-128)/224+0.5) + 0.5),
	}
}

// paletted draws a PALETTE COLOR frame.
func (m *Module) paletted(data []byte) image.Image {
	var lut [3][]byte
	for i, t := range m.palette {
		lut[i] = make([]byte, 1<<m.BitsStored)
		for v := range lut[i] {
			lut[i][v] = byte(t.at(m.stored(uint32(v))) >> (t.bits - 8))
		}
	}
	img := image.NewRGBA(image.Rect(0, 0, m.Columns, m.Rows))
	for i := range m.Rows * m.Columns {
		v := m.bits(data, i)
		p := img.Pix[4*i:][:4]
		p[0], p[1], p[2], p[3] = lut[0][v], lut[1][v], lut[2][v], 0xFF
	}
	return img
}
