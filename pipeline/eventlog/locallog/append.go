package locallog

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"sync"

	"github.com/tributary-dicom/tributary/pipeline/event"
	"github.com/tributary-dicom/tributary/pipeline/eventlog"
)

// Limits of one record and of one transaction. Brokers stop at 1 MiB by default, and two inline
// attachments of event.MaxInline stay below that; a record far above it is a bug of its maker. A larger
// transaction would save no fsync worth having and hold more memory.
const (
	maxRecordBytes     = 4 << 20
	maxBatchBytes      = 8 << 20
	maxBatchRecords    = 1024
	maxEventsInOneCall = 100_000
)

// request is one call that waits for the writer: events to append, or a group's offset to commit.
type request struct {
	records  []eventlog.Record
	topics   []*topic // of records
	bytes    int64    // of all records
	walBytes int64    // about what they add to the write-ahead log
	kept     bool     // records own their Data, so that consumers may be given them
	backed   bool     // its transaction need not be synced at once

	group  string // with offset, for records == nil
	topic  *topic
	offset int64

	done chan struct{} // closed when err is final
	err  error
}

// queue is the requests that no commit has taken yet, in order of arrival.
type queue struct {
	mu      sync.Mutex
	pending []*request
	closed  bool
}

func (q *queue) push(r *request) error {
	q.mu.Lock()
	defer q.mu.Unlock()
	if q.closed {
		return eventlog.ErrClosed
	}
	q.pending = append(q.pending, r)
	return nil
}

// take removes the requests of the next transaction.
func (q *queue) take() []*request {
	q.mu.Lock()
	defer q.mu.Unlock()
	n, records, bytes := 0, 0, int64(0)
	for _, r := range q.pending {
		records += len(r.records)
		bytes += r.bytes
		if n > 0 && (records > maxBatchRecords || bytes > maxBatchBytes) {
			break
		}
		n++
	}
	batch := q.pending[:n:n]
	q.pending = q.pending[n:]
	if len(q.pending) == 0 {
		q.pending = nil // batch's array is the commit's now
	}
	return batch
}

// withdraw removes r and reports whether no commit had taken it.
func (q *queue) withdraw(r *request) bool {
	q.mu.Lock()
	defer q.mu.Unlock()
	for i, p := range q.pending {
		if p == r {
			q.pending = append(q.pending[:i:i], q.pending[i+1:]...)
			return true
		}
	}
	return false
}

// close ends push. It reports whether this was the first call.
func (q *queue) close() bool {
	q.mu.Lock()
	defer q.mu.Unlock()
	first := !q.closed
	q.closed = true
	return first
}

// Append makes events durable as eventlog.Log says. Data is copied or written before it returns, so the
// caller may reuse it. Times are kept in UTC. A context that ends while events wait for the writer
// withdraws them; a commit that has begun is awaited.
func (l *Log) Append(ctx context.Context, events ...event.Envelope) ([]eventlog.Position, error) {
	return l.append(ctx, false, events)
}

// AppendBacked makes events durable as eventlog.Log says: within syncDelay, or with the next Append. It
// is otherwise as Append.
func (l *Log) AppendBacked(ctx context.Context, events ...event.Envelope) ([]eventlog.Position, error) {
	return l.append(ctx, true, events)
}

func (l *Log) append(ctx context.Context, backed bool, events []event.Envelope) ([]eventlog.Position, error) {
	if err := ctx.Err(); err != nil {
		return nil, err
	}
	if len(events) == 0 {
		select {
		case <-l.closed:
			return nil, eventlog.ErrClosed
		default:
			return nil, nil
		}
	}
	if len(events) > maxEventsInOneCall {
		return nil, fmt.Errorf("append to event log: %d events in one call", len(events))
	}
	r, err := l.prepare(ctx, events)
	if err != nil {
		return nil, fmt.Errorf("append to event log: %w", err)
	}
	r.backed = backed
	if err := l.submit(ctx, r); err != nil {
		return nil, fmt.Errorf("append to event log: %w", err)
	}
	positions := make([]eventlog.Position, len(r.records))
	for i := range r.records {
		positions[i] = r.records[i].Position
	}
	return positions, nil
}

func (l *Log) prepare(ctx context.Context, events []event.Envelope) (*request, error) {
	r := &request{
		records: make([]eventlog.Record, len(events)),
		topics:  make([]*topic, len(events)),
		done:    make(chan struct{}),
		kept:    true,
	}
	for i, e := range events {
		t, err := l.topic(ctx, e.Topic)
		if err != nil {
			return nil, err
		}
		if e.ID == "" {
			return nil, errors.New("event without id")
		}
		size := len(e.Data) + len(e.Key) + len(e.ID) + len(e.Type) + len(e.Source) + len(e.Subject)
		if size > maxRecordBytes {
			return nil, fmt.Errorf("event of %d bytes is over the limit of %d", size, maxRecordBytes)
		}
		r.bytes += int64(size)
		r.walBytes += int64(size)/pageBytes*pageBytes + 2*pageBytes
		r.topics[i] = t
		if e.Data == nil {
			e.Data = []byte{}
		}
		e.Time = e.Time.Round(0).UTC() // as it will be read from the file
		r.records[i] = eventlog.Record{Position: eventlog.Position{Topic: t.name}, Event: e}
	}
	for i, t := range r.topics {
		// A copy is needed only where somebody listens; who comes later reads the file.
		if t.consumers.Load() == 0 || r.bytes > l.opt.RecentBytes {
			r.kept = false
			break
		}
		r.records[i].Event.Data = append([]byte{}, r.records[i].Event.Data...)
	}
	return r, nil
}

// submit queues r and returns when its commit is done. Whoever gets the turn commits for all who wait
// in the queue, itself included; so a lone caller commits at once in its own goroutine, and many
// callers share transactions of whatever gathered during the last fsync.
func (l *Log) submit(ctx context.Context, r *request) error {
	if err := l.waiting.push(r); err != nil {
		return err
	}
	select {
	case <-r.done:
	case l.turn <- struct{}{}:
		for !isClosed(r.done) {
			l.commit(l.waiting.take())
		}
		l.pass()
	case <-ctx.Done():
		if l.waiting.withdraw(r) {
			return ctx.Err()
		}
		<-r.done // the commit reads the caller's bytes
	case <-l.closed:
		if l.waiting.withdraw(r) {
			return eventlog.ErrClosed
		}
		<-r.done
	}
	return r.err
}

func isClosed(c <-chan struct{}) bool {
	select {
	case <-c:
		return true
	default:
		return false
	}
}

// commit writes a batch in one transaction, shows it to consumers, and ends its requests. The caller
// holds the turn.
func (l *Log) commit(batch []*request) {
	err := l.transact(batch)
	if err != nil {
		// The records may be in the file or not, and so may be found there: the sequence goes on behind
		// them, and consumers look in the file.
		l.failed, l.seq = err, -1
	} else {
		l.failed = nil
		l.publish(batch)
	}
	for _, r := range batch {
		r.err = err
		close(r.done)
	}
}

func (l *Log) transact(batch []*request) (err error) {
	backed := !slices.ContainsFunc(batch, func(r *request) bool { return !r.backed })
	if err := l.setSync(!backed); err != nil {
		return err
	}
	if l.seq < 0 {
		if err := l.recoverSequence(); err != nil {
			return err
		}
	}
	// A single statement is a transaction by itself, and two round trips cheaper.
	if len(batch) > 1 || len(batch[0].records) > 1 {
		if _, err := l.write.begin.Exec(); err != nil {
			return err
		}
		defer func() {
			if err != nil {
				_, _ = l.write.rollback.Exec() // fails when the commit rolled back by itself
			}
		}()
	}
	for _, r := range batch {
		for i := range r.records {
			l.seq++
			r.records[i].Offset = l.seq
			if err := l.write.insert(r.topics[i], &r.records[i]); err != nil {
				return err
			}
		}
		if r.topic != nil {
			if _, err := l.write.offset.Exec(r.group, r.topic.id, r.offset); err != nil {
				return err
			}
		}
	}
	if len(batch) > 1 || len(batch[0].records) > 1 {
		if _, err := l.write.commit.Exec(); err != nil {
			return err
		}
	}
	if backed {
		l.syncSoon()
	}
	return nil
}

// recoverSequence finds the last sequence number after a commit of unknown outcome.
func (l *Log) recoverSequence() error {
	l.mu.Lock()
	topics := make([]*topic, 0, len(l.topics))
	for _, t := range l.topics {
		topics = append(topics, t)
	}
	l.mu.Unlock()
	last := int64(0)
	for _, t := range topics {
		head, err := t.readHead(context.Background())
		if err != nil {
			return err
		}
		t.setHead(head)
		last = max(last, head)
	}
	l.seq = last
	return nil
}

// publish hands committed records to consumers, topic by topic in order.
func (l *Log) publish(batch []*request) {
	var bytes int64
	var touched []*topic
	for _, r := range batch {
		bytes += r.walBytes
		for i := range r.records {
			t := r.topics[i]
			t.add(&r.records[i], r.kept)
			if len(touched) == 0 || touched[len(touched)-1] != t {
				touched = append(touched, t)
			}
		}
	}
	for _, t := range touched {
		t.wake()
	}
	l.grown(bytes)
}
