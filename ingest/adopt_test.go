package ingest

import (
	"bytes"
	"context"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/tributary-dicom/tributary/pipeline/event"
	"github.com/tributary-dicom/tributary/storage/blob"
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

// TestClockBehindTheStore has a node whose clock is an hour behind the one that stamps its blobs.
func TestClockBehindTheStore(t *testing.T) {
	w := newWorld()
	now := time.Now()
	in := New(Config{Now: func() time.Time { return now.Add(-time.Hour) }}, w, w, w)
	if _, err := in.Admit(t.Context(), Arrival{Body: bytes.NewReader(file("1.2.3.4.5", "A"))}); err != nil {
		t.Fatal(err)
	}
	n, err := in.AdoptOrphans(t.Context(), stamped{w, now}, since{w}, time.Time{}, now.Add(time.Hour))
	if n != 0 || err != nil || len(w.events) != 1 {
		t.Fatalf("adopted %d, %v, %d events; want none, the blob has its event", n, err, len(w.events))
	}
}

// stamped is a store that stamps its blobs by another clock.
type stamped struct {
	*world
	created time.Time
}

func (s stamped) List(ctx context.Context, from time.Time, fn func(blob.Info) error) error {
	return s.world.List(ctx, from, func(info blob.Info) error {
		info.Created = s.created
		return fn(info)
	})
}

// since is a history that leaves out what is older, as logs do.
type since struct{ *world }

func (s since) Since(ctx context.Context, t time.Time, fn func(event.Envelope) error) error {
	return s.world.Since(ctx, t, func(e event.Envelope) error {
		if e.Time.Before(t) {
			return nil
		}
		return fn(e)
	})
}
