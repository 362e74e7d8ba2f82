package locallog

import (
	"cmp"
	"context"
	"fmt"
	"math"
	"slices"
	"time"

	"github.com/tributary-dicom/tributary/pipeline/event"
	"github.com/tributary-dicom/tributary/pipeline/eventlog"
)

// Head returns the position of a topic's newest durable record, with Offset 0 when there is none.
func (l *Log) Head(topic string) eventlog.Position {
	p := eventlog.Position{Topic: topic}
	if t := l.knownTopic(topic); t != nil {
		t.mu.Lock()
		p.Offset = t.head
		t.mu.Unlock()
	}
	return p
}

// ReadFrom returns up to most records of a topic at and behind from.Offset, oldest first; none when
// there are none. It returns fewer when they are large: go on behind the last one.
func (l *Log) ReadFrom(ctx context.Context, name string, from eventlog.Position, most int) ([]eventlog.Record, error) {
	return l.readTopic(ctx, name, most, func(t *topic) ([]eventlog.Record, error) {
		return t.read(ctx, t.forward, max(from.Offset, 1)-1, most)
	})
}

// ReadBefore returns up to most records of a topic before the position, newest first; the zero Offset
// means the end of the log. It walks backwards, to adopt what a crash left without a record.
func (l *Log) ReadBefore(ctx context.Context, name string, before eventlog.Position, most int) ([]eventlog.Record, error) {
	offset := before.Offset
	if offset <= 0 {
		offset = math.MaxInt64
	}
	return l.readTopic(ctx, name, most, func(t *topic) ([]eventlog.Record, error) {
		return t.read(ctx, t.backward, offset, most)
	})
}

func (l *Log) readTopic(ctx context.Context, name string, most int, read func(*topic) ([]eventlog.Record, error)) ([]eventlog.Record, error) {
	if isClosed(l.closed) {
		return nil, eventlog.ErrClosed
	}
	t := l.knownTopic(name)
	if t == nil || most <= 0 {
		return nil, ctx.Err()
	}
	records, err := read(t)
	if err != nil {
		return nil, l.orClosed(fmt.Errorf("read event log: %w", err))
	}
	return records, nil
}

// Tail returns the newest n records of all topics, newest first.
func (l *Log) Tail(ctx context.Context, n int) ([]eventlog.Record, error) {
	l.mu.Lock()
	names := make([]string, 0, len(l.topics))
	for name := range l.topics {
		names = append(names, name)
	}
	l.mu.Unlock()
	var all []eventlog.Record
	for _, name := range names {
		records, err := l.ReadBefore(ctx, name, eventlog.Position{}, n)
		if err != nil {
			return nil, err
		}
		all = append(all, records...)
	}
	slices.SortFunc(all, func(a, b eventlog.Record) int { return cmp.Compare(b.Offset, a.Offset) })
	return all[:min(max(n, 0), len(all))], nil
}

// Since calls fn for every event of the instances topic made at or after t, newest first, until fn
// fails. It walks the log backwards and stops where a whole page of records is older than t, so that one
// record with a wrong clock hides none before it.
func (l *Log) Since(ctx context.Context, t time.Time, fn func(event.Envelope) error) error {
	const page = 256
	var before eventlog.Position
	for {
		records, err := l.ReadBefore(ctx, event.TopicInstances, before, page)
		if err != nil {
			return err
		}
		newer := false
		for i := range records {
			if records[i].Event.Time.Before(t) {
				continue
			}
			newer = true
			if err := fn(records[i].Event); err != nil {
				return err
			}
		}
		if !newer {
			return nil
		}
		before = records[len(records)-1].Position
	}
}
