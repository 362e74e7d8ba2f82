package ingest

import (
	"bytes"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/tributary-dicom/tributary/pipeline/event"
)

// orphans keeps objects without events, as a crash between blob and event leaves them.
func orphans(t *testing.T, w *world, files ...[]byte) {
	t.Helper()
	in := New(Config{}, w, w, w)
	for _, f := range files {
		if _, err := in.Admit(t.Context(), Arrival{Body: bytes.NewReader(f)}); err != nil {
			t.Fatal(err)
		}
	}
	w.events = nil
}

func adopt(t *testing.T, in *Intake, w *world) (int, error) {
	t.Helper()
	return in.AdoptOrphans(t.Context(), w, w, time.Time{}, time.Now())
}

func TestOneOrphanDoesNotHoldUpTheOthers(t *testing.T) {
	w := newWorld()
	orphans(t, w, file("1.2.3.4.5", "A"), file("1.2.3.4.6", "B"), file("1.2.3.4.7", "C"))
	in := New(Config{}, w, w, w)
	w.calls, w.failAt = 0, 1 // the first event
	if n, err := adopt(t, in, w); n != 2 || err == nil {
		t.Fatalf("adopted %d, %v; want 2 and what failed", n, err)
	}
	if n, err := adopt(t, in, w); n != 1 || err != nil {
		t.Fatalf("the next round adopted %d, %v; want the one that was left", n, err)
	}
	if n, err := adopt(t, in, w); n != 0 || err != nil || len(w.events) != 3 {
		t.Fatalf("then adopted %d, %v, %d events", n, err, len(w.events))
	}
}

func TestOrphansAreAdoptedWholeUnderNewLimits(t *testing.T) {
	w := newWorld()
	whole := file("1.2.3.4.5", "A")
	orphans(t, w, whole)
	in := New(Config{MaxBytes: int64(len(whole)) - 1}, w, w, w)
	if n, err := adopt(t, in, w); n != 1 || err != nil {
		t.Fatalf("adopted %d, %v", n, err)
	}
	got, err := event.Decode[event.Instance](w.events[0].Data)
	if err != nil || w.events[0].Type != event.TypeInstanceStored || !got.Adopted || got.Blob.SHA256 != hexSum(whole) {
		t.Errorf("event %s: %+v, %v", w.events[0].Type, got, err)
	}
}

func TestOrphansThatAreNotTakenAnyMoreGoToQuarantine(t *testing.T) {
	w := newWorld()
	orphans(t, w, file("1.2.3.4.5", "A"))
	registry := prometheus.NewRegistry()
	in := New(Config{SOPClass: func(string) bool { return false }, Metrics: NewMetrics(registry)}, w, w, w)
	if n, err := adopt(t, in, w); n != 1 || err != nil || w.events[0].Type != event.TypeInstanceQuarantined {
		t.Fatalf("adopted %d, %v, %d events", n, err, len(w.events))
	}
	families, err := registry.Gather()
	if err != nil {
		t.Fatal(err)
	}
	for _, f := range families {
		if f.GetName() == "tributary_ingest_adopted_total" && f.GetMetric()[0].GetCounter().GetValue() != 1 {
			t.Errorf("metrics: %v, want 1 adopted", f)
		}
	}
}

func TestYoungBlobsAreNoOrphans(t *testing.T) {
	w := newWorld()
	orphans(t, w, file("1.2.3.4.5", "A"))
	in := New(Config{}, w, w, w)
	// Blobs of this world were all made at the epoch.
	if n, err := in.AdoptOrphans(t.Context(), w, w, time.Time{}, time.Unix(0, 0)); n != 0 || err != nil || len(w.events) != 0 {
		t.Fatalf("adopted %d, %v, %d events", n, err, len(w.events))
	}
}
