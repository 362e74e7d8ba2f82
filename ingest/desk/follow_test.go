package desk

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/tributary-dicom/tributary/pipeline/event"
	"github.com/tributary-dicom/tributary/pipeline/eventlog"
)

// partitions is a log in memory with partitions.
type partitions struct {
	mu    sync.Mutex
	of    [][]event.Envelope
	err   error
	asked int // calls of Heads
}

func (p *partitions) add(partition int, id string) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.of[partition] = append(p.of[partition], event.Envelope{ID: id, Type: "test"})
}

func (p *partitions) fail(err error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.err = err
}

func (p *partitions) Heads(context.Context, string) (map[int32]int64, error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.asked++
	heads := map[int32]int64{}
	for i, records := range p.of {
		heads[int32(i)] = int64(len(records)) - 1
	}
	return heads, p.err
}

func (p *partitions) ReadFrom(_ context.Context, topic string, from eventlog.Position, most int) (all []eventlog.Record, err error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	for at := from.Offset; at < int64(len(p.of[from.Partition])) && len(all) < most; at++ {
		pos := eventlog.Position{Topic: topic, Partition: from.Partition, Offset: at}
		all = append(all, eventlog.Record{Position: pos, Event: p.of[from.Partition][at]})
	}
	return all, p.err
}

func ids(shown []Shown) string {
	var all []string
	for _, s := range shown {
		all = append(all, s.Event.ID)
	}
	return strings.Join(all, " ")
}

// TestFollowMany: from now on, from a cursor, from any cursor that was given in between, and past a failure.
func TestFollowMany(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		log := &partitions{of: make([][]event.Envelope, 3)}
		log.add(0, "old")
		f := FollowMany(log)
		feed, err := f.Follow(t.Context(), "instances", "")
		if err != nil {
			t.Fatal(err)
		}
		go func() {
			time.Sleep(time.Minute)
			for i := range 9 {
				log.add(i%3, fmt.Sprintf("p%d-%d", i%3, i/3))
			}
		}()
		var all []Shown
		for len(all) < 9 {
			more, err := feed.Next(t.Context(), 2)
			if err != nil || len(more) == 0 || len(more) > 2 {
				t.Fatal(more, err)
			}
			all = append(all, more...)
		}
		for i, from := range all { // whoever comes back with one of them gets exactly the others
			again, err := f.Follow(t.Context(), "instances", from.Cursor)
			if err != nil {
				t.Fatal(err)
			}
			left := map[string]int{}
			for _, s := range all[i+1:] {
				left[s.Event.ID]++
			}
			for range all[i+1:] {
				more, err := again.Next(t.Context(), 1)
				if err != nil {
					t.Fatal(err)
				}
				left[ids(more)]--
			}
			for id, n := range left {
				if n != 0 {
					t.Errorf("behind %s: %s came %d times too few", from.Cursor, id, n)
				}
			}
		}
		log.fail(errors.New("broker is away"))
		go func() {
			time.Sleep(giveUp / 2)
			log.add(1, "late")
			log.fail(nil)
		}()
		if more, err := feed.Next(t.Context(), 5); err != nil || ids(more) != "late" {
			t.Error(ids(more), err)
		}
		log.fail(errors.New("for good"))
		if more, err := feed.Next(t.Context(), 5); err == nil {
			t.Error("a feed of a log that is gone does not end:", more)
		}
	})
}

// TestFollowManyAsksOnce: listeners share what is asked of the brokers.
func TestFollowManyAsksOnce(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		log := &partitions{of: make([][]event.Envelope, 2)}
		f := FollowMany(log)
		ctx, cancel := context.WithTimeout(t.Context(), 10*lookEvery)
		defer cancel()
		var all sync.WaitGroup
		for range maxStreams {
			feed, err := f.Follow(ctx, "instances", "")
			if err != nil {
				t.Fatal(err)
			}
			all.Go(func() {
				if _, err := feed.Next(ctx, 1); !errors.Is(err, context.DeadlineExceeded) {
					t.Error(err)
				}
			})
		}
		all.Wait()
		if log.asked > maxStreams+12 {
			t.Errorf("%d listeners asked %d times within 10 rounds", maxStreams, log.asked)
		}
	})
}

func TestCursors(t *testing.T) {
	log := &partitions{of: make([][]event.Envelope, 2)}
	log.add(0, "a")
	log.add(1, "b")
	f := FollowMany(log)
	for cursor, want := range map[string]string{"0:-1": "a b", "0:-1,1:-1": "a b", "0:0": "b", "1:0,0:-1": "a", "0:99,1:-1": "b"} {
		feed, err := f.Follow(t.Context(), "instances", cursor)
		if err != nil {
			t.Errorf("%s: %v", cursor, err)
			continue
		}
		shown, err := feed.Next(t.Context(), 9)
		if got := ids(shown); err != nil || got != want && got != "b a" {
			t.Errorf("%s: %s, %v; want %s", cursor, got, err, want)
		}
	}
	for _, cursor := range []string{"5", "0:", ":1", "0:-2", "-1:0", "0:1,0:2", "7:1", "0:1,", "x:y", strings.Repeat("0:1,", 3000)} {
		if _, err := f.Follow(t.Context(), "instances", cursor); !errors.Is(err, ErrCursor) {
			t.Errorf("%.20s: %v", cursor, err)
		}
	}
	w := httptest.NewRecorder()
	r := httptest.NewRequest(http.MethodGet, "/events", nil)
	r.Header.Set("Last-Event-ID", "12")
	NewEvents(f).ServeHTTP(w, r)
	if w.Code != http.StatusBadRequest {
		t.Errorf("an id of another log: %d", w.Code)
	}
}

func FuzzParseCursor(f *testing.F) {
	f.Add("0:1,1:-1")
	f.Fuzz(func(t *testing.T, text string) {
		seen, err := parseCursor(text)
		if err != nil || seen == nil {
			return
		}
		again, err := parseCursor((&manyFeed{seen: seen}).Cursor())
		if err != nil || len(again) != len(seen) {
			t.Fatalf("%q: %v, %v", text, again, err)
		}
	})
}
