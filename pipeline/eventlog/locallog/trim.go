package locallog

import (
	"context"
	"database/sql"
	"fmt"

	"github.com/tributary-dicom/tributary/pipeline/eventlog"
)

// trimGroup is the row of the table offsets that remembers how far a topic was trimmed, so that no offset is
// given twice. No group has this name: Subscribe refuses it.
const trimGroup = ""

// Trim removes the records of a topic up to and including an offset: a spool's, once they are where they
// belong. It becomes durable with the next sync; until then a power cut may bring them back. Offsets are
// not given again. The file keeps its size, and uses the room for what comes.
func (l *Log) Trim(ctx context.Context, name string, upTo int64) error {
	t := l.knownTopic(name)
	if isClosed(l.closed) {
		return eventlog.ErrClosed
	}
	if t == nil || upTo <= 0 {
		return nil
	}
	if err := l.take(ctx); err != nil {
		return err
	}
	defer l.pass()
	if head := l.Head(name).Offset; upTo > head {
		return fmt.Errorf("trim event log: offset %d is behind the newest, %d", upTo, head)
	}
	if err := l.setSync(false); err != nil {
		return fmt.Errorf("trim event log: %w", err)
	}
	rows, err := l.write.trim(t, upTo)
	if err != nil {
		l.failed, l.seq = err, -1 // as after any commit of unknown outcome
		return fmt.Errorf("trim event log: %w", err)
	}
	l.syncSoon()
	l.grown(pageBytes + rows*trimmedBytes)
	return nil
}

// trimmedBytes is about what a removed record adds to the write-ahead log: its share of a page.
const trimmedBytes = 512

func (w *writer) trim(t *topic, upTo int64) (rows int64, err error) {
	ctx := context.Background() // a commit that has begun is not broken off
	if _, err := w.begin.Exec(); err != nil {
		return 0, err
	}
	defer func() {
		if err != nil {
			_, _ = w.rollback.Exec() // fails when the commit rolled back by itself
		}
	}()
	gone, err := w.conn.ExecContext(ctx, "DELETE FROM "+tableName(t.id)+" WHERE seq <= $1", upTo)
	if err != nil {
		return 0, err
	}
	if _, err := w.offset.Exec(trimGroup, t.id, upTo); err != nil {
		return 0, err
	}
	if _, err = w.commit.Exec(); err != nil {
		return 0, err
	}
	return gone.RowsAffected()
}

// Usage returns how many records a topic has, and the bytes of their key, id, type, source, subject and data.
func (l *Log) Usage(ctx context.Context, name string) (records, bytes int64, err error) {
	t := l.knownTopic(name)
	if isClosed(l.closed) {
		return 0, 0, eventlog.ErrClosed
	}
	if t == nil {
		return 0, 0, nil
	}
	var sum sql.NullInt64
	err = l.db.QueryRowContext(ctx, "SELECT count(*), sum(length(CAST(key AS BLOB)) + length(id) + length(type) + "+
		"length(CAST(source AS BLOB)) + length(CAST(subject AS BLOB)) + length(data)) FROM "+tableName(t.id)).Scan(&records, &sum)
	if err != nil {
		return 0, 0, l.orClosed(fmt.Errorf("read event log: %w", err))
	}
	return records, sum.Int64, nil
}
