package draw

import (
	"math"
	"slices"

	"github.com/tributary-dicom/tributary/parsers/ecg"
)

// standard are the twelve leads in the order of 3x4's columns, cabrera the same in Cabrera's.
var (
	standard = []string{"I", "II", "III", "aVR", "aVL", "aVF", "V1", "V2", "V3", "V4", "V5", "V6"}
	cabrera  = []string{"aVL", "I", "-aVR", "II", "aVF", "III", "V1", "V2", "V3", "V4", "V5", "V6"}
)

// source is where a lead's samples are.
type source struct {
	group, lead int
	from, to    float64 // s on the recording's time line, in which sample 0 of the first group is at its offset
}

// track is all that is recorded of one lead: in one group, or in several that follow each other.
type track struct {
	name    string
	sign    float64 // −1 for a lead drawn upside down
	derived bool
	sources []source
}

// tracks are the leads of a kind of group, and the stretch of time that they cover, in s.
type tracks struct {
	byName   map[string]*track
	order    []string
	other    []string // leads that are no voltages
	from, to float64
}

// collect finds the leads of all groups of a kind. Stored samples go before derived ones of another group.
func collect(rec *ecg.Recording, kind ecg.Kind) *tracks {
	ts := &tracks{byName: map[string]*track{}, from: math.Inf(1), to: math.Inf(-1)}
	for gi, g := range rec.Groups {
		rate := g.Rate.Float64()
		if g.Kind != kind || !(rate > 0) || g.Length <= 0 {
			continue
		}
		seen := map[string]bool{} // a name twice in one group is two leads
		for li := range g.Leads {
			l := &g.Leads[li]
			name := clean(l.Name, 24)
			if l.Length <= 0 {
				continue
			}
			if !l.Voltage() {
				ts.other = append(ts.other, name)
				continue
			}
			if seen[name] {
				for n := 2; seen[name]; n++ {
					name = clean(l.Name, 24) + " #" + itoa(n)
				}
			}
			seen[name] = true
			at := (g.StartOffset.Float64() + l.Skew.Float64()) / 1000
			s := source{gi, li, at + float64(l.Start)/rate, at + float64(l.Start+l.Length)/rate}
			t := ts.byName[name]
			switch {
			case t == nil:
				t = &track{name: name, sign: 1, derived: l.Derived, sources: []source{s}}
				ts.byName[name] = t
				ts.order = append(ts.order, name)
			case t.derived && !l.Derived:
				t.sources, t.derived = []source{s}, false
			case t.derived == l.Derived:
				t.sources = append(t.sources, s)
			}
			ts.from, ts.to = min(ts.from, s.from), max(ts.to, s.to)
		}
	}
	return ts
}

// get returns the track of a name; of −aVR where aVR alone is there, aVR upside down, and the reverse.
func (ts *tracks) get(name string) *track {
	if t := ts.byName[name]; t != nil {
		return t
	}
	for _, pair := range [][2]string{{"-aVR", "aVR"}, {"aVR", "-aVR"}} {
		if t := ts.byName[pair[1]]; name == pair[0] && t != nil {
			turned := *t
			turned.name, turned.sign = name, -1
			return &turned
		}
	}
	return nil
}

// extra are the leads beyond the twelve, in the order of the file.
func (ts *tracks) extra() []string {
	var names []string
	for _, name := range ts.order {
		if !slices.Contains(standard, name) && name != "-aVR" {
			names = append(names, name)
		}
	}
	return names
}

// twelve counts the standard leads that are there.
func (ts *tracks) twelve() int {
	n := 0
	for _, name := range standard {
		if ts.get(name) != nil {
			n++
		}
	}
	return n
}

// covers reports whether the track has samples within [from, to).
func (t *track) covers(from, to float64) bool {
	for _, s := range t.sources {
		if s.from < to-1e-9 && s.to > from+1e-9 {
			return true
		}
	}
	return false
}

// rhythmLeads chooses n leads for the strips.
func (ts *tracks) rhythmLeads(want []string, n int) []string {
	var out []string
	for _, list := range [][]string{want, {"II", "V1", "V5", "I"}, ts.order} {
		for _, name := range list {
			if len(out) < n && !slices.Contains(out, name) && ts.get(name) != nil {
				out = append(out, name)
			}
		}
	}
	return out
}
