package bundle

import (
	"archive/tar"
	"archive/zip"
	"bytes"
	"compress/gzip"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"math/rand"
	"strings"
	"testing"

	"github.com/tributary-dicom/tributary/parsers/ecg"
	"github.com/tributary-dicom/tributary/parsers/ecg/ecgtest"
	"github.com/tributary-dicom/tributary/parsers/reject"
)

// entry is a member to pack.
type entry struct {
	name, text string
	stored     bool
	mode       fs.FileMode
	typeflag   byte
}

const (
	header = "r 2 500 4\nr.dat 16 200 16 0 0 0 0 I\nr.dat 16 200 16 0 0 0 0 II\n# age: 40\n"
	muse   = `<?xml version="1.0"?><RestingECG></RestingECG>`
)

var dat = string([]byte{1, 0, 2, 0, 3, 0, 4, 0, 5, 0, 6, 0, 7, 0, 8, 0})

func zipOf(t testing.TB, entries ...entry) []byte {
	t.Helper()
	var b bytes.Buffer
	w := zip.NewWriter(&b)
	for _, e := range entries {
		h := &zip.FileHeader{Name: e.name, Method: zip.Deflate}
		if e.stored {
			h.Method = zip.Store
		}
		if e.mode != 0 {
			h.SetMode(e.mode)
		}
		f, err := w.CreateHeader(h)
		if err != nil {
			t.Fatal(err)
		}
		if _, err := io.WriteString(f, e.text); err != nil {
			t.Fatal(err)
		}
	}
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	return b.Bytes()
}

func tarOf(t testing.TB, entries ...entry) []byte {
	t.Helper()
	var b bytes.Buffer
	w := tar.NewWriter(&b)
	for _, e := range entries {
		h := &tar.Header{Name: e.name, Size: int64(len(e.text)), Typeflag: tar.TypeReg, Mode: 0o644, Format: tar.FormatPAX}
		if e.typeflag != 0 {
			h.Typeflag, h.Size = e.typeflag, 0
			h.Linkname = "/etc/passwd"
		}
		if err := w.WriteHeader(h); err != nil {
			t.Fatal(err)
		}
		if h.Size > 0 {
			if _, err := io.WriteString(w, e.text); err != nil {
				t.Fatal(err)
			}
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

func open(data []byte) (ecg.Source, error) { return Open(ecgtest.Source("x.gz", data)) }

// contents is main file and parts, by name and text.
func contents(t testing.TB, src ecg.Source) string {
	t.Helper()
	var b strings.Builder
	for _, f := range append([]ecg.File{src.File}, src.Parts...) {
		text, err := f.Bytes(0, f.Size)
		if err != nil {
			t.Fatal(err)
		}
		fmt.Fprintf(&b, "%s=%q ", f.Name, text)
	}
	return strings.TrimSpace(b.String())
}

func TestOpen(t *testing.T) {
	record := fmt.Sprintf("r.hea=%q r.dat=%q", header, dat)
	segmented := []entry{{name: "m.hea", text: "m/2 1 500 4\ns1 2\ns2 2\n"}, {name: "s1.hea", text: "s1 1 500 2\ns.dat 16\n"}, {name: "s2.hea", text: "s2 1 500 2\ns.dat 16+4\n"}, {name: "s.dat", text: "12345678"}}
	for name, c := range map[string]struct {
		in   []byte
		want string
	}{
		"WFDB zip":           {zipOf(t, entry{name: "r.dat", text: dat}, entry{name: "r.hea", text: header}), record},
		"WFDB zip stored":    {zipOf(t, entry{name: "r.dat", text: dat, stored: true}, entry{name: "r.hea", text: header, stored: true}), record},
		"WFDB in a folder":   {zipOf(t, entry{name: "a/", mode: fs.ModeDir | 0o755}, entry{name: "a/r.hea", text: header}, entry{name: "a/r.dat", text: dat}, entry{name: "r.dat", text: "other"}), record},
		"litter and reports": {zipOf(t, entry{name: "r.hea", text: header}, entry{name: "__MACOSX/._r.hea", text: "x"}, entry{name: "r.pdf", text: "%PDF-1.7"}, entry{name: "r.dat", text: dat}), record},
		"WFDB tar":           {tarOf(t, entry{name: "./r.hea", text: header}, entry{name: "./r.dat", text: dat}), record},
		"WFDB tar.gz":        {gz(t, tarOf(t, entry{name: "r.hea", text: header}, entry{name: "r.dat", text: dat})), record},
		"segments":           {zipOf(t, segmented...), `m.hea="m/2 1 500 4\ns1 2\ns2 2\n" s1.hea="s1 1 500 2\ns.dat 16\n" s2.hea="s2 1 500 2\ns.dat 16+4\n" s.dat="12345678"`},
		"ISHNE":              {zipOf(t, entry{name: "h.ecg", text: "ISHNE1.0"}, entry{name: "h.ann", text: "ANN  1.0"}, entry{name: "readme.txt", text: "hello"}), `h.ecg="ISHNE1.0" h.ann="ANN  1.0"`},
		"one XML":            {zipOf(t, entry{name: "e.xml", text: muse}, entry{name: "readme.txt", text: "hello"}), fmt.Sprintf("e.xml=%q", muse)},
		"gzip of XML":        {gz(t, []byte(muse)), fmt.Sprintf("x=%q", muse)},
		"hanzi":              {zipOf(t, entry{name: "\xd0\xc4\xb5\xe7.xml", text: muse}), fmt.Sprintf("心电.xml=%q", muse)},
	} {
		src, err := open(c.in)
		if err != nil {
			t.Errorf("%s: %v", name, err)
			continue
		}
		if got := contents(t, src); got != c.want {
			t.Errorf("%s: %s, want %s", name, got, c.want)
		}
	}
}

// TestInPlace: a stored member of any size costs no memory, and is read where it lies.
func TestInPlace(t *testing.T) {
	big := strings.Repeat("\x00", 2<<20)
	for name, in := range map[string][]byte{
		"zip": zipOf(t, entry{name: "r.hea", text: header}, entry{name: "r.dat", text: big, stored: true}),
		"tar": tarOf(t, entry{name: "r.hea", text: header}, entry{name: "r.dat", text: big}),
	} {
		src, err := open(in)
		if err != nil {
			t.Fatal(err)
		}
		if _, ok := src.Parts[0].At.(*io.SectionReader); !ok || src.Parts[0].Size != 2<<20 {
			t.Errorf("%s: %T of %d bytes", name, src.Parts[0].At, src.Parts[0].Size)
		}
	}
}

// patch overwrites bytes behind the n-th occurrence of mark.
func patch(t testing.TB, data []byte, mark string, n, at int, with ...byte) []byte {
	t.Helper()
	out := append([]byte(nil), data...)
	from := 0
	for range n {
		i := bytes.Index(out[from:], []byte(mark))
		if i < 0 {
			t.Fatalf("no %q", mark)
		}
		from += i + 1
	}
	copy(out[from-1+at:], with)
	return out
}

func le32(v uint32) []byte { return binary.LittleEndian.AppendUint32(nil, v) }

// TestRefused: rows 52 to 57 of the hostile files.
func TestRefused(t *testing.T) {
	one := zipOf(t, entry{name: "e.xml", text: muse})
	stored := zipOf(t, entry{name: "e.xml", text: muse, stored: true})
	many := make([]entry, MaxEntries+1)
	for i := range many {
		many[i] = entry{name: fmt.Sprintf("%d", i), stored: true}
	}
	bomb := strings.Repeat("\x00", MaxUnpacked+1)
	noise := make([]byte, 100)
	rand.New(rand.NewSource(1)).Read(noise)
	pax := func(records map[string]string) []byte {
		var b bytes.Buffer
		w := tar.NewWriter(&b)
		h := &tar.Header{Name: "e.xml", Size: int64(len(muse)), Typeflag: tar.TypeReg, Format: tar.FormatPAX, PAXRecords: map[string]string{}}
		for k, v := range records {
			h.PAXRecords[k] = v
		}
		if err := w.WriteHeader(h); err != nil {
			t.Fatal(err)
		}
		_, _ = io.WriteString(w, muse)
		_ = w.Close()
		return b.Bytes()
	}
	sparse := bytes.ReplaceAll(pax(map[string]string{"XXX.sparse.size": "9999", "XXX.sparse.numblocks": "1", "XXX.sparse.map": fmt.Sprint("0,", len(muse))}), []byte("XXX.sparse"), []byte("GNU.sparse"))
	longPath := bytes.ReplaceAll(pax(map[string]string{"Path": "../../etc/x"}), []byte("Path="), []byte("path="))
	for name, c := range map[string]struct {
		in   []byte
		want reject.Code
	}{
		"nested zip":             {zipOf(t, entry{name: "a.zip", text: string(one)}), reject.UnsupportedFormat},
		"nested gzip":            {gz(t, gz(t, []byte(muse))), reject.UnsupportedFormat},
		"zip in gzip":            {gz(t, one), reject.UnsupportedFormat},
		"gzip in tar":            {tarOf(t, entry{name: "a.gz", text: string(gz(t, []byte(muse)))}), reject.UnsupportedFormat},
		"bomb in zip":            {zipOf(t, entry{name: "e.xml", text: muse + bomb}), reject.TooLarge},
		"bomb in gzip":           {gz(t, []byte(muse+bomb)), reject.TooLarge},
		"ratio":                  {gz(t, []byte(muse+bomb[:8<<20])), reject.TooLarge},
		"says less than it has":  {patch(t, one, "PK\x01\x02", 1, 24, le32(5)...), reject.ChecksumMismatch},
		"says more than it has":  {patch(t, one, "PK\x01\x02", 1, 24, le32(5000)...), reject.ChecksumMismatch},
		"says 4 GiB":             {patch(t, one, "PK\x01\x02", 1, 24, le32(1<<32-2)...), reject.TooLarge},
		"stored, sizes differ":   {patch(t, stored, "PK\x01\x02", 1, 24, le32(5)...), reject.ChecksumMismatch},
		"packed beyond the file": {patch(t, one, "PK\x01\x02", 1, 20, le32(1<<30)...), reject.Truncated},
		"wrong checksum":         {patch(t, one, "PK\x01\x02", 1, 16, 1, 2, 3, 4), reject.ChecksumMismatch},
		"stored, wrong checksum": {patch(t, stored, "PK\x01\x02", 1, 16, 1, 2, 3, 4), reject.ChecksumMismatch},
		"does not unpack":        {patch(t, one, "e.xml", 1, 5, 0xFF, 0xFF, 0xFF), reject.ChecksumMismatch},
		"local name differs":     {patch(t, one, "e.xml", 1, 0, 'f'), reject.UnsupportedFormat},
		"encrypted":              {patch(t, one, "PK\x01\x02", 1, 8, 9), reject.UnsupportedFormat},
		"method 99":              {patch(t, patch(t, one, "PK\x01\x02", 1, 10, 99), "PK\x03\x04", 1, 8, 99), reject.UnsupportedFormat},
		"count of 10⁶, ZIP64":    {zip64End(t, one, 1_000_000), reject.TooLarge},
		"count too small":        {patch(t, zipOf(t, entry{name: "a", text: "x"}, entry{name: "e.xml", text: muse}), "PK\x05\x06", 1, 10, 1), reject.UnsupportedFormat},
		"10001 entries":          {zipOf(t, many...), reject.TooLarge},
		"10001 entries in tar":   {tarOf(t, many...), reject.TooLarge},
		"no directory":           {one[:40], reject.Truncated},
		"slip":                   {zipOf(t, entry{name: "../../e.xml", text: muse}), reject.UnsupportedFormat},
		"slip with backslashes":  {zipOf(t, entry{name: `..\e.xml`, text: muse}), reject.UnsupportedFormat},
		"absolute":               {zipOf(t, entry{name: "/e.xml", text: muse}), reject.UnsupportedFormat},
		"drive":                  {zipOf(t, entry{name: `C:\e.xml`, text: muse}), reject.UnsupportedFormat},
		"slip in tar":            {tarOf(t, entry{name: "a/../../e.xml", text: muse}), reject.UnsupportedFormat},
		"symlink":                {zipOf(t, entry{name: "e.xml", text: muse, mode: fs.ModeSymlink | 0o777}), reject.UnsupportedFormat},
		"device":                 {zipOf(t, entry{name: "e.xml", text: muse, mode: fs.ModeDevice | 0o666}), reject.UnsupportedFormat},
		"symlink in tar":         {tarOf(t, entry{name: "e.xml", typeflag: tar.TypeSymlink}), reject.UnsupportedFormat},
		"hard link in tar":       {tarOf(t, entry{name: "e.xml", typeflag: tar.TypeLink}), reject.UnsupportedFormat},
		"device in tar":          {tarOf(t, entry{name: "e.xml", typeflag: tar.TypeChar}), reject.UnsupportedFormat},
		"fifo in tar":            {tarOf(t, entry{name: "e.xml", typeflag: tar.TypeFifo}), reject.UnsupportedFormat},
		"sparse in tar":          {sparse, reject.UnsupportedFormat},
		"PAX path":               {longPath, reject.UnsupportedFormat},
		"cut tar":                {tarOf(t, entry{name: "e.xml", text: muse})[:520], reject.Truncated},
		"cut gzip":               {gz(t, noise)[:60], reject.Truncated},
		"gzip checksum":          {patch(t, gz(t, []byte(muse)), "\x1f\x8b", 1, len(gz(t, []byte(muse)))-8, 1, 2, 3, 4), reject.ChecksumMismatch},
		"two recordings":         {zipOf(t, entry{name: "a.xml", text: muse}, entry{name: "b.xml", text: muse}), reject.UnsupportedFormat},
		"two headers":            {zipOf(t, entry{name: "r.hea", text: header}, entry{name: "r.dat", text: dat}, entry{name: "q.hea", text: header}), reject.UnsupportedFormat},
		"no recording":           {zipOf(t, entry{name: "readme", text: "hello"}), reject.UnsupportedFormat},
		"empty":                  {zipOf(t), reject.UnsupportedFormat},
		"gzip of text":           {gz(t, []byte("hello")), reject.UnsupportedFormat},
		"no archive":             {[]byte(muse), reject.UnsupportedFormat},
	} {
		if _, err := open(c.in); err == nil || reject.CodeOf(err) != c.want {
			t.Errorf("%s: %v, want %s", name, err, c.want)
		}
	}
}

// zip64End puts a ZIP64 end record that counts n entries into an archive.
func zip64End(t testing.TB, data []byte, n uint64) []byte {
	t.Helper()
	at := bytes.Index(data, []byte("PK\x05\x06"))
	end := append([]byte(nil), data[at:]...)
	size, offset := binary.LittleEndian.Uint32(end[12:]), binary.LittleEndian.Uint32(end[16:])
	copy(end[8:], "\xff\xff\xff\xff")
	r := make([]byte, end64Size+locatorSize)
	copy(r, "PK\x06\x06")
	r[4] = end64Size - 12
	binary.LittleEndian.PutUint64(r[24:], n)
	binary.LittleEndian.PutUint64(r[32:], n)
	binary.LittleEndian.PutUint64(r[40:], uint64(size))
	binary.LittleEndian.PutUint64(r[48:], uint64(offset))
	copy(r[end64Size:], "PK\x06\x07")
	binary.LittleEndian.PutUint64(r[end64Size+8:], uint64(at))
	return append(append(append([]byte(nil), data[:at]...), r...), end...)
}

func TestZIP64(t *testing.T) {
	src, err := open(zip64End(t, zipOf(t, entry{name: "e.xml", text: muse}), 1))
	if err != nil || contents(t, src) != fmt.Sprintf("e.xml=%q", muse) {
		t.Error(err)
	}
}

func FuzzOpen(f *testing.F) {
	f.Add(zipOf(f, entry{name: "r.hea", text: header}, entry{name: "r.dat", text: dat, stored: true}))
	f.Add(tarOf(f, entry{name: "r.hea", text: header}, entry{name: "r.dat", text: dat}))
	f.Add(gz(f, []byte(muse)))
	f.Add(zip64End(f, zipOf(f, entry{name: "e.xml", text: muse}), 1))
	f.Fuzz(func(t *testing.T, in []byte) {
		src, err := open(in)
		if err != nil {
			var r *reject.Error
			if !errors.As(err, &r) || r.Code == reject.Internal {
				t.Fatalf("not a refusal: %v", err)
			}
			return
		}
		for _, file := range append([]ecg.File{src.File}, src.Parts...) {
			if strings.ContainsAny(file.Name, "/\\\x00") || file.Name == ".." {
				t.Fatalf("a name with a path: %q", file.Name)
			}
			if _, err := file.Bytes(0, file.Size); err != nil {
				t.Fatal(err)
			}
		}
	})
}
