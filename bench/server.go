package main

import (
	"context"
	"errors"
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"time"

	"github.com/tributary-dicom/tributary/dimse"
	"github.com/tributary-dicom/tributary/internal/testnode"
)

// server is a running child process and how to speak to it. An empty field is a service that it lacks.
type server struct {
	system string

	dicom, aet string // host:port and AE title
	http       string // host:port

	stowPath, uploadPath, tusPath string
	wado                          string // root of DICOMweb
	ping                          string // a GET that costs as little as one can
	stored                        string // what the answer to an upload contains when it is kept

	pid  int
	idle int64 // resident bytes when it was fresh
	stop func()
	said func() string // the end of its log; nil when nobody keeps it
}

// system is a kind of server that can be started on an empty folder.
type system struct {
	name  string
	start func(ctx context.Context, dir string, o startOptions) (*server, error)
}

// startOptions differ between workloads.
type startOptions struct {
	filling bool // objects only have to get in before something else is measured: durability may wait
}

// settle is how long a fresh server gets before its idle memory is read.
const settle = 400 * time.Millisecond

// systemNamed returns a system, or why it cannot run here.
func systemNamed(name, binary, shared string) (system, error) {
	switch name {
	case "tributary":
		return system{name, func(_ context.Context, dir string, _ startOptions) (*server, error) { return startNode(binary, dir) }}, nil
	case "shared":
		fresh := 0
		return system{name, func(_ context.Context, dir string, _ startOptions) (*server, error) {
			fresh++
			return startNode(binary, dir, strings.Fields(strings.ReplaceAll(shared, "NUMBER", strconv.Itoa(fresh)))...)
		}}, nil
	case "null":
		return system{name, func(_ context.Context, dir string, _ startOptions) (*server, error) { return startNull(dir) }}, nil
	case "storescp":
		path, err := exec.LookPath("storescp")
		return system{name, func(ctx context.Context, dir string, _ startOptions) (*server, error) {
			return startStorescp(ctx, path, dir)
		}}, err
	default:
		path, err := orthancPath()
		return system{name, func(ctx context.Context, dir string, o startOptions) (*server, error) {
			return startOrthanc(ctx, path, dir, o)
		}}, err
	}
}

// launch starts a system and notes its idle memory.
func (s system) launch(ctx context.Context, dir string, o startOptions) (*server, error) {
	srv, err := s.start(ctx, dir, o)
	if err != nil {
		return nil, fmt.Errorf("start %s: %w", s.name, err)
	}
	srv.system = s.name
	select {
	case <-ctx.Done():
		srv.stop()
		return nil, ctx.Err()
	case <-time.After(settle):
	}
	srv.idle = residentBytes(srv.pid)
	return srv, nil
}

func startNode(binary, dir string, flags ...string) (*server, error) {
	n, err := testnode.Launch(binary, filepath.Join(dir, "data"), flags...)
	if err != nil {
		return nil, err
	}
	return &server{
		dicom: n.DICOM, aet: n.AET, http: n.URL[len("http://"):],
		stowPath: "/dicom-web/studies", uploadPath: "/upload", tusPath: "/upload/tus/", wado: "/dicom-web", ping: "/healthz",
		stored: `"stored"`, pid: n.PID, said: n.Log,
		stop: func() {
			if err := n.Stop(); err != nil {
				fmt.Fprintln(os.Stderr, "bench: the node ended with", err)
			}
		},
	}, nil
}

// child starts a process whose output goes to dir/server.log, and returns how to end it.
func child(dir, path string, env []string, args ...string) (pid int, stop func(), err error) {
	log, err := os.Create(filepath.Join(dir, "server.log"))
	if err != nil {
		return 0, nil, err
	}
	cmd := exec.Command(path, args...) // ended by stop
	cmd.Stdout, cmd.Stderr, cmd.Env = log, log, append(os.Environ(), env...)
	err = cmd.Start()
	_ = log.Close() // the child has its own
	if err != nil {
		return 0, nil, err
	}
	return cmd.Process.Pid, func() { end(cmd) }, nil
}

// end kills a child: what it kept is thrown away anyway.
func end(cmd *exec.Cmd) {
	_ = cmd.Process.Kill() // it may be gone already
	_ = cmd.Wait()
}

// freePort returns a loopback port that nobody listens on at the moment.
func freePort() (int, error) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return 0, err
	}
	port := l.Addr().(*net.TCPAddr).Port
	return port, l.Close()
}

// startTimeout bounds how long a server may take to answer for the first time.
const startTimeout = 60 * time.Second

// answering waits until a DICOM server answers C-ECHO and, with a path, an HTTP server a GET.
func answering(ctx context.Context, s *server) error {
	ctx, cancel := context.WithTimeout(ctx, startTimeout)
	defer cancel()
	for {
		err := echo(ctx, s)
		if err == nil && s.ping != "" {
			err = get(ctx, s)
		}
		if err == nil {
			return nil
		}
		select {
		case <-ctx.Done():
			return errors.Join(errors.New("it did not answer"), err)
		case <-time.After(50 * time.Millisecond):
		}
	}
}

func echo(ctx context.Context, s *server) error {
	c, err := dimse.Dial(ctx, s.dicom, dimse.ClientConfig{
		CalledAE: s.aet, Contexts: []dimse.Proposal{{AbstractSyntax: dimse.Verification, TransferSyntaxes: []string{"1.2.840.10008.1.2"}}},
	})
	if err != nil {
		return err
	}
	if _, err := c.Echo(ctx); err != nil {
		return err
	}
	return c.Release(ctx)
}

func get(ctx context.Context, s *server) error {
	w, err := dialWire(ctx, s.http)
	if err != nil {
		return err
	}
	defer w.close()
	a, err := w.ask(ctx, "GET", s.ping, "", nil, true)
	if err != nil {
		return err
	}
	return a.expect(200)
}
