package stowrs

import (
	"context"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"github.com/tributary-dicom/tributary/ingest"
)

// discard reads objects and keeps nothing: what is measured is the door.
type discard struct{}

func (discard) Admit(_ context.Context, a ingest.Arrival) (ingest.Receipt, error) {
	buf := make([]byte, 256<<10)
	for {
		if _, err := a.Body.Read(buf); err == io.EOF {
			return ingest.Receipt{Status: ingest.Stored, Study: "1", Series: "1.1", Instance: "1.1.1", SOPClass: "1.2"}, nil
		} else if err != nil {
			return ingest.Receipt{}, err
		}
	}
}

// BenchmarkStore sends one part of 256 MiB, and ten of 100 KiB, over a real connection; client and
// kernel are in the figures.
func BenchmarkStore(b *testing.B) {
	for name, parts := range map[string][]int{"256MiB": {256 << 20}, "10x100KiB": {1e5, 1e5, 1e5, 1e5, 1e5, 1e5, 1e5, 1e5, 1e5, 1e5}} {
		b.Run(name, func(b *testing.B) {
			srv := httptest.NewServer(New(Config{Admitter: discard{}}))
			defer srv.Close()
			noise := strings.Repeat("0123456789\r\n-abcdefghijklmnopqrstuvwxyz", 27000)[:1<<20]
			total := int64(0)
			for _, n := range parts {
				total += int64(n)
			}
			b.SetBytes(total)
			b.ReportAllocs()
			for b.Loop() {
				var rs []io.Reader
				for _, n := range parts {
					rs = append(rs, strings.NewReader("--b\r\n\r\n"))
					for ; n > 0; n -= len(noise) {
						rs = append(rs, strings.NewReader(noise[:min(n, len(noise))]))
					}
					rs = append(rs, strings.NewReader("\r\n"))
				}
				req, _ := http.NewRequest("POST", srv.URL+"/dicom-web/studies", io.MultiReader(append(rs, strings.NewReader("--b--"))...))
				req.Header.Set("Content-Type", relatedType)
				res, err := srv.Client().Do(req)
				if err != nil || res.StatusCode != 200 {
					b.Fatal(res, err)
				}
				_, _ = io.Copy(io.Discard, res.Body)
				res.Body.Close()
			}
		})
	}
}
