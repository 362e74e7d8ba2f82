package ingest

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"io"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/iotest"
	"time"

	"github.com/tributary-dicom/tributary/parsers/part10"
	"github.com/tributary-dicom/tributary/parsers/reject"
	"github.com/tributary-dicom/tributary/pipeline/event"
	"github.com/tributary-dicom/tributary/pipeline/eventlog"
	"github.com/tributary-dicom/tributary/storage/blob"
	"github.com/tributary-dicom/tributary/storage/index"
)

// world is a blob store, a log and an index in memory. Each call to one of them counts; call number
// failAt fails. trace lists what became durable, in order.
type world struct {
	mu     sync.Mutex
	calls  int
	failAt int
	blobs  map[string][]byte
	metas  map[string]blob.Meta
	events []event.Envelope
	trace  []string
}

func newWorld() *world { return &world{blobs: map[string][]byte{}, metas: map[string]blob.Meta{}} }

var errFault = errors.New("fault on purpose")

func (w *world) step() error {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.calls++
	if w.calls == w.failAt {
		return errFault
	}
	return nil
}

func (w *world) Create(context.Context) (blob.Writer, error) {
	if err := w.step(); err != nil {
		return nil, err
	}
	return &memWriter{w: w}, nil
}

func (w *world) Open(_ context.Context, key string, off, n int64) (io.ReadCloser, error) {
	w.mu.Lock()
	defer w.mu.Unlock()
	b, ok := w.blobs[key]
	if !ok {
		return nil, blob.ErrNotFound
	}
	b = b[min(off, int64(len(b))):]
	if n >= 0 && n < int64(len(b)) {
		b = b[:n]
	}
	return io.NopCloser(bytes.NewReader(b)), nil
}

func (w *world) Stat(_ context.Context, key string) (blob.Info, error) {
	w.mu.Lock()
	defer w.mu.Unlock()
	b, ok := w.blobs[key]
	if !ok {
		return blob.Info{}, blob.ErrNotFound
	}
	return blob.Info{Key: key, Bytes: int64(len(b)), Meta: w.metas[key], Created: time.Unix(0, 0)}, nil
}

func (w *world) Delete(_ context.Context, key string) error {
	w.mu.Lock()
	defer w.mu.Unlock()
	delete(w.blobs, key)
	return nil
}

func (w *world) List(ctx context.Context, _ time.Time, fn func(blob.Info) error) error {
	w.mu.Lock()
	keys := []string{}
	for k := range w.blobs {
		keys = append(keys, k)
	}
	w.mu.Unlock()
	for _, k := range keys {
		info, err := w.Stat(ctx, k)
		if err == nil {
			err = fn(info)
		}
		if err != nil {
			return err
		}
	}
	return nil
}

func (w *world) Append(_ context.Context, events ...event.Envelope) ([]eventlog.Position, error) {
	if err := w.step(); err != nil {
		return nil, err
	}
	w.mu.Lock()
	defer w.mu.Unlock()
	var pos []eventlog.Position
	for _, e := range events {
		w.events = append(w.events, e)
		w.trace = append(w.trace, "event")
		pos = append(pos, eventlog.Position{Topic: e.Topic, Offset: int64(len(w.events))})
	}
	return pos, nil
}

func (w *world) AppendBacked(ctx context.Context, events ...event.Envelope) ([]eventlog.Position, error) {
	return w.Append(ctx, events...)
}

func (w *world) Since(_ context.Context, _ time.Time, fn func(event.Envelope) error) error {
	for _, e := range w.events {
		if err := fn(e); err != nil {
			return err
		}
	}
	return nil
}

func (w *world) Lookup(_ context.Context, tenant, sop string) (versions []index.Version, current string, err error) {
	w.mu.Lock()
	defer w.mu.Unlock()
	for _, env := range w.events {
		in, err := event.Decode[event.Instance](env.Data)
		if err != nil || in.Tenant != tenant || in.IDs.SOPInstanceUID != sop || env.Type == event.TypeInstanceQuarantined {
			continue
		}
		v := index.Version{
			ObjectID: in.ObjectID, DatasetSHA256: in.Blob.DatasetSHA256, BlobKey: in.Blob.Key,
			TransferSyntaxUID: in.Blob.TransferSyntaxUID, ReceivedAt: in.Origin.ReceivedAt.Format(time.RFC3339Nano),
			DerivedFrom: in.DerivedFrom, DerivedVersion: in.DerivedVersion,
		}
		if i := slices.IndexFunc(versions, func(v index.Version) bool { return v.ObjectID == in.ObjectID }); i >= 0 {
			versions[i] = v // the latest event of an object tells where its bytes are
		} else {
			versions = append(versions, v)
		}
	}
	if len(versions) > 0 {
		current = versions[0].ObjectID
	}
	return versions, current, nil
}

func (w *world) QuarantinedBytes(_ context.Context, tenant, sum string) (index.Quarantined, error) {
	w.mu.Lock()
	defer w.mu.Unlock()
	for _, env := range w.events {
		in, err := event.Decode[event.Instance](env.Data)
		if err == nil && env.Type == event.TypeInstanceQuarantined && in.Tenant == tenant && in.Blob.SHA256 == sum {
			return index.Quarantined{ObjectID: in.ObjectID, BlobKey: in.Blob.Key, Reason: in.Reason, Detail: in.ReasonDetail}, nil
		}
	}
	return index.Quarantined{}, index.ErrNotFound
}

func (w *world) Seen(eventlog.Position) bool { return true }

func (w *world) WaitApplied(context.Context, eventlog.Position) error { return nil }

type memWriter struct {
	w   *world
	buf bytes.Buffer
}

func (m *memWriter) Write(p []byte) (int, error) {
	if err := m.w.step(); err != nil {
		return 0, err
	}
	return m.buf.Write(p)
}

func (m *memWriter) Commit(_ context.Context, meta blob.Meta) (blob.Info, error) {
	if err := m.w.step(); err != nil {
		return blob.Info{}, err
	}
	m.w.mu.Lock()
	defer m.w.mu.Unlock()
	key := "blob-" + event.NewID()
	m.w.blobs[key], m.w.metas[key] = m.buf.Bytes(), meta
	m.w.trace = append(m.w.trace, "blob")
	return blob.Info{Key: key, Bytes: int64(m.buf.Len())}, nil
}

func (m *memWriter) Abort() {}

// element encodes one explicit little endian element with a 16-bit length.
func element(group, elem uint16, vr, value string) []byte {
	if len(value)%2 == 1 {
		pad := " "
		if vr == "UI" {
			pad = "\x00"
		}
		value += pad
	}
	return append([]byte{byte(group), byte(group >> 8), byte(elem), byte(elem >> 8), vr[0], vr[1], byte(len(value)), byte(len(value) >> 8)}, value...)
}

const ctStorage, explicitLE = "1.2.840.10008.5.1.4.1.1.2", "1.2.840.10008.1.2.1"

// dataset is a small CT instance.
func dataset(sop, name string) []byte {
	return bytes.Join([][]byte{
		element(0x0008, 0x0016, "UI", ctStorage), element(0x0008, 0x0018, "UI", sop), element(0x0008, 0x0060, "CS", "CT"),
		element(0x0010, 0x0010, "PN", name), element(0x0010, 0x0020, "LO", "P1"),
		element(0x0020, 0x000D, "UI", "1.2.3"), element(0x0020, 0x000E, "UI", "1.2.3.4"),
	}, nil)
}

func file(sop, name string) []byte {
	return append(part10.AppendFileMeta(nil, part10.FileMeta{
		MediaStorageSOPClassUID: ctStorage, MediaStorageSOPInstanceUID: sop, TransferSyntaxUID: explicitLE,
	}), dataset(sop, name)...)
}

func hexSum(b []byte) string {
	s := sha256.Sum256(b)
	return hex.EncodeToString(s[:])
}

func TestAdmitKeepsEveryByteOnce(t *testing.T) {
	w := newWorld()
	in := New(Config{}, w, w, w)
	bytesIn := file("1.2.3.4.5", "Wang^Wei")
	rec, err := in.Admit(t.Context(), Arrival{Body: iotest.OneByteReader(bytes.NewReader(bytesIn))})
	if err != nil {
		t.Fatal(err)
	}
	if rec.Status != Stored || rec.SHA256 != hexSum(bytesIn) || rec.Instance != "1.2.3.4.5" || rec.Study != "1.2.3" || rec.Format != "dicom" {
		t.Errorf("receipt %+v", rec)
	}
	if got := strings.Join(w.trace, ","); got != "blob,event" {
		t.Errorf("durable in the order %s, want blob,event", got)
	}
	got, err := event.Decode[event.Instance](w.events[0].Data)
	if err != nil {
		t.Fatal(err)
	}
	if !bytes.Equal(w.blobs[got.Blob.Key], bytesIn) {
		t.Error("the blob has other bytes than were sent")
	}
	if want := hexSum(dataset("1.2.3.4.5", "Wang^Wei")); got.Blob.DatasetSHA256 != want {
		t.Errorf("data set hash %s, want %s", got.Blob.DatasetSHA256, want)
	}
	if got.Attributes["PatientName"] != "Wang^Wei" || got.IDs.PatientID != "P1" {
		t.Errorf("attributes %v", got.Attributes)
	}
}

// TestAdmitHashesLargeObjects holds the two sums of an object that comes in many reads, of every size.
func TestAdmitHashesLargeObjects(t *testing.T) {
	head := file("1.2.3.4.5", "A")
	pixels := append([]byte{0xE0, 0x7F, 0x10, 0x00, 'O', 'W', 0, 0, 0, 0, 0x30, 0}, make([]byte, 3<<20)...)
	for i := range pixels[12:] {
		pixels[12+i] = byte(i * 7)
	}
	whole := slices.Concat(head, pixels)
	for name, r := range map[string]io.Reader{
		"at once":    bytes.NewReader(whole),
		"in halves":  iotest.HalfReader(bytes.NewReader(whole)),
		"by the end": iotest.DataErrReader(bytes.NewReader(whole)),
	} {
		w := newWorld()
		rec, err := New(Config{}, w, w, w).Admit(t.Context(), Arrival{Body: r})
		if err != nil || rec.SHA256 != hexSum(whole) {
			t.Errorf("%s: %+v, %v", name, rec, err)
			continue
		}
		got, err := event.Decode[event.Instance](w.events[0].Data)
		if err != nil {
			t.Fatal(err)
		}
		set := append(dataset("1.2.3.4.5", "A"), pixels...)
		if got.Blob.DatasetSHA256 != hexSum(set) || got.Blob.DatasetOffset != int64(len(whole)-len(set)) {
			t.Errorf("%s: data set %s at %d", name, got.Blob.DatasetSHA256, got.Blob.DatasetOffset)
		}
	}
}

func TestAdmitTellsDuplicatesFromConflicts(t *testing.T) {
	w := newWorld()
	in := New(Config{}, w, w, w)
	admit := func(b []byte) Receipt {
		t.Helper()
		rec, err := in.Admit(t.Context(), Arrival{Body: bytes.NewReader(b)})
		if err != nil {
			t.Fatal(err)
		}
		return rec
	}
	first := admit(file("1.2.3.4.5", "A"))
	// The same data set by another route has another File Meta group.
	again := append(part10.AppendFileMeta(nil, part10.FileMeta{
		MediaStorageSOPClassUID: ctStorage, MediaStorageSOPInstanceUID: "1.2.3.4.5", TransferSyntaxUID: explicitLE, SourceAETitle: "ELSEWHERE",
	}), dataset("1.2.3.4.5", "A")...)
	if dup := admit(again); dup.Status != Duplicate || dup.ID != first.ID {
		t.Errorf("same data set: %+v, want a duplicate of %s", dup, first.ID)
	}
	if len(w.blobs) != 1 || len(w.events) != 1 {
		t.Errorf("a duplicate left %d blobs and %d events", len(w.blobs), len(w.events))
	}
	// The same bytes under another transfer syntax are other pixels: one of the two was labelled wrongly.
	jpeg := append(part10.AppendFileMeta(nil, part10.FileMeta{
		MediaStorageSOPClassUID: ctStorage, MediaStorageSOPInstanceUID: "1.2.3.4.6", TransferSyntaxUID: "1.2.840.10008.1.2.4.50",
	}), dataset("1.2.3.4.6", "A")...)
	lossless := bytes.Replace(jpeg, []byte("1.2.840.10008.1.2.4.50"), []byte("1.2.840.10008.1.2.4.70"), 1)
	if a, b, c := admit(jpeg), admit(lossless), admit(lossless); a.Status != Stored || b.Status != Conflict || c.Status != Duplicate || c.ID != b.ID {
		t.Errorf("another transfer syntax: %s, %s, %s", a.Status, b.Status, c.Status)
	}
	w.blobs, w.events = map[string][]byte{w.blobKey(t, 0): w.blobs[w.blobKey(t, 0)]}, w.events[:1]
	if other := admit(file("1.2.3.4.5", "B")); other.Status != Conflict {
		t.Errorf("other data set: %+v, want a conflict", other)
	}
	if len(w.blobs) != 2 {
		t.Errorf("%d blobs, want both versions", len(w.blobs))
	}
	ev, _ := event.Decode[event.Instance](w.events[1].Data)
	if ev.ConflictOf != first.ID || w.events[1].Type != event.TypeInstanceConflict {
		t.Errorf("conflict of %q, type %s", ev.ConflictOf, w.events[1].Type)
	}
}

// TestDamagedCopyIsNoDuplicate loses and damages what was kept: the object that comes again must be kept
// again, as the same one, instead of being recognised and dropped.
func TestDamagedCopyIsNoDuplicate(t *testing.T) {
	w := newWorld()
	admit := func(b []byte) Receipt {
		t.Helper()
		rec, err := New(Config{}, rotten{w}, w, w).Admit(t.Context(), Arrival{Body: bytes.NewReader(b)})
		if err != nil {
			t.Fatal(err)
		}
		return rec
	}
	whole := file("1.2.3.4.5", "A")
	broken := whole[:len(whole)-70]
	first, kept := admit(whole), admit(broken)
	key := func(i int) string { return w.blobKey(t, i) }
	w.blobs[key(0)] = nil // rotten
	delete(w.blobs, key(1))
	again := admit(whole)
	if again.Status != Stored || again.ID != first.ID || !bytes.Equal(w.blobs[key(2)], whole) {
		t.Errorf("the copy that came again: %+v, want it kept as %s", again, first.ID)
	}
	was, _ := event.Decode[event.Instance](w.events[0].Data)
	is, _ := event.Decode[event.Instance](w.events[2].Data)
	if !is.Origin.ReceivedAt.Equal(was.Origin.ReceivedAt) {
		t.Errorf("received %v, want the object's own %v: the choice among versions depends on it", is.Origin.ReceivedAt, was.Origin.ReceivedAt)
	}
	if dup := admit(whole); dup.Status != Duplicate || dup.ID != first.ID || len(w.events) != 3 {
		t.Errorf("after the repair: %+v and %d events, want a duplicate", dup, len(w.events))
	}
	if rec := admit(broken); rec.Status != Quarantined || rec.ID == kept.ID || !bytes.Equal(w.blobs[key(3)], broken) {
		t.Errorf("a quarantined copy that came again: %+v, want it kept anew", rec)
	}
}

func (w *world) blobKey(t *testing.T, number int) string {
	t.Helper()
	ev, err := event.Decode[event.Instance](w.events[number].Data)
	if err != nil {
		t.Fatal(err)
	}
	return ev.Blob.Key
}

// rotten says of an empty blob that it is damaged, as stores with checksums do.
type rotten struct{ *world }

func (r rotten) Open(ctx context.Context, key string, off, n int64) (io.ReadCloser, error) {
	if b, ok := r.blobs[key]; ok && len(b) == 0 {
		return io.NopCloser(iotest.ErrReader(blob.ErrCorrupt)), nil
	}
	return r.world.Open(ctx, key, off, n)
}

func TestAdmitVerdicts(t *testing.T) {
	whole := file("1.2.3.4.5", "A")
	for name, c := range map[string]struct {
		arrival Arrival
		code    reject.Code
		kept    int
	}{
		"nothing":           {Arrival{Body: strings.NewReader("")}, reject.Empty, 0},
		"no format":         {Arrival{Body: strings.NewReader("hello, this is no image at all")}, reject.UnsupportedFormat, 0},
		"cut off in a name": {Arrival{Body: bytes.NewReader(whole[:len(whole)-70])}, reject.Truncated, 1},
		"sender breaks off": {Arrival{Body: io.MultiReader(bytes.NewReader(whole[:300]), iotest.ErrReader(io.ErrUnexpectedEOF))}, reject.Aborted, 0},
		"over the limit":    {Arrival{Body: bytes.NewReader(whole), MaxBytes: 200}, reject.TooLarge, 0},
		"other instance":    {Arrival{Body: bytes.NewReader(whole), SOPInstanceUID: "1.2.9"}, reject.ClassMismatch, 0},
		"other study":       {Arrival{Body: bytes.NewReader(whole), StudyInstanceUID: "1.2.9"}, reject.StudyMismatch, 0},
		"wrong checksum":    {Arrival{Body: bytes.NewReader(whole), SHA256: strings.Repeat("0", 64)}, reject.ChecksumMismatch, 0},
	} {
		t.Run(name, func(t *testing.T) {
			w := newWorld()
			rec, err := New(Config{}, w, w, w).Admit(t.Context(), c.arrival)
			code := reject.Code(rec.Reason)
			if err != nil {
				code = reject.CodeOf(err)
			}
			if code != c.code || len(w.blobs) != c.kept || len(w.events) != c.kept {
				t.Errorf("code %q (%v), %d blobs, %d events; want %q and %d", code, err, len(w.blobs), len(w.events), c.code, c.kept)
			}
			if c.kept == 1 && (rec.Status != Quarantined || w.events[0].Type != event.TypeInstanceQuarantined) {
				t.Errorf("receipt %+v, event %s", rec, w.events[0].Type)
			}
		})
	}
}

// TestAnyFault fails each call to an engine in turn. Whatever fails, the device hears no success for what
// is not durable, and a resend after it makes the object present once.
func TestAnyFault(t *testing.T) {
	body := file("1.2.3.4.5", "A")
	for n := 1; ; n++ {
		w := newWorld()
		w.failAt = n
		in := New(Config{}, w, w, w)
		_, err := in.Admit(t.Context(), Arrival{Body: bytes.NewReader(body)})
		reached := w.calls >= n
		if reached && err == nil {
			t.Fatalf("fault %d: success", n)
		}
		if err == nil && len(w.events) != 1 {
			t.Fatalf("fault %d: success without an event", n)
		}
		if reached {
			if _, err := in.Admit(t.Context(), Arrival{Body: bytes.NewReader(body)}); err != nil {
				t.Fatalf("fault %d: the resend failed: %v", n, err)
			}
		}
		if len(w.events) != 1 {
			t.Fatalf("fault %d: %d events", n, len(w.events))
		}
		// A blob that lost its event is adopted; nothing else is left over.
		adopted, err := in.AdoptOrphans(t.Context(), w, w, time.Time{}, time.Now())
		if err != nil || len(w.blobs) != 1+adopted {
			t.Fatalf("fault %d: adopted %d of %d blobs: %v", n, adopted, len(w.blobs), err)
		}
		if !reached {
			break
		}
	}
}

// TestRepeatedBrokenObject sends the same cut file over and over, as a device does that was told to.
func TestRepeatedBrokenObject(t *testing.T) {
	w := newWorld()
	in := New(Config{}, w, w, w)
	whole := file("1.2.3.4.5", "A")
	var first Receipt
	for i := range 5 {
		rec, err := in.Admit(t.Context(), Arrival{Body: bytes.NewReader(whole[:len(whole)-70])})
		if err != nil || rec.Status != Quarantined {
			t.Fatalf("%+v, %v", rec, err)
		}
		if i == 0 {
			first = rec
		}
		if rec.ID != first.ID {
			t.Errorf("time %d: entry %s, want %s", i, rec.ID, first.ID)
		}
	}
	if len(w.blobs) != 1 || len(w.events) != 1 {
		t.Errorf("%d blobs and %d events of one broken file", len(w.blobs), len(w.events))
	}
}

func TestTwoSendersOneInstance(t *testing.T) {
	w := newWorld()
	in := New(Config{}, w, w, w)
	var wg sync.WaitGroup
	for range 16 {
		wg.Go(func() {
			if _, err := in.Admit(t.Context(), Arrival{Body: bytes.NewReader(file("1.2.3.4.5", "A"))}); err != nil {
				t.Error(err)
			}
		})
	}
	wg.Wait()
	if len(w.blobs) != 1 || len(w.events) != 1 {
		t.Errorf("%d blobs and %d events of one data set", len(w.blobs), len(w.events))
	}
}

func TestRetryLeavesQuarantineOnlyOnSuccess(t *testing.T) {
	w := newWorld()
	in := New(Config{SOPClass: nil}, w, w, w)
	whole := file("1.2.3.4.5", "A")
	cut, err := in.Admit(t.Context(), Arrival{Body: bytes.NewReader(whole[:len(whole)-70])})
	if err != nil || cut.Status != Quarantined {
		t.Fatalf("%+v, %v", cut, err)
	}
	ev, _ := event.Decode[event.Instance](w.events[0].Data)
	q := index.Quarantined{ObjectID: cut.ID, BlobKey: ev.Blob.Key}
	if _, err := in.Retry(t.Context(), DefaultTenant, q, "op"); reject.CodeOf(err) != reject.Truncated || len(w.blobs) != 1 {
		t.Errorf("retry of a cut object: %v, %d blobs", err, len(w.blobs))
	}
	// The bytes behind the entry become whole: as when a newer scanner can read them.
	w.blobs[ev.Blob.Key] = whole
	rec, err := in.Retry(t.Context(), DefaultTenant, q, "op")
	if err != nil || rec.Status != Stored {
		t.Fatalf("retry: %+v, %v", rec, err)
	}
	if last := w.events[len(w.events)-1]; last.Type != event.TypeQuarantineResolved {
		t.Errorf("last event %s", last.Type)
	}
	if _, ok := w.blobs[ev.Blob.Key]; ok {
		t.Error("the quarantined bytes are still there")
	}
}
