package derive_test

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"math"
	"path/filepath"
	"sync"
	"testing"
	"time"

	"go.uber.org/goleak"

	"github.com/tributary-dicom/tributary/parsers/ecg"
	"github.com/tributary-dicom/tributary/parsers/ecg/scpecg/scptest"
	"github.com/tributary-dicom/tributary/parsers/part10"
	"github.com/tributary-dicom/tributary/parsers/reject"
	"github.com/tributary-dicom/tributary/pipeline/derive"
	"github.com/tributary-dicom/tributary/pipeline/event"
	"github.com/tributary-dicom/tributary/pipeline/eventlog"
	"github.com/tributary-dicom/tributary/pipeline/eventlog/locallog"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

func scp() []byte {
	var leads []scptest.Lead
	for id := byte(1); id <= 8; id++ {
		samples := make([]int16, 5000)
		for i := range samples {
			samples[i] = int16(300 * math.Sin(float64(i)/20) * float64(id))
		}
		leads = append(leads, scptest.Lead{ID: id, Samples: samples})
	}
	r := &scptest.Record{Tags: []scptest.Tag{scptest.Text(0, "张三"), scptest.Text(2, "P7"), scptest.Date(25, 2026, 3, 4)}, Default: true, Leads: leads}
	return r.Bytes()
}

// errLost is of a blob that nobody has any more.
var errLost = errors.New("no such blob")

// house is what the stage works in: blobs by key, and what came to admission.
type house struct {
	log *locallog.Log

	mu      sync.Mutex
	blobs   map[string][]byte
	objects [][]byte
	sources []string
	fail    func(n int) error // of the n-th admission
	tries   int
}

func newHouse(t *testing.T) *house {
	t.Helper()
	log, err := locallog.Open(t.Context(), filepath.Join(t.TempDir(), "log.db"), locallog.Options{})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = log.Close() })
	return &house{log: log, blobs: map[string][]byte{}}
}

// stored appends the event of a file.
func (h *house) stored(t *testing.T, format string, file []byte) event.Instance {
	t.Helper()
	sum := sha256.Sum256(file)
	ids := ecg.Identity("county", hex.EncodeToString(sum[:]), nil)
	in := event.Instance{
		ObjectID: event.NewID(), Tenant: "county", Origin: event.Origin{Door: "upload", ReceivedAt: time.Date(2026, 3, 5, 1, 2, 3, 0, time.UTC)},
		Blob: event.Blob{Key: "k" + event.NewID(), Bytes: int64(len(file)), SHA256: hex.EncodeToString(sum[:]), DatasetSHA256: hex.EncodeToString(sum[:]), Format: format},
		IDs:  event.IDs{StudyInstanceUID: ids.Study, SeriesInstanceUID: ids.Series, SOPInstanceUID: ids.Source},
	}
	h.mu.Lock()
	h.blobs[in.Blob.Key] = file
	h.mu.Unlock()
	env, err := event.NewInstance(event.TypeInstanceStored, "/test", time.Now(), &in)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := h.log.Append(t.Context(), env); err != nil {
		t.Fatal(err)
	}
	return in
}

func (h *house) open(_ context.Context, key string, _ int64) (io.ReaderAt, error) {
	h.mu.Lock()
	defer h.mu.Unlock()
	b, ok := h.blobs[key]
	if !ok {
		return nil, errLost
	}
	return bytes.NewReader(b), nil
}

func (h *house) admit(_ context.Context, d derive.Derived) error {
	h.mu.Lock()
	h.tries++
	n := h.tries
	h.mu.Unlock()
	if h.fail != nil {
		if err := h.fail(n); err != nil {
			return err
		}
	}
	b, err := io.ReadAll(d.Body)
	if err != nil {
		return err
	}
	h.mu.Lock()
	defer h.mu.Unlock()
	h.objects, h.sources = append(h.objects, b), append(h.sources, d.Source.ObjectID)
	return nil
}

// run lets the stage work until done says so.
func (h *house) run(t *testing.T, group string, done func() bool) {
	t.Helper()
	ctx, stop := context.WithCancel(t.Context())
	ended := make(chan error, 1)
	go func() {
		ended <- derive.Run(ctx, derive.Config{Log: h.log, Group: group, Open: h.open, Admit: h.admit, Gone: func(err error) bool { return errors.Is(err, errLost) }})
	}()
	deadline := time.Now().Add(30 * time.Second)
	for !done() && time.Now().Before(deadline) {
		time.Sleep(5 * time.Millisecond)
	}
	stop()
	if err := <-ended; err != nil {
		t.Error(err)
	}
	if !done() {
		t.Fatal("the stage did not get there")
	}
}

func (h *house) have(n int) func() bool {
	return func() bool {
		h.mu.Lock()
		defer h.mu.Unlock()
		return len(h.objects) >= n
	}
}

func TestDerive(t *testing.T) {
	h := newHouse(t)
	h.stored(t, "dicom", []byte("is left alone"))
	in := h.stored(t, "scp-ecg", scp())
	h.run(t, "derive", h.have(1))
	h.run(t, "again", h.have(2)) // from the beginning, by another group
	if !bytes.Equal(h.objects[0], h.objects[1]) {
		t.Error("a repetition makes another object")
	}
	o, err := part10.Scan(bytes.NewReader(h.objects[0]), part10.Options{})
	if err != nil {
		t.Fatal(err)
	}
	ids := ecg.Identity("county", in.Blob.SHA256, nil)
	if o.SOPInstanceUID != ids.Derived || o.StudyInstanceUID != ids.Study || o.SeriesInstanceUID != ids.Series ||
		o.SOPClassUID != "1.2.840.10008.5.1.4.1.1.9.1.1" || o.Attributes["PatientName"] != "张三" || o.Attributes["StudyDate"] != "20260304" {
		t.Errorf("%s %s %s %s %v", o.SOPClassUID, o.SOPInstanceUID, o.StudyInstanceUID, o.SeriesInstanceUID, o.Attributes)
	}
	if h.sources[0] != in.ObjectID {
		t.Errorf("made of %s, want %s", h.sources[0], in.ObjectID)
	}
}

// TestDeriveFaults: what passes is waited for, what is the object's own fault becomes a dead letter, and the
// next one is not kept waiting.
func TestDeriveFaults(t *testing.T) {
	h := newHouse(t)
	h.stored(t, "scp-ecg", scp())
	h.fail = func(n int) error {
		if n <= 2 {
			return reject.New(reject.OutOfResources, "test", "the store is away")
		}
		return nil
	}
	h.run(t, "derive", h.have(1))
	if h.tries != 3 {
		t.Errorf("%d tries, want 3", h.tries)
	}

	h = newHouse(t)
	bad := h.stored(t, "scp-ecg", scp()[:500])
	h.stored(t, "scp-ecg", scp())
	h.run(t, "derive", h.have(1))
	letter := func(of event.Instance) {
		t.Helper()
		letters, err := h.log.ReadFrom(t.Context(), event.TopicDeadLetter, eventlog.Position{}, 10)
		if err != nil || len(letters) != 1 || !bytes.Contains(letters[0].Event.Data, []byte(of.ObjectID)) {
			t.Errorf("%d dead letters, %v", len(letters), err)
		}
	}
	letter(bad)

	h = newHouse(t)
	lost := h.stored(t, "scp-ecg", scp())
	delete(h.blobs, lost.Blob.Key)
	h.stored(t, "scp-ecg", scp())
	h.run(t, "derive", h.have(1))
	letter(lost)
}

// eeg is an EDF file of one channel that is no lead of an ECG: a record of 10 samples.
func eeg() []byte {
	var b bytes.Buffer
	field := func(width int, text string) { fmt.Fprintf(&b, "%-*s", width, text) }
	for _, f := range []struct {
		width int
		text  string
	}{
		{8, "0"},
		{80, "X"},
		{80, "X"},
		{8, "01.01.26"},
		{8, "08.00.00"},
		{8, "512"},
		{44, ""},
		{8, "1"},
		{8, "1"},
		{4, "1"},
		{16, "EEG Fpz-Cz"},
		{80, ""},
		{8, "uV"},
		{8, "-100"},
		{8, "100"},
		{8, "-2048"},
		{8, "2047"},
		{80, ""},
		{8, "10"},
		{32, ""},
	} {
		field(f.width, f.text)
	}
	return append(b.Bytes(), make([]byte, 20)...)
}

// TestDeriveNothing: a recording without a lead of an ECG stays an original, and nobody is alarmed.
func TestDeriveNothing(t *testing.T) {
	h := newHouse(t)
	h.stored(t, "edf", eeg())
	h.stored(t, "scp-ecg", scp())
	h.run(t, "derive", h.have(1))
	letters, err := h.log.ReadFrom(t.Context(), event.TopicDeadLetter, eventlog.Position{}, 10)
	if err != nil || len(letters) != 0 {
		t.Errorf("%d dead letters, %v", len(letters), err)
	}
}
