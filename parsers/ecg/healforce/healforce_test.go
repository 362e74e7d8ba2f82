package healforce_test

import (
	"encoding/binary"
	"io"
	"path/filepath"
	"testing"

	"github.com/tributary-dicom/tributary/parsers/ecg"
	"github.com/tributary-dicom/tributary/parsers/ecg/ecgtest"
	"github.com/tributary-dicom/tributary/parsers/ecg/formats"
	"github.com/tributary-dicom/tributary/parsers/ecg/healforce"
	"github.com/tributary-dicom/tributary/parsers/reject"
)

func TestGolden(t *testing.T) {
	ecgtest.Golden(t, "scp", healforce.Decode, ecgtest.Options{
		Files: func(path string) bool { return path == "scp/healforce_62.SCP" },
		Deviations: map[string]string{
			"scp/healforce_62.SCP: device model": "the model is not in the file; the reference has it from a read-me",
		},
	})
}

// The corpus file is 30 s of a resting heart, and the recorder marks its beats.
func TestBeats(t *testing.T) {
	rec, err := formats.Decode(ecgtest.Open(t, filepath.Join(ecgtest.Corpus(t), "scp", "healforce_62.SCP")), ecg.Limits{})
	if err != nil {
		t.Fatal(err)
	}
	if n := len(rec.Annotations); n < 20 || n > 60 {
		t.Errorf("%d beats in 30 s", n)
	}
	for i, a := range rec.Annotations {
		if i == 0 {
			continue
		}
		if gap := a.Onset.Sub(rec.Annotations[i-1].Onset).Float64(); gap < 250 {
			t.Errorf("beat %d is %v ms behind the one before", i, gap)
		}
	}
}

// pack is what unpack undoes, written from the description: the fourth sample's twelve bits in nibbles.
func pack(v []uint16) []byte {
	var b []byte
	for ; len(v) >= 4; v = v[4:] {
		for i := range 3 {
			nibble := v[3] >> (8 - 4*i) & 0xF
			b = binary.LittleEndian.AppendUint16(b, v[i]>>10<<14|nibble<<10|v[i]&0x3FF)
		}
	}
	return b
}

func section(id int, data []byte) []byte {
	b := make([]byte, 16, 16+len(data))
	binary.LittleEndian.PutUint16(b[2:], uint16(id))
	binary.LittleEndian.PutUint32(b[4:], uint32(16+len(data)))
	return append(b, data...)
}

// write makes a file of samples of twelve bits: two marks, ten bits around 512.
func write(leads byte, rate uint16, samples []uint16) []byte {
	packed := pack(samples)
	rhythm := []byte{0x10, 0x27, byte(rate), byte(rate >> 8), 0, 0, byte(len(packed)), byte(len(packed) >> 8)}
	parts := [][]byte{
		section(1, []byte{2, 3, 0, '4', '2', 0, 25, 4, 0, 0x07, 0xEA, 3, 4, 26, 3, 0, 5, 6, 7, 0, 0, 0}),
		section(3, []byte{leads, 4}),
		section(6, append(rhythm, packed...)),
	}
	table := make([]byte, 0, 60)
	offset := 6 + 16 + 40
	entry := func(id, length, at int) {
		table = binary.LittleEndian.AppendUint16(table, uint16(id))
		table = binary.LittleEndian.AppendUint32(table, uint32(length))
		table = binary.LittleEndian.AppendUint32(table, uint32(at))
	}
	entry(0, 16+40, 6)
	for i, id := range []int{1, 3, 6} {
		entry(id, len(parts[i]), offset)
		offset += len(parts[i])
	}
	b := append(make([]byte, 6), section(0, table)...)
	for _, p := range parts {
		b = append(b, p...)
	}
	return b
}

func ramp(n int) []uint16 {
	v := make([]uint16, n)
	for i := range v {
		v[i] = uint16(i*37) & 0x3FF
	}
	return v
}

func TestWritten(t *testing.T) {
	const n, leads = 1200, 3
	v := ramp(n)
	v[31*leads+1] |= 2 << 10 // a beat on the second lead at sample 31
	v[32*leads+1] |= 2 << 10 // goes on
	v[90*leads+2] |= 3 << 10 // an irregular one at sample 90
	v[100*leads] |= 1 << 10  // a mark that is no beat
	rec, err := formats.Decode(ecgtest.Source("", write(leads, 150, v)), ecg.Limits{})
	if err != nil {
		t.Fatal(err)
	}
	if rec.Patient.ID != "42" || rec.Acquired.String() != "2026-03-04T05:06:07" {
		t.Errorf("%q, %s", rec.Patient.ID, rec.Acquired)
	}
	g := rec.Groups[0]
	counts, _, err := g.ReadAll(1 << 20)
	if err != nil || g.Length != n/leads || !g.Rate.Equal(ecg.Int(150)) || g.Leads[0].Scale.String() != "10" {
		t.Fatalf("%d samples of %s Hz, %v", g.Length, g.Rate, err)
	}
	for i := range leads {
		for k, c := range counts[i] {
			if want := int32(v[k*leads+i]&0x3FF) - 512; c != want {
				t.Fatalf("lead %d sample %d: %d, want %d", i, k, c, want)
			}
		}
	}
	a := rec.Annotations
	if len(a) != 2 || !a[0].Onset.Equal(ecg.Frac(31*1000, 150)) || a[0].Code != "" || !a[1].Onset.Equal(ecg.Int(600)) || a[1].Code != "irregular" {
		t.Errorf("beats %+v", a)
	}
}

func TestHostile(t *testing.T) {
	good := write(3, 150, ramp(120))
	change := func(at int, b ...byte) []byte {
		bad := append([]byte(nil), good...)
		copy(bad[at:], b)
		return bad
	}
	const pointers, rhythm = 22, 62 + 38 + 18 + 16
	for name, c := range map[string]struct {
		data []byte
		want reject.Code
	}{
		"pointer past the end": {change(pointers+30+6, 0, 0, 0, 0x40), reject.Truncated},
		"section of 2 GB":      {change(pointers+30+2, 0, 0, 0, 0x80), reject.HeaderTooLarge},
		"another section":      {change(pointers+30+6, 62), reject.Malformed},
		"no rate":              {change(rhythm+2, 0, 0), reject.Malformed},
		"more than is there":   {change(rhythm+6, 0xFF, 0xFF), reject.Truncated},
		"no leads":             {write(0, 150, ramp(12)), reject.Malformed},
		"200 leads":            {write(200, 150, ramp(12)), reject.Malformed},
		"head alone":           {good[:22], reject.Truncated},
		"nothing":              {nil, reject.Truncated},
	} {
		if _, err := healforce.Decode(ecgtest.Source("", c.data), ecg.Limits{}); err == nil || reject.CodeOf(err) != c.want {
			t.Errorf("%s: %v, want %s", name, err, c.want)
		}
	}
	if _, err := healforce.Decode(ecgtest.Source("", good), ecg.Limits{Samples: 100}); reject.CodeOf(err) != reject.TooManyElements {
		t.Errorf("limit: %v", err)
	}
	ecgtest.Check(t, healforce.Decode, good)
}

func FuzzDecode(f *testing.F) {
	f.Add(write(3, 150, ramp(24)))
	f.Add(write(1, 250, ramp(8)))
	f.Fuzz(func(t *testing.T, in []byte) { ecgtest.Survive(t, healforce.Decode, in) })
}

func BenchmarkDecode(b *testing.B) {
	data := write(3, 150, ramp(36_000))
	var block ecg.Block
	b.SetBytes(int64(len(data)))
	for b.Loop() {
		rec, err := healforce.Decode(ecgtest.Source("", data), ecg.Limits{})
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
