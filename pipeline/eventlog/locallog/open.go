package locallog

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"log/slog"
	"net/url"
	"os"
	"path/filepath"
	"strconv"
	"sync"

	_ "modernc.org/sqlite" // the engine

	"github.com/tributary-dicom/tributary/pipeline/eventlog"
)

// ErrInUse is returned by Open when another process, or another Log of this one, has the file.
var ErrInUse = errors.New("event log is in use by another process")

// ErrTaken is returned by Subscribe when the group already has a consumer of the topic: there is one
// partition, and two readers of it would each see everything.
var ErrTaken = errors.New("this group consumes the topic already")

// Options of Open. The zero value is what a node should use.
type Options struct {
	// CheckpointBytes of write-ahead log start a checkpoint; 0 means 16 MiB. Smaller costs more fsyncs
	// of the main file; larger takes more disk and a longer recovery (about 1 s a GiB).
	CheckpointBytes int64

	// RecentBytes bounds the records of one topic that are kept in memory for its consumers; 0 means
	// 8 MiB. A consumer that lags behind them reads the file.
	RecentBytes int64

	// Logger hears of failed checkpoints; nil means nobody.
	Logger *slog.Logger
}

// applicationID marks the file as ours in SQLite's header (PRAGMA application_id): "TRIB".
const applicationID = 0x54524942

// pageBytes is SQLite's page size. Larger pages cost more write-ahead log for each lone append (measured:
// 28 µs of CPU with 4 KiB, 50 µs with 8 KiB, 59 µs with 16 KiB, for 4 KB records, without the fsync).
const pageBytes = 4096

// schemaVersion is kept in PRAGMA user_version. Records tables are made when a topic is first used.
const schemaVersion = 1

const schema = `
CREATE TABLE topics (
	id   INTEGER PRIMARY KEY,
	name TEXT NOT NULL UNIQUE
);
CREATE TABLE offsets ( -- what a group has committed
	grp   TEXT NOT NULL,
	topic INTEGER NOT NULL REFERENCES topics,
	seq   INTEGER NOT NULL,
	PRIMARY KEY (grp, topic)
) WITHOUT ROWID;
CREATE TABLE probe (id INTEGER PRIMARY KEY, n INTEGER NOT NULL); -- written by Ready after a failure
INSERT INTO probe VALUES (1, 0);
`

// Log is an eventlog.Log in one SQLite file. Safe for concurrent use.
type Log struct {
	path  string
	opt   Options
	lock  *os.File
	db    *sql.DB // readers
	ckpt  *sql.DB // checkpoints
	write *writer // used by who holds turn

	turn    chan struct{} // of capacity 1: its holder owns write and seq
	seq     int64         // last sequence number in the file; -1 when it must be read again
	failed  error         // of the last commit
	waiting queue

	lazy *lazySync

	closed     chan struct{}
	checkpoint chan struct{} // of capacity 1: the write-ahead log has grown
	background sync.WaitGroup

	mu     sync.Mutex // guards topics and groups
	topics map[string]*topic
	groups map[groupKey]bool // has a consumer
}

type groupKey struct{ group, topic string }

var _ eventlog.Log = (*Log)(nil)

// Open opens the log at path and makes it when there is none. It owns the file alone until Close:
// ErrInUse when somebody else does.
func Open(ctx context.Context, path string, opt Options) (_ *Log, err error) {
	if opt.CheckpointBytes <= 0 {
		opt.CheckpointBytes = 16 << 20
	}
	if opt.RecentBytes <= 0 {
		opt.RecentBytes = 8 << 20
	}
	if opt.Logger == nil {
		opt.Logger = slog.New(slog.DiscardHandler)
	}
	path, err = filepath.Abs(path)
	if err != nil {
		return nil, fmt.Errorf("open event log: %w", err)
	}
	l := &Log{
		path: path, opt: opt,
		turn: make(chan struct{}, 1), closed: make(chan struct{}), checkpoint: make(chan struct{}, 1),
		topics: map[string]*topic{}, groups: map[groupKey]bool{},
	}
	if l.lock, err = lockFile(path + ".lock"); err != nil {
		return nil, fmt.Errorf("open event log: %w", err)
	}
	defer func() {
		if err != nil {
			_ = l.release() // the first error says why
			err = fmt.Errorf("open event log %s: %w", filepath.Base(path), err)
		}
	}()
	if err := createPrivate(path); err != nil {
		return nil, err
	}
	if l.write, err = openWriter(ctx, dsn(path, writerPragmas)); err != nil {
		return nil, err
	}
	// The file's name must be as durable as the records that will be acknowledged out of it.
	if err := syncFolder(filepath.Dir(path)); err != nil {
		return nil, err
	}
	if l.db, err = sql.Open("sqlite", dsn(path, readerPragmas)); err != nil {
		return nil, err
	}
	if l.ckpt, err = sql.Open("sqlite", dsn(path, checkpointPragmas)); err != nil {
		return nil, err
	}
	l.ckpt.SetMaxOpenConns(1)
	l.db.SetMaxOpenConns(4)
	l.db.SetMaxIdleConns(4)
	if err := l.loadTopics(ctx); err != nil {
		return nil, err
	}
	if err := pregrow(path+"-wal", l.opt.CheckpointBytes+pregrowSlack); err != nil {
		// A full disk, say: appends are slower, or fail for themselves.
		l.opt.Logger.Warn("the write-ahead log could not be grown ahead", slog.String("error", err.Error()))
	}
	if l.lazy, err = openLazySync(path + "-wal"); err != nil {
		return nil, err
	}
	l.background.Go(l.checkpointer)
	l.background.Go(l.syncer)
	return l, nil
}

// createPrivate makes the file when there is none. Records name patients, so nobody else may read it;
// SQLite gives its other files the same mode.
func createPrivate(path string) error {
	f, err := os.OpenFile(path, os.O_RDWR|os.O_CREATE, 0o600)
	if err != nil {
		return err
	}
	return f.Close()
}

// Checkpoints are ours to schedule, so no commit pays for one (wal_autocheckpoint 0). FULL syncs the
// write-ahead log before each commit returns.
var writerPragmas = []string{
	"page_size(" + strconv.Itoa(pageBytes) + ")", "journal_mode(WAL)", "synchronous(FULL)", "wal_autocheckpoint(0)", "busy_timeout(10000)",
	"cache_size(-2048)", "trusted_schema(0)",
}

var readerPragmas = []string{
	"busy_timeout(10000)", "query_only(1)", "wal_autocheckpoint(0)", "cache_size(-1024)", "trusted_schema(0)",
}

var checkpointPragmas = []string{"synchronous(FULL)", "wal_autocheckpoint(0)", "cache_size(-256)"}

func dsn(path string, pragmas []string) string {
	slashed := filepath.ToSlash(path)
	if slashed[0] != '/' { // a drive letter
		slashed = "/" + slashed
	}
	return "file://" + (&url.URL{Path: slashed}).EscapedPath() + "?" + url.Values{"_pragma": pragmas}.Encode()
}

// loadTopics finds the topics and the last sequence number.
func (l *Log) loadTopics(ctx context.Context) error {
	rows, err := l.db.QueryContext(ctx, "SELECT id, name FROM topics ORDER BY id")
	if err != nil {
		return err
	}
	defer func() { _ = rows.Close() }()
	for rows.Next() {
		var id int64
		var name string
		if err := rows.Scan(&id, &name); err != nil {
			return err
		}
		l.topics[name] = newTopic(id, name, l.opt.RecentBytes)
	}
	if err := rows.Err(); err != nil {
		return err
	}
	for _, t := range l.topics {
		if err := t.prepare(ctx, l.db); err != nil {
			return err
		}
		head, err := t.readHead(ctx)
		if err != nil {
			return err
		}
		t.setHead(head)
		l.seq = max(l.seq, head)
	}
	return nil
}

// topic returns the topic of this name, which is made when there is none.
func (l *Log) topic(ctx context.Context, name string) (*topic, error) {
	if t := l.knownTopic(name); t != nil {
		return t, nil
	}
	if !validTopic(name) {
		return nil, fmt.Errorf("bad topic name %q", name)
	}
	if err := l.take(ctx); err != nil {
		return nil, err
	}
	defer l.pass()
	if t := l.knownTopic(name); t != nil {
		return t, nil
	}
	if err := l.setSync(true); err != nil {
		return nil, err
	}
	id, err := l.write.createTopic(name)
	if err != nil {
		return nil, fmt.Errorf("create topic: %w", err)
	}
	t := newTopic(id, name, l.opt.RecentBytes)
	if err := t.prepare(ctx, l.db); err != nil {
		return nil, fmt.Errorf("create topic: %w", err)
	}
	l.mu.Lock()
	l.topics[name] = t
	l.mu.Unlock()
	return t, nil
}

func (l *Log) knownTopic(name string) *topic {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.topics[name]
}

// validTopic holds names to what Kafka accepts too, so that a log can be drained to one.
func validTopic(name string) bool {
	if name == "" || name == "." || name == ".." || len(name) > 249 {
		return false
	}
	for _, c := range []byte(name) {
		if (c < 'a' || c > 'z') && (c < 'A' || c > 'Z') && (c < '0' || c > '9') && c != '.' && c != '_' && c != '-' {
			return false
		}
	}
	return true
}

// take waits for the writer's turn.
func (l *Log) take(ctx context.Context) error {
	select {
	case <-l.closed:
		return eventlog.ErrClosed
	default:
	}
	select {
	case l.turn <- struct{}{}:
		return nil
	case <-l.closed:
		return eventlog.ErrClosed
	case <-ctx.Done():
		return ctx.Err()
	}
}

func (l *Log) pass() { <-l.turn }

// Close ends waiting calls with eventlog.ErrClosed, after the commit that is under way, and closes the
// file.
func (l *Log) Close() error {
	if !l.waiting.close() {
		return nil
	}
	close(l.closed)
	l.turn <- struct{}{} // never passed on
	l.background.Wait()
	return l.release()
}

func (l *Log) release() error {
	var errs []error
	if l.db != nil {
		for _, t := range l.topics {
			t.closeStatements()
		}
		errs = append(errs, l.db.Close())
	}
	if l.ckpt != nil {
		errs = append(errs, l.ckpt.Close())
	}
	if l.write != nil {
		errs = append(errs, l.write.close()) // last, so that it checkpoints
	}
	errs = append(errs, l.lazy.close(), l.lock.Close())
	return errors.Join(errs...)
}

// Ready returns nil when Append can succeed, or why not. After a failed commit it tries a write.
func (l *Log) Ready(ctx context.Context) error {
	if err := l.take(ctx); err != nil {
		return err
	}
	defer l.pass()
	if err := l.lazy.broken(); err != nil {
		return err
	}
	if l.failed == nil {
		return nil
	}
	if err := l.write.tryWrite(); err != nil {
		return fmt.Errorf("event log cannot write: %w", err)
	}
	l.failed = nil
	return nil
}

func tableName(id int64) string { return "records_" + strconv.FormatInt(id, 10) }
