package render

import (
	"math"
	"math/bits"
	"strings"
)

// Bounds of one frame. Lower ones refuse mammograms (30 Mpx of 16 bits); with higher ones a device's two
// numbers hold the memory of a node.
const (
	MaxSamples    = 64 << 20  // Rows × Columns × Samples per Pixel
	MaxFrameBytes = 128 << 20 // of a frame as it is stored, and as it is decoded
)

// MaxLUTBytes is how long the value of one lookup table may be: 65,536 entries of two bytes.
const MaxLUTBytes = 128 << 10

// Module is the image pixel, LUT and geometry attributes of one frame (PS3.3 §C.7.6.3, §C.11.1, §C.11.2).
type Module struct {
	Rows, Columns, SamplesPerPixel int
	Photometric                    string // (0028,0004) in upper case
	BitsAllocated, BitsStored      int
	HighBit                        int
	Signed                         bool // Pixel Representation (0028,0103) is 1
	Planar                         bool // Planar Configuration (0028,0006) is 1
	Float                          bool // Float or Double Float Pixel Data (7FE0,0008), (7FE0,0009)
	NumberOfFrames                 int  // at least 1

	// Aspect is the height of a pixel over its width, 1 where nothing is said.
	Aspect float64

	slope, intercept float64
	modality         *table
	window           *Window
	voi              *table
	inverse          bool
	padding          [2]int // range of stored values that are no image, the lesser first
	padded           bool
	palette          [3]*table
}

// Values fetches a value that the header refers to by path, at most MaxLUTBytes of it, in little endian order.
type Values func(path string) ([]byte, error)

// ReadModule reads the header JSON of an instance for one frame, counted from 1. It returns a *PixelError for
// pixels that cannot be drawn whatever their bytes are.
func ReadModule(header []byte, frame int, values Values) (*Module, error) {
	var shared, perFrame dataset
	top := dataset{}
	err := walk(header, '{', func(key string, value []byte) (err error) {
		switch key {
		case "52009229":
			shared, err = functional(value, 0)
		case "52009230":
			perFrame, err = functional(value, frame-1)
		default:
			if strings.HasPrefix(key, "0028") || key == "20500020" || key == "7FE00008" || key == "7FE00009" {
				one, errOne := parse([]byte(`{"`+key+`":`+string(value)+`}`), everything)
				top[key], err = one[key], errOne
			}
		}
		return err
	})
	if err != nil {
		return nil, err
	}
	m := &Module{
		Rows: top.integer("00280010", 0), Columns: top.integer("00280011", 0),
		SamplesPerPixel: top.integer("00280002", 1), Photometric: top.text("00280004"),
		BitsAllocated: top.integer("00280100", 0), BitsStored: top.integer("00280101", 0), HighBit: top.integer("00280102", -1),
		Signed: top.integer("00280103", 0) == 1, Planar: top.integer("00280006", 0) == 1,
		NumberOfFrames: max(1, top.integer("00280008", 1)),
		slope:          1,
	}
	_, float := top["7FE00008"]
	_, double := top["7FE00009"]
	m.Float = float || double
	if err := m.check(); err != nil {
		return nil, err
	}
	m.readAspect(top, shared, perFrame)
	if err := m.readGrey(top, shared, perFrame, values); err != nil {
		return nil, err
	}
	if m.Photometric == "PALETTE COLOR" {
		return m, m.readPalette(top, values)
	}
	if _, ok := top["00281101"]; ok { // a Supplemental Palette (PS3.3 §C.7.6.19) is not drawn, but must be one
		_, _, err = descriptor(top, "00281101", m.Signed)
	}
	return m, err
}

// Representative returns the frame that an instance names as the one that stands for it (0028,6010), from 1; 0
// where it names none.
func Representative(header []byte) int {
	top, err := parse(header, func(tag string) bool { return tag == "00286010" })
	if err != nil {
		return 0
	}
	return top.integer("00286010", 0)
}

// isFunctional names the functional groups that say how a frame is drawn: Pixel Measures, Frame VOI LUT and
// Pixel Value Transformation.
func isFunctional(tag string) bool {
	return tag == "00289110" || tag == "00289132" || tag == "00289145"
}

// check refuses what no frame can be. Bits are those of PS3.5 §8.1.1.
func (m *Module) check() error {
	switch {
	case m.Rows < 1 || m.Columns < 1 || m.Rows > math.MaxUint16 || m.Columns > math.MaxUint16:
		return wrong("there is no picture: %d rows of %d columns", m.Rows, m.Columns)
	case m.SamplesPerPixel != 1 && m.SamplesPerPixel != 3:
		return wrong("%d samples a pixel are not drawn", m.SamplesPerPixel)
	case m.Rows*m.Columns*m.SamplesPerPixel > MaxSamples:
		return wrong("%d × %d pixels of %d samples are more than are drawn (%d samples)", m.Columns, m.Rows, m.SamplesPerPixel, MaxSamples)
	}
	switch m.BitsAllocated {
	case 1, 8, 16, 32:
	case 64:
		if !m.Float {
			return wrong("64 bits allocated are only drawn as floating point")
		}
	default:
		return wrong("%d bits allocated are not drawn", m.BitsAllocated)
	}
	if m.Float {
		m.BitsStored, m.HighBit = m.BitsAllocated, m.BitsAllocated-1
	}
	if m.BitsStored == 0 {
		m.BitsStored = m.BitsAllocated
	}
	if m.HighBit == -1 {
		m.HighBit = m.BitsStored - 1
	}
	if m.BitsStored < 1 || m.BitsStored > m.BitsAllocated || m.HighBit < m.BitsStored-1 || m.HighBit >= m.BitsAllocated {
		return wrong("%d bits stored up to bit %d do not fit %d bits allocated", m.BitsStored, m.HighBit, m.BitsAllocated)
	}
	if m.FrameBytes() > MaxFrameBytes {
		return wrong("a frame of %d bytes is larger than those that are drawn (%d)", m.FrameBytes(), MaxFrameBytes)
	}
	switch m.Photometric {
	case "MONOCHROME1", "MONOCHROME2", "":
		if m.SamplesPerPixel == 1 {
			return nil
		}
	case "PALETTE COLOR":
		if m.SamplesPerPixel == 1 && m.BitsAllocated <= 16 {
			return nil
		}
	case "RGB", "YBR_FULL", "YBR_FULL_422", "YBR_PARTIAL_422", "YBR_PARTIAL_420", "YBR_ICT", "YBR_RCT":
		if m.SamplesPerPixel == 3 && (m.BitsAllocated == 8 || m.BitsAllocated == 16) {
			return nil
		}
	}
	return wrong("photometric interpretation %s with %d samples of %d bits is not drawn", clip(m.Photometric), m.SamplesPerPixel, m.BitsAllocated)
}

// clip makes a device's word fit for an error message.
func clip(s string) string {
	return strings.Map(func(r rune) rune {
		if r == ' ' || r == '_' || r >= '0' && r <= '9' || r >= 'A' && r <= 'Z' {
			return r
		}
		return -1
	}, s[:min(len(s), 16)])
}

// FrameBytes is the length of a native frame that is not subsampled, bytes.
func (m *Module) FrameBytes() int64 {
	hi, n := bits.Mul64(uint64(m.Rows)*uint64(m.Columns), uint64(m.SamplesPerPixel*m.BitsAllocated))
	if hi != 0 || n > math.MaxInt64-7 {
		return math.MaxInt64
	}
	return int64(n+7) / 8
}

// MaxStoredBytes is how long a frame may be as it is stored: a compressed one at worst twice its pixels.
func (m *Module) MaxStoredBytes() int64 { return min(2*m.FrameBytes()+1<<20, MaxFrameBytes) }

// memory is what the stored and the decoded frame and their picture take at most, in bytes: of a pixel one or
// four bytes as it is drawn, and as many as a JPEG decoder has in between.
func (m *Module) memory(stored int64) int64 {
	perPixel := int64(2)
	if m.SamplesPerPixel == 3 || m.Photometric == "PALETTE COLOR" {
		perPixel = 7
	}
	return stored + m.FrameBytes() + int64(m.Rows)*int64(m.Columns)*perPixel
}

// maxAspect bounds how far pixels are drawn out: beyond it the numbers are mistaken.
const maxAspect = 16

// readAspect reads the form of a pixel: Pixel Aspect Ratio (0028,0034), or the spacing of rows and columns.
func (m *Module) readAspect(top, shared, perFrame dataset) {
	m.Aspect = 1
	for _, from := range []struct {
		level dataset
		tag   string
	}{
		{top, "00280034"},
		{perFrame.item("00289110", 0, everything), "00280030"},
		{shared.item("00289110", 0, everything), "00280030"},
		{top, "00280030"},
	} {
		vertical, ok1 := from.level.number(from.tag, 0)
		horizontal, ok2 := from.level.number(from.tag, 1)
		if !ok1 || !ok2 || !(vertical > 0) || !(horizontal > 0) {
			continue
		}
		const rounding = 0.01 // spacings are written with a few digits
		ratio := vertical / horizontal
		if ratio > 1/float64(maxAspect) && ratio < maxAspect && math.Abs(ratio-1) > rounding {
			m.Aspect = ratio
		}
		return
	}
}

// readGrey reads the steps from stored values to grey: those of the frame before the shared ones before those
// of the image.
func (m *Module) readGrey(top, shared, perFrame dataset, values Values) (err error) {
	if m.SamplesPerPixel != 1 || m.Photometric == "PALETTE COLOR" {
		return nil
	}
	transform := first(perFrame.item("00289145", 0, everything), shared.item("00289145", 0, everything), top)
	if slope, ok := transform.number("00281053", 0); ok && slope != 0 {
		m.slope = slope
	}
	if intercept, ok := transform.number("00281052", 0); ok {
		m.intercept = intercept
	}
	if m.modality, err = readTable(top.item("00283000", 0, everything), values, m.Signed); err != nil {
		return err
	}
	voi := first(perFrame.item("00289132", 0, everything), shared.item("00289132", 0, everything), top)
	center, ok1 := voi.number("00281050", 0)
	width, ok2 := voi.number("00281051", 0)
	if ok1 && ok2 && width > 0 {
		m.window = &Window{center, width, functionOf(voi.text("00281056"))}
	} else if m.voi, err = readTable(top.item("00283010", 0, everything), values, m.Signed); err != nil {
		return err
	}
	m.signVOI()
	m.inverse = m.Photometric == "MONOCHROME1" || top.text("20500020") == "INVERSE"
	low, padded := top.number("00280120", 0)
	if padded && !m.Float {
		high, ok := top.number("00280121", 0)
		if !ok {
			high = low
		}
		m.padded, m.padding = true, [2]int{int(min(low, high)), int(max(low, high))}
	}
	return nil
}

// signVOI gives the place where a VOI LUT begins its sign: it is one of values after the Modality LUT (PS3.3
// §C.11.2.1.1), Hounsfield units of unsigned pixels for example, but Implicit VR tells it only for stored ones.
// A table that no value reaches is meant to begin below zero.
func (m *Module) signVOI() {
	if m.voi == nil || m.voi.first < 1<<15 || m.Float || m.BitsStored > 16 {
		return
	}
	if max(m.value(uint32(m.least())), m.value(uint32(m.greatest()))) < float64(m.voi.first) {
		m.voi.first -= 1 << 16
	}
}

// first returns the first level that has anything.
func first(levels ...dataset) dataset {
	for _, l := range levels {
		if len(l) > 0 {
			return l
		}
	}
	return nil
}
