package index

import (
	"context"
	"database/sql"
	"embed"
	"fmt"
	"io/fs"
	"regexp"
	"slices"
	"strings"
)

// dialect is what differs between the engines. Schema, statements ($1 binds in both) and all of the
// search code are shared.
type dialect struct {
	name  string
	words *strings.Replacer // {text}, {bytes}, {id}, {besides} of the schema

	// begin opens the one writing transaction; a second writer waits or fails.
	begin string

	// shared tells that other processes write too: a transaction takes locks, and remembers nothing of rows
	// from the one before.
	shared bool

	// narrow tells that rows of an index are only compared without a look at the table's when the statement
	// asks for nothing else.
	narrow bool

	// askAtOnce is how many values one statement of a writer looks up.
	askAtOnce int

	// after are statements behind each step of the schema, by the number of the step, and statistics those
	// behind every step, which tell the planner how selective each index is where it cannot find out by itself.
	after      map[int][]string
	statistics []string

	// write turns a statement that names its parameters once and in order into the engine's fastest form.
	write func(statement string) string

	// contains tests that the text a has the text b in it.
	contains func(a, b string) string
	// matches tests the text a against the regular expression b, which has literals, classes, ^ and $ only.
	matches func(a, b string) string
}

var sqliteDialect = dialect{
	name:       "sqlite",
	words:      strings.NewReplacer("{text}", "TEXT", "{bytes}", "BLOB", "{id}", "INTEGER PRIMARY KEY", "{besides}", ","),
	begin:      "BEGIN IMMEDIATE",
	askAtOnce:  32,
	statistics: sqliteStatistics,
	// The driver asks SQLite for the name of each parameter, unless it has none.
	write:    func(s string) string { return numbered.ReplaceAllString(s, "?") },
	contains: func(a, b string) string { return "instr(" + a + ", " + b + ") > 0" },
	matches:  func(a, b string) string { return a + " REGEXP " + b },
}

// sqliteStatistics is what ANALYZE would find in a county's index. Without it SQLite takes a tenant for
// ten studies, and reads all of them where it could ask for a patient. Fixed figures give the same
// plans on every node and day (sqlite.org/lang_analyze.html: rows, then rows for each further column).
var sqliteStatistics = []string{
	"ANALYZE sqlite_schema",
	"DELETE FROM sqlite_stat1",
	`INSERT INTO sqlite_stat1 (tbl, idx, stat) VALUES
		('studies', 'studies_uid', '100000 100000 1'),
		('studies', 'studies_newest', '100000 100000 30 2 1 1 1 1 1 1 1'),
		('studies', 'studies_patient', '100000 100000 3 1'),
		('studies', 'studies_accession', '100000 100000 2'),
		('studies', 'studies_alphabetic', '100000 100000 20'),
		('studies', 'studies_ideographic', '100000 100000 20'),
		('studies', 'studies_phonetic', '1000 1000 5'),
		('studies', 'studies_pinyin', '30000 30000 20'),
		('studies', 'studies_mixed', '10 10 1 1'),
		('patients', 'patients_id', '20 20 1'),
		('series', 'series_uid', '200000 1 1'),
		('series', 'series_of_study', '200000 2 1 1'),
		('instances', 'instances_uid', '1000000 1000000 1 1'),
		('instances', 'instances_derived', '100000 100000 1'),
		('instances', 'instances_arrived', '1000000 1000000 1 1 1 1'),
		('instances', 'instances_superseded', '1000 1000 1'),
		('completeness', 'completeness_open', '1000 500 1 1 1'),
		('originals', 'originals_source', '100000 100000 1'),
		('originals', 'originals_derived', '100000 100000 1'),
		('recordings', 'recordings_newest', '200000 200000 1 1 1 1 1 1 1 1 1 1'),
		('recordings', 'recordings_urgent', '200000 200000 2000 1 1'),
		('recordings', 'recordings_day', '200000 200000 60'),
		('recordings', 'recordings_study', '200000 200000 2'),
		('recordings', 'recordings_patient', '200000 200000 3'),
		('instances', 'instances_of_series', '1000000 10 1 1')`,
	"ANALYZE sqlite_schema", // reads the table again
}

var numbered = regexp.MustCompile(`\$[0-9]+`)

//go:embed migrations/*.sql
var migrations embed.FS

// step is one change of the schema.
type step struct {
	version    int
	statements []string
}

// steps returns the changes that bring a schema of version have to the newest. A schema that is newer than this
// program is refused: an older program would write rows that miss columns.
func (d dialect) steps(have int) ([]step, error) {
	files, err := fs.Glob(migrations, "migrations/*.sql")
	if err != nil {
		return nil, err
	}
	if have > len(files) {
		return nil, fmt.Errorf("schema version %d is newer than this program's %d", have, len(files))
	}
	var out []step
	for i := have; i < len(files); i++ {
		text, err := migrations.ReadFile(files[i])
		if err != nil {
			return nil, err
		}
		s := step{i + 1, []string{d.words.Replace(string(text))}}
		s.statements = append(s.statements, d.after[i+1]...)
		s.statements = append(s.statements, d.statistics...)
		s.statements = append(s.statements, fmt.Sprintf("INSERT INTO schema_version (version) VALUES (%d)", i+1))
		out = append(out, s)
	}
	return out, nil
}

const (
	createVersions = "CREATE TABLE IF NOT EXISTS schema_version (version BIGINT NOT NULL PRIMARY KEY)"
	readVersion    = "SELECT COALESCE(MAX(version), 0) FROM schema_version"
)

// migrateSQLite brings the schema to the newest version, each step in a transaction of its own.
func migrateSQLite(ctx context.Context, conn *sql.Conn, d dialect) error {
	if _, err := conn.ExecContext(ctx, createVersions); err != nil {
		return fmt.Errorf("create version table: %w", err)
	}
	var have int
	if err := conn.QueryRowContext(ctx, readVersion).Scan(&have); err != nil {
		return fmt.Errorf("read schema version: %w", err)
	}
	steps, err := d.steps(have)
	if err != nil {
		return err
	}
	for _, step := range steps {
		for _, s := range slices.Concat([]string{d.begin}, step.statements, []string{"COMMIT"}) {
			if _, err := conn.ExecContext(ctx, s); err != nil {
				conn.ExecContext(context.WithoutCancel(ctx), "ROLLBACK") //nolint:errcheck // the first error counts
				return fmt.Errorf("migrate to version %d: %w", step.version, err)
			}
		}
	}
	return nil
}
