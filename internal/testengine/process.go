// Package testengine runs the engines of production for tests: each a real server in a process of its own,
// on a free port of loopback, in a folder of its own, killed and started again at will. A machine that
// lacks one skips the tests that need it, and says so; under CI=true they fail.
package testengine

import (
	"context"
	"errors"
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"sync"
	"syscall"
	"testing"
	"time"
)

// startTimeout bounds how long an engine may take from exec to answering. Generous: test machines are shared.
const startTimeout = 60 * time.Second

// Missing skips a test whose engine the machine lacks, with what to install; under CI it fails.
func Missing(t testing.TB, format string, args ...any) {
	t.Helper()
	if os.Getenv("CI") != "" {
		t.Fatalf(format, args...)
	}
	t.Skipf(format, args...)
}

// process is a server that can be killed and started again with the same command line.
type process struct {
	name    string
	command func() *exec.Cmd
	ready   func(ctx context.Context) error // nil when the server answers

	mu   sync.Mutex
	cmd  *exec.Cmd
	done chan error
	log  string // file with what it printed
}

// start runs the server and waits until it is ready.
func (p *process) start() error {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.cmd != nil {
		return errors.New(p.name + " runs already")
	}
	out, err := os.OpenFile(p.log, os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o600)
	if err != nil {
		return err
	}
	defer out.Close()
	cmd := p.command()
	cmd.Stdout, cmd.Stderr = out, out
	// The server dies with the test binary, and a signal to its group reaches its children too.
	cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true, Pdeathsig: syscall.SIGKILL}
	if err := cmd.Start(); err != nil {
		return fmt.Errorf("start %s: %w", p.name, err)
	}
	done := make(chan error, 1)
	go func() { done <- cmd.Wait() }()
	ctx, cancel := context.WithTimeout(context.Background(), startTimeout)
	defer cancel()
	for {
		err := p.ready(ctx)
		if err == nil {
			p.cmd, p.done = cmd, done
			return nil
		}
		select {
		case exit := <-done:
			return fmt.Errorf("%s ended at its start: %w\n%s", p.name, exit, p.tail())
		case <-ctx.Done():
			syscall.Kill(-cmd.Process.Pid, syscall.SIGKILL) //nolint:errcheck // it may be gone
			<-done
			return fmt.Errorf("%s did not answer: %w\n%s", p.name, err, p.tail())
		case <-time.After(20 * time.Millisecond):
		}
	}
}

// signal sends sig to the server and its children. With wait it returns when the server has ended.
func (p *process) signal(sig syscall.Signal, wait bool) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.cmd == nil {
		return
	}
	syscall.Kill(-p.cmd.Process.Pid, sig) //nolint:errcheck // it may be gone
	if wait {
		<-p.done
		p.cmd = nil
	}
}

// tail returns the end of what the server printed.
func (p *process) tail() string {
	text, _ := os.ReadFile(p.log)
	return string(text[max(0, len(text)-4096):])
}

// FreePort returns a port of loopback that nobody listens at.
func FreePort(t testing.TB) int {
	t.Helper()
	l, err := new(net.ListenConfig).Listen(t.Context(), "tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	return l.Addr().(*net.TCPAddr).Port
}

// listening returns nil when something accepts at addr.
func listening(ctx context.Context, addr string) error {
	conn, err := new(net.Dialer).DialContext(ctx, "tcp", addr)
	if err != nil {
		return err
	}
	return conn.Close()
}

var (
	builds   sync.Mutex
	binaries = map[string]string{}
)

// build compiles a server from internal/testengines, whose module keeps test servers out of the product's
// dependencies, once a test binary. The go command's cache makes the second time quick.
func build(pkg string) (string, error) {
	builds.Lock()
	defer builds.Unlock()
	if bin, ok := binaries[pkg]; ok {
		return bin, nil
	}
	root, err := moduleRoot()
	if err != nil {
		return "", err
	}
	bin := filepath.Join(os.TempDir(), fmt.Sprintf("tributary-engines-%d", os.Getuid()), filepath.Base(pkg))
	if err := os.MkdirAll(filepath.Dir(bin), 0o755); err != nil {
		return "", err
	}
	// Packages are tested side by side: each builds a file of its own, and the last one stays.
	fresh := fmt.Sprintf("%s.%d", bin, os.Getpid())
	cmd := exec.CommandContext(context.Background(), "go", "build", "-o", fresh, pkg)
	cmd.Dir = filepath.Join(root, "internal", "testengines")
	cmd.Env = append(os.Environ(), "CGO_ENABLED=0", "GOWORK=off", "GOFLAGS=")
	if out, err := cmd.CombinedOutput(); err != nil {
		return "", fmt.Errorf("build %s: %w\n%s", pkg, err, out)
	}
	if err := os.Rename(fresh, bin); err != nil {
		return "", err
	}
	binaries[pkg] = bin
	return bin, nil
}

func moduleRoot() (string, error) {
	dir, err := os.Getwd()
	if err != nil {
		return "", err
	}
	for {
		if _, err := os.Stat(filepath.Join(dir, "internal", "testengines", "go.mod")); err == nil {
			return dir, nil
		}
		if filepath.Dir(dir) == dir {
			return "", errors.New("the module's folder is not above the working directory")
		}
		dir = filepath.Dir(dir)
	}
}
