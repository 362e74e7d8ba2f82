package rebuild

import (
	"context"
	"errors"
	"fmt"

	"golang.org/x/sync/errgroup"

	"github.com/tributary-dicom/tributary/pipeline/event"
	"github.com/tributary-dicom/tributary/pipeline/eventlog"
)

// ErrForeign is returned by FromLog when the index was begun from another log than this one. Nothing was
// applied: take a new index.
var ErrForeign = errors.New("the index was begun from another log")

// Log is what is read back.
type Log interface {
	// Heads returns the newest position of each partition of a topic that has records, in any order.
	Heads(ctx context.Context, topic string) ([]eventlog.Position, error)

	// ReadFrom returns up to most records of from.Partition at and behind from.Offset, oldest first, and
	// none when there are none. It does not wait for new ones.
	ReadFrom(ctx context.Context, topic string, from eventlog.Position, most int) ([]eventlog.Record, error)
}

// Index is an index that is being made.
type Index interface {
	// Apply makes records and their positions durable in one transaction. An error with the method
	// Permanent() bool that returns true is the fault of a record, and nothing of the batch took effect.
	Apply(ctx context.Context, records []eventlog.Record) error

	// LastApplied returns the offset and the event id of the last record of a partition that took effect,
	// -1 when there is none.
	LastApplied(ctx context.Context, topic string, partition int32) (offset int64, eventID string, err error)
}

// Options of FromLog. The zero value is good.
type Options struct {
	// Batch is how many records share a transaction, at most; 0 means 512. More take more memory (some
	// 4 KiB each), fewer more transactions.
	Batch int

	// Applied hears of each batch that is durable. nil for nobody.
	Applied func(records int)
}

// Result is what FromLog did.
type Result struct {
	Partitions int   `json:"partitions"`
	Records    int64 `json:"records"` // applied by this run
	Resumed    bool  `json:"resumed"` // an earlier run had begun

	// Unreadable counts records that can never be applied. The index stage makes dead letters of such;
	// FromLog leaves them out likewise. FirstUnreadable is where the first of them lies.
	Unreadable      int64             `json:"unreadable"`
	FirstUnreadable eventlog.Position `json:"-"`
}

// rounds is how often FromLog looks for records that came meanwhile. The index stage takes the rest.
const rounds = 3

// topics are those that an index is made of.
var topics = []string{event.TopicInstances, event.TopicStudies}

// FromLog applies every record of the topics of instances and of studies to an index, which may be empty or begun
// by an earlier call, until it has reached the end of each partition.
func FromLog(ctx context.Context, log Log, index Index, opt Options) (Result, error) {
	if opt.Batch <= 0 {
		opt.Batch = 512
	}
	if opt.Applied == nil {
		opt.Applied = func(int) {}
	}
	f := fromLog{log: log, index: index, opt: opt, at: map[source]int64{}}
	for range rounds {
		moved := false
		for _, topic := range topics {
			heads, err := log.Heads(ctx, topic)
			if err != nil {
				return f.result, fmt.Errorf("find the ends of the log: %w", err)
			}
			if topic == event.TopicInstances {
				f.result.Partitions = len(heads)
			}
			came, err := f.advance(ctx, heads)
			if err != nil {
				return f.result, err
			}
			moved = moved || came
		}
		if !moved {
			break
		}
	}
	return f.result, nil
}

type fromLog struct {
	log    Log
	index  Index
	opt    Options
	at     map[source]int64 // last offset that was read
	result Result
}

// source is a partition of a topic.
type source struct {
	topic     string
	partition int32
}

func sourceOf(p eventlog.Position) source { return source{p.Topic, p.Partition} }

// advance brings the index to the heads and tells whether there was anything to do.
func (f *fromLog) advance(ctx context.Context, heads []eventlog.Position) (came bool, err error) {
	for _, head := range heads {
		if _, known := f.at[sourceOf(head)]; !known {
			if err := f.begin(ctx, sourceOf(head)); err != nil {
				return came, err
			}
		}
		if f.at[sourceOf(head)] >= head.Offset {
			continue
		}
		came = true
		if err := f.partition(ctx, head); err != nil {
			return came, err
		}
	}
	return came, nil
}

// begin finds where the index stands in a partition, and that it stands in this log.
func (f *fromLog) begin(ctx context.Context, s source) error {
	offset, id, err := f.index.LastApplied(ctx, s.topic, s.partition)
	if err != nil {
		return fmt.Errorf("find the place of the index: %w", err)
	}
	f.at[s] = offset
	if offset < 0 {
		return nil
	}
	f.result.Resumed = true
	place := eventlog.Position{Topic: s.topic, Partition: s.partition, Offset: offset}
	records, err := f.log.ReadFrom(ctx, s.topic, place, 1)
	if err != nil {
		return fmt.Errorf("read the log: %w", err)
	}
	if len(records) == 0 || records[0].Offset != offset || id != "" && records[0].Event.ID != id {
		return ErrForeign
	}
	return nil
}

// partition applies what lies between the index's place and head, reading one batch ahead.
func (f *fromLog) partition(ctx context.Context, head eventlog.Position) error {
	g, ctx := errgroup.WithContext(ctx)
	batches := make(chan []eventlog.Record, 1)
	from := eventlog.Position{Topic: head.Topic, Partition: head.Partition, Offset: f.at[sourceOf(head)] + 1}
	g.Go(func() error {
		defer close(batches)
		for from.Offset <= head.Offset {
			records, err := f.log.ReadFrom(ctx, head.Topic, from, f.opt.Batch)
			if err != nil {
				return fmt.Errorf("read the log: %w", err)
			}
			if len(records) == 0 {
				return nil // what was up to head is not there any more
			}
			from.Offset = records[len(records)-1].Offset + 1
			select {
			case batches <- records:
			case <-ctx.Done():
				return ctx.Err()
			}
		}
		return nil
	})
	g.Go(func() error {
		for records := range batches {
			if err := f.apply(ctx, records); err != nil {
				return err
			}
		}
		return nil
	})
	err := g.Wait()
	f.at[sourceOf(head)] = max(from.Offset-1, f.at[sourceOf(head)])
	return err
}

// apply makes a batch durable, without the records that never can be.
func (f *fromLog) apply(ctx context.Context, records []eventlog.Record) error {
	err := f.index.Apply(ctx, records)
	var fault interface{ Permanent() bool }
	switch {
	case err == nil:
		f.result.Records += int64(len(records))
		f.opt.Applied(len(records))
		return nil
	case !errors.As(err, &fault) || !fault.Permanent():
		return fmt.Errorf("apply to the index: %w", err)
	case len(records) == 1:
		if f.result.Unreadable++; f.result.Unreadable == 1 {
			f.result.FirstUnreadable = records[0].Position
		}
		f.opt.Applied(1)
		return nil
	}
	half := len(records) / 2
	if err := f.apply(ctx, records[:half]); err != nil {
		return err
	}
	return f.apply(ctx, records[half:])
}
