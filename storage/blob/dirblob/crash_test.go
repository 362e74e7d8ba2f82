package dirblob_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"maps"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/tributary-dicom/tributary/storage/blob"
	"github.com/tributary-dicom/tributary/storage/blob/blobtest"
	"github.com/tributary-dicom/tributary/storage/blob/dirblob"
	"github.com/tributary-dicom/tributary/storage/blob/simfs"
)

// known is what a sender may rely on.
type known struct {
	live    map[string]stored // acknowledged
	maybe   map[string]bool   // a deletion was asked for and not acknowledged
	deleted []string          // a deletion was acknowledged
}

type stored struct {
	info blob.Info
	data []byte
}

func newKnown() *known { return &known{live: map[string]stored{}, maybe: map[string]bool{}} }

// crashOptions make every kind of event happen within a few calls: packs close after three records.
func crashOptions(d *simfs.Disk, now func() time.Time) dirblob.Options {
	return dirblob.Options{
		FS: d, SmallBytes: 12 << 10, PackBytes: 40 << 10, PrewriteBytes: 16 << 10, BufferBytes: 64 << 10, Now: now,
	}
}

// workload is workloadOpen and a proper end.
func workload(s *dirblob.Store, k *known, tick func(time.Duration)) error {
	if err := workloadOpen(s, k, tick); err != nil {
		return err
	}
	return s.Close()
}

// workloadOpen stores and deletes until done or until the first error, and notes what was acknowledged.
func workloadOpen(s *dirblob.Store, k *known, tick func(time.Duration)) error {
	var keys []string
	for i, n := range []int{3000, 9000, 0, 30_000, 5000, 100, 12_000, 20_000, 700, 8000, 4096, 2500} {
		data := blobtest.Bytes(n, uint64(i))
		meta := blob.Meta{"i": fmt.Sprint(i)}
		info, err := blobtest.Put(s, data, meta)
		if err != nil {
			return err
		}
		k.live[info.Key] = stored{info, data}
		keys = append(keys, info.Key)
		switch {
		case i == 8:
			tick(24 * time.Hour)
		case i%3 == 2:
			key := keys[i-2]
			k.maybe[key] = true
			if err := s.Delete(context.Background(), key); err != nil {
				return err
			}
			delete(k.live, key)
			delete(k.maybe, key)
			k.deleted = append(k.deleted, key)
		}
	}
	return nil
}

// writeMany is a workload of several writers at once.
func writeMany(s *dirblob.Store, k *known, writers, each int) {
	var mu sync.Mutex
	var wg sync.WaitGroup
	for g := range writers {
		wg.Go(func() {
			for i := range each {
				data := blobtest.Bytes((g*5003+i*1709)%20_000, uint64(g))
				info, err := blobtest.Put(s, data, blob.Meta{"g": fmt.Sprint(g)})
				if err != nil {
					return
				}
				mu.Lock()
				k.live[info.Key] = stored{info, data}
				mu.Unlock()
			}
		})
	}
	wg.Wait()
}

// check holds what was acknowledged against what is there.
func (k *known) check(t *testing.T, s *dirblob.Store) {
	t.Helper()
	ctx := t.Context()
	for key, want := range k.live {
		got, err := blobtest.Get(s, key, 0, -1)
		if k.maybe[key] && errors.Is(err, blob.ErrNotFound) {
			delete(k.live, key)
			continue
		}
		if err != nil || !bytes.Equal(got, want.data) {
			t.Fatalf("acknowledged %s = %d bytes, %v; want %d", key, len(got), err, len(want.data))
		}
		info, err := s.Stat(ctx, key)
		if err != nil || !maps.Equal(info.Meta, want.info.Meta) || !info.Created.Equal(want.info.Created) {
			t.Fatalf("acknowledged %s: Stat = %+v, %v; want %+v", key, info, err, want.info)
		}
	}
	for _, key := range k.deleted {
		if _, err := s.Stat(ctx, key); !errors.Is(err, blob.ErrNotFound) {
			t.Fatalf("deleted %s: Stat = %v", key, err)
		}
	}
	seen := map[string]bool{}
	err := s.List(ctx, time.Time{}, func(i blob.Info) error {
		seen[i.Key] = true
		return s.Verify(ctx, i.Key)
	})
	if err != nil {
		t.Fatalf("List: %v", err)
	}
	for key := range k.live {
		if !seen[key] {
			t.Fatalf("List misses %s", key)
		}
	}
	// One blob may be there that was never acknowledged for each crash; none may be torn.
}

func checkNoLitter(t *testing.T, d *simfs.Disk) {
	t.Helper()
	for _, f := range d.Files() {
		if strings.Contains(f, "/tmp/") {
			t.Fatalf("%s was left", f)
		}
	}
	if n := d.OpenFiles(); n > 1 {
		t.Fatalf("%d files open, want the pack at most", n)
	}
}

type clock struct{ t time.Time }

func newClock() *clock                    { return &clock{time.Date(2026, 11, 22, 10, 0, 0, 0, time.UTC)} }
func (c *clock) now() time.Time           { return c.t }
func (c *clock) advance(by time.Duration) { c.t = c.t.Add(by) }

// TestCrashAtEveryCall cuts the power at the first I/O call, at the second, and so on; then again during
// the recovery, and looks at what the third run finds.
func TestCrashAtEveryCall(t *testing.T) {
	for _, mode := range []simfs.Mode{simfs.Keep, simfs.Drop, simfs.Tear} {
		t.Run(mode.String(), func(t *testing.T) {
			for n := 1; ; n++ {
				d := simfs.New(uint64(n))
				k, c := newKnown(), newClock()
				d.CrashAt(n, mode)
				s, err := dirblob.Open(root, crashOptions(d, c.now))
				if err == nil {
					err = workload(s, k, c.advance)
					_ = s.Close()
				}
				if !d.Crashed() {
					if err != nil {
						t.Fatalf("without a crash: %v", err)
					}
					t.Logf("%d calls", n-1)
					break
				}
				d.Restart()
				d.CrashAt(1+n%7, mode) // a second one early in the recovery
				if s, err := dirblob.Open(root, crashOptions(d, c.now)); err == nil {
					_ = s.Close()
				}
				d.Restart()
				s, err = dirblob.Open(root, crashOptions(d, c.now))
				if err != nil {
					t.Fatalf("call %d: open after a crash: %v", n, err)
				}
				k.check(t, s)
				if err := workload(s, k, c.advance); err != nil {
					t.Fatalf("call %d: after a crash: %v", n, err)
				}
				checkNoLitter(t, d)
				s = open(t, root, crashOptions(d, c.now))
				k.check(t, s)
				_ = s.Close()
			}
		})
	}
}

// TestCrashRandomly crashes again and again on one disk, with several writers.
func TestCrashRandomly(t *testing.T) {
	seeds := 60
	if testing.Short() {
		seeds = 15
	}
	for seed := range seeds {
		d := simfs.New(uint64(seed))
		k, c := newKnown(), newClock()
		for round := range 5 {
			d.CrashAt(20+(seed*37+round*53)%200, simfs.Mode((seed+round)%3))
			if s, err := dirblob.Open(root, crashOptions(d, c.now)); err == nil {
				writeMany(s, k, 4, 10)
				_ = s.Close()
			}
			d.Restart()
			s, err := dirblob.Open(root, crashOptions(d, c.now))
			if err != nil {
				t.Fatalf("seed %d: %v", seed, err)
			}
			k.check(t, s)
			if err := s.Close(); err != nil {
				t.Fatalf("seed %d: %v", seed, err)
			}
		}
	}
}

// TestFaultAtEveryCall fails one call after another, once with a broken disk, once with a full one. The
// sender tries each object again until it is taken, without a restart.
func TestFaultAtEveryCall(t *testing.T) {
	for _, fault := range []error{syscall.EIO, syscall.ENOSPC, syscall.EMFILE} {
		t.Run(fault.Error(), func(t *testing.T) {
			for n := 1; ; n++ {
				d := simfs.New(uint64(n))
				k, c := newKnown(), newClock()
				s, err := dirblob.Open(root, crashOptions(d, c.now))
				if err != nil {
					t.Fatal(err)
				}
				before := d.Calls()
				d.FailAt(n, fault)
				tries := 0
				for ; err != nil || tries == 0; tries++ {
					if tries > 4 {
						t.Fatalf("call %d: still failing: %v", n, err)
					}
					err = workloadOpen(s, k, c.advance)
					if err != nil && !errors.Is(err, blob.ErrReadOnly) && !errors.Is(err, blob.ErrNoSpace) && !errors.Is(err, fault) {
						t.Fatalf("call %d: %v", n, err)
					}
					if errors.Is(err, blob.ErrReadOnly) {
						if err := s.Ready(t.Context()); !errors.Is(err, blob.ErrReadOnly) {
							t.Fatalf("call %d: Ready within a second = %v", n, err)
						}
					}
					c.advance(2 * time.Second)
				}
				if err := s.Ready(t.Context()); err != nil {
					t.Fatalf("call %d: Ready = %v", n, err)
				}
				d.SetFault(nil)
				k.check(t, s)
				if got := count(t, s); got != len(k.live) {
					t.Fatalf("call %d: List shows %d blobs, want the %d acknowledged", n, got, len(k.live))
				}
				calls := d.Calls() - before
				_ = s.Close()
				d.Crash(simfs.Drop)
				d.Restart()
				s = open(t, root, crashOptions(d, c.now))
				k.check(t, s)
				checkNoLitter(t, d)
				_ = s.Close()
				if n > calls {
					return
				}
			}
		})
	}
}

func count(t *testing.T, s *dirblob.Store) (n int) {
	t.Helper()
	err := s.List(t.Context(), time.Time{}, func(blob.Info) error { n++; return nil })
	if err != nil {
		t.Fatal(err)
	}
	return n
}
