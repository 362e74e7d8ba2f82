package e2e

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/tributary-dicom/tributary/fixtures"
	"github.com/tributary-dicom/tributary/internal/testnode"
)

// script is a Node.js client with what it prints. It is skipped, or fails in CI, where Node.js or the
// clients' packages are missing.
type script struct {
	cmd    *exec.Cmd
	lines  *bufio.Scanner
	stderr output
}

func startScript(t *testing.T, name string, args ...string) *script {
	t.Helper()
	node := testnode.Tool(t, "node")
	if _, err := os.Stat(filepath.Join("clients", "node_modules")); err != nil {
		const missing = "the clients' packages are missing; scripts/test-deps.sh installs them"
		if os.Getenv("CI") != "" {
			t.Fatal(missing)
		}
		t.Skip(missing)
	}
	ctx, cancel := context.WithTimeout(t.Context(), toolTimeout)
	t.Cleanup(cancel)
	s := &script{cmd: exec.CommandContext(ctx, node, append([]string{filepath.Join("clients", name)}, args...)...)}
	s.cmd.Stderr = &s.stderr
	out, err := s.cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	s.lines = bufio.NewScanner(out)
	if err := s.cmd.Start(); err != nil {
		t.Fatal(err)
	}
	return s
}

// end reads what is left and waits for success. It returns the last line.
func (s *script) end(t *testing.T) (last string) {
	t.Helper()
	for s.lines.Scan() {
		last = s.lines.Text()
	}
	if err := s.cmd.Wait(); err != nil {
		t.Fatalf("%v: %v\n%s\n%s", s.cmd.Args[1:], err, last, s.stderr.String())
	}
	return last
}

// TestDicomwebClient plays a viewer with the client that OHIF uses: stills, loops, an ECG, its report and its
// picture of one Chinese patient, found and retrieved in every way that the client knows.
func TestDicomwebClient(t *testing.T) {
	t.Parallel()
	n := testnode.Start(t, filepath.Join(t.TempDir(), "data"))
	objects := written(t, examination(fixtures.Village(31, 1)[0], "viewer")...)
	args := []string{n.URL + "/dicom-web"}
	dir := t.TempDir()
	frames := 0
	for i, o := range objects {
		path := filepath.Join(dir, fmt.Sprintf("%d.dcm", i))
		if err := os.WriteFile(path, o.file, 0o600); err != nil {
			t.Fatal(err)
		}
		args = append(args, path)
		if o.Frames > 0 {
			ways := 2 // as application/octet-stream with and without a transfer syntax
			if o.TransferSyntaxUID == "1.2.840.10008.1.2.4.50" {
				ways++
			}
			frames += ways * (1 + o.Frames + min(o.Frames, 2))
		}
	}
	if last := startScript(t, "dicomweb.mjs", args...).end(t); last != fmt.Sprintf("%d instances in 5 series, %d frames", len(objects), frames) {
		t.Errorf("the client says %q; %d instances, %d frames", last, len(objects), frames)
	}
	for _, o := range objects {
		if got, status := storedFile(t, n, o.path()); status != http.StatusOK || !bytes.Equal(got, o.file) {
			t.Errorf("%s: status %d, or other bytes", o.Name, status)
		}
	}
}

// TestTusClient uploads with the reference client, which pauses, is killed and started again, and goes on
// after the node was killed in the middle and started again.
func TestTusClient(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "data")
	address, args := serveArgs(t, dir)
	n := &testnode.Node{URL: "http://" + address}
	o := object{number: 7100, pixels: 24 << 20}
	path, state := filepath.Join(t.TempDir(), "study.dcm"), filepath.Join(t.TempDir(), "state.json")
	if err := os.WriteFile(path, o.file(), 0o600); err != nil {
		t.Fatal(err)
	}
	node := begin(t, args...)
	node.ready(t, address)

	startScript(t, "tus.mjs", n.URL+"/upload/tus/", path, state, "0.3").end(t) // dies at 30 %

	s := startScript(t, "tus.mjs", n.URL+"/upload/tus/", path, state)
	killed, resumed := false, false
	var last string
	for s.lines.Scan() {
		last = s.lines.Text()
		var accepted, total int64
		if last == "resumed" {
			resumed = true
		} else if k, _ := fmt.Sscanf(last, "chunk %d %d", &accepted, &total); k == 2 {
			if accepted < total*3/10 {
				t.Errorf("the second run began again at %d of %d", accepted, total)
			}
			if !killed && accepted >= total/2 {
				killed = true
				if err := node.cmd.Process.Kill(); err != nil {
					t.Fatal(err)
				}
				<-node.done
				node = begin(t, args...)
				node.ready(t, address)
			}
		}
	}
	if err := s.cmd.Wait(); err != nil {
		t.Fatalf("the client: %v\n%s\n%s", err, last, s.stderr.String())
	}
	if !killed || !resumed {
		t.Fatalf("killed the node: %v, resumed: %v", killed, resumed)
	}
	var id, where string
	if k, err := fmt.Sscanf(last, "receipt %s %s", &id, &where); k != 2 {
		t.Fatalf("%q: %v", last, err)
	}
	resp, err := http.Get(where + "/receipt")
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	body, err := io.ReadAll(resp.Body)
	if err != nil {
		t.Fatal(err)
	}
	var rec struct {
		ID, Status, SHA256, Instance string
		Bytes                        int64
	}
	if err := json.Unmarshal(body, &rec); err != nil || resp.StatusCode != http.StatusOK {
		t.Fatalf("receipt: %d %s", resp.StatusCode, body)
	}
	if file := o.file(); rec.ID != id || rec.Status != "stored" || rec.SHA256 != sumOf(file) || rec.Bytes != int64(len(file)) || rec.Instance != o.instance() {
		t.Errorf("receipt: %s, the client has %s", body, id)
	}
	if strings.Contains(node.err.String(), "panic") {
		t.Errorf("the node's log:\n%s", node.err.String())
	}
	checkObjects(t, n, o)
}
