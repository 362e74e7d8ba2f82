package kafkalog_test

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/segmentio/kafka-go"

	"github.com/tributary-dicom/tributary/internal/testengine"
	"github.com/tributary-dicom/tributary/pipeline/event"
	"github.com/tributary-dicom/tributary/pipeline/eventlog"
	"github.com/tributary-dicom/tributary/pipeline/eventlog/kafkalog"
)

// member is a consumer that commits what it fetched, as a stage does.
type member struct {
	mu      sync.Mutex
	records []eventlog.Record
	stop    context.CancelFunc
	ended   chan struct{}
}

func join(t *testing.T, l *kafkalog.Log, group string) *member {
	t.Helper()
	c := subscribe(t, l, group)
	ctx, cancel := context.WithCancel(t.Context())
	m := &member{stop: cancel, ended: make(chan struct{})}
	go func() {
		defer close(m.ended)
		defer func() { _ = c.Close() }()
		for {
			records, err := c.Fetch(ctx, 7)
			if err != nil {
				return
			}
			m.mu.Lock()
			m.records = append(m.records, records...)
			m.mu.Unlock()
			if err := c.Commit(ctx, records...); err != nil && ctx.Err() == nil && !errors.Is(err, eventlog.ErrClosed) {
				t.Errorf("commit: %v", err)
			}
		}
	}()
	t.Cleanup(m.leave)
	return m
}

func (m *member) leave() {
	m.stop()
	<-m.ended
}

func (m *member) seen() []eventlog.Record {
	m.mu.Lock()
	defer m.mu.Unlock()
	return slices.Clone(m.records)
}

// Three members share the partitions of one group, one after another joins, and one leaves, all under load:
// nothing is left out, each partition is in order with each member, and once they have settled nobody reads
// what another one has.
func TestMembersShareAndShareAgain(t *testing.T) {
	t.Parallel()
	k := testengine.StartKafka(t)
	url := at(k, newPrefix(), "partitions=6")
	l := open(t, url, kafkalog.Options{})
	appended := map[string]bool{}
	n := 0
	add := func(count int) {
		for range count {
			e := keyed(fmt.Sprint("1.2.", n%50), n)
			n++
			appendAll(t, l, e)
			appended[e.ID] = true
		}
	}
	members := []*member{join(t, l, "g")}
	all := func() map[string]int {
		times := map[string]int{}
		for _, m := range members {
			for _, r := range m.seen() {
				times[r.Event.ID]++
			}
		}
		return times
	}
	add(100)
	for range 2 {
		members = append(members, join(t, open(t, url, kafkalog.Options{}), "g"))
		add(100)
	}
	until(t, "all three have a share", func() bool {
		add(5)
		return len(members[1].seen()) > 0 && len(members[2].seen()) > 0
	})
	until(t, "everything was read", func() bool { return len(all()) == len(appended) })
	before := all()
	add(200)
	until(t, "the rest was read", func() bool { return len(all()) == len(appended) })
	for id, times := range all() {
		if before[id] == 0 && times != 1 {
			t.Fatalf("event %s came %d times to members that have settled", id, times)
		}
	}
	members[0].leave()
	add(100)
	until(t, "the others have taken over", func() bool { return len(all()) == len(appended) })
	for i, m := range members {
		last, again := map[int32]int64{}, map[string]bool{}
		for _, r := range m.seen() {
			if !appended[r.Event.ID] {
				t.Fatalf("member %d: an event that nobody appended", i)
			}
			if before, ok := last[r.Partition]; ok && !again[r.Event.ID] && r.Offset <= before {
				t.Fatalf("member %d: partition %d goes from %d back to %d", i, r.Partition, before, r.Offset)
			}
			again[r.Event.ID] = true
			last[r.Partition] = max(last[r.Partition], r.Offset)
		}
	}
}

// Who keeps its own positions begins there: behind what the group has committed, ahead of it, or at the
// beginning when it has none.
func TestSubscribeAt(t *testing.T) {
	t.Parallel()
	k := testengine.StartKafka(t)
	l := open(t, at(k, newPrefix(), "partitions=1"), kafkalog.Options{})
	var ids []string
	for n := range 20 {
		e := keyed("1", n)
		appendAll(t, l, e)
		ids = append(ids, e.ID)
	}
	c := subscribe(t, l, "g")
	var records []eventlog.Record
	for len(records) < 10 {
		some, err := c.Fetch(within(t), 10-len(records))
		if err != nil {
			t.Fatal(err)
		}
		records = append(records, some...)
	}
	if err := c.Commit(within(t), records...); err != nil {
		t.Fatal(err)
	}
	if err := c.Close(); err != nil {
		t.Fatal(err)
	}
	for _, behind := range []int64{-1, 3, 9, 14, 18} {
		asked := 0
		c, err := l.SubscribeAt(within(t), "g", event.TopicInstances, func(_ context.Context, partition int32) (int64, error) {
			if asked++; asked == 1 {
				return 0, errors.New("the database is away") // it is asked again
			}
			return behind, nil
		})
		if err != nil {
			t.Fatal(err)
		}
		want := ids[behind+1:]
		if got := fetchIDs(t, c, len(want)); !slices.Equal(got, want) {
			t.Errorf("behind %d: %d events, want %d", behind, len(got), len(want))
		}
		if err := c.Close(); err != nil {
			t.Fatal(err)
		}
	}
	// Behind the end there is nothing, and never was.
	ahead, err := l.SubscribeAt(within(t), "g", event.TopicInstances, func(context.Context, int32) (int64, error) { return 100, nil })
	if err != nil {
		t.Fatal(err)
	}
	var permanent interface{ Permanent() bool }
	if _, err := ahead.Fetch(within(t), 1); !errors.Is(err, kafkalog.ErrLost) || !errors.As(err, &permanent) || !permanent.Permanent() {
		t.Fatalf("fetch = %v, want ErrLost for good", err)
	}
	if err := ahead.Close(); err != nil {
		t.Fatal(err)
	}
	refused := &permanentError{}
	never, err := l.SubscribeAt(within(t), "g", event.TopicInstances, func(context.Context, int32) (int64, error) { return 0, refused })
	if err != nil {
		t.Fatal(err)
	}
	if _, err := never.Fetch(within(t), 1); !errors.Is(err, refused) {
		t.Fatalf("fetch = %v", err)
	}
}

type permanentError struct{}

func (*permanentError) Error() string   { return "never" }
func (*permanentError) Permanent() bool { return true }

// Brokers that restart do not end a consumer.
func TestConsumerOutlivesBrokers(t *testing.T) {
	t.Parallel()
	k := testengine.StartKafka(t)
	l := open(t, at(k, newPrefix(), "timeout=1s"), kafkalog.Options{Spool: newSpool(t)})
	c := subscribe(t, l, "g")
	first := keyed("1", 1)
	appendAll(t, l, first)
	if got := fetchIDs(t, c, 1); got[0] != first.ID {
		t.Fatal(got)
	}
	k.Kill()
	second := keyed("1", 2)
	appendAll(t, l, second)
	k.Start()
	for found := false; !found; {
		records, err := c.Fetch(within(t), 10)
		if err != nil {
			t.Fatal(err)
		}
		found = slices.ContainsFunc(records, func(r eventlog.Record) bool { return r.Event.ID == second.ID })
		if err := c.Commit(within(t), records...); err != nil {
			t.Fatal(err)
		}
	}
}

// Reading back: from a position, before one, since a time, and where partitions end.
func TestReading(t *testing.T) {
	t.Parallel()
	k := testengine.StartKafka(t)
	l := open(t, at(k, newPrefix(), "partitions=3"), kafkalog.Options{})
	begin := time.Now().UTC()
	placed := map[int32][]string{}
	for n := range 30 {
		e := keyed(fmt.Sprint(n), n)
		e.Time = begin.Add(time.Duration(n) * time.Millisecond)
		p := appendAll(t, l, e)[0]
		if int64(len(placed[p.Partition])) != p.Offset {
			t.Fatalf("event %d lies at %v", n, p)
		}
		placed[p.Partition] = append(placed[p.Partition], e.ID)
	}
	heads, err := l.Heads(within(t), event.TopicInstances)
	if err != nil || len(heads) != 3 {
		t.Fatal(heads, err)
	}
	for p, ids := range placed {
		if newest, err := l.Newest(within(t), event.TopicInstances, p); err != nil || newest != heads[p] || newest != int64(len(ids)-1) {
			t.Fatalf("partition %d ends at %d, %v; %d events", p, newest, err, len(ids))
		}
		records, err := l.ReadFrom(within(t), event.TopicInstances, eventlog.Position{Partition: p, Offset: 2}, 3)
		if err != nil || !slices.Equal(recordIDs(records), ids[2:5]) {
			t.Fatalf("read from: %v, %v", records, err)
		}
		records, err = l.ReadBefore(within(t), event.TopicInstances, eventlog.Position{Partition: p, Offset: 4}, 2)
		if err != nil || !slices.Equal(recordIDs(records), []string{ids[3], ids[2]}) {
			t.Fatalf("read before: %v, %v", records, err)
		}
		records, err = l.ReadBefore(within(t), event.TopicInstances, eventlog.Position{Partition: p}, 1000)
		if err != nil || len(records) != len(ids) || records[0].Event.ID != ids[len(ids)-1] {
			t.Fatalf("read backwards: %d, %v", len(records), err)
		}
	}
	for _, since := range []int{0, 12, 30} {
		var found []string
		err := l.Since(within(t), begin.Add(time.Duration(since)*time.Millisecond), func(e event.Envelope) error {
			found = append(found, e.ID)
			return nil
		})
		if err != nil || len(firsts(found)) != 30-since {
			t.Errorf("since %d: %d events, %v", since, len(found), err)
		}
	}
	if newest, err := l.Newest(within(t), event.TopicStudies, 0); err != nil || newest != -1 {
		t.Errorf("an empty partition ends at %d, %v", newest, err)
	}
	stop := errors.New("stop")
	if err := l.Since(within(t), time.Time{}, func(event.Envelope) error { return stop }); !errors.Is(err, stop) {
		t.Errorf("since = %v", err)
	}
}

func recordIDs(records []eventlog.Record) (ids []string) {
	for _, r := range records {
		ids = append(ids, r.Event.ID)
	}
	return ids
}

// What somebody else writes to the topic is seen as what it is, and does not stop a consumer. What we
// write is what a plain client expects.
func TestPlainClients(t *testing.T) {
	t.Parallel()
	k := testengine.StartKafka(t)
	prefix := newPrefix()
	l := open(t, at(k, prefix, "partitions=12"), kafkalog.Options{})
	client := &kafka.Writer{
		Addr: kafka.TCP(k.Brokers()...), Topic: prefix + ".instances", RequiredAcks: kafka.RequireAll,
		Balancer: kafka.Murmur2Balancer{}, BatchSize: 1,
		Transport: &kafka.Transport{},
	}
	defer client.Transport.(*kafka.Transport).CloseIdleConnections()
	defer client.Close()
	if err := client.WriteMessages(within(t), kafka.Message{Key: []byte("2.25.1001"), Value: []byte("hello")}); err != nil {
		t.Fatal(err)
	}
	e := keyed("2.25.1001", 1)
	p := appendAll(t, l, e)[0]
	records, err := l.ReadFrom(within(t), event.TopicInstances, eventlog.Position{Partition: p.Partition}, 10)
	if err != nil || len(records) != 2 {
		t.Fatalf("the two writers do not agree on a partition: %v, %v", records, err)
	}
	if r := records[0]; r.Event.Type != kafkalog.UnreadableType || r.Event.ID == "" || string(r.Event.Data) != "hello" || r.Event.Key != "2.25.1001" {
		t.Errorf("a foreign record is %+v", r)
	}
	reader := kafka.NewReader(kafka.ReaderConfig{Brokers: k.Brokers(), Topic: prefix + ".instances", Partition: int(p.Partition), MaxWait: 100 * time.Millisecond})
	defer reader.Close()
	if err := reader.SetOffset(p.Offset); err != nil {
		t.Fatal(err)
	}
	m, err := reader.ReadMessage(within(t))
	if err != nil || string(m.Key) != e.Key || string(m.Value) != string(e.Data) {
		t.Fatalf("message %+v, %v", m, err)
	}
	headers := map[string]string{}
	for _, h := range m.Headers {
		headers[h.Key] = string(h.Value)
	}
	want := map[string]string{
		"ce_specversion": "1.0", "ce_id": e.ID, "ce_type": e.Type, "ce_source": e.Source, "ce_subject": e.Subject,
		"ce_time": e.Time.Format(time.RFC3339Nano), "content-type": "application/json",
	}
	for name, value := range want {
		if headers[name] != value {
			t.Errorf("header %s = %q, want %q", name, headers[name], value)
		}
	}
}
