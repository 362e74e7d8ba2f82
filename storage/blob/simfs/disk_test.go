package simfs_test

import (
	"bytes"
	"errors"
	"io/fs"
	"path/filepath"
	"syscall"
	"testing"

	"github.com/tributary-dicom/tributary/storage/blob/dirblob/disk"
	"github.com/tributary-dicom/tributary/storage/blob/simfs"
)

func path(name string) string { return filepath.Join(string(filepath.Separator), "d", name) }

// prepared returns a disk with a durable folder and a durable file of 4 sectors of 'a' in it, open.
func prepared(t *testing.T, seed uint64) (*simfs.Disk, disk.File) {
	t.Helper()
	d := simfs.New(seed)
	d.Put(path("old"), bytes.Repeat([]byte("a"), 2048))
	f, err := d.OpenWrite(path("old"))
	if err != nil {
		t.Fatal(err)
	}
	return d, f
}

func write(t *testing.T, f disk.File, b []byte, off int64) {
	t.Helper()
	if err := f.WriteVec([][]byte{b}, off); err != nil {
		t.Fatal(err)
	}
}

func TestCrashModes(t *testing.T) {
	for _, c := range []struct {
		mode   simfs.Mode
		sync   bool
		wantB  func(n int) bool // sectors of 'b' after the crash
		exists func(b bool) bool
	}{
		{simfs.Keep, false, func(n int) bool { return n == 3 }, func(b bool) bool { return b }},
		{simfs.Drop, false, func(n int) bool { return n == 0 }, func(b bool) bool { return !b }},
		{simfs.Tear, false, func(int) bool { return true }, func(bool) bool { return true }},
		{simfs.Drop, true, func(n int) bool { return n == 3 }, func(b bool) bool { return b }},
		{simfs.Tear, true, func(n int) bool { return n == 3 }, func(b bool) bool { return b }},
	} {
		for seed := range uint64(20) {
			d, f := prepared(t, seed)
			write(t, f, bytes.Repeat([]byte("b"), 1536), 512)
			if _, err := d.Create(path("new")); err != nil {
				t.Fatal(err)
			}
			if c.sync {
				if err := errors.Join(f.Datasync(), d.SyncDir(path(""))); err != nil {
					t.Fatal(err)
				}
			}
			d.Crash(c.mode)
			if err := f.Datasync(); !errors.Is(err, simfs.ErrCrashed) {
				t.Errorf("Datasync after a crash = %v", err)
			}
			d.Restart()
			if err := f.Datasync(); !errors.Is(err, simfs.ErrCrashed) {
				t.Errorf("a file outlived a crash: %v", err)
			}
			got, err := d.Get(path("old"))
			if err != nil || len(got) != 2048 {
				t.Fatalf("%d bytes, %v", len(got), err)
			}
			sectors := 0
			for at := 0; at < len(got); at += 512 {
				if n := bytes.Count(got[at:at+512], []byte("b")); n == 512 {
					sectors++
				} else if n != 0 {
					t.Fatalf("a sector is torn: %d bytes of 512", n)
				}
			}
			_, err = d.Get(path("new"))
			if !c.wantB(sectors) || !c.exists(err == nil) {
				t.Errorf("%v, synced %v: %d sectors, new file: %v", c.mode, c.sync, sectors, err)
			}
		}
	}
}

// After a failed sync the bytes are seen and are lost, and the next sync succeeds.
func TestFailedSyncForgets(t *testing.T) {
	d, f := prepared(t, 1)
	write(t, f, []byte("b"), 0)
	d.FailAt(1, syscall.EIO)
	if err := f.Datasync(); !errors.Is(err, syscall.EIO) {
		t.Fatalf("Datasync = %v", err)
	}
	if err := f.Datasync(); err != nil {
		t.Fatal(err)
	}
	if got, _ := d.Get(path("old")); got[0] != 'b' {
		t.Error("the page cache lost the write")
	}
	d.Crash(simfs.Keep)
	d.Restart()
	if got, _ := d.Get(path("old")); got[0] != 'a' {
		t.Error("the write became durable")
	}
}

func TestRenameMayPersistAtOneEnd(t *testing.T) {
	seen := map[[2]bool]bool{}
	for seed := range uint64(64) {
		d, _ := prepared(t, seed)
		if err := d.Rename(path("old"), path("new")); err != nil {
			t.Fatal(err)
		}
		d.Crash(simfs.Tear)
		d.Restart()
		_, oldErr := d.Get(path("old"))
		_, newErr := d.Get(path("new"))
		seen[[2]bool{oldErr == nil, newErr == nil}] = true
	}
	if len(seen) != 4 {
		t.Errorf("seen %v, want all four", seen)
	}
}

func TestCallsAreCountedAndLimited(t *testing.T) {
	d, f := prepared(t, 1)
	d.CrashAt(3, simfs.Drop)
	write(t, f, []byte("x"), 0)
	if err := f.Datasync(); err != nil {
		t.Fatal(err)
	}
	if err := f.Truncate(0); !errors.Is(err, simfs.ErrCrashed) || !d.Crashed() {
		t.Errorf("third call = %v", err)
	}
	if d.Calls() != 4 || d.Count(simfs.OpDatasync) != 1 {
		t.Errorf("%d calls, %d syncs", d.Calls(), d.Count(simfs.OpDatasync))
	}
	d.Restart()
	if d.OpenFiles() != 0 {
		t.Errorf("%d files open after a restart", d.OpenFiles())
	}
	if _, err := d.Open(path("none")); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("Open = %v", err)
	}
	d.SetCapacity(3000)
	g, err := d.Create(path("more"))
	if err != nil {
		t.Fatal(err)
	}
	if err := g.WriteVec([][]byte{make([]byte, 2000)}, 0); !errors.Is(err, syscall.ENOSPC) {
		t.Errorf("write beyond the capacity = %v", err)
	}
}
