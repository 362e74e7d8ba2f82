package completeness_test

import (
	"context"
	"fmt"
	"path/filepath"
	"runtime"
	"testing"
	"time"

	"github.com/tributary-dicom/tributary/pipeline/completeness"
	"github.com/tributary-dicom/tributary/pipeline/event"
	"github.com/tributary-dicom/tributary/pipeline/eventlog"
	"github.com/tributary-dicom/tributary/storage/index"
	"github.com/tributary-dicom/tributary/storage/index/indextest"
)

// forgetful is a log that keeps the newest announcements alone, so that what grows is the stage.
type forgetful struct {
	records []eventlog.Record
	next    int64
}

func (f *forgetful) Append(_ context.Context, events ...event.Envelope) ([]eventlog.Position, error) {
	f.records = f.records[:0]
	for _, e := range events {
		f.records = append(f.records, eventlog.Record{Position: eventlog.Position{Topic: e.Topic, Offset: f.next}, Event: e})
		f.next++
	}
	return make([]eventlog.Position, len(events)), nil
}

func (f *forgetful) Heads(_ context.Context, topic string) ([]eventlog.Position, error) {
	if topic != event.TopicStudies || f.next == 0 {
		return nil, nil
	}
	return []eventlog.Position{{Topic: topic, Offset: f.next - 1}}, nil
}

func (f *forgetful) ReadFrom(_ context.Context, _ string, from eventlog.Position, most int) (out []eventlog.Record, err error) {
	for _, r := range f.records {
		if r.Offset >= from.Offset && len(out) < most {
			out = append(out, r)
		}
	}
	return out, nil
}

// BenchmarkStudies announces studies of one object that were quiet long ago: what a study costs, and what the heap is
// when they are all done.
func BenchmarkStudies(b *testing.B) {
	db, err := index.OpenSQLite(b.Context(), filepath.Join(b.TempDir(), "index.db"), index.Options{})
	if err != nil {
		b.Fatal(err)
	}
	defer db.Close()
	tape := indextest.NewTape(b)
	for i := range b.N {
		study := fmt.Sprintf("1.2.826.0.1.3680043.10.%d", i)
		tape.Stored(indextest.Instance{Study: study, SOP: study + ".1", Received: time.Now().Add(-time.Hour), Attributes: map[string]string{"Modality": "US"}})
		if len(tape.Records) == 512 || i == b.N-1 {
			if err := db.Apply(b.Context(), tape.Records); err != nil {
				b.Fatal(err)
			}
			tape.Records = tape.Records[:0]
		}
	}
	ctx, stop := context.WithCancel(b.Context())
	done := make(chan error, 1)
	b.ResetTimer()
	go func() {
		done <- completeness.Run(ctx, completeness.Config{Log: &forgetful{}, Index: adapter{db}, Source: "/n", Poll: 20 * time.Millisecond})
	}()
	for {
		if s, err := db.OpenStats(b.Context()); err != nil {
			b.Fatal(err)
		} else if s.Open == 0 && s.Announced == 0 {
			break
		}
		time.Sleep(20 * time.Millisecond)
	}
	b.StopTimer()
	runtime.GC()
	var m runtime.MemStats
	runtime.ReadMemStats(&m)
	b.ReportMetric(float64(m.HeapAlloc)/(1<<20), "heap-MiB")
	stop()
	if err := <-done; err != nil {
		b.Fatal(err)
	}
}
