package locallog

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"time"

	"github.com/tributary-dicom/tributary/pipeline/eventlog"
)

// writer is the only connection that writes. Its statements are prepared once, and run without a
// context: a commit that has begun is not broken off.
type writer struct {
	db   *sql.DB
	conn *sql.Conn

	begin, commit, rollback, offset, probe *sql.Stmt
	inserts                                map[int64]*sql.Stmt // by topic

	sinceCheckpoint int64 // bytes appended
}

func openWriter(ctx context.Context, dsn string) (_ *writer, err error) {
	w := &writer{inserts: map[int64]*sql.Stmt{}}
	if w.db, err = sql.Open("sqlite", dsn); err != nil {
		return nil, err
	}
	defer func() {
		if err != nil {
			_ = w.close()
		}
	}()
	w.db.SetMaxOpenConns(1)
	if w.conn, err = w.db.Conn(ctx); err != nil {
		return nil, err
	}
	if err := w.migrate(ctx); err != nil {
		return nil, err
	}
	for _, p := range []struct {
		stmt **sql.Stmt
		text string
	}{
		{&w.begin, "BEGIN IMMEDIATE"},
		{&w.commit, "COMMIT"},
		{&w.rollback, "ROLLBACK"},
		{&w.offset, "INSERT INTO offsets (grp, topic, seq) VALUES ($1, $2, $3) " +
			"ON CONFLICT DO UPDATE SET seq = excluded.seq WHERE excluded.seq > seq"},
		{&w.probe, "UPDATE probe SET n = n + 1 WHERE id = 1"},
	} {
		if *p.stmt, err = w.conn.PrepareContext(ctx, p.text); err != nil {
			return nil, err
		}
	}
	return w, nil
}

// migrate makes the schema in an empty file, and refuses files that are not ours or newer than us.
func (w *writer) migrate(ctx context.Context) error {
	var id, version, tables int
	for _, q := range []struct {
		text string
		into *int
	}{
		{"PRAGMA application_id", &id},
		{"PRAGMA user_version", &version},
		{"SELECT count(*) FROM sqlite_schema", &tables},
	} {
		if err := w.conn.QueryRowContext(ctx, q.text).Scan(q.into); err != nil {
			return err
		}
	}
	switch {
	case id == applicationID && version == schemaVersion:
		return nil
	case id == applicationID:
		return fmt.Errorf("schema version %d is not known to this release (it knows %d)", version, schemaVersion)
	case id != 0 || version != 0 || tables != 0:
		return errors.New("not an event log")
	}
	_, err := w.conn.ExecContext(ctx, fmt.Sprintf("BEGIN IMMEDIATE;%s;PRAGMA application_id = %d;PRAGMA user_version = %d;COMMIT",
		schema, applicationID, schemaVersion))
	return err
}

// createTopic adds a topic and its table, durably.
func (w *writer) createTopic(name string) (id int64, err error) {
	ctx := context.Background()
	tx, err := w.conn.BeginTx(ctx, nil)
	if err != nil {
		return 0, err
	}
	defer func() {
		if err != nil {
			_ = tx.Rollback()
		}
	}()
	res, err := tx.ExecContext(ctx, "INSERT INTO topics (name) VALUES ($1)", name)
	if err != nil {
		return 0, err
	}
	if id, err = res.LastInsertId(); err != nil {
		return 0, err
	}
	_, err = tx.ExecContext(ctx, `CREATE TABLE `+tableName(id)+` (
		seq     INTEGER PRIMARY KEY,
		key     TEXT NOT NULL,
		id      TEXT NOT NULL,
		type    TEXT NOT NULL,
		source  TEXT NOT NULL,
		subject TEXT NOT NULL,
		time    TEXT NOT NULL, -- RFC 3339, UTC; '' for none
		data    BLOB NOT NULL
	)`)
	if err != nil {
		return 0, err
	}
	return id, tx.Commit()
}

// insert writes records of one request with the sequence numbers they carry.
func (w *writer) insert(t *topic, r *eventlog.Record) error {
	stmt := w.inserts[t.id]
	if stmt == nil {
		var err error
		stmt, err = w.conn.PrepareContext(context.Background(),
			"INSERT INTO "+tableName(t.id)+" VALUES ($1, $2, $3, $4, $5, $6, $7, $8)")
		if err != nil {
			return err
		}
		w.inserts[t.id] = stmt
	}
	e := &r.Event
	_, err := stmt.Exec(r.Offset, e.Key, e.ID, e.Type, e.Source, e.Subject, formatTime(e.Time), e.Data)
	return err
}

func formatTime(t time.Time) string {
	if t.IsZero() {
		return ""
	}
	return t.UTC().Format(time.RFC3339Nano)
}

func parseTime(s string) (time.Time, error) {
	if s == "" {
		return time.Time{}, nil
	}
	return time.Parse(time.RFC3339Nano, s)
}

func (w *writer) tryWrite() error {
	_, err := w.probe.Exec()
	return err
}

func (w *writer) close() error {
	var errs []error
	for _, s := range []*sql.Stmt{w.begin, w.commit, w.rollback, w.offset, w.probe} {
		if s != nil {
			errs = append(errs, s.Close())
		}
	}
	for _, s := range w.inserts {
		errs = append(errs, s.Close())
	}
	if w.conn != nil {
		errs = append(errs, w.conn.Close())
	}
	return errors.Join(append(errs, w.db.Close())...)
}
