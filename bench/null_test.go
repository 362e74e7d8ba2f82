package main

import (
	"context"
	"encoding/json"
	"io"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

// Every door of the null intakes keeps each object once, and the clients notice it.
func TestDoorsIntoNull(t *testing.T) {
	dir := t.TempDir()
	in, hangUp := io.Pipe()
	said, out := io.Pipe()
	ended := make(chan error, 1)
	go func() { ended <- serveNull(dir, in, out) }()
	var at nullAddresses
	if err := json.NewDecoder(said).Decode(&at); err != nil {
		t.Fatal(err)
	}
	srv := &server{dicom: at.DICOM, aet: "NULL", http: at.HTTP, stowPath: "/", uploadPath: "/", ping: "/", stored: `"stored"`}
	if err := answering(t.Context(), srv); err != nil {
		t.Fatal(err)
	}
	s, err := stills(1, 4, 3, 64)
	if err != nil {
		t.Fatal(err)
	}
	want := 0
	for salt, d := range []door{cStore, upload, stow} {
		p := push{s, uint64(salt + 1), 1}
		if d == stow {
			p.per = 4
		}
		l, err := drive(t.Context(), 3, 12/p.per, time.Minute, func(ctx context.Context) (client, error) { return srv.enter(ctx, d, p) })
		if err != nil || l.ops != 12/p.per || len(l.each) != l.ops || l.bytes < 12*64*64 {
			t.Fatalf("%s: %+v, %v", d, l, err)
		}
		want += 12
	}
	kept, err := filepath.Glob(filepath.Join(dir, "*"))
	if err != nil || len(kept) != want {
		t.Fatalf("%d files, want %d: %v", len(kept), want, err)
	}
	for _, name := range kept {
		if info, err := os.Stat(name); err != nil || info.Size() < 64*64 || strings.HasSuffix(name, ".tmp") {
			t.Fatalf("%s: %v", name, err)
		}
	}
	_ = hangUp.Close()
	if err := <-ended; err != nil {
		t.Fatal(err)
	}
}

// A failing request ends the load and is told.
func TestDriveStopsAtTheFirstFailure(t *testing.T) {
	calls := 0
	l, err := drive(t.Context(), 1, 10, time.Minute, func(context.Context) (client, error) {
		return clientFunc(func(i int) error {
			calls++
			if i == 3 {
				return io.ErrUnexpectedEOF
			}
			return nil
		}), nil
	})
	if err == nil || calls != 4 || l.ops != 3 {
		t.Fatalf("%d calls, %d answered, %v", calls, l.ops, err)
	}
}

type clientFunc func(i int) error

func (f clientFunc) do(_ context.Context, i int) (int64, error) { return 1, f(i) }
func (f clientFunc) close()                                     {}
