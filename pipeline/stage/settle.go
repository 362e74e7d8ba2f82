package stage

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"math/rand/v2"
	"strings"
	"time"
	"unicode/utf8"

	"github.com/tributary-dicom/tributary/pipeline/event"
	"github.com/tributary-dicom/tributary/pipeline/eventlog"
)

// settle returns nil once every record was handled or kept as a dead letter, in order.
func (s *runner) settle(ctx context.Context, records []eventlog.Record) error {
	transient, permanent := 0, 0
	for {
		begin := time.Now()
		err := s.call(ctx, records)
		if err == nil {
			s.Metrics.Handled(len(records), time.Since(begin))
			s.Settled(records)
			return nil
		}
		if ctx.Err() != nil {
			return ctx.Err()
		}
		isPermanent := IsPermanent(err)
		s.Metrics.Failed(isPermanent)
		pause := 0
		switch {
		case !isPermanent:
			transient++
			pause = transient
			s.Logger.Warn("records failed, trying again", slog.Int("records", len(records)), slog.Int("try", transient),
				slog.String("error", clip(err)))
		case len(records) > 1:
			half := len(records) / 2
			if err := s.settle(ctx, records[:half]); err != nil {
				return err
			}
			return s.settle(ctx, records[half:])
		default:
			permanent++
			pause = permanent
			if permanent >= s.Tries {
				return s.bury(ctx, records, permanent, err)
			}
		}
		if err := s.pause(ctx, pause); err != nil {
			return err
		}
	}
}

// call runs the handler and turns a panic into a permanent error.
func (s *runner) call(ctx context.Context, records []eventlog.Record) (err error) {
	defer func() {
		if value := recover(); value != nil {
			err = newPanicError(value)
		}
	}()
	return s.Handle(ctx, records)
}

// bury writes the dead letter of one record.
func (s *runner) bury(ctx context.Context, one []eventlog.Record, tries int, why error) error {
	r := &one[0]
	attributes := []any{
		slog.String("topic", r.Topic), slog.Int("partition", int(r.Partition)), slog.Int64("offset", r.Offset),
		slog.String("event_id", r.Event.ID), slog.String("type", r.Event.Type), slog.Int("tries", tries), slog.String("error", clip(why)),
	}
	var panicked *panicError
	if errors.As(why, &panicked) {
		attributes = append(attributes, slog.String("stack", string(panicked.stack)))
	}
	if r.Topic == event.TopicDeadLetter {
		s.Logger.Error("dead letter cannot be handled, the stage stops", attributes...)
		return fmt.Errorf("%w: offset %d: it is a dead letter itself", ErrDeadLetter, r.Offset)
	}
	letter, err := event.NewDeadLetter(s.Source, r.Event, &event.DeadLetter{
		Group: s.Group, Topic: r.Topic, Partition: r.Partition, Offset: r.Offset, Error: clip(why),
		Panic: panicked != nil, Tries: tries, Version: s.Version, FailedAt: time.Now().UTC(),
	})
	if err != nil {
		return fmt.Errorf("%w: offset %d: %w", ErrDeadLetter, r.Offset, err)
	}
	for try := 1; ; try++ {
		_, err := s.Log.Append(ctx, letter)
		if err == nil {
			break
		}
		if ctx.Err() != nil {
			return ctx.Err()
		}
		if try >= s.Tries || errors.Is(err, eventlog.ErrClosed) {
			s.Logger.Error("record can be neither handled nor kept as a dead letter, the stage stops", attributes...)
			return fmt.Errorf("%w: offset %d: %w", ErrDeadLetter, r.Offset, err)
		}
		if err := s.pause(ctx, try); err != nil {
			return err
		}
	}
	s.Logger.Error("record became a dead letter", attributes...)
	s.Metrics.DeadLettered()
	s.Settled(one)
	return nil
}

// maxErrorBytes bounds an error's text in logs and dead letters.
const maxErrorBytes = 1000

func clip(err error) string {
	text := strings.ToValidUTF8(err.Error(), "\uFFFD")
	if len(text) <= maxErrorBytes {
		return text
	}
	end := maxErrorBytes
	for end > 0 && !utf8.RuneStart(text[end]) {
		end--
	}
	return text[:end]
}

// pause sleeps before the n-th repetition (from 1): MinPause doubled n-1 times, at most MaxPause, of
// which a random half is taken off, so that stages that failed together don't come back together.
func (s *runner) pause(ctx context.Context, n int) error {
	d := s.MinPause
	for range n - 1 {
		if d >= s.MaxPause {
			break
		}
		d *= 2
	}
	d = min(d, s.MaxPause)
	d -= rand.N(d/2 + 1)
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-timer.C:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}
