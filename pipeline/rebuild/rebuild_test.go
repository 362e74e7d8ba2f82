package rebuild

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"sync"
	"testing"

	"github.com/tributary-dicom/tributary/pipeline/event"
	"github.com/tributary-dicom/tributary/pipeline/eventlog"
)

// ledger is a log of several partitions, with gaps between offsets.
type ledger struct {
	mu    sync.Mutex
	parts map[int32][]eventlog.Record
	reads int
}

func (l *ledger) put(partition int32, offset int64, id string) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.parts == nil {
		l.parts = map[int32][]eventlog.Record{}
	}
	at := eventlog.Position{Topic: event.TopicInstances, Partition: partition, Offset: offset}
	l.parts[partition] = append(l.parts[partition], eventlog.Record{Position: at, Event: event.Envelope{
		ID: id, Type: event.TypeInstanceStored, Topic: event.TopicInstances, Data: []byte(`{"blob":{"key":"` + id + `"}}`),
	}})
}

func (l *ledger) Heads(context.Context, string) (heads []eventlog.Position, err error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	for _, records := range l.parts {
		heads = append(heads, records[len(records)-1].Position)
	}
	return heads, nil
}

func (l *ledger) ReadFrom(_ context.Context, _ string, from eventlog.Position, most int) (out []eventlog.Record, err error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.reads++
	for _, r := range l.parts[from.Partition] {
		if r.Offset >= from.Offset && len(out) < most {
			out = append(out, r)
		}
	}
	return out, nil
}

// shelf is an index that refuses some events for ever, and fails for good at one batch.
type shelf struct {
	applied map[int32]eventlog.Record
	ids     []string
	bad     map[string]bool
	failAt  int
	calls   int
	came    func() // called in Apply
}

type badRecord struct{}

func (badRecord) Error() string   { return "bad record" }
func (badRecord) Permanent() bool { return true }

var errCrash = errors.New("crash on purpose")

func (s *shelf) Apply(_ context.Context, records []eventlog.Record) error {
	if s.came != nil {
		s.came()
	}
	if s.calls++; s.calls == s.failAt {
		return errCrash
	}
	for _, r := range records {
		if s.bad[r.Event.ID] {
			return fmt.Errorf("apply: %w", badRecord{})
		}
	}
	for _, r := range records {
		s.ids = append(s.ids, r.Event.ID)
		s.applied[r.Partition] = r
	}
	return nil
}

func (s *shelf) LastApplied(_ context.Context, _ string, partition int32) (int64, string, error) {
	if r, ok := s.applied[partition]; ok {
		return r.Offset, r.Event.ID, nil
	}
	return -1, "", nil
}

func newShelf() *shelf { return &shelf{applied: map[int32]eventlog.Record{}, bad: map[string]bool{}} }

// fill puts records into partitions 0, 3 and 7; offsets of Kafka begin with 0.
func fill(l *ledger) (ids []string) {
	for i := range 50 {
		for _, p := range []int32{0, 3, 7} {
			id := fmt.Sprintf("e%d-%02d", p, i)
			l.put(p, int64(i*2), id)
			ids = append(ids, id)
		}
	}
	slices.Sort(ids)
	return ids
}

func sorted(ids []string) []string {
	ids = slices.Clone(ids)
	slices.Sort(ids)
	return ids
}

// TestFromLogGoesOnAfterAnyCrash fails at every transaction: the next run takes up where it was, and no
// record is applied twice or left out.
func TestFromLogGoesOnAfterAnyCrash(t *testing.T) {
	for failAt := 1; ; failAt++ {
		l, x := &ledger{}, newShelf()
		want := fill(l)
		x.failAt = failAt
		first, err := FromLog(t.Context(), l, x, Options{Batch: 7})
		if err == nil {
			if first.Records != 150 || first.Partitions != 3 || first.Resumed || !slices.Equal(sorted(x.ids), want) {
				t.Fatalf("%+v, %d applied", first, len(x.ids))
			}
			return
		}
		if !errors.Is(err, errCrash) {
			t.Fatal(err)
		}
		second, err := FromLog(t.Context(), l, x, Options{Batch: 7})
		if err != nil || !slices.Equal(sorted(x.ids), want) || first.Records+second.Records != 150 {
			t.Fatalf("crash at %d: %+v, %+v, %v, %d applied", failAt, first, second, err, len(x.ids))
		}
		if second.Resumed != (first.Records > 0) {
			t.Errorf("crash at %d: resumed %v after %d records", failAt, second.Resumed, first.Records)
		}
	}
}

func TestFromLogLeavesOutWhatCannotBeApplied(t *testing.T) {
	l, x := &ledger{}, newShelf()
	fill(l)
	x.bad["e3-00"], x.bad["e3-31"], x.bad["e7-49"] = true, true, true
	seen := 0
	result, err := FromLog(t.Context(), l, x, Options{Applied: func(n int) { seen += n }})
	if err != nil || result.Unreadable != 3 || result.Records != 147 || len(x.ids) != 147 || seen != 150 {
		t.Fatalf("%+v, %v; %d applied, %d told", result, err, len(x.ids), seen)
	}
}

func TestFromLogTakesWhatComesMeanwhile(t *testing.T) {
	l, x := &ledger{}, newShelf()
	fill(l)
	x.came = sync.OnceFunc(func() { l.put(3, 1000, "late"); l.put(9, 5, "new partition") })
	if _, err := FromLog(t.Context(), l, x, Options{}); err != nil {
		t.Fatal(err)
	}
	for _, id := range []string{"late", "new partition"} {
		if !slices.Contains(x.ids, id) {
			t.Errorf("%q was not applied", id)
		}
	}
}

func TestFromLogKnowsAnotherLog(t *testing.T) {
	l, x := &ledger{}, newShelf()
	fill(l)
	other := eventlog.Record{Position: eventlog.Position{Topic: event.TopicInstances, Partition: 3, Offset: 8}, Event: event.Envelope{ID: "strange"}}
	x.applied[3] = other
	if _, err := FromLog(t.Context(), l, x, Options{}); !errors.Is(err, ErrForeign) {
		t.Fatalf("another record at the place: %v", err)
	}
	other.Offset = 5000
	x.applied[3] = other
	if _, err := FromLog(t.Context(), l, x, Options{}); !errors.Is(err, ErrForeign) {
		t.Fatalf("a place behind the end: %v", err)
	}
}

// store is blobs, and the maker of their events.
type store struct {
	log   *ledger
	keys  []string
	mu    sync.Mutex
	made  []string
	bad   map[string]error
	after error // of the listing
}

func (s *store) Each(_ context.Context, fn func(string, int64) error) error {
	for _, k := range s.keys {
		if err := fn(k, 10); err != nil {
			return err
		}
	}
	return s.after
}

func (s *store) Adopt(_ context.Context, key string) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if err := s.bad[key]; err != nil {
		return err
	}
	s.made = append(s.made, key)
	s.log.put(1, int64(len(s.log.parts[1])), key)
	return nil
}

type memKeys map[string]bool

func (k memKeys) Add(_ context.Context, keys ...string) error {
	for _, key := range keys {
		k[key] = true
	}
	return nil
}

func (k memKeys) Has(_ context.Context, key string) (bool, error) { return k[key], nil }

var errDamaged = errors.New("damaged")

func TestFromBlobsGivesEachBlobItsEventOnce(t *testing.T) {
	s := &store{log: &ledger{}, bad: map[string]error{"b007": errDamaged, "b090": errCrash}, after: fmt.Errorf("a place: %w", errDamaged)}
	for i := range 100 {
		s.keys = append(s.keys, fmt.Sprintf("b%03d", i))
	}
	run := func() (BlobsResult, error) {
		return FromBlobs(t.Context(), Blobs{
			Log: s.log, Shelf: s, Maker: s, Keys: memKeys{}, Workers: 3,
			OfBlob: func(err error) bool { return errors.Is(err, errDamaged) },
		})
	}
	if _, err := run(); !errors.Is(err, errCrash) {
		t.Fatalf("a full disk, say: %v", err)
	}
	delete(s.bad, "b090")
	before := len(s.made)
	result, err := run()
	if err != nil || result.Known != int64(before) || result.Made != int64(99-before) || result.Bytes != 10*result.Made {
		t.Fatalf("%+v, %v after %d", result, err, before)
	}
	if result.Failed != 2 || result.Failures[0].Key != "b007" {
		t.Errorf("failures %+v", result.Failures)
	}
	if got := slices.Compact(sorted(s.made)); len(got) != 99 || len(s.made) != 99 {
		t.Errorf("%d events for %d blobs, want 99", len(s.made), len(got))
	}
}
