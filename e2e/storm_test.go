package e2e

import (
	"bytes"
	"context"
	"flag"
	"fmt"
	"maps"
	"math/rand/v2"
	"net/http"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/tributary-dicom/tributary/internal/faultproxy"
	"github.com/tributary-dicom/tributary/pipeline/event"
	"github.com/tributary-dicom/tributary/pipeline/eventlog"
	"github.com/tributary-dicom/tributary/pipeline/eventlog/kafkalog"
	"github.com/tributary-dicom/tributary/pipeline/rebuild"
	"github.com/tributary-dicom/tributary/storage/audit"
	"github.com/tributary-dicom/tributary/storage/index"
)

var soak = flag.Duration("soak", 0, "how long TestStorm breaks things; 0 means 12 s for each of a fixed and a random seed (-seed gives one)")

// gust is one fault: what breaks, and what mends it.
type gust struct {
	what       string
	blow, calm func() error
}

// target is what can break in one way at a time.
type target struct {
	name  string
	gusts []func(rng *rand.Rand) gust
}

// weather are the faults of a fleet.
func (f *fleet) weather() (all []*target) {
	for _, p := range f.posts {
		all = append(all, &target{p.name, []func(*rand.Rand) gust{
			func(*rand.Rand) gust {
				return gust{"SIGKILL", func() error { p.kill(); return nil }, p.start}
			},
			func(*rand.Rand) gust {
				return gust{"SIGSTOP", func() error { p.pause(); return nil }, func() error { p.resume(); return nil }}
			},
			func(*rand.Rand) gust { return gust{"SIGTERM", p.stop, p.start} },
		}})
	}
	engine := func(name string, kill, start, pause, resume func()) *target {
		return &target{name, []func(*rand.Rand) gust{
			func(*rand.Rand) gust { return gust{"SIGKILL", nothing(kill), nothing(start)} },
			func(*rand.Rand) gust { return gust{"SIGSTOP", nothing(pause), nothing(resume)} },
		}}
	}
	all = append(all,
		engine("s3", f.s3.Kill, func() { f.s3.Start(f.t) }, f.s3.Pause, f.s3.Continue),
		engine("kafka", f.kafka.Kill, f.kafka.Start, f.kafka.Pause, f.kafka.Continue),
		engine("postgres", f.pg.Kill, func() { f.pg.Start(f.t) }, f.pg.Pause, f.pg.Resume),
		&target{"requests to s3", []func(*rand.Rand) gust{func(rng *rand.Rand) gust {
			faults := faultproxy.HTTPFaults{Errors: 0.3, LostAnswers: 0.1, Slow: 0.1, Delay: time.Duration(rng.IntN(2000)) * time.Millisecond}
			return gust{"500, lost answers", nothing(func() { f.requests.Set(faults) }), nothing(func() { f.requests.Set(faultproxy.HTTPFaults{}) })}
		}}})
	for _, l := range []struct {
		name string
		line *faultproxy.Proxy
	}{{"line to s3", f.s3Line}, {"line to kafka", f.kafkaLine}, {"line to postgres", f.line}} {
		mend := func() error { return l.line.Set(faultproxy.Faults{}) }
		with := func(what string, faults faultproxy.Faults) func(*rand.Rand) gust {
			return func(*rand.Rand) gust {
				return gust{what, func() error { return l.line.Set(faults) }, mend}
			}
		}
		all = append(all, &target{l.name, []func(*rand.Rand) gust{
			with("partition", faultproxy.Faults{Hold: faultproxy.Both}),
			with("half-open", faultproxy.Faults{Hold: faultproxy.ToClient}),
			with("refused", faultproxy.Faults{Refuse: true}),
			with("latency", faultproxy.Faults{Latency: 20 * time.Millisecond, Jitter: 100 * time.Millisecond}),
			func(*rand.Rand) gust { return gust{"resets", nothing(func() { l.line.ResetAll() }), mend} },
			func(rng *rand.Rand) gust {
				n := 1 + rng.IntN(5)
				return gust{"answers lost", nothing(func() { l.line.DropAnswers(n, nil) }), mend}
			},
		}})
	}
	return all
}

func nothing(fn func()) func() error { return func() error { fn(); return nil } }

// storm breaks things in the order of a seed, about one a second and up to three at a time, and mends all of them.
func (f *fleet) storm(seed uint64, long time.Duration) {
	rng := rand.New(rand.NewPCG(seed, 3))
	targets := f.weather()
	busy := make([]sync.Mutex, len(targets))
	three := make(chan struct{}, 3)
	var blowing sync.WaitGroup
	counts := map[string]int{}
	for end := time.Now().Add(long); time.Now().Before(end) && f.t.Context().Err() == nil && !f.t.Failed(); {
		i := rng.IntN(len(targets))
		at := targets[i]
		g := at.gusts[rng.IntN(len(at.gusts))](rng)
		lasts := time.Duration(100+rng.IntN(3000)) * time.Millisecond
		if rng.IntN(12) == 0 {
			lasts += 8 * time.Second // longer than brokers and drivers wait
		}
		pause := time.Duration(200+rng.IntN(1000)) * time.Millisecond
		counts[at.name+": "+g.what]++
		three <- struct{}{}
		blowing.Go(func() {
			defer func() { <-three }()
			busy[i].Lock()
			defer busy[i].Unlock()
			if err := g.blow(); err != nil {
				f.t.Errorf("%s, %s: %v", at.name, g.what, err)
			}
			time.Sleep(lasts) // the fault, not a wait
			if err := g.calm(); err != nil {
				f.t.Errorf("%s after %s: %v", at.name, g.what, err)
			}
		})
		time.Sleep(pause)
	}
	blowing.Wait()
	f.heal()
	for _, what := range slices.Sorted(maps.Keys(counts)) {
		f.t.Logf("%3d × %s", counts[what], what)
	}
}

// TestStorm breaks nodes, engines and the lines between them at random under load by every door. Afterwards
// every object has an answer and every acknowledged one is there bit for bit, once; the audit of blobs, log
// and index finds nothing but blobs whose event a crash prevented, and nothing when these have theirs; and
// the index is what its log makes.
func TestStorm(t *testing.T) {
	if testing.Short() {
		t.Skip("takes a minute; not with -short")
	}
	seeds, long := []uint64{20261122, rand.Uint64()}, 12*time.Second
	if *seed != 0 {
		seeds = []uint64{*seed}
	}
	if *soak != 0 {
		seeds, long = seeds[len(seeds)-1:], *soak
	}
	for _, s := range seeds {
		t.Run(fmt.Sprint(s), func(t *testing.T) {
			t.Logf("repeat with: go test ./e2e -run '^TestStorm$' -v -timeout 0 -args -seed %d -soak %v", s, long)
			storm(t, s, long)
		})
	}
}

func storm(t *testing.T, seed uint64, long time.Duration) {
	f := newFleet(t, seed)
	intakes := []*post{f.post("intake", "--orphans-every", "7s"), f.post("intake", "--orphans-every", "11s")}
	f.completes = true
	indexers := []*post{f.post("index", "--quiet-period", "*=1s"), f.post("index", "--quiet-period", "*=1s")}
	reader := f.post("review")
	b := newBooks(100_000)
	pace := 40 * time.Millisecond
	if long > 5*time.Minute {
		pace = 200 * time.Millisecond // what is checked at the end must not take longer than the storm
	}
	stop := b.load(t, seed, pace, intakes...)
	f.storm(seed, long)
	stop()
	if t.Failed() {
		return
	}
	b.finish(t, intakes...)
	t.Logf("%d objects, %d acknowledgements", b.next-b.first, b.acks)
	if b.acks < int(long.Seconds()) {
		t.Errorf("%d acknowledgements: the load is too thin to prove anything", b.acks)
	}
	for _, p := range f.posts {
		blames(t, p, "/readyz")
		wantMetric(t, p, "go_goroutines", func(v float64) bool { return v < 250 })
	}
	drained(t, intakes...)
	drained(t, indexers...)
	f.caughtUp()
	for _, p := range intakes {
		if err := p.stop(); err != nil {
			t.Error(err)
		}
	}
	f.audited(b)
	b.readable(t, reader, 2000, rand.New(rand.NewPCG(seed, 4)))
	if status, _ := reader.now().Get(t, "/dicom-web/studies?limit=1"); status != http.StatusOK {
		t.Errorf("search: %d", status)
	}
}

// engines opens what nodes keep, for reading.
func (f *fleet) open() (*kafkalog.Log, *index.DB) {
	f.t.Helper()
	log, err := kafkalog.Open(f.t.Context(), f.direct.log, kafkalog.Options{})
	if err != nil {
		f.t.Fatal(err)
	}
	f.t.Cleanup(func() { _ = log.Close() })
	db, err := index.OpenPostgres(f.t.Context(), f.direct.index, index.Options{})
	if err != nil {
		f.t.Fatal(err)
	}
	f.t.Cleanup(func() { _ = db.Close() })
	return log, db
}

// caughtUp waits until the index has all that the log holds.
func (f *fleet) caughtUp() {
	f.t.Helper()
	log, db := f.open()
	eventually(f.t, "the index has reached the end of the log", func() error { return behind(f.t.Context(), log, db) })
}

func behind(ctx context.Context, log *kafkalog.Log, db *index.DB) error {
	heads, err := log.Heads(ctx, event.TopicInstances)
	if err != nil {
		return err
	}
	for partition, newest := range heads {
		applied, err := db.Applied(ctx, event.TopicInstances, partition)
		if err != nil {
			return err
		}
		if applied < newest {
			return fmt.Errorf("partition %d: %d of %d", partition, applied, newest)
		}
	}
	return nil
}

// audited holds books, blobs, log and index against one another. Intake nodes must have ended; orphans are
// adopted as the janitor does when they are old enough.
func (f *fleet) audited(b *books) {
	t := f.t
	t.Helper()
	dir := t.TempDir()
	args := append(f.direct.flags(), "--full", "--settle", "0s")
	crash := map[audit.Code]bool{audit.BlobWithoutEvent: true, audit.Leftover: true}
	code, r := fsck(t, dir, args...)
	for found, n := range r.Counts {
		if !crash[found] {
			t.Errorf("fsck: %d × %s: %+v", n, found, r.Findings[:min(len(r.Findings), 8)])
		}
	}
	if code != 0 {
		t.Logf("fsck: %v, as crashes leave it", r.Counts)
		if code, r = fsck(t, dir, append(args, "--repair", "--keep", "0s")...); code != 0 {
			t.Errorf("fsck --repair: exit %d, %v, %+v", code, r.Counts, r.Actions)
		}
		f.caughtUp()
		if code, r = fsck(t, dir, args...); code != 0 {
			t.Errorf("fsck again: exit %d, %v, %+v", code, r.Counts, r.Findings[:min(len(r.Findings), 8)])
		}
	}
	t.Logf("fsck: %d blobs, %d events, %d rows, %d read again", r.Blobs, r.Events, r.Rows, r.Reread)
	log, db := f.open()
	if err := b.settled(t.Context(), db); err != nil {
		t.Error(err)
	}
	if f.completes {
		f.announced(log, db)
	}
	f.replayed(log, db)
}

// announced waits until every study is complete, and holds that no revision was announced with two contents.
func (f *fleet) announced(log *kafkalog.Log, db *index.DB) {
	t := f.t
	t.Helper()
	eventually(t, "every study is complete", func() error {
		s, err := db.OpenStats(t.Context())
		if err == nil && s.Open+s.Announced > 0 {
			err = fmt.Errorf("%+v", s)
		}
		return err
	})
	ids, records := map[string]string{}, 0
	heads, err := log.Heads(t.Context(), event.TopicStudies)
	if err != nil {
		t.Fatal(err)
	}
	for partition, head := range heads {
		for at := int64(0); at <= head; {
			some, err := log.ReadFrom(t.Context(), event.TopicStudies, eventlog.Position{Topic: event.TopicStudies, Partition: partition, Offset: at}, 256)
			if err != nil {
				t.Fatal(err)
			}
			if len(some) == 0 {
				break
			}
			for _, r := range some {
				s, err := event.Decode[event.Study](r.Event.Data)
				if err != nil {
					t.Fatal(err)
				}
				key := fmt.Sprint(r.Event.Type, s.Tenant, s.StudyInstanceUID, s.Revision)
				if was, ok := ids[key]; ok && was != r.Event.ID {
					t.Errorf("revision %d of %s was announced with two contents", s.Revision, s.StudyInstanceUID)
				}
				ids[key] = r.Event.ID
				records++
			}
			at = some[len(some)-1].Offset + 1
		}
	}
	t.Logf("%d announcements of studies, %d of them different ones", records, len(ids))
}

// replayed compares the index with one that is made from the log now.
func (f *fleet) replayed(log *kafkalog.Log, db *index.DB) {
	t := f.t
	t.Helper()
	again, err := index.OpenPostgres(t.Context(), f.pg.Schema(t), index.Options{})
	if err != nil {
		t.Fatal(err)
	}
	defer again.Close()
	if _, err := rebuild.FromLog(t.Context(), rebuild.OfMany(log), again, rebuild.Options{}); err != nil {
		t.Fatal(err)
	}
	var is, should bytes.Buffer
	if err := db.Dump(t.Context(), &is); err != nil {
		t.Fatal(err)
	}
	if err := again.Dump(t.Context(), &should); err != nil {
		t.Fatal(err)
	}
	if is.String() == should.String() {
		return
	}
	have := map[string]bool{}
	for line := range strings.Lines(should.String()) {
		have[line] = true
	}
	for line := range strings.Lines(is.String()) {
		if !have[line] {
			t.Errorf("the index is not what its log makes, the first line that differs: %.500s", line)
			return
		}
	}
	t.Error("the index lacks lines of what its log makes")
}
