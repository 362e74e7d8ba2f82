package ingest

import (
	"bytes"
	"errors"
	"reflect"
	"strings"
	"testing"

	"github.com/tributary-dicom/tributary/parsers/part10"
	"github.com/tributary-dicom/tributary/parsers/reject"
	"github.com/tributary-dicom/tributary/pipeline/event"
	"github.com/tributary-dicom/tributary/storage/blob"
)

func yes(string, *event.Instance) bool { return true }

// TestReread holds that an object that is read again is described as before, under its old id, and that nothing is
// written unless somebody wants it.
func TestReread(t *testing.T) {
	for name, body := range map[string][]byte{"instance": file("1.2.3.4.5", "A"), "header beside": bigHeader(t, "1.2.3.4.7"), "recording": scp("急性心梗")} {
		t.Run(name, func(t *testing.T) {
			w := newWorld()
			in := New(Config{ParserVersion: 4}, w, w, w)
			rec, err := in.Admit(t.Context(), Arrival{Body: bytes.NewReader(body), Origin: event.Origin{Door: "upload", Filename: "a 1", Device: "kit"}})
			if err != nil {
				t.Fatal(err)
			}
			kind, before := w.last(t)
			announced, blobs := w.events[0].ID, len(w.blobs)
			newer := New(Config{ParserVersion: 5}, w, w, w)
			var said event.Instance
			at, err := newer.Reread(t.Context(), before.Blob.Key, Beside{}, func(k string, ev *event.Instance) bool {
				said = *ev
				return k != kind
			})
			if err != nil || at != nil || len(w.events) != 1 || len(w.blobs) != blobs {
				t.Fatalf("%v, %v; %d events, %d blobs", at, err, len(w.events), len(w.blobs))
			}
			at, err = newer.Reread(t.Context(), before.Blob.Key, Beside{}, yes)
			if err != nil || len(at) != 1 || len(w.events) != 2 || len(w.blobs) != blobs {
				t.Fatalf("%v, %v; %d events, %d blobs", at, err, len(w.events), len(w.blobs))
			}
			again, after := w.last(t)
			if again != kind || after.ObjectID != rec.ID || after.ParserVersion != 5 || after.Redescribes != announced || w.events[1].ID == announced || after.Adopted {
				t.Errorf("%s %+v", again, after)
			}
			before.ParserVersion, before.Redescribes = 5, announced
			before.Origin.ReceivedAt, after.Origin.ReceivedAt = before.Origin.ReceivedAt.UTC(), after.Origin.ReceivedAt.UTC()
			if !reflect.DeepEqual(before, after) {
				t.Errorf("the same bytes are described as\n%+v, before\n%+v", after, before)
			}
			if said.ParserVersion != 5 || said.Redescribes != announced || said.ObjectID != rec.ID {
				t.Errorf("accept saw %+v", said)
			}
		})
	}
}

func TestRereadOfWhatIsNoObject(t *testing.T) {
	w := newWorld()
	in := New(Config{}, w, w, w)
	furnish(t, w, in)
	for key, m := range w.metas {
		if _, there := w.blobs[key]; !there || m[metaKind] == kindObject {
			continue
		}
		if _, err := in.Reread(t.Context(), key, Beside{}, yes); !errors.Is(err, ErrNoEvent) {
			t.Errorf("a %s was read again: %v", m[metaKind], err)
		}
	}
	if _, err := in.Reread(t.Context(), "nowhere", Beside{}, yes); !errors.Is(err, blob.ErrNotFound) {
		t.Errorf("a missing blob was read again: %v", err)
	}
}

// TestRereadOfQuarantine holds that an entry says whether it could be taken now, and otherwise why not in today's words.
func TestRereadOfQuarantine(t *testing.T) {
	w := newWorld()
	narrow := part10.DefaultLimits
	narrow.Elements = 3
	old := New(Config{Limits: narrow}, w, w, w)
	whole := file("1.2.3.4.5", "A")
	for _, body := range [][]byte{whole, whole[:len(whole)-6]} {
		rec, err := old.Admit(t.Context(), Arrival{Body: bytes.NewReader(body)})
		if err != nil || rec.Status != Quarantined || rec.Reason != string(reject.TooManyElements) {
			t.Fatalf("%+v, %v", rec, err)
		}
	}
	in := New(Config{}, w, w, w)
	for i, want := range []struct{ kind, reason string }{{event.TypeInstanceStored, ""}, {event.TypeInstanceQuarantined, string(reject.Truncated)}} {
		key, err := event.BlobKey(w.events[i])
		if err != nil {
			t.Fatal(err)
		}
		_, err = in.Reread(t.Context(), key, Beside{}, func(kind string, ev *event.Instance) bool {
			if kind != want.kind || ev.Reason != want.reason || strings.Contains(ev.ReasonDetail, "crash") {
				t.Errorf("entry %d is %s, %q: %s", i, kind, ev.Reason, ev.ReasonDetail)
			}
			return false
		})
		if err != nil {
			t.Error(err)
		}
	}

	// From the blobs alone it stays in quarantine, for a person to decide; what is wrong with it is said as it is now.
	w.events = nil
	if _, err := adopt(t, in, w); err != nil {
		t.Fatal(err)
	}
	reasons := map[string]int{}
	for _, env := range w.events {
		ev, err := event.Decode[event.Instance](env.Data)
		if err != nil || env.Type != event.TypeInstanceQuarantined || ev.Header != nil {
			t.Errorf("%s: %+v, %v", env.Type, ev, err)
		}
		reasons[ev.Reason]++
	}
	if len(reasons) != 2 || reasons[string(reject.TooManyElements)] != 1 || reasons[string(reject.Truncated)] != 1 {
		t.Errorf("reasons %v", reasons)
	}
}

// TestDerivedAgain holds that the object that newer parsers make of an original is no conflict, and that one which is
// there already is named again when they come back to it.
func TestDerivedAgain(t *testing.T) {
	w := newWorld()
	admit := func(version int, name, from string) (Receipt, string, *event.Instance) {
		t.Helper()
		in := New(Config{ParserVersion: version}, w, w, w)
		rec, err := in.Admit(t.Context(), Arrival{Body: bytes.NewReader(file("1.2.3.4.5", name)), DerivedFrom: from})
		if err != nil {
			t.Fatal(err)
		}
		kind, ev := w.last(t)
		return rec, kind, ev
	}
	first, _, ev := admit(1, "one", "original")
	if ev.DerivedVersion != 1 || w.metas[ev.Blob.Key][metaDerivedVersion] != "1" {
		t.Errorf("%+v", ev)
	}
	if rec, _, _ := admit(2, "one", "original"); rec.Status != Duplicate || len(w.events) != 1 {
		t.Errorf("the same object again: %+v, %d events", rec, len(w.events))
	}
	rec, kind, ev := admit(2, "two", "original")
	if rec.Status != Stored || rec.ID == first.ID || kind != event.TypeInstanceStored || ev.ConflictOf != "" || ev.DerivedVersion != 2 {
		t.Errorf("made otherwise: %+v, %s, %+v", rec, kind, ev)
	}
	rec, kind, ev = admit(3, "one", "original")
	if rec.Status != Duplicate || rec.ID != first.ID || kind != event.TypeInstanceStored || ev.ObjectID != first.ID || ev.DerivedVersion != 3 || ev.Redescribes != w.events[0].ID {
		t.Errorf("as it was at first: %+v, %s, %+v", rec, kind, ev)
	}
	events := len(w.events)
	if rec, _, _ := admit(3, "one", "original"); rec.Status != Duplicate || len(w.events) != events {
		t.Errorf("once more: %+v, %d events", rec, len(w.events)-events)
	}
	if rec, kind, ev := admit(3, "foreign", ""); rec.Status != Conflict || kind != event.TypeInstanceConflict || ev.ConflictOf == "" {
		t.Errorf("somebody else's: %+v, %s", rec, kind)
	}
	if rec, kind, _ := admit(4, "four", "original"); rec.Status != Conflict || kind != event.TypeInstanceConflict {
		t.Errorf("made otherwise beside somebody else's: %+v, %s", rec, kind)
	}
}
