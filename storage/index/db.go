package index

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"sync/atomic"
	"time"

	"github.com/tributary-dicom/tributary/pipeline/eventlog"
)

// Options of OpenSQLite and OpenPostgres. The zero value is usable.
type Options struct {
	// Attachments opens header and layout documents kept beside a blob. Without it, asking for such a
	// document is an error.
	Attachments Attachments

	// Readers is how many queries may run at once; 0 means DefaultReaders.
	Readers int

	// Writers is how many calls of Apply may run at once in PostgreSQL; 0 means DefaultWriters. SQLite has one.
	Writers int

	// QueryTimeout bounds one statement of a reader in PostgreSQL; 0 means DefaultQueryTimeout.
	QueryTimeout time.Duration

	// Patient opens an index in PostgreSQL although the server is away: calls give ErrUnavailable until it is
	// back, and its schema was made or renewed in the background.
	Patient bool
}

const (
	// DefaultReaders is the number of read-only connections. Each costs a page cache of up to 4 MiB in
	// SQLite, and a process of the server in PostgreSQL.
	DefaultReaders = 4

	// DefaultWriters is the number of writing connections to PostgreSQL.
	DefaultWriters = 2

	// DefaultQueryTimeout is longer than any query that an index serves takes on a busy server. A walk through
	// all studies of a province for a name that nobody has ends here.
	DefaultQueryTimeout = 15 * time.Second
)

// DB is the index. Safe for concurrent use.
type DB struct {
	dialect     dialect
	attachments Attachments
	engine      engine
	counting    string // countSQL in the dialect's form
	anchors     anchors

	skipped   atomic.Int64
	stop      chan struct{} // closed by Close
	closeOnce sync.Once
	closeErr  error
}

// RecordError is the answer of Apply to a record that can never be applied: its body does not decode or
// lacks what identifies it. Nothing of the batch took effect. It unwraps to Err.
type RecordError struct {
	Record eventlog.Record
	Err    error
}

func (e *RecordError) Error() string {
	return fmt.Sprintf("record %s/%d@%d (%s): %v", e.Record.Topic, e.Record.Partition, e.Record.Offset, e.Record.Event.Type, e.Err)
}

func (e *RecordError) Unwrap() error { return e.Err }

// Permanent returns true: no repetition will help.
func (e *RecordError) Permanent() bool { return true }

// ErrClosed is returned by calls after Close.
var ErrClosed = errors.New("index is closed")

// ErrUnavailable is wrapped by every error that says that the index cannot answer for now: the server is
// away, is starting, is another one's standby, or has no connection left. The same call may succeed later.
var ErrUnavailable = errors.New("index is not available")

// ErrTimeout is wrapped by the error of a query that took longer than Options.QueryTimeout. It is an
// ErrUnavailable too: the answer to a peer is the same.
var ErrTimeout = fmt.Errorf("%w: it took too long", ErrUnavailable)

func newDB(d dialect, e engine, opt Options) *DB {
	return &DB{dialect: d, attachments: opt.Attachments, engine: e, counting: d.write(countSQL), stop: make(chan struct{})}
}

// Ready returns nil when the index can answer.
func (db *DB) Ready(ctx context.Context) error {
	const op = "index is not ready"
	rows, err := db.engine.query(ctx, "SELECT MAX(version) FROM schema_version")
	if err != nil {
		return db.failed(ctx, op, err)
	}
	defer rows.Close()
	for rows.Next() {
		var version int64
		if err := rows.Scan(&version); err != nil {
			return db.failed(ctx, op, err)
		}
	}
	if err := rows.Err(); err != nil {
		return db.failed(ctx, op, err)
	}
	return nil
}

// Skipped counts records of unknown types since the index was opened.
func (db *DB) Skipped() int64 { return db.skipped.Load() }

// Close ends background work and closes files and connections. Calls in flight fail.
func (db *DB) Close() error {
	db.closeOnce.Do(func() {
		close(db.stop)
		db.closeErr = db.engine.close()
	})
	return db.closeErr
}

func (db *DB) closed() bool {
	select {
	case <-db.stop:
		return true
	default:
		return false
	}
}

// failed names the operation that an engine's error broke. The engine says "interrupted" where ctx ended.
func (db *DB) failed(ctx context.Context, op string, err error) error {
	if db.closed() {
		return ErrClosed
	}
	if ended := ctx.Err(); ended != nil {
		err = ended
	} else {
		err = db.engine.fault(err)
	}
	return fmt.Errorf("%s: %w", op, err)
}
