package main

import (
	"context"
	"sync"
	"time"

	"github.com/tributary-dicom/tributary/pipeline/eventlog"
	"github.com/tributary-dicom/tributary/pipeline/eventlog/kafkalog"
	"github.com/tributary-dicom/tributary/pipeline/indexer"
	"github.com/tributary-dicom/tributary/storage/index"
)

// indexProgress tells how far an index is that other nodes keep in step with a shared log. It asks the index,
// and only about partitions that somebody wants to know of.
type indexProgress struct {
	index interface {
		Applied(ctx context.Context, topic string, partition int32) (int64, error)
	}
	drained func() bool // no event of this node waits for the log

	mu         sync.Mutex
	partitions map[partitionKey]*reached
}

type partitionKey struct {
	topic  string
	number int32
}

// reached is what is known of a partition.
type reached struct {
	offset int64     // applied
	asked  time.Time // when the index last said so, or failed to
	busy   bool      // somebody asks just now
}

// progressAge is how old an answer may be that Seen gives, and how often a waiting caller asks again;
// progressTimeout how long the index may take.
const (
	progressAge     = 250 * time.Millisecond
	progressTimeout = 2 * time.Second
)

func newIndexProgress(index *index.DB, log *kafkalog.Log) *indexProgress {
	return &indexProgress{
		index: index, drained: func() bool { return log.Stats().SpoolRecords == 0 }, partitions: map[partitionKey]*reached{},
	}
}

// Seen reports whether readers are known to see the record at pos. It never waits: an old answer is
// renewed in the background.
func (p *indexProgress) Seen(pos eventlog.Position) bool {
	if pos.Partition == kafkalog.Spooled { // it has its place when the spool is empty, and soon readers see it
		return p.drained()
	}
	key := partitionKey{pos.Topic, pos.Partition}
	p.mu.Lock()
	defer p.mu.Unlock()
	r := p.partitions[key]
	if r == nil {
		r = &reached{offset: -1}
		p.partitions[key] = r
	}
	if r.offset >= pos.Offset {
		return true
	}
	if !r.busy && time.Since(r.asked) > progressAge {
		r.busy = true
		go func() {
			ctx, cancel := context.WithTimeout(context.Background(), progressTimeout)
			defer cancel()
			_, _ = p.ask(ctx, key) // the next question comes soon
		}()
	}
	return false
}

// ask renews what is known of a partition.
func (p *indexProgress) ask(ctx context.Context, key partitionKey) (int64, error) {
	offset, err := p.index.Applied(ctx, key.topic, key.number)
	p.mu.Lock()
	defer p.mu.Unlock()
	r := p.partitions[key]
	if r == nil {
		r = &reached{offset: -1}
		p.partitions[key] = r
	}
	r.asked, r.busy = time.Now(), false
	if err == nil {
		r.offset = max(r.offset, offset)
	}
	return r.offset, err
}

// WaitApplied returns once readers see the record at pos, or with ctx's error or the index's.
func (p *indexProgress) WaitApplied(ctx context.Context, pos eventlog.Position) error {
	if pos.Partition == kafkalog.Spooled {
		return indexer.ErrUnplaced
	}
	tick := time.NewTicker(progressAge)
	defer tick.Stop()
	for {
		offset, err := p.ask(ctx, partitionKey{pos.Topic, pos.Partition})
		if err != nil {
			return err
		}
		if offset >= pos.Offset {
			return nil
		}
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-tick.C:
		}
	}
}
