package index

import (
	"context"
	"errors"
	"fmt"
	"io"

	"github.com/tributary-dicom/tributary/pipeline/eventlog"
)

// Options of OpenSQLite. The zero value is usable.
type Options struct {
	// Attachments opens header and layout documents kept beside a blob. Without it, asking for such a
	// document is an error.
	Attachments Attachments

	// Readers is how many queries may run at once; 0 means DefaultReaders.
	Readers int
}

// DefaultReaders is the number of read-only connections. Each costs a page cache of a few MiB.
const DefaultReaders = 4

// DB is the index. Safe for concurrent use; calls of Apply wait for one another.
type DB struct{}

// RecordError is the answer of Apply to a record that can never be applied: its body does not decode or
// lacks what identifies it. Nothing of the batch took effect. It unwraps to Err.
type RecordError struct {
	Record eventlog.Record
	Err    error
}

func (e *RecordError) Error() string {
	return fmt.Sprintf("record %s/%d@%d (%s): %v", e.Record.Topic, e.Record.Partition, e.Record.Offset, e.Record.Event.Type, e.Err)
}

func (e *RecordError) Unwrap() error { return e.Err }

// Stats counts what readers can see, over all tenants.
type Stats struct {
	Studies     int64 `json:"studies"`
	Series      int64 `json:"series"`
	Instances   int64 `json:"instances"`
	Quarantined int64 `json:"quarantined"`
	Conflicts   int64 `json:"conflicts"`
}

var errSkeleton = errors.New("index is not built yet")

// OpenSQLite opens or creates the index in the file at path.
func OpenSQLite(ctx context.Context, path string, opt Options) (*DB, error) { return nil, errSkeleton }

// Apply makes records visible, all or none.
func (db *DB) Apply(ctx context.Context, records []eventlog.Record) error { return errSkeleton }

// Applied returns the offset of the last applied record of a partition, -1 when there is none.
func (db *DB) Applied(ctx context.Context, topic string, partition int32) (int64, error) {
	return -1, errSkeleton
}

// Search returns the rows that match q.
func (db *DB) Search(ctx context.Context, q Query) ([]Row, error) { return nil, errSkeleton }

// Objects calls fn for each current instance in scope, in order of series and instance number.
func (db *DB) Objects(ctx context.Context, s Scope, w Want, fn func(Object) error) error {
	return errSkeleton
}

// Lookup returns all data sets of a SOP Instance UID, oldest first, and the object id of the current
// one. None is no error: nil, "".
func (db *DB) Lookup(ctx context.Context, tenant, sopInstanceUID string) (versions []Version, current string, err error) {
	return nil, "", errSkeleton
}

// Quarantine lists entries of the quarantine, newest first.
func (db *DB) Quarantine(ctx context.Context, tenant string, limit, offset int) ([]Quarantined, error) {
	return nil, errSkeleton
}

// QuarantineEntry returns one entry of the quarantine, or ErrNotFound.
func (db *DB) QuarantineEntry(ctx context.Context, tenant, id string) (Quarantined, error) {
	return Quarantined{}, errSkeleton
}

// Conflicts lists SOP Instance UIDs that have more than one data set and no decision yet, newest first.
func (db *DB) Conflicts(ctx context.Context, tenant string, limit, offset int) ([]Conflict, error) {
	return nil, errSkeleton
}

// Stats counts what the index holds.
func (db *DB) Stats(ctx context.Context) (Stats, error) { return Stats{}, errSkeleton }

// Ready returns nil when the index can answer.
func (db *DB) Ready(ctx context.Context) error { return errSkeleton }

// Dump writes all rows as deterministic text: equal views give equal bytes.
func (db *DB) Dump(ctx context.Context, w io.Writer) error { return errSkeleton }

// Close ends background work and closes the files.
func (db *DB) Close() error { return nil }
