package kafkalog

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"sync"
	"time"

	"github.com/tributary-dicom/tributary/pipeline/event"
	"github.com/tributary-dicom/tributary/pipeline/eventlog"
)

const (
	// drainRecords are moved at once, at most: a batch of each partition, read from the spool in one go.
	drainRecords = 1000

	// nearlyDrained is how little must be left of a topic for callers to wait, for at most handOverWait,
	// until the drainer is done: as long as they append behind it, it never would be.
	nearlyDrained = drainRecords
	handOverWait  = 250 * time.Millisecond
)

// spooling is the spool with what lies in it.
//
// An event goes behind all that the spool holds of its topic. So two events of a key, of which the first
// was acknowledged before the second came, never overtake: the first is in Kafka, or before the second in
// the spool. A topic is the unit since that takes one counter, and the drainer is quicker than the doors.
type spooling struct {
	Spool
	maxBytes int64

	mu      sync.Mutex
	backlog map[string]*backlog // by topic
	wake    chan struct{}       // of capacity 1: something came
	failure error               // of the drainer's last look at the spool

	progress time.Time // when something was moved
}

// backlog is what the spool holds of one topic, or is just taking.
type backlog struct {
	records, bytes int64
	oldest         time.Time     // about when the oldest came
	drained        chan struct{} // closed when records becomes 0; nil when nobody waits

	begun, ended int64 // appends
}

func newSpooling(ctx context.Context, s Spool, maxBytes int64) (*spooling, error) {
	p := &spooling{Spool: s, maxBytes: maxBytes, backlog: map[string]*backlog{}, wake: make(chan struct{}, 1)}
	for _, topic := range logTopics {
		records, bytes, err := s.Usage(ctx, topic)
		if err != nil {
			return nil, err
		}
		b := &backlog{records: records, bytes: bytes + records*recordOverhead}
		if records > 0 {
			first, err := s.ReadFrom(ctx, topic, eventlog.Position{Topic: topic}, 1)
			if err != nil {
				return nil, err
			}
			if len(first) > 0 {
				b.oldest = first[0].Event.Time
			}
			p.rouse()
		}
		p.backlog[topic] = b
	}
	return p, nil
}

func (p *spooling) rouse() {
	select {
	case p.wake <- struct{}{}:
	default:
	}
}

// holds reports whether the spool has events of one of these topics.
func (p *spooling) holds(events []event.Envelope) bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	for i := range events {
		if p.backlog[events[i].Topic].records > 0 {
			return true
		}
	}
	return false
}

// append keeps events, within the bound.
func (p *spooling) append(ctx context.Context, backed bool, events []event.Envelope) ([]eventlog.Position, error) {
	if err := p.enter(events); err != nil {
		return nil, err
	}
	defer p.leave(events)
	add := p.Append
	if backed {
		add = p.AppendBacked
	}
	positions, err := add(ctx, events...)
	if err != nil {
		// It may have them after all, so they stay counted until the drainer finds nothing.
		return nil, fmt.Errorf("spool: %w", err)
	}
	for i := range positions {
		positions[i].Partition = Spooled
	}
	return positions, nil
}

// enter counts events that are about to be appended.
func (p *spooling) enter(events []event.Envelope) error {
	p.mu.Lock()
	defer p.mu.Unlock()
	bytes, held := int64(0), p.held()
	for i := range events {
		bytes += int64(sizeOf(&events[i]))
	}
	if held+bytes > p.maxBytes {
		return fmt.Errorf("%w: %d of %d bytes, and Kafka is away or slow", ErrSpoolFull, held, p.maxBytes)
	}
	for i := range events {
		b := p.backlog[events[i].Topic]
		if b.records == 0 {
			b.oldest = time.Now()
		}
		b.records++
		b.bytes += int64(sizeOf(&events[i]))
		b.begun++
	}
	return nil
}

func (p *spooling) held() (bytes int64) {
	for _, b := range p.backlog {
		bytes += b.bytes
	}
	return bytes
}

// leave notes that an append has ended, and wakes the drainer.
func (p *spooling) leave(events []event.Envelope) {
	p.mu.Lock()
	for i := range events {
		p.backlog[events[i].Topic].ended++
	}
	p.mu.Unlock()
	p.rouse()
}

// moved counts records out that Kafka has.
func (p *spooling) moved(topic string, records []eventlog.Record) {
	p.mu.Lock()
	defer p.mu.Unlock()
	b := p.backlog[topic]
	for i := range records {
		b.records--
		b.bytes -= int64(sizeOf(&records[i].Event))
	}
	b.oldest = records[len(records)-1].Event.Time // a little too old
	p.progress = time.Now()
	b.clearIfEmpty()
}

func (b *backlog) clearIfEmpty() {
	if b.records > 0 {
		return
	}
	b.records, b.bytes, b.oldest = 0, 0, time.Time{}
	if b.drained != nil {
		close(b.drained)
		b.drained = nil
	}
}

// mark returns how many appends to a topic had begun, and whether all of them had ended.
func (p *spooling) mark(topic string) (begun int64, quiet bool) {
	p.mu.Lock()
	defer p.mu.Unlock()
	b := p.backlog[topic]
	return b.begun, b.begun == b.ended
}

// foundNothing forgets what is counted of a topic, of which nothing was read since mark: appends that failed.
func (p *spooling) foundNothing(topic string, begun int64, quiet bool) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if b := p.backlog[topic]; quiet && b.begun == begun {
		b.records = 0
		b.clearIfEmpty()
	}
}

// handOver lets a drainer finish that is nearly done.
func (p *spooling) handOver(ctx context.Context, events []event.Envelope, b *breaker) error {
	var timer *time.Timer
	for b.closed() {
		drained := p.nearlyDrained(events)
		if drained == nil {
			return nil
		}
		if timer == nil {
			timer = time.NewTimer(handOverWait)
			defer timer.Stop()
		}
		select {
		case <-drained:
		case <-b.status().changed:
		case <-timer.C:
			return nil
		case <-ctx.Done():
			return ctx.Err()
		}
	}
	return nil
}

// nearlyDrained returns what to wait for: nil when nothing is left of these topics, or too much.
func (p *spooling) nearlyDrained(events []event.Envelope) <-chan struct{} {
	p.mu.Lock()
	defer p.mu.Unlock()
	moving := time.Since(p.progress) < time.Second // otherwise waiting is for nothing
	for i := range events {
		b := p.backlog[events[i].Topic]
		if b.records == 0 {
			continue
		}
		if b.records > nearlyDrained || !moving {
			return nil
		}
		if b.drained == nil {
			b.drained = make(chan struct{})
		}
		return b.drained
	}
	return nil
}

// drain moves the spool to Kafka whenever that takes events, until the log is closed.
func (l *Log) drain() {
	pause := minRetry
	for l.ctx.Err() == nil {
		now := l.breaker.status()
		if now.state == open || l.topics.Load() == nil {
			select {
			case <-l.ctx.Done():
			case <-now.changed:
			}
			continue
		}
		moved, err := l.drainOnce()
		l.spool.note(err)
		switch {
		case err != nil && l.ctx.Err() == nil:
			if !errors.Is(err, ErrUnavailable) {
				l.logger.Error("events cannot be moved from the spool to Kafka, trying again", slog.String("error", err.Error()))
			}
			sleep(l.ctx, pause)
			pause = min(2*pause, maxLook)
		case moved:
			pause = minRetry
		default:
			select {
			case <-l.ctx.Done():
			case <-l.spool.wake:
			case <-now.changed:
			}
		}
	}
}

// drainOnce moves a batch of each topic, and reports whether there was one.
func (l *Log) drainOnce() (moved bool, err error) {
	for _, topic := range logTopics {
		begun, quiet := l.spool.mark(topic)
		records, err := l.spool.ReadFrom(l.ctx, topic, eventlog.Position{Topic: topic}, drainRecords)
		if err != nil {
			return moved, fmt.Errorf("read the spool: %w", err)
		}
		if len(records) == 0 {
			l.spool.foundNothing(topic, begun, quiet)
			continue
		}
		if err := l.move(topic, records); err != nil {
			return moved, err
		}
		moved = true
	}
	return moved, nil
}

// note keeps the drainer's last error for who asks how the log is; nil when it is well.
func (p *spooling) note(err error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.failure = err
}

// move sends records to Kafka, and takes them out of the spool when all are acknowledged. Those that were
// are not sent again while we live, whatever happens to the others.
func (l *Log) move(topic string, records []eventlog.Record) error {
	left := make([]event.Envelope, len(records))
	for i := range records {
		left[i] = records[i].Event
	}
	for pause := minRetry; len(left) > 0; pause = min(2*pause, maxLook) {
		_, failed, err := l.produceAll(l.ctx, left)
		l.spool.note(err)
		if err == nil {
			break
		}
		rest := make([]event.Envelope, len(failed))
		for i, n := range failed {
			rest[i] = left[n]
		}
		left = rest
		if errors.Is(err, ErrTooLarge) {
			l.logger.Error("Kafka refuses an event of the spool as too large; it and those behind it wait: raise the topic's max.message.bytes",
				slog.String("topic", l.cfg.topic(topic)), slog.String("error", err.Error()))
		}
		if !l.untilTaken(pause) {
			return eventlog.ErrClosed
		}
	}
	last := records[len(records)-1].Offset
	for pause := minRetry; ; pause = min(2*pause, maxLook) {
		err := l.spool.Trim(l.ctx, topic, last)
		if err == nil {
			break
		}
		if l.ctx.Err() != nil {
			return eventlog.ErrClosed
		}
		l.logger.Error("delivered events cannot be removed from the spool, trying again", slog.String("error", err.Error()))
		sleep(l.ctx, pause)
	}
	l.spool.moved(topic, records)
	return nil
}

// untilTaken waits until Kafka may take events again, at least for a while; false when the log is closed.
func (l *Log) untilTaken(pause time.Duration) bool {
	if !sleep(l.ctx, pause) {
		return false
	}
	for {
		now := l.breaker.status()
		if now.state != open {
			return true
		}
		select {
		case <-now.changed:
		case <-l.ctx.Done():
			return false
		}
	}
}
