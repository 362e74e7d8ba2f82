package indextest

import (
	"errors"
	"fmt"
	"reflect"
	"testing"
	"time"

	"github.com/tributary-dicom/tributary/pipeline/event"
	"github.com/tributary-dicom/tributary/pipeline/eventlog"
	"github.com/tributary-dicom/tributary/storage/index"
)

// Sent adds the record of a signal.
func (p *Tape) Sent(study, signal string, at time.Time) eventlog.Record {
	p.t.Helper()
	return p.Event(event.TypeStudySent, event.StudySent{Tenant: "clinic", StudyInstanceUID: study, Signal: signal, At: at})
}

// Announced adds a study.complete or study.updated record.
func (p *Tape) Announced(typ string, s event.Study) eventlog.Record {
	p.t.Helper()
	if s.Tenant == "" {
		s.Tenant = "clinic"
	}
	return p.Event(typ, s)
}

// Content is what a study with these objects has in it.
func Content(all ...Instance) string {
	var c event.Content
	for _, in := range all {
		b := in.Body()
		c.Add(b.IDs.SOPInstanceUID, b.Blob.DatasetSHA256, b.Blob.TransferSyntaxUID)
	}
	return c.String()
}

func studyStates(t *testing.T, x Index) {
	ctx := t.Context()
	if _, err := x.StudyState(ctx, "clinic", "1.1"); !errors.Is(err, index.ErrNotFound) {
		t.Errorf("a study that nobody sent: %v", err)
	}
	tape := NewTape(t)
	a := Instance{Study: "1.1", SOP: "1", Attributes: map[string]string{"Modality": "US"}}
	b := Instance{Study: "1.1", Series: "1.1.2", SOP: "2", Received: Epoch.Add(time.Minute), Attributes: map[string]string{"Modality": "SR"}}
	apply(t, x, tape.Stored(a), tape.Stored(b), tape.Stored(Instance{Study: "1.2", SOP: "3"}), tape.Kept(Instance{Study: "1.3", Bytes: "scp"}),
		tape.Sent("1.4", "api", Epoch))
	expect := func(what, study string, want index.StudyState) {
		t.Helper()
		if got, err := x.StudyState(ctx, "clinic", study); err != nil || got != want {
			t.Errorf("%s: %+v, %v; want %+v", what, got, err, want)
		}
	}
	state := index.StudyState{Instances: 2, Series: 2, LastReceived: Epoch.Add(time.Minute)}
	expect("while it comes", "1.1", state)
	for _, study := range []string{"1.3", "1.4"} {
		if s, err := x.StudyState(ctx, "clinic", study); !errors.Is(err, index.ErrNotFound) {
			t.Errorf("%s has no instances, and is %+v, %v", study, s, err)
		}
	}

	done := event.Study{StudyInstanceUID: "1.1", Revision: 1, Reason: "quiet-period", At: Epoch.Add(time.Hour), Digest: Content(a, b)}
	first := tape.Announced(event.TypeStudyComplete, done)
	apply(t, x, first)
	state.Complete, state.Revision, state.CompletedAt, state.Reason = true, 1, done.At, done.Reason
	expect("announced", "1.1", state)

	c := Instance{Study: "1.1", SOP: "4", Received: Epoch.Add(time.Second)}
	apply(t, x, tape.Stored(c))
	state.Complete, state.Instances = false, 3
	expect("a late object", "1.1", state)
	done.Revision, done.Digest, done.Reason = 2, Content(c, b, a), "signal:stow"
	apply(t, x, tape.Announced(event.TypeStudyComplete, done))
	state.Complete, state.Revision, state.Reason = true, 2, done.Reason
	expect("announced again", "1.1", state)
	apply(t, x, tape.Again([]eventlog.Record{first})...)
	apply(t, x, tape.Again([]eventlog.Record{tape.Records[0]})...)
	expect("the first announcement and an object came again", "1.1", state)

	var asked []string
	for i := range 250 { // more than one statement asks for
		asked = append(asked, fmt.Sprintf("1.%d", i))
	}
	many, err := x.StudyStates(ctx, "clinic", asked)
	if err != nil || len(many) != 2 || many["1.1"] != state || many["1.2"].Instances != 1 {
		t.Errorf("states of many: %+v, %v", many, err)
	}
	if none, err := x.StudyStates(ctx, "county", asked); err != nil || len(none) != 0 {
		t.Errorf("another tenant sees %+v, %v", none, err)
	}
	if none, err := x.StudyStates(ctx, "clinic", nil); err != nil || len(none) != 0 {
		t.Errorf("states of none: %+v, %v", none, err)
	}
}

// openStudies checks which studies a stage finds, and what it finds in them.
func openStudies(t *testing.T, x Index) {
	ctx := t.Context()
	tape := NewTape(t)
	find := func(q index.OpenQuery) []string {
		t.Helper()
		found, err := x.OpenStudies(ctx, q)
		if err != nil {
			t.Fatal(err)
		}
		out := []string{}
		for _, s := range found {
			out = append(out, s.StudyInstanceUID)
		}
		return out
	}
	for i := range 5 {
		apply(t, x, tape.Stored(Instance{
			Study: fmt.Sprintf("1.%d", i), Received: Epoch.Add(time.Duration(5-i) * time.Minute),
			Attributes: map[string]string{"Modality": []string{"US", "CT"}[i%2]},
		}))
	}
	same(t, "quiet ones, oldest first", find(index.OpenQuery{Until: Epoch.Add(3 * time.Minute)}), []string{"1.4", "1.3", "1.2"})
	same(t, "urgent ones", find(index.OpenQuery{Urgent: true}), []string{})
	page, err := x.OpenStudies(ctx, index.OpenQuery{Until: Epoch.Add(time.Hour), Limit: 2})
	if err != nil || len(page) != 2 || !reflect.DeepEqual(page[1], index.OpenStudy{
		Tenant: "clinic", StudyInstanceUID: "1.3", Told: true, LastEvent: Epoch.Add(2 * time.Minute), Modalities: []string{"CT"},
	}) {
		t.Fatalf("a page %+v, %v", page, err)
	}
	same(t, "the next page", find(index.OpenQuery{Until: Epoch.Add(time.Hour), After: page[1]}), []string{"1.2", "1.1", "1.0"})
	same(t, "behind a time", find(index.OpenQuery{Until: Epoch.Add(time.Hour), After: index.OpenStudy{LastEvent: Epoch.Add(4*time.Minute + 1000)}}), []string{"1.0"})
	if s, err := x.OpenStats(ctx); err != nil || s != (index.OpenStats{Open: 5, Oldest: Epoch.Add(time.Minute)}) {
		t.Errorf("Stats = %+v, %v", s, err)
	}

	apply(t, x, tape.Sent("1.2", "import", Epoch.Add(2*time.Minute)), tape.Sent("1.0", "import", Epoch.Add(time.Hour))) // the first is older than the object
	same(t, "with a signal", find(index.OpenQuery{Urgent: true}), []string{"1.0"})
	digest := Content(Instance{Study: "1.1"})
	apply(t, x, tape.Announced(event.TypeStudyComplete, event.Study{StudyInstanceUID: "1.1", Revision: 1, At: Epoch, Digest: digest}))
	same(t, "without the complete one", find(index.OpenQuery{Until: Epoch.Add(time.Hour)}), []string{"1.4", "1.3", "1.2"})
	late := Instance{Study: "1.1", SOP: "late", Received: Epoch.Add(time.Minute), Findings: []string{"asystole"}, Bytes: "1234567", Attributes: map[string]string{"Modality": "CT"}}
	apply(t, x, tape.Stored(late))
	same(t, "with a complete one that changed", find(index.OpenQuery{Urgent: true}), []string{"1.0", "1.1"})
	apply(t, x, tape.Announced(event.TypeStudyUpdated, event.Study{StudyInstanceUID: "1.1", Revision: 1, At: Epoch, Digest: "any"}))
	same(t, "which was told", find(index.OpenQuery{Urgent: true}), []string{"1.0"})

	w, err := x.WholeStudy(ctx, "clinic", "1.1")
	if err != nil {
		t.Fatal(err)
	}
	want := index.Whole{
		Study: event.Study{
			Tenant: "clinic", StudyInstanceUID: "1.1", Revision: 1, Series: 1, Instances: 2, Bytes: 7 + int64(len("1.1.1.1")), Modalities: []string{"CT"},
			FirstReceived: Epoch.Add(time.Minute), LastReceived: Epoch.Add(4 * time.Minute), Priority: event.PriorityStat,
			Digest: Content(Instance{Study: "1.1"}, late),
		},
		CompletedAt: Epoch, LastEvent: Epoch.Add(4 * time.Minute),
	}
	if !reflect.DeepEqual(w, want) {
		t.Errorf("whole %+v\nwant  %+v", w, want)
	}
	if w, err := x.WholeStudy(ctx, "clinic", "1.0"); err != nil || w.Signal != "import" || !w.SentAt.Equal(Epoch.Add(time.Hour)) {
		t.Errorf("whole of a signalled one: %+v, %v", w, err)
	}
	if _, err := x.WholeStudy(ctx, "county", "1.1"); !errors.Is(err, index.ErrNotFound) {
		t.Errorf("another tenant's: %v", err)
	}
}

// announcements checks that a revision has one content, whoever decides it.
func announcements(t *testing.T, x Index) {
	ctx := t.Context()
	tape := NewTape(t)
	a, b := Instance{Study: "1.1", SOP: "1"}, Instance{Study: "1.1", SOP: "2"}
	apply(t, x, tape.Stored(a), tape.Stored(b))
	record := func(typ string, revision int, digest string) event.Envelope {
		t.Helper()
		e, err := event.NewStudy(typ, "/n", Epoch.Add(time.Duration(revision)*time.Hour), &event.Study{
			Tenant: "clinic", StudyInstanceUID: "1.1", Revision: revision, Reason: "quiet-period", At: Epoch, Digest: digest,
		})
		if err != nil {
			t.Fatal(err)
		}
		return e
	}
	keep := func(what string, want int, all ...event.Envelope) {
		t.Helper()
		if n, err := x.Announce(ctx, all); err != nil || n != want {
			t.Errorf("%s: kept %d, %v; want %d", what, n, err, want)
		}
	}
	waiting := func(what string, want ...event.Envelope) {
		t.Helper()
		got, err := x.Announcements(ctx, 10)
		if err != nil || len(got) != len(want) || len(want) > 0 && !reflect.DeepEqual(got, want) {
			t.Errorf("%s: %+v, %v\nwant %+v", what, got, err, want)
		}
	}
	complete, digest := event.TypeStudyComplete, Content(a, b)
	keep("a content that the study has not", 0, record(complete, 1, Content(a)))
	keep("a revision that is not the next", 0, record(complete, 2, digest), record(event.TypeStudyUpdated, 1, digest))
	one := record(complete, 1, digest)
	keep("the next", 1, one, one)
	keep("while it waits", 0, one, record(complete, 1, digest))
	waiting("kept", one)
	if n, err := x.OpenStudies(ctx, index.OpenQuery{Until: Epoch.AddDate(1, 0, 0)}); err != nil || len(n) != 0 {
		t.Errorf("a study whose announcement waits is open: %+v, %v", n, err)
	}
	apply(t, x, tape.Again([]eventlog.Record{{Position: eventlog.Position{Topic: event.TopicInstances}, Event: one}})...)
	waiting("met in the log")
	keep("what is announced", 0, one, record(complete, 2, digest))

	c := Instance{Study: "1.1", SOP: "3"}
	apply(t, x, tape.Stored(c))
	late := record(event.TypeStudyUpdated, 1, Content(a, b, c))
	keep("it changed", 1, late, record(complete, 2, Content(a, b, c)))
	waiting("that", late)
	two := record(complete, 2, Content(a, b, c))
	apply(t, x, tape.Again([]eventlog.Record{{Event: two}, {Event: late}})...) // another one was in the log before ours
	waiting("all met")
	if s, err := x.StudyState(ctx, "clinic", "1.1"); err != nil || !s.Complete || s.Revision != 2 {
		t.Errorf("state %+v, %v", s, err)
	}
	bad := one
	bad.Data = []byte("{")
	if _, err := x.Announce(ctx, []event.Envelope{bad}); err == nil {
		t.Error("a record without a body was kept")
	}

	if held, err := x.Lease(ctx, "work", "me", time.Minute); err != nil || !held {
		t.Errorf("the first one's lease: %v, %v", held, err)
	}
	if held, err := x.Lease(ctx, "work", "me", 0); err != nil || !held {
		t.Errorf("given back: %v, %v", held, err)
	}
	if held, err := x.Lease(ctx, "work", "you", time.Minute); err != nil || !held {
		t.Errorf("the second one's lease: %v, %v", held, err)
	}
}

// rewinding checks that the topic of studies, and that alone, can be taken again.
func rewinding(t *testing.T, x Index) {
	ctx := t.Context()
	tape := NewTape(t)
	apply(t, x, tape.Stored(Instance{}))
	if err := x.Rewind(ctx, event.TopicInstances, 0); err == nil {
		t.Error("instances are taken again")
	}
	r := tape.Announced(event.TypeStudyComplete, event.Study{StudyInstanceUID: "1.2.3", Revision: 1, At: Epoch, Digest: Content(Instance{})})
	r.Topic, r.Offset = event.TopicStudies, 7
	apply(t, x, r)
	before := dump(t, x)
	if err := x.Rewind(ctx, event.TopicStudies, 0); err != nil {
		t.Fatal(err)
	}
	if at, err := x.Applied(ctx, event.TopicStudies, 0); err != nil || at != -1 {
		t.Errorf("at %d, %v", at, err)
	}
	r.Offset = 0
	apply(t, x, r)
	if after := dump(t, x); after != before {
		t.Errorf("taken again it is\n%s\nand was\n%s", after, before)
	}
}
