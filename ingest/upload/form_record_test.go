package upload

import (
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"io"
	"mime/multipart"
	"net/textproto"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/tributary-dicom/tributary/ingest/bundle"
)

const recordHeader = "r 2 500 10\nr.dat 16 200 16 0 0 0 0 I\nr.dat 16 200 16 0 0 0 0 II\n"

// formOf is the body of a form with these files: name, contents, and perhaps a checksum.
func formOf(t *testing.T, files [][]string) (body, contentType string) {
	t.Helper()
	var buf bytes.Buffer
	mw := multipart.NewWriter(&buf)
	for _, f := range files {
		h := textproto.MIMEHeader{"Content-Disposition": {`form-data; name="file"; filename="` + f[0] + `"`}}
		if len(f) > 2 {
			h.Set("X-Content-SHA256", f[2])
		}
		p, err := mw.CreatePart(h)
		if err != nil {
			t.Fatal(err)
		}
		if _, err := io.WriteString(p, f[1]); err != nil {
			t.Fatal(err)
		}
	}
	if err := mw.Close(); err != nil {
		t.Fatal(err)
	}
	return buf.String(), mw.FormDataContentType()
}

func hexSum(text string) string {
	sum := sha256.Sum256([]byte(text))
	return hex.EncodeToString(sum[:])
}

// bundled is the sum of the object that these files become.
func bundled(t *testing.T, files ...[]string) string {
	t.Helper()
	var all []bundle.File
	for _, f := range files {
		all = append(all, bundle.File{Name: f[0], Size: int64(len(f[1])), Open: func() (io.ReadCloser, error) {
			return io.NopCloser(strings.NewReader(f[1])), nil
		}})
	}
	b, err := bundle.New(all[0], all[1:])
	if err != nil {
		t.Fatal(err)
	}
	data, err := io.ReadAll(b)
	if err != nil {
		t.Fatal(err)
	}
	return hexSum(string(data))
}

// TestFormOfARecord: header and signals become one object, in whatever order and company they come.
func TestFormOfARecord(t *testing.T) {
	hea, dat := []string{"r.hea", recordHeader}, []string{"r.dat", "samples"}
	long := []string{"r.dat", strings.Repeat("samples ", 400_000)} // more than is held in memory
	other := []string{"a.pdf", "%PDF-1.7 text"}
	odd := []string{"odd.bin", "something else"}
	second := []string{"s.hea", strings.ReplaceAll(recordHeader, "r.dat", "s.dat")}
	apart := func(files ...[]string) (sums []string) {
		for _, f := range files {
			sums = append(sums, hexSum(f[1]))
		}
		return sums
	}
	together := bundled(t, hea, dat)
	for name, c := range map[string]struct {
		files [][]string
		want  []string // sums of the answers
		kept  int
		dir   string
	}{
		"header first":       {[][]string{hea, dat}, []string{together, together}, 1, ""},
		"header last":        {[][]string{dat, other, hea}, []string{together, hexSum(other[1]), together}, 2, ""},
		"with a stranger":    {[][]string{odd, dat, hea}, []string{hexSum(odd[1]), together, together}, 2, ""},
		"large":              {[][]string{long, hea}, []string{bundled(t, hea, long), bundled(t, hea, long)}, 1, ""},
		"large, nowhere":     {[][]string{long, hea}, apart(long, hea), 2, "/nowhere"},
		"signals missing":    {[][]string{hea, odd}, apart(hea, odd), 2, ""},
		"two headers":        {[][]string{hea, dat, second}, apart(hea, dat, second), 3, ""},
		"two of one name":    {[][]string{hea, dat, dat}, apart(hea, dat, dat), 3, ""},
		"right checksums":    {[][]string{append(hea[:2:2], hexSum(hea[1])), append(dat[:2:2], hexSum(dat[1]))}, []string{together, together}, 1, ""},
		"leads out":          {[][]string{{"r.hea", strings.ReplaceAll(recordHeader, "r.dat", "../r.dat")}, dat}, []string{hexSum(strings.ReplaceAll(recordHeader, "r.dat", "../r.dat")), hexSum(dat[1])}, 2, ""},
		"a folder in a name": {[][]string{{`C:\ecg\r.hea`, recordHeader}, {"/tmp/r.dat", "samples"}}, []string{together, together}, 1, ""},
	} {
		t.Run(name, func(t *testing.T) {
			dir := t.TempDir()
			body, contentType := formOf(t, c.files)
			f := &fakeIntake{}
			w := do(New(Config{Admitter: f, HoldDir: filepath.Join(dir, c.dir)}), "POST", "/upload", body, "Content-Type", contentType)
			var answers []struct{ Status, SHA256 string }
			if err := json.Unmarshal(w.Body.Bytes(), &answers); err != nil || w.Code != 201 || len(answers) != len(c.want) || len(f.kept) != c.kept {
				t.Fatalf("%d with %d kept: %s", w.Code, len(f.kept), w.Body)
			}
			for i, a := range answers {
				if a.SHA256 != c.want[i] || a.Status != "stored" {
					t.Errorf("answer %d: %+v, want %s", i, a, c.want[i])
				}
			}
			if left, err := os.ReadDir(dir); err != nil || len(left) > 0 {
				t.Errorf("%v is left, %v", left, err)
			}
		})
	}
}

// TestFormOfARecordRefused: a wrong checksum of one file, or a node that cannot store, is the answer for all of
// the record's files.
func TestFormOfARecordRefused(t *testing.T) {
	body, contentType := formOf(t, [][]string{{"r.hea", recordHeader}, {"r.dat", "samples", strings.Repeat("ab", 32)}, {"a.pdf", "%PDF-1.7"}})
	f := &fakeIntake{}
	w := do(New(Config{Admitter: f}), "POST", "/upload", body, "Content-Type", contentType)
	if w.Code != 207 || strings.Count(w.Body.String(), `"checksum-mismatch"`) != 2 || len(f.kept) != 1 {
		t.Errorf("%d with %d kept: %s", w.Code, len(f.kept), w.Body)
	}
	body, contentType = formOf(t, [][]string{{"r.hea", recordHeader}, {"r.dat", "out-of-resources x"}})
	cut := body[:strings.LastIndex(body, "x\r\n--")] // the line breaks in the signals
	f = &fakeIntake{}
	w = do(New(Config{Admitter: f}), "POST", "/upload", cut, "Content-Type", contentType)
	if w.Code != 207 || !strings.Contains(w.Body.String(), `"aborted"`) || len(f.kept) != 1 || f.kept[0].Origin.Filename != "r.hea" {
		t.Errorf("%d with %d kept: %s", w.Code, len(f.kept), w.Body)
	}
}
