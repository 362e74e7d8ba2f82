// Package testnode runs the real binary for tests: built once, on free ports, in a folder of its own,
// killed and restarted at will.
package testnode

import (
	"bufio"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"
)

// startTimeout bounds how long a node may take from exec to ready. Generous: test machines are shared.
const startTimeout = 60 * time.Second

var build = sync.OnceValues(func() (string, error) {
	dir, err := os.MkdirTemp("", "tributary-bin-")
	if err != nil {
		return "", err
	}
	bin := filepath.Join(dir, "tributary")
	cmd := exec.CommandContext(context.Background(), "go", "build", "-o", bin, "github.com/tributary-dicom/tributary/cmd/tributary")
	cmd.Env = append(os.Environ(), "CGO_ENABLED=0")
	if out, err := cmd.CombinedOutput(); err != nil {
		return "", fmt.Errorf("build tributary: %w\n%s", err, out)
	}
	return bin, nil
})

// Binary returns the path of a freshly built binary.
func Binary(t testing.TB) string {
	t.Helper()
	bin, err := build()
	if err != nil {
		t.Fatal(err)
	}
	return bin
}

// Node is a running server process.
type Node struct {
	URL   string // "http://127.0.0.1:PORT"
	DICOM string // "127.0.0.1:PORT"
	AET   string
	Dir   string // the data folder
	PID   int

	cmd    *exec.Cmd
	logs   *tail
	errors *tail
	done   chan error
}

// Start runs a node over dir, which may hold an earlier node's data, and waits until it is ready. The
// node is killed when the test ends.
func Start(t testing.TB, dir string, flags ...string) *Node {
	t.Helper()
	n, err := Launch(Binary(t), dir, flags...)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		n.Kill()
		if t.Failed() {
			t.Logf("last lines of the node's log:\n%s", n.Log())
		}
	})
	return n
}

// Launch is Start without a test.
func Launch(bin, dir string, flags ...string) (*Node, error) {
	n := &Node{AET: "TRIBUTARY", Dir: dir, logs: &tail{}, errors: &tail{}, done: make(chan error, 1)}
	args := append([]string{"serve", "--data", dir, "--http", "127.0.0.1:0", "--dicom", "127.0.0.1:0", "--log-format", "json"}, flags...)
	n.cmd = exec.CommandContext(context.Background(), bin, args...)
	// Records of complete studies come when a test asks for them with --quiet-period, not when a machine is slow.
	n.cmd.Env = append([]string{"TRIBUTARY_QUIET_PERIOD=*=24h"}, os.Environ()...)
	n.cmd.Stdout = io.Discard
	stderr, err := n.cmd.StderrPipe()
	if err != nil {
		return nil, err
	}
	if err := n.cmd.Start(); err != nil {
		return nil, err
	}
	n.PID = n.cmd.Process.Pid
	ready := make(chan struct{})
	go func() {
		lines := bufio.NewScanner(stderr)
		lines.Buffer(nil, 1<<20)
		for lines.Scan() {
			n.logs.add(lines.Text())
			var rec struct{ Level, Msg, HTTP, DICOM string }
			if json.Unmarshal(lines.Bytes(), &rec) == nil && rec.Level == "ERROR" {
				n.errors.add(lines.Text())
			}
			if n.URL == "" && rec.Msg == "ready" {
				n.URL, n.DICOM = "http://"+rec.HTTP, rec.DICOM
				close(ready)
			}
		}
		n.done <- n.cmd.Wait()
	}()
	select {
	case <-ready:
		return n, nil
	case err := <-n.done:
		n.done <- err
		return nil, fmt.Errorf("the node ended before it was ready: %w\n%s", err, n.Log())
	case <-time.After(startTimeout):
		n.Kill()
		return nil, fmt.Errorf("the node was not ready within %v\n%s", startTimeout, n.Log())
	}
}

// Kill ends the process with SIGKILL and waits for it.
func (n *Node) Kill() { _ = n.end(syscall.SIGKILL) }

// Stop ends the process with SIGTERM and returns how it exited.
func (n *Node) Stop() error { return n.end(syscall.SIGTERM) }

func (n *Node) end(sig syscall.Signal) error {
	_ = n.cmd.Process.Signal(sig) // it may be gone already
	err := <-n.done
	n.done <- err
	return err
}

// Log returns the last lines that the node logged.
func (n *Node) Log() string { return n.logs.String() }

// Errors returns the last lines of level ERROR that the node logged.
func (n *Node) Errors() string { return n.errors.String() }

// Get fetches a path and returns status and body.
func (n *Node) Get(t testing.TB, path string) (int, []byte) {
	t.Helper()
	req, err := http.NewRequestWithContext(t.Context(), http.MethodGet, n.URL+path, nil)
	if err != nil {
		t.Fatal(err)
	}
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	body, err := io.ReadAll(resp.Body)
	if err != nil {
		t.Fatal(err)
	}
	return resp.StatusCode, body
}

// PeakRSS returns the process's peak resident memory in bytes (VmHWM), Linux only.
func (n *Node) PeakRSS() (int64, error) { return procStatus(n.PID, "VmHWM:") }

// ResetPeakRSS makes PeakRSS start again from what is resident now.
func (n *Node) ResetPeakRSS() error {
	return os.WriteFile(fmt.Sprintf("/proc/%d/clear_refs", n.PID), []byte("5"), 0o600)
}

func procStatus(pid int, field string) (int64, error) {
	text, err := os.ReadFile(fmt.Sprintf("/proc/%d/status", pid))
	if err != nil {
		return 0, err
	}
	for line := range strings.Lines(string(text)) {
		if rest, ok := strings.CutPrefix(line, field); ok {
			var kib int64
			if _, err := fmt.Sscan(rest, &kib); err != nil {
				return 0, err
			}
			return kib << 10, nil
		}
	}
	return 0, fmt.Errorf("no %s in /proc/%d/status", field, pid)
}

// Shared returns the folder of shared corpora: $TRIBUTARY_SHARED, or shared/ beside a parent of the
// working directory. It skips the test when there is none.
func Shared(t testing.TB) string {
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
		parent := filepath.Dir(dir)
		if parent == dir {
			t.Skip("no corpora: set TRIBUTARY_SHARED to the folder that holds corpora/")
		}
		dir = parent
	}
}

// Tool returns the path of a program. A missing one fails the test in CI and skips it elsewhere.
func Tool(t testing.TB, name string) string {
	t.Helper()
	path, err := exec.LookPath(name)
	if err != nil {
		if os.Getenv("CI") != "" {
			t.Fatalf("%s is not installed; scripts/test-deps.sh installs it", name)
		}
		t.Skipf("%s is not installed; scripts/test-deps.sh installs it", name)
	}
	return path
}

// tail keeps the last lines of a log.
type tail struct {
	mu    sync.Mutex
	lines []string
}

func (l *tail) add(line string) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.lines = append(l.lines, line); len(l.lines) > 60 {
		l.lines = l.lines[len(l.lines)-40:]
	}
}

func (l *tail) String() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return strings.Join(l.lines, "\n")
}
