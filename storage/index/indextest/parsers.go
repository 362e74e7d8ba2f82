package indextest

import (
	"errors"
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/tributary-dicom/tributary/pipeline/event"
	"github.com/tributary-dicom/tributary/pipeline/eventlog"
	"github.com/tributary-dicom/tributary/storage/index"
)

// parserVersions holds that what older parsers say of an object never takes the place of what newer ones said,
// whatever comes first or again, and that bytes which were replaced stay so.
func parserVersions(t *testing.T, x Index) {
	tape := NewTape(t)
	say := func(parsers int, name, key, redescribes string) eventlog.Record {
		return tape.Stored(Instance{
			SOP: "7", Object: "01", Study: "1.5" + name, Attributes: map[string]string{"PatientName": name}, Header: `"` + name + `"`,
			Layout: `{"frames":{},"bulk":[{"path":"` + name + `","vr":"OB","offset":1,"length":1}]}`, Key: key, Parsers: parsers, Redescribes: redescribes, ECG: randomECG(1),
		})
	}
	first := say(0, "zero", "blobs/a", "")
	again := say(0, "zero again", "blobs/a", first.Event.ID)
	two := say(2, "two", "blobs/a", first.Event.ID)
	one := say(1, "one", "blobs/a", first.Event.ID)
	replaced := say(1, "other bytes", "blobs/b", "") // by a node of an older release
	late := say(2, "two again", "blobs/a", first.Event.ID)
	seen := map[string]bool{} // what readers may have remembered
	look := func(name, key, layout string) {
		t.Helper()
		found := 0
		err := x.Objects(t.Context(), index.Scope{Tenant: "clinic", SOPInstanceUID: "7"}, index.Want{Header: true, Layout: true}, func(o index.Object) error {
			found++
			if said := name + layout; seen[o.Reading] != seen[said] || o.Reread == (o.Reading == first.Event.ID) {
				t.Errorf("reading %q of %q, reread %v", o.Reading, name, o.Reread)
			}
			seen[o.Reading], seen[name+layout] = true, true
			if o.StudyInstanceUID != "1.5"+name || string(o.Header) != `"`+name+`"` || o.BlobKey != key || len(o.Bulk) != 1 || o.Bulk[0].Path != layout {
				t.Errorf("in study %s, header %s, bytes in %s, layout %+v; want %q, %s, %q", o.StudyInstanceUID, o.Header, o.BlobKey, o.Bulk, name, key, layout)
			}
			return nil
		})
		if err != nil || found != 1 {
			t.Errorf("%d objects, %v", found, err)
		}
		same(t, "studies", column(search(t, x, index.Query{}), "StudyInstanceUID"), []string{"1.5" + name})
		same(t, "names", column(search(t, x, index.Query{}), "PatientName"), []string{name})
		if found := recorded(t, x, index.RecordingQuery{}); len(found) != 1 || found[0].StudyInstanceUID != "1.5"+name {
			t.Errorf("recordings %+v", found)
		}
	}
	apply(t, x, first)
	look("zero", "blobs/a", "zero")
	apply(t, x, again)
	look("zero again", "blobs/a", "zero again")
	apply(t, x, two)
	look("two", "blobs/a", "two")
	apply(t, x, one)
	look("two", "blobs/a", "two")
	apply(t, x, tape.Again([]eventlog.Record{first, again, one})...)
	look("two", "blobs/a", "two")
	apply(t, x, tape.Again([]eventlog.Record{replaced})...)
	look("two", "blobs/b", "other bytes")
	apply(t, x, tape.Again([]eventlog.Record{late})...)
	look("two again", "blobs/b", "other bytes")
	apply(t, x, say(3, "three", "blobs/b", replaced.Event.ID))
	look("three", "blobs/b", "three")
	apply(t, x, tape.Again([]eventlog.Record{late, replaced, two})...)
	look("three", "blobs/b", "three")
	if v, _, err := x.Lookup(t.Context(), "clinic", "7"); err != nil || len(v) != 1 {
		t.Errorf("%+v, %v", v, err)
	}
}

// parsersOfOriginals holds the same of files that are not DICOM.
func parsersOfOriginals(t *testing.T, x Index) {
	tape := NewTape(t)
	say := func(parsers int, name, key, redescribes string) eventlog.Record {
		return tape.Kept(Instance{
			Object: "01", Bytes: "scp", Attributes: map[string]string{"PatientName": name}, Key: key, Parsers: parsers, Redescribes: redescribes,
			ECG: &event.ECG{Statements: []event.Statement{{Text: name}}},
		})
	}
	first := say(0, "zero", "blobs/a", "")
	two := say(2, "two", "blobs/a", first.Event.ID)
	look := func(name, key string) {
		t.Helper()
		o, err := x.Original(t.Context(), "clinic", "01")
		if err != nil || o.Attributes["PatientName"] != name || o.BlobKey != key || !strings.Contains(string(o.Facts), `"`+name+`"`) {
			t.Errorf("%+v, %v; want %q in %s", o, err, name, key)
		}
		if found := recorded(t, x, index.RecordingQuery{Statements: []string{name}}); len(found) != 1 {
			t.Errorf("%d recordings say %q", len(found), name)
		}
	}
	apply(t, x, two) // heard of first
	look("two", "blobs/a")
	apply(t, x, first, say(1, "one", "blobs/a", first.Event.ID))
	look("two", "blobs/a")
	apply(t, x, say(1, "other bytes", "blobs/b", ""))
	look("two", "blobs/b")
	apply(t, x, say(3, "three", "blobs/a", first.Event.ID))
	look("three", "blobs/b")
	apply(t, x, tape.Again(tape.Records)...)
	look("three", "blobs/b")
}

// parsersAndDecisions holds that describing an object again brings nothing back that a person decided on.
func parsersAndDecisions(t *testing.T, x Index) {
	ctx := t.Context()
	tape := NewTape(t)
	at := func(minutes int) time.Time { return Epoch.Add(time.Duration(minutes) * time.Minute) }
	version := func(object, bytes string, minutes, parsers int, redescribes string) Instance {
		return Instance{
			SOP: "7", Object: object, Bytes: bytes, Received: at(minutes), Parsers: parsers, Redescribes: redescribes,
			Attributes: map[string]string{"PatientName": fmt.Sprintf("%s by %d", bytes, parsers)},
		}
	}
	a, b := tape.Stored(version("01", "a", 1, 1, "")), tape.Conflict(version("02", "b", 2, 1, ""), "01")
	apply(t, x, a, b, tape.Resolved(event.TypeConflictResolved, "02", "promoted", at(3)))
	seen := func(object, name string) {
		t.Helper()
		if _, current, err := x.Lookup(ctx, "clinic", "7"); err != nil || current != object {
			t.Errorf("current %q, %v; want %q", current, err, object)
		}
		same(t, "study", column(search(t, x, index.Query{}), "PatientName"), []string{name})
		if open, err := x.Conflicts(ctx, "clinic", 10, 0); err != nil || len(open) != 0 {
			t.Errorf("%d conflicts, %v", len(open), err)
		}
	}
	apply(t, x, tape.Stored(version("01", "a", 1, 2, a.Event.ID))) // of the version that readers do not see
	seen("02", "b by 1")
	apply(t, x, tape.Conflict(version("02", "b", 2, 2, b.Event.ID), "01"))
	seen("02", "b by 2")

	q := tape.Refused("03", at(4), 1)
	apply(t, x, q, tape.Refused("03", at(4), 2), tape.Again([]eventlog.Record{q})[0], tape.Refused("03", at(4), 0))
	if e, err := x.QuarantineEntry(ctx, "clinic", "03"); err != nil || e.Detail != "as version 2 tells it" {
		t.Errorf("%+v, %v", e, err)
	}
	apply(t, x, tape.Resolved(event.TypeQuarantineResolved, "03", "removed", at(5)), tape.Refused("03", at(4), 3))
	if e, err := x.QuarantineEntry(ctx, "clinic", "03"); !errors.Is(err, index.ErrNotFound) {
		t.Errorf("a removed entry: %+v, %v", e, err)
	}
}

// madeAgain holds that of the DICOM objects of one original the newest parsers' is shown, and nobody is asked.
func madeAgain(t *testing.T, x Index) {
	ctx := t.Context()
	tape := NewTape(t)
	at := func(minutes int) time.Time { return Epoch.Add(time.Duration(minutes) * time.Minute) }
	derived := func(object, bytes string, version int) Instance {
		return Instance{
			SOP: "7", Object: object, Bytes: bytes, Received: at(1), DerivedFrom: "01", DerivedVersion: version, Parsers: version,
			Attributes: map[string]string{"PatientName": bytes},
		}
	}
	seen := func(object string, versions, conflicts int) {
		t.Helper()
		got, current, err := x.Lookup(ctx, "clinic", "7")
		if err != nil || current != object || len(got) != versions {
			t.Errorf("current %q of %d, %v; want %q of %d", current, len(got), err, object, versions)
		}
		if open, err := x.Conflicts(ctx, "clinic", 10, 0); err != nil || len(open) != conflicts {
			t.Errorf("%d conflicts, %v; want %d", len(open), err, conflicts)
		}
		if rows := search(t, x, index.Query{}); len(rows) != 1 || rows[0].Attributes["NumberOfStudyRelatedInstances"] != "1" {
			t.Errorf("studies %v", rows)
		}
	}
	first := tape.Stored(derived("02", "by one", 1))
	apply(t, x, first)
	seen("02", 1, 0)
	apply(t, x, tape.Stored(derived("04", "by two", 2)))
	seen("04", 2, 0)
	apply(t, x, tape.Stored(derived("03", "by zero", 0))) // an old node, later
	seen("04", 3, 0)
	again := derived("02", "by one", 1) // its words come from newer parsers, its bytes do not
	again.Parsers, again.Redescribes = 3, first.Event.ID
	apply(t, x, tape.Stored(again))
	seen("04", 3, 0)
	if v, _, err := x.Lookup(ctx, "clinic", "7"); err != nil || v[0].DerivedFrom != "01" || v[0].DerivedVersion != 1 {
		t.Errorf("versions %+v, %v", v, err)
	}

	// Somebody else's object under the same UID is a conflict, with all of them as one.
	apply(t, x, tape.Conflict(Instance{SOP: "7", Object: "05", Bytes: "foreign", Received: at(2)}, "04"))
	seen("04", 4, 1)
	apply(t, x, tape.Resolved(event.TypeConflictResolved, "02", "kept", at(3)))
	seen("04", 4, 0)
	apply(t, x, tape.Resolved(event.TypeConflictResolved, "05", "promoted", at(4)))
	seen("05", 4, 0)
	apply(t, x, tape.Stored(derived("06", "by three", 3)))
	seen("05", 5, 0)
	apply(t, x, tape.Resolved(event.TypeConflictResolved, "02", "promoted", at(5))) // a person may go back
	seen("02", 5, 0)
}

// newestParsers draws records of objects by parsers of many versions, and holds that each row has the word of the
// newest that spoke of its object, at any time.
func newestParsers(t *testing.T, x Index) {
	random := rand.New(rand.NewPCG(15, 1))
	tape := NewTape(t)
	said := map[string]Instance{}
	var all []eventlog.Record
	for i := range 12 {
		in := Instance{SOP: fmt.Sprintf("7.%d", i), Object: fmt.Sprintf("0%02d", i), Study: fmt.Sprintf("1.2.%d", i%4)}
		var first string
		for range 6 {
			in.Parsers = random.IntN(5)
			in.Attributes = map[string]string{"PatientName": fmt.Sprintf("by %d", in.Parsers), "Modality": fmt.Sprintf("M%d", in.Parsers), "InstanceNumber": fmt.Sprint(in.Parsers)}
			in.Redescribes = first
			r := tape.Stored(in)
			if first == "" {
				first = r.Event.ID
			}
			all = append(all, r)
		}
	}
	decoded := func(r eventlog.Record) *event.Instance {
		body, err := event.Decode[event.Instance](r.Event.Data)
		if err != nil {
			t.Fatal(err)
		}
		return body
	}
	random.Shuffle(len(all), func(i, j int) { all[i], all[j] = all[j], all[i] })
	for batch := range slices.Chunk(append(all, all[:len(all)/2]...), 7) {
		apply(t, x, tape.Again(batch)...)
		for _, r := range batch {
			b := decoded(r)
			if had := said[b.IDs.SOPInstanceUID]; b.ParserVersion >= had.Parsers {
				said[b.IDs.SOPInstanceUID] = Instance{Parsers: b.ParserVersion}
			}
		}
		for sop, want := range said {
			rows, err := x.Search(t.Context(), index.Query{
				Tenant: "clinic", Level: index.InstanceLevel, Matches: []index.Match{{Keyword: "SOPInstanceUID", Values: []string{sop}}},
			})
			if err == nil && (len(rows) != 1 || rows[0].Attributes["InstanceNumber"] != fmt.Sprint(want.Parsers)) {
				t.Fatalf("%s: %v, want the word of %d", sop, rows, want.Parsers)
			}
			if err != nil {
				t.Fatal(err)
			}
		}
	}
}
