package locallog_test

import (
	"fmt"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/tributary-dicom/tributary/pipeline/event"
	"github.com/tributary-dicom/tributary/pipeline/eventlog/locallog"
)

// BenchmarkAppend measures durable appends of 4 KB bodies; run it with -benchtime 1s. cpu-µs/op is all
// CPU of the process, its kernel side included.
func BenchmarkAppend(b *testing.B) {
	for _, writers := range []int{1, 4, 32} {
		b.Run(fmt.Sprintf("writers=%d", writers), func(b *testing.B) {
			log, err := locallog.Open(b.Context(), filepath.Join(b.TempDir(), "log.db"), locallog.Options{})
			if err != nil {
				b.Fatal(err)
			}
			defer func() { _ = log.Close() }()
			body := []byte(`"` + strings.Repeat("x", 4000) + `"`)
			var failed atomic.Bool
			var mu sync.Mutex
			took := make([]time.Duration, 0, b.N)
			before := cpuTime()
			b.ResetTimer()
			work := make(chan struct{}, b.N)
			for range b.N {
				work <- struct{}{}
			}
			close(work)
			done := make(chan struct{})
			for range writers {
				go func() {
					defer func() { done <- struct{}{} }()
					for range work {
						begin := time.Now()
						_, err := log.Append(b.Context(), event.Envelope{
							ID: event.NewID(), Type: event.TypeInstanceStored, Source: "/tributary/bench", Subject: strings.Repeat("1.2.840.113619.2.55/", 5),
							Topic: event.TopicInstances, Key: "1.2.840.113619.2.55.3.604688119.971", Data: body,
						})
						if err != nil {
							failed.Store(true)
						}
						mu.Lock()
						took = append(took, time.Since(begin))
						mu.Unlock()
					}
				}()
			}
			for range writers {
				<-done
			}
			b.StopTimer()
			b.ReportMetric(float64(cpuTime()-before)/1e3/float64(b.N), "cpu-µs/op")
			slices.Sort(took)
			b.ReportMetric(float64(took[len(took)*99/100].Microseconds()), "p99-µs")
			b.ReportMetric(float64(took[len(took)-1].Microseconds()), "max-µs")
			b.ReportMetric(float64(b.N)/b.Elapsed().Seconds(), "appends/s")
			if failed.Load() {
				b.Fatal("an append failed")
			}
		})
	}
}
