// Package logtest is the conformance suite of eventlog.Log: a case for each sentence of the contract,
// run against every engine.
package logtest

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"reflect"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/tributary-dicom/tributary/pipeline/event"
	"github.com/tributary-dicom/tributary/pipeline/eventlog"
)

// Run checks a log against the contract. open returns an empty one and closes it when its test ends.
func Run(t *testing.T, open func(t *testing.T) eventlog.Log) {
	t.Helper()
	for _, c := range []struct {
		name  string
		check func(*testing.T, eventlog.Log)
	}{
		{"append returns a position per event, growing", appendPositions},
		{"append of nothing does nothing", appendNothing},
		{"append refuses all or none", appendAllOrNone},
		{"append may reuse its bytes", appendOwnership},
		{"backed events stand among the others, in order, and are seen at once", appendBacked},
		{"append with an ended context fails", appendCancelled},
		{"a record comes back as it went in", roundTrip},
		{"concurrent appends all succeed in the order of each caller", concurrentAppends},
		{"a topic has only its records", topicsApart},
		{"a new group begins at the beginning", newGroup},
		{"a group goes on behind its committed position", resume},
		{"a group that committed nothing reads again", uncommitted},
		{"groups don't disturb one another", groupsApart},
		{"a commit never goes back", commitBack},
		{"commit of nothing does nothing", commitNothing},
		{"fetch returns at most what was asked for", fetchMost},
		{"fetch waits for a record", fetchWaits},
		{"fetch returns the context's error", fetchCancelled},
		{"fetch after a cancelled fetch loses nothing", fetchAfterCancel},
		{"consumers that lag and consumers that keep up see the same", lagging},
		{"calls after Close return ErrClosed", closed},
		{"Close wakes a fetch that waits", closeWakes},
	} {
		t.Run(c.name, func(t *testing.T) { c.check(t, open(t)) })
	}
}

// patience bounds what must happen at once; it is long so that a slow machine fails no test.
const patience = 30 * time.Second

func shortly(t *testing.T) context.Context {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	t.Cleanup(cancel)
	return ctx
}

// Event returns the n-th event of a key, all fields filled.
func Event(topic, key string, n int) event.Envelope {
	return event.Envelope{
		ID: event.NewID(), Type: event.TypeInstanceStored, Source: "/tributary/test",
		Subject: key + "/2/3", Time: time.Date(2024, 2, 29, 12, 0, n%60, 123456789, time.UTC),
		Topic: topic, Key: key, Data: fmt.Appendf(nil, `{"n":%d}`, n),
	}
}

func appendAll(t *testing.T, log eventlog.Log, events ...event.Envelope) []eventlog.Position {
	t.Helper()
	p, err := log.Append(shortly(t), events...)
	if err != nil {
		t.Fatalf("append: %v", err)
	}
	return p
}

func subscribe(t *testing.T, log eventlog.Log, group, topic string) eventlog.Consumer {
	t.Helper()
	c, err := log.Subscribe(shortly(t), group, topic)
	if err != nil {
		t.Fatalf("subscribe: %v", err)
	}
	return c
}

// fetch returns the next n records.
func fetch(t *testing.T, c eventlog.Consumer, n int) []eventlog.Record {
	t.Helper()
	var all []eventlog.Record
	for len(all) < n {
		records, err := c.Fetch(shortly(t), n-len(all))
		if err != nil {
			t.Fatalf("fetch: %v, after %d of %d records", err, len(all), n)
		}
		if len(records) == 0 || len(records) > n-len(all) {
			t.Fatalf("fetch of at most %d returned %d records", n-len(all), len(records))
		}
		all = append(all, records...)
	}
	return all
}

// nothing checks that no record is ready.
func nothing(t *testing.T, c eventlog.Consumer) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), 20*time.Millisecond)
	defer cancel()
	if records, err := c.Fetch(ctx, 10); !errors.Is(err, context.DeadlineExceeded) {
		t.Fatalf("fetch = %d records, %v; want none until the deadline", len(records), err)
	}
}

func ids(records []eventlog.Record) []string {
	all := make([]string, len(records))
	for i := range records {
		all[i] = records[i].Event.ID
	}
	return all
}

func idsOf(events []event.Envelope) []string {
	all := make([]string, len(events))
	for i := range events {
		all[i] = events[i].ID
	}
	return all
}

func some(topic string, n int) []event.Envelope {
	all := make([]event.Envelope, n)
	for i := range all {
		all[i] = Event(topic, "1.2.3", i)
	}
	return all
}

func equal(t *testing.T, what string, got, want any) {
	t.Helper()
	if !reflect.DeepEqual(got, want) {
		t.Fatalf("%s = %v, want %v", what, got, want)
	}
}

func appendPositions(t *testing.T, log eventlog.Log) {
	first := appendAll(t, log, some(event.TopicInstances, 3)...)
	second := appendAll(t, log, some(event.TopicInstances, 2)...)
	all := slices.Concat(first, second)
	if len(all) != 5 {
		t.Fatalf("%d positions for 5 events", len(all))
	}
	last := map[int32]int64{}
	for _, p := range all {
		if p.Topic != event.TopicInstances {
			t.Fatalf("position in topic %q", p.Topic)
		}
		if before, ok := last[p.Partition]; ok && p.Offset <= before {
			t.Fatalf("offset %d after %d", p.Offset, before)
		}
		last[p.Partition] = p.Offset
	}
	records := fetch(t, subscribe(t, log, "g", event.TopicInstances), 5)
	for i, r := range records {
		if r.Position != all[i] {
			t.Fatalf("record %d at %v, appended at %v", i, r.Position, all[i])
		}
	}
}

func appendNothing(t *testing.T, log eventlog.Log) {
	if p := appendAll(t, log); len(p) != 0 {
		t.Fatalf("%d positions of no events", len(p))
	}
}

func appendAllOrNone(t *testing.T, log eventlog.Log) {
	c := subscribe(t, log, "g", event.TopicInstances)
	events := some(event.TopicInstances, 3)
	events[2].Data = bytes.Repeat([]byte("x"), 64<<20) // beyond what any engine takes
	if _, err := log.Append(shortly(t), events...); err == nil {
		t.Fatal("an event of 64 MiB was taken")
	}
	good := Event(event.TopicInstances, "1.2.3", 9)
	appendAll(t, log, good)
	equal(t, "records", ids(fetch(t, c, 1)), []string{good.ID})
}

func appendOwnership(t *testing.T, log eventlog.Log) {
	c := subscribe(t, log, "g", event.TopicInstances)
	e := Event(event.TopicInstances, "1.2.3", 1)
	want := bytes.Clone(e.Data)
	appendAll(t, log, e)
	clear(e.Data)
	if got := fetch(t, c, 1)[0].Event.Data; !bytes.Equal(got, want) {
		t.Fatalf("data = %q, want %q", got, want)
	}
}

func appendCancelled(t *testing.T, log eventlog.Log) {
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if _, err := log.Append(ctx, Event(event.TopicInstances, "1.2.3", 1)); !errors.Is(err, context.Canceled) {
		t.Fatalf("append = %v, want context.Canceled", err)
	}
}

func roundTrip(t *testing.T, log eventlog.Log) {
	full := Event(event.TopicInstances, "1.2.3", 1)
	full.Data = []byte("{\"any\": \"\x00\xff bytes 中文\"}")
	full.Subject = "1.2.3/ü'\";--/4"
	zone := Event(event.TopicInstances, "1.2.3", 2)
	zone.Time = zone.Time.In(time.FixedZone("", 8*3600))
	bare := event.Envelope{ID: event.NewID(), Type: "t", Source: "s", Topic: event.TopicInstances}
	appendAll(t, log, full, zone, bare)
	zone.Time = zone.Time.UTC()
	bare.Data = []byte{}
	for _, group := range []string{"a", "b"} {
		for i, r := range fetch(t, subscribe(t, log, group, event.TopicInstances), 3) {
			want := []event.Envelope{full, zone, bare}[i]
			if len(r.Event.Data) == 0 {
				r.Event.Data = []byte{}
			}
			if !want.Time.IsZero() && !r.Event.Time.Equal(want.Time) {
				t.Fatalf("time = %v, want %v", r.Event.Time, want.Time)
			}
			r.Event.Time = want.Time
			equal(t, "event", r.Event, want)
		}
	}
}

func concurrentAppends(t *testing.T, log eventlog.Log) {
	const writers, each = 16, 20
	var wg sync.WaitGroup
	c := subscribe(t, log, "g", event.TopicInstances)
	for w := range writers {
		wg.Go(func() {
			for n := range each {
				if _, err := log.Append(shortly(t), Event(event.TopicInstances, fmt.Sprint(w), n)); err != nil {
					t.Errorf("append: %v", err)
				}
			}
		})
	}
	records := fetch(t, c, writers*each)
	wg.Wait()
	next := map[string]int{}
	seen := map[eventlog.Position]bool{}
	for _, r := range records {
		if want := fmt.Sprintf(`{"n":%d}`, next[r.Event.Key]); string(r.Event.Data) != want {
			t.Fatalf("key %s: %s, want %s", r.Event.Key, r.Event.Data, want)
		}
		next[r.Event.Key]++
		if seen[r.Position] {
			t.Fatalf("two records at %v", r.Position)
		}
		seen[r.Position] = true
	}
	nothing(t, c)
}

func topicsApart(t *testing.T, log eventlog.Log) {
	a, b := Event(event.TopicInstances, "1", 1), Event(event.TopicStudies, "1", 2)
	d := Event(event.TopicInstances, "1", 3)
	p := appendAll(t, log, a, b, d)
	equal(t, "topics", []string{p[0].Topic, p[1].Topic, p[2].Topic}, []string{a.Topic, b.Topic, d.Topic})
	equal(t, "instances", ids(fetch(t, subscribe(t, log, "g", event.TopicInstances), 2)), []string{a.ID, d.ID})
	studies := subscribe(t, log, "g", event.TopicStudies)
	equal(t, "studies", ids(fetch(t, studies, 1)), []string{b.ID})
	nothing(t, studies)
}

func newGroup(t *testing.T, log eventlog.Log) {
	events := some(event.TopicInstances, 10)
	appendAll(t, log, events...)
	equal(t, "records", ids(fetch(t, subscribe(t, log, "new", event.TopicInstances), 10)), idsOf(events))
}

func resume(t *testing.T, log eventlog.Log) {
	events := some(event.TopicInstances, 10)
	appendAll(t, log, events...)
	c := subscribe(t, log, "g", event.TopicInstances)
	records := fetch(t, c, 6)
	if err := c.Commit(shortly(t), records[:4]...); err != nil {
		t.Fatal(err)
	}
	if err := c.Close(); err != nil {
		t.Fatal(err)
	}
	equal(t, "records", ids(fetch(t, subscribe(t, log, "g", event.TopicInstances), 6)), idsOf(events[4:]))
}

func uncommitted(t *testing.T, log eventlog.Log) {
	events := some(event.TopicInstances, 3)
	appendAll(t, log, events...)
	c := subscribe(t, log, "g", event.TopicInstances)
	fetch(t, c, 3)
	if err := c.Close(); err != nil {
		t.Fatal(err)
	}
	equal(t, "records", ids(fetch(t, subscribe(t, log, "g", event.TopicInstances), 3)), idsOf(events))
}

func groupsApart(t *testing.T, log eventlog.Log) {
	events := some(event.TopicInstances, 4)
	appendAll(t, log, events...)
	a, b := subscribe(t, log, "a", event.TopicInstances), subscribe(t, log, "b", event.TopicInstances)
	if err := a.Commit(shortly(t), fetch(t, a, 4)...); err != nil {
		t.Fatal(err)
	}
	equal(t, "records", ids(fetch(t, b, 4)), idsOf(events))
}

func commitBack(t *testing.T, log eventlog.Log) {
	events := some(event.TopicInstances, 5)
	appendAll(t, log, events...)
	c := subscribe(t, log, "g", event.TopicInstances)
	records := fetch(t, c, 5)
	for _, some := range [][]eventlog.Record{records[:4], records[:2]} {
		if err := c.Commit(shortly(t), some...); err != nil {
			t.Fatal(err)
		}
	}
	if err := c.Close(); err != nil {
		t.Fatal(err)
	}
	equal(t, "records", ids(fetch(t, subscribe(t, log, "g", event.TopicInstances), 1)), idsOf(events[4:]))
}

func commitNothing(t *testing.T, log eventlog.Log) {
	if err := subscribe(t, log, "g", event.TopicInstances).Commit(shortly(t)); err != nil {
		t.Fatal(err)
	}
}

func fetchMost(t *testing.T, log eventlog.Log) {
	events := some(event.TopicInstances, 7)
	c := subscribe(t, log, "g", event.TopicInstances)
	appendAll(t, log, events...)
	var got []string
	for len(got) < 7 {
		records, err := c.Fetch(shortly(t), 3)
		if err != nil || len(records) == 0 || len(records) > 3 {
			t.Fatalf("fetch of at most 3 = %d, %v", len(records), err)
		}
		got = append(got, ids(records)...)
	}
	equal(t, "records", got, idsOf(events))
}

func fetchWaits(t *testing.T, log eventlog.Log) {
	c := subscribe(t, log, "g", event.TopicInstances)
	for n := range 20 {
		e := Event(event.TopicInstances, "1.2.3", n)
		got := make(chan []eventlog.Record, 1)
		go func() {
			records, err := c.Fetch(shortly(t), 10)
			if err != nil {
				t.Errorf("fetch: %v", err)
			}
			got <- records
		}()
		appendAll(t, log, e)
		equal(t, "records", ids(<-got), []string{e.ID})
	}
}

func fetchCancelled(t *testing.T, log eventlog.Log) {
	c := subscribe(t, log, "g", event.TopicInstances)
	ctx, cancel := context.WithCancel(t.Context())
	ended := make(chan error, 1)
	go func() {
		_, err := c.Fetch(ctx, 1)
		ended <- err
	}()
	cancel()
	if err := <-ended; !errors.Is(err, context.Canceled) {
		t.Fatalf("fetch = %v, want context.Canceled", err)
	}
}

func fetchAfterCancel(t *testing.T, log eventlog.Log) {
	c := subscribe(t, log, "g", event.TopicInstances)
	nothing(t, c)
	e := Event(event.TopicInstances, "1.2.3", 1)
	appendAll(t, log, e)
	equal(t, "records", ids(fetch(t, c, 1)), []string{e.ID})
}

func lagging(t *testing.T, log eventlog.Log) {
	const n = 3000
	fast, slow := subscribe(t, log, "fast", event.TopicInstances), subscribe(t, log, "slow", event.TopicInstances)
	var wg sync.WaitGroup
	var kept []eventlog.Record
	wg.Go(func() { kept = fetch(t, fast, n) })
	for i := range n / 50 {
		events := some(event.TopicInstances, 50)
		for j := range events {
			events[j].Data = fmt.Appendf(nil, `{"n":%d}`, i*50+j)
		}
		appendAll(t, log, events...)
	}
	wg.Wait()
	late := fetch(t, slow, n)
	for i := range late {
		if want := fmt.Sprintf(`{"n":%d}`, i); string(late[i].Event.Data) != want {
			t.Fatalf("record %d: %s", i, late[i].Event.Data)
		}
		equal(t, "record", kept[i], late[i])
	}
}

func closed(t *testing.T, log eventlog.Log) {
	c := subscribe(t, log, "g", event.TopicInstances)
	appendAll(t, log, some(event.TopicInstances, 1)...)
	records := fetch(t, c, 1)
	if err := log.Close(); err != nil {
		t.Fatal(err)
	}
	_, appended := log.Append(shortly(t), some(event.TopicInstances, 1)...)
	_, empty := log.Append(shortly(t))
	_, subscribed := log.Subscribe(shortly(t), "h", event.TopicInstances)
	_, fetched := c.Fetch(shortly(t), 1)
	for call, err := range map[string]error{
		"append": appended, "append of nothing": empty, "subscribe": subscribed, "fetch": fetched,
		"commit": c.Commit(shortly(t), records...),
	} {
		if !errors.Is(err, eventlog.ErrClosed) {
			t.Errorf("%s after Close = %v, want ErrClosed", call, err)
		}
	}
	if err := c.Close(); err != nil {
		t.Errorf("close of a consumer after its log: %v", err)
	}
	if err := log.Close(); err != nil {
		t.Errorf("second close: %v", err)
	}
}

func closeWakes(t *testing.T, log eventlog.Log) {
	c := subscribe(t, log, "g", event.TopicInstances)
	ended := make(chan error, 1)
	go func() {
		_, err := c.Fetch(shortly(t), 1)
		ended <- err
	}()
	if err := log.Close(); err != nil {
		t.Fatal(err)
	}
	if err := <-ended; !errors.Is(err, eventlog.ErrClosed) {
		t.Fatalf("fetch = %v, want ErrClosed", err)
	}
}

func appendBacked(t *testing.T, l eventlog.Log) {
	c, err := l.Subscribe(t.Context(), "g", event.TopicInstances)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = c.Close() }()
	last := int64(-1)
	for i := range 10 {
		add := l.AppendBacked
		if i%3 == 1 {
			add = l.Append
		}
		pos, err := add(t.Context(), Event(event.TopicInstances, "k", i))
		if err != nil || len(pos) != 1 || pos[0].Offset <= last {
			t.Fatalf("event %d: positions %v behind %d, %v", i, pos, last, err)
		}
		last = pos[0].Offset
		records, err := c.Fetch(t.Context(), 10)
		if err != nil || len(records) != 1 || records[0].Offset != last {
			t.Fatalf("event %d: fetched %v, %v", i, records, err)
		}
	}
	if _, err := l.AppendBacked(t.Context(), event.Envelope{Topic: event.TopicInstances}); err == nil {
		t.Error("an event without id was taken")
	}
}
