package index

import (
	"context"
	"errors"
	"fmt"
	"net/url"
	"slices"
	"strings"

	"github.com/jackc/pgx/v5"
)

// FreshPG is Fresh in a PostgreSQL data base: a schema beside the one in use, named after it with "_new".
type FreshPG struct {
	*DB
	config *pgx.ConnConfig
	schema string // in use
	places string // of the index in use, when this run began
}

// ErrWritten is returned by Swap when a node wrote the index in use meanwhile.
var ErrWritten = errors.New("a node wrote the index meanwhile: stop the nodes with the role index, and try again")

// FreshPostgres opens the index that an earlier call began beside the one at rawURL (postgres://…), or begins
// one. Nodes that write the index must be stopped until Swap; readers need not.
func FreshPostgres(ctx context.Context, rawURL string, opt Options) (*FreshPG, error) {
	at, err := url.Parse(rawURL)
	if err != nil || at.Scheme == "" {
		return nil, errors.New("open index: the address is no URL") // err may quote a password
	}
	inUse, err := OpenPostgres(ctx, rawURL, opt) // makes it where there is none, so that there is a schema to name
	if err != nil {
		return nil, err
	}
	engine, ok := inUse.engine.(*postgresEngine)
	if err := inUse.Close(); err != nil || !ok {
		return nil, errors.Join(errors.New("open index: not in PostgreSQL"), err)
	}
	f := &FreshPG{schema: engine.schema}
	if f.config, _, err = postgresConfig(rawURL); err != nil {
		return nil, fmt.Errorf("open index: %w", err)
	}
	// pgx reads a plus sign as one, net/url as a space: the other parameters stay as they were written.
	parameters := slices.DeleteFunc(strings.Split(at.RawQuery, "&"), func(s string) bool {
		return s == "" || strings.HasPrefix(s, "schema=")
	})
	at.RawQuery = strings.Join(append(parameters, "schema="+url.PathEscape(f.schema+"_new")), "&")
	if f.DB, err = OpenPostgres(ctx, at.String(), opt); err != nil {
		return nil, err
	}
	err = f.connected(ctx, func(tx pgx.Tx) (err error) {
		f.places, err = f.placesNow(ctx, tx)
		return err
	})
	if err != nil {
		return nil, errors.Join(err, f.Close())
	}
	return f, nil
}

// connected runs fn in a transaction of a connection of its own.
func (f *FreshPG) connected(ctx context.Context, fn func(pgx.Tx) error) error {
	conn, err := pgx.ConnectConfig(ctx, f.config)
	if err != nil {
		return fmt.Errorf("open index: %w", err)
	}
	defer conn.Close(context.WithoutCancel(ctx)) //nolint:errcheck // what counts was committed
	return pgx.BeginFunc(ctx, conn, fn)
}

// placesNow is how far the index in use is, as text.
func (f *FreshPG) placesNow(ctx context.Context, tx pgx.Tx) (places string, err error) {
	err = tx.QueryRow(ctx, "SELECT COALESCE(string_agg(topic || ' ' || partition || ' ' || applied, ',' ORDER BY topic, partition), '') FROM "+
		pgx.Identifier{f.schema, "offsets"}.Sanitize()).Scan(&places)
	if err != nil {
		return "", fmt.Errorf("read offsets: %w", err)
	}
	return places, nil
}

// Swap closes the index and puts its tables into the place of those in use, in one transaction: readers see
// the one or the other. Other tables of the schema stay. It returns ErrWritten, and changes nothing, when
// somebody wrote the index in use since FreshPostgres.
func (f *FreshPG) Swap() error {
	if err := f.Close(); err != nil {
		return fmt.Errorf("finish the new index: %w", err)
	}
	ctx := context.Background()
	return f.connected(ctx, func(tx pgx.Tx) error {
		offsets := pgx.Identifier{f.schema, "offsets"}.Sanitize()
		if _, err := tx.Exec(ctx, "LOCK TABLE "+offsets+" IN ACCESS EXCLUSIVE MODE"); err != nil {
			return fmt.Errorf("swap index: %w", err)
		}
		switch places, err := f.placesNow(ctx, tx); {
		case err != nil:
			return err
		case places != f.places:
			return ErrWritten
		}
		rows, err := tx.Query(ctx, `SELECT CASE c.relkind WHEN 'S' THEN 'SEQUENCE' ELSE 'TABLE' END, c.relname::text
			FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace
			WHERE n.nspname = $1 AND c.relkind IN ('r', 'S') ORDER BY 1 DESC, 2`, f.schema+"_new")
		if err != nil {
			return fmt.Errorf("swap index: %w", err)
		}
		var statements []string
		var kind, name string
		_, err = pgx.ForEachRow(rows, []any{&kind, &name}, func() error {
			statements = append(statements,
				"DROP "+kind+" IF EXISTS "+pgx.Identifier{f.schema, name}.Sanitize(),
				"ALTER "+kind+" "+pgx.Identifier{f.schema + "_new", name}.Sanitize()+" SET SCHEMA "+pgx.Identifier{f.schema}.Sanitize())
			return nil
		})
		if err != nil {
			return fmt.Errorf("swap index: %w", err)
		}
		statements = append(statements, "DROP SCHEMA "+f.fresh())
		if _, err := tx.Conn().PgConn().Exec(ctx, strings.Join(statements, "; ")).ReadAll(); err != nil {
			return fmt.Errorf("swap index: %w", err)
		}
		return nil
	})
}

func (f *FreshPG) fresh() string { return pgx.Identifier{f.schema + "_new"}.Sanitize() }

// Discard closes the index and removes it; the one in use stays.
func (f *FreshPG) Discard() error {
	if err := f.Close(); err != nil {
		return err
	}
	ctx := context.Background()
	return f.connected(ctx, func(tx pgx.Tx) error {
		_, err := tx.Exec(ctx, "DROP SCHEMA IF EXISTS "+f.fresh()+" CASCADE")
		return err
	})
}
