package edfplus

import (
	"bytes"
	"io/fs"
	"math"
	"path/filepath"
	"strings"
	"testing"

	"github.com/tributary-dicom/tributary/parsers/ecg"
	"github.com/tributary-dicom/tributary/parsers/ecg/ecgtest"
	"github.com/tributary-dicom/tributary/parsers/ecg/edf"
	"github.com/tributary-dicom/tributary/parsers/ecg/formats"
	"github.com/tributary-dicom/tributary/parsers/sniff"
)

// lead returns a test lead.
func lead(name, scale string) ecg.Lead {
	l := ecg.Lead{Unit: ecg.Microvolt, Scale: ecg.MustRat(scale)}
	l.SetLabel("lead " + name)
	return l
}

func recording(rate string, n int, value func(c, i int) int32, leads ...ecg.Lead) *ecg.Recording {
	g := &ecg.Group{Kind: ecg.Rhythm, Rate: rat(rate), Leads: leads}
	counts := make([][]int32, len(leads))
	for c := range counts {
		for i := range n {
			counts[c] = append(counts[c], value(c, i))
		}
	}
	g.Memory(counts, nil)
	return &ecg.Recording{
		Format: sniff.MUSE, Groups: []*ecg.Group{g}, Acquired: ecg.ParseTime("20240229101112.5"),
		Patient:    ecg.Patient{ID: "P 1", Name: "张三", Sex: "F", BirthDate: "1970-03-09"},
		Statements: []ecg.Statement{{Text: "窦性心律"}},
	}
}

func rat(s string) ecg.Rat {
	var r ecg.Rat
	if err := r.UnmarshalText([]byte(s)); err != nil {
		panic(err)
	}
	return r
}

func wavy(c, i int) int32 { return int32(500 * math.Sin(float64(i)/20+float64(c))) }

// write writes rec, checks the size, and reads it back.
func write(t testing.TB, rec *ecg.Recording, group int) (*Plan, *ecg.Recording) {
	t.Helper()
	p, err := NewPlan(rec, group)
	if err != nil {
		t.Fatal(err)
	}
	var a, b bytes.Buffer
	if n, err := p.WriteTo(&a); err != nil || n != p.Size || int64(a.Len()) != n {
		t.Fatalf("%d of %d bytes, %v", n, p.Size, err)
	}
	if err := Write(&b, rec, group); err != nil || !bytes.Equal(a.Bytes(), b.Bytes()) {
		t.Errorf("two runs differ: %v", err)
	}
	back, err := edf.Decode(ecgtest.Source("", a.Bytes()), ecg.Limits{})
	if err != nil {
		t.Fatal(err)
	}
	if err := back.Validate(ecg.Limits{}); err != nil {
		t.Fatal(err)
	}
	return p, back
}

// same compares every sample's value, which is exact unless the plan says otherwise.
func same(t testing.TB, p *Plan, back *ecg.Recording) {
	t.Helper()
	for _, w := range p.Warnings {
		if w.Code == WarnRounded || w.Code == WarnSamples {
			return
		}
	}
	counts, missing, err := p.group.ReadAll(1 << 26)
	if err != nil {
		t.Fatal(err)
	}
	at := 0
	for _, g := range back.Groups {
		if !g.Rate.Equal(p.group.Rate) {
			t.Errorf("rate %s read back as %s", p.group.Rate, g.Rate)
		}
		got, _, err := g.ReadAll(1 << 26)
		if err != nil {
			t.Fatal(err)
		}
		for k := range g.Leads {
			if at >= len(p.leads) {
				t.Fatal("more leads than were written")
			}
			i := p.leads[at]
			l, b := &p.group.Leads[i], &g.Leads[k]
			at++
			if l.Code != "" && l.Name != b.Name {
				t.Errorf("lead %s read back as %s", l.Name, b.Name)
			}
			shift := p.scales[at-1].shift
			if l.Voltage() && (!b.Scale.Equal(l.Scale) || !b.Value(0).Equal(l.Value(int32(shift)))) {
				t.Errorf("lead %s: step %s base %s shifted by %d, read back %s and %s", l.Name, l.Scale, l.Baseline, shift, b.Scale, b.Baseline)
			}
			for j, v := range counts[i] {
				if (missing[i] == nil || !missing[i][j]) && int64(v) != int64(got[k][j])+shift {
					t.Fatalf("lead %s sample %d: %d, read back %d, shifted by %d", l.Name, j, v, got[k][j], shift)
				}
			}
			if int64(len(got[k])) != p.records*p.perRecord {
				t.Errorf("lead %s: %d samples", l.Name, len(got[k]))
			}
		}
	}
	if at != len(p.leads) {
		t.Errorf("%d leads of %d", at, len(p.leads))
	}
}

func TestSynthetic(t *testing.T) {
	full := func(_, i int) int32 { return int32(i%65536) - 32768 }
	for name, c := range map[string]struct {
		rec  *ecg.Recording
		warn ecg.WarningCode
	}{
		"twelve leads":       {recording("500", 5000, wavy, lead("I", "5"), lead("II", "4.88"), lead("V1", "2.5"), lead("V2", "0.152587890625")), ""},
		"all of 16 bits":     {recording("1000", 65536, full, lead("I", "1")), ""},
		"above 16 bits":      {recording("500", 1000, func(_, i int) int32 { return 1_000_000 + int32(i) }, lead("I", "1")), ""},
		"wider than 16 bits": {recording("500", 1000, func(_, i int) int32 { return int32(i) * 1000 }, lead("I", "1")), WarnSamples},
		"a third":            {recording("500", 1000, wavy, lead("I", "1")), ""},
		"odd length":         {recording("500", 8499, wavy, lead("I", "5"), lead("II", "5")), ""},
		"prime length":       {recording("500", 30011, wavy, lead("I", "5")), WarnPadded},
		"three seconds":      {recording("1000/3", 1000, wavy, lead("I", "5")), ""},
		"one sample":         {recording("500", 1, wavy, lead("I", "5")), ""},
	} {
		t.Run(name, func(t *testing.T) {
			if name == "a third" {
				c.rec.Groups[0].Leads[0].Scale, c.warn = ecg.Frac(1, 3), WarnRounded
			}
			p, back := write(t, c.rec, -1)
			same(t, p, back)
			found := c.warn == "" || c.warn == WarnRounded // digital extremes may be multiples of three
			for _, w := range p.Warnings {
				found = found || w.Code == c.warn
				if c.warn == "" && w.Code != WarnNotASCII {
					t.Errorf("warning %v", w)
				}
			}
			if !found {
				t.Errorf("no warning %s: %v", c.warn, p.Warnings)
			}
			if back.Acquired.String() != "2024-02-29T10:11:12.5" {
				t.Errorf("acquired %s", back.Acquired)
			}
		})
	}
}

// TestAnnotations: readings, marks and gaps come back at their times, however many there are.
func TestAnnotations(t *testing.T) {
	rec := recording("500", 10_000, wavy, lead("I", "5"), lead("II", "5"))
	g := rec.Groups[0]
	counts, _, err := g.ReadAll(1 << 20)
	if err != nil {
		t.Fatal(err)
	}
	missing := [][]bool{nil, make([]bool, 10_000)}
	for i := 500; i < 1000; i++ {
		missing[1][i] = true
	}
	g.Memory(counts, missing)
	for i := range 300 {
		rec.Annotations = append(rec.Annotations, ecg.Annotation{Kind: ecg.Beat, Group: 0, Onset: ecg.Int(int64(299-i) * 60), Code: "N"})
	}
	rec.Annotations = append(rec.Annotations, ecg.Annotation{Kind: ecg.Note, Group: -1, Onset: ecg.MustRat("1234.5"), Duration: ecg.Int(10), Text: strings.Repeat("病人按键", 20)})
	p, back := write(t, rec, 0)
	same(t, p, back)
	beats, found := 0, map[string]bool{}
	for _, a := range back.Annotations {
		text := strings.TrimSpace(a.Code + " " + a.Text)
		switch {
		case strings.HasPrefix(text, "N") && !strings.Contains(text, "No signal"):
			if at, _ := a.Onset.Int64(); at != int64(beats)*60 {
				t.Errorf("beat %d at %s ms", beats, a.Onset)
			}
			beats++
		case strings.Contains(text, "No signal: II"):
			found["gap"] = a.Onset.String() == "1000" && a.Duration.String() == "1000"
		case strings.Contains(text, "病人按键"):
			found["note"] = a.Onset.String() == "1234.5" && a.Duration.String() == "10"
		case strings.Contains(text, "窦性心律"):
			found["statement"] = strings.Contains(text, "unconfirmed")
		case strings.Contains(text, "张三"):
			found["name"] = true
		}
	}
	for _, s := range back.Statements {
		found["statement"] = found["statement"] || strings.Contains(s.Text, "窦性心律 (unconfirmed)")
	}
	if beats != 300 {
		t.Errorf("%d beats", beats)
	}
	for _, what := range []string{"gap", "note", "statement", "name"} {
		if !found[what] {
			t.Errorf("no %s in %v", what, back.Annotations)
		}
	}
}

// TestCorpus writes every recording that is read.
func TestCorpus(t *testing.T) {
	root := ecgtest.Corpus(t)
	n := 0
	err := filepath.WalkDir(root, func(path string, e fs.DirEntry, err error) error {
		if err != nil || !e.Type().IsRegular() {
			return err
		}
		rec, err := formats.Decode(ecgtest.Open(t, path), ecg.Limits{})
		if err != nil || len(rec.Groups) == 0 {
			return nil //nolint:nilerr // no recording of ours
		}
		p, err := NewPlan(rec, -1)
		if err != nil {
			t.Logf("%s: %v", filepath.Base(path), err)
			return nil
		}
		if p.Size > 8<<20 {
			return nil
		}
		p, back := write(t, rec, -1)
		same(t, p, back)
		n++
		if len(p.Warnings) > 0 {
			t.Log(filepath.Base(path), p.Warnings)
		}
		return nil
	})
	if err != nil || n == 0 {
		t.Error(n, err)
	}
}

func FuzzWrite(f *testing.F) {
	f.Add("4.88", "500", "2024-01-01", "text", int32(5), uint16(100))
	f.Add("1/3", "1000/7", "", "张\x00\x14", int32(math.MinInt32), uint16(1))
	f.Add("1e40", "39999.9", "20240101", strings.Repeat("x", 500), int32(math.MaxInt32), uint16(5000))
	f.Fuzz(func(t *testing.T, scale, rate, when, text string, step int32, n uint16) {
		var s, r ecg.Rat
		if s.UnmarshalText([]byte(scale)) != nil || r.UnmarshalText([]byte(rate)) != nil || s.IsZero() || !ecg.RateOK(r) {
			return
		}
		g := &ecg.Group{Kind: ecg.Rhythm, Rate: r, Leads: []ecg.Lead{{Name: text, Scale: s, Unit: text}, {Name: "II", Code: "MDC_ECG_LEAD_II", Scale: s, Baseline: r, Unit: ecg.Microvolt}}}
		counts, missing := make([][]int32, 2), [][]bool{make([]bool, n), nil}
		for i := range int(n % 5000) {
			counts[0], counts[1] = append(counts[0], int32(i)*step), append(counts[1], step)
			missing[0][i] = i%7 == 0
		}
		g.Memory(counts, missing)
		rec := &ecg.Recording{Format: sniff.MUSE, Groups: []*ecg.Group{g}, Acquired: ecg.ParseTime(when), Patient: ecg.Patient{ID: text, Name: text}, Statements: []ecg.Statement{{Text: text}}, Annotations: []ecg.Annotation{{Kind: ecg.Note, Onset: s, Duration: r, Text: text}}}
		p, err := NewPlan(rec, -1)
		if err != nil {
			return
		}
		var w bytes.Buffer
		if n, err := p.WriteTo(&w); err != nil || n != p.Size {
			t.Fatal(n, p.Size, err)
		}
		if _, err := edf.Decode(ecgtest.Source("", w.Bytes()), ecg.Limits{}); err != nil {
			t.Fatal(err)
		}
	})
}
