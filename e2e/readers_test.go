package e2e

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"mime"
	"mime/multipart"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/tributary-dicom/tributary/device"
	"github.com/tributary-dicom/tributary/internal/faultproxy"
	"github.com/tributary-dicom/tributary/internal/testnode"
)

// resource is one way to read an object.
type resource struct {
	path, accept, byteRange string
	noBlob                  bool // it is answered without the object's bytes
}

func (r resource) String() string { return r.path + " " + r.byteRange + " as " + r.accept }

// resources are all ways to read an object.
func resources(o object) []resource {
	study, file := "/dicom-web/studies/"+o.study(), o.path()
	return []resource{
		{path: study, accept: "*/*"},
		{path: study + "/series/" + o.series(), accept: "*/*"},
		{path: file, accept: "application/dicom"},
		{path: file, accept: `multipart/related; type="application/dicom"`},
		{path: file, accept: "application/dicom", byteRange: "bytes=100-199"},
		{path: file, accept: "application/dicom", byteRange: "bytes=-100"},
		{path: file, accept: "application/dicom", byteRange: "bytes=0-"},
		{path: file + "/frames/1", accept: "multipart/related; type=application/octet-stream; transfer-syntax=*"},
		{path: file + "/frames/1", accept: "application/octet-stream"},
		{path: file + "/frames/1", accept: "application/octet-stream", byteRange: "bytes=10-19"},
		{path: file + "/bulkdata/7FE00010", accept: "application/octet-stream"},
		{path: file + "/bulkdata/7FE00010", accept: "multipart/related"},
		{path: file + "/rendered", accept: "image/png"},
		{path: file + "/frames/1/rendered", accept: "image/jpeg"},
		{path: file + "/thumbnail", accept: "image/jpeg"},
		{path: study + "/thumbnail", accept: "image/jpeg"},
		{path: study + "/rendered", accept: "multipart/related; type=image/png"},
		{path: "/wado?requestType=WADO&studyUID=" + o.study() + "&seriesUID=" + o.series() + "&objectUID=" + o.instance() + "&contentType=application%2Fdicom"},
		{path: "/wado?requestType=WADO&studyUID=" + o.study() + "&seriesUID=" + o.series() + "&objectUID=" + o.instance()},
		{path: study + "/metadata", accept: "application/dicom+json", noBlob: true},
		{path: file + "/metadata", accept: "application/dicom+json", noBlob: true},
		{path: study + "/instances?includefield=all", accept: "application/dicom+json", noBlob: true},
	}
}

// answer is what a reader got.
type answer struct {
	status int
	header http.Header
	body   []byte // of a multipart body: its parts, joined
	err    error  // the connection broke
}

func (r resource) get(ctx context.Context, n *testnode.Node) answer {
	return r.do(ctx, http.MethodGet, n, nil)
}

func (r resource) do(ctx context.Context, method string, n *testnode.Node, header http.Header) (a answer) {
	req, err := http.NewRequestWithContext(ctx, method, n.URL+r.path, nil)
	if err != nil {
		return answer{err: err}
	}
	for k, v := range header {
		req.Header[k] = v
	}
	if r.accept != "" {
		req.Header.Set("Accept", r.accept)
	}
	if r.byteRange != "" {
		req.Header.Set("Range", r.byteRange)
	}
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		return answer{err: err}
	}
	defer resp.Body.Close()
	a = answer{status: resp.StatusCode, header: resp.Header}
	kind, params, _ := mime.ParseMediaType(resp.Header.Get("Content-Type"))
	if kind != "multipart/related" || method == http.MethodHead {
		a.body, a.err = io.ReadAll(resp.Body)
		return a
	}
	for m := multipart.NewReader(resp.Body, params["boundary"]); ; {
		p, err := m.NextRawPart()
		if errors.Is(err, io.EOF) {
			return a
		}
		if err != nil {
			a.err = err
			return a
		}
		b, err := io.ReadAll(p)
		a.body = append(a.body, b...)
		if err != nil {
			a.err = err
			return a
		}
	}
}

// good reports whether a is all of want.
func (a answer) good(want answer) bool {
	return a.err == nil && a.status == want.status && bytes.Equal(a.body, want.body)
}

// honest reports whether a is an error that a client cannot take for the answer.
func (a answer) honest() bool {
	var said struct{ Error string }
	return a.err != nil || a.status >= 500 && json.Unmarshal(a.body, &said) == nil && said.Error != ""
}

// readAll gets every resource of an object; all must be there.
func readAll(t *testing.T, n *testnode.Node, o object) (all []answer) {
	t.Helper()
	for _, r := range resources(o) {
		a := r.get(t.Context(), n)
		want := http.StatusOK
		if r.byteRange != "" {
			want = http.StatusPartialContent
		}
		if a.err != nil || a.status != want || len(a.body) == 0 {
			t.Fatalf("%v: status %d, %d bytes, %v: %.200s", r, a.status, len(a.body), a.err, a.body)
		}
		all = append(all, a)
	}
	return all
}

// TestReadersOfDamage reads objects whose bytes are lost or others, in every way: what comes to its end is what
// came before, and everything else is an error.
func TestReadersOfDamage(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "data")
	n := testnode.Start(t, dir)
	const large = 3 << 20
	cases := []struct {
		name   string
		object object
		damage func(path string) error // nil flips a bit
	}{
		{"a bit of a small one", object{number: 8000, pixels: 64 << 10}, nil},
		{"a bit of a large one", object{number: 8020, pixels: large}, nil},
		{"half of a file", object{number: 8040, pixels: large}, func(path string) error { return os.Truncate(path, large/2) }},
		{"all of a file", object{number: 8060, pixels: large}, func(path string) error { return os.Truncate(path, 0) }},
		{"a file", object{number: 8080, pixels: large}, os.Remove},
	}
	before := map[string][]answer{}
	for _, c := range cases {
		if sh := shipBytes(t, n, device.ViaUpload, "object.dcm", c.object.file()); sh.letter() != "S" {
			t.Fatalf("%+v", sh)
		}
		before[c.name] = readAll(t, n, c.object)
	}
	if err := n.Stop(); err != nil {
		t.Fatal(err)
	}
	for _, c := range cases {
		key := keyOf(t, dir, c.object)
		if c.damage == nil {
			flip(t, dir, key)
		} else if err := c.damage(filepath.Join(dir, "blobs", filepath.FromSlash(key))); err != nil {
			t.Fatal(err)
		}
	}
	n = testnode.Start(t, dir)
	for _, c := range cases {
		failed := 0
		for i, r := range resources(c.object) {
			got := r.get(t.Context(), n)
			if r.noBlob && !got.good(before[c.name][i]) {
				t.Errorf("%s is lost: %v: status %d, %v", c.name, r, got.status, got.err)
			}
			if !got.good(before[c.name][i]) {
				failed++
				if !got.honest() {
					t.Errorf("%s is lost: %v: status %d, %d other bytes, said to be well", c.name, r, got.status, len(got.body))
				}
			}
		}
		if failed == 0 {
			t.Errorf("%s is lost, and nobody noticed", c.name)
		}
		t.Logf("%s: %d of %d resources fail", c.name, failed, len(before[c.name]))
	}
	if status, _ := n.Get(t, "/healthz"); status != http.StatusOK {
		t.Errorf("healthz: %d", status)
	}
}

// TestBlobGoneInMidTransfer: a file that is cut while it is read breaks the connection; one that is deleted is read
// to its end.
func TestBlobGoneInMidTransfer(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "data")
	n := testnode.Start(t, dir)
	for i, c := range []struct {
		name  string
		away  func(path string) error
		whole bool
	}{
		{"cut", func(path string) error { return os.Truncate(path, 1<<20) }, false},
		{"deleted", os.Remove, true},
	} {
		o := object{number: 8200 + 20*i, pixels: 65_000 * 256} // 16 MB, more than sockets buffer
		file := o.file()
		if sh := shipBytes(t, n, device.ViaUpload, "object.dcm", file); sh.letter() != "S" {
			t.Fatalf("%+v", sh)
		}
		if status, _ := n.Get(t, o.path()+"/metadata"); status != http.StatusOK { // the index has it
			t.Fatal(status)
		}
		key := keyOf(t, dir, o)
		req, err := http.NewRequestWithContext(t.Context(), http.MethodGet, n.URL+o.path(), nil)
		if err != nil {
			t.Fatal(err)
		}
		req.Header.Set("Accept", "application/dicom")
		resp, err := http.DefaultClient.Do(req)
		if err != nil || resp.StatusCode != http.StatusOK {
			t.Fatal(resp, err)
		}
		got := make([]byte, 100)
		if _, err := io.ReadFull(resp.Body, got); err != nil {
			t.Fatal(err)
		}
		if err := c.away(filepath.Join(dir, "blobs", filepath.FromSlash(key))); err != nil {
			t.Fatal(err)
		}
		rest, err := io.ReadAll(resp.Body)
		_ = resp.Body.Close()
		got = append(got, rest...)
		switch {
		case c.whole && (err != nil || !bytes.Equal(got, file)):
			t.Errorf("%s: %d of %d bytes, %v", c.name, len(got), len(file), err)
		case !c.whole && err == nil:
			t.Errorf("%s: %d bytes ended well", c.name, len(got))
		}
	}
}

// TestReadersWhoDoNotRead: hundreds of clients that ask for a large object and read nothing of it, or hang up, hold up
// nobody and cost little; what they held comes back.
func TestReadersWhoDoNotRead(t *testing.T) {
	n := testnode.Start(t, filepath.Join(t.TempDir(), "data"), "--stall", "4s")
	o, small := object{number: 8300, pixels: 65_000 * 256}, object{number: 8320, pixels: 64 << 10}
	for _, o := range []object{o, small} {
		if sh := shipBytes(t, n, device.ViaUpload, "object.dcm", o.file()); sh.letter() != "S" {
			t.Fatalf("%+v", sh)
		}
	}
	readAll(t, n, small)
	figure := func(name string) float64 {
		t.Helper()
		v, err := metric(t.Context(), n, name)
		if err != nil {
			t.Fatal(err)
		}
		return v
	}
	http.DefaultClient.CloseIdleConnections()
	const clients = 300
	routines, files := figure("go_goroutines"), figure("process_open_fds")
	ask := func(path string) net.Conn {
		t.Helper()
		conn, err := net.Dial("tcp", strings.TrimPrefix(n.URL, "http://"))
		if err != nil {
			t.Fatal(err)
		}
		if err := conn.(*net.TCPConn).SetReadBuffer(4 << 10); err != nil {
			t.Fatal(err)
		}
		if _, err := io.WriteString(conn, "GET "+path+" HTTP/1.1\r\nHost: node\r\nAccept: application/dicom, */*\r\n\r\n"); err != nil {
			t.Fatal(err)
		}
		return conn
	}
	if err := n.ResetPeakRSS(); err != nil {
		t.Fatal(err)
	}
	var silent []net.Conn
	for i := range clients {
		silent = append(silent, ask([]string{o.path(), o.path() + "/frames/1", "/dicom-web/studies/" + o.study()}[i%3]))
	}
	for _, conn := range silent {
		defer conn.Close()
	}
	until(t, "they are being answered", func() bool { return figure("go_goroutines") >= routines+clients })
	for range 20 { // others are served meanwhile
		readAll(t, n, small)
	}
	until(t, "they are cut", func() bool {
		return figure("go_goroutines") < routines+30 && figure("process_open_fds") < files+30
	})
	for range clients {
		conn := ask(o.path())
		if err := conn.Close(); err != nil {
			t.Fatal(err)
		}
	}
	until(t, "who hangs up is forgotten", func() bool {
		return figure("go_goroutines") < routines+30 && figure("process_open_fds") < files+30
	})
	peak, err := n.PeakRSS()
	if err != nil {
		t.Fatal(err)
	}
	t.Logf("peak %d MiB with %d clients", peak>>20, clients)
	if peak > 256<<20 {
		t.Errorf("resident %d MiB, want 256 at most", peak>>20)
	}
	readAll(t, n, small)
}

// readersOverBrokenLines reads while S3 says 500, loses answers, cuts connections in the middle, and while PostgreSQL
// is silent: readers get the right bytes or hear of it, and all of it again afterwards.
func readersOverBrokenLines(t *testing.T, w *town) {
	b := w.books()
	b.send(t, 12, w.a, w.b)
	w.indexed(t, b)
	type want struct {
		object
		all []answer
	}
	var objects []want
	for number := b.first; number < b.first+12; number++ {
		o := object{number: number, pixels: sizeOf(number)}
		if number%20 != 0 && o.pixels < 512 {
			continue
		}
		objects = append(objects, want{object: o})
	}
	n := w.reader.now()
	for i := range objects {
		for _, r := range resources(objects[i].object) {
			objects[i].all = append(objects[i].all, r.get(t.Context(), n))
		}
	}
	play := func(name string) (good, honest int) {
		t.Helper()
		var mu sync.Mutex
		var readers sync.WaitGroup
		for _, o := range objects {
			readers.Go(func() {
				for i, r := range resources(o.object) {
					got := r.get(t.Context(), n)
					mu.Lock()
					switch {
					case got.good(o.all[i]):
						good++
					case got.honest():
						honest++
						if got.err == nil && got.status == http.StatusServiceUnavailable && got.header.Get("Retry-After") == "" {
							t.Errorf("%s: %v: 503 without Retry-After", name, r)
						}
					default:
						t.Errorf("%s: %v: status %d, %d bytes, before %d, %d", name, r, got.status, len(got.body), o.all[i].status, len(o.all[i].body))
					}
					mu.Unlock()
				}
			})
		}
		readers.Wait()
		t.Logf("%s: %d answers, %d errors", name, good, honest)
		return good, honest
	}
	w.requests.Set(faultproxy.HTTPFaults{Errors: 0.3, LostAnswers: 0.1, Slow: 0.1, Delay: 200 * time.Millisecond})
	good, _ := play("S3 says 500")
	if good == 0 {
		t.Error("nothing was read")
	}
	if stats := w.requests.Stats(); stats.Refused == 0 || stats.Lost == 0 {
		t.Errorf("the faults did not happen: %+v", stats)
	}
	w.requests.Set(faultproxy.HTTPFaults{})
	w.set(w.s3Line, faultproxy.Faults{ResetAfter: 200 << 10})
	if good, _ = play("S3 is cut off"); good == 0 {
		t.Error("nothing was read")
	}
	w.set(w.s3Line, faultproxy.Faults{})
	w.pg.Pause()
	var waiting sync.WaitGroup
	for _, r := range resources(objects[0].object) { // together: each of them waits for a while
		waiting.Go(func() {
			got := r.get(t.Context(), n)
			if got.status != http.StatusServiceUnavailable || got.header.Get("Retry-After") == "" {
				t.Errorf("PostgreSQL is silent: %v: status %d, %v, Retry-After %q", r, got.status, got.err, got.header.Get("Retry-After"))
			}
		})
	}
	waiting.Wait()
	w.pg.Resume()
	w.well(t)
	eventually(t, "everything is read again", func() error {
		if _, failed := play("all is well"); failed > 0 {
			return fmt.Errorf("%d errors", failed)
		}
		return nil
	})
}
