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

	// write turns a statement that names its parameters once and in order into the engine's fastest form.
	write func(statement string) string

	// contains tests that the text a has the text b in it.
	contains func(a, b string) string
	// matches tests the text a against the regular expression b, which has literals, classes, ^ and $ only.
	matches func(a, b string) string
}

var sqliteDialect = dialect{
	name:  "sqlite",
	words: strings.NewReplacer("{text}", "TEXT", "{bytes}", "BLOB", "{id}", "INTEGER PRIMARY KEY"),
	begin: "BEGIN IMMEDIATE",
	// The driver asks SQLite for the name of each parameter, unless it has none.
	write:    func(s string) string { return numbered.ReplaceAllString(s, "?") },
	contains: func(a, b string) string { return "instr(" + a + ", " + b + ") > 0" },
	matches:  func(a, b string) string { return a + " REGEXP " + b },
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
		for _, s := range []string{
			d.begin, d.words.Replace(string(text)),
			fmt.Sprintf("INSERT INTO schema_version (version) VALUES (%d)", i+1), "COMMIT",
		} {
			if _, err := conn.ExecContext(ctx, s); err != nil {
				conn.ExecContext(context.WithoutCancel(ctx), "ROLLBACK") //nolint:errcheck // the first error counts
				return fmt.Errorf("migrate to version %d: %w", i+1, err)
			}
		}
	}
	return nil
}
