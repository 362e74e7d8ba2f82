package scpecg_test

import (
	"encoding/binary"
	"io"
	"slices"
	"testing"

	"github.com/tributary-dicom/tributary/parsers/ecg"
	"github.com/tributary-dicom/tributary/parsers/ecg/ecgtest"
	"github.com/tributary-dicom/tributary/parsers/ecg/scpecg"
	"github.com/tributary-dicom/tributary/parsers/ecg/scpecg/scptest"
)

// globals is a section 7 with two blocks of measurements and two spikes.
func globals() []byte {
	b := append([]byte{2, 2}, le16(800, 29999)...)
	b = append(b, le16(100, 200, 260, 350, 640, 45, -30, 999)...)
	b = append(b, le16(29999, 29999, 258, 352, 29999, 29999, 10, 29999)...)
	b = append(b, le16(120, 1500, 920, -800)...)
	b = append(append(b, 2, 1), le16(1, 500)...)
	b = append(append(b, 3, 2), le16(2, 400)...)
	b = append(append(b, le16(3)...), 0, 0, 1)
	b = append(append(b, le16(75, 29999, 425)...), 3)
	return append(b, le16(0)...)
}

func text(number byte, s string) []byte {
	return append(append([]byte{number}, le16(len(s))...), s...)
}

func statements() []byte {
	b := append([]byte{1}, le16(2026)...)
	b = append(b, 3, 5, 10, 20, 30, 3)
	return slices.Concat(b, text(1, "Sinus rhythm\x00"), text(2, "窦性心律\x00"), text(3, "no NUL"))
}

func universal() []byte {
	b := append([]byte{0}, le16(0)...)
	b = append(b, 0, 0, 0, 0, 0, 3)
	return slices.Concat(b, text(1, "\x01IMI\x00AC\x00"), text(2, "\x02in words\x00"), text(3, "\x03AND\x00"))
}

func perLead() []byte {
	b := le16(2, 0)
	one := make([]int, 50)
	for i := range one {
		one[i] = 10 + i
	}
	one[1], one[2], one[3] = 29999, 29998, 19999
	b = append(append(b, le16(1, 100)...), le16(one...)...)
	return append(append(b, le16(3, 4)...), le16(-5, 120)...) // V1, shortened
}

// longTerm is a section 12 as its draft has it: leads of three bytes a sample, in turn.
func longTerm(leads, samples int) []byte {
	b := binary.LittleEndian.AppendUint32(nil, 250)
	b = append(b, byte(leads))
	b = binary.LittleEndian.AppendUint32(b, uint32(samples))
	b = append(b, 3)
	b = append(append(b, le16(2025)...), 7, 8, 9, 10, 11)
	b = append(b, make([]byte, 70-len(b))...)
	b[62], b[66] = 5, 2
	b = append(b, make([]byte, 7)...)
	for i := range leads {
		b = append(append(append(b, byte(i+1)), le16(2500)...), 0)
	}
	for k := range samples {
		for i := range leads {
			v := longTermSample(i, k)
			b = append(b, byte(v), byte(v>>8), byte(v>>16))
		}
	}
	return b
}

func longTermSample(lead, k int) int32 { return int32((k*7919+lead*104729)%(1<<23)) - 1<<22 }

func TestGlobalMeasurements(t *testing.T) {
	r := everything()
	rec := decode(t, r)
	for kind, want := range map[ecg.MeasurementKind]string{
		ecg.RRInterval: "800", ecg.POnset: "100", ecg.QRSOffset: "350", ecg.PDuration: "100", ecg.PRInterval: "160",
		ecg.QRSDuration: "90", ecg.QTInterval: "380", ecg.QTcInterval: "425", ecg.QRSAxis: "-30", ecg.VentricularRate: "75",
	} {
		if m, ok := rec.Measurement(kind); !ok || !m.Valid || m.Raw != want {
			t.Errorf("%s: %+v, want %s", kind, m, want)
		}
	}
	if m, _ := rec.Measurement(ecg.QTcInterval); m.Formula != ecg.Fridericia {
		t.Errorf("formula %q", m.Formula)
	}
	for _, kind := range []ecg.MeasurementKind{ecg.PPInterval, ecg.TAxis, ecg.AtrialRate} {
		if m, ok := rec.Measurement(kind); !ok || m.Valid {
			t.Errorf("%s, which was not computed: %+v", kind, m)
		}
	}
	if m, _ := rec.Measurement(ecg.POnset); rec.Groups[m.Group].Kind != ecg.Median {
		t.Errorf("points of the reference beat are of group %d", m.Group)
	}
	var spikes []string
	for _, a := range rec.Annotations {
		if a.Kind == ecg.Spike {
			spikes = append(spikes, a.Onset.String()+" "+a.Duration.String()+" "+a.Code+" "+a.Text)
		}
	}
	if want := []string{"120 0.5 type 2 source 1 1500 uV", "920 0.4 type 3 source 2 -800 uV"}; !slices.Equal(spikes, want) {
		t.Errorf("spikes %q", spikes)
	}
	if !rec.Pacing.Known || !rec.Pacing.Paced {
		t.Error("no pacemaker")
	}
}

func TestMeasurementsOfLeads(t *testing.T) {
	rec := decode(t, everything())
	find := func(lead, name string) (ecg.Measurement, bool) {
		i := slices.IndexFunc(rec.Measurements, func(m ecg.Measurement) bool { return m.Lead == lead && m.Name == name })
		if i < 0 {
			return ecg.Measurement{}, false
		}
		return rec.Measurements[i], true
	}
	for _, c := range []struct {
		lead, name, raw string
		kind            ecg.MeasurementKind
		valid           bool
	}{
		{"I", "P duration", "10", ecg.PDuration, true},
		{"I", "PR interval", "29999", ecg.PRInterval, false},
		{"I", "QRS duration", "29998", ecg.QRSDuration, false},
		{"I", "QT interval", "19999", ecg.QTInterval, false},
		{"I", "R amplitude", "20", ecg.RAmplitude, true},
		{"I", "ST amplitude J+60 ms", "37", ecg.STAmplitude, true},
		{"I", "ST amplitude J+RR/8", "40", "", true},
		{"V1", "P duration", "-5", ecg.PDuration, true},
	} {
		if m, ok := find(c.lead, c.name); !ok || m.Raw != c.raw || m.Kind != c.kind || m.Valid != c.valid {
			t.Errorf("%s %s: %+v", c.lead, c.name, m)
		}
	}
	if _, ok := find("V1", "QRS duration"); ok {
		t.Error("V1 has more than two measurements")
	}
}

func TestStatements(t *testing.T) {
	rec := decode(t, everything())
	type line struct {
		text, code, name string
		status           ecg.Status
		author           ecg.Author
		time             string
	}
	var got []line
	for _, s := range rec.Statements {
		got = append(got, line{s.Text, s.Code, s.Name, s.Status, s.Author, s.Time.String()})
	}
	const at = "2026-03-05T10:20:30+08:00"
	if want := []line{
		{"Sinus rhythm", "", "Dr C", ecg.Confirmed, ecg.OverRead, at},
		{"窦性心律", "", "Dr C", ecg.Confirmed, ecg.OverRead, at},
		{"no NUL", "", "Dr C", ecg.Confirmed, ecg.OverRead, at},
		{"IMI AC", "IMI AC", "", ecg.Unconfirmed, ecg.Machine, ""},
		{"in words", "", "", ecg.Unconfirmed, ecg.Machine, ""},
		{"AND", "AND", "", ecg.Unconfirmed, ecg.Machine, ""},
	}; !slices.Equal(got, want) {
		t.Errorf("%+v", got)
	}
}

func TestVersion3(t *testing.T) {
	const leads, samples = 3, 5000
	r := &scptest.Record{Protocol: 30, Other: map[int][]byte{12: longTerm(leads, samples), 15: {1, 2}, 40: {1}}}
	rec := decode(t, r)
	g := rec.Groups[0]
	if rec.FormatVersion != "3.0" || g.Kind != ecg.FullDisclosure || g.Length != samples || !g.Rate.Equal(ecg.Int(250)) || rec.Acquired.String() != "2025-07-08T09:10:11" {
		t.Fatalf("version %s, %s of %d samples, %s", rec.FormatVersion, g.Kind, g.Length, rec.Acquired)
	}
	counts, _, err := g.ReadAll(1 << 20)
	if err != nil {
		t.Fatal(err)
	}
	for i := range counts {
		if g.Leads[i].Scale.String() != "2.5" {
			t.Errorf("step %s", g.Leads[i].Scale)
		}
		for k, c := range counts[i] {
			if c != longTermSample(i, k) {
				t.Fatalf("lead %d sample %d: %d, want %d", i, k, c, longTermSample(i, k))
			}
		}
	}
	for _, where := range []string{"section 12", "section 15", "section 40"} {
		if !hasWarning(rec, ecg.WarnUnsupportedPart, where) {
			t.Errorf("no warning of %s: %v", where, rec.Warnings)
		}
	}
	// A section 12 whose parts do not add up, and one of a protocol that has none, are left alone.
	for name, spoil := range map[string]func(b []byte) []byte{
		"too short": func(b []byte) []byte { return b[:len(b)-3] }, "too long": func(b []byte) []byte { return append(b, 1, 2, 3) },
		"no rate": func(b []byte) []byte { b[0] = 0; return b }, "no width": func(b []byte) []byte { b[9] = 9; return b },
		"head alone": func(b []byte) []byte { return b[:70] }, "less": func(b []byte) []byte { return b[:8] },
	} {
		r := plain()
		r.Protocol, r.Other = 30, map[int][]byte{12: spoil(longTerm(3, 10))}
		if rec := decode(t, r); len(rec.Groups) != 1 || !hasWarning(rec, ecg.WarnUnsupportedPart, "section 12") {
			t.Errorf("%s: %d groups, %v", name, len(rec.Groups), rec.Warnings)
		}
	}
	old := plain()
	old.Other = map[int][]byte{12: longTerm(3, 10)}
	if rec := decode(t, old); len(rec.Groups) != 1 {
		t.Error("section 12 in protocol 2.0 was read")
	}
}

func TestNoWaveform(t *testing.T) {
	rec, err := scpecg.Decode(ecgtest.Source("", (&scptest.Record{Tags: manyTags(), Other: map[int][]byte{8: statements()}}).Bytes()), ecg.Limits{})
	if err != nil || len(rec.Groups) != 0 || !hasWarning(rec, ecg.WarnNoWaveform, "") || len(rec.Statements) != 3 {
		t.Errorf("%v", err)
	}
}

func TestReferenceBeatWithoutRhythm(t *testing.T) {
	r, _ := subtraction(5000, 5000)
	r.Subtracted, r.NoRhythm = false, true
	rec := decode(t, r)
	if len(rec.Groups) != 1 || rec.Groups[0].Kind != ecg.Median {
		t.Fatalf("%d groups", len(rec.Groups))
	}
}

func BenchmarkDecode(b *testing.B) {
	for name, r := range map[string]*scptest.Record{
		"huffman second differences": {Leads: waves(5000, twelve...), Default: true, Encoding: 2},
		"raw":                        {Leads: waves(30000, twelve...)},
	} {
		data := r.Bytes()
		b.Run(name, func(b *testing.B) {
			var block ecg.Block
			b.SetBytes(int64(len(data)))
			for b.Loop() {
				rec, err := scpecg.Decode(ecgtest.Source("", data), ecg.Limits{})
				if err != nil {
					b.Fatal(err)
				}
				samples, err := rec.Groups[0].Samples()
				for err == nil {
					err = samples.Next(&block)
				}
				if err != io.EOF {
					b.Fatal(err)
				}
			}
		})
	}
}
