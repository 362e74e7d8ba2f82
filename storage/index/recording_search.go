package index

import (
	"context"
	"encoding/json"
	"fmt"
	"math"
	"strings"
)

// Bounds is a range of numbers, both ends included; nil leaves an end open. Recordings without the number are in none.
type Bounds struct{ Min, Max *float64 }

// RecordingPlace is where a row stands in the order of Recordings.
type RecordingPlace struct {
	Received int64 // µs since 1970
	ObjectID string
}

// RecordingQuery asks for ECG recordings. All that is set must hold; the zero value of a field asks nothing.
type RecordingQuery struct {
	Tenant string

	Priority string // event.PriorityStat
	Finding  string // row of docs/ecg-critical.md
	Paced    *bool
	Lead     string // canonical name, in any case
	Ranges   map[Measure]Bounds

	// Statements are parts of the interpretation, each in any statement. Text is compared as names are: without
	// regard to case and width.
	Statements []string

	PatientID        string // * and ? are wildcards
	StudyInstanceUID string
	Dates            string // of the recording: a DA or a range of two (PS3.4 §C.2.2.2.5)

	Before *RecordingPlace // only rows behind this one: the next page
	Limit  int             // rows at most; 0 or less means all
}

// RecordingFacts is what a recording says beside its attributes.
type RecordingFacts struct {
	Priority string          // event.PriorityStat, or ""
	Findings []Finding       // why, in the order of the statements
	Facts    json.RawMessage // the member ecg of its event (docs/events.md); nil when there is none
}

// Finding is a statement that makes a recording critical.
type Finding struct {
	Finding   string `json:"finding"`
	Statement string `json:"statement"`
}

// documents reads the two JSON documents of a row.
func (f *RecordingFacts) documents(facts, reasons []byte) error {
	if len(facts) > 0 {
		f.Facts = facts
	}
	if len(reasons) == 0 {
		return nil
	}
	if err := json.Unmarshal(reasons, &f.Findings); err != nil {
		return fmt.Errorf("decode findings: %w", err)
	}
	return nil
}

// RecordingRow is one recording: a current DICOM instance, or an original of which none has been made.
type RecordingRow struct {
	ObjectID          string
	Original          bool   // no DICOM object yet; SOPInstanceUID then stands for the file
	DerivedFrom       string // object id of the original that the instance was made of, or ""
	StudyInstanceUID  string
	SeriesInstanceUID string
	SOPInstanceUID    string
	ReceivedAt        string // RFC 3339
	Place             RecordingPlace
	Attributes        map[string]string // of the patient, the study and the device, by keyword
	RecordingFacts
}

// visible leaves out versions that readers do not see, and originals in whose place an instance stands. Subqueries that
// return a number are looked up row by row in every engine.
const visible = `CASE r.instance_id WHEN 0
	THEN (SELECT COUNT(*) FROM instances i WHERE i.tenant = r.tenant AND i.sop_instance_uid = r.derived_uid AND i.superseded = '') = 0
	ELSE (SELECT COUNT(*) FROM instances i WHERE i.id = r.instance_id AND i.superseded = '') = 1 END`

// maxStatements bounds the parts of an interpretation that one query looks for.
const maxStatements = 16

// Recordings returns recordings that match q, newest received first. It fails with ErrBadQuery for a query that
// means nothing.
func (db *DB) Recordings(ctx context.Context, q RecordingQuery) ([]RecordingRow, error) {
	const op = "search recordings"
	text, args, err := db.planRecordings(q)
	if err != nil {
		return nil, err
	}
	rows, err := db.engine.query(ctx, text, args...)
	if err != nil {
		return nil, db.failed(ctx, op, err)
	}
	defer rows.Close()
	var out []RecordingRow
	for rows.Next() {
		var r RecordingRow
		var instance int64
		var packed, facts, reasons []byte
		err := rows.Scan(&instance, &r.ObjectID, &r.DerivedFrom, &r.StudyInstanceUID, &r.SeriesInstanceUID, &r.SOPInstanceUID,
			&r.Place.Received, &packed, &r.Priority, &facts, &reasons)
		if err != nil {
			return nil, db.failed(ctx, op, err)
		}
		r.Original, r.Place.ObjectID, r.ReceivedAt = instance == 0, r.ObjectID, instant(r.Place.Received)
		r.Attributes = make(map[string]string, len(shownWith))
		if err := unpackInto(r.Attributes, packed); err != nil {
			return nil, db.failed(ctx, op, err)
		}
		if err := r.documents(facts, reasons); err != nil {
			return nil, db.failed(ctx, op, err)
		}
		out = append(out, r)
	}
	if err := rows.Err(); err != nil {
		return nil, db.failed(ctx, op, err)
	}
	return out, nil
}

// planRecordings writes the statement of a query.
func (db *DB) planRecordings(q RecordingQuery) (text string, args []any, err error) {
	c := &condition{dialect: db.dialect}
	c.and("r.tenant = " + c.arg(q.Tenant))
	if q.Priority != "" {
		c.and("r.priority = " + c.arg(strings.ToUpper(member(q.Priority))))
	}
	for _, s := range []struct{ column, value string }{{"r.findings", q.Finding}, {"r.leads", q.Lead}} {
		if s.value != "" {
			c.and(c.dialect.contains(s.column, c.arg(`\`+member(s.value)+`\`)))
		}
	}
	if q.Paced != nil {
		paced := int64(0)
		if *q.Paced {
			paced = 1
		}
		c.and("r.paced = " + c.arg(paced))
	}
	if err := c.ranges(q.Ranges); err != nil {
		return "", nil, err
	}
	if len(q.Statements) > maxStatements {
		return "", nil, fmt.Errorf("more than %d statements: %w", maxStatements, ErrBadQuery)
	}
	for _, s := range q.Statements {
		if len(s) > maxValueBytes {
			return "", nil, fmt.Errorf("statement is too long: %w", ErrBadQuery)
		}
		if s = fold(s); s != "" {
			c.and(c.dialect.contains("r.statements", c.arg(s)))
		}
	}
	if q.StudyInstanceUID != "" {
		c.and("r.study_instance_uid = " + c.arg(foldUID(q.StudyInstanceUID)))
	}
	for _, m := range []struct {
		keyword, value string
		tests          func(column, keyword string, values []string) ([]string, error)
		column         string
	}{
		{"PatientID", q.PatientID, c.text, "r.patient_id"},
		{"Dates", q.Dates, func(column, keyword string, values []string) ([]string, error) {
			return c.moments(column, keyword, "DA", values)
		}, "r.day"},
	} {
		values, err := alternatives(Match{m.keyword, []string{m.value}}, "")
		if err != nil {
			return "", nil, err
		}
		if len(values) == 0 {
			continue
		}
		parts, err := m.tests(m.column, m.keyword, values)
		if err != nil {
			return "", nil, err
		}
		if len(parts) > 0 {
			c.and(or(parts))
		}
	}
	if q.Before != nil {
		c.and("(r.received, r.object_id) < (" + c.arg(q.Before.Received) + ", " + c.arg(q.Before.ObjectID) + ")")
	}
	c.and(visible)
	limit := int64(q.Limit)
	if limit <= 0 {
		limit = math.MaxInt64
	}
	// The page is found first, then what searches never touch is read of its rows.
	const order = " ORDER BY received DESC, object_id DESC"
	page := `SELECT r.instance_id, r.tenant, r.original, r.object_id, r.derived_from, r.study_instance_uid, r.series_instance_uid,
		r.sop_instance_uid, r.received, r.priority FROM recordings r WHERE ` + strings.Join(c.where, " AND ") + order + " LIMIT " + c.arg(limit)
	return `SELECT p.instance_id, p.object_id, p.derived_from, p.study_instance_uid, p.series_instance_uid, p.sop_instance_uid,
		p.received, f.attributes, p.priority, f.facts, f.reasons FROM (` + page + `) p
		JOIN recording_documents f ON f.instance_id = p.instance_id AND f.tenant = p.tenant AND f.original = p.original` + order, c.args, nil
}

// ranges adds the bounds of numbers, in the order of the columns.
func (c *condition) ranges(all map[Measure]Bounds) error {
	known := 0
	for _, m := range measures {
		b, ok := all[m.column]
		if !ok {
			continue
		}
		known++
		for _, end := range []struct {
			test string
			at   *float64
		}{{" >= ", b.Min}, {" <= ", b.Max}} {
			switch {
			case end.at == nil:
			case math.IsNaN(*end.at) || math.IsInf(*end.at, 0):
				return fmt.Errorf("%s: no number: %w", m.column, ErrBadQuery)
			default:
				c.and("r." + string(m.column) + end.test + c.arg(*end.at))
			}
		}
	}
	if known < len(all) {
		return fmt.Errorf("a range of what is no measure: %w", ErrBadQuery)
	}
	return nil
}
