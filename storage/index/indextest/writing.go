package indextest

import (
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"pgregory.net/rapid"

	"github.com/tributary-dicom/tributary/pipeline/event"
	"github.com/tributary-dicom/tributary/pipeline/eventlog"
	"github.com/tributary-dicom/tributary/storage/index"
)

func offsets(t *testing.T, x Index) {
	ctx := t.Context()
	tape := NewTape(t)
	for i := range 100 {
		tape.Stored(Instance{SOP: fmt.Sprint("1.", i), Received: Epoch.Add(time.Duration(i) * time.Second)})
	}
	tape.Event("org.tributary.instance.renamed.v7", "anything")
	all := tape.Records
	apply(t, x, all[:60]...)
	applied := func(partition int32, want int64) {
		t.Helper()
		if got, err := x.Applied(ctx, event.TopicInstances, partition); got != want || err != nil {
			t.Errorf("Applied(%d) = %d, %v; want %d", partition, got, err, want)
		}
	}
	applied(0, 59)
	half := dump(t, x)
	apply(t, x, all[10:60]...)
	if dump(t, x) != half {
		t.Error("records below the offset took effect")
	}
	applied(0, 59)

	// Another partition has an offset of its own. Records behind the offset count, whatever they are.
	other := slices.Clone(all[:10])
	for i := range other {
		other[i].Partition = 3
	}
	apply(t, x, other...)
	applied(0, 59)
	applied(3, 9)
	if dump(t, x) != half {
		t.Error("repeated events took effect")
	}
	apply(t, x, all...)
	applied(0, 100)
	if got := x.Skipped(); got != 1 {
		t.Errorf("Skipped = %d, want 1", got)
	}
	rows := search(t, x, index.Query{})
	same(t, "instances", column(rows, "NumberOfStudyRelatedInstances"), []string{"100"})
	full := dump(t, x)
	apply(t, x, tape.Again(all)...)
	if dump(t, x) != full {
		t.Error("events that were appended again took effect")
	}
}

func poison(t *testing.T, x Index) {
	tape := NewTape(t)
	tape.Stored(Instance{})
	apply(t, x, tape.Records...)
	before := dump(t, x)
	broken := func(edit func(*event.Instance)) event.Instance {
		body := Instance{SOP: "9"}.Body()
		edit(&body)
		return body
	}
	type bad struct {
		kind string
		body any
	}
	for name, b := range map[string]bad{
		"no object":         {event.TypeInstanceStored, "text"},
		"wrong type":        {event.TypeInstanceStored, map[string]any{"blob": "Zhang^San"}},
		"without object id": {event.TypeInstanceStored, broken(func(b *event.Instance) { b.ObjectID = "" })},
		"without hash":      {event.TypeInstanceStored, broken(func(b *event.Instance) { b.Blob.DatasetSHA256 = "" })},
		"without study":     {event.TypeInstanceConflict, broken(func(b *event.Instance) { b.IDs.StudyInstanceUID = "" })},
		"without series":    {event.TypeInstanceStored, broken(func(b *event.Instance) { b.IDs.SeriesInstanceUID = "" })},
		"without instance":  {event.TypeInstanceStored, broken(func(b *event.Instance) { b.IDs.SOPInstanceUID = "" })},
		"quarantine":        {event.TypeInstanceQuarantined, event.Instance{}},
		"decision":          {event.TypeConflictResolved, event.Resolution{}},
		"long UID":          {event.TypeInstanceStored, broken(func(b *event.Instance) { b.IDs.StudyInstanceUID = strings.Repeat("1", 4000) })},
		"NUL in a UID":      {event.TypeInstanceStored, broken(func(b *event.Instance) { b.IDs.SOPInstanceUID = "1.\x002" })},
		"long object id":    {event.TypeInstanceQuarantined, broken(func(b *event.Instance) { b.ObjectID = strings.Repeat("0", 4000) })},
	} {
		good := tape.Stored(Instance{SOP: "2.2"})
		r := tape.Event(b.kind, b.body)
		err := x.Apply(t.Context(), []eventlog.Record{good, r})
		var named *index.RecordError
		if !errors.As(err, &named) || named.Record.Offset != r.Offset || named.Err == nil {
			t.Errorf("%s: %v, want a RecordError of offset %d", name, err, r.Offset)
			continue
		}
		if strings.Contains(err.Error(), "Zhang") {
			t.Errorf("%s: the error quotes the record: %v", name, err)
		}
		if dump(t, x) != before {
			t.Fatalf("%s: part of the batch took effect", name)
		}
	}
	apply(t, x, tape.Again(tape.Records[:2])...) // the index goes on without them
	same(t, "instances", column(search(t, x, index.Query{}), "NumberOfStudyRelatedInstances"), []string{"2"})
}

func versions(t *testing.T, x Index) {
	ctx := t.Context()
	tape := NewTape(t)
	at := func(n int) time.Time { return Epoch.Add(time.Duration(n) * time.Minute) }
	version := func(object, bytes string, minute int) Instance {
		return Instance{
			Object: object, Bytes: bytes, Received: at(minute),
			Attributes: map[string]string{"PatientName": bytes, "Modality": "US"}, Header: `"` + bytes + `"`,
		}
	}
	current := func(object string, count int) {
		t.Helper()
		got, id, err := x.Lookup(ctx, "clinic", "1.2.3.1.1")
		if err != nil || id != object || len(got) != count {
			t.Errorf("Lookup = %d versions, current %q, %v; want %d, %q", len(got), id, err, count, object)
		}
		found := ""
		err = x.Objects(ctx, index.Scope{Tenant: "clinic", StudyInstanceUID: "1.2.3"}, index.Want{}, func(o index.Object) error {
			found += o.ObjectID
			return nil
		})
		if err != nil || found != object {
			t.Errorf("Objects finds %q, %v; want %q", found, err, object)
		}
		if s, err := x.Stats(ctx); err != nil || s.Instances != 1 || s.Studies != 1 {
			t.Errorf("Stats = %+v, %v", s, err)
		}
	}
	open := func(want int) {
		t.Helper()
		got, err := x.Conflicts(ctx, "clinic", 10, 0)
		if err != nil || len(got) != want {
			t.Errorf("%d conflicts, %v; want %d", len(got), err, want)
		}
	}

	apply(t, x, tape.Stored(version("02", "b", 2)))
	current("02", 1)
	apply(t, x, tape.Stored(version("03", "b", 3))) // the same data set again
	current("02", 1)
	open(0)
	apply(t, x, tape.Conflict(version("04", "c", 4), "02"))
	current("02", 2)
	open(1)
	apply(t, x, tape.Conflict(version("01", "a", 1), "02")) // received first, heard of last
	current("01", 3)
	same(t, "study follows", column(search(t, x, index.Query{WithHeader: true}), "PatientName"), []string{"a"})
	list, err := x.Conflicts(ctx, "clinic", 10, 0)
	if err != nil || len(list) != 1 {
		t.Fatalf("Conflicts = %v, %v", list, err)
	}
	c := list[0]
	if c.StudyInstanceUID != "1.2.3" || c.SeriesInstanceUID != "1.2.3.1" || c.SOPInstanceUID != "1.2.3.1.1" || c.Current != "01" {
		t.Errorf("conflict %+v", c)
	}
	ids := ""
	for _, v := range c.Versions {
		ids += v.ObjectID + " "
	}
	if ids != "01 02 04 " || c.Versions[2].ReceivedAt != "2026-03-01T08:04:00Z" || len(c.Versions[2].DatasetSHA256) != 64 {
		t.Errorf("versions %+v", c.Versions)
	}

	// A decision may name any object, a spare copy of a data set too.
	apply(t, x, tape.Resolved(event.TypeConflictResolved, "04", "promoted", at(10)))
	current("04", 3)
	open(0)
	same(t, "study follows", column(search(t, x, index.Query{}), "PatientName"), []string{"c"})
	apply(t, x, tape.Resolved(event.TypeConflictResolved, "03", "promoted", at(9))) // an older one, heard of later
	current("04", 3)
	apply(t, x, tape.Resolved(event.TypeConflictResolved, "03", "promoted", at(10))) // same time: by event id
	current("02", 3)
	apply(t, x, tape.Resolved(event.TypeConflictResolved, "04", "promoted", at(10)))
	current("04", 3)
	apply(t, x, tape.Resolved(event.TypeConflictResolved, "03", "promoted", at(10)))
	current("02", 3)
	apply(t, x, tape.Resolved(event.TypeConflictResolved, "01", "kept", at(11)))
	current("02", 3)
	apply(t, x, tape.Conflict(version("05", "e", 20), "02"))
	current("02", 4)
	open(1) // nobody has seen the new one
	apply(t, x, tape.Resolved(event.TypeConflictResolved, "05", "kept", at(21)))
	open(0)
	current("02", 4)

	early := tape.Resolved(event.TypeConflictResolved, "52", "promoted", at(30)) // before its object
	apply(t, x, early,
		tape.Stored(Instance{SOP: "5", Object: "51", Bytes: "x", Received: at(1)}),
		tape.Conflict(Instance{SOP: "5", Object: "52", Bytes: "y", Received: at(2)}, "51"))
	if _, id, err := x.Lookup(ctx, "clinic", "5"); id != "52" || err != nil {
		t.Errorf("decision before its object: current %q, %v", id, err)
	}
}

// replacedBytes checks that of an object its latest event counts, however late an earlier one comes.
func replacedBytes(t *testing.T, x Index) {
	tape := NewTape(t)
	was, is := tape.Stored(Instance{SOP: "7", Object: "01"}), tape.Stored(Instance{SOP: "7", Object: "01", Key: "blobs/new"})
	key := func() string {
		t.Helper()
		versions, current, err := x.Lookup(t.Context(), "clinic", "7")
		if err != nil || len(versions) != 1 || current != "01" {
			t.Fatalf("%+v, current %q, %v", versions, current, err)
		}
		return versions[0].BlobKey
	}
	apply(t, x, was)
	if got := key(); got != "blobs/01" {
		t.Errorf("bytes in %s", got)
	}
	apply(t, x, is)
	apply(t, x, tape.Again([]eventlog.Record{was})...)
	if got := key(); got != "blobs/new" {
		t.Errorf("bytes in %s, want blobs/new", got)
	}
	same(t, "instances", column(search(t, x, index.Query{}), "NumberOfStudyRelatedInstances"), []string{"1"})
}

// otherSyntax checks that the same bytes under another transfer syntax are a version of their own.
func otherSyntax(t *testing.T, x Index) {
	tape := NewTape(t)
	apply(t, x, tape.Stored(Instance{SOP: "7", Object: "01", Bytes: "a"}),
		tape.Conflict(Instance{SOP: "7", Object: "02", Bytes: "a", Syntax: "1.2.840.10008.1.2.4.50", Received: Epoch.Add(time.Minute)}, "01"))
	if got, current, err := x.Lookup(t.Context(), "clinic", "7"); err != nil || len(got) != 2 || current != "01" {
		t.Errorf("%+v, current %q, %v", got, current, err)
	}
	apply(t, x, tape.Resolved(event.TypeConflictResolved, "02", "promoted", Epoch.Add(time.Hour)))
	if _, current, err := x.Lookup(t.Context(), "clinic", "7"); err != nil || current != "02" {
		t.Errorf("current %q, %v; want the promoted one", current, err)
	}
	if open, err := x.Conflicts(t.Context(), "clinic", 10, 0); err != nil || len(open) != 0 {
		t.Errorf("%d conflicts, %v", len(open), err)
	}
}

func movedVersion(t *testing.T, x Index) {
	tape := NewTape(t)
	a := Instance{Study: "1.1", Series: "1.1.1", SOP: "7", Object: "01", Bytes: "a", Attributes: map[string]string{"Modality": "US"}}
	b := Instance{Study: "1.2", Series: "1.2.1", SOP: "7", Object: "02", Bytes: "b", Attributes: map[string]string{"Modality": "CT"}, Received: Epoch.Add(time.Second)}
	other := Instance{Study: "1.1", Series: "1.1.2", SOP: "8", Attributes: map[string]string{"Modality": "SR", "PatientName": "later"}, Received: Epoch.Add(time.Hour), Class: "1.2.3"}
	apply(t, x, tape.Stored(a), tape.Conflict(b, "01"), tape.Stored(other))
	same(t, "studies", column(search(t, x, index.Query{}), "StudyInstanceUID"), []string{"1.1"})
	same(t, "modalities", column(search(t, x, index.Query{}), "ModalitiesInStudy"), []string{`SR\US`})

	apply(t, x, tape.Resolved(event.TypeConflictResolved, "02", "promoted", Epoch.Add(2*time.Hour)))
	rows := search(t, x, index.Query{OrderBy: []index.Order{{Keyword: "StudyInstanceUID"}}})
	same(t, "studies", column(rows, "StudyInstanceUID"), []string{"1.1", "1.2"})
	same(t, "modalities", column(rows, "ModalitiesInStudy"), []string{"SR", "CT"})
	same(t, "classes", column(rows, "SOPClassesInStudy"), []string{"1.2.3", "1.2.840.10008.5.1.4.1.1.6.1"})
	same(t, "instances", column(rows, "NumberOfStudyRelatedInstances"), []string{"1", "1"})
	same(t, "name of what is left", column(rows, "PatientName"), []string{"later", ""})
	if s, err := x.Stats(t.Context()); err != nil || s != (index.Stats{Studies: 2, Series: 2, Instances: 2}) {
		t.Errorf("Stats = %+v, %v", s, err)
	}
	// The series that was left, and the one that was entered, go on.
	apply(t, x, tape.Stored(Instance{Study: "1.2", Series: "1.2.1", SOP: "9"}), tape.Stored(Instance{Study: "1.1", Series: "1.1.1", SOP: "10"}))
	rows = search(t, x, index.Query{Level: index.SeriesLevel, OrderBy: []index.Order{{Keyword: "SeriesInstanceUID"}}})
	same(t, "series", column(rows, "SeriesInstanceUID"), []string{"1.1.1", "1.1.2", "1.2.1"})
	same(t, "instances", column(rows, "NumberOfSeriesRelatedInstances"), []string{"1", "1", "2"})
}

func quarantine(t *testing.T, x Index) {
	ctx := t.Context()
	tape := NewTape(t)
	for i := range 4 {
		tape.Quarantined(fmt.Sprintf("0%d", i), Epoch.Add(time.Duration(i)*time.Minute))
	}
	apply(t, x, tape.Records...)
	ids := func(limit, offset int) []string {
		t.Helper()
		list, err := x.Quarantine(ctx, "clinic", limit, offset)
		if err != nil {
			t.Fatal(err)
		}
		out := []string{}
		for _, q := range list {
			out = append(out, q.ObjectID)
		}
		return out
	}
	same(t, "newest first", ids(10, 0), []string{"03", "02", "01", "00"})
	same(t, "a page", ids(2, 1), []string{"02", "01"})
	q, err := x.QuarantineEntry(ctx, "clinic", "02")
	if err != nil || q.Reason != "truncated" || q.Offset != 512 || q.Detail == "" || q.Door != "dimse" || q.CallingAE != "KIT" ||
		q.ReceivedAt != "2026-03-01T08:02:00Z" || q.BlobKey != "blobs/02" || q.StudyInstanceUID != "1.2.3" || q.Format != "dicom" {
		t.Errorf("entry %+v, %v", q, err)
	}
	if _, err := x.QuarantineEntry(ctx, "other", "02"); !errors.Is(err, index.ErrNotFound) {
		t.Errorf("another tenant's entry: %v", err)
	}
	if twin, err := x.QuarantinedBytes(ctx, "clinic", q.SHA256); err != nil || twin.ObjectID != "02" {
		t.Errorf("entry by its bytes: %+v, %v", twin, err)
	}
	if _, err := x.QuarantinedBytes(ctx, "other", q.SHA256); !errors.Is(err, index.ErrNotFound) {
		t.Errorf("another tenant's entry by its bytes: %v", err)
	}
	apply(t, x,
		tape.Resolved(event.TypeQuarantineResolved, "02", "removed", Epoch),
		tape.Resolved(event.TypeQuarantineResolved, "01", "retried", Epoch),
		tape.Resolved(event.TypeQuarantineResolved, "05", "removed", Epoch), // before its object
		tape.Quarantined("05", Epoch))
	same(t, "after decisions", ids(10, 0), []string{"03", "00"})
	if _, err := x.QuarantinedBytes(ctx, "clinic", q.SHA256); !errors.Is(err, index.ErrNotFound) {
		t.Errorf("a removed entry by its bytes: %v", err)
	}
	apply(t, x, tape.Again(tape.Records[:4])...)
	same(t, "after the events came again", ids(10, 0), []string{"03", "00"})
	if len(search(t, x, index.Query{})) != 0 {
		t.Error("quarantined objects are found")
	}
	if s, err := x.Stats(ctx); err != nil || s != (index.Stats{Quarantined: 2}) {
		t.Errorf("Stats = %+v, %v", s, err)
	}
}

// anyOrder applies random events in their order, and again shuffled, repeated and cut into other
// batches: the views must be equal.
func anyOrder(t *testing.T, open func(*testing.T, index.Attachments) Index) {
	var a, b Index
	var tape *Tape
	renew := func() {
		if a != nil {
			a.Close() //nolint:errcheck // what it holds was compared
			b.Close() //nolint:errcheck // likewise
		}
		a, b, tape = open(t, Blobs), open(t, Blobs), NewTape(t)
	}
	run := 0
	rapid.Check(t, func(r *rapid.T) {
		if run%25 == 0 { // opening costs more than a run; a run looks at its own rows only
			renew()
		}
		run++
		mark := fmt.Sprintf("run%d.", run)
		inOrder := randomEvents(r, tape, mark)
		apply(t, a, inOrder...)
		events := slices.Clone(inOrder)
		for range rapid.IntRange(0, 10).Draw(r, "repeats") {
			events = append(events, inOrder[rapid.IntRange(0, len(inOrder)-1).Draw(r, "repeat")])
		}
		events = tape.Again(rapid.Permutation(events).Draw(r, "order"))
		for len(events) > 0 {
			n := rapid.IntRange(1, len(events)).Draw(r, "batch")
			apply(t, b, events[:n]...)
			events = events[n:]
		}
		rows := func(x Index) string {
			var out []string
			for line := range strings.Lines(dump(t, x)) {
				if strings.Contains(line, mark) {
					out = append(out, line)
				}
			}
			return strings.Join(out, "")
		}
		if got, want := rows(b), rows(a); got != want {
			r.Fatalf("views differ:\n%s\n---\n%s", got, want)
		}
	})
	if a != nil {
		a.Close() //nolint:errcheck // what it holds was compared
		b.Close() //nolint:errcheck // likewise
	}
}

// randomEvents draws events about a few objects of a few instances. An object has one identity, as
// admission gives it; what else its events say may differ.
func randomEvents(r *rapid.T, tape *Tape, mark string) []eventlog.Record {
	pick := func(name string, most int) int { return rapid.IntRange(0, most).Draw(r, name) }
	pool := make([]Instance, rapid.IntRange(1, 8).Draw(r, "objects"))
	for i := range pool {
		study := fmt.Sprintf("%s%d", mark, pick("study", 2))
		pool[i] = Instance{
			Study: study, Series: fmt.Sprintf("%s.%d", study, pick("series", 1)), SOP: fmt.Sprintf("%s7.%d", mark, pick("instance", 2)),
			Object: fmt.Sprintf("%s0%d", mark, i), Bytes: fmt.Sprint(pick("bytes", 2)), Syntax: fmt.Sprintf("1.2.%d", pick("syntax", 1)),
			Received: Epoch.Add(time.Duration(pick("minute", 5)) * time.Minute),
		}
	}
	begin := len(tape.Records)
	announced := map[string][]announcement{}
	for i := range rapid.IntRange(1, 25).Draw(r, "events") {
		in := pool[pick("object", len(pool)-1)]
		at := Epoch.Add(time.Duration(pick("minute", 5)) * time.Minute)
		switch kind := pick("kind", 11); {
		case kind <= 5:
			in.Header, in.Class = fmt.Sprint(i), fmt.Sprintf("1.2.%d", pick("class", 1))
			in.Attributes = map[string]string{
				"PatientName": fmt.Sprintf("name %d", pick("name", 2)), "StudyDate": fmt.Sprintf("2026010%d", pick("day", 3)),
				"Modality": []string{"", "US", "CT"}[pick("modality", 2)], "InstanceNumber": fmt.Sprint(pick("number", 3)),
				"SeriesNumber": fmt.Sprint(pick("number", 3)), "StudyID": fmt.Sprint(pick("id", 2)),
				"PatientID": []string{"", "1", "1", "2"}[pick("patient", 3)],
			}
			in.ECG, in.DerivedFrom = randomECG(pick("facts", 3)), []string{"", mark + "00"}[pick("derived", 1)]
			if pick("critical", 2) == 0 {
				in.Findings = []string{"acute-mi"}
			}
			kept := pick("original", 3) == 0
			if kept {
				in.Object += ".o"
			}
			in.Parsers, in.DerivedVersion, in.Layout = pick("parsers", 2), pick("made by", 2), fmt.Sprint(i)
			before := announced[in.Object]
			if which := pick("redescribes", 2*len(before)+1); which < len(before) {
				in.Redescribes, in.Key = before[which].event, before[which].key
			} else {
				in.Key = fmt.Sprintf("blobs/%s/%d", in.Object, i)
			}
			var r eventlog.Record
			switch {
			case kept:
				r = tape.Kept(in)
			case kind == 5:
				r = tape.Conflict(in, "00")
			default:
				r = tape.Stored(in)
			}
			if in.Redescribes == "" {
				announced[in.Object] = append(before, announcement{r.Event.ID, in.Key})
			}
		case kind == 10:
			tape.Sent(in.Study, []string{"stow", "import"}[pick("signal", 1)], at)
		case kind == 11:
			tape.Announced([]string{event.TypeStudyComplete, event.TypeStudyUpdated}[pick("announced", 1)], event.Study{
				StudyInstanceUID: in.Study, Revision: 1 + pick("revision", 2), At: at, Digest: Content(in), Reason: event.ReasonQuiet,
			})
		case kind == 6:
			tape.Refused(in.Object, at, pick("parsers", 2))
		case kind == 7:
			tape.Resolved(event.TypeQuarantineResolved, in.Object, []string{"removed", "retried", "other"}[pick("action", 2)], at)
		default:
			tape.Resolved(event.TypeConflictResolved, in.Object, []string{"promoted", "promoted", "kept"}[pick("action", 2)], at)
		}
	}
	return tape.Records[begin:]
}
