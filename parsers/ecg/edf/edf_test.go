package edf

import (
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
	for _, folder := range []string{"edf", "bdf"} {
		ecgtest.Golden(t, folder, Decode, ecgtest.Options{SplitRates: true})
	}
}

func decode(t *testing.T, f *file) *ecg.Recording {
	t.Helper()
	rec := ecgtest.Survive(t, Decode, f.bytes())
	if rec == nil {
		_, err := Decode(ecgtest.Source("", f.bytes()), ecg.Limits{})
		t.Fatal(err)
	}
	return rec
}

func warned(rec *ecg.Recording, code ecg.WarningCode) bool {
	for _, w := range rec.Warnings {
		if w.Code == code {
			return true
		}
	}
	return false
}

// TestSubsecond: the first record's time is part of when the recording began, and annotations count from there.
func TestSubsecond(t *testing.T) {
	rec, err := Decode(ecgtest.Open(t, filepath.Join(ecgtest.Corpus(t), "edf", "pyedflib_test_subsecond.edf")), ecg.Limits{})
	if err != nil {
		t.Fatal(err)
	}
	if got := rec.Acquired.String(); got != "2020-01-24T04:05:56.3945312" {
		t.Error(got)
	}
	if len(rec.Annotations) != 4 || rec.Annotations[0].Text != "XLSpike" || rec.Annotations[0].Onset.String() != "1951.1719" {
		t.Errorf("%+v", rec.Annotations)
	}
	rec, err = Decode(ecgtest.Open(t, filepath.Join(ecgtest.Corpus(t), "edf", "wfdb_test_edfann.edf")), ecg.Limits{})
	if err != nil {
		t.Fatal(err)
	}
	if len(rec.Annotations) != 856 || rec.Annotations[1].Duration.String() != "30000" || len(rec.Groups) != 0 {
		t.Errorf("%d annotations, %d groups", len(rec.Annotations), len(rec.Groups))
	}
}

func TestFields(t *testing.T) {
	rec := decode(t, holter())
	p := rec.Patient
	if p.ID != "P-17" || p.Sex != "F" || p.BirthDate != "1951-08-02" || p.Name != "Zhang San" || !reflect.DeepEqual(p.Remarks, []string{"insulin"}) {
		t.Errorf("%+v", p)
	}
	if rec.Context.OrderNumber != "ORD 9" || rec.Context.Operator != "NN" || rec.Device.Model != "Recorder 5" {
		t.Errorf("%+v %+v", rec.Context, rec.Device)
	}
	if rec.Acquired.String() != "2002-03-02T20:10:05" || rec.FormatVersion != "EDF+C" {
		t.Error(rec.Acquired, rec.FormatVersion)
	}
	if len(rec.Groups) != 2 || rec.Groups[0].Kind != ecg.Rhythm || rec.Groups[1].Kind != ecg.OtherSignals {
		t.Fatalf("%+v", rec.Groups)
	}
	one := rec.Groups[0].Leads[0]
	if one.Name != "I" || one.Scale.String() != "0.1" || one.Value(-32768).String() != "-3276.8" || one.Value(32767).String() != "3276.7" ||
		one.Filters.HighPassHz.String() != "0.05" || one.Filters.LowPassHz.String() != "150" || one.Filters.NotchHz.String() != "50" {
		t.Errorf("%+v", one)
	}
	if two := rec.Groups[0].Leads[1]; two.Value(-2048).String() != "-5000" || two.Value(2047).String() != "5000" {
		t.Errorf("II: %s %s", two.Value(-2048), two.Value(2047))
	}
	if g := rec.Groups[0]; g.Rate.String() != "400" || g.Length != 12 {
		t.Errorf("%s Hz, %d samples", g.Rate, g.Length)
	}
	if abp := rec.Groups[1].Leads[0]; abp.Unit != "mm[Hg]" || abp.Value(900).String() != "90" || rec.Groups[1].Rate.String() != "100" {
		t.Errorf("%+v", abp)
	}
}

// TestGaps: EDF+D. A short gap becomes missing samples, a long one new groups.
func TestGaps(t *testing.T) {
	f := holter()
	f.reserved = "EDF+D"
	f.data[0][3] = tal(0.25, "+0.26\x150.5\x14胸闷@@ECG II\x14\x00")
	f.data[1][3] = tal(0.28, "+0.29\x14\xd0\xc4\xbc\xc2\xb2\xa1\xc8\xcb\x14\x00") // 心悸病人 in GBK
	f.data[2][3] = tal(7200, "")
	rec := decode(t, f)
	if len(rec.Groups) != 4 || rec.Acquired.String() != "2002-03-02T20:10:05.25" {
		t.Fatalf("%d groups, %s", len(rec.Groups), rec.Acquired)
	}
	counts, missing, err := rec.Groups[0].ReadAll(1000)
	if err != nil {
		t.Fatal(err)
	}
	// 30 ms after the first record's start, at 400 Hz.
	if rec.Groups[0].Length != 16 || counts[0][0] != 1 || counts[0][12] != 5 || missing[0][3] || !missing[0][4] || !missing[0][11] || missing[0][12] {
		t.Errorf("%v %v", counts[0], missing[0])
	}
	if g := rec.Groups[2]; g.StartOffset.String() != "7199750" || g.Length != 4 || g.Kind != ecg.Rhythm {
		t.Errorf("%+v", g)
	}
	a := rec.Annotations
	if len(a) != 2 || a[0].Text != "胸闷" || a[0].Lead != "II" || a[0].Onset.String() != "10" || a[0].Duration.String() != "500" || a[1].Text != "心悸病人" {
		t.Errorf("%+v", a)
	}
	if !warned(rec, ecg.WarnTextRepaired) || !warned(rec, ecg.WarnMissingSamples) {
		t.Error(rec.Warnings)
	}
}

func TestBDF(t *testing.T) {
	f := holter()
	f.bdf, f.reserved = true, "BDF+C"
	f.signals[0].digMin, f.signals[0].digM = "-8388608", "8388607"
	f.signals[3].label = "BDF Annotations"
	f.signals = append(f.signals, sig{"Status", "Boolean", "", "0", "1", "0", "1", 4})
	for k := range f.data {
		f.data[k][0] = []int32{-8388608, 8388607, -1, 1}
		f.data[k] = append(f.data[k], []int32{1 << 16, 0, 0, 1})
	}
	rec := decode(t, f)
	if len(rec.Groups) != 3 || rec.Groups[2].Kind != ecg.OtherSignals || rec.Groups[2].Leads[0].Name != "Status" {
		t.Fatalf("%+v", rec.Groups)
	}
	counts, _, err := rec.Groups[0].ReadAll(1000)
	if err != nil || !reflect.DeepEqual(counts[0][:4], []int32{-8388608, 8388607, -1, 1}) {
		t.Errorf("%v %v", counts, err)
	}
	if one := rec.Groups[0].Leads[0]; one.Value(-8388608).String() != "-3276.8" || rec.FormatVersion != "BDF+C" || one.Bits != 24 {
		t.Errorf("%+v %s", one, rec.FormatVersion)
	}
}

// TestOddities: what real files get wrong and is read all the same.
func TestOddities(t *testing.T) {
	f := holter()
	f.records = "-1"
	if rec := decode(t, f); rec.Groups[0].Length != 12 || !warned(rec, ecg.WarnLengthDiffers) {
		t.Error("-1 records", rec.Warnings)
	}
	f.records = "99999999"
	if rec := decode(t, f); rec.Groups[0].Length != 12 || !warned(rec, ecg.WarnTruncated) {
		t.Error("too many records", rec.Warnings)
	}
	wrong := holter().bytes()
	copy(wrong[184:], "99      ")
	if rec := ecgtest.Survive(t, Decode, wrong); rec == nil || rec.Groups[0].Length != 12 || !warned(rec, ecg.WarnHeaderDiffers) || sniff.Detect(wrong) != sniff.EDF {
		t.Error("header length")
	}
	f = holter()
	f.clock, f.date = "20:10:05", "02/03/85"
	if rec := decode(t, f); rec.Acquired.String() != "1985-03-02T20:10:05" || !warned(rec, ecg.WarnHeaderDiffers) {
		t.Error("date", rec.Acquired, rec.Warnings)
	}
	f.date, f.recording = "02.03.84", "Startdate 02-MAR-2084 X X X"
	if rec := decode(t, f); rec.Acquired.String() != "2084-03-02T20:10:05" || warned(rec, ecg.WarnHeaderDiffers) {
		t.Error("date", rec.Acquired, rec.Warnings)
	}
	f.date = "02.03.yy"
	if rec := decode(t, f); rec.Acquired.String() != "2084-03-02T20:10:05" {
		t.Error("date", rec.Acquired, rec.Warnings)
	}
	f = holter()
	f.patient, f.reserved = "\xd5\xc5\xc8\xfd", "Reserved"
	if rec := decode(t, f); rec.Patient.Name != "张三" {
		t.Error("GBK name", rec.Patient.Name)
	}
	f.patient = "0000050"
	f.signals = f.signals[:3]
	for k := range f.data {
		f.data[k] = f.data[k][:3]
	}
	if rec := decode(t, f); rec.Patient.ID != "0000050" || rec.FormatVersion != "EDF" {
		t.Error("id", rec.Patient, rec.FormatVersion)
	}
	f = holter()
	f.signals[1].digM = f.signals[1].digMin
	if rec := decode(t, f); !warned(rec, ecg.WarnScaleAbsent) || rec.Groups[0].Leads[1].Scale.IsZero() {
		t.Error("no range", rec.Warnings)
	}
	f = holter()
	f.signals[0].label, f.signals[1].label = "CH1", "Channel 2"
	if rec := decode(t, f); rec.Groups[0].Kind != ecg.Rhythm || !warned(rec, ecg.WarnLeadUnknown) {
		t.Error("generic labels", rec.Groups[0].Kind)
	}
	f.signals[2].label = "EEG Fp1"
	if rec := decode(t, f); rec.Groups[0].Kind != ecg.OtherSignals {
		t.Error("an EEG among them", rec.Groups[0].Kind)
	}
}

// TestRefused: row 68 of the hostile files and its relatives.
func TestRefused(t *testing.T) {
	good := string(holter().bytes())
	field := func(at int, text string, width int) []byte {
		return []byte(good[:at] + (text + strings.Repeat(" ", width))[:width] + good[at+width:])
	}
	for name, c := range map[string]struct {
		in   []byte
		want reject.Code
	}{
		"ns 9999, nr -1":    {[]byte(good[:236] + "-1      1       9999" + good[256:]), reject.TooManyElements},
		"ns -1":             {field(252, "-1", 4), reject.Malformed},
		"record of 2³¹":     {field(256+4*216, "2147483648"[:8], 8), ""},
		"samples -1":        {field(256+4*216, "-1", 8), reject.Malformed},
		"duration -1":       {field(244, "-1", 8), reject.Malformed},
		"duration 0":        {field(244, "0", 8), reject.Malformed},
		"duration 1e9":      {field(244, "1e9", 8), reject.Malformed},
		"duration NaN":      {field(244, "NaN", 8), reject.Malformed},
		"records x":         {field(236, "many", 8), reject.Malformed},
		"cut in the header": {[]byte(good[:300]), reject.Truncated},
		"short":             {[]byte(good[:100]), reject.Truncated},
		"other":             {field(0, "1", 8), reject.Malformed},
	} {
		rec, err := Decode(ecgtest.Source("", c.in), ecg.Limits{})
		if c.want == "" { // no record fits into the file: nothing to show, and nothing allocated
			if err != nil || len(rec.Groups) != 0 {
				t.Errorf("%s: %v", name, err)
			}
			continue
		}
		if err == nil || reject.CodeOf(err) != c.want {
			t.Errorf("%s: %v, want %s", name, err, c.want)
		}
	}
	// A record of 1 ns, a day apart from the next: no year of nothing.
	f := holter()
	f.reserved = "EDF+D"
	for k := range f.data {
		f.data[k][3] = tal(float64(k)*1e8, "")
	}
	rec := decode(t, f)
	if len(rec.Groups) != 6 {
		t.Errorf("%d groups", len(rec.Groups))
	}
	if _, err := Decode(ecgtest.Source("", f.bytes()), ecg.Limits{Groups: 5}); reject.CodeOf(err) != reject.TooManyElements {
		t.Error(err)
	}
}

func TestHostile(t *testing.T) {
	f := holter()
	ecgtest.Check(t, Decode, f.bytes())
	f.reserved = "EDF+D"
	f.data[1][3] = tal(50, "")
	ecgtest.Check(t, Decode, f.bytes())
}

func FuzzDecode(f *testing.F) {
	h := holter()
	f.Add(h.bytes())
	h.reserved = "EDF+D"
	h.data[1][3] = tal(5, "+5\x151\x14text\x14\x00")
	f.Add(h.bytes())
	h.bdf, h.reserved = true, "BDF+D"
	f.Add(h.bytes())
	f.Fuzz(func(t *testing.T, in []byte) { ecgtest.Survive(t, Decode, in) })
}
