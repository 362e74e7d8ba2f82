package draw

import "time"

// mm is a millimetre in the units of a Sheet.
const mm = 1000

// Point is a place on the paper in µm, to the right of and below its top left corner.
type Point struct{ X, Y int32 }

// Sheet is one drawing.
type Sheet struct {
	Width, Height int32 // µm

	// Layout that was drawn, and the rows and stretch of time that it shows, after the first sample.
	Layout        Layout
	Start, Length time.Duration
	// Next is where the next page of a longer recording begins; 0 when there is none.
	Next time.Duration

	// Notes are what a reader of the drawing must know: leads that are not on it, baselines that were
	// shifted, filters that had no effect. They are printed too, except on thumbnails.
	Notes []string

	language Language
	fonts    *fontSet
	items    []item
}

// WidthMM returns the paper's width in mm.
func (s *Sheet) WidthMM() float64 { return float64(s.Width) / mm }

// HeightMM returns the paper's height in mm.
func (s *Sheet) HeightMM() float64 { return float64(s.Height) / mm }

// ink is what something is drawn with.
type ink uint8

const (
	inkFine  ink = iota // grid of 1 mm
	inkMajor            // grid of 5 mm
	inkFrame            // around the grid, and ticks between leads
	inkPulse            // calibration
	inkTrace            // the ECG
	inkMark             // pacemaker spikes, fiducial points
	inkText
	inkFaint // text that must not compete
	inkAlert // text that must be seen
)

// inks are colours, as RGB.
var inks = [...][3]uint8{
	inkFine: {0xF9, 0xD9, 0xD9}, inkMajor: {0xEE, 0xA6, 0xA6}, inkFrame: {0xC8, 0x78, 0x78},
	inkPulse: {0x10, 0x10, 0x10}, inkTrace: {0, 0, 0}, inkMark: {0x20, 0x40, 0xC0},
	inkText: {0x10, 0x10, 0x10}, inkFaint: {0x60, 0x60, 0x60}, inkAlert: {0xC0, 0x10, 0x10},
}

// item is either lines or text.
type item struct {
	ink   ink
	class string // of lines: "grid", "pulse", "trace", …
	lead  string // of a trace

	width int32 // of lines, µm
	lines [][]Point

	text   string
	at     Point // where the baseline begins, is centred or ends
	size   int32 // of an em, µm
	anchor anchor
}

type anchor uint8

const (
	atStart anchor = iota
	atMiddle
	atEnd
)

func (s *Sheet) draw(k ink, class string, width int32, lines ...[]Point) {
	s.items = append(s.items, item{ink: k, class: class, width: width, lines: lines})
}

func (s *Sheet) write(k ink, at Point, size int32, a anchor, text string) {
	if text != "" {
		s.items = append(s.items, item{ink: k, at: at, size: size, anchor: a, text: text})
	}
}

// textWidth returns how wide text is, µm.
func (s *Sheet) textWidth(text string, size int32) int32 { return s.fonts.width(text, size) }
