package eventlog

import (
	"context"
	"errors"

	"github.com/tributary-dicom/tributary/pipeline/event"
)

// ErrClosed is returned by every call after Close.
var ErrClosed = errors.New("event log is closed")

// Position is where a record lies in its topic. Offsets grow by at least one per record within a partition.
type Position struct {
	Topic     string
	Partition int32
	Offset    int64
}

// Record is an event with its place in the log.
type Record struct {
	Position
	Event event.Envelope
}

// Log is an append-only, durable, ordered-per-key event log. Safe for concurrent use.
type Log interface {
	// Append makes events durable, all or none for one call, and returns their positions once they are
	// (fsynced, or acknowledged by all in-sync replicas). Concurrent calls share one commit. After an
	// error the events may or may not be there: consumers drop repeated Envelope.IDs.
	Append(ctx context.Context, events ...event.Envelope) ([]Position, error)

	// AppendBacked is Append for events that can be made again from what is durable already (an object's
	// blob with its Meta). It may return before the events are durable; they are so a moment later, and
	// before any event that is appended after them. Consumers see them at once. Until then a crash of the
	// process loses nothing, a crash of the machine may lose the newest of them, all behind one place.
	AppendBacked(ctx context.Context, events ...event.Envelope) ([]Position, error)

	// Subscribe opens a consumer of one topic for a group. It starts behind the group's committed
	// position, at the beginning for a new group.
	Subscribe(ctx context.Context, group, topic string) (Consumer, error)

	Close() error
}

// Consumer reads one topic in order per key. Not safe for concurrent use.
type Consumer interface {
	// Fetch waits for at least one record and returns up to most that are ready, in order. It returns
	// ctx's error when ctx ends.
	Fetch(ctx context.Context, most int) ([]Record, error)

	// Commit records that everything up to and including these records took effect. Call it after the
	// effect is durable; a crash in between fetches the records again.
	Commit(ctx context.Context, records ...Record) error

	Close() error
}
