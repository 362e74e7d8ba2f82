package e2e

import (
	"archive/zip"
	"context"
	"encoding/json"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/tributary-dicom/tributary/internal/testnode"
)

// importLine is one line of `import --json`.
type importLine struct {
	File, Status, Code, Detail, ID, Error string
	Summary                               *struct {
		Objects, Failed, Earlier int
		Passed                   int `json:"passed_over"`
		Refused                  int `json:"refused_here"`
		Status                   map[string]int
		Reasons                  map[string]int
	}
}

// importJSON runs `import --json` and returns its lines, the summary last.
func importJSON(t *testing.T, want int, args ...string) []importLine {
	t.Helper()
	code, out, stderr := run(t, append([]string{"import", "--json", "--backoff", "20ms"}, args...)...)
	if code != want {
		t.Errorf("import %v: exit %d, want %d\n%s\n%s", args, code, want, out, stderr)
	}
	var lines []importLine
	for text := range strings.Lines(out) {
		var l importLine
		if err := json.Unmarshal([]byte(text), &l); err != nil {
			t.Fatalf("no JSON: %s", text)
		}
		lines = append(lines, l)
	}
	if len(lines) == 0 || lines[len(lines)-1].Summary == nil {
		t.Fatalf("no summary:\n%s\n%s", out, stderr)
	}
	return lines
}

// zipFile writes a ZIP of files.
func zipFile(t *testing.T, path string, names []string, data func(i int) []byte) {
	t.Helper()
	f, err := os.Create(path)
	if err != nil {
		t.Fatal(err)
	}
	w := zip.NewWriter(f)
	for i, n := range names {
		m, err := w.Create(n)
		if err == nil {
			_, err = m.Write(data(i))
		}
		if err != nil {
			t.Fatal(err)
		}
	}
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	if err := f.Close(); err != nil {
		t.Fatal(err)
	}
}

// TestImport: folders and archives once, told by status; a second run has nothing to do.
func TestImport(t *testing.T) {
	t.Setenv("XDG_CACHE_HOME", t.TempDir())
	n := testnode.Start(t, filepath.Join(t.TempDir(), "data"))
	objects := series(11_000, 20, 10<<10)
	dir := objectFiles(t, objects[:10]...)
	if err := os.WriteFile(filepath.Join(dir, "readme.txt"), []byte("nothing of a patient"), 0o600); err != nil {
		t.Fatal(err)
	}
	var names []string
	for i := range objects[10:] {
		names = append(names, fmt.Sprintf("../../IMAGES/张三/%d", i))
	}
	archive := filepath.Join(dir, "study0", "rest.zip")
	zipFile(t, archive, append(names, "in.zip"), func(i int) []byte {
		if i == 10 {
			return []byte("PK\x03\x04 nested")
		}
		return objects[10+i].file()
	})
	half := (object{number: 11_500, pixels: 4096}).file()
	if err := os.WriteFile(filepath.Join(dir, "half.dcm"), half[:len(half)-100], 0o600); err != nil {
		t.Fatal(err)
	}

	lines := importJSON(t, 0, "--to", n.URL, "--dry-run", dir)
	if sum := lines[len(lines)-1].Summary; sum.Objects != 21 || sum.Status["found"] != 21 || sum.Reasons["dicom"] != 21 {
		t.Errorf("dry run: %+v", sum)
	}
	findable(t, n, 0)
	lines = importJSON(t, 1, "--to", n.URL, "--device", "CT-二", "-n", "4", dir) // 1: an archive in an archive
	sum := lines[len(lines)-1].Summary
	if sum.Objects != 21 || sum.Status["stored"] != 20 || sum.Status["quarantined"] != 1 || sum.Reasons["truncated"] != 1 || sum.Refused != 1 || sum.Passed != 1 || sum.Failed != 0 {
		t.Errorf("%+v", sum)
	}
	checkObjects(t, n, objects...)
	status, events := n.Get(t, "/quarantine")
	if status != 200 || !strings.Contains(string(events), "truncated") {
		t.Errorf("%d %s", status, events)
	}
	lines = importJSON(t, 1, "--to", n.URL, dir)
	if sum := lines[len(lines)-1].Summary; sum.Earlier != 21 || sum.Objects != 21 || len(sum.Status) != 0 {
		t.Errorf("again: %+v", sum)
	}
	lines = importJSON(t, 1, "--to", n.URL, "--again", dir)
	if sum := lines[len(lines)-1].Summary; sum.Status["duplicate"] != 20 || sum.Status["quarantined"] != 1 {
		t.Errorf("in spite of the journal: %+v", sum)
	}
	code, out, _ := run(t, "import", "--to", n.URL, "--again", filepath.Join(dir, "study0", "0")) // for people
	if code != 0 || !strings.Contains(out, "2 objects") || !strings.Contains(out, "2  duplicate") {
		t.Errorf("exit %d: %s", code, out)
	}
	if code, _, stderr := run(t, "import", "--to", n.URL, t.TempDir()); code != 1 || !strings.Contains(stderr, "nothing to import") {
		t.Errorf("an empty folder: exit %d, %s", code, stderr)
	}
	if code, _, _ := run(t, "import", "--to", "nonsense", dir); code != 2 {
		t.Errorf("a target that is none: exit %d", code)
	}
}

// TestImportGoesOn: an import that is killed, and whose node is, goes on behind what the node has.
func TestImportGoesOn(t *testing.T) {
	t.Setenv("XDG_CACHE_HOME", t.TempDir())
	data := filepath.Join(t.TempDir(), "data")
	n := testnode.Start(t, data)
	objects := series(12_000, 60, 300<<10)
	dir := objectFiles(t, objects...)
	journal := filepath.Join(t.TempDir(), "journal")
	ctx, cancel := context.WithCancel(t.Context())
	cmd := exec.CommandContext(ctx, testnode.Binary(t), "import", "-q", "-n", "1", "--to", n.URL, "--journal", journal, dir)
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	eventually(t, "the import begins", func() error {
		text, err := os.ReadFile(journal)
		if err == nil && strings.Count(string(text), "\n") < 5 {
			err = fmt.Errorf("%d lines", strings.Count(string(text), "\n"))
		}
		return err
	})
	cancel()
	_ = cmd.Wait()
	n.Kill()
	time.Sleep(10 * time.Millisecond)
	text, err := os.ReadFile(journal)
	if err != nil {
		t.Fatal(err)
	}
	known := strings.Count(string(text), "\n")
	if err := os.WriteFile(journal, append(text, `{"key":"cut o`...), 0o600); err != nil { // as a power cut leaves it
		t.Fatal(err)
	}
	n = testnode.Start(t, data)
	// The node is on another port now: a journal that is named is of the node that its user means.
	lines := importJSON(t, 0, "--to", n.URL, "--journal", journal, dir)
	sum := lines[len(lines)-1].Summary
	if sum.Objects != 60 || sum.Earlier != known || sum.Status["stored"]+sum.Status["duplicate"] != 60-known || sum.Status["duplicate"] > 1 {
		t.Errorf("%d known: %+v", known, sum)
	}
	checkObjects(t, n, objects...)
}

// TestEventsOverKafka: the live view of a shared log, from now, and from an id that was given by another node.
func TestEventsOverKafka(t *testing.T) {
	c := newCounty(t)
	intake, reader := c.node(t, "intake"), c.node(t, "review")
	now := follow(t, reader, "")
	objects := series(13_000, 40, 1024)
	dir := objectFiles(t, objects...)
	importJSON(t, 0, "--to", intake.URL, "--journal", filepath.Join(t.TempDir(), "journal"), dir)
	seen := map[string]string{} // instance → id
	var order []string
	for len(seen) < len(objects) {
		id, instance := now.next(t)
		if seen[instance] != "" {
			t.Errorf("%s twice", instance)
		}
		seen[instance] = id
		order = append(order, instance)
	}
	other := c.node(t, "review")
	half := len(order) / 2
	again := follow(t, other, seen[order[half-1]])
	left := map[string]bool{}
	for _, o := range order[half:] {
		left[o] = true
	}
	for len(left) > 0 {
		_, instance := again.next(t)
		if !left[instance] {
			t.Errorf("%s again, or twice", instance)
		}
		delete(left, instance)
	}
}
