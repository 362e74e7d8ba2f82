package rebuild

import (
	"context"
	"maps"
	"slices"

	"github.com/tributary-dicom/tributary/pipeline/eventlog"
)

// OnePartition is a log whose topics have one partition; locallog.Log is one.
type OnePartition interface {
	// Head returns the position of a topic's newest record, with Offset 0 when there is none.
	Head(topic string) eventlog.Position
	ReadFrom(ctx context.Context, topic string, from eventlog.Position, most int) ([]eventlog.Record, error)
}

// Of returns a log of one partition as a Log.
func Of(l OnePartition) Log { return single{l} }

type single struct{ OnePartition }

func (s single) Heads(_ context.Context, topic string) ([]eventlog.Position, error) {
	if head := s.Head(topic); head.Offset > 0 {
		return []eventlog.Position{head}, nil
	}
	return nil, nil
}

// ManyPartitions is a log that tells the newest offset of each partition, -1 where there is none;
// kafkalog.Log is one.
type ManyPartitions interface {
	Heads(ctx context.Context, topic string) (map[int32]int64, error)
	ReadFrom(ctx context.Context, topic string, from eventlog.Position, most int) ([]eventlog.Record, error)
}

// OfMany returns a log of many partitions as a Log, in the order of their numbers.
func OfMany(l ManyPartitions) Log { return many{l} }

type many struct{ log ManyPartitions }

func (m many) Heads(ctx context.Context, topic string) (heads []eventlog.Position, err error) {
	newest, err := m.log.Heads(ctx, topic)
	for _, partition := range slices.Sorted(maps.Keys(newest)) {
		if offset := newest[partition]; offset >= 0 {
			heads = append(heads, eventlog.Position{Topic: topic, Partition: partition, Offset: offset})
		}
	}
	return heads, err
}

func (m many) ReadFrom(ctx context.Context, topic string, from eventlog.Position, most int) ([]eventlog.Record, error) {
	return m.log.ReadFrom(ctx, topic, from, most)
}
