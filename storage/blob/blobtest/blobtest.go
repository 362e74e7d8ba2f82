package blobtest

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"maps"
	"math/rand/v2"
	"testing"
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
