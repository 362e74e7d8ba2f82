package index

import "context"

// engine keeps the tables. Both engines run the statements of this package; what differs in their text is
// in dialect.
type engine interface {
	// query runs a statement of which the rest of the process knows the shape: the engine may keep its plan.
	query(ctx context.Context, text string, args ...any) (rows, error)

	// snapshot calls read with a query whose answers are all of one moment.
	snapshot(ctx context.Context, read func(query func(text string) (rows, error)) error) error

	// apply makes changes in one transaction, all or none.
	apply(ctx context.Context, changes []*change) error

	// transact runs work in one writing transaction, again where it met another one. work touches no table
	// that apply remembers rows of.
	transact(ctx context.Context, work func(s session) error) error

	// fault wraps an error of the engine in the sentinel that callers know, where there is one.
	fault(err error) error

	// close ends background work and calls in flight.
	close() error
}

// rows is the answer of a query; *sql.Rows has these methods.
type rows interface {
	Next() bool
	Scan(dest ...any) error
	Err() error
	Close() error
	Columns() ([]string, error)
}

type scanner = func(dest ...any) error

// session is a writing transaction. Parameters occur once each and in order.
type session interface {
	// exec runs a statement without an answer, now or at the latest before the next each or the end.
	exec(text string, args ...any) error

	// insert adds a row, the id last, likewise.
	insert(t *table, row []any) error

	// each calls fn for each row of a query. fn runs no statements.
	each(fn func(scan scanner) error, text string, args ...any) error

	// newID returns an id that no row of the table has.
	newID(t *table) (int64, error)

	// claim keeps other writers away from what the changes touch until the transaction ends, where there are
	// other writers. It returns errAlone for changes that touch more than can be told beforehand, unless this
	// session is the only one.
	claim(changes []*change) error

	// alone returns errAlone unless no other session runs.
	alone() error
}
