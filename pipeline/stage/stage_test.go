package stage_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"go.uber.org/goleak"

	"github.com/tributary-dicom/tributary/pipeline/event"
	"github.com/tributary-dicom/tributary/pipeline/eventlog"
	"github.com/tributary-dicom/tributary/pipeline/eventlog/locallog"
	"github.com/tributary-dicom/tributary/pipeline/stage"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// tape is a log whose records are all there from the beginning; Fetch blocks at its end.
type tape struct {
	mu        sync.Mutex
	records   []eventlog.Record
	next      int
	letters   []event.Envelope
	committed []int64
	fail      func(call string) error
}

func newTape(n int) *tape {
	t := &tape{fail: func(string) error { return nil }}
	for i := range n {
		t.records = append(t.records, eventlog.Record{
			Position: eventlog.Position{Topic: event.TopicInstances, Offset: int64(i)},
			Event: event.Envelope{
				ID: fmt.Sprint("id", i), Topic: event.TopicInstances, Type: event.TypeInstanceStored, Source: "/s", Key: "k", Data: []byte(`{}`),
			},
		})
	}
	return t
}

func (t *tape) Append(_ context.Context, events ...event.Envelope) ([]eventlog.Position, error) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if err := t.fail("append"); err != nil {
		return nil, err
	}
	t.letters = append(t.letters, events...)
	return make([]eventlog.Position, len(events)), nil
}

func (t *tape) Subscribe(context.Context, string, string) (eventlog.Consumer, error) { return t, nil }
func (t *tape) Close() error                                                         { return nil }

func (t *tape) Fetch(ctx context.Context, most int) ([]eventlog.Record, error) {
	t.mu.Lock()
	if err := t.fail("fetch"); err != nil {
		t.mu.Unlock()
		return nil, err
	}
	got := t.records[t.next:min(t.next+most, len(t.records))]
	t.next += len(got)
	t.mu.Unlock()
	if len(got) > 0 {
		return got, nil
	}
	<-ctx.Done()
	return nil, ctx.Err()
}

func (t *tape) Commit(_ context.Context, records ...eventlog.Record) error {
	t.mu.Lock()
	defer t.mu.Unlock()
	if err := t.fail("commit"); err != nil {
		return err
	}
	for _, r := range records {
		t.committed = append(t.committed, r.Offset)
	}
	return nil
}

func offsets(records []eventlog.Record) []int64 {
	all := make([]int64, len(records))
	for i := range records {
		all[i] = records[i].Offset
	}
	return all
}

// run runs a stage until everything is quiet, in virtual time.
func run(t *testing.T, log *tape, cfg stage.Config) error {
	t.Helper()
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	cfg.Log, cfg.Group, cfg.Topic = log, "g", event.TopicInstances
	ended := make(chan error, 1)
	go func() { ended <- stage.Run(ctx, cfg) }()
	time.Sleep(24 * time.Hour)
	synctest.Wait()
	cancel()
	return <-ended
}

func TestBatchesInOrder(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		log, seen, settled := newTape(10), []int64{}, []int64{}
		err := run(t, log, stage.Config{
			Batch: 4,
			Handle: func(_ context.Context, records []eventlog.Record) error {
				seen = append(seen, offsets(records)...)
				return nil
			},
			Settled: func(records []eventlog.Record) { settled = append(settled, offsets(records)...) },
		})
		if err != nil {
			t.Fatal(err)
		}
		if want := "[0 1 2 3 4 5 6 7 8 9]"; fmt.Sprint(seen) != want || fmt.Sprint(settled) != want {
			t.Errorf("seen %v, settled %v", seen, settled)
		}
		if fmt.Sprint(log.committed) != "[3 7 9]" {
			t.Errorf("committed %v", log.committed)
		}
	})
}

func TestTransientErrorsPauseAndLoseNothing(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		log, begin := newTape(3), time.Now()
		var tries []time.Duration
		var done []int64
		err := run(t, log, stage.Config{
			MinPause: time.Second, MaxPause: time.Minute,
			Handle: func(_ context.Context, records []eventlog.Record) error {
				tries = append(tries, time.Since(begin))
				if len(tries) <= 20 {
					return errors.New("database is away")
				}
				done = append(done, offsets(records)...)
				return nil
			},
		})
		if err != nil {
			t.Fatal(err)
		}
		if fmt.Sprint(done) != "[0 1 2]" || len(log.letters) != 0 {
			t.Fatalf("handled %v, %d dead letters", done, len(log.letters))
		}
		for i := 1; i < len(tries); i++ {
			pause, most := tries[i]-tries[i-1], min(time.Second<<min(i-1, 10), time.Minute)
			if pause < most/2-1 || pause > most {
				t.Errorf("pause %d is %v, want %v to %v", i, pause, most/2, most)
			}
		}
	})
}

func TestPoisonIsIsolated(t *testing.T) {
	for name, poison := range map[string]func(eventlog.Record) error{
		"permanent error": func(eventlog.Record) error {
			return fmt.Errorf("apply: %w", stage.Permanent(errors.New("no such thing")))
		},
		"decode error": func(eventlog.Record) error {
			_, err := event.Decode[event.Instance]([]byte("{"))
			return fmt.Errorf("apply: %w", err)
		},
		"panic": func(eventlog.Record) error { panic("index out of range") },
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				log, done, tries := newTape(100), []int64{}, map[int64]int{}
				var settled []int64
				err := run(t, log, stage.Config{
					Source: "/node", Version: "v1.2.3",
					Handle: func(_ context.Context, records []eventlog.Record) error {
						for _, r := range records {
							if r.Offset%40 == 17 { // 17, 57, 97
								if len(records) == 1 {
									tries[r.Offset]++
								}
								return poison(r)
							}
						}
						done = append(done, offsets(records)...)
						return nil
					},
					Settled: func(records []eventlog.Record) { settled = append(settled, offsets(records)...) },
				})
				if err != nil {
					t.Fatal(err)
				}
				if len(done) != 97 || !slices.IsSorted(done) || len(settled) != 100 || !slices.IsSorted(settled) {
					t.Fatalf("handled %v, settled %v", done, settled)
				}
				if fmt.Sprint(tries) != "map[17:5 57:5 97:5]" {
					t.Errorf("tries of poison alone: %v", tries)
				}
				if len(log.letters) != 3 || fmt.Sprint(log.committed) != "[99]" {
					t.Fatalf("%d dead letters, committed %v", len(log.letters), log.committed)
				}
				for i, letter := range log.letters {
					body, err := event.Decode[event.DeadLetter](letter.Data)
					if err != nil {
						t.Fatal(err)
					}
					if want := int64(17 + 40*i); body.Offset != want || body.Tries != 5 || body.Group != "g" || body.Version != "v1.2.3" ||
						body.Topic != event.TopicInstances || body.Error == "" || body.Panic != (name == "panic") || body.Record.ID != fmt.Sprint("id", want) {
						t.Errorf("dead letter %d: %+v", i, body)
					}
					if letter.Topic != event.TopicDeadLetter || letter.Key != "k" || letter.Source != "/node" {
						t.Errorf("envelope of dead letter %d: %+v", i, letter)
					}
				}
			})
		})
	}
}

func TestStopsWhenDeadLetterCannotBeWritten(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		log, tries := newTape(3), 0
		log.fail = func(call string) error {
			if call == "append" {
				tries++
				return errors.New("disk full")
			}
			return nil
		}
		err := run(t, log, stage.Config{Handle: func(context.Context, []eventlog.Record) error {
			return stage.Permanent(errors.New("poison"))
		}})
		if !errors.Is(err, stage.ErrDeadLetter) || tries != 5 || len(log.committed) != 0 {
			t.Fatalf("err %v, %d tries, committed %v", err, tries, log.committed)
		}
	})
}

func TestDeadLettersAreNotBuriedAgain(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		log := newTape(1)
		log.records[0].Topic = event.TopicDeadLetter
		err := run(t, log, stage.Config{Handle: func(context.Context, []eventlog.Record) error {
			return stage.Permanent(errors.New("poison"))
		}})
		if !errors.Is(err, stage.ErrDeadLetter) || len(log.letters) != 0 {
			t.Fatalf("err %v, %d letters", err, len(log.letters))
		}
	})
}

func TestFetchAndCommitErrorsAreTransient(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		log, failures, done := newTape(5), map[string]int{}, 0
		log.fail = func(call string) error {
			if failures[call]++; failures[call] <= 3 {
				return errors.New("broker is away")
			}
			return nil
		}
		err := run(t, log, stage.Config{Handle: func(_ context.Context, records []eventlog.Record) error {
			done += len(records)
			return nil
		}})
		if err != nil || done != 5 || fmt.Sprint(log.committed) != "[4]" {
			t.Fatalf("err %v, handled %d, committed %v", err, done, log.committed)
		}
	})
}

func TestCommitEvery(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		log := newTape(6)
		err := run(t, log, stage.Config{
			Batch: 1, CommitEvery: time.Second,
			Handle: func(_ context.Context, records []eventlog.Record) error {
				time.Sleep(400 * time.Millisecond)
				return nil
			},
		})
		// The first is settled at 0.4 s and due at 1.4 s, before which no batch ends; the next due is at
		// 2.6 s, which the pause at the end reaches.
		if err != nil || log.committed[len(log.committed)-1] != 5 || len(log.committed) > 3 {
			t.Fatalf("err %v, committed %v", err, log.committed)
		}
	})
}

func TestLastCommitAfterTheEnd(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		log := newTape(2)
		ctx, cancel := context.WithCancel(t.Context())
		err := stage.Run(ctx, stage.Config{
			Log: log, Group: "g", Topic: event.TopicInstances, CommitEvery: time.Hour,
			Handle: func(context.Context, []eventlog.Record) error {
				cancel()
				return nil
			},
		})
		if err != nil || fmt.Sprint(log.committed) != "[1]" {
			t.Fatalf("err %v, committed %v", err, log.committed)
		}
	})
}

func TestLogsCarryNoData(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		log := newTape(1)
		log.records[0].Event.Data = []byte(`{"patient":"Doe^Jane"}`)
		var out bytes.Buffer
		err := run(t, log, stage.Config{
			Logger: slog.New(slog.NewJSONHandler(&out, nil)),
			Handle: func(context.Context, []eventlog.Record) error { panic("poison") },
		})
		if err != nil {
			t.Fatal(err)
		}
		if strings.Contains(out.String(), "Doe") || !strings.Contains(out.String(), `"event_id":"id0"`) {
			t.Fatalf("log: %s", out.String())
		}
	})
}

func TestIncompleteConfig(t *testing.T) {
	if err := stage.Run(t.Context(), stage.Config{}); err == nil {
		t.Fatal("ran")
	}
}

// With the real log: metrics, a restart that goes on where it stopped, and ErrClosed.
func TestOnLocalLog(t *testing.T) {
	log, err := locallog.Open(t.Context(), filepath.Join(t.TempDir(), "log.db"), locallog.Options{})
	if err != nil {
		t.Fatal(err)
	}
	registry := prometheus.NewRegistry()
	collectors, err := stage.NewCollectors(registry)
	if err != nil {
		t.Fatal(err)
	}
	handled := make(chan string, 100)
	cfg := stage.Config{
		Log: log, Group: "g", Topic: event.TopicInstances, Metrics: collectors.For("g"),
		Head: func() eventlog.Position { return log.Head(event.TopicInstances) },
		Handle: func(_ context.Context, records []eventlog.Record) error {
			for _, r := range records {
				handled <- r.Event.ID
			}
			return nil
		},
	}
	for round := range 2 {
		ctx, cancel := context.WithCancel(t.Context())
		ended := make(chan error, 1)
		go func() { ended <- stage.Run(ctx, cfg) }()
		for i := range 5 {
			id := fmt.Sprint(round, i)
			e := event.Envelope{ID: id, Type: event.TypeInstanceStored, Source: "/s", Topic: event.TopicInstances, Data: []byte("{}"), Time: time.Now()}
			if _, err := log.Append(t.Context(), e); err != nil {
				t.Fatal(err)
			}
			if got := <-handled; got != id {
				t.Fatalf("handled %s, want %s", got, id)
			}
		}
		cancel()
		if err := <-ended; err != nil {
			t.Fatal(err)
		}
	}
	families, err := registry.Gather()
	if err != nil {
		t.Fatal(err)
	}
	names := []string{}
	for _, f := range families {
		names = append(names, f.GetName())
		if f.GetName() == "tributary_stage_records_total" && f.GetMetric()[0].GetCounter().GetValue() != 10 {
			t.Errorf("records_total = %v", f.GetMetric()[0])
		}
	}
	if len(names) != 6 {
		t.Errorf("metrics: %v", names)
	}
	ended := make(chan error, 1)
	go func() { ended <- stage.Run(t.Context(), cfg) }()
	if err := log.Close(); err != nil {
		t.Fatal(err)
	}
	if err := <-ended; !errors.Is(err, eventlog.ErrClosed) {
		t.Fatalf("run on a closed log = %v", err)
	}
}
