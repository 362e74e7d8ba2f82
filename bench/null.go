package main

import (
	"bufio"
	"context"
	"crypto/sha256"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"mime"
	"mime/multipart"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"sync/atomic"

	"github.com/tributary-dicom/tributary/dimse"
)

// nullCommand is the first argument of the child that serves the null intakes.
const nullCommand = "null-intake"

// nullStore is all that an intake of one file an object must do: stream to a temporary file, hash, sync,
// rename, sync the folder. Nothing is parsed, indexed or announced.
type nullStore struct {
	dir string
	n   atomic.Int64
}

// keep stores what copy writes.
func (s *nullStore) keep(copy func(w io.Writer) error) error {
	name := filepath.Join(s.dir, strconv.FormatInt(s.n.Add(1), 10))
	f, err := os.Create(name + ".tmp")
	if err != nil {
		return err
	}
	hash := sha256.New()
	err = copy(io.MultiWriter(f, hash))
	if err == nil {
		err = f.Sync()
	}
	if err = errors.Join(err, f.Close()); err != nil {
		return err
	}
	if err := os.Rename(name+".tmp", fmt.Sprintf("%s.%x", name, hash.Sum(nil)[:8])); err != nil {
		return err
	}
	return syncFolder(s.dir)
}

func syncFolder(dir string) error {
	d, err := os.Open(dir)
	if err != nil {
		return err
	}
	return errors.Join(d.Sync(), d.Close())
}

// ServeDIMSE keeps the data set of a C-STORE.
func (s *nullStore) ServeDIMSE(_ context.Context, w dimse.ResponseWriter, m *dimse.Message) error {
	if m.Data != nil {
		err := s.keep(func(w io.Writer) error {
			_, err := io.Copy(w, m.Data) // m.Data writes itself, piece by piece
			return err
		})
		if err != nil {
			return err
		}
	}
	return w.Status(dimse.StatusSuccess, "")
}

// ServeHTTP keeps a body, or each part of a multipart body, and answers as STOW-RS does, so far as the
// clients look. A GET is answered at once.
func (s *nullStore) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	if r.Method == http.MethodGet {
		_, _ = io.WriteString(w, "null\n")
		return
	}
	kept, err := s.body(r)
	switch {
	case err != nil:
		http.Error(w, err.Error(), http.StatusInternalServerError)
	case kept == 1:
		_, _ = io.WriteString(w, `{"00081199":{"vr":"SQ","Value":[{}]},"stored":{}}`)
	default:
		_, _ = fmt.Fprintf(w, `{"00081199":{"vr":"SQ","Value":[%s]}}`, strings.TrimSuffix(strings.Repeat("{},", kept), ","))
	}
}

func (s *nullStore) body(r *http.Request) (kept int, err error) {
	kind, params, err := mime.ParseMediaType(r.Header.Get("Content-Type"))
	if err != nil {
		return 0, err
	}
	room := make([]byte, 256<<10)
	one := func(part io.Reader) error {
		return s.keep(func(w io.Writer) error {
			_, err := io.CopyBuffer(w, struct{ io.Reader }{part}, room)
			return err
		})
	}
	if kind != "multipart/related" {
		return 1, one(r.Body)
	}
	parts := multipart.NewReader(bufio.NewReaderSize(r.Body, len(room)), params["boundary"])
	for {
		part, err := parts.NextRawPart()
		if err == io.EOF {
			return kept, nil
		}
		if err != nil {
			return kept, err
		}
		if err := one(part); err != nil {
			return kept, err
		}
		kept++
	}
}

// nullAddresses is what the child says when it serves.
type nullAddresses struct{ HTTP, DICOM string }

// serveNull is the child: both intakes until its input ends, which it does when the parent does.
func serveNull(dir string, in io.Reader, out io.Writer) error {
	ctx, cancel := context.WithCancel(context.Background())
	defer cancel()
	store := &nullStore{dir: dir}
	web, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return err
	}
	dicom, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return err
	}
	accept := dimse.AcceptStorage(func(string) bool { return true }, nil)
	scp := &dimse.Server{
		Handler: store,
		Policy: func(context.Context, *dimse.AssociateRQ, dimse.Peer) dimse.Decision {
			return dimse.Decision{Contexts: accept}
		},
	}
	failed := make(chan error, 2)
	go func() { failed <- scp.Serve(ctx, dicom) }()
	go func() { failed <- http.Serve(web, store) }() //nolint:gosec // loopback, one client
	if err := json.NewEncoder(out).Encode(nullAddresses{web.Addr().String(), dicom.Addr().String()}); err != nil {
		return err
	}
	go func() {
		_, _ = io.Copy(io.Discard, in)
		failed <- nil
	}()
	return <-failed
}

// startNull starts the child.
func startNull(dir string) (*server, error) {
	self, err := os.Executable()
	if err != nil {
		return nil, err
	}
	cmd := exec.Command(self, nullCommand, dir) // ended by stop
	cmd.Stderr = os.Stderr
	in, err := cmd.StdinPipe()
	if err != nil {
		return nil, err
	}
	out, err := cmd.StdoutPipe()
	if err != nil {
		return nil, err
	}
	if err := cmd.Start(); err != nil {
		return nil, err
	}
	stop := func() {
		_ = in.Close()
		end(cmd)
	}
	var at nullAddresses
	if err := json.NewDecoder(out).Decode(&at); err != nil {
		stop()
		return nil, fmt.Errorf("the null intake said nothing: %w", err)
	}
	return &server{
		dicom: at.DICOM, aet: "NULL", http: at.HTTP, stowPath: "/", uploadPath: "/", ping: "/", stored: `"stored"`,
		pid: cmd.Process.Pid, stop: stop,
	}, nil
}
