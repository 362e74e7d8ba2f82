package locallog

import (
	"context"
	"database/sql"
	"errors"
	"strconv"
	"sync"
	"sync/atomic"

	"github.com/tributary-dicom/tributary/pipeline/eventlog"
)

// maxRecent bounds the records of one topic in memory beside Options.RecentBytes.
const maxRecent = 1024

// topic is one table, and the newest of its records in memory.
type topic struct {
	id        int64
	name      string
	maxBytes  int64
	consumers atomic.Int32

	forward, backward, last *sql.Stmt // of the readers

	mu      sync.Mutex
	head    int64             // offset of the newest record, 0 for none
	floor   int64             // records with offset > floor are all in ring
	ring    []eventlog.Record // of maxRecent, made when first needed
	first   int               // index in ring of the oldest
	count   int
	bytes   int64         // of Data in ring
	changed chan struct{} // closed by wake when somebody waits; nil when nobody does
}

func newTopic(id int64, name string, maxBytes int64) *topic {
	return &topic{id: id, name: name, maxBytes: maxBytes}
}

func (t *topic) prepare(ctx context.Context, db *sql.DB) (err error) {
	const columns = "SELECT seq, key, id, type, source, subject, time, data FROM "
	table := tableName(t.id)
	if t.forward, err = db.PrepareContext(ctx, columns+table+" WHERE seq > $1 ORDER BY seq LIMIT $2"); err != nil {
		return err
	}
	if t.backward, err = db.PrepareContext(ctx, columns+table+" WHERE seq < $1 ORDER BY seq DESC LIMIT $2"); err != nil {
		return err
	}
	// What Trim removed counts, so that no offset is given twice.
	t.last, err = db.PrepareContext(ctx, "SELECT max(coalesce((SELECT max(seq) FROM "+table+"), 0), "+
		"coalesce((SELECT seq FROM offsets WHERE grp = '"+trimGroup+"' AND topic = "+strconv.FormatInt(t.id, 10)+"), 0))")
	return err
}

func (t *topic) closeStatements() {
	for _, s := range []*sql.Stmt{t.forward, t.backward, t.last} {
		if s != nil {
			_ = s.Close()
		}
	}
}

func (t *topic) readHead(ctx context.Context) (head int64, err error) {
	return head, t.last.QueryRowContext(ctx).Scan(&head)
}

// setHead forgets what is in memory and starts behind head.
func (t *topic) setHead(head int64) {
	t.mu.Lock()
	defer t.mu.Unlock()
	grew := head > t.head
	t.head = head
	t.forget(head)
	if grew {
		t.wakeLocked()
	}
}

// forget empties the ring; consumers up to floor read the file.
func (t *topic) forget(floor int64) {
	clear(t.ring)
	t.first, t.count, t.bytes, t.floor = 0, 0, 0, floor
}

// add takes the next record, which is durable. Unless it is kept, memory starts again behind it.
func (t *topic) add(r *eventlog.Record, kept bool) {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.head = r.Offset
	if !kept || t.consumers.Load() == 0 {
		if t.count > 0 {
			t.forget(r.Offset)
		}
		t.floor = r.Offset
		return
	}
	if t.ring == nil {
		t.ring = make([]eventlog.Record, maxRecent)
	}
	t.bytes += int64(len(r.Event.Data))
	for t.count == maxRecent || t.count > 0 && t.bytes > t.maxBytes {
		oldest := &t.ring[t.first]
		t.floor = oldest.Offset
		t.bytes -= int64(len(oldest.Event.Data))
		*oldest = eventlog.Record{}
		t.first = (t.first + 1) % maxRecent
		t.count--
	}
	t.ring[(t.first+t.count)%maxRecent] = *r
	t.count++
}

// after returns up to most records behind offset from memory, which is complete behind floor: with a
// lower offset the file must be asked. When there is nothing yet, changed is closed as soon as there is.
func (t *topic) after(offset int64, most int) (records []eventlog.Record, floor int64, changed <-chan struct{}) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if offset < t.floor {
		return nil, t.floor, nil
	}
	if offset >= t.head {
		if t.changed == nil {
			t.changed = make(chan struct{})
		}
		return nil, t.floor, t.changed
	}
	low, high := 0, t.count // the first record behind offset
	for low < high {
		if mid := (low + high) / 2; t.ring[(t.first+mid)%maxRecent].Offset > offset {
			high = mid
		} else {
			low = mid + 1
		}
	}
	records = make([]eventlog.Record, min(most, t.count-low))
	for i := range records {
		records[i] = t.ring[(t.first+low+i)%maxRecent]
	}
	return records, t.floor, nil
}

func (t *topic) wake() {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.wakeLocked()
}

func (t *topic) wakeLocked() {
	if t.changed != nil {
		close(t.changed)
		t.changed = nil
	}
}

// maxFetchBytes bounds what one read of the file returns, whatever its count: consumers hold one batch.
const maxFetchBytes = 16 << 20

// read returns records from the file by a statement of prepare.
func (t *topic) read(ctx context.Context, stmt *sql.Stmt, from int64, most int) (records []eventlog.Record, err error) {
	rows, err := stmt.QueryContext(ctx, from, most)
	if err != nil {
		return nil, err
	}
	defer func() { err = errors.Join(err, rows.Close()) }()
	bytes := 0
	for bytes < maxFetchBytes && rows.Next() {
		r := eventlog.Record{Position: eventlog.Position{Topic: t.name}}
		e := &r.Event
		var at string
		if err := rows.Scan(&r.Offset, &e.Key, &e.ID, &e.Type, &e.Source, &e.Subject, &at, &e.Data); err != nil {
			return nil, err
		}
		if e.Data == nil {
			e.Data = []byte{}
		}
		if e.Time, err = parseTime(at); err != nil {
			return nil, err
		}
		e.Topic = t.name
		bytes += len(e.Data)
		records = append(records, r)
	}
	return records, rows.Err()
}
