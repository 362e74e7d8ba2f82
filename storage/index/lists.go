package index

import (
	"context"
	"encoding/json"
	"fmt"
	"math"
)

// Lookup returns all data sets of a SOP Instance UID, oldest first, and the object id of the current
// one. None is no error: nil, "". Under the UID that stands for an original (ecg.IDs.Source) it returns that.
func (db *DB) Lookup(ctx context.Context, tenant, sopInstanceUID string) (versions []Version, current string, err error) {
	versions, current, err = db.lookupInstance(ctx, tenant, sopInstanceUID)
	if err != nil || versions != nil {
		return versions, current, err
	}
	return db.lookupOriginal(ctx, tenant, sopInstanceUID)
}

func (db *DB) lookupInstance(ctx context.Context, tenant, sopInstanceUID string) (versions []Version, current string, err error) {
	// The key's order is by hash; there are one or two rows.
	rows, err := db.engine.query(ctx, `SELECT object_id, superseded, dataset_sha256, sha256, bytes, transfer_syntax_uid, blob_key,
		door, remote, received, derived_from, derived_version FROM instances WHERE tenant = $1 AND sop_instance_uid = $2 ORDER BY received, object_id`,
		tenant, sopInstanceUID)
	if err != nil {
		return nil, "", db.failed(ctx, "look up instance", err)
	}
	defer rows.Close()
	for rows.Next() {
		var v Version
		var superseded string
		var received int64
		err := rows.Scan(&v.ObjectID, &superseded, &v.DatasetSHA256, &v.SHA256, &v.Bytes, &v.TransferSyntaxUID, &v.BlobKey,
			&v.Door, &v.Remote, &received, &v.DerivedFrom, &v.DerivedVersion)
		if err != nil {
			return nil, "", db.failed(ctx, "look up instance", err)
		}
		v.ReceivedAt = instant(received)
		if superseded == "" {
			current = v.ObjectID
		}
		versions = append(versions, v)
	}
	if err := rows.Err(); err != nil {
		return nil, "", db.failed(ctx, "look up instance", err)
	}
	return versions, current, nil
}

// window turns what callers say into LIMIT and OFFSET; a limit of 0 or less means all.
func window(limit, offset int) (int64, int64) {
	if limit <= 0 {
		return math.MaxInt64, int64(max(offset, 0))
	}
	return int64(limit), int64(max(offset, 0))
}

// Quarantine lists entries of the quarantine, newest first.
func (db *DB) Quarantine(ctx context.Context, tenant string, limit, offset int) ([]Quarantined, error) {
	most, skip := window(limit, offset)
	return db.quarantined(ctx, `SELECT entry FROM quarantine WHERE tenant = $1
		ORDER BY received DESC, object_id DESC LIMIT $2 OFFSET $3`, tenant, most, skip)
}

// QuarantineEntry returns one entry of the quarantine, or ErrNotFound.
func (db *DB) QuarantineEntry(ctx context.Context, tenant, id string) (Quarantined, error) {
	found, err := db.quarantined(ctx, "SELECT entry FROM quarantine WHERE tenant = $1 AND object_id = $2", tenant, id)
	if err != nil {
		return Quarantined{}, err
	}
	if len(found) == 0 {
		return Quarantined{}, ErrNotFound
	}
	return found[0], nil
}

// QuarantinedBytes returns the oldest entry of the quarantine whose file has this SHA-256 (hex), or
// ErrNotFound.
func (db *DB) QuarantinedBytes(ctx context.Context, tenant, sha256 string) (Quarantined, error) {
	found, err := db.quarantined(ctx, `SELECT entry FROM quarantine WHERE tenant = $1 AND sha256 = $2
		ORDER BY received, object_id LIMIT 1`, tenant, sha256)
	if err != nil {
		return Quarantined{}, err
	}
	if len(found) == 0 {
		return Quarantined{}, ErrNotFound
	}
	return found[0], nil
}

func (db *DB) quarantined(ctx context.Context, text string, args ...any) ([]Quarantined, error) {
	rows, err := db.engine.query(ctx, text, args...)
	if err != nil {
		return nil, db.failed(ctx, "read quarantine", err)
	}
	defer rows.Close()
	var out []Quarantined
	for rows.Next() {
		var entry []byte
		if err := rows.Scan(&entry); err != nil {
			return nil, db.failed(ctx, "read quarantine", err)
		}
		var q Quarantined
		if err := json.Unmarshal(entry, &q); err != nil {
			return nil, fmt.Errorf("decode quarantine entry: %w", err)
		}
		out = append(out, q)
	}
	if err := rows.Err(); err != nil {
		return nil, db.failed(ctx, "read quarantine", err)
	}
	return out, nil
}

// Conflicts lists SOP Instance UIDs that have more than one data set and wait for a decision, newest
// first. A decision ("kept" or "promoted") settles all versions received until then; a later version
// opens the conflict again.
func (db *DB) Conflicts(ctx context.Context, tenant string, limit, offset int) ([]Conflict, error) {
	most, skip := window(limit, offset)
	rows, err := db.engine.query(ctx, `SELECT c.sop_instance_uid, s.study_instance_uid, e.series_instance_uid
		FROM conflicts c
		JOIN instances i ON i.tenant = c.tenant AND i.sop_instance_uid = c.sop_instance_uid AND i.superseded = ''
		JOIN series e ON e.id = i.series_id JOIN studies s ON s.id = e.study_id
		WHERE c.tenant = $1 ORDER BY c.received DESC, c.sop_instance_uid DESC LIMIT $2 OFFSET $3`, tenant, most, skip)
	if err != nil {
		return nil, db.failed(ctx, "read conflicts", err)
	}
	defer rows.Close()
	var out []Conflict
	for rows.Next() {
		var c Conflict
		if err := rows.Scan(&c.SOPInstanceUID, &c.StudyInstanceUID, &c.SeriesInstanceUID); err != nil {
			return nil, db.failed(ctx, "read conflicts", err)
		}
		out = append(out, c)
	}
	if err := rows.Err(); err != nil {
		return nil, db.failed(ctx, "read conflicts", err)
	}
	rows.Close() //nolint:errcheck // read to its end; Lookup may need the connection
	for i := range out {
		if out[i].Versions, out[i].Current, err = db.Lookup(ctx, tenant, out[i].SOPInstanceUID); err != nil {
			return nil, err
		}
	}
	return out, nil
}

// Stats counts what the index holds, over all tenants. Instances and what they belong to are current
// ones; conflicts are those that wait for a decision.
type Stats struct {
	Studies     int64 `json:"studies"`
	Series      int64 `json:"series"`
	Instances   int64 `json:"instances"`
	Quarantined int64 `json:"quarantined"`
	Conflicts   int64 `json:"conflicts"`
	Originals   int64 `json:"originals"` // files that are not DICOM, which are no instances

	// PatientConflicts counts studies of more than one patient.
	PatientConflicts int64 `json:"patient_conflicts"`
}

// Stats counts what the index holds. It walks the smallest index of each table; callers that show it
// often keep the answer for a while.
func (db *DB) Stats(ctx context.Context) (Stats, error) {
	rows, err := db.engine.query(ctx, `SELECT (SELECT COUNT(*) FROM studies), (SELECT COUNT(*) FROM series),
		(SELECT CAST(COALESCE(SUM(instances), 0) AS BIGINT) FROM series), (SELECT COUNT(*) FROM quarantine), (SELECT COUNT(*) FROM conflicts),
		(SELECT COUNT(*) FROM studies WHERE mixed = 1), (SELECT COUNT(*) FROM originals)`)
	if err != nil {
		return Stats{}, db.failed(ctx, "count", err)
	}
	defer rows.Close()
	var s Stats
	if rows.Next() {
		if err := rows.Scan(&s.Studies, &s.Series, &s.Instances, &s.Quarantined, &s.Conflicts, &s.PatientConflicts, &s.Originals); err != nil {
			return Stats{}, db.failed(ctx, "count", err)
		}
	}
	if err := rows.Err(); err != nil {
		return Stats{}, db.failed(ctx, "count", err)
	}
	return s, nil
}
