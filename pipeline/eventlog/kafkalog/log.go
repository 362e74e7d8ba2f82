package kafkalog

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"os"
	"sync"
	"sync/atomic"
	"time"

	"github.com/tributary-dicom/tributary/pipeline/event"
	"github.com/tributary-dicom/tributary/pipeline/eventlog"
)

// Errors of a Log.
var (
	// ErrUnavailable is Kafka away, and no spool that takes the events.
	ErrUnavailable = errors.New("Kafka cannot be reached") //nolint:staticcheck // a name

	// ErrSpoolFull is returned by Append while Kafka is away and the spool has reached Options.SpoolBytes.
	ErrSpoolFull = errors.New("the spool of events for Kafka is full")

	// ErrTooLarge is an event beyond max-record. Trying again does not help.
	ErrTooLarge = errors.New("event is too large for the log")
)

var errUnavailable = ErrUnavailable

// Spooled is the partition in positions of events that lie in the spool: durable, and not in their
// partition yet. Their Offset is the spool's own.
const Spooled int32 = -1

// maxEventsInOneCall bounds one Append.
const maxEventsInOneCall = 100_000

// Spool is a log of this node alone that keeps events while Kafka is away: locallog.Log. The Log that is
// given one drains it and closes nothing of it: close it behind the Log.
type Spool interface {
	Append(ctx context.Context, events ...event.Envelope) ([]eventlog.Position, error)
	AppendBacked(ctx context.Context, events ...event.Envelope) ([]eventlog.Position, error)

	// ReadFrom returns up to most records of a topic at and behind from.Offset, oldest first.
	ReadFrom(ctx context.Context, topic string, from eventlog.Position, most int) ([]eventlog.Record, error)

	// Trim removes the records of a topic up to and including an offset. Offsets are not given again.
	Trim(ctx context.Context, topic string, upTo int64) error

	// Usage returns how many records a topic has, and their bytes: those of key, id, type, source, subject
	// and data.
	Usage(ctx context.Context, topic string) (records, bytes int64, err error)

	// Since calls fn for every event of the instances topic made at or after t.
	Since(ctx context.Context, t time.Time, fn func(event.Envelope) error) error

	Ready(ctx context.Context) error
}

// Options of Open.
type Options struct {
	// Spool keeps events while Kafka is away; nil means that Append fails then.
	Spool Spool

	// SpoolBytes bounds what the spool holds; 0 means 1 GiB, several hundred thousand events.
	SpoolBytes int64

	// Getenv finds TRIBUTARY_KAFKA_USER, TRIBUTARY_KAFKA_PASSWORD and TRIBUTARY_KAFKA_PASSWORD_FILE; nil
	// means os.Getenv.
	Getenv func(string) string

	Logger *slog.Logger // nil means none
}

// Log is an eventlog.Log in Kafka. Safe for concurrent use.
type Log struct {
	cfg     config
	opt     Options
	logger  *slog.Logger
	cluster *cluster
	breaker *breaker
	spool   *spooling // nil without Options.Spool

	topics atomic.Pointer[map[string]topicState] // by Kafka's name; nil until Kafka was reached

	ctx        context.Context // of everything in the background
	cancel     context.CancelFunc
	background sync.WaitGroup
	closing    sync.RWMutex // held for reading by who adds to background
	closed     bool

	mu        sync.Mutex
	lanes     map[laneKey]*lane
	consumers map[*Consumer]struct{}
}

var _ eventlog.Log = (*Log)(nil)

// Open returns the log at kafka://HOST:PORT,…/PREFIX?…, and makes its topics where they are missing. The
// parameters are partitions, replication, min-insync, max-record, retention, create, timeout, sasl, tls, ca,
// cert, key and server-name; docs/decisions/0008-kafka.md describes them. Without a spool it fails when
// Kafka is away. With one it does not: topics are prepared when Kafka is back. Settings that lose events
// are refused (ErrTopic) as soon as they are seen; with a spool that was opened while Kafka was away, by
// State and Ready, and what comes stays in the spool.
func Open(ctx context.Context, rawURL string, opt Options) (*Log, error) {
	cfg, err := parseURL(rawURL)
	if err != nil {
		return nil, fmt.Errorf("open Kafka log: %w", err)
	}
	if opt.Getenv == nil {
		opt.Getenv = os.Getenv
	}
	if opt.SpoolBytes <= 0 {
		opt.SpoolBytes = 1 << 30
	}
	if opt.Logger == nil {
		opt.Logger = slog.New(slog.DiscardHandler)
	}
	mechanism, err := cfg.credentials(opt.Getenv)
	if err != nil {
		return nil, fmt.Errorf("open Kafka log: %w", err)
	}
	l := &Log{
		cfg: cfg, opt: opt, logger: opt.Logger, breaker: newBreaker(),
		lanes: map[laneKey]*lane{}, consumers: map[*Consumer]struct{}{},
	}
	l.cluster = newCluster(&l.cfg, mechanism)
	l.ctx, l.cancel = context.WithCancel(context.WithoutCancel(ctx))
	if opt.Spool != nil {
		if l.spool, err = newSpooling(ctx, opt.Spool, opt.SpoolBytes); err != nil {
			l.cancel()
			return nil, fmt.Errorf("open Kafka log: spool: %w", err)
		}
	}
	if err := l.reach(ctx); err != nil {
		if opt.Spool == nil || errors.Is(err, ErrTopic) || ctx.Err() != nil {
			_ = l.Close()
			return nil, fmt.Errorf("open Kafka log: %w", l.hint(err))
		}
		l.logger.Warn("Kafka cannot be reached; events are kept in the spool until it is back", slog.String("error", err.Error()))
		l.breaker.trip(l.hint(err))
	}
	l.background.Go(l.keep)
	if l.spool != nil {
		l.background.Go(l.drain)
	}
	return l, nil
}

// reachFor bounds how long Open tries, in deadlines of the brokers: a new topic takes a moment to be known.
// With a spool there is no need to wait.
const reachFor = 3

// reach prepares the topics, for a while.
func (l *Log) reach(ctx context.Context) error {
	limit := l.cfg.timeout
	if l.spool == nil {
		limit *= reachFor
	}
	ctx, cancel := context.WithTimeout(ctx, limit)
	defer cancel()
	for wait := 20 * time.Millisecond; ; wait = min(2*wait, time.Second) {
		err := l.prepare(ctx)
		if err == nil || errors.Is(err, ErrTopic) || refusedUs(err) {
			return err
		}
		if !sleep(ctx, wait) {
			return err
		}
	}
}

// hint says what a broker may mean that hangs up.
func (l *Log) hint(err error) error {
	if l.cfg.mechanism != "" && (errors.Is(err, io.ErrUnexpectedEOF) || errors.Is(err, io.EOF)) {
		return fmt.Errorf("%w (a broker that hangs up so may not know the user or password)", err)
	}
	return err
}

// prepare makes and checks the topics once.
func (l *Log) prepare(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, l.cfg.timeout)
	defer cancel()
	client := l.cluster.kafka()
	known, err := l.prepareTopics(ctx)
	if err != nil {
		l.cluster.renew(client, 0)
		return err
	}
	l.topics.Store(&known)
	return nil
}

// topic returns what is known of one of our topics; the zero value before Kafka was reached.
func (l *Log) topic(name string) topicState {
	known := l.topics.Load()
	if known == nil {
		return topicState{}
	}
	return (*known)[l.cfg.topic(name)]
}

// Append makes events durable: acknowledged by all in-sync replicas, or synced in the spool when that has
// them (Position.Partition is Spooled then). Refusals are for all of them: an event that is too large or
// without an id keeps the others out. Otherwise, when it fails, some may be there: Kafka has no
// transaction here, and consumers drop repeated ids. It copies what it needs of events before it returns.
func (l *Log) Append(ctx context.Context, events ...event.Envelope) ([]eventlog.Position, error) {
	return l.append(ctx, false, events)
}

// AppendBacked is Append; only in the spool events may wait a moment for their sync.
func (l *Log) AppendBacked(ctx context.Context, events ...event.Envelope) ([]eventlog.Position, error) {
	return l.append(ctx, true, events)
}

func (l *Log) append(ctx context.Context, backed bool, events []event.Envelope) ([]eventlog.Position, error) {
	if err := ctx.Err(); err != nil {
		return nil, err
	}
	if l.ctx.Err() != nil {
		return nil, eventlog.ErrClosed
	}
	if len(events) == 0 {
		return nil, nil
	}
	if err := l.check(events); err != nil {
		return nil, fmt.Errorf("append to Kafka: %w", err)
	}
	positions, err := l.route(ctx, backed, events)
	switch {
	case err == nil:
		return positions, nil
	case l.ctx.Err() != nil:
		return nil, eventlog.ErrClosed
	default:
		return nil, fmt.Errorf("append to Kafka: %w", err)
	}
}

// check refuses what no topic would take.
func (l *Log) check(events []event.Envelope) error {
	if len(events) > maxEventsInOneCall {
		return fmt.Errorf("%d events in one call", len(events))
	}
	for i := range events {
		if !knownTopic(events[i].Topic) {
			return fmt.Errorf("unknown topic %.50q", events[i].Topic)
		}
		if events[i].ID == "" {
			return errors.New("event without id")
		}
		if size := sizeOf(&events[i]); size > l.cfg.maxRecord {
			return fmt.Errorf("%w: %d bytes, max-record is %d", ErrTooLarge, size, l.cfg.maxRecord)
		}
	}
	return nil
}

func knownTopic(name string) bool {
	for _, t := range logTopics {
		if t == name {
			return true
		}
	}
	return false
}

// route appends to Kafka, or to the spool while events of these topics lie there or Kafka is away.
func (l *Log) route(ctx context.Context, backed bool, events []event.Envelope) ([]eventlog.Position, error) {
	if l.spool != nil {
		if err := l.spool.handOver(ctx, events, l.breaker); err != nil {
			return nil, err
		}
		if l.topics.Load() == nil || !l.breaker.closed() || l.spool.holds(events) {
			return l.spool.append(ctx, backed, events)
		}
	} else {
		trial, err := l.breaker.enter()
		if err != nil {
			return nil, err
		}
		if trial {
			defer l.breaker.leave()
		}
	}
	positions, failed, err := l.produceAll(ctx, events)
	switch {
	case err == nil:
		return positions, nil
	case ctx.Err() != nil:
		return nil, ctx.Err()
	case l.spool == nil, l.ctx.Err() != nil, errors.Is(err, ErrTooLarge):
		return nil, err
	}
	// Those that Kafka did not acknowledge. A key has one partition, so its events failed together.
	rest := make([]event.Envelope, len(failed))
	for i, n := range failed {
		rest[i] = events[n]
	}
	spooled, serr := l.spool.append(context.WithoutCancel(ctx), backed, rest)
	if serr != nil {
		return nil, errors.Join(serr, err)
	}
	for i, n := range failed {
		positions[n] = spooled[i]
	}
	return positions, nil
}

// Close ends waiting calls with eventlog.ErrClosed. What is in the spool stays there for the next Open.
func (l *Log) Close() error {
	l.closing.Lock()
	first := !l.closed
	l.closed = true
	l.closing.Unlock()
	if !first {
		return nil
	}
	l.cancel()
	l.mu.Lock()
	consumers := make([]*Consumer, 0, len(l.consumers))
	for c := range l.consumers {
		consumers = append(consumers, c)
	}
	l.mu.Unlock()
	var leaving sync.WaitGroup
	for _, c := range consumers {
		leaving.Go(func() { _ = c.Close() })
	}
	leaving.Wait()
	l.cluster.close()
	l.background.Wait()
	return nil
}

// start runs fn in the background, unless the log is closed.
func (l *Log) start(fn func()) error {
	l.closing.RLock()
	defer l.closing.RUnlock()
	if l.closed {
		return eventlog.ErrClosed
	}
	l.background.Go(fn)
	return nil
}

// sleep reports whether ctx went on for d.
func sleep(ctx context.Context, d time.Duration) bool {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-timer.C:
		return true
	case <-ctx.Done():
		return false
	}
}
