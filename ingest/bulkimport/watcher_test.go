package bulkimport

import (
	"archive/tar"
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/tributary-dicom/tributary/ingest"
	"github.com/tributary-dicom/tributary/parsers/reject"
	"github.com/tributary-dicom/tributary/parsers/sniff"
)

// shelf admits as Intake does: it reads to the end, keeps what it knows, and refuses the rest.
type shelf struct {
	mu    sync.Mutex
	kept  []string // "NAME: BYTES", in order of admission
	calls int
	fault error
	read  func() // called in the middle of reading
	from  []string
}

func (s *shelf) Admit(_ context.Context, a ingest.Arrival) (ingest.Receipt, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.calls++
	if s.fault != nil {
		return ingest.Receipt{}, s.fault
	}
	if s.read != nil {
		s.read()
	}
	data, err := io.ReadAll(a.Body)
	if err != nil {
		return ingest.Receipt{}, &reject.Error{Code: reject.Aborted, Op: "test", Offset: -1, Err: err}
	}
	switch f := sniff.Detect(data); {
	case len(data) == 0:
		return ingest.Receipt{}, reject.New(reject.Empty, "test", "no bytes")
	case f == sniff.Unknown:
		return ingest.Receipt{}, reject.New(reject.UnsupportedFormat, "test", "no format")
	}
	s.kept = append(s.kept, a.Origin.Filename+": "+string(data))
	s.from = append(s.from, a.Origin.Door+" "+a.Origin.Device+" "+a.Origin.Remote)
	return ingest.Receipt{ID: "1", Status: ingest.Stored}, nil
}

func (s *shelf) fail(err error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.fault = err
}

// drop is a watched folder, by a fake clock.
type drop struct {
	*testing.T
	dir string
	*shelf
	*Watcher
}

func newDrop(t *testing.T, cfg Config) *drop {
	t.Helper()
	d := &drop{T: t, dir: cfg.Dir, shelf: &shelf{}}
	if d.dir == "" {
		d.dir = t.TempDir()
	}
	cfg.Dir, cfg.Admitter, cfg.Device = d.dir, d.shelf, "kit-1"
	w, err := NewWatcher(cfg)
	if err != nil {
		t.Fatal(err)
	}
	d.Watcher = w
	return d
}

const pdf = "%PDF-1.7 "

func (d *drop) put(name, text string) {
	d.Helper()
	p := filepath.Join(d.dir, filepath.FromSlash(name))
	if err := os.MkdirAll(filepath.Dir(p), 0o700); err != nil {
		d.Fatal(err)
	}
	if err := os.WriteFile(p, []byte(text), 0o600); err != nil {
		d.Fatal(err)
	}
}

// rounds looks at the folder for a while.
func (d *drop) rounds(long time.Duration) {
	d.Helper()
	for end := time.Now().Add(long); !time.Now().After(end); time.Sleep(d.Watcher.cfg.Poll) {
		if err := d.Look(d.Context()); err != nil {
			d.Fatal(err)
		}
	}
}

// has compares what lies in the folder, answered files with it.
func (d *drop) has(want ...string) {
	d.Helper()
	got := []string{}
	_ = filepath.WalkDir(d.dir, func(p string, e fs.DirEntry, err error) error {
		if err == nil && !e.IsDir() {
			rel, _ := filepath.Rel(d.dir, p)
			got = append(got, filepath.ToSlash(rel))
		}
		return err
	})
	day := time.Now().UTC().Format(time.DateOnly)
	for i, w := range want {
		want[i] = strings.Replace(w, "DONE/", ".tributary/done/"+day+"/", 1)
		want[i] = strings.Replace(want[i], "REFUSED/", ".tributary/refused/", 1)
	}
	slices.Sort(want)
	slices.Sort(got)
	if !slices.Equal(got, want) {
		d.Errorf("in the folder: %q\nwant %q", got, want)
	}
}

func (d *drop) admitted(want ...string) {
	d.Helper()
	got := slices.Clone(d.shelf.kept)
	slices.Sort(got)
	slices.Sort(want)
	if !slices.Equal(got, want) {
		d.Errorf("admitted: %q\nwant %q", got, want)
	}
}

func TestTakesWhatIsWhole(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		d := newDrop(t, Config{})
		d.put("a.pdf", pdf+"a")
		d.put("院/周/b.pdf", pdf+"b")
		d.rounds(4 * time.Second)
		d.admitted()
		d.rounds(4 * time.Second)
		d.admitted("a.pdf: "+pdf+"a", "b.pdf: "+pdf+"b")
		d.has("DONE/a.pdf", "DONE/院/周/b.pdf")
		if !slices.Contains(d.from, "watch kit-1 院/周") || !slices.Contains(d.from, "watch kit-1 ") {
			t.Errorf("%q", d.from)
		}
		d.put("a.pdf", pdf+"another")
		d.rounds(8 * time.Second)
		d.has("DONE/a.pdf", "DONE/a~1.pdf", "DONE/院/周/b.pdf")
	})
}

// TestSlowWriter: a file that grows is not taken before it rests, whatever the pauses below Settle.
func TestSlowWriter(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		d := newDrop(t, Config{})
		text := pdf
		for range 10 {
			text += "more "
			d.put("a.pdf", text)
			d.rounds(3 * time.Second)
		}
		d.admitted()
		d.rounds(6 * time.Second)
		d.admitted("a.pdf: " + text)
	})
}

func TestRename(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		d := newDrop(t, Config{Settle: time.Hour})
		for _, name := range []string{"a.pdf.part", ".b.pdf.x7Yq", "c.pdf.filepart", "~d.pdf", "e.pdf~", "F.PDF.TMP"} {
			d.put("in/"+name, pdf+name)
		}
		d.put("g.pdf", pdf)
		d.rounds(10 * time.Minute)
		d.admitted()
		for from, to := range map[string]string{"a.pdf.part": "a.pdf", ".b.pdf.x7Yq": "b.pdf", "c.pdf.filepart": "c.pdf"} {
			if err := os.Rename(filepath.Join(d.dir, "in", from), filepath.Join(d.dir, "in", to)); err != nil {
				t.Fatal(err)
			}
		}
		d.rounds(0)
		d.admitted("a.pdf: "+pdf+"a.pdf.part", "b.pdf: "+pdf+".b.pdf.x7Yq", "c.pdf: "+pdf+"c.pdf.filepart")
		d.has("DONE/in/a.pdf", "DONE/in/b.pdf", "DONE/in/c.pdf", "in/~d.pdf", "in/e.pdf~", "in/F.PDF.TMP", "g.pdf")
	})
}

func TestRefused(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		d := newDrop(t, Config{})
		d.put("sub/note.txt", "hello")
		d.put("empty.dcm", "")
		d.rounds(30 * time.Second)
		d.has("sub/note.txt", "empty.dcm") // a companion, or bytes, may come
		d.rounds(2 * time.Minute)
		d.has("REFUSED/sub/note.txt", "REFUSED/sub/note.txt.reason.json", "REFUSED/empty.dcm", "REFUSED/empty.dcm.reason.json")
		text, err := os.ReadFile(filepath.Join(d.dir, ".tributary/refused/sub/note.txt.reason.json"))
		var why struct {
			Status, Reason, Detail string
			Bytes                  int64
		}
		if err != nil || json.Unmarshal(text, &why) != nil || why.Reason != "unsupported-format" || why.Status != "refused" || why.Bytes != 5 || why.Detail == "" {
			t.Errorf("%s, %v", text, err)
		}
		calls := d.calls
		d.rounds(time.Minute)
		if d.calls != calls {
			t.Error("refused files are looked at again")
		}
	})
}

// TestNothingCanBeStored: everything stays where it is, and is tried less and less often.
func TestNothingCanBeStored(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		d := newDrop(t, Config{Parallel: 1})
		for _, name := range []string{"a.pdf", "b.pdf", "c.pdf"} {
			d.put(name, pdf+name)
		}
		d.fail(reject.New(reject.OutOfResources, "test", "disk away"))
		d.rounds(time.Hour)
		d.has("a.pdf", "b.pdf", "c.pdf")
		if d.calls < 5 || d.calls > 30 {
			t.Errorf("%d tries in an hour", d.calls)
		}
		d.fail(nil)
		d.rounds(lastPause + time.Minute)
		d.admitted("a.pdf: "+pdf+"a.pdf", "b.pdf: "+pdf+"b.pdf", "c.pdf: "+pdf+"c.pdf")
		d.has("DONE/a.pdf", "DONE/b.pdf", "DONE/c.pdf")
	})
}

// TestInternalFault: one file that makes us fail stops no other.
func TestInternalFault(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		d := newDrop(t, Config{})
		d.put("a.pdf", pdf)
		d.fail(errors.New("bug"))
		d.rounds(10 * time.Second)
		d.fail(nil)
		d.put("b.pdf", pdf+"b")
		d.rounds(lastPause)
		d.has("DONE/a.pdf", "DONE/b.pdf")
	})
}

// TestChangesWhileRead: nothing of a file is kept that changes under the reader's hands.
func TestChangesWhileRead(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		d := newDrop(t, Config{})
		d.put("a.pdf", pdf+"first")
		d.read = func() {
			d.read = nil
			d.put("a.pdf", pdf+"first and more")
		}
		d.rounds(6 * time.Second)
		d.admitted()
		d.rounds(20 * time.Second)
		d.admitted("a.pdf: " + pdf + "first and more")
		d.has("DONE/a.pdf")
	})
}

// TestChangesAfterwards: what was put under the name of an admitted file, before that left, is a file of its own.
func TestChangesAfterwards(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		d := newDrop(t, Config{Delete: true})
		d.put("a.pdf", pdf+"first")
		d.rounds(4 * time.Second)
		root, err := os.OpenRoot(d.dir)
		if err != nil {
			t.Fatal(err)
		}
		defer root.Close()
		f := d.files["a.pdf"]
		f.kept = true
		d.put("a.pdf", pdf+"second")
		d.leave(root, nil, time.Now())
		d.has("a.pdf")
		d.rounds(8 * time.Second)
		d.admitted("a.pdf: " + pdf + "second")
		d.has()
	})
}

const (
	hea = "r 2 500 10\nr.dat 16 200 16 0 0 0 0 I\nr.dat 16 200 16 0 0 0 0 II\n"
	dat = "\x01\x02\x03\x04samples"
)

// tarOf reads a kept bundle back.
func tarOf(t *testing.T, kept string) (name, files string) {
	t.Helper()
	name, text, _ := strings.Cut(kept, ": ")
	r := tar.NewReader(strings.NewReader(text))
	for {
		h, err := r.Next()
		if err == io.EOF {
			return name, files
		}
		if err != nil {
			t.Fatal(err)
		}
		body, err := io.ReadAll(r)
		if err != nil {
			t.Fatal(err)
		}
		files += h.Name + "=" + string(body) + ";"
	}
}

func TestRecordingOfSeveralFiles(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		d := newDrop(t, Config{})
		d.put("x/r.hea", hea)
		d.rounds(40 * time.Second) // its samples come late
		d.admitted()
		d.put("x/r.dat", dat)
		d.put("x/r.atr", "\x00\x01 beats")
		d.put("x/other.pdf", pdf)
		d.rounds(10 * time.Second)
		d.has("DONE/x/r.hea", "DONE/x/r.dat", "DONE/x/r.atr", "DONE/x/other.pdf")
		if len(d.kept) != 2 {
			t.Fatalf("%q", d.kept)
		}
		for _, k := range d.kept {
			if strings.HasPrefix(k, "r.tar: ") {
				if _, files := tarOf(t, k); files != "r.hea="+hea+";r.atr=\x00\x01 beats;r.dat="+dat+";" {
					t.Errorf("%q", files)
				}
			}
		}
	})
}

// TestSignalsThatNeverCome: the header goes alone after a while, and so do signals without a header.
func TestSignalsThatNeverCome(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		d := newDrop(t, Config{})
		d.put("r.hea", hea)
		d.put("lost.dat", dat)
		d.rounds(time.Minute)
		d.admitted()
		d.rounds(time.Minute)
		d.admitted("r.hea: " + hea)
		d.has("DONE/r.hea", "REFUSED/lost.dat", "REFUSED/lost.dat.reason.json")
	})
}

// TestSharedSignals: two headers over one signal file, of which one comes later.
func TestSharedSignals(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		d := newDrop(t, Config{})
		d.put("r.hea", hea)
		d.put("r.dat", dat)
		d.put("s.hea", strings.ReplaceAll(hea, "r 2", "s 2")+"# another part\n")
		d.put("m.hea", strings.Replace(strings.ReplaceAll(hea, "r 2", "m 2"), "r.dat", "m.dat", 1))
		d.rounds(20 * time.Second)
		d.has("DONE/r.hea", "DONE/s.hea", "m.hea", "r.dat") // m needs it too
		d.put("m.dat", "more")
		d.rounds(20 * time.Second)
		d.has("DONE/r.hea", "DONE/s.hea", "DONE/m.hea", "DONE/r.dat", "DONE/m.dat")
		if len(d.kept) != 3 {
			t.Errorf("%q", d.kept)
		}
	})
}

func TestISHNE(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		d := newDrop(t, Config{})
		d.put("h.ecg", "ISHNE1.0 samples")
		d.put("h.ann", "ANN  1.0 beats")
		d.put("alone.ecg", "ISHNE1.0 others")
		d.put("late.ann", "ANN  1.0 others")
		d.rounds(8 * time.Second)
		d.has("DONE/h.ecg", "DONE/h.ann", "DONE/alone.ecg", "late.ann")
		d.rounds(2 * time.Minute)
		d.has("DONE/h.ecg", "DONE/h.ann", "DONE/alone.ecg", "DONE/late.ann")
		if len(d.kept) != 3 {
			t.Errorf("%q", d.kept)
		}
	})
}

// TestNeverFollows: links, special files, deep folders, and the answered ones.
func TestNeverFollows(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		outside := t.TempDir()
		if err := os.WriteFile(filepath.Join(outside, "secret.pdf"), []byte(pdf), 0o600); err != nil {
			t.Fatal(err)
		}
		d := newDrop(t, Config{})
		d.put("in/a.pdf", pdf)
		for link, target := range map[string]string{"link.pdf": filepath.Join(outside, "secret.pdf"), "folder": outside, "round": ".", "inner.pdf": "in/a.pdf"} {
			if err := os.Symlink(target, filepath.Join(d.dir, link)); err != nil {
				t.Skip("no links here:", err)
			}
		}
		d.put(strings.Repeat("d/", maxDepth)+"b.pdf", pdf+"deep")
		d.put(strings.Repeat("d/", maxDepth+1)+"c.pdf", pdf+"too deep")
		d.put(".tributary/done/x.pdf", pdf)
		d.rounds(time.Minute)
		d.admitted("a.pdf: "+pdf, "b.pdf: "+pdf+"deep")
	})
}

// TestSwappedForALink: between the look and the opening.
func TestSwappedForALink(t *testing.T) {
	d := newDrop(t, Config{})
	d.put("a.pdf", pdf)
	d.put("b.pdf", pdf)
	root, err := os.OpenRoot(d.dir)
	if err != nil {
		t.Fatal(err)
	}
	defer root.Close()
	if err := d.scan(t.Context(), root, time.Now()); err != nil {
		t.Fatal(err)
	}
	if err := os.Remove(filepath.Join(d.dir, "a.pdf")); err != nil {
		t.Fatal(err)
	}
	if err := os.Symlink("b.pdf", filepath.Join(d.dir, "a.pdf")); err != nil {
		t.Skip("no links here:", err)
	}
	if f, err := open(t.Context(), root, d.files["a.pdf"]); !errors.Is(err, errChanged) {
		t.Errorf("%v, %v", f, err)
	}
}

func TestBounds(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		d := newDrop(t, Config{MaxEntries: 10})
		for i := range 40 {
			d.put(string(rune('A'+i))+".pdf", pdf+string(rune('A'+i)))
		}
		d.rounds(5 * time.Minute)
		if len(d.kept) != 40 {
			t.Errorf("%d of 40", len(d.kept))
		}
	})
}

func TestOldFilesGo(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		d := newDrop(t, Config{})
		day := func(ago int) string { return time.Now().UTC().AddDate(0, 0, -ago).Format(time.DateOnly) }
		for _, name := range []string{day(0), day(7), day(9), day(30), "mine"} {
			d.put(".tributary/done/"+name+"/sub/x.pdf", pdf)
		}
		d.put(".tributary/refused/x.pdf", pdf)
		d.rounds(0)
		d.has("DONE/sub/x.pdf", ".tributary/done/"+day(7)+"/sub/x.pdf", ".tributary/done/mine/sub/x.pdf", "REFUSED/x.pdf")
	})
}

// TestFolderGoesAndComes: an unmounted share ends nothing.
func TestFolderGoesAndComes(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		dir := filepath.Join(t.TempDir(), "share")
		d := newDrop(t, Config{Dir: dir})
		ctx, cancel := context.WithCancel(t.Context())
		done := make(chan error, 1)
		go func() { done <- d.Watcher.Run(ctx) }()
		time.Sleep(time.Minute)
		d.put("a.pdf", pdf)
		time.Sleep(time.Minute)
		cancel()
		if err := <-done; !errors.Is(err, context.Canceled) {
			t.Error(err)
		}
		d.has("DONE/a.pdf")
	})
}

// TestHeldForWriting: a writer of this machine that pauses for long keeps its file, where the system tells.
func TestHeldForWriting(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		d := newDrop(t, Config{})
		f, err := os.Create(filepath.Join(d.dir, "a.pdf"))
		if err != nil {
			t.Fatal(err)
		}
		if _, err := f.WriteString(pdf); err != nil {
			t.Fatal(err)
		}
		mine, err := os.Open(f.Name())
		if err != nil {
			t.Fatal(err)
		}
		defer mine.Close()
		if !heldForWriting(mine) {
			t.Skip("this system does not tell who writes")
		}
		d.rounds(time.Minute)
		d.admitted()
		if _, err := f.WriteString("end"); err != nil {
			t.Fatal(err)
		}
		if err := f.Close(); err != nil {
			t.Fatal(err)
		}
		d.rounds(time.Minute)
		d.admitted("a.pdf: " + pdf + "end")
	})
}

func TestNewWatcher(t *testing.T) {
	file := filepath.Join(t.TempDir(), "file")
	if err := os.WriteFile(file, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	for _, cfg := range []Config{{}, {Dir: t.TempDir()}, {Admitter: &shelf{}}, {Dir: file, Admitter: &shelf{}}} {
		if _, err := NewWatcher(cfg); err == nil {
			t.Errorf("%+v", cfg)
		}
	}
	if got := clean("a\x00b\nc"+strings.Repeat("心", 400), maxPath); len(got) > maxPath || !strings.HasPrefix(got, "abc心") || bytes.ContainsRune([]byte(got), 0) {
		t.Errorf("%q", got)
	}
}
