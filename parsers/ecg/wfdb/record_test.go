package wfdb

import (
	"encoding/binary"
	"errors"
	"fmt"
	"math/rand"
	"path/filepath"
	"reflect"
	"strings"
	"testing"

	"github.com/tributary-dicom/tributary/parsers/ecg"
	"github.com/tributary-dicom/tributary/parsers/ecg/ecgtest"
	"github.com/tributary-dicom/tributary/parsers/reject"
)

// record is a header with companions, given as name and content in turn.
func record(header string, companions ...string) ecg.Source {
	src := ecgtest.Source("r.hea", []byte(header))
	for i := 0; i < len(companions); i += 2 {
		src.Parts = append(src.Parts, ecgtest.Source(companions[i], []byte(companions[i+1])).File)
	}
	return src
}

func decode(t *testing.T, src ecg.Source) *ecg.Recording {
	t.Helper()
	rec, err := Decode(src, ecg.Limits{})
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

func read(t *testing.T, g *ecg.Group) ([][]int32, [][]bool) {
	t.Helper()
	counts, missing, err := g.ReadAll(1 << 22)
	if err != nil {
		t.Fatal(err)
	}
	return counts, missing
}

func shorts(v ...int16) string {
	var b []byte
	for _, n := range v {
		b = binary.LittleEndian.AppendUint16(b, uint16(n))
	}
	return string(b)
}

func warned(rec *ecg.Recording, code ecg.WarningCode) bool {
	for _, w := range rec.Warnings {
		if w.Code == code {
			return true
		}
	}
	return false
}

// encode packs samples as the specification draws them, bit by bit.
func encode(format int, v []int32) string {
	var out []byte
	switch format {
	case 16, 61, 160:
		for _, n := range v {
			u := uint16(n)
			if format == 160 {
				u = uint16(n + 32768)
			}
			if format == 61 {
				out = binary.BigEndian.AppendUint16(out, u)
			} else {
				out = binary.LittleEndian.AppendUint16(out, u)
			}
		}
	case 24, 32:
		for _, n := range v {
			out = append(out, binary.LittleEndian.AppendUint32(nil, uint32(n))[:format/8]...)
		}
	case 80:
		for _, n := range v {
			out = append(out, byte(n+128))
		}
	case 8:
		last := int32(0)
		for _, n := range v {
			out = append(out, byte(n-last))
			last = n
		}
	case 212:
		for i := 0; i < len(v); i += 2 {
			a, b := uint32(v[i])&0xFFF, uint32(0)
			if i+1 < len(v) {
				b = uint32(v[i+1]) & 0xFFF
			}
			out = append(out, byte(a), byte(a>>8|b>>8<<4), byte(b))
		}
	case 310, 311:
		for i := 0; i < len(v); i += 3 {
			var s [3]uint32
			for j := range s {
				if i+j < len(v) {
					s[j] = uint32(v[i+j]) & 0x3FF
				}
			}
			word := s[0] | s[1]<<10 | s[2]<<20
			if format == 310 {
				word = s[0]<<1 | (s[2]&0x1F)<<11 | s[1]<<17 | s[2]>>5<<27
			}
			out = binary.LittleEndian.AppendUint32(out, word)
		}
	}
	return string(out)
}

// TestFormats writes two signals, the second with three samples a frame, in every format, longer than a chunk.
func TestFormats(t *testing.T) {
	const frames = 40_001
	bits := map[int]int{8: 7, 16: 16, 24: 24, 32: 32, 61: 16, 80: 8, 160: 16, 212: 12, 310: 10, 311: 10}
	for format, n := range bits {
		rnd := rand.New(rand.NewSource(int64(format)))
		flat := make([]int32, 4*frames)
		for i := range flat {
			flat[i] = int32(rnd.Int63n(1<<n) - 1<<(n-1))
		}
		text := ""
		if format == 8 {
			// Each signal has its own differences.
			var raw []byte
			last := [2]int32{5, -7}
			for i := range flat {
				s := min(1, i%4)
				last[s] += flat[i]
				raw = append(raw, byte(flat[i]))
				flat[i] = last[s]
			}
			text = string(raw)
		} else {
			text = encode(format, flat)
		}
		rec := decode(t, record(fmt.Sprintf("r 2 100 %d\nr.dat %d 200 %d 0 5\nr.dat %dx3 200 %d 0 -7\n", frames, format, n, format, n), "r.dat", text))
		if len(rec.Groups) != 2 {
			t.Fatal(len(rec.Groups))
		}
		one, miss := read(t, rec.Groups[0])
		three, _ := read(t, rec.Groups[1])
		for i, v := range flat {
			got := one[0][i/4]
			if i%4 > 0 {
				got = three[0][i/4*3+i%4-1]
			}
			if got != v {
				t.Fatalf("format %d: sample %d is %d, want %d", format, i, got, v)
			}
			if lowest := int32(-1) << (n - 1); i%4 == 0 && format != 8 && (miss[0] != nil && miss[0][i/4]) != (v == lowest) {
				t.Fatalf("format %d: sample %d, %d, is missing or not", format, i, v)
			}
		}
	}
}

// TestChecksums: right, wrong and absent ones.
func TestChecksums(t *testing.T) {
	const head = "r 1 250 3\nr.dat 16 200 16 0 1 "
	dat := shorts(1, 2, -9)
	if rec := decode(t, record(head+"-6 0 II\n", "r.dat", dat)); warned(rec, ecg.WarnChecksum) {
		t.Error("right", rec.Warnings)
	}
	if rec := decode(t, record(head+"65530 0 II\n", "r.dat", dat)); warned(rec, ecg.WarnChecksum) {
		t.Error("right, unsigned", rec.Warnings)
	}
	if rec := decode(t, record(head+"7 0 II\n", "r.dat", dat)); !warned(rec, ecg.WarnChecksum) {
		t.Error("wrong", rec.Warnings)
	}
	if rec := decode(t, record("r 1 250 3\nr.dat 16\n", "r.dat", dat)); warned(rec, ecg.WarnChecksum) {
		t.Error("absent", rec.Warnings)
	}
	if rec := decode(t, record("r 1 250 9\nr.dat 16\n", "r.dat", dat)); !warned(rec, ecg.WarnTruncated) || rec.Groups[0].Length != 3 {
		t.Error("short", rec.Warnings)
	}
}

// TestVariableLayout: signals come and go, in any order and with other gains, around a gap.
func TestVariableLayout(t *testing.T) {
	rec := decode(t, record(
		"m/4 3 250 9 10:00:00 05/06/2011\nm_layout 0\ns1 3\n~ 2\ns2 4\n",
		"m_layout.hea", "m_layout 3 250 0\n~ 0 200 12 0 0 0 0 II\n~ 0 200 12 0 0 0 0 V\n~ 0 1 12 0 0 0 0 ABP\n",
		"s1.hea", "s1 2 250 3\ns1.dat 16 200 12 0 1 6 0 II\ns1.dat 16 100(7) 12 0 0 0 0 V\n",
		"s1.dat", shorts(1, 10, 2, 20, 3, 30),
		"s2.hea", "s2 2 250 3\ns2.dat 16 300(-7) 12 0 0 0 0 V\ns2.dat 16 200 12 0 0 0 0 II\n",
		"s2.dat", shorts(40, 4, 50, 5, -32768, 6),
	))
	if len(rec.Groups) != 1 || len(rec.Groups[0].Leads) != 2 || rec.Acquired.String() != "2011-06-05T10:00:00" {
		t.Fatalf("%+v %s", rec.Groups, rec.Acquired)
	}
	g := rec.Groups[0]
	counts, missing := read(t, g)
	if !reflect.DeepEqual(counts[0], []int32{1, 2, 3, 0, 0, 4, 5, 6, 0}) || !reflect.DeepEqual(missing[0], []bool{false, false, false, true, true, false, false, false, true}) {
		t.Errorf("II: %v %v", counts[0], missing[0])
	}
	// V has 10 µV a count and then 10/3: values are (10−7)·10 and (40+7)·10/3.
	v := &g.Leads[1]
	if v.Name != "V" || v.Value(counts[1][0]).String() != "30" || v.Value(counts[1][5]).String() != "470/3" || !missing[1][7] || missing[1][6] {
		t.Errorf("V: %v %v, step %s", counts[1], missing[1], v.Scale)
	}
	if !warned(rec, ecg.WarnTruncated) { // the second segment has 3 of its 4
		t.Error(rec.Warnings)
	}
}

// TestUnlikeGains: steps without a common measure are rounded to a sixteenth of the smallest.
func TestUnlikeGains(t *testing.T) {
	steps := []ecg.Rat{ecg.Frac(1, 999_999_937), ecg.Frac(1, 999_999_929), ecg.Frac(1, 3)}
	if step, exact := commonStep(steps); exact || step.Cmp(ecg.Frac(1, 999_999_937*16)) != 0 {
		t.Error(step, exact)
	}
	if step, exact := commonStep([]ecg.Rat{ecg.MustRat("2.5"), ecg.Int(10), ecg.Frac(10, 3)}); !exact || step.String() != "5/6" {
		t.Error(step, exact)
	}
}

func TestSkew(t *testing.T) {
	rec := decode(t, record("r 2 250 5\nr.dat 16:2 200 16 0 0 0 0 I\nr.dat 16 200 16 0 0 0 0 II\n", "r.dat", shorts(1, 10, 2, 20, 3, 30, 4, 40, 5, 50)))
	counts, _ := read(t, rec.Groups[0])
	if !reflect.DeepEqual(counts, [][]int32{{3, 4, 5}, {10, 20, 30}}) {
		t.Error(counts)
	}
}

func TestComments(t *testing.T) {
	rec := decode(t, record("r 1 500 1\nr.dat 16\n#Age: 74\n#Sex: Female\n#Dx: 426783006,164889003\n#Rx: Unknown\n# 张三，心悸\n", "r.dat", "ab"))
	p := rec.Patient
	if p.Age.Value.String() != "74" || p.Sex != "F" || len(p.Medication) != 0 || !reflect.DeepEqual(p.Remarks, []string{"张三，心悸"}) {
		t.Errorf("%+v", p)
	}
	if s := rec.Statements; len(s) != 2 || s[1].Code != "164889003" {
		t.Errorf("%+v", s)
	}
	rec = decode(t, record("r 1 500 1\nr.dat 16\n# <age>: 25  <sex>: M  <diagnoses>: (none)  <medications>: aspirin\n", "r.dat", "ab"))
	if p := rec.Patient; p.Age.Value.String() != "25" || p.Sex != "M" || !reflect.DeepEqual(p.Medication, []string{"aspirin"}) || len(rec.Statements) != 0 {
		t.Errorf("%+v", p)
	}
}

func TestCorpusAnnotations(t *testing.T) {
	rec := decode(t, ecgtest.Open(t, filepath.Join(ecgtest.Corpus(t), "wfdb", "100.hea")))
	a := rec.Annotations
	if len(a) != 2274 || a[0].Code != "+" || a[0].Text != "(N" || a[0].Kind != ecg.RhythmNote || a[1].Code != "N" || a[1].Onset.Mul(ecg.Frac(360, 1000)).String() != "77" {
		t.Fatalf("%d %+v", len(a), a[:2])
	}
	if last := a[2273]; last.Onset.Mul(ecg.Frac(360, 1000)).String() != "649991" {
		t.Error(last)
	}
	if rec.Patient.Sex != "M" || rec.Patient.Age.Value.String() != "69" || warned(rec, ecg.WarnChecksum) {
		t.Errorf("%+v %v", rec.Patient, rec.Warnings)
	}
}

// ann writes one annotation word.
func ann(code, n int) string { return shorts(int16(uint16(code<<10 | n))) }

// TestAnnotations: long distances, text, a time resolution of their own, and annotations of one lead.
func TestAnnotations(t *testing.T) {
	resolution := "## time resolution: 1000"
	atr := ann(22, 0) + ann(63, len(resolution)) + resolution + ann(59, 0) + "\x01\x00\x00\x00" + ann(5, 10) + ann(61, 1) + ann(63, 3) + "abc\x00" + ann(1, 1000) + ann(0, 0) + "rest"
	rec := decode(t, record("r 1 500 1\nr.dat 16 200 16 0 0 0 0 avR\n", "r.dat", "ab", "r.atr", atr, "r.avr", ann(24, 5)+ann(0, 0)))
	var got []string
	for _, a := range rec.Annotations {
		got = append(got, fmt.Sprint(a.Kind, " ", a.Code, " ", a.Onset, " ", a.Text, " ", a.Lead))
	}
	if want := []string{"beat V 65546 abc ", "beat N 66546  ", "wave p 10  aVR"}; !reflect.DeepEqual(got, want) {
		t.Errorf("%q", got)
	}
}

// TestRefused: row 71 of the hostile files and its relatives.
func TestRefused(t *testing.T) {
	for name, c := range map[string]struct {
		src  ecg.Source
		want reject.Code
	}{
		"../../x.dat":       {record("r 1 250 1\n../../x.dat 16\n", "x.dat", "ab"), reject.UnsupportedFormat},
		"/etc/passwd":       {record("r 1 250 1\n/etc/passwd 16\n", "passwd", "ab"), reject.UnsupportedFormat},
		`..\x.dat`:          {record("r 1 250 1\n..\\x.dat 16\n", "x.dat", "ab"), reject.UnsupportedFormat},
		"C:/x.dat":          {record("r 1 250 1\nC:/x.dat 16\n", "x.dat", "ab"), reject.UnsupportedFormat},
		"http":              {record("r 1 250 1\nhttp://host/x.dat 16\n", "x.dat", "ab"), reject.UnsupportedFormat},
		"segment ../s":      {record("r/1 1 250 1\n../s 1\n", "s.hea", "s 1 250\ns.dat 16\n"), reject.UnsupportedFormat},
		"no record line":    {record("# nothing\n"), reject.Malformed},
		"9999 signals":      {record("r 9999 250 1\n"), reject.TooManyElements},
		"-1 signals":        {record("r -1 250 1\n"), reject.Malformed},
		"too few lines":     {record("r 2 250 1\nr.dat 16\n"), reject.Truncated},
		"10⁹ Hz":            {record("r 1 1e9 1\nr.dat 16\n"), reject.Malformed},
		"0 Hz":              {record("r 1 0 1\nr.dat 16\n"), reject.Malformed},
		"-5 samples":        {record("r 1 250 -5\nr.dat 16\n"), reject.Malformed},
		"format 17":         {record("r 1 250 1\nr.dat 17\n"), reject.NotParsed},
		"4097 a frame":      {record("r 1 250 1\nr.dat 16x4097\n"), reject.Malformed},
		"skew of 2³⁰":       {record("r 1 250 1\nr.dat 16:1073741824\n"), reject.Malformed},
		"negative offset":   {record("r 1 250 1\nr.dat 16+-4\n"), reject.Malformed},
		"two formats":       {record("r 2 250 1\nr.dat 16\nr.dat 80\n", "r.dat", "abcd"), reject.Malformed},
		"gain NaN":          {record("r 1 250 1\nr.dat 16 NaN\n", "r.dat", "ab"), reject.Malformed},
		"segments in turn":  {record("r/1 1 250 1\nr 1\n", "r.hea", "r/1 1 250 1\nr 1\n"), reject.TooDeep},
		"10⁹ segments":      {record("r/1000000000 1 250 1\n"), reject.TooManyElements},
		"a gap of 10¹⁵":     {record("r/2 1 250\n~ 1000000000000000\ns 1\n", "s.hea", "s 1 250 1\ns.dat 16\n", "s.dat", "ab"), reject.TooManyElements},
		"gaps that overrun": {record("r/3 1 250\ns 1\n~ 9223372036854775807\n~ 9223372036854775807\n", "s.hea", "s 1 250 1\ns.dat 16\n", "s.dat", "ab"), reject.TooManyElements},
	} {
		if _, err := Decode(c.src, ecg.Limits{}); err == nil || reject.CodeOf(err) != c.want {
			t.Errorf("%s: %v, want %s", name, err, c.want)
		}
	}
}

// TestAlone: a header whose files did not come is a record without samples, and says so.
func TestAlone(t *testing.T) {
	rec := ecgtest.Survive(t, Decode, []byte("r 1 250 10 10:00:00\nr.dat 16 200 16 0 0 0 0 II\n"))
	if rec == nil || len(rec.Groups) != 0 || !warned(rec, ecg.WarnCompanionMissing) || !warned(rec, ecg.WarnNoWaveform) || rec.Acquired.Raw != "10:00:00" {
		t.Errorf("%+v", rec)
	}
	rec = decode(t, record("r 2 250 1\nR.DAT 16\nq.dat 16\n", "r.dat", "ab"))
	if len(rec.Groups) != 1 || len(rec.Groups[0].Leads) != 1 || !warned(rec, ecg.WarnCompanionMissing) {
		t.Errorf("%+v", rec)
	}
}

func FuzzDecode(f *testing.F) {
	f.Add("r 2 250 2\nr.dat 16:1 200 16 0 0 0 0 I\nr.dat 212x2+1 200(5)/mV 12 0 0 0 0 V\n# age: 5\n", shorts(1, 2, 3, 4), ann(1, 5)+ann(63, 2)+"ab"+ann(0, 0))
	f.Add("r/3 1 250\ns 2\n~ 2\ns 1\n", "s 1 250 2\ns.hea 16 200 16 0 0 0 0 I\n", "")
	f.Add("r 2 250\nr.dat 516\nr.dat 516\n", string(flacRecord(f, "", "stereo16.flac", nil).Parts[0].Name), "")
	src := flacRecord(f, "", "stereo16.flac", nil)
	data, err := src.Parts[0].Bytes(0, src.Parts[0].Size)
	if err != nil {
		f.Fatal(err)
	}
	f.Add("r 2 250\nr.dat 516\nr.dat 516\n", string(data), "")
	f.Fuzz(func(t *testing.T, header, dat, atr string) {
		rec, err := Decode(record(header, "r.dat", dat, "s.hea", dat, "s.dat", dat, "r.atr", atr), ecg.Limits{Samples: 1 << 18})
		var refusal *reject.Error
		if err != nil {
			if !errors.As(err, &refusal) || refusal.Code == reject.Internal {
				t.Fatal(err)
			}
			return
		}
		if rec.Validate(ecg.Limits{}) != nil {
			return
		}
		for _, g := range rec.Groups {
			if g.Length*int64(len(g.Leads)) > 1<<24 {
				continue
			}
			r, err := g.Samples()
			if err != nil {
				t.Fatal(err)
			}
			var b ecg.Block
			for err == nil {
				err = r.Next(&b)
			}
			// A broken FLAC stream is a refusal when it is reached; anything else ends.
			if err.Error() != "EOF" && !errors.As(err, &refusal) {
				t.Fatal(err)
			}
		}
	})
}

func TestHostileHeaders(t *testing.T) {
	good := "r 2 250 2 10:00:00 01/02/2003\nr.dat 16x2:1+0 200(5)/mV 16 0 0 0 0 I\nr.dat 16 200 16 0 0 0 0 II\n# age: 5\n"
	for i := range good {
		for _, c := range "\x00-9~/x:" {
			header := good[:i] + string(c) + good[i+1:]
			if rec, err := Decode(record(header, "r.dat", strings.Repeat("ab", 20)), ecg.Limits{}); err == nil && rec.Validate(ecg.Limits{}) == nil {
				for n, g := range rec.Groups {
					ecgtest.ReadGroup(t, n, g)
				}
			}
		}
	}
}
