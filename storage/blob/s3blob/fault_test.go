package s3blob_test

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"net/http"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/tributary-dicom/tributary/internal/testengine"
	"github.com/tributary-dicom/tributary/storage/blob"
	"github.com/tributary-dicom/tributary/storage/blob/blobtest"
	"github.com/tributary-dicom/tributary/storage/blob/s3blob"
)

// wire is a transport with faults. A fault sees a request, and may send it on itself.
type wire struct {
	next http.RoundTripper

	mu    sync.Mutex
	fault func(*http.Request, http.RoundTripper) (*http.Response, error) // nil, nil means: not this one
	seen  []*http.Request
}

func (w *wire) RoundTrip(req *http.Request) (*http.Response, error) {
	w.mu.Lock()
	w.seen = append(w.seen, req)
	fault := w.fault
	w.mu.Unlock()
	if fault != nil {
		if resp, err := fault(req, w.next); resp != nil || err != nil {
			return resp, err
		}
	}
	return w.next.RoundTrip(req)
}

func (w *wire) set(fault func(*http.Request, http.RoundTripper) (*http.Response, error)) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.fault = fault
}

func (w *wire) wrap(next http.RoundTripper) http.RoundTripper {
	w.next = next
	return w
}

// requests returns what was sent since the last call.
func (w *wire) requests() []*http.Request {
	w.mu.Lock()
	defer w.mu.Unlock()
	seen := w.seen
	w.seen = nil
	return seen
}

var errLine = errors.New("connection reset by a test")

// answer is a refusal as S3 sends it.
func answer(req *http.Request, status int, code string) *http.Response {
	text := "<Error><Code>" + code + "</Code><Message>of a test</Message></Error>"
	if code == "" || req.Method == http.MethodHead {
		text = ""
	}
	if req.Body != nil {
		_, _ = io.Copy(io.Discard, req.Body)
	}
	return &http.Response{
		StatusCode: status, Status: fmt.Sprint(status), Proto: "HTTP/1.1", ProtoMajor: 1, ProtoMinor: 1,
		Header: http.Header{"Content-Type": {"application/xml"}}, Body: io.NopCloser(strings.NewReader(text)), ContentLength: int64(len(text)), Request: req,
	}
}

// sent does what was asked and loses the answer.
func sent(req *http.Request, next http.RoundTripper) (*http.Response, error) {
	resp, err := next.RoundTrip(req)
	if err != nil {
		return nil, err
	}
	_, _ = io.Copy(io.Discard, resp.Body)
	_ = resp.Body.Close()
	return nil, errLine
}

func isSmallPut(req *http.Request) bool {
	return req.Method == http.MethodPut && strings.HasSuffix(req.URL.Path, ".b")
}
func isPartPut(req *http.Request) bool { return req.URL.Query().Has("partNumber") }

func isBegin(req *http.Request) bool {
	return req.Method == http.MethodPost && req.URL.Query().Has("uploads")
}

func isComplete(req *http.Request) bool {
	return req.Method == http.MethodPost && req.URL.Query().Has("uploadId")
}

func first(n int, which func(*http.Request) bool, fault func(*http.Request, http.RoundTripper) (*http.Response, error)) func(*http.Request, http.RoundTripper) (*http.Response, error) {
	var count atomic.Int64
	return func(req *http.Request, next http.RoundTripper) (*http.Response, error) {
		if which(req) && count.Add(1) <= int64(n) {
			return fault(req, next)
		}
		return nil, nil
	}
}

func refuse(status int, code string) func(*http.Request, http.RoundTripper) (*http.Response, error) {
	return func(req *http.Request, _ http.RoundTripper) (*http.Response, error) {
		return answer(req, status, code), nil
	}
}

// reset breaks the line when part of a body has been read.
func reset(req *http.Request, _ http.RoundTripper) (*http.Response, error) {
	if req.Body != nil {
		_, _ = io.CopyN(io.Discard, req.Body, 50_000)
	}
	return nil, errLine
}

func keysOf(t *testing.T, s blob.Store) map[string]blob.Info {
	t.Helper()
	all := map[string]blob.Info{}
	err := s.List(t.Context(), time.Time{}, func(i blob.Info) error {
		all[i.Key] = i
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	return all
}

func wantBytes(t *testing.T, s blob.Store, key string, want []byte) {
	t.Helper()
	got, err := blobtest.Get(s, key, 0, -1)
	if err != nil || !bytes.Equal(got, want) {
		t.Fatalf("get = %d bytes, %v; want the %d stored", len(got), err, len(want))
	}
}

// eventually waits for something that another goroutine brings about.
func eventually(t *testing.T, what string, ok func() bool) {
	t.Helper()
	for end := time.Now().Add(30 * time.Second); !ok(); time.Sleep(10 * time.Millisecond) {
		if time.Now().After(end) {
			t.Fatalf("not within 30 s: %s", what)
		}
	}
}

const (
	small = 100 << 10
	large = 11 << 20 // three of the smallest parts
)

// TestFaults: whatever goes wrong once or twice, the blob is there in the end, once, with its bytes.
func TestFaults(t *testing.T) {
	server := testengine.StartS3(t)
	server.Setenv(t)
	anyData := func(req *http.Request) bool { return isSmallPut(req) || isPartPut(req) }
	commit := func(req *http.Request) bool { return isSmallPut(req) || isComplete(req) }
	for name, fault := range map[string]func(*http.Request, http.RoundTripper) (*http.Response, error){
		"no fault":                             nil,
		"answer of the commit lost":            first(1, commit, sent),
		"answers of the commit lost, all":      first(1000, commit, sent),
		"answer of a part lost":                first(2, isPartPut, sent),
		"answer of the beginning lost":         first(1, isBegin, sent),
		"500 then success":                     first(2, anyData, refuse(500, "InternalError")),
		"503 without a body":                   first(2, anyData, refuse(503, "")),
		"slow down":                            first(3, anyData, refuse(503, "SlowDown")),
		"line reset in the middle of the body": first(2, anyData, reset),
		"the commit is refused at first":       first(2, commit, refuse(500, "InternalError")),
		"the server says that bytes changed":   first(1, anyData, refuse(400, "BadDigest")),
		"reading fails at first":               first(2, func(r *http.Request) bool { return r.Method == http.MethodGet }, reset),
		"a read breaks off":                    cutReads(3),
		"a byte changes on the way back":       first(1, func(r *http.Request) bool { return r.Method == http.MethodGet }, flipByte),
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel() // they mostly wait
			for _, n := range []int{small, large} {
				w := &wire{}
				s := open(t, server.URL("tributary", fmt.Sprintf("%s/%d", strings.ReplaceAll(t.Name(), ",", ""), n))+smallParts, s3blob.Options{Wrap: w.wrap})
				w.set(fault)
				data := blobtest.Bytes(n, 5)
				info, err := blobtest.Put(s, data, blob.Meta{"name": "王^小明"})
				if err != nil {
					t.Fatalf("%d bytes: %v", n, err)
				}
				wantBytes(t, s, info.Key, data)
				if all := keysOf(t, s); len(all) != 1 || all[info.Key].Meta["name"] != "王^小明" {
					t.Errorf("List = %v", all)
				}
			}
		})
	}
}

// cutReads breaks off the bodies of so many answers with bytes.
func cutReads(n int64) func(*http.Request, http.RoundTripper) (*http.Response, error) {
	var count atomic.Int64
	return func(req *http.Request, next http.RoundTripper) (*http.Response, error) {
		if req.Method != http.MethodGet || strings.Contains(req.URL.RawQuery, "list-type") || count.Add(1) > n {
			return nil, nil
		}
		return withBody(req, next, func(body io.Reader) io.Reader {
			return io.MultiReader(io.LimitReader(body, 70_000), failing{})
		})
	}
}

type failing struct{}

func (failing) Read([]byte) (int, error) { return 0, errLine }

func withBody(req *http.Request, next http.RoundTripper, change func(io.Reader) io.Reader) (*http.Response, error) {
	resp, err := next.RoundTrip(req)
	if err != nil {
		return nil, err
	}
	resp.Body = struct {
		io.Reader
		io.Closer
	}{change(resp.Body), resp.Body}
	return resp, nil
}

func flipByte(req *http.Request, next http.RoundTripper) (*http.Response, error) {
	return withBody(req, next, func(body io.Reader) io.Reader {
		head := make([]byte, 10)
		_, _ = io.ReadFull(body, head)
		head[5] ^= 1
		return io.MultiReader(bytes.NewReader(head), body)
	})
}

// TestLostCommit: the answer was lost and the server went away before anybody could look. The commit failed;
// so the blob is not there when the server is back.
func TestLostCommit(t *testing.T) {
	server := testengine.StartS3(t)
	server.Setenv(t)
	for _, n := range []int{small, large} {
		w := &wire{}
		s := open(t, server.URL("tributary", fmt.Sprint("lost/", n))+smallParts, s3blob.Options{Wrap: w.wrap, Attempts: 2})
		var away atomic.Bool
		w.set(func(req *http.Request, next http.RoundTripper) (*http.Response, error) {
			switch {
			case away.Load():
				return reset(req, next)
			case isSmallPut(req), isComplete(req):
				away.Store(true)
				return sent(req, next)
			}
			return nil, nil
		})
		_, err := blobtest.Put(s, blobtest.Bytes(n, 1), nil)
		if !errors.Is(err, blob.ErrUnavailable) {
			t.Fatalf("Commit = %v; want ErrUnavailable", err)
		}
		if _, err := s.Create(t.Context()); !errors.Is(err, blob.ErrUnavailable) {
			t.Errorf("Create while the server is away = %v", err)
		}
		if err := s.Ready(t.Context()); !errors.Is(err, blob.ErrUnavailable) {
			t.Errorf("Ready while the server is away = %v", err)
		}
		other := open(t, server.URL("tributary", fmt.Sprint("lost/", n))+smallParts, s3blob.Options{})
		if len(keysOf(t, other)) != 1 {
			t.Fatal("the test is wrong: the server should have the blob")
		}
		away.Store(false)
		w.set(nil)
		if all := keysOf(t, s); len(all) != 0 {
			t.Errorf("List shows %d blobs whose commit failed", len(all))
		}
		eventually(t, "the blob is removed", func() bool { return len(keysOf(t, other)) == 0 })
		eventually(t, "the store takes blobs", func() bool { return s.Ready(t.Context()) == nil })
		data := blobtest.Bytes(n, 2)
		info, err := blobtest.Put(s, data, nil)
		if err != nil {
			t.Fatal(err)
		}
		wantBytes(t, other, info.Key, data)
	}
}

// TestTakenAndNobodyTells: the answer was lost, the next try finds the key taken, and by what cannot be seen. The
// server is at fault, not the blob.
func TestTakenAndNobodyTells(t *testing.T) {
	server := testengine.StartS3(t)
	server.Setenv(t)
	w := &wire{}
	s := open(t, server.URL("tributary", "taken"), s3blob.Options{Wrap: w.wrap, Attempts: 2})
	puts := 0
	w.set(func(req *http.Request, next http.RoundTripper) (*http.Response, error) {
		switch {
		case isSmallPut(req):
			if puts++; puts == 1 {
				return sent(req, next)
			}
		case req.Method == http.MethodHead, req.Method == http.MethodGet, req.Method == http.MethodDelete:
			return reset(req, next)
		}
		return nil, nil
	})
	if _, err := blobtest.Put(s, blobtest.Bytes(small, 1), nil); !errors.Is(err, blob.ErrUnavailable) {
		t.Errorf("Commit = %v; want ErrUnavailable", err)
	}
	if puts != 2 {
		t.Errorf("%d puts", puts)
	}
	w.set(nil)
	other := open(t, server.URL("tributary", "taken"), s3blob.Options{})
	eventually(t, "the blob is removed", func() bool { return len(keysOf(t, other)) == 0 })
}

// TestOldDoubt: a blob whose commit failed long ago may have been adopted, and is not removed any more.
func TestOldDoubt(t *testing.T) {
	server := testengine.StartS3(t)
	server.Setenv(t)
	w := &wire{}
	var late atomic.Int64
	s := open(t, server.URL("tributary", "doubt")+smallParts, s3blob.Options{
		Wrap: w.wrap, Attempts: 1,
		Now: func() time.Time { return time.Now().Add(time.Duration(late.Load())) },
	})
	var away atomic.Bool
	w.set(func(req *http.Request, next http.RoundTripper) (*http.Response, error) {
		switch {
		case away.Load():
			return reset(req, next)
		case isSmallPut(req):
			away.Store(true)
			late.Store(int64(time.Minute))
			return sent(req, next)
		}
		return nil, nil
	})
	data := blobtest.Bytes(small, 1)
	if _, err := blobtest.Put(s, data, nil); err == nil {
		t.Fatal("Commit succeeded")
	}
	w.set(nil)
	eventually(t, "the blob is in sight", func() bool { return len(keysOf(t, s)) == 1 })
	for key := range keysOf(t, s) {
		wantBytes(t, s, key, data)
	}
}

// TestServerKilled: in the middle of uploads, and back again.
func TestServerKilled(t *testing.T) {
	server := testengine.StartS3(t)
	server.Setenv(t)
	s := open(t, server.URL("tributary", "kill")+smallParts, s3blob.Options{Timeout: 2 * time.Second, Attempts: 2})
	kept := map[string][]byte{}
	for i, n := range []int{small, large} {
		data := blobtest.Bytes(n, uint64(i))
		info, err := blobtest.Put(s, data, nil)
		if err != nil {
			t.Fatal(err)
		}
		kept[info.Key] = data
	}
	w, err := s.Create(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	if _, err := w.Write(blobtest.Bytes(large, 9)); err != nil {
		t.Fatal(err)
	}
	server.Kill()
	_, err = w.Commit(t.Context(), nil)
	if !errors.Is(err, blob.ErrUnavailable) {
		t.Errorf("Commit without a server = %v", err)
	}
	if _, err := blobtest.Put(s, []byte("x"), nil); !errors.Is(err, blob.ErrUnavailable) {
		t.Errorf("Put without a server = %v", err)
	}
	if _, err := blobtest.Get(s, firstKey(kept), 0, -1); !errors.Is(err, blob.ErrUnavailable) {
		t.Errorf("Open without a server = %v", err)
	}
	late, err := s3blob.Open(t.Context(), server.URL("tributary", "kill")+smallParts, s3blob.Options{})
	if err != nil || late.Ready(t.Context()) == nil {
		t.Fatalf("Open without a server: %v, Ready %v; want a store that is away", err, late.Ready(t.Context()))
	}
	defer late.Close()
	server.Start(t)
	for _, s := range []*s3blob.Store{s, late} {
		eventually(t, "the store is back", func() bool { return s.Ready(t.Context()) == nil })
		if got := keysOf(t, s); len(got) != len(kept) {
			t.Errorf("List shows %d blobs, want %d", len(got), len(kept))
		}
		for key, data := range kept {
			wantBytes(t, s, key, data)
		}
	}
	if n, err := s.Sweep(t.Context(), -time.Hour); err != nil || n != 1 {
		t.Errorf("Sweep = %d, %v; want the upload that was broken off", n, err)
	}
}

func firstKey(m map[string][]byte) string {
	for k := range m {
		return k
	}
	return ""
}

// TestServerHangs: nobody answers, and lines stay open.
func TestServerHangs(t *testing.T) {
	server := testengine.StartS3(t)
	server.Setenv(t)
	s := open(t, server.URL("tributary", "hang")+smallParts, s3blob.Options{Timeout: 300 * time.Millisecond, Attempts: 2})
	info, err := blobtest.Put(s, []byte("kept"), nil)
	if err != nil {
		t.Fatal(err)
	}
	server.Pause()
	if _, err := blobtest.Put(s, []byte("x"), nil); !errors.Is(err, blob.ErrUnavailable) {
		t.Errorf("Put = %v; want ErrUnavailable", err)
	}
	if _, err := s.Create(t.Context()); !errors.Is(err, blob.ErrUnavailable) {
		t.Errorf("Create = %v; want ErrUnavailable", err)
	}
	if _, err := blobtest.Get(s, info.Key, 0, -1); !errors.Is(err, blob.ErrUnavailable) {
		t.Errorf("Open = %v; want ErrUnavailable", err)
	}
	server.Continue()
	eventually(t, "the store is back", func() bool { return s.Ready(t.Context()) == nil })
	wantBytes(t, s, info.Key, []byte("kept"))
}

// TestSlowStream: a line that moves is not cut off, however long all of it takes.
func TestSlowStream(t *testing.T) {
	server := testengine.StartS3(t)
	server.Setenv(t)
	w := &wire{}
	s := open(t, server.URL("tributary", "slow")+smallParts, s3blob.Options{Wrap: w.wrap, Timeout: 250 * time.Millisecond, Attempts: 1})
	w.set(func(req *http.Request, next http.RoundTripper) (*http.Response, error) {
		if req.Body != nil {
			req.Body = io.NopCloser(slowly{req.Body})
		}
		return withBody(req, next, func(body io.Reader) io.Reader { return slowly{body} })
	})
	data := blobtest.Bytes(240_000, 1) // 12 × 25 ms each way at least
	info, err := blobtest.Put(s, data, nil)
	if err != nil {
		t.Fatal(err)
	}
	wantBytes(t, s, info.Key, data)
}

type slowly struct{ r io.Reader }

func (s slowly) Read(p []byte) (int, error) {
	time.Sleep(25 * time.Millisecond)
	return s.r.Read(p[:min(len(p), 20_000)])
}
