package kafkalog

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"math/rand/v2"
	"sync"
	"time"

	"github.com/segmentio/kafka-go"

	"github.com/tributary-dicom/tributary/pipeline/event"
)

// Pauses between looks for a Kafka that is away, and how often one is asked that nobody uses.
const (
	minLook    = 200 * time.Millisecond
	maxLook    = 5 * time.Second
	checkEvery = 5 * time.Second
)

// breaker keeps callers from waiting for a Kafka that is known to be away. It opens when a request has
// failed until its deadline; when the brokers answer again it is half open, and one request at a time shows
// whether they take events.
type breaker struct {
	mu      sync.Mutex
	state   breakerState
	why     error     // for open and half open
	since   time.Time // of state, but half open counts as open
	used    time.Time // the last success
	trial   bool      // in half open: a request is under way
	changed chan struct{}
}

type breakerState int

const (
	closed breakerState = iota // requests go through
	open
	halfOpen
)

func newBreaker() *breaker {
	return &breaker{since: time.Now(), changed: make(chan struct{})}
}

func (b *breaker) set(s breakerState) {
	if b.state == s {
		return
	}
	if b.state == closed || s == closed {
		b.since = time.Now()
	}
	b.state, b.trial = s, false
	close(b.changed)
	b.changed = make(chan struct{})
}

// trip opens the breaker, and reports whether it was closed before.
func (b *breaker) trip(why error) bool {
	b.mu.Lock()
	defer b.mu.Unlock()
	first := b.state == closed
	b.why = why
	b.set(open)
	return first
}

// succeed closes the breaker, and reports whether it was not closed before.
func (b *breaker) succeed() bool {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.used = time.Now()
	first := b.state != closed
	b.why = nil
	b.set(closed)
	return first
}

// answered makes an open breaker half open.
func (b *breaker) answered() {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.state == open {
		b.set(halfOpen)
	}
}

func (b *breaker) closed() bool {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.state == closed
}

// away returns why an open breaker is open; nil for one that is closed or half open.
func (b *breaker) away() error {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.state == open {
		return b.why
	}
	return nil
}

// enter lets a request through that is not for the spool: trial says that it is the one of a half-open
// breaker, which leave ends.
func (b *breaker) enter() (trial bool, err error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	switch {
	case b.state == closed:
		return false, nil
	case b.state == halfOpen && !b.trial:
		b.trial = true
		return true, nil
	}
	return false, fmt.Errorf("%w: %w", errUnavailable, b.why)
}

func (b *breaker) leave() {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.trial = false
}

// breakerStatus is what is known of Kafka.
type breakerStatus struct {
	state       breakerState
	why         error
	since, used time.Time
	changed     <-chan struct{} // closed when the state is another
}

func (b *breaker) status() breakerStatus {
	b.mu.Lock()
	defer b.mu.Unlock()
	return breakerStatus{b.state, b.why, b.since, b.used, b.changed}
}

// trip opens the breaker and says so.
func (l *Log) trip(err error) {
	if !l.breaker.trip(l.hint(err)) {
		return
	}
	if l.spool != nil {
		l.logger.Warn("Kafka is away; events go to the spool", slog.String("error", err.Error()))
		return
	}
	l.logger.Error("Kafka is away; events are refused until it is back", slog.String("error", err.Error()))
}

// keep looks for a Kafka that is away until it answers, and asks one that nobody uses how it is.
func (l *Log) keep() {
	pause := minLook
	for l.ctx.Err() == nil {
		now := l.breaker.status()
		if now.state != open {
			if now.state == closed {
				pause = minLook
			}
			timer := time.NewTimer(checkEvery)
			select {
			case <-l.ctx.Done():
			case <-now.changed:
			case <-timer.C:
				if now.state == closed && time.Since(now.used) >= checkEvery {
					l.checkUp()
				}
				l.refreshCounts()
			}
			timer.Stop()
			continue
		}
		if !sleep(l.ctx, pause/2+rand.N(pause/2)) {
			return
		}
		pause = min(2*pause, maxLook)
		l.cluster.renew(l.cluster.kafka(), 0)
		err := l.prepareOrAsk()
		switch {
		case err == nil:
			l.breaker.answered()
		case l.ctx.Err() == nil:
			l.breaker.trip(l.hint(err)) // the newest reason
		}
	}
}

// prepareOrAsk returns nil when the brokers answer and the topics are as they must be.
func (l *Log) prepareOrAsk() error {
	if l.topics.Load() == nil {
		err := l.prepare(l.ctx)
		if errors.Is(err, ErrTopic) && !errors.Is(l.breaker.status().why, ErrTopic) {
			l.logger.Error("Kafka answers, but a topic cannot be used", slog.String("error", err.Error()))
		}
		return err
	}
	err := l.ask()
	if errors.Is(err, kafka.UnknownTopicOrPartition) {
		// A cluster that was made anew. What waits in the spool needs topics, and a broker that has just not heard
		// of them yet says that they exist.
		l.logger.Error("Kafka does not have our topics; what was in them is to be made again from the blobs", slog.String("error", err.Error()))
		return l.prepare(l.ctx)
	}
	return err
}

// ask asks the leader of each partition of the instances topic where it ends.
func (l *Log) ask() error {
	ctx, cancel := context.WithTimeout(l.ctx, l.cfg.timeout)
	defer cancel()
	_, err := l.offsets(ctx, event.TopicInstances, kafka.LastOffset)
	return err
}

// checkUp opens the breaker when an idle Kafka does not answer, twice.
func (l *Log) checkUp() {
	if err := l.ask(); err == nil || l.ctx.Err() != nil {
		return
	}
	l.cluster.renew(l.cluster.kafka(), 0)
	if err := l.ask(); err != nil && l.ctx.Err() == nil {
		l.trip(err)
	}
}

// refreshCounts sees partitions that were added. Keys move then, and their order holds from there on only.
func (l *Log) refreshCounts() {
	known := l.topics.Load()
	if known == nil {
		return
	}
	ctx, cancel := context.WithTimeout(l.ctx, l.cfg.timeout)
	defer cancel()
	counts, err := l.partitionCounts(ctx, l.cluster.kafka())
	if err != nil {
		return // who appends hears of it
	}
	for name, now := range counts {
		was := (*known)[name]
		if now.partitions != was.partitions {
			l.logger.Warn("a topic has another number of partitions", slog.String("topic", name),
				slog.Int("was", was.partitions), slog.Int("is", now.partitions))
		}
		counts[name] = topicState{partitions: max(now.partitions, was.partitions), maxBatch: was.maxBatch}
	}
	l.topics.Store(&counts)
}
