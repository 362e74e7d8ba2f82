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

// Config of an Indexer. Log and Index are required.
type Config struct {
	Log   stage.Log
	Index Applier
	Group string // default "index"
	Batch int    // records a transaction, at most; default 256

	// Head returns the newest position of a topic (locallog.Log.Head); nil when the log cannot tell.
	Head func(topic string) eventlog.Position

	// Gather is how long records may come together before they are applied, unless somebody waits for one
	// of them or there was nothing to do before: a transaction for many costs little more than for one.
	// Default 25 ms, negative for none.
	Gather time.Duration

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
}

// partition is how far the index is, and who waits.
type partition struct {
	applied int64
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
		cfg.Gather = 25 * time.Millisecond
	}
	return &Indexer{cfg: cfg, partitions: map[int32]*partition{}, wanted: make(chan struct{}, 1)}
}

// Run applies records until ctx ends, and then returns nil. Records that are ready together share a
// transaction; one that comes after a pause is applied at once. Run it once.
func (x *Indexer) Run(ctx context.Context) error {
	if x.cfg.Log == nil || x.cfg.Index == nil {
		return errors.New("indexer without Log or Index")
	}
	cfg := stage.Config{
		Log: x.cfg.Log, Group: x.cfg.Group, Topic: event.TopicInstances, Batch: x.cfg.Batch, CommitEvery: commitEvery,
		Open: x.open, Handle: x.cfg.Index.Apply, Settled: x.settled,
		Source: x.cfg.Source, Version: x.cfg.Version, Metrics: x.cfg.Metrics, Logger: x.cfg.Logger,
	}
	if x.cfg.Head != nil {
		cfg.Head = func() eventlog.Position { return x.cfg.Head(event.TopicInstances) }
	}
	return stage.Run(ctx, cfg)
}

// open subscribes behind what the index has applied.
func (x *Indexer) open(ctx context.Context) (eventlog.Consumer, error) {
	applied, err := x.applied(ctx, 0)
	if err != nil {
		return nil, err
	}
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
	return &gathering{Consumer: c, stage: x}, nil
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
	offset, err := x.cfg.Index.Applied(ctx, event.TopicInstances, number)
	if err != nil {
		return 0, fmt.Errorf("ask the index for its position: %w", err)
	}
	x.mu.Lock()
	defer x.mu.Unlock()
	x.advance(number, offset)
	return x.partitions[number].applied, nil
}

// settled notes applied records, and those that became dead letters, and wakes who waits for them.
func (x *Indexer) settled(records []eventlog.Record) {
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
	p := x.partitions[number]
	if p == nil {
		p = &partition{applied: offset}
		x.partitions[number] = p
		return
	}
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

// WaitApplied returns once readers of the index see the record at pos, or it became a dead letter, or
// with ctx's error.
func (x *Indexer) WaitApplied(ctx context.Context, pos eventlog.Position) error {
	if pos.Topic != event.TopicInstances {
		return fmt.Errorf("%w: %s", ErrNotIndexed, pos.Topic)
	}
	applied, err := x.applied(ctx, pos.Partition)
	if err != nil {
		return err
	}
	if applied >= pos.Offset {
		return nil
	}
	x.mu.Lock()
	p := x.partitions[pos.Partition]
	if p.applied >= pos.Offset {
		x.mu.Unlock()
		return nil
	}
	w := waiter{offset: pos.Offset, done: make(chan struct{})}
	p.waiters = append(p.waiters, w)
	x.mu.Unlock()
	select {
	case x.wanted <- struct{}{}:
	default: // a token is there already
	}
	select {
	case <-w.done:
		return nil
	case <-ctx.Done():
		x.leave(p, w)
		return ctx.Err()
	}
}

// Seen reports whether readers see the record at pos. It costs no question to the index: what was applied
// before this process began is seen only once Run has started.
func (x *Indexer) Seen(pos eventlog.Position) bool {
	x.mu.Lock()
	defer x.mu.Unlock()
	p := x.partitions[pos.Partition]
	return p != nil && p.applied >= pos.Offset
}

// leave takes a waiter out that no longer waits.
func (x *Indexer) leave(p *partition, w waiter) {
	x.mu.Lock()
	defer x.mu.Unlock()
	for i := range p.waiters {
		if p.waiters[i].done == w.done {
			last := len(p.waiters) - 1
			p.waiters[i] = p.waiters[last]
			p.waiters[last] = waiter{}
			p.waiters = p.waiters[:last]
			return
		}
	}
}

// CaughtUp reports whether the index shows everything that was in the log at the time of the call. It
// is false when the log cannot tell its newest position.
func (x *Indexer) CaughtUp() bool {
	if x.cfg.Head == nil {
		return false
	}
	head := x.cfg.Head(event.TopicInstances)
	x.mu.Lock()
	defer x.mu.Unlock()
	p := x.partitions[head.Partition]
	return p != nil && p.applied >= head.Offset || p != nil && head.Offset == 0
}
