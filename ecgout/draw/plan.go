package draw

import (
	"fmt"
	"math"
	"slices"
	"strings"

	"github.com/tributary-dicom/tributary/parsers/ecg"
)

// Places on the paper, µm.
const (
	a4Width, a4Height = 297 * mm, 210 * mm
	gridLeft          = 13500   // of A4: the grid is centred
	gridTop           = 41 * mm // below the banner
	gridHigh          = 155 * mm
	pulseWide         = 15 * mm // calibration pulse, before the traces
	rightWide         = 5 * mm  // empty grid behind them
	footHigh          = 14 * mm // speed, gain, filters, notes
	least             = 10 * mm // height of a row

	// offRow is the median, in mV, beyond which a trace is brought back to its row. No ST segment moves the
	// median of seconds that far; the baselines of amplifiers without a high-pass do.
	offRow = 0.6

	beatGap = 0.2 // s of empty paper after a median beat, so that beats side by side are no rhythm
)

// Plan computes the drawing of a recording. It reads the samples of the stretch that is drawn, once. The
// error is ErrNothing, that of a wrong option, or that of reading.
func Plan(rec *ecg.Recording, o Options) (*Sheet, error) {
	o, err := o.fill()
	if err != nil {
		return nil, err
	}
	fonts, err := newFontSet(o.Fallback)
	if err != nil {
		return nil, err
	}
	p := planner{rec: rec, o: o, s: &Sheet{language: o.Language, fonts: fonts}}
	if err := p.choose(); err != nil {
		return nil, err
	}
	p.size()
	p.paper()
	if err := p.leads(); err != nil {
		return nil, err
	}
	p.foot()
	return p.s, nil
}

// planner carries one Plan from step to step.
type planner struct {
	rec *ecg.Recording
	o   Options
	s   *Sheet

	ts      *tracks
	rows    []row
	columns int
	st      stretch

	left, top, wide, high int32 // the grid
	baselines             []int32
	pitch                 int32   // from row to row
	labels                []Point // that were written
	text                  int32   // size of labels
	stroke                int32   // width of a trace
	column                int32   // of paper, in which samples are thinned
}

// choose decides what is drawn: which groups, which layout, which stretch of time.
func (p *planner) choose() error {
	o := p.o
	if o.Layout == LMedian {
		p.ts = collect(p.rec, ecg.Median)
	} else {
		for _, kind := range []ecg.Kind{ecg.Rhythm, ecg.FullDisclosure} {
			if p.ts == nil || len(p.ts.order) == 0 {
				p.ts = collect(p.rec, kind)
			}
		}
		if o.Layout == Auto && len(p.ts.order) == 0 {
			if median := collect(p.rec, ecg.Median); len(median.order) > 0 {
				p.ts, o.Layout = median, LMedian
			}
		}
	}
	if len(p.ts.order) == 0 {
		return ErrNothing
	}
	have := p.ts.to - p.ts.from - o.Start.Seconds()
	if have <= 0 {
		return fmt.Errorf("draw: the recording has %.1f s, none after %v", p.ts.to-p.ts.from, o.Start)
	}
	layout := o.Layout
	span := stretchOf(o, p.ts, 1).span
	if layout == Auto {
		layout = chooseLayout(p.ts, have, span)
	}
	systems := 1
	if layout == LStrips && o.Length == 0 {
		perLine := 22 * mm * max(1, min(len(p.ts.order), 3))
		systems = max(1, min(int(math.Ceil(have/span-1e-6)), gridHigh/perLine))
	}
	p.rows, p.columns = arrange(layout, o, p.ts, systems)
	if layout == LMedian {
		p.st = stretch{start: p.ts.from, beat: true, columnS: min(have, 2)}
		p.st.columnS += beatGap
		p.st.span = p.st.columnS * float64(p.columns)
		p.st.width = int32(math.Round(p.st.span * o.Speed * mm))
	} else {
		p.st = stretchOf(o, p.ts, p.columns)
	}
	shown := p.st.span * float64(systems)
	if layout == LMedian {
		shown = p.st.columnS - beatGap
	} else if p.st.start+shown < p.ts.to-0.02 {
		p.s.Next = seconds(p.st.start + shown - p.ts.from)
	}
	p.s.Layout, p.s.Start, p.s.Length = layout, o.Start, seconds(min(shown, have))
	return nil
}

// size decides how large the paper and the grid on it are, and where rows lie.
func (p *planner) size() {
	o, s, n := p.o, p.s, int32(len(p.rows))
	grid := func(v int32) int32 { return (v + 5*mm - 1) / (5 * mm) * 5 * mm }
	p.wide = grid(pulseWide + p.st.width + rightWide)
	if o.Content {
		pitch := int32(30 * mm)
		if n > 4 {
			pitch = 25 * mm
		}
		if n > 6 {
			pitch = 15 * mm
		}
		pitch = max(pitch, int32(o.Gain*mm)+2*mm)
		p.left, p.top, p.high = 2*mm, 2*mm, grid(n*pitch)
		if !o.NoBanner {
			p.wide, p.top = max(p.wide, 230*mm), gridTop
		}
		s.Width, s.Height = p.wide+4*mm, p.top+p.high+footHigh-4*mm
	} else {
		p.left, p.top = gridLeft, gridTop
		p.wide, p.high = max(p.wide, a4Width-2*gridLeft), max(gridHigh, grid(n*least))
		if o.NoBanner {
			p.top, p.high = 10*mm, max(gridHigh+30*mm, grid(n*least))
		}
		s.Width, s.Height = p.wide+2*gridLeft, max(a4Height, p.top+p.high+footHigh)
	}
	p.text, p.stroke, p.column = 3400, 250, 100
	if o.Thumbnail > 0 {
		pixel := float64(s.Width) / float64(o.Thumbnail)
		p.text, p.stroke, p.column = int32(math.Round(11*pixel)), int32(math.Round(1.1*pixel)), max(100, int32(math.Round(pixel)))
		p.text = min(p.text, 12*mm)
		s.Height = p.top + p.high + p.text*14/10
	}
	// A strong R wave of the first row, or S of the last, gets some of the paper that others lack.
	head := int32(0)
	if n > 4 {
		head = 4 * mm
	}
	// Rows are whole millimetres apart, and below their middle: waves are higher than deep.
	p.pitch = (p.high - 2*head) / n / mm * mm
	first := (p.high-p.pitch*n)/2 + p.pitch*11/20
	for i := range n {
		p.baselines = append(p.baselines, p.top+(first+mm/2)/mm*mm+i*p.pitch)
	}
}

// paper draws banner and grid.
func (p *planner) paper() {
	s, o := p.s, p.o
	if !o.NoBanner {
		s.banner(p.rec, p.left, p.wide)
	}
	if s.Layout == LMedian && o.Thumbnail == 0 {
		defer s.write(inkAlert, Point{p.left + p.wide - 3*mm, p.top + 6*mm}, 4200, atEnd, o.Language.word(wMedianBeats))
	}
	lines := func(step, skip int32) [][]Point {
		var out [][]Point
		for x := int32(0); x <= p.wide; x += step {
			if skip == 0 || x%skip != 0 {
				out = append(out, []Point{{p.left + x, p.top}, {p.left + x, p.top + p.high}})
			}
		}
		for y := int32(0); y <= p.high; y += step {
			if skip == 0 || y%skip != 0 {
				out = append(out, []Point{{p.left, p.top + y}, {p.left + p.wide, p.top + y}})
			}
		}
		return out
	}
	if o.Thumbnail == 0 {
		s.draw(inkFine, "grid-1mm", 100, lines(mm, 5*mm)...)
		s.draw(inkMajor, "grid-5mm", 200, lines(5*mm, 0)...)
	} else {
		s.draw(inkFine, "grid-5mm", p.stroke/2, lines(5*mm, 0)...)
	}
	// 1 mV for 200 ms.
	high, wide := int32(o.Gain*mm), int32(0.2*o.Speed*mm)
	every := int((high-1)/p.pitch) + 1 // rows: pulses that would overlap are left out
	for i, y := range p.baselines {
		if i%every != 0 {
			continue
		}
		x := p.left + (pulseWide-wide)/2
		edge := max(p.top, y-high)
		pulse := []Point{{x - 1500, y}, {x, y}, {x, edge}, {x + wide, edge}, {x + wide, y}, {x + wide + 1500, y}}
		if edge > y-high { // more than the paper has: open at the top
			s.draw(inkPulse, "pulse", p.stroke, pulse[:3], pulse[3:])
			continue
		}
		s.draw(inkPulse, "pulse", p.stroke, pulse)
	}
}

// leads draws the traces, their labels, and marks.
func (p *planner) leads() error {
	s, o, lang := p.s, p.o, p.o.Language
	cells := place(p.rows, p.columns, p.st, p.ts, o, p.left+pulseWide, func(i int) int32 { return p.baselines[i] })
	lines, err := traces(p.rec, cells, o, p.column)
	if err != nil {
		return err
	}
	var beyond, shifted []string
	derived := false
	for i, k := range cells {
		shift := offAxis(lines[i], int32(offRow*o.Gain*mm))
		for _, line := range lines[i] {
			for j := range line {
				line[j].Y += k.y + shift
			}
		}
		if shift != 0 {
			shifted = append(shifted, fmt.Sprintf("%s %+g mV", k.name, float64(-shift)/mm/o.Gain))
		}
		cut := false
		if lines[i], cut = within(lines[i], p.top, p.top+p.high); cut {
			beyond = append(beyond, k.name)
		}
		if k.tick {
			s.draw(inkFrame, "tick", p.stroke*6/5, []Point{{k.x, k.y - 3*mm}, {k.x, k.y + 3*mm}})
		}
		if len(lines[i]) > 0 {
			s.items = append(s.items, item{ink: inkTrace, class: "trace", lead: k.name, width: p.stroke, lines: lines[i]})
		}
		label := strings.ReplaceAll(k.name, "-aVR", "−aVR")
		if k.track != nil && k.track.derived && k.track.name != "-aVR" && p.ownDerivation(k.track) {
			label += "*"
			derived = true
		}
		at := Point{k.x + 1500, 0}
		at.Y = p.labelY(k, lines[i], at.X-300, at.X+s.textWidth(label, p.text)+300)
		s.fit(inkText, at, p.text, max(k.w-2*mm, 10*mm), label)
		switch {
		case len(lines[i]) == 0:
			if o.Thumbnail == 0 {
				s.write(inkFaint, Point{k.x + 1500, k.y + 900}, smallSize, atStart, lang.word(wNotRecorded))
			}
		case k.own && o.Thumbnail == 0:
			s.write(inkFaint, Point{at.X + s.textWidth(label, p.text) + 1500, at.Y}, smallSize, atStart, fmt.Sprintf("+%.2f s", k.t0-p.ts.from))
		}
	}
	p.spikes(cells)
	p.fiducials(cells)
	p.note(wShifted, shifted)
	p.note(wBeyond, beyond)
	if derived {
		s.Notes = append(s.Notes, lang.word(wDerived))
	}
	var absent []string
	for _, name := range p.ts.order {
		if !slices.ContainsFunc(cells, func(k cell) bool { return k.name == name || name == "aVR" && k.name == "-aVR" }) {
			absent = append(absent, name)
		}
	}
	p.note(wNotDrawn, absent)
	var other []string
	for _, name := range p.ts.other {
		other = append(other, name+" ("+lang.word(wNoVoltage)+")")
	}
	p.note(wNotDrawn, other)
	return nil
}

// ownDerivation reports whether a track was computed; limb leads by the device are the normal case and are
// not marked.
func (p *planner) ownDerivation(t *track) bool {
	l := p.rec.Groups[t.sources[0].group].Leads[t.sources[0].lead]
	return l.DerivedBy != "device"
}

// labelY returns where a cell's label stands: above the trace, or where within its row the trace leaves room.
func (p *planner) labelY(k cell, lines [][]Point, x0, x1 int32) (y int32) {
	defer func() { p.labels = append(p.labels, Point{x0, y}) }()
	above := max(k.y-min(p.pitch/2, 14*mm)+p.text, p.top+p.text)
	room := func(y int32) bool {
		for _, l := range p.labels {
			if l.X == x0 && l.Y > y-p.text && l.Y < y+p.text {
				return false
			}
		}
		for _, line := range lines {
			for i := 1; i < len(line); i++ {
				a, b := line[i-1], line[i]
				if max(a.X, b.X) >= x0 && min(a.X, b.X) <= x1 && max(a.Y, b.Y) >= y-p.text-300 && min(a.Y, b.Y) <= y+300 {
					return false
				}
			}
		}
		return true
	}
	half := max(p.pitch/2, p.text)
	for _, y := range []int32{above, above - 3*mm, above - 6*mm, k.y - p.text, k.y - 2*p.text, k.y + 2*p.text, k.y + 3*p.text, k.y + half} {
		if y-p.text >= p.top && y <= p.top+p.high && y >= k.y-half && y < k.y+half && room(y) {
			return y
		}
	}
	return above
}

// spikes marks what the device took for a pacemaker's spikes.
func (p *planner) spikes(cells []cell) {
	var marks [][]Point
	for _, a := range p.rec.Annotations {
		if a.Kind != ecg.Spike || p.s.Layout == LMedian || len(marks) >= 4000 {
			continue
		}
		at := a.Onset.Float64() / 1000
		if a.Group >= 0 && a.Group < len(p.rec.Groups) {
			at += p.rec.Groups[a.Group].StartOffset.Float64() / 1000
		}
		for _, k := range cells {
			if at < k.t0 || at >= k.t0+k.dur || a.Lead != "" && a.Lead != k.name || k.track == nil {
				continue
			}
			x := k.x + int32(math.Round((at-k.t0)*p.o.Speed*mm))
			y := min(k.y+min(p.pitch/2, 12*mm), p.top+p.high)
			marks = append(marks, []Point{{x, y - 3*mm}, {x, y}})
		}
	}
	if len(marks) > 0 {
		p.s.draw(inkMark, "spike", p.stroke*6/5, marks...)
		p.s.Notes = append(p.s.Notes, p.o.Language.word(wSpikes))
	}
}

// fiducials marks on median beats where the device measured.
func (p *planner) fiducials(cells []cell) {
	if p.s.Layout != LMedian {
		return
	}
	var marks [][]Point
	for _, kind := range []ecg.MeasurementKind{ecg.POnset, ecg.POffset, ecg.QRSOnset, ecg.QRSOffset, ecg.TOffset} {
		m, ok := p.rec.Measurement(kind)
		if !ok || !m.Valid || m.Unit != "ms" {
			continue
		}
		for _, k := range cells {
			if at := m.Value.Float64() / 1000; k.track != nil && at >= 0 && at <= k.dur {
				x := k.x + int32(math.Round(at*p.o.Speed*mm))
				marks = append(marks, []Point{{x, k.y - 6*mm}, {x, k.y + 6*mm}})
			}
		}
	}
	if len(marks) > 0 {
		p.s.draw(inkMark, "fiducial", 120, marks...)
	}
}
