// Package ecgtest compares decoders with the reference values of the ECG corpus, lead by lead.
package ecgtest

import (
	"bytes"
	"encoding/json"
	"math"
	"os" //nolint:depguard // a harness of tests opens the corpus
	"path/filepath"
	"sort"
	"strconv"
	"strings"
	"testing"

	"github.com/tributary-dicom/tributary/parsers/ecg"
)

// Shared returns the folder of shared corpora, $TRIBUTARY_SHARED or "shared" beside a folder above, or skips
// the test.
func Shared(t testing.TB) string {
	t.Helper()
	if dir := os.Getenv("TRIBUTARY_SHARED"); dir != "" {
		return dir
	}
	wd, err := os.Getwd()
	if err != nil {
		t.Fatal(err)
	}
	for dir := wd; ; dir = filepath.Dir(dir) {
		if _, err := os.Stat(filepath.Join(dir, "shared", "corpora")); err == nil {
			return filepath.Join(dir, "shared")
		}
		if dir == filepath.Dir(dir) {
			t.Skip("no shared/corpora above the working directory and TRIBUTARY_SHARED is not set")
		}
	}
}

// Corpus returns the folder of the ECG corpus, or skips the test.
func Corpus(t testing.TB) string {
	t.Helper()
	return filepath.Join(Shared(t), "corpora", "ecg")
}

// Source opens bytes as a source without companions.
func Source(name string, data []byte) ecg.Source {
	return ecg.Source{File: ecg.File{Name: name, At: bytes.NewReader(data), Size: int64(len(data))}}
}

// Open reads a corpus file and, as companions, the other files of its folder.
func Open(t testing.TB, path string) ecg.Source {
	t.Helper()
	data, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	src := Source(filepath.Base(path), data)
	others, err := os.ReadDir(filepath.Dir(path))
	if err != nil {
		t.Fatal(err)
	}
	for _, e := range others {
		if e.Name() == src.Name || !e.Type().IsRegular() {
			continue
		}
		f, err := os.Open(filepath.Join(filepath.Dir(path), e.Name()))
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { _ = f.Close() })
		info, err := f.Stat()
		if err != nil {
			t.Fatal(err)
		}
		src.Parts = append(src.Parts, ecg.File{Name: e.Name(), At: f, Size: info.Size()})
	}
	return src
}

// Expected is what the corpus says about one file.
type Expected struct {
	Format              string
	Patient             map[string]any
	AcquisitionDateTime string `json:"acquisition_datetime"`
	AcquisitionRaw      any    `json:"acquisition_datetime_raw"`
	Device              map[string]any
	Interpretation      []string
	Measurements        map[string]string
	Groups              []ExpectedGroup
}

// ExpectedGroup is a group of an Expected.
type ExpectedGroup struct {
	Kind           string
	SamplingRateHz *float64 `json:"sampling_rate_hz"`
	NLeads         int      `json:"n_leads"`
	Leads          []ExpectedLead
}

// ExpectedLead is a lead of an ExpectedGroup.
type ExpectedLead struct {
	Name           string
	NativeName     string `json:"native_name"`
	Samples        int64
	MissingSamples int64    `json:"missing_samples"`
	SamplingRateHz *float64 `json:"sampling_rate_hz"`
	LSB            *float64 `json:"lsb_uV"`
	Micro          string   `json:"sha256_uV_int32le"`
	Counts         string   `json:"sha256_counts_int32le"`
	Unit           string
	First          []*float64 `json:"first10_uV"`
}

// Options of Golden.
type Options struct {
	// Files limits the files to those for which it returns true; path is as in expected.json.
	Files func(path string) bool

	// Deviations are differences that are right, with the reason. A key is the path, or path and what
	// follows it in the report ("scp/x.scp: group 0 lead II"); it excuses all that begins with it, and
	// must excuse something.
	Deviations map[string]string

	// Refused are files that must be refused, with the reason.
	Refused map[string]string

	// SplitRates joins groups for formats that expected.json lists as one group of several rates (EDF,
	// WFDB): leads are then looked up over all groups.
	SplitRates bool
}

// Golden decodes every file of the corpus that expected.json lists in folder and compares format, patient,
// date, measurements and every lead's rate, length, step and hashes. decode is the format's own: Complete has
// not run, so leads are the stored ones. It fails when it has compared no file.
func Golden(t *testing.T, folder string, decode ecg.Decoder, opt Options) {
	t.Helper()
	root := Corpus(t)
	text, err := os.ReadFile(filepath.Join(root, "expected.json"))
	if err != nil {
		t.Skip(err)
	}
	var all map[string]json.RawMessage
	if err := json.Unmarshal(text, &all); err != nil {
		t.Fatal(err)
	}
	var paths []string
	for path := range all {
		if strings.HasPrefix(path, folder+"/") && (opt.Files == nil || opt.Files(path)) {
			paths = append(paths, path)
		}
	}
	sort.Strings(paths)
	if len(paths) == 0 {
		t.Fatalf("the corpus has nothing in %s", folder)
	}
	used := map[string]bool{}
	for _, path := range paths {
		var want Expected
		if err := json.Unmarshal(all[path], &want); err != nil {
			t.Fatalf("%s: %v", path, err)
		}
		t.Run(strings.ReplaceAll(path, "/", "_"), func(t *testing.T) {
			c := &comparison{T: t, path: path, opt: opt, used: used}
			rec, err := decode(Open(t, filepath.Join(root, filepath.FromSlash(path))), ecg.Limits{})
			if why, refused := opt.Refused[path]; refused {
				if err == nil {
					t.Errorf("read, though %s", why)
				}
				return
			}
			if err != nil {
				c.errorf("decode: %v", err)
				return
			}
			if err := rec.Validate(ecg.Limits{}); err != nil {
				t.Fatal(err)
			}
			c.compare(rec, &want)
		})
	}
	for key, why := range opt.Deviations {
		if !used[key] {
			t.Errorf("deviation %q (%s) excuses nothing", key, why)
		}
	}
}

type comparison struct {
	*testing.T
	path string
	opt  Options
	used map[string]bool
}

// errorf reports a difference unless it is a known one.
func (c *comparison) errorf(format string, args ...any) {
	c.Helper()
	text := c.path + ": " + sprintf(format, args...)
	for key, why := range c.opt.Deviations {
		if strings.HasPrefix(text, key) {
			c.used[key] = true
			c.Logf("known: %s (%s)", text, why)
			return
		}
	}
	c.Error(text)
}

func (c *comparison) compare(rec *ecg.Recording, want *Expected) {
	sum, err := rec.Summarize(true)
	if err != nil {
		c.Fatal(err)
	}
	if _, err := json.Marshal(sum); err != nil {
		c.Errorf("summary: %v", err)
	}
	c.patient(rec, want.Patient)
	c.date(rec, want)
	c.device(rec, want.Device)
	for _, line := range want.Interpretation {
		if !hasStatement(rec, line) {
			c.errorf("statement %q is missing", line)
		}
	}
	for name, raw := range want.Measurements {
		c.measurement(rec, name, raw)
	}
	if c.opt.SplitRates {
		c.splitLeads(sum, want)
		return
	}
	if len(sum.Groups) != len(want.Groups) {
		c.errorf("%d groups, want %d", len(sum.Groups), len(want.Groups))
	}
	for i := range min(len(sum.Groups), len(want.Groups)) {
		got, w := &sum.Groups[i], &want.Groups[i]
		if w.SamplingRateHz != nil && !near(float(got.SamplingFrequencyHz), *w.SamplingRateHz) {
			c.errorf("group %d: %s Hz, want %v", i, got.SamplingFrequencyHz, *w.SamplingRateHz)
		}
		if len(got.Leads) != len(w.Leads) {
			c.errorf("group %d: %d leads, want %d", i, len(got.Leads), len(w.Leads))
		}
		for j := range min(len(got.Leads), len(w.Leads)) {
			c.lead("group "+strconv.Itoa(i)+" lead "+w.Leads[j].Name, &got.Leads[j], float(got.SamplingFrequencyHz), &w.Leads[j])
		}
	}
}

// splitLeads compares leads in the order of the file, wherever they were grouped: the n-th lead of a label
// in the reference is the n-th of that label in the recording.
func (c *comparison) splitLeads(sum *ecg.Summary, want *Expected) {
	type at struct {
		lead *ecg.LeadSummary
		rate float64
	}
	byName := map[string][]at{}
	total := 0
	for i := range sum.Groups {
		g := &sum.Groups[i]
		for j := range g.Leads {
			l := &g.Leads[j]
			name := l.Label
			if name == "" {
				name = l.Name
			}
			byName[name] = append(byName[name], at{l, float(g.SamplingFrequencyHz)})
			total++
		}
	}
	n := 0
	for i := range want.Groups {
		for j := range want.Groups[i].Leads {
			w := &want.Groups[i].Leads[j]
			n++
			where := "lead " + w.Name
			found := byName[w.Name]
			if len(found) == 0 {
				c.errorf("%s: missing", where)
				continue
			}
			byName[w.Name] = found[1:]
			if w.SamplingRateHz == nil {
				w.SamplingRateHz = want.Groups[i].SamplingRateHz
			}
			c.lead(where, found[0].lead, found[0].rate, w)
		}
	}
	if n != total {
		c.errorf("%d leads, want %d", total, n)
	}
}

func (c *comparison) lead(where string, got *ecg.LeadSummary, rate float64, want *ExpectedLead) {
	if got.Name != want.Name && got.Label != want.Name && !strings.EqualFold(got.Name, want.Name) {
		c.errorf("%s: is called %q (%q)", where, got.Name, got.Label)
	}
	if want.SamplingRateHz != nil && !near(rate, *want.SamplingRateHz) {
		c.errorf("%s: %v Hz, want %v", where, rate, *want.SamplingRateHz)
	}
	if got.Samples != want.Samples {
		c.errorf("%s: %d samples, want %d", where, got.Samples, want.Samples)
	}
	if got.Missing != want.MissingSamples {
		c.errorf("%s: %d missing samples, want %d", where, got.Missing, want.MissingSamples)
	}
	if want.LSB != nil {
		var lsb ecg.Rat
		if err := lsb.UnmarshalText([]byte(got.LSBMicrovolt)); err != nil || math.Abs(lsb.Float64()-*want.LSB) > 1e-9+1e-6*math.Abs(*want.LSB) {
			c.errorf("%s: step %q µV, want %v", where, got.LSBMicrovolt, *want.LSB)
		}
	}
	if want.Counts != "" && got.CountsSHA256 != want.Counts {
		c.errorf("%s: counts differ: %s, want %s", where, got.CountsSHA256, want.Counts)
	}
	if want.Micro != "" && got.MicroSHA256 != want.Micro && got.Missing == 0 {
		c.errorf("%s: µV differ: %q, want %s", where, got.MicroSHA256, want.Micro)
	}
}
