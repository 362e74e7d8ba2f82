package dirblob

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/tributary-dicom/tributary/storage/blob"
	"github.com/tributary-dicom/tributary/storage/blob/blobtest"
	"github.com/tributary-dicom/tributary/storage/blob/simfs"
)

func openSim(t testing.TB, d *simfs.Disk, opt Options) *Store {
	t.Helper()
	opt.FS = d
	s, err := Open(filepath.Join(string(filepath.Separator), "data"), opt)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = s.Close() })
	return s
}

func mustPut(t testing.TB, s *Store, data []byte) blob.Info {
	t.Helper()
	info, err := blobtest.Put(s, data, blob.Meta{"k": "v"})
	if err != nil {
		t.Fatal(err)
	}
	return info
}

// share commits one blob, holds its sync, lets fifteen others queue up, and returns how many syncs of that
// kind all sixteen took.
func share(t *testing.T, opt Options, size int, op simfs.Op, queued func(s *Store) int) int {
	d := simfs.New(1)
	s := openSim(t, d, opt)
	mustPut(t, s, blobtest.Bytes(size, 1)) // makes the day and the pack
	writers := make([]blob.Writer, 16)
	for i := range writers {
		w, err := s.Create(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		if _, err := w.Write(blobtest.Bytes(size, uint64(i))); err != nil {
			t.Fatal(err)
		}
		writers[i] = w
	}
	if op == simfs.OpSyncDir {
		return shareFolder(t, s, d, writers, queued)
	}
	before := d.Count(op)
	held, release := make(chan struct{}), make(chan struct{})
	var once sync.Once
	d.SetFault(func(c simfs.Call) error {
		if c.Op == op {
			once.Do(func() { close(held); <-release })
		}
		return nil
	})
	commitAll(t, writers, func() { <-held }, func() {
		for queued(s) < len(writers)-1 {
			runtime.Gosched()
		}
		close(release)
	})
	return d.Count(op) - before
}

// shareFolder is share for folders: their round is held from outside, since a held disk takes no renames.
func shareFolder(t *testing.T, s *Store, d *simfs.Disk, writers []blob.Writer, queued func(s *Store) int) int {
	before := d.Count(simfs.OpSyncDir)
	r := s.folders.dirs[s.path(dayOf(s.opt.Now()))]
	r.run.Lock()
	commitAll(t, writers, func() {}, func() {
		for queued(s) < len(writers) {
			runtime.Gosched()
		}
		r.run.Unlock()
	})
	return d.Count(simfs.OpSyncDir) - before
}

func commitAll(t *testing.T, writers []blob.Writer, firstHeld, go_ func()) {
	var wg sync.WaitGroup
	for i, w := range writers {
		wg.Go(func() {
			if _, err := w.Commit(t.Context(), nil); err != nil {
				t.Error(err)
			}
		})
		if i == 0 {
			firstHeld()
		}
	}
	go_()
	wg.Wait()
}

func TestGroupCommitSharesSyncs(t *testing.T) {
	got := share(t, Options{}, 1000, simfs.OpDatasync, func(s *Store) int {
		s.packs.mu.Lock()
		defer s.packs.mu.Unlock()
		if s.packs.next == nil {
			return 0
		}
		return len(s.packs.next.jobs.records)
	})
	if got != 2 {
		t.Errorf("16 commits took %d syncs, want 2: the first and one for the rest", got)
	}
}

func TestFoldersShareSyncs(t *testing.T) {
	at := time.Date(2026, 11, 22, 0, 0, 0, 0, time.UTC)
	opt := Options{SmallBytes: -1, Now: func() time.Time { return at }}
	got := share(t, opt, 1000, simfs.OpSyncDir, func(s *Store) int {
		s.sight.mu.Lock()
		defer s.sight.mu.Unlock()
		return len(s.sight.limits) // renamed, and waiting for the folder
	})
	if got > 2 {
		t.Errorf("16 commits took %d syncs of the folder, want 1, or 2 when some came late", got)
	}
}

func TestBatchesAreBounded(t *testing.T) {
	var b batch
	n := 0
	for b.add(&record{header: header{payload: 1 << 20}}) {
		n++
	}
	if b.bytes > maxBatchBytes || n != 7 {
		t.Errorf("%d records of 1 MiB, %d bytes", n, b.bytes)
	}
	b = batch{}
	for n = 0; b.add(&record{}); n++ {
	}
	if n != maxBatchRecords {
		t.Errorf("%d empty records", n)
	}
}

func TestBufferExhausted(t *testing.T) {
	d := simfs.New(1)
	s := openSim(t, d, Options{BufferBytes: 4 * chunkBytes})
	var writers []blob.Writer
	for i := range 10 {
		w, err := s.Create(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		if _, err := w.Write(blobtest.Bytes(50_000, uint64(i))); err != nil {
			t.Fatal(err)
		}
		if _, err := w.Write(blobtest.Bytes(50_000, uint64(i))); err != nil {
			t.Fatal(err)
		}
		if used := s.buffer.used.Load(); used > 4*chunkBytes {
			t.Fatalf("%d bytes of buffer in use", used)
		}
		writers = append(writers, w)
	}
	if n := d.Count(simfs.OpCreate); n < 8 {
		t.Errorf("%d files made, want one for each writer beyond the buffer", n)
	}
	for i, w := range writers {
		if i == 3 {
			w.Abort()
			continue
		}
		info, err := w.Commit(t.Context(), nil)
		if err != nil {
			t.Fatal(err)
		}
		one := blobtest.Bytes(50_000, uint64(i))
		got, err := blobtest.Get(s, info.Key, 0, -1)
		if err != nil || !bytes.Equal(got, append(one, one...)) {
			t.Fatalf("get = %d bytes, %v", len(got), err)
		}
	}
	if used := s.buffer.used.Load(); used != 0 {
		t.Errorf("%d bytes of buffer never given back", used)
	}
	for _, f := range d.Files() {
		if strings.Contains(f, tmpDir+string(filepath.Separator)) {
			t.Errorf("%s was left", f)
		}
	}
}

func FuzzParseKey(f *testing.F) {
	f.Add("2026/11/22/01KAQ4Z0T5Q9Q8M4K0R2N7V3XB.f")
	f.Add("2026/11/22/01KAQ4Z0T5Q9Q8M4K0R2N7V3XB.p/4096-100")
	f.Add("2026/11/22/01KAQ4Z0T5Q9Q8M4K0R2N7V3XB.p/04096-100")
	f.Add("2026/11/22/../../../../../etc/passwd.f")
	f.Add("2026/02/30/01KAQ4Z0T5Q9Q8M4K0R2N7V3XB.f")
	s := &Store{dir: filepath.Join(string(filepath.Separator), "data")}
	f.Fuzz(func(t *testing.T, key string) {
		p, err := parseKey(key)
		if err != nil {
			if !errors.Is(err, blob.ErrBadKey) || strings.Contains(err.Error(), key) && len(key) > 3 {
				t.Fatalf("parse %q = %v; want ErrBadKey that does not repeat it", key, err)
			}
			return
		}
		if p.key() != key {
			t.Fatalf("%q has another spelling %q", key, p.key())
		}
		if path := s.path(p.file()); !strings.HasPrefix(path, s.dir+string(filepath.Separator)) || strings.Contains(path, "..") {
			t.Fatalf("%q leads to %s", key, path)
		}
	})
}

const fuzzPack = "2026/11/22/01KAQ4Z0T5Q9Q8M4K0R2N7V3XB.p"

// FuzzRecover opens a store whose pack holds arbitrary bytes: whatever it then shows must be whole.
func FuzzRecover(f *testing.F) {
	d := simfs.New(1)
	s := openSim(f, d, Options{PrewriteBytes: 8 << 10})
	for i, n := range []int{10, 5000, 0} {
		info := mustPut(f, s, blobtest.Bytes(n, uint64(i)))
		if i == 1 {
			if err := s.Delete(f.Context(), info.Key); err != nil {
				f.Fatal(err)
			}
		}
	}
	whole, err := d.Get(s.path(s.active.name))
	if err != nil {
		f.Fatal(err)
	}
	f.Add(whole)
	f.Add(whole[:len(whole)-9000])
	f.Add(whole[:5000])
	for _, at := range []int{0, 9, 4096, 4100, 4112, 4120, 4128, 4168, 4230, 8192, 8200} {
		bad := bytes.Clone(whole)
		bad[at] ^= 0x40
		f.Add(bad)
	}
	f.Add([]byte{})
	f.Fuzz(func(t *testing.T, in []byte) {
		if len(in) > 1<<20 {
			return
		}
		for _, crashed := range []bool{true, false} {
			d := simfs.New(1)
			d.Put(filepath.Join(string(filepath.Separator), "data", filepath.FromSlash(fuzzPack)), in)
			if crashed {
				d.Put(filepath.Join(string(filepath.Separator), "data", activeDir, "2026-11-22-01KAQ4Z0T5Q9Q8M4K0R2N7V3XB"), nil)
			}
			checkAnyPack(t, openSim(t, d, Options{PrewriteBytes: -1}))
		}
	})
}

func checkAnyPack(t *testing.T, s *Store) {
	var keys []string
	err := s.List(t.Context(), time.Time{}, func(i blob.Info) error {
		keys = append(keys, i.Key)
		return nil
	})
	if err != nil && !errors.Is(err, blob.ErrCorrupt) {
		t.Fatalf("List: %v", err)
	}
	for _, key := range keys {
		if err := s.Verify(t.Context(), key); err != nil && !errors.Is(err, blob.ErrCorrupt) {
			t.Fatalf("%s: %v", key, err)
		}
		if err := s.Delete(t.Context(), key); err != nil {
			t.Fatalf("%s: %v", key, err)
		}
	}
	mustPut(t, s, []byte("still works"))
	_ = s.Close()
}

// A hostile payload holds what looks like a record just where a torn batch is searched for one.
func TestForgedRecord(t *testing.T) {
	d := simfs.New(1)
	s := openSim(t, d, Options{PrewriteBytes: -1})
	mustPut(t, s, []byte("first"))
	name, start := s.active.name, s.active.size
	payload := make([]byte, 6*blockBytes)
	for block := int64(1); block < 5; block++ {
		at := start + block*blockBytes
		h := header{kind: kindPacked, offset: at, payload: 0, batch: at, created: 1}
		h.encode(payload[block*blockBytes-packPrefix:])
	}
	info := mustPut(t, s, payload)
	d.Crash(simfs.Keep)
	d.Restart()
	raw, err := d.Get(s.path(name))
	if err != nil {
		t.Fatal(err)
	}
	clear(raw[start : start+200]) // the header never reached the disk
	d.Put(s.path(name), raw)
	s = openSim(t, d, Options{})
	seen := 0
	if err := s.List(t.Context(), time.Time{}, func(blob.Info) error { seen++; return nil }); err != nil {
		t.Fatal(err)
	}
	if seen != 1 {
		t.Errorf("List shows %d blobs, want the first alone", seen)
	}
	if _, err := s.Stat(t.Context(), info.Key); !errors.Is(err, blob.ErrNotFound) {
		t.Errorf("Stat = %v", err)
	}
	// Nor does a key that points into a payload name a blob.
	info = mustPut(t, s, payload)
	p, err := parseKey(info.Key)
	if err != nil {
		t.Fatal(err)
	}
	p.offset, p.length = p.offset+blockBytes, 0
	if _, err := s.Open(t.Context(), p.key(), 0, -1); !errors.Is(err, blob.ErrNotFound) && !errors.Is(err, blob.ErrCorrupt) {
		t.Errorf("Open of a forged key = %v", err)
	}
}

// One flipped bit, anywhere in a closed pack or a file, is never read as data.
func TestBitRot(t *testing.T) {
	for name, small := range map[string]int64{"pack": 0, "file": -1} {
		t.Run(name, func(t *testing.T) {
			d := simfs.New(1)
			s := openSim(t, d, Options{SmallBytes: small})
			var keys []string
			var want [][]byte
			for i, n := range []int{300, 0, 5000} {
				want = append(want, blobtest.Bytes(n, uint64(i)))
				keys = append(keys, mustPut(t, s, want[i]).Key)
			}
			_ = s.Close()
			s = openSim(t, d, Options{})
			damaged := 0
			for _, file := range d.Files() {
				if !strings.HasSuffix(file, fileSuffix) && !strings.HasSuffix(file, packSuffix) {
					continue
				}
				whole, err := d.Get(file)
				if err != nil {
					t.Fatal(err)
				}
				for at := range whole {
					bad := bytes.Clone(whole)
					bad[at] ^= 1 << (at % 8)
					d.Put(file, bad)
					for i, key := range keys {
						if n := len(want[i]); n > 0 {
							from, to := n/3, n-at%2
							got, err := blobtest.Get(s, key, int64(from), int64(to-from))
							if err == nil && !bytes.Equal(got, want[i][from:to]) || err != nil && !errors.Is(err, blob.ErrCorrupt) {
								t.Fatalf("byte %d flipped: a range has other bytes, %v", at, err)
							}
						}
						err := s.Verify(t.Context(), key)
						if err == nil {
							got, err := blobtest.Get(s, key, 0, -1)
							if err != nil || !bytes.Equal(got, want[i]) {
								t.Fatalf("byte %d flipped: other bytes, %v", at, err)
							}
						} else if !errors.Is(err, blob.ErrCorrupt) {
							t.Fatalf("byte %d flipped: %v; want ErrCorrupt", at, err)
						} else {
							damaged++
						}
					}
				}
				d.Put(file, whole)
			}
			if damaged < 5300 {
				t.Errorf("%d flips noticed, want one for each byte of payload at least", damaged)
			}
		})
	}
}

// A range of a large file is compared in the pieces that it touches: damage elsewhere does not hurt it,
// and no byte of a damaged piece is given out.
func TestRangesOfDamagedFile(t *testing.T) {
	const whole = 3*sumEvery + 5
	d := simfs.New(1)
	s := openSim(t, d, Options{})
	want := blobtest.Bytes(whole, 1)
	key := mustPut(t, s, want).Key
	p, err := parseKey(key)
	if err != nil {
		t.Fatal(err)
	}
	path := s.path(p.file())
	sound, err := d.Get(path)
	if err != nil {
		t.Fatal(err)
	}
	damaged := func(at int64) {
		bad := bytes.Clone(sound)
		bad[at] ^= 1
		d.Put(path, bad)
	}
	ranges := [][2]int64{{0, 10}, {sumEvery - 1, 1}, {sumEvery - 1, 2}, {sumEvery, 1}, {2*sumEvery - 1, 2}, {sumEvery / 2, 2 * sumEvery}, {3 * sumEvery, 9}, {1, whole}}
	check := func(what string, bad int64) { // bad is the damaged piece, -1 for none, -2 for all
		t.Helper()
		for _, r := range ranges {
			end := min(r[0]+r[1], whole)
			clean := bad == -1 || bad >= 0 && (bad < r[0]/sumEvery || bad > (end-1)/sumEvery)
			got, err := blobtest.Get(s, key, r[0], r[1])
			switch {
			case clean && (err != nil || !bytes.Equal(got, want[r[0]:end])):
				t.Errorf("%s: range %v: %v", what, r, err)
			case !clean && !errors.Is(err, blob.ErrCorrupt):
				t.Errorf("%s: range %v: %v, want ErrCorrupt", what, r, err)
			case !bytes.HasPrefix(want[r[0]:], got):
				t.Errorf("%s: range %v has other bytes", what, r)
			}
		}
	}
	check("sound", -1)
	damaged(filePrefix + sumEvery + 7)
	check("second piece", 1)
	damaged(filePrefix + whole - 1)
	check("last piece", 3)
	h, err := readHeader(bytes.NewReader(sound), 0, nil)
	if err != nil {
		t.Fatal(err)
	}
	damaged(h.sumsOffset() + 2)
	check("sums", -2)
	if got, err := blobtest.Get(s, key, 0, -1); err != nil || !bytes.Equal(got, want) {
		t.Errorf("all of a file whose sums are damaged: %v", err)
	}
}

func TestDeletedBytesAreGone(t *testing.T) {
	d := simfs.New(1)
	s := openSim(t, d, Options{})
	secret := bytes.Repeat([]byte("Doe^Jane "), 3000)
	keep := mustPut(t, s, []byte("neighbour"))
	info, err := blobtest.Put(s, secret, blob.Meta{"note": "Doe^Jane"})
	if err != nil {
		t.Fatal(err)
	}
	if err := s.Delete(t.Context(), info.Key); err != nil {
		t.Fatal(err)
	}
	if d.Count(simfs.OpPunch) != 1 {
		t.Error("no hole was punched")
	}
	for _, f := range d.Files() {
		if raw, err := d.Get(f); err != nil || bytes.Contains(raw, []byte("Doe")) {
			t.Errorf("%s still tells: %v", f, err)
		}
	}
	if err := s.Delete(t.Context(), keep.Key); err != nil {
		t.Fatal(err)
	}
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	for _, f := range d.Files() {
		if strings.HasSuffix(f, packSuffix) {
			t.Errorf("%s was left though all of its blobs are deleted", f)
		}
	}
}

func TestLocked(t *testing.T) {
	dir := t.TempDir()
	s, err := Open(dir, Options{})
	if err != nil {
		t.Fatal(err)
	}
	_, err = Open(dir, Options{})
	if err == nil || !strings.Contains(err.Error(), fmt.Sprintf("process %d", os.Getpid())) {
		t.Errorf("second Open = %v; want an error that names the holder", err)
	}
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	if s, err = Open(dir, Options{}); err != nil {
		t.Fatal(err)
	}
	if err := s.Close(); err != nil {
		t.Error(err)
	}
}

func TestOtherLayoutIsRefused(t *testing.T) {
	dir := t.TempDir()
	if err := os.WriteFile(filepath.Join(dir, formatName), []byte("tributary blobs 2\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	if _, err := Open(dir, Options{}); err == nil || !strings.Contains(err.Error(), "another layout") {
		t.Errorf("Open = %v", err)
	}
}

func TestHeaderOfAnotherPlace(t *testing.T) {
	h := header{kind: kindPacked, id: [8]byte{1}, offset: 8192, payload: 5, meta: 2, batch: 4096, created: 7}
	b := make([]byte, headerBytes)
	h.encode(b)
	if got, err := decodeHeader(b, 8192, &h.id); err != nil || got != h {
		t.Errorf("decode(encode(h)) = %+v, %v", got, err)
	}
	if _, err := decodeHeader(b, 4096, &h.id); err == nil {
		t.Error("accepted at another offset")
	}
	if _, err := decodeHeader(b, 8192, &[8]byte{2}); err == nil {
		t.Error("accepted in another pack")
	}
	binary.LittleEndian.PutUint64(b[24:], 1<<63)
	if _, err := decodeHeader(b, 8192, &h.id); !errors.Is(err, errRottenHeader) {
		t.Errorf("a changed length = %v", err)
	}
}
