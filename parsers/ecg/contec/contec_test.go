package contec_test

import (
	"bytes"
	"encoding/binary"
	"io"
	"testing"

	"github.com/tributary-dicom/tributary/parsers/ecg"
	"github.com/tributary-dicom/tributary/parsers/ecg/contec"
	"github.com/tributary-dicom/tributary/parsers/ecg/ecgtest"
	"github.com/tributary-dicom/tributary/parsers/ecg/formats"
	"github.com/tributary-dicom/tributary/parsers/reject"
)

func TestGolden(t *testing.T) {
	ecgtest.Golden(t, "contec", contec.Decode, ecgtest.Options{Deviations: map[string]string{
		"contec/0000050.ECG: device model": "the model is not in the file; the reference has it from where the file came from",
	}})
}

// sample is what the file that write makes has at sample k of a series.
func sample(series, k int) int { return (k*(series+3))%900 - 400 }

// write makes a file of n samples whose series 3 (V2) is unplugged.
func write(name string, sex, age, weight byte, n int) []byte {
	b := make([]byte, 43, 43+16*n+37)
	copy(b, "0000051")
	copy(b[10:], "2026-03-04 05:06:07")
	copy(b[32:40], name)
	b[40], b[41], b[42] = sex, age, weight
	for k := range n {
		for s := range 8 {
			v := uint16(2048 + sample(s, k))
			if s == 3 {
				v = 0x6800
			}
			b = binary.LittleEndian.AppendUint16(b, v)
		}
	}
	return append(b, make([]byte, 37)...)
}

func TestWritten(t *testing.T) {
	const n = 10_000
	data := write("\xd5\xc5\xc8\xfd\xb7\xe1\xd5", 1, 63, 71, n) // 张三丰, and half a character
	rec, err := formats.Decode(ecgtest.Source("", data), ecg.Limits{})
	if err != nil {
		t.Fatal(err)
	}
	p := rec.Patient
	if p.Sex != "M" || p.Age.Value.String() != "63" || p.Age.Unit != "a" || p.WeightKG.String() != "71" || rec.DocumentID != "0000051" {
		t.Errorf("%+v", p)
	}
	if got := []rune(p.Name); len(got) < 3 || string(got[:3]) != "张三丰" {
		t.Errorf("name %q", p.Name)
	}
	if rec.Acquired.String() != "2026-03-04T05:06:07" {
		t.Errorf("acquired %s", rec.Acquired)
	}
	g := rec.Groups[0]
	counts, missing, err := g.ReadAll(1 << 20)
	if err != nil || g.Length != n {
		t.Fatalf("%d samples, %v", g.Length, err)
	}
	for s, name := range []string{"II", "III", "V1", "V2", "V3", "V4", "V5", "V6"} {
		_, i := g.Lead(name)
		for k := range n {
			if gone := missing[i] != nil && missing[i][k]; gone != (s == 3) || !gone && counts[i][k] != int32(sample(s, k)) {
				t.Fatalf("%s sample %d: %d, missing %t", name, k, counts[i][k], gone)
			}
		}
	}
	// Lead I is not stored, and II − III.
	_, one := g.Lead("I")
	if one < 0 || !g.Leads[one].Derived || counts[one][77] != int32(sample(0, 77)-sample(1, 77)) {
		t.Error("no lead I")
	}
}

func TestEnds(t *testing.T) {
	whole := write("Doe", 255, 0, 0, 100)
	for name, c := range map[string]struct {
		data    []byte
		samples int64
		gone    bool // the last one
		code    reject.Code
	}{
		"whole":                {whole, 100, false, ""},
		"zeros before the end": {append(bytes.Clone(whole[:43+16*90]), make([]byte, 160+37)...), 100, true, ""},
		"cut":                  {whole[:43+16*50+7], 50, false, ""},
		"cut in the head":      {whole[:30], 0, false, reject.Truncated},
		"one sample, no tail":  {whole[:43+16], 1, false, ""},
		"another head":         {append([]byte("xxxxxxxxxxyyyyyyyyyy"), whole[20:]...), 0, false, reject.Malformed},
	} {
		rec, err := contec.Decode(ecgtest.Source("", c.data), ecg.Limits{})
		if c.code != "" {
			if reject.CodeOf(err) != c.code {
				t.Errorf("%s: %v", name, err)
			}
			continue
		}
		if err != nil {
			t.Fatalf("%s: %v", name, err)
		}
		_, missing, err := rec.Groups[0].ReadAll(1 << 20)
		if err != nil || rec.Groups[0].Length != c.samples {
			t.Errorf("%s: %d samples, %v", name, rec.Groups[0].Length, err)
			continue
		}
		if gone := missing[0] != nil && missing[0][c.samples-1]; gone != c.gone {
			t.Errorf("%s: last sample missing: %t", name, gone)
		}
		if rec.Patient.Sex != "" || rec.Patient.Age.Known() || !rec.Patient.WeightKG.IsZero() {
			t.Errorf("%s: unknown is not unknown: %+v", name, rec.Patient)
		}
	}
}

func TestDamage(t *testing.T) {
	ecgtest.Check(t, contec.Decode, write("Doe", 0, 1, 2, 60))
}

func FuzzDecode(f *testing.F) {
	f.Add(write("Doe", 0, 1, 2, 6))
	f.Add(write("\xd5\xc5", 1, 1, 2, 1))
	f.Fuzz(func(t *testing.T, in []byte) { ecgtest.Survive(t, contec.Decode, in) })
}

func BenchmarkDecode(b *testing.B) {
	data := write("Doe", 0, 1, 2, 40_000)
	var block ecg.Block
	b.SetBytes(int64(len(data)))
	for b.Loop() {
		rec, err := contec.Decode(ecgtest.Source("", data), ecg.Limits{})
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
}
