// Package indexer is the stage that keeps the index in step with the log.
//
// The index stores the position that it has applied in the same transaction as its rows, so that
// position is the truth: the stage begins behind it, and the log's own idea of the group is a hint.
package indexer

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"sync"
	"time"

	"github.com/tributary-dicom/tributary/pipeline/event"
	"github.com/tributary-dicom/tributary/pipeline/eventlog"
	"github.com/tributary-dicom/tributary/pipeline/stage"
)

// ErrAhead is returned by Run when the index has applied positions that the log has not reached: it
// belongs to another log, or the log lost its end. Going on would hide new records from readers.
var ErrAhead = errors.New("the index is ahead of the log: it must be rebuilt")

// ErrOtherLog is returned by Run when the record up to which the index has applied a partition is another one
// now: the log lost its end, and gave its offsets again. Records before and behind it may be missed.
var ErrOtherLog = errors.New("the log is not the one that the index was made from: it must be rebuilt")

// ErrUnplaced is returned by WaitApplied for an event that has no place in the log yet: it lies in the spool
// of a node while the log is away (Partition -1).
var ErrUnplaced = errors.New("the event is on its way to the log")

// errWentBack ends a run of the stage that is begun again.
var errWentBack = errors.New("the index has gone back")

// ErrNotIndexed is returned by WaitApplied for a topic that the index does not follow.
var ErrNotIndexed = errors.New("the index does not follow this topic")

// Applier is the index.
type Applier interface {
	// Apply makes the effect of records and their positions durable in one transaction. Records at or
	// below a position that it has applied are ignored. An error that has the method Permanent() bool
	// returning true (stage.Permanent, event.DecodeError) is the fault of a record.
	Apply(ctx context.Context, records []eventlog.Record) error

	// Applied returns the offset of the last record of a partition that Apply has seen, -1 for none.
	Applied(ctx context.Context, topic string, partition int32) (offset int64, err error)
}

// starter is a log that can be read from a position that the reader keeps.
type starter interface {
	SubscribeFrom(ctx context.Context, group, topic string, behind int64) (eventlog.Consumer, error)
}

// shared is a log of several partitions, which the processes that index it share. A partition comes and
// goes, and is read from the reader's own position whenever it comes.
type shared interface {
	SubscribeAt(ctx context.Context, group, topic string, start func(ctx context.Context, partition int32) (behind int64, err error)) (eventlog.Consumer, error)

	// Newest returns the offset of the newest record of a partition, -1 when there is none.
	Newest(ctx context.Context, topic string, partition int32) (int64, error)
}

// placed is an index that knows the last record that it has applied, by its event.
type placed interface {
	LastApplied(ctx context.Context, topic string, partition int32) (offset int64, eventID string, err error)
}

// rereader is a log that can be read at any position.
type rereader interface {
	ReadFrom(ctx context.Context, topic string, from eventlog.Position, most int) ([]eventlog.Record, error)
}

// Config of an Indexer. Log and Index are required.
type Config struct {
	Log   stage.Log
	Index Applier
	Group string // default "index"
	Batch int    // records a transaction, at most; default 256

	// Head returns the newest position of a topic with one partition (locallog.Log.Head); nil when the log
	// cannot tell.
	Head func(topic string) eventlog.Position

	// Gather is how long records may come together before they are applied, unless somebody waits for one
	// of them or there was nothing to do before: a transaction for many costs little more than for one.
	// Default 100 ms, negative for none.
	Gather time.Duration

	// Known hears of all UIDs before the index has them; nil for none.
	Known *Known

	Source  string // of dead letters, the node
	Version string
	Metrics stage.Metrics
	Logger  *slog.Logger
}

// commitEvery is how often the log learns how far the index is. It is a hint for operators and for logs
// that only start at a committed position; a commit for every object would cost as much as the object.
const commitEvery = time.Second

// Indexer applies the instances topic to an index. Safe for concurrent use.
type Indexer struct {
	cfg Config

	mu         sync.Mutex
	partitions map[int32]*partition
	wanted     chan struct{} // has a token when somebody began to wait

	trust   time.Duration           // how long the index is believed to be where it was
	suspect bool                    // Apply failed; of the stage's goroutine
	again   context.CancelCauseFunc // ends this run of the stage; of Run
}

// partition is how far the index is, and who waits.
type partition struct {
	applied int64 // readers see, or it became a dead letter
	stored  int64 // Apply succeeded with it, or the index said so; -1 for none
	checked time.Time
	waiters []waiter
}

type waiter struct {
	offset int64
	done   chan struct{} // closed when offset is applied
}

// New returns an indexer that does nothing until Run.
func New(cfg Config) *Indexer {
	if cfg.Group == "" {
		cfg.Group = "index"
	}
	if cfg.Gather == 0 {
		cfg.Gather = 100 * time.Millisecond
	}
	return &Indexer{cfg: cfg, partitions: map[int32]*partition{}, wanted: make(chan struct{}, 1), trust: trust}
}

// Run applies records until ctx ends, and then returns nil. Records that are ready together share a
// transaction; one that comes after a pause is applied at once. Run it once at a time.
//
// When the index turns out to have gone back (it was restored, or its standby took over with less), records
// are read again from where it is.
func (x *Indexer) Run(ctx context.Context) error {
	if x.cfg.Log == nil || x.cfg.Index == nil {
		return errors.New("indexer without Log or Index")
	}
	cfg := stage.Config{
		Log: x.cfg.Log, Group: x.cfg.Group, Topic: event.TopicInstances, Batch: x.cfg.Batch, CommitEvery: commitEvery,
		Open: x.open, Handle: x.apply, Settled: x.settled,
		Source: x.cfg.Source, Version: x.cfg.Version, Metrics: x.cfg.Metrics, Logger: x.cfg.Logger,
	}
	if x.cfg.Head != nil {
		cfg.Head = func() eventlog.Position { return x.cfg.Head(event.TopicInstances) }
	}
	for {
		running, end := context.WithCancelCause(ctx)
		x.again, x.suspect = end, false
		err := stage.Run(running, cfg)
		wentBack := errors.Is(context.Cause(running), errWentBack)
		end(nil)
		if err != nil || !wentBack || ctx.Err() != nil {
			return err
		}
		if x.cfg.Logger != nil {
			x.cfg.Logger.Warn("the index has gone back, records are read again from where it is")
		}
	}
}

// trust is how long an index that others may restore is believed to be where it was. While records come
// all the time, its absence makes Apply fail, and it is asked then.
const trust = time.Second

// apply hands records to the index. Where that could have gone back meanwhile, it asks first: going on
// behind a gap would hide records for ever.
func (x *Indexer) apply(ctx context.Context, records []eventlog.Record) error {
	if err := x.recheck(ctx, records); err != nil {
		return err
	}
	x.suspect = false
	if x.cfg.Known != nil {
		x.cfg.Known.note(records)
	}
	err := x.cfg.Index.Apply(ctx, records)
	if err != nil {
		x.suspect = !stage.IsPermanent(err)
		return err
	}
	now := time.Now()
	x.mu.Lock()
	defer x.mu.Unlock()
	for i := range records {
		p := x.partition(records[i].Partition)
		p.stored, p.checked = max(p.stored, records[i].Offset), now
	}
	return nil
}

// recheck compares the index with what it was told: in every partition after a failure, since a standby
// that took over may lack the end of any, and else in those of records of a shared log that were not heard
// of for a while.
func (x *Indexer) recheck(ctx context.Context, records []eventlog.Record) error {
	_, isShared := x.cfg.Log.(shared)
	if !isShared && !x.suspect {
		return nil
	}
	due := map[int32]int64{} // partition → what it was told
	x.mu.Lock()
	for i := range records {
		if p := x.partition(records[i].Partition); time.Since(p.checked) > x.trust {
			due[records[i].Partition] = p.stored
		}
	}
	if x.suspect {
		for number, p := range x.partitions {
			due[number] = p.stored
		}
	}
	x.mu.Unlock()
	for number, was := range due {
		is, err := x.ask(ctx, number)
		if err != nil {
			return err
		}
		if is < was {
			x.again(errWentBack)
			return errWentBack
		}
	}
	return nil
}

func (x *Indexer) ask(ctx context.Context, number int32) (int64, error) {
	offset, err := x.cfg.Index.Applied(ctx, event.TopicInstances, number)
	if err != nil {
		return 0, fmt.Errorf("ask the index for its position: %w", err)
	}
	return offset, nil
}

// open subscribes behind what the index has applied.
func (x *Indexer) open(ctx context.Context) (eventlog.Consumer, error) {
	if log, ok := x.cfg.Log.(shared); ok {
		c, err := log.SubscribeAt(ctx, x.cfg.Group, event.TopicInstances, x.begin)
		if err != nil {
			return nil, err
		}
		return x.gather(c), nil
	}
	applied, err := x.ask(ctx, 0)
	if err != nil {
		return nil, err
	}
	x.restart(0, applied)
	if x.cfg.Head != nil {
		if head := x.cfg.Head(event.TopicInstances); applied > head.Offset {
			return nil, fmt.Errorf("%w (applied %d, newest record %d)", ErrAhead, applied, head.Offset)
		}
	}
	var c eventlog.Consumer
	if log, ok := x.cfg.Log.(starter); ok {
		c, err = log.SubscribeFrom(ctx, x.cfg.Group, event.TopicInstances, applied)
	} else {
		c, err = x.cfg.Log.Subscribe(ctx, x.cfg.Group, event.TopicInstances)
	}
	if err != nil {
		return nil, err
	}
	return x.gather(c), nil
}

// begin tells where to read a partition that has come to this process.
func (x *Indexer) begin(ctx context.Context, number int32) (behind int64, err error) {
	applied, err := x.ask(ctx, number)
	if err != nil {
		return 0, err
	}
	if applied >= 0 {
		newest, err := x.cfg.Log.(shared).Newest(ctx, event.TopicInstances, number)
		if err != nil {
			return 0, err
		}
		if applied > newest {
			return 0, stage.Permanent(fmt.Errorf("%w (partition %d: applied %d, newest record %d)", ErrAhead, number, applied, newest))
		}
		if err := x.recognise(ctx, number); err != nil {
			return 0, err
		}
	}
	x.restart(number, applied)
	return applied, nil
}

// recognise compares the last record that was applied with the one that the log has there, where both can
// tell. One that the log has no more, since it is pruned, is believed.
func (x *Indexer) recognise(ctx context.Context, number int32) error {
	index, knows := x.cfg.Index.(placed)
	log, reads := x.cfg.Log.(rereader)
	if !knows || !reads {
		return nil
	}
	offset, id, err := index.LastApplied(ctx, event.TopicInstances, number)
	if err != nil {
		return fmt.Errorf("ask the index for its position: %w", err)
	}
	if offset < 0 || id == "" {
		return nil
	}
	at := eventlog.Position{Topic: event.TopicInstances, Partition: number, Offset: offset}
	records, err := log.ReadFrom(ctx, event.TopicInstances, at, 1)
	if err != nil {
		return fmt.Errorf("read the log where the index ends: %w", err)
	}
	if len(records) == 1 && records[0].Offset == offset && records[0].Event.ID != id {
		return stage.Permanent(fmt.Errorf("%w (partition %d, record %d)", ErrOtherLog, number, offset))
	}
	return nil
}

// restart takes the index's word for how far a partition is, also when that is less than was thought.
func (x *Indexer) restart(number int32, applied int64) {
	x.mu.Lock()
	defer x.mu.Unlock()
	p := x.partition(number)
	p.applied, p.stored, p.checked = applied, applied, time.Now()
	x.advance(number, applied)
}

// partition is called with mu held.
func (x *Indexer) partition(number int32) *partition {
	p := x.partitions[number]
	if p == nil {
		p = &partition{applied: -1, stored: -1}
		x.partitions[number] = p
	}
	return p
}

// gather wraps a consumer.
func (x *Indexer) gather(c eventlog.Consumer) eventlog.Consumer {
	g := &gathering{Consumer: c, stage: x}
	if b, ok := c.(behinder); ok {
		return &gatheringBehind{g, b}
	}
	return g
}

// behinder is a consumer that knows its lag (stage.Config.Head).
type behinder interface{ Behind() int64 }

type gatheringBehind struct {
	*gathering
	behinder
}

// gathering is a consumer that lets records come together while nobody waits for them.
type gathering struct {
	eventlog.Consumer
	stage *Indexer
}

func (g *gathering) Fetch(ctx context.Context, most int) ([]eventlog.Record, error) {
	if wait := g.stage.cfg.Gather; wait > 0 && !g.stage.awaited() {
		timer := time.NewTimer(wait)
		select {
		case <-timer.C:
		case <-g.stage.wanted:
		case <-ctx.Done():
		}
		timer.Stop()
	}
	return g.Consumer.Fetch(ctx, most)
}

// awaited reports whether somebody waits for a record.
func (x *Indexer) awaited() bool {
	x.mu.Lock()
	defer x.mu.Unlock()
	for _, p := range x.partitions {
		if len(p.waiters) > 0 {
			return true
		}
	}
	return false
}

// applied returns how far a partition is, from the index when it is not known yet.
func (x *Indexer) applied(ctx context.Context, number int32) (int64, error) {
	x.mu.Lock()
	p := x.partitions[number]
	if p != nil {
		defer x.mu.Unlock()
		return p.applied, nil
	}
	x.mu.Unlock()
	offset, err := x.ask(ctx, number)
	if err != nil {
		return 0, err
	}
	x.mu.Lock()
	defer x.mu.Unlock()
	x.advance(number, offset)
	return x.partitions[number].applied, nil
}

// passTimeout bounds how long the stage waits to pass a dead letter.
const passTimeout = 5 * time.Second

// pass moves the index's own place over a record that became a dead letter. Others compare that place with the
// end of the log (the stage of completeness does), and would wait until a record comes behind. Where the index
// cannot be asked now, that record, or the next start, moves it.
func (x *Indexer) pass(records []eventlog.Record) {
	if len(records) != 1 {
		return
	}
	r := records[0]
	x.mu.Lock()
	stored := x.partition(r.Partition).stored
	x.mu.Unlock()
	if r.Offset <= stored {
		return
	}
	ctx, cancel := context.WithTimeout(context.Background(), passTimeout)
	defer cancel()
	r.Event = event.Envelope{ID: r.Event.ID, Topic: r.Event.Topic} // of no type: it moves the place, and nothing else
	if err := x.apply(ctx, []eventlog.Record{r}); err != nil && x.cfg.Logger != nil {
		x.cfg.Logger.Warn("the index stands before a dead letter for now", slog.Int("partition", int(r.Partition)),
			slog.Int64("offset", r.Offset), slog.String("error", err.Error()))
	}
}

// settled notes applied records, and those that became dead letters, and wakes who waits for them.
func (x *Indexer) settled(records []eventlog.Record) {
	x.pass(records)
	x.mu.Lock()
	defer x.mu.Unlock()
	for i := range records {
		if next := i + 1; next < len(records) && records[next].Partition == records[i].Partition {
			continue // the last of a run says it all
		}
		x.advance(records[i].Partition, records[i].Offset)
	}
}

// advance is called with mu held.
func (x *Indexer) advance(number int32, offset int64) {
	p := x.partition(number)
	p.applied = max(p.applied, offset)
	rest := p.waiters[:0]
	for _, w := range p.waiters {
		if w.offset <= p.applied {
			close(w.done)
		} else {
			rest = append(rest, w)
		}
	}
	clear(p.waiters[len(rest):])
	p.waiters = rest
}
