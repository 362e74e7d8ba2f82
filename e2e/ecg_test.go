package e2e

import (
	"archive/zip"
	"bufio"
	"bytes"
	"crypto/sha256"
	"encoding/binary"
	"encoding/json"
	"fmt"
	"hash"
	"io"
	"io/fs"
	"math"
	"net/http"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/tributary-dicom/tributary/device"
	"github.com/tributary-dicom/tributary/internal/testnode"
	"github.com/tributary-dicom/tributary/parsers/ecg"
	"github.com/tributary-dicom/tributary/parsers/ecg/ecgtest"
	"github.com/tributary-dicom/tributary/parsers/ecg/formats"
	"github.com/tributary-dicom/tributary/parsers/sniff"
	"github.com/tributary-dicom/tributary/pipeline/event"
)

// recordingFile is one file that is sent, and what should become of it.
type recordingFile struct {
	name   string // path in the corpus, with + for a WFDB record and its companions in one archive
	data   []byte
	letter string // S, Q or R
	reason string // of Q and R
	bare   bool   // stored, and no DICOM object is made of it: no signal is an ECG's
	want   *reference
	dicom  bool
}

// reference is what other decoders read in a file: its signals.
type reference struct{ Groups []ecgtest.ExpectedGroup }

// Files of the corpus that are not simply stored, with the reason that the sender hears.
var otherFates = map[string]struct{ letter, reason string }{
	"aecg/fda_empty.xml":           {"Q", "not-parsed"}, // a header without a series
	"edf/wfdb_test_edfann.edf":     {"Q", "not-parsed"}, // annotations alone
	"ishne/ECG_P28.01.ann":         {"Q", "not-parsed"}, // annotations alone
	"dicom/ecgtoolkit_Example.dcm": {"Q", "malformed"},  // its UIDs have an empty component and end in a dot
	"contec/0000050.ECG.csv":       {"R", "unsupported-format"},
	"MANIFEST.tsv":                 {"R", "unsupported-format"},
	"LICENSES.md":                  {"R", "unsupported-format"},
	"expected.json":                {"R", "unsupported-format"},
}

// Generators of signals that are no ECG: kept, found by /ecgs, and not made into DICOM waveforms.
var noHearts = map[string]bool{
	"bdf/pyedflib_datarec_2.bdf": true, "edf/pyedflib_test_generator.edf": true, "edf/pyedflib_test_subsecond.edf": true,
	"wfdb/binformats.hea": true,
}

// Philips' reference values keep the calibration pulse at the end of the recording, which readers must not
// take for a heart beat: it is cut off, and the samples before it are those of the reference.
func pulseCut(name string) bool { return strings.HasPrefix(name, "philips/") }

// recordings reads the shared ECG files with what is expected of each, or skips the test.
func recordings(t *testing.T) (root string, files []recordingFile) {
	t.Helper()
	root = filepath.Join(testnode.Shared(t), "corpora", "ecg")
	text, err := os.ReadFile(filepath.Join(root, "expected.json"))
	if err != nil {
		t.Skipf("no corpus: %v", err)
	}
	var raw map[string]json.RawMessage
	if err := json.Unmarshal(text, &raw); err != nil {
		t.Fatal(err)
	}
	err = filepath.WalkDir(root, func(path string, e fs.DirEntry, err error) error {
		if err != nil || !e.Type().IsRegular() {
			return err
		}
		name, err := filepath.Rel(root, path)
		if err != nil {
			return err
		}
		f := recordingFile{name: filepath.ToSlash(name), letter: "S"}
		if f.data, err = os.ReadFile(path); err != nil {
			return err
		}
		if doc, ok := raw[f.name]; ok {
			f.want = &reference{}
			if err := json.Unmarshal(doc, f.want); err != nil {
				return fmt.Errorf("%s: %w", f.name, err)
			}
		}
		f.bare = noHearts[f.name]
		f.dicom = strings.HasPrefix(f.name, "dicom/")
		if other, ok := otherFates[f.name]; ok {
			f.letter, f.reason = other.letter, other.reason
		}
		if strings.HasPrefix(f.name, "wfdb/") {
			alone := f
			alone.letter, alone.reason, alone.want = "R", "unsupported-format", nil // samples without their header
			if filepath.Ext(path) == ".hea" {
				alone.letter, alone.reason = "Q", "not-parsed" // a header without its samples
				f.name += "+"
				f.data = withCompanions(t, path)
				files = append(files, f)
			}
			f = alone
		}
		files = append(files, f)
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	return root, files
}

// withCompanions packs a WFDB header and the files that it names into an archive.
func withCompanions(t *testing.T, header string) []byte {
	t.Helper()
	var b bytes.Buffer
	z := zip.NewWriter(&b)
	packed := map[string]bool{}
	var add func(path string)
	add = func(path string) {
		text, err := os.ReadFile(path)
		if err != nil || packed[path] {
			return // "~" is a gap between segments
		}
		packed[path] = true
		w, err := z.Create("export/" + filepath.Base(path))
		if err != nil {
			t.Fatal(err)
		}
		if _, err := w.Write(text); err != nil {
			t.Fatal(err)
		}
		if filepath.Ext(path) != ".hea" {
			return
		}
		for line := range strings.Lines(string(text)) {
			if words := strings.Fields(line); len(words) > 0 && !strings.ContainsAny(words[0], "#/") {
				add(filepath.Join(filepath.Dir(path), words[0]))
				add(filepath.Join(filepath.Dir(path), words[0]+".hea"))
			}
		}
	}
	add(header)
	if err := z.Close(); err != nil {
		t.Fatal(err)
	}
	return b.Bytes()
}

// signals decodes a file and returns what it says, with the hashes of every lead.
func signals(t *testing.T, name string, data []byte) (*ecg.Recording, *ecg.Summary) {
	t.Helper()
	rec, err := formats.Decode(ecgtest.Source(name, data), ecg.Limits{})
	if err != nil {
		t.Fatalf("%s: %v", name, err)
	}
	sum, err := rec.Summarize(true)
	if err != nil {
		t.Fatal(err)
	}
	return rec, sum
}

// heartLeads are the leads of an ECG that are no computed ones, over all groups: the name of each, and the
// SHA-256 of its counts over the group's time line. Readers get no others: what is left out of a DICOM object
// are pressures, respiration, electrodes of the brain. all takes every group of such an object.
func heartLeads(t *testing.T, rec *ecg.Recording, all bool) (leads []string) {
	t.Helper()
	for _, g := range rec.Groups {
		if g.Kind == ecg.OtherSignals && !all {
			continue
		}
		sums := make([]hash.Hash, len(g.Leads))
		for i := range sums {
			sums[i] = sha256.New()
		}
		r, err := g.Samples()
		for err == nil {
			var b ecg.Block
			if err = r.Next(&b); err != nil {
				break
			}
			for i, sum := range sums {
				out := make([]byte, 0, 4*b.Len)
				for j, v := range b.Counts[i][:b.Len] {
					if b.IsMissing(i, j) {
						v = math.MinInt32
					}
					out = binary.LittleEndian.AppendUint32(out, uint32(v))
				}
				sum.Write(out)
			}
		}
		if err != io.EOF {
			t.Fatal(err)
		}
		for i := range g.Leads {
			if l := &g.Leads[i]; !l.Derived {
				leads = append(leads, fmt.Sprintf("%s %s %x", l.Name, g.Rate, sums[i].Sum(nil)))
			}
		}
	}
	slices.Sort(leads)
	return leads
}

// checkSamples compares every lead with the reference values of other decoders: counts, or µV where the
// reference has no counts. It returns how many leads were compared.
func checkSamples(t *testing.T, f recordingFile, sum *ecg.Summary) (compared int) {
	t.Helper()
	if f.want == nil || pulseCut(f.name) {
		return 0
	}
	counts, micro := map[string]int{}, map[string]int{}
	for _, g := range sum.Groups {
		for _, l := range g.Leads {
			if !l.Derived {
				counts[l.CountsSHA256]++
				micro[l.MicroSHA256]++
			}
		}
	}
	for _, g := range f.want.Groups {
		for _, l := range g.Leads {
			switch {
			case l.Counts != "" && counts[l.Counts] > 0:
				counts[l.Counts]--
			case l.Counts == "" && l.Micro != "" && micro[l.Micro] > 0:
				micro[l.Micro]--
			case l.Counts == "" && l.Micro == "":
				continue // samples are missing in it: nothing to compare
			default:
				t.Errorf("lead %s: no lead has the reference's samples", l.Name)
			}
			compared++
		}
	}
	return compared
}

// recordingAbout is /originals/{id}/about.
type recordingAbout struct {
	ID, Format, Priority, Study, Source, Instance, SHA256 string
	Findings                                              []struct{ Finding, Statement string }
	ECG                                                   event.ECG
	Links                                                 struct{ Instance, Original, About string }
}

// recordingRow is a row of /ecgs.
type recordingRow struct {
	ID, Study, Instance, Priority string
	Patient                       struct{ ID, Name string }
	ECG                           event.ECG
	Links                         struct{ Instance, Original, About string }
}

// ecgs asks for recordings.
func ecgs(t *testing.T, n *testnode.Node, query url.Values) []recordingRow {
	t.Helper()
	var page struct{ ECGs []recordingRow }
	getJSON(t, n, "/ecgs?"+query.Encode(), &page)
	return page.ECGs
}

// TestECG sends every recording of the corpus through two doors and holds everything that readers get against
// what other decoders say; then the node is restarted, loses index and log, and is asked again.
func TestECG(t *testing.T) {
	if testing.Short() {
		t.Skip("takes half a minute; not with -short")
	}
	_, files := recordings(t)
	dir := filepath.Join(t.TempDir(), "data")
	n := testnode.Start(t, dir)
	var stored []recordingFile
	ids := map[string]string{}
	for i, f := range files {
		t.Run(f.name, func(t *testing.T) {
			vias := []string{device.ViaUpload, device.ViaTus}
			if f.dicom && f.letter == "S" {
				vias = doors
			}
			if i%2 == 1 {
				slices.Reverse(vias)
			}
			for turn, via := range vias {
				sh := shipBytes(t, n, via, strings.TrimSuffix(filepath.Base(f.name), "+"), f.data)
				if sh.letter() != f.letter || f.reason != "" && sh.Code != f.reason {
					t.Fatalf("%s: %+v, %v; want %s %s", via, sh.Outcome, sh.err, f.letter, f.reason)
				}
				if f.letter == "Q" {
					sh.checkQuarantined(t, n, via)
				}
				told := via == device.ViaUpload || via == device.ViaTus
				if f.letter == "S" && told && (turn > 0) != (sh.Status == device.Duplicate) {
					t.Errorf("%s as number %d: %+v", via, turn, sh.Outcome)
				}
				if f.letter == "S" && told {
					if id, known := ids[f.name]; known && id != sh.ID {
						t.Errorf("%s: receipt %s, before %s", via, sh.ID, id)
					}
					ids[f.name] = sh.ID
				}
			}
			if f.letter == "S" {
				stored = append(stored, f)
			}
		})
	}
	leads, objects := 0, 0
	compared := 0
	for _, f := range stored {
		t.Run("readers of "+f.name, func(t *testing.T) {
			rec, sum := signals(t, strings.TrimSuffix(filepath.Base(f.name), "+"), f.data)
			compared += checkSamples(t, f, sum)
			if checkRecording(t, n, f, rec, ids[f.name]) {
				objects++
				leads += len(heartLeads(t, rec, false))
			}
		})
	}
	t.Logf("%d files, %d stored; %d leads are those of the reference; %d DICOM objects with %d leads", len(files), len(stored), compared, objects, leads)
	if objects < 40 || leads < 300 || compared < 300 {
		t.Errorf("%d objects, %d leads, %d compared", objects, leads, compared)
	}
	checkUrgent(t, n)
	want := answers(t, n)
	if err := n.Stop(); err != nil {
		t.Error(err)
	}
	n = testnode.Start(t, dir)
	checkAnswers(t, n, "after a restart", want)
	if sh := shipBytes(t, n, device.ViaUpload, "again", stored[0].data); sh.Status != device.Duplicate {
		t.Errorf("sent again after a restart: %+v", sh.Outcome)
	}
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
	if code, r := fsck(t, dir, "--full"); code != 0 || !r.Clean() || r.Reread == 0 {
		t.Errorf("fsck: exit %d, %+v", code, r)
	}
}

// checkRecording looks at one stored file in all the ways that readers have. It reports whether a DICOM object
// is to be made of it.
func checkRecording(t *testing.T, n *testnode.Node, f recordingFile, rec *ecg.Recording, id string) bool {
	t.Helper()
	if f.dicom {
		if status, _ := n.Get(t, "/originals/"+id); status != http.StatusNotFound {
			t.Errorf("/originals of an object that came as DICOM: %d", status)
		}
		_, path, ok := instanceOf(t, n, rec.DocumentID)
		if !ok {
			t.FailNow()
		}
		checkWaveform(t, n, f, rec, path)
		return true
	}
	status, body := n.Get(t, "/originals/"+id)
	if status != http.StatusOK || !bytes.Equal(body, f.data) {
		t.Errorf("/originals: status %d, %d bytes of %d", status, len(body), len(f.data))
	}
	var about recordingAbout
	getJSON(t, n, "/originals/"+id+"/about", &about)
	if about.ID != id || about.SHA256 != sumOf(f.data) {
		t.Errorf("about %s: %+v", id, about)
	}
	if f.bare {
		if rows := ecgs(t, n, url.Values{"study": {about.Study}}); len(rows) != 1 || rows[0].Links.Original != "/originals/"+id {
			t.Errorf("/ecgs of the original: %+v", rows)
		}
		return false
	}
	until(t, "the DICOM object of "+f.name, func() bool {
		getJSON(t, n, "/originals/"+id+"/about", &about)
		return about.Instance != ""
	})
	if status, body := n.Get(t, "/originals/"+about.Instance); status != http.StatusOK || !bytes.Equal(body, f.data) {
		t.Errorf("/originals by the derived SOP Instance UID: status %d, %d bytes", status, len(body))
	}
	checkWaveform(t, n, f, rec, about.Links.Instance)
	return true
}

// checkWaveform searches and retrieves the DICOM object of a recording, and compares its signals with the file's.
func checkWaveform(t *testing.T, n *testnode.Node, f recordingFile, rec *ecg.Recording, path string) {
	t.Helper()
	study := strings.Split(path, "/")[3]
	checkSearches(t, n, f, rec, study)
	resp, body := do(t, http.MethodGet, n.URL+path, http.Header{"Accept": {"application/dicom"}}, nil)
	wantStatus(t, path, resp, body, http.StatusOK)
	checkStandard(t, f, []byte(body))
	if rec.Format == sniff.PDF {
		if !strings.Contains(body, string(f.data[:1024])) {
			t.Error("the object does not hold the report")
		}
		return
	}
	made, _ := signals(t, "derived.dcm", []byte(body))
	if made.Patient.ID != rec.Patient.ID || !sameName(made.Patient.Name, rec.Patient.Name) || made.Patient.BirthDate != rec.Patient.BirthDate {
		t.Errorf("the object's patient is not the file's")
	}
	if got, want := heartLeads(t, made, true), heartLeads(t, rec, false); !slices.Equal(got, want) || len(want) == 0 {
		t.Errorf("leads of the object\n%s\nof the file\n%s", strings.Join(got, "\n"), strings.Join(want, "\n"))
	}
}

func sameName(a, b string) bool {
	a, _, _ = strings.Cut(a, "=")
	return strings.TrimRight(a, "^ ") == strings.TrimRight(b, "^ ")
}

// checkSearches finds a recording's study by patient, and the recording by what it says.
func checkSearches(t *testing.T, n *testnode.Node, f recordingFile, rec *ecg.Recording, study string) {
	t.Helper()
	keys := url.Values{"ModalitiesInStudy": {"ECG"}}
	if rec.Patient.ID != "" {
		keys.Set("PatientID", rec.Patient.ID)
	}
	names := []string{""}
	if name := strings.TrimRight(rec.Patient.Name, "^ "); name != "" {
		first := []rune(name)[:1]
		names = []string{name, string(first) + "*"}
	}
	for _, name := range names {
		if keys.Set("PatientName", name); name == "" {
			keys.Del("PatientName")
		}
		var found []attributes
		getJSONOr204(t, n, "/dicom-web/studies?"+keys.Encode(), &found)
		if !slices.ContainsFunc(found, func(a attributes) bool { return a.text("0020000D") == study }) {
			t.Errorf("%s does not find the study among %d", keys.Encode(), len(found))
		}
	}
	ask := map[string]string{"study": study}
	find := func(key, value string, want int) {
		t.Helper()
		q := url.Values{key: {value}}
		for k, v := range ask {
			q.Set(k, v)
		}
		rows := ecgs(t, n, q)
		if len(rows) != want {
			t.Errorf("/ecgs?%s finds %d, want %d", q.Encode(), len(rows), want)
		}
		for _, r := range rows {
			if !f.dicom { // by the row's own id, whichever object it is of
				if status, body := n.Get(t, "/originals/"+r.ID); status != http.StatusOK || !bytes.Equal(body, f.data) {
					t.Errorf("/originals/%s: status %d, %d bytes of %d", r.ID, status, len(body), len(f.data))
				}
			}
		}
	}
	if rec.Format != sniff.PDF {
		find("limit", "10", 1)
	}
	if m, ok := rec.Measurement(ecg.VentricularRate); ok && m.Valid {
		rate := m.Value.Float64()
		find("heart_rate", fmt.Sprintf("%g-%g", rate-0.5, rate+0.5), 1)
		find("heart_rate", fmt.Sprintf("%g-", rate+1), 0)
	}
	for _, s := range rec.Statements[:min(1, len(rec.Statements))] {
		if text := strings.TrimSpace(s.Text); text != "" {
			find("statement", text, 1)
			find("statement", text+" 没有", 0)
		}
	}
	urgent := 0
	if len(rec.Criticals()) > 0 {
		urgent = 1
	}
	if rec.Format != sniff.PDF {
		find("priority", "STAT", urgent)
	}
}

// checkStandard asks another implementation whether an object of ours follows the standard.
func checkStandard(t *testing.T, f recordingFile, object []byte) {
	t.Helper()
	if f.dicom || bytes.Contains(object, []byte("1.2.840.10008.5.1.4.1.1.9.1.4")) {
		return // not ours; General 32-bit ECG is younger than the tool
	}
	path := filepath.Join(t.TempDir(), "object.dcm")
	if err := os.WriteFile(path, object, 0o600); err != nil {
		t.Fatal(err)
	}
	tool, err := exec.LookPath("dciodvfy")
	if err != nil {
		if os.Getenv("CI") != "" {
			t.Error("dciodvfy is not installed; scripts/test-deps.sh installs it")
		}
		return
	}
	out, _ := exec.CommandContext(t.Context(), tool, path).CombinedOutput() // its exit code tells less than its words
	if !bytes.Contains(out, []byte("ECG")) && !bytes.Contains(out, []byte("PDF")) {
		t.Errorf("dciodvfy says nothing of it: %s", out)
	}
	for line := range strings.Lines(string(out)) {
		if strings.HasPrefix(line, "Error") {
			t.Errorf("dciodvfy: %s", line)
		}
	}
}

// checkUrgent looks for the infarction of the Philips cart in the list of urgent recordings and in the live events.
func checkUrgent(t *testing.T, n *testnode.Node) {
	t.Helper()
	rows := ecgs(t, n, url.Values{"priority": {"STAT"}, "statement": {"infarct, acute"}, "finding": {"acute-mi"}, "limit": {"100"}})
	if len(rows) < 4 {
		t.Errorf("%d urgent recordings", len(rows))
	}
	req, err := http.NewRequestWithContext(t.Context(), http.MethodGet, n.URL+"/events", nil)
	if err != nil {
		t.Fatal(err)
	}
	req.Header.Set("Last-Event-ID", "0")
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	for lines := bufio.NewScanner(resp.Body); lines.Scan(); {
		data, ok := strings.CutPrefix(lines.Text(), "data: ")
		if !ok || !strings.Contains(data, "sierra-xml") {
			continue
		}
		var e struct {
			Type, Priority string
			Findings       []event.Finding
		}
		if err := json.Unmarshal([]byte(data), &e); err != nil {
			t.Fatal(err)
		}
		if e.Type != event.TypeInstanceStored || e.Priority != event.PriorityStat || len(e.Findings) == 0 || !strings.Contains(e.Findings[0].Statement, "infarct") {
			t.Errorf("the event of the cart's recording: %s", data)
		}
		return
	}
	t.Error("no event of the cart's recording")
}

// answers is what readers are told of everything.
func answers(t *testing.T, n *testnode.Node) map[string]string {
	t.Helper()
	all := map[string]string{}
	for _, path := range []string{"/ecgs?limit=1000", "/ecgs?priority=STAT", "/dicom-web/studies?limit=1000", "/dicom-web/instances?limit=1000", "/quarantine?limit=1000", "/conflicts"} {
		status, body := n.Get(t, path)
		if status != http.StatusOK {
			t.Errorf("%s: %d", path, status)
		}
		all[path] = string(body)
	}
	return all
}

func checkAnswers(t *testing.T, n *testnode.Node, when string, want map[string]string) {
	t.Helper()
	for path, body := range answers(t, n) {
		if body != want[path] {
			t.Errorf("%s: %s answers\n%.3000s\nbefore\n%.3000s", when, path, body, want[path])
		}
	}
}
