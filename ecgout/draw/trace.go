package draw

import (
	"fmt"
	"io"
	"math"
	"slices"

	"github.com/tributary-dicom/tributary/parsers/ecg"
)

// filterSamples bounds the samples that a filter holds, over all traces of a drawing (8 bytes each): a
// minute of twelve leads at 4 kHz.
const filterSamples = 4 << 20

// filterMargin is how many seconds on either side of a stretch a filter sees, so that it has settled where
// the drawing begins.
const filterMargin = 4.0

// plotter turns one source's samples for one cell into lines.
type plotter struct {
	cell     *cell
	lead     *ecg.Lead
	index    int     // of the lead in its group
	at, rate float64 // s of sample 0, Hz
	scale    float64 // mV per count
	base     float64 // mV
	gain     float64 // µm per mV, downwards: negative for an upright lead
	speed    float64 // µm per s

	from, to         int64 // samples that are drawn
	readFrom, readTo int64 // samples that are read: the filter's margin with them

	values []float64 // mV, NaN where missing; only for filters
	thin   thinner
}

// newPlotter returns nil when the source has no sample in the cell.
func newPlotter(rec *ecg.Recording, s source, k *cell, o Options, column int32) *plotter {
	g := rec.Groups[s.group]
	l := &g.Leads[s.lead]
	p := &plotter{
		cell: k, lead: l, index: s.lead, rate: g.Rate.Float64(),
		at:    (g.StartOffset.Float64() + l.Skew.Float64()) / 1000,
		scale: l.Scale.Float64() / 1000, base: l.Baseline.Float64() / 1000,
		gain: -o.Gain * mm * k.track.sign, speed: o.Speed * mm,
	}
	const eps = 1e-6 // of a sample: times are sums of floats
	clampIndex := func(v float64) int64 { return int64(max(0, min(v, float64(g.Length)))) }
	p.from = max(l.Start, clampIndex(math.Ceil((k.t0-p.at)*p.rate-eps)))
	p.to = min(l.Start+l.Length, clampIndex(math.Floor((k.t0+k.dur-p.at)*p.rate+eps)+1))
	if p.from >= p.to {
		return nil
	}
	p.readFrom, p.readTo = p.from, p.to
	if o.Filters.On() {
		margin := int64(filterMargin * p.rate)
		p.readFrom = max(l.Start, p.from-margin)
		p.readTo = min(l.Start+l.Length, p.to+margin)
	}
	p.thin.column = column
	return p
}

// plot puts a sample on paper; NaN breaks the line.
func (p *plotter) plot(sample int64, millivolt float64) {
	if math.IsNaN(millivolt) || math.IsInf(millivolt, 0) {
		p.thin.lift()
		return
	}
	t := p.at + float64(sample)/p.rate - p.cell.t0
	const far = 1e9 // µm: a kilometre, within int32
	x := float64(p.cell.x) + t*p.speed
	y := max(-far, min(far, millivolt*p.gain))
	p.thin.add(Point{int32(math.Round(max(-far, min(far, x)))), int32(math.Round(y))})
}

// take reads what the plotter needs of a block.
func (p *plotter) take(b *ecg.Block, keep bool) {
	from, to := max(p.readFrom, b.Start), min(p.readTo, b.Start+int64(b.Len))
	if from >= to || p.index >= len(b.Counts) {
		return
	}
	counts := b.Counts[p.index]
	for i := from; i < to; i++ {
		j := int(i - b.Start)
		v := float64(counts[j])*p.scale + p.base
		if b.IsMissing(p.index, j) {
			v = math.NaN()
		}
		if keep {
			p.values = append(p.values, v)
		} else {
			p.plot(i, v)
		}
	}
}

// finish filters what was kept, and draws it.
func (p *plotter) finish(f Filters) {
	if f.On() {
		f.apply(p.values, p.rate)
		for i, v := range p.values {
			if at := p.readFrom + int64(i); at >= p.from && at < p.to {
				p.plot(at, v)
			}
		}
		p.values = nil
	}
	p.thin.lift()
}

// traces reads the samples of all cells, each group once, and returns the lines of each cell relative to its
// baseline (Y 0).
func traces(rec *ecg.Recording, cells []cell, o Options, column int32) ([][][]Point, error) {
	groups := map[int][]*plotter{}
	lines := make([][][]Point, len(cells))
	plotters := make([][]*plotter, len(cells))
	kept := int64(0)
	for i := range cells {
		if cells[i].track == nil {
			continue
		}
		for _, s := range cells[i].track.sources {
			if p := newPlotter(rec, s, &cells[i], o, column); p != nil {
				groups[s.group] = append(groups[s.group], p)
				plotters[i] = append(plotters[i], p)
				kept += p.readTo - p.readFrom
			}
		}
	}
	if o.Filters.On() && kept > filterSamples {
		return nil, fmt.Errorf("draw: %d samples to filter: at most %d, draw a shorter stretch", kept, filterSamples)
	}
	for gi := range rec.Groups { // in order: maps have none
		if len(groups[gi]) == 0 {
			continue
		}
		if err := readGroup(rec.Groups[gi], groups[gi], o.Filters.On()); err != nil {
			return nil, fmt.Errorf("draw: group %d: %w", gi, err)
		}
	}
	for i, ps := range plotters {
		for _, p := range ps {
			p.finish(o.Filters)
			lines[i] = append(lines[i], p.thin.lines...)
		}
	}
	return lines, nil
}

func readGroup(g *ecg.Group, ps []*plotter, keep bool) error {
	first, last := ps[0].readFrom, ps[0].readTo
	for _, p := range ps {
		first, last = min(first, p.readFrom), max(last, p.readTo)
	}
	r, err := g.Samples()
	if err != nil {
		return err
	}
	if s, ok := r.(ecg.Skipper); ok && first > ecg.BlockSamples {
		if err := s.SkipTo(first); err != nil {
			return err
		}
	}
	var b ecg.Block
	for end := int64(-1); end < last; {
		if err := r.Next(&b); err == io.EOF {
			return nil
		} else if err != nil {
			return err
		}
		for _, p := range ps {
			p.take(&b, keep)
		}
		if next := b.Start + int64(b.Len); next > end {
			end = next
		} else {
			return io.ErrNoProgress
		}
	}
	return nil
}

// thinner keeps of each column of paper the first, least, greatest and last point, in the order of time.
// Where a column has four points or fewer, that is all of them.
type thinner struct {
	column int32 // µm
	lines  [][]Point

	line                   []Point
	n                      int // points in the column
	at                     int32
	first, low, high, last Point
	lowN, highN            int
}

func (t *thinner) add(p Point) {
	c := int32(math.Floor(float64(p.X) / float64(t.column)))
	if t.n > 0 && c != t.at {
		t.flush()
	}
	if t.n == 0 {
		t.at, t.first, t.low, t.high, t.lowN, t.highN = c, p, p, p, 0, 0
	}
	if p.Y < t.low.Y {
		t.low, t.lowN = p, t.n
	}
	if p.Y > t.high.Y {
		t.high, t.highN = p, t.n
	}
	t.last = p
	t.n++
}

func (t *thinner) flush() {
	if t.n == 0 {
		return
	}
	a, b := t.low, t.high
	an, bn := t.lowN, t.highN
	if an > bn {
		a, b, an, bn = b, a, bn, an
	}
	t.line = append(t.line, t.first)
	if an > 0 && an < t.n-1 {
		t.line = append(t.line, a)
	}
	if bn != an && bn > 0 && bn < t.n-1 {
		t.line = append(t.line, b)
	}
	if t.n > 1 {
		t.line = append(t.line, t.last)
	}
	t.n = 0
}

// lift ends the line: the next point begins another.
func (t *thinner) lift() {
	t.flush()
	if len(t.line) > 0 {
		t.lines = append(t.lines, straighten(t.line))
		t.line = nil
	}
}

// straighten leaves out points in the middle of a level line: a flat trace is two points.
func straighten(line []Point) []Point {
	out := line[:0]
	for i, p := range line {
		if n := len(out); n > 0 && i+1 < len(line) && out[n-1].Y == p.Y && line[i+1].Y == p.Y {
			continue
		}
		out = append(out, p)
	}
	return out
}

// offAxis returns by how many µm the lines must be shifted so that they lie on their row: 0 unless their
// median is farther from it than most.
func offAxis(lines [][]Point, most int32) int32 {
	var ys []int32
	for _, line := range lines {
		for _, p := range line {
			ys = append(ys, p.Y)
		}
	}
	if len(ys) == 0 {
		return 0
	}
	slices.Sort(ys)
	middle := ys[len(ys)/2]
	if middle <= most && middle >= -most {
		return 0
	}
	return -int32(math.Round(float64(middle)/mm)) * mm
}

// within cuts lines at top and bottom, and reports whether anything was cut.
func within(lines [][]Point, top, bottom int32) (out [][]Point, cut bool) {
	for _, line := range lines {
		if len(line) == 1 {
			if line[0].Y >= top && line[0].Y <= bottom {
				out = append(out, line)
			} else {
				cut = true
			}
			continue
		}
		var cur []Point
		lift := func() {
			if len(cur) > 0 {
				out = append(out, cur)
			}
			cur = nil
		}
		for i := 1; i < len(line); i++ {
			a, b, ok := clip(line[i-1], line[i], top, bottom)
			cut = cut || !ok || a != line[i-1] || b != line[i]
			if !ok {
				lift()
				continue
			}
			if len(cur) == 0 || cur[len(cur)-1] != a {
				lift()
				cur = append(cur, a)
			}
			cur = append(cur, b)
		}
		lift()
	}
	return out, cut
}

// clip returns the part of a stroke that lies between top and bottom; false when none does.
func clip(a, b Point, top, bottom int32) (Point, Point, bool) {
	if a.Y < top && b.Y < top || a.Y > bottom && b.Y > bottom {
		return a, b, false
	}
	meet := func(y int32) Point {
		f := float64(int64(y)-int64(a.Y)) / float64(int64(b.Y)-int64(a.Y))
		return Point{a.X + int32(math.Round(f*float64(b.X-a.X))), y}
	}
	edge := func(p Point) Point {
		switch {
		case p.Y < top:
			return meet(top)
		case p.Y > bottom:
			return meet(bottom)
		}
		return p
	}
	return edge(a), edge(b), true
}
