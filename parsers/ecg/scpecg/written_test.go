package scpecg_test

import (
	"math"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"

	"github.com/tributary-dicom/tributary/parsers/ecg"
	"github.com/tributary-dicom/tributary/parsers/ecg/ecgtest"
	"github.com/tributary-dicom/tributary/parsers/ecg/scpecg"
	"github.com/tributary-dicom/tributary/parsers/ecg/scpecg/scptest"
	"github.com/tributary-dicom/tributary/parsers/reject"
)

// The records of this file are written by package scptest from samples that the tests know.

// wave returns n samples of something like a lead: beats on a slow drift, with noise, seeded by lead.
func wave(n, lead int) []int16 {
	r := rand.New(rand.NewPCG(7, uint64(lead)))
	v := make([]int16, n)
	for i := range v {
		t := float64(i%400) - 150
		v[i] = int16(900*math.Exp(-t*t/60) - 200*math.Exp(-(t-12)*(t-12)/40) +
			40*math.Sin(float64(i)/300+float64(lead)) + float64(r.IntN(7)-3))
	}
	return v
}

var twelve = []byte{1, 2, 3, 4, 5, 6, 7, 8, 61, 62, 63, 64}

// waves returns a lead of n samples for each id.
func waves(n int, ids ...byte) []scptest.Lead {
	var leads []scptest.Lead
	for i, id := range ids {
		leads = append(leads, scptest.Lead{ID: id, Samples: wave(n, i)})
	}
	return leads
}

func decode(t *testing.T, r *scptest.Record) *ecg.Recording {
	t.Helper()
	rec, err := scpecg.Decode(ecgtest.Source("", r.Bytes()), ecg.Limits{})
	if err != nil {
		t.Fatal(err)
	}
	if err := rec.Validate(ecg.Limits{}); err != nil {
		t.Fatal(err)
	}
	for i, g := range rec.Groups {
		ecgtest.ReadGroup(t, i, g)
	}
	return rec
}

// microvolts reads a group's values, exactly; a missing sample is nil.
func microvolts(t *testing.T, g *ecg.Group) [][]*ecg.Rat {
	t.Helper()
	counts, missing, err := g.ReadAll(8 << 20)
	if err != nil {
		t.Fatal(err)
	}
	out := make([][]*ecg.Rat, len(counts))
	for i := range counts {
		for k, c := range counts[i] {
			if missing[i] != nil && missing[i][k] {
				out[i] = append(out[i], nil)
				continue
			}
			v := g.Leads[i].Value(c)
			out[i] = append(out[i], &v)
		}
	}
	return out
}

// sameLeads compares a group with counts of avm nV, lead by lead and sample by sample.
func sameLeads(t *testing.T, g *ecg.Group, want [][]int16, avm int64) {
	t.Helper()
	got := microvolts(t, g)
	if len(got) != len(want) {
		t.Fatalf("%d leads, want %d", len(got), len(want))
	}
	for i := range want {
		if len(got[i]) != len(want[i]) {
			t.Fatalf("lead %d: %d samples, want %d", i, len(got[i]), len(want[i]))
		}
		for k, w := range want[i] {
			if got[i][k] == nil || !got[i][k].Equal(ecg.Frac(int64(w)*avm, 1000)) {
				t.Fatalf("lead %d sample %d: %v µV, want %d counts of %d nV", i, k, got[i][k], w, avm)
			}
		}
	}
}

func samplesOf(leads []scptest.Lead) [][]int16 {
	var out [][]int16
	for _, l := range leads {
		out = append(out, l.Samples)
	}
	return out
}

func hasWarning(rec *ecg.Recording, code ecg.WarningCode, where string) bool {
	return slices.ContainsFunc(rec.Warnings, func(w ecg.Warning) bool { return w.Code == code && strings.Contains(w.Where, where) })
}

// own are two tables that switch: small values, and a table of escapes whose codes are longer than any
// look-up table's index.
var own = []scptest.Table{
	{
		{Prefix: "0", Base: 0},
		{Prefix: "10", Base: 1},
		{Prefix: "110", Base: -1},
		{Prefix: "1110", Extra: 4, Base: 0},
		{Prefix: "1111", Base: 2, Switch: true},
	},
	{
		{Prefix: "00", Extra: 8, Base: 20},
		{Prefix: "0100000000000001", Extra: 16},
		{Prefix: "011111111111111110", Base: 7},
		{Prefix: "1", Base: 1, Switch: true},
	},
}

func TestEncodings(t *testing.T) {
	for _, c := range []struct {
		name string
		set  func(*scptest.Record)
	}{
		{"raw", func(*scptest.Record) {}},
		{"default table", func(r *scptest.Record) { r.Default = true }},
		{"own tables that switch", func(r *scptest.Record) { r.Tables = own }},
		{"one own table", func(r *scptest.Record) {
			r.Tables = []scptest.Table{{{Prefix: "00", Base: 0}, {Prefix: "01", Extra: 6, Base: 3}, {Prefix: "1", Extra: 16}}}
		}},
		{"raw as a table of one code", func(r *scptest.Record) {
			r.Tables = []scptest.Table{{{Extra: 16}}}
			r.Other = map[int][]byte{6: rawSection6(r)}
		}},
		{"fixed width of 12 bits", func(r *scptest.Record) { r.Tables = []scptest.Table{{{Extra: 12}}} }},
		{"table without codes", func(r *scptest.Record) { r.Other = map[int][]byte{2: {1, 0}} }},
	} {
		for encoding := range byte(3) {
			if c.name == "raw as a table of one code" && encoding > 0 {
				continue
			}
			r := &scptest.Record{Leads: waves(1003, twelve...), AVM: 2500, Encoding: encoding}
			c.set(r)
			rec := decode(t, r)
			if len(rec.Groups) != 1 || rec.Groups[0].Kind != ecg.Rhythm || !rec.Groups[0].Rate.Equal(ecg.Int(500)) {
				t.Fatalf("%s: %d groups", c.name, len(rec.Groups))
			}
			sameLeads(t, rec.Groups[0], samplesOf(r.Leads), 2500)
			for i, name := range []string{"I", "II", "V1", "V2", "V3", "V4", "V5", "V6", "III", "aVR", "aVL", "aVF"} {
				if rec.Groups[0].Leads[i].Name != name {
					t.Errorf("lead %d is %s", i, rec.Groups[0].Leads[i].Name)
				}
			}
			if hasWarning(rec, ecg.WarnChecksum, "") {
				t.Errorf("%s: %v", c.name, rec.Warnings)
			}
		}
	}
}

// rawSection6 is section 6 of raw samples, whatever the tables.
func rawSection6(r *scptest.Record) []byte {
	raw := *r
	raw.Tables, raw.Other = nil, nil
	b := raw.Bytes()
	return b[len(b)-(6+2*len(r.Leads)+2*len(r.Leads)*len(r.Leads[0].Samples)):]
}

// Values at the ends of 16 bits have differences that need 17; they wrap, and so do sums.
func TestDifferencesWrap(t *testing.T) {
	v := []int16{32767, -32768, 32767, 0, -32768, -32768, 32767, 5}
	for encoding := range byte(3) {
		r := &scptest.Record{Leads: []scptest.Lead{{ID: 1, Samples: v}}, Default: true, Encoding: encoding}
		sameLeads(t, decode(t, r).Groups[0], [][]int16{v}, 1000)
	}
}

// subtraction makes a record whose reference beat was subtracted around three of four beats: rhythm steps of
// residual nV, reference beat steps of beat nV. It returns the ECG as it was, in nV.
func subtraction(residual, reference uint16) (r *scptest.Record, truth [][]int64) {
	const n, length = 1600, 300
	r = &scptest.Record{
		Default: true, Encoding: 2, Subtracted: true, AVM: residual, BeatMillis: 2 * length, Fiducial: 121,
		Reference: &scptest.Signal{AVM: reference, Interval: 2000, Encoding: 1},
		Beats: []scptest.Beat{
			{Type: 0, From: 31, Center: 151, Till: 330, QRSFrom: 120, QRSTill: 190},
			{Type: 1, From: 431, Center: 551, Till: 730, QRSFrom: 520, QRSTill: 590},
			{Type: 0, From: 900, Center: 951, Till: 1000, QRSFrom: 920, QRSTill: 990},
			{Type: 0, From: 1501, Center: 1600, Till: 1600, QRSFrom: 1590, QRSTill: 1600},
		},
	}
	for i := range 3 {
		beat := wave(400, i)[30 : 30+length]
		rest := wave(n, i+50)
		for k := range rest {
			rest[k] /= 8
		}
		r.Leads = append(r.Leads, scptest.Lead{ID: []byte{1, 2, 61}[i], Samples: rest})
		r.Reference.Leads = append(r.Reference.Leads, beat)
		signal := make([]int64, n)
		for k := range signal {
			signal[k] = int64(rest[k]) * int64(residual)
		}
		for _, b := range r.Beats {
			// Sample m of the zone is sample fiducial + m − center of the beat, all from 1.
			for m := int(b.From); b.Type == 0 && m <= int(b.Till); m++ {
				signal[m-1] += int64(beat[121+m-int(b.Center)-1]) * int64(reference)
			}
		}
		truth = append(truth, signal)
	}
	return r, truth
}

func TestReferenceBeatIsAddedBack(t *testing.T) {
	for _, avm := range [][2]uint16{{5000, 5000}, {20000, 5000}, {5000, 20000}, {2500, 4880}, {1, 4999}} {
		r, truth := subtraction(avm[0], avm[1])
		rec := decode(t, r)
		got := microvolts(t, rec.Groups[0])
		for i := range truth {
			for k, nano := range truth[i] {
				if !got[i][k].Equal(ecg.Frac(nano, 1000)) {
					t.Fatalf("steps %v lead %d sample %d: %s µV, want %d nV", avm, i, k, got[i][k], nano)
				}
			}
		}
		median := rec.Groups[1]
		if median.Kind != ecg.Median || median.Length != 300 {
			t.Fatalf("%s of %d samples", median.Kind, median.Length)
		}
		sameLeads(t, median, r.Reference.Leads, int64(avm[1]))
		var beats []string
		for _, a := range rec.Annotations {
			if a.Kind == ecg.Beat {
				beats = append(beats, a.Onset.String()+" "+a.Code)
			}
		}
		if want := []string{"300 type 0", "1100 type 1", "1900 type 0", "3198 type 0"}; !slices.Equal(beats, want) {
			t.Errorf("beats %v, want %v", beats, want)
		}
	}
}

// A residual on its own has no QRS complexes: it must not pass for an ECG.
func TestResidualAloneIsRefused(t *testing.T) {
	for name, spoil := range map[string]func(*scptest.Record){
		"no reference beat": func(r *scptest.Record) { r.Reference = nil },
		"no section 4":      func(r *scptest.Record) { r.Beats, r.BeatMillis = nil, 0 },
		"no fiducial":       func(r *scptest.Record) { r.Fiducial = 0 },
		"another rate":      func(r *scptest.Record) { r.Reference.Interval = 1000 },
		"beat out of reach": func(r *scptest.Record) { r.Pointers = map[int]uint32{5: 1 << 30}; r.Order = []int{1, 2, 3, 4, 6} },
	} {
		r, _ := subtraction(5000, 5000)
		spoil(r)
		if rec, err := scpecg.Decode(ecgtest.Source("", r.Bytes()), ecg.Limits{}); err == nil || !reject.CodeOf(err).Keeps() {
			t.Errorf("%s: %v, %v", name, rec != nil, err)
		}
	}
	// Where no beat was of type 0, nothing was subtracted.
	r, _ := subtraction(5000, 5000)
	for i := range r.Beats {
		r.Beats[i].Type = 3
	}
	sameLeads(t, decode(t, r).Groups[0], samplesOf(r.Leads), 5000)
}

// bimodal takes samples outside QRS zones together, factor at a time, as their mean, and returns the lead as
// stored.
func bimodal(v []int16, zones []scptest.Beat, factor int) (stored []int16) {
	flush := func(run []int16) {
		for len(run) >= factor {
			sum := 0
			for _, x := range run[:factor] {
				sum += int(x)
			}
			stored = append(stored, int16(math.Round(float64(sum)/float64(factor))))
			run = run[factor:]
		}
		stored = append(stored, run...)
	}
	at := 0
	for _, z := range zones {
		flush(v[at : z.QRSFrom-1])
		stored = append(stored, v[z.QRSFrom-1:z.QRSTill]...)
		at = int(z.QRSTill)
	}
	flush(v[at:])
	return stored
}

// filled is what a run of whole means should look like in between: the line through mean j at its place
// factor/2 + j·factor, held at both ends.
func filled(means []int16, factor, k int) ecg.Rat {
	x := k - factor/2
	if x <= 0 {
		return ecg.Int(int64(means[0]))
	}
	j := x / factor
	if j >= len(means)-1 {
		return ecg.Int(int64(means[len(means)-1]))
	}
	a, b := int64(means[j]), int64(means[j+1])
	return ecg.Frac(a*int64(factor)+(b-a)*int64(x%factor), int64(factor))
}

func TestBimodalCompression(t *testing.T) {
	zones := []scptest.Beat{
		{Type: 9, Center: 150, QRSFrom: 121, QRSTill: 190},
		{Type: 9, Center: 550, QRSFrom: 522, QRSTill: 590}, // leaves odd samples before it
		{Type: 9, Center: 950, QRSFrom: 591, QRSTill: 990}, // follows at once
	}
	for _, factor := range []int{2, 3, 4} {
		for _, withBeat := range []bool{true, false} {
			const n = 1203
			r := &scptest.Record{
				Default: true, Encoding: 2, Bimodal: true, AVM: 5000, Interval: uint16(2000 * factor),
				Beats: zones, BeatMillis: 600, Fiducial: 100,
			}
			var truth [][]int16
			for i := range 2 {
				v := wave(n, i)
				truth = append(truth, v)
				r.Leads = append(r.Leads, scptest.Lead{ID: byte(i + 1), End: n, Samples: bimodal(v, zones, factor)})
			}
			if withBeat {
				r.Reference = &scptest.Signal{AVM: 5000, Interval: 2000, Leads: [][]int16{wave(300, 8), wave(300, 9)}}
			}
			rec := decode(t, r)
			g := rec.Groups[0]
			if !g.Rate.Equal(ecg.Int(500)) || g.Length != n {
				t.Fatalf("factor %d: %s Hz, %d samples", factor, g.Rate, g.Length)
			}
			got := microvolts(t, g)
			for i, v := range truth {
				for _, z := range zones {
					for k := z.QRSFrom - 1; k < z.QRSTill; k++ {
						if !got[i][k].Equal(ecg.Int(5 * int64(v[k]))) {
							t.Fatalf("factor %d lead %d sample %d of a protected zone: %s, want %d", factor, i, k, got[i][k], 5*v[k])
						}
					}
				}
				// The runs between, with the place of each in what is stored.
				place := 0
				for _, run := range [][2]int{{0, 120}, {190, 521}, {590, 590}, {990, n}} {
					length := run[1] - run[0]
					means := r.Leads[i].Samples[place : place+length/factor]
					for k := range length {
						want := ecg.Int(int64(v[run[0]+k]))
						if k < len(means)*factor {
							want = filled(means, factor, k)
						}
						if !got[i][run[0]+k].Equal(want.Mul(ecg.Int(5))) {
							t.Fatalf("factor %d lead %d sample %d: %s, want %s", factor, i, run[0]+k, got[i][run[0]+k], want.Mul(ecg.Int(5)))
						}
					}
					place += length/factor + length%factor
					for _, z := range zones {
						if int(z.QRSFrom)-1 == run[1] {
							place += int(z.QRSTill-z.QRSFrom) + 1
						}
					}
				}
			}
			var marks []string
			for _, a := range rec.Annotations {
				if a.Code == "interpolated" {
					marks = append(marks, a.Onset.String()+"+"+a.Duration.String())
				}
			}
			f := func(k int) string { return ecg.Int(int64(2 * (k / factor * factor))).String() }
			if want := []string{"0+" + f(120), "380+" + f(331), "1980+" + f(213)}; !slices.Equal(marks, want) {
				t.Errorf("factor %d: interpolated %v, want %v", factor, marks, want)
			}
		}
	}
}

// Both at once, with different steps: the beat is added to the filled-in residual.
func TestBimodalWithSubtraction(t *testing.T) {
	r, truth := subtraction(20000, 5000)
	r.Bimodal, r.Interval = true, 8000
	for i := range r.Leads {
		// A residual that is constant outside the zones survives decimation exactly.
		for k := range r.Leads[i].Samples {
			inside := slices.ContainsFunc(r.Beats, func(b scptest.Beat) bool { return k+1 >= int(b.QRSFrom) && k+1 <= int(b.QRSTill) })
			if !inside {
				truth[i][k] += int64(11-r.Leads[i].Samples[k]) * 20000
				r.Leads[i].Samples[k] = 11
			}
		}
		r.Leads[i].End = uint32(len(r.Leads[i].Samples))
		r.Leads[i].Samples = bimodal(r.Leads[i].Samples, r.Beats, 4)
	}
	got := microvolts(t, decode(t, r).Groups[0])
	for i := range truth {
		for k, nano := range truth[i] {
			if !got[i][k].Equal(ecg.Frac(nano, 1000)) {
				t.Fatalf("lead %d sample %d: %s µV, want %d nV", i, k, got[i][k], nano)
			}
		}
	}
}

func TestLeadsStartApart(t *testing.T) {
	leads := waves(250, 1, 2, 3)
	leads[1].Start, leads[2].Start = 251, 501
	r := &scptest.Record{Leads: leads, Default: true, Encoding: 1}
	g := decode(t, r).Groups[0]
	if g.Length != 750 || g.Leads[2].Start != 500 || g.Leads[1].Length != 250 {
		t.Fatalf("%d samples, starts %d %d", g.Length, g.Leads[1].Start, g.Leads[2].Start)
	}
	got := microvolts(t, g)
	if got[0][250] != nil || got[1][249] != nil || !got[1][250].Equal(ecg.Int(int64(leads[1].Samples[0]))) {
		t.Error("leads are not where section 3 puts them")
	}
}
