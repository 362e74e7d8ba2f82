package indexer

import (
	"context"
	"errors"
	"fmt"
	"testing"

	"github.com/tributary-dicom/tributary/pipeline/event"
	"github.com/tributary-dicom/tributary/pipeline/eventlog"
)

func TestKnown(t *testing.T) {
	uid := func(kind string, i int) string { return fmt.Sprintf("2.25.%s.%d", kind, i) }
	k := NewKnown(10)
	if k.Absent(uid("1", 1)) {
		t.Error("nothing is known, and something is absent")
	}
	note := func(i int) {
		k.note([]eventlog.Record{{Event: event.Envelope{Subject: "1.2/1.3/" + uid("2", i)}}, {Event: event.Envelope{}}})
	}
	note(0) // before what the index holds is known
	err := k.Learn(t.Context(), func(_ context.Context, fn func(string) error) error {
		for i := range 100_000 {
			if err := fn(uid("1", i)); err != nil {
				return err
			}
			if i < 1000 {
				note(i)
			}
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	for i := range 100_000 {
		if k.Absent(uid("1", i)) || i < 1000 && k.Absent(uid("2", i)) {
			t.Fatalf("%d is there, and absent", i)
		}
	}
	wrong := 0
	for i := range 100_000 {
		if !k.Absent(uid("3", i)) {
			wrong++
		}
	}
	if wrong > 1000 {
		t.Errorf("%d of 100,000 new UIDs may be there", wrong)
	}
	note(5000)
	if k.Absent(uid("2", 5000)) {
		t.Error("a record that was applied later is absent")
	}
}

func TestKnownAfterAnError(t *testing.T) {
	k, away := NewKnown(0), errors.New("away")
	err := k.Learn(t.Context(), func(_ context.Context, fn func(string) error) error {
		_ = fn("1.2.3")
		return away
	})
	if !errors.Is(err, away) || k.Absent("1.2.4") {
		t.Errorf("%v; half of an index says what it lacks", err)
	}
}

// TestKnownSizes looks at the bounds of its memory.
func TestKnownSizes(t *testing.T) {
	for count, words := range map[int64]int{-1: leastWords, 0: leastWords, 1_000_000: 1 << 20, 1 << 62: mostWords} {
		if got := len(NewKnown(count).bits); got != words {
			t.Errorf("%d UIDs: %d words, want %d", count, got, words)
		}
	}
}

// TestKnownBeforeTheIndex holds that a UID is noted before a reader of the index can see its object.
func TestKnownBeforeTheIndex(t *testing.T) {
	k := NewKnown(0)
	if err := k.Learn(t.Context(), func(context.Context, func(string) error) error { return nil }); err != nil {
		t.Fatal(err)
	}
	index := applierFunc(func(records []eventlog.Record) {
		for i := range records {
			if k.Absent("1.2." + fmt.Sprint(records[i].Offset)) {
				t.Errorf("record %d reached the index first", records[i].Offset)
			}
		}
	})
	x := New(Config{Index: index, Known: k})
	records := []eventlog.Record{
		{Position: eventlog.Position{Topic: event.TopicInstances, Offset: 1}, Event: event.Envelope{Subject: "1.1/1.1/1.2.1"}},
		{Position: eventlog.Position{Topic: event.TopicInstances, Offset: 2}, Event: event.Envelope{Subject: "1.1/1.1/1.2.2"}},
	}
	if err := x.apply(t.Context(), records); err != nil {
		t.Fatal(err)
	}
}

type applierFunc func(records []eventlog.Record)

func (f applierFunc) Apply(_ context.Context, records []eventlog.Record) error {
	f(records)
	return nil
}

func (applierFunc) Applied(context.Context, string, int32) (int64, error) { return -1, nil }
