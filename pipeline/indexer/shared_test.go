package indexer_test

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"testing"
	"time"

	"github.com/tributary-dicom/tributary/internal/testengine"
	"github.com/tributary-dicom/tributary/pipeline/event"
	"github.com/tributary-dicom/tributary/pipeline/eventlog"
	"github.com/tributary-dicom/tributary/pipeline/eventlog/kafkalog"
	"github.com/tributary-dicom/tributary/pipeline/eventlog/logtest"
	"github.com/tributary-dicom/tributary/pipeline/indexer"
)

// sharedView is an index of several partitions that several processes apply to. A gap in a partition is
// noted: those records would be hidden for ever.
type sharedView struct {
	mu      sync.Mutex
	applied map[int32]int64
	ids     map[string]bool
	gap     string
	fail    error
	failed  chan struct{} // has a token when Apply failed
}

func newSharedView() *sharedView {
	return &sharedView{applied: map[int32]int64{}, ids: map[string]bool{}, failed: make(chan struct{}, 1)}
}

func (v *sharedView) Apply(_ context.Context, records []eventlog.Record) error {
	v.mu.Lock()
	defer v.mu.Unlock()
	if v.fail != nil {
		select {
		case v.failed <- struct{}{}:
		default:
		}
		return v.fail
	}
	for _, r := range records {
		next, ok := v.applied[r.Partition]
		if !ok {
			next = -1
		}
		if r.Offset <= next {
			continue
		}
		if r.Offset != next+1 {
			v.gap = fmt.Sprintf("partition %d: %d behind %d", r.Partition, r.Offset, next)
		}
		v.applied[r.Partition], v.ids[r.Event.ID] = r.Offset, true
	}
	return nil
}

func (v *sharedView) Applied(_ context.Context, _ string, partition int32) (int64, error) {
	v.mu.Lock()
	defer v.mu.Unlock()
	if v.fail != nil {
		return 0, v.fail
	}
	if offset, ok := v.applied[partition]; ok {
		return offset, nil
	}
	return -1, nil
}

func (v *sharedView) set(fail error) {
	v.mu.Lock()
	defer v.mu.Unlock()
	v.fail = fail
}

// empty is a restore of a backup that has nothing.
func (v *sharedView) empty() {
	v.mu.Lock()
	defer v.mu.Unlock()
	v.applied, v.ids = map[int32]int64{}, map[string]bool{}
}

func (v *sharedView) has(t *testing.T, ids ...string) bool {
	t.Helper()
	v.mu.Lock()
	defer v.mu.Unlock()
	if v.gap != "" {
		t.Fatalf("a gap: %s", v.gap)
	}
	for _, id := range ids {
		if !v.ids[id] {
			return false
		}
	}
	return true
}

func openShared(t *testing.T, url string) *kafkalog.Log {
	t.Helper()
	l, err := kafkalog.Open(t.Context(), url, kafkalog.Options{})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = l.Close() })
	return l
}

// startShared runs an indexer; stop ends it, and fails the test when it ended otherwise.
func startShared(t *testing.T, l *kafkalog.Log, v *sharedView) (x *indexer.Indexer, stop func()) {
	t.Helper()
	x = indexer.New(indexer.Config{Log: l, Index: v})
	ctx, cancel := context.WithCancel(t.Context())
	ended := make(chan error, 1)
	go func() { ended <- x.Run(ctx) }()
	var once sync.Once
	stop = func() {
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

func addShared(t *testing.T, l *kafkalog.Log, n int) (positions []eventlog.Position, ids []string) {
	t.Helper()
	for i := range n {
		e := logtest.Event(event.TopicInstances, fmt.Sprint("1.2.", i), i)
		p, err := l.Append(t.Context(), e)
		if err != nil {
			t.Fatal(err)
		}
		positions, ids = append(positions, p...), append(ids, e.ID)
	}
	return positions, ids
}

func waitAll(t *testing.T, x *indexer.Indexer, positions []eventlog.Position) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	for _, p := range positions {
		if err := x.WaitApplied(ctx, p); err != nil {
			t.Fatalf("%v: %v", p, err)
		}
	}
}

// Two processes share the partitions and one index. Each tells of every record when readers see it, also of
// those that the other one applies; one leaves and comes back; the index is emptied, standing and running.
func TestSharedLog(t *testing.T) {
	k := testengine.StartKafka(t)
	url := k.URL("shared") + "?replication=1&partitions=4"
	a, b := openShared(t, url), openShared(t, url)
	v := newSharedView()
	first, stopFirst := startShared(t, a, v)
	second, stopSecond := startShared(t, b, v)

	positions, all := addShared(t, a, 100)
	waitAll(t, first, positions)
	waitAll(t, second, positions)
	if !v.has(t, all...) {
		t.Fatal("not everything is in the index")
	}
	for _, p := range positions {
		if !first.Seen(p) || !second.Seen(p) {
			t.Fatalf("%v was waited for, and is not seen", p)
		}
	}

	stopFirst()
	positions, more := addShared(t, b, 100)
	waitAll(t, second, positions)
	if all = append(all, more...); !v.has(t, all...) {
		t.Fatal("the second did not take over")
	}

	stopSecond()
	v.empty()
	third, stopThird := startShared(t, a, v)
	waitAll(t, third, positions)
	if !v.has(t, all...) {
		t.Fatal("an emptied index was not filled again")
	}

	// The database goes away, and comes back from a backup, while the stage runs.
	v.set(errors.New("the database is away"))
	positions, more = addShared(t, a, 20)
	all = append(all, more...)
	<-v.failed
	v.empty()
	v.set(nil)
	v.until(t, all)
	waitAll(t, third, positions)

	// As before, and nobody noticed.
	third.Distrust()
	v.empty()
	positions, more = addShared(t, a, 20)
	all = append(all, more...)
	v.until(t, all)
	waitAll(t, third, positions)
	stopThird()
}

// until waits until the index has everything.
func (v *sharedView) until(t *testing.T, all []string) {
	t.Helper()
	for deadline := time.Now().Add(time.Minute); !v.has(t, all...); time.Sleep(5 * time.Millisecond) {
		if time.Now().After(deadline) {
			t.Fatal("a restored index was not filled again")
		}
	}
}

func TestSharedIndexIsAhead(t *testing.T) {
	k := testengine.StartKafka(t)
	l := openShared(t, k.URL("ahead")+"?replication=1&partitions=2")
	addShared(t, l, 10)
	v := newSharedView()
	v.applied[1] = 1000
	x := indexer.New(indexer.Config{Log: l, Index: v})
	if err := x.Run(t.Context()); !errors.Is(err, indexer.ErrAhead) {
		t.Fatalf("run = %v, want ErrAhead", err)
	}
}

// knowing is a sharedView that knows the last event of each partition.
type knowing struct {
	*sharedView
	last string
}

func (k knowing) LastApplied(ctx context.Context, topic string, partition int32) (int64, string, error) {
	offset, err := k.Applied(ctx, topic, partition)
	return offset, k.last, err
}

// The log lost its end and gave its offsets again: the index is not ahead, and is not of this log.
func TestSharedLogIsAnother(t *testing.T) {
	k := testengine.StartKafka(t)
	l := openShared(t, k.URL("another")+"?replication=1&partitions=1")
	_, ids := addShared(t, l, 10)
	for _, c := range []struct {
		last string
		want error
	}{{ids[7], nil}, {"", nil}, {"the event that was lost", indexer.ErrOtherLog}} {
		v := newSharedView()
		v.applied[0] = 7
		ctx, cancel := context.WithCancel(t.Context())
		ended := make(chan error, 1)
		x := indexer.New(indexer.Config{Log: l, Index: knowing{v, c.last}, Group: fmt.Sprintf("index of %q", c.last)})
		go func() { ended <- x.Run(ctx) }()
		if c.want == nil {
			waitAll(t, x, []eventlog.Position{{Topic: event.TopicInstances, Offset: 9}})
			cancel()
		}
		if err := <-ended; !errors.Is(err, c.want) {
			t.Errorf("last applied %q: %v, want %v", c.last, err, c.want)
		}
		cancel()
	}
}

// An event in a spool has no place yet, and nobody waits for it.
func TestUnplaced(t *testing.T) {
	x := indexer.New(indexer.Config{Log: openLog(t), Index: newView()})
	pos := eventlog.Position{Topic: event.TopicInstances, Partition: kafkalog.Spooled, Offset: 7}
	if err := x.WaitApplied(t.Context(), pos); !errors.Is(err, indexer.ErrUnplaced) || x.Seen(pos) {
		t.Fatalf("wait = %v, seen %v", err, x.Seen(pos))
	}
}
