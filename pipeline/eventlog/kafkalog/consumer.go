package kafkalog

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"sync"
	"sync/atomic"
	"time"

	"github.com/segmentio/kafka-go"

	"github.com/tributary-dicom/tributary/pipeline/event"
	"github.com/tributary-dicom/tributary/pipeline/eventlog"
)

// Times of a consumer group. A member that died is missed after session; who joins waits for the others'
// next heartbeat, and for rebalance when one has vanished that the coordinator still expects. Who joins is
// more patient than that (coordinator): one that gives up and comes again is one more that vanished, and
// members that do so in turn would keep each other waiting for ever.
const (
	heartbeat   = time.Second
	session     = 10 * time.Second // brokers take 6 s and more
	rebalance   = 10 * time.Second
	coordinator = 10 * time.Second // beyond what a request may take by its nature
	rejoinPause = 500 * time.Millisecond
	watchTopics = 30 * time.Second // for partitions that were added

	// How long a member without partitions waits before it asks for its share again, at first and at most.
	// There may be more members than partitions; but when the topic was just being made, everybody got none, and
	// the watch of kafka-go, which begins later, sees no change.
	noneFirst      = 5 * time.Second
	noneMost       = time.Hour
	commitPatience = 10 * time.Second
	leavePatience  = 2 * time.Second

	// believeOutside times, over a second and more, brokers must say that they do not have a position.
	believeOutside = 8
)

// ErrLost is returned by Fetch when a consumer's position lies outside of what the log has: records that it
// had not read are gone, or the log has lost its end. The consumer goes no further. It is permanent
// (stage.IsPermanent).
var ErrLost = errors.New("the log does not have this consumer's position")

type lostError struct{ err error }

func (e *lostError) Error() string   { return e.err.Error() }
func (e *lostError) Unwrap() error   { return e.err }
func (e *lostError) Permanent() bool { return true }

// StartFunc tells where a consumer begins in a partition: behind the record at this offset, -1 for the
// beginning. An error that has the method Permanent() bool returning true ends the consumer; after any other
// one it is asked again.
type StartFunc = func(ctx context.Context, partition int32) (behind int64, err error)

// Consumer is a member of a group; see eventlog.Consumer. Kafka gives it a share of the topic's partitions,
// another one whenever members come or go. Fetch returns no record any more of a partition that is lost,
// and Commit leaves it alone: its new owner reads again what was not committed.
type Consumer struct {
	log   *Log
	group string
	topic string
	begin StartFunc // nil: behind what the group has committed

	ctx    context.Context
	cancel context.CancelFunc
	once   sync.Once
	ended  sync.WaitGroup
	conns  connections // of the group's protocol
	chunks chan delivery
	failed chan error // of capacity 1

	left []delivery    // fetched, not returned yet
	none time.Duration // how long a share without partitions lasts; of run

	mu      sync.Mutex
	now     *generation
	changed chan struct{} // closed when now is another
}

var _ eventlog.Consumer = (*Consumer)(nil)

// delivery is records of one partition for one generation.
type delivery struct {
	of      *generation
	share   *share
	records []eventlog.Record
}

// generation is a time in which the members of a group and their shares are the same.
type generation struct {
	kafka  *kafka.Generation
	shares map[int32]*share
	over   chan struct{}
}

// share is one partition of a member.
type share struct {
	committed int64        // offset of the first record that is not; guarded by Consumer.mu
	position  atomic.Int64 // offset of the next record that Fetch returns
	end       atomic.Int64 // of the partition, when it was last read
}

func (g *generation) isOver() bool {
	select {
	case <-g.over:
		return true
	default:
		return false
	}
}

// Subscribe joins a group, which it does in the background: Kafka may be away. A group has any number of
// consumers, in any number of processes.
func (l *Log) Subscribe(ctx context.Context, group, topic string) (eventlog.Consumer, error) {
	return l.subscribe(ctx, group, topic, nil)
}

// SubscribeAt is Subscribe for who keeps positions with its effects: start is asked for each partition that
// comes to this consumer, in each generation of the group anew, and what the group has committed does not
// count. Commits are hints for operators then.
func (l *Log) SubscribeAt(ctx context.Context, group, topic string, start StartFunc) (eventlog.Consumer, error) {
	if start == nil {
		return nil, errors.New("subscribe: no start")
	}
	return l.subscribe(ctx, group, topic, start)
}

func (l *Log) subscribe(ctx context.Context, group, topic string, start StartFunc) (*Consumer, error) {
	if err := ctx.Err(); err != nil {
		return nil, err
	}
	if group == "" {
		return nil, errors.New("subscribe: group without a name")
	}
	if !knownTopic(topic) {
		return nil, fmt.Errorf("subscribe: unknown topic %.50q", topic)
	}
	c := &Consumer{
		log: l, group: group, topic: topic, begin: start,
		chunks: make(chan delivery), failed: make(chan error, 1), changed: make(chan struct{}),
	}
	c.ctx, c.cancel = context.WithCancel(l.ctx)
	c.ended.Add(1)
	if err := l.start(c.run); err != nil {
		c.cancel()
		return nil, err
	}
	l.mu.Lock()
	l.consumers[c] = struct{}{}
	l.mu.Unlock()
	return c, nil
}

// run is a member of the group until the consumer is closed.
func (c *Consumer) run() {
	defer c.ended.Done()
	// The group's protocol goes over connections of its own, which Close cuts: kafka-go waits for answers.
	for c.log.topics.Load() == nil { // a group without topics would balance nothing
		changed := c.log.breaker.status().changed
		if c.log.topics.Load() != nil {
			break
		}
		select {
		case <-changed:
		case <-c.ctx.Done():
			return
		}
	}
	group, err := kafka.NewConsumerGroup(kafka.ConsumerGroupConfig{
		ID: c.groupID(), Brokers: c.log.cfg.brokers, Topics: []string{c.log.cfg.topic(c.topic)},
		Dialer: &kafka.Dialer{
			ClientID: clientID, Timeout: c.log.cfg.timeout, DialFunc: c.conns.dialer(&c.log.cfg),
			TLS: c.log.cfg.tls, SASLMechanism: c.log.cluster.mechanism,
		},
		HeartbeatInterval: heartbeat, SessionTimeout: session, RebalanceTimeout: rebalance,
		JoinGroupBackoff: rejoinPause, Timeout: max(coordinator, c.log.cfg.timeout),
		WatchPartitionChanges: true, PartitionWatchInterval: watchTopics,
		StartOffset: kafka.FirstOffset,
	})
	if err != nil {
		c.fail(err)
		return
	}
	defer c.leave(group)
	var told time.Time
	for {
		g, err := group.Next(c.ctx)
		switch {
		case err == nil:
			c.enter(g)
		case c.ctx.Err() != nil || errors.Is(err, kafka.ErrGroupClosed):
			return
		case time.Since(told) > 30*time.Second && !errors.Is(err, kafka.RebalanceInProgress):
			told = time.Now()
			c.log.logger.Warn("cannot join the group of consumers, trying again", slog.String("group", c.group), slog.String("error", err.Error()))
		}
	}
}

// leave leaves the group, so that its other members need not wait until this one is missed. A broker that
// does not answer is not waited for: kafka-go would, for as long as members have to join.
func (c *Consumer) leave(group *kafka.ConsumerGroup) {
	left := make(chan struct{})
	go func() {
		defer close(left)
		_ = group.Close() // never fails
	}()
	timer := time.NewTimer(leavePatience)
	defer timer.Stop()
	select {
	case <-left:
	case <-timer.C:
	}
	c.conns.close()
	<-left
}

// groupID is Kafka's name of the group: with the prefix, since clusters are shared, and with the topic unless
// that is the main one, so that members with different topics do not make each other share anew.
func (c *Consumer) groupID() string { return c.log.cfg.groupID(c.group, c.topic) }

func (c *config) groupID(group, topic string) string {
	if topic == event.TopicInstances {
		return c.prefix + "." + group
	}
	return c.prefix + "." + group + "." + topic
}

// enter begins a generation.
func (c *Consumer) enter(k *kafka.Generation) {
	g := &generation{kafka: k, shares: map[int32]*share{}, over: make(chan struct{})}
	for _, a := range k.Assignments[c.log.cfg.topic(c.topic)] {
		s := &share{committed: max(a.Offset, -1)}
		g.shares[int32(a.ID)] = s //nolint:gosec // Kafka counts partitions in 32 bits
	}
	c.mu.Lock()
	c.now = g
	close(c.changed)
	c.changed = make(chan struct{})
	c.mu.Unlock()
	k.Start(func(ctx context.Context) {
		<-ctx.Done()
		close(g.over)
	})
	if len(g.shares) > 0 {
		c.none = 0
	} else {
		c.none = min(max(2*c.none, noneFirst), noneMost)
		patience := c.none
		k.Start(func(ctx context.Context) { // its end is that of the generation
			timer := time.NewTimer(patience)
			defer timer.Stop()
			select {
			case <-timer.C:
			case <-ctx.Done():
			}
		})
	}
	for partition, s := range g.shares {
		committed := s.committed
		k.Start(func(ctx context.Context) { c.read(ctx, g, s, partition, committed) })
	}
	c.log.logger.Debug("consumer has a share", slog.String("group", c.group), slog.Int("partitions", len(g.shares)))
}

// fail ends the consumer: the next Fetch returns err.
func (c *Consumer) fail(err error) {
	select {
	case c.failed <- err:
	default:
	}
}

// read reads a partition until its generation is over.
func (c *Consumer) read(ctx context.Context, g *generation, s *share, partition int32, committed int64) {
	defer func() { <-ctx.Done() }() // one that returns earlier ends the generation
	offset, err := c.where(ctx, partition, committed)
	if err != nil {
		if ctx.Err() == nil {
			c.fail(err)
		}
		return
	}
	s.position.Store(offset)
	outside := 0
	for pause := minRetry; ctx.Err() == nil; {
		chunk, err := c.fetch(ctx, partition, offset)
		switch {
		case err == nil:
			pause, outside = minRetry, 0
		case ctx.Err() != nil:
			return
		case errors.Is(err, kafka.OffsetOutOfRange):
			// A new leader may not know its end for a moment, so that it is believed later only.
			if outside++; outside >= believeOutside {
				if lost := c.lost(ctx, partition, offset); lost != nil {
					c.fail(lost)
					return
				}
			}
			fallthrough
		default:
			sleep(ctx, pause)
			pause = min(2*pause, maxLook)
			continue
		}
		s.end.Store(chunk.end)
		if len(chunk.records) == 0 {
			if chunk.next == offset && chunk.end > offset {
				sleep(ctx, minRetry) // nothing of what is there is for us yet; not in a busy loop
			}
			offset = chunk.next
			continue
		}
		select {
		case c.chunks <- delivery{of: g, share: s, records: chunk.records}:
			offset = chunk.next
		case <-ctx.Done():
			return
		}
	}
}

func (c *Consumer) fetch(ctx context.Context, partition int32, offset int64) (chunk, error) {
	ctx, cancel := context.WithTimeout(ctx, fetchWait+c.log.cfg.timeout)
	defer cancel()
	return c.log.fetch(ctx, c.topic, partition, offset)
}

// where returns the offset at which to begin.
func (c *Consumer) where(ctx context.Context, partition int32, committed int64) (int64, error) {
	for pause := minRetry; ; pause = min(2*pause, maxLook) {
		offset, err := c.ask(ctx, partition, committed)
		var permanent interface{ Permanent() bool }
		if err == nil || ctx.Err() != nil || errors.As(err, &permanent) && permanent.Permanent() {
			return offset, err
		}
		c.log.logger.Warn("where to begin in a partition is not known, asking again", slog.String("group", c.group),
			slog.Int("partition", int(partition)), slog.String("error", err.Error()))
		if !sleep(ctx, pause) {
			return 0, ctx.Err()
		}
	}
}

func (c *Consumer) ask(ctx context.Context, partition int32, committed int64) (int64, error) {
	if c.begin != nil {
		behind, err := c.begin(ctx, partition)
		return max(behind, -1) + 1, err
	}
	if committed >= 0 {
		return committed, nil
	}
	ctx, cancel := context.WithTimeout(ctx, c.log.cfg.timeout)
	defer cancel()
	b, err := c.log.bounds(ctx, c.topic, partition)
	return b.first, err
}

// lost returns why a position is outside of a partition; nil when it is not after all, or nobody knows.
func (c *Consumer) lost(ctx context.Context, partition int32, offset int64) error {
	ctx, cancel := context.WithTimeout(ctx, c.log.cfg.timeout)
	defer cancel()
	b, err := c.log.bounds(ctx, c.topic, partition)
	if err != nil || offset >= b.first && offset <= b.end {
		return nil
	}
	return &lostError{fmt.Errorf("%w: group %s is at %d of %s/%d, which goes from %d to %d",
		ErrLost, c.group, offset, c.log.cfg.topic(c.topic), partition, b.first, b.end)}
}

// Fetch returns records of this member's partitions, of each in order.
func (c *Consumer) Fetch(ctx context.Context, most int) ([]eventlog.Record, error) {
	most = max(most, 1)
	for {
		if err := c.usable(ctx); err != nil {
			return nil, err
		}
		c.gather(most)
		if records := c.take(most); len(records) > 0 {
			return records, nil
		}
		select {
		case d := <-c.chunks:
			c.left = append(c.left, d)
		case err := <-c.failed:
			c.fail(err) // for the next call
			return nil, fmt.Errorf("fetch from Kafka: %w", err)
		case <-ctx.Done():
			return nil, ctx.Err()
		case <-c.ctx.Done():
			return nil, eventlog.ErrClosed
		}
	}
}

// gather takes what is ready, of several partitions, until there are enough records.
func (c *Consumer) gather(enough int) {
	have := 0
	for _, d := range c.left {
		have += len(d.records)
	}
	for have < enough {
		select {
		case d := <-c.chunks:
			c.left = append(c.left, d)
			have += len(d.records)
		default:
			return
		}
	}
}

// take returns what is left, up to most, of partitions that are ours still.
func (c *Consumer) take(most int) (records []eventlog.Record) {
	for len(c.left) > 0 && len(records) < most {
		d := &c.left[0]
		if d.of.isOver() {
			c.left = c.left[1:]
			continue
		}
		n := min(len(d.records), most-len(records))
		if len(records) == 0 {
			records = d.records[:n:n]
		} else {
			records = append(records, d.records[:n]...)
		}
		d.share.position.Store(d.records[n-1].Offset + 1)
		if d.records = d.records[n:]; len(d.records) == 0 {
			c.left = c.left[1:]
		}
	}
	return records
}

func (c *Consumer) usable(ctx context.Context) error {
	if c.ctx.Err() != nil {
		return eventlog.ErrClosed
	}
	return ctx.Err()
}

// Behind returns how many records of this member's partitions Fetch has not returned, as of the last look.
func (c *Consumer) Behind() int64 {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.now == nil {
		return 0
	}
	var n int64
	for _, s := range c.now.shares {
		n += max(s.end.Load()-s.position.Load(), 0)
	}
	return n
}

// Close leaves the group. A Fetch that waits returns eventlog.ErrClosed.
func (c *Consumer) Close() error {
	c.once.Do(func() {
		c.cancel()
		c.ended.Wait()
		c.log.mu.Lock()
		delete(c.log.consumers, c)
		c.log.mu.Unlock()
	})
	return nil
}
