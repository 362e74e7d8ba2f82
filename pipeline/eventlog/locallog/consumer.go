package locallog

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"sync"

	"github.com/tributary-dicom/tributary/pipeline/eventlog"
)

// Consumer reads one topic for a group; see eventlog.Consumer. Records that it returns share their Data
// with other consumers: read it, don't change it.
type Consumer struct {
	log    *Log
	topic  *topic
	group  string
	offset int64 // of the last record fetched
	closed chan struct{}
	once   sync.Once
}

var _ eventlog.Consumer = (*Consumer)(nil)

// Subscribe opens the group's consumer of a topic; a group has one at a time (ErrTaken).
func (l *Log) Subscribe(ctx context.Context, group, topic string) (eventlog.Consumer, error) {
	c, err := l.subscribe(ctx, group, topic)
	if err != nil {
		return nil, err
	}
	err = l.db.QueryRowContext(ctx, "SELECT seq FROM offsets WHERE grp = $1 AND topic = $2", group, c.topic.id).Scan(&c.offset)
	if err != nil && !errors.Is(err, sql.ErrNoRows) {
		_ = c.Close()
		return nil, fmt.Errorf("subscribe: %w", l.orClosed(err))
	}
	return c, nil
}

// SubscribeFrom is Subscribe for a group that keeps its own position with its effects: it starts at the
// first record with a greater offset than behind, whatever the group has committed.
func (l *Log) SubscribeFrom(ctx context.Context, group, topic string, behind int64) (eventlog.Consumer, error) {
	c, err := l.subscribe(ctx, group, topic)
	if err != nil {
		return nil, err
	}
	c.offset = max(behind, 0)
	return c, nil
}

func (l *Log) subscribe(ctx context.Context, group, topic string) (*Consumer, error) {
	if group == "" {
		return nil, errors.New("subscribe: group without a name")
	}
	if isClosed(l.closed) {
		return nil, eventlog.ErrClosed
	}
	t, err := l.topic(ctx, topic)
	if err != nil {
		return nil, fmt.Errorf("subscribe: %w", err)
	}
	key := groupKey{group, topic}
	l.mu.Lock()
	taken := l.groups[key]
	l.groups[key] = true
	l.mu.Unlock()
	if taken {
		return nil, fmt.Errorf("subscribe %s to %s: %w", group, topic, ErrTaken)
	}
	t.consumers.Add(1)
	return &Consumer{log: l, topic: t, group: group, closed: make(chan struct{})}, nil
}

// Fetch returns the records that are ready, from memory when the consumer keeps up.
func (c *Consumer) Fetch(ctx context.Context, most int) ([]eventlog.Record, error) {
	most = max(most, 1)
	for {
		if err := c.usable(ctx); err != nil {
			return nil, err
		}
		records, floor, changed := c.topic.after(c.offset, most)
		if c.offset < floor {
			var err error
			if records, err = c.topic.read(ctx, c.topic.forward, c.offset, most); err != nil {
				if ctx.Err() != nil {
					return nil, ctx.Err()
				}
				return nil, c.log.orClosed(fmt.Errorf("fetch from event log: %w", err))
			}
			if len(records) == 0 {
				c.offset = floor // what memory forgot is not in the file: somebody deleted rows
				continue
			}
		}
		if len(records) > 0 {
			c.offset = records[len(records)-1].Offset
			return records, nil
		}
		select {
		case <-changed:
		case <-ctx.Done():
			return nil, ctx.Err()
		case <-c.closed:
			return nil, eventlog.ErrClosed
		case <-c.log.closed:
			return nil, eventlog.ErrClosed
		}
	}
}

func (c *Consumer) usable(ctx context.Context) error {
	select {
	case <-c.closed:
		return eventlog.ErrClosed
	case <-c.log.closed:
		return eventlog.ErrClosed
	default:
		return ctx.Err()
	}
}

// Commit makes the group's position durable; it shares a transaction with appends that wait. A position
// never goes back.
func (c *Consumer) Commit(ctx context.Context, records ...eventlog.Record) error {
	if err := c.usable(ctx); err != nil {
		return err
	}
	offset := int64(0)
	for i := range records {
		if records[i].Topic != c.topic.name || records[i].Partition != 0 {
			return fmt.Errorf("commit: a record of %s/%d is not of %s/0", records[i].Topic, records[i].Partition, c.topic.name)
		}
		offset = max(offset, records[i].Offset)
	}
	if offset == 0 {
		return nil
	}
	r := &request{group: c.group, topic: c.topic, offset: offset, walBytes: pageBytes, done: make(chan struct{})}
	if err := c.log.submit(ctx, r); err != nil {
		return fmt.Errorf("commit: %w", err)
	}
	return nil
}

// Close frees the group's place. A Fetch that waits returns eventlog.ErrClosed.
func (c *Consumer) Close() error {
	c.once.Do(func() {
		close(c.closed)
		c.topic.consumers.Add(-1)
		c.log.mu.Lock()
		delete(c.log.groups, groupKey{c.group, c.topic.name})
		c.log.mu.Unlock()
	})
	return nil
}

// orClosed returns eventlog.ErrClosed for what went wrong because of Close.
func (l *Log) orClosed(err error) error {
	if isClosed(l.closed) {
		return eventlog.ErrClosed
	}
	return err
}
