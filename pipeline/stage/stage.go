package stage

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"time"

	"github.com/tributary-dicom/tributary/pipeline/event"
	"github.com/tributary-dicom/tributary/pipeline/eventlog"
)

// Log is what a stage needs from an event log.
type Log interface {
	Append(ctx context.Context, events ...event.Envelope) ([]eventlog.Position, error)
	Subscribe(ctx context.Context, group, topic string) (eventlog.Consumer, error)
}

// Config of a stage. Log, Group, Topic and Handle are required; other zero fields take the defaults.
type Config struct {
	Log   Log
	Group string // the stage's name, and label of its metrics
	Topic string

	// Handle makes the effect of records durable, in order; see the package comment for its errors. It
	// must not keep the slice, nor change Data.
	Handle func(ctx context.Context, records []eventlog.Record) error

	// Settled hears of records that were handled or became dead letters, before they are committed. Nil
	// means nobody.
	Settled func(records []eventlog.Record)

	// Open opens the consumer; nil means Log.Subscribe.
	Open func(ctx context.Context) (eventlog.Consumer, error)

	Batch int // records a call of Handle, at most; default 256
	Tries int // of a record that fails permanently, and of writing its dead letter; default 5

	MinPause time.Duration // before the first repetition; default 100 ms
	MaxPause time.Duration // pauses double up to here; default 30 s

	// CommitEvery lets commits wait so long, for handlers that keep their own position. 0 commits each
	// batch.
	CommitEvery time.Duration

	Source  string // ce_source of dead letters, the node
	Version string // of this release, told in dead letters

	// Head is the newest record of a topic with one partition, for the lag; nil: unknown. A consumer that
	// has the method Behind() int64, records that it has not returned, is asked instead.
	Head    func() eventlog.Position
	Metrics Metrics      // nil means none
	Logger  *slog.Logger // nil means none
}

// stopTimeout bounds the last commit after the context has ended.
const stopTimeout = 5 * time.Second

func (c *Config) complete() error {
	if c.Log == nil || c.Group == "" || c.Topic == "" || c.Handle == nil {
		return errors.New("stage without Log, Group, Topic or Handle")
	}
	if c.Batch <= 0 {
		c.Batch = 256
	}
	if c.Tries <= 0 {
		c.Tries = 5
	}
	if c.MinPause <= 0 {
		c.MinPause = 100 * time.Millisecond
	}
	if c.MaxPause < c.MinPause {
		c.MaxPause = max(30*time.Second, c.MinPause)
	}
	if c.Open == nil {
		c.Open = func(ctx context.Context) (eventlog.Consumer, error) { return c.Log.Subscribe(ctx, c.Group, c.Topic) }
	}
	if c.Settled == nil {
		c.Settled = func([]eventlog.Record) {}
	}
	if c.Metrics == nil {
		c.Metrics = noMetrics{}
	}
	if c.Logger == nil {
		c.Logger = slog.New(slog.DiscardHandler)
	}
	c.Logger = c.Logger.With(slog.String("stage", c.Group))
	return nil
}

// Run consumes until ctx ends, and then returns nil after it has committed what was handled. It returns
// an error when the log is closed or the stage cannot go on without losing a record: a permanent error of
// the consumer (IsPermanent) is one of those, any other is tried again.
func Run(ctx context.Context, cfg Config) (err error) {
	if err := cfg.complete(); err != nil {
		return err
	}
	consumer, err := cfg.Open(ctx)
	if err != nil {
		return fmt.Errorf("stage %s: %w", cfg.Group, err)
	}
	s := &runner{Config: cfg, consumer: consumer, uncommitted: map[int32]eventlog.Record{}}
	defer func() {
		s.commitLast(ctx)
		err = errors.Join(err, consumer.Close())
	}()
	if err := s.loop(ctx); err != nil && ctx.Err() == nil {
		return fmt.Errorf("stage %s: %w", cfg.Group, err)
	}
	return nil
}

type runner struct {
	Config
	consumer eventlog.Consumer

	uncommitted map[int32]eventlog.Record // the last settled record of each partition
	waiting     context.Context           // ends when uncommitted is due; nil while there is none
	release     context.CancelFunc        // of waiting
}

func (s *runner) loop(ctx context.Context) error {
	for failures := 0; ; {
		records, err := s.fetch(ctx)
		switch {
		case err == nil:
			failures = 0
		case ctx.Err() != nil || errors.Is(err, eventlog.ErrClosed) || IsPermanent(err):
			return err
		default:
			failures++
			s.Logger.Warn("cannot read the event log, trying again", slog.String("error", err.Error()))
			if err := s.pause(ctx, failures); err != nil {
				return err
			}
			continue
		}
		s.reportLag(records)
		if err := s.settle(ctx, records); err != nil {
			return err
		}
		s.reportCaughtUp(records)
		if err := s.settled(ctx, records); err != nil {
			return err
		}
	}
}

// fetch waits for records, and commits meanwhile when a commit is due.
func (s *runner) fetch(ctx context.Context) ([]eventlog.Record, error) {
	for {
		if s.waiting == nil {
			return s.consumer.Fetch(ctx, s.Batch)
		}
		records, err := s.consumer.Fetch(s.waiting, s.Batch)
		if err == nil || ctx.Err() != nil || s.waiting.Err() == nil {
			return records, err
		}
		if err := s.commit(ctx); err != nil {
			return nil, err
		}
	}
}

// settled notes records for the next commit.
func (s *runner) settled(ctx context.Context, records []eventlog.Record) error {
	for i := range records {
		s.uncommitted[records[i].Partition] = eventlog.Record{Position: records[i].Position}
	}
	if s.CommitEvery > 0 {
		if s.waiting == nil {
			s.waiting, s.release = context.WithTimeout(ctx, s.CommitEvery)
		}
		if s.waiting.Err() == nil {
			return nil
		}
	}
	for failures := 1; ; failures++ {
		err := s.commit(ctx)
		if err == nil || ctx.Err() != nil || errors.Is(err, eventlog.ErrClosed) {
			return err
		}
		s.Logger.Warn("cannot commit the position, trying again", slog.String("error", err.Error()))
		if err := s.pause(ctx, failures); err != nil {
			return err
		}
	}
}

func (s *runner) commit(ctx context.Context) error {
	if len(s.uncommitted) == 0 {
		return nil
	}
	last := make([]eventlog.Record, 0, len(s.uncommitted))
	for _, r := range s.uncommitted {
		last = append(last, r)
	}
	if err := s.consumer.Commit(ctx, last...); err != nil {
		return err
	}
	clear(s.uncommitted)
	if s.waiting != nil {
		s.release()
		s.waiting, s.release = nil, nil
	}
	return nil
}

// commitLast commits although ctx has ended. A failure costs a repetition, not a record.
func (s *runner) commitLast(ctx context.Context) {
	if len(s.uncommitted) == 0 {
		return
	}
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), stopTimeout)
	defer cancel()
	if err := s.commit(ctx); err != nil && !errors.Is(err, eventlog.ErrClosed) {
		s.Logger.Warn("last records will be handled again, their position was not committed", slog.String("error", err.Error()))
	}
	if s.release != nil {
		s.release()
	}
}

// behinder is a consumer that knows how many records it has not returned, of several partitions say.
type behinder interface{ Behind() int64 }

func (s *runner) reportLag(records []eventlog.Record) {
	var behind int64
	if b, ok := s.consumer.(behinder); ok {
		behind = b.Behind() + int64(len(records))
	} else if s.Head != nil {
		behind = max(s.Head().Offset-records[len(records)-1].Offset, 0) + int64(len(records))
	}
	var age time.Duration
	if at := records[0].Event.Time; !at.IsZero() {
		age = max(time.Since(at), 0)
	}
	s.Metrics.Lag(behind, age)
}

// reportCaughtUp clears the lag when records were the newest ones.
func (s *runner) reportCaughtUp(records []eventlog.Record) {
	if b, ok := s.consumer.(behinder); ok {
		if b.Behind() == 0 {
			s.Metrics.Lag(0, 0)
		}
		return
	}
	if s.Head != nil && records[len(records)-1].Offset >= s.Head().Offset {
		s.Metrics.Lag(0, 0)
	}
}
