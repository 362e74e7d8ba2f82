package kafkalog

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"time"

	"github.com/segmentio/kafka-go"

	"github.com/tributary-dicom/tributary/pipeline/event"
	"github.com/tributary-dicom/tributary/pipeline/eventlog"
)

// requiredAcks is what makes an append durable. kafka-go's zero value asks for no answer at all.
const requiredAcks = kafka.RequireAll

// Bounds of one produce request beside the topic's max.message.bytes.
const (
	maxBatchRecords = 2000
	maxBatchBytes   = 1 << 20 // unless one event alone is larger; more would wait longer and gain nothing
)

// Pauses between tries of one request.
const (
	minRetry = 10 * time.Millisecond
	maxRetry = 500 * time.Millisecond
)

type laneKey struct {
	topic     string // Kafka's name
	partition int32
}

// lane is the way to one partition: one request at a time, so that order holds, with all who wait.
type lane struct {
	laneKey
	mu      sync.Mutex
	waiting []*piece
	busy    bool
}

// piece is the part of one Append that goes to one partition.
type piece struct {
	records []record
	bytes   int
	indices []int // of records in the call's events

	done    chan struct{} // closed when offsets and err are final
	offsets []int64       // of records
	err     error
}

// record is one event as Kafka has it.
type record struct {
	key, value []byte
	headers    []kafka.Header
}

// recordOverhead is about what Kafka adds to a record's key, value and headers, bytes.
const recordOverhead = 128

// sizeOf returns about how many bytes an event takes in a topic, or in the spool: not fewer than it does.
func sizeOf(e *event.Envelope) int {
	return len(e.Key) + len(e.Data) + len(e.ID) + len(e.Type) + len(e.Source) + len(e.Subject) + recordOverhead
}

// newRecord copies an event: after a deadline has passed kafka-go may still read what it was given.
func newRecord(e *event.Envelope) record {
	r := record{key: []byte(e.Key), value: append(make([]byte, 0, len(e.Data)), e.Data...)}
	for _, h := range event.Headers(*e) {
		r.headers = append(r.headers, kafka.Header{Key: h.Key, Value: h.Value})
	}
	return r
}

// split sorts events into pieces by partition, in their order.
func (l *Log) split(events []event.Envelope) map[laneKey]*piece {
	pieces := map[laneKey]*piece{}
	for i := range events {
		e := &events[i]
		key := laneKey{l.cfg.topic(e.Topic), partitionOf(e.Key, max(l.topic(e.Topic).partitions, 1))}
		p := pieces[key]
		if p == nil {
			p = &piece{done: make(chan struct{})}
			pieces[key] = p
		}
		p.records = append(p.records, newRecord(e))
		p.indices = append(p.indices, i)
		p.bytes += sizeOf(e)
	}
	return pieces
}

// produceAll appends events to their partitions and returns where they lie. When it fails, failed are the
// indices of those that were not acknowledged. What has been sent is awaited whatever happens to ctx.
func (l *Log) produceAll(ctx context.Context, events []event.Envelope) (positions []eventlog.Position, failed []int, err error) {
	positions = make([]eventlog.Position, len(events))
	pieces := l.split(events)
	for key, p := range pieces {
		if err := l.submit(key, p); err != nil {
			p.err = err
			close(p.done)
		}
	}
	for key, p := range pieces {
		l.await(ctx, key, p)
		if p.err != nil {
			err = p.err
			failed = append(failed, p.indices...)
			continue
		}
		for i, n := range p.indices {
			positions[n] = eventlog.Position{Topic: events[n].Topic, Partition: key.partition, Offset: p.offsets[i]}
		}
	}
	return positions, failed, err
}

func (l *Log) lane(key laneKey) *lane {
	l.mu.Lock()
	defer l.mu.Unlock()
	n := l.lanes[key]
	if n == nil {
		n = &lane{laneKey: key}
		l.lanes[key] = n
	}
	return n
}

// submit puts a piece in its lane. A lane that is idle sends it at once; one that is busy sends it with all
// others that came meanwhile.
func (l *Log) submit(key laneKey, p *piece) error {
	n := l.lane(key)
	n.mu.Lock()
	defer n.mu.Unlock()
	if !n.busy {
		if err := l.start(func() { l.run(n) }); err != nil {
			return err
		}
		n.busy = true
	}
	n.waiting = append(n.waiting, p)
	return nil
}

// await waits for a piece, which it takes back when ctx ends before it was sent.
func (l *Log) await(ctx context.Context, key laneKey, p *piece) {
	select {
	case <-p.done:
	case <-ctx.Done():
		if l.lane(key).withdraw(p) {
			p.err = ctx.Err()
			return
		}
		<-p.done
	}
}

func (n *lane) withdraw(p *piece) bool {
	n.mu.Lock()
	defer n.mu.Unlock()
	for i, other := range n.waiting {
		if other == p {
			n.waiting = append(n.waiting[:i:i], n.waiting[i+1:]...)
			return true
		}
	}
	return false
}

// take removes the pieces of the next request, none when the lane is idle from now on.
func (n *lane) take(maxBytes int) []*piece {
	n.mu.Lock()
	defer n.mu.Unlock()
	count, records, bytes := 0, 0, 0
	for _, p := range n.waiting {
		records += len(p.records)
		bytes += p.bytes
		if count > 0 && (records > maxBatchRecords || bytes > maxBytes) {
			break
		}
		count++
	}
	batch := n.waiting[:count:count]
	n.waiting = n.waiting[count:]
	if len(n.waiting) == 0 {
		n.waiting = nil
	}
	n.busy = count > 0
	return batch
}

func (l *Log) run(n *lane) {
	for {
		batch := n.take(maxBatchBytes)
		if len(batch) == 0 {
			return
		}
		l.deliver(n.laneKey, batch)
	}
}

// deliver sends pieces in as few requests as fit the topic's limit: one, unless a piece is very large.
func (l *Log) deliver(key laneKey, batch []*piece) {
	var all []record
	for _, p := range batch {
		all = append(all, p.records...)
	}
	offsets := make([]int64, 0, len(all)) // of those that are acknowledged
	var err error
	for len(offsets) < len(all) && err == nil {
		rest := all[len(offsets):]
		n := l.fit(key, rest)
		var base int64
		if base, err = l.produce(key, rest[:n]); err == nil {
			for i := range n {
				offsets = append(offsets, base+int64(i))
			}
		}
	}
	for _, p := range batch {
		n := len(p.records)
		if n > len(offsets) {
			p.err, offsets = err, nil
		} else {
			p.offsets, offsets = offsets[:n:n], offsets[n:]
		}
		close(p.done)
	}
}

// fit returns how many records go into one request, at least one.
func (l *Log) fit(key laneKey, records []record) int {
	limit := 0
	if known := l.topics.Load(); known != nil {
		limit = (*known)[key.topic].maxBatch - batchOverhead
	}
	limit = max(limit, maxBatchBytes)
	bytes := 0
	for i := range records {
		bytes += records[i].size()
		if i > 0 && (bytes > limit || i == maxBatchRecords) {
			return i
		}
	}
	return len(records)
}

func (r *record) size() int {
	n := len(r.key) + len(r.value) + 32
	for i := range r.headers {
		n += len(r.headers[i].Key) + len(r.headers[i].Value) + 8
	}
	return n
}

// produce sends one request and returns the offset of its first record. It tries again until the deadline,
// and then opens the breaker. A record may be written twice: Kafka had it, and the answer was lost.
func (l *Log) produce(key laneKey, records []record) (base int64, err error) {
	if why := l.breaker.away(); why != nil {
		return 0, fmt.Errorf("%w: %w", errUnavailable, why) // somebody before us has waited for all
	}
	ctx, cancel := context.WithTimeout(l.ctx, l.cfg.timeout)
	defer cancel()
	for pause := minRetry; ; pause = min(2*pause, maxRetry) {
		client := l.cluster.kafka()
		base, err = produceOnce(ctx, client, key, records)
		switch {
		case err == nil:
			if l.breaker.succeed() {
				l.logger.Info("Kafka takes events again")
			}
			return base, nil
		case l.ctx.Err() != nil:
			return 0, eventlog.ErrClosed
		case errors.Is(err, kafka.MessageSizeTooLarge), errors.Is(err, kafka.RecordListTooLarge):
			return 0, fmt.Errorf("%w: %w", ErrTooLarge, err)
		}
		// Who leads the partition may have changed, or a connection died with its broker.
		l.cluster.renew(client, maxRetry)
		if refusedUs(err) || !l.breaker.closed() || !sleep(ctx, pause) {
			l.trip(err)
			return 0, fmt.Errorf("%w: %w", errUnavailable, err)
		}
	}
}

func produceOnce(ctx context.Context, client *kafka.Client, key laneKey, records []record) (int64, error) {
	all := make([]kafka.Record, len(records))
	for i := range records {
		r := &records[i]
		all[i] = kafka.Record{Key: kafka.NewBytes(r.key), Value: kafka.NewBytes(r.value), Headers: r.headers}
	}
	answer, err := client.Produce(ctx, &kafka.ProduceRequest{
		Topic: key.topic, Partition: int(key.partition), RequiredAcks: requiredAcks, Records: kafka.NewRecordReader(all...),
	})
	if err == nil && answer == nil {
		err = errors.New("no acknowledgement") // acks=none, which we never ask for
	}
	if err == nil {
		err = answer.Error
	}
	if err != nil {
		return 0, err
	}
	return answer.BaseOffset, nil
}

// refusedUs reports that brokers answered, and that asking again soon gives the same answer.
func refusedUs(err error) bool {
	for _, e := range []kafka.Error{
		kafka.TopicAuthorizationFailed, kafka.ClusterAuthorizationFailed, kafka.SASLAuthenticationFailed,
		kafka.UnsupportedSASLMechanism, kafka.InvalidTimestamp, kafka.PolicyViolation, kafka.InvalidRequiredAcks,
	} {
		if errors.Is(err, e) {
			return true
		}
	}
	return false
}
