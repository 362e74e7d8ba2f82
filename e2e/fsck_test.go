package e2e

import (
	"bytes"
	"database/sql"
	"encoding/json"
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/tributary-dicom/tributary/internal/testnode"
	"github.com/tributary-dicom/tributary/storage/audit"
	"github.com/tributary-dicom/tributary/storage/index"
)

// fsck runs the command and returns its report.
func fsck(t *testing.T, dir string, args ...string) (code int, r audit.Report) {
	t.Helper()
	code, out, stderr := run(t, append([]string{"fsck", "--json", "--data", dir}, args...)...)
	if err := json.Unmarshal([]byte(out), &r); err != nil {
		t.Fatalf("fsck %v: exit %d, %v\n%s%s", args, code, err, out, stderr)
	}
	return code, r
}

// broken changes a file of SQLite under a stopped node.
func broken(t *testing.T, path, statement string) {
	t.Helper()
	db, err := sql.Open("sqlite", path)
	if err != nil {
		t.Fatal(err)
	}
	defer db.Close()
	if _, err := db.Exec(statement); err != nil {
		t.Fatal(err)
	}
}

// keyOf is where the bytes of an object lie.
func keyOf(t *testing.T, dir string, o object) string {
	t.Helper()
	db, err := index.OpenSQLite(t.Context(), filepath.Join(dir, "index.db"), index.Options{})
	if err != nil {
		t.Fatal(err)
	}
	defer db.Close()
	versions, _, err := db.Lookup(t.Context(), "default", o.instance())
	if err != nil || len(versions) == 0 {
		t.Fatalf("object %d: %v", o.number, err)
	}
	return versions[0].BlobKey
}

// flip changes one byte within a blob of a stopped node.
func flip(t *testing.T, dir, key string) {
	t.Helper()
	path, place, packed := strings.Cut(key, ".p/")
	off := int64(2 << 20)
	if packed {
		var length int64
		path += ".p"
		if _, err := fmt.Sscanf(place, "%d-%d", &off, &length); err != nil {
			t.Fatal(err)
		}
		off += length / 2
	}
	f, err := os.OpenFile(filepath.Join(dir, "blobs", filepath.FromSlash(path)), os.O_RDWR, 0)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	b := make([]byte, 1)
	if _, err := f.ReadAt(b, off); err != nil {
		t.Fatal(err)
	}
	b[0] ^= 0x40
	if _, err := f.WriteAt(b, off); err != nil {
		t.Fatal(err)
	}
}

// TestFsck damages the data of a stopped node in every way; each finding is named, repair mends what it may,
// and a node over the rest serves it.
func TestFsck(t *testing.T) {
	whole := t.TempDir()
	f := furnish(t, whole)
	want := dump(t, whole)
	if code, r := fsck(t, whole, "--full"); code != 0 || !r.Clean() || r.Reread == 0 || r.Blobs == 0 || r.Rows == 0 {
		t.Fatalf("whole data: exit %d, %+v", code, r)
	}
	if code, out, stderr := run(t, "fsck", "--data", whole); code != 0 || !strings.Contains(out, "Nothing is wrong.") {
		t.Errorf("whole data: exit %d\n%s%s", code, out, stderr)
	}
	for _, c := range []struct {
		name   string
		damage func(dir string) (blob string)
		want   map[audit.Code]int64
		left   map[audit.Code]int64 // after repair
	}{
		{"large file gone", func(dir string) string {
			key := keyOf(t, dir, f.large)
			if err := os.Remove(filepath.Join(dir, "blobs", filepath.FromSlash(key))); err != nil {
				t.Fatal(err)
			}
			return key
		}, map[audit.Code]int64{audit.BlobMissing: 1}, map[audit.Code]int64{audit.BlobMissing: 1}},
		{"byte flipped in a large file", func(dir string) string {
			key := keyOf(t, dir, f.large)
			flip(t, dir, key)
			return key
		}, map[audit.Code]int64{audit.BlobDamaged: 1}, map[audit.Code]int64{audit.BlobDamaged: 1}},
		{"byte flipped in a pack", func(dir string) string {
			key := keyOf(t, dir, f.small[1])
			flip(t, dir, key)
			return key
		}, map[audit.Code]int64{audit.BlobDamaged: 1}, map[audit.Code]int64{audit.BlobDamaged: 1}},
		{"row of the index gone", func(dir string) string {
			key := keyOf(t, dir, f.small[3])
			broken(t, filepath.Join(dir, "index.db"), "DELETE FROM instances WHERE sop_instance_uid = '"+f.small[3].instance()+"'")
			return key
		}, map[audit.Code]int64{audit.RowMissing: 1, audit.IndexMiscounted: 1}, nil},
		{"end of the log gone", func(dir string) string {
			broken(t, filepath.Join(dir, "log.db"), "DELETE FROM records_1 WHERE seq > (SELECT MAX(seq) FROM records_1) - 1")
			return ""
		}, map[audit.Code]int64{audit.IndexForeign: 1, audit.BlobWithoutEvent: 1}, nil},
		{"log gone", func(dir string) string {
			put(t, dir, "log.db", nil)
			return ""
		}, nil, nil},
		{"index gone", func(dir string) string {
			put(t, dir, "index.db", nil)
			return ""
		}, map[audit.Code]int64{audit.IndexMissing: 1}, nil},
		{"index is no index", func(dir string) string {
			put(t, dir, "index.db", map[string][]byte{"index.db": bytes.Repeat([]byte("damaged "), 1024)})
			return ""
		}, map[audit.Code]int64{audit.IndexMissing: 1}, nil},
	} {
		dir := filepath.Join(t.TempDir(), "data")
		if err := os.CopyFS(dir, os.DirFS(whole)); err != nil {
			t.Fatal(err)
		}
		key := c.damage(dir)
		code, r := fsck(t, dir, "--full")
		if c.want == nil { // all blobs
			c.want = map[audit.Code]int64{audit.IndexForeign: 1, audit.BlobWithoutEvent: r.Blobs}
		}
		if code != 1 || !maps.Equal(r.Counts, c.want) {
			t.Errorf("%s: exit %d, %v, want %v\n%+v", c.name, code, r.Counts, c.want, r.Findings)
		}
		if key != "" && (len(r.Findings) == 0 || r.Findings[0].Blob != key) {
			t.Errorf("%s: %+v, want blob %s", c.name, r.Findings, key)
		}
		if code, r := fsck(t, dir, "--full", "--repair"); (code == 0) != (len(c.left) == 0) || !maps.Equal(r.Counts, c.want) {
			t.Errorf("%s: repair: exit %d, %v, %+v", c.name, code, r.Counts, r.Actions)
		}
		code, r = fsck(t, dir, "--full")
		if !maps.Equal(r.Counts, c.left) || (code == 0) != (len(c.left) == 0) {
			t.Errorf("%s: after repair: exit %d, %v, want %v", c.name, code, r.Counts, c.left)
		}
		if got := dump(t, dir); got != want {
			t.Errorf("%s: after repair the index is\n%s\nwant\n%s", c.name, got, want)
		}
		n := testnode.Start(t, dir)
		for i, o := range f.small {
			if i == 1 && c.left[audit.BlobDamaged] > 0 {
				continue // its reader is broken off, which is right
			}
			if got, code := retrieve(t, n, o); code != 200 || len(got) == 0 {
				t.Errorf("%s: object %d: status %d", c.name, o.number, code)
			}
		}
		if c.left[audit.BlobDamaged]+c.left[audit.BlobMissing] > 0 {
			// What the report tells people to do: send it again.
			upload(t, n, f.large.file())
			upload(t, n, f.small[1].file())
		}
		if err := n.Stop(); err != nil {
			t.Error(err)
		}
		if code, r := fsck(t, dir, "--full"); code != 0 {
			t.Errorf("%s: sent again: exit %d, %+v", c.name, code, r.Findings)
		}
	}
}

// TestFsckSaysNothingOfPatients: reports go into tickets.
func TestFsckSaysNothingOfPatients(t *testing.T) {
	dir := t.TempDir()
	furnish(t, dir)
	broken(t, filepath.Join(dir, "index.db"), "DELETE FROM instances")
	put(t, dir, "log.db", nil)
	for _, args := range [][]string{{}, {"--json"}, {"--repair", "--json"}} {
		code, out, stderr := run(t, append([]string{"fsck", "--data", dir}, args...)...)
		if strings.Contains(out+stderr, "Zhang") || strings.Contains(out+stderr, "张") || out == "" {
			t.Errorf("%v: exit %d\n%s%s", args, code, out, stderr)
		}
	}
}
