package draw

import (
	"math"
	"time"
)

// spot is one lead's place in a layout before it has coordinates.
type spot struct {
	lead  string
	strip bool // a rhythm strip: as long as the row, whatever the columns
}

// row is one line of traces. It begins system spans after the drawing's start.
type row struct {
	spots  []spot
	system int
}

// cell is one lead's stretch of paper.
type cell struct {
	name    string
	track   *track // nil: not recorded
	x, y, w int32  // left end of the baseline, and the width, µm
	t0, dur float64
	tick    bool // something else is drawn to the left
	own     bool // t0 is the lead's own beginning, not that of the column
}

// chooseLayout answers Auto. seconds is how much there is to draw.
func chooseLayout(ts *tracks, seconds, span float64) Layout {
	switch n := len(ts.order); {
	case n <= 2 && seconds > 1.2*span:
		return LStrips
	case ts.twelve() < 9 || n > 18:
		return L12x1
	case min(seconds, span) >= 4.8:
		return L3x4R1
	case min(seconds, span) >= 2.4:
		return L6x2
	}
	return L12x1
}

// arrange returns the rows of a layout, and its columns.
func arrange(l Layout, o Options, ts *tracks, systems int) (rows []row, columns int) {
	order := standard
	if o.Cabrera {
		order = cabrera
	}
	grid := func(high int) {
		names := order
		if extra := ts.extra(); o.Layout == Auto && len(extra) > 0 { // an explicit 3x4 has twelve
			names = append(append([]string(nil), order...), extra...)
		}
		columns = (len(names) + high - 1) / high
		for r := range high {
			var line row
			for c := range columns {
				if i := c*high + r; i < len(names) {
					line.spots = append(line.spots, spot{lead: names[i]})
				}
			}
			rows = append(rows, line)
		}
	}
	strips := func(n int) {
		for _, name := range ts.rhythmLeads(o.RhythmLeads, n) {
			rows = append(rows, row{spots: []spot{{lead: name, strip: true}}})
		}
	}
	switch l {
	case L3x4, LMedian:
		grid(3)
	case L3x4R1:
		grid(3)
		strips(1)
	case L3x4R3:
		grid(3)
		strips(3)
	case L6x2:
		grid(6)
	case LStrips:
		columns = 1
		names := ts.order
		if len(names) > 3 || len(o.RhythmLeads) > 0 {
			names = ts.rhythmLeads(o.RhythmLeads, max(1, len(o.RhythmLeads)))
		}
		for s := range systems {
			for _, name := range names {
				rows = append(rows, row{spots: []spot{{lead: name}}, system: s})
			}
		}
	default: // 12x1: all there are; of twelve, the missing ones too
		columns = 1
		var names []string
		if ts.twelve() >= 6 || o.Layout == L12x1 && ts.twelve() > 2 {
			names = append(names, order...)
		} else {
			for _, name := range order {
				if ts.get(name) != nil {
					names = append(names, name)
				}
			}
		}
		names = append(names, ts.extra()...)
		for _, name := range names[:min(len(names), maxRows)] {
			rows = append(rows, row{spots: []spot{{lead: name}}})
		}
	}
	return rows, max(1, columns)
}

// stretch is what part of the time line a drawing shows.
type stretch struct {
	start   float64 // s on the recording's time line
	span    float64 // s of one row
	columnS float64 // s of one column
	width   int32   // of a full row, µm
	beat    bool    // every column shows the same time: a median beat
}

// pageSpanMM is the width of the traces on A4: ten seconds at 25 mm/s.
const pageSpanMM = 250

// stretchOf computes how much is drawn. have is how many seconds there are from the start on.
func stretchOf(o Options, ts *tracks, columns int) stretch {
	s := stretch{start: ts.from + o.Start.Seconds(), span: pageSpanMM / o.Speed}
	have := ts.to - s.start
	if o.Length > 0 {
		s.span = o.Length.Seconds()
	} else if columns > 1 && have < 0.95*s.span && have > 0 {
		// A short recording has shorter columns: of full ones the last would be empty.
		s.span = have
	}
	s.width = int32(math.Round(s.span * o.Speed * mm))
	s.columnS = s.span / float64(columns)
	return s
}

// place gives rows their coordinates: x0 and top are where the traces begin, pitch the height of a row.
func place(rows []row, columns int, s stretch, ts *tracks, o Options, x0 int32, baseline func(i int) int32) []cell {
	var cells []cell
	for i, r := range rows {
		start := s.start + float64(r.system)*s.span
		for c, spot := range r.spots {
			k := cell{name: spot.lead, track: ts.get(spot.lead), x: x0, y: baseline(i), w: s.width, t0: start, dur: s.span}
			if !spot.strip && columns > 1 {
				left := int32(math.Round(float64(s.width) * float64(c) / float64(columns)))
				right := int32(math.Round(float64(s.width) * float64(c+1) / float64(columns)))
				k.x, k.w = x0+left, right-left
				k.t0, k.dur = start+float64(c)*s.columnS, s.columnS
				k.tick = c > 0
				if s.beat {
					k.t0, k.tick = start, false
					k.dur -= beatGap
				}
			}
			if t := k.track; t != nil && o.Start == 0 && r.system == 0 && !t.covers(k.t0, k.t0+k.dur) {
				k.t0, k.own = t.sources[0].from, true // leads that were recorded one after another
			}
			cells = append(cells, k)
		}
	}
	return cells
}

func seconds(s float64) time.Duration { return time.Duration(math.Round(s * 1e9)) }
