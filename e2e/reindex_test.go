package e2e

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"golang.org/x/sync/errgroup"

	"github.com/tributary-dicom/tributary/ingest"
	"github.com/tributary-dicom/tributary/internal/testnode"
	"github.com/tributary-dicom/tributary/pipeline/event"
	"github.com/tributary-dicom/tributary/pipeline/eventlog"
	"github.com/tributary-dicom/tributary/pipeline/eventlog/locallog"
	"github.com/tributary-dicom/tributary/storage/blob/dirblob"
	"github.com/tributary-dicom/tributary/storage/index"
)

// furnished is what furnish sent.
type furnished struct {
	small       []object
	large       object // in a file of its own
	quarantined string // id of the entry that stays
}

// furnish runs a node over dir that gets objects of every fate, and an operator who decides.
func furnish(t *testing.T, dir string) (f furnished) {
	t.Helper()
	n := testnode.Start(t, dir)
	f = furnishOn(t, n)
	if err := n.Stop(); err != nil {
		t.Fatal(err)
	}
	return f
}

// furnishOn does that on a node that runs, and has nothing yet.
func furnishOn(t *testing.T, n *testnode.Node) (f furnished) {
	t.Helper()
	command := func(args ...string) string {
		t.Helper()
		code, out, stderr := run(t, append(args, "--server", n.URL)...)
		if code != 0 {
			t.Fatalf("%v: exit %d\n%s%s", args, code, out, stderr)
		}
		return out
	}
	for i := range 10 {
		f.small = append(f.small, object{number: 8000 + i, pixels: 512})
		upload(t, n, f.small[i].file())
	}
	f.large = object{number: 8050, pixels: 3 << 20}
	upload(t, n, f.large.file())
	for _, i := range []int{2, 4, 6} { // other data sets under known UIDs
		upload(t, n, object{number: 8000 + i, pixels: 1024}.file())
	}
	var conflicts []index.Conflict
	if err := json.Unmarshal([]byte(command("conflict", "ls", "--json")), &conflicts); err != nil || len(conflicts) != 3 {
		t.Fatalf("%d conflicts, %v", len(conflicts), err)
	}
	command("conflict", "promote", conflicts[0].SOPInstanceUID, conflicts[0].Versions[1].ObjectID)
	command("conflict", "keep", conflicts[1].SOPInstanceUID, conflicts[1].Versions[0].ObjectID)
	for i := range 2 {
		cut := object{number: 8100 + i, pixels: 4096}.file()
		upload(t, n, cut[:len(cut)-100])
	}
	var entries []index.Quarantined
	if err := json.Unmarshal([]byte(command("quarantine", "ls", "--json")), &entries); err != nil || len(entries) != 2 {
		t.Fatalf("%d in quarantine, %v", len(entries), err)
	}
	command("quarantine", "rm", entries[0].ObjectID)
	f.quarantined = entries[1].ObjectID
	return f
}

// upload sends bytes that are kept, as an object or in quarantine.
func upload(t *testing.T, n *testnode.Node, body []byte) {
	t.Helper()
	resp, err := http.Post(n.URL+"/upload", "", bytes.NewReader(body))
	if err != nil {
		t.Fatal(err)
	}
	resp.Body.Close() // the status is what matters
	if resp.StatusCode >= 300 {
		t.Fatalf("upload: %s", resp.Status)
	}
}

// dump is all that the index of a stopped node says.
func dump(t *testing.T, dir string) string {
	t.Helper()
	db, err := index.OpenSQLite(t.Context(), filepath.Join(dir, "index.db"), index.Options{})
	if err != nil {
		t.Fatal(err)
	}
	defer db.Close()
	var b bytes.Buffer
	if err := db.Dump(t.Context(), &b); err != nil {
		t.Fatal(err)
	}
	return b.String()
}

// reindexed is the last line of reindex --json.
type reindexed struct {
	From   string
	DryRun bool `json:"dry_run"`
	Plan   struct {
		Records int64 `json:"records_at_most"`
		Objects int64
		Bytes   int64
		Begun   bool
	}
	Blobs struct{ Known, Made, Failed int64 }
	Index struct {
		Records int64
		Resumed bool
	}
}

func reindex(t *testing.T, dir string, args ...string) (r reindexed) {
	t.Helper()
	code, out, stderr := run(t, append([]string{"reindex", "--json", "--data", dir}, args...)...)
	if code != 0 {
		t.Fatalf("reindex %v: exit %d\n%s%s", args, code, out, stderr)
	}
	lines := strings.Split(strings.TrimSpace(out), "\n")
	for _, l := range lines {
		if !json.Valid([]byte(l)) {
			t.Errorf("no JSON line: %s", l)
		}
	}
	if err := json.Unmarshal([]byte(lines[len(lines)-1]), &r); err != nil {
		t.Fatal(err)
	}
	return r
}

// TestReindex loses the index, and then the log too: what is made again is equal to what was there.
func TestReindex(t *testing.T) {
	dir := t.TempDir()
	f := furnish(t, dir)
	want := dump(t, dir)
	before, err := os.ReadFile(filepath.Join(dir, "index.db"))
	if err != nil {
		t.Fatal(err)
	}

	dry := reindex(t, dir, "--dry-run")
	if after, err := os.ReadFile(filepath.Join(dir, "index.db")); err != nil || !bytes.Equal(before, after) || !dry.DryRun || dry.Plan.Records == 0 {
		t.Errorf("a dry run changed the index (%v): %+v", err, dry)
	}
	if r := reindex(t, dir); r.Index.Records == 0 || r.Index.Resumed {
		t.Errorf("%+v", r)
	}
	if got := dump(t, dir); got != want {
		t.Errorf("from the log:\n%s\nwant\n%s", got, want)
	}
	put(t, dir, "index.db", nil)
	reindex(t, dir)
	if got := dump(t, dir); got != want {
		t.Errorf("without an index before:\n%s\nwant\n%s", got, want)
	}

	put(t, dir, "index.db", nil)
	put(t, dir, "log.db", nil)
	if code, _, stderr := run(t, "reindex", "--data", dir); code != 1 || !strings.Contains(stderr, "--from blobs") {
		t.Errorf("without a log: exit %d, %s", code, stderr)
	}
	dry = reindex(t, dir, "--from", "blobs", "--dry-run")
	if dry.Plan.Objects == 0 || exists(filepath.Join(dir, "log.db")) {
		t.Errorf("a dry run from blobs: %+v", dry)
	}
	if r := reindex(t, dir, "--from", "blobs"); r.Blobs.Made != dry.Plan.Objects || r.Blobs.Failed != 0 {
		t.Errorf("%+v, planned %+v", r, dry)
	}
	if got := dump(t, dir); got != want {
		t.Errorf("from the blobs:\n%s\nwant\n%s", got, want)
	}
	// And a node goes on with it: nothing is made twice.
	n := testnode.Start(t, dir)
	if got, code := retrieve(t, n, f.large); code != 200 || !bytes.HasSuffix(got, f.large.dataset()) {
		t.Errorf("status %d, %d bytes", code, len(got))
	}
	for _, cmd := range []string{"reindex", "fsck"} {
		if code, _, stderr := run(t, cmd, "--data", dir); code != 1 || !strings.Contains(stderr, "stop that process") {
			t.Errorf("%s beside a node: exit %d, %s", cmd, code, stderr)
		}
	}
	if err := n.Stop(); err != nil {
		t.Fatal(err)
	}
	if got := dump(t, dir); got != want {
		t.Errorf("after a node:\n%s\nwant\n%s", got, want)
	}
}

// TestReindexKilled ends reindex by SIGKILL in the middle, from the log and from the blobs: the next run goes
// on, and what it makes is whole.
func TestReindexKilled(t *testing.T) {
	const objects = 4000
	dir := t.TempDir()
	kept(t, dir, objects)
	reindex(t, dir)
	want := dump(t, dir)

	killIn(t, dir, "index.db.new-wal", 2<<20)
	if !exists(filepath.Join(dir, "index.db.new")) || dump(t, dir) != want {
		t.Error("the index in use was touched")
	}
	if r := reindex(t, dir); !r.Index.Resumed || r.Index.Records == 0 || r.Index.Records >= objects {
		t.Errorf("%+v, want what was left of %d", r.Index, objects)
	}
	if got := dump(t, dir); got != want {
		t.Error("the index that was gone on with differs")
	}
	if exists(filepath.Join(dir, "index.db.new")) || exists(filepath.Join(dir, "index.db.old")) {
		t.Error("files are left")
	}

	put(t, dir, "log.db", nil)
	put(t, dir, "index.db", nil)
	killIn(t, dir, "log.db-wal", 0, "--from", "blobs")
	r := reindex(t, dir, "--from", "blobs")
	if r.Blobs.Known == 0 || r.Blobs.Made == 0 || r.Blobs.Known+r.Blobs.Made != objects {
		t.Errorf("%+v, want some of %d known and the others made", r.Blobs, objects)
	}
	if got := dump(t, dir); got != want {
		t.Error("the index that was made from blobs differs")
	}
}

// kept keeps small objects in a data folder, without a node.
func kept(t *testing.T, dir string, objects int) {
	t.Helper()
	blobs, err := dirblob.Open(filepath.Join(dir, "blobs"), dirblob.Options{ReserveBytes: -1})
	if err != nil {
		t.Fatal(err)
	}
	log, err := locallog.Open(t.Context(), filepath.Join(dir, "log.db"), locallog.Options{})
	if err != nil {
		t.Fatal(err)
	}
	db, err := index.OpenSQLite(t.Context(), filepath.Join(dir, "index.db"), index.Options{})
	if err != nil {
		t.Fatal(err)
	}
	in := ingest.New(ingest.Config{}, blobs, log, late{db})
	var all errgroup.Group
	all.SetLimit(32)
	for i := range objects {
		all.Go(func() error {
			_, err := in.Admit(t.Context(), ingest.Arrival{
				Body: bytes.NewReader(object{number: 20000 + i, pixels: 256}.file()), Origin: event.Origin{Door: "import"},
			})
			return err
		})
	}
	if err := errors.Join(all.Wait(), db.Close(), log.Close(), blobs.Close()); err != nil {
		t.Fatal(err)
	}
}

// killIn runs reindex and kills it once a file has more than so many bytes in use.
func killIn(t *testing.T, dir, name string, bytesUsed int64, args ...string) {
	t.Helper()
	p := begin(t, append([]string{"reindex", "--data", dir}, args...)...)
	until(t, name, func() bool {
		select {
		case <-p.done:
			t.Fatalf("reindex ended before it was killed:\n%s", p.err.String())
		default:
		}
		if bytesUsed == 0 { // the log's file is grown ahead, so look into it
			wal, err := os.ReadFile(filepath.Join(dir, name))
			return err == nil && bytes.Count(wal, []byte(event.TypeInstanceStored)) > 100
		}
		info, err := os.Stat(filepath.Join(dir, name))
		return err == nil && info.Size() > bytesUsed
	})
	if err := p.cmd.Process.Signal(syscall.SIGKILL); err != nil {
		t.Fatal(err)
	}
	<-p.done
}

func exists(path string) bool {
	_, err := os.Stat(path)
	return err == nil
}

// late is an index that shows nothing of what comes.
type late struct{ *index.DB }

func (late) WaitApplied(context.Context, eventlog.Position) error { return nil }
func (late) Seen(eventlog.Position) bool                          { return true }
