package draw

import (
	"errors"
	"fmt"
	"math"
	"slices"
	"strconv"
	"strings"
	"time"
)

// Layout is how leads are placed on the paper.
type Layout string

// Layouts. A column of 3x4 has 2.5 s at 25 mm/s, of 6x2 5 s, and 12x1 and rhythm strips have 10 s.
const (
	Auto     Layout = ""       // by the leads there are
	L3x4R1   Layout = "3x4+1"  // three rows of four, and a rhythm strip
	L3x4R3   Layout = "3x4+3"  // three rows of four, and three rhythm strips
	L3x4     Layout = "3x4"    // three rows of four
	L6x2     Layout = "6x2"    // six rows of two
	L12x1    Layout = "12x1"   // every lead on a row of its own, those beyond the twelve too
	LMedian  Layout = "median" // median beats, never mixed with the rhythm
	LStrips  Layout = "strips" // the rhythm lead alone, line after line
	LCabrera Layout = "cabrera"
)

// Layouts lists the names that ParseLayout knows.
var Layouts = []Layout{L3x4R1, L3x4R3, L3x4, L6x2, L12x1, LCabrera, LStrips, LMedian}

// ParseLayout returns the layout of a name; "" and "auto" are Auto. LCabrera is 6x2 in Cabrera's order.
func ParseLayout(name string) (Layout, error) {
	l := Layout(strings.ToLower(strings.TrimSpace(name)))
	if l == Auto || l == "auto" {
		return Auto, nil
	}
	if slices.Contains(Layouts, l) {
		return l, nil
	}
	names := make([]string, len(Layouts))
	for i, l := range Layouts {
		names[i] = string(l)
	}
	return Auto, fmt.Errorf("no layout %q: have auto, %s", name, strings.Join(names, ", "))
}

// Filters are those of the display. They act on the drawing only, forward and backward, so that no wave moves
// in time; edges are in Hz at −3 dB, and 0 is off.
type Filters struct {
	HighPassHz float64 // baseline: 0.5
	LowPassHz  float64 // 25 to 150
	NotchHz    float64 // mains: 50 or 60
}

// On reports whether any filter is on.
func (f Filters) On() bool { return f != Filters{} }

// ParseFilters reads a list of "baseline" (0.5 Hz high-pass), "lp40", "lp100", "lp150" and the like,
// "notch50" and "notch60", separated by commas; "" and "none" are off.
func ParseFilters(list string) (Filters, error) {
	var f Filters
	for word := range strings.SplitSeq(strings.ToLower(list), ",") {
		word = strings.TrimSpace(word)
		hz, err := strconv.ParseFloat(strings.TrimLeft(word, "abcdefghijklmnopqrstuvwxyz-"), 64)
		switch {
		case word == "", word == "none", word == "off":
		case word == "baseline":
			f.HighPassHz = 0.5
		case err == nil && strings.HasPrefix(word, "hp"):
			f.HighPassHz = hz
		case err == nil && strings.HasPrefix(word, "lp"):
			f.LowPassHz = hz
		case err == nil && strings.HasPrefix(word, "notch"):
			f.NotchHz = hz
		default:
			return Filters{}, fmt.Errorf("no filter %q: have none, baseline, lp40, lp100, lp150, notch50, notch60", word)
		}
	}
	return f, f.validate()
}

func (f Filters) validate() error {
	switch {
	case f.HighPassHz != 0 && !(f.HighPassHz >= 0.01 && f.HighPassHz <= 1):
		return fmt.Errorf("a high-pass of %v Hz: 0.01 to 1 Hz leave an ECG readable", f.HighPassHz)
	case f.LowPassHz != 0 && !(f.LowPassHz >= 20 && f.LowPassHz <= 500):
		return fmt.Errorf("a low-pass of %v Hz: 20 to 500 Hz leave an ECG readable", f.LowPassHz)
	case f.NotchHz != 0 && f.NotchHz != 50 && f.NotchHz != 60:
		return fmt.Errorf("a notch of %v Hz: mains have 50 or 60", f.NotchHz)
	}
	return nil
}

// Language of the words on the drawing.
type Language string

// Languages.
const (
	English Language = "en"
	Chinese Language = "zh"
)

// Options say what to draw. The zero value is the whole standard: 25 mm/s, 10 mm/mV, A4, no filter, English.
type Options struct {
	Layout  Layout
	Cabrera bool    // limb leads as aVL I −aVR II aVF III, in any layout
	Speed   float64 // mm/s: 12.5, 25 or 50; 0 is 25
	Gain    float64 // mm/mV: 2.5, 5, 10, 20 or 40; 0 is 10

	// RhythmLeads are those of the strips; where one is absent the next of II, V1, V5 and all others
	// takes its place.
	RhythmLeads []string

	// Start is where the drawing begins, after the recording's first sample. Length is how much is drawn;
	// 0 is as much as fits a page. More than fits makes the page wider, up to MaxLength.
	Start, Length time.Duration

	Filters  Filters
	Language Language

	// Content cuts the page to what is on it; otherwise it is A4 landscape, or larger where the drawing is.
	Content bool
	// NoBanner leaves out patient, measurements and statements. The line of speed, gain and filters stays.
	NoBanner bool
	// Thumbnail, if not 0, is the width in pixels of a small picture: no banner, a coarse grid, lines and
	// labels that can be seen at that size.
	Thumbnail int

	// Fallback finds fonts for what the built-in ones lack; nil finds none, and the drawing has a box with
	// the code point.
	Fallback FontSource
}

// Limits of one drawing.
const (
	MaxLength  = 60 * time.Second
	maxRows    = 48
	maxWidthMM = 3200
)

// Speeds and Gains that exist on paper.
var (
	Speeds = []float64{12.5, 25, 50}
	Gains  = []float64{2.5, 5, 10, 20, 40}
)

// ErrNothing is the error of a recording without a lead that can be drawn: no samples, or no voltages.
var ErrNothing = errors.New("draw: no lead with a voltage to draw")

// Validate reports whether the options can be drawn with.
func (o Options) Validate() error {
	_, err := o.fill()
	return err
}

// fill returns o with defaults in place of zeros, or why it cannot be.
func (o Options) fill() (Options, error) {
	if o.Speed == 0 {
		o.Speed = 25
	}
	if o.Gain == 0 {
		o.Gain = 10
	}
	if o.Language == "" {
		o.Language = English
	}
	if o.Layout == LCabrera {
		o.Layout, o.Cabrera = L6x2, true
	}
	switch {
	case !slices.Contains(Speeds, o.Speed):
		return o, fmt.Errorf("draw: a speed of %v mm/s: have 12.5, 25, 50", o.Speed)
	case !slices.Contains(Gains, o.Gain):
		return o, fmt.Errorf("draw: a gain of %v mm/mV: have 2.5, 5, 10, 20, 40", o.Gain)
	case o.Language != English && o.Language != Chinese:
		return o, fmt.Errorf("draw: no language %q: have en, zh", o.Language)
	case o.Start < 0 || o.Length < 0:
		return o, errors.New("draw: a stretch of negative time")
	case o.Length > MaxLength:
		return o, fmt.Errorf("draw: %v on one drawing: at most %v", o.Length, MaxLength)
	case o.Thumbnail != 0 && (o.Thumbnail < 64 || o.Thumbnail > 2000):
		return o, fmt.Errorf("draw: a thumbnail of %d pixels: 64 to 2000", o.Thumbnail)
	case len(o.RhythmLeads) > 3:
		return o, fmt.Errorf("draw: %d rhythm strips: at most 3", len(o.RhythmLeads))
	}
	if l, err := ParseLayout(string(o.Layout)); err != nil {
		return o, fmt.Errorf("draw: %w", err)
	} else if o.Layout = l; math.IsNaN(o.Filters.HighPassHz + o.Filters.LowPassHz + o.Filters.NotchHz) {
		return o, errors.New("draw: a filter that is no number")
	}
	if err := o.Filters.validate(); err != nil {
		return o, fmt.Errorf("draw: %w", err)
	}
	if o.Thumbnail != 0 {
		o.Content, o.NoBanner = true, true
	}
	return o, nil
}
