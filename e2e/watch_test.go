package e2e

import (
	"archive/tar"
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"io/fs"
	"math/rand/v2"
	"mime/multipart"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/tributary-dicom/tributary/internal/testnode"
)

// dropFile writes a file as a careful uploader does: under another name first.
func dropFile(t *testing.T, dir, name string, data []byte) {
	t.Helper()
	if err := os.MkdirAll(filepath.Dir(filepath.Join(dir, name)), 0o700); err != nil {
		t.Fatal(err)
	}
	part := filepath.Join(dir, name+".part")
	if err := os.WriteFile(part, data, 0o600); err != nil {
		t.Fatal(err)
	}
	if err := os.Rename(part, filepath.Join(dir, name)); err != nil {
		t.Fatal(err)
	}
}

// filesBelow lists files in a folder, without those of its hidden folders unless asked for.
func filesBelow(t *testing.T, dir string) (names []string) {
	t.Helper()
	err := filepath.WalkDir(dir, func(p string, e fs.DirEntry, err error) error {
		switch {
		case os.IsNotExist(err): // moved under our eyes
			return nil
		case err != nil:
			return err
		case e.IsDir() && p != dir && strings.HasPrefix(e.Name(), "."):
			return fs.SkipDir
		case !e.IsDir():
			names = append(names, e.Name())
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	return names
}

// emptied waits until nothing is left in a watched folder.
func emptied(t *testing.T, dir string) {
	t.Helper()
	eventually(t, "files leave the watched folder", func() error {
		if left := filesBelow(t, dir); len(left) > 0 {
			return fmt.Errorf("%d files are left", len(left))
		}
		return nil
	})
}

// TestWatch: what is dropped into a folder is taken, moved or refused, and known by its device.
func TestWatch(t *testing.T) {
	in := filepath.Join(t.TempDir(), "in")
	if err := os.Mkdir(in, 0o700); err != nil {
		t.Fatal(err)
	}
	n := testnode.Start(t, filepath.Join(t.TempDir(), "data"), "--watch", in+"=kit-7",
		"--watch-settle", "300ms", "--watch-poll", "50ms", "--watch-companions", "1s")

	objects := series(9000, 12, 20<<10)
	for i, o := range objects {
		dropFile(t, in, fmt.Sprintf("study/%d.dcm", i), o.file())
	}
	dropFile(t, in, "张三.txt", []byte("no recording of anybody"))
	broken := (object{number: 9100, pixels: 4096}).file()
	dropFile(t, in, "broken.dcm", broken[:len(broken)/2])
	// A sender that pauses, and holds its file open.
	slow, err := os.Create(filepath.Join(in, "slow.dcm"))
	if err != nil {
		t.Fatal(err)
	}
	late := object{number: 9200, pixels: 64 << 10}
	for rest := late.file(); len(rest) > 0; {
		k := min(len(rest), 20<<10)
		if _, err := slow.Write(rest[:k]); err != nil {
			t.Fatal(err)
		}
		rest = rest[k:]
		time.Sleep(100 * time.Millisecond) // less than it takes to settle
	}
	if err := slow.Close(); err != nil {
		t.Fatal(err)
	}
	emptied(t, in)
	checkObjects(t, n, append(objects, late)...)
	var list []struct{ Reason, Door, Device string }
	getJSON(t, n, "/quarantine", &list)
	if len(list) != 1 || list[0].Reason != "truncated" {
		t.Errorf("quarantine: %+v", list)
	}
	text, err := os.ReadFile(filepath.Join(in, ".tributary/refused/张三.txt.reason.json"))
	if err != nil || !bytes.Contains(text, []byte(`"unsupported-format"`)) {
		t.Errorf("%s, %v", text, err)
	}
	if strings.Contains(n.Log(), "张三") {
		t.Error("the log names a patient's file")
	}
	if done := filesBelow(t, filepath.Join(in, ".tributary/done")); len(done) != 14 {
		t.Errorf("done: %v", done)
	}
	if code := n.Stop(); code != nil {
		t.Error(code)
	}
}

// TestWatchRecordings: a WFDB record is one object, by folder and by form, and its files come back bit for bit.
func TestWatchRecordings(t *testing.T) {
	corpus := filepath.Join(testnode.Shared(t), "corpora", "ecg", "wfdb")
	in := t.TempDir()
	n := testnode.Start(t, filepath.Join(t.TempDir(), "data"), "--watch", in, "--watch-settle", "200ms", "--watch-poll", "50ms", "--watch-companions", "1s")
	files := map[string][]byte{}
	for _, name := range []string{"100.hea", "100.dat"} {
		data, err := os.ReadFile(filepath.Join(corpus, name))
		if err != nil {
			t.Fatal(err)
		}
		files[name] = data
	}
	dropFile(t, in, "100.hea", files["100.hea"])
	dropFile(t, in, "100.dat", files["100.dat"])
	emptied(t, in)

	var body bytes.Buffer
	form := newForm(&body)
	for _, name := range []string{"100.dat", "100.hea"} {
		form.file(t, name, files[name])
	}
	resp, answer := form.send(t, n)
	var receipts []struct{ ID, Status, Format, Study string }
	if err := json.Unmarshal(answer, &receipts); err != nil || resp.StatusCode != http.StatusCreated || len(receipts) != 2 {
		t.Fatalf("%s: %s", resp.Status, answer)
	}
	for _, r := range receipts {
		if r.Status != "duplicate" || r.ID != receipts[0].ID || r.Study == "" {
			t.Errorf("the same record by another door: %s", answer)
		}
	}
	// It is in no quarantine, and its bytes are a tar of the files.
	var list []struct{ Reason, Detail string }
	getJSON(t, n, "/quarantine", &list)
	if len(list) != 0 {
		t.Errorf("quarantine: %+v", list)
	}
	blob := blobOfBundle(t, n.Dir, files)
	if blob == 0 {
		t.Error("no kept object has the files")
	}
}

// blobOfBundle counts kept files and packs that have a tar with these contents.
func blobOfBundle(t *testing.T, data string, files map[string][]byte) (found int) {
	t.Helper()
	err := filepath.WalkDir(filepath.Join(data, "blobs"), func(p string, e fs.DirEntry, err error) error {
		if err != nil || e.IsDir() {
			return err
		}
		text, err := os.ReadFile(p)
		if err != nil {
			return err
		}
		at := bytes.Index(text, append([]byte("100.hea"), 0))
		if at < 0 {
			return nil
		}
		r := tar.NewReader(bytes.NewReader(text[at:]))
		same := 0
		for {
			h, err := r.Next()
			if err != nil {
				break
			}
			data, err := io.ReadAll(r)
			if err == nil && bytes.Equal(data, files[h.Name]) {
				same++
			}
		}
		if same == len(files) {
			found++
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	return found
}

// TestWatchCrash kills the node again and again while files are dropped: nothing is lost, and nothing is there
// twice.
func TestWatchCrash(t *testing.T) {
	rounds := 12
	if testing.Short() {
		rounds = 5
	}
	dir, in := filepath.Join(t.TempDir(), "data"), t.TempDir()
	flags := []string{"--watch", in, "--watch-settle", "20ms", "--watch-poll", "10ms", "--watch-delete"}
	var all []object
	for i := range rounds {
		n, err := testnode.Launch(testnode.Binary(t), dir, flags...)
		if err != nil {
			t.Fatal(err)
		}
		for k := range 40 {
			o := object{number: 20_000 + 100*i + k, pixels: 2 << (k % 16)}
			all = append(all, o)
			dropFile(t, in, fmt.Sprintf("%d.dcm", o.number), o.file())
		}
		time.Sleep(time.Duration(rand.IntN(60)) * time.Millisecond) // the random moment
		n.Kill()
	}
	n := testnode.Start(t, dir, flags...)
	emptied(t, in)
	findable(t, n, len(all))
	checkObjects(t, n, all...)
	for _, list := range []string{"/quarantine", "/conflicts"} {
		var entries []json.RawMessage
		getJSON(t, n, list, &entries)
		if len(entries) != 0 {
			t.Errorf("%s has %d entries", list, len(entries))
		}
	}
}

// form is a multipart/form-data body that is being written.
type form struct {
	*multipart.Writer
	body *bytes.Buffer
}

func newForm(body *bytes.Buffer) form { return form{multipart.NewWriter(body), body} }

func (f form) file(t *testing.T, name string, data []byte) {
	t.Helper()
	p, err := f.CreateFormFile("file", name)
	if err == nil {
		_, err = p.Write(data)
	}
	if err != nil {
		t.Fatal(err)
	}
}

func (f form) send(t *testing.T, n *testnode.Node) (*http.Response, []byte) {
	t.Helper()
	if err := f.Close(); err != nil {
		t.Fatal(err)
	}
	resp, err := http.Post(n.URL+"/upload", f.FormDataContentType(), f.body)
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	answer, err := io.ReadAll(resp.Body)
	if err != nil {
		t.Fatal(err)
	}
	return resp, answer
}
