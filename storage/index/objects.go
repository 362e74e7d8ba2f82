package index

import (
	"context"
	"encoding/json"
	"fmt"
	"strings"

	"github.com/tributary-dicom/tributary/pipeline/event"
)

// pageRows is how many rows Objects reads before it calls fn: fn may take its time (it sends a file),
// and must not hold a connection and its snapshot meanwhile.
const pageRows = 256

// Objects calls fn for each current instance in scope: studies by UID, series and instances by number,
// then UID. It stops at fn's first error and returns it; it returns ErrNotFound when there is no
// instance. Instances that come or go meanwhile may or may not be seen.
func (db *DB) Objects(ctx context.Context, s Scope, w Want, fn func(Object) error) error {
	seen := false
	visit := func(found []storedObject) error {
		for _, o := range found {
			seen = true
			if err := db.fill(ctx, &o, w); err != nil {
				return err
			}
			if err := fn(o.Object); err != nil {
				return err
			}
		}
		return nil
	}
	var err error
	if s.SOPInstanceUID != "" {
		err = db.oneObject(ctx, s, visit)
	} else {
		err = db.allObjects(ctx, s, visit)
	}
	if err == nil && !seen {
		err = ErrNotFound
	}
	return err
}

type storedObject struct {
	Object
	id, number int64
}

const objectColumns = `i.id, i.number, s.study_instance_uid, e.series_instance_uid, i.sop_instance_uid, i.object_id,
	i.sop_class_uid, i.transfer_syntax_uid, i.blob_key, i.bytes, i.sha256, i.dataset_offset, i.received, i.media_type, i.described_by, i.located_by, i.event_id`

func (db *DB) objects(ctx context.Context, text string, args ...any) ([]storedObject, error) {
	rows, err := db.engine.query(ctx, text, args...)
	if err != nil {
		return nil, db.failed(ctx, "read objects", err)
	}
	defer rows.Close()
	var out []storedObject
	for rows.Next() {
		o := storedObject{Object: Object{Current: true}}
		var received int64
		var located, announced string
		err := rows.Scan(&o.id, &o.number, &o.StudyInstanceUID, &o.SeriesInstanceUID, &o.SOPInstanceUID, &o.ObjectID,
			&o.SOPClassUID, &o.TransferSyntaxUID, &o.BlobKey, &o.Bytes, &o.SHA256, &o.DatasetOffset, &received, &o.MediaType,
			&o.Reading, &located, &announced)
		if err != nil {
			return nil, db.failed(ctx, "read objects", err)
		}
		o.Modified, o.Reread = floorDiv(received, 1000), o.Reading != announced
		if located != o.Reading {
			o.Reading += " " + located
		}
		out = append(out, o)
	}
	if err := rows.Err(); err != nil {
		return nil, db.failed(ctx, "read objects", err)
	}
	return out, nil
}

func floorDiv(a, b int64) int64 {
	q := a / b
	if a%b < 0 {
		q--
	}
	return q
}

func (db *DB) oneObject(ctx context.Context, s Scope, visit func([]storedObject) error) error {
	text := "SELECT " + objectColumns + ` FROM instances i JOIN series e ON e.id = i.series_id JOIN studies s ON s.id = e.study_id
		WHERE i.tenant = $1 AND i.sop_instance_uid = $2 AND i.superseded = ''`
	args := []any{s.Tenant, s.SOPInstanceUID}
	if s.StudyInstanceUID != "" {
		args = append(args, s.StudyInstanceUID)
		text += fmt.Sprintf(" AND s.study_instance_uid = $%d", len(args))
	}
	if s.SeriesInstanceUID != "" {
		args = append(args, s.SeriesInstanceUID)
		text += fmt.Sprintf(" AND e.series_instance_uid = $%d", len(args))
	}
	found, err := db.objects(ctx, text, args...)
	if err != nil {
		return err
	}
	return visit(found)
}

// seriesPlace is where a walk through series stands.
type seriesPlace struct {
	study, series string
	number        int64
	id            int64
}

func (db *DB) allObjects(ctx context.Context, s Scope, visit func([]storedObject) error) error {
	var after *seriesPlace
	for {
		page, err := db.seriesAfter(ctx, s, after)
		if err != nil {
			return err
		}
		for i := range page {
			if err := db.objectsOfSeries(ctx, page[i].id, visit); err != nil {
				return err
			}
		}
		if len(page) < pageRows {
			return nil
		}
		after = &page[len(page)-1]
	}
}

func (db *DB) seriesAfter(ctx context.Context, s Scope, after *seriesPlace) ([]seriesPlace, error) {
	args := []any{s.Tenant}
	where := []string{"s.tenant = $1"}
	test := func(sql string, values ...any) {
		for _, v := range values {
			args = append(args, v)
			sql = strings.Replace(sql, "?", fmt.Sprintf("$%d", len(args)), 1)
		}
		where = append(where, sql)
	}
	if s.StudyInstanceUID != "" {
		test("s.study_instance_uid = ?", s.StudyInstanceUID)
	}
	if s.SeriesInstanceUID != "" {
		test("e.series_instance_uid = ?", s.SeriesInstanceUID)
	}
	if after != nil {
		test("s.study_instance_uid >= ?", after.study)
		test("(s.study_instance_uid, e.number, e.series_instance_uid) > (?, ?, ?)", after.study, after.number, after.series)
	}
	rows, err := db.engine.query(ctx, `SELECT s.study_instance_uid, e.series_instance_uid, e.number, e.id
		FROM studies s JOIN series e ON e.study_id = s.id WHERE `+strings.Join(where, " AND ")+
		fmt.Sprintf(" ORDER BY s.study_instance_uid, e.number, e.series_instance_uid LIMIT %d", pageRows), args...)
	if err != nil {
		return nil, db.failed(ctx, "read series", err)
	}
	defer rows.Close()
	var out []seriesPlace
	for rows.Next() {
		var p seriesPlace
		if err := rows.Scan(&p.study, &p.series, &p.number, &p.id); err != nil {
			return nil, db.failed(ctx, "read series", err)
		}
		out = append(out, p)
	}
	if err := rows.Err(); err != nil {
		return nil, db.failed(ctx, "read series", err)
	}
	return out, nil
}

func (db *DB) objectsOfSeries(ctx context.Context, series int64, visit func([]storedObject) error) error {
	const begin = "SELECT " + objectColumns + ` FROM instances i JOIN series e ON e.id = i.series_id JOIN studies s ON s.id = e.study_id
		WHERE i.series_id = $1`
	end := fmt.Sprintf(" ORDER BY i.number, i.sop_instance_uid LIMIT %d", pageRows)
	text, args := begin+end, []any{series}
	for {
		page, err := db.objects(ctx, text, args...)
		if err != nil {
			return err
		}
		if err := visit(page); err != nil {
			return err
		}
		if len(page) < pageRows {
			return nil
		}
		last := page[len(page)-1]
		text, args = begin+" AND (i.number, i.sop_instance_uid) > ($2, $3)"+end, []any{series, last.number, last.SOPInstanceUID}
	}
}

// fill reads what w asks for.
func (db *DB) fill(ctx context.Context, o *storedObject, w Want) (err error) {
	if w.Header {
		if o.Header, err = db.document(ctx, o.id, headerDocument); err != nil {
			return err
		}
	}
	if w.Layout {
		doc, err := db.document(ctx, o.id, layoutDocument)
		if err != nil || doc == nil {
			return err
		}
		var layout event.Layout
		if err := json.Unmarshal(doc, &layout); err != nil {
			return fmt.Errorf("decode layout: %w", err)
		}
		o.Frames, o.Bulk = layout.Frames, layout.Bulk
	}
	return nil
}
