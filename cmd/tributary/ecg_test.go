package main

import (
	"bytes"
	"encoding/json"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/tributary-dicom/tributary/ecgout/dicomecg"
	"github.com/tributary-dicom/tributary/parsers/ecg"
	"github.com/tributary-dicom/tributary/parsers/part10"
	"github.com/tributary-dicom/tributary/parsers/sniff"
)

// sampleFile writes a recording as DICOM, to have a file that the commands read.
func sampleFile(t *testing.T) string {
	t.Helper()
	g := &ecg.Group{Kind: ecg.Rhythm, Rate: ecg.Int(500)}
	counts := [][]int32{}
	for c, name := range []string{"I", "II", "V1"} {
		l := ecg.Lead{Unit: ecg.Microvolt, Scale: ecg.MustRat("4.88")}
		l.SetLabel(name)
		g.Leads = append(g.Leads, l)
		counts = append(counts, make([]int32, 5000))
		for i := range counts[c] {
			counts[c][i] = int32(i%200 - c)
		}
	}
	g.Memory(counts, nil)
	rec := &ecg.Recording{
		Format: sniff.MUSE, Groups: []*ecg.Group{g}, Acquired: ecg.ParseTime("20240229101112"), Patient: ecg.Patient{ID: "P-1", Name: "张三"},
		Statements:   []ecg.Statement{{Text: "窦性心律\x1b[31m"}},
		Measurements: []ecg.Measurement{{Kind: ecg.QTInterval, Value: ecg.Int(400), Valid: true, Unit: "ms", Group: -1}},
	}
	path := filepath.Join(t.TempDir(), "心电图.dcm")
	f, err := os.Create(path)
	if err != nil {
		t.Fatal(err)
	}
	if err := dicomecg.Write(f, rec, dicomecg.Options{SourceSHA256: strings.Repeat("00", 32)}); err != nil {
		t.Fatal(err)
	}
	if err := f.Close(); err != nil {
		t.Fatal(err)
	}
	return path
}

// command runs the program and returns what it said.
func command(args ...string) (code int, out, errs string) {
	var o, e bytes.Buffer
	code = run(args, streams{&o, &e})
	return code, o.String(), e.String()
}

func TestECGShow(t *testing.T) {
	path := sampleFile(t)
	code, out, errs := command("ecg", "show", path)
	if code != exitOK || errs != "" {
		t.Fatalf("%d %s", code, errs)
	}
	for _, want := range []string{"心电图.dcm", "张三", "id P-1", "2024-02-29 10:11:12  (time zone unknown)", "I II V1 III* aVR* aVL* aVF*", "500 Hz", "4.88 µV", "qt-interval", "窦性心律[31m  (machine unconfirmed)"} {
		if !strings.Contains(out, want) {
			t.Errorf("no %q in\n%s", want, out)
		}
	}
	if strings.Contains(out, "\x1b") {
		t.Error("a file's control characters reach the terminal")
	}

	code, out, _ = command("ecg", "show", "--json", path)
	var keys map[string]json.RawMessage
	if err := json.Unmarshal([]byte(out), &keys); err != nil || code != exitOK {
		t.Fatal(code, err)
	}
	for _, key := range []string{"format", "format_version", "patient", "acquired_at", "zone_known", "device", "groups", "measurements", "statements", "warnings"} {
		if keys[key] == nil {
			t.Errorf("no key %s", key)
		}
	}
	if keys["samples"] != nil {
		t.Error("samples that nobody asked for")
	}
	if _, out, _ = command("ecg", "show", "--json", "--samples", path); !strings.Contains(out, `"counts": [0,1,2,`) {
		t.Error("no samples")
	}

	broken := filepath.Join(t.TempDir(), "note.txt")
	if err := os.WriteFile(broken, []byte("no recording"), 0o600); err != nil {
		t.Fatal(err)
	}
	code, out, errs = command("ecg", "show", broken, path)
	if code != exitFailed || !strings.Contains(out, "张三") || !strings.Contains(errs, "formats that are read") || !strings.Contains(errs, "1 of 2") {
		t.Errorf("%d %s %s", code, out, errs)
	}
}

func TestECGConvert(t *testing.T) {
	path := sampleFile(t)
	dir := t.TempDir()
	for ending, begin := range map[string]string{".dcm": "\x00\x00", ".edf": "0       P-1", ".csv": "time_ms,I_uV,II_uV,V1_uV", ".json": "{\n  \"format\": \"dicom\""} {
		to := filepath.Join(dir, "out"+ending)
		if code, _, errs := command("ecg", "convert", path, "-o", to); code != exitOK {
			t.Errorf("%s: %d %s", ending, code, errs)
			continue
		}
		data, err := os.ReadFile(to)
		if err != nil || !strings.HasPrefix(string(data), begin) {
			t.Errorf("%s: %v %.60q", ending, err, data)
		}
		code, out, errs := command("ecg", "convert", path, "--to", convertEndings[ending])
		if code != exitOK || out != string(data) {
			t.Errorf("%s to standard output: %d %s", ending, code, errs)
		}
	}
	code, out, errs := command("ecg", "convert", path, "--to", "dicom", "--charset", "gb18030", "--stored-only")
	if code != exitOK {
		t.Fatal(errs)
	}
	object, err := part10.Scan(strings.NewReader(out), part10.Options{})
	if err != nil || object.Attributes["SpecificCharacterSet"] != "GB18030" || object.Attributes["PatientName"] != "张三" {
		t.Errorf("%v %v", err, object.Attributes)
	}

	report := filepath.Join(dir, "report.pdf")
	if err := os.WriteFile(report, []byte("%PDF-1.4\n1 0 obj\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	if code, out, errs = command("ecg", "convert", report, "--to", "dicom"); code != exitOK {
		t.Fatal(errs)
	}
	if object, err = part10.Scan(strings.NewReader(out), part10.Options{}); err != nil || object.SOPClassUID != dicomecg.EncapsulatedPDF {
		t.Errorf("%v %s", err, object.SOPClassUID)
	}

	for name, args := range map[string][]string{
		"no format":      {path},
		"unknown ending": {path, "-o", filepath.Join(dir, "x.txt")},
		"unknown format": {path, "--to", "mp3"},
		"charset":        {path, "--to", "dicom", "--charset", "big5"},
		"group":          {path, "--to", "csv", "--group", "7"},
		"no such file":   {filepath.Join(dir, "none")},
	} {
		if code, _, errs := command(append([]string{"ecg", "convert"}, args...)...); code != exitUsage || errs == "" {
			t.Errorf("%s: %d %s", name, code, errs)
		}
	}
	to := filepath.Join(dir, "bad.dcm")
	if code, _, _ := command("ecg", "convert", report, "--to", "edf", "-o", to); code != exitFailed {
		t.Errorf("a PDF as EDF: %d", code)
	}
	if _, err := os.Stat(to); err == nil {
		t.Error("a file was left")
	}
}
