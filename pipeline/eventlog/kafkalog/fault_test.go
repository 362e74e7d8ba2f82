package kafkalog_test

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"path/filepath"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/tributary-dicom/tributary/internal/testengine"
	"github.com/tributary-dicom/tributary/pipeline/event"
	"github.com/tributary-dicom/tributary/pipeline/eventlog"
	"github.com/tributary-dicom/tributary/pipeline/eventlog/kafkalog"
	"github.com/tributary-dicom/tributary/pipeline/eventlog/logtest"
)

// keyed returns the n-th event of a key.
func keyed(key string, n int) event.Envelope { return logtest.Event(event.TopicInstances, key, n) }

// firsts drops ids that came before.
func firsts(ids []string) (unique []string) {
	seen := map[string]bool{}
	for _, id := range ids {
		if !seen[id] {
			seen[id] = true
			unique = append(unique, id)
		}
	}
	return unique
}

// Brokers are killed and started again under load. With a spool nobody is refused, nothing acknowledged is
// lost, and each writer's events come in its order.
func TestBrokerKilledUnderLoad(t *testing.T) {
	t.Parallel()
	k := testengine.StartKafka(t)
	prefix := newPrefix()
	l := open(t, at(k, prefix, "timeout=1s"), kafkalog.Options{Spool: newSpool(t)})
	const writers = 8
	acked := make([][]string, writers)
	stop := make(chan struct{})
	var wg sync.WaitGroup
	for w := range writers {
		wg.Go(func() {
			for n := 0; ; n++ {
				select {
				case <-stop:
					return
				default:
				}
				e := keyed(fmt.Sprint("1.2.", w), n)
				if _, err := l.Append(t.Context(), e); err != nil {
					t.Errorf("refused: %v", err)
					return
				}
				acked[w] = append(acked[w], e.ID)
			}
		})
	}
	for range 2 {
		time.Sleep(100 * time.Millisecond) // of load
		k.Kill()
		until(t, "events go to the spool", func() bool { return l.Stats().SpoolRecords > 0 })
		k.Start()
		until(t, "Kafka is used again", func() bool { return l.Stats().BrokersUp && l.Stats().SpoolRecords == 0 })
	}
	close(stop)
	wg.Wait()
	total := 0
	for _, ids := range acked {
		total += len(ids)
	}
	t.Logf("%d events", total)
	until(t, "the spool is empty", func() bool { return l.Stats().SpoolRecords == 0 })
	got := firsts(fetchIDs(t, subscribe(t, l, "g"), total))
	if len(got) != total {
		t.Fatalf("%d events, want %d", len(got), total)
	}
	at := map[string]int{}
	for i, id := range got {
		at[id] = i + 1
	}
	for w, ids := range acked {
		last := 0
		for n, id := range ids {
			if at[id] <= last {
				t.Fatalf("writer %d: event %d comes at %d, behind %d", w, n, at[id], last)
			}
			last = at[id]
		}
	}
}

// With a spool a node starts and takes events while Kafka is away; when it is back they come in order.
// Without one Open tells.
func TestKafkaAwayAtStart(t *testing.T) {
	t.Parallel()
	k := testengine.StartKafka(t, testengine.KafkaStopped())
	prefix := newPrefix()
	if _, err := kafkalog.Open(t.Context(), at(k, prefix, "timeout=500ms"), kafkalog.Options{}); err == nil {
		t.Fatal("opened without Kafka and without a spool")
	}
	l := open(t, at(k, prefix, "timeout=500ms"), kafkalog.Options{Spool: newSpool(t)})
	c := subscribe(t, l, "g")
	var want []string
	for n := range 50 {
		e := keyed("1.2.3", n)
		p, err := l.AppendBacked(within(t), e)
		if err != nil || p[0].Partition != kafkalog.Spooled || p[0].Topic != event.TopicInstances {
			t.Fatalf("append = %v, %v", p, err)
		}
		want = append(want, e.ID)
	}
	if health, why := l.State(); health != kafkalog.Degraded || !errors.Is(why, kafkalog.ErrUnavailable) || l.Ready(t.Context()) != nil {
		t.Fatalf("health %v, %v; ready %v", health, why, l.Ready(t.Context()))
	}
	if s := l.Stats(); s.BrokersUp || s.SpoolRecords != 50 || s.SpoolBytes <= 0 || s.SpoolAge < 0 {
		t.Fatalf("stats %+v", s)
	}
	inSpool := 0
	err := l.Since(t.Context(), time.Time{}, func(event.Envelope) error { inSpool++; return nil })
	if inSpool != 50 || err == nil {
		t.Fatalf("history of %d events, %v; want those of the spool, and that Kafka is away", inSpool, err)
	}
	k.Start()
	if got := firsts(fetchIDs(t, c, 50)); !slices.Equal(got, want) {
		t.Fatalf("events came in another order:\n%v\n%v", got, want)
	}
	until(t, "all is well", func() bool { h, _ := l.State(); return h == kafkalog.Well })
	if p := appendAll(t, l, keyed("1.2.3", 50)); p[0].Partition < 0 {
		t.Fatalf("position %v behind an empty spool", p)
	}
}

// A node is killed while it drains: what the copy of its spool has is delivered by the next one, before new
// events of the same key.
func TestHalfDrainedSpoolIsOpenedAgain(t *testing.T) {
	t.Parallel()
	k := testengine.StartKafka(t, testengine.KafkaStopped())
	url := at(k, newPrefix(), "timeout=500ms")
	dir := t.TempDir()
	spool := openSpool(t, filepath.Join(dir, "spool.db"))
	l := open(t, url, kafkalog.Options{Spool: spool})
	const n = 3000 // several batches
	var want []string
	for first := 0; first < n; first += 500 {
		var events []event.Envelope
		for i := range 500 {
			e := keyed("1.2.3", first+i)
			events, want = append(events, e), append(want, e.ID)
		}
		appendAll(t, l, events...)
	}
	k.Start()
	until(t, "a part is drained", func() bool { return l.Stats().SpoolRecords < n })
	copied := filepath.Join(t.TempDir(), "spool.db")
	for _, suffix := range []string{"", "-wal"} { // as SIGKILL leaves them
		copyFile(t, filepath.Join(dir, "spool.db")+suffix, copied+suffix)
	}
	if err := l.Close(); err != nil {
		t.Fatal(err)
	}
	again := open(t, url, kafkalog.Options{Spool: openSpool(t, copied)})
	e := keyed("1.2.3", n)
	appendAll(t, again, e)
	want = append(want, e.ID)
	if got := firsts(fetchIDs(t, subscribe(t, again, "g"), n+1)); !slices.Equal(got, want) {
		t.Fatalf("%d events in another order than %d were appended", len(got), len(want))
	}
	until(t, "the spool is empty", func() bool { return again.Stats().SpoolRecords == 0 })
}

func copyFile(t *testing.T, from, to string) {
	t.Helper()
	in, err := os.Open(from)
	if err != nil {
		t.Fatal(err)
	}
	defer in.Close()
	out, err := os.Create(to)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := io.Copy(out, in); err != nil {
		t.Fatal(err)
	}
	if err := out.Close(); err != nil {
		t.Fatal(err)
	}
}

// A full spool refuses, says so, and takes again once it was drained.
func TestSpoolIsBounded(t *testing.T) {
	t.Parallel()
	k := testengine.StartKafka(t, testengine.KafkaStopped())
	l := open(t, at(k, newPrefix(), "timeout=500ms"), kafkalog.Options{Spool: newSpool(t), SpoolBytes: 1 << 20})
	taken := 0
	var err error
	for err == nil {
		e := keyed("1.2.3", taken)
		e.Data = make([]byte, 10_000)
		if _, err = l.Append(within(t), e); err == nil {
			taken++
		}
	}
	if !errors.Is(err, kafkalog.ErrSpoolFull) || taken < 90 || taken > 105 {
		t.Fatalf("refused behind %d events of 10 kB: %v", taken, err)
	}
	if health, why := l.State(); health != kafkalog.Failing || !errors.Is(why, kafkalog.ErrSpoolFull) || l.Ready(t.Context()) == nil {
		t.Fatalf("health %v, %v", health, why)
	}
	k.Start()
	until(t, "the spool is empty", func() bool { return l.Stats().SpoolRecords == 0 })
	appendAll(t, l, keyed("1.2.3", taken))
	fetchIDs(t, subscribe(t, l, "g"), taken+1)
}

// blackHole accepts connections and never answers.
func blackHole(t *testing.T) (addr string) {
	t.Helper()
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	var mu sync.Mutex
	var open []net.Conn
	go func() {
		for {
			conn, err := listener.Accept()
			if err != nil {
				return
			}
			mu.Lock()
			open = append(open, conn)
			mu.Unlock()
		}
	}()
	t.Cleanup(func() {
		_ = listener.Close()
		mu.Lock()
		defer mu.Unlock()
		for _, c := range open {
			_ = c.Close()
		}
	})
	return listener.Addr().String()
}

// Brokers that accept and never answer cost a deadline, not more; Close does not wait for them either.
func TestBlackHole(t *testing.T) {
	t.Parallel()
	url := "kafka://" + blackHole(t) + "/x?timeout=500ms"
	if _, err := kafkalog.Open(t.Context(), url, kafkalog.Options{}); err == nil {
		t.Fatal("opened")
	}
	l := open(t, url, kafkalog.Options{Spool: newSpool(t)})
	subscribe(t, l, "g")
	if p := appendAll(t, l, keyed("1", 1)); p[0].Partition != kafkalog.Spooled {
		t.Fatalf("position %v", p)
	}
}

// Brokers that stop answering in mid-load: one deadline, and from then on the breaker answers at once.
func TestBrokersStopAnswering(t *testing.T) {
	t.Parallel()
	k := testengine.StartKafka(t)
	url := at(k, newPrefix(), "timeout=500ms")
	alone, spooled := open(t, url, kafkalog.Options{}), open(t, url, kafkalog.Options{Spool: newSpool(t)})
	c := subscribe(t, alone, "g")
	first := keyed("1", 1)
	appendAll(t, alone, first)
	k.Pause()
	if _, err := alone.Append(within(t), keyed("1", 2)); !errors.Is(err, kafkalog.ErrUnavailable) {
		t.Fatalf("append = %v", err)
	}
	if health, _ := alone.State(); health != kafkalog.Failing || alone.Ready(t.Context()) == nil {
		t.Fatalf("health %v", health)
	}
	for n := range 100 { // a door would have waited for 50 s
		if _, err := alone.Append(within(t), keyed("1", 3+n)); !errors.Is(err, kafkalog.ErrUnavailable) {
			t.Fatalf("append = %v", err)
		}
	}
	kept := keyed("1", 200)
	if p := appendAll(t, spooled, kept); p[0].Partition != kafkalog.Spooled {
		t.Fatalf("position %v", p)
	}
	k.Continue()
	until(t, "Kafka has what the spool had", func() bool { return spooled.Stats().SpoolRecords == 0 })
	last := keyed("1", 201)
	until(t, "appends succeed again", func() bool {
		_, err := alone.Append(t.Context(), last)
		return err == nil
	})
	// The refused ones may have been written too.
	seen := map[string]bool{}
	for !seen[first.ID] || !seen[kept.ID] || !seen[last.ID] {
		records, err := c.Fetch(within(t), 100)
		if err != nil {
			t.Fatal(err)
		}
		for _, r := range records {
			seen[r.Event.ID] = true
		}
	}
}

// Whose context ends while its event waits behind a request that hangs is told so; the event may be there.
func TestAppendEndsWithItsContext(t *testing.T) {
	t.Parallel()
	k := testengine.StartKafka(t)
	l := open(t, at(k, newPrefix(), "timeout=3s"), kafkalog.Options{})
	appendAll(t, l, keyed("1", 1))
	k.Pause()
	defer k.Continue()
	hanging := make(chan error, 1)
	go func() {
		_, err := l.Append(context.WithoutCancel(t.Context()), keyed("1", 2))
		hanging <- err
	}()
	ctx, cancel := context.WithTimeout(t.Context(), 300*time.Millisecond)
	defer cancel()
	for {
		_, err := l.Append(ctx, keyed("1", 3))
		if err == nil {
			t.Fatal("a paused cluster acknowledged")
		}
		if errors.Is(err, context.DeadlineExceeded) || errors.Is(err, kafkalog.ErrUnavailable) {
			break
		}
	}
	if err := <-hanging; !errors.Is(err, kafkalog.ErrUnavailable) {
		t.Fatal(err)
	}
}

// Close ends what waits with ErrClosed, also while brokers hang.
func TestCloseWhileBrokersHang(t *testing.T) {
	t.Parallel()
	k := testengine.StartKafka(t)
	l := open(t, at(k, newPrefix()), kafkalog.Options{})
	c := subscribe(t, l, "g")
	appendAll(t, l, keyed("1", 1))
	fetchIDs(t, c, 1)
	k.Pause()
	defer k.Continue()
	ended := make(chan error, 2)
	go func() {
		_, err := l.Append(t.Context(), keyed("1", 2))
		ended <- err
	}()
	go func() {
		_, err := c.Fetch(t.Context(), 1)
		ended <- err
	}()
	if err := l.Close(); err != nil {
		t.Fatal(err)
	}
	for range 2 {
		if err := <-ended; !errors.Is(err, eventlog.ErrClosed) {
			t.Errorf("%v, want ErrClosed", err)
		}
	}
}
