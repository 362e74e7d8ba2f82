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
)

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

// sqliteEngine is a file, with one writer.
type sqliteEngine struct {
	path    string
	readers *sql.DB
	plans   statements

	writing sync.Mutex // held by apply and by a checkpoint that must wait for writers
	writers *sql.DB
	writer  *writer
	sweeper *sql.DB // moves the write-ahead log into the file

	committed atomic.Int64 // transactions since the file was opened
	stop      chan struct{}
	stopped   sync.WaitGroup
}

// OpenSQLite opens or creates the index in the file at path, whose folder must exist. One process may
// write it at a time; its calls of Apply wait for one another. A file of a newer schema is refused.
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
	e := &sqliteEngine{
		path: path, stop: make(chan struct{}),
		// The view can be rebuilt and carries its own offsets: NORMAL may lose the last transactions at a
		// power cut, never part of one. Checkpoints run beside the writer, not in its commits.
		writers: open(driver, path, "busy_timeout(10000)", "journal_mode(WAL)", "synchronous(NORMAL)",
			"wal_autocheckpoint(0)", "cache_size(-16384)", "temp_store(MEMORY)"),
		// A checkpoint that waits holds up the writer; it rather comes again.
		sweeper: open(driver, path, "busy_timeout(100)", "synchronous(NORMAL)"),
		readers: open(driver, path, "busy_timeout(10000)", "query_only(1)", "cache_size(-4096)", "temp_store(MEMORY)"),
	}
	e.plans.db = e.readers
	e.writers.SetMaxOpenConns(1)
	e.sweeper.SetMaxOpenConns(1)
	e.readers.SetMaxOpenConns(opt.Readers)
	e.readers.SetMaxIdleConns(opt.Readers)
	if e.writer, err = newWriter(ctx, e.writers, sqliteDialect); err != nil {
		return nil, errors.Join(fmt.Errorf("open index: %w", damage(err)), e.writers.Close(), e.sweeper.Close(), e.readers.Close())
	}
	e.stopped.Go(e.checkpoints)
	return newDB(sqliteDialect, e, opt), nil
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

func (e *sqliteEngine) query(ctx context.Context, text string, args ...any) (rows, error) {
	found, err := e.plans.query(ctx, text, args...)
	if err != nil {
		return nil, err
	}
	return found, nil
}

func (e *sqliteEngine) snapshot(ctx context.Context, read func(query func(text string) (rows, error)) error) error {
	tx, err := e.readers.BeginTx(ctx, nil)
	if err != nil {
		return err
	}
	defer tx.Rollback() //nolint:errcheck // nothing was written
	return read(func(text string) (rows, error) {
		found, err := tx.QueryContext(ctx, text)
		if err != nil {
			return nil, err
		}
		return found, nil //nolint:rowserrcheck // the caller looks
	})
}

func (e *sqliteEngine) apply(ctx context.Context, changes []*change) error {
	return e.write(ctx, func() error { return e.writer.apply(ctx, changes) })
}

func (e *sqliteEngine) transact(ctx context.Context, work func(s session) error) error {
	return e.write(ctx, func() error { return e.writer.transact(func() error { return work(e.writer) }) })
}

// write runs do while nobody else writes.
func (e *sqliteEngine) write(ctx context.Context, do func() error) error {
	e.writing.Lock()
	defer e.writing.Unlock()
	select {
	case <-e.stop:
		return ErrClosed
	default:
	}
	if err := ctx.Err(); err != nil {
		return err
	}
	if err := do(); err != nil {
		return err
	}
	e.committed.Add(1)
	return nil
}

func (e *sqliteEngine) fault(err error) error { return err }

func (e *sqliteEngine) close() error {
	close(e.stop)
	e.stopped.Wait()
	e.writing.Lock()
	defer e.writing.Unlock()
	err := e.writer.close()
	e.plans.close()
	return errors.Join(err, e.readers.Close(), e.sweeper.Close(), e.writers.Close())
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
func (e *sqliteEngine) checkpoints() {
	tick := time.NewTicker(checkpointEvery)
	defer tick.Stop()
	done := int64(0)
	for {
		select {
		case <-e.stop:
			return
		case <-tick.C:
		}
		now := e.committed.Load()
		if now == done {
			continue
		}
		how := "PASSIVE"
		if info, err := os.Stat(e.path + "-wal"); err == nil && info.Size() > maxWAL {
			how = "TRUNCATE"
		}
		if e.checkpoint(how) == nil {
			done = now
		}
	}
}

// checkpoint moves what no reader needs any more; the next one moves the rest.
func (e *sqliteEngine) checkpoint(how string) error {
	if how != "PASSIVE" {
		e.writing.Lock()
		defer e.writing.Unlock()
	}
	_, err := e.sweeper.ExecContext(context.Background(), "PRAGMA wal_checkpoint("+how+")")
	return err
}
