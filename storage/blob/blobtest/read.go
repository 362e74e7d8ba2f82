package blobtest

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"maps"
	"slices"
	"strings"
	"testing"
	"testing/iotest"
	"time"

	"github.com/tributary-dicom/tributary/storage/blob"
)

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
		if got := slices.Concat(first, rest); !bytes.HasPrefix(data, got) || err == nil && len(got) != n {
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
