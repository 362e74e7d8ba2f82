package sim

import (
	"context"
	"errors"
	"hash/fnv"
	"slices"
	"sync"
	"time"

	"github.com/tributary-dicom/tributary/pipeline/event"
	"github.com/tributary-dicom/tributary/pipeline/eventlog"
)

var (
	errBusAway   = errors.New("the log does not answer")
	errAmbiguous = errors.New("the log did not say whether it took the events")
)

// simBus is an event log with every latitude that eventlog.Log leaves: events whose append failed may be there, may be
// there twice, backed ones are lost with the power until a sync, partitions overtake one another, and consumers are
// handed records again. It can also break its word: Lose takes acknowledged records, as a cluster that lost a disk.
type simBus struct {
	w *World

	mu     sync.Mutex
	parts  []part
	groups map[string]map[int32]int64 // committed offset by group and partition
	grown  chan struct{}              // closed when records were added
}

// part is one partition of the instances topic, and the whole of any other.
type part struct {
	records []eventlog.Record
	next    int64 // offset
	synced  int   // records that outlast a power cut
}

func newBus(w *World, partitions int) *simBus {
	b := &simBus{w: w, groups: map[string]map[int32]int64{}, grown: make(chan struct{})}
	for range partitions {
		b.parts = append(b.parts, part{next: 1})
	}
	return b
}

func (b *simBus) add(e event.Envelope) eventlog.Position {
	h := fnv.New32a()
	_, _ = h.Write([]byte(e.Key))
	n := int32(h.Sum32() % uint32(len(b.parts)))
	p := &b.parts[n]
	pos := eventlog.Position{Topic: e.Topic, Partition: n, Offset: p.next}
	p.next++
	if b.w.chance(50) {
		p.next += int64(b.w.rng.IntN(3)) // offsets of markers and aborted batches are nobody's
	}
	e.Data = slices.Clone(e.Data)
	p.records = append(p.records, eventlog.Record{Position: pos, Event: e})
	return pos
}

func (b *simBus) append(backed bool, events []event.Envelope) ([]eventlog.Position, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.w.chance(40) {
		return nil, errBusAway
	}
	var pos []eventlog.Position
	for _, e := range events {
		pos = append(pos, b.add(e))
	}
	if b.w.chance(20) {
		for _, e := range events { // a producer's own retry, without idempotence
			b.add(e)
		}
	}
	if !backed {
		b.syncLocked()
	}
	close(b.grown)
	b.grown = make(chan struct{})
	if b.w.chance(40) {
		return nil, errAmbiguous
	}
	return pos, nil
}

// Sync makes all records outlast a power cut.
func (b *simBus) Sync() {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.syncLocked()
}

func (b *simBus) syncLocked() {
	for i := range b.parts {
		b.parts[i].synced = len(b.parts[i].records)
	}
}

// Head returns the newest position of partition 0, as a log of one partition can tell it.
func (b *simBus) head(n int) eventlog.Position {
	b.mu.Lock()
	defer b.mu.Unlock()
	pos := eventlog.Position{Topic: event.TopicInstances, Partition: int32(n)}
	if r := b.parts[n].records; len(r) > 0 {
		pos.Offset = r[len(r)-1].Offset
	}
	return pos
}

// cut loses all but the first keep records of a partition; their offsets are used again.
func (b *simBus) cut(n, keep int) int {
	p := &b.parts[n]
	lost := len(p.records) - keep
	if lost <= 0 {
		return 0
	}
	p.next = p.records[keep].Offset
	p.records = p.records[:keep:keep]
	p.synced = min(p.synced, keep)
	return lost
}

// PowerCut loses what was not synced: none, all, or all behind one place.
func (b *simBus) PowerCut(how func(unsynced int) (lost int)) int {
	b.mu.Lock()
	defer b.mu.Unlock()
	lost := 0
	for n := range b.parts {
		p := &b.parts[n]
		lost += b.cut(n, len(p.records)-how(len(p.records)-p.synced))
		p.synced = len(p.records)
	}
	return lost
}

// Lose takes the newest acknowledged records of every partition, at most most each; their offsets are used again.
// Committed positions stay, as those of a topic that was made anew under the same name.
func (b *simBus) Lose(most int) int {
	b.mu.Lock()
	defer b.mu.Unlock()
	lost := 0
	for n := range b.parts {
		lost += b.cut(n, max(0, len(b.parts[n].records)-b.w.rng.IntN(most+1)))
	}
	return lost
}

// Events returns what the log holds, partition by partition.
func (b *simBus) Events() []eventlog.Record {
	b.mu.Lock()
	defer b.mu.Unlock()
	var all []eventlog.Record
	for _, p := range b.parts {
		all = append(all, p.records...)
	}
	return all
}

// has tells whether the record at a position is this event.
func (b *simBus) has(n int32, offset int64, id string) bool {
	b.mu.Lock()
	defer b.mu.Unlock()
	i, found := b.parts[n].at(offset)
	return found && b.parts[n].records[i].Event.ID == id
}

// at returns the index of the first record at or behind an offset.
func (p *part) at(offset int64) (int, bool) {
	return slices.BinarySearchFunc(p.records, offset, func(r eventlog.Record, o int64) int { return int(r.Offset - o) })
}

// busOf is the log as one node sees it.
type busOf struct {
	bus  *simBus
	node *Node
}

func (l busOf) Append(ctx context.Context, events ...event.Envelope) ([]eventlog.Position, error) {
	return l.append(ctx, false, events)
}

func (l busOf) AppendBacked(ctx context.Context, events ...event.Envelope) ([]eventlog.Position, error) {
	return l.append(ctx, true, events)
}

func (l busOf) append(ctx context.Context, backed bool, events []event.Envelope) ([]eventlog.Position, error) {
	if err := l.node.w.turns.await(l.node, "append"); err != nil {
		return nil, err
	}
	if err := ctx.Err(); err != nil {
		return nil, err
	}
	for _, e := range events {
		if key, err := event.BlobKey(e); err == nil {
			l.node.w.trace(key)
		}
	}
	pos, err := l.bus.append(backed && l.node.w.opt.Engine == Dir, events)
	l.node.w.pending.flush(l.node) // nothing, unless blobs lie
	if l.node.dead.Load() {
		return nil, errDead
	}
	return pos, err
}

// Since implements ingest.History.
func (l busOf) Since(ctx context.Context, t time.Time, fn func(event.Envelope) error) error {
	if err := l.node.w.turns.await(l.node, "since"); err != nil {
		return err
	}
	for _, r := range l.bus.Events() {
		if !r.Event.Time.Before(t) {
			if err := fn(r.Event); err != nil {
				return err
			}
		}
	}
	return ctx.Err()
}

// Subscribe opens a consumer behind the committed positions of a group.
func (l busOf) Subscribe(ctx context.Context, group, topic string) (eventlog.Consumer, error) {
	return l.SubscribeAt(ctx, group, topic, func(_ context.Context, n int32) (int64, error) {
		l.bus.mu.Lock()
		defer l.bus.mu.Unlock()
		return l.bus.groups[group][n], nil
	})
}

// SubscribeAt opens a consumer behind the positions that its reader keeps, as kafkalog does.
func (l busOf) SubscribeAt(ctx context.Context, group, _ string, start func(ctx context.Context, partition int32) (behind int64, err error)) (eventlog.Consumer, error) {
	if err := l.node.w.turns.await(l.node, "subscribe"); err != nil {
		return nil, err
	}
	c := &consumer{log: l, group: group, at: make([]int64, len(l.bus.parts))}
	for n := range c.at {
		behind, err := start(ctx, int32(n))
		if err != nil {
			return nil, err
		}
		c.at[n] = behind
	}
	return c, nil
}

// Newest returns the offset of the newest record of a partition, -1 for none.
func (l busOf) Newest(_ context.Context, _ string, n int32) (int64, error) {
	if head := l.bus.head(int(n)); head.Offset > 0 {
		return head.Offset, nil
	}
	return -1, nil
}

func (l busOf) Close() error { return nil }

// consumer reads all partitions.
type consumer struct {
	log   busOf
	group string
	at    []int64 // offset of the last record that was handed out
}

// Fetch hands out records of one partition, in order; now and then from a little further back.
func (c *consumer) Fetch(ctx context.Context, most int) ([]eventlog.Record, error) {
	for {
		if err := c.log.node.w.turns.await(c.log.node, "fetch"); err != nil {
			return nil, err
		}
		if err := ctx.Err(); err != nil {
			return nil, err
		}
		if c.log.node.w.chance(20) {
			return nil, errBusAway
		}
		records, grown := c.ready(most)
		if len(records) > 0 {
			return records, nil
		}
		select {
		case <-grown:
		case <-ctx.Done():
			return nil, ctx.Err()
		}
	}
}

func (c *consumer) ready(most int) ([]eventlog.Record, chan struct{}) {
	b := c.log.bus
	b.mu.Lock()
	defer b.mu.Unlock()
	first := b.w.rng.IntN(len(b.parts))
	for i := range b.parts {
		n := (first + i) % len(b.parts)
		p := &b.parts[n]
		from, _ := p.at(c.at[n] + 1)
		if from == len(p.records) {
			continue
		}
		if b.w.chance(100) {
			from = max(0, from-1-b.w.rng.IntN(4)) // a rebalance: handed out again
		}
		to := min(len(p.records), from+most)
		if b.w.chance(200) {
			to = from + 1 + b.w.rng.IntN(to-from) // the rest is late
		}
		c.at[n] = max(c.at[n], p.records[to-1].Offset)
		return slices.Clone(p.records[from:to]), b.grown
	}
	return nil, b.grown
}

func (c *consumer) Commit(_ context.Context, records ...eventlog.Record) error {
	if err := c.log.node.w.turns.await(c.log.node, "commit position"); err != nil {
		return err
	}
	if c.log.node.w.chance(50) {
		return errBusAway
	}
	b := c.log.bus
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.groups[c.group] == nil {
		b.groups[c.group] = map[int32]int64{}
	}
	for _, r := range records {
		b.groups[c.group][r.Partition] = max(b.groups[c.group][r.Partition], r.Offset)
	}
	return nil
}

func (c *consumer) Close() error { return nil }
