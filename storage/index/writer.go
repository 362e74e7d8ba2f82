package index

import (
	"context"
	"database/sql"
	"fmt"
)

// maxRemembered bounds the study and series rows kept in memory between batches, each about 300 bytes
// without attributes. Instances of a study come together, so that a few would do.
const maxRemembered = 8192

// writer is the one connection that writes, with what it knows of rows it wrote. What it remembers is
// right because no one else writes; after any error it forgets everything.
type writer struct {
	conn    *sql.Conn
	dialect dialect
	stmts   map[string]*sql.Stmt

	studies map[studyKey]*studyRow
	series  map[seriesKey]*seriesRow
	next    struct{ study, series, instance int64 } // ids; 0 means unknown
}

func newWriter(ctx context.Context, pool *sql.DB, d dialect) (*writer, error) {
	conn, err := pool.Conn(ctx)
	if err != nil {
		return nil, err
	}
	if err := migrate(ctx, conn, d); err != nil {
		conn.Close() //nolint:errcheck // the first error counts
		return nil, err
	}
	w := &writer{conn: conn, dialect: d, stmts: make(map[string]*sql.Stmt)}
	w.forget()
	return w, nil
}

// forget drops what memory says of rows.
func (w *writer) forget() {
	w.studies, w.series = make(map[studyKey]*studyRow), make(map[seriesKey]*seriesRow)
	w.next.study, w.next.series, w.next.instance = 0, 0, 0
}

// trim keeps memory bounded between batches.
func (w *writer) trim() {
	if len(w.studies)+len(w.series) > maxRemembered {
		clear(w.studies)
		clear(w.series)
	}
}

func (w *writer) close() error {
	for _, s := range w.stmts {
		s.Close() //nolint:errcheck // the connection closes next
	}
	return w.conn.Close()
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

// exec runs a statement whose parameters occur once each and in order.
func (w *writer) exec(text string, args ...any) error {
	s, err := w.stmt(text)
	if err != nil {
		return err
	}
	_, err = s.ExecContext(context.Background(), args...)
	return err
}

type scanner = func(dest ...any) error

// each calls fn for each row of a query.
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

// nextID returns a fresh id of a table; known is the writer's memory of it.
func (w *writer) nextID(known *int64, table string) (int64, error) {
	if *known == 0 {
		err := w.each(func(scan scanner) error { return scan(known) }, "SELECT COALESCE(MAX(id), 0) FROM "+table)
		if err != nil {
			return 0, err
		}
	}
	*known++
	return *known, nil
}
