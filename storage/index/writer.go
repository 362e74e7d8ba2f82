package index

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
)

// maxRemembered bounds the study and series rows kept in memory between batches, each about 300 bytes
// without attributes. Instances of a study come together, so that a few would do.
const maxRemembered = 8192

// writer is SQLite's one connection that writes, with what it knows of rows it wrote. What it remembers is
// right because no one else writes; after any error it forgets everything.
type writer struct {
	conn    *sql.Conn
	dialect dialect
	stmts   map[string]*sql.Stmt

	memory
	last map[*table]int64 // highest ids; absent means unknown
}

// memory is study and series rows as the tables have them, or will have them when a batch is flushed.
type memory struct {
	studies  map[studyKey]*studyRow
	series   map[seriesKey]*seriesRow
	complete map[studyKey]*completeness
}

func newMemory() memory {
	return memory{make(map[studyKey]*studyRow), make(map[seriesKey]*seriesRow), make(map[studyKey]*completeness)}
}

func newWriter(ctx context.Context, pool *sql.DB, d dialect) (*writer, error) {
	conn, err := pool.Conn(ctx)
	if err != nil {
		return nil, err
	}
	if err := migrateSQLite(ctx, conn, d); err != nil {
		conn.Close() //nolint:errcheck // the first error counts
		return nil, err
	}
	w := &writer{conn: conn, dialect: d, stmts: make(map[string]*sql.Stmt)}
	w.forget()
	return w, nil
}

// forget drops what memory says of rows.
func (w *writer) forget() {
	w.memory, w.last = newMemory(), make(map[*table]int64)
}

// trim keeps memory bounded between batches.
func (w *writer) trim() {
	if len(w.studies)+len(w.series) > maxRemembered {
		clear(w.studies)
		clear(w.series)
	}
	if len(w.complete) > maxRemembered {
		clear(w.complete)
	}
}

func (w *writer) close() error {
	for _, s := range w.stmts {
		s.Close() //nolint:errcheck // the connection closes next
	}
	return w.conn.Close()
}

// apply makes changes in one transaction.
func (w *writer) apply(ctx context.Context, changes []*change) error {
	if len(changes) == 0 {
		return nil
	}
	return w.transact(func() error { return applyTo(ctx, w, w.memory, w.dialect, changes) })
}

// transact runs work in a transaction. After an error nothing of it is left, in the file or in memory.
func (w *writer) transact(work func() error) (err error) {
	if err := w.exec(w.dialect.begin); err != nil {
		return err
	}
	defer func() {
		if err != nil {
			w.forget()
			if rollback := w.exec("ROLLBACK"); rollback != nil {
				err = errors.Join(err, fmt.Errorf("roll back: %w", rollback))
			}
		}
	}()
	if err := work(); err != nil {
		return err
	}
	if err := w.exec("COMMIT"); err != nil {
		return err
	}
	w.trim()
	return nil
}

// stmt prepares a statement once. There are some thirty, none made of outside text. Contexts are not
// passed down: the driver would start a goroutine for each statement; apply looks at its own in between.
func (w *writer) stmt(text string) (*sql.Stmt, error) {
	if s, ok := w.stmts[text]; ok {
		return s, nil
	}
	s, err := w.conn.PrepareContext(context.Background(), w.dialect.write(text))
	if err != nil {
		return nil, fmt.Errorf("prepare: %w", err)
	}
	w.stmts[text] = s
	return s, nil
}

func (w *writer) exec(text string, args ...any) error {
	s, err := w.stmt(text)
	if err != nil {
		return err
	}
	_, err = s.ExecContext(context.Background(), args...)
	return err
}

func (w *writer) insert(t *table, row []any) error { return w.exec(t.insert, row...) }

func (w *writer) each(fn func(scan scanner) error, text string, args ...any) error {
	s, err := w.stmt(text)
	if err != nil {
		return err
	}
	rows, err := s.QueryContext(context.Background(), args...)
	if err != nil {
		return err
	}
	defer rows.Close()
	for rows.Next() {
		if err := fn(rows.Scan); err != nil {
			return err
		}
	}
	return rows.Err()
}

func (w *writer) newID(t *table) (int64, error) {
	last, ok := w.last[t]
	if !ok {
		err := w.each(func(scan scanner) error { return scan(&last) }, "SELECT COALESCE(MAX(id), 0) FROM "+t.name)
		if err != nil {
			return 0, err
		}
	}
	w.last[t] = last + 1
	return last + 1, nil
}

func (w *writer) claim([]*change) error { return nil } // there is no other writer

func (w *writer) alone() error { return nil }
