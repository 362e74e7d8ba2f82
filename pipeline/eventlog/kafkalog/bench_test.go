package kafkalog_test

import (
	"fmt"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/tributary-dicom/tributary/internal/testengine"
	"github.com/tributary-dicom/tributary/pipeline/event"
	"github.com/tributary-dicom/tributary/pipeline/eventlog/kafkalog"
)

// BenchmarkAppend is what doors wait for: events of 2 kB of many studies, each call one event.
func BenchmarkAppend(b *testing.B) {
	k := testengine.StartKafka(b)
	for _, run := range []struct{ callers, partitions int }{{1, 1}, {4, 1}, {32, 1}, {1, 12}, {4, 12}, {32, 12}} {
		callers := run.callers
		b.Run(fmt.Sprintf("partitions=%d/callers=%d", run.partitions, callers), func(b *testing.B) {
			l := open(b, at(k, newPrefix(), fmt.Sprint("partitions=", run.partitions)), kafkalog.Options{})
			appendAll(b, l, keyed("warm", 0))
			work := make(chan int)
			took := make([]time.Duration, b.N)
			var wg sync.WaitGroup
			b.ResetTimer()
			for range callers {
				wg.Go(func() {
					for n := range work {
						e := keyed(fmt.Sprint("1.2.", n%100), n)
						e.Data = make([]byte, 2000)
						begin := time.Now()
						if _, err := l.Append(b.Context(), e); err != nil {
							b.Error(err)
						}
						took[n] = time.Since(begin)
					}
				})
			}
			for n := range b.N {
				work <- n
			}
			close(work)
			wg.Wait()
			b.StopTimer()
			slices.Sort(took)
			b.ReportMetric(float64(took[len(took)/2].Microseconds()), "p50-µs")
			b.ReportMetric(float64(took[len(took)*99/100].Microseconds()), "p99-µs")
			b.ReportMetric(float64(b.N)/b.Elapsed().Seconds(), "appends/s")
		})
	}
}

// BenchmarkAppendToFetched is a lone event's way to a consumer that waits.
func BenchmarkAppendToFetched(b *testing.B) {
	k := testengine.StartKafka(b)
	l := open(b, at(k, newPrefix()), kafkalog.Options{})
	c := subscribe(b, l, "g")
	appendAll(b, l, keyed("warm", 0))
	fetchIDs(b, c, 1)
	for n := 0; b.Loop(); n++ {
		appendAll(b, l, keyed(fmt.Sprint(n), n))
		fetchIDs(b, c, 1)
	}
}

// BenchmarkDrain moves a spool to Kafka: records a second.
func BenchmarkDrain(b *testing.B) {
	const n = 20_000
	for b.Loop() {
		b.StopTimer()
		k := testengine.StartKafka(b, testengine.KafkaStopped())
		l := open(b, at(k, newPrefix(), "timeout=500ms"), kafkalog.Options{Spool: newSpool(b)})
		for first := 0; first < n; first += 1000 {
			var events []event.Envelope
			for i := range 1000 {
				e := keyed(fmt.Sprint("1.2.", i%100), first+i)
				e.Data = make([]byte, 2000)
				events = append(events, e)
			}
			appendAll(b, l, events...)
		}
		k.Start()
		until(b, "it begins", func() bool { return l.Stats().SpoolRecords < n })
		b.StartTimer()
		until(b, "the spool is empty", func() bool { return l.Stats().SpoolRecords == 0 })
	}
	b.ReportMetric(n*float64(b.N)/b.Elapsed().Seconds(), "records/s")
}
