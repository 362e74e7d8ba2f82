package ingest

import (
	"bytes"
	"errors"
	"math"
	"strings"
	"testing"
	"time"

	"github.com/tributary-dicom/tributary/ecgout/dicomecg"
	"github.com/tributary-dicom/tributary/parsers/ecg"
	"github.com/tributary-dicom/tributary/parsers/ecg/ecgtest"
	"github.com/tributary-dicom/tributary/parsers/ecg/formats"
	"github.com/tributary-dicom/tributary/parsers/ecg/scpecg/scptest"
	"github.com/tributary-dicom/tributary/parsers/reject"
	"github.com/tributary-dicom/tributary/pipeline/event"
)

// scp is a short SCP-ECG record with statements.
func scp(statements ...string) []byte {
	var leads []scptest.Lead
	for id := byte(1); id <= 2; id++ {
		samples := make([]int16, 1000)
		for i := range samples {
			samples[i] = int16(300 * math.Sin(float64(i)/20) * float64(id))
		}
		leads = append(leads, scptest.Lead{ID: id, Samples: samples})
	}
	r := &scptest.Record{
		Tags:    []scptest.Tag{scptest.Text(0, "Zhang"), scptest.Text(2, "P7"), scptest.Date(25, 2026, 3, 4)},
		Default: true, Encoding: 1, Leads: leads,
	}
	if len(statements) > 0 {
		r.Other = map[int][]byte{8: section8(statements)}
	}
	return r.Bytes()
}

// section8 is an unconfirmed report of 4 March 2026, in UTF-8.
func section8(statements []string) []byte {
	b := []byte{1, 0xEA, 0x07, 3, 4, 10, 20, 30, byte(len(statements))}
	for i, text := range statements {
		n := len(text) + 1
		b = append(append(append(b, byte(i+1), byte(n), byte(n>>8)), text...), 0)
	}
	return b
}

func (w *world) last(t *testing.T) (string, *event.Instance) {
	t.Helper()
	w.mu.Lock()
	defer w.mu.Unlock()
	env := w.events[len(w.events)-1]
	in, err := event.Decode[event.Instance](env.Data)
	if err != nil {
		t.Fatal(err)
	}
	return env.Type, in
}

func TestRecordingIsKeptAsItCame(t *testing.T) {
	w := newWorld()
	in := New(Config{}, w, w, w)
	file := scp("Acute MI")
	arrive := func() Receipt {
		t.Helper()
		rec, err := in.Admit(t.Context(), Arrival{Body: bytes.NewReader(file), Origin: event.Origin{Door: "upload", Filename: `C:\carts\7.scp`}})
		if err != nil {
			t.Fatal(err)
		}
		return rec
	}
	rec := arrive()
	ids := ecg.Identity(DefaultTenant, rec.SHA256, nil)
	if rec.Status != Stored || rec.Format != "scp-ecg" || rec.Study != ids.Study || rec.Instance != ids.Derived {
		t.Errorf("%+v", rec)
	}
	kind, ev := w.last(t)
	if kind != event.TypeInstanceStored || ev.IDs.SOPInstanceUID != ids.Source || ev.IDs.PatientID != "P7" || ev.IDs.SOPClassUID != "" ||
		ev.Attributes["PatientName"] != "Zhang" || ev.Attributes["StudyDate"] != "20260304" || ev.Blob.MediaType == "application/dicom" {
		t.Errorf("%s %+v", kind, ev)
	}
	if ev.ECG == nil || ev.ECG.SamplingFrequencyHz != 500 || ev.ECG.DurationMillis != 2000 || len(ev.ECG.Leads) != 2 {
		t.Errorf("%+v", ev.ECG)
	}
	if ev.Priority != event.PriorityStat || len(ev.Findings) != 1 || ev.Findings[0] != (event.Finding{Finding: "acute-mi", Statement: "Acute MI"}) {
		t.Errorf("%s %+v", ev.Priority, ev.Findings)
	}
	if !bytes.Equal(w.blobs[ev.Blob.Key], file) {
		t.Error("other bytes are kept")
	}
	if again := arrive(); again.Status != Duplicate || again.ID != rec.ID || again.Study != rec.Study || len(w.blobs) != 1 {
		t.Errorf("%+v, %d blobs", again, len(w.blobs))
	}
	// A copy that cannot be read is replaced, under its own id.
	w.mu.Lock()
	clear(w.blobs)
	w.mu.Unlock()
	if again := arrive(); again.Status != Stored || again.ID != rec.ID || len(w.blobs) != 1 {
		t.Errorf("%+v, %d blobs", again, len(w.blobs))
	}
}

func TestRecordingThatIsNoneIsQuarantinedOnce(t *testing.T) {
	w := newWorld()
	in := New(Config{}, w, w, w)
	file := scp()
	file = file[:len(file)/3]
	var first Receipt
	for range 2 {
		rec, err := in.Admit(t.Context(), Arrival{Body: bytes.NewReader(file)})
		if err != nil || rec.Status != Quarantined || rec.Reason == "" || rec.Study != "" {
			t.Fatalf("%+v, %v", rec, err)
		}
		if first.ID == "" {
			first = rec
		}
		if rec.ID != first.ID || len(w.blobs) != 1 || len(w.events) != 1 {
			t.Errorf("%+v after %+v, %d blobs, %d events", rec, first, len(w.blobs), len(w.events))
		}
	}
	kind, ev := w.last(t)
	if kind != event.TypeInstanceQuarantined || ev.Reason != first.Reason || ev.ECG != nil {
		t.Errorf("%s %+v", kind, ev)
	}
	// A retry that fails leaves no second copy.
	if _, err := in.admit(t.Context(), Arrival{Body: bytes.NewReader(file)}, admission{objectID: "x", received: time.Now(), retry: true}); reject.CodeOf(err) != reject.Code(first.Reason) {
		t.Errorf("a retry: %v", err)
	}
	if len(w.blobs) != 1 || len(w.events) != 1 {
		t.Errorf("%d blobs, %d events after the retry", len(w.blobs), len(w.events))
	}
}

// TestArchiveOfNothingIsRefused: an archive is known for what it is only when it is whole and kept, and then
// goes again.
func TestArchiveOfNothingIsRefused(t *testing.T) {
	w := newWorld()
	in := New(Config{}, w, w, w)
	empty := append([]byte("PK\x05\x06"), make([]byte, 18)...)
	if _, err := in.Admit(t.Context(), Arrival{Body: bytes.NewReader(empty)}); err == nil || reject.CodeOf(err).Keeps() {
		t.Errorf("%v", err)
	}
	if len(w.blobs) != 0 || len(w.events) != 0 {
		t.Errorf("%d blobs, %d events", len(w.blobs), len(w.events))
	}
}

// TestRecordingFaults: whatever fails, no success is told before blob and event are there, and a device that
// sends again gets one.
func TestRecordingFaults(t *testing.T) {
	for at := 1; ; at++ {
		w := newWorld()
		w.failAt = at
		in := New(Config{}, w, w, w)
		rec, err := in.Admit(t.Context(), Arrival{Body: bytes.NewReader(scp())})
		if err == nil && w.calls < at {
			if rec.Status != Stored || len(w.trace) != 2 || w.trace[0] != "blob" {
				t.Fatalf("%+v, %v", rec, w.trace)
			}
			return
		}
		var why *reject.Error
		if !errors.As(err, &why) && err != nil {
			t.Errorf("call %d: %v is no reason", at, err)
		}
		if err == nil {
			continue // Lookup failed: a second copy would be worse than none
		}
		if again, err := in.Admit(t.Context(), Arrival{Body: bytes.NewReader(scp())}); err != nil || again.Status != Stored {
			t.Errorf("call %d, sent again: %+v, %v", at, again, err)
		}
	}
}

// TestDerivedWithoutDate: the date that a derived object must have is not told as the recording's.
func TestDerivedWithoutDate(t *testing.T) {
	for _, dated := range []bool{true, false} {
		tags := []scptest.Tag{scptest.Text(2, "P7")}
		if dated {
			tags = append(tags, scptest.Date(25, 2026, 3, 4))
		}
		samples := make([]int16, 5000)
		for i := range samples {
			samples[i] = int16(i % 300)
		}
		original := (&scptest.Record{Tags: tags, Default: true, Leads: []scptest.Lead{{ID: 1, Samples: samples}}}).Bytes()
		rec, err := formats.Decode(ecgtest.Source("", original), ecg.Limits{})
		if err != nil {
			t.Fatal(err)
		}
		var object bytes.Buffer
		opt := dicomecg.Options{Tenant: DefaultTenant, SourceSHA256: strings.Repeat("ab", 32), Received: time.Now()}
		if err := dicomecg.Write(&object, rec, opt); err != nil {
			t.Fatal(err)
		}
		w := newWorld()
		in := New(Config{}, w, w, w)
		if _, err := in.Admit(t.Context(), Arrival{Body: &object, DerivedFrom: "original"}); err != nil {
			t.Fatal(err)
		}
		_, ev := w.last(t)
		if ev.ECG == nil || ev.DerivedFrom != "original" || (ev.ECG.AcquiredAt != "") != dated || ev.ECG.ZoneKnown {
			t.Errorf("dated %v: %+v", dated, ev.ECG)
		}
	}
}

// TestRecordingAdoption: the event of a recording that was lost is made again as it was.
func TestRecordingAdoption(t *testing.T) {
	for name, file := range map[string][]byte{"whole": scp("室颤"), "cut": scp()[:400]} {
		t.Run(name, func(t *testing.T) {
			w := newWorld()
			in := New(Config{}, w, w, w)
			if _, err := in.Admit(t.Context(), Arrival{Body: bytes.NewReader(file)}); err != nil {
				t.Fatal(err)
			}
			kind, ev := w.last(t)
			if err := in.Adopt(t.Context(), ev.Blob.Key); err != nil {
				t.Fatal(err)
			}
			again, made := w.last(t)
			made.Adopted, ev.Origin.ReceivedAt = false, made.Origin.ReceivedAt
			want, err := event.Encode(ev)
			if err != nil {
				t.Fatal(err)
			}
			got, err := event.Encode(made)
			if err != nil || again != kind || !bytes.Equal(got, want) {
				t.Errorf("%s %s, %v\nwant %s %s", again, got, err, kind, want)
			}
		})
	}
}
