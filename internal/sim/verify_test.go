package sim

import (
	"context"
	"slices"
	"testing"

	"github.com/tributary-dicom/tributary/pipeline/event"
	"github.com/tributary-dicom/tributary/pipeline/eventlog"
	"github.com/tributary-dicom/tributary/storage/blob"
)

// TestVerifySees breaks one promise at a time in a world that has kept them all.
func TestVerifySees(t *testing.T) {
	row := func(w *World) (key string, r eventlog.Record) {
		for _, r := range w.bus.Events() {
			if r.Event.Type == event.TypeInstanceStored {
				key, err := event.BlobKey(r.Event)
				if err != nil {
					t.Error(err)
				}
				return key, r
			}
		}
		t.Error("no object was stored")
		return "", r
	}
	for name, c := range map[string]struct {
		tamper func(w *World)
		want   []string
	}{
		"nothing": {func(*World) {}, nil},
		"a blob that is gone": {func(w *World) {
			key, _ := row(w)
			delete(w.s3.objects, key)
		}, []string{"I1", "I2"}},
		"a blob with a byte turned": {func(w *World) {
			key, _ := row(w)
			w.s3.objects[key].data[200] ^= 1
		}, []string{"I1", "I2", "I6"}},
		"an acknowledged object that nobody kept": {func(w *World) {
			w.acked = append(w.acked, Kept{Tenant: w.acked[0].Tenant, SOPInstanceUID: "1.2.3", FileSHA256: "00"})
		}, []string{"I1"}},
		"an acknowledged broken object that nobody kept": {func(w *World) {
			w.acked = append(w.acked, Kept{Tenant: w.acked[0].Tenant, FileSHA256: "00", Quarantined: true})
		}, []string{"I1"}},
		"half an object that was not acknowledged": {func(w *World) {
			w.s3.put("o/half", []byte("half"), blob.Meta{"kind": "object"})
		}, []string{"I6"}},
		"a whole object without an event": {func(w *World) {
			key, _ := row(w)
			w.s3.put("o/orphan", w.s3.objects[key].data, blob.Meta{"kind": "object"})
		}, []string{"orphan"}},
		"a log that lacks a record": {func(w *World) {
			_, r := row(w)
			p := &w.bus.parts[r.Partition]
			p.records = slices.DeleteFunc(p.records, func(other eventlog.Record) bool { return other.Event.Subject == r.Event.Subject })
		}, []string{"I3", "I4", "orphan"}},
		"a row that the log does not tell of": {func(w *World) {
			e := instance(w.rng, 1, "3", "Li^Na", 100, "")
			in := event.Instance{
				ObjectID: event.NewID(), Tenant: "default", Blob: event.Blob{Key: "o/none", SHA256: e.file, DatasetSHA256: e.data},
				IDs: event.IDs{StudyInstanceUID: "1", SeriesInstanceUID: "2", SOPInstanceUID: "3"},
			}
			env, err := event.NewInstance(event.TypeInstanceStored, "/other", w.clocks[0].now(), &in)
			if err != nil {
				t.Error(err)
			}
			far := eventlog.Position{Topic: event.TopicInstances, Offset: 1 << 40}
			if err := w.db.db.Apply(context.Background(), []eventlog.Record{{Position: far, Event: env}}); err != nil {
				t.Error(err)
			}
		}, []string{"I3", "I4"}},
	} {
		t.Run(name, func(t *testing.T) {
			var got []string
			for _, v := range play(t, Options{Engine: S3, Objects: 20, Replay: true, tamper: c.tamper}).Violations {
				got = append(got, v.Invariant)
			}
			slices.Sort(got)
			if got = slices.Compact(got); !slices.Equal(got, c.want) {
				t.Errorf("Verify saw %v, want %v", got, c.want)
			}
		})
	}
}
