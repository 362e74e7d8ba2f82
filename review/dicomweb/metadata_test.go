package dicomweb

import (
	"bytes"
	"sync"
	"testing"
	"testing/synctest"

	"golang.org/x/sync/semaphore"

	"github.com/tributary-dicom/tributary/storage/index"
)

// TestLargeHeaders: headers as large as a file may have them share what memory there is for such, however many clients
// take their time; small ones pass by.
func TestLargeHeaders(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld()
		large := append(append([]byte(`{"00204000":{"vr":"UT","Value":["`), bytes.Repeat([]byte("x"), heldSmall)...), `"]}}`...)
		w.add(studyUID, seriesUID, instanceUID, explicitVRLittleEndian, []byte("large"), func(o *index.Object) { o.Header = large })
		w.add(studyUID, seriesUID, "1.2.3.4.6", explicitVRLittleEndian, []byte("small"))
		s := &server{Config: Config{Index: w.memIndex, Blobs: w.memBlobs}.withDefaults(), held: semaphore.NewWeighted(4*heldSmall - 1)}
		scope := func(instance string) index.Scope {
			return index.Scope{Tenant: DefaultTenant, StudyInstanceUID: studyUID, SeriesInstanceUID: seriesUID, SOPInstanceUID: instance}
		}
		const readers = 12
		begun, unstuck := make(chan struct{}, readers), make(chan struct{})
		var all sync.WaitGroup
		for range readers {
			all.Go(func() {
				o, free, err := s.headerToSend(t.Context(), scope(instanceUID))
				if err != nil || !bytes.Equal(o.Header, large) {
					t.Errorf("%d bytes, %v", len(o.Header), err)
					return
				}
				begun <- struct{}{}
				<-unstuck
				free()
			})
		}
		synctest.Wait()
		if n := len(begun); n != 3 { // a fourth is a little too much
			t.Errorf("%d large headers are held at a time, want 3", n)
		}
		_, free, err := s.headerToSend(t.Context(), scope("1.2.3.4.6"))
		if err != nil {
			t.Fatal(err)
		}
		free()
		close(unstuck)
		all.Wait()
		if !s.held.TryAcquire(4*heldSmall - 1) {
			t.Error("something is held still")
		}
	})
}
