package sim

import (
	"bytes"
	"cmp"
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"slices"
	"sync/atomic"
	"syscall"
	"time"

	"github.com/tributary-dicom/tributary/ingest"
	"github.com/tributary-dicom/tributary/parsers/reject"
	"github.com/tributary-dicom/tributary/pipeline/event"
	"github.com/tributary-dicom/tributary/storage/blob/simfs"
	"github.com/tributary-dicom/tributary/storage/index"
)

// Engine says what a world keeps its blobs in.
type Engine int

// Engines.
const (
	Dir Engine = iota // one node with everything on its machine: a crash is a power cut
	S3                // nodes that share S3, a log of three partitions and a data base: a crash is a process's
)

func (e Engine) String() string { return [...]string{"dir", "s3"}[e] }

// Lie is a promise that a world's engines break, to see whether Verify notices.
type Lie int

// Lies.
const (
	Honest      Lie = iota
	AppendFirst     // the event is appended before the blob is committed (S3)
	SkipSync        // the blob's sync does nothing (Dir)
	OffsetApart     // the index keeps its position outside the transaction
	NoAdoption      // nobody looks for blobs without an event
)

func (l Lie) String() string {
	return [...]string{"honest", "append first", "skip sync", "offset apart", "no adoption"}[l]
}

// Options of a world.
type Options struct {
	Ground  *Ground `json:"-"`
	Seed    uint64
	Engine  Engine
	Nodes   int // of S3; default 1
	Objects int // that devices send

	Partitions int // of the log; default 1 with Dir, 3 with S3

	Senders int // at a time; default 1
	Clock   Clock
	Lie     Lie
	Mode    simfs.Mode // what a power cut does to what was not synced

	Faults     bool // engines fail at random
	Crashes    int  // at random places
	CrashAt    int  // at I/O call n of the disk (Dir); 0 for none
	CrashTurn  int  // at turn n; 0 for none
	FailAt     int  // I/O call n of the disk fails with FailWith, once (Dir); 0 for none
	FailWith   syscall.Errno
	EngineLoss bool // the log loses acknowledged records, the data base its newest transactions (S3)
	Failover   bool // a standby without the newest transactions takes over under running nodes (S3)
	Once       bool // devices do not send again what failed
	Releases   bool // nodes are of several releases, reprocess at any time, and operators decide (F15)
	Replay     bool // the index is made again from the log, and compared (I4)

	tamper func(*World) // what a test of Verify does before it
}

// Result of a world.
type Result struct {
	Violations []Violation
	Acked      int // objects that a device heard success for
	Refused    int // that it was told not to send again
	Failed     int // tries that failed
	Crashes    int
	Adopted    int
	Reread     int // records that reprocessing wrote
	IOCalls    int // of the disk
	Turns      int
	Reached    bool // CrashAt, CrashTurn or FailAt came to pass
	Notes      []string
	Codes      map[reject.Code]int // what devices heard when a try failed
}

// World is a run of one seed.
type World struct {
	opt     Options
	rng     *rand.Rand
	faulty  bool // chance may say yes
	turns   turns
	disk    *simfs.Disk
	s3      *simS3
	bus     *simBus
	db      *simDB
	clocks  []*wallClock
	nodes   []*Node
	pending lateCommits
	durable map[string]bool // keys of blobs that a commit or a list has shown

	queue   []*parcel       // to be sent, or sent again
	flying  []*parcel       // given to a node
	sent    map[string]bool // SHA-256 of all files that devices send
	acked   []Kept
	adopted atomic.Int64
	result  Result

	// Of a world of several releases.
	jobs     string            // folder of their places
	removed  map[string]string // SHA-256 of entries that an operator has removed, by object id
	doubtful map[string]bool   // SHA-256 of those whose removal had no answer
	reread   atomic.Int64      // records that reprocessing wrote
}

const (
	maxTries  = 12     // of one object, in a world with faults
	maxRounds = 50_000 // of live, far more than a world needs; a world that reaches it hangs
	maxSettle = 5_000  // of settle: a hundred seconds at idleSleep, behind the longest pause of a stage
	idleSleep = 20 * time.Millisecond
)

// Run lets a world happen and verifies what is left. Call it in a bubble of testing/synctest.
func Run(ctx context.Context, opt Options) (Result, error) {
	opt.Nodes, opt.Senders = max(opt.Nodes, 1), max(opt.Senders, 1)
	if opt.Engine == Dir {
		opt.Nodes = 1
	}
	w := &World{
		opt: opt, rng: rand.New(rand.NewPCG(opt.Seed, uint64(opt.Engine))), faulty: opt.Faults, disk: simfs.New(opt.Seed),
		nodes: make([]*Node, opt.Nodes), pending: lateCommits{}, durable: map[string]bool{}, sent: map[string]bool{},
	}
	w.result.Codes = map[reject.Code]int{}
	w.turns.rng = rand.New(rand.NewPCG(opt.Seed, 7))
	w.s3 = &simS3{w: w, objects: map[string]object{}}
	w.bus = newBus(w, cmp.Or(opt.Partitions, [...]int{1, 3}[opt.Engine]))
	w.db = &simDB{w: w, apart: map[int32]int64{}, broken: map[*Node]bool{}}
	if err := w.db.open(ctx); err != nil {
		return Result{}, err
	}
	w.setClocks()
	if opt.Releases {
		w.removed, w.doubtful = map[string]string{}, map[string]bool{}
		if err := w.openJobs(); err != nil {
			return Result{}, err
		}
	}
	for _, p := range workload(w.rng, opt.Objects) {
		w.queue = append(w.queue, &p)
		w.sent[p.file] = true
	}
	err := w.live(ctx)
	for _, n := range w.nodes {
		if n != nil {
			n.kill()
		}
	}
	w.result.Reread = int(w.reread.Load())
	w.result.Turns, w.result.IOCalls, w.result.Adopted = w.turns.calls, w.disk.Calls(), int(w.adopted.Load())
	return w.result, errors.Join(err, w.db.done())
}

func (w *World) setClocks() {
	for i := range w.opt.Nodes {
		c := &wallClock{}
		switch w.opt.Clock {
		case Skewed:
			c.jump([...]time.Duration{-10 * time.Minute, 10 * time.Minute, 0}[i%3])
		case Frozen:
			c.freeze()
		default: // those that jump do so later
		}
		w.clocks = append(w.clocks, c)
	}
}

func (w *World) note(format string, args ...any) {
	if len(w.result.Notes) < 20 {
		w.result.Notes = append(w.result.Notes, fmt.Sprintf(format, args...))
	}
}

func (w *World) violate(invariant, format string, args ...any) {
	w.result.Violations = append(w.result.Violations, Violation{invariant, fmt.Sprintf(format, args...)})
}

// trace holds the order of writes: an event's blob is durable before the event (I5).
func (w *World) trace(key string) {
	if !w.durable[key] {
		w.violate("I5", "the event of blob %s was appended before the blob was durable", key)
	}
}

// live is the whole run: devices send, things break, everything crashes once more, and what is left is looked at.
func (w *World) live(ctx context.Context) error {
	if w.opt.CrashAt > 0 {
		w.disk.CrashAt(w.opt.CrashAt, w.opt.Mode)
	}
	if w.opt.FailAt > 0 {
		w.disk.FailAt(w.opt.FailAt, w.opt.FailWith)
	}
	for i := range w.nodes {
		w.boot(i)
	}
	crashAt := w.plan()
	half := len(w.queue) / 2
	total := len(w.queue)
	for round := 0; len(w.queue)+len(w.flying) > 0; round++ {
		if round > maxRounds {
			w.violate("liveness", "%d objects are not done after %d turns", len(w.queue)+len(w.flying), w.turns.calls)
			return nil
		}
		w.land()
		w.launch()
		if !w.turns.next() || w.rng.IntN(8) == 0 {
			time.Sleep(idleSleep) // calls take time, too: the index may catch up meanwhile
		}
		if err := w.mischief(ctx, crashAt); err != nil {
			return err
		}
		if done := total - len(w.queue); done >= half && half > 0 {
			half = 0
			w.jump()
		}
	}
	w.faulty = false
	w.result.Reached = w.result.Reached || w.opt.CrashAt > 0 && w.result.Crashes > 0 ||
		w.opt.FailAt > 0 && w.disk.Calls() >= w.opt.FailAt
	w.disk.SetFault(nil)
	if w.opt.Engine == Dir {
		if err := w.powerCut(ctx); err != nil {
			return err
		}
	} else {
		for i := range w.nodes {
			w.crashNode(i)
		}
	}
	if settled, err := w.settle(ctx); !settled || err != nil {
		return err
	}
	if settled, err := w.lookAgain(ctx); !settled || err != nil {
		return err
	}
	if w.opt.Releases {
		if settled, err := w.upgraded(ctx); !settled || err != nil {
			return err
		}
	}
	return w.verify(ctx)
}

// lookAgain looks for orphans in a world at rest: there are none, and none is found.
func (w *World) lookAgain(ctx context.Context) (bool, error) {
	n, before, done := w.nodes[0], w.adopted.Load(), false
	if w.opt.Lie == NoAdoption {
		return true, nil
	}
	n.wg.Go(func() {
		if err := n.adopt(); err != nil {
			w.violate("orphan", "a look for orphans at rest: %v", err)
		}
		done = true
	})
	for !done {
		w.turns.next()
	}
	if again := w.adopted.Load() - before; again > 0 {
		w.violate("orphan", "%d blobs were adopted although they have an event", again)
	}
	return w.settle(ctx)
}

// plan draws the turns of crashes.
func (w *World) plan() []int {
	var at []int
	for range w.opt.Crashes {
		at = append(at, 1+w.rng.IntN(5*w.opt.Objects))
	}
	if w.opt.CrashTurn > 0 {
		at = append(at, w.opt.CrashTurn)
	}
	slices.Sort(at)
	return at
}

// jump does what the clock does in the middle.
func (w *World) jump() {
	for _, c := range w.clocks {
		switch w.opt.Clock {
		case BackHour:
			c.jump(-time.Hour)
		case DayAhead:
			c.jump(24 * time.Hour)
		default: // steady, or odd from the start
		}
	}
}

// land takes back what nodes are done with. What failed is sent again a second later.
func (w *World) land() {
	w.flying = slices.DeleteFunc(w.flying, func(p *parcel) bool {
		if !p.landed {
			return false
		}
		if p.again {
			p.tries++
			p.notBefore = time.Now().Add(time.Second)
			if !w.opt.Once && (p.tries < maxTries || !w.opt.Faults) {
				w.queue = append(w.queue, p)
			}
		}
		return true
	})
}

// launch gives parcels to nodes that take them.
func (w *World) launch() {
	var up []*Node
	for _, n := range w.nodes {
		if n.ready.Load() && !n.dead.Load() {
			up = append(up, n)
		}
	}
	for len(up) > 0 && len(w.flying) < w.opt.Senders {
		i := slices.IndexFunc(w.queue, func(p *parcel) bool { return !p.notBefore.After(time.Now()) })
		if i < 0 {
			return
		}
		n, p := up[w.rng.IntN(len(up))], w.queue[i]
		w.queue = slices.Delete(w.queue, i, i+1)
		w.flying = append(w.flying, p)
		p.landed, p.again = false, false
		n.wg.Go(func() {
			p.again = w.send(n, p)
			p.landed = true
		})
	}
}

// send is a device with one object. It reports whether to send again.
func (w *World) send(n *Node, p *parcel) (again bool) {
	if w.turns.await(n, "send "+p.file) != nil {
		return true
	}
	rec, err := n.intake.Admit(n.ctx, ingest.Arrival{Body: bytes.NewReader(p.body), Origin: event.Origin{Door: "sim", Device: n.name}})
	code := reject.CodeOf(err)
	// Who waited for this object's UID runs already. The answer is a turn of its own.
	switch gone := w.turns.await(n, "answer "+p.file); {
	case gone != nil || w.opt.Engine == Dir && w.disk.Crashed(): // nobody is there to answer
		return true
	case err == nil:
		w.result.Acked++
		w.acked = append(w.acked, Kept{
			Tenant: ingest.DefaultTenant, SOPInstanceUID: p.uid, DatasetSHA256: p.data, FileSHA256: p.file,
			TransferSyntaxUID: explicitLE, Quarantined: rec.Status == ingest.Quarantined,
		})
		if (rec.Status == ingest.Quarantined) != (p.kind == cut) {
			w.violate("answer", "a device heard %q for an object of kind %d", rec.Status, p.kind)
		}
		return false
	case p.kind == junk && code == reject.UnsupportedFormat:
		w.result.Refused++
		return false
	case code != reject.OutOfResources && code != reject.Internal && code != reject.Aborted:
		w.violate("answer", "a device heard %s for an engine's fault: %v", code, err)
	}
	w.result.Failed++
	w.result.Codes[code]++
	return true
}

// mischief is what happens to engines and nodes between two turns.
func (w *World) mischief(ctx context.Context, crashAt []int) error {
	if w.opt.Releases {
		w.work()
	}
	due := false
	for _, turn := range crashAt {
		due = due || turn == w.turns.calls && w.result.Crashes < len(crashAt)
	}
	if w.opt.Engine == Dir {
		if w.disk.Crashed() || due {
			w.result.Reached = true
			return w.powerCut(ctx)
		}
		if w.rng.IntN(20) == 0 {
			w.bus.Sync() // in the background, within 50 ms
		}
		return nil
	}
	if due {
		w.result.Reached = true
		w.crashNode(w.rng.IntN(len(w.nodes)))
	}
	if w.opt.EngineLoss && w.faulty && w.rng.IntN(400) == 0 {
		return w.loseEngines(ctx)
	}
	if n := len(w.db.history); w.opt.Failover && n > 0 && w.rng.IntN(25) == 0 {
		for _, node := range w.nodes {
			w.db.broken[node] = true
		}
		return w.db.rewind(ctx, n-w.rng.IntN(min(n, 5)+1))
	}
	if w.faulty && w.rng.IntN(300) == 0 { // a janitor's round
		if n := w.nodes[w.rng.IntN(len(w.nodes))]; n.ready.Load() && !n.dead.Load() {
			n.wg.Go(func() { _ = n.adopt() })
		}
	}
	return nil
}

// crashNode ends one process and starts its successor.
func (w *World) crashNode(i int) {
	w.nodes[i].kill()
	w.result.Crashes++
	w.boot(i)
}

// fate is how many of n things that were not synced a power cut takes.
func (w *World) fate(n int) int {
	switch w.opt.Mode {
	case simfs.Keep:
		return 0
	case simfs.Drop:
		return n
	}
	return w.rng.IntN(n + 1)
}

// powerCut ends the one machine of a Dir world: disk, log and index lose what they did not sync, and the node starts
// again.
func (w *World) powerCut(ctx context.Context) error {
	if !w.disk.Crashed() {
		w.disk.Crash(w.opt.Mode)
	}
	w.nodes[0].kill()
	w.disk.Restart()
	w.result.Crashes++
	w.bus.PowerCut(w.fate)
	// The index syncs at checkpoints only. It may have got further than the log has kept.
	if err := w.db.rewind(ctx, len(w.db.history)-w.fate(min(len(w.db.history), 5))); err != nil {
		return err
	}
	if err := w.remake(ctx); err != nil {
		return err
	}
	w.boot(0)
	return nil
}

// loseEngines makes the shared engines break their word: acknowledged records and transactions go. Sessions break, so
// nodes start again.
func (w *World) loseEngines(ctx context.Context) error {
	for _, n := range w.nodes {
		n.kill()
	}
	if w.rng.IntN(2) == 0 {
		w.note("the log lost %d acknowledged records", w.bus.Lose(10))
	} else if n := len(w.db.history); n > 0 {
		if err := w.db.rewind(ctx, n-w.rng.IntN(min(n, 20)+1)); err != nil {
			return err
		}
	}
	if err := w.remake(ctx); err != nil {
		return err
	}
	for i := range w.nodes {
		w.boot(i)
	}
	return nil
}

// remake puts aside an index that goes further than the log, as a node does at its start.
func (w *World) remake(ctx context.Context) error {
	foreign, err := w.db.foreign(ctx, w.bus)
	if err != nil || !foreign {
		return err
	}
	w.note("the index was made again from the log")
	clear(w.db.apart)
	return w.db.rewind(ctx, 0)
}

// settle waits until nodes are up and the index has everything.
func (w *World) settle(ctx context.Context) (bool, error) {
	for range maxSettle {
		done, err := w.caughtUp(ctx)
		if err != nil {
			return false, err
		}
		for _, n := range w.nodes {
			done = done && n.ready.Load()
		}
		if done {
			return true, nil
		}
		if w.disk.Crashed() { // a crash at a call that only recovery reached
			if err := w.powerCut(ctx); err != nil {
				return false, err
			}
		}
		if !w.turns.next() {
			time.Sleep(idleSleep)
		}
	}
	w.violate("liveness", "the nodes or the index never caught up")
	return false, nil
}

func (w *World) verify(ctx context.Context) error {
	if w.opt.tamper != nil {
		w.opt.tamper(w)
	}
	e := Evidence{Acked: w.acked, Sent: w.sent, Blobs: w.nodes[0].blobs, Index: w.db.db, Log: w.bus.Events(), Rand: w.rng}
	if w.opt.Replay {
		e.Empty = func() (*index.DB, func() error, error) { return w.opt.Ground.index(ctx) }
	}
	found, err := Verify(ctx, e)
	w.result.Violations = append(w.result.Violations, found...)
	return err
}
