package formats

import (
	"path/filepath"
	"testing"

	"github.com/tributary-dicom/tributary/parsers/ecg"
	"github.com/tributary-dicom/tributary/parsers/ecg/ecgtest"
)

// BenchmarkDecode measures decoders that hold a file in memory, in bytes of the file.
func BenchmarkDecode(b *testing.B) {
	for _, name := range []string{
		"aecg/hl7_Example_aECG.xml", "aecg/cn_noname_1.xml", "philips/129DYPRG.XML", "philips/ad4d3d80-d165_1-04_orig.xml", "muse/braveheart_example1.xml",
		"fhir/observation-example-sample-data.json", "pdf/anonymous_ecg_3x4_1.pdf",
	} {
		src := ecgtest.Open(b, filepath.Join(ecgtest.Corpus(b), filepath.FromSlash(name)))
		b.Run(name, func(b *testing.B) {
			b.SetBytes(src.Size)
			b.ReportAllocs()
			for b.Loop() {
				if _, err := Decode(src, ecg.Limits{}); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}
