package index

import (
	"context"
	"encoding/json"
)

// Kinds of RowOf.
const (
	RowInstance   = "instance"
	RowOriginal   = "original"
	RowQuarantine = "quarantine"
	RowDecision   = "decision"
)

// RowOf is what one row of the index says about where it comes from, for an audit. Fields that its kind
// does not have are zero.
type RowOf struct {
	Kind              string
	Tenant            string // "" of a decision
	ObjectID, EventID string
	SOPInstanceUID    string
	DatasetSHA256     string
	TransferSyntaxUID string
	BlobKey, SHA256   string
	Bytes             int64

	// Whole is false where a row that belongs to it is missing: its series, its study, its documents.
	Whole bool
}

// auditPage is how many rows are read at a time, so that an audit holds no snapshot for long.
const auditPage = 1024

// EachRow calls fn for every instance (all versions), original, entry of the quarantine and decision, in no
// particular order, until fn fails. Rows that come or go meanwhile may or may not be seen.
func (db *DB) EachRow(ctx context.Context, fn func(RowOf) error) error {
	var id int64
	err := db.eachPage(ctx, `SELECT i.id, i.tenant, i.object_id, i.event_id, i.sop_instance_uid, i.dataset_sha256, i.transfer_syntax_uid,
		i.blob_key, i.sha256, i.bytes,
		CASE WHEN d.instance_id IS NULL OR i.superseded = '' AND s.id IS NULL THEN 0 ELSE 1 END
		FROM instances i LEFT JOIN documents d ON d.instance_id = i.id LEFT JOIN series e ON e.id = i.series_id
		LEFT JOIN studies s ON s.id = e.study_id WHERE i.id > $1 ORDER BY i.id LIMIT $2`,
		func() []any { return []any{id} },
		func(scan scanner) error {
			r := RowOf{Kind: RowInstance}
			whole := int64(0)
			err := scan(&id, &r.Tenant, &r.ObjectID, &r.EventID, &r.SOPInstanceUID, &r.DatasetSHA256, &r.TransferSyntaxUID,
				&r.BlobKey, &r.SHA256, &r.Bytes, &whole)
			if err != nil {
				return err
			}
			r.Whole = whole == 1
			return fn(r)
		})
	if err != nil {
		return err
	}
	var tenant, object string
	err = db.eachPage(ctx, `SELECT tenant, object_id, event_id, source_uid, dataset_sha256, transfer_syntax_uid, blob_key, sha256, bytes
		FROM originals WHERE (tenant, object_id) > ($1, $2) ORDER BY tenant, object_id LIMIT $3`,
		func() []any { return []any{tenant, object} },
		func(scan scanner) error {
			r := RowOf{Kind: RowOriginal, Whole: true}
			err := scan(&tenant, &object, &r.EventID, &r.SOPInstanceUID, &r.DatasetSHA256, &r.TransferSyntaxUID, &r.BlobKey, &r.SHA256, &r.Bytes)
			if err != nil {
				return err
			}
			r.Tenant, r.ObjectID = tenant, object
			return fn(r)
		})
	if err != nil {
		return err
	}
	tenant, object = "", ""
	err = db.eachPage(ctx, `SELECT tenant, object_id, event_id, sha256, entry FROM quarantine
		WHERE (tenant, object_id) > ($1, $2) ORDER BY tenant, object_id LIMIT $3`,
		func() []any { return []any{tenant, object} },
		func(scan scanner) error {
			r := RowOf{Kind: RowQuarantine, Whole: true}
			var entry []byte
			if err := scan(&tenant, &object, &r.EventID, &r.SHA256, &entry); err != nil {
				return err
			}
			var q Quarantined
			if err := json.Unmarshal(entry, &q); err != nil {
				r.Whole = false
			}
			r.Tenant, r.ObjectID, r.BlobKey, r.Bytes = tenant, object, q.BlobKey, q.Bytes
			return fn(r)
		})
	if err != nil {
		return err
	}
	var decided, id2 string
	return db.eachPage(ctx, `SELECT object_id, event_id FROM decisions
		WHERE (object_id, event_id) > ($1, $2) ORDER BY object_id, event_id LIMIT $3`,
		func() []any { return []any{decided, id2} },
		func(scan scanner) error {
			if err := scan(&decided, &id2); err != nil {
				return err
			}
			return fn(RowOf{Kind: RowDecision, ObjectID: decided, EventID: id2, Whole: true})
		})
}

// eachPage reads pages until one is not full. after returns what the last row of a page was.
func (db *DB) eachPage(ctx context.Context, text string, after func() []any, visit func(scanner) error) error {
	for {
		rows, err := db.engine.query(ctx, text, append(after(), int64(auditPage))...)
		if err != nil {
			return db.failed(ctx, "read rows", damage(err))
		}
		n := 0
		for rows.Next() && err == nil {
			n++
			err = visit(rows.Scan)
		}
		if err == nil {
			if err = rows.Err(); err != nil {
				err = db.failed(ctx, "read rows", damage(err))
			}
		}
		rows.Close() //nolint:errcheck // read to its end, or the first error counts
		if err != nil || n < auditPage {
			return err
		}
	}
}

// Miscounted counts series and studies whose row does not fit the instances below it.
func (db *DB) Miscounted(ctx context.Context) (int64, error) {
	rows, err := db.engine.query(ctx, `SELECT
		(SELECT COUNT(*) FROM series e LEFT JOIN studies s ON s.id = e.study_id
			WHERE s.id IS NULL OR e.instances <> (SELECT COUNT(*) FROM instances i WHERE i.series_id = e.id)) +
		(SELECT COUNT(*) FROM studies s WHERE NOT EXISTS (SELECT 1 FROM series e WHERE e.study_id = s.id))`)
	if err != nil {
		return 0, db.failed(ctx, "compare counts", damage(err))
	}
	defer rows.Close()
	var n int64
	if rows.Next() {
		if err := rows.Scan(&n); err != nil {
			return 0, db.failed(ctx, "compare counts", damage(err))
		}
	}
	if err := rows.Err(); err != nil {
		return 0, db.failed(ctx, "compare counts", damage(err))
	}
	return n, nil
}
