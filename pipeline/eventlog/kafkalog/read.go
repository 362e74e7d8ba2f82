package kafkalog

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/segmentio/kafka-go"

	"github.com/tributary-dicom/tributary/pipeline/event"
	"github.com/tributary-dicom/tributary/pipeline/eventlog"
)

// Newest returns the offset of the newest record of a partition, -1 when there is none.
func (l *Log) Newest(ctx context.Context, topic string, partition int32) (int64, error) {
	heads, err := l.Heads(ctx, topic)
	if err != nil {
		return 0, err
	}
	newest, ok := heads[partition]
	if !ok {
		return 0, fmt.Errorf("topic %s has no partition %d", l.cfg.topic(topic), partition)
	}
	return newest, nil
}

// Heads returns the offset of the newest record of each partition of a topic, -1 where there is none.
func (l *Log) Heads(ctx context.Context, topic string) (map[int32]int64, error) {
	heads, err := l.offsets(ctx, topic, kafka.LastOffset)
	if err != nil {
		return nil, l.reading(err)
	}
	for partition := range heads {
		heads[partition]--
	}
	return heads, nil
}

// reading says what an error is about.
func (l *Log) reading(err error) error {
	if l.ctx.Err() != nil {
		return eventlog.ErrClosed
	}
	return fmt.Errorf("read Kafka log: %w", err)
}

// ReadFrom returns up to most records of a partition at and behind from.Offset, oldest first; none when
// there are none. It returns fewer when they are large: go on behind the last one.
func (l *Log) ReadFrom(ctx context.Context, topic string, from eventlog.Position, most int) ([]eventlog.Record, error) {
	b, err := l.bounds(ctx, topic, from.Partition)
	if err != nil {
		return nil, l.reading(err)
	}
	var found []eventlog.Record
	err = l.scan(ctx, topic, from.Partition, max(from.Offset, b.first), b.end, func(r eventlog.Record) error {
		if found = append(found, r); len(found) >= most {
			return errEnough
		}
		return nil
	})
	return found, err
}

// ReadBefore returns up to most records of a partition before the position, newest first; the zero Offset
// means the end of the partition.
func (l *Log) ReadBefore(ctx context.Context, topic string, before eventlog.Position, most int) ([]eventlog.Record, error) {
	b, err := l.bounds(ctx, topic, before.Partition)
	if err != nil {
		return nil, l.reading(err)
	}
	end := b.end
	if before.Offset > 0 {
		end = min(end, before.Offset)
	}
	var found []eventlog.Record
	err = l.scan(ctx, topic, before.Partition, max(end-int64(most), b.first), end, func(r eventlog.Record) error {
		found = append(found, r)
		return nil
	})
	slices.Reverse(found)
	return found, err
}

// errEnough ends a scan.
var errEnough = errors.New("enough")

// scan calls fn for the records of a partition from an offset to before another.
func (l *Log) scan(ctx context.Context, topic string, partition int32, from, end int64, fn func(eventlog.Record) error) error {
	tries := 0
	for from < end {
		c, err := l.fetch(ctx, topic, partition, from)
		if err != nil {
			if tries++; tries < 3 && sleep(ctx, time.Duration(tries)*minRetry) {
				continue
			}
			return l.reading(err)
		}
		if tries = 0; c.next == from && len(c.records) == 0 {
			return l.reading(fmt.Errorf("%s/%d has no record at %d, and ends at %d", l.cfg.topic(topic), partition, from, end))
		}
		for i := range c.records {
			if c.records[i].Offset >= end {
				return nil
			}
			if err := fn(c.records[i]); err != nil {
				if errors.Is(err, errEnough) {
					return nil
				}
				return err
			}
		}
		from = c.next
	}
	return ctx.Err()
}

// clockSlack is how far a broker's clock, by which Kafka finds a time, may be behind a node's, by which
// events are made.
const clockSlack = 15 * time.Minute

// Since calls fn for every event of the instances topic made at or after t, in the spool and in Kafka,
// until fn fails; in no order, and for some twice.
func (l *Log) Since(ctx context.Context, t time.Time, fn func(event.Envelope) error) error {
	if l.spool != nil { // first: what leaves it meanwhile is found in Kafka
		if err := l.spool.Since(ctx, t, fn); err != nil {
			return err
		}
	}
	ends, err := l.offsets(ctx, event.TopicInstances, kafka.LastOffset)
	if err != nil {
		return l.reading(err)
	}
	var starts map[int32]int64
	if at := t.Add(-clockSlack); at.After(time.UnixMilli(0)) {
		starts, err = l.offsets(ctx, event.TopicInstances, at.UnixMilli())
	} else {
		starts, err = l.offsets(ctx, event.TopicInstances, kafka.FirstOffset)
	}
	if err != nil {
		return l.reading(err)
	}
	for partition, from := range starts {
		if from < 0 {
			continue // nothing since
		}
		err := l.scan(ctx, event.TopicInstances, partition, from, ends[partition], func(r eventlog.Record) error {
			if r.Event.Time.Before(t) || r.Event.Type == UnreadableType {
				return nil
			}
			return fn(r.Event)
		})
		if err != nil {
			return err
		}
	}
	return nil
}
