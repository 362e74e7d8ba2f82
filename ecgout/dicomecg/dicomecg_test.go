package dicomecg

import (
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"io"
	"io/fs"
	"math"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"
	"unicode/utf8"

	"github.com/tributary-dicom/tributary/parsers/ecg"
	"github.com/tributary-dicom/tributary/parsers/ecg/dicomwave"
	"github.com/tributary-dicom/tributary/parsers/ecg/ecgtest"
	"github.com/tributary-dicom/tributary/parsers/ecg/formats"
	"github.com/tributary-dicom/tributary/parsers/part10"
	"github.com/tributary-dicom/tributary/parsers/sniff"
)

func hashOf(b []byte) string {
	sum := sha256.Sum256(b)
	return hex.EncodeToString(sum[:])
}

var testOptions = Options{Tenant: "clinic", SourceSHA256: hashOf([]byte("source")), SourceID: "blob-1"}

// lead returns a test lead by name.
func lead(name, scale string) ecg.Lead {
	l := ecg.Lead{Unit: ecg.Microvolt, Scale: ecg.MustRat(scale), Bits: 16}
	l.SetLabel("lead " + name)
	l.Label = name
	return l
}

// group returns a group of n samples of each lead; sample i of lead c is value(c, i).
func group(kind ecg.Kind, rate string, leads []ecg.Lead, n int, value func(c, i int) int32) *ecg.Group {
	g := &ecg.Group{Kind: kind, Rate: ecg.MustRat(rate), Leads: leads}
	counts := make([][]int32, len(leads))
	for c := range counts {
		counts[c] = make([]int32, n)
		for i := range counts[c] {
			counts[c][i] = value(c, i)
		}
	}
	g.Memory(counts, nil)
	return g
}

var twelveNames = []string{"I", "II", "III", "aVR", "aVL", "aVF", "V1", "V2", "V3", "V4", "V5", "V6"}

func leadsOf(scale string, names ...string) []ecg.Lead {
	var leads []ecg.Lead
	for _, name := range names {
		leads = append(leads, lead(name, scale))
	}
	return leads
}

func wavy(c, i int) int32 { return int32(500*math.Sin(float64(i)/20+float64(c))) + int32(c) }

func recording(groups ...*ecg.Group) *ecg.Recording {
	return &ecg.Recording{
		Format: sniff.MUSE, Groups: groups, Acquired: ecg.ParseTime("2024-02-29T10:11:12"),
		Patient: ecg.Patient{ID: "P-1", Name: "张三", Sex: "F", BirthDate: "1970-03-09", Age: ecg.Quantity{Value: ecg.Int(53), Unit: "a"}, HeightCM: ecg.MustRat("170.5"), WeightKG: ecg.MustRat("70")},
		Device:  ecg.Device{Maker: "GE", Model: "MAC 5500", Serial: "1", Software: "10"},
		Measurements: []ecg.Measurement{
			{Kind: ecg.VentricularRate, Value: ecg.Int(72), Valid: true, Unit: "/min", Group: -1},
			{Kind: ecg.QTcInterval, Formula: ecg.Fridericia, Value: ecg.Int(412), Valid: true, Unit: "ms", Group: -1},
			{Kind: ecg.QRSAxis, Value: ecg.Int(-30), Valid: true, Unit: "deg", Group: -1},
			{Kind: ecg.RAmplitude, Value: ecg.MustRat("1234.5"), Valid: true, Unit: "uV", Lead: "V1", Group: 0},
			{Kind: ecg.PRInterval, Raw: "n/a", Group: -1},
		},
		Statements: []ecg.Statement{{Text: "窦性心律", Author: ecg.Machine}, {Text: "正常心电图", Author: ecg.Machine}, {Text: "Sinus rhythm", Author: ecg.OverRead, Status: ecg.Confirmed, Name: "Dr. Wang"}},
	}
}

// write writes rec twice, checks that both are the same and as long as planned, and returns plan and bytes.
func write(t testing.TB, rec *ecg.Recording, opt Options) (*Plan, []byte) {
	t.Helper()
	p, err := NewPlan(rec, opt)
	if err != nil {
		t.Fatal(err)
	}
	var a, b bytes.Buffer
	if _, err := p.WriteTo(&a); err != nil {
		t.Fatal(err)
	}
	if err := Write(&b, rec, opt); err != nil {
		t.Fatal(err)
	}
	if !bytes.Equal(a.Bytes(), b.Bytes()) {
		t.Error("two runs differ")
	}
	if int64(a.Len()) != p.Size {
		t.Errorf("%d bytes, planned %d", a.Len(), p.Size)
	}
	return p, a.Bytes()
}

// check does to an object what readers do: scans it, reads it back, and compares every sample with rec.
func check(t testing.TB, rec *ecg.Recording, p *Plan, data []byte) *ecg.Recording {
	t.Helper()
	object, err := part10.Scan(bytes.NewReader(data), part10.Options{})
	if err != nil {
		t.Fatal(err)
	}
	for _, w := range object.Warnings {
		if w.Code != part10.WarnNoPatientID {
			t.Errorf("part10: %+v", w)
		}
	}
	if object.SOPClassUID != p.SOPClassUID || object.SOPInstanceUID != p.SOPInstanceUID || object.StudyInstanceUID != p.StudyInstanceUID || object.SeriesInstanceUID != p.SeriesInstanceUID {
		t.Errorf("identity: %+v", object)
	}
	if object.Attributes["Modality"] != "ECG" {
		t.Errorf("attributes: %v", object.Attributes)
	}
	back, err := dicomwave.Decode(ecgtest.Source("", data), ecg.Limits{})
	if err != nil {
		t.Fatal(err)
	}
	if err := back.Validate(ecg.Limits{}); err != nil {
		t.Fatal(err)
	}
	if len(back.Groups) != len(p.waves) {
		t.Fatalf("%d groups of %d", len(back.Groups), len(p.waves))
	}
	rounded := map[string]bool{}
	for _, w := range p.Warnings {
		if w.Code == WarnRounded {
			rounded[w.Where] = true
		}
	}
	for n, w := range p.waves {
		sameGroup(t, w, back.Groups[n], len(rounded) > 0)
	}
	return back
}

func sameGroup(t testing.TB, w *wave, b *ecg.Group, rounded bool) {
	t.Helper()
	a := w.group
	if !rounded && (!a.Rate.Equal(b.Rate) || !a.StartOffset.Equal(b.StartOffset)) || b.Length != w.count || len(b.Leads) != len(w.order) {
		t.Errorf("group %d: rate %s offset %s length %d leads %d; read back %s %s %d %d", w.index, a.Rate, a.StartOffset, w.count, len(w.order), b.Rate, b.StartOffset, b.Length, len(b.Leads))
		return
	}
	for c, i := range w.order {
		x, y := a.Leads[i], b.Leads[c]
		if x.Code != "" && x.Name != y.Name || x.Derived && !y.Derived {
			t.Errorf("lead %s read back as %s %v", x.Name, y.Name, y.Derived)
		}
		if !rounded && x.Unit != "" && (!x.Scale.Equal(y.Scale) || !x.Baseline.Equal(y.Baseline) || x.Unit != y.Unit || !x.Skew.Equal(y.Skew)) {
			t.Errorf("lead %s: scale %s baseline %s %s skew %s; read back %s %s %s %s", x.Name, x.Scale, x.Baseline, x.Unit, x.Skew, y.Scale, y.Baseline, y.Unit, y.Skew)
		}
	}
	ra, err := a.Samples()
	if err != nil {
		t.Fatal(err)
	}
	rb, err := b.Samples()
	if err != nil {
		t.Fatal(err)
	}
	ca, cb := &flat{r: ra}, &flat{r: rb}
	for at := range w.count {
		if !ca.next() || !cb.next() {
			t.Fatalf("group %d ends at sample %d of %d", w.index, at, w.count)
		}
		for c, i := range w.order {
			x, y := ca.b.Counts[i][ca.at], cb.b.Counts[c][cb.at]
			mx, my := ca.b.IsMissing(i, ca.at), cb.b.IsMissing(c, cb.at)
			if mx != my || !mx && x != y {
				t.Fatalf("group %d lead %s sample %d: %d (missing %v), read back %d (%v)", w.index, a.Leads[i].Name, at, x, mx, y, my)
			}
		}
	}
	if cb.next() {
		t.Errorf("group %d: more than %d samples read back", w.index, w.count)
	}
}

// flat walks the samples of a reader one by one.
type flat struct {
	r  ecg.SampleReader
	b  ecg.Block
	at int
}

func (f *flat) next() bool {
	if f.at++; f.at < f.b.Len {
		return true
	}
	f.at = 0
	return f.r.Next(&f.b) == nil
}

// verify asks dciodvfy whether an object is what its SOP Class demands.
func verify(t testing.TB, name string, p *Plan, data []byte) {
	t.Helper()
	if p.SOPClassUID == General32BitECG {
		// Of 2023, and unknown to the dciodvfy of distributions: under the name of its elder sister its
		// modules can be looked at all the same. It has 16 bits.
		data = bytes.ReplaceAll(data, []byte(General32BitECG), []byte(GeneralECG))
		verifyFile(t, name, data, "WaveformBitsAllocated(5400,1004)[1]> - Unrecognized enumerated value = <0x20>", "WaveformSampleInterpretation(5400,1006)[1]> - Unrecognized enumerated value = <SL>")
		return
	}
	verifyFile(t, name, data)
}

// verifyFile fails for each error of dciodvfy that does not end with one of but.
func verifyFile(t testing.TB, name string, data []byte, but ...string) {
	t.Helper()
	if _, err := exec.LookPath("dciodvfy"); err != nil {
		if os.Getenv("CI") != "" {
			t.Fatal("dciodvfy is not installed: run scripts/test-deps.sh")
		}
		t.Log("dciodvfy is not installed (scripts/test-deps.sh): not verified")
		return
	}
	path := filepath.Join(t.TempDir(), "object.dcm")
	if err := os.WriteFile(path, data, 0o600); err != nil {
		t.Fatal(err)
	}
	out, _ := exec.Command("dciodvfy", "-new", path).CombinedOutput()
	for line := range strings.Lines(string(out)) {
		line = strings.TrimSpace(line)
		if slices.ContainsFunc(but, func(s string) bool { return strings.HasSuffix(line, s) }) {
			continue
		}
		if strings.HasPrefix(line, "Error") && !countsBytes(line) {
			t.Errorf("%s: %s", name, strings.TrimSpace(line))
		} else if testing.Verbose() && strings.HasPrefix(line, "Warning") {
			t.Logf("%s: %s", name, strings.TrimSpace(line))
		}
	}
	if len(out) == 0 {
		t.Errorf("%s: dciodvfy says nothing", name)
	}
}

// countsBytes tells dciodvfy's errors about a length that it counts in bytes, where PS3.5 §6.2 counts characters,
// for each component group of a name.
func countsBytes(line string) bool {
	_, rest, is := strings.Cut(line, "] = <")
	value, rest, found := strings.Cut(rest, "> - Length invalid for this VR = <")
	_, most, bounded := strings.Cut(rest, "expected <= ")
	if !is || !found || !bounded {
		return false
	}
	limit, err := strconv.Atoi(strings.TrimSpace(most))
	if err != nil {
		return false
	}
	for group := range strings.SplitSeq(value, "=") {
		if utf8.RuneCountInString(group) > limit {
			return false
		}
	}
	return true
}

// TestCorpus converts every file of the corpus that is read.
func TestCorpus(t *testing.T) {
	root := ecgtest.Corpus(t)
	converted := 0
	err := filepath.WalkDir(root, func(path string, e fs.DirEntry, err error) error {
		if err != nil || !e.Type().IsRegular() {
			return err
		}
		name, err := filepath.Rel(root, path)
		if err != nil {
			return err
		}
		src := ecgtest.Open(t, path)
		rec, err := formats.Decode(src, ecg.Limits{})
		if err != nil {
			return nil //nolint:nilerr // no recording of ours
		}
		sum := sha256.New()
		if _, err := io.Copy(sum, src.Reader()); err != nil {
			t.Fatal(err)
		}
		opt := Options{Tenant: "t", SourceSHA256: hex.EncodeToString(sum.Sum(nil)), SourceSOPClass: TwelveLeadECG}
		p, err := NewPlan(rec, opt)
		if err != nil {
			t.Logf("%s: %v", name, err)
			return nil
		}
		if p.Size > 64<<20 {
			t.Logf("%s: %d bytes are not tried here", name, p.Size)
			return nil
		}
		_, data := write(t, rec, opt)
		check(t, rec, p, data)
		verify(t, name, p, data)
		converted++
		t.Logf("%s: %s %d bytes %v", name, p.SOPClassUID[len("1.2.840.10008.5.1.4.1.1.9.1."):], p.Size, p.Warnings)
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	if converted == 0 {
		t.Error("nothing was converted")
	}
}
