package scpecg_test

import (
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"testing"

	"github.com/tributary-dicom/tributary/parsers/ecg"
	"github.com/tributary-dicom/tributary/parsers/ecg/ecgtest"
	"github.com/tributary-dicom/tributary/parsers/ecg/scpecg"
)

func TestGolden(t *testing.T) {
	textMeasurements(t)
	ecgtest.Golden(t, "scp", scpecg.Decode, ecgtest.Options{
		Files: func(path string) bool { return path != "scp/healforce_62.SCP" }, // another format
		Deviations: map[string]string{
			"scp/ecgtoolkit_Example.scp: 2 groups":    "the reference has no section 5; its reference beat is a group here",
			"scp/ecgtoolkit_Example.scp: measurement": "the reference has short names of another program; TestExampleMeasurements has the values",
		},
	})
}

// textMeasurements makes a copy of expected.json whose measurements are all text, which the harness asks for, and
// points the harness to it.
func textMeasurements(t *testing.T) {
	root := ecgtest.Corpus(t)
	text, err := os.ReadFile(filepath.Join(root, "expected.json"))
	if err != nil {
		t.Skip(err)
	}
	var all map[string]json.RawMessage
	if err := json.Unmarshal(text, &all); err != nil {
		t.Fatal(err)
	}
	for path, entry := range all {
		var e map[string]any
		if json.Unmarshal(entry, &e) != nil {
			continue
		}
		m, ok := e["measurements"].(map[string]any)
		if !ok {
			continue
		}
		for name, v := range m {
			m[name] = fmt.Sprint(v)
		}
		if all[path], err = json.Marshal(e); err != nil {
			t.Fatal(err)
		}
	}
	shared := t.TempDir()
	dir := filepath.Join(shared, "corpora", "ecg")
	if err := os.MkdirAll(dir, 0o755); err != nil {
		t.Fatal(err)
	}
	if text, err = json.Marshal(all); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(dir, "expected.json"), text, 0o644); err != nil {
		t.Fatal(err)
	}
	if err := os.Symlink(filepath.Join(root, "scp"), filepath.Join(dir, "scp")); err != nil {
		t.Fatal(err)
	}
	t.Setenv("TRIBUTARY_SHARED", shared)
}

// corpusFile decodes a file of the corpus.
func corpusFile(t *testing.T, name string) *ecg.Recording {
	t.Helper()
	rec, err := scpecg.Decode(ecgtest.Open(t, filepath.Join(ecgtest.Corpus(t), "scp", name)), ecg.Limits{})
	if err != nil {
		t.Fatal(err)
	}
	return rec
}

func TestExampleMeasurements(t *testing.T) {
	rec := corpusFile(t, "ecgtoolkit_Example.scp")
	for kind, want := range map[ecg.MeasurementKind]string{
		ecg.PRInterval: "148", ecg.QRSDuration: "120", ecg.QTInterval: "420", ecg.QTcInterval: "443",
		ecg.POnset: "286", ecg.TOffset: "854", ecg.PAxis: "44", ecg.QRSAxis: "-61", ecg.TAxis: "86",
	} {
		if m, ok := rec.Measurement(kind); !ok || m.Raw != want || !m.Valid {
			t.Errorf("%s: %+v, want %s", kind, m, want)
		}
	}
	for _, kind := range []ecg.MeasurementKind{ecg.RRInterval, ecg.AtrialRate, ecg.VentricularRate} {
		if m, ok := rec.Measurement(kind); !ok || m.Valid {
			t.Errorf("%s, which was not computed: %+v", kind, m)
		}
	}
	if d := rec.Device; d.Maker != "ECGConversion" || d.Model != "ELI250" || d.Serial != "unknown" || rec.FormatVersion != "2.0" {
		t.Errorf("device %+v, version %s", d, rec.FormatVersion)
	}
	median := rec.Groups[1]
	if median.Kind != ecg.Median || median.Length != 599 || len(median.Leads) != 12 {
		t.Errorf("reference beat: %s of %d samples, %d leads", median.Kind, median.Length, len(median.Leads))
	}
	if len(rec.Warnings) != 0 {
		t.Errorf("warnings %v", rec.Warnings)
	}
}

// The reference beat of the example is one beat of its rhythm, so the derived leads must agree in it too.
func TestExampleMedian(t *testing.T) {
	g := corpusFile(t, "ecgtoolkit_Example.scp").Groups[1]
	counts, missing, err := g.ReadAll(1 << 20)
	if err != nil {
		t.Fatal(err)
	}
	_, one := g.Lead("I")
	_, two := g.Lead("II")
	_, three := g.Lead("III")
	low, high := int32(0), int32(0)
	for k := range counts[one] {
		if off := counts[two][k] - counts[one][k] - counts[three][k]; off > 2 || off < -2 {
			t.Fatalf("sample %d: III is %d counts off", k, off)
		}
		low, high = min(low, counts[two][k]), max(high, counts[two][k])
	}
	if missing[one] != nil || high-low < 100 {
		t.Errorf("II spans %d counts", high-low)
	}
}

func TestContecConversion(t *testing.T) {
	rec := corpusFile(t, "contec_0000050.ECG.scp")
	if rec.DocumentID != "0000050" || rec.Groups[0].Length != 32767 {
		t.Errorf("sequence number %q, %d samples", rec.DocumentID, rec.Groups[0].Length)
	}
	differs := 0
	for _, w := range rec.Warnings {
		if w.Code == ecg.WarnLengthDiffers {
			differs++
		}
	}
	if differs != 12 || len(rec.Warnings) != 12 {
		t.Errorf("warnings %v", rec.Warnings)
	}
}
