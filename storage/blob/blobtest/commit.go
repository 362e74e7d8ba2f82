package blobtest

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"maps"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/tributary-dicom/tributary/storage/blob"
)

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
