package dimse

import (
	"bytes"
	"context"
	"io"
	"syscall"
	"testing"
)

// BenchmarkStore measures both sides together over loopback: one process, no disk, no hash.
func BenchmarkStore(b *testing.B) {
	for name, size := range map[string]int{"100KiB": 100 << 10, "64MiB": 64 << 20} {
		b.Run(name, func(b *testing.B) {
			c := dial(b, start(b, &Server{Handler: discardHandler}))
			data := make([]byte, size)
			b.SetBytes(int64(size))
			b.ReportAllocs()
			before := cpuMillis()
			b.ResetTimer()
			for b.Loop() {
				status, _, err := c.Store(b.Context(), StoreRequest{SOPClassUID: ctStorage, SOPInstanceUID: "1.2.3", Data: bytes.NewReader(data)})
				if status != 0 || err != nil {
					b.Fatal(status, err)
				}
			}
			b.ReportMetric((cpuMillis()-before)/float64(b.N), "cpu-ms/op")
		})
	}
}

func cpuMillis() float64 {
	var u syscall.Rusage
	_ = syscall.Getrusage(syscall.RUSAGE_SELF, &u)
	return float64(u.Utime.Nano()+u.Stime.Nano()) / 1e6
}

var discardHandler = HandlerFunc(discardAll)

// discardAll reads with a buffer of 64 KiB, as a writer to disk would.
func discardAll(_ context.Context, w ResponseWriter, m *Message) error {
	buf := make([]byte, 64<<10)
	for {
		if _, err := m.Data.Read(buf); err == io.EOF {
			break
		} else if err != nil {
			return err
		}
	}
	return w.Status(StatusSuccess, "")
}
