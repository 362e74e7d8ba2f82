package index

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"os"
	"strconv"
	"strings"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"
	"github.com/jackc/pgx/v5/pgconn/ctxwatch"
)

var postgresDialect = dialect{
	name: "postgres",
	// COLLATE "C" compares bytes, as SQLite does: keys, ranges and beginnings are the same in both, and an
	// index serves LIKE's beginnings whatever the data base's locale is.
	words: strings.NewReplacer("{text}", `TEXT COLLATE "C"`, "{bytes}", "BYTEA", "{id}", "BIGINT PRIMARY KEY",
		"{besides}", ") INCLUDE (id,"),
	shared: true, narrow: true, askAtOnce: 256,
	after: map[int][]string{1: {
		// Writers take ids by the block, and rows that are rolled back leave gaps.
		fmt.Sprintf("CREATE SEQUENCE row_ids INCREMENT BY %d", idBlock),
		// What events carry is compressed already.
		"ALTER TABLE documents ALTER COLUMN header SET STORAGE EXTERNAL, ALTER COLUMN layout SET STORAGE EXTERNAL",
		// Counts of a series change as it comes in: room for them beside the old row spares its indexes.
		"ALTER TABLE series SET (fillfactor = 85)",
		"ALTER TABLE studies SET (fillfactor = 90)",
	}},
	write:    func(s string) string { return s },
	contains: func(a, b string) string { return "strpos(" + a + ", " + b + ") > 0" },
	matches:  func(a, b string) string { return a + " ~ " + b },
}

const (
	// idBlock is how many ids a writer takes at a time.
	idBlock = 1000

	// connectTimeout bounds a connection to one host, when the URL does not say.
	connectTimeout = 5 * time.Second

	// applyTimeout bounds one try of a transaction. A server that stopped answering is told from a slow one here.
	applyTimeout = 60 * time.Second

	// grace is how much longer than the server a client waits for the server's own answer to a time limit.
	grace = time.Second

	// tries is how often a transaction that met another one is begun anew.
	tries = 12

	// leastVersion is PostgreSQL 13: incremental sorts, and plans of all queries as documented.
	leastVersion = 130000
)

// postgresEngine is a schema of a PostgreSQL server, which other processes may write too.
type postgresEngine struct {
	schema  string
	timeout time.Duration
	readers *pgPool
	writers *pgPool
	ids     idBlocks
	stop    context.CancelFunc // ends connections that are being made
	waiting waiting            // for a server that was away when the index was opened
}

// OpenPostgres opens the index in a PostgreSQL data base (13 or later, encoding UTF8), and makes or renews its
// tables under a lock, so that nodes may start together. rawURL is what libpq takes
// (postgres://user@host:5432/db?sslmode=verify-full; several hosts; keyword=value pairs); what it lacks comes from
// PGHOST, PGUSER, PGPASSWORD, PGPASSFILE, PGSERVICE and the like. The parameter schema names the schema, which is
// made when it does not exist; without it the first of search_path that exists is used. Unless the URL says
// otherwise, only a server that takes writes will do (target_session_attrs=read-write).
//
// A schema of a newer release is refused. A server that is away gives ErrUnavailable, unless opt.Patient.
func OpenPostgres(ctx context.Context, rawURL string, opt Options) (*DB, error) {
	config, schema, err := postgresConfig(rawURL)
	if err != nil {
		return nil, fmt.Errorf("open index: %w", err)
	}
	if opt.Readers <= 0 {
		opt.Readers = DefaultReaders
	}
	if opt.Writers <= 0 {
		opt.Writers = DefaultWriters
	}
	if opt.QueryTimeout <= 0 {
		opt.QueryTimeout = DefaultQueryTimeout
	}
	life, stop := context.WithCancel(context.Background())
	e := &postgresEngine{timeout: opt.QueryTimeout, stop: stop}
	prepare := func(ctx context.Context) (err error) {
		e.schema, err = preparePostgres(ctx, config, schema)
		return e.fault(err)
	}
	if err := prepare(ctx); err != nil {
		if !opt.Patient || !errors.Is(err, ErrUnavailable) || ctx.Err() != nil {
			stop()
			return nil, fmt.Errorf("open index: %w", err)
		}
		e.waiting.begin(life, err, prepare)
	}
	e.readers = newPGPool(life, config, opt.Readers, map[string]string{
		"statement_timeout": millis(opt.QueryTimeout),
		// A plan for the values at hand: what a name or a day selects differs by orders of magnitude.
		"plan_cache_mode": "force_custom_plan",
		// There is an index for every question. Before the server has statistics it may not see that.
		"enable_seqscan": "off",
		// To start processes takes longer than a page does.
		"max_parallel_workers_per_gather": "0",
	})
	e.readers.config.AfterConnect = func(ctx context.Context, c *pgconn.PgConn) error { // after it was asked whether it takes writes
		return c.Exec(ctx, "SET default_transaction_read_only = on").Close()
	}
	// A reader who goes away ends the query at the server too, and leaves the connection whole.
	e.readers.config.BuildContextWatcherHandler = func(c *pgconn.PgConn) ctxwatch.Handler {
		return &pgconn.CancelRequestContextWatcherHandler{Conn: c, DeadlineDelay: grace / 2}
	}
	e.writers = newPGPool(life, config, opt.Writers, map[string]string{
		"statement_timeout": millis(applyTimeout),
		// A writer looks rows up by their keys. A plan made while the tables were small, or before the server
		// knew anything of them, must not read them whole.
		"plan_cache_mode": "force_custom_plan", "enable_seqscan": "off",
	})
	return newDB(postgresDialect, e, opt), nil
}

func millis(d time.Duration) string { return strconv.FormatInt(d.Milliseconds(), 10) }

// postgresConfig reads a URL and adds what must not be left at its default.
func postgresConfig(rawURL string) (config *pgx.ConnConfig, schema string, err error) {
	config, err = pgx.ParseConfig(rawURL)
	if err != nil {
		return nil, "", err // pgx leaves passwords out
	}
	if schema = config.RuntimeParams["schema"]; schema != "" {
		config.RuntimeParams["search_path"] = pgx.Identifier{schema}.Sanitize()
	}
	delete(config.RuntimeParams, "schema")
	if !strings.Contains(rawURL, "target_session_attrs") && os.Getenv("PGTARGETSESSIONATTRS") == "" {
		// During a failover a standby still answers reads of the past, and takes no writes.
		config.ValidateConnect = pgconn.ValidateConnectTargetSessionAttrsReadWrite
	}
	if !strings.Contains(rawURL, "connect_timeout") && os.Getenv("PGCONNECT_TIMEOUT") == "" {
		config.ConnectTimeout = connectTimeout
	}
	for name, value := range map[string]string{
		"application_name":                    "tributary",
		"idle_in_transaction_session_timeout": millis(applyTimeout), // a writer that hangs must not hold its locks
		"jit":                                 "off",                // it takes longer than any query here
		"timezone":                            "UTC",
	} {
		if _, ok := config.RuntimeParams[name]; !ok {
			config.RuntimeParams[name] = value
		}
	}
	return config, schema, nil
}

// preparePostgres brings the schema to the newest version and returns its name.
func preparePostgres(ctx context.Context, config *pgx.ConnConfig, schema string) (string, error) {
	conn, err := pgx.ConnectConfig(ctx, config)
	if err != nil {
		return "", err
	}
	defer conn.Close(context.WithoutCancel(ctx)) //nolint:errcheck // what counts was committed
	var version int
	var encoding string
	err = conn.QueryRow(ctx, "SELECT current_setting('server_version_num')::int, current_setting('server_encoding')").Scan(&version, &encoding)
	switch {
	case err != nil:
		return "", err
	case version < leastVersion:
		return "", fmt.Errorf("PostgreSQL %d is too old: 13 is needed", version/10000)
	case encoding != "UTF8":
		return "", fmt.Errorf("the data base has the encoding %s: UTF8 is needed", encoding)
	}
	tx, err := conn.Begin(ctx)
	if err != nil {
		return "", err
	}
	defer tx.Rollback(context.WithoutCancel(ctx)) //nolint:errcheck // nothing is left of it after a commit
	run := func(text string) error {
		_, err := conn.PgConn().Exec(ctx, text).ReadAll()
		return err
	}
	// One node at a time; the others find it done. Before there is a schema, one lock serves for all.
	if err := run(fmt.Sprintf("SET LOCAL statement_timeout = 0; SELECT pg_advisory_xact_lock(%d)", lockKey("", "migrate"))); err != nil {
		return "", err
	}
	if schema != "" { // asked first: whoever may not create schemas may not say IF NOT EXISTS either
		var exists bool
		if err := tx.QueryRow(ctx, "SELECT EXISTS (SELECT 1 FROM pg_namespace WHERE nspname = $1)", schema).Scan(&exists); err != nil {
			return "", err
		}
		if !exists {
			if err := run("CREATE SCHEMA " + pgx.Identifier{schema}.Sanitize()); err != nil {
				return "", fmt.Errorf("create schema: %w", err)
			}
		}
	}
	var current *string
	if err := tx.QueryRow(ctx, "SELECT current_schema()::text").Scan(&current); err != nil {
		return "", err
	}
	if current == nil {
		return "", errors.New("no schema of search_path exists: name one with ?schema=")
	}
	var have int
	if err := run(createVersions); err != nil {
		return "", fmt.Errorf("create version table: %w", err)
	}
	if err := tx.QueryRow(ctx, readVersion).Scan(&have); err != nil {
		return "", fmt.Errorf("read schema version: %w", err)
	}
	steps, err := postgresDialect.steps(have)
	if err != nil {
		return "", err
	}
	for _, step := range steps {
		for _, s := range step.statements {
			if err := run(s); err != nil {
				return "", fmt.Errorf("migrate to version %d: %w", step.version, err)
			}
		}
	}
	return *current, tx.Commit(ctx)
}

func (e *postgresEngine) query(ctx context.Context, text string, args ...any) (rows, error) {
	if err := e.waiting.cause(); err != nil {
		return nil, err
	}
	ctx, cancel := context.WithTimeoutCause(ctx, e.timeout+grace, errSilent)
	for i, v := range args {
		if s, ok := v.(string); ok {
			args[i] = plain(s) // from outside: PostgreSQL refuses what is no text
		}
	}
	c, found, some, err := e.readers.query(ctx, text, args...)
	if err != nil {
		err = silent(ctx, err)
		cancel()
		return nil, err
	}
	return &pgRows{Rows: found, ctx: ctx, ahead: true, some: some, end: func() {
		e.readers.release(c)
		cancel()
	}}, nil
}

func (e *postgresEngine) snapshot(ctx context.Context, read func(query func(text string) (rows, error)) error) error {
	if err := e.waiting.cause(); err != nil {
		return err
	}
	c, err := e.readers.acquire(ctx)
	if err != nil {
		return err
	}
	defer e.readers.release(c)
	tx, err := c.BeginTx(ctx, pgx.TxOptions{IsoLevel: pgx.RepeatableRead, AccessMode: pgx.ReadOnly})
	if err != nil {
		return err
	}
	defer tx.Rollback(context.WithoutCancel(ctx)) //nolint:errcheck // nothing was written
	if _, err := tx.Exec(ctx, "SET LOCAL statement_timeout = 0"); err != nil {
		return err
	}
	return read(func(text string) (rows, error) {
		found, err := tx.Query(ctx, text)
		if err != nil {
			return nil, err
		}
		return &pgRows{Rows: found, ctx: ctx, end: func() {}}, nil
	})
}

// apply may be tried again even after a commit whose answer was lost: the offsets tell.
func (e *postgresEngine) apply(ctx context.Context, changes []*change) error {
	if len(changes) == 0 {
		return nil
	}
	return e.write(ctx, func(ctx context.Context, s *pgSession) error {
		return applyTo(ctx, s, newMemory(), postgresDialect, changes)
	})
}

func (e *postgresEngine) transact(ctx context.Context, work func(s session) error) error {
	return e.write(ctx, func(_ context.Context, s *pgSession) error { return work(s) })
}

// write tries a transaction until it has met no other one, or met something else.
func (e *postgresEngine) write(ctx context.Context, work func(context.Context, *pgSession) error) error {
	if err := e.waiting.cause(); err != nil {
		return err
	}
	alone, fresh := false, false
	for try := 1; ; try++ {
		err := e.writeOnce(ctx, work, alone, fresh)
		switch {
		case errors.Is(err, errAlone):
			alone = true
			continue
		case errors.Is(err, errStale) && !fresh:
			fresh = true
			continue
		case err == nil || try == tries || !metAnother(err):
			return err
		}
		select {
		case <-ctx.Done():
			return err
		case <-time.After(rand.N(time.Duration(try) * 10 * time.Millisecond)): //nolint:gosec // no secret
		}
	}
}

// errStale tells that a connection had broken while nobody used it.
var errStale = errors.New("connection had ended")

func (e *postgresEngine) writeOnce(ctx context.Context, work func(context.Context, *pgSession) error, alone, fresh bool) (err error) {
	ctx, cancel := context.WithTimeoutCause(ctx, applyTimeout, errSilent)
	defer cancel()
	defer func() { err = silent(ctx, err) }()
	c, err := e.writers.take(ctx, fresh)
	if err != nil {
		return err
	}
	defer e.writers.release(c)
	s := &pgSession{ctx: ctx, conn: c.Conn, engine: e, only: alone}
	defer func() {
		if err != nil && !c.IsClosed() {
			var said *pgconn.PgError
			if errors.As(err, &said) && said.Code == codeReadOnly {
				c.Close(ctx) //nolint:errcheck // the server is a standby now: the next connection looks for the primary
				return
			}
			end, cancel := context.WithTimeout(context.WithoutCancel(ctx), connectTimeout)
			defer cancel()
			if _, rollback := c.Exec(end, "ROLLBACK"); rollback != nil {
				c.Close(end) //nolint:errcheck // the server rolls back by itself
			}
		}
	}()
	if err := s.begin(); err != nil {
		if c.used && c.IsClosed() {
			return errors.Join(errStale, err)
		}
		return err
	}
	if err := work(ctx, s); err != nil {
		return err
	}
	if err := s.flush(); err != nil {
		return err
	}
	_, err = c.Exec(ctx, "COMMIT")
	return err
}

func (e *postgresEngine) close() error {
	e.stop()
	e.waiting.done.Wait()
	e.readers.close()
	e.writers.close()
	return nil
}
