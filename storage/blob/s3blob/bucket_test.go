package s3blob_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/minio/minio-go/v7"

	"github.com/tributary-dicom/tributary/internal/testengine"
	"github.com/tributary-dicom/tributary/storage/blob"
	"github.com/tributary-dicom/tributary/storage/blob/blobtest"
	"github.com/tributary-dicom/tributary/storage/blob/s3blob"
)

// TestBareObject: a blob of one part is in the bucket exactly as it came.
func TestBareObject(t *testing.T) {
	server := testengine.StartS3(t)
	server.Setenv(t)
	s := open(t, server.URL("tributary", "bare"), s3blob.Options{})
	for _, n := range []int{0, small, 8 << 20} {
		data := blobtest.Bytes(n, 1)
		info, err := blobtest.Put(s, data, blob.Meta{"door": "storescp"})
		if err != nil {
			t.Fatal(err)
		}
		got, err := os.ReadFile(filepath.Join(server.Data(), "tributary", "bare", info.Key))
		if err != nil || !bytes.Equal(got, data) {
			t.Errorf("object of %d bytes = %d, %v", n, len(got), err)
		}
	}
}

// TestRot damages objects on the server's disk. No read of a damaged stretch gives out a byte of it.
func TestRot(t *testing.T) {
	server := testengine.StartS3(t)
	server.Setenv(t)
	s := open(t, server.URL("tributary", "rot")+smallParts, s3blob.Options{Attempts: 2})
	for _, n := range []int{1000, 2 << 20, large} {
		data := blobtest.Bytes(n, 1)
		at := n * 2 / 3
		for name, damage := range map[string]func(file []byte) []byte{
			"a bit flipped": func(f []byte) []byte { f[at] ^= 0x40; return f },
			"cut short":     func(f []byte) []byte { return f[:len(f)-1] },
			"grown":         func(f []byte) []byte { return append(f, 0) },
			"empty":         func([]byte) []byte { return nil },
			"zeros":         func(f []byte) []byte { clear(f[at:]); return f },
			"the end wrong": func(f []byte) []byte { f[len(f)-3] ^= 1; return f },
		} {
			info, err := blobtest.Put(s, data, nil)
			if err != nil {
				t.Fatal(err)
			}
			path := filepath.Join(server.Data(), "tributary", "rot", info.Key)
			file, err := os.ReadFile(path)
			if err != nil {
				t.Fatal(err)
			}
			// In place, so that attributes stay.
			if err := os.WriteFile(path, damage(file), 0o600); err != nil {
				t.Fatal(err)
			}
			for _, r := range [][2]int64{{0, -1}, {int64(at) - 10, 100}, {0, int64(n)}} {
				got, err := blobtest.Get(s, info.Key, r[0], r[1])
				if !bytes.HasPrefix(data[r[0]:], got) || err != nil && !errors.Is(err, blob.ErrCorrupt) {
					t.Errorf("%d bytes, %s, range %v: %d bytes, %v", n, name, r, len(got), err)
				}
				if whole := r[0] == 0; err == nil && (whole || name == "a bit flipped" || name == "zeros") {
					t.Errorf("%d bytes, %s, range %v was read", n, name, r)
				}
			}
			err = s.List(t.Context(), time.Time{}, func(blob.Info) error { return nil })
			if name != "a bit flipped" && name != "zeros" && name != "the end wrong" && !errors.Is(err, blob.ErrCorrupt) {
				t.Errorf("%d bytes, %s: List = %v; want ErrCorrupt at its end", n, name, err)
			}
			if err := s.Delete(t.Context(), info.Key); err != nil {
				t.Fatal(err)
			}
		}
	}
}

// TestPartBorders: wherever payload and record end, no part is larger than a part, and only the last is
// smaller.
func TestPartBorders(t *testing.T) {
	server := testengine.StartS3(t)
	server.Setenv(t)
	w := &wire{}
	s := open(t, server.URL("tributary", "borders")+smallParts, s3blob.Options{Wrap: w.wrap})
	const part = 5 << 20
	for _, n := range []int{part - 1, part, part + 1, 2*part - 50, 2 * part} {
		w.requests()
		data := blobtest.Bytes(n, 1)
		info, err := blobtest.Put(s, data, blob.Meta{"door": "upload"})
		if err != nil {
			t.Fatal(err)
		}
		for _, req := range w.requests() {
			last := req.URL.Query().Get("partNumber") == fmt.Sprint(n/part+1) || n == 2*part-50 && req.URL.Query().Get("partNumber") == "3"
			if isPartPut(req) && (req.ContentLength > part || req.ContentLength < part && !last) {
				t.Errorf("%d bytes: part %s has %d bytes", n, req.URL.Query().Get("partNumber"), req.ContentLength)
			}
		}
		wantBytes(t, s, info.Key, data)
		if got, err := blobtest.Get(s, info.Key, int64(n)-10, -1); err != nil || !bytes.Equal(got, data[n-10:]) {
			t.Errorf("%d bytes: the end = %x, %v", n, got, err)
		}
	}
}

func uploads(t *testing.T, server *testengine.S3) int {
	t.Helper()
	page, err := server.Client(t).ListMultipartUploads(t.Context(), "tributary", "", "", "", "", 1000)
	if err != nil {
		t.Fatal(err)
	}
	return len(page.Uploads)
}

// TestSweep: an aborted upload is gone; one that was broken off goes by the sweep, unless it is young, under
// way, or not a blob's.
func TestSweep(t *testing.T) {
	server := testengine.StartS3(t)
	server.Setenv(t)
	var clock sync.Mutex
	now := time.Now()
	opt := s3blob.Options{Now: func() time.Time {
		clock.Lock()
		defer clock.Unlock()
		return now
	}}
	dead := open(t, server.URL("tributary", "sweep")+smallParts, opt)
	begin := func(s *s3blob.Store) blob.Writer {
		w, err := s.Create(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		if _, err := w.Write(blobtest.Bytes(large, 1)); err != nil {
			t.Fatal(err)
		}
		return w
	}
	w := begin(dead)
	w.Abort()
	eventually(t, "the upload is aborted", func() bool { return uploads(t, server) == 0 })

	begin(dead)
	if err := dead.Close(); err != nil {
		t.Fatal(err)
	}
	_, err := server.Client(t).NewMultipartUpload(t.Context(), "tributary", "sweep/not a blob", minio.PutObjectOptions{})
	if err != nil {
		t.Fatal(err)
	}
	s := open(t, server.URL("tributary", "sweep")+smallParts, opt)
	own := begin(s)
	if n, err := s.Sweep(t.Context(), 24*time.Hour); n != 0 || err != nil {
		t.Errorf("Sweep of young uploads = %d, %v", n, err)
	}
	if n := uploads(t, server); n != 3 {
		t.Fatalf("%d uploads, want 3", n)
	}
	clock.Lock()
	now = now.Add(25 * time.Hour)
	clock.Unlock()
	if n, err := s.Sweep(t.Context(), 24*time.Hour); n != 1 || err != nil {
		t.Errorf("Sweep = %d, %v; want the one that was broken off", n, err)
	}
	if _, err := own.Commit(t.Context(), nil); err == nil {
		t.Error("a blob was committed a day after it was begun, when others may have swept it")
	}
	eventually(t, "its upload is aborted", func() bool { return uploads(t, server) == 1 })
	clock.Lock()
	now = now.Add(-25 * time.Hour)
	clock.Unlock()
	begin(s)
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	clock.Lock()
	now = now.Add(25 * time.Hour)
	clock.Unlock()
	open(t, server.URL("tributary", "sweep")+smallParts, opt)
	eventually(t, "opening sweeps", func() bool { return uploads(t, server) == 1 })
}

// TestListFromKey: what is older than since is not looked at, and large blobs that may have been begun before
// are looked at once.
func TestListFromKey(t *testing.T) {
	server := testengine.StartS3(t)
	server.Setenv(t)
	now := time.Date(2026, 11, 22, 12, 0, 0, 0, time.UTC)
	w := &wire{}
	s := open(t, server.URL("tributary", "days"), s3blob.Options{Wrap: w.wrap, Now: func() time.Time { return now }})
	for range 4 { // 19th to 22nd
		for _, n := range []int{1000, 9 << 20} {
			if _, err := blobtest.Put(s, blobtest.Bytes(n, 1), nil); err != nil {
				t.Fatal(err)
			}
		}
		now = now.AddDate(0, 0, -1)
	}
	since := time.Date(2026, 11, 22, 0, 0, 0, 0, time.UTC)
	for round, fetched := range []int{3, 2} { // two of the 22nd; the large one of the 21st once
		w.requests()
		var got []string
		if err := s.List(t.Context(), since, func(i blob.Info) error { got = append(got, i.Key); return nil }); err != nil {
			t.Fatal(err)
		}
		lists, records := 0, 0
		for _, req := range w.requests() {
			if req.URL.Query().Has("list-type") {
				lists++
				if after := req.URL.Query().Get("start-after"); !strings.HasPrefix(after, "days/2026/11/20/") {
					t.Errorf("listing starts after %q", after)
				}
			} else {
				records++
			}
		}
		if len(got) != 2 || lists != 1 || records != fetched {
			t.Errorf("round %d: %v by %d listings and %d records, want 2 by 1 and %d", round, got, lists, records, fetched)
		}
	}
}

// TestMemory: a blob of 300 MiB takes what a few parts take, and none of it stays.
func TestMemory(t *testing.T) {
	if testing.Short() {
		t.Skip("writes 300 MiB")
	}
	server := testengine.StartS3(t)
	server.Setenv(t)
	s := open(t, server.URL("tributary", "memory"), s3blob.Options{})
	chunk := blobtest.Bytes(1<<20, 1)
	w, err := s.Create(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	runtime.GC()
	var m runtime.MemStats
	runtime.ReadMemStats(&m)
	base, most := m.HeapInuse, uint64(0)
	for i := range 300 {
		if _, err := w.Write(chunk); err != nil {
			t.Fatal(err)
		}
		if i%10 == 0 {
			runtime.ReadMemStats(&m)
			most = max(most, m.HeapInuse)
		}
	}
	info, err := w.Commit(t.Context(), nil)
	if err != nil {
		t.Fatal(err)
	}
	if grown := int64(most) - int64(base); grown > 80<<20 {
		t.Errorf("heap grew by %d MiB", grown>>20)
	}
	r, err := s.Open(t.Context(), info.Key, 0, -1)
	if err != nil {
		t.Fatal(err)
	}
	defer r.Close()
	for range 300 {
		got := make([]byte, len(chunk))
		if _, err := io.ReadFull(r, got); err != nil || !bytes.Equal(got, chunk) {
			t.Fatalf("read back: %v", err)
		}
	}
	if _, err := r.Read(make([]byte, 1)); err != io.EOF {
		t.Errorf("the end = %v", err)
	}
}

// TestScarceMemory: writers beyond the budget go through files, and none waits for another.
func TestScarceMemory(t *testing.T) {
	server := testengine.StartS3(t)
	server.Setenv(t)
	dir := t.TempDir()
	s := open(t, server.URL("tributary", "scarce"), s3blob.Options{BufferBytes: 1 << 20, TempDir: dir})
	var writers []blob.Writer
	for range 6 { // all are begun and half written before the first is committed
		w, err := s.Create(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		if _, err := w.Write(blobtest.Bytes(9<<20, 1)); err != nil {
			t.Fatal(err)
		}
		writers = append(writers, w)
	}
	for _, w := range writers {
		if _, err := w.Write([]byte("end")); err != nil {
			t.Fatal(err)
		}
		info, err := w.Commit(t.Context(), nil)
		if err != nil {
			t.Fatal(err)
		}
		wantBytes(t, s, info.Key, append(blobtest.Bytes(9<<20, 1), "end"...))
	}
	if left, err := os.ReadDir(dir); err != nil || len(left) > 0 {
		t.Errorf("%d temporary files left, %v", len(left), err)
	}
}

// fake answers every request as a server that keeps nothing would.
type fake struct {
	mu     sync.Mutex
	seen   []*http.Request
	status int
	code   string
}

func (f *fake) RoundTrip(req *http.Request) (*http.Response, error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.seen = append(f.seen, req)
	resp := answer(req, http.StatusOK, "")
	switch {
	case f.status != 0:
		return answer(req, f.status, f.code), nil
	case isBegin(req):
		resp.Body = io.NopCloser(strings.NewReader("<InitiateMultipartUploadResult><Bucket>b</Bucket><Key>k</Key><UploadId>u</UploadId></InitiateMultipartUploadResult>"))
	case isComplete(req):
		resp.Body = io.NopCloser(strings.NewReader("<CompleteMultipartUploadResult><Bucket>b</Bucket><Key>k</Key><ETag>e</ETag></CompleteMultipartUploadResult>"))
	case req.URL.Query().Has("uploads"):
		resp.Body = io.NopCloser(strings.NewReader("<ListMultipartUploadsResult/>"))
	}
	resp.Header.Set("ETag", `"0123"`)
	return resp, nil
}

func (f *fake) answer(status int, code string) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.status, f.code = status, code
}

func (f *fake) find(t *testing.T, which func(*http.Request) bool) *http.Request {
	t.Helper()
	f.mu.Lock()
	defer f.mu.Unlock()
	for _, req := range f.seen {
		if which(req) {
			return req
		}
	}
	t.Fatal("no such request was sent")
	return nil
}

// TestRequests: what is asked for is on the wire, whether a server heeds it or not.
func TestRequests(t *testing.T) {
	t.Setenv("AWS_ACCESS_KEY_ID", "id")
	t.Setenv("AWS_SECRET_ACCESS_KEY", "hush-hush")
	t.Setenv("AWS_SESSION_TOKEN", "passing")
	for _, c := range []struct {
		query, host, path, sse, kms, sum string
	}{
		{"endpoint=https://s3.example:9000", "s3.example:9000", "/blobs/p/", "", "", "X-Amz-Checksum-Crc32c"},
		{"endpoint=https://s3.example:9000&path-style=false&sse=AES256", "blobs.s3.example:9000", "/p/", "AES256", "", "X-Amz-Checksum-Crc32c"},
		{"region=eu-west-1&sse=aws:kms:key-1", "blobs.s3.eu-west-1.amazonaws.com", "/p/", "aws:kms", "key-1", "X-Amz-Checksum-Crc32c"},
		{"region=eu-west-1&sse=aws:kms&path-style=true", "s3.eu-west-1.amazonaws.com", "/blobs/p/", "aws:kms", "", "X-Amz-Checksum-Crc32c"},
		{"endpoint=http://127.0.0.1:9&checksum=sha256", "127.0.0.1:9", "/blobs/p/", "", "", "X-Amz-Checksum-Sha256"},
	} {
		f := &fake{}
		s := open(t, "s3://blobs/p?"+c.query+smallParts, s3blob.Options{UserAgent: "tributary/9.1", Wrap: func(http.RoundTripper) http.RoundTripper { return f }})
		for _, n := range []int{small, large} {
			if _, err := blobtest.Put(s, blobtest.Bytes(n, 1), blob.Meta{"door": "x"}); err != nil {
				t.Fatalf("%s: %v", c.query, err)
			}
		}
		for name, which := range map[string]func(*http.Request) bool{"put": isSmallPut, "begin": isBegin, "part": isPartPut, "complete": isComplete} {
			req := f.find(t, which)
			h := req.Header
			want := map[string]bool{ // whether the request has to have it
				"X-Amz-Server-Side-Encryption":                c.sse != "" && (name == "put" || name == "begin"),
				"X-Amz-Server-Side-Encryption-Aws-Kms-Key-Id": c.kms != "" && (name == "put" || name == "begin"),
				"If-None-Match":                               name == "put" || name == "complete",
				c.sum:                                         name == "put" || name == "part",
				"X-Amz-Meta-Tributary":                        name == "put",
			}
			for header, has := range want {
				if (h.Get(header) != "") != has {
					t.Errorf("%s, %s: %s is %q", c.query, name, header, h.Get(header))
				}
			}
			if has := want["X-Amz-Server-Side-Encryption"]; has && (h.Get("X-Amz-Server-Side-Encryption") != c.sse || h.Get("X-Amz-Server-Side-Encryption-Aws-Kms-Key-Id") != c.kms) {
				t.Errorf("%s, %s: encryption %v", c.query, name, h)
			}
			if req.URL.Host != c.host || !strings.HasPrefix(req.URL.Path, c.path) {
				t.Errorf("%s, %s: sent to %s%s; want %s%s", c.query, name, req.URL.Host, req.URL.Path, c.host, c.path)
			}
			if !strings.HasSuffix(h.Get("User-Agent"), " tributary/9.1") || h.Get("X-Amz-Security-Token") != "passing" {
				t.Errorf("%s, %s: agent %q, token %q", c.query, name, h.Get("User-Agent"), h.Get("X-Amz-Security-Token"))
			}
			if signed := h.Get("X-Amz-Content-Sha256"); name != "begin" && (signed == "UNSIGNED-PAYLOAD") != (req.URL.Scheme == "https" && (name == "put" || name == "part")) {
				t.Errorf("%s, %s: payload signed as %s", c.query, name, signed)
			}
		}
	}
}

// TestRefusals: what a server says becomes what users of the store know.
func TestRefusals(t *testing.T) {
	t.Setenv("AWS_ACCESS_KEY_ID", "id")
	t.Setenv("AWS_SECRET_ACCESS_KEY", "hush-hush")
	for _, c := range []struct {
		status      int
		code        string
		write, read error
		createFails bool
		opens       bool
	}{
		{507, "", blob.ErrNoSpace, blob.ErrNoSpace, true, true},
		{507, "XMinioStorageFull", blob.ErrNoSpace, blob.ErrNoSpace, true, true},
		{403, "QuotaExceeded", blob.ErrNoSpace, blob.ErrNoSpace, true, true},
		{403, "AccessDenied", blob.ErrReadOnly, blob.ErrUnavailable, true, false},
		{403, "InvalidAccessKeyId", blob.ErrReadOnly, blob.ErrUnavailable, true, false},
		{404, "NoSuchBucket", blob.ErrReadOnly, blob.ErrUnavailable, true, false},
		{503, "SlowDown", blob.ErrUnavailable, blob.ErrUnavailable, true, true},
		{500, "", blob.ErrUnavailable, blob.ErrUnavailable, true, true},
		{400, "InvalidRequest", nil, nil, false, false},
		{404, "NoSuchKey", nil, blob.ErrNotFound, false, false},
	} {
		t.Run(fmt.Sprint(c.status, c.code), func(t *testing.T) {
			f := &fake{}
			opt := s3blob.Options{Attempts: 1, Wrap: func(http.RoundTripper) http.RoundTripper { return f }}
			s := open(t, "s3://blobs?region=eu-west-1"+smallParts, opt)
			var keys []string
			for _, n := range []int{small, large} {
				f.answer(0, "")
				eventually(t, "the store takes blobs", func() bool { return s.Ready(t.Context()) == nil })
				info, err := blobtest.Put(s, blobtest.Bytes(n, 1), nil)
				if err != nil {
					t.Fatal(err)
				}
				keys = append(keys, info.Key)
				w, err := s.Create(t.Context())
				if err != nil {
					t.Fatal(err)
				}
				f.answer(c.status, c.code)
				_, err = w.Write(blobtest.Bytes(n, 1))
				if err == nil {
					_, err = w.Commit(t.Context(), nil)
				}
				w.Abort()
				if err == nil || c.write != nil && !errors.Is(err, c.write) || strings.Contains(err.Error(), "hush") {
					t.Errorf("write of %d bytes = %v; want %v", n, err, c.write)
				}
				if _, err := s.Create(t.Context()); (err != nil) != c.createFails || c.createFails && !errors.Is(err, c.write) {
					t.Errorf("Create afterwards = %v", err)
				}
			}
			for _, key := range keys {
				if _, err := s.Open(t.Context(), key, 0, -1); err == nil || c.read != nil && !errors.Is(err, c.read) {
					t.Errorf("Open = %v; want %v", err, c.read)
				}
				if _, err := s.Stat(t.Context(), key); err == nil || c.status >= 500 && !errors.Is(err, c.read) { // HEAD tells a status and no code
					t.Errorf("Stat = %v; want %v", err, c.read)
				}
			}
			again, err := s3blob.Open(t.Context(), "s3://blobs?region=eu-west-1"+smallParts, opt)
			if (err == nil) != c.opens {
				t.Errorf("opening = %v", err)
			}
			if err == nil {
				if again.Ready(t.Context()) == nil {
					t.Error("ready at once")
				}
				if err := again.Close(); err != nil {
					t.Error(err)
				}
			}
		})
	}
}

// TestOpenRefuses: mistakes of a configuration show at once, with what to do.
func TestOpenRefuses(t *testing.T) {
	server := testengine.StartS3(t)
	for _, name := range []string{"AWS_ACCESS_KEY_ID", "AWS_ACCESS_KEY", "MINIO_ROOT_USER", "MINIO_ACCESS_KEY"} {
		t.Setenv(name, "")
	}
	t.Setenv("HOME", t.TempDir())
	refused := func(url, says string) {
		t.Helper()
		s, err := s3blob.Open(t.Context(), url, s3blob.Options{Attempts: 1})
		if err == nil {
			err = errors.Join(errors.New("opened"), s.Close())
		}
		if !strings.Contains(err.Error(), says) {
			t.Errorf("Open = %v; want %q", err, says)
		}
	}
	url := server.URL("tributary", "x")
	refused(url, "AWS_ACCESS_KEY_ID")
	server.Setenv(t)
	refused(url+"&colour=red", "allowed are")
	refused(server.URL("nobody-made-this", ""), "NoSuchBucket")
	refused(strings.Replace(url, "ca=", "profile=nobody&ca=", 1), "profile")
	refused("s3://tributary?endpoint="+server.Endpoint(), "certificate")
	empty := filepath.Join(t.TempDir(), "empty.pem")
	if err := os.WriteFile(empty, []byte("no PEM"), 0o600); err != nil {
		t.Fatal(err)
	}
	refused("s3://tributary?endpoint="+server.Endpoint()+"&ca="+empty, "no certificate")
	refused("s3://tributary?endpoint="+server.Endpoint()+"&ca="+empty+"x", "no such file")
	open(t, "s3://tributary?insecure=true&endpoint="+server.Endpoint(), s3blob.Options{})

	// Credentials of a profile in the shared file.
	file := filepath.Join(t.TempDir(), "credentials")
	text := "[clinic]\n"
	for _, pair := range server.Env()[:2] {
		name, value, _ := strings.Cut(pair, "=")
		text += strings.ToLower(name) + " = " + value + "\n"
	}
	if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	t.Setenv("AWS_SHARED_CREDENTIALS_FILE", file)
	t.Setenv("AWS_ACCESS_KEY_ID", "wrong")
	refused(url, "InvalidAccessKeyId")
	s := open(t, url+"&profile=clinic", s3blob.Options{})
	if err := s.Ready(t.Context()); err != nil {
		t.Error(err)
	}
	t.Setenv("AWS_PROFILE", "clinic")
	for _, name := range []string{"AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"} {
		t.Setenv(name, "")
	}
	open(t, url, s3blob.Options{})

	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if _, err := s3blob.Open(ctx, url, s3blob.Options{}); !errors.Is(err, context.Canceled) {
		t.Errorf("Open with a context that is over = %v", err)
	}
}
