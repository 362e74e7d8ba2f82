package index

import (
	"context"
	"errors"
)

// EachUID calls fn with every SOP Instance UID, and every UID that stands for an original, in no particular order
// and some more than once, until fn fails. UIDs that come meanwhile may or may not be told. It reads indexes
// alone.
func (db *DB) EachUID(ctx context.Context, fn func(uid string) error) error {
	for _, text := range []string{
		`SELECT tenant, sop_instance_uid FROM instances WHERE (tenant, sop_instance_uid) > ($1, $2) ORDER BY tenant, sop_instance_uid LIMIT $3`,
		`SELECT tenant, source_uid FROM originals WHERE (tenant, source_uid) > ($1, $2) ORDER BY tenant, source_uid LIMIT $3`,
	} {
		var tenant, uid string
		err := db.eachPage(ctx, text, func() []any { return []any{tenant, uid} }, func(scan scanner) error {
			if err := scan(&tenant, &uid); err != nil {
				return err
			}
			return fn(uid)
		})
		if err != nil {
			return err
		}
	}
	return nil
}

// UIDs returns about how many UIDs EachUID tells of, more rather than less. It costs next to nothing.
func (db *DB) UIDs(ctx context.Context) (n int64, err error) {
	rows, err := db.engine.query(ctx, `SELECT COALESCE(MAX(id), 0) FROM instances`)
	if err != nil {
		return 0, db.failed(ctx, "count UIDs", err)
	}
	defer rows.Close()
	if rows.Next() {
		err = rows.Scan(&n)
	}
	if err = errors.Join(err, rows.Err()); err != nil {
		return 0, db.failed(ctx, "count UIDs", err)
	}
	return n, nil
}
