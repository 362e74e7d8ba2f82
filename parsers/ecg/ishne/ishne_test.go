package ishne

import (
	"encoding/binary"
	"path/filepath"
	"reflect"
	"strings"
	"testing"

	"github.com/tributary-dicom/tributary/parsers/ecg"
	"github.com/tributary-dicom/tributary/parsers/ecg/ecgtest"
	"github.com/tributary-dicom/tributary/parsers/reject"
	"github.com/tributary-dicom/tributary/parsers/sniff"
)

func TestGolden(t *testing.T) {
	ecgtest.Golden(t, "ishne", Decode, ecgtest.Options{Files: func(path string) bool { return strings.HasSuffix(path, ".ecg") }})
}

func TestCorpusAnnotations(t *testing.T) {
	root := filepath.Join(ecgtest.Corpus(t), "ishne")
	rec, err := Decode(ecgtest.Open(t, filepath.Join(root, "ECG_P28.01.ecg")), ecg.Limits{})
	if err != nil {
		t.Fatal(err)
	}
	alone, err := DecodeAnnotations(ecgtest.Open(t, filepath.Join(root, "ECG_P28.01.ann")), ecg.Limits{})
	if err != nil {
		t.Fatal(err)
	}
	// (914 − 526) / 4 entries, none of them a mere distance; the first beat is 804 samples in.
	for name, r := range map[string]*ecg.Recording{"companion": rec, "alone": alone} {
		if len(r.Annotations) != 97 || r.Annotations[0].Code != "N" || r.Annotations[0].Onset.String() != "804" || r.Annotations[1].Onset.String() != "1799" {
			t.Errorf("%s: %d %+v", name, len(r.Annotations), r.Annotations[:2])
		}
	}
	if len(rec.Warnings) != 0 || rec.Acquired.String() != "2000-01-01T07:00:00" {
		t.Error(rec.Warnings, rec.Acquired)
	}
}

// file is what the tests' own writer makes.
type file struct {
	magic       string
	leads       int
	stated      int32
	crc         func(uint16) uint16
	block       string
	birth       [3]int16
	first, last string
	samples     []int16
	tail        []byte
}

func (f *file) bytes() []byte {
	h := make([]byte, fixedEnd)
	copy(h, f.magic)
	put := func(at int, v int16) { binary.LittleEndian.PutUint16(h[at:], uint16(v)) }
	putLong := func(at int, v int32) { binary.LittleEndian.PutUint32(h[at:], uint32(v)) }
	putLong(atVarSize, int32(len(f.block)))
	putLong(atSamples, f.stated)
	putLong(atVarOffset, fixedEnd)
	putLong(atData, int32(fixedEnd+len(f.block)))
	put(atVersion, 1)
	copy(h[atFirst:], f.first)
	copy(h[atLast:], f.last)
	copy(h[atID:], "H-0042")
	put(atSex, 2)
	put(atRace, 3)
	for i, v := range f.birth {
		put(atBirth+2*i, v)
	}
	for i, v := range []int16{31, 12, 2019} {
		put(atRecorded+2*i, v)
	}
	for i, v := range []int16{23, 59, 58} {
		put(atStart+2*i, v)
	}
	put(atLeads, int16(f.leads))
	for i := range maxLeads {
		spec, resolution := int16(unused), int16(unused)
		if i < f.leads {
			spec, resolution = int16(5+i), int16(2500)
		}
		put(atSpecs+2*i, spec)
		put(atQuality+2*i, int16(i%6))
		put(atResolution+2*i, resolution)
	}
	put(atPacemaker, 3)
	copy(h[atRecorder:], "digital")
	put(atRate, 200)
	out := append(h, f.block...)
	sum := uint16(0xFFFF)
	for _, c := range out[10:] { // bit by bit, as the standard draws it
		for bit := 7; bit >= 0; bit-- {
			in := uint16(c)>>bit&1 ^ sum>>15
			sum <<= 1
			if in != 0 {
				sum ^= 0x1021
			}
		}
	}
	if f.crc != nil {
		sum = f.crc(sum)
	}
	binary.LittleEndian.PutUint16(out[atCRC:], sum)
	for _, s := range f.samples {
		out = binary.LittleEndian.AppendUint16(out, uint16(s))
	}
	return append(out, f.tail...)
}

func holter() *file {
	f := &file{magic: "ISHNE1.0", leads: 3, stated: 5, block: "free text", birth: [3]int16{1, 2, 1934}, first: "San", last: "\xd5\xc5"}
	for i := range int16(5) {
		f.samples = append(f.samples, i, -i, 100*i)
	}
	f.samples[4] = missing
	return f
}

func has(rec *ecg.Recording, code ecg.WarningCode) bool {
	for _, w := range rec.Warnings {
		if w.Code == code {
			return true
		}
	}
	return false
}

func TestWritten(t *testing.T) {
	rec := ecgtest.Survive(t, Decode, holter().bytes())
	if rec == nil {
		t.Fatal("refused")
	}
	p := rec.Patient
	if p.ID != "H-0042" || p.Name != "张^San" || p.Sex != "F" || p.Race != "Oriental" || p.BirthDate != "1934-02-01" {
		t.Errorf("%+v", p)
	}
	if rec.Acquired.String() != "2019-12-31T23:59:58" || !rec.Pacing.Paced || rec.Pacing.Text != "dual chamber unipolar" || rec.Device.Model != "digital" {
		t.Errorf("%s %+v", rec.Acquired, rec.Pacing)
	}
	g := rec.Groups[0]
	counts, miss, err := g.ReadAll(1000)
	if err != nil {
		t.Fatal(err)
	}
	if g.Length != 5 || !reflect.DeepEqual(counts[2], []int32{0, 100, 200, 300, 400}) || !miss[1][1] || miss[0] != nil {
		t.Errorf("%v %v", counts, miss)
	}
	if l := g.Leads[2]; l.Name != "III" || l.Value(2).String() != "5" || l.Quality != "intermittent noise" || l.NativeCode != "7" {
		t.Errorf("%+v", l)
	}
	if has(rec, ecg.WarnChecksum) || has(rec, ecg.WarnLengthDiffers) {
		t.Error(rec.Warnings)
	}
}

func TestOddities(t *testing.T) {
	for name, c := range map[string]struct {
		spoil func(*file)
		want  ecg.WarningCode
	}{
		"CRC 0":       {func(f *file) { f.crc = func(uint16) uint16 { return 0 } }, ecg.WarnChecksumAbsent},
		"CRC wrong":   {func(f *file) { f.crc = func(c uint16) uint16 { return c + 1 } }, ecg.WarnChecksum},
		"count large": {func(f *file) { f.stated = 8056200 }, ecg.WarnTruncated},
		"count small": {func(f *file) { f.stated = 1 }, ecg.WarnLengthDiffers},
		"count total": {func(f *file) { f.stated = 15 }, ecg.WarnHeaderDiffers},
		"last cut":    {func(f *file) { f.tail = []byte{1, 2, 3} }, ecg.WarnTrailingBytes},
		"no such day": {func(f *file) { f.birth = [3]int16{31, 2, 1934} }, ecg.WarnTime},
	} {
		f := holter()
		c.spoil(f)
		rec := ecgtest.Survive(t, Decode, f.bytes())
		if rec == nil || rec.Groups[0].Length != 5 || !has(rec, c.want) {
			t.Errorf("%s: %+v", name, rec)
		}
	}
	f := holter()
	f.birth = [3]int16{-9, -9, -9}
	if rec := ecgtest.Survive(t, Decode, f.bytes()); rec.Patient.BirthDate != "" || has(rec, ecg.WarnTime) {
		t.Error(rec.Patient, rec.Warnings)
	}
}

// TestCompanion: beats further apart than 16 bits of samples have distances without beats between.
func TestCompanion(t *testing.T) {
	a := holter()
	a.magic, a.samples = "ANN  1.0", nil
	a.tail = []byte{10, 0, 0, 0, 'N', ' ', 1, 0, '!', ' ', 0xFF, 0xFF, 'V', 'e', 2, 0, 'X', 0, 3, 0, 'N'}
	src := ecgtest.Source("a.ecg", holter().bytes())
	src.Parts = []ecg.File{ecgtest.Source("A.ANN", a.bytes()).File}
	rec, err := Decode(src, ecg.Limits{})
	if err != nil {
		t.Fatal(err)
	}
	var got []string
	for _, x := range rec.Annotations {
		got = append(got, string(x.Kind)+" "+x.Code+x.Text+" "+x.Onset.String())
	}
	want := []string{"beat N 55", "beat Ve 327740", "event Xartefact 327755"}
	if !reflect.DeepEqual(got, want) || !has(rec, ecg.WarnTrailingBytes) {
		t.Errorf("%q %v", got, rec.Warnings)
	}
	src.Parts = append(src.Parts, src.Parts[0])
	src.Parts[0].Name, src.Parts[1].Name = "b.ann", "c.ann"
	if rec, err := Decode(src, ecg.Limits{}); err != nil || len(rec.Annotations) != 0 {
		t.Error("annotations of nobody knows whom", err)
	}
	if rec, err := DecodeAnnotations(ecg.Source{File: src.Parts[1]}, ecg.Limits{Annotations: 2}); err != nil || len(rec.Annotations) != 2 || rec.Format != sniff.ISHNEAnn {
		t.Error(err)
	}
}

// TestRefused: row 70 of the hostile files.
func TestRefused(t *testing.T) {
	good := holter().bytes()
	put := func(at int, v int32) []byte {
		b := append([]byte(nil), good...)
		binary.LittleEndian.PutUint32(b[at:], uint32(v))
		return b
	}
	short := func(at int, v int16) []byte {
		b := append([]byte(nil), good...)
		binary.LittleEndian.PutUint16(b[at:], uint16(v))
		return b
	}
	for name, c := range map[string]struct {
		in   []byte
		want reject.Code
	}{
		"negative samples": {put(atSamples, -1), reject.Malformed},
		"negative offset":  {put(atData, -5), reject.Malformed},
		"offset beyond":    {put(atData, 1<<30), reject.Truncated},
		"negative block":   {put(atVarSize, -1), reject.Malformed},
		"huge block":       {put(atVarSize, 1<<31-1), reject.HeaderTooLarge},
		"block beyond":     {put(atVarSize, 1<<20), reject.Truncated},
		"0 leads":          {short(atLeads, 0), reject.Malformed},
		"-1 leads":         {short(atLeads, -1), reject.Malformed},
		"13 leads":         {short(atLeads, 13), reject.Malformed},
		"0 Hz":             {short(atRate, 0), reject.Malformed},
		"cut":              {good[:500], reject.Truncated},
		"other":            {[]byte(strings.Repeat("x", 600)), reject.Malformed},
	} {
		if _, err := Decode(ecgtest.Source("", c.in), ecg.Limits{}); err == nil || reject.CodeOf(err) != c.want {
			t.Errorf("%s: %v, want %s", name, err, c.want)
		}
	}
}

func TestHostile(t *testing.T) { ecgtest.Check(t, Decode, holter().bytes()) }

func FuzzDecode(f *testing.F) {
	f.Add(holter().bytes(), []byte(nil))
	a := holter()
	a.magic, a.samples, a.tail = "ANN  1.0", nil, []byte{10, 0, 0, 0, 'N', ' ', 1, 0}
	f.Add(holter().bytes(), a.bytes())
	f.Fuzz(func(t *testing.T, in, ann []byte) {
		ecgtest.Survive(t, Decode, in)
		ecgtest.Survive(t, DecodeAnnotations, ann)
		ecgtest.Survive(t, func(src ecg.Source, lim ecg.Limits) (*ecg.Recording, error) {
			src.Parts = []ecg.File{ecgtest.Source("x.ann", ann).File}
			return Decode(src, lim)
		}, in)
	})
}
