package upload

import (
	"bytes"
	"context"
	"fmt"
	"testing"

	"github.com/tributary-dicom/tributary/ingest"
)

// idleIntake admits without looking.
type idleIntake struct{}

func (idleIntake) Admit(_ context.Context, a ingest.Arrival) (ingest.Receipt, error) {
	b := make([]byte, 64<<10)
	for {
		if _, err := a.Body.Read(b); err != nil {
			return ingest.Receipt{ID: "x", Status: ingest.Stored}, nil //nolint:nilerr // the end
		}
	}
}

// BenchmarkTusSmall is the door's own cost for a file of 100 KiB: create, then one PATCH.
func BenchmarkTusSmall(b *testing.B) {
	for _, clients := range []int{1, 4} {
		b.Run(fmt.Sprintf("clients=%d", clients), func(b *testing.B) {
			h, err := NewTus(TusConfig{Config: Config{Admitter: idleIntake{}}, Dir: b.TempDir()})
			if err != nil {
				b.Fatal(err)
			}
			defer h.Close()
			body := make([]byte, 100<<10)
			b.SetParallelism(clients)
			b.ReportAllocs()
			b.RunParallel(func(pb *testing.PB) {
				for pb.Next() {
					w := tus(h, "POST", "/upload/tus/", nil, "Upload-Length", fmt.Sprint(len(body)))
					w = tus(h, "PATCH", w.Header().Get("Location"), bytes.NewReader(body), "Upload-Offset", "0")
					if w.Code != 204 {
						b.Errorf("PATCH: %d", w.Code)
					}
				}
			})
		})
	}
}
