package draw

import (
	"fmt"
	"math"
	"math/rand/v2"
	"strings"
	"testing"
	"time"

	"github.com/tributary-dicom/tributary/parsers/ecg"
)

// TestThinner: whatever is left out, each column of paper keeps its first, least, greatest and last point, and
// nothing is added.
func TestThinner(t *testing.T) {
	for seed := range uint64(200) {
		r := rand.New(rand.NewPCG(seed, 1))
		th := thinner{column: 1 + r.Int32N(500)}
		type extent struct{ first, last, low, high int32 }
		want := map[int32]*extent{}
		given := map[Point]bool{}
		x := float64(-1000)
		for range 1 + r.IntN(400) {
			x += r.Float64() * 60
			p := Point{int32(x), r.Int32N(20000) - 10000}
			given[p] = true
			th.add(p)
			c := int32(math.Floor(float64(p.X) / float64(th.column)))
			e := want[c]
			if e == nil {
				e = &extent{p.Y, p.Y, p.Y, p.Y}
				want[c] = e
			}
			e.last, e.low, e.high = p.Y, min(e.low, p.Y), max(e.high, p.Y)
		}
		th.lift()
		got := map[int32]*extent{}
		for i, p := range th.lines[0] {
			if !given[p] {
				t.Fatalf("seed %d: %v was not given", seed, p)
			}
			if i > 0 && p.X < th.lines[0][i-1].X {
				t.Fatalf("seed %d: back in time at %v", seed, p)
			}
			c := int32(math.Floor(float64(p.X) / float64(th.column)))
			e := got[c]
			if e == nil {
				e = &extent{p.Y, p.Y, p.Y, p.Y}
				got[c] = e
			}
			e.last, e.low, e.high = p.Y, min(e.low, p.Y), max(e.high, p.Y)
		}
		for c, e := range want {
			if got[c] == nil || *got[c] != *e {
				t.Fatalf("seed %d, column %d: %v, want %v", seed, c, got[c], e)
			}
		}
	}
}

func TestWithin(t *testing.T) {
	for name, c := range map[string]struct {
		in, want string
		cut      bool
	}{
		"inside":          {"[[{0 1} {10 9}]]", "[[{0 1} {10 9}]]", false},
		"out and in":      {"[[{0 5} {10 15} {20 5}]]", "[[{0 5} {5 10}] [{15 10} {20 5}]]", true},
		"through":         {"[[{0 -10} {30 20}]]", "[[{10 0} {20 10}]]", true},
		"above":           {"[[{0 -10} {30 -1}]]", "[]", true},
		"a dot outside":   {"[[{0 -10}]]", "[]", true},
		"a dot inside":    {"[[{0 10}]]", "[[{0 10}]]", false},
		"along the edge":  {"[[{0 10} {5 10} {6 11}]]", "[[{0 10} {5 10} {5 10}]]", true},
		"a peak touching": {"[[{0 5} {5 0} {9 5}]]", "[[{0 5} {5 0} {9 5}]]", false},
	} {
		got, cut := within(parseLines(t, c.in), 0, 10)
		if fmt.Sprint(got) != c.want || cut != c.cut {
			t.Errorf("%s: %v %v, want %s %v", name, got, cut, c.want, c.cut)
		}
	}
}

func parseLines(t *testing.T, s string) [][]Point {
	t.Helper()
	var out [][]Point
	for line := range strings.SplitSeq(strings.Trim(s, "[]"), "] [") {
		var ps []Point
		for p := range strings.SplitSeq(strings.Trim(line, "{}"), "} {") {
			var x, y int32
			if _, err := fmt.Sscan(p, &x, &y); err != nil {
				t.Fatal(err)
			}
			ps = append(ps, Point{x, y})
		}
		out = append(out, ps)
	}
	return out
}

// day is a Holter of 24 h at 1000 Hz whose samples are computed when read: a peak of 1 mV at every whole second.
type day struct {
	at    int64
	reads *int64
}

const daySamples = 24 * 3600 * 1000

func (d *day) Next(b *ecg.Block) error {
	n := min(ecg.BlockSamples, daySamples-d.at)
	b.Resize(d.at, 3, int(n))
	for i := range n {
		if (d.at+i)%1000 == 0 {
			for l := range 3 {
				b.Counts[l][i] = 1000
			}
		}
	}
	d.at += n
	*d.reads += n
	return nil
}

func (d *day) SkipTo(sample int64) error {
	d.at = sample / ecg.BlockSamples * ecg.BlockSamples
	return nil
}

func TestHolterWindow(t *testing.T) {
	g := &ecg.Group{Kind: ecg.FullDisclosure, Rate: ecg.Int(1000), Length: daySamples}
	for _, name := range []string{"ES", "AS", "AI"} {
		l := ecg.Lead{Unit: ecg.Microvolt, Scale: ecg.Int(1), Length: daySamples}
		l.Set(func() ecg.LeadID { id, _, _ := ecg.LeadByName("ECG " + name); return id }())
		l.Name = name
		g.Leads = append(g.Leads, l)
	}
	reads := int64(0)
	g.SetSource(func() (ecg.SampleReader, error) { return &day{reads: &reads}, nil })
	rec := &ecg.Recording{Groups: []*ecg.Group{g}}
	start := 23*time.Hour + 59*time.Minute + 30*time.Second
	s := mustPlan(t, rec, Options{Start: start})
	if s.Layout != L12x1 || s.Next != start+10*time.Second || s.Length != 10*time.Second {
		t.Errorf("%v, %v long, next at %v", s.Layout, s.Length, s.Next)
	}
	if reads > 20_000 {
		t.Errorf("%d samples were read for ten seconds", reads)
	}
	paths, texts := readSVG(t, svgOf(t, s))
	es := tracesOf(paths, "ES")
	for i := range 10 {
		if level := es[0][0][1].y; !has(es[0], tracesLeft+float64(i)*25, level-10) {
			t.Errorf("no peak at second %d", i)
		}
	}
	if !hasText(texts, "23:59:30–23:59:40 of 24:00:00") {
		t.Errorf("%q", texts)
	}
	// The last page has no next one, and there is nothing behind the end.
	if s = mustPlan(t, rec, Options{Start: 24*time.Hour - 10*time.Second}); s.Next != 0 {
		t.Errorf("a page after the last, at %v", s.Next)
	}
	if _, err := Plan(rec, Options{Start: 24 * time.Hour}); err == nil {
		t.Error("a page behind the end")
	}
}

func TestStrips(t *testing.T) {
	s := mustPlan(t, synth(500, 25, "II"), Options{})
	paths, _ := readSVG(t, svgOf(t, s))
	all := tracesOf(paths, "II")
	if s.Layout != LStrips || len(all) != 3 || s.Next != 0 || s.Length != 25*time.Second {
		t.Fatalf("%v of %d lines, %v long", s.Layout, len(all), s.Length)
	}
	if last := all[2][0]; last[len(last)-1].x != tracesLeft+(25-20-0.002)*25 {
		t.Errorf("the last line ends at %v", last[len(last)-1])
	}
}

func TestShortRecording(t *testing.T) {
	s := mustPlan(t, synth(500, 5, standard...), Options{})
	paths, _ := readSVG(t, svgOf(t, s))
	if v6 := tracesOf(paths, "V6"); len(v6) != 1 || !has(v6[0], tracesLeft+3*31.25+(4.6-3.75)*25, rows3x4[2]-9) {
		t.Errorf("V6 of five seconds: %v", v6)
	}
	for secs, want := range map[float64]Layout{10: L3x4R1, 4: L6x2, 2: L12x1} {
		if s := mustPlan(t, synth(500, secs, standard...), Options{}); s.Layout != want {
			t.Errorf("%v s: %v, want %v", secs, s.Layout, want)
		}
	}
}

func TestLength(t *testing.T) {
	rec := synth(500, 30, standard...)
	s := mustPlan(t, rec, Options{Layout: L12x1, Length: 20 * time.Second})
	if s.WidthMM() != 27+15+500+5 || s.HeightMM() != 210 || s.Next != 20*time.Second {
		t.Errorf("20 s on %v × %v mm, next at %v", s.WidthMM(), s.HeightMM(), s.Next)
	}
	s = mustPlan(t, rec, Options{Layout: L12x1, Length: 2 * time.Second, Content: true, NoBanner: true})
	if s.WidthMM() != 4+70 {
		t.Errorf("2 s on %v mm", s.WidthMM())
	}
}

func TestDerivedIsMarked(t *testing.T) {
	rec := synth(500, 10, "I", "II", "V1", "V2", "V3", "V4", "V5", "V6")
	if err := rec.Complete(); err != nil {
		t.Fatal(err)
	}
	paths, texts := readSVG(t, svgOf(t, mustPlan(t, rec, Options{})))
	if !hasText(texts, "aVR*") || !hasText(texts, "* computed from other leads") {
		t.Error("aVR is not marked as computed")
	}
	if avf := tracesOf(paths, "aVF"); !has(avf[0], 91+(2.9-2.5)*25, rows3x4[2]-9.5) { // II − I/2
		t.Error("aVF is not II − I/2")
	}
}

func TestOptionsRefused(t *testing.T) {
	rec := synth(500, 10, standard...)
	for _, o := range []Options{
		{Speed: 30},
		{Gain: 7},
		{Speed: math.NaN()},
		{Layout: "4x3"},
		{Language: "fr"},
		{Start: -1},
		{Length: time.Hour},
		{Thumbnail: 5},
		{Filters: Filters{LowPassHz: 5}},
		{Filters: Filters{HighPassHz: 3}},
		{Filters: Filters{NotchHz: 55}},
		{Filters: Filters{LowPassHz: math.NaN()}},
		{RhythmLeads: []string{"I", "II", "III", "V1"}},
		{Start: time.Minute},
	} {
		if _, err := Plan(rec, o); err == nil {
			t.Errorf("%+v was drawn", o)
		}
	}
	if _, err := Plan(&ecg.Recording{}, Options{}); err != ErrNothing {
		t.Errorf("an empty recording: %v", err)
	}
	if _, err := mustPlan(t, rec, Options{}).Image(100_000); err == nil {
		t.Error("a picture of gigabytes")
	}
	f, err := ParseFilters("baseline, lp40,notch60")
	if err != nil || f != (Filters{0.5, 40, 60}) {
		t.Errorf("%v %v", f, err)
	}
	for _, bad := range []string{"lp", "lp5", "low", "notch", "hp9"} {
		if _, err := ParseFilters(bad); err == nil {
			t.Errorf("filter %q", bad)
		}
	}
	for _, l := range Layouts {
		if got, err := ParseLayout(strings.ToUpper(string(l))); err != nil || got != l {
			t.Errorf("%v: %v %v", l, got, err)
		}
	}
}
