package dicomweb

import (
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"testing"

	"github.com/tributary-dicom/tributary/storage/blob"
	"github.com/tributary-dicom/tributary/storage/blob/dirblob"
	"github.com/tributary-dicom/tributary/storage/index"
)

// BenchmarkStudy retrieves a study of files over loopback: 1,000 of 100 KiB, 20 of 10 MiB.
func BenchmarkStudy(b *testing.B) {
	for _, shape := range []struct{ count, size int }{{1000, 100 << 10}, {20, 10 << 20}} {
		b.Run(fmt.Sprintf("%dx%dKiB", shape.count, shape.size>>10), func(b *testing.B) {
			store, err := dirblob.Open(b.TempDir(), dirblob.Options{})
			if err != nil {
				b.Fatal(err)
			}
			defer store.Close() // a temporary store
			w := newWorld(func(c *Config) { c.Blobs = store })
			file := noise(shape.size)
			for i := range shape.count {
				dst, err := store.Create(b.Context())
				if err != nil {
					b.Fatal(err)
				}
				if _, err := dst.Write(file); err != nil {
					b.Fatal(err)
				}
				info, err := dst.Commit(b.Context(), blob.Meta{})
				if err != nil {
					b.Fatal(err)
				}
				w.add(studyUID, seriesUID, fmt.Sprintf("1.2.%d", i), jpegBaseline, nil, func(o *index.Object) {
					o.BlobKey, o.Bytes = info.Key, int64(shape.size)
				})
			}
			srv := httptest.NewServer(w)
			defer srv.Close()
			b.SetBytes(int64(shape.count) * int64(shape.size))
			b.ReportAllocs()
			for b.Loop() {
				req, err := http.NewRequestWithContext(b.Context(), http.MethodGet, srv.URL+"/dicom-web/studies/1.2.3", nil)
				if err != nil {
					b.Fatal(err)
				}
				resp, err := srv.Client().Do(req)
				if err != nil {
					b.Fatal(err)
				}
				if n, err := io.CopyBuffer(struct{ io.Writer }{io.Discard}, struct{ io.Reader }{resp.Body}, make([]byte, 256<<10)); err != nil || n < int64(shape.count)*int64(shape.size) {
					b.Fatal(n, err)
				}
				_ = resp.Body.Close()
			}
		})
	}
}

// BenchmarkWorklist renders OHIF's first request.
func BenchmarkWorklist(b *testing.B) {
	w := newWorld()
	for i := range 101 {
		w.rows[index.StudyLevel] = append(w.rows[index.StudyLevel], index.Row{Attributes: with(echoStudy(), "StudyInstanceUID", fmt.Sprintf("1.%d", i))})
	}
	b.ReportAllocs()
	for b.Loop() {
		w.get("/dicom-web/studies?limit=101&offset=0&fuzzymatching=false&includefield=00081030%2C00080060%2C00080090%2C00100030")
		w.queries = nil
	}
}
