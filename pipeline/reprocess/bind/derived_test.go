package bind_test

import (
	"bytes"
	"context"
	"io"
	"strings"
	"testing"
	"time"

	"github.com/tributary-dicom/tributary/ingest"
	"github.com/tributary-dicom/tributary/parsers/ecg"
	"github.com/tributary-dicom/tributary/parsers/part10"
	"github.com/tributary-dicom/tributary/pipeline/derive"
	"github.com/tributary-dicom/tributary/pipeline/rebuild"
	"github.com/tributary-dicom/tributary/pipeline/reprocess"
	"github.com/tributary-dicom/tributary/storage/audit"
	"github.com/tributary-dicom/tributary/storage/blob"
	"github.com/tributary-dicom/tributary/storage/index"
)

// derive runs the derive stage of a release until it has made the objects of so many originals. A release reads the
// patient's name in its own way, so that its objects have other bytes.
func (w *world) derive(in *ingest.Intake, group, name string, originals int) {
	w.t.Helper()
	ctx, cancel := context.WithCancel(w.t.Context())
	defer cancel()
	made := make(chan error, 100)
	ended := make(chan error, 1)
	go func() {
		ended <- derive.Run(ctx, derive.Config{
			Log: w.log, Group: group,
			Open: func(ctx context.Context, key string, size int64) (io.ReaderAt, error) {
				return blob.At(ctx, w.blobs, key, size)
			},
			Admit: func(ctx context.Context, d derive.Derived) error {
				origin := d.Source.Origin
				origin.Door = "derive"
				file, err := io.ReadAll(d.Body)
				if err == nil {
					file = bytes.ReplaceAll(file, []byte("张"), []byte(name))
					var rec ingest.Receipt
					rec, err = in.Admit(ctx, ingest.Arrival{Body: bytes.NewReader(file), Tenant: d.Source.Tenant, Origin: origin, DerivedFrom: d.Source.ObjectID})
					if rec.Status == ingest.Quarantined {
						w.t.Errorf("a derived object is in quarantine: %+v", rec)
					}
				}
				made <- err
				return err
			},
		})
	}()
	for range originals {
		select {
		case err := <-made:
			if err != nil {
				w.t.Fatal(err)
			}
		case <-time.After(time.Minute):
			w.t.Fatal("no object is made")
		}
	}
	cancel()
	if err := <-ended; err != nil {
		w.t.Fatal(err)
	}
	w.catchUp()
}

// TestDerivedObjectsAreRenewed follows a recording from the release that took it in to one that converts it otherwise,
// and to one that converts it as the first did: readers see one object, the newest, and nobody is asked to choose.
func TestDerivedObjectsAreRenewed(t *testing.T) {
	w := newWorld(t)
	old := w.node(1, part10.Limits{})
	original := w.admit(old, recording())
	w.catchUp()
	w.derive(old, "derive", "张", 1)
	uid := ecg.Identity(ingest.DefaultTenant, original.SHA256, nil).Derived
	seen := func(what string, versions int, name string) string {
		t.Helper()
		all, current, err := w.index.Lookup(t.Context(), ingest.DefaultTenant, uid)
		if err != nil || len(all) != versions {
			t.Fatalf("%s: %+v, %v; want %d versions", what, all, err, versions)
		}
		if open, err := w.index.Conflicts(t.Context(), ingest.DefaultTenant, 0, 0); err != nil || len(open) != 0 {
			t.Errorf("%s: conflicts %+v, %v", what, open, err)
		}
		found := 0
		err = w.index.Objects(t.Context(), index.Scope{Tenant: ingest.DefaultTenant, StudyInstanceUID: original.Study}, index.Want{Header: true}, func(o index.Object) error {
			found++
			if !strings.Contains(string(o.Header), name) || o.SOPInstanceUID != uid {
				t.Errorf("%s: %s with the header %.300s, want %s", what, o.SOPInstanceUID, o.Header, name)
			}
			return nil
		})
		if err != nil || found != 1 {
			t.Errorf("%s: %d objects in the study, %v", what, found, err)
		}
		if o, err := w.index.Original(t.Context(), ingest.DefaultTenant, original.ID); err != nil || !o.Derived {
			t.Errorf("%s: original %+v, %v", what, o, err)
		}
		return current
	}
	first := seen("as it came", 1, "张")

	now := w.node(2, part10.Limits{})
	if s := w.run(now, reprocess.Request{}); s.Written != 2 {
		t.Errorf("%+v", s)
	}
	seen("before it is made again", 1, "张")
	w.derive(now, "derive", "李", 1)
	second := seen("made otherwise", 2, "李")
	if second == first {
		t.Error("readers see the older object")
	}
	w.derive(old, "derive of an old node", "张", 2) // which reads the log from its beginning
	if got := seen("by an old node", 2, "李"); got != second {
		t.Errorf("readers see %s", got)
	}
	w.clean()

	newest := w.node(3, part10.Limits{})
	w.run(newest, reprocess.Request{})
	w.derive(newest, "derive", "张", 1)
	if got := seen("made as at first", 2, "张"); got != first {
		t.Errorf("readers see %s, want the first", got)
	}
	w.clean()

	// From the blobs alone the newest of those that were made; the derive stage, which begins again then, does the rest.
	w.log, w.index = newLog(t), newIndex(t)
	keys, err := audit.NewKeys(t.Context(), t.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	defer keys.Close()
	newest = w.node(3, part10.Limits{})
	if done, err := rebuild.FromBlobs(t.Context(), rebuild.Blobs{Log: rebuild.Of(w.log), Shelf: shelf{w.blobs}, Maker: newest, Keys: keys}); err != nil || done.Failed != 0 {
		t.Fatalf("%+v, %v", done, err)
	}
	w.catchUp()
	seen("from the blobs", 2, "李")
	w.derive(newest, "derive", "张", 1)
	if got := seen("from the blobs, derived", 2, "张"); got != first {
		t.Errorf("readers see %s, want the first", got)
	}
	w.clean()
}
