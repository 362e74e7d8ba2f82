package upload

import (
	"context"
	"crypto/sha1"
	"encoding/base64"
	"fmt"
	"io"
	"os"
	"strings"
	"testing"

	"github.com/tributary-dicom/tributary/ingest"
	"github.com/tributary-dicom/tributary/parsers/reject"
)

// watcher looks at the spool while admission has an upload.
type watcher struct {
	*fakeIntake
	see func()
}

func (w *watcher) Admit(ctx context.Context, a ingest.Arrival) (ingest.Receipt, error) {
	if w.see != nil {
		w.see()
	}
	return w.fakeIntake.Admit(ctx, a)
}

// TestTusHolds looks which uploads go through the spool: what is held in memory has no file there, and its
// memory is given back.
func TestTusHolds(t *testing.T) {
	sum := sha1.Sum([]byte("hello"))
	for name, tc := range map[string]struct {
		size    int
		hold    int64
		send    func(h *Tus, body string) int
		spooled int
	}{
		"create and patch": {size: 5, send: func(h *Tus, body string) int { return patch(h, create(t, h, len(body)), 0, body).Code }},
		"creation with upload": {size: 5, send: func(h *Tus, body string) int {
			return tus(h, "POST", "/upload/tus/", strings.NewReader(body), "Upload-Length", fmt.Sprint(len(body))).Code
		}},
		"length told with the bytes": {size: 5, send: func(h *Tus, body string) int {
			url := tus(h, "POST", "/upload/tus/", nil, "Upload-Defer-Length", "1").Header().Get("Location")
			return patch(h, url, 0, body, "Upload-Length", fmt.Sprint(len(body))).Code
		}},
		"with a checksum": {size: 5, send: func(h *Tus, body string) int {
			return patch(h, create(t, h, len(body)), 0, body, "Upload-Checksum", "sha1 "+base64.StdEncoding.EncodeToString(sum[:])).Code
		}},
		"after a wrong checksum": {size: 5, send: func(h *Tus, body string) int {
			url := create(t, h, len(body))
			if w := patch(h, url, 0, "hullo", "Upload-Checksum", "sha1 "+base64.StdEncoding.EncodeToString(sum[:])); w.Code != 460 {
				t.Errorf("wrong checksum: %d", w.Code)
			}
			return patch(h, url, 0, body).Code
		}},
		"as long as may be": {size: holdMost, send: func(h *Tus, body string) int { return patch(h, create(t, h, len(body)), 0, body).Code }},
		"longer":            {size: holdMost + 1, spooled: 1, send: func(h *Tus, body string) int { return patch(h, create(t, h, len(body)), 0, body).Code }},
		"no memory left":    {size: 5, hold: 4, spooled: 1, send: func(h *Tus, body string) int { return patch(h, create(t, h, len(body)), 0, body).Code }},
		"in two parts": {size: 5, spooled: 1, send: func(h *Tus, body string) int {
			url := create(t, h, len(body))
			patch(h, url, 0, body[:3])
			return patch(h, url, 3, body[3:]).Code
		}},
		"cut": {size: 5, spooled: 1, send: func(h *Tus, body string) int {
			url := create(t, h, len(body))
			tus(h, "PATCH", url, io.MultiReader(strings.NewReader(body[:3]), &failing{io.ErrUnexpectedEOF}), "Upload-Offset", "0")
			return patch(h, url, 3, body[3:]).Code
		}},
	} {
		t.Run(name, func(t *testing.T) {
			dir, seen := t.TempDir(), -1
			f := &watcher{fakeIntake: &fakeIntake{}, see: func() { seen = spooled(t, dir) }}
			h := newTus(t, f, dir, func(c *TusConfig) { c.MaxBytes, c.HoldBytes = 4<<20, tc.hold })
			body := strings.Repeat("hello", holdMost/5+1)[:tc.size]
			if code := tc.send(h, body); code != 201 && code != 204 || f.count() != 1 || f.kept[0].SHA256 == "" {
				t.Errorf("answer %d, admitted %d times", code, f.count())
			}
			if seen != tc.spooled || spooled(t, dir) != 0 {
				t.Errorf("spool had %d and has %d files, want %d and none", seen, spooled(t, dir), tc.spooled)
			}
			if held, open := h.held.Load(), h.spool.open.Load(); held != 0 || open != 0 {
				t.Errorf("%d bytes are held, %d uploads open", held, open)
			}
		})
	}
}

// TestTusSmallCrashes takes the disk as it is at each step of a small upload, as SIGKILL would leave it, and
// goes on from there as a client does.
func TestTusSmallCrashes(t *testing.T) {
	dir, f := t.TempDir(), &watcher{fakeIntake: &fakeIntake{}}
	h := newTus(t, f, dir)
	type step struct {
		dir    string
		offset int // what HEAD says after the restart
	}
	steps := map[string]step{}
	snap := func(name string, offset int) {
		to := t.TempDir()
		if err := os.CopyFS(to, os.DirFS(dir)); err != nil {
			t.Fatal(err)
		}
		steps[name] = step{to, offset}
	}
	url := create(t, h, 5)
	snap("created", 0)
	f.see = func() { snap("in admission, held", 0) }
	f.set(reject.New(reject.OutOfResources, "fake", "full"))
	if w := patch(h, url, 0, "hello"); w.Code != 503 {
		t.Fatalf("%d %s", w.Code, w.Body)
	}
	snap("whole and waiting", 4)
	f.see = func() { snap("in admission, spooled", 4) }
	f.set(nil)
	if w := patch(h, url, 4, "o"); w.Code != 204 {
		t.Fatalf("%d %s", w.Code, w.Body)
	}
	snap("answered", 5)
	for name, at := range steps {
		t.Run(name, func(t *testing.T) {
			f := &fakeIntake{}
			h := newTus(t, f, at.dir)
			wantOffset(t, h, url, at.offset)
			if err := h.Recover(t.Context()); err != nil {
				t.Fatal(err)
			}
			recovered := at.offset
			if at.offset == 4 { // whole, so the node needs no client
				recovered = 5
			}
			wantOffset(t, h, url, recovered)
			if w := patch(h, url, recovered, "hello"[recovered:]); w.Code != 204 || w.Header().Get("Tributary-Status") != "stored" {
				t.Errorf("going on: %d %s", w.Code, w.Body)
			}
			want := 1
			if at.offset == 5 {
				want = 0
			}
			if f.count() != want || spooled(t, at.dir) != 0 {
				t.Errorf("admitted %d times, want %d; spool has %d files", f.count(), want, spooled(t, at.dir))
			}
		})
	}
}

// TestTusSpoolFull has no room for a small upload that admission cannot take either: the sender hears so and
// may send it again.
func TestTusSpoolFull(t *testing.T) {
	f, dir := &fakeIntake{}, t.TempDir()
	h := newTus(t, f, dir)
	url := create(t, h, 5)
	blocked := h.spool.dataPath(strings.TrimPrefix(url, "/upload/tus/"))
	if err := os.Mkdir(blocked, 0o700); err != nil { // no file can be made there
		t.Fatal(err)
	}
	f.set(reject.New(reject.OutOfResources, "fake", "full"))
	if w := patch(h, url, 0, "hello"); w.Code != 503 {
		t.Errorf("%d %s", w.Code, w.Body)
	}
	wantOffset(t, h, url, 0)
	if len(h.waiting) != 0 || h.held.Load() != 0 {
		t.Errorf("waiting %v, %d bytes held", h.waiting, h.held.Load())
	}
	f.set(nil)
	if w := patch(h, url, 0, "hello"); w.Code != 204 || f.count() != 1 {
		t.Errorf("again: %d %s", w.Code, w.Body)
	}
}
