package formats

import (
	"archive/tar"
	"archive/zip"
	"bytes"
	"compress/gzip"
	"io"
	"os"
	"path/filepath"
	"testing"

	"github.com/tributary-dicom/tributary/parsers/ecg"
	"github.com/tributary-dicom/tributary/parsers/ecg/ecgtest"
	"github.com/tributary-dicom/tributary/parsers/sniff"
)

// TestArchives decodes recordings of the corpus from archives: the same recording, however it was packed.
func TestArchives(t *testing.T) {
	root := ecgtest.Corpus(t)
	for _, c := range []struct {
		files       []string
		format      sniff.Format
		annotations int
	}{
		{[]string{"wfdb/100.hea", "wfdb/100.dat", "wfdb/100.atr"}, sniff.WFDBHeader, 2274},
		{[]string{"wfdb/041s/041s.hea", "wfdb/041s/041s01.hea", "wfdb/041s/041s02.hea", "wfdb/041s/041s01.dat", "wfdb/041s/041s02.dat"}, sniff.WFDBHeader, 0},
		{[]string{"ishne/ECG_P28.01.ecg", "ishne/ECG_P28.01.ann"}, sniff.ISHNE, 97},
		{[]string{"edf/pyedflib_test_subsecond.edf"}, sniff.EDF, 4},
		{[]string{"muse/braveheart_example1.xml"}, sniff.MUSE, 0},
	} {
		want := ""
		for _, kind := range []string{"plain", "zip", "stored zip", "tar", "tar.gz", "gz"} {
			var src ecg.Source
			switch {
			case kind == "plain":
				src = ecgtest.Open(t, filepath.Join(root, c.files[0]))
			case kind == "gz" && len(c.files) > 1:
				continue
			default:
				src = ecgtest.Source("", pack(t, kind, root, c.files))
			}
			rec, err := Decode(src, ecg.Limits{})
			if err != nil {
				t.Errorf("%s as %s: %v", c.files[0], kind, err)
				continue
			}
			sum, err := rec.Summarize(true)
			if err != nil {
				t.Fatal(err)
			}
			hashes := ""
			for _, g := range sum.Groups {
				for _, l := range g.Leads {
					hashes += l.CountsSHA256
				}
			}
			if kind == "plain" {
				want = hashes
			}
			if rec.Format != c.format || len(rec.Annotations) != c.annotations && c.annotations > 0 || hashes != want || hashes == "" {
				t.Errorf("%s as %s: %s with %d annotations, samples alike: %t", c.files[0], kind, rec.Format, len(rec.Annotations), hashes == want)
			}
		}
	}
}

func pack(t *testing.T, kind, root string, files []string) []byte {
	t.Helper()
	var b bytes.Buffer
	var out io.Writer = &b
	var closers []io.Closer
	if kind == "gz" || kind == "tar.gz" {
		z := gzip.NewWriter(&b)
		out, closers = z, append(closers, z)
	}
	var next func(name string, size int64) (io.Writer, error)
	switch kind {
	case "gz":
		next = func(string, int64) (io.Writer, error) { return out, nil }
	case "zip", "stored zip":
		z := zip.NewWriter(out)
		closers = append(closers, z)
		next = func(name string, _ int64) (io.Writer, error) {
			h := &zip.FileHeader{Name: name, Method: zip.Deflate}
			if kind == "stored zip" {
				h.Method = zip.Store
			}
			return z.CreateHeader(h)
		}
	default:
		z := tar.NewWriter(out)
		closers = append(closers, z)
		next = func(name string, size int64) (io.Writer, error) {
			return z, z.WriteHeader(&tar.Header{Name: name, Size: size, Mode: 0o644, Typeflag: tar.TypeReg})
		}
	}
	for _, f := range files {
		data, err := os.ReadFile(filepath.Join(root, f))
		if err != nil {
			t.Fatal(err)
		}
		w, err := next("export/"+filepath.Base(f), int64(len(data)))
		if err != nil {
			t.Fatal(err)
		}
		if _, err := w.Write(data); err != nil {
			t.Fatal(err)
		}
	}
	for i := len(closers) - 1; i >= 0; i-- {
		if err := closers[i].Close(); err != nil {
			t.Fatal(err)
		}
	}
	return b.Bytes()
}
