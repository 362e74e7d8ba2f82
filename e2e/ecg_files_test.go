package e2e

import (
	"bytes"
	"encoding/csv"
	"encoding/json"
	"encoding/xml"
	"errors"
	"image/png"
	"io"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/tributary-dicom/tributary/device"
	"github.com/tributary-dicom/tributary/internal/testnode"
	"github.com/tributary-dicom/tributary/parsers/ecg"
	"github.com/tributary-dicom/tributary/parsers/sniff"
)

// unread are the files of the corpus that are no recordings: lists, and samples without their header.
func unread(f recordingFile) bool { return f.letter == "R" }

// TestECGShow asks the command line about every file of the corpus: the samples are those of the reference, and
// what is no recording is told what would be one.
func TestECGShow(t *testing.T) {
	if testing.Short() {
		t.Skip("runs a hundred processes; not with -short")
	}
	root, files := recordings(t)
	compared := 0
	for _, f := range files {
		if strings.HasPrefix(f.name, "wfdb/") && filepath.Ext(f.name) == ".hea" {
			continue // with its companions, below
		}
		t.Run(f.name, func(t *testing.T) {
			path := filepath.Join(root, filepath.FromSlash(strings.TrimSuffix(f.name, "+")))
			code, out, stderr := run(t, "ecg", "show", "--json", path)
			if unread(f) {
				if code != 1 || out != "" || !strings.Contains(stderr, "formats that are read: aecg, ") {
					t.Errorf("exit %d, %q, %s", code, out, stderr)
				}
				return
			}
			var sum struct{ Groups []ecg.GroupSummary }
			if err := json.Unmarshal([]byte(out), &sum); err != nil || code != 0 || stderr != "" {
				t.Fatalf("exit %d, %v, %s", code, err, stderr)
			}
			if pulseCut(f.name) {
				for _, g := range sum.Groups {
					if g.Kind == ecg.Rhythm && (g.Samples < 5200 || g.Samples >= 5500) {
						t.Errorf("%d samples: the calibration pulse is not cut off", g.Samples)
					}
				}
			}
			compared += checkSamples(t, f, &ecg.Summary{Groups: sum.Groups})
		})
	}
	t.Logf("%d leads are those of the reference", compared)
	if compared < 300 {
		t.Errorf("only %d leads compared", compared)
	}
}

// TestECGConvert writes every recording of the corpus in each form, and reads what was written.
func TestECGConvert(t *testing.T) {
	t.Parallel()
	if testing.Short() {
		t.Skip("runs two hundred processes; not with -short")
	}
	root, files := recordings(t)
	dir := t.TempDir()
	written := map[string]int{}
	for i, f := range files {
		if f.letter != "S" {
			continue
		}
		t.Run(f.name, func(t *testing.T) {
			path := filepath.Join(root, filepath.FromSlash(strings.TrimSuffix(f.name, "+")))
			rec, _ := signals(t, strings.TrimSuffix(filepath.Base(f.name), "+"), f.data)
			long := rec.Rhythm() != nil && rec.Rhythm().Length > 100_000
			for ending, check := range map[string]func(t *testing.T, data []byte){
				".dcm": func(t *testing.T, data []byte) {
					if rec.Format != sniff.PDF {
						made, _ := signals(t, "x.dcm", data)
						if len(made.Groups) == 0 {
							t.Error("no signals")
						}
					}
				},
				".edf": func(t *testing.T, data []byte) {
					made, _ := signals(t, "x.edf", data)
					if len(made.Groups) == 0 {
						t.Error("no signals")
					}
				},
				".csv": func(t *testing.T, data []byte) {
					rows, err := csv.NewReader(bytes.NewReader(data)).ReadAll()
					if err != nil || len(rows) < 2 || len(rows[0]) < 2 {
						t.Errorf("%d rows, %v", len(rows), err)
					}
				},
				".json": func(t *testing.T, data []byte) {
					if !json.Valid(data) {
						t.Error("no JSON")
					}
				},
				".svg": func(t *testing.T, data []byte) {
					d := xml.NewDecoder(bytes.NewReader(data))
					for {
						if _, err := d.Token(); errors.Is(err, io.EOF) {
							return
						} else if err != nil {
							t.Fatal(err)
						}
					}
				},
				".pdf": func(t *testing.T, data []byte) {
					if !bytes.HasPrefix(data, []byte("%PDF-")) || !bytes.HasSuffix(bytes.TrimSpace(data), []byte("%%EOF")) {
						t.Error("no PDF")
					}
				},
				".png": func(t *testing.T, data []byte) {
					if _, err := png.Decode(bytes.NewReader(data)); err != nil {
						t.Error(err)
					}
				},
			} {
				verb := "convert"
				switch ending {
				case ".svg":
					verb = "render"
				case ".pdf", ".png":
					if verb = "render"; i%5 != 0 {
						continue // these cost more
					}
				case ".csv", ".json":
					if long && i%3 != 0 {
						continue
					}
				}
				out := filepath.Join(dir, "out"+ending)
				_ = os.Remove(out) // of the recording before
				code, _, stderr := run(t, "ecg", verb, path, "-o", out)
				data, err := os.ReadFile(out)
				switch {
				case code == 0 && err == nil && len(data) > 0:
					written[ending]++
					check(t, data)
				case rec.Format == sniff.PDF || f.bare || rec.Rhythm() == nil || rec.Format == sniff.FHIR: // no ECG, or none in volts
					if code != 1 || err == nil || !strings.HasPrefix(stderr, "tributary: ") {
						t.Errorf("%s: exit %d, a file was left: %t, %s", ending, code, err == nil, stderr)
					}
				default:
					t.Errorf("%s: exit %d, %v, %d bytes, %s", ending, code, err, len(data), stderr)
				}
			}
		})
	}
	t.Logf("written: %v", written)
	for _, ending := range []string{".dcm", ".edf", ".csv", ".svg"} {
		if written[ending] < 30 {
			t.Errorf("%d times %s", written[ending], ending)
		}
	}
}

// TestECGSynthetic is the journey of a recording made here: sent, searched by a Chinese name, drawn, given back.
func TestECGSynthetic(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "data")
	n := testnode.Start(t, dir)
	file := goodSCP("SYN-1")
	sh := shipBytes(t, n, device.ViaUpload, "心电图 1.scp", file)
	if sh.Status != device.Stored {
		t.Fatalf("%+v, %v", sh.Outcome, sh.err)
	}
	f := recordingFile{name: "synthetic.scp", data: file, letter: "S"}
	rec, _ := signals(t, f.name, file)
	if !checkRecording(t, n, f, rec, sh.ID) {
		t.Error("nothing was checked")
	}
	named := []byte(`<?xml version="1.0" encoding="UTF-8"?><AnnotatedECG xmlns="urn:hl7-org:v3"><id root="1.2.3"/><code code="93000"/>` +
		`<effectiveTime><low value="20260304050607"/></effectiveTime>` +
		`<componentOf><timepointEvent><componentOf><subjectAssignment><subject><trialSubject><id extension="HZ-7"/><subjectDemographicPerson><name>王小明</name>` +
		`</subjectDemographicPerson></trialSubject></subject></subjectAssignment></componentOf></timepointEvent></componentOf>` +
		`<component><series><code code="RHYTHM"/><component><sequenceSet>` +
		`<component><sequence><code code="TIME_ABSOLUTE"/><value><head value="20260304050607"/><increment value="0.002" unit="s"/></value></sequence></component>` +
		`<component><sequence><code code="MDC_ECG_LEAD_II"/><value><origin value="0" unit="uV"/><scale value="5" unit="uV"/><digits>` + strings.Repeat("1 20 300 -40 ", 200) +
		`</digits></value></sequence></component></sequenceSet></component></series></component></AnnotatedECG>`)
	for _, via := range []string{device.ViaTus, device.ViaUpload} {
		sh = shipBytes(t, n, via, "named.xml", named)
	}
	if sh.Status != device.Duplicate {
		t.Fatalf("%+v, %v", sh.Outcome, sh.err)
	}
	f = recordingFile{name: "named.xml", data: named, letter: "S"}
	if rec, _ = signals(t, f.name, named); rec.Patient.Name != "王小明" || rec.Patient.ID != "HZ-7" {
		t.Errorf("patient %q %q", rec.Patient.Name, rec.Patient.ID)
	}
	if !checkRecording(t, n, f, rec, sh.ID) {
		t.Error("nothing was checked")
	}
	want := answers(t, n)
	n.Kill()
	n = testnode.Start(t, dir)
	checkAnswers(t, n, "after being killed", want)
	if err := n.Stop(); err != nil {
		t.Error(err)
	}
	put(t, dir, "index.db", nil)
	put(t, dir, "log.db", nil)
	if r := reindex(t, dir, "--from", "blobs"); r.Blobs.Failed != 0 || r.Blobs.Made == 0 {
		t.Errorf("%+v", r)
	}
	n = testnode.Start(t, dir)
	checkAnswers(t, n, "from the blobs", want)
	if err := n.Stop(); err != nil {
		t.Error(err)
	}
	if code, r := fsck(t, dir, "--full"); code != 0 || !r.Clean() {
		t.Errorf("fsck: exit %d, %+v", code, r)
	}
}
