package index

import (
	"context"
	"database/sql"
	"database/sql/driver"
	"errors"
	"fmt"
	"net/url"
	"os"
	"path/filepath"
	"regexp"
	"sync"
	"sync/atomic"
	"time"

	"modernc.org/sqlite"

	"github.com/tributary-dicom/tributary/pipeline/eventlog"
)

// Options of OpenSQLite. The zero value is usable.
type Options struct {
	// Attachments opens header and layout documents kept beside a blob. Without it, asking for such a
	// document is an error.
	Attachments Attachments

	// Readers is how many queries may run at once; 0 means DefaultReaders.
	Readers int
}

// DefaultReaders is the number of read-only connections. Each costs a page cache of up to 4 MiB.
const DefaultReaders = 4

// DB is the index. Safe for concurrent use; calls of Apply wait for one another.
type DB struct {
	dialect     dialect
	attachments Attachments
	path        string

	readers  *sql.DB
	plans    statements
	counting string // countSQL in the dialect's form

	writing sync.Mutex // held by Apply and by a checkpoint that must wait for writers
	writers *sql.DB
	writer  *writer
	sweeper *sql.DB // moves the write-ahead log into the file

	skipped   atomic.Int64
	committed atomic.Int64 // transactions since the file was opened
	stop      chan struct{}
	stopped   sync.WaitGroup
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

// ErrDamaged is returned by OpenSQLite for a file that is no data base or not a whole one. The index is a
// view: a new one can be made from the log.
var ErrDamaged = errors.New("index file is damaged")

// damage marks what SQLite says of a broken file (sqlite.org/rescode.html).
func damage(err error) error {
	const corrupt, notADatabase = 11, 26
	var e *sqlite.Error
	if errors.As(err, &e) && (e.Code()&0xFF == corrupt || e.Code()&0xFF == notADatabase) {
		return fmt.Errorf("%w: %w", ErrDamaged, err)
	}
	return err
}

// OpenSQLite opens or creates the index in the file at path, whose folder must exist. One process may
// write it at a time. A file of a newer schema is refused.
func OpenSQLite(ctx context.Context, path string, opt Options) (*DB, error) {
	if opt.Readers <= 0 {
		opt.Readers = DefaultReaders
	}
	path, err := filepath.Abs(path)
	if err != nil {
		return nil, fmt.Errorf("open index: %w", err)
	}
	driver, err := newDriver()
	if err != nil {
		return nil, fmt.Errorf("open index: %w", err)
	}
	db := &DB{
		dialect: sqliteDialect, attachments: opt.Attachments, path: path, stop: make(chan struct{}),
		// The view can be rebuilt and carries its own offsets: NORMAL may lose the last transactions at a
		// power cut, never part of one. Checkpoints run beside the writer, not in its commits.
		writers: open(driver, path, "busy_timeout(10000)", "journal_mode(WAL)", "synchronous(NORMAL)",
			"wal_autocheckpoint(0)", "cache_size(-16384)", "temp_store(MEMORY)"),
		// A checkpoint that waits holds up the writer; it rather comes again.
		sweeper: open(driver, path, "busy_timeout(100)", "synchronous(NORMAL)"),
		readers: open(driver, path, "busy_timeout(10000)", "query_only(1)", "cache_size(-4096)", "temp_store(MEMORY)"),
	}
	db.plans.db, db.counting = db.readers, db.dialect.write(countSQL)
	db.writers.SetMaxOpenConns(1)
	db.sweeper.SetMaxOpenConns(1)
	db.readers.SetMaxOpenConns(opt.Readers)
	db.readers.SetMaxIdleConns(opt.Readers)
	if db.writer, err = newWriter(ctx, db.writers, db.dialect); err != nil {
		return nil, errors.Join(fmt.Errorf("open index: %w", damage(err)), db.writers.Close(), db.sweeper.Close(), db.readers.Close())
	}
	db.stopped.Go(db.checkpoints)
	return db, nil
}

// newDriver returns a driver of our own, so that the function behind REGEXP reaches no other package.
func newDriver() (*sqlite.Driver, error) {
	var compiled sync.Map // pattern → *regexp.Regexp
	var many atomic.Int32
	d := new(sqlite.Driver)
	err := d.RegisterDeterministicScalarFunction("regexp", 2,
		func(_ *sqlite.FunctionContext, args []driver.Value) (driver.Value, error) {
			pattern, _ := args[0].(string)
			text, _ := args[1].(string)
			re, ok := compiled.Load(pattern)
			if !ok {
				fresh, err := regexp.Compile(pattern)
				if err != nil {
					return nil, err
				}
				if many.Add(1) > 256 { // patterns come from outside
					compiled.Clear()
					many.Store(0)
				}
				compiled.Store(pattern, fresh)
				re = fresh
			}
			return re.(*regexp.Regexp).MatchString(text), nil
		})
	return d, err
}

type connector struct {
	driver *sqlite.Driver
	dsn    string
}

func (c connector) Connect(ctx context.Context) (driver.Conn, error) {
	if err := ctx.Err(); err != nil {
		return nil, err
	}
	return c.driver.Open(c.dsn)
}

func (c connector) Driver() driver.Driver { return c.driver }

func open(d *sqlite.Driver, path string, pragmas ...string) *sql.DB {
	dsn := url.URL{Scheme: "file", Path: path, RawQuery: url.Values{"_pragma": pragmas}.Encode()}
	return sql.OpenDB(connector{d, dsn.String()})
}

const (
	// checkpointEvery is how often pages are moved. Each time syncs two files, and syncs of the log and of
	// blobs wait behind them; pages that changed often in between are written once.
	checkpointEvery = 10 * time.Second
	// maxWAL is how long the write-ahead log may grow, bytes, before a checkpoint holds up the writer:
	// readers look at the log before the file, so a long one slows every query.
	maxWAL = 64 << 20
)

// checkpoints moves committed pages into the file beside the writer.
func (db *DB) checkpoints() {
	tick := time.NewTicker(checkpointEvery)
	defer tick.Stop()
	done := int64(0)
	for {
		select {
		case <-db.stop:
			return
		case <-tick.C:
		}
		now := db.committed.Load()
		if now == done {
			continue
		}
		how := "PASSIVE"
		if info, err := os.Stat(db.path + "-wal"); err == nil && info.Size() > maxWAL {
			how = "TRUNCATE"
		}
		if db.checkpoint(how) == nil {
			done = now
		}
	}
}

// checkpoint moves what no reader needs any more; the next one moves the rest.
func (db *DB) checkpoint(how string) error {
	if how != "PASSIVE" {
		db.writing.Lock()
		defer db.writing.Unlock()
	}
	_, err := db.sweeper.ExecContext(context.Background(), "PRAGMA wal_checkpoint("+how+")")
	return err
}

// Ready returns nil when the index can answer.
func (db *DB) Ready(ctx context.Context) error {
	var version int
	if err := db.readers.QueryRowContext(ctx, "SELECT MAX(version) FROM schema_version").Scan(&version); err != nil {
		return db.failed(ctx, "index is not ready", err)
	}
	return nil
}

// Skipped counts records of unknown types since the index was opened.
func (db *DB) Skipped() int64 { return db.skipped.Load() }

// Close ends background work and closes the files. Calls in flight fail.
func (db *DB) Close() error {
	db.closeOnce.Do(func() {
		close(db.stop)
		db.stopped.Wait()
		db.writing.Lock()
		defer db.writing.Unlock()
		err := db.writer.close()
		db.plans.close()
		db.closeErr = errors.Join(err, db.readers.Close(), db.sweeper.Close(), db.writers.Close())
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
	}
	return fmt.Errorf("%s: %w", op, err)
}
