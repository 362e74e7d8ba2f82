package dirblob_test

import (
	"errors"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/tributary-dicom/tributary/storage/blob"
	"github.com/tributary-dicom/tributary/storage/blob/blobtest"
	"github.com/tributary-dicom/tributary/storage/blob/dirblob"
	"github.com/tributary-dicom/tributary/storage/blob/simfs"
)

// A disk that fails makes the store read-only until a probe, at most one a second, succeeds.
func TestReadOnlyUntilProbed(t *testing.T) {
	for name, size := range map[string]int{"pack": 1000, "file": 2 << 20} {
		t.Run(name, func(t *testing.T) {
			d, c := simfs.New(1), newClock()
			s := open(t, root, dirblob.Options{FS: d, Now: c.now})
			kept, err := blobtest.Put(s, blobtest.Bytes(size, 1), nil)
			if err != nil {
				t.Fatal(err)
			}
			waiting, err := s.Create(t.Context())
			if err != nil {
				t.Fatal(err)
			}
			d.SetFault(func(c simfs.Call) error {
				if c.Op == simfs.OpDatasync {
					return syscall.EIO
				}
				return nil
			})
			if _, err := blobtest.Put(s, blobtest.Bytes(size, 2), nil); !errors.Is(err, blob.ErrReadOnly) || !errors.Is(err, syscall.EIO) {
				t.Fatalf("Commit = %v; want ErrReadOnly with its cause", err)
			}
			calls := d.Calls()
			if _, err := s.Create(t.Context()); !errors.Is(err, blob.ErrReadOnly) {
				t.Errorf("Create = %v", err)
			}
			if _, err := waiting.Commit(t.Context(), nil); !errors.Is(err, blob.ErrReadOnly) {
				t.Errorf("Commit of another = %v", err)
			}
			if err := s.Ready(t.Context()); !errors.Is(err, blob.ErrReadOnly) {
				t.Errorf("Ready = %v", err)
			}
			if err := s.Delete(t.Context(), kept.Key); !errors.Is(err, blob.ErrReadOnly) {
				t.Errorf("Delete = %v", err)
			}
			if d.Calls() != calls {
				t.Error("the disk was tried again within a second")
			}
			if err := s.Verify(t.Context(), kept.Key); err != nil {
				t.Errorf("reading while read-only: %v", err)
			}
			c.advance(time.Second)
			if err := s.Ready(t.Context()); !errors.Is(err, blob.ErrReadOnly) {
				t.Errorf("Ready on a bad disk = %v", err)
			}
			d.SetFault(nil)
			if err := s.Ready(t.Context()); !errors.Is(err, blob.ErrReadOnly) {
				t.Errorf("Ready within a second = %v", err)
			}
			c.advance(time.Second)
			if err := s.Ready(t.Context()); err != nil {
				t.Errorf("Ready on a good disk = %v", err)
			}
			if _, err := blobtest.Put(s, blobtest.Bytes(size, 3), nil); err != nil {
				t.Error(err)
			}
			if n := count(t, s); n != 2 {
				t.Errorf("List shows %d blobs, want the 2 acknowledged", n)
			}
		})
	}
}

func TestReserve(t *testing.T) {
	d := simfs.New(1)
	d.SetCapacity(40 << 20) // the reserve is 2 MiB
	s := open(t, root, dirblob.Options{FS: d, PrewriteBytes: -1})
	var keys []string
	var err error
	for err == nil {
		var info blob.Info
		if info, err = blobtest.Put(s, blobtest.Bytes(3<<20, 1), nil); err == nil {
			keys = append(keys, info.Key)
		}
	}
	if !errors.Is(err, blob.ErrNoSpace) || len(keys) != 13 {
		t.Fatalf("after %d blobs of 3 MiB: %v; want ErrNoSpace", len(keys), err)
	}
	if err := s.Ready(t.Context()); !errors.Is(err, blob.ErrNoSpace) {
		t.Errorf("Ready = %v", err)
	}
	if err := s.Delete(t.Context(), keys[0]); err != nil {
		t.Errorf("Delete on a full disk: %v", err)
	}
	if _, err := blobtest.Put(s, []byte("fits again"), nil); err != nil {
		t.Error(err)
	}
}

// A large blob notices on its way that space runs out, and leaves nothing.
func TestReserveInMidBlob(t *testing.T) {
	d := simfs.New(1)
	d.SetCapacity(100 << 20)
	s := open(t, root, dirblob.Options{FS: d})
	w, err := s.Create(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	chunk := make([]byte, 1<<20)
	written := 0
	for ; err == nil && written < 200; written++ {
		if written == 50 {
			d.SetCapacity(64 << 20)
		}
		_, err = w.Write(chunk)
	}
	if !errors.Is(err, blob.ErrNoSpace) || written > 65 {
		t.Errorf("after %d MiB: %v; want ErrNoSpace at 64 MiB", written, err)
	}
	if _, err := w.Commit(t.Context(), nil); !errors.Is(err, blob.ErrNoSpace) {
		t.Errorf("Commit = %v", err)
	}
	checkNoLitter(t, d)
	if err := s.Ready(t.Context()); err != nil {
		t.Errorf("Ready = %v", err)
	}
}

// Days change at midnight UTC, and clocks are set back.
func TestDays(t *testing.T) {
	d, c := simfs.New(1), newClock()
	s := open(t, root, dirblob.Options{FS: d, Now: c.now})
	start := c.now()
	var keys []string
	for _, by := range []time.Duration{0, 14 * time.Hour, -30 * time.Hour, 40 * 24 * time.Hour} {
		c.advance(by)
		for _, n := range []int{10, 2 << 20} {
			info, err := blobtest.Put(s, blobtest.Bytes(n, 1), nil)
			if err != nil {
				t.Fatal(err)
			}
			if day := c.now().Format("2006/01/02/"); !strings.HasPrefix(info.Key, day) || !info.Created.Equal(c.now()) {
				t.Errorf("key %s, created %v; want day %s", info.Key, info.Created, day)
			}
			keys = append(keys, info.Key)
		}
	}
	since := func(at time.Time) (n int) {
		if err := s.List(t.Context(), at, func(blob.Info) error { n++; return nil }); err != nil {
			t.Fatal(err)
		}
		return n
	}
	for at, want := range map[time.Time]int{
		start.Add(-48 * time.Hour): len(keys),
		start:                      6,
		start.Add(14 * time.Hour):  4,
		start.AddDate(0, 0, 20):    2,
	} {
		if got := since(at); got != want {
			t.Errorf("since %v: %d blobs, want %d", at, got, want)
		}
	}
	for _, key := range keys {
		if err := s.Verify(t.Context(), key); err != nil {
			t.Error(err)
		}
	}
}

// A Commit that failed is out of sight at once, although its bytes may lie on the disk until the repair.
func TestFailedCommitIsInvisible(t *testing.T) {
	for _, c := range []struct {
		name string
		size int
		op   simfs.Op
	}{
		{"pack not synced", 1000, simfs.OpDatasync},
		{"file not synced", 2 << 20, simfs.OpDatasync},
		{"folder of a file not synced", 2 << 20, simfs.OpSyncDir},
		{"file not renamed", 2 << 20, simfs.OpRename},
	} {
		t.Run(c.name, func(t *testing.T) {
			d := simfs.New(1)
			s := open(t, root, dirblob.Options{FS: d})
			for _, n := range []int{1000, 2 << 20} { // the day and the pack are there
				if _, err := blobtest.Put(s, blobtest.Bytes(n, 1), nil); err != nil {
					t.Fatal(err)
				}
			}
			d.SetFault(func(call simfs.Call) error {
				if call.Op == c.op {
					return syscall.EIO
				}
				return nil
			})
			if _, err := blobtest.Put(s, blobtest.Bytes(c.size, 2), nil); !errors.Is(err, blob.ErrReadOnly) {
				t.Fatalf("Commit = %v", err)
			}
			d.SetFault(nil)
			if seen := count(t, s); seen != 2 {
				t.Errorf("List shows %d blobs, want 2", seen)
			}
		})
	}
}
