package journal

import (
	"bytes"
	"errors"
	"fmt"
	"io/fs"
	"maps"
	"math/rand/v2"
	"os"
	"path/filepath"
	"sync"
	"testing"
)

func open(t testing.TB, dir string) *Journal {
	t.Helper()
	j, err := Open(dir, Options{SegmentBytes: 4 << 10})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = j.Close() })
	return j
}

func put(t testing.TB, j *Journal, key Key, doc string) {
	t.Helper()
	if err := j.Put(key, 1, []byte(doc)); err != nil {
		t.Fatal(err)
	}
}

// dump is all that a journal has.
func dump(t testing.TB, j *Journal) map[Key]string {
	t.Helper()
	out := map[Key]string{}
	for _, k := range j.Keys() {
		doc, _, err := j.Get(k)
		if err != nil {
			t.Fatal(err)
		}
		out[k] = string(doc)
	}
	return out
}

func TestJournal(t *testing.T) {
	dir := t.TempDir()
	j := open(t, dir)
	a, b, c := Key{1}, Key{2}, Key{3}
	put(t, j, a, "old")
	put(t, j, a, "new")
	if err := j.Put(b, 2, nil); err != nil {
		t.Fatal(err)
	}
	put(t, j, c, "gone")
	for range 2 {
		if err := j.Remove(c); err != nil {
			t.Fatal(err)
		}
	}
	for _, err := range []error{j.Put(c, 0, nil), j.Put(c, 1, make([]byte, 4<<10)), j.Put(c, 1, make([]byte, MaxDocument+1))} {
		if err == nil {
			t.Error("a bad document was taken")
		}
	}
	for range 2 {
		if doc, tag, err := j.Get(a); string(doc) != "new" || tag != 1 || err != nil {
			t.Errorf("a: %q, %d, %v", doc, tag, err)
		}
		if doc, tag, err := j.Get(b); len(doc) != 0 || tag != 2 || err != nil {
			t.Errorf("b: %q, %d, %v", doc, tag, err)
		}
		if _, _, err := j.Get(c); !errors.Is(err, fs.ErrNotExist) {
			t.Errorf("c: %v", err)
		}
		if tag, ok := j.Has(b); tag != 2 || !ok || len(j.Keys(2)) != 1 || len(j.Keys()) != 2 {
			t.Errorf("keys %v, of tag 2 %v", j.Keys(), j.Keys(2))
		}
		if err := j.Close(); err != nil {
			t.Fatal(err)
		}
		if _, _, err := j.Get(a); !errors.Is(err, ErrClosed) {
			t.Errorf("Get after Close: %v", err)
		}
		if err := j.Put(a, 1, nil); !errors.Is(err, ErrClosed) {
			t.Errorf("Put after Close: %v", err)
		}
		j = open(t, dir)
	}
}

// TestCompaction changes documents until the journal was written many times over: it stays small, and
// neither a restart nor a crash before a segment was deleted brings anything back.
func TestCompaction(t *testing.T) {
	dir := t.TempDir()
	j := open(t, dir)
	want := map[Key]string{}
	rng := rand.New(rand.NewPCG(1, 2))
	var first []byte // the oldest segment, as it was before it was compacted
	oldest := filepath.Join(dir, segmentName(1))
	for i := range 2000 {
		key := Key{byte(rng.IntN(40))}
		if rng.IntN(4) == 0 {
			delete(want, key)
			if err := j.Remove(key); err != nil {
				t.Fatal(err)
			}
		} else {
			want[key] = fmt.Sprint(i, string(make([]byte, rng.IntN(200))))
			if err := []func(Key, Tag, []byte) error{j.Put, j.PutLazily}[i%2](key, 1, []byte(want[key])); err != nil {
				t.Fatal(err)
			}
		}
		if b, err := os.ReadFile(oldest); err == nil && len(j.segments) > 1 {
			first = b
		}
		if n := len(j.segments); n > 20 {
			t.Fatalf("%d segments for %d bytes", n, j.live)
		}
		if i%300 == 0 {
			if err := j.Close(); err != nil {
				t.Fatal(err)
			}
			j = open(t, dir)
		}
		if got := dump(t, j); !maps.Equal(got, want) {
			t.Fatalf("after %d changes: %d documents, want %d", i+1, len(got), len(want))
		}
	}
	if j.segments[0].number == 1 || first == nil {
		t.Fatal("nothing was compacted")
	}
	// A segment that ought to be gone comes back emptied, as a crash between the two leaves it.
	if err := os.WriteFile(oldest, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	if got := dump(t, open(t, dir)); !maps.Equal(got, want) {
		t.Errorf("%d documents, want %d", len(got), len(want))
	}
}

// TestCrashInCompaction restarts between the copy of what counts and the end of the old segment.
func TestCrashInCompaction(t *testing.T) {
	dir := t.TempDir()
	j := open(t, dir)
	for i := range 30 {
		put(t, j, Key{byte(i)}, string(make([]byte, 300)))
	}
	if err := j.Remove(Key{1}); err != nil {
		t.Fatal(err)
	}
	want := dump(t, j)
	oldest := filepath.Join(dir, segmentName(1))
	before, err := os.ReadFile(oldest)
	if err != nil {
		t.Fatal(err)
	}
	if err := j.compact(); err != nil {
		t.Fatal(err)
	}
	if _, err := os.Stat(oldest); !errors.Is(err, fs.ErrNotExist) {
		t.Fatalf("the oldest segment is there: %v", err)
	}
	if err := os.WriteFile(oldest, before, 0o600); err != nil {
		t.Fatal(err)
	}
	if got := dump(t, open(t, dir)); !maps.Equal(got, want) {
		t.Errorf("%d documents, want %d", len(got), len(want))
	}
}

// TestPowerCut loses power in the middle of a commit, when the disk has any of its sectors and not others:
// what was acknowledged before is there, and of each change of the commit all or nothing.
func TestPowerCut(t *testing.T) {
	const sector = 64 // smaller than a disk's, so that small frames span some
	rng := rand.New(rand.NewPCG(3, 4))
	for round := range 60 {
		dir := t.TempDir()
		j := open(t, dir)
		for i := range 5 {
			put(t, j, Key{byte(i)}, "before")
		}
		want := dump(t, j)
		path := filepath.Join(dir, segmentName(1))
		before, err := os.ReadFile(path)
		if err != nil {
			t.Fatal(err)
		}
		var batch []*change
		for i := range 4 {
			batch = append(batch, &change{key: Key{byte(i)}, tag: 1, doc: []byte(fmt.Sprint("after", string(make([]byte, rng.IntN(150))))), lazy: rng.IntN(2) == 0, done: make(chan struct{})})
		}
		batch = append(batch, &change{key: Key{4}, tag: removed, done: make(chan struct{})})
		j.commit(batch)
		after, err := os.ReadFile(path)
		if err != nil {
			t.Fatal(err)
		}
		for at := 0; at < len(before); at += sector {
			if rng.IntN(3) > 0 {
				copy(before[at:min(at+sector, len(before))], after[at:])
			}
		}
		if err := os.WriteFile(path, before, 0o600); err != nil {
			t.Fatal(err)
		}
		j = open(t, dir)
		got := dump(t, j)
		applied := true
		for i, c := range batch {
			doc, there := got[c.key]
			switch {
			case applied && c.tag != removed && doc == string(c.doc), applied && c.tag == removed && !there:
			case doc == want[c.key]:
				applied = false // nor is anything behind it
			default:
				t.Fatalf("round %d, change %d: %q", round, i, doc)
			}
		}
		// What was cut off stays away, whatever is written where it lay.
		for i := range 2 {
			put(t, j, Key{9}, fmt.Sprint("later", i))
			got[Key{9}] = fmt.Sprint("later", i)
			if again := dump(t, open(t, dir)); !maps.Equal(again, got) {
				t.Fatalf("round %d: %d documents after a restart, want %d", round, len(again), len(got))
			}
		}
	}
}

// TestRefusedCommit has a write that failed but got to the disk: it must not be found later.
func TestRefusedCommit(t *testing.T) {
	dir := t.TempDir()
	j := open(t, dir)
	put(t, j, Key{1}, "good")
	if _, err := j.active.file.WriteAt(appendFrame(nil, Key{1}, 1, []byte("refused")), j.active.end); err != nil {
		t.Fatal(err)
	}
	j.suspect = true
	put(t, j, Key{2}, "next")
	want := map[Key]string{{1}: "good", {2}: "next"}
	if got := dump(t, j); !maps.Equal(got, want) {
		t.Error(got)
	}
	if got := dump(t, open(t, dir)); !maps.Equal(got, want) {
		t.Errorf("after a restart: %v", got)
	}
}

// TestLazily has documents that are not synced: they are there, after the process was killed too.
func TestLazily(t *testing.T) {
	dir := t.TempDir()
	j := open(t, dir)
	if err := j.PutLazily(Key{1}, 1, []byte("lazy")); err != nil {
		t.Fatal(err)
	}
	for _, j := range []*Journal{j, open(t, dir)} {
		if doc, _, err := j.Get(Key{1}); err != nil || string(doc) != "lazy" {
			t.Errorf("%q, %v", doc, err)
		}
	}
}

// TestDamage flips a bit in an old segment: what lies before it and in later segments is there.
func TestDamage(t *testing.T) {
	dir := t.TempDir()
	j := open(t, dir)
	for i := range 40 {
		put(t, j, Key{byte(i)}, string(make([]byte, 300)))
	}
	path := filepath.Join(dir, segmentName(1))
	b, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	b[2*(frameHeader+300)+50] ^= 1
	if err := os.WriteFile(path, b, 0o600); err != nil {
		t.Fatal(err)
	}
	if _, _, err := j.Get(Key{2}); err == nil || errors.Is(err, fs.ErrNotExist) {
		t.Errorf("a damaged document: %v", err)
	}
	got := dump(t, open(t, dir))
	for _, i := range []byte{0, 1, 39} {
		if _, ok := got[Key{i}]; !ok {
			t.Errorf("document %d is gone", i)
		}
	}
	if after, err := os.ReadFile(path); err != nil || !bytes.Equal(after, b) {
		t.Errorf("the damaged segment was changed: %v", err)
	}
}

// TestTogether has callers that share commits; each finds what it put.
func TestTogether(t *testing.T) {
	dir := t.TempDir()
	j := open(t, dir)
	var all sync.WaitGroup
	for g := range 8 {
		all.Go(func() {
			for i := range 50 {
				key, doc := Key{byte(g), byte(i % 10)}, fmt.Sprint(g, i)
				if err := j.Put(key, 1, []byte(doc)); err != nil {
					t.Error(err)
				}
				if got, _, err := j.Get(key); err != nil || string(got) != doc {
					t.Errorf("%q, %v; want %q", got, err, doc)
				}
			}
		})
	}
	all.Wait()
	want := dump(t, j)
	if got := dump(t, open(t, dir)); !maps.Equal(got, want) || len(got) != 80 {
		t.Errorf("%d documents after a restart", len(got))
	}
}

func FuzzReplay(f *testing.F) {
	whole := appendFrame(appendFrame(nil, Key{1}, 1, []byte("doc")), Key{1}, removed, nil)
	f.Add([]byte{}, whole)
	f.Add(whole, make([]byte, 100))
	f.Add(appendFrame(nil, Key{2}, 3, []byte("x")), append(whole[:len(whole):len(whole)], whole[:20]...))
	f.Fuzz(func(t *testing.T, first, second []byte) {
		dir := t.TempDir()
		for i, b := range [][]byte{first, second} {
			if err := os.WriteFile(filepath.Join(dir, segmentName(uint64(i+1))), b, 0o600); err != nil {
				t.Fatal(err)
			}
		}
		j := open(t, dir)
		want := dump(t, j)
		put(t, j, Key{7}, "new")
		want[Key{7}] = "new"
		if err := j.Close(); err != nil {
			t.Fatal(err)
		}
		if got := dump(t, open(t, dir)); !maps.Equal(got, want) {
			t.Fatalf("%v after a restart, want %v", got, want)
		}
	})
}
