package completeness

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"time"

	"github.com/tributary-dicom/tributary/pipeline/event"
	"github.com/tributary-dicom/tributary/pipeline/eventlog"
)

// follow applies the topic of studies to the index, up to its present end.
func (s *stage) follow(ctx context.Context) error {
	heads, err := s.Log.Heads(ctx, event.TopicStudies)
	if err != nil {
		return fmt.Errorf("find the end of the announcements: %w", err)
	}
	for _, head := range heads {
		if err := s.followPartition(ctx, head); err != nil {
			return err
		}
	}
	return nil
}

func (s *stage) followPartition(ctx context.Context, head eventlog.Position) error {
	at, err := s.place(ctx, head)
	if err != nil {
		return err
	}
	for at < head.Offset {
		if err := s.hold(ctx); err != nil {
			return err
		}
		records, err := s.Log.ReadFrom(ctx, event.TopicStudies, eventlog.Position{Topic: event.TopicStudies, Partition: head.Partition, Offset: at + 1}, batch)
		if err != nil {
			return fmt.Errorf("read announcements: %w", err)
		}
		if len(records) == 0 {
			return nil // what was up to head is not there any more
		}
		if err := s.apply(ctx, records); err != nil {
			return err
		}
		at = records[len(records)-1].Offset
	}
	return nil
}

// place returns the offset up to which the index has a partition. Where the log has lost that, the partition is
// read from its beginning: the index knows more than the log then, and nothing is announced twice.
func (s *stage) place(ctx context.Context, head eventlog.Position) (int64, error) {
	offset, id, err := s.Index.LastApplied(ctx, event.TopicStudies, head.Partition)
	if err != nil {
		return 0, fmt.Errorf("ask the index for its place: %w", err)
	}
	if offset < 0 || offset <= head.Offset && s.known[head.Partition] {
		return offset, nil
	}
	lost := offset > head.Offset
	if !lost && id != "" {
		records, err := s.Log.ReadFrom(ctx, event.TopicStudies, eventlog.Position{Topic: event.TopicStudies, Partition: head.Partition, Offset: offset}, 1)
		if err != nil {
			return 0, fmt.Errorf("read announcements: %w", err)
		}
		// One that the log has no more, since it is pruned, is believed.
		lost = len(records) == 1 && records[0].Offset == offset && records[0].Event.ID != id
	}
	s.known[head.Partition] = true
	if !lost {
		return offset, nil
	}
	s.Logger.Warn("the log has lost announcements of studies, its partition is read from the beginning",
		slog.Int("partition", int(head.Partition)), slog.Int64("applied", offset), slog.Int64("newest", head.Offset))
	if err := s.Index.Rewind(ctx, event.TopicStudies, head.Partition); err != nil {
		return 0, fmt.Errorf("begin a partition again: %w", err)
	}
	return -1, nil
}

// apply makes records visible. Of those that never can be, a dead letter is kept.
func (s *stage) apply(ctx context.Context, records []eventlog.Record) error {
	err := s.Index.Apply(ctx, records)
	var fault interface{ Permanent() bool }
	switch {
	case err == nil:
		return nil
	case !errors.As(err, &fault) || !fault.Permanent():
		return fmt.Errorf("apply announcements: %w", err)
	case len(records) > 1:
		half := len(records) / 2
		if err := s.apply(ctx, records[:half]); err != nil {
			return err
		}
		return s.apply(ctx, records[half:])
	}
	r := records[0]
	letter, lerr := event.NewDeadLetter(s.Source, r.Event, &event.DeadLetter{
		Group: leaseName, Topic: r.Topic, Partition: r.Partition, Offset: r.Offset, Error: "announcement cannot be read", Tries: 1,
		Version: s.Version, FailedAt: time.Now().UTC(),
	})
	if lerr != nil {
		return lerr
	}
	if _, err := s.Log.Append(ctx, letter); err != nil {
		return fmt.Errorf("keep a dead letter: %w", err)
	}
	s.Logger.Error("an announcement became a dead letter", slog.Int("partition", int(r.Partition)), slog.Int64("offset", r.Offset),
		slog.String("event_id", r.Event.ID))
	r.Event = event.Envelope{ID: r.Event.ID, Topic: r.Event.Topic} // of no type: it moves the place, and nothing else
	if err := s.Index.Apply(ctx, []eventlog.Record{r}); err != nil {
		return fmt.Errorf("pass a dead letter: %w", err)
	}
	return nil
}

// resendAfter is when a record that was appended and did not come to light is appended again: it lay in the spool of
// a node that is gone, or the log has lost it.
const resendAfter = 2 * time.Minute

// send appends what was decided. It comes behind follow: what an earlier process appended is not there any more.
func (s *stage) send(ctx context.Context) error {
	for {
		pending, err := s.Index.Announcements(ctx, batch)
		if err != nil {
			return fmt.Errorf("read announcements that wait: %w", err)
		}
		now := time.Now()
		waits := map[string]bool{}
		var out []event.Envelope
		for _, e := range pending {
			waits[e.ID] = true
			if at, ok := s.sent[e.ID]; !ok || now.Sub(at) > resendAfter {
				out = append(out, e)
			}
		}
		for id := range s.sent {
			if !waits[id] {
				delete(s.sent, id)
			}
		}
		if len(out) == 0 {
			return nil
		}
		if err := s.hold(ctx); err != nil {
			return err
		}
		if _, err := s.Log.Append(ctx, out...); err != nil {
			return fmt.Errorf("append announcements: %w", err)
		}
		for _, e := range out {
			if _, again := s.sent[e.ID]; !again {
				s.Metrics.announced(e)
			}
			s.sent[e.ID] = now
		}
		if err := s.follow(ctx); err != nil {
			return err
		}
		if len(pending) < batch {
			return nil
		}
	}
}
