package audit_test

import (
	"bytes"
	"context"
	"crypto/rand"
	"encoding/binary"
	"encoding/hex"
	"errors"
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/tributary-dicom/tributary/ingest"
	"github.com/tributary-dicom/tributary/parsers/ecg/scpecg/scptest"
	"github.com/tributary-dicom/tributary/parsers/part10"
	"github.com/tributary-dicom/tributary/pipeline/event"
	"github.com/tributary-dicom/tributary/pipeline/eventlog"
	"github.com/tributary-dicom/tributary/pipeline/eventlog/locallog"
	"github.com/tributary-dicom/tributary/pipeline/rebuild"
	"github.com/tributary-dicom/tributary/storage/audit"
	"github.com/tributary-dicom/tributary/storage/blob"
	"github.com/tributary-dicom/tributary/storage/blob/dirblob"
	"github.com/tributary-dicom/tributary/storage/index"
)

// world is a node's engines and its admission, without doors.
type world struct {
	t      *testing.T
	dir    string
	blobs  *dirblob.Store
	log    *locallog.Log
	index  *index.DB
	intake *ingest.Intake
}

// view is the index as admission sees it: always up to the log.
type view struct{ *world }

func (v view) Lookup(ctx context.Context, tenant, sop string) ([]index.Version, string, error) {
	v.catchUp()
	return v.index.Lookup(ctx, tenant, sop)
}

func (v view) QuarantinedBytes(ctx context.Context, tenant, sum string) (index.Quarantined, error) {
	v.catchUp()
	return v.index.QuarantinedBytes(ctx, tenant, sum)
}

func (v view) WaitApplied(context.Context, eventlog.Position) error { v.catchUp(); return nil }
func (v view) Seen(eventlog.Position) bool                          { return true }

func newWorld(t *testing.T) *world {
	w := &world{t: t, dir: t.TempDir()}
	w.open()
	t.Cleanup(w.close)
	return w
}

func (w *world) open() {
	w.t.Helper()
	var err error
	if w.blobs, err = dirblob.Open(filepath.Join(w.dir, "blobs"), dirblob.Options{SmallBytes: 64 << 10, ReserveBytes: -1}); err != nil {
		w.t.Fatal(err)
	}
	if w.log, err = locallog.Open(w.t.Context(), filepath.Join(w.dir, "log.db"), locallog.Options{}); err != nil {
		w.t.Fatal(err)
	}
	if w.index, err = index.OpenSQLite(w.t.Context(), w.indexPath(), index.Options{}); err != nil {
		w.t.Fatal(err)
	}
	w.intake = ingest.New(ingest.Config{Node: "/tributary/test"}, w.blobs, w.log, view{w})
}

func (w *world) close() {
	if err := errors.Join(w.index.Close(), w.log.Close(), w.blobs.Close()); err != nil {
		w.t.Error(err)
	}
}

// away closes the engines while fn works on their files.
func (w *world) away(fn func()) {
	w.t.Helper()
	w.close()
	fn()
	w.open()
}

func (w *world) indexPath() string { return filepath.Join(w.dir, "index.db") }

func (w *world) source() rebuild.Log { return rebuild.Of(w.log) }

func (w *world) catchUp() {
	w.t.Helper()
	if _, err := rebuild.FromLog(w.t.Context(), w.source(), w.index, rebuild.Options{}); err != nil {
		w.t.Fatal(err)
	}
}

func (w *world) admit(body []byte) ingest.Receipt {
	w.t.Helper()
	rec, err := w.intake.Admit(w.t.Context(), ingest.Arrival{Body: bytes.NewReader(body), Origin: event.Origin{
		Door: "dimse", Remote: "10.1.2.3:104", CallingAE: "KIT7", CalledAE: "TRIBUTARY", Filename: "心电 1.dcm",
	}})
	if err != nil {
		w.t.Fatal(err)
	}
	return rec
}

func (w *world) dump() string {
	w.t.Helper()
	w.catchUp()
	var b strings.Builder
	if err := w.index.Dump(w.t.Context(), &b); err != nil {
		w.t.Fatal(err)
	}
	return b.String()
}

// Fresh makes the index again and swaps it in.
func (w *world) rebuildIndex(ctx context.Context) (int64, error) {
	fresh, err := index.FreshSQLite(ctx, w.indexPath(), index.Options{})
	if err != nil {
		return 0, err
	}
	done, err := rebuild.FromLog(ctx, w.source(), fresh, rebuild.Options{})
	if err != nil {
		return 0, errors.Join(err, fresh.Discard())
	}
	if err := errors.Join(w.index.Close(), fresh.Swap()); err != nil {
		return 0, err
	}
	w.index, err = index.OpenSQLite(ctx, w.indexPath(), index.Options{})
	return done.Records, err
}

func (w *world) engines() audit.Engines {
	return audit.Engines{Blobs: w.blobs, Log: w.source(), Index: w.index, Kept: ingest.Kept}
}

func (w *world) verify(opt audit.Options) *audit.Report {
	w.t.Helper()
	opt.Dir = w.t.TempDir()
	r, err := audit.Verify(w.t.Context(), w.engines(), opt)
	if err != nil {
		w.t.Fatal(err)
	}
	if left, err := os.ReadDir(opt.Dir); err != nil || len(left) > 0 {
		w.t.Errorf("scratch files are left: %v, %v", left, err)
	}
	return r
}

func (w *world) repair(opt audit.Options, keep time.Duration) *audit.Report {
	w.t.Helper()
	r, err := audit.Repair(w.t.Context(), w.engines(), opt, audit.Tools{
		Adopt: w.intake.Adopt, Redescribe: w.intake.Redescribe, Remove: w.blobs.Delete, Keep: keep,
		Index: func(ctx context.Context, anew bool) (int64, error) {
			if anew {
				return w.rebuildIndex(ctx)
			}
			done, err := rebuild.FromLog(ctx, w.source(), w.index, rebuild.Options{})
			return done.Records, err
		},
	})
	if err != nil {
		w.t.Fatal(err)
	}
	return r
}

// wants fails unless the report counts exactly this.
func wants(t *testing.T, what string, r *audit.Report, want map[audit.Code]int64) {
	t.Helper()
	if !maps.Equal(r.Counts, want) {
		var text strings.Builder
		_ = r.WriteText(&text)
		t.Errorf("%s: %v, want %v\n%s", what, r.Counts, want, text.String())
	}
}

const usStorage, explicitLE = "1.2.840.10008.5.1.4.1.1.6.1", "1.2.840.10008.1.2.1"

func element(group, elem uint16, vr, value string) []byte {
	if len(value)%2 == 1 {
		pad := " "
		if vr == "UI" {
			pad = "\x00"
		}
		value += pad
	}
	b := binary.LittleEndian.AppendUint16(nil, group)
	b = append(binary.LittleEndian.AppendUint16(b, elem), vr...)
	if vr == "UT" || vr == "OB" {
		return append(binary.LittleEndian.AppendUint32(append(b, 0, 0), uint32(len(value))), value...)
	}
	return append(binary.LittleEndian.AppendUint16(b, uint16(len(value))), value...)
}

// file is an ultrasound image of a Chinese patient; extra elements of group 0011H come before the patient's.
func file(number int, name string, extra ...[]byte) []byte {
	sop := fmt.Sprintf("1.2.826.0.1.3680043.10.9.%d", number)
	b := part10.AppendFileMeta(nil, part10.FileMeta{
		MediaStorageSOPClassUID: usStorage, MediaStorageSOPInstanceUID: sop, TransferSyntaxUID: explicitLE,
	})
	for _, e := range [][]byte{
		element(0x0008, 0x0005, "CS", "ISO_IR 192"), element(0x0008, 0x0016, "UI", usStorage), element(0x0008, 0x0018, "UI", sop),
		element(0x0008, 0x0060, "CS", "US"), element(0x0010, 0x0010, "PN", name), element(0x0010, 0x0020, "LO", "P1"),
		bytes.Join(extra, nil),
		element(0x0020, 0x000D, "UI", fmt.Sprintf("1.2.826.0.1.3680043.10.7.%d", number/4)),
		element(0x0020, 0x000E, "UI", fmt.Sprintf("1.2.826.0.1.3680043.10.8.%d", number/2)),
	} {
		b = append(b, e...)
	}
	return b
}

// noise is text that does not compress below the size of an event.
func noise(t *testing.T) []byte {
	t.Helper()
	var out []byte
	for i := range 8 {
		b := make([]byte, 30<<10)
		if _, err := rand.Read(b); err != nil {
			t.Fatal(err)
		}
		out = append(out, element(0x0010, 0x4000+uint16(i), "UT", hex.EncodeToString(b))...)
	}
	return out
}

// recording is a short ECG that is not DICOM.
func recording() []byte {
	r := &scptest.Record{Default: true, Encoding: 1, Tags: []scptest.Tag{scptest.Text(0, "张"), scptest.Text(2, "P7"), scptest.Date(25, 2026, 3, 4)}}
	for id := byte(1); id <= 2; id++ {
		r.Leads = append(r.Leads, scptest.Lead{ID: id, Samples: make([]int16, 1000)})
	}
	return r.Bytes()
}

// furnish fills a world with objects of every fate, and decisions of every kind. It returns the receipts of
// the plain objects; the last of them has its header beside it and a file of its own.
func furnish(w *world) (plain []ingest.Receipt, kept ingest.Receipt) {
	w.t.Helper()
	ctx := w.t.Context()
	for i := range 12 {
		plain = append(plain, w.admit(file(i, fmt.Sprintf("Li^%d=李^%d", i, i))))
	}
	w.admit(file(3, "Li^3=李^3")) // duplicate
	if first, again := w.admit(recording()), w.admit(recording()); first.Status != ingest.Stored || again.ID != first.ID {
		w.t.Fatalf("%+v, and again %+v", first, again)
	}
	for i, action := range map[int]string{4: ingest.ActionPromoted, 5: ingest.ActionKept, 6: ""} {
		other := w.admit(file(i, "Li^Other=李^另"))
		if other.Status != ingest.Conflict {
			w.t.Fatalf("%+v, want a conflict", other)
		}
		if action != "" {
			c := index.Conflict{StudyInstanceUID: other.Study, SOPInstanceUID: other.Instance}
			if err := w.intake.Settle(ctx, ingest.DefaultTenant, c, other.ID, action, "dr li"); err != nil {
				w.t.Fatal(err)
			}
		}
	}
	whole := file(20, "Cut")
	kept, gone := w.admit(whole[:len(whole)-30]), w.admit(whole[:len(whole)-32])
	if kept.Status != ingest.Quarantined || gone.Status != ingest.Quarantined {
		w.t.Fatalf("%+v, %+v, want both in quarantine", kept, gone)
	}
	w.catchUp()
	q, err := w.index.QuarantineEntry(ctx, ingest.DefaultTenant, gone.ID)
	if err != nil {
		w.t.Fatal(err)
	}
	if err := w.intake.Remove(ctx, ingest.DefaultTenant, q, "dr li"); err != nil {
		w.t.Fatal(err)
	}
	plain = append(plain, w.admit(file(12, "Large", noise(w.t))))
	w.catchUp()
	return plain, kept
}

// eventOf is the event of an object.
func (w *world) eventOf(id string) *event.Instance {
	w.t.Helper()
	var found *event.Instance
	err := rebuild.Each(w.t.Context(), w.source(), func(records []eventlog.Record) error {
		for _, r := range records {
			if body, err := event.Decode[event.Instance](r.Event.Data); err == nil && body.ObjectID == id {
				found = body
			}
		}
		return nil
	})
	if err != nil || found == nil {
		w.t.Fatalf("event of %s: %v", id, err)
	}
	return found
}

// shelf lists what is to have an event.
type shelf struct{ blob.Store }

func (s shelf) Each(ctx context.Context, fn func(string, int64) error) error {
	return s.List(ctx, time.Time{}, func(info blob.Info) error {
		if !ingest.OwnEvent(info.Meta) {
			return nil
		}
		return fn(info.Key, info.Bytes)
	})
}

// TestRebuiltIndexesAreEqual: from the log, and from the blobs after log and index are gone, comes an index
// that is equal to what was there, byte by byte, with conflicts, quarantine and decisions.
func TestRebuiltIndexesAreEqual(t *testing.T) {
	w := newWorld(t)
	furnish(w)
	want := w.dump()
	if n, err := w.rebuildIndex(t.Context()); err != nil || n == 0 {
		t.Fatalf("%d records, %v", n, err)
	}
	if got := w.dump(); got != want {
		t.Errorf("from the log:\n%s\nwant\n%s", got, want)
	}
	blobs := w.verify(audit.Options{}).Blobs
	w.away(func() {
		for _, name := range []string{"index.db", "log.db"} {
			for _, suffix := range []string{"", "-wal", "-shm"} {
				if err := os.Remove(filepath.Join(w.dir, name+suffix)); err != nil && !errors.Is(err, os.ErrNotExist) {
					t.Fatal(err)
				}
			}
		}
	})
	keys, err := audit.NewKeys(t.Context(), t.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	defer keys.Close()
	done, err := rebuild.FromBlobs(t.Context(), rebuild.Blobs{Log: w.source(), Shelf: shelf{w.blobs}, Maker: w.intake, Keys: keys})
	if err != nil || done.Made == 0 || done.Failed != 0 {
		t.Fatalf("%+v, %v", done, err)
	}
	if got := w.dump(); got != want {
		t.Errorf("from the blobs:\n%s\nwant\n%s", got, want)
	}
	r := w.verify(audit.Options{Full: true})
	wants(t, "after all", r, map[audit.Code]int64{})
	if r.Blobs != blobs {
		t.Errorf("%d blobs, there were %d", r.Blobs, blobs)
	}
}

func TestWholeWorldIsClean(t *testing.T) {
	w := newWorld(t)
	wants(t, "empty", w.verify(audit.Options{Full: true}), map[audit.Code]int64{})
	plain, _ := furnish(w)
	r := w.verify(audit.Options{Full: true})
	wants(t, "filled", r, map[audit.Code]int64{})
	// 13 plain objects, an original, 3 other versions, 1 of 2 in quarantine; 3 decisions; a header beside.
	if r.Blobs != 22 || r.Events != 22 || r.Rows != 21 || r.Reread != 18 || len(plain) != 13 {
		t.Errorf("%+v", r)
	}
	if n := w.verify(audit.Options{Sample: 5}).Reread; n != 5 {
		t.Errorf("a sample of 5 read %d", n)
	}
}

// TestEachFaultIsFound makes one fault at a time; the report names it, and repair does what it may.
func TestEachFaultIsFound(t *testing.T) {
	remove := func(w *world, key string) {
		t.Helper()
		if err := w.blobs.Delete(t.Context(), key); err != nil {
			t.Fatal(err)
		}
	}
	for _, c := range []struct {
		name   string
		damage func(w *world, plain []ingest.Receipt, kept ingest.Receipt) (blob string)
		code   audit.Code
		stays  bool // repair must leave it to people
	}{
		{"object gone", func(w *world, plain []ingest.Receipt, _ ingest.Receipt) string {
			key := w.eventOf(plain[2].ID).Blob.Key
			remove(w, key)
			return key
		}, audit.BlobMissing, true},
		{"quarantine gone", func(w *world, _ []ingest.Receipt, kept ingest.Receipt) string {
			key := w.eventOf(kept.ID).Blob.Key
			remove(w, key)
			return key
		}, audit.QuarantineMissing, true},
		{"header gone", func(w *world, plain []ingest.Receipt, _ ingest.Receipt) string {
			key := w.eventOf(plain[12].ID).Header.BlobKey
			remove(w, key)
			return key
		}, audit.AttachmentMissing, false},
		{"flipped byte in a file", func(w *world, plain []ingest.Receipt, _ ingest.Receipt) string {
			key := w.eventOf(plain[12].ID).Blob.Key
			w.flip(key, -1)
			return key
		}, audit.BlobDamaged, true},
		{"flipped byte in a pack", func(w *world, plain []ingest.Receipt, _ ingest.Receipt) string {
			key := w.eventOf(plain[7].ID).Blob.Key
			w.flip(key, 200)
			return key
		}, audit.BlobDamaged, true},
		{"header of nobody", func(w *world, _ []ingest.Receipt, _ ingest.Receipt) string {
			b, err := w.blobs.Create(t.Context())
			if err != nil {
				t.Fatal(err)
			}
			info, err := b.Commit(t.Context(), blob.Meta{"kind": "header", "object_id": "01JBAAAAAAAAAAAAAAAAAAAAAA"})
			if err != nil {
				t.Fatal(err)
			}
			return info.Key
		}, audit.AttachmentOrphaned, false},
	} {
		w := newWorld(t)
		plain, kept := furnish(w)
		key := c.damage(w, plain, kept)
		r := w.repair(audit.Options{Full: true}, 0)
		wants(t, c.name, r, map[audit.Code]int64{c.code: 1})
		if len(r.Findings) != 1 || r.Findings[0].Blob != key {
			t.Errorf("%s: %+v, want blob %s", c.name, r.Findings, key)
		}
		after := map[audit.Code]int64{}
		if c.stays {
			after[c.code] = 1
		}
		wants(t, c.name+", repaired", w.verify(audit.Options{Full: true}), after)
	}
}

// flip changes one byte of a blob on the disk, off bytes after where it begins; -1 is somewhere in the middle.
func (w *world) flip(key string, off int64) {
	w.t.Helper()
	path, place, packed := strings.Cut(key, ".p/")
	if packed {
		path += ".p"
		var begin, length int64
		if _, err := fmt.Sscanf(place, "%d-%d", &begin, &length); err != nil {
			w.t.Fatal(err)
		}
		off += begin
	}
	name := filepath.Join(w.dir, "blobs", filepath.FromSlash(path))
	data, err := os.ReadFile(name)
	if err != nil {
		w.t.Fatal(err)
	}
	if off < 0 {
		off = int64(len(data) / 2)
	}
	data[off] ^= 0x10
	if err := os.WriteFile(name, data, 0o600); err != nil {
		w.t.Fatal(err)
	}
}

// TestIndexThatDoesNotShowTheLog loses and changes rows.
func TestIndexThatDoesNotShowTheLog(t *testing.T) {
	w := newWorld(t)
	furnish(w)
	want := w.dump()
	for _, c := range []struct {
		sql  string
		want map[audit.Code]int64
	}{
		{"DELETE FROM documents WHERE instance_id = 3", map[audit.Code]int64{audit.RowBroken: 1}},
		{"DELETE FROM instances WHERE id = 2", map[audit.Code]int64{audit.RowMissing: 1, audit.IndexMiscounted: 1}},
		{"DELETE FROM originals", map[audit.Code]int64{audit.RowMissing: 1}},
		{"UPDATE originals SET blob_key = 'x'", map[audit.Code]int64{audit.RowDiffers: 1}},
		{"UPDATE originals SET event_id = 'x'", map[audit.Code]int64{audit.RowWithoutEvent: 1}},
		{"DELETE FROM quarantine", map[audit.Code]int64{audit.RowMissing: 1}},
		{"DELETE FROM decisions", map[audit.Code]int64{audit.RowMissing: 3}},
		{"UPDATE instances SET blob_key = 'x' WHERE id = 5", map[audit.Code]int64{audit.RowDiffers: 1}},
		{"UPDATE instances SET event_id = 'x' WHERE id = 5", map[audit.Code]int64{audit.RowWithoutEvent: 1}},
		{"DELETE FROM studies WHERE id = (SELECT MIN(id) FROM studies)", map[audit.Code]int64{audit.RowBroken: 4, audit.IndexMiscounted: 1}},
		{"UPDATE offsets SET applied = applied + 100", map[audit.Code]int64{audit.IndexForeign: 1}},
	} {
		w.away(func() { w.sql("index.db", c.sql) })
		wants(t, c.sql, w.repair(audit.Options{}, 0), c.want)
		wants(t, c.sql+", repaired", w.verify(audit.Options{}), map[audit.Code]int64{})
		if got := w.dump(); got != want {
			t.Errorf("%s: the index that was made again is\n%s\nwant\n%s", c.sql, got, want)
		}
	}
}

// TestLogThatLostItsEnd: blobs get their events again, and the index is as it was.
func TestLogThatLostItsEnd(t *testing.T) {
	w := newWorld(t)
	furnish(w)
	want := w.dump()
	var lost int64
	w.away(func() {
		lost = w.sql("log.db", "DELETE FROM records_1 WHERE seq > (SELECT MAX(seq) FROM records_1) - 5")
	})
	if lost != 5 {
		t.Fatalf("%d events were taken away", lost)
	}
	r := w.repair(audit.Options{}, 0)
	// Of the five, the event of the removed entry of the quarantine needs no blob.
	wants(t, "the end of the log", r, map[audit.Code]int64{audit.IndexForeign: 1, audit.BlobWithoutEvent: r.Counts[audit.BlobWithoutEvent]})
	if n := r.Counts[audit.BlobWithoutEvent]; n < 3 || n > 5 {
		t.Errorf("%d blobs without an event, want those of the end of the log", n)
	}
	wants(t, "repaired", w.verify(audit.Options{Full: true}), map[audit.Code]int64{})
	if got := w.dump(); got != want {
		t.Errorf("the index is\n%s\nwant\n%s", got, want)
	}
}

func TestYoungThingsAreLetAlone(t *testing.T) {
	w := newWorld(t)
	furnish(w)
	b, err := w.blobs.Create(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	if _, err := b.Commit(t.Context(), blob.Meta{"kind": "header"}); err != nil {
		t.Fatal(err)
	}
	wants(t, "a minute to settle", w.verify(audit.Options{Settle: time.Minute}), map[audit.Code]int64{})
	r := w.repair(audit.Options{}, time.Hour)
	wants(t, "no time to settle", r, map[audit.Code]int64{audit.AttachmentOrphaned: 1})
	if !slices.ContainsFunc(r.Actions, func(a audit.Action) bool { return strings.Contains(a.Did, "young") && a.Count == 1 }) {
		t.Errorf("actions %+v", r.Actions)
	}
	wants(t, "still there", w.verify(audit.Options{}), map[audit.Code]int64{audit.AttachmentOrphaned: 1})
}

func TestFindingsAreCountedPastTheList(t *testing.T) {
	w := newWorld(t)
	furnish(w)
	w.away(func() { w.sql("index.db", "DELETE FROM decisions") })
	r := w.verify(audit.Options{Most: 2})
	if r.Counts[audit.RowMissing] != 3 || len(r.Findings) != 2 || !r.Cut {
		t.Errorf("%v, %d listed, cut %v", r.Counts, len(r.Findings), r.Cut)
	}
	var text strings.Builder
	if err := r.WriteText(&text); err != nil || !strings.Contains(text.String(), "row-missing: 3") || !strings.Contains(text.String(), "and 1 more") {
		t.Errorf("%s, %v", text.String(), err)
	}
}

func TestEveryCodeHasAdvice(t *testing.T) {
	for _, c := range []audit.Code{
		audit.BlobMissing, audit.BlobDamaged, audit.HashMismatch, audit.QuarantineMissing, audit.DecisionMissing, audit.EventUnreadable,
		audit.StoreDamaged, audit.BlobWithoutEvent, audit.IndexMissing, audit.IndexForeign, audit.RowMissing, audit.RowWithoutEvent,
		audit.RowDiffers, audit.RowBroken, audit.IndexMiscounted, audit.AttachmentMissing, audit.AttachmentOrphaned, audit.ResolvedBytes,
		audit.Leftover, audit.SpoolUndrained,
	} {
		if text, _ := c.Advice(); text == "" {
			t.Errorf("%s has no advice", c)
		}
	}
}
