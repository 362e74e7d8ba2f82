package locallog_test

import (
	"path/filepath"
	"testing"

	"github.com/tributary-dicom/tributary/pipeline/event"
	"github.com/tributary-dicom/tributary/pipeline/eventlog"
	"github.com/tributary-dicom/tributary/pipeline/eventlog/locallog"
	"github.com/tributary-dicom/tributary/pipeline/eventlog/logtest"
)

// What was trimmed is gone, the rest and other topics stay, and no offset is given twice: not when the log
// is empty, nor after it was opened again.
func TestTrim(t *testing.T) {
	path := filepath.Join(t.TempDir(), "log.db")
	log, err := locallog.Open(t.Context(), path, locallog.Options{})
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = log.Close() }()
	add := func(topic string) int64 {
		t.Helper()
		p, err := log.Append(t.Context(), logtest.Event(topic, "k", 1))
		if err != nil {
			t.Fatal(err)
		}
		return p[0].Offset
	}
	left := func(topic string) int {
		t.Helper()
		records, err := log.ReadFrom(t.Context(), topic, eventlog.Position{}, 100)
		if err != nil {
			t.Fatal(err)
		}
		n, bytes, err := log.Usage(t.Context(), topic)
		if err != nil || int(n) != len(records) {
			t.Fatalf("usage %d, %v; %d records", n, err, len(records))
		}
		want := int64(0)
		for _, r := range records {
			e := r.Event
			want += int64(len(e.Key) + len(e.ID) + len(e.Type) + len(e.Source) + len(e.Subject) + len(e.Data))
		}
		if bytes != want {
			t.Fatalf("usage %d bytes, want %d", bytes, want)
		}
		return len(records)
	}
	other := add(event.TopicStudies)
	var offsets []int64
	for range 5 {
		offsets = append(offsets, add(event.TopicInstances))
	}
	if err := log.Trim(t.Context(), event.TopicInstances, offsets[2]); err != nil {
		t.Fatal(err)
	}
	if left(event.TopicInstances) != 2 || left(event.TopicStudies) != 1 {
		t.Fatalf("%d and %d records are left, want 2 and 1", left(event.TopicInstances), left(event.TopicStudies))
	}
	if err := log.Trim(t.Context(), event.TopicInstances, offsets[4]+1); err == nil {
		t.Error("trimmed behind the end")
	}
	if err := log.Trim(t.Context(), event.TopicInstances, offsets[4]); err != nil {
		t.Fatal(err)
	}
	if err := log.Trim(t.Context(), event.TopicStudies, other); err != nil {
		t.Fatal(err)
	}
	if err := log.Close(); err != nil {
		t.Fatal(err)
	}
	if log, err = locallog.Open(t.Context(), path, locallog.Options{}); err != nil {
		t.Fatal(err)
	}
	if head := log.Head(event.TopicInstances).Offset; head != offsets[4] || left(event.TopicInstances) != 0 {
		t.Fatalf("head %d, want %d; %d records", head, offsets[4], left(event.TopicInstances))
	}
	if next := add(event.TopicInstances); next <= offsets[4] {
		t.Fatalf("offset %d was given before, up to %d", next, offsets[4])
	}
}
