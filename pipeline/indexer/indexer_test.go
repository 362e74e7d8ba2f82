package indexer_test

import (
	"context"
	"errors"
	"fmt"
	"path/filepath"
	"sync"
	"testing"
	"time"

	"go.uber.org/goleak"

	"github.com/tributary-dicom/tributary/pipeline/event"
	"github.com/tributary-dicom/tributary/pipeline/eventlog"
	"github.com/tributary-dicom/tributary/pipeline/eventlog/locallog"
	"github.com/tributary-dicom/tributary/pipeline/eventlog/logtest"
	"github.com/tributary-dicom/tributary/pipeline/indexer"
	"github.com/tributary-dicom/tributary/pipeline/stage"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// view is an index in memory.
type view struct {
	mu      sync.Mutex
	offset  int64
	ids     []string
	batches []int
	fail    func([]eventlog.Record) error
}

func newView() *view { return &view{offset: -1} }

func (v *view) Apply(_ context.Context, records []eventlog.Record) error {
	v.mu.Lock()
	defer v.mu.Unlock()
	if v.fail != nil {
		if err := v.fail(records); err != nil {
			return err
		}
	}
	v.batches = append(v.batches, len(records))
	for _, r := range records {
		if r.Offset > v.offset {
			v.offset = r.Offset
			if r.Event.Type != "" {
				v.ids = append(v.ids, r.Event.ID)
			}
		}
	}
	return nil
}

func (v *view) Applied(context.Context, string, int32) (int64, error) {
	v.mu.Lock()
	defer v.mu.Unlock()
	return v.offset, nil
}

func (v *view) has(id string) bool {
	v.mu.Lock()
	defer v.mu.Unlock()
	for _, have := range v.ids {
		if have == id {
			return true
		}
	}
	return false
}

func openLog(t *testing.T) *locallog.Log {
	t.Helper()
	log, err := locallog.Open(t.Context(), filepath.Join(t.TempDir(), "log.db"), locallog.Options{})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = log.Close() })
	return log
}

// start runs an indexer and returns it with a function that stops it.
func start(t *testing.T, log *locallog.Log, v *view) (*indexer.Indexer, func()) {
	t.Helper()
	x := indexer.New(indexer.Config{Log: log, Index: v, Head: log.Head})
	ctx, cancel := context.WithCancel(t.Context())
	ended := make(chan error, 1)
	go func() { ended <- x.Run(ctx) }()
	var once sync.Once
	stop := func() {
		once.Do(func() {
			cancel()
			if err := <-ended; err != nil {
				t.Errorf("run: %v", err)
			}
		})
	}
	t.Cleanup(stop)
	return x, stop
}

func add(t *testing.T, log *locallog.Log, n int) (event.Envelope, eventlog.Position) {
	t.Helper()
	e := logtest.Event(event.TopicInstances, "1.2.3", n)
	p, err := log.Append(t.Context(), e)
	if err != nil {
		t.Fatal(err)
	}
	return e, p[0]
}

func TestWhoWaitsSeesItsRecord(t *testing.T) {
	log, v := openLog(t), newView()
	x, _ := start(t, log, v)
	var wg sync.WaitGroup
	for range 16 {
		wg.Go(func() {
			for n := range 20 {
				e, pos := add(t, log, n)
				if err := x.WaitApplied(t.Context(), pos); err != nil {
					t.Error(err)
				}
				if !v.has(e.ID) {
					t.Errorf("record at %v is not in the index", pos)
				}
			}
		})
	}
	wg.Wait()
	if !x.CaughtUp() || len(v.ids) != 320 {
		t.Fatalf("caught up %v, %d records", x.CaughtUp(), len(v.ids))
	}
}

func TestWaitEndsWithItsContext(t *testing.T) {
	log, v := openLog(t), newView()
	block := make(chan struct{})
	v.fail = func([]eventlog.Record) error { <-block; return nil }
	x, _ := start(t, log, v)
	_, pos := add(t, log, 1)
	ctx, cancel := context.WithCancel(t.Context())
	ended := make(chan error, 2)
	go func() { ended <- x.WaitApplied(ctx, pos) }()
	go func() { ended <- x.WaitApplied(t.Context(), pos) }()
	cancel()
	if err := <-ended; !errors.Is(err, context.Canceled) {
		t.Fatalf("wait = %v", err)
	}
	if x.CaughtUp() {
		t.Error("caught up before the record was applied")
	}
	close(block)
	if err := <-ended; err != nil {
		t.Fatalf("the other's wait = %v", err)
	}
	if err := x.WaitApplied(t.Context(), eventlog.Position{Topic: event.TopicStudies}); !errors.Is(err, indexer.ErrNotIndexed) {
		t.Fatalf("wait for another topic = %v", err)
	}
}

// The index's own position counts: an index that was thrown away is filled again from the beginning,
// although the log knows the group; one that is further than the log knows is not given records again.
func TestIndexPositionIsTheTruth(t *testing.T) {
	log, first := openLog(t), newView()
	x, stop := start(t, log, first)
	var last eventlog.Position
	for n := range 300 {
		_, last = add(t, log, n)
	}
	if err := x.WaitApplied(t.Context(), last); err != nil {
		t.Fatal(err)
	}
	stop()

	fresh := newView()
	x, stop = start(t, log, fresh)
	if err := x.WaitApplied(t.Context(), last); err != nil {
		t.Fatal(err)
	}
	stop()
	if fmt.Sprint(fresh.ids) != fmt.Sprint(first.ids) || len(fresh.ids) != 300 {
		t.Fatalf("rebuilt index has %d records, the first %d", len(fresh.ids), len(first.ids))
	}
	for _, n := range fresh.batches {
		if n > 256 {
			t.Errorf("a batch of %d", n)
		}
	}

	first.batches = nil
	x, stop = start(t, log, first)
	if err := x.WaitApplied(t.Context(), last); err != nil {
		t.Fatal(err)
	}
	stop()
	if len(first.batches) != 0 {
		t.Errorf("records that were applied came again, in batches of %v", first.batches)
	}
}

func TestIndexOfAnotherLog(t *testing.T) {
	log, v := openLog(t), newView()
	v.offset = 7
	add(t, log, 1)
	x := indexer.New(indexer.Config{Log: log, Index: v, Head: log.Head})
	if err := x.Run(t.Context()); !errors.Is(err, indexer.ErrAhead) {
		t.Fatalf("run = %v, want ErrAhead", err)
	}
}

// A record that the index cannot take becomes a dead letter, and who waits for it or behind it goes on.
func TestPoison(t *testing.T) {
	log, v := openLog(t), newView()
	var poison string
	v.fail = func(records []eventlog.Record) error {
		for _, r := range records {
			if r.Event.ID == poison && r.Event.Type != "" {
				return stage.Permanent(errors.New("constraint failed"))
			}
		}
		return nil
	}
	bad := logtest.Event(event.TopicInstances, "1.2.3", 1)
	poison = bad.ID
	positions, err := log.Append(t.Context(), logtest.Event(event.TopicInstances, "1.2.3", 0), bad, logtest.Event(event.TopicInstances, "1.2.3", 2))
	if err != nil {
		t.Fatal(err)
	}
	x, _ := start(t, log, v)
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	for _, p := range positions {
		if err := x.WaitApplied(ctx, p); err != nil {
			t.Fatal(err)
		}
	}
	if v.has(poison) || len(v.ids) != 2 {
		t.Fatalf("index has %v", v.ids)
	}
	letters, err := log.ReadFrom(t.Context(), event.TopicDeadLetter, eventlog.Position{}, 10)
	if err != nil || len(letters) != 1 {
		t.Fatalf("%d dead letters, %v", len(letters), err)
	}
}

// The index's own place passes a dead letter that nothing comes behind, or who compares it with the end of the log
// would wait.
func TestPoisonIsPassed(t *testing.T) {
	log, v := openLog(t), newView()
	v.fail = func(records []eventlog.Record) error {
		for _, r := range records {
			if r.Event.Type != "" && r.Offset > 1 {
				return stage.Permanent(errors.New("constraint failed"))
			}
		}
		return nil
	}
	first, _ := add(t, log, 0)
	_, end := add(t, log, 1)
	x, stop := start(t, log, v)
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	if err := x.WaitApplied(ctx, end); err != nil {
		t.Fatal(err)
	}
	stop()
	if place, _ := v.Applied(ctx, event.TopicInstances, 0); place != end.Offset || !v.has(first.ID) || len(v.ids) != 1 {
		t.Fatalf("index is at %d of %d with %v", place, end.Offset, v.ids)
	}
}

func TestIncompleteConfig(t *testing.T) {
	if err := indexer.New(indexer.Config{}).Run(t.Context()); err == nil {
		t.Fatal("ran")
	}
}

// BenchmarkAppendToApplied is what a door waits for behind its blob.
func BenchmarkAppendToApplied(b *testing.B) {
	log, err := locallog.Open(b.Context(), filepath.Join(b.TempDir(), "log.db"), locallog.Options{})
	if err != nil {
		b.Fatal(err)
	}
	defer func() { _ = log.Close() }()
	v := newView()
	x := indexer.New(indexer.Config{Log: log, Index: v, Head: log.Head})
	ctx, cancel := context.WithCancel(b.Context())
	ended := make(chan error, 1)
	go func() { ended <- x.Run(ctx) }()
	e := logtest.Event(event.TopicInstances, "1.2.3", 1)
	e.Data = make([]byte, 4000)
	var wait time.Duration
	for b.Loop() {
		e.ID = event.NewID()
		p, err := log.Append(b.Context(), e)
		if err != nil {
			b.Fatal(err)
		}
		begin := time.Now()
		if err := x.WaitApplied(b.Context(), p[0]); err != nil {
			b.Fatal(err)
		}
		wait += time.Since(begin)
	}
	b.ReportMetric(float64(wait.Microseconds())/float64(b.N), "wait-µs/op")
	cancel()
	<-ended
}
