package bulkimport

import (
	"archive/tar"
	"archive/zip"
	"bytes"
	"compress/gzip"
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/tributary-dicom/tributary/ingest/bundle"
)

// walked is what a walk told.
type walked struct {
	found   []string // "PATH NAME BYTES", paths below the test's folder
	refused []string // "PATH: WHY"
	passed  []string
	keys    []string
}

func walk(t testing.TB, root string, cfg WalkConfig) (w walked, err error) {
	t.Helper()
	rel := func(p string) string {
		return strings.TrimPrefix(filepath.ToSlash(strings.TrimPrefix(p, filepath.Dir(root))), "/")
	}
	cfg.TempDir = t.TempDir()
	cfg.Entry = func(e Entry) error {
		defer e.Release()
		var data []byte
		for range 2 { // as often as wanted
			r, err := e.Open()
			if err != nil {
				t.Fatal(err)
			}
			if data, err = io.ReadAll(r); err != nil {
				data = []byte("BROKEN: " + err.Error())
			}
			r.Close()
		}
		if int64(len(data)) != e.Size && !bytes.HasPrefix(data, []byte("BROKEN")) {
			t.Errorf("%s has %d bytes, told as %d", e.Path, len(data), e.Size)
		}
		w.keys = append(w.keys, e.Key)
		w.found = append(w.found, fmt.Sprintf("%s %s %.60q", rel(e.Path), e.Name, data))
		return nil
	}
	cfg.Skip = func(s Skipped) {
		text := rel(s.Path) + ": " + s.Why
		if s.Refused {
			w.refused = append(w.refused, text)
		} else {
			w.passed = append(w.passed, text)
		}
	}
	err = Walk(t.Context(), root, cfg)
	if left, rerr := os.ReadDir(cfg.TempDir); rerr != nil || len(left) > 0 {
		t.Errorf("%v is left, %v", left, rerr)
	}
	slices.Sort(w.found)
	slices.Sort(w.keys)
	slices.Sort(w.refused)
	slices.Sort(w.passed)
	return w, err
}

// entryOf is a member for archives.
type entryOf struct {
	name, data string
	mode       fs.FileMode
	store      bool
}

func zipOf(t testing.TB, entries ...entryOf) []byte {
	t.Helper()
	var b bytes.Buffer
	w := zip.NewWriter(&b)
	for _, e := range entries {
		h := &zip.FileHeader{Name: e.name, Method: zip.Deflate}
		if e.store {
			h.Method = zip.Store
		}
		h.SetMode(e.mode | 0o644)
		f, err := w.CreateHeader(h)
		if err == nil {
			_, err = io.WriteString(f, e.data)
		}
		if err != nil {
			t.Fatal(err)
		}
	}
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	return b.Bytes()
}

func tarBytes(t testing.TB, entries ...entryOf) []byte {
	t.Helper()
	var b bytes.Buffer
	w := tar.NewWriter(&b)
	for _, e := range entries {
		h := &tar.Header{Name: e.name, Mode: 0o644, Size: int64(len(e.data)), Typeflag: tar.TypeReg}
		switch {
		case e.mode&fs.ModeSymlink != 0:
			h.Typeflag, h.Linkname, h.Size = tar.TypeSymlink, e.data, 0
		case e.mode&fs.ModeDevice != 0:
			h.Typeflag, h.Size = tar.TypeBlock, 0
		case e.mode.IsDir():
			h.Typeflag, h.Size = tar.TypeDir, 0
		}
		err := w.WriteHeader(h)
		if err == nil && h.Typeflag == tar.TypeReg {
			_, err = io.WriteString(w, e.data)
		}
		if err != nil {
			t.Fatal(err)
		}
	}
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	return b.Bytes()
}

func gz(t testing.TB, data []byte) []byte {
	t.Helper()
	var b bytes.Buffer
	w := gzip.NewWriter(&b)
	if _, err := w.Write(data); err != nil {
		t.Fatal(err)
	}
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	return b.Bytes()
}

func save(t testing.TB, p string, data []byte) {
	t.Helper()
	if err := os.MkdirAll(filepath.Dir(p), 0o700); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(p, data, 0o600); err != nil {
		t.Fatal(err)
	}
}

// medium is what lies on a CD.
var medium = []entryOf{
	{name: "DICOMDIR", data: strings.Repeat("\x00", 128) + "DICM\x02\x00\x02\x00UI\x14\x001.2.840.10008.1.3.10\x00"},
	{name: "IMAGES/IM1", data: strings.Repeat("\x00", 128) + "DICM one"},
	{name: "IMAGES/IM2", data: strings.Repeat("\x00", 128) + "DICM two"},
	{name: "VIEWER/autorun.exe", data: "MZ viewer"},
	{name: "ecg/r.dat", data: "\x01\x02samples"},
	{name: "ecg/r.hea", data: hea},
	{name: "ecg/报告.pdf", data: pdf},
	{name: "other/r.dat", data: "of nobody"},
}

// mediumFound is what an import finds of it below a folder's or an archive's path.
func mediumFound(t *testing.T, at string) (found, passed []string) {
	t.Helper()
	dicom := strings.Repeat("\x00", 128) + "DICM one"
	open := func(text string) func() (io.ReadCloser, error) {
		return func() (io.ReadCloser, error) { return io.NopCloser(strings.NewReader(text)), nil }
	}
	b, err := bundle.New(bundle.File{Name: "r.hea", Size: int64(len(hea)), Open: open(hea)}, []bundle.File{{Name: "r.dat", Size: 9, Open: open("\x01\x02samples")}})
	if err != nil {
		t.Fatal(err)
	}
	record, err := io.ReadAll(b)
	if err != nil {
		t.Fatal(err)
	}
	found = []string{
		fmt.Sprintf("%sIMAGES/IM1 IM1 %.60q", at, dicom), fmt.Sprintf("%sIMAGES/IM2 IM2 %.60q", at, dicom),
		fmt.Sprintf("%secg/r.hea r.tar %.60q", at, record), fmt.Sprintf("%secg/报告.pdf 报告.pdf %q", at, pdf),
	}
	passed = []string{
		at + "DICOMDIR: a table of contents, which the node makes anew",
		at + "VIEWER/autorun.exe: no format that is taken: unknown", at + "other/r.dat: no format that is taken: unknown",
	}
	slices.Sort(found)
	slices.Sort(passed)
	return found, passed
}

// TestWalk: the same medium as a folder, by its DICOMDIR, and as each kind of archive, alone or in a folder.
func TestWalk(t *testing.T) {
	dir := t.TempDir()
	for _, e := range medium {
		save(t, filepath.Join(dir, "cd", filepath.FromSlash(e.name)), []byte(e.data))
	}
	save(t, filepath.Join(dir, "a.zip"), zipOf(t, medium...))
	save(t, filepath.Join(dir, "a.tar"), tarBytes(t, medium...))
	save(t, filepath.Join(dir, "a.tgz"), gz(t, tarBytes(t, medium...)))
	for name, at := range map[string]string{"cd": "cd/", "cd/DICOMDIR": "", "a.zip": "a.zip!", "a.tar": "a.tar!", "a.tgz": "a.tgz!"} {
		w, err := walk(t, filepath.Join(dir, name), WalkConfig{})
		if err != nil {
			t.Errorf("%s: %v", name, err)
		}
		found, passed := mediumFound(t, at)
		if !slices.Equal(w.found, found) || !slices.Equal(w.passed, passed) || len(w.refused) > 0 {
			t.Errorf("%s: %q\n%q\n%q", name, w.found, w.passed, w.refused)
		}
		again, _ := walk(t, filepath.Join(dir, name), WalkConfig{})
		if !slices.Equal(again.keys, w.keys) || len(slices.Compact(slices.Clone(w.keys))) != len(w.keys) {
			t.Errorf("%s: keys %q, then %q", name, w.keys, again.keys)
		}
	}
	w, err := walk(t, dir, WalkConfig{})
	if err != nil || len(w.found) != 4*4 {
		t.Errorf("all of it: %d, %v", len(w.found), err)
	}
	if w, err = walk(t, filepath.Join(dir, "cd"), WalkConfig{Flat: true}); err != nil || len(w.found) != 0 || len(w.passed) != 1 {
		t.Errorf("flat: %+v, %v", w, err)
	}
	save(t, filepath.Join(dir, "strange"), []byte("?"))
	if w, err = walk(t, filepath.Join(dir, "strange"), WalkConfig{}); err != nil || len(w.found) != 1 {
		t.Errorf("a file that was named: %+v, %v", w, err)
	}
	if n := Extent(t.Context(), []string{filepath.Join(dir, "a.zip"), filepath.Join(dir, "a.tar")}, false); n != int64(len(zipOf(t, medium...))+len(tarBytes(t, medium...))) {
		t.Errorf("extent %d", n)
	}
}

// TestHostileArchives: rows 52 to 57 of the list of hostile files, and what else archives are made to do. Nothing
// is written, nothing outside is opened, and what is whole in them goes on where that can be told.
func TestHostileArchives(t *testing.T) {
	ok := entryOf{name: "ok.pdf", data: pdf}
	encrypted := zipOf(t, entryOf{name: "x.pdf", data: pdf, store: true}, ok)
	for at := 0; ; { // the flag of the first member, in its header and in the directory
		i := bytes.Index(encrypted[at:], []byte("x.pdf"))
		if i < 0 {
			break
		}
		at += i
		if bytes.HasPrefix(encrypted[at-30:], []byte("PK\x03\x04")) {
			encrypted[at-30+6] |= 1
		} else {
			encrypted[at-46+8] |= 1
		}
		at += 5
	}
	lying := zipOf(t, entryOf{name: "x.pdf", data: pdf + strings.Repeat("x", 9000)}, ok)
	i := bytes.LastIndex(lying, []byte("x.pdf"))
	lying[i-46+24], lying[i-46+25] = 0x88, 0x13 // uncompressed size: 5000
	many := make([]entryOf, 2000)
	for i := range many {
		many[i] = entryOf{name: fmt.Sprint(i), store: true}
	}
	inflated := strings.Repeat("%PDF-1.7", (freeBytes+1)/8+1)
	var sparse bytes.Buffer
	sw := tar.NewWriter(&sparse) // it writes no such record itself
	err := sw.WriteHeader(&tar.Header{Name: "s.pdf", Typeflag: tar.TypeReg, Size: 9, PAXRecords: map[string]string{"GNU_sparse.major": "2"}})
	if err == nil {
		_, err = io.WriteString(sw, pdf)
	}
	if err != nil || sw.Close() != nil {
		t.Fatal(err)
	}
	sparseTar := bytes.Replace(sparse.Bytes(), []byte("GNU_sparse"), []byte("GNU.sparse"), 1)
	var stored bytes.Buffer
	zw, err := gzip.NewWriterLevel(&stored, gzip.NoCompression)
	if err != nil {
		t.Fatal(err)
	}
	whole := tarBytes(t, ok, entryOf{name: "b.pdf", data: pdf + strings.Repeat("b", 9000)})
	if _, err := zw.Write(whole); err != nil || zw.Close() != nil {
		t.Fatal(err)
	}
	for name, c := range map[string]struct {
		data    []byte
		refused string
		found   int
	}{
		"52 zip in zip":       {zipOf(t, entryOf{name: "in.zip", data: string(zipOf(t, ok))}, ok), "in.zip: an archive in an archive", 1},
		"52 gzip in tar":      {tarBytes(t, entryOf{name: "in.gz", data: string(gz(t, []byte(pdf)))}, ok), "in.gz: an archive in an archive", 1},
		"52 tar in tar.gz":    {gz(t, tarBytes(t, entryOf{name: "in.tar", data: string(tarBytes(t, ok))}, ok)), "in.tar: an archive in an archive", 1},
		"52 zip bomb":         {zipOf(t, entryOf{name: "b.pdf", data: inflated}, ok), "b.pdf: it unpacks to more than 250 times its size", 1},
		"52 gzip bomb":        {gz(t, tarBytes(t, ok, entryOf{name: "b.pdf", data: inflated})), "it unpacks to more than 250 times its size", 1},
		"53 false size":       {lying, "", 2}, // the reader fails at its end: nothing is kept of it
		"54 names that climb": {zipOf(t, entryOf{name: "../../../../etc/cron.d/x.pdf", data: pdf}, entryOf{name: `..\..\y.pdf`, data: pdf}, entryOf{name: "/abs.pdf", data: pdf}), "", 3},
		"54 tar that climbs":  {tarBytes(t, entryOf{name: "../../x.pdf", data: pdf}, entryOf{name: "/etc/passwd.pdf", data: pdf}), "", 2},
		"55 links":            {zipOf(t, entryOf{name: "l.pdf", data: "/etc/passwd", mode: fs.ModeSymlink}, ok), "", 1},
		"55 tar links":        {tarBytes(t, entryOf{name: "l.pdf", data: "/etc/passwd", mode: fs.ModeSymlink}, entryOf{name: "d", mode: fs.ModeDevice}, ok), "", 1},
		"56 members":          {zipOf(t, many...), "it has more than 1000 members", 0},
		"56 tar members":      {tarBytes(t, append([]entryOf{ok}, many...)...), "it has more than 1000 members", 1},
		"57 cut tar":          {whole[:len(whole)-5000], "it is cut off", 1},
		"57 cut tar.gz":       {stored.Bytes()[:stored.Len()-5000], "it cannot be", 1},
		"57 not a number":     {slices.Concat(whole[:1024], []byte(strings.Replace(string(whole[1024:]), "0000", "zzzz", 1))), "it cannot be read as tar", 1},
		"57 sparse":           {sparseTar, "a sparse file", 0},
		"encrypted":           {encrypted, "x.pdf: it is encrypted", 1},
		"cut zip":             {zipOf(t, ok)[:60], "it cannot be read as ZIP", 0},
		"cut gzip":            {gz(t, []byte(pdf))[:12], "it cannot be unpacked", 0},
		"gzip of one":         {gz(t, []byte(pdf)), "", 1},
		"empty zip":           {zipOf(t), "", 0},
	} {
		t.Run(name, func(t *testing.T) {
			dir := t.TempDir()
			p := filepath.Join(dir, "in", "a.bin")
			save(t, p, c.data)
			w, err := walk(t, p, WalkConfig{MaxEntries: 1000})
			if err != nil || len(w.found) != c.found {
				t.Errorf("%d found: %q, %v", len(w.found), w.found, err)
			}
			if (c.refused == "") != (len(w.refused) == 0) || !strings.Contains(strings.Join(w.refused, "\n"), c.refused) {
				t.Errorf("refused: %q, want %q", w.refused, c.refused)
			}
			for _, f := range w.found {
				if name := strings.Fields(f)[1]; strings.ContainsAny(name, `/\`) || strings.HasPrefix(name, ".") {
					t.Errorf("%q is no base name", name)
				}
			}
			if name == "53 false size" && !strings.Contains(strings.Join(w.found, "\n"), "BROKEN") {
				t.Errorf("a member that is not as told passes: %q", w.found)
			}
			if left, err := os.ReadDir(dir); err != nil || len(left) != 1 {
				t.Errorf("%v, %v", left, err)
			}
		})
	}
}

func TestWalkEnds(t *testing.T) {
	dir := t.TempDir()
	save(t, filepath.Join(dir, "a.tgz"), gz(t, tarBytes(t, medium...)))
	stop := errors.New("enough")
	for n := range 4 {
		left := n
		err := Walk(t.Context(), dir, WalkConfig{TempDir: t.TempDir(), Skip: func(Skipped) {}, Entry: func(e Entry) error {
			e.Release()
			if left--; left < 0 {
				return stop
			}
			return nil
		}})
		if !errors.Is(err, stop) {
			t.Errorf("after %d: %v", n, err)
		}
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if err := Walk(ctx, dir, WalkConfig{Entry: func(Entry) error { return nil }, Skip: func(Skipped) {}}); !errors.Is(err, context.Canceled) {
		t.Error(err)
	}
	if err := Walk(t.Context(), filepath.Join(dir, "nothing"), WalkConfig{}); !errors.Is(err, fs.ErrNotExist) {
		t.Error(err)
	}
}

func FuzzWalk(f *testing.F) {
	f.Add(zipOf(f, medium...))
	f.Add(tarBytes(f, medium...))
	f.Add(gz(f, tarBytes(f, medium...)))
	f.Add(gz(f, []byte(pdf)))
	f.Fuzz(func(t *testing.T, in []byte) {
		p := filepath.Join(t.TempDir(), "a")
		save(t, p, in)
		entries := 0
		err := Walk(t.Context(), p, WalkConfig{MaxEntries: 100, MaxBytes: 1 << 20, TempDir: t.TempDir(), Skip: func(Skipped) {}, Entry: func(e Entry) error {
			defer e.Release()
			if strings.ContainsAny(e.Name, "/\\\x00") {
				t.Errorf("%q is no base name", e.Name)
			}
			if entries++; entries > 200 {
				t.Error("more entries than members")
			}
			r, err := e.Open()
			if err != nil {
				return nil // an archive may be broken anywhere
			}
			defer r.Close()
			if n, err := io.Copy(io.Discard, r); err == nil && n != e.Size {
				t.Errorf("%d bytes, told as %d", n, e.Size)
			}
			return nil
		}})
		if err != nil {
			t.Error(err)
		}
	})
}
