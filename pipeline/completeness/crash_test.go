package completeness_test

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/tributary-dicom/tributary/pipeline/completeness"
	"github.com/tributary-dicom/tributary/pipeline/event"
	"github.com/tributary-dicom/tributary/pipeline/eventlog"
)

// dying is a log and an index of a process that is killed at one of its calls that change something: before that takes
// effect, or behind. Dead, it changes nothing more.
type dying struct {
	completeness.Log
	completeness.Index

	mu     sync.Mutex
	calls  int
	at     int  // call, from 1; 0 never
	behind bool // the call takes effect first
	dead   chan struct{}
}

// call runs one call of the process.
func (d *dying) call(do func() error) error {
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.isDead() {
		return errCrash
	}
	d.calls++
	if d.calls != d.at {
		return do()
	}
	close(d.dead)
	if d.behind {
		_ = do() // nobody hears
	}
	return errCrash
}

func (d *dying) isDead() bool {
	select {
	case <-d.dead:
		return true
	default:
		return false
	}
}

func (d *dying) Append(ctx context.Context, events ...event.Envelope) (at []eventlog.Position, err error) {
	err = d.call(func() error { at, err = d.Log.Append(ctx, events...); return err })
	return at, err
}

func (d *dying) Apply(ctx context.Context, records []eventlog.Record) error {
	return d.call(func() error { return d.Index.Apply(ctx, records) })
}

func (d *dying) Announce(ctx context.Context, records []event.Envelope) (n int, err error) {
	err = d.call(func() error { n, err = d.Index.Announce(ctx, records); return err })
	return n, err
}

// process is one life of a stage.
func (w *world) process(at int, behind bool) *dying {
	return &dying{Log: w.log, Index: adapter{w.index}, at: at, behind: behind, dead: make(chan struct{})}
}

// play lets objects of three studies come while the stage dies at its n-th call, and lives again.
func play(t *testing.T, w *world, n int, behind bool) (reached bool) {
	w.periods = "*=10s"
	d := w.process(n, behind)
	cfg := w.config()
	cfg.Log, cfg.Index = d, d
	cfg.Poll = 2 * time.Second
	stop := w.run(cfg)
	restart := func() {
		if !d.isDead() || reached {
			return
		}
		reached = true
		stop()
		cfg := w.config()
		cfg.Poll = 2 * time.Second
		stop = w.run(cfg)
	}
	w.admit(w.object("1.1", "US"), w.object("1.2", "CT"))
	for i := range 12 {
		switch i {
		case 3:
			w.send("1.2", event.SignalImport)
		case 5, 8:
			w.admit(w.object("1.1", "US"))
		case 6:
			w.admit(w.object("1.3", "US"))
		}
		w.pass(4 * time.Second)
		restart()
	}
	w.pass(20 * time.Second)
	restart()
	w.pass(20 * time.Second)
	stop()
	for study, want := range map[string]int64{"1.1": 3, "1.2": 1, "1.3": 1} {
		if s := w.state(study); !s.Complete || s.Instances != want {
			t.Errorf("call %d, behind %v: study %s is left as %+v", n, behind, study, s)
		}
	}
	seen := map[string]bool{}
	for _, r := range w.log.all(event.TopicStudies) {
		if seen[r.Event.ID] {
			t.Errorf("call %d, behind %v: %s was announced twice", n, behind, r.Event.ID)
		}
		seen[r.Event.ID] = true
	}
	w.verify()
	return reached
}

// Killed at any call, before it or behind it, the stage leaves no study without its completion and announces none
// twice: it looks whether the log has a record before it appends it again.
func TestCrashAtEveryCall(t *testing.T) {
	for _, behind := range []bool{false, true} {
		for n := 1; ; n++ {
			reached := false
			synctest.Test(t, func(t *testing.T) { reached = play(t, newWorld(t), n, behind) })
			if t.Failed() {
				return
			}
			if !reached {
				if n < 10 {
					t.Errorf("only %d calls were reached", n-1)
				}
				t.Logf("%d calls", n-1)
				break
			}
		}
	}
}

// flaky fails now and then, before or behind the effect of a call.
type flaky struct {
	completeness.Log
	completeness.Index
	mu     sync.Mutex
	random *rand.Rand
	calm   bool
}

var errFlaky = errors.New("the engine is away")

func (f *flaky) call(do func() error) error {
	f.mu.Lock()
	chance := 99
	if !f.calm {
		chance = f.random.IntN(10)
	}
	f.mu.Unlock()
	switch chance {
	case 0:
		return errFlaky
	case 1:
		_ = do() // its answer is lost
		return errFlaky
	}
	return do()
}

func (f *flaky) Append(ctx context.Context, events ...event.Envelope) (at []eventlog.Position, err error) {
	err = f.call(func() error { at, err = f.Log.Append(ctx, events...); return err })
	return at, err
}

func (f *flaky) Heads(ctx context.Context, topic string) (heads []eventlog.Position, err error) {
	err = f.call(func() error { heads, err = f.Log.Heads(ctx, topic); return err })
	return heads, err
}

func (f *flaky) ReadFrom(ctx context.Context, topic string, from eventlog.Position, most int) (out []eventlog.Record, err error) {
	err = f.call(func() error { out, err = f.Log.ReadFrom(ctx, topic, from, most); return err })
	return out, err
}

func (f *flaky) Apply(ctx context.Context, records []eventlog.Record) error {
	return f.call(func() error { return f.Index.Apply(ctx, records) })
}

func (f *flaky) Lease(ctx context.Context, name, owner string, d time.Duration) (held bool, err error) {
	err = f.call(func() error { held, err = f.Index.Lease(ctx, name, owner, d); return err })
	return held, err
}

func (f *flaky) Announce(ctx context.Context, records []event.Envelope) (n int, err error) {
	err = f.call(func() error { n, err = f.Index.Announce(ctx, records); return err })
	return n, err
}

func (f *flaky) Announcements(ctx context.Context, limit int) (out []event.Envelope, err error) {
	err = f.call(func() error { out, err = f.Index.Announcements(ctx, limit); return err })
	return out, err
}

// Two stages at work at a time, as after a process that hung and came back, whose engines fail by a seed: a revision has
// one content all the same, and in the end every study is complete.
func TestTwoAtATimeWithFaults(t *testing.T) {
	for seed := range uint64(5) {
		t.Run(fmt.Sprint(seed), func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				w := newWorld(t)
				w.periods = "*=10s"
				random := rand.New(rand.NewPCG(seed, 7))
				engines := &flaky{Log: w.log, Index: adapter{w.index}, random: rand.New(rand.NewPCG(seed, 8))}
				cfg := w.config()
				cfg.Log, cfg.Index = engines, engines
				a, b := w.run(cfg), w.run(cfg) // SQLite's lease is everybody's
				studies := []string{"1.1", "1.2", "1.3", "1.4"}
				for range 25 {
					w.admit(w.object(studies[random.IntN(len(studies))], "US"))
					if random.IntN(5) == 0 {
						w.send(studies[random.IntN(len(studies))], event.SignalAPI)
					}
					w.pass(time.Duration(random.IntN(20)) * time.Second)
				}
				engines.mu.Lock()
				engines.calm = true
				engines.mu.Unlock()
				w.pass(5 * time.Minute) // behind resendAfter
				a()
				b()
				for _, study := range studies {
					if s := w.state(study); !s.Complete {
						t.Errorf("study %s is left as %+v", study, s)
					}
				}
				w.verify()
			})
		})
	}
}
