package audit

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"net/url"
	"os"
	"path/filepath"
	"strings"

	_ "modernc.org/sqlite" // sorts and joins what does not fit into memory
)

// scratch is a file for data that is only needed while the process runs. Not safe for concurrent use.
type scratch struct {
	dir     string
	db      *sql.DB
	tx      *sql.Tx
	stmts   map[string]*sql.Stmt // of tx
	pending int
}

// scratchBatch is how many rows share a transaction.
const scratchBatch = 20000

func openScratch(ctx context.Context, parent, schema string) (_ *scratch, err error) {
	dir, err := os.MkdirTemp(parent, "tributary-scratch-")
	if err != nil {
		return nil, fmt.Errorf("make the scratch file: %w", err)
	}
	if dir, err = filepath.Abs(dir); err != nil { // the first folder of a relative path would be a URL's host
		return nil, fmt.Errorf("make the scratch file: %w", err)
	}
	s := &scratch{dir: dir}
	defer func() {
		if err != nil {
			err = errors.Join(fmt.Errorf("make the scratch file: %w", err), s.close())
		}
	}()
	// Nothing in it outlives the process, so it needs neither journal nor sync. Sorting spills to files of
	// SQLite in the system's folder.
	dsn := url.URL{Scheme: "file", Path: filepath.Join(dir, "scratch.db"), RawQuery: url.Values{"_pragma": {
		"journal_mode(OFF)", "synchronous(OFF)", "locking_mode(EXCLUSIVE)", "cache_size(-16384)", "temp_store(FILE)", "page_size(8192)",
	}}.Encode()}
	if s.db, err = sql.Open("sqlite", dsn.String()); err != nil {
		return nil, err
	}
	s.db.SetMaxOpenConns(1)
	if _, err = s.db.ExecContext(ctx, schema); err != nil {
		return nil, err
	}
	return s, nil
}

// insert adds a row; flush makes it visible to queries.
func (s *scratch) insert(ctx context.Context, statement string, args ...any) (err error) {
	if s.tx == nil {
		// Not bound to ctx, whose end would roll back under our feet.
		if s.tx, err = s.db.BeginTx(context.WithoutCancel(ctx), nil); err != nil {
			return fmt.Errorf("scratch file: %w", err)
		}
		s.stmts = map[string]*sql.Stmt{}
	}
	stmt := s.stmts[statement]
	if stmt == nil {
		if stmt, err = s.tx.PrepareContext(context.WithoutCancel(ctx), statement); err != nil {
			return fmt.Errorf("scratch file: %w", err)
		}
		s.stmts[statement] = stmt
	}
	if _, err = stmt.ExecContext(context.WithoutCancel(ctx), args...); err != nil {
		return fmt.Errorf("scratch file: %w", err)
	}
	if s.pending++; s.pending >= scratchBatch {
		return s.flush()
	}
	return ctx.Err()
}

func (s *scratch) flush() error {
	if s.tx == nil {
		return nil
	}
	tx := s.tx
	s.tx, s.stmts, s.pending = nil, nil, 0
	if err := tx.Commit(); err != nil {
		return fmt.Errorf("scratch file: %w", err)
	}
	return nil
}

// run executes statements, one after another.
func (s *scratch) run(ctx context.Context, statements ...string) error {
	if err := s.flush(); err != nil {
		return err
	}
	for _, text := range statements {
		if _, err := s.db.ExecContext(ctx, text); err != nil {
			return fmt.Errorf("scratch file: %w", err)
		}
	}
	return nil
}

// page is how many rows of a query are held in memory.
const page = 1000

// each calls fn for the rows of a query that orders by its first column, an integer, and bounds it by
// "> ?" and its rows by "LIMIT ?" as the first and the last parameter. fn may use the scratch file.
func each[R any](ctx context.Context, s *scratch, query string, scan func(*sql.Rows, *int64, *R) error, fn func(R) error) error {
	if err := s.flush(); err != nil {
		return err
	}
	after := int64(-1)
	for {
		rows, err := s.db.QueryContext(ctx, query, after, page)
		if err != nil {
			return fmt.Errorf("scratch file: %w", err)
		}
		some := make([]R, 0, page)
		for rows.Next() && err == nil {
			var r R
			err = scan(rows, &after, &r)
			some = append(some, r)
		}
		if err = errors.Join(err, rows.Err(), rows.Close()); err != nil {
			return fmt.Errorf("scratch file: %w", err)
		}
		for _, r := range some {
			if err := fn(r); err != nil {
				return err
			}
		}
		if len(some) < page {
			return nil
		}
	}
}

// count returns the number that a query asks for.
func (s *scratch) count(ctx context.Context, query string, args ...any) (n int64, err error) {
	if err := s.flush(); err != nil {
		return 0, err
	}
	if err := s.db.QueryRowContext(ctx, query, args...).Scan(&n); err != nil {
		return 0, fmt.Errorf("scratch file: %w", err)
	}
	return n, nil
}

func (s *scratch) close() error {
	var errs []error
	if s.tx != nil {
		errs = append(errs, s.tx.Rollback())
	}
	if s.db != nil {
		errs = append(errs, s.db.Close())
	}
	return errors.Join(append(errs, os.RemoveAll(s.dir))...)
}

// Keys is a set of blob keys in a scratch file. Not safe for concurrent use.
type Keys struct{ file *scratch }

// NewKeys returns an empty set in a temporary file in a folder, "" for the system's.
func NewKeys(ctx context.Context, dir string) (*Keys, error) {
	file, err := openScratch(ctx, dir, "CREATE TABLE keys (key TEXT PRIMARY KEY) WITHOUT ROWID")
	if err != nil {
		return nil, err
	}
	return &Keys{file}, nil
}

// Add adds keys; those that are there already change nothing.
func (k *Keys) Add(ctx context.Context, keys ...string) error {
	for _, key := range keys {
		if err := k.file.insert(ctx, "INSERT OR IGNORE INTO keys (key) VALUES (?)", strings.Clone(key)); err != nil {
			return err
		}
	}
	return nil
}

// Has tells whether a key was added.
func (k *Keys) Has(ctx context.Context, key string) (bool, error) {
	n, err := k.file.count(ctx, "SELECT COUNT(*) FROM keys WHERE key = ?", key)
	return n > 0, err
}

// Close removes the file.
func (k *Keys) Close() error { return k.file.close() }
