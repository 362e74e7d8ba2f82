package bind_test

import (
	"bytes"
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"maps"
	"path/filepath"
	"regexp"
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
	"github.com/tributary-dicom/tributary/pipeline/reprocess"
	"github.com/tributary-dicom/tributary/pipeline/reprocess/bind"
	"github.com/tributary-dicom/tributary/storage/audit"
	"github.com/tributary-dicom/tributary/storage/blob"
	"github.com/tributary-dicom/tributary/storage/blob/dirblob"
	"github.com/tributary-dicom/tributary/storage/index"
)

// world is a node's engines without doors.
type world struct {
	t     *testing.T
	blobs *dirblob.Store
	log   *locallog.Log
	index *index.DB
}

func newWorld(t *testing.T) *world {
	t.Helper()
	w, dir := &world{t: t}, t.TempDir()
	var err error
	if w.blobs, err = dirblob.Open(filepath.Join(dir, "blobs"), dirblob.Options{SmallBytes: 64 << 10, ReserveBytes: -1}); err != nil {
		t.Fatal(err)
	}
	w.log, w.index = newLog(t), newIndex(t)
	t.Cleanup(func() {
		if err := w.blobs.Close(); err != nil {
			t.Error(err)
		}
	})
	return w
}

func newLog(t *testing.T) *locallog.Log {
	t.Helper()
	log, err := locallog.Open(t.Context(), filepath.Join(t.TempDir(), "log.db"), locallog.Options{})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := log.Close(); err != nil {
			t.Error(err)
		}
	})
	return log
}

func newIndex(t *testing.T) *index.DB {
	t.Helper()
	db, err := index.OpenSQLite(t.Context(), filepath.Join(t.TempDir(), "index.db"), index.Options{})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := db.Close(); err != nil {
			t.Error(err)
		}
	})
	return db
}

func (w *world) catchUp() {
	w.t.Helper()
	if _, err := rebuild.FromLog(w.t.Context(), rebuild.Of(w.log), w.index, rebuild.Options{}); err != nil {
		w.t.Fatal(err)
	}
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

// words is a log into which parsers of a version say something of their own.
type words struct {
	*locallog.Log
	description string
}

func (l words) AppendBacked(ctx context.Context, events ...event.Envelope) ([]eventlog.Position, error) {
	return l.Append(ctx, events...)
}

func (l words) Append(ctx context.Context, events ...event.Envelope) ([]eventlog.Position, error) {
	for i := range events {
		if events[i].Type != event.TypeInstanceStored && events[i].Type != event.TypeInstanceConflict {
			continue
		}
		in, err := event.Decode[event.Instance](events[i].Data)
		if err != nil {
			return nil, err
		}
		in.Attributes["StudyDescription"] = l.description
		if events[i].Data, err = event.Encode(in); err != nil {
			return nil, err
		}
	}
	return l.Log.Append(ctx, events...)
}

// node is an intake of a release: its parsers have a version and limits.
func (w *world) node(version int, limits part10.Limits) *ingest.Intake {
	log := words{w.log, fmt.Sprintf("as version %d reads it", version)}
	return ingest.New(ingest.Config{ParserVersion: version, Limits: limits, Node: fmt.Sprintf("/tributary/release-%d", version)}, w.blobs, log, view{w})
}

// run reprocesses with a node's parsers.
func (w *world) run(in *ingest.Intake, req reprocess.Request) reprocess.Status {
	w.t.Helper()
	w.catchUp()
	status, err := reprocess.Run(w.t.Context(), w.config(in), req)
	if err != nil || status.State != reprocess.StateDone {
		w.t.Fatalf("%+v, %v", status, err)
	}
	w.catchUp()
	return status
}

func (w *world) config(in *ingest.Intake) reprocess.Config {
	return reprocess.Config{
		Index: bind.Index(w.index, ingest.DefaultTenant), Intake: bind.Intake(in), OfObject: bind.OfObject, Page: 3,
		Wait: func(context.Context, eventlog.Position) error { w.catchUp(); return nil },
	}
}

func (w *world) admit(in *ingest.Intake, body []byte) ingest.Receipt {
	w.t.Helper()
	rec, err := in.Admit(w.t.Context(), ingest.Arrival{Body: bytes.NewReader(body), Origin: event.Origin{Door: "upload", Filename: "a"}})
	if err != nil {
		w.t.Fatal(err)
	}
	return rec
}

// records are all of the log.
func (w *world) records() (all []eventlog.Record) {
	w.t.Helper()
	err := rebuild.Each(w.t.Context(), rebuild.Of(w.log), func(records []eventlog.Record) error {
		all = append(all, records...)
		return nil
	})
	if err != nil {
		w.t.Fatal(err)
	}
	return all
}

func dump(t *testing.T, db *index.DB) string {
	t.Helper()
	var b strings.Builder
	if err := db.Dump(t.Context(), &b); err != nil {
		t.Fatal(err)
	}
	return b.String()
}

func (w *world) clean() {
	w.t.Helper()
	w.catchUp()
	r, err := audit.Verify(w.t.Context(), audit.Engines{Blobs: w.blobs, Log: rebuild.Of(w.log), Index: w.index, Kept: ingest.Kept}, audit.Options{Full: true, Dir: w.t.TempDir()})
	if err != nil || len(r.Counts) > 0 {
		w.t.Errorf("an audit finds %v, %+v, %v", r.Counts, r.Findings, err)
	}
	// The index is what its log makes, in the other direction too.
	again := newIndex(w.t)
	records := w.records()
	slices.Reverse(records)
	for i := range records {
		records[i].Offset = int64(i + 1)
	}
	for part := range slices.Chunk(records, 7) {
		if err := again.Apply(w.t.Context(), part); err != nil {
			w.t.Fatal(err)
		}
	}
	if got, want := dump(w.t, again), dump(w.t, w.index); got != want {
		w.t.Errorf("the log read backwards makes\n%s\nand not\n%s", got, want)
	}
}

const usStorage, explicitLE = "1.2.840.10008.5.1.4.1.1.6.1", "1.2.840.10008.1.2.1"

func element(b []byte, group, elem uint16, vr, value string) []byte {
	if len(value)%2 == 1 {
		pad := " "
		if vr == "UI" {
			pad = "\x00"
		}
		value += pad
	}
	b = append(binary.LittleEndian.AppendUint16(binary.LittleEndian.AppendUint16(b, group), elem), vr...)
	return append(binary.LittleEndian.AppendUint16(b, uint16(len(value))), value...)
}

// file is an ultrasound image, with so many private elements.
func file(number int, name string, private int) []byte {
	sop := fmt.Sprintf("1.2.826.0.1.3680043.10.9.%d", number)
	b := part10.AppendFileMeta(nil, part10.FileMeta{MediaStorageSOPClassUID: usStorage, MediaStorageSOPInstanceUID: sop, TransferSyntaxUID: explicitLE})
	b = element(b, 0x0008, 0x0005, "CS", "ISO_IR 192")
	b = element(b, 0x0008, 0x0016, "UI", usStorage)
	b = element(b, 0x0008, 0x0018, "UI", sop)
	b = element(b, 0x0008, 0x0060, "CS", "US")
	b = element(b, 0x0010, 0x0010, "PN", name)
	b = element(b, 0x0010, 0x0020, "LO", "P1")
	for i := range private {
		b = element(b, 0x0011, 0x1000+uint16(i), "LO", "x")
	}
	b = element(b, 0x0020, 0x000D, "UI", fmt.Sprintf("1.2.826.0.1.3680043.10.7.%d", number/4))
	return element(b, 0x0020, 0x000E, "UI", fmt.Sprintf("1.2.826.0.1.3680043.10.8.%d", number/2))
}

func recording() []byte {
	r := &scptest.Record{Default: true, Encoding: 1, Tags: []scptest.Tag{scptest.Text(0, "张"), scptest.Text(2, "P7"), scptest.Date(25, 2026, 3, 4)}}
	for id := byte(1); id <= 2; id++ {
		r.Leads = append(r.Leads, scptest.Lead{ID: id, Samples: make([]int16, 1000)})
	}
	return r.Bytes()
}

// narrow are the limits of an old release: objects of many elements go to quarantine.
func narrow() part10.Limits {
	l := part10.DefaultLimits
	l.Elements = 20
	return l
}

// furnish fills a world as version 1 takes objects in.
func (w *world) furnish() (old *ingest.Intake, promoted, many, cut ingest.Receipt) {
	w.t.Helper()
	old = w.node(1, narrow())
	for i := range 9 {
		w.admit(old, file(i, fmt.Sprintf("Li^%d=李^%d", i, i), 0))
	}
	w.admit(old, recording())
	promoted = w.admit(old, file(3, "Other", 0))
	c := index.Conflict{StudyInstanceUID: promoted.Study, SOPInstanceUID: promoted.Instance}
	if err := old.Settle(w.t.Context(), ingest.DefaultTenant, c, promoted.ID, ingest.ActionPromoted, "dr li"); err != nil {
		w.t.Fatal(err)
	}
	many = w.admit(old, file(20, "Many", 30))
	whole := file(21, "Cut", 0)
	cut = w.admit(old, whole[:len(whole)-10])
	if promoted.Status != ingest.Conflict || many.Status != ingest.Quarantined || cut.Status != ingest.Quarantined {
		w.t.Fatalf("%+v, %+v, %+v", promoted, many, cut)
	}
	w.catchUp()
	return old, promoted, many, cut
}

// TestReprocess brings a world of an old release up to a newer one's, and holds that index, log and blobs agree, that
// nothing is left to do, and that the old parsers change nothing any more.
func TestReprocess(t *testing.T) {
	w := newWorld(t)
	old, promoted, many, cut := w.furnish()
	now := w.node(2, part10.Limits{})
	before := len(w.records())
	dry := w.run(now, reprocess.Request{DryRun: true})
	want := map[string]int64{reprocess.OutcomeChanged: 11, reprocess.OutcomeAdmitted: 1, reprocess.OutcomeWaiting: 1}
	if !maps.Equal(dry.Outcomes, want) || dry.Written != 0 || len(w.records()) != before || dry.Objects != 13 {
		t.Errorf("dry: %+v, %d records", dry, len(w.records())-before)
	}
	s := w.run(now, reprocess.Request{Speed: reprocess.Speed{Parallel: 3}})
	if !maps.Equal(s.Outcomes, want) || s.Written != 13 || s.Keywords["StudyDescription"] != 11 || s.Parts[index.PartAttributes] != 11 || s.Objects != 13 || s.Done != 13 {
		t.Errorf("%+v", s)
	}
	if e := s.Examples[reprocess.OutcomeAdmitted]; len(e) != 1 || e[0].ID != many.ID || e[0].NewID == "" || e[0].Why != many.Reason {
		t.Errorf("examples %+v", s.Examples)
	}
	w.clean()
	text := dump(t, w.index)
	if strings.Contains(text, "as version 1 reads it") || strings.Contains(text, "parser_version=1") {
		t.Error("the words of the old release are left in the index")
	}
	if _, err := w.index.QuarantineEntry(t.Context(), ingest.DefaultTenant, many.ID); !errors.Is(err, index.ErrNotFound) {
		t.Errorf("the entry that can be read: %v", err)
	}
	if q, err := w.index.QuarantineEntry(t.Context(), ingest.DefaultTenant, cut.ID); err != nil || q.Reason != "truncated" {
		t.Errorf("the entry that cannot: %+v, %v", q, err)
	}
	if _, current, err := w.index.Lookup(t.Context(), ingest.DefaultTenant, promoted.Instance); err != nil || current != promoted.ID {
		t.Errorf("current is %s, %v; want the promoted one", current, err)
	}
	if again := w.run(now, reprocess.Request{}); again.Done != 0 {
		t.Errorf("once more: %+v", again)
	}
	if forced := w.run(now, reprocess.Request{Selection: reprocess.Selection{Force: true}}); forced.Outcomes[reprocess.OutcomeSame]+forced.Outcomes[reprocess.OutcomeChanged] != 12 || forced.Written != 13 {
		t.Errorf("by force: %+v", forced)
	}

	// The release before reads everything again, and nobody hears it.
	seen := withoutRecords(dump(t, w.index))
	s = w.run(old, reprocess.Request{Selection: reprocess.Selection{Force: true}})
	if s.Written == 0 {
		t.Errorf("the old release: %+v", s)
	}
	if got := withoutRecords(dump(t, w.index)); got != seen {
		t.Errorf("the old release changed the index:\n%s\nwas\n%s", got, seen)
	}
	w.clean()
}

// recordIDs are what tells one record from another that says the same.
var recordIDs = regexp.MustCompile(` (described_by|located_by)="[^"]*"`)

func withoutRecords(dump string) string { return recordIDs.ReplaceAllString(dump, "") }

// TestFromBlobsAfterwards loses log and index after reprocessing: what is made of the blobs alone is what was there,
// by the parsers of today, and the quarantine has in it what it had.
func TestFromBlobsAfterwards(t *testing.T) {
	w := newWorld(t)
	w.furnish()
	now := w.node(2, part10.Limits{})
	w.run(now, reprocess.Request{})
	want := withoutRecords(dump(t, w.index))
	w.log, w.index = newLog(t), newIndex(t)
	keys, err := audit.NewKeys(t.Context(), t.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	defer keys.Close()
	done, err := rebuild.FromBlobs(t.Context(), rebuild.Blobs{Log: rebuild.Of(w.log), Shelf: shelf{w.blobs}, Maker: w.node(2, part10.Limits{}), Keys: keys})
	if err != nil || done.Made == 0 || done.Failed != 0 {
		t.Fatalf("%+v, %v", done, err)
	}
	w.catchUp()
	if got := withoutRecords(dump(t, w.index)); got != want {
		t.Errorf("from the blobs:\n%s\nwant\n%s", got, want)
	}
	if s := w.run(w.node(2, part10.Limits{}), reprocess.Request{}); s.Done != 0 {
		t.Errorf("there is something left to read: %+v", s)
	}
}

type shelf struct{ blob.Store }

func (s shelf) Each(ctx context.Context, fn func(string, int64) error) error {
	return s.List(ctx, time.Time{}, func(info blob.Info) error {
		if !ingest.OwnEvent(info.Meta) {
			return nil
		}
		return fn(info.Key, info.Bytes)
	})
}

// meanwhile does something between the list and the look at an object.
type meanwhile struct {
	reprocess.Index
	do func(o reprocess.Object)
}

func (m meanwhile) Said(ctx context.Context, o reprocess.Object) (reprocess.Said, error) {
	s, err := m.Index.Said(ctx, o)
	m.do(o)
	return s, err
}

// TestMeanwhile: what people decide while objects are read holds.
func TestMeanwhile(t *testing.T) {
	w := newWorld(t)
	_, promoted, many, cut := w.furnish()
	now := w.node(2, part10.Limits{})
	versions, _, err := w.index.Lookup(t.Context(), ingest.DefaultTenant, promoted.Instance)
	if err != nil || len(versions) != 2 {
		t.Fatalf("%+v, %v", versions, err)
	}
	first := versions[0].ObjectID
	once := map[string]bool{}
	cfg := w.config(now)
	cfg.Index = meanwhile{cfg.Index, func(o reprocess.Object) {
		if once[o.ID] {
			return
		}
		once[o.ID] = true
		switch o.ID {
		case many.ID, cut.ID:
			q, err := w.index.QuarantineEntry(t.Context(), ingest.DefaultTenant, o.ID)
			if err == nil {
				err = now.Remove(t.Context(), ingest.DefaultTenant, q, "dr wu")
			}
			if err != nil {
				t.Error(err)
			}
		case promoted.ID:
			c := index.Conflict{StudyInstanceUID: promoted.Study, SOPInstanceUID: promoted.Instance}
			if err := now.Settle(t.Context(), ingest.DefaultTenant, c, first, ingest.ActionPromoted, "dr wu"); err != nil {
				t.Error(err)
			}
		}
	}}
	s, err := reprocess.Run(t.Context(), cfg, reprocess.Request{})
	if err != nil || s.Outcomes[reprocess.OutcomeGone] != 2 || s.Outcomes[reprocess.OutcomeChanged] != 11 || s.Trouble() != 0 {
		t.Errorf("%+v, %v", s, err)
	}
	w.clean()
	if _, current, err := w.index.Lookup(t.Context(), ingest.DefaultTenant, promoted.Instance); err != nil || current != first {
		t.Errorf("current is %s, %v; want the one that was promoted meanwhile", current, err)
	}
	if left, err := w.index.Quarantine(t.Context(), ingest.DefaultTenant, 10, 0); err != nil || len(left) != 0 {
		t.Errorf("in quarantine: %+v, %v", left, err)
	}
	if v, _, err := w.index.Lookup(t.Context(), ingest.DefaultTenant, "1.2.826.0.1.3680043.10.9.20"); err != nil || len(v) != 0 {
		t.Errorf("a removed object is back: %+v, %v", v, err)
	}
}

// TestSelections holds that each flag finds what it names.
func TestSelections(t *testing.T) {
	w := newWorld(t)
	_, promoted, _, _ := w.furnish()
	now := w.node(2, part10.Limits{})
	for name, c := range map[string]struct {
		s    reprocess.Selection
		want int64
	}{
		"study":      {reprocess.Selection{Studies: []string{promoted.Study}}, 5}, // four, and another version of one
		"modality":   {reprocess.Selection{Modalities: []string{"ECG"}}, 1},
		"class":      {reprocess.Selection{SOPClasses: []string{usStorage}}, 10},
		"format":     {reprocess.Selection{Formats: []string{"scp-ecg"}}, 1},
		"reason":     {reprocess.Selection{Reasons: []string{"truncated"}}, 1},
		"kind":       {reprocess.Selection{Kinds: []string{reprocess.KindQuarantine, reprocess.KindOriginal}}, 3},
		"time":       {reprocess.Selection{From: time.Now().Add(time.Hour)}, 0},
		"older than": {reprocess.Selection{OlderThan: 1}, 0},
		"all":        {reprocess.Selection{}, 13},
	} {
		t.Run(name, func(t *testing.T) {
			s, err := reprocess.Run(t.Context(), w.config(now), reprocess.Request{Selection: c.s, DryRun: true})
			if err != nil || s.Done != c.want || s.Objects != c.want {
				t.Errorf("%d of %d, %v; want %d", s.Done, s.Objects, err, c.want)
			}
		})
	}
}

// TestUnreadable: what is damaged is told, and the others are read.
func TestUnreadable(t *testing.T) {
	w := newWorld(t)
	w.furnish()
	versions, _, err := w.index.Lookup(t.Context(), ingest.DefaultTenant, "1.2.826.0.1.3680043.10.9.5")
	if err != nil || len(versions) != 1 {
		t.Fatalf("%+v, %v", versions, err)
	}
	if err := w.blobs.Delete(t.Context(), versions[0].BlobKey); err != nil {
		t.Fatal(err)
	}
	s := w.run(w.node(2, part10.Limits{}), reprocess.Request{})
	e := s.Examples[reprocess.OutcomeUnreadable]
	if s.Trouble() != 1 || s.Outcomes[reprocess.OutcomeChanged] != 10 || len(e) != 1 || e[0].ID != versions[0].ObjectID {
		t.Errorf("%+v", s)
	}
}

// TestStricterParsers: what today's parsers would not take stays as it is, for all who see it.
func TestStricterParsers(t *testing.T) {
	w := newWorld(t)
	lenient := w.node(1, part10.Limits{})
	w.admit(lenient, file(1, "A", 30))
	w.admit(lenient, file(2, "B", 0))
	w.catchUp()
	s := w.run(w.node(2, narrow()), reprocess.Request{})
	if s.Outcomes[reprocess.OutcomeRefused] != 1 || s.Outcomes[reprocess.OutcomeChanged] != 1 || s.Written != 1 {
		t.Errorf("%+v", s)
	}
	if e := s.Examples[reprocess.OutcomeRefused]; len(e) != 1 || e[0].Why != "too-many-elements" {
		t.Errorf("%+v", e)
	}
	w.clean()
	for sop, version := range map[string]string{"1.2.826.0.1.3680043.10.9.1": "1", "1.2.826.0.1.3680043.10.9.2": "2"} {
		if v, _, err := w.index.Lookup(t.Context(), ingest.DefaultTenant, sop); err != nil || len(v) != 1 {
			t.Errorf("%s read by %s: %+v, %v", sop, version, v, err)
		}
	}
}

// TestReasons: each names a selection.
func TestReasons(t *testing.T) {
	for _, r := range bind.Reasons() {
		s := reprocess.Selection{Reasons: []string{r}}
		if err := s.Validate(1); err != nil {
			t.Error(err)
		}
	}
	if !slices.Contains(bind.Reasons(), "truncated") || slices.Contains(bind.Reasons(), "empty") {
		t.Errorf("%q", bind.Reasons())
	}
}
