package sim

import (
	"context"
	"encoding/json"
	"flag"
	"fmt"
	"os"
	"runtime"
	"sync"
	"syscall"
	"testing"
	"testing/synctest"

	"github.com/tributary-dicom/tributary/parsers/reject"
	"github.com/tributary-dicom/tributary/storage/blob/simfs"
)

var (
	seeds    = flag.Int("seeds", 0, "random worlds of TestRandomSeeds; 0 for the short form")
	from     = flag.Uint64("from", 0, "first seed of TestRandomSeeds")
	full     = flag.Bool("full", false, "crash at every call of the large workload too")
	oneWorld = flag.String("world", "", "JSON of the Options of one world for TestWorld to repeat")

	ground *Ground
)

func TestMain(m *testing.M) {
	flag.Parse()
	os.Exit(func() int {
		// Indexes in memory, where the system has a place for that.
		dir, err := os.MkdirTemp("/dev/shm", "tributary-sim-")
		if err != nil {
			dir, err = os.MkdirTemp("", "tributary-sim-")
		}
		if err == nil {
			defer os.RemoveAll(dir)
			ground, err = NewGround(context.Background(), dir)
		}
		if err != nil {
			fmt.Fprintln(os.Stderr, err)
			return 1
		}
		return m.Run()
	}())
}

// play runs one world in a bubble of its own.
func play(t *testing.T, opt Options) (r Result) {
	t.Helper()
	opt.Ground = ground
	synctest.Test(t, func(t *testing.T) {
		var err error
		if r, err = Run(t.Context(), opt); err != nil {
			t.Fatalf("%v\n%s", err, repeat(opt))
		}
	})
	return r
}

// hold plays a world that must keep its promises.
func hold(t *testing.T, opt Options) Result {
	t.Helper()
	r := play(t, opt)
	if len(r.Violations) > 0 {
		t.Errorf("%d broken promises, among them:\n  %v\n  notes: %q\n%s", len(r.Violations), r.Violations[0], r.Notes, repeat(opt))
	}
	return r
}

// repeat is the command that plays a world again.
func repeat(opt Options) string {
	text, err := json.Marshal(opt)
	if err != nil {
		return err.Error()
	}
	return fmt.Sprintf("repeat: go test ./internal/sim -run 'TestWorld$' -v -args -world '%s'", text)
}

// tally sums up worlds.
type tally struct {
	mu                                      sync.Mutex
	worlds, acked, failed, crashes, adopted int
	codes                                   map[reject.Code]int
}

func (s *tally) add(r Result) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.worlds++
	s.acked += r.Acked
	s.failed += r.Failed
	s.crashes += r.Crashes
	s.adopted += r.Adopted
	if s.codes == nil {
		s.codes = map[reject.Code]int{}
	}
	for code, n := range r.Codes {
		s.codes[code] += n
	}
}

func (s *tally) log(t *testing.T) {
	t.Logf("%d worlds, %d objects acknowledged, %d tries failed %v, %d crashes, %d blobs adopted", s.worlds, s.acked, s.failed, s.codes, s.crashes, s.adopted)
}

// share plays worlds 0, 1, … n-1 on all cores, until one fails or more says no.
func share(t *testing.T, n int, one func(t *testing.T, i int) (more bool)) {
	t.Helper()
	t.Run("worlds", func(t *testing.T) {
		cores := runtime.GOMAXPROCS(0)
		for core := range cores {
			t.Run(fmt.Sprint(core), func(t *testing.T) {
				t.Parallel()
				for i := core; i < n && !t.Failed(); i += cores {
					if !one(t, i) {
						return
					}
				}
			})
		}
	})
}

// sweep plays worlds that break at call step, 2·step, … until a world does not get that far.
func sweep(t *testing.T, step int, opt Options, at func(*Options, int)) {
	t.Helper()
	var s tally
	share(t, 100_000, func(t *testing.T, i int) bool {
		opt := opt
		n := 1 + i*step
		opt.Seed, opt.Replay = opt.Seed+uint64(n), i%4 == 0
		at(&opt, n)
		r := hold(t, opt)
		s.add(r)
		if got := r.Acked + r.Refused; got != opt.Objects {
			t.Errorf("%d of %d objects were answered\n%s", got, opt.Objects, repeat(opt))
		}
		return r.Reached
	})
	s.log(t)
}

var modes = []simfs.Mode{simfs.Keep, simfs.Drop, simfs.Tear}

// TestPowerCutAtEveryCall is F01 for the embedded engines: the power goes at the first I/O call of the disk, at the
// second, and so on, and comes back.
func TestPowerCutAtEveryCall(t *testing.T) {
	for _, mode := range modes {
		t.Run(mode.String(), func(t *testing.T) {
			sweep(t, 1, Options{Engine: Dir, Objects: 16, Senders: 2, Mode: mode}, func(o *Options, n int) { o.CrashAt = n })
			step, objects := 17, 60
			if *full {
				step, objects = 1, 200
			}
			sweep(t, step, Options{Seed: 1 << 20, Engine: Dir, Objects: objects, Senders: 3, Mode: mode}, func(o *Options, n int) { o.CrashAt = n })
		})
	}
}

// TestPowerCutAtEveryTurn is F01 between the calls of engines, where the disk is at rest.
func TestPowerCutAtEveryTurn(t *testing.T) {
	for _, mode := range modes {
		t.Run(mode.String(), func(t *testing.T) {
			sweep(t, 1, Options{Engine: Dir, Objects: 12, Senders: 2, Mode: mode}, func(o *Options, n int) { o.CrashTurn = n })
		})
	}
}

// TestProcessCrashAtEveryTurn is F01 for shared engines: one of two nodes dies at the first call to an engine, at the
// second, and so on.
func TestProcessCrashAtEveryTurn(t *testing.T) {
	sweep(t, 1, Options{Engine: S3, Nodes: 2, Objects: 16, Senders: 3}, func(o *Options, n int) { o.CrashTurn = n })
}

// TestRandomSeeds is F02: random worlds, with 1 to 5 crashes each and faults of every engine; with clocks that are
// wrong (F24) and engines that lose what they acknowledged (F10, F11).
func TestRandomSeeds(t *testing.T) {
	n := *seeds
	if n == 0 {
		n = 120
	}
	var s tally
	share(t, n, func(t *testing.T, i int) bool {
		seed := *from + uint64(i)
		opt := Options{
			Seed: seed, Engine: Engine(seed % 2), Nodes: 1 + int(seed/2%3), Objects: 20 + int(seed%30), Senders: 1 + int(seed/3%4),
			Clock: Clock(seed / 7 % uint64(clocks)), Mode: modes[seed/2%3], Faults: true, Crashes: 1 + int(seed/5%5),
			EngineLoss: seed%4 == 3, Replay: true,
		}
		if seed%8 == 5 {
			opt.Failover = true
		}
		s.add(hold(t, opt))
		return true
	})
	s.log(t)
}

// TestDiskErrorAtEveryCall is F05: each I/O call fails in turn. No device hears success for what failed, each is told
// to send again, and without a restart the node takes everything.
func TestDiskErrorAtEveryCall(t *testing.T) {
	for _, errno := range []syscall.Errno{syscall.EIO, syscall.ENOSPC, syscall.EDQUOT} {
		t.Run(errno.Error(), func(t *testing.T) {
			sweep(t, 1, Options{Engine: Dir, Objects: 12, Senders: 1, Mode: simfs.Drop}, func(o *Options, n int) {
				o.FailWith, o.FailAt = errno, n
			})
		})
	}
}

// TestReleases is F15: nodes of several releases take objects in and reprocess all of it at any time, older parsers
// after newer ones too, while engines fail, nodes crash and operators decide.
func TestReleases(t *testing.T) {
	n := *seeds / 8
	if n == 0 {
		n = 40
	}
	var s tally
	reread := 0
	share(t, n, func(t *testing.T, i int) bool {
		seed := *from + uint64(i)
		r := hold(t, Options{
			Seed: seed, Engine: Engine(seed % 2), Nodes: 1 + int(seed/2%3), Objects: 24 + int(seed%20), Senders: 1 + int(seed/3%3), Clock: Clock(seed / 7 % uint64(clocks)),
			Mode: modes[seed/2%3], Faults: seed%4 > 1, Crashes: int(seed/5) % 5, Failover: seed%8 == 5, Releases: true, Replay: true,
		})
		s.add(r)
		s.mu.Lock()
		reread += r.Reread
		s.mu.Unlock()
		return true
	})
	s.log(t)
	t.Logf("%d records by jobs that came to their end", reread)
	if reread == 0 && !t.Failed() {
		t.Error("nothing was reprocessed")
	}
}

// TestClocks is F24.
func TestClocks(t *testing.T) {
	for c := range clocks {
		t.Run(c.String(), func(t *testing.T) {
			var s tally
			share(t, 12, func(t *testing.T, i int) bool {
				s.add(hold(t, Options{
					Seed: uint64(i), Engine: Engine(i % 2), Nodes: 3, Objects: 30, Senders: 3, Clock: c, Mode: modes[i/2%3], Crashes: 3, Replay: true,
				}))
				return true
			})
			s.log(t)
		})
	}
}

// TestStandbyTakesOver is F11: the data base comes back without its newest transactions while stages run, and they must
// notice that their position is ahead of it.
func TestStandbyTakesOver(t *testing.T) {
	var s tally
	share(t, 16, func(t *testing.T, i int) bool {
		s.add(hold(t, Options{
			Seed: uint64(i), Engine: S3, Nodes: 1 + i%3, Objects: 40, Senders: 2, Failover: true, Faults: i%4 > 1, Crashes: i % 2, Replay: true,
		}))
		return true
	})
	s.log(t)
}

// TestLiesAreCaught is the mutation check: with an engine that breaks its word the suite must fail.
func TestLiesAreCaught(t *testing.T) {
	for lie, c := range map[Lie]struct {
		opt  Options
		want []string // invariants, each of which some seed must show broken
	}{
		AppendFirst: {Options{Engine: S3, Nodes: 2, Objects: 12, Senders: 2, Crashes: 3, Once: true}, []string{"I2", "I5"}},
		SkipSync:    {Options{Engine: Dir, Objects: 12, Crashes: 1, Mode: simfs.Drop}, []string{"I1"}},
		OffsetApart: {Options{Engine: S3, Nodes: 2, Objects: 12, Senders: 2, Crashes: 4, Replay: true}, []string{"I1", "I4"}},
		NoAdoption:  {Options{Engine: Dir, Objects: 12, Crashes: 3, Mode: simfs.Drop}, []string{"I1", "orphan"}},
	} {
		t.Run(lie.String(), func(t *testing.T) {
			const most = 60
			seen := map[string]int{}
			for seed := range uint64(most) {
				opt := c.opt
				opt.Seed, opt.Lie = seed, lie
				for _, v := range play(t, opt).Violations {
					seen[v.Invariant]++
				}
				missing := 0
				for _, invariant := range c.want {
					if seen[invariant] == 0 {
						missing++
					}
				}
				if missing == 0 {
					t.Logf("caught within %d seeds: %v", seed+1, seen)
					return
				}
			}
			t.Errorf("%d seeds show %v, want %v", most, seen, c.want)
		})
	}
}

// TestOneSeedOneStory plays worlds twice: what devices hear and what breaks follows from the seed. How many turns it
// takes may differ by a few, where Go chooses among channels that are ready.
func TestOneSeedOneStory(t *testing.T) {
	for seed := range uint64(6) {
		opt := Options{Seed: seed, Engine: Engine(seed % 2), Nodes: 3, Objects: 25, Senders: 3, Crashes: 3 * int(seed%2)}
		a, b := play(t, opt), play(t, opt)
		if a.Acked != b.Acked || a.Refused != b.Refused || a.Crashes != b.Crashes || a.Turns-b.Turns > 10 || b.Turns-a.Turns > 10 {
			t.Errorf("seed %d:\n%+v\n%+v", seed, a, b)
		}
		opt.Seed += 100
		if c := play(t, opt); c.Turns == a.Turns && c.IOCalls == a.IOCalls && c.Acked == a.Acked {
			t.Errorf("seeds %d and %d tell the same story: %+v", seed, opt.Seed, c)
		}
	}
}

// TestWorld repeats the world that a failure has printed.
func TestWorld(t *testing.T) {
	if *oneWorld == "" {
		t.Skip("no -world")
	}
	var opt Options
	if err := json.Unmarshal([]byte(*oneWorld), &opt); err != nil {
		t.Fatal(err)
	}
	for range 25 { // what no seed decides may need luck
		if r := hold(t, opt); t.Failed() {
			t.Logf("%+v", r)
			return
		}
	}
}
