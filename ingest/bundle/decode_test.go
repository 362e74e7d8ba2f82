package bundle

import (
	"bytes"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"testing"

	"github.com/tributary-dicom/tributary/parsers/ecg"
	ecgbundle "github.com/tributary-dicom/tributary/parsers/ecg/bundle"
	"github.com/tributary-dicom/tributary/parsers/ecg/ecgtest"
	"github.com/tributary-dicom/tributary/parsers/ecg/formats"
	"github.com/tributary-dicom/tributary/parsers/sniff"
)

// TestDecoded: records of the corpus are found by their headers, and what was bundled decodes to what the files
// decode to beside one another; hanzi names too.
func TestDecoded(t *testing.T) {
	folders := map[string][]string{}
	err := filepath.WalkDir(filepath.Join(ecgtest.Corpus(t), "wfdb"), func(p string, e fs.DirEntry, err error) error {
		if err == nil && e.Type().IsRegular() {
			folders[filepath.Dir(p)] = append(folders[filepath.Dir(p)], e.Name())
		}
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	decoded := 0
	for dir, names := range folders {
		contents := map[string][]byte{}
		var all []Candidate
		for _, n := range names {
			data, err := os.ReadFile(filepath.Join(dir, n))
			if err != nil {
				t.Fatal(err)
			}
			c := Candidate{Name: n, Format: sniff.Detect(data)}
			if c.Format == sniff.WFDBHeader {
				c.Header = data
			}
			contents[n] = data
			all = append(all, c)
		}
		for _, r := range Records(all) {
			if len(r.Missing) > 0 {
				continue
			}
			src := ecgtest.Source(r.Main, contents[r.Main])
			main := file("心电"+r.Main, string(contents[r.Main]))
			var parts []File
			for _, n := range r.Parts {
				parts = append(parts, file(n, string(contents[n])))
				src.Parts = append(src.Parts, ecgtest.Source(n, contents[n]).File)
			}
			want, err := formats.Decode(src, ecg.Limits{})
			if err != nil {
				continue // one of the corpus that nobody reads
			}
			b, err := New(main, parts)
			if err != nil {
				t.Fatal(err)
			}
			data, err := io.ReadAll(b)
			if err != nil {
				t.Fatal(err)
			}
			opened, err := ecgbundle.Open(ecgtest.Source("x.tar", data))
			if err != nil || opened.Name != main.Name || len(opened.Parts) != len(parts) {
				t.Errorf("%s: %v, %d of %d parts", r.Main, err, len(opened.Parts), len(parts))
				continue
			}
			at := make([]byte, opened.Size)
			if _, err := opened.At.ReadAt(at, 0); err != nil && err != io.EOF || !bytes.Equal(at, contents[r.Main]) {
				t.Errorf("%s: the header came back changed", r.Main)
			}
			got, err := formats.Decode(ecgtest.Source("x.tar", data), ecg.Limits{})
			if err != nil || got.Format != want.Format || len(got.Groups) != len(want.Groups) {
				t.Errorf("%s: %v", r.Main, err)
				continue
			}
			decoded++
		}
	}
	if decoded < 5 {
		t.Errorf("only %d records of the corpus were bundled", decoded)
	}
	t.Log(decoded, "records")
}
