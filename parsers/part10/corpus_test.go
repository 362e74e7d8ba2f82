package part10

import (
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"

	"github.com/tributary-dicom/tributary/parsers/reject"
)

// sharedDir finds the folder of shared test material, or skips the test.
func sharedDir(t testing.TB) string {
	t.Helper()
	if dir := os.Getenv("TRIBUTARY_SHARED"); dir != "" {
		return dir
	}
	dir, err := os.Getwd()
	if err != nil {
		t.Fatal(err)
	}
	for {
		if _, err := os.Stat(filepath.Join(dir, "shared", "corpora")); err == nil {
			return filepath.Join(dir, "shared")
		}
		up := filepath.Dir(dir)
		if up == dir {
			t.Skip("no shared/corpora above the working directory and TRIBUTARY_SHARED is not set")
		}
		dir = up
	}
}

// counts are numbers of data elements.
type counts struct{ Top, All, Meta int }

// truth is what three other decoders say about one file; see _doc in expected.json.
type truth struct {
	Expected struct {
		Verdict   string
		Tolerated []string
	}
	TransferSyntaxUID, SOPClassUID, SOPInstanceUID, StudyInstanceUID, SeriesInstanceUID *string
	PatientID, PatientSex, PatientBirthDate, AccessionNumber, StudyDate, Modality       *string
	PatientNameGroups                                                                   *struct{ Alphabetic, Ideographic, Phonetic string }
	Rows, Columns, NumberOfFrames                                                       any // a number; the text of a broken one
	Pixel                                                                               *struct {
		Element, VR, SHA256 string
		Encapsulated        bool
		Length              int64
		Fragments           int
		FragmentSHA256      []string `json:"fragment_sha256"`
	}
	Elements counts
	Decoders struct {
		ElementCounts map[string]counts `json:"element_counts"`
	}
}

func TestCorpus(t *testing.T) {
	root := filepath.Join(sharedDir(t), "corpora", "dicom")
	text, err := os.ReadFile(filepath.Join(root, "expected.json"))
	if err != nil {
		t.Skip(err)
	}
	var all struct{ Files map[string]truth }
	if err := json.Unmarshal(text, &all); err != nil {
		t.Fatal(err)
	}
	if len(all.Files) == 0 {
		t.Fatal("expected.json has no files")
	}
	for name, want := range all.Files {
		t.Run(name, func(t *testing.T) {
			data, err := os.ReadFile(filepath.Join(root, filepath.FromSlash(name)))
			if err != nil {
				t.Fatal(err)
			}
			checkTruth(t, data, want)
		})
	}
}

func checkTruth(t *testing.T, data []byte, want truth) {
	obj, err := Scan(bytes.NewReader(data), Options{HashBulk: true})
	verdict := "accept"
	switch {
	case err != nil && reject.CodeOf(err).Keeps():
		verdict = "quarantine"
	case err != nil:
		verdict = "reject"
	case len(obj.Warnings) > 0:
		verdict = "accept-with-warning"
	}
	if verdict != want.Expected.Verdict && !slices.Contains(want.Expected.Tolerated, verdict) {
		t.Errorf("verdict %s (%v, %v), want %s or %v", verdict, err, obj.Warnings, want.Expected.Verdict, want.Expected.Tolerated)
	}
	if obj.Size != int64(len(data)) {
		t.Errorf("size %d, want %d", obj.Size, len(data))
	}
	if obj.Header != nil && !json.Valid(obj.Header) {
		t.Errorf("header is not JSON: %.300s", obj.Header)
	}
	if err != nil {
		return
	}
	same := func(what, got string, want *string) {
		t.Helper()
		if want != nil && got != *want {
			t.Errorf("%s %q, want %q", what, got, *want)
		}
	}
	same("transfer syntax", obj.TransferSyntaxUID, want.TransferSyntaxUID)
	same("SOP class", obj.SOPClassUID, want.SOPClassUID)
	same("instance", obj.SOPInstanceUID, want.SOPInstanceUID)
	same("study", obj.StudyInstanceUID, want.StudyInstanceUID)
	same("series", obj.SeriesInstanceUID, want.SeriesInstanceUID)
	same("Patient ID", obj.Attributes["PatientID"], want.PatientID)
	same("birth date", obj.Attributes["PatientBirthDate"], want.PatientBirthDate)
	same("accession", obj.Attributes["AccessionNumber"], want.AccessionNumber)
	same("study date", obj.Attributes["StudyDate"], want.StudyDate)
	same("modality", obj.Attributes["Modality"], want.Modality)
	number := func(what string, want any) {
		t.Helper()
		if n, ok := want.(float64); ok && obj.Attributes[what] != strconv.Itoa(int(n)) {
			t.Errorf("%s %q, want %v", what, obj.Attributes[what], n)
		}
	}
	number("Rows", want.Rows)
	number("Columns", want.Columns)
	number("NumberOfFrames", want.NumberOfFrames)
	if g := want.PatientNameGroups; g != nil {
		got := strings.SplitN(obj.Attributes["PatientName"]+"==", "=", 4)
		for i, w := range []string{g.Alphabetic, g.Ideographic, g.Phonetic} {
			if strings.TrimRight(got[i], " ") != strings.TrimRight(w, " ") {
				t.Errorf("Patient Name %q, want %+v", got, *g)
				break
			}
		}
	}
	// Where the decoders disagree about a malformed file, being of one's opinion is enough.
	got := counts{obj.TopElements, obj.AllElements, obj.MetaElements}
	if want.Elements.All > 0 && got != want.Elements && got != want.Decoders.ElementCounts["dcmtk"] {
		t.Errorf("elements %+v, want %+v", got, want.Elements)
	}
	checkPixels(t, data, obj, want)
}

func checkPixels(t *testing.T, data []byte, obj *Object, want truth) {
	if want.Pixel == nil {
		return
	}
	var bulk *Bulk
	for i := range obj.Bulk {
		if b := &obj.Bulk[i]; strings.HasPrefix(b.Path, "7FE000") && len(b.Path) == 8 && b.Path >= "7FE00008" {
			bulk = b
		}
	}
	if bulk == nil {
		t.Errorf("no pixel data, want %+v", *want.Pixel)
		return
	}
	if want.Pixel.SHA256 != "" && bulk.SHA256 != want.Pixel.SHA256 {
		t.Errorf("pixel hash %s, want %s", bulk.SHA256, want.Pixel.SHA256)
	}
	if !want.Pixel.Encapsulated {
		if bulk.Length != want.Pixel.Length {
			t.Errorf("pixel length %d, want %d", bulk.Length, want.Pixel.Length)
		}
		return
	}
	if len(obj.Frames.Fragments) != want.Pixel.Fragments {
		t.Errorf("%d fragments, want %d", len(obj.Frames.Fragments), want.Pixel.Fragments)
		return
	}
	var total int64
	for i, r := range obj.Frames.Fragments {
		total += r.Length
		if i >= len(want.Pixel.FragmentSHA256) {
			continue
		}
		sum := sha256.Sum256(data[r.Offset : r.Offset+r.Length])
		if got := hex.EncodeToString(sum[:]); got != want.Pixel.FragmentSHA256[i] {
			t.Errorf("fragment %d hash %s, want %s", i, got, want.Pixel.FragmentSHA256[i])
		}
	}
	if total != want.Pixel.Length {
		t.Errorf("fragments have %d bytes, want %d", total, want.Pixel.Length)
	}
	if n, ok := want.NumberOfFrames.(float64); ok && obj.Frames.Problem == "" && obj.Frames.Count != int(n) && obj.Frames.Count != 1 {
		t.Errorf("%d frames, want %v", obj.Frames.Count, n)
	}
}
