package rebuild

import (
	"context"

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
