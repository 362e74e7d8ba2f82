package dicomecg

import (
	"bytes"
	"crypto/sha256"
	"encoding/binary"
	"fmt"
	"io"
	"math"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strings"
	"testing"
	"time"

	"github.com/tributary-dicom/tributary/internal/testengine"
	"github.com/tributary-dicom/tributary/parsers/ecg"
	"github.com/tributary-dicom/tributary/parsers/ecg/dicomwave"
	"github.com/tributary-dicom/tributary/parsers/ecg/ecgtest"
	"github.com/tributary-dicom/tributary/parsers/part10"
	"github.com/tributary-dicom/tributary/parsers/reject"
	"github.com/tributary-dicom/tributary/parsers/sniff"
)

// edited returns the recording after change.
func edited(r *ecg.Recording, change func(*ecg.Recording)) *ecg.Recording {
	change(r)
	return r
}

// TestSynthetic writes recordings of every shape and checks class, sight of others and every sample.
func TestSynthetic(t *testing.T) {
	fifteen := append(append([]string{}, twelveNames...), "V7", "V8", "V4R")
	full := func(c, i int) int32 { return int32((i*7919+c)%65536) - 32768 } // every value of 16 bits
	cases := map[string]struct {
		rec   *ecg.Recording
		opt   Options
		class string
		warn  []ecg.WarningCode
	}{
		"one lead":          {rec: recording(group(ecg.Rhythm, "300", leadsOf("1", "I"), 9000, wavy)), class: GeneralECG},
		"twelve leads":      {rec: recording(group(ecg.Rhythm, "500", leadsOf("4.88", twelveNames...), 5000, wavy)), class: TwelveLeadECG},
		"thirteen channels": {rec: recording(group(ecg.Rhythm, "500", leadsOf("5", append([]string{"V7"}, twelveNames...)...), 5000, wavy)), class: TwelveLeadECG},
		"fifteen leads":     {rec: recording(group(ecg.Rhythm, "1000", leadsOf("2.5", fifteen...), 10000, wavy)), class: GeneralECG},
		"twelve leads, long": {
			rec: recording(group(ecg.Rhythm, "1000", leadsOf("5", twelveNames...), 16385, wavy)), class: GeneralECG,
		},
		"rhythm and median": {
			rec: recording(group(ecg.Rhythm, "500", leadsOf("5", twelveNames...), 5000, wavy), group(ecg.Median, "500", leadsOf("2.5", twelveNames...), 600, wavy)), class: GeneralECG,
		},
		"four by three": {
			rec: recording(
				offset("0", group(ecg.Rhythm, "500", leadsOf("5", "I", "II", "III"), 1250, wavy)), offset("2500", group(ecg.Rhythm, "500", leadsOf("5", "aVR", "aVL", "aVF"), 1250, wavy)),
				offset("5000", group(ecg.Rhythm, "500", leadsOf("5", "V1", "V2", "V3"), 1250, wavy)), offset("7500", group(ecg.Rhythm, "500", leadsOf("5", "V4", "V5", "V6"), 1250, wavy)),
				group(ecg.Rhythm, "500", leadsOf("5", "II"), 5000, wavy)), class: TwelveLeadECG,
		},
		"a day, in small":    {rec: recording(group(ecg.FullDisclosure, "250", leadsOf("5", "I", "II", "V1"), 100_000, wavy)), class: AmbulatoryECG},
		"slow":               {rec: recording(group(ecg.Rhythm, "100", leadsOf("5", twelveNames...), 1000, wavy)), class: AmbulatoryECG},
		"slower than a cart": {rec: recording(group(ecg.Rhythm, "40", leadsOf("5", "II"), 1000, wavy)), class: General32BitECG},
		"fast":               {rec: recording(group(ecg.Rhythm, "2000", leadsOf("0.5", twelveNames...), 20000, wavy)), class: General32BitECG},
		"beyond 16 bits": {
			rec:   recording(group(ecg.Rhythm, "500", leadsOf("0.001", "I", "II"), 5000, func(c, i int) int32 { return int32(i-2500) * 100_000 * int32(c+1) })),
			class: General32BitECG,
		},
		"all of 32 bits": {
			rec: recording(group(ecg.Rhythm, "500", leadsOf("0.001", "I"), 3, func(_, i int) int32 { return []int32{math.MinInt32, 0, math.MaxInt32}[i] })), class: General32BitECG,
		},
		"all of 16 bits": {rec: recording(group(ecg.Rhythm, "1000", leadsOf("1", "I"), 65536, full)), class: GeneralECG},
		"missing beside all of 16 bits": {
			rec: recording(withMissing(group(ecg.Rhythm, "1000", leadsOf("1", "I"), 65600, full), 65550, 65600)), class: General32BitECG,
		},
		"missing": {rec: recording(withMissing(group(ecg.Rhythm, "500", leadsOf("5", twelveNames...), 5000, wavy), 100, 200)), class: TwelveLeadECG},
		"missing beside the lowest count": {
			rec:   recording(withMissing(group(ecg.Rhythm, "500", leadsOf("5", "I", "II"), 5000, func(_, i int) int32 { return math.MinInt16 + int32(i) }), 4000, 5000)),
			class: GeneralECG,
		},
		"leads that start late": {rec: recording(staggered()), class: GeneralECG},
		"hanzi in GB18030": {
			rec: edited(recording(group(ecg.Rhythm, "500", leadsOf("5", twelveNames...), 5000, wavy)), func(r *ecg.Recording) {
				r.Patient.Name, r.Patient.ID, r.Device.Maker = "Zhang^San=张^三㐂𠀀", "住院-001", "迈瑞"
			}),
			opt: Options{Charset: GB18030}, class: TwelveLeadECG,
		},
		"odd scales": {rec: recording(oddScales()), class: GeneralECG, warn: []ecg.WarningCode{WarnRounded}},
		"derived": {
			rec: derived(t, func(_, i int) int32 { return int32(i) }), class: TwelveLeadECG,
		},
		"stored only": {
			rec: derived(t, func(_, i int) int32 { return int32(i) }), opt: Options{StoredOnly: true}, class: GeneralECG,
		},
		"derived beyond 16 bits": {
			rec: derived(t, func(_, i int) int32 { return int32(32000 - i%3) }), class: GeneralECG, warn: []ecg.WarningCode{WarnDerivedLeft},
		},
		"no date": {
			rec: edited(recording(group(ecg.Rhythm, "500", leadsOf("5", "II"), 100, wavy)), func(r *ecg.Recording) { r.Acquired = ecg.Time{} }), class: GeneralECG,
			warn: []ecg.WarningCode{WarnNoTime},
		},
		"no date, received": {
			rec:   edited(recording(group(ecg.Rhythm, "500", leadsOf("5", "II"), 100, wavy)), func(r *ecg.Recording) { r.Acquired = ecg.Time{} }),
			class: GeneralECG, warn: []ecg.WarningCode{WarnNoTime}, opt: Options{Received: time.Date(2024, 3, 1, 2, 3, 4, 500_000_000, time.UTC)},
		},
		"a day without a time": {
			rec: edited(recording(group(ecg.Rhythm, "500", leadsOf("5", "II"), 100, wavy)), func(r *ecg.Recording) { r.Acquired = ecg.ParseTime("20240301") }), class: GeneralECG,
		},
		"zone known": {
			rec: edited(recording(group(ecg.Rhythm, "500", leadsOf("5", "II"), 100, wavy)), func(r *ecg.Recording) { r.Acquired = ecg.ParseTime("20240301101112.25+0800") }), class: GeneralECG,
		},
		"pressure beside it": {
			rec: recording(group(ecg.Rhythm, "500", leadsOf("5", "II"), 100, wavy), group(ecg.OtherSignals, "125", []ecg.Lead{{Name: "ART", Unit: "mm[Hg]", Scale: ecg.MustRat("0.125")}}, 25, wavy)), class: GeneralECG,
			warn: []ecg.WarningCode{WarnGroupLeft},
		},
		"unknown channel": {
			rec: recording(group(ecg.Rhythm, "500", append(leadsOf("5", "II"), ecg.Lead{Name: "呼吸 channel of a monitor", Unit: "Ohm", Scale: ecg.MustRat("0.01")}, ecg.Lead{Name: "Marker", Scale: ecg.Int(1)}), 100, wavy)), class: GeneralECG,
		},
		"said too much": {
			rec: edited(recording(group(ecg.Rhythm, "500", leadsOf("5", "II"), 100, wavy)), func(r *ecg.Recording) {
				r.Patient.Name = strings.Repeat("长", 70) + "^^^^^^^=a=b=c"
				r.Statements = append(r.Statements, ecg.Statement{Text: strings.Repeat("室性早搏。", 1000)}, ecg.Statement{Text: "a\\b\x1b$B\r\nc"})
				r.Patient.Remarks = []string{"one\\two", "three"}
			}), class: GeneralECG, warn: []ecg.WarningCode{ecg.WarnValueCut},
		},
		"annotated": {rec: annotated(), class: GeneralECG},
	}
	for name, c := range cases {
		t.Run(name, func(t *testing.T) {
			opt := testOptions
			opt.Charset, opt.StoredOnly, opt.Received = c.opt.Charset, c.opt.StoredOnly, c.opt.Received
			p, data := write(t, c.rec, opt)
			if p.SOPClassUID != c.class {
				t.Errorf("SOP Class %s, want %s", p.SOPClassUID, c.class)
			}
			check(t, c.rec, p, data)
			verify(t, name, p, data)
			have := map[ecg.WarningCode]bool{}
			for _, w := range p.Warnings {
				have[w.Code] = true
			}
			for _, w := range c.warn {
				if !have[w] {
					t.Errorf("no warning %s: %v", w, p.Warnings)
				}
				delete(have, w)
			}
			if len(have) > 0 {
				t.Errorf("warnings: %v", p.Warnings)
			}
		})
	}
}

func offset(ms string, g *ecg.Group) *ecg.Group {
	g.StartOffset = ecg.MustRat(ms)
	return g
}

// withMissing marks samples [from, to) of the first lead as missing.
func withMissing(g *ecg.Group, from, to int) *ecg.Group {
	counts, _, err := g.ReadAll(1 << 24)
	if err != nil {
		panic(err)
	}
	missing := make([][]bool, len(g.Leads))
	missing[0] = make([]bool, g.Length)
	for i := from; i < to; i++ {
		missing[0][i] = true
	}
	g.Memory(counts, missing)
	return g
}

// staggered are three leads of 1000 samples that begin one after another.
func staggered() *ecg.Group {
	g := &ecg.Group{Kind: ecg.Rhythm, Rate: ecg.Int(500), Leads: leadsOf("5", "I", "II", "III")}
	counts := make([][]int32, 3)
	for c := range counts {
		g.Leads[c].Start = int64(c) * 1000
		g.Leads[c].Skew = ecg.Frac(int64(c), 4)
		for i := range 1000 {
			counts[c] = append(counts[c], int32(i-500))
		}
	}
	g.Memory(counts, nil)
	return g
}

// oddScales are steps that need a correction factor, an exponent, or that no decimal says.
func oddScales() *ecg.Group {
	leads := leadsOf("1", "I", "II", "III", "aVR", "aVL")
	leads[0].Scale = ecg.Frac(10000, 1<<24) // 0.00059604644775390625
	leads[1].Scale = ecg.MustRat("0.0000000000012345")
	leads[2].Scale = ecg.Frac(1, 3)
	leads[3].Scale = ecg.MustRat("-4.88")
	leads[4].Baseline = ecg.MustRat("-1024.5")
	return group(ecg.Rhythm, "500", leads, 50, wavy)
}

// derived is a recording of I, II and V1 to V6 with the limb leads computed.
func derived(t *testing.T, value func(c, i int) int32) *ecg.Recording {
	t.Helper()
	r := recording(group(ecg.Rhythm, "500", leadsOf("5", "I", "II", "V1", "V2", "V3", "V4", "V5", "V6"), 3000, value))
	if err := r.Complete(); err != nil {
		t.Fatal(err)
	}
	return r
}

func annotated() *ecg.Recording {
	r := recording(group(ecg.Rhythm, "500", leadsOf("5", twelveNames...), 5000, wavy), group(ecg.Median, "500", leadsOf("5", twelveNames...), 500, wavy))
	r.Pacing = ecg.Pacing{Known: true, Paced: true, Text: "DDD"}
	r.Measurements = append(r.Measurements,
		ecg.Measurement{Kind: ecg.POnset, Value: ecg.Int(100), Valid: true, Unit: "ms", Group: 1},
		ecg.Measurement{Kind: ecg.TOffset, Value: ecg.MustRat("700.5"), Valid: true, Unit: "ms", Group: -1},
		ecg.Measurement{Name: "RV5+SV1", Value: ecg.MustRat("3.25"), Valid: true, Unit: "mV", Group: -1},
		ecg.Measurement{Name: "某项指标", Value: ecg.Int(1), Valid: true, Group: -1})
	for i := range 40 {
		r.Annotations = append(r.Annotations, ecg.Annotation{Kind: ecg.Beat, Group: 0, Onset: ecg.Int(int64(i) * 200), Code: "N"})
	}
	r.Annotations = append(r.Annotations,
		ecg.Annotation{Kind: ecg.Wave, Group: 0, Code: "QRS", Onset: ecg.Int(100), Duration: ecg.Int(90)},
		ecg.Annotation{Kind: ecg.Wave, Group: 0, Code: "QRS", Onset: ecg.Int(900), Duration: ecg.Int(90)},
		ecg.Annotation{Kind: ecg.Spike, Group: 0, Lead: "V1", Onset: ecg.MustRat("33.3")},
		ecg.Annotation{Kind: ecg.Note, Group: -1, Onset: ecg.Int(20), Text: "病人按键"},
		ecg.Annotation{Kind: ecg.Event, Group: 0, Onset: ecg.Int(20_000), Text: "behind the end"})
	return r
}

// TestBackslashInGB18030: a character whose second byte is a backslash stays one character.
func TestBackslashInGB18030(t *testing.T) {
	rec := recording(group(ecg.Rhythm, "500", leadsOf("5", "II"), 100, wavy))
	rec.Patient.Name, rec.Patient.ID = "乗^誠", "住院-乗"
	opt := testOptions
	opt.Charset = GB18030
	p, data := write(t, rec, opt)
	if !bytes.Contains(data, []byte{0x81, 0x5C}) {
		t.Fatal("the case is not there")
	}
	back := check(t, rec, p, data)
	if back.Patient.Name != rec.Patient.Name || back.Patient.ID != rec.Patient.ID {
		t.Errorf("%+v", back.Patient)
	}
}

// TestReadBack: patient, time, measurements, statements and marks come back as they were.
func TestReadBack(t *testing.T) {
	rec := annotated()
	rec.Acquired = ecg.ParseTime("20240301101112.25+0800")
	p, data := write(t, rec, testOptions)
	back := check(t, rec, p, data)
	if back.Patient.Name != "张三" || back.Patient.ID != "P-1" || back.Patient.Sex != "F" || back.Patient.BirthDate != "1970-03-09" ||
		!back.Patient.HeightCM.Equal(rec.Patient.HeightCM) || back.Patient.Age.Value.String() != "53" {
		t.Errorf("patient: %+v", back.Patient)
	}
	if back.Acquired.String() != "2024-03-01T10:11:12.25+08:00" {
		t.Errorf("acquired %s", back.Acquired)
	}
	for kind, want := range map[ecg.MeasurementKind]string{ecg.VentricularRate: "72", ecg.QTcInterval: "412", ecg.QRSAxis: "-30", ecg.POnset: "100", ecg.TOffset: "700.5"} {
		m, ok := back.Measurement(kind)
		if !ok || m.Value.String() != want || !m.Valid {
			t.Errorf("%s: %+v", kind, m)
		}
	}
	if m, _ := back.Measurement(ecg.QTcInterval); m.Formula != ecg.Fridericia {
		t.Errorf("formula %q", m.Formula)
	}
	var lines []string
	for _, s := range back.Statements {
		lines = append(lines, s.Text)
	}
	want := "Pacemaker: yes (DDD)|Unconfirmed machine reading|窦性心律|正常心电图|Confirmed over-read by Dr. Wang|Sinus rhythm"
	if got := strings.Join(lines, "|"); got != want {
		t.Errorf("statements %q, want %q", got, want)
	}
	beats, waves := 0, 0
	for _, a := range back.Annotations {
		switch {
		case a.Kind == ecg.Beat:
			if want := ecg.Int(int64(beats) * 200); !a.Onset.Equal(want) || a.Group != 0 {
				t.Errorf("beat %d at %s", beats, a.Onset)
			}
			beats++
		case a.Kind == ecg.Wave && a.Duration.String() == "90":
			waves++
		case a.Kind == ecg.Spike && (a.Lead != "V1" || a.Onset.String() != "33.3"):
			t.Errorf("spike: %+v", a)
		}
	}
	if beats != 40 || waves != 2 {
		t.Errorf("%d beats, %d waves", beats, waves)
	}
	object, err := part10.Scan(bytes.NewReader(data), part10.Options{})
	if err != nil {
		t.Fatal(err)
	}
	for key, want := range map[string]string{
		"PatientName": "张三", "PatientID": "P-1", "PatientSex": "F", "PatientBirthDate": "19700309", "Modality": "ECG", "StudyDate": "20240301", "StudyTime": "101112.25",
		"AcquisitionDateTime": "20240301101112.25+0800", "TimezoneOffsetFromUTC": "+0800", "Manufacturer": "GE", "ManufacturerModelName": "MAC 5500",
	} {
		if got := object.Attributes[key]; got != want {
			t.Errorf("%s = %q, want %q", key, got, want)
		}
	}
	ids := ecg.Identity("clinic", testOptions.SourceSHA256, rec)
	if object.SOPInstanceUID != ids.Derived || object.StudyInstanceUID != ids.Study || !bytes.Contains(object.Header, []byte(ids.Source)) || !bytes.Contains(object.Header, []byte(testOptions.SourceSHA256)) {
		t.Error("the object does not say what it was made of")
	}
}

// TestOtherOptionsOtherName: other bytes have another SOP Instance UID, in the same study.
func TestOtherOptionsOtherName(t *testing.T) {
	rec := derived(t, wavy)
	seen := map[string]bool{}
	for _, o := range []Options{{}, {Charset: GB18030}, {StoredOnly: true}} {
		opt := testOptions
		opt.Charset, opt.StoredOnly = o.Charset, o.StoredOnly
		p, err := NewPlan(rec, opt)
		if err != nil {
			t.Fatal(err)
		}
		if seen[p.SOPInstanceUID] {
			t.Errorf("%+v has a name that is taken", o)
		}
		seen[p.SOPInstanceUID] = true
	}
}

// TestRhythmFirst: viewers draw the first group, and it must not be a median beat.
func TestRhythmFirst(t *testing.T) {
	rec := recording(group(ecg.Median, "500", leadsOf("5", twelveNames...), 600, wavy), group(ecg.Rhythm, "500", leadsOf("5", twelveNames...), 5000, wavy))
	rec.Measurements = append(rec.Measurements, ecg.Measurement{Kind: ecg.POnset, Value: ecg.Int(100), Valid: true, Unit: "ms", Group: 0})
	p, data := write(t, rec, testOptions)
	back := check(t, rec, p, data)
	if back.Groups[0].Kind != ecg.Rhythm || back.Groups[1].Kind != ecg.Median {
		t.Errorf("%s before %s", back.Groups[0].Kind, back.Groups[1].Kind)
	}
	if m, ok := back.Measurement(ecg.POnset); !ok || m.Group != 1 {
		t.Errorf("a point of the median beat is about group %d", m.Group)
	}
}

func TestRefusals(t *testing.T) {
	many := recording()
	for range 5 {
		many.Groups = append(many.Groups, group(ecg.Rhythm, "500", leadsOf("5", "II"), 10, wavy))
	}
	wide := recording(group(ecg.Rhythm, "500", leadsOf("5", strings.Split(strings.Repeat("II ", 25)[:74], " ")...), 10, wavy))
	for name, c := range map[string]struct {
		rec  *ecg.Recording
		opt  Options
		code reject.Code
	}{
		"no samples":  {&ecg.Recording{Format: sniff.MUSE}, testOptions, reject.UnsupportedFormat},
		"five groups": {many, testOptions, reject.TooManyElements},
		"25 channels": {wide, testOptions, reject.TooManyElements},
		"no hash":     {many, Options{}, reject.Internal},
		"charset":     {many, Options{SourceSHA256: testOptions.SourceSHA256, Charset: "Big5"}, reject.Internal},
		"no room for what is missing": {
			recording(withMissing(group(ecg.Rhythm, "500", leadsOf("5", "I"), 4, func(_, i int) int32 { return []int32{0, math.MinInt32, math.MaxInt32, 1}[i] }), 0, 1)), testOptions, reject.UnsupportedFormat,
		},
		"4 GiB": {recording(&ecg.Group{Kind: ecg.FullDisclosure, Rate: ecg.Int(500)}), testOptions, reject.UnsupportedFormat},
	} {
		if _, err := NewPlan(c.rec, c.opt); err == nil || reject.CodeOf(err) != c.code {
			t.Errorf("%s: %v, want %s", name, err, c.code)
		}
	}
}

// TestChanged: a source whose second reading differs from the first is an error, never a wrong object.
func TestChanged(t *testing.T) {
	for name, second := range map[string]*ecg.Group{
		"shorter": group(ecg.Rhythm, "500", leadsOf("5", "II"), 90, wavy),
		"longer":  group(ecg.Rhythm, "500", leadsOf("5", "II"), 110, wavy),
		"larger":  group(ecg.Rhythm, "500", leadsOf("5", "II"), 100, func(_, i int) int32 { return 1 << 20 }),
		"missing": withMissing(group(ecg.Rhythm, "500", leadsOf("5", "II"), 100, wavy), 3, 4),
	} {
		first := group(ecg.Rhythm, "500", leadsOf("5", "II"), 100, wavy)
		p, err := NewPlan(recording(first), testOptions)
		if err != nil {
			t.Fatal(err)
		}
		first.SetSource(second.Samples)
		if _, err := p.WriteTo(io.Discard); err == nil {
			t.Errorf("%s: no error", name)
		}
	}
}

// holter is a recording of 16-bit samples that exist only while they are read.
func holter(leads []string, rate string, samples int64) *ecg.Recording {
	g := &ecg.Group{Kind: ecg.FullDisclosure, Rate: ecg.MustRat(rate), Leads: leadsOf("2.5", leads...)}
	n := len(leads)
	f := ecg.Frames{At: saw{}, FrameBytes: int64(2 * n), Samples: 1, Count: samples, Decode: func(frame []byte, b *ecg.Block, at int) {
		for c := range n {
			b.Counts[c][at] = int32(int16(binary.LittleEndian.Uint16(frame[2*c:])))
		}
	}}
	g.Stream(f)
	return recording(g)
}

// saw is an endless file.
type saw struct{}

func (saw) ReadAt(p []byte, off int64) (int, error) {
	for n := 0; n < len(p); {
		n += copy(p[n:], sawPeriod[(off+int64(n))%int64(len(sawPeriod)):])
	}
	return len(p), nil
}

var sawPeriod = func() []byte {
	b := make([]byte, 256*32)
	for i := range b {
		b[i] = byte(i >> 5)
	}
	return b
}()

// TestHolter streams a day of twelve leads through: the object is what it was planned to be and never lies in
// memory. Short runs take an hour.
func TestHolter(t *testing.T) {
	samples := int64(24 * 3600 * 250)
	if testing.Short() {
		samples /= 24
	}
	rec := holter(twelveNames, "250", samples)
	start := time.Now()
	p, err := NewPlan(rec, testOptions)
	if err != nil {
		t.Fatal(err)
	}
	planned := time.Since(start)
	if p.SOPClassUID != AmbulatoryECG || p.Size < samples*24 {
		t.Fatalf("%s of %d bytes", p.SOPClassUID, p.Size)
	}
	sum := sha256.New()
	var before, after runtime.MemStats
	runtime.ReadMemStats(&before)
	n, err := p.WriteTo(sum)
	runtime.ReadMemStats(&after)
	if grown := after.TotalAlloc - before.TotalAlloc; grown > 16<<20 {
		t.Errorf("%d bytes were allocated on the way", grown)
	}
	if err != nil || n != p.Size {
		t.Fatalf("%d of %d bytes: %v", n, p.Size, err)
	}
	all := time.Since(start)
	t.Logf("%d MB: planned in %v, written and hashed in %v: %.0f MB/s in all", n>>20, planned, all-planned, float64(n)/1e6/all.Seconds())
	again := sha256.New()
	if testing.Short() {
		if err := Write(again, rec, testOptions); err != nil || !bytes.Equal(again.Sum(nil), sum.Sum(nil)) {
			t.Errorf("two runs differ: %v", err)
		}
	}
}

// TestManyBeats: the marks of a day go into few items, and what is too much is cut with a warning.
func TestManyBeats(t *testing.T) {
	rec := holter([]string{"II"}, "50", 24*3600*50)
	for i := range 100_000 {
		rec.Annotations = append(rec.Annotations, ecg.Annotation{Kind: ecg.Beat, Group: 0, Onset: ecg.Int(int64(i) * 800), Code: "N"})
	}
	p, err := NewPlan(rec, testOptions)
	if err != nil {
		t.Fatal(err)
	}
	var w bytes.Buffer
	if _, err := p.WriteTo(&w); err != nil {
		t.Fatal(err)
	}
	back, err := dicomwave.Decode(ecgtest.Source("", w.Bytes()), ecg.Limits{})
	if err != nil || len(back.Annotations) != 100_000 || back.Annotations[99_999].Onset.String() != "79999200" {
		t.Errorf("%d annotations read back, %v", len(back.Annotations), err)
	}
	if len(p.head) > 1<<20 || len(p.Warnings) > 0 {
		t.Errorf("a header of %d bytes, %v", len(p.head), p.Warnings)
	}
	rec.Annotations = nil
	for i := range 20_000 {
		rec.Annotations = append(rec.Annotations, ecg.Annotation{Kind: ecg.Event, Group: 0, Onset: ecg.Int(int64(i) * 800), Text: fmt.Sprint("event ", i)})
	}
	if p, err = NewPlan(rec, testOptions); err != nil {
		t.Fatal(err)
	}
	if len(p.head) > 2<<20 || len(p.Warnings) != 1 || p.Warnings[0].Code != WarnCut {
		t.Errorf("a header of %d bytes, %v", len(p.head), p.Warnings)
	}
}

// TestPDF wraps reports of even and odd length.
func TestPDF(t *testing.T) {
	for _, n := range []int{4000, 4001} {
		pdf := append([]byte("%PDF-1.4\n"), bytes.Repeat([]byte("x"), n-9)...)
		var a, b bytes.Buffer
		for _, w := range []*bytes.Buffer{&a, &b} {
			if err := WritePDF(w, bytes.NewReader(pdf), int64(n), "心电图报告", recording(), testOptions); err != nil {
				t.Fatal(err)
			}
		}
		p, err := NewPDF(int64(n), "心电图报告", recording(), testOptions)
		if err != nil || !bytes.Equal(a.Bytes(), b.Bytes()) || int64(a.Len()) != p.Size {
			t.Errorf("%d and %d bytes, planned %d, %v", a.Len(), b.Len(), p.Size, err)
		}
		object, err := part10.Scan(bytes.NewReader(a.Bytes()), part10.Options{})
		if err != nil || len(object.Warnings) > 0 {
			t.Fatal(err, object.Warnings)
		}
		if object.SOPClassUID != EncapsulatedPDF || object.Attributes["DocumentTitle"] != "心电图报告" || object.Attributes["MIMETypeOfEncapsulatedDocument"] != "application/pdf" || object.Attributes["PatientName"] != "张三" {
			t.Errorf("%v", object.Attributes)
		}
		found := false
		for _, v := range object.Bulk {
			if v.Path == "00420011" {
				found = bytes.Equal(a.Bytes()[v.Offset:v.Offset+int64(n)], pdf)
			}
		}
		if !found && n > 64<<10 {
			t.Error("the document is not there")
		}
		if !bytes.Contains(a.Bytes(), pdf) {
			t.Error("the document is not there")
		}
		verifyFile(t, "PDF", a.Bytes())
	}
	var w bytes.Buffer
	if err := WritePDF(&w, strings.NewReader("no document"), 11, "", nil, testOptions); err == nil || w.Len() > 0 {
		t.Error("wrapped what is no PDF")
	}
	if err := WritePDF(&w, strings.NewReader("%PDF-1.4"), 2000, "", nil, testOptions); err == nil {
		t.Error("wrapped a document that breaks off")
	}
	if err := WritePDF(&w, strings.NewReader("%PDF-1.4"), 8, "", nil, testOptions); err != nil {
		t.Error(err)
	}
}

// TestPydicom lets another reader say what the values are.
func TestPydicom(t *testing.T) {
	python := ""
	for _, name := range []string{"/usr/bin/python3", "python3"} {
		if exec.Command(name, "-c", "import pydicom, numpy").Run() == nil {
			python = name
			break
		}
	}
	if python == "" {
		testengine.Missing(t, "pydicom and numpy are not installed (scripts/test-deps.sh does)")
	}
	rec := recording(group(ecg.Rhythm, "500", leadsOf("4.88", twelveNames...), 5000, wavy), group(ecg.Median, "500", leadsOf("2.5", twelveNames...), 600, wavy))
	_, data := write(t, rec, testOptions)
	path := filepath.Join(t.TempDir(), "a.dcm")
	if err := os.WriteFile(path, data, 0o600); err != nil {
		t.Fatal(err)
	}
	const program = `
import sys, hashlib, pydicom, numpy
ds = pydicom.dcmread(sys.argv[1])
print(str(ds.PatientName))
for i in range(len(ds.WaveformSequence)):
    raw = pydicom.waveforms.numpy_handler.generate_multiplex(ds, as_raw=True)
    raw = list(raw)[i]
    print(hashlib.sha256(raw.astype('<i4').T.tobytes()).hexdigest(), ds.WaveformSequence[i].ChannelDefinitionSequence[0].ChannelSensitivity)
`
	out, err := exec.Command(python, "-c", program, path).CombinedOutput()
	if err != nil {
		t.Fatalf("%v: %s", err, out)
	}
	want := "张三\n"
	for n, scale := range []string{"4.88", "2.5"} {
		counts, _, err := rec.Groups[n].ReadAll(1 << 20)
		if err != nil {
			t.Fatal(err)
		}
		sum := sha256.New()
		for _, lead := range counts {
			if err := binary.Write(sum, binary.LittleEndian, lead); err != nil {
				t.Fatal(err)
			}
		}
		want += fmt.Sprintf("%x %s\n", sum.Sum(nil), scale)
	}
	if string(out) != want {
		t.Errorf("pydicom reads %q, want %q", out, want)
	}
}

// FuzzWrite makes recordings of whatever comes: an object that can be scanned and read back, or a refusal.
func FuzzWrite(f *testing.F) {
	f.Add([]byte("\x01\x02\x03\x04 twelve leads and more"), "张^三=a=b=c", "4.88", "500", "2024-01-01")
	f.Add([]byte{255, 255, 255, 0, 1, 2, 3}, "\\\x00\x1b", "1e-40", "1000", "")
	f.Add(bytes.Repeat([]byte{7}, 300), "", "1/3", "0.0001", "20240101101010+0800")
	f.Add(bytes.Repeat([]byte{128, 0}, 300), strings.Repeat("^", 300), "-123456789.123456789123456789", "39999.99999", "x")
	f.Fuzz(func(t *testing.T, in []byte, text, scale, rate, when string) {
		rec := fuzzed(in, text, scale, rate, when)
		var w bytes.Buffer
		p, err := NewPlan(rec, testOptions)
		if err != nil {
			return
		}
		if _, err := p.WriteTo(&w); err != nil {
			t.Fatal(err)
		}
		if int64(w.Len()) != p.Size {
			t.Fatalf("%d bytes, planned %d", w.Len(), p.Size)
		}
		if _, err := part10.Scan(bytes.NewReader(w.Bytes()), part10.Options{}); err != nil {
			t.Fatal(err)
		}
		if _, err := dicomwave.Decode(ecgtest.Source("", w.Bytes()), ecg.Limits{}); err != nil {
			t.Fatal(err)
		}
	})
}

// fuzzed makes a recording of arbitrary bytes and texts.
func fuzzed(in []byte, text, scale, rate, when string) *ecg.Recording {
	at := 0
	next := func() byte {
		if at == len(in) {
			return 0
		}
		at++
		return in[at-1]
	}
	number := func(s string, otherwise ecg.Rat) ecg.Rat {
		var r ecg.Rat
		if r.UnmarshalText([]byte(s)) != nil || r.IsZero() {
			return otherwise
		}
		return r
	}
	rec := &ecg.Recording{Format: sniff.SCPECG, DocumentID: text, Acquired: ecg.ParseTime(when)}
	rec.Patient = ecg.Patient{ID: text, Name: text, Sex: text, BirthDate: when, Race: text, Remarks: []string{text}, Age: ecg.Quantity{Value: number(scale, ecg.Int(1)), Unit: "h"}, WeightKG: number(scale, ecg.Int(1)), IDs: []ecg.Identifier{{Issuer: text, Value: text + "x"}}}
	rec.Device = ecg.Device{Maker: text, Model: text, Serial: text, Software: text, Station: text}
	rec.Context = ecg.Context{StudyInstanceUID: text, AccessionNumber: text, Institution: text, Operator: text, ReferringPhysician: text, Reason: text}
	for range int(next()) % 6 {
		g := &ecg.Group{Kind: []ecg.Kind{ecg.Rhythm, ecg.Median, ecg.FullDisclosure, ecg.OtherSignals}[next()%4], Rate: number(rate, ecg.Int(500)), StartOffset: number(scale, ecg.Rat{})}
		var counts [][]int32
		var missing [][]bool
		for range int(next()) % 28 {
			l := ecg.Lead{Unit: []string{ecg.Microvolt, "", "mm[Hg]", text}[next()%4], Scale: number(scale, ecg.Int(5)), Baseline: number(rate, ecg.Rat{}), Start: int64(next() % 5), Skew: number(scale, ecg.Rat{}), Derived: next()%5 == 0, DerivedBy: "tributary: " + text}
			if id := ecg.LeadID(next()); id.Name() != "" {
				l.Set(id)
			} else {
				l.Name = text
			}
			var c []int32
			var m []bool
			for range int(next()) % 20 {
				c = append(c, int32(next())<<(next()%25))
				m = append(m, next()%4 == 0)
			}
			g.Leads, counts, missing = append(g.Leads, l), append(counts, c), append(missing, m)
		}
		g.Memory(counts, missing)
		rec.Groups = append(rec.Groups, g)
	}
	for range int(next()) % 8 {
		lead := []string{"", "I", "V1", text}[next()%4]
		rec.Measurements = append(rec.Measurements, ecg.Measurement{Kind: []ecg.MeasurementKind{"", ecg.POnset, ecg.QTcInterval, ecg.RAmplitude}[next()%4], Name: text, Value: number(scale, ecg.Rat{}), Valid: true, Unit: []string{"ms", "", text}[next()%3], Lead: lead, Group: int(next()%5) - 1})
		rec.Annotations = append(rec.Annotations, ecg.Annotation{Kind: []ecg.AnnotationKind{ecg.Beat, ecg.Wave, ecg.Note, ecg.AnnotationKind(text)}[next()%4], Group: int(next()%7) - 1, Lead: lead, Onset: number(rate, ecg.Int(int64(next()))), Duration: number(scale, ecg.Int(int64(next()%3))), Code: text, Text: []string{"", text}[next()%2]})
		rec.Statements = append(rec.Statements, ecg.Statement{Text: text, Author: ecg.Author(text), Name: text, Status: ecg.Status(text)})
	}
	return rec
}
