package ingest

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/tributary-dicom/tributary/pipeline/event"
	"github.com/tributary-dicom/tributary/storage/blob"
)

// Shelf lists what lies in the blob store; blob.Store has it.
type Shelf interface {
	List(ctx context.Context, since time.Time, fn func(blob.Info) error) error
}

// History reads back what the log says about a span of time.
type History interface {
	// Since calls fn for every event of the instances topic made at or after t.
	Since(ctx context.Context, t time.Time, fn func(event.Envelope) error) error
}

// adoptSlack is how far the log is read back before the first blob in question: an event is made after
// its blob, so a little is enough, and clocks of one node do not jump far.
const adoptSlack = 10 * time.Minute

// adoptBatch bounds how many blobs are compared with the log at once. Their keys take some 40 MiB; fewer
// would read a long log back more often.
const adoptBatch = 256 << 10

// AdoptOrphans gives an event to every blob of an object or a decision created between since and until that
// has none: what a crash left between sealing the blob and appending the event. The sender of such an
// object heard no success, so most come again; the index keeps one. Nothing is ever deleted here. It returns how many it adopted; an error when
// some could not be, which does not keep it from adopting the others.
func (in *Intake) AdoptOrphans(ctx context.Context, shelf Shelf, history History, since, until time.Time) (int, error) {
	l := lookout{in: in, history: history, unknown: map[string]bool{}}
	err := shelf.List(ctx, since, func(info blob.Info) error {
		if !OwnEvent(info.Meta) || !info.Created.Before(until) {
			return nil
		}
		if born := madeAt(info); len(l.unknown) == 0 || born.Before(l.oldest) {
			l.oldest = born
		}
		if l.unknown[info.Key] = true; len(l.unknown) < adoptBatch {
			return nil
		}
		return l.settle(ctx)
	})
	if errors.Is(err, blob.ErrCorrupt) {
		// The rest was listed; one rotten record must not keep a node from starting.
		in.cfg.Logger.Error("a blob is damaged", "error", err.Error())
	} else if err != nil {
		return l.adopted, fmt.Errorf("list blobs: %w", err)
	}
	if err := l.settle(ctx); err != nil {
		return l.adopted, err
	}
	if l.failed > 0 {
		return l.adopted, fmt.Errorf("%d blobs without an event could not be adopted, the first: %w", l.failed, l.first)
	}
	return l.adopted, nil
}

// madeAt is when an object's blob was made, by the clock that is behind: a shared store stamps blobs by its
// own, events and the time of receipt are of the node. Otherwise the event of a node that is behind its
// store would not be found, and its blobs be adopted again in every round.
func madeAt(info blob.Info) time.Time {
	at, err := time.Parse(time.RFC3339Nano, info.Meta[metaReceivedAt])
	if err != nil || info.Created.Before(at) {
		return info.Created
	}
	return at
}

// lookout is one look for orphans.
type lookout struct {
	in      *Intake
	history History

	unknown map[string]bool // keys of blobs that may have no event
	oldest  time.Time       // when the first of them was made

	adopted, failed int
	first           error // of those that failed
}

// settle adopts those of the unknown blobs that have no event. Its error ends the look.
func (l *lookout) settle(ctx context.Context) error {
	if len(l.unknown) == 0 {
		return nil
	}
	err := l.history.Since(ctx, l.oldest.Add(-adoptSlack), func(env event.Envelope) error {
		if key, err := event.BlobKey(env); err == nil {
			delete(l.unknown, key)
		}
		return nil
	})
	if err != nil {
		return fmt.Errorf("read the log back: %w", err)
	}
	for key := range l.unknown {
		err := l.in.Adopt(ctx, key)
		switch {
		case err == nil:
			l.adopted++
		case ctx.Err() != nil:
			return ctx.Err()
		case errors.Is(err, blob.ErrCorrupt):
			l.in.cfg.Logger.Error("a blob without an event is damaged and stays as it is", "blob", key)
		default:
			if l.failed++; l.first == nil {
				l.first = fmt.Errorf("adopt %s: %w", key, err)
			}
		}
	}
	clear(l.unknown)
	return nil
}
