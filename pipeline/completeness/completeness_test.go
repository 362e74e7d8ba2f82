package completeness_test

import (
	"context"
	"testing"
	"testing/synctest"
	"time"

	"go.uber.org/goleak"

	"github.com/tributary-dicom/tributary/pipeline/event"
	"github.com/tributary-dicom/tributary/pipeline/eventlog"
	"github.com/tributary-dicom/tributary/storage/index"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// in runs a check in a bubble of its own time.
func in(t *testing.T, check func(t *testing.T, w *world)) {
	t.Helper()
	synctest.Test(t, func(t *testing.T) { check(t, newWorld(t)) })
}

func TestQuietByModality(t *testing.T) {
	in(t, func(t *testing.T, w *world) {
		w.start()
		w.admit(w.object("1.1", "ECG"), w.object("1.2", "US"), w.object("1.3", "CT"), w.object("1.4", "XA"))
		w.admit(w.object("1.5", "ECG"), w.object("1.5", "CT")) // the longest of its modalities
		w.pass(9 * time.Second)
		w.expect("1.1")
		w.pass(3 * time.Second)
		w.expect("1.1", "complete 1 quiet-period 1")
		w.expect("1.2")
		w.pass(time.Minute)
		w.admit(w.object("1.2", "US")) // in time
		w.pass(time.Minute)
		w.expect("1.2")
		w.expect("1.4", "complete 1 quiet-period 1")
		w.expect("1.3")
		w.pass(time.Minute + 2*time.Second)
		w.expect("1.2", "complete 1 quiet-period 2")
		w.pass(2 * time.Minute)
		w.expect("1.3", "complete 1 quiet-period 1")
		w.expect("1.5", "complete 1 quiet-period 2")
		w.verify()
	})
}

// What a record says is what the study has in it.
func TestWhatIsAnnounced(t *testing.T) {
	in(t, func(t *testing.T, w *world) {
		w.start()
		begin := time.Now().UTC()
		first := w.object("1.1", "ECG")
		first.Findings = []string{"acute-mi"}
		w.admit(first)
		w.pass(time.Second)
		second := w.object("1.1", "SR")
		second.Series = "1.1.2"
		w.admit(second)
		w.pass(3 * time.Minute)
		records := w.log.all(event.TopicStudies)
		if len(records) != 1 {
			t.Fatalf("%d announcements", len(records))
		}
		s, err := event.Decode[event.Study](records[0].Event.Data)
		if err != nil {
			t.Fatal(err)
		}
		var content event.Content
		bytes := int64(0)
		for _, o := range []event.Instance{first.Body(), second.Body()} {
			content.Add(o.IDs.SOPInstanceUID, o.Blob.DatasetSHA256, o.Blob.TransferSyntaxUID)
			bytes += o.Blob.Bytes
		}
		want := event.Study{
			Tenant: "clinic", StudyInstanceUID: "1.1", Revision: 1, Reason: event.ReasonQuiet, At: begin.Add(time.Second + 2*time.Minute),
			Series: 2, Instances: 2, Bytes: bytes, FirstReceived: begin, LastReceived: begin.Add(time.Second),
			Priority: event.PriorityStat, Digest: content.String(),
		}
		if len(s.Modalities) != 2 || s.Modalities[0] != "ECG" || s.Modalities[1] != "SR" {
			t.Errorf("modalities %q", s.Modalities)
		}
		if s.Modalities = nil; !equal(*s, want) {
			t.Errorf("announced %+v\nwant      %+v", *s, want)
		}
		state := w.state("1.1")
		if want := (index.StudyState{
			Complete: true, Revision: 1, CompletedAt: want.At, Reason: event.ReasonQuiet, Instances: 2, Series: 2, LastReceived: want.LastReceived,
		}); state != want {
			t.Errorf("state %+v, want %+v", state, want)
		}
		e := records[0].Event
		if e.Source != "/node" || e.Key != "1.1" || e.Subject != "1.1" || e.Time.Before(s.At) {
			t.Errorf("envelope %+v", e)
		}
	})
}

func equal(a, b event.Study) bool {
	return a.Tenant == b.Tenant && a.StudyInstanceUID == b.StudyInstanceUID && a.Revision == b.Revision && a.Reason == b.Reason &&
		a.At.Equal(b.At) && a.Series == b.Series && a.Instances == b.Instances && a.Bytes == b.Bytes &&
		a.FirstReceived.Equal(b.FirstReceived) && a.LastReceived.Equal(b.LastReceived) && a.Priority == b.Priority && a.Digest == b.Digest
}

func TestSignal(t *testing.T) {
	in(t, func(t *testing.T, w *world) {
		w.start()
		w.admit(w.object("1.1", "CT"), w.object("1.2", "CT"))
		w.send("1.1", event.SignalImport)
		w.pass(2 * time.Second)
		w.expect("1.1", "complete 1 signal:import 1")
		w.expect("1.2")
		w.pass(time.Minute)
		w.send("1.1", event.SignalAPI) // nothing new
		w.send("1.9", event.SignalAPI) // a study that nobody knows
		w.pass(2 * time.Second)
		w.expect("1.1", "complete 1 signal:import 1")
		w.expect("1.9")

		w.admit(w.object("1.1", "CT")) // behind the signal
		w.pass(2 * time.Second)
		w.expect("1.1", "complete 1 signal:import 1", "updated 1 changed 2")
		w.send("1.1", event.SignalSTOW)
		w.pass(2 * time.Second)
		w.expect("1.1", "complete 1 signal:import 1", "updated 1 changed 2", "complete 2 signal:stow 2")
		w.verify()
	})
}

// A signal may come before its study's objects can be seen, and does not hold for those that come behind it.
func TestSignalBeforeTheObjects(t *testing.T) {
	in(t, func(t *testing.T, w *world) {
		w.start()
		w.send("1.1", event.SignalSTOW)
		w.pass(time.Second)
		w.admit(w.object("1.1", "CT"))
		w.pass(4 * time.Minute)
		w.expect("1.1")
		w.pass(time.Minute + 2*time.Second)
		w.expect("1.1", "complete 1 quiet-period 1")
	})
}

func TestLateObjects(t *testing.T) {
	in(t, func(t *testing.T, w *world) {
		w.start()
		w.admit(w.object("1.1", "US"))
		w.pass(3 * time.Minute)
		w.expect("1.1", "complete 1 quiet-period 1")
		for range 3 { // told once
			w.admit(w.object("1.1", "US"))
			w.pass(30 * time.Second)
		}
		w.expect("1.1", "complete 1 quiet-period 1", "updated 1 changed 2")
		if s := w.state("1.1"); s.Complete || s.Revision != 1 || s.Instances != 4 {
			t.Errorf("while late objects come: %+v", s)
		}
		w.pass(2 * time.Minute)
		w.expect("1.1", "complete 1 quiet-period 1", "updated 1 changed 2", "complete 2 quiet-period 4")
		w.pass(20 * time.Minute)
		w.admit(w.object("1.1", "US"))
		w.pass(3 * time.Minute)
		w.expect("1.1", "complete 1 quiet-period 1", "updated 1 changed 2", "complete 2 quiet-period 4", "updated 2 changed 5", "complete 3 quiet-period 5")
		w.verify()
	})
}

// Copies of known objects, whoever took them, and records that came again are no news.
func TestDuplicates(t *testing.T) {
	in(t, func(t *testing.T, w *world) {
		w.start()
		o := w.object("1.1", "US")
		w.admit(o)
		w.pass(3 * time.Minute)
		again := o
		again.Object = "01AAAAAAAAAA" // of another node, which received it first
		again.Received = o.Received.Add(-time.Second)
		w.admit(again)
		for _, r := range w.log.all(event.TopicInstances) {
			if _, err := w.log.Append(t.Context(), r.Event); err != nil {
				t.Fatal(err)
			}
		}
		w.catchUp()
		if s := w.state("1.1"); !s.Complete {
			t.Errorf("a copy reopened the study: %+v", s)
		}
		w.pass(10 * time.Minute)
		w.expect("1.1", "complete 1 quiet-period 1")
		w.verify()
	})
}

// A conflict that waits changes nothing. Its decision changes what readers see: of two studies, where the versions
// name two.
func TestConflict(t *testing.T) {
	in(t, func(t *testing.T, w *world) {
		w.start()
		a := w.object("1.1", "US")
		b := w.object("1.2", "US")
		w.admit(a, b)
		w.pass(3 * time.Minute)
		rival := a
		rival.Object, rival.Bytes, rival.Study, rival.Series, rival.Received = "01RIVAL", "other", "1.2", "1.2.1", time.Now()
		w.admit(rival)
		w.pass(10 * time.Minute)
		w.expect("1.1", "complete 1 quiet-period 1")
		w.expect("1.2", "complete 1 quiet-period 1")

		decided := time.Now()
		e, err := event.NewResolution(event.TypeConflictResolved, "/node", "1.1", "clinic", &event.Resolution{
			ObjectID: "01RIVAL", Action: "promoted", At: decided, BlobKey: "decisions/1",
		})
		if err != nil {
			t.Fatal(err)
		}
		if _, err := w.log.Append(t.Context(), e); err != nil {
			t.Fatal(err)
		}
		w.catchUp()
		w.pass(2 * time.Second)
		w.expect("1.1", "complete 1 quiet-period 1", "complete 2 quiet-period 0")
		w.expect("1.2", "complete 1 quiet-period 1", "complete 2 quiet-period 2")
		if s := w.state("1.2"); s.CompletedAt.Before(decided) {
			t.Errorf("revision 2 counts from before the decision: %+v", s)
		}
		w.verify()
	})
}

// Two patients under one Study Instance UID are one study, as for readers; tenants are apart.
func TestPatientsAndTenants(t *testing.T) {
	in(t, func(t *testing.T, w *world) {
		w.start()
		a, b, other := w.object("1.1", "US"), w.object("1.1", "US"), w.object("1.1", "US")
		a.Attributes["PatientID"], b.Attributes["PatientID"] = "1", "2"
		other.Tenant = "county"
		w.admit(a, b)
		w.pass(time.Minute)
		w.admit(other)
		w.pass(61 * time.Second)
		w.expect("1.1", "complete 1 quiet-period 2")
		if _, err := w.index.StudyState(t.Context(), "nobody", "1.1"); err == nil {
			t.Error("a tenant sees another one's study")
		}
		w.pass(time.Minute)
		if s, err := w.index.StudyState(t.Context(), "county", "1.1"); err != nil || !s.Complete || s.Instances != 1 {
			t.Errorf("the other tenant's study: %+v, %v", s, err)
		}
	})
}

// A study is not complete while one of its objects waits in the log to be applied.
func TestIndexThatIsLate(t *testing.T) {
	in(t, func(t *testing.T, w *world) {
		w.start()
		w.admit(w.object("1.1", "US"))
		w.pass(90 * time.Second)
		w.append(w.object("1.1", "US")) // and the index stage stands still
		w.pass(10 * time.Minute)
		w.expect("1.1")
		w.catchUp()
		w.pass(10 * time.Second)
		w.expect("1.1", "complete 1 quiet-period 2")
		w.verify()
	})
}

// What was announced is in the log: an index that is made again announces nothing again, also while it is still
// being made.
func TestNothingTwiceAfterARebuild(t *testing.T) {
	in(t, func(t *testing.T, w *world) {
		w.start()
		for _, study := range []string{"1.1", "1.2", "1.3", "1.4", "1.5"} {
			w.admit(w.object(study, "US"))
		}
		w.pass(3 * time.Minute)
		w.admit(w.object("1.5", "US"))
		w.pass(3 * time.Minute)
		before := len(w.log.all(event.TopicStudies))
		if before != 7 {
			t.Fatalf("%d announcements", before)
		}
		w.halt()
		w.index.Close()
		w.index = openIndex(t)
		w.start()
		w.pass(time.Minute)
		w.catchUp()
		w.pass(10 * time.Minute)
		if after := len(w.log.all(event.TopicStudies)); after != before {
			t.Errorf("%d announcements after a rebuild, %d before", after, before)
		}
		w.verify()
	})
}

// A log that lost the end of the announcements, and gave their offsets to others, is read again; revisions go on.
func TestLogThatLostItsEnd(t *testing.T) {
	in(t, func(t *testing.T, w *world) {
		w.start()
		w.admit(w.object("1.1", "US"))
		w.pass(3 * time.Minute)
		w.halt()
		w.log.records[event.TopicStudies] = map[int32][]eventlog.Record{}
		w.start()
		w.pass(time.Minute)
		w.admit(w.object("1.1", "US"))
		w.pass(3 * time.Minute)
		w.expect("1.1", "updated 1 changed 2", "complete 2 quiet-period 2")
		if s := w.state("1.1"); !s.Complete || s.Revision != 2 {
			t.Errorf("state %+v", s)
		}
	})
}

// A record that cannot be read is put aside, once, and holds up none behind it.
func TestUnreadableAnnouncement(t *testing.T) {
	in(t, func(t *testing.T, w *world) {
		w.start()
		w.admit(w.object("1.1", "US"))
		bad := event.Envelope{ID: event.NewID(), Type: event.TypeStudyComplete, Source: "/other", Topic: event.TopicStudies, Key: "1.1", Data: []byte("{")}
		if _, err := w.log.Append(t.Context(), bad, bad); err != nil {
			t.Fatal(err)
		}
		w.pass(5 * time.Minute)
		if s := w.state("1.1"); !s.Complete {
			t.Errorf("state %+v", s)
		}
		if n := len(w.log.all(event.TopicDeadLetter)); n != 2 {
			t.Errorf("%d dead letters, want 2", n)
		}
	})
}

// prunedLog has one partition more, of which nothing is left.
type prunedLog struct{ *memLog }

func (l prunedLog) Heads(ctx context.Context, topic string) ([]eventlog.Position, error) {
	heads, err := l.memLog.Heads(ctx, topic)
	return append(heads, eventlog.Position{Topic: topic, Partition: partitions, Offset: 41}), err
}

// An index that was made after the log was pruned cannot reach the end of a partition of which nothing is left, and
// studies are announced all the same.
func TestPrunedPartition(t *testing.T) {
	in(t, func(t *testing.T, w *world) {
		cfg := w.config()
		cfg.Log = prunedLog{w.log}
		w.stop = w.run(cfg)
		w.admit(w.object("1.1", "US"))
		w.pass(3 * time.Minute)
		w.expect("1.1", "complete 1 quiet-period 1")
	})
}

// The clock of a node was a day ahead when it took an object. Its study does not wait for a day.
func TestClockThatWasAhead(t *testing.T) {
	in(t, func(t *testing.T, w *world) {
		w.start()
		o := w.object("1.1", "US")
		body := o.Body()
		e, err := event.NewInstance(event.TypeInstanceStored, "/node", time.Now().Add(24*time.Hour), &body)
		if err != nil {
			t.Fatal(err)
		}
		if _, err := w.log.Append(t.Context(), e); err != nil {
			t.Fatal(err)
		}
		w.catchUp()
		w.pass(110 * time.Second)
		w.expect("1.1")
		w.pass(20 * time.Second)
		w.expect("1.1", "complete 1 quiet-period 1")
		if s := w.state("1.1"); s.CompletedAt.After(time.Now()) {
			t.Errorf("complete from a time to come: %+v", s)
		}
		w.verify()
	})
}

// Many at once: more than a batch, by quiet and by signal.
func TestMany(t *testing.T) {
	in(t, func(t *testing.T, w *world) {
		const n = 700
		studies := map[string]bool{}
		for i := range n {
			study := "1.7." + string(rune('a'+i%26)) + time.Duration(i).String()
			studies[study] = true
			w.append(w.object(study, "US"))
			if i%3 == 0 {
				w.send(study, event.SignalImport)
			}
		}
		w.catchUp()
		w.start()
		w.pass(3 * time.Minute)
		said := w.log.all(event.TopicStudies)
		if len(said) != n {
			t.Errorf("%d announcements of %d studies", len(said), n)
		}
		w.verify()
	})
}
