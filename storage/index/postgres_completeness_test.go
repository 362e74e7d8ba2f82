package index_test

import (
	"fmt"
	"sync"
	"testing"
	"time"

	"github.com/tributary-dicom/tributary/internal/testengine"
	"github.com/tributary-dicom/tributary/pipeline/event"
	"github.com/tributary-dicom/tributary/pipeline/eventlog"
	"github.com/tributary-dicom/tributary/storage/index"
	"github.com/tributary-dicom/tributary/storage/index/indextest"
)

// What processes that share an index do at the same time.
func TestPostgresCompleteness(t *testing.T) {
	server := testengine.StartPostgres(t)
	t.Run("a lease has one owner", func(t *testing.T) {
		db := closing(t, openPostgres(t, server.Schema(t), index.Options{}))
		lease := func(owner string, d time.Duration, want bool) {
			t.Helper()
			if held, err := db.Lease(t.Context(), "work", owner, d); err != nil || held != want {
				t.Errorf("%s has the lease: %v, %v; want %v", owner, held, err, want)
			}
		}
		lease("a", time.Hour, true)
		lease("b", time.Hour, false)
		lease("a", time.Hour, true)
		lease("b", 0, false) // what it has not it cannot give back
		lease("a", 0, true)
		lease("b", time.Hour, true)
		lease("a", time.Hour, false)
		if held, err := db.Lease(t.Context(), "other work", "a", time.Hour); err != nil || !held {
			t.Errorf("other work: %v, %v", held, err)
		}
	})
	t.Run("one of many announces", func(t *testing.T) {
		db := closing(t, openPostgres(t, server.Schema(t), index.Options{Writers: 4}))
		tape := indextest.NewTape(t)
		in := indextest.Instance{Study: "1.1"}
		fill(t, db, []eventlog.Record{tape.Stored(in)}, 1)
		var mu sync.Mutex
		var wg sync.WaitGroup
		kept := 0
		for i := range 8 {
			wg.Go(func() {
				e, err := event.NewStudy(event.TypeStudyComplete, "/n", indextest.Epoch, &event.Study{
					Tenant: "clinic", StudyInstanceUID: "1.1", Revision: 1, Reason: fmt.Sprint("node ", i), Digest: indextest.Content(in), At: indextest.Epoch,
				})
				if err != nil {
					t.Error(err)
					return
				}
				n, err := db.Announce(t.Context(), []event.Envelope{e})
				if err != nil {
					t.Error(err)
				}
				mu.Lock()
				defer mu.Unlock()
				kept += n
			})
		}
		wg.Wait()
		if left, err := db.Announcements(t.Context(), 10); err != nil || len(left) != 1 || kept != 1 {
			t.Errorf("%d announcements were kept, %d wait, %v", kept, len(left), err)
		}
	})
	// Objects and announcements of a study are applied by two processes: neither may undo the other.
	t.Run("objects and announcements meet", func(t *testing.T) {
		db := closing(t, openPostgres(t, server.Schema(t), index.Options{Writers: 4}))
		objects, said := indextest.NewTape(t), indextest.NewTape(t)
		const n = 60
		var all []indextest.Instance
		for i := range n {
			in := indextest.Instance{Study: "1.1", SOP: fmt.Sprintf("1.1.%d", i)}
			all = append(all, in)
			objects.Stored(in)
			said.Announced(event.TypeStudyComplete, event.Study{
				StudyInstanceUID: "1.1", Revision: i + 1, Digest: indextest.Content(all...), Reason: event.ReasonQuiet, At: indextest.Epoch,
			})
		}
		for i := range said.Records {
			said.Records[i].Topic = event.TopicStudies
		}
		var wg sync.WaitGroup
		for _, records := range [][]eventlog.Record{objects.Records, said.Records} {
			wg.Go(func() {
				for i := 0; i < len(records); i += 3 {
					if err := db.Apply(t.Context(), records[i:i+3]); err != nil {
						t.Error(err)
						return
					}
				}
			})
		}
		wg.Wait()
		s, err := db.StudyState(t.Context(), "clinic", "1.1")
		if err != nil || !s.Complete || s.Revision != n || s.Instances != n {
			t.Errorf("state %+v, %v", s, err)
		}
	})
}
