package e2e

import (
	"bytes"
	"encoding/json"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/tributary-dicom/tributary/internal/testnode"
)

// TestSwappedFiles exchanges files of the data folder under a node that was stopped, as a hasty restore
// does: each object that was acknowledged is found and served all the same, and nobody else's.
func TestSwappedFiles(t *testing.T) {
	const first, all = 3, 6
	base := t.TempDir()
	dir, other := filepath.Join(base, "data"), filepath.Join(base, "other")
	fill(t, other, 100, 105)
	fill(t, dir, 0, first)
	backup := files(t, dir, "log.db")
	fill(t, dir, first, all)
	for _, c := range []struct {
		name string
		swap func()
	}{
		{"index of another node", func() { put(t, dir, "index.db", files(t, other, "index.db")) }},
		{"damaged index", func() { put(t, dir, "index.db", map[string][]byte{"index.db": bytes.Repeat([]byte("damaged "), 1024)}) }},
		{"no index", func() { put(t, dir, "index.db", nil) }},
		{"older log", func() { put(t, dir, "log.db", backup) }},
		{"no log", func() { put(t, dir, "log.db", nil) }},
		{"log of another node", func() { put(t, dir, "log.db", files(t, other, "log.db")) }},
	} {
		c.swap()
		n := testnode.Start(t, dir)
		for i := range all {
			want := object{number: i, pixels: 512}
			if status, got := n.Get(t, want.path()); status != http.StatusOK || !bytes.Contains(got, want.dataset()) {
				t.Errorf("%s: object %d: status %d, %d bytes", c.name, i, status, len(got))
			}
		}
		_, answer := n.Get(t, "/dicom-web/instances")
		var found []json.RawMessage
		if err := json.Unmarshal(answer, &found); err != nil {
			t.Fatal(err)
		}
		if strangers := c.name == "log of another node"; !strangers && len(found) != all {
			t.Errorf("%s: %d instances are found, want %d", c.name, len(found), all)
		}
		if err := n.Stop(); err != nil {
			t.Errorf("%s: the node ended with %v", c.name, err)
		}
	}
}

// fill runs a node over dir until it has taken the objects from one number up to another.
func fill(t *testing.T, dir string, from, to int) {
	t.Helper()
	n := testnode.Start(t, dir)
	for i := from; i < to; i++ {
		resp, err := http.Post(n.URL+"/upload", "application/dicom", bytes.NewReader(object{number: i, pixels: 512}.file()))
		if err != nil {
			t.Fatal(err)
		}
		resp.Body.Close() // the status is what matters
		if resp.StatusCode != http.StatusCreated {
			t.Fatalf("upload: %s", resp.Status)
		}
	}
	n.Get(t, "/dicom-web/instances") // readers wait until the index is up to date
	if err := n.Stop(); err != nil {
		t.Fatal(err)
	}
}

// files returns the contents of an SQLite file and of those beside it.
func files(t *testing.T, dir, name string) map[string][]byte {
	t.Helper()
	all := map[string][]byte{}
	for _, suffix := range []string{"", "-wal", "-shm"} {
		if b, err := os.ReadFile(filepath.Join(dir, name+suffix)); err == nil {
			all[name+suffix] = b
		}
	}
	return all
}

// put replaces an SQLite file and those beside it.
func put(t *testing.T, dir, name string, contents map[string][]byte) {
	t.Helper()
	present, err := filepath.Glob(filepath.Join(dir, name+"*"))
	if err != nil {
		t.Fatal(err)
	}
	for _, path := range present {
		if !strings.HasSuffix(path, ".lock") {
			if err := os.Remove(path); err != nil {
				t.Fatal(err)
			}
		}
	}
	for file, b := range contents {
		if err := os.WriteFile(filepath.Join(dir, file), b, 0o600); err != nil {
			t.Fatal(err)
		}
	}
}
