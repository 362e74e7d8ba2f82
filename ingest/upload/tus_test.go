package upload

import (
	"bufio"
	"bytes"
	"context"
	"crypto/md5"
	"crypto/sha1"
	"crypto/sha256"
	"encoding/base64"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	tusd "github.com/tus/tusd/v2/pkg/handler"

	"github.com/tributary-dicom/tributary/ingest"
	"github.com/tributary-dicom/tributary/ingest/upload/journal"
	"github.com/tributary-dicom/tributary/parsers/reject"
	"github.com/tributary-dicom/tributary/pipeline/event"
)

func newTus(t *testing.T, f Admitter, dir string, change ...func(*TusConfig)) *Tus {
	t.Helper()
	cfg := TusConfig{Config: Config{Admitter: f, MaxBytes: 1 << 20}, Dir: dir}
	for _, c := range change {
		c(&cfg)
	}
	tus, err := NewTus(cfg)
	if err != nil {
		t.Fatal(err)
	}
	return tus
}

// tus sends one request as a client would. Its context ends with it, as net/http's does.
func tus(h http.Handler, method, url string, body io.Reader, header ...string) *httptest.ResponseRecorder {
	ctx, cancel := context.WithCancel(context.Background())
	defer cancel()
	r := httptest.NewRequest(method, url, body).WithContext(ctx)
	r.Header.Set("Tus-Resumable", "1.0.0")
	if body != nil {
		r.Header.Set("Content-Type", "application/offset+octet-stream")
	}
	for i := 0; i+1 < len(header); i += 2 {
		r.Header.Set(header[i], header[i+1])
	}
	w := httptest.NewRecorder()
	h.ServeHTTP(w, r)
	return w
}

func create(t *testing.T, h http.Handler, size int, header ...string) (url string) {
	t.Helper()
	w := tus(h, "POST", "/upload/tus/", nil, append([]string{"Upload-Length", fmt.Sprint(size)}, header...)...)
	url = w.Header().Get("Location")
	if w.Code != 201 || !strings.HasPrefix(url, "/upload/tus/") || w.Header().Get("Upload-Expires") == "" {
		t.Fatalf("POST: %d %s %v", w.Code, w.Body, w.Header())
	}
	return url
}

func patch(h http.Handler, url string, offset int, body string, header ...string) *httptest.ResponseRecorder {
	return tus(h, "PATCH", url, strings.NewReader(body), append([]string{"Upload-Offset", fmt.Sprint(offset)}, header...)...)
}

func head(h http.Handler, url string) *httptest.ResponseRecorder { return tus(h, "HEAD", url, nil) }

func wantOffset(t *testing.T, h http.Handler, url string, want int) {
	t.Helper()
	if w := head(h, url); w.Code != 200 || w.Header().Get("Upload-Offset") != fmt.Sprint(want) {
		t.Fatalf("HEAD: %d, offset %s, want %d", w.Code, w.Header().Get("Upload-Offset"), want)
	}
}

// spooled counts the uploads of which the spool has bytes.
func spooled(t *testing.T, dir string) (n int) {
	t.Helper()
	entries, err := os.ReadDir(dir)
	if err != nil {
		t.Fatal(err)
	}
	for _, e := range entries {
		switch {
		case strings.HasSuffix(e.Name(), dataSuffix):
			n++
		case !journal.IsSegment(e.Name()):
			t.Errorf("spool has %s", e.Name())
		}
	}
	return n
}

func TestTusUpload(t *testing.T) {
	f, dir := &fakeIntake{}, t.TempDir()
	h := newTus(t, f, dir)
	name := base64.StdEncoding.EncodeToString([]byte("../张三.dcm"))
	url := create(t, h, 11, "Upload-Metadata", "filename "+name+",filetype,device "+base64.StdEncoding.EncodeToString([]byte("us-7")))
	wantOffset(t, h, url, 0)
	w := patch(h, url, 0, "hello ")
	if w.Code != 204 || w.Header().Get("Upload-Offset") != "6" || w.Header().Get("Upload-Expires") == "" || w.Header().Get("Tributary-Status") != "" {
		t.Fatalf("PATCH: %d %v", w.Code, w.Header())
	}
	if r := tus(h, "GET", url+"/receipt", nil); r.Code != 202 || !strings.Contains(r.Body.String(), `"offset":6`) {
		t.Errorf("receipt: %d %s", r.Code, r.Body)
	}
	h = newTus(t, f, dir) // the node restarts
	wantOffset(t, h, url, 6)
	if w := patch(h, url, 3, "lo"); w.Code != 409 {
		t.Errorf("wrong offset: %d", w.Code)
	}
	w = patch(h, url, 6, "world")
	if w.Code != 204 || w.Header().Get("Upload-Offset") != "11" || w.Header().Get("Tributary-Status") != "stored" || w.Header().Get("Tributary-Receipt-Id") == "" {
		t.Fatalf("last PATCH: %d %s %v", w.Code, w.Body, w.Header())
	}
	sum := sha256.Sum256([]byte("hello world"))
	if len(f.kept) != 1 || f.kept[0].SHA256 != hex.EncodeToString(sum[:]) {
		t.Fatalf("kept %+v", f.kept)
	}
	if o := f.kept[0].Origin; o.Door != "tus" || o.Filename != "张三.dcm" || o.Device != "us-7" || o.Remote == "" {
		t.Errorf("origin %+v", o)
	}
	h = newTus(t, f, dir) // the answer was lost, and the node restarts
	again := head(h, url)
	if again.Header().Get("Upload-Offset") != "11" || again.Header().Get("Tributary-Receipt-Id") != w.Header().Get("Tributary-Receipt-Id") {
		t.Errorf("HEAD afterwards: %v", again.Header())
	}
	if w := patch(h, url, 11, ""); w.Code != 204 || w.Header().Get("Tributary-Status") != "stored" {
		t.Errorf("PATCH afterwards: %d %v", w.Code, w.Header())
	}
	var rec ingest.Receipt
	r := tus(h, "GET", url+"/receipt", nil)
	if err := json.Unmarshal(r.Body.Bytes(), &rec); err != nil || r.Code != 200 || rec.SHA256 != hex.EncodeToString(sum[:]) {
		t.Errorf("receipt: %d %s", r.Code, r.Body)
	}
	if n, ids := spooled(t, dir), h.spool.ids(isSettled); n != 0 || len(ids) != 1 {
		t.Errorf("spool has bytes of %d, verdicts %v", n, ids)
	}
	if w := tus(h, "DELETE", url, nil); w.Code != 204 || len(h.spool.ids()) != 0 {
		t.Errorf("DELETE: %d, spool has %v", w.Code, h.spool.ids())
	}
	if w := head(h, url); w.Code != 404 {
		t.Errorf("HEAD after DELETE: %d", w.Code)
	}
	if f.count() != 1 {
		t.Errorf("admitted %d times", f.count())
	}
}

func TestTusRequests(t *testing.T) {
	h := newTus(t, &fakeIntake{}, t.TempDir(), func(c *TusConfig) { c.MaxBytes = 1000 })
	url := create(t, h, 10)
	sum := func(b []byte) string { return base64.StdEncoding.EncodeToString(b) }
	other := sha1.Sum([]byte("other"))
	pairs := strings.Repeat("k dg==,", 40)
	for name, tc := range map[string]struct {
		method, url string
		body        io.Reader
		header      []string
		code        int
	}{
		"length 2^63":         {"POST", "/upload/tus/", nil, []string{"Upload-Length", "9223372036854775808"}, 413},
		"length of 10^40":     {"POST", "/upload/tus/", nil, []string{"Upload-Length", "1" + strings.Repeat("0", 40)}, 413},
		"over the limit":      {"POST", "/upload/tus/", nil, []string{"Upload-Length", "1001"}, 413},
		"negative length":     {"POST", "/upload/tus/", nil, []string{"Upload-Length", "-1"}, 400},
		"no length":           {"POST", "/upload/tus/", nil, nil, 400},
		"metadata of 1 MB":    {"POST", "/upload/tus/", nil, []string{"Upload-Length", "1", "Upload-Metadata", "k " + strings.Repeat("A", 1<<20)}, 400},
		"many metadata":       {"POST", "/upload/tus/", nil, []string{"Upload-Length", "1", "Upload-Metadata", pairs}, 400},
		"bad metadata":        {"POST", "/upload/tus/", nil, []string{"Upload-Length", "1", "Upload-Metadata", "k !!"}, 400},
		"bad sha256":          {"POST", "/upload/tus/", nil, []string{"Upload-Length", "1", "Upload-Metadata", "sha256 " + sum([]byte("abcd"))}, 400},
		"no version":          {"POST", "/upload/tus/", nil, []string{"Upload-Length", "1", "Tus-Resumable", "2.0"}, 412},
		"unknown id":          {"HEAD", "/upload/tus/" + newID(), nil, nil, 404},
		"id too short":        {"HEAD", "/upload/tus/abc", nil, nil, 404},
		"traversal":           {"HEAD", "/upload/tus/..%2f..%2fetc%2fpasswd", nil, nil, 404},
		"dots":                {"PATCH", "/upload/tus/../../etc", strings.NewReader("x"), []string{"Upload-Offset", "0"}, 404},
		"file of the spool":   {"HEAD", url + ".info", nil, nil, 404},
		"below an upload":     {"HEAD", url + "/x", nil, nil, 404},
		"unknown receipt":     {"GET", "/upload/tus/" + newID() + "/receipt", nil, nil, 404},
		"no downloads":        {"GET", url, nil, nil, 405},
		"posting a receipt":   {"POST", url + "/receipt", nil, nil, 405},
		"no offset":           {"PATCH", url, strings.NewReader("x"), nil, 400},
		"offset ahead":        {"PATCH", url, strings.NewReader("x"), []string{"Upload-Offset", "5"}, 409},
		"huge offset":         {"PATCH", url, strings.NewReader("x"), []string{"Upload-Offset", "9223372036854775808"}, 400},
		"no content type":     {"PATCH", url, strings.NewReader("x"), []string{"Upload-Offset", "0", "Content-Type", "text/plain"}, 400},
		"longer than said":    {"PATCH", url, strings.NewReader(strings.Repeat("x", 11)), []string{"Upload-Offset", "0"}, 413},
		"checksum mismatch":   {"PATCH", url, strings.NewReader("hello"), []string{"Upload-Offset", "0", "Upload-Checksum", "sha1 " + sum(other[:])}, 460},
		"unknown checksum":    {"PATCH", url, strings.NewReader("hello"), []string{"Upload-Offset", "0", "Upload-Checksum", "crc32 AAAA"}, 400},
		"broken checksum":     {"PATCH", url, strings.NewReader("hello"), []string{"Upload-Offset", "0", "Upload-Checksum", "sha1 AAAA"}, 400},
		"options":             {"OPTIONS", "/upload/tus/", nil, nil, 200},
		"method override":     {"POST", url, strings.NewReader("x"), []string{"X-HTTP-Method-Override", "PATCH", "Upload-Offset", "5"}, 409},
		"nothing there to do": {"PUT", url, strings.NewReader("x"), nil, 405},
	} {
		t.Run(name, func(t *testing.T) {
			if w := tus(h, tc.method, tc.url, tc.body, tc.header...); w.Code != tc.code {
				t.Errorf("%d %s, want %d", w.Code, w.Body, tc.code)
			}
			wantOffset(t, h, url, 0)
		})
	}
	w := tus(h, "OPTIONS", "/upload/tus/", nil)
	if got := w.Header().Get("Tus-Extension"); got != "creation,creation-with-upload,termination,creation-defer-length,checksum,expiration" || w.Header().Get("Tus-Checksum-Algorithm") == "" || w.Header().Get("Tus-Max-Size") != "1000" {
		t.Errorf("OPTIONS: %v", w.Header())
	}
}

func TestTusChecksums(t *testing.T) {
	f, dir := &fakeIntake{}, t.TempDir()
	h := newTus(t, f, dir)
	url := create(t, h, 15)
	s1, m5, s2 := sha1.Sum([]byte("hello")), md5.Sum([]byte("hello")), sha256.Sum256([]byte("hello"))
	for i, c := range []string{"sha1 " + base64.StdEncoding.EncodeToString(s1[:]), "md5 " + base64.StdEncoding.EncodeToString(m5[:]), "sha256 " + base64.StdEncoding.EncodeToString(s2[:])} {
		if w := patch(h, url, 5*i, "hullo", "Upload-Checksum", c); w.Code != 460 {
			t.Fatalf("wrong bytes: %d", w.Code)
		}
		wantOffset(t, h, url, 5*i)
		cut := io.MultiReader(strings.NewReader("hel"), &failing{io.ErrUnexpectedEOF})
		if w := tus(h, "PATCH", url, cut, "Upload-Offset", fmt.Sprint(5*i), "Upload-Checksum", c); w.Code < 400 {
			t.Fatalf("cut: %d", w.Code)
		}
		wantOffset(t, h, url, 5*i)
		if w := patch(h, url, 5*i, "hello", "Upload-Checksum", c); w.Code != 204 {
			t.Fatalf("right bytes: %d %s", w.Code, w.Body)
		}
	}
	if f.count() != 1 {
		t.Errorf("admitted %d times", f.count())
	}
	whole := sha256.Sum256([]byte("hello"))
	meta := "sha256 " + base64.StdEncoding.EncodeToString([]byte(hex.EncodeToString(whole[:])))
	if w := patch(h, create(t, h, 5, "Upload-Metadata", meta), 0, "hello"); w.Code != 204 {
		t.Errorf("whole file's checksum: %d %s", w.Code, w.Body)
	}
	url = create(t, h, 5, "Upload-Metadata", meta)
	if w := patch(h, url, 0, "hullo"); w.Code != 400 || w.Header().Get("Tributary-Reason") != "checksum-mismatch" {
		t.Errorf("whole file's wrong checksum: %d %s", w.Code, w.Body)
	}
}

func TestTusCutKeepsWhatCame(t *testing.T) {
	h := newTus(t, &fakeIntake{}, t.TempDir())
	url := create(t, h, 10)
	cut := io.MultiReader(strings.NewReader("hel"), &failing{io.ErrUnexpectedEOF})
	if w := tus(h, "PATCH", url, cut, "Upload-Offset", "0"); w.Code < 400 {
		t.Errorf("%d", w.Code)
	}
	wantOffset(t, h, url, 3)
}

func TestTusCreationWithUploadAndDeferredLength(t *testing.T) {
	f := &fakeIntake{}
	h := newTus(t, f, t.TempDir(), func(c *TusConfig) { c.MaxBytes = 20 })
	w := tus(h, "POST", "/upload/tus/", strings.NewReader("hello"), "Upload-Length", "5")
	if w.Code != 201 || w.Header().Get("Upload-Offset") != "5" || w.Header().Get("Tributary-Status") != "stored" {
		t.Errorf("creation with upload: %d %v", w.Code, w.Header())
	}
	sum := sha1.Sum([]byte("hello"))
	w = tus(h, "POST", "/upload/tus/", strings.NewReader("hullo"), "Upload-Length", "5", "Upload-Checksum", "sha1 "+base64.StdEncoding.EncodeToString(sum[:]))
	if w.Code != 460 || w.Header().Get("Location") == "" {
		t.Errorf("creation with wrong bytes: %d %v", w.Code, w.Header())
	}
	w = tus(h, "POST", "/upload/tus/", nil, "Upload-Defer-Length", "1")
	url := w.Header().Get("Location")
	if w := patch(h, url, 0, "hello"); w.Code != 204 {
		t.Fatalf("deferred: %d %s", w.Code, w.Body)
	}
	if w := head(h, url); w.Header().Get("Upload-Defer-Length") != "1" || w.Header().Get("Upload-Offset") != "5" {
		t.Errorf("HEAD: %v", w.Header())
	}
	if w := tus(h, "PATCH", url, strings.NewReader(strings.Repeat("x", 19)), "Upload-Offset", "5"); w.Code != 413 {
		t.Errorf("deferred and over the limit: %d", w.Code)
	}
	w = tus(h, "POST", "/upload/tus/", nil, "Upload-Defer-Length", "1")
	url = w.Header().Get("Location")
	patch(h, url, 0, "hello")
	if w := patch(h, url, 5, "", "Upload-Length", "5"); w.Code != 204 || w.Header().Get("Tributary-Status") != "stored" {
		t.Errorf("length declared at the end: %d %s", w.Code, w.Body)
	}
	if w := tus(h, "POST", "/upload/tus/", nil, "Upload-Length", "0"); w.Code != 400 || w.Header().Get("Tributary-Reason") != "empty" {
		t.Errorf("empty upload: %d %s", w.Code, w.Body)
	}
}

func TestTusRefusalIsRemembered(t *testing.T) {
	f, dir := &fakeIntake{}, t.TempDir()
	h := newTus(t, f, dir)
	body := "unsupported-format x"
	url := create(t, h, len(body))
	for i := range 3 {
		off := 0
		if i > 0 {
			off = len(body) - 1 // what HEAD says
			wantOffset(t, h, url, off)
		}
		w := patch(h, url, off, body[off:])
		if w.Code != 415 || w.Header().Get("Tributary-Status") != "refused" || !strings.Contains(w.Body.String(), `"reason":"unsupported-format"`) {
			t.Fatalf("PATCH %d: %d %s %v", i, w.Code, w.Body, w.Header())
		}
		h = newTus(t, f, dir)
	}
	if r := tus(h, "GET", url+"/receipt", nil); r.Code != 415 {
		t.Errorf("receipt: %d", r.Code)
	}
	if n := spooled(t, dir); n != 0 || h.spool.open.Load() != 0 {
		t.Errorf("spool has bytes of %d, %d are open", n, h.spool.open.Load())
	}
}

// TestTusStoreOut has a whole file that nobody can keep yet: the client must not take it for stored, and
// nothing is sent twice but one byte.
func TestTusStoreOut(t *testing.T) {
	for name, again := range map[string]func(t *testing.T, h *Tus, dir string, url string) *Tus{
		"the client asks again": func(t *testing.T, h *Tus, _, url string) *Tus {
			wantOffset(t, h, url, 4)
			if w := patch(h, url, 4, "o"); w.Code != 204 {
				t.Fatalf("PATCH: %d %s", w.Code, w.Body)
			}
			return h
		},
		"the node tries again": func(t *testing.T, h *Tus, _, _ string) *Tus { h.Retry(t.Context()); return h },
		"the node restarts": func(t *testing.T, _ *Tus, dir, _ string) *Tus {
			h := newTus(t, nil, dir)
			return h
		},
	} {
		t.Run(name, func(t *testing.T) {
			f, dir := &fakeIntake{}, t.TempDir()
			h := newTus(t, f, dir)
			url := create(t, h, 5)
			for _, err := range []error{reject.New(reject.OutOfResources, "fake", "/secret/path is full"), errors.New("bug in /secret/path")} {
				f.set(err)
				w := patch(h, url, 0, "hello")
				if w.Code == 409 {
					w = patch(h, url, 4, "o")
				}
				if w.Code < 500 || strings.Contains(w.Body.String(), "secret") || w.Header().Get("Tributary-Status") != "" {
					t.Fatalf("%d %s %v", w.Code, w.Body, w.Header())
				}
			}
			f.set(nil)
			h = again(t, h, dir, url)
			if name == "the node restarts" {
				h.cfg.Admitter = f
				if err := h.Recover(t.Context()); err != nil {
					t.Fatal(err)
				}
			}
			w := head(h, url)
			if w.Header().Get("Upload-Offset") != "5" || w.Header().Get("Tributary-Status") != "stored" || f.count() != 1 {
				t.Errorf("HEAD: %v; admitted %d times", w.Header(), f.count())
			}
			if len(h.waiting) != 0 || h.spool.open.Load() != 0 {
				t.Errorf("waiting %v, open %d", h.waiting, h.spool.open.Load())
			}
		})
	}
}

// TestTusCrashes puts the spool into each state that a crash can leave, and restarts.
func TestTusCrashes(t *testing.T) {
	whole := func(t *testing.T, s *spool, id string) *record {
		r, _, err := s.load(id)
		if err != nil {
			t.Fatal(err)
		}
		r.Offset = 11
		return r
	}
	for name, tc := range map[string]struct {
		crash func(t *testing.T, s *spool, id string)
		off   string // Upload-Offset after Recover
		kept  int
	}{
		"bytes without their offset": {func(t *testing.T, s *spool, id string) {
			write(t, s.dataPath(id), "hello wo")
		}, "5", 0},
		"offset without its bytes": {func(t *testing.T, s *spool, id string) {
			write(t, s.dataPath(id), "hel")
		}, "3", 0},
		"data lost": {func(t *testing.T, s *spool, id string) {
			if err := os.Remove(s.dataPath(id)); err != nil {
				t.Fatal(err)
			}
		}, "0", 0},
		"journal half written": {func(t *testing.T, s *spool, id string) {
			names, err := filepath.Glob(filepath.Join(s.dir, "journal-*"))
			if err != nil || len(names) == 0 {
				t.Fatal(names, err)
			}
			b, err := os.ReadFile(names[len(names)-1])
			if err != nil {
				t.Fatal(err)
			}
			end := len(bytes.TrimRight(b, "\x00"))
			half := append(b[:end:end], b[:end/3]...) // one commit more, cut short
			write(t, names[len(names)-1], string(half))
		}, "5", 0},
		"whole, not admitted": {func(t *testing.T, s *spool, id string) {
			write(t, s.dataPath(id), "hello world")
			if err := s.save(whole(t, s, id)); err != nil {
				t.Fatal(err)
			}
		}, "11", 1},
		"admitted, data still there": {func(t *testing.T, s *spool, id string) {
			v := &verdict{Receipt: &ingest.Receipt{ID: "x", Status: ingest.Stored}, At: time.Now()}
			if err := s.settle(whole(t, s, id), v); err != nil {
				t.Fatal(err)
			}
		}, "11", 0},
		"stray files": {func(t *testing.T, s *spool, id string) {
			write(t, s.dataPath(newID()), "x")
		}, "5", 0},
	} {
		t.Run(name, func(t *testing.T) {
			f, dir := &fakeIntake{}, t.TempDir()
			h := newTus(t, f, dir)
			url := create(t, h, 11)
			patch(h, url, 0, "hello")
			tc.crash(t, h.spool, filepath.Base(url))
			h = newTus(t, f, dir)
			if err := h.Recover(t.Context()); err != nil {
				t.Fatal(err)
			}
			if w := head(h, url); w.Header().Get("Upload-Offset") != tc.off || f.count() != tc.kept {
				t.Errorf("offset %s, kept %d; want %s, %d", w.Header().Get("Upload-Offset"), f.count(), tc.off, tc.kept)
			}
			if n := spooled(t, dir); n > 1 || n == 1 && tc.off == "11" {
				t.Errorf("spool has bytes of %d", n)
			}
			if off := head(h, url).Header().Get("Upload-Offset"); off != "11" {
				var n int
				fmt.Sscan(off, &n)
				if w := patch(h, url, n, "hello world"[n:]); w.Code != 204 || f.count() != 1 {
					t.Fatalf("going on: %d %s", w.Code, w.Body)
				}
				sum := sha256.Sum256([]byte("hello world"))
				if f.kept[0].SHA256 != hex.EncodeToString(sum[:]) {
					t.Error("other bytes")
				}
			}
		})
	}
}

func write(t *testing.T, path, s string) {
	t.Helper()
	if err := os.WriteFile(path, []byte(s), 0o600); err != nil {
		t.Fatal(err)
	}
}

func TestTusExpiry(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f, dir := &fakeIntake{}, t.TempDir()
		h := newTus(t, f, dir)
		quiet, done, busy, waiting := create(t, h, 5), create(t, h, 5), create(t, h, 5), create(t, h, 5)
		patch(h, done, 0, "hello")
		f.set(reject.New(reject.OutOfResources, "fake", "full"))
		patch(h, waiting, 0, "hello")
		time.Sleep(6 * 24 * time.Hour)
		patch(h, busy, 0, "hel")
		time.Sleep(2 * 24 * time.Hour)
		if w := head(h, quiet); w.Code != 404 {
			t.Errorf("expired: %d", w.Code)
		}
		if err := h.Sweep(t.Context()); err != nil {
			t.Fatal(err)
		}
		if ids := h.spool.ids(); len(ids) != 2 || spooled(t, dir) != 2 {
			t.Errorf("spool has %v and bytes of %d, want two", ids, spooled(t, dir))
		}
		wantOffset(t, h, busy, 3)
		f.set(nil)
		h.Retry(t.Context())
		wantOffset(t, h, waiting, 5)
		synctest.Wait()
		time.Sleep(time.Second) // tusd's delayed contexts
	})
}

func TestTusRun(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f, dir := &fakeIntake{}, t.TempDir()
		h := newTus(t, f, dir)
		abandoned, waiting := create(t, h, 5), create(t, h, 5)
		f.set(reject.New(reject.OutOfResources, "fake", "full"))
		patch(h, waiting, 0, "hello")
		f.set(nil)
		ctx, cancel := context.WithCancel(t.Context())
		ran := make(chan error)
		go func() { ran <- h.Run(ctx) }()
		time.Sleep(time.Minute)
		wantOffset(t, h, waiting, 5)
		time.Sleep(8 * 24 * time.Hour)
		cancel()
		if err := <-ran; err != nil || len(h.spool.ids()) != 0 || spooled(t, dir) != 0 {
			t.Errorf("%v; spool has %v, %s among it", err, h.spool.ids(), abandoned)
		}
		time.Sleep(time.Second)
	})
}

func TestTusTenants(t *testing.T) {
	h := newTus(t, &fakeIntake{}, t.TempDir(), func(c *TusConfig) {
		c.Identify = func(r *http.Request) (string, event.Origin) { return r.Header.Get("X-Tenant"), event.Origin{} }
	})
	w := tus(h, "POST", "/upload/tus/", nil, "Upload-Length", "5", "X-Tenant", "a")
	url := w.Header().Get("Location")
	for _, method := range []string{"HEAD", "PATCH", "DELETE"} {
		if w := tus(h, method, url, strings.NewReader("x"), "Upload-Offset", "0", "X-Tenant", "b"); w.Code != 404 {
			t.Errorf("%s of another's upload: %d", method, w.Code)
		}
	}
	if w := tus(h, "GET", url+"/receipt", nil, "X-Tenant", "b"); w.Code != 404 {
		t.Errorf("receipt of another's upload: %d", w.Code)
	}
	if w := tus(h, "PATCH", url, strings.NewReader("hello"), "Upload-Offset", "0", "X-Tenant", "a"); w.Code != 204 {
		t.Errorf("own upload: %d", w.Code)
	}
}

func TestTusRoom(t *testing.T) {
	var asked int64
	h := newTus(t, &fakeIntake{}, t.TempDir(), func(c *TusConfig) {
		c.MaxOpen = 2
		c.Reserve = func(n int64) error {
			asked = n
			if n > 500 {
				return errors.New("disk reserve")
			}
			return nil
		}
	})
	if w := tus(h, "POST", "/upload/tus/", nil, "Upload-Length", "501"); w.Code != 503 || w.Header().Get("Retry-After") == "" || asked != 501 {
		t.Errorf("reserve: %d, asked for %d", w.Code, asked)
	}
	url := create(t, h, 5)
	create(t, h, 5)
	if w := tus(h, "POST", "/upload/tus/", nil, "Upload-Length", "5"); w.Code != 503 || w.Header().Get("Retry-After") == "" {
		t.Errorf("third open upload: %d %v", w.Code, w.Header())
	}
	patch(h, url, 0, "hello") // makes room
	create(t, h, 5)
}

// TestTusRoomWithinUpload fills the disk in the middle of a PATCH: what came before counts, and the
// upload goes on when there is room again.
func TestTusRoomWithinUpload(t *testing.T) {
	f := &fakeIntake{}
	looks, most := 0, 3
	h := newTus(t, f, t.TempDir(), func(c *TusConfig) {
		c.MaxBytes = 32 << 20
		c.Reserve = func(int64) error {
			if looks++; looks > most {
				return errors.New("disk reserve")
			}
			return nil
		}
	})
	whole := strings.Repeat("0123456789abcdef", 1<<20)
	url := create(t, h, len(whole)) // the first look
	if w := patch(h, url, 0, whole); w.Code != 503 || w.Header().Get("Retry-After") == "" {
		t.Fatalf("PATCH beyond the reserve: %d", w.Code)
	}
	wantOffset(t, h, url, 2*roomEvery)
	most = 100
	if w := patch(h, url, 2*roomEvery, whole[2*roomEvery:]); w.Code != 204 {
		t.Errorf("the rest: %d", w.Code)
	}
}

// TestTusLocks needs requests that overlap, so real connections.
func TestTusLocks(t *testing.T) {
	f := &fakeIntake{}
	h := newTus(t, f, t.TempDir())
	srv := httptest.NewServer(h)
	defer srv.Close()
	url := srv.URL + create(t, h, 10)
	send := func(method string, body io.Reader, offset string) (*http.Response, error) {
		req, err := http.NewRequest(method, url, body)
		if err != nil {
			return nil, err
		}
		req.Header.Set("Tus-Resumable", "1.0.0")
		req.Header.Set("Content-Type", "application/offset+octet-stream")
		req.Header.Set("Upload-Offset", offset)
		res, err := srv.Client().Do(req)
		if err == nil {
			res.Body.Close()
		}
		return res, err
	}
	pr, pw := io.Pipe()
	first := make(chan int, 1)
	go func() {
		code := 0
		if res, err := send("PATCH", pr, "0"); err == nil {
			code = res.StatusCode
		}
		first <- code
	}()
	pw.Write([]byte("hel"))
	for held := false; !held; { // until the server has the lock
		h.locks.mu.Lock()
		held = len(h.locks.held) > 0
		h.locks.mu.Unlock()
	}
	if res, err := send("PATCH", strings.NewReader("hello"), "0"); err != nil || res.StatusCode != 423 {
		t.Errorf("second PATCH: %v, %v", res, err)
	}
	// A HEAD ends the PATCH that holds the upload: its client is back on another connection.
	res, err := send("HEAD", nil, "")
	if err != nil || res.StatusCode != 200 {
		t.Fatalf("HEAD: %v, %v", res, err)
	}
	offset := res.Header.Get("Upload-Offset")
	pw.Close()
	<-first
	var n int
	fmt.Sscan(offset, &n)
	if res, err := send("PATCH", strings.NewReader("helloworld"[n:]), offset); err != nil || res.StatusCode != 204 {
		t.Errorf("going on at %s: %v, %v", offset, res, err)
	}

	// While admission works on the last bytes, a HEAD waits for what it says.
	f.hold = make(chan struct{})
	url = srv.URL + create(t, h, 5)
	go func() {
		code := 0
		if res, err := send("PATCH", strings.NewReader("hello"), "0"); err == nil {
			code = res.StatusCode
		}
		first <- code
	}()
	heads := make(chan string, 1)
	<-f.hold
	go func() {
		res, err := send("HEAD", nil, "")
		if err != nil {
			heads <- err.Error()
			return
		}
		heads <- res.Header.Get("Upload-Offset") + res.Header.Get("Tributary-Status")
	}()
	f.hold <- struct{}{}
	if code, got := <-first, <-heads; code != 204 || got != "5stored" {
		t.Errorf("PATCH %d, HEAD %s", code, got)
	}
}

func TestTusStall(t *testing.T) {
	h := newTus(t, &fakeIntake{}, t.TempDir(), func(c *TusConfig) { c.Pace.Stall = 20 * time.Millisecond })
	srv := httptest.NewServer(h)
	defer srv.Close()
	url := create(t, h, 10)
	c, err := net.Dial("tcp", srv.Listener.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	fmt.Fprintf(c, "PATCH %s HTTP/1.1\r\nHost: x\r\nTus-Resumable: 1.0.0\r\nUpload-Offset: 0\r\nContent-Type: application/offset+octet-stream\r\nContent-Length: 10\r\n\r\nhel", url)
	res, err := http.ReadResponse(bufio.NewReader(c), nil)
	if err != nil || res.StatusCode != 500 {
		t.Fatalf("%v, %v", res, err)
	}
	wantOffset(t, h, url, 3)
}

func TestTusLogHasNoNames(t *testing.T) {
	var buf bytes.Buffer
	h := newTus(t, &fakeIntake{}, t.TempDir(), func(c *TusConfig) {
		c.Logger = slog.New(slog.NewJSONHandler(&buf, &slog.HandlerOptions{Level: slog.LevelDebug}))
	})
	url := create(t, h, 10, "Upload-Metadata", "filename "+base64.StdEncoding.EncodeToString([]byte("Zhang^San.dcm")))
	tus(h, "PATCH", url, io.MultiReader(strings.NewReader("hel"), &failing{errors.New("Zhang")}), "Upload-Offset", "0")
	patch(h, url, 3, "lo")
	if s := buf.String(); strings.Contains(s, "Zhang") || strings.Contains(s, "WhhbmdeU2Fu") {
		t.Errorf("log has a name: %s", s)
	}
}

func FuzzParseMetadata(f *testing.F) {
	f.Add("filename d29ybGQ=,is_confidential")
	f.Add("a b c")
	f.Add(" k dg== , l ")
	f.Fuzz(func(t *testing.T, header string) {
		m, err := parseMetadata(header)
		if err != nil {
			return
		}
		for k, v := range m {
			if got, ok := tusd.ParseMetadataHeader(header)[k]; !ok || got != v {
				t.Fatalf("%q: %q = %q, tusd reads %q", header, k, v, got)
			}
		}
		var o event.Origin
		if _, err := applyMetadata(m, &o); err == nil && strings.ContainsAny(o.Filename, "/\\\x00\n") {
			t.Fatalf("file name %q", o.Filename)
		}
		if again, err := parseMetadata(tusd.SerializeMetadataHeader(m)); len(m) > 0 && (err != nil || fmt.Sprint(again) != fmt.Sprint(m)) {
			t.Fatalf("%q comes back as %v, %v", header, again, err)
		}
	})
}

func FuzzParseChecksum(f *testing.F) {
	f.Add("sha1 Kq5sNclPz7QV2+lfQIuc6R7oRu0=")
	f.Add("md5 AAAA")
	f.Fuzz(func(t *testing.T, header string) {
		c, err := parseChecksum(header)
		if err == nil && c != nil && len(c.want) != c.hash.Size() {
			t.Fatalf("%q: checksum of %d bytes", header, len(c.want))
		}
		if h := (http.Header{"Digest": {header}, "Repr-Digest": {header}, "Content-Md5": {header}}); true {
			if d, err := parseDigests(h); err == nil {
				for name, sum := range d {
					if len(sum) != 2*digestLengths[name] {
						t.Fatalf("%q: %s %s", header, name, sum)
					}
				}
			}
		}
	})
}
