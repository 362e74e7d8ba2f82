package blobtest

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"maps"
	"math/rand/v2"
	"strings"
	"sync"
	"testing"
	"testing/iotest"
	"time"

	"github.com/tributary-dicom/tributary/storage/blob"
)

// sizes lie on both sides of the borders that stores tend to have: nothing, a chunk, a block, small and
// large, a part of a multipart upload.
var sizes = []int{0, 1, 127, 4095, 4096, 4097, 65535, 65536, 65537, 100 << 10, 1<<20 - 1, 1 << 20, 1<<20 + 1, 5<<20 + 3, 9 << 20}

// Run checks one blob store; open returns an empty one and sees to its closing.
func Run(t *testing.T, open func(t *testing.T) blob.Store) {
	for _, c := range []struct {
		name  string
		check func(*testing.T, blob.Store)
	}{
		{"what was committed is read back", readBack},
		{"Commit tells what Stat tells", statAgrees},
		{"nothing is visible until Commit", invisible},
		{"nothing is left by Abort", aborted},
		{"Abort does nothing after Commit or Abort", abortTwice},
		{"a Writer is spent after Commit", spent},
		{"Write does not retain its argument", noRetain},
		{"a range is cut short at the end", ranges},
		{"a negative offset is refused", negativeOffset},
		{"keys are unique", uniqueKeys},
		{"keys are safe in URLs and logs", safeKeys},
		{"a key never given is refused", badKeys},
		{"meta up to 16 KiB of JSON is kept", metaLimit},
		{"meta is UTF-8 of any kind", metaText},
		{"the caller's meta may change after Commit", metaCopied},
		{"Delete forgets", deleted},
		{"deleting what is gone succeeds", deletedTwice},
		{"deleting one leaves its neighbours", neighbours},
		{"a reader outlives Delete", readerOutlives},
		{"List tells every blob once", listAll},
		{"List starts at since", listSince},
		{"List stops when fn fails", listStops},
		{"List may call the store", listCalls},
		{"a cancelled context is heard", cancelled},
		{"many goroutines at once", concurrent},
		{"readers are io.Readers", iotests},
		{"Ready while it works", ready},
		{"nothing works after Close", closed},
	} {
		t.Run(c.name, func(t *testing.T) { c.check(t, open(t)) })
	}
}

// Bytes returns n bytes that depend on n and seed.
func Bytes(n int, seed uint64) []byte {
	b := make([]byte, n)
	r := rand.NewChaCha8([32]byte{byte(n), byte(n >> 8), byte(n >> 16), byte(seed), byte(seed >> 8)})
	_, _ = r.Read(b)
	return b
}

// Put commits data in a few writes.
func Put(s blob.Store, data []byte, meta blob.Meta) (blob.Info, error) {
	ctx := context.Background()
	w, err := s.Create(ctx)
	if err != nil {
		return blob.Info{}, err
	}
	defer w.Abort()
	for rest := data; len(rest) > 0; {
		n := min(len(rest), 40_000)
		if m, err := w.Write(rest[:n]); err != nil || m != n {
			return blob.Info{}, errors.Join(err, fmt.Errorf("write %d of %d", m, n))
		}
		rest = rest[n:]
	}
	return w.Commit(ctx, meta)
}

// Get reads a range of a blob.
func Get(s blob.Store, key string, off, n int64) ([]byte, error) {
	r, err := s.Open(context.Background(), key, off, n)
	if err != nil {
		return nil, err
	}
	data, err := io.ReadAll(r)
	return data, errors.Join(err, r.Close())
}

func put(t *testing.T, s blob.Store, data []byte, meta blob.Meta) blob.Info {
	t.Helper()
	info, err := Put(s, data, meta)
	if err != nil {
		t.Fatalf("put %d bytes: %v", len(data), err)
	}
	return info
}

func wantData(t *testing.T, s blob.Store, key string, want []byte) {
	t.Helper()
	got, err := Get(s, key, 0, -1)
	if err != nil || !bytes.Equal(got, want) {
		t.Fatalf("get %s = %d bytes, %v; want the %d bytes stored", key, len(got), err, len(want))
	}
}

func wantGone(t *testing.T, s blob.Store, key string) {
	t.Helper()
	if _, err := s.Open(t.Context(), key, 0, -1); !errors.Is(err, blob.ErrNotFound) {
		t.Errorf("Open = %v; want ErrNotFound", err)
	}
	if _, err := s.Stat(t.Context(), key); !errors.Is(err, blob.ErrNotFound) {
		t.Errorf("Stat = %v; want ErrNotFound", err)
	}
	if _, seen := list(t, s, time.Time{})[key]; seen {
		t.Errorf("List shows %s", key)
	}
}

func list(t *testing.T, s blob.Store, since time.Time) map[string]blob.Info {
	t.Helper()
	all := map[string]blob.Info{}
	err := s.List(t.Context(), since, func(i blob.Info) error {
		if _, twice := all[i.Key]; twice {
			t.Errorf("List tells %s twice", i.Key)
		}
		all[i.Key] = i
		return nil
	})
	if err != nil {
		t.Fatalf("List: %v", err)
	}
	return all
}

func sameInfo(a, b blob.Info) bool {
	return a.Key == b.Key && a.Bytes == b.Bytes && maps.Equal(a.Meta, b.Meta) && a.Created.Equal(b.Created)
}

func readBack(t *testing.T, s blob.Store) {
	keys := map[string][]byte{}
	for i, n := range sizes {
		data := Bytes(n, uint64(i))
		keys[put(t, s, data, blob.Meta{"n": fmt.Sprint(n)}).Key] = data
	}
	for key, data := range keys {
		wantData(t, s, key, data)
	}
}

func statAgrees(t *testing.T, s blob.Store) {
	for _, n := range sizes {
		info := put(t, s, Bytes(n, 1), blob.Meta{"door": "upload", "n": fmt.Sprint(n)})
		if info.Bytes != int64(n) || info.Meta["n"] != fmt.Sprint(n) || info.Created.IsZero() {
			t.Errorf("Commit of %d bytes = %+v", n, info)
		}
		got, err := s.Stat(t.Context(), info.Key)
		if err != nil || !sameInfo(got, info) {
			t.Errorf("Stat = %+v, %v; want %+v", got, err, info)
		}
	}
	info := put(t, s, []byte("x"), nil)
	if got, err := s.Stat(t.Context(), info.Key); err != nil || !sameInfo(got, info) {
		t.Errorf("Stat without meta = %+v, %v; want %+v", got, err, info)
	}
}

func invisible(t *testing.T, s blob.Store) {
	for _, n := range []int{10, 3 << 20} {
		w, err := s.Create(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		if _, err := w.Write(Bytes(n, 1)); err != nil {
			t.Fatal(err)
		}
		if all := list(t, s, time.Time{}); len(all) != 0 {
			t.Errorf("List shows %d blobs before Commit", len(all))
		}
		w.Abort()
	}
}

func aborted(t *testing.T, s blob.Store) {
	kept := put(t, s, []byte("kept"), nil)
	for _, n := range []int{0, 10, 3 << 20} {
		w, err := s.Create(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		if _, err := w.Write(Bytes(n, 1)); err != nil {
			t.Fatal(err)
		}
		w.Abort()
		if _, err := w.Write([]byte("more")); err == nil {
			t.Error("Write after Abort succeeded")
		}
		if _, err := w.Commit(t.Context(), nil); err == nil {
			t.Error("Commit after Abort succeeded")
		}
	}
	if all := list(t, s, time.Time{}); len(all) != 1 {
		t.Errorf("List shows %d blobs, want 1", len(all))
	}
	wantData(t, s, kept.Key, []byte("kept"))
}

func abortTwice(t *testing.T, s blob.Store) {
	for _, n := range []int{10, 3 << 20} {
		w, err := s.Create(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		if _, err := w.Write(Bytes(n, 1)); err != nil {
			t.Fatal(err)
		}
		info, err := w.Commit(t.Context(), nil)
		if err != nil {
			t.Fatal(err)
		}
		w.Abort()
		w.Abort()
		wantData(t, s, info.Key, Bytes(n, 1))
	}
}

func spent(t *testing.T, s blob.Store) {
	w, err := s.Create(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	info, err := w.Commit(t.Context(), nil)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := w.Write([]byte("more")); err == nil {
		t.Error("Write after Commit succeeded")
	}
	if _, err := w.Commit(t.Context(), nil); err == nil {
		t.Error("second Commit succeeded")
	}
	wantData(t, s, info.Key, nil)
}

func noRetain(t *testing.T, s blob.Store) {
	for _, n := range []int{1000, 3 << 20} {
		w, err := s.Create(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		data := Bytes(n, 1)
		if _, err := w.Write(data); err != nil {
			t.Fatal(err)
		}
		clear(data)
		info, err := w.Commit(t.Context(), nil)
		if err != nil {
			t.Fatal(err)
		}
		wantData(t, s, info.Key, Bytes(n, 1))
	}
}

func ranges(t *testing.T, s blob.Store) {
	for _, size := range []int{0, 1, 5000, 200 << 10, 2 << 20} {
		data := Bytes(size, 7)
		key := put(t, s, data, blob.Meta{"a": "b"}).Key
		z := int64(size)
		for _, off := range []int64{0, 1, z / 2, z - 1, z, z + 1, 1 << 40, 1<<63 - 1} {
			for _, n := range []int64{-1, 0, 1, 100, z, z + 1, 1<<63 - 1} {
				if off < 0 {
					continue
				}
				from := min(off, z)
				to := z
				if n >= 0 && n < z-from {
					to = from + n
				}
				got, err := Get(s, key, off, n)
				if err != nil || !bytes.Equal(got, data[from:to]) {
					t.Fatalf("%d bytes [%d,+%d) = %d bytes, %v; want %d", size, off, n, len(got), err, to-from)
				}
			}
		}
	}
}

func negativeOffset(t *testing.T, s blob.Store) {
	key := put(t, s, []byte("data"), nil).Key
	if _, err := Get(s, key, -1, 2); err == nil {
		t.Error("a negative offset succeeded")
	}
}

func uniqueKeys(t *testing.T, s blob.Store) {
	seen := map[string]bool{}
	for i := range 60 {
		info := put(t, s, []byte("the same bytes"), nil)
		if seen[info.Key] {
			t.Fatalf("key %s given twice", info.Key)
		}
		seen[info.Key] = true
		if i%2 == 0 {
			if err := s.Delete(t.Context(), info.Key); err != nil {
				t.Fatal(err)
			}
		}
	}
}

func safeKeys(t *testing.T, s blob.Store) {
	const safe = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-._~/"
	for _, n := range []int{1, 3 << 20} {
		key := put(t, s, Bytes(n, 1), blob.Meta{"patient": "never in a key"}).Key
		if key == "" || len(key) > 256 || strings.Trim(key, safe) != "" || strings.Contains(key, "..") {
			t.Errorf("key %q", key)
		}
	}
}

func badKeys(t *testing.T, s blob.Store) {
	small, large := put(t, s, []byte("secret"), nil).Key, put(t, s, Bytes(3<<20, 1), nil).Key
	keys := []string{
		"", "/", ".", "..", "../LOCK", "LOCK", "tmp", "/etc/passwd", "\x00", "a\nb", strings.Repeat("9", 1<<16),
		"2026/11/22", "2026/11/22/", "2026/13/01/x.f", "../" + small, "%2e%2e/" + small,
	}
	for _, k := range []string{small, large} {
		keys = append(keys, k+"/", k+" ", k+"\x00", "/"+k, "./"+k, k+"/..", strings.ToLower(k), k+"0", "0"+k, k[1:], k[:len(k)-1])
	}
	for _, key := range keys {
		if key == small || key == large {
			continue // a store may have keys without letters
		}
		_, oerr := s.Open(t.Context(), key, 0, -1)
		_, serr := s.Stat(t.Context(), key)
		for _, err := range []error{oerr, serr} {
			if !errors.Is(err, blob.ErrBadKey) && !errors.Is(err, blob.ErrNotFound) {
				t.Errorf("key %.60q: %v; want ErrBadKey or ErrNotFound", key, err)
			}
		}
		if err := s.Delete(t.Context(), key); err != nil && !errors.Is(err, blob.ErrBadKey) {
			t.Errorf("delete %.60q: %v", key, err)
		}
	}
	wantData(t, s, small, []byte("secret"))
	wantData(t, s, large, Bytes(3<<20, 1))
}

func metaLimit(t *testing.T, s blob.Store) {
	for _, n := range []int{100, 3 << 20} {
		fits := blob.Meta{"k": strings.Repeat("v", 16<<10-len(`{"k":""}`))}
		info := put(t, s, Bytes(n, 1), fits)
		if got, err := s.Stat(t.Context(), info.Key); err != nil || !maps.Equal(got.Meta, fits) {
			t.Errorf("Stat with 16 KiB of meta: %v", err)
		}
		if _, err := Put(s, Bytes(n, 1), blob.Meta{"k": fits["k"] + "v"}); err == nil {
			t.Error("meta of 16 KiB and a byte was accepted")
		}
		if got := len(list(t, s, time.Time{})); got != 1 {
			t.Errorf("List shows %d blobs after a refused Commit, want 1", got)
		}
		if err := s.Delete(t.Context(), info.Key); err != nil {
			t.Fatal(err)
		}
	}
}

func metaText(t *testing.T, s blob.Store) {
	meta := blob.Meta{"": "empty key", "empty": "", "name": "Иванов^Пётр=山田", "html": "<&>\"'\\", "control": "\x00\r\n\t\u2028", "é": "x"}
	info := put(t, s, []byte("x"), meta)
	if got, err := s.Stat(t.Context(), info.Key); err != nil || !maps.Equal(got.Meta, meta) {
		t.Errorf("Stat = %q, %v; want %q", got.Meta, err, meta)
	}
}

func metaCopied(t *testing.T, s blob.Store) {
	meta := blob.Meta{"a": "1"}
	info := put(t, s, []byte("x"), meta)
	meta["a"] = "2"
	got, err := s.Stat(t.Context(), info.Key)
	if err != nil || got.Meta["a"] != "1" || info.Meta["a"] != "1" {
		t.Errorf("meta = %v and %v, %v; want the one committed", got.Meta, info.Meta, err)
	}
}

func deleted(t *testing.T, s blob.Store) {
	for _, n := range sizes {
		key := put(t, s, Bytes(n, 1), nil).Key
		if err := s.Delete(t.Context(), key); err != nil {
			t.Fatal(err)
		}
		wantGone(t, s, key)
	}
}

func deletedTwice(t *testing.T, s blob.Store) {
	for _, n := range []int{10, 3 << 20} {
		key := put(t, s, Bytes(n, 1), nil).Key
		for range 3 {
			if err := s.Delete(t.Context(), key); err != nil {
				t.Fatal(err)
			}
		}
	}
}

func neighbours(t *testing.T, s blob.Store) {
	type stored struct {
		key  string
		data []byte
	}
	var all []stored
	for i := range 12 {
		data := Bytes(1+i*3000, uint64(i))
		all = append(all, stored{put(t, s, data, nil).Key, data})
	}
	for i, b := range all {
		if i%3 != 1 {
			if err := s.Delete(t.Context(), b.key); err != nil {
				t.Fatal(err)
			}
		}
	}
	for i, b := range all {
		if i%3 == 1 {
			wantData(t, s, b.key, b.data)
		} else {
			wantGone(t, s, b.key)
		}
	}
	if got := len(list(t, s, time.Time{})); got != 4 {
		t.Errorf("List shows %d blobs, want 4", got)
	}
}

func readerOutlives(t *testing.T, s blob.Store) {
	for _, n := range []int{300 << 10, 3 << 20} {
		data := Bytes(n, 1)
		key := put(t, s, data, nil).Key
		r, err := s.Open(t.Context(), key, 0, -1)
		if err != nil {
			t.Fatal(err)
		}
		first := make([]byte, 1000)
		if _, err := io.ReadFull(r, first); err != nil {
			t.Fatal(err)
		}
		if err := s.Delete(t.Context(), key); err != nil {
			t.Fatal(err)
		}
		wantGone(t, s, key)
		// A store may refuse from here on, but what it returns must be the blob's bytes.
		rest, err := io.ReadAll(r)
		if got := append(first, rest...); !bytes.HasPrefix(data, got) || err == nil && len(got) != n {
			t.Errorf("read %d bytes of %d, %v, and not those stored", len(got), n, err)
		}
		if err := r.Close(); err != nil {
			t.Error(err)
		}
	}
}

func listAll(t *testing.T, s blob.Store) {
	want := map[string]blob.Info{}
	for i, n := range sizes {
		info := put(t, s, Bytes(n, 1), blob.Meta{"i": fmt.Sprint(i)})
		want[info.Key] = info
	}
	if got := list(t, s, time.Time{}); !maps.EqualFunc(got, want, sameInfo) {
		t.Errorf("List = %v\nwant %v", got, want)
	}
}

func listSince(t *testing.T, s blob.Store) {
	info := put(t, s, []byte("x"), nil)
	for _, c := range []struct {
		since time.Time
		want  int
	}{
		{time.Time{}, 1},
		{time.Date(-5, 1, 1, 0, 0, 0, 0, time.UTC), 1},
		{time.Unix(0, 0), 1},
		{info.Created.AddDate(0, 0, -40), 1},
		{info.Created.Add(-time.Hour).In(time.FixedZone("", 14*3600)), 1},
		{info.Created, 1},
		{info.Created.Add(time.Second), 0},
		{info.Created.AddDate(0, 0, 40), 0},
		{time.Date(12000, 1, 1, 0, 0, 0, 0, time.UTC), 0},
	} {
		if got := len(list(t, s, c.since)); got != c.want {
			t.Errorf("List since %v = %d blobs, want %d", c.since, got, c.want)
		}
	}
}

func listStops(t *testing.T, s blob.Store) {
	for range 3 {
		put(t, s, []byte("x"), nil)
		put(t, s, Bytes(2<<20, 1), nil)
	}
	stop, calls := errors.New("enough"), 0
	err := s.List(t.Context(), time.Time{}, func(blob.Info) error {
		if calls++; calls == 2 {
			return stop
		}
		return nil
	})
	if !errors.Is(err, stop) || calls != 2 {
		t.Errorf("List = %v after %d calls; want its fn's error after 2", err, calls)
	}
}

func listCalls(t *testing.T, s blob.Store) {
	for range 3 {
		put(t, s, []byte("x"), nil)
		put(t, s, Bytes(2<<20, 1), nil)
	}
	err := s.List(t.Context(), time.Time{}, func(i blob.Info) error {
		if _, err := s.Stat(t.Context(), i.Key); err != nil {
			return err
		}
		return s.Delete(t.Context(), i.Key)
	})
	if err != nil {
		t.Fatal(err)
	}
	if got := len(list(t, s, time.Time{})); got != 0 {
		t.Errorf("%d blobs left", got)
	}
}

func cancelled(t *testing.T, s blob.Store) {
	info := put(t, s, []byte("x"), nil)
	w, err := s.Create(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if _, err := s.Create(ctx); !errors.Is(err, context.Canceled) {
		t.Errorf("Create = %v", err)
	}
	if _, err := w.Commit(ctx, nil); !errors.Is(err, context.Canceled) {
		t.Errorf("Commit = %v", err)
	}
	w.Abort()
	if _, err := s.Open(ctx, info.Key, 0, -1); !errors.Is(err, context.Canceled) {
		t.Errorf("Open = %v", err)
	}
	if err := s.Delete(ctx, info.Key); !errors.Is(err, context.Canceled) {
		t.Errorf("Delete = %v", err)
	}
	if err := s.List(ctx, time.Time{}, func(blob.Info) error { return nil }); !errors.Is(err, context.Canceled) {
		t.Errorf("List = %v", err)
	}
	if got := len(list(t, s, time.Time{})); got != 1 {
		t.Errorf("List shows %d blobs, want the first alone", got)
	}
}

func concurrent(t *testing.T, s blob.Store) {
	const writers, each = 8, 12
	var mu sync.Mutex
	want := map[string]blob.Info{}
	var wg sync.WaitGroup
	for g := range writers {
		wg.Go(func() {
			for i := range each {
				n := (g*7919 + i*104729) % (300 << 10)
				if i == each/2 {
					n += 1 << 20
				}
				data := Bytes(n, uint64(g))
				info, err := Put(s, data, blob.Meta{"g": fmt.Sprint(g)})
				if err != nil {
					t.Error(err)
					return
				}
				got, err := Get(s, info.Key, 0, -1)
				if err != nil || !bytes.Equal(got, data) {
					t.Errorf("get = %d bytes, %v; want %d", len(got), err, n)
				}
				if i%4 == 3 {
					if err := s.Delete(context.Background(), info.Key); err != nil {
						t.Error(err)
					}
					continue
				}
				mu.Lock()
				want[info.Key] = info
				mu.Unlock()
			}
		})
	}
	wg.Wait()
	if got := list(t, s, time.Time{}); !maps.EqualFunc(got, want, sameInfo) {
		t.Errorf("List shows %d blobs, want %d", len(got), len(want))
	}
}

func iotests(t *testing.T, s blob.Store) {
	data := Bytes(20_000, 3)
	key := put(t, s, data, nil).Key
	r, err := s.Open(t.Context(), key, 0, -1)
	if err != nil {
		t.Fatal(err)
	}
	if err := iotest.TestReader(r, data); err != nil {
		t.Error(err)
	}
	if err := r.Close(); err != nil {
		t.Error(err)
	}
	for _, n := range []int64{-1, 5000} {
		r, err := s.Open(t.Context(), key, 0, n)
		if err != nil {
			t.Fatal(err)
		}
		var b bytes.Buffer
		m, err := io.Copy(&b, r) // by WriteTo where there is one
		want := data
		if n >= 0 {
			want = data[:n]
		}
		if err != nil || m != int64(len(want)) || !bytes.Equal(b.Bytes(), want) {
			t.Errorf("copy = %d bytes, %v; want %d", m, err, len(want))
		}
		if err := r.Close(); err != nil {
			t.Error(err)
		}
	}
}

func ready(t *testing.T, s blob.Store) {
	if err := s.Ready(t.Context()); err != nil {
		t.Errorf("Ready = %v", err)
	}
}

func closed(t *testing.T, s blob.Store) {
	key := put(t, s, []byte("x"), nil).Key
	w, err := s.Create(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	if _, err := w.Commit(t.Context(), nil); err == nil {
		t.Error("Commit after Close succeeded")
	}
	if _, err := s.Create(t.Context()); err == nil {
		t.Error("Create after Close succeeded")
	}
	if err := s.Ready(t.Context()); err == nil {
		t.Error("Ready after Close")
	}
	if _, err := s.Open(t.Context(), key, 0, -1); err == nil {
		t.Error("Open after Close succeeded")
	}
}
