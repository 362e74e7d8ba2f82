package ingest

import (
	"bytes"
	"context"
	"testing"
	"testing/synctest"

	"github.com/tributary-dicom/tributary/pipeline/event"
	"github.com/tributary-dicom/tributary/storage/index"
)

// paused holds the deletion of a blob until it is let go.
type paused struct {
	*world
	let chan struct{}
}

func (p paused) Delete(ctx context.Context, key string) error {
	<-p.let
	return p.world.Delete(ctx, key)
}

// TestRemovedWhileSentAgain: a sender must not hear that its bytes are kept already when they are just
// being removed.
func TestRemovedWhileSentAgain(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := paused{newWorld(), make(chan struct{})}
		in := New(Config{}, w, w, w)
		whole := file("1.2.3.4.5", "A")
		cut := whole[:len(whole)-70]
		first, err := in.Admit(t.Context(), Arrival{Body: bytes.NewReader(cut)})
		if err != nil || first.Status != Quarantined {
			t.Fatalf("%+v, %v", first, err)
		}
		ev, err := event.Decode[event.Instance](w.events[0].Data)
		if err != nil {
			t.Fatal(err)
		}
		q := index.Quarantined{ObjectID: first.ID, SHA256: first.SHA256, BlobKey: ev.Blob.Key}
		removed, again := make(chan error, 1), make(chan Receipt, 1)
		go func() { removed <- in.Remove(t.Context(), DefaultTenant, q, "op") }()
		synctest.Wait() // the decision is durable, the bytes are not gone yet
		go func() {
			rec, err := in.Admit(t.Context(), Arrival{Body: bytes.NewReader(cut)})
			if err != nil {
				t.Error(err)
			}
			again <- rec
		}()
		synctest.Wait()
		close(w.let)
		if err := <-removed; err != nil {
			t.Fatal(err)
		}
		rec := <-again
		if rec.Status != Quarantined || rec.ID == first.ID {
			t.Errorf("the second copy: %+v, want an entry of its own and not %s", rec, first.ID)
		}
	})
}
