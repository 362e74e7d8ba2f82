package kafkalog_test

import (
	"context"
	"os"
	"testing"
	"time"

	"github.com/tributary-dicom/tributary/internal/testengine"
	"github.com/tributary-dicom/tributary/pipeline/event"
	"github.com/tributary-dicom/tributary/pipeline/eventlog"
	"github.com/tributary-dicom/tributary/pipeline/eventlog/kafkalog"
)

// A cluster that lost everything, its topics too, gets new ones, and what waited comes there.
func TestClusterMadeAnew(t *testing.T) {
	t.Parallel()
	k := testengine.StartKafka(t)
	l := open(t, at(k, newPrefix(), "timeout=1s"), kafkalog.Options{Spool: newSpool(t)})
	if _, err := l.Append(t.Context(), keyed("1.2", 1)); err != nil {
		t.Fatal(err)
	}
	k.Stop()
	if err := os.RemoveAll(k.Data()); err != nil {
		t.Fatal(err)
	}
	k.Start()
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	want := keyed("1.2", 2)
	if _, err := l.Append(ctx, want); err != nil {
		t.Fatal(err)
	}
	for {
		records, err := l.ReadFrom(ctx, event.TopicInstances, eventlog.Position{}, 10)
		if err == nil && len(records) == 1 && records[0].Event.ID == want.ID {
			return
		}
		if ctx.Err() != nil {
			t.Fatalf("%d records, %v", len(records), err)
		}
		time.Sleep(50 * time.Millisecond)
	}
}
