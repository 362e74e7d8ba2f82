package ingest

import (
	"bytes"
	"crypto/rand"
	"encoding/hex"
	"errors"
	"maps"
	"reflect"
	"slices"
	"testing"
	"time"

	"github.com/tributary-dicom/tributary/parsers/part10"
	"github.com/tributary-dicom/tributary/pipeline/event"
	"github.com/tributary-dicom/tributary/storage/blob"
	"github.com/tributary-dicom/tributary/storage/index"
)

// bigHeader is an instance whose header document does not fit into an event.
func bigHeader(t *testing.T, sop string) []byte {
	t.Helper()
	whole := file(sop, "Zhao^Large=赵^大")
	for i := range 8 {
		noise := make([]byte, 30<<10)
		if _, err := rand.Read(noise); err != nil {
			t.Fatal(err)
		}
		text := hex.EncodeToString(noise)
		value := append([]byte{0x11, 0x00, byte(i), 0x10, 'U', 'T', 0, 0}, byte(len(text)), byte(len(text)>>8), byte(len(text)>>16), 0)
		whole = append(append(whole, value...), text...)
	}
	return whole
}

// furnish admits objects of every fate and takes every kind of decision.
func furnish(t *testing.T, w *world, in *Intake) {
	t.Helper()
	ctx := t.Context()
	admit := func(body []byte) Receipt {
		t.Helper()
		rec, err := in.Admit(ctx, Arrival{Body: bytes.NewReader(body), Origin: event.Origin{
			Door: "upload", Device: "kit-7", Facility: "沙岭村卫生室", Remote: "10.0.0.7:4242", CallingAE: "KIT", CalledAE: "TRIBUTARY",
			Filename: "心电 1.dcm",
		}})
		if err != nil {
			t.Fatal(err)
		}
		return rec
	}
	admit(file("1.2.3.4.5", "Wang^XiaoDong=王^小东"))
	admit(file("1.2.3.4.5", "Wang^XiaoDong=王^小东")) // duplicate
	other := admit(file("1.2.3.4.5", "Wang^XiaoDong=王^晓东"))
	if other.Status != Conflict {
		t.Fatalf("%+v, want a conflict", other)
	}
	c := index.Conflict{StudyInstanceUID: other.Study, SOPInstanceUID: other.Instance}
	for _, action := range []string{ActionKept, ActionPromoted} {
		if err := in.Settle(ctx, DefaultTenant, c, other.ID, action, "dr li"); err != nil {
			t.Fatal(err)
		}
	}
	whole := file("1.2.3.4.6", "B")
	kept := admit(whole[:len(whole)-70])
	gone := admit(whole[:len(whole)-72])
	if kept.Status != Quarantined || gone.Status != Quarantined {
		t.Fatalf("%+v, %+v, want both in quarantine", kept, gone)
	}
	ev, err := event.Decode[event.Instance](w.events[len(w.events)-1].Data)
	if err != nil {
		t.Fatal(err)
	}
	q := index.Quarantined{ObjectID: gone.ID, SHA256: gone.SHA256, BlobKey: ev.Blob.Key}
	if err := in.Remove(ctx, DefaultTenant, q, "dr li"); err != nil {
		t.Fatal(err)
	}
	large := admit(bigHeader(t, "1.2.3.4.7"))
	ev, err = event.Decode[event.Instance](w.events[len(w.events)-1].Data)
	if err != nil || large.Status != Stored || ev.Header.BlobKey == "" {
		t.Fatalf("%+v, %v: the header must lie beside the blob", large, err)
	}
}

// content is what an event says, without when it was made and that it was made again.
type content struct {
	id, kind, subject, key string
	instance               *event.Instance
	decision               *event.Resolution
}

func contents(t *testing.T, events []event.Envelope) map[string]content {
	t.Helper()
	out := map[string]content{}
	for _, env := range events {
		c := content{id: env.ID, kind: env.Type, subject: env.Subject, key: env.Key}
		body, err := event.DecodeRecord(env)
		if err != nil {
			t.Fatal(err)
		}
		switch body := body.(type) {
		case *event.Instance:
			body.Adopted, body.Origin.ReceivedAt = false, body.Origin.ReceivedAt.UTC()
			c.instance = body
		case *event.Resolution:
			body.At = body.At.UTC()
			c.decision = body
		}
		if _, twice := out[env.ID]; twice {
			t.Errorf("event %s is there twice", env.ID)
		}
		out[env.ID] = c
	}
	return out
}

// TestEventsAreMadeAgainAsTheyWere loses the whole log: from the blobs alone come the same events, with
// the same ids, decisions and reasons included. Only objects that were removed for good stay away.
func TestEventsAreMadeAgainAsTheyWere(t *testing.T) {
	w := newWorld()
	in := New(Config{}, w, w, w)
	furnish(t, w, in)
	want := contents(t, w.events)
	maps.DeleteFunc(want, func(_ string, c content) bool {
		_, there := w.blobs[blobOf(c)]
		return !there
	})
	blobs := len(w.blobs)
	w.events = nil
	// Another node, which would take nothing of this today.
	n, err := New(Config{}, w, w, w).AdoptOrphans(t.Context(), w, w, time.Time{}, time.Now())
	if err != nil || n != len(want) {
		t.Fatalf("made %d events again, %v; want %d", n, err, len(want))
	}
	got := contents(t, w.events)
	for id, c := range want {
		if !reflect.DeepEqual(got[id], c) {
			t.Errorf("event %s is\n%+v\n%+v\nwant\n%+v\n%+v", id, got[id], got[id].instance, c, c.instance)
		}
	}
	if len(got) != len(want) || len(w.blobs) != blobs {
		t.Errorf("%d events and %d blobs, want %d and %d", len(got), len(w.blobs), len(want), blobs)
	}
}

func blobOf(c content) string {
	if c.instance != nil {
		return c.instance.Blob.Key
	}
	return c.decision.BlobKey
}

// TestBlobsOfEarlierReleasesAreAdopted: their meta has no event id, and decisions do not say of what they
// are. The event that is made is always the same.
func TestBlobsOfEarlierReleasesAreAdopted(t *testing.T) {
	w := newWorld()
	in := New(Config{}, w, w, w)
	furnish(t, w, in)
	kinds := map[string]string{}
	for _, env := range w.events {
		key, err := event.BlobKey(env)
		if err != nil {
			t.Fatal(err)
		}
		kinds[key] = env.Type
	}
	for _, m := range w.metas {
		for _, key := range []string{metaEventID, metaEventType, metaStudy, metaConflictOf, metaReason, metaReasonDetail, metaReasonOffset, metaHeaderBlob, metaLayoutBlob} {
			delete(m, key)
		}
	}
	var ids [2][]string
	for round := range ids {
		w.events = nil
		if _, err := adopt(t, in, w); err != nil {
			t.Fatal(err)
		}
		for _, env := range w.events {
			ids[round] = append(ids[round], env.ID)
			key, err := event.BlobKey(env)
			if want := kinds[key]; err != nil || env.Type != want && want != event.TypeInstanceConflict {
				t.Errorf("blob of %s became %s (%v)", want, env.Type, err)
			}
		}
		slices.Sort(ids[round])
	}
	if len(ids[0]) == 0 || !slices.Equal(ids[0], ids[1]) {
		t.Errorf("event ids %q, then %q", ids[0], ids[1])
	}
}

func TestRedescribeReplacesLostAttachments(t *testing.T) {
	w := newWorld()
	in := New(Config{}, w, w, w)
	if _, err := in.Admit(t.Context(), Arrival{Body: bytes.NewReader(bigHeader(t, "1.2.3.4.7"))}); err != nil {
		t.Fatal(err)
	}
	before, err := event.Decode[event.Instance](w.events[0].Data)
	if err != nil {
		t.Fatal(err)
	}
	doc := w.blobs[before.Header.BlobKey]
	delete(w.blobs, before.Header.BlobKey)
	if err := in.Redescribe(t.Context(), before.Blob.Key); err != nil {
		t.Fatal(err)
	}
	after, err := event.Decode[event.Instance](w.events[1].Data)
	if err != nil || after.ObjectID != before.ObjectID || w.events[1].ID <= w.events[0].ID {
		t.Fatalf("%+v, %v", after, err)
	}
	if !bytes.Equal(w.blobs[after.Header.BlobKey], doc) {
		t.Error("the header that was made again is another")
	}
	if err := in.Adopt(t.Context(), after.Header.BlobKey); !errors.Is(err, ErrNoEvent) {
		t.Errorf("an attachment was adopted: %v", err)
	}
	if err := in.Adopt(t.Context(), "nowhere"); !errors.Is(err, blob.ErrNotFound) {
		t.Errorf("a missing blob was adopted: %v", err)
	}
}

func TestMetaTextsAreCutBetweenCharacters(t *testing.T) {
	ev := event.Instance{Origin: event.Origin{Filename: "a" + string(bytes.Repeat([]byte("心"), 400))}, Warnings: []part10.Warning{}}
	got := metaOf(&ev, "id")[metaFilename]
	if len(got) > maxMetaValue || len(got) < maxMetaValue-3 || got != ev.Origin.Filename[:len(got)] || !bytes.HasSuffix([]byte(got), []byte("心")) {
		t.Errorf("%d bytes ending in % x", len(got), got[len(got)-3:])
	}
}
