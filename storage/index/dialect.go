package index

import (
	"context"
	"database/sql"
	"embed"
	"fmt"
	"io/fs"
	"regexp"
	"strings"
)

// dialect is what differs between the engines. Schema, statements ($1 binds in both) and all of the
// search code are shared.
type dialect struct {
	name  string
	words *strings.Replacer // {text}, {bytes}, {id} of the schema

	// begin opens the one writing transaction; a second writer waits or fails.
	begin string

	// statistics tell the planner how selective each index is, where it cannot find out by itself.
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
	words:      strings.NewReplacer("{text}", "TEXT", "{bytes}", "BLOB", "{id}", "INTEGER PRIMARY KEY"),
	begin:      "BEGIN IMMEDIATE",
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
		('series', 'series_uid', '200000 1 1'),
		('series', 'series_of_study', '200000 2 1 1'),
		('instances', 'instances_uid', '1000000 1000000 1 1'),
		('instances', 'instances_of_series', '1000000 10 1 1')`,
	"ANALYZE sqlite_schema", // reads the table again
}

var numbered = regexp.MustCompile(`\$[0-9]+`)

//go:embed migrations/*.sql
var migrations embed.FS

// migrate brings the schema to the newest version, each step in a transaction of its own. A schema that
// is newer than this program is refused: an older program would write rows that miss columns.
func migrate(ctx context.Context, conn *sql.Conn, d dialect) error {
	files, err := fs.Glob(migrations, "migrations/*.sql")
	if err != nil {
		return err
	}
	_, err = conn.ExecContext(ctx, "CREATE TABLE IF NOT EXISTS schema_version (version BIGINT NOT NULL PRIMARY KEY)")
	if err != nil {
		return fmt.Errorf("create version table: %w", err)
	}
	var have int
	err = conn.QueryRowContext(ctx, "SELECT COALESCE(MAX(version), 0) FROM schema_version").Scan(&have)
	if err != nil {
		return fmt.Errorf("read schema version: %w", err)
	}
	if have > len(files) {
		return fmt.Errorf("schema version %d is newer than this program's %d", have, len(files))
	}
	for i := have; i < len(files); i++ {
		text, err := migrations.ReadFile(files[i])
		if err != nil {
			return err
		}
		steps := []string{d.begin, d.words.Replace(string(text))}
		steps = append(steps, d.statistics...)
		steps = append(steps, fmt.Sprintf("INSERT INTO schema_version (version) VALUES (%d)", i+1), "COMMIT")
		for _, s := range steps {
			if _, err := conn.ExecContext(ctx, s); err != nil {
				conn.ExecContext(context.WithoutCancel(ctx), "ROLLBACK") //nolint:errcheck // the first error counts
				return fmt.Errorf("migrate to version %d: %w", i+1, err)
			}
		}
	}
	return nil
}
