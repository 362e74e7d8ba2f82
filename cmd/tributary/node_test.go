package main

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"io"
	"log/slog"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/tributary-dicom/tributary/fixtures"
	"github.com/tributary-dicom/tributary/pipeline/eventlog"
)

// running is a node in this process.
type running struct {
	*node
	url   string
	stop  context.CancelFunc
	ended chan error
}

// configure is what a node over dir is told.
func configure(t *testing.T, dir string) nodeConfig {
	t.Helper()
	flags := flagDefaults(t)
	flags.Data, flags.HTTP, flags.DICOM = dir, "127.0.0.1:0", "127.0.0.1:0"
	cfg, err := flags.nodeConfig(flags.engineFlags, slog.New(slog.DiscardHandler))
	if err != nil {
		t.Fatal(err)
	}
	return cfg
}

// start runs a node over dir until the test ends.
func start(t *testing.T, dir string) *running {
	t.Helper()
	n, err := openNode(t.Context(), configure(t, dir))
	if err != nil {
		t.Fatal(err)
	}
	return serve(t, n)
}

func serve(t *testing.T, n *node) *running {
	ctx, stop := context.WithCancel(context.WithoutCancel(t.Context()))
	r := &running{n, "http://" + n.httpListener.Addr().String(), stop, make(chan error, 1)}
	go func() { r.ended <- n.serve(ctx) }()
	t.Cleanup(func() { _ = r.end() })
	return r
}

// end stops the node, if it runs, and returns how it ended.
func (r *running) end() error {
	r.stop()
	err := <-r.ended
	r.ended <- err
	return err
}

func (r *running) do(t *testing.T, method, path string, body io.Reader) (int, []byte) {
	t.Helper()
	req, err := http.NewRequestWithContext(t.Context(), method, r.url+path, body)
	if err != nil {
		t.Fatal(err)
	}
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	answer, err := io.ReadAll(resp.Body)
	if err != nil {
		t.Fatal(err)
	}
	return resp.StatusCode, answer
}

// studies is how many studies readers find.
func (r *running) studies(t *testing.T) int {
	t.Helper()
	status, body := r.do(t, http.MethodGet, "/dicom-web/studies", nil)
	var rows []json.RawMessage
	if status == http.StatusNoContent {
		return 0
	}
	if err := json.Unmarshal(body, &rows); err != nil || status != http.StatusOK {
		t.Fatalf("%d %s: %v", status, body, err)
	}
	return len(rows)
}

// oneStudy is a node's data folder with one object in it.
func oneStudy(t *testing.T) (dir string) {
	t.Helper()
	dir = filepath.Join(t.TempDir(), "data")
	n := start(t, dir)
	var file bytes.Buffer
	if _, err := fixtures.Village(1, 1)[0].Studies()[0].Instances()[0].WriteTo(&file); err != nil {
		t.Fatal(err)
	}
	if status, body := n.do(t, http.MethodPost, "/upload", &file); status != http.StatusCreated {
		t.Fatalf("%d %s", status, body)
	}
	if got := n.studies(t); got != 1 {
		t.Fatalf("%d studies", got)
	}
	if err := n.end(); err != nil {
		t.Fatal(err)
	}
	return dir
}

func remove(t *testing.T, dir string, names ...string) {
	t.Helper()
	for _, name := range names {
		if err := os.Remove(filepath.Join(dir, name)); err != nil {
			t.Fatal(err)
		}
	}
}

// TestNodeEndsWithItsIndexStage: a node that cannot index must not stay up behind closed doors.
func TestNodeEndsWithItsIndexStage(t *testing.T) {
	n := start(t, t.TempDir())
	n.studies(t) // it is up
	if err := n.events.Close(); err != nil {
		t.Fatal(err)
	}
	err := <-n.ended
	n.ended <- err
	if !errors.Is(err, eventlog.ErrClosed) {
		t.Errorf("the node ended with %v, want %v", err, eventlog.ErrClosed)
	}
}

// TestNodeGetsOverALostLog: the blobs are all there, so each gets an event again; an index that has seen
// more than the log must not hide them.
func TestNodeGetsOverALostLog(t *testing.T) {
	for name, lost := range map[string][]string{
		"log":           {"log.db"},
		"log and index": {"log.db", "index.db"},
		"index":         {"index.db"},
	} {
		t.Run(name, func(t *testing.T) {
			dir := oneStudy(t)
			remove(t, dir, lost...)
			n := start(t, dir)
			if status, body := n.do(t, http.MethodGet, "/readyz", nil); status != http.StatusOK {
				t.Fatalf("%d %s", status, body)
			}
			if got := n.studies(t); got != 1 {
				t.Errorf("%d studies, want 1", got)
			}
		})
	}
}

func TestNodeAnswersToItsOwnNameOnly(t *testing.T) {
	n := start(t, t.TempDir())
	req, err := http.NewRequestWithContext(t.Context(), http.MethodGet, n.url+"/dicom-web/studies", nil)
	if err != nil {
		t.Fatal(err)
	}
	req.Host = "evil.example"
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	if resp.StatusCode != http.StatusMisdirectedRequest {
		t.Errorf("%s", resp.Status)
	}
}

func TestDoorsSayWhereToGo(t *testing.T) {
	n := start(t, t.TempDir())
	status, body := n.do(t, http.MethodGet, "/", nil)
	for _, want := range []string{
		n.cfg.Data, "dicom://TRIBUTARY@" + n.dicomListener.Addr().String(), n.url + "/dicom-web/studies",
		n.url + "/upload", n.url + "/upload/tus/", n.url + "/quarantine", n.url + "/conflicts", n.url + "/events", n.url + "/readyz", n.url + "/metrics",
	} {
		if status != http.StatusOK || !strings.Contains(string(body), want) {
			t.Errorf("%q is not in:\n%s", want, body)
		}
	}
	for _, path := range []string{"/healthz", "/readyz", "/metrics", "/quarantine", "/conflicts", "/dicom-web/studies"} {
		if status, body := n.do(t, http.MethodGet, path, nil); status != http.StatusOK && status != http.StatusNoContent {
			t.Errorf("GET %s: %d %s", path, status, body)
		}
	}
	if status, _ := n.do(t, http.MethodGet, "/nothing", nil); status != http.StatusNotFound {
		t.Errorf("GET /nothing: %d", status)
	}
}

// TestNodeLocksItsFolder: two nodes over one folder would tear it.
func TestNodeLocksItsFolder(t *testing.T) {
	n := start(t, t.TempDir())
	second := n.cfg
	if again, err := openNode(t.Context(), second); err == nil {
		t.Error("a second node opened the same folder", again.close())
	} else if !strings.Contains(err.Error(), "stop that process or choose another folder") {
		t.Errorf("%v does not say what to do", err)
	}
}
