package e2e

import (
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"io"
	"mime"
	"mime/multipart"
	"net/http"
	"net/url"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"

	"github.com/tributary-dicom/tributary/device"
	"github.com/tributary-dicom/tributary/internal/testnode"
	"github.com/tributary-dicom/tributary/parsers/uid"
)

// truth is what other decoders read in a file of the corpus, and what an intake should do with it.
type truth struct {
	Expected struct {
		Verdict   string
		Tolerated []string
		Reason    string
	}
	TransferSyntaxUID, SOPClassUID, SOPInstanceUID, StudyInstanceUID string

	PatientID         string
	PatientNameGroups *personName
	NumberOfFrames    string
	Pixel             *struct {
		Encapsulated   bool
		Length         int64
		SHA256         string
		Fragments      int
		FragmentSHA256 []string `json:"fragment_sha256"`
	}
	SameUID []string `json:"same_sop_instance_uid_as"`
}

// allows reports whether an outcome, "R", "Q" or "S", is right for a file.
func (f truth) allows(letter string) bool {
	return slices.ContainsFunc(append(f.Expected.Tolerated, f.Expected.Verdict), func(v string) bool {
		return map[string]string{"accept": "S", "accept-with-warning": "S", "quarantine": "Q", "reject": "R"}[v] == letter
	})
}

// corpus reads the list of the shared DICOM files and their folder, or skips the test.
func corpus(t *testing.T) (dir string, names []string, files map[string]truth) {
	t.Helper()
	dir = filepath.Join(testnode.Shared(t), "corpora", "dicom")
	text, err := os.ReadFile(filepath.Join(dir, "expected.json"))
	if err != nil {
		t.Skipf("no corpus: %v", err)
	}
	var doc struct{ Files map[string]truth }
	if err := json.Unmarshal(text, &doc); err != nil {
		t.Fatal(err)
	}
	for name := range doc.Files {
		names = append(names, name)
	}
	slices.Sort(names)
	return dir, names, doc.Files
}

// TestCorpus sends every file of the corpus through every door, and holds what readers get against what
// three other decoders say.
func TestCorpus(t *testing.T) {
	if testing.Short() {
		t.Skip("takes ten seconds; not with -short")
	}
	dir, names, files := corpus(t)
	for _, via := range doors {
		t.Run(via, func(t *testing.T) {
			n := testnode.Start(t, filepath.Join(t.TempDir(), "data"))
			s := sender(n, via)
			defer s.Close()
			seen, stored := map[string]bool{}, 0
			patient := map[string]string{} // of each study: that of its first instance
			for _, name := range names {
				o, err := device.File(filepath.Join(dir, filepath.FromSlash(name)))
				if err != nil {
					t.Fatal(err)
				}
				want := files[name]
				if via == device.ViaDICOM && !o.DICOM() {
					continue // without UIDs there is no C-STORE-RQ
				}
				t.Run(name, func(t *testing.T) {
					sh, err := ship(t.Context(), s, via, o)
					if err != nil {
						t.Fatal(err)
					}
					checkVerdict(t, via, want, sh)
					switch sh.letter() {
					case "Q":
						sh.checkQuarantined(t, n, via)
					case "S":
						stored++
						if _, known := patient[want.StudyInstanceUID]; !known {
							patient[want.StudyInstanceUID] = want.PatientID
						}
						if !seen[want.SOPInstanceUID] { // else a conflict, and the first stays what readers get
							checkReaders(t, n, via, want, sh, patient[want.StudyInstanceUID] == want.PatientID)
						}
						seen[want.SOPInstanceUID] = true
					}
				})
			}
			if stored < 200 {
				t.Errorf("only %d files were stored", stored)
			}
		})
	}
}

func checkVerdict(t *testing.T, via string, want truth, sh shipment) {
	t.Helper()
	got := sh.letter()
	if via == device.ViaDICOM && got == "R" && !uid.IsStorage(want.SOPClassUID) {
		return // not negotiated
	}
	if !want.allows(got) {
		t.Errorf("%s (%+v, %v), want %s or %v: %s", got, sh.Outcome, sh.err, want.Expected.Verdict, want.Expected.Tolerated, want.Expected.Reason)
	}
}

// checkReaders searches and retrieves a stored file in the ways that viewers do. Some studies of the corpus
// have two patients; searches know the first one's, so byPatient is false for the other's files.
func checkReaders(t *testing.T, n *testnode.Node, via string, want truth, sh shipment, byPatient bool) {
	t.Helper()
	row, path, ok := instanceOf(t, n, want.SOPInstanceUID)
	if !ok {
		return
	}
	sh.checkBytes(t, n, via, path)
	if got := row.text("00080016"); got != want.SOPClassUID {
		t.Errorf("SOP Class UID %q, want %q", got, want.SOPClassUID)
	}
	var meta []attributes
	getJSON(t, n, path+"/metadata", &meta)
	if len(meta) != 1 || meta[0].text("00080018") != row.text("00080018") {
		t.Errorf("metadata of %d instances", len(meta))
		return
	}
	checkPatient(t, n, want, meta[0], byPatient)
	checkFrames(t, n, want, path)
}

// checkPatient compares ID and name, and searches by each of them.
func checkPatient(t *testing.T, n *testnode.Node, want truth, meta attributes, search bool) {
	t.Helper()
	if got := strings.TrimSpace(meta.text("00100020")); got != want.PatientID {
		t.Errorf("Patient ID %q, want %q", got, want.PatientID)
	}
	if want.PatientID != "" && search {
		checkFound(t, n, want, "PatientID", want.PatientID)
	}
	g := want.PatientNameGroups
	if g == nil {
		return
	}
	got := meta.name("00100010")
	for what, pair := range map[string][2]string{
		"alphabetic": {got.Alphabetic, g.Alphabetic}, "ideographic": {got.Ideographic, g.Ideographic}, "phonetic": {got.Phonetic, g.Phonetic},
	} {
		if trimName(pair[0]) != trimName(pair[1]) {
			t.Errorf("%s name %q, want %q", what, pair[0], pair[1])
		} else if v := trimName(pair[1]); v != "" && search {
			checkFound(t, n, want, "PatientName", v)
		}
	}
}

// trimName drops the empty components at a name's end, which mean nothing (PS3.5 §6.2.1.1).
func trimName(s string) string { return strings.TrimRight(s, "^ ") }

// checkFound searches an instance by an attribute's exact value.
func checkFound(t *testing.T, n *testnode.Node, want truth, attribute, value string) {
	t.Helper()
	if strings.ContainsAny(value, `*?\`) {
		return // wildcards
	}
	q := url.Values{attribute: {value}, "SOPInstanceUID": {want.SOPInstanceUID}}
	var found []attributes
	getJSONOr204(t, n, "/dicom-web/instances?"+q.Encode(), &found)
	if len(found) != 1 {
		t.Errorf("searching %s=%q finds %d instances, want 1", attribute, value, len(found))
	}
}

// checkFrames retrieves all frames and compares them with the value that other decoders read.
func checkFrames(t *testing.T, n *testnode.Node, want truth, path string) {
	t.Helper()
	p := want.Pixel
	frames, err := strconv.Atoi(want.NumberOfFrames)
	if err != nil {
		frames = 1
	}
	switch {
	case p == nil || frames > 64:
		return
	case p.Encapsulated && len(p.FragmentSHA256) == frames: // a fragment a frame
		for i, want := range p.FragmentSHA256 {
			parts := frameParts(t, n, fmt.Sprintf("%s/frames/%d", path, i+1))
			if len(parts) != 1 || sumOf(parts[0]) != want {
				t.Errorf("frame %d is not its fragment", i+1)
			}
		}
	case !p.Encapsulated && want.TransferSyntaxUID != "1.2.840.10008.1.2.2": // big endian goes out swapped
		list := make([]string, frames)
		for i := range list {
			list[i] = strconv.Itoa(i + 1)
		}
		status, _ := n.Get(t, path+"/frames/1")
		if status != http.StatusOK {
			return // Rows × Columns contradict the value, or bits that are no whole bytes
		}
		var all []byte
		for _, part := range frameParts(t, n, path+"/frames/"+strings.Join(list, ",")) {
			all = append(all, part...)
		}
		// A value may be longer than its frames: a pad byte, or more.
		if int64(len(all)) == p.Length && sumOf(all) != p.SHA256 {
			t.Error("the frames are not the value that other decoders read")
		}
	}
}

func sumOf(b []byte) string {
	sum := sha256.Sum256(b)
	return hex.EncodeToString(sum[:])
}

// frameParts returns the parts of a multipart/related answer.
func frameParts(t *testing.T, n *testnode.Node, path string) [][]byte {
	t.Helper()
	req, err := http.NewRequestWithContext(t.Context(), http.MethodGet, n.URL+path, nil)
	if err != nil {
		t.Fatal(err)
	}
	req.Header.Set("Accept", `multipart/related; type="*/*"; transfer-syntax=*`)
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	_, params, err := mime.ParseMediaType(resp.Header.Get("Content-Type"))
	if err != nil || resp.StatusCode != http.StatusOK {
		t.Errorf("%s: status %d, %v", path, resp.StatusCode, err)
		return nil
	}
	var parts [][]byte
	for r := multipart.NewReader(resp.Body, params["boundary"]); ; {
		p, err := r.NextRawPart()
		if err == io.EOF {
			return parts
		}
		if err != nil {
			t.Fatal(err)
		}
		b, err := io.ReadAll(p)
		if err != nil {
			t.Fatal(err)
		}
		parts = append(parts, b)
	}
}
