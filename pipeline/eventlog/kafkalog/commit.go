package kafkalog

import (
	"context"
	"errors"
	"fmt"

	"github.com/segmentio/kafka-go"

	"github.com/tributary-dicom/tributary/pipeline/eventlog"
)

// Commit makes the group's positions durable in the partitions that are this member's. It waits while the
// group is about to share anew.
func (c *Consumer) Commit(ctx context.Context, records ...eventlog.Record) error {
	if err := c.usable(ctx); err != nil {
		return err
	}
	wanted := map[int32]int64{}
	for i := range records {
		if records[i].Topic != c.topic {
			return fmt.Errorf("commit: a record of %s is not of %s", records[i].Topic, c.topic)
		}
		if records[i].Partition >= 0 {
			wanted[records[i].Partition] = max(wanted[records[i].Partition], records[i].Offset+1)
		}
	}
	if len(wanted) == 0 {
		return nil
	}
	ctx, cancel := context.WithTimeout(ctx, commitPatience)
	defer cancel()
	for {
		g, changed := c.generation()
		if g != nil && !g.isOver() {
			err := c.commit(g, wanted)
			if err == nil {
				return nil
			}
			if !endsGeneration(err) && !g.isOver() {
				return fmt.Errorf("commit: %w", err)
			}
		}
		select {
		case <-changed:
		case <-ctx.Done():
			return fmt.Errorf("commit: not a member of the group: %w", ctx.Err())
		case <-c.ctx.Done():
			return eventlog.ErrClosed
		}
	}
}

func (c *Consumer) generation() (*generation, <-chan struct{}) {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.now, c.changed
}

// commit commits in one generation, forward only.
func (c *Consumer) commit(g *generation, wanted map[int32]int64) error {
	offsets := map[int]int64{}
	c.mu.Lock()
	for partition, offset := range wanted {
		if s := g.shares[partition]; s != nil && offset > s.committed {
			offsets[int(partition)] = offset
		}
	}
	c.mu.Unlock()
	if len(offsets) == 0 {
		return nil
	}
	if err := g.kafka.CommitOffsets(map[string]map[int]int64{c.log.cfg.topic(c.topic): offsets}); err != nil {
		return err
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	for partition, offset := range offsets {
		s := g.shares[int32(partition)] //nolint:gosec // it came from there
		s.committed = max(s.committed, offset)
	}
	return nil
}

// endsGeneration reports that the group shares anew, or that this member was given up.
func endsGeneration(err error) bool {
	return errors.Is(err, kafka.RebalanceInProgress) || errors.Is(err, kafka.IllegalGeneration) ||
		errors.Is(err, kafka.UnknownMemberId)
}
