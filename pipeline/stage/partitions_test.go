package stage_test

import (
	"context"
	"errors"
	"fmt"
	"testing"
	"time"

	"github.com/tributary-dicom/tributary/internal/testengine"
	"github.com/tributary-dicom/tributary/pipeline/event"
	"github.com/tributary-dicom/tributary/pipeline/eventlog"
	"github.com/tributary-dicom/tributary/pipeline/eventlog/kafkalog"
	"github.com/tributary-dicom/tributary/pipeline/eventlog/logtest"
	"github.com/tributary-dicom/tributary/pipeline/stage"
)

// In a log of many partitions a dead letter names the place of the record that failed: there it is found.
func TestDeadLettersOfManyPartitions(t *testing.T) {
	k := testengine.StartKafka(t)
	l, err := kafkalog.Open(t.Context(), k.URL("stage")+"?replication=1&partitions=5", kafkalog.Options{})
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = l.Close() }()
	const n = 60
	poison := map[string]bool{}
	for i := range n {
		e := logtest.Event(event.TopicInstances, fmt.Sprint("1.2.", i), i)
		if _, err := l.Append(t.Context(), e); err != nil {
			t.Fatal(err)
		}
		poison[e.ID] = i%6 == 0
	}
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	settled := 0
	err = stage.Run(ctx, stage.Config{
		Log: l, Group: "g", Topic: event.TopicInstances, Source: "/node", Version: "v9", MinPause: time.Millisecond, MaxPause: time.Millisecond,
		Handle: func(_ context.Context, records []eventlog.Record) error {
			for _, r := range records {
				if poison[r.Event.ID] {
					return stage.Permanent(errors.New("cannot be applied"))
				}
			}
			return nil
		},
		Settled: func(records []eventlog.Record) {
			if settled += len(records); settled >= n {
				cancel()
			}
		},
	})
	cancel()
	if err != nil || settled != n {
		t.Fatalf("%d of %d records settled, %v", settled, n, err)
	}
	places := map[int32]bool{}
	letters := 0
	for partition := range int32(5) {
		records, err := l.ReadFrom(t.Context(), event.TopicDeadLetter, eventlog.Position{Partition: partition}, n)
		if err != nil {
			t.Fatal(err)
		}
		for _, r := range records {
			letter, err := event.Decode[event.DeadLetter](r.Event.Data)
			if err != nil {
				t.Fatal(err)
			}
			failed, err := l.ReadFrom(t.Context(), letter.Topic, eventlog.Position{Partition: letter.Partition, Offset: letter.Offset}, 1)
			if err != nil || len(failed) != 1 || failed[0].Offset != letter.Offset || failed[0].Event.ID != letter.Record.ID || !poison[letter.Record.ID] {
				t.Fatalf("the letter says %s/%d@%d, where %v lies, %v", letter.Topic, letter.Partition, letter.Offset, failed, err)
			}
			if letter.Group != "g" || letter.Version != "v9" || letter.Error == "" || r.Event.Key != failed[0].Event.Key {
				t.Fatalf("%+v", letter)
			}
			places[letter.Partition] = true
			letters++
		}
	}
	if letters != n/6 || len(places) < 2 {
		t.Fatalf("%d letters of %d partitions, want %d", letters, len(places), n/6)
	}
}

// A consumer that can never go on ends its stage: trying again would hide it.
func TestPermanentFetchErrorEndsTheStage(t *testing.T) {
	log := newTape(3)
	gone := errors.New("position is gone")
	fetches := 0
	log.fail = func(call string) error {
		if call == "fetch" {
			if fetches++; fetches == 2 {
				return stage.Permanent(gone)
			}
		}
		return nil
	}
	err := stage.Run(t.Context(), stage.Config{
		Log: log, Group: "g", Topic: event.TopicInstances,
		Handle: func(context.Context, []eventlog.Record) error { return nil },
	})
	if !errors.Is(err, gone) || fetches != 2 || len(log.committed) != 1 {
		t.Fatalf("%v after %d fetches, committed %v", err, fetches, log.committed)
	}
}

// behindTape knows its lag.
type behindTape struct {
	*tape
	behind int64
}

func (b *behindTape) Behind() int64 { return b.behind }

type lags struct {
	stage.Metrics
	seen []int64
}

func (*lags) Handled(int, time.Duration)             {}
func (l *lags) Lag(records int64, age time.Duration) { l.seen = append(l.seen, records) }

// The lag over all partitions is the consumer's to tell.
func TestLagOfManyPartitions(t *testing.T) {
	log := newTape(4)
	b, m := &behindTape{tape: log, behind: 40}, &lags{}
	ctx, cancel := context.WithCancel(t.Context())
	err := stage.Run(ctx, stage.Config{
		Log: log, Group: "g", Topic: event.TopicInstances, Batch: 2, Metrics: m,
		Open: func(context.Context) (eventlog.Consumer, error) { return b, nil },
		Handle: func(_ context.Context, records []eventlog.Record) error {
			if b.behind = 0; records[0].Offset == 2 {
				cancel()
			}
			return nil
		},
	})
	cancel()
	if err != nil || fmt.Sprint(m.seen) != "[42 0 2 0]" {
		t.Fatalf("lags %v, %v", m.seen, err)
	}
}
