package indexer

import (
	"context"
	"fmt"
	"time"

	"github.com/tributary-dicom/tributary/pipeline/event"
	"github.com/tributary-dicom/tributary/pipeline/eventlog"
)

// WaitApplied returns once readers of the index see the record at pos, or it became a dead letter, or
// with ctx's error. Where other processes index too, it asks the index itself from time to time, and
// returns its error. ErrUnplaced comes at once.
func (x *Indexer) WaitApplied(ctx context.Context, pos eventlog.Position) error {
	if pos.Topic != event.TopicInstances {
		return fmt.Errorf("%w: %s", ErrNotIndexed, pos.Topic)
	}
	if pos.Partition < 0 {
		return ErrUnplaced
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
	if _, ok := x.cfg.Log.(shared); ok {
		return x.watch(ctx, pos.Partition, p, w)
	}
	select {
	case <-w.done:
		return nil
	case <-ctx.Done():
		x.leave(p, w)
		return ctx.Err()
	}
}

// How often the index is asked for a partition that another process may apply: soon, and then less often.
const (
	firstWatch = 20 * time.Millisecond
	maxWatch   = 250 * time.Millisecond
)

// watch waits for a record that this process applies, or another one does.
func (x *Indexer) watch(ctx context.Context, number int32, p *partition, w waiter) error {
	timer := time.NewTimer(firstWatch)
	defer timer.Stop()
	for wait := firstWatch; ; {
		select {
		case <-w.done:
			return nil
		case <-ctx.Done():
			x.leave(p, w)
			return ctx.Err()
		case <-timer.C:
		}
		offset, err := x.ask(ctx, number)
		if err != nil {
			x.leave(p, w)
			return err
		}
		x.mu.Lock()
		x.advance(number, offset)
		x.mu.Unlock()
		wait = min(2*wait, maxWatch)
		timer.Reset(wait)
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

// CaughtUp reports whether the index shows everything that was in a log of one partition at the time of the
// call. It is false when the log cannot tell its newest position.
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
