package e2e

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"maps"
	"math/rand/v2"
	"net/http"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"sync"
	"testing"

	"github.com/tributary-dicom/tributary/device"
	"github.com/tributary-dicom/tributary/internal/testnode"
	"github.com/tributary-dicom/tributary/parsers/ecg/scpecg/scptest"
	"github.com/tributary-dicom/tributary/pipeline/reprocess"
)

// Flags of nodes: of a release before there were versions of parsers, and of the one after this.
const (
	releaseBefore = "--parser-version=-1"
	releaseAfter  = "--parser-version=2"
)

// reprocessed runs the command and returns its result.
func reprocessed(t *testing.T, args ...string) (s reprocess.Status) {
	t.Helper()
	code, out, stderr := run(t, append([]string{"reprocess", "--json"}, args...)...)
	if code != 0 {
		t.Fatalf("reprocess %v: exit %d\n%s%s", args, code, out, stderr)
	}
	lines := strings.Split(strings.TrimSpace(out), "\n")
	for _, l := range lines {
		if !json.Valid([]byte(l)) {
			t.Errorf("no JSON line: %s", l)
		}
	}
	if err := json.Unmarshal([]byte(lines[len(lines)-1]), &s); err != nil {
		t.Fatal(err)
	}
	return s
}

// jobOf is how a node's job stands.
func jobOf(t *testing.T, n *testnode.Node) (s reprocess.Status) {
	t.Helper()
	code, body := n.Get(t, "/reprocess")
	if err := json.Unmarshal(body, &s); err != nil || code != http.StatusOK {
		t.Fatalf("%d %s, %v", code, body, err)
	}
	return s
}

// load sends objects by every door until stop is called.
func load(t *testing.T, n *testnode.Node, l *ledger, seed uint64) (stop func()) {
	ctx, cancel := context.WithCancel(t.Context())
	var devices sync.WaitGroup
	for d, via := range []string{device.ViaDICOM, device.ViaSTOW, device.ViaUpload, device.ViaTus} {
		devices.Go(func() { play(ctx, t, n, via, l, rand.New(rand.NewPCG(seed, uint64(d)))) })
	}
	return func() {
		cancel()
		devices.Wait()
	}
}

func (l *ledger) acknowledged() int {
	l.mu.Lock()
	defer l.mu.Unlock()
	return len(l.acked)
}

var (
	rowVersion = regexp.MustCompile(`(?m)^(?:instance|original|quarantine) .*?parser_version=(\d+)`)
	rowParsers = regexp.MustCompile(` (parser_version|located_version)=\d+`)
	recordIDs  = regexp.MustCompile(` (described_by|located_by)="[^"]*"`)
)

// versionsOf counts the rows of an index by the parsers that described them.
func versionsOf(dump string) map[string]int {
	count := map[string]int{}
	for _, row := range rowVersion.FindAllStringSubmatch(dump, -1) {
		count[row[1]]++
	}
	return count
}

// TestReprocess is F15 with the real binary. A node of the release before has objects of every fate. A newer one takes
// its place, reads everything again while devices send by all doors, is killed in the middle, and goes on at its next
// start. Then the older release comes back, takes objects in, and reads everything again in its turn. In the end all
// is as the newest parsers read it, whatever people decided holds, everything acknowledged is there once, and log and
// blobs each make the same index.
func TestReprocess(t *testing.T) {
	t.Parallel()
	s := *seed
	if s == 0 {
		s = rand.Uint64()
	}
	t.Logf("repeat with -seed %d", s)
	dir, bin := t.TempDir(), testnode.Binary(t)
	l := &ledger{acked: map[int]bool{}, sent: map[int]object{}, next: 40_000}
	launch := func(flags ...string) *testnode.Node {
		t.Helper()
		n, err := testnode.Launch(bin, dir, flags...)
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(n.Kill)
		return n
	}
	stop := func(n *testnode.Node) {
		t.Helper()
		if err := n.Stop(); err != nil {
			t.Errorf("the node ended with %v\n%s", err, n.Log())
		}
	}

	old := launch(releaseBefore)
	f := furnishOn(t, old)
	for i := range 3 {
		upload(t, old, recordingOf(i))
	}
	end := load(t, old, l, s)
	until(t, "objects of the old release", func() bool { return l.acknowledged() >= 150 })
	end()
	old.Get(t, "/dicom-web/studies?limit=1") // a reader waits for the index
	stop(old)
	decided := decisionsOf(t, dir)
	if v := versionsOf(dump(t, dir)); len(v) != 1 || v["0"] < 150 {
		t.Fatalf("rows by version of parsers: %v", v)
	}

	n := launch()
	end = load(t, n, l, s+1)
	c := begin(t, "reprocess", "--server", n.URL, "--rate", "60", "--patience", "1s")
	until(t, "a part of the job", func() bool { return jobOf(t, n).Done >= 40 })
	n.Kill()
	end()
	if code := c.wait(t); code != 1 || !strings.Contains(c.err.String(), "goes on by itself") {
		t.Errorf("the command beside a node that died: exit %d, %s", code, c.err.String())
	}
	n = launch()
	end = load(t, n, l, s+2)
	before := jobOf(t, n)
	if before.State != reprocess.StateRunning || before.Resumed != 1 || before.Objects >= 0 && before.Done >= before.Objects {
		t.Errorf("after the crash: %+v", before)
	}
	r := reprocessed(t, "--server", n.URL, "--rate", "0") // follows what runs
	end()
	if r.ID != before.ID || r.State != reprocess.StateDone || r.Trouble() != 0 || r.Done < r.Objects || r.ParserVersion != 1 {
		t.Errorf("%+v", r)
	}
	if again := reprocessed(t, "--server", n.URL); again.Done != 0 {
		t.Errorf("there was something left: %+v", again)
	}
	stop(n)
	newest := versionsOf(dump(t, dir))
	if len(newest) != 1 || newest["1"] == 0 {
		t.Errorf("rows by version of parsers: %v", newest)
	}

	// The release before comes back, and writes what it has to say about everything.
	old = launch(releaseBefore)
	end = load(t, old, l, s+3)
	said := reprocessed(t, "--server", old.URL, "--force", "--rate", "0", "--bandwidth", "0")
	end()
	if said.Written < 150 || said.ParserVersion != 0 {
		t.Errorf("%+v", said)
	}
	stop(old)
	if v := versionsOf(dump(t, dir)); v["1"] < newest["1"] || v["0"] == 0 {
		t.Errorf("rows by version of parsers: %v, before %v", v, newest)
	}
	dry := reprocessed(t, "--data", dir, "--dry-run") // which brings the index up to the log
	late := versionsOf(dump(t, dir))["0"]
	if dry.Objects != int64(late) || dry.Done != dry.Objects || dry.Written != 0 {
		t.Errorf("dry, with %d rows of the old release: %+v", late, dry)
	}
	if done := reprocessed(t, "--data", dir); done.Written != int64(late) || done.State != reprocess.StateDone {
		t.Errorf("without a node, with %d rows of the old release: %+v", late, done)
	}

	want := dump(t, dir)
	if v := versionsOf(want); len(v) != 1 || v["1"] == 0 {
		t.Errorf("rows by version of parsers: %v", v)
	}
	if now := decisionsOf(t, dir); !maps.Equal(now, decided) {
		t.Errorf("decided on: %v\nwas %v", now, decided)
	}
	if code, report := fsck(t, dir, "--full"); code != 0 || len(report.Counts) > 0 {
		t.Errorf("fsck: exit %d, %+v", code, report)
	}
	reindex(t, dir)
	if got := dump(t, dir); got != want {
		t.Errorf("from the log:\n%s", difference(want, got))
	}
	n = launch()
	if _, body := n.Get(t, "/quarantine"); !bytes.Contains(body, []byte(f.quarantined)) {
		t.Errorf("quarantine: %s", body)
	}
	l.mu.Lock()
	for number, o := range l.sent {
		got, code := retrieve(t, n, o)
		switch {
		case code == http.StatusNotFound && !l.acked[number]:
		case code != http.StatusOK || !bytes.HasSuffix(got, o.dataset()):
			t.Errorf("object %d, acknowledged %v: status %d, %d bytes", number, l.acked[number], code, len(got))
		default:
			var rows []json.RawMessage
			_, body := n.Get(t, "/dicom-web/instances?SOPInstanceUID="+o.instance())
			if err := json.Unmarshal(body, &rows); err != nil || len(rows) != 1 {
				t.Errorf("object %d is in the index %d times (%v)", number, len(rows), err)
			}
		}
	}
	l.mu.Unlock()
	stop(n)

	put(t, dir, "index.db", nil)
	put(t, dir, "log.db", nil)
	if r := reindex(t, dir, "--from", "blobs"); r.Blobs.Failed != 0 {
		t.Errorf("%+v", r)
	}
	if got := recordIDs.ReplaceAllString(dump(t, dir), ""); got != recordIDs.ReplaceAllString(want, "") {
		t.Errorf("from the blobs:\n%s", difference(recordIDs.ReplaceAllString(want, ""), got))
	}
}

// recordingOf is a short recording in SCP-ECG, another one for each number.
func recordingOf(number int) []byte {
	r := &scptest.Record{
		Default: true, Encoding: 1,
		Tags: []scptest.Tag{scptest.Text(0, "Zhang"), scptest.Text(2, fmt.Sprintf("P%d", number)), scptest.Date(25, 2026, 3, 4)},
	}
	for id := byte(1); id <= 2; id++ {
		r.Leads = append(r.Leads, scptest.Lead{ID: id, Samples: make([]int16, 1000)})
	}
	return r.Bytes()
}

// difference is the first lines that only one of two dumps has.
func difference(want, got string) string {
	count := map[string]int{}
	for line := range strings.Lines(want) {
		count[line]++
	}
	for line := range strings.Lines(got) {
		count[line]--
	}
	var out []string
	for line, n := range count {
		if n != 0 && len(out) < 6 {
			out = append(out, fmt.Sprintf("%+d %.600s", -n, line))
		}
	}
	return strings.Join(out, "\n")
}

// decisionsOf is what people decided, and which versions readers see, by the index of a stopped node.
func decisionsOf(t *testing.T, dir string) map[string]bool {
	t.Helper()
	found := map[string]bool{}
	versions := regexp.MustCompile(`^instance .*sop_instance_uid="(1\.2\.826\.0\.1\.3680043\.10\.1\.80\d+\.1)"( superseded=)?.*object_id="([^"]*)"`)
	for line := range strings.Lines(dump(t, dir)) {
		if strings.HasPrefix(line, "decision ") || strings.HasPrefix(line, "conflict ") {
			found[line] = true
		}
		if m := versions.FindStringSubmatch(line); m != nil {
			found[fmt.Sprintf("%s %s current %v", m[1], m[3], m[2] == "")] = true
		}
	}
	return found
}

// TestReprocessCommand: what the command and its endpoint say to people and programs.
func TestReprocessCommand(t *testing.T) {
	dir := t.TempDir()
	n := testnode.Start(t, dir, releaseBefore)
	for i := range 8 {
		upload(t, n, object{number: 41_000 + i, pixels: 512}.file())
	}
	cut := object{number: 41_050, pixels: 4096}.file()
	upload(t, n, cut[:len(cut)-100])
	if err := n.Stop(); err != nil {
		t.Fatal(err)
	}
	for _, c := range []struct {
		args []string
		code int
		want string
	}{
		{[]string{"--help"}, 0, "--dry-run"},
		{[]string{"--data", filepath.Join(dir, "none")}, 1, "no log"},
		{[]string{"--data", dir, "--kind", "study"}, 2, "kind"},
		{[]string{"--data", dir, "--reason", "because"}, 2, "reason"},
		{[]string{"--data", dir, "--from", "yesterday"}, 2, "--from"},
		{[]string{"--data", dir, "--bandwidth", "fast"}, 2, "--bandwidth"},
		{[]string{"--data", dir, "--older-than", "99"}, 2, "version 1"},
		{[]string{"--data", dir, "--parallel", "99"}, 2, "16"},
		{[]string{"--data", dir, "--stop"}, 2, "--server"},
		{[]string{"--data", dir, "--log", "kafka://127.0.0.1:1/x"}, 2, "--server"},
		{[]string{"--server", "http://127.0.0.1:1", "--patience", "1ms"}, 1, "does not answer"},
		{[]string{"--data", dir, "--dry-run", "--quiet"}, 0, "9 objects"},
		{[]string{"--data", dir, "--study", object{number: 41_000}.study(), "--modality", "US", "--sop-class", usStorage, "--format", "dicom", "--to", "2099-01-01", "--dry-run"}, 0, "8 objects"},
		{[]string{"--data", dir, "--reason", "truncated", "--quiet", "--rate", "100", "--bandwidth", "10MiB"}, 0, "1  stay in quarantine"},
		{[]string{"--data", dir}, 0, "8  are described as before"},
		{[]string{"--data", dir}, 0, "reprocessed 0 objects"},
	} {
		code, out, stderr := run(t, append([]string{"reprocess"}, c.args...)...)
		if code != c.code || !strings.Contains(out+stderr, c.want) {
			t.Errorf("%q: exit %d\n%s%s\nwant %d and %q", c.args, code, out, stderr, c.code, c.want)
		}
		if strings.Contains(out+stderr, "Zhang") || strings.Contains(out+stderr, "张") {
			t.Errorf("%q names a patient:\n%s%s", c.args, out, stderr)
		}
	}

	n = testnode.Start(t, dir, releaseAfter)
	if code, _, stderr := run(t, "reprocess", "--data", dir); code != 1 || !strings.Contains(stderr, "--server") {
		t.Errorf("beside a node: exit %d, %s", code, stderr)
	}
	send := func(method, kind, body string) (int, string) {
		t.Helper()
		req, err := http.NewRequestWithContext(t.Context(), method, n.URL+"/reprocess", strings.NewReader(body))
		if err != nil {
			t.Fatal(err)
		}
		req.Header.Set("Content-Type", kind)
		resp, err := http.DefaultClient.Do(req)
		if err != nil {
			t.Fatal(err)
		}
		defer resp.Body.Close()
		text, err := io.ReadAll(resp.Body)
		if err != nil {
			t.Fatal(err)
		}
		return resp.StatusCode, string(text)
	}
	const slow = `{"speed":{"objects_per_second":0.5},"force":true}`
	for _, c := range []struct {
		method, kind, body string
		code               int
		want               string
	}{
		{"PUT", "application/json", "{}", 405, "DELETE"},
		{"POST", "text/plain", "{}", 415, "application/json"},
		{"POST", "application/json", "{", 400, "error"},
		{"POST", "application/json", `{"studys":["1.2"]}`, 400, "studys"},
		{"POST", "application/json", `{} {}`, 400, "one JSON"},
		{"POST", "application/json", `{"studies":["x"]}`, 400, "Study Instance UID"},
		{"POST", "application/json", `{"studies":["` + strings.Repeat("1", 70<<10) + `"]}`, 400, "large"},
		{"POST", "application/json", `{"speed":{"parallel":-1}}`, 400, "16"},
		{"POST", "application/json; charset=utf-8", slow, 202, `"running"`},
		{"POST", "application/json", slow, 202, `"running"`},
		{"POST", "application/json", "{}", 409, "another selection"},
		{"GET", "", "", 200, `"running"`},
	} {
		if code, body := send(c.method, c.kind, c.body); code != c.code || !strings.Contains(body, c.want) {
			t.Errorf("%s %.60s: %d %s, want %d and %q", c.method, c.body, code, body, c.code, c.want)
		}
	}
	if code, _, stderr := run(t, "reprocess", "--server", n.URL); code != 1 || !strings.Contains(stderr, "another selection") {
		t.Errorf("beside another job: exit %d, %s", code, stderr)
	}
	if _, metrics := n.Get(t, "/metrics"); !bytes.Contains(metrics, []byte("tributary_reprocess_running 1")) {
		t.Error("/metrics does not tell of the job")
	}
	if code, out, stderr := run(t, "reprocess", "--server", n.URL, "--stop"); code != 0 || !strings.Contains(out, "stopped") {
		t.Errorf("--stop: exit %d, %s%s", code, out, stderr)
	}
	if code, out, stderr := run(t, "reprocess", "--server", n.URL, "--status", "--json"); code != 0 || !strings.Contains(out, `"stopped"`) {
		t.Errorf("--status: exit %d, %s%s", code, out, stderr)
	}
	// Who interrupts the command stops the job; the same command goes on.
	c := begin(t, "reprocess", "--server", n.URL, "--force", "--rate", "0.5")
	until(t, "the job", func() bool { return jobOf(t, n).State == reprocess.StateRunning })
	if err := c.cmd.Process.Signal(os.Interrupt); err != nil {
		t.Fatal(err)
	}
	if code := c.wait(t); code != 1 || !strings.Contains(c.err.String(), "goes on") {
		t.Errorf("interrupted: exit %d, %s", code, c.err.String())
	}
	stopped := jobOf(t, n)
	if stopped.State != reprocess.StateStopped {
		t.Errorf("%+v", stopped)
	}
	if r := reprocessed(t, "--server", n.URL, "--force", "--rate", "0"); r.ID != stopped.ID || r.Done != 9 || r.State != reprocess.StateDone || r.ParserVersion != 2 {
		t.Errorf("%+v", r)
	}
	if code, out, _ := run(t, "reprocess", "--server", n.URL, "--detach"); code != 0 || !strings.Contains(out, "begun") {
		t.Errorf("--detach: exit %d, %s", code, out)
	}
	until(t, "the detached job", func() bool { return jobOf(t, n).State == reprocess.StateDone })
}

// TestReprocessCounty reads everything again on shared engines: from a command beside the nodes, and by a node, while
// an intake of the release before takes objects in.
func TestReprocessCounty(t *testing.T) {
	c := newCounty(t)
	old := c.node(t, "intake,index", releaseBefore)
	reader := c.node(t, "index,derive,review")
	const many = 40
	for i := range many {
		upload(t, old, object{number: 42_000 + i, pixels: 4096}.file())
	}
	upload(t, old, recordingOf(9))
	findable(t, reader, many+1)

	c.s3.Setenv(t)
	beside := append([]string{"--data", t.TempDir(), "--quiet"}, c.flags...)
	r := reprocessed(t, beside...)
	if r.State != reprocess.StateDone || r.Written < many || r.Trouble() != 0 {
		t.Errorf("beside the nodes: %+v", r)
	}
	for i := range many {
		upload(t, old, object{number: 42_100 + i, pixels: 4096}.file())
	}
	findable(t, reader, 2*many+1)
	r = reprocessed(t, "--server", reader.URL)
	if r.State != reprocess.StateDone || r.Written != many || r.Trouble() != 0 {
		t.Errorf("by a node: %+v", r)
	}
	if again := reprocessed(t, beside...); again.Done != 0 {
		t.Errorf("there was something left: %+v", again)
	}
	text := (servers{index: c.flags[len(c.flags)-1]}).dump(t)
	if v := versionsOf(text); v["1"] != 2*many+2 || len(v) != 1 {
		t.Errorf("rows by version of parsers: %v", v)
	}
	if code, report := fsck(t, t.TempDir(), append([]string{"--full", "--settle", "0s"}, c.flags...)...); code != 0 || len(report.Counts) > 0 {
		t.Errorf("fsck: exit %d, %+v", code, report)
	}
}
