package csvout

import (
	"bytes"
	"encoding/csv"
	"math"
	"strings"
	"testing"

	"github.com/tributary-dicom/tributary/parsers/ecg"
	"pgregory.net/rapid"
)

func TestWrite(t *testing.T) {
	g := &ecg.Group{Kind: ecg.Rhythm, Rate: ecg.Int(400), Leads: []ecg.Lead{
		{Name: "I", Unit: ecg.Microvolt, Scale: ecg.MustRat("4.88")},
		{Name: "aVR", Unit: ecg.Microvolt, Scale: ecg.MustRat("2.5"), Baseline: ecg.MustRat("-0.125")},
		{Name: "Resp, chest", Unit: "Ohm", Scale: ecg.Int(-1)},
	}}
	g.Memory([][]int32{{0, 1, -1}, {1, -1, math.MinInt32}, {0, 5, 7}}, [][]bool{nil, nil, {true, false, false}})
	var w bytes.Buffer
	exact, err := Write(&w, g)
	if err != nil || !exact {
		t.Fatal(exact, err)
	}
	want := "time_ms,I_uV,aVR_uV,\"Resp, chest_Ohm\"\n0,0,2.375,\n2.5,4.88,-2.625,-5\n5,-4.88,-5368709120.125,-7\n"
	if w.String() != want {
		t.Errorf("%q, want %q", w.String(), want)
	}
}

// TestRounded: a third is no decimal, and that is told.
func TestRounded(t *testing.T) {
	g := &ecg.Group{Rate: ecg.Int(300), Leads: []ecg.Lead{{Name: "I", Unit: ecg.Microvolt, Scale: ecg.Int(1)}}}
	g.Memory([][]int32{{1, 2}}, nil)
	var w bytes.Buffer
	exact, err := Write(&w, g)
	if err != nil || exact || !strings.Contains(w.String(), "\n3.333333,2\n") {
		t.Errorf("%v %v %q", exact, err, w.String())
	}
	if _, err := Write(&w, &ecg.Group{}); err == nil {
		t.Error("wrote a group without samples")
	}
}

// TestExact: what is written is the value, whatever step and base.
func TestExact(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		step := ecg.Frac(rapid.Int64Range(-1_000_000_000, 1_000_000_000).Draw(t, "step"), rapid.SampledFrom([]int64{1, 2, 8, 100, 1 << 12, 1_000_000_000}).Draw(t, "of"))
		base := ecg.Frac(rapid.Int64Range(-1<<40, 1<<40).Draw(t, "base"), rapid.SampledFrom([]int64{1, 2, 1000}).Draw(t, "of base"))
		n := int64(rapid.Int32().Draw(t, "count"))
		d := newDecimals(step, base)
		text := string(d.append(nil, n))
		got, err := ecg.ParseRat(text)
		if want := ecg.Int(n).Mul(step).Add(base); d.exact && (err != nil || !got.Equal(want)) {
			t.Fatalf("%d·%s + %s = %s, written %q", n, step, base, want, text)
		}
	})
}

func FuzzWrite(f *testing.F) {
	f.Add("I", "4.88", "0", int32(5))
	f.Add("a,\"\n", "1/3", "-1e50", int32(-1<<31))
	f.Fuzz(func(t *testing.T, name, step, base string, count int32) {
		var s, b ecg.Rat
		if s.UnmarshalText([]byte(step)) != nil || b.UnmarshalText([]byte(base)) != nil || strings.ContainsAny(name, "\r") {
			return
		}
		g := &ecg.Group{Rate: ecg.Int(500), Leads: []ecg.Lead{{Name: name, Unit: ecg.Microvolt, Scale: s, Baseline: b}}}
		g.Memory([][]int32{{count, 0}}, nil)
		var w bytes.Buffer
		if _, err := Write(&w, g); err != nil {
			t.Fatal(err)
		}
		rows, err := csv.NewReader(&w).ReadAll()
		if err != nil || len(rows) != 3 || rows[0][1] != name+"_uV" {
			t.Fatalf("%v %v", rows, err)
		}
	})
}
