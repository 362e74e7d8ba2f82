package kafkalog

import (
	"context"
	"fmt"
	"time"

	"github.com/tributary-dicom/tributary/pipeline/eventlog"
)

// Health is how well a log can do what it is for.
type Health int

// How a log can be.
const (
	Well     Health = iota // Kafka takes events
	Degraded               // Kafka is away, or behind the spool; events are kept
	Failing                // events are refused
)

// String names the health for people.
func (h Health) String() string {
	return [...]string{"well", "degraded", "failing"}[min(max(h, Well), Failing)]
}

// Stats are a log's figures for metrics.
type Stats struct {
	BrokersUp    bool          // the brokers answered last, or nobody asked since
	SpoolRecords int64         // events in the spool
	SpoolBytes   int64         // about their bytes
	SpoolLimit   int64         // Options.SpoolBytes; 0 without a spool
	SpoolAge     time.Duration // about the age of the oldest; 0 for none
}

// Stats returns the figures of now. It asks nobody.
func (l *Log) Stats() Stats {
	s := Stats{BrokersUp: l.breaker.status().state != open}
	if l.spool == nil {
		return s
	}
	l.spool.mu.Lock()
	defer l.spool.mu.Unlock()
	s.SpoolLimit = l.spool.maxBytes
	for _, b := range l.spool.backlog {
		s.SpoolRecords += b.records
		s.SpoolBytes += b.bytes
		if b.records > 0 && !b.oldest.IsZero() {
			s.SpoolAge = max(s.SpoolAge, time.Since(b.oldest))
		}
	}
	return s
}

// State tells how the log is, with the reason when it is not well. It asks nobody.
func (l *Log) State() (Health, error) {
	if l.ctx.Err() != nil {
		return Failing, eventlog.ErrClosed
	}
	now := l.breaker.status()
	why, since := now.why, now.since
	stats := l.Stats()
	// An event of usual size must fit.
	if l.spool != nil && stats.SpoolLimit-stats.SpoolBytes < 64<<10 {
		if why == nil {
			why = ErrSpoolFull
		}
		return Failing, fmt.Errorf("%w (%d events): %w", ErrSpoolFull, stats.SpoolRecords, why)
	}
	switch {
	case now.state == open && l.spool == nil:
		return Failing, fmt.Errorf("%w since %s: %w", ErrUnavailable, since.UTC().Format(time.RFC3339), why)
	case now.state == open:
		return Degraded, fmt.Errorf("%w since %s, %d events are in the spool: %w", ErrUnavailable, since.UTC().Format(time.RFC3339), stats.SpoolRecords, why)
	case l.spool != nil && stats.SpoolRecords > 0:
		l.spool.mu.Lock()
		failure := l.spool.failure
		l.spool.mu.Unlock()
		if failure != nil {
			return Degraded, fmt.Errorf("%d events are in the spool: %w", stats.SpoolRecords, failure)
		}
		return Degraded, fmt.Errorf("%d events are on their way from the spool to Kafka", stats.SpoolRecords)
	}
	return Well, nil
}

// Ready returns nil when Append can succeed, in Kafka or in the spool, or why not.
func (l *Log) Ready(ctx context.Context) error {
	health, why := l.State()
	switch health {
	case Failing:
		return why
	case Degraded:
		if err := l.spool.Ready(ctx); err != nil {
			return fmt.Errorf("%w; and its spool: %w", why, err)
		}
	case Well:
	}
	return nil
}
