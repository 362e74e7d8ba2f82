package desk

import (
	"context"
	"fmt"
	"maps"
	"slices"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/tributary-dicom/tributary/pipeline/eventlog"
)

// ManyLog is a log whose topics have partitions; *kafkalog.Log has it.
type ManyLog interface {
	// Heads returns the offset of the newest record of each partition of a topic, -1 where there is none.
	Heads(ctx context.Context, topic string) (map[int32]int64, error)
	// ReadFrom returns up to most records of a partition at and behind from.Offset, oldest first.
	ReadFrom(ctx context.Context, topic string, from eventlog.Position, most int) ([]eventlog.Record, error)
}

// A shared log is asked for its heads once in lookEvery for all listeners together. A failure is asked about
// again; a feed ends when failures last for giveUp, and its listener comes back.
const (
	lookEvery = 500 * time.Millisecond
	giveUp    = 30 * time.Second
)

// maxPartitions bounds what a cursor may name.
const maxPartitions = 1024

// FollowMany follows a log with partitions without a consumer group: it reads what lies behind a cursor that
// the listener keeps. Cursors are "PARTITION:OFFSET,…" with the newest record seen of each, -1 for none.
func FollowMany(log ManyLog) Follower {
	return &manyFollower{log: log, heads: map[string]*headsOf{}}
}

type manyFollower struct {
	log ManyLog

	mu    sync.Mutex
	heads map[string]*headsOf
}

// headsOf is what was last heard of a topic's heads.
type headsOf struct {
	mu    sync.Mutex
	at    time.Time
	heads map[int32]int64
	err   error
}

// newest returns the heads of a topic, not older than lookEvery.
func (f *manyFollower) newest(ctx context.Context, topic string) (map[int32]int64, error) {
	f.mu.Lock()
	h := f.heads[topic]
	if h == nil {
		h = &headsOf{}
		f.heads[topic] = h
	}
	f.mu.Unlock()
	h.mu.Lock()
	defer h.mu.Unlock()
	if h.at.IsZero() || time.Since(h.at) >= lookEvery {
		heads, err := f.log.Heads(ctx, topic)
		if err != nil && ctx.Err() != nil {
			return nil, err // one listener's end is no news for others
		}
		h.heads, h.err, h.at = heads, err, time.Now()
	}
	return h.heads, h.err
}

func (f *manyFollower) Follow(ctx context.Context, topic, behind string) (Feed, error) {
	seen, err := parseCursor(behind)
	if err != nil {
		return nil, err
	}
	heads, err := f.log.Heads(ctx, topic)
	if err != nil {
		return nil, err
	}
	m := &manyFeed{of: f, topic: topic, seen: map[int32]int64{}}
	for partition, head := range heads {
		if seen == nil {
			m.seen[partition] = head
			continue
		}
		offset, known := seen[partition]
		if !known {
			offset = -1 // the topic grew since: all of it is new
		}
		m.seen[partition] = min(offset, head) // beyond it: the log was made anew
		delete(seen, partition)
	}
	if len(seen) > 0 {
		return nil, ErrCursor
	}
	return m, nil
}

// parseCursor reads a cursor; nil for the empty one.
func parseCursor(text string) (map[int32]int64, error) {
	if text == "" {
		return nil, nil
	}
	seen := map[int32]int64{}
	for part := range strings.SplitSeq(text, ",") {
		p, o, ok := strings.Cut(part, ":")
		partition, perr := strconv.ParseInt(p, 10, 32)
		offset, oerr := strconv.ParseInt(o, 10, 64)
		if !ok || perr != nil || oerr != nil || partition < 0 || offset < -1 || len(seen) == maxPartitions {
			return nil, ErrCursor
		}
		if _, twice := seen[int32(partition)]; twice {
			return nil, ErrCursor
		}
		seen[int32(partition)] = offset
	}
	return seen, nil
}

type manyFeed struct {
	of    *manyFollower
	topic string
	seen  map[int32]int64 // newest record that was returned, by partition
	after int32           // partition to begin behind, so that a busy one hides none
	fails time.Time       // since when the log cannot be read, zero while it can
}

func (m *manyFeed) Next(ctx context.Context, most int) ([]Shown, error) {
	tick := time.NewTicker(lookEvery)
	defer tick.Stop()
	for {
		shown, err := m.look(ctx, most)
		switch {
		case len(shown) > 0:
			m.fails = time.Time{}
			return shown, nil
		case ctx.Err() != nil:
			return nil, ctx.Err()
		case err == nil:
			m.fails = time.Time{}
		case m.fails.IsZero():
			m.fails = time.Now()
		case time.Since(m.fails) > giveUp:
			return nil, err
		}
		select {
		case <-ctx.Done():
			return nil, ctx.Err()
		case <-tick.C:
		}
	}
}

// look reads what is there now.
func (m *manyFeed) look(ctx context.Context, most int) (shown []Shown, err error) {
	heads, err := m.of.newest(ctx, m.topic)
	if err != nil {
		return nil, err
	}
	for _, partition := range m.turn(heads) {
		if len(shown) >= most {
			break
		}
		if _, known := m.seen[partition]; !known {
			m.seen[partition] = -1
		}
		if heads[partition] <= m.seen[partition] {
			continue
		}
		from := eventlog.Position{Topic: m.topic, Partition: partition, Offset: m.seen[partition] + 1}
		records, err := m.of.log.ReadFrom(ctx, m.topic, from, most-len(shown))
		if err != nil {
			return shown, err
		}
		for _, r := range records {
			m.seen[partition] = r.Offset
			shown = append(shown, Shown{m.Cursor(), r.Event})
		}
		m.after = partition
	}
	return shown, nil
}

// turn is the order in which partitions are asked: those behind the last one first.
func (m *manyFeed) turn(heads map[int32]int64) []int32 {
	order := slices.Sorted(maps.Keys(heads))
	at, found := slices.BinarySearch(order, m.after)
	if found {
		at++
	}
	return append(slices.Clone(order[at:]), order[:at]...)
}

// Cursor implements Feed.
func (m *manyFeed) Cursor() string {
	var b strings.Builder
	for i, partition := range slices.Sorted(maps.Keys(m.seen)) {
		if i > 0 {
			b.WriteByte(',')
		}
		fmt.Fprintf(&b, "%d:%d", partition, m.seen[partition])
	}
	return b.String()
}

func (*manyFeed) Close() error { return nil }
