package index

import (
	"context"
	"fmt"
	"math"
	"strconv"
	"strings"
	"time"

	"github.com/tributary-dicom/tributary/pipeline/event"
)

// from joins a level to those above it.
var from = [...]string{
	StudyLevel:    "studies s",
	SeriesLevel:   "studies s JOIN series e ON e.study_id = s.id",
	InstanceLevel: "studies s JOIN series e ON e.study_id = s.id JOIN instances i ON i.series_id = e.id",
}

var output = [...]string{
	StudyLevel:    "s.id, s.first_instance, s.mixed, s.modalities, s.sop_classes, s.attributes",
	SeriesLevel:   "s.id, e.first_instance, s.mixed, s.modalities, s.sop_classes, s.attributes, e.instances, e.attributes",
	InstanceLevel: "s.id, i.id, s.mixed, s.modalities, s.sop_classes, s.attributes, e.instances, e.attributes, i.transfer_syntax_uid, i.attributes",
}

// byDefault is the order of rows, and what decides among rows that a query's own order leaves equal.
var byDefault = [...][]string{
	StudyLevel:    {"s.day DESC", "s.clock DESC", "s.first_received DESC", "s.study_instance_uid DESC"},
	SeriesLevel:   {"e.number", "e.series_instance_uid"},
	InstanceLevel: {"i.number", "i.sop_instance_uid"},
}

// Search returns the rows that match q, in a stable order. A Limit of 0 or less means all. It fails
// with ErrUnsupportedMatch or ErrBadQuery for a query that cannot be answered, and with the error of
// ctx when that ends first.
func (db *DB) Search(ctx context.Context, q Query) ([]Row, error) {
	deep := len(q.OrderBy) == 0 && q.Limit > 0 && q.Offset+q.Limit >= anchorFrom
	var id [32]byte
	var near anchor
	if deep {
		id = walkID(q)
		near = db.anchors.before(id, q.Offset, time.Now())
	}
	asked := q
	lead := deep && q.Offset >= anchorFrom && near.rows != q.Offset
	if lead { // the row before the page is where the page begins when it is asked for again
		asked.Offset--
		asked.Limit++
	}
	text, args, err := db.plan(asked, deep, near)
	if err != nil {
		return nil, err
	}
	rows, err := db.engine.query(ctx, text, args...)
	if err != nil {
		return nil, db.failed(ctx, "search", err)
	}
	defer rows.Close()

	var out []Row
	var studies, instances []int64
	var ends [2]sortKey // of the last row but one, and of the last
	scanned := scanKey(q.Level)
	for rows.Next() {
		var study, instance, mixed, seriesInstances int64
		var modalities, classes, syntax string
		var packed [3]rawBytes
		dest := []any{&study, &instance, &mixed, &modalities, &classes, &packed[0], &seriesInstances, &packed[1], &syntax, &packed[2]}
		dest = dest[:[...]int{6, 8, 10}[q.Level]]
		if deep {
			dest = append(dest, scanned...)
		}
		if err := rows.Scan(dest...); err != nil {
			return nil, db.failed(ctx, "search", err)
		}
		if lead {
			lead = false
			db.anchors.keep(id, q.Offset, keyOf(scanned), time.Now())
			continue
		}
		if deep && len(out) >= q.Limit-2 {
			ends[0], ends[1] = ends[1], keyOf(scanned)
		}
		m := make(map[string]string, [...]int{24, 40, 56}[q.Level]) // what a row has, about
		for _, p := range packed {
			if err := unpackInto(m, p); err != nil {
				return nil, db.failed(ctx, "search", err)
			}
		}
		m["InstanceAvailability"] = "ONLINE" // PS3.3 §C.4.23.1.1: nothing here is near-line
		m["ModalitiesInStudy"] = strings.ToUpper(strings.Trim(modalities, `\`))
		m["SOPClassesInStudy"] = strings.Trim(classes, `\`)
		if q.Level >= SeriesLevel {
			m["NumberOfSeriesRelatedInstances"] = strconv.FormatInt(seriesInstances, 10)
		}
		if q.Level == InstanceLevel && syntax != "" {
			m["AvailableTransferSyntaxUID"] = syntax
		}
		out = append(out, Row{Attributes: m, SeveralPatients: mixed != 0})
		studies, instances = append(studies, study), append(instances, instance)
	}
	if err := rows.Err(); err != nil {
		return nil, db.failed(ctx, "search", err)
	}
	if err := rows.Close(); err != nil {
		return nil, db.failed(ctx, "search", err)
	}
	// Who asks for one row more than a page, to know whether there is another, goes on one row earlier.
	for i, key := range ends {
		if rows := q.Offset + len(out) - 1 + i; len(out) == q.Limit && key != nil && rows >= anchorFrom {
			db.anchors.keep(id, rows, key, time.Now())
		}
	}
	if err := db.count(ctx, studies, out); err != nil {
		return nil, db.failed(ctx, "count instances", err)
	}
	if q.WithHeader {
		for i, id := range instances {
			if out[i].Header, err = db.document(ctx, id, headerDocument); err != nil {
				return nil, err
			}
		}
	}
	return out, nil
}

// rawBytes is a column that is read before the next row and need not be copied.
type rawBytes []byte

// Scan keeps src, which this package unpacks (and so copies) at once.
func (r *rawBytes) Scan(src any) error {
	switch v := src.(type) {
	case []byte:
		*r = v
	case string:
		*r = []byte(v)
	default:
		*r = nil
	}
	return nil
}

// plan writes the statement of a query. With deep set its rows end with their sort keys. It begins behind a place that is
// not zero.
func (db *DB) plan(q Query, deep bool, near anchor) (text string, args []any, err error) {
	if q.Level < StudyLevel || q.Level > InstanceLevel || len(q.Matches) > maxMatches {
		return "", nil, fmt.Errorf("level or number of keys: %w", ErrBadQuery)
	}
	c := &condition{dialect: db.dialect, level: q.Level}
	c.and("s.tenant = " + c.arg(q.Tenant)) // $1; name conditions refer to it
	for _, m := range q.Matches {
		if err := c.match(m, q.Fuzzy); err != nil {
			return "", nil, err
		}
	}
	skip := int64(max(q.Offset, 0))
	if near.key != nil {
		c.behind(q, near.key)
		skip -= int64(near.rows)
	}
	order, err := orderBy(q)
	if err != nil {
		return "", nil, err
	}
	limit := int64(q.Limit)
	if limit <= 0 {
		limit = math.MaxInt64
	}
	rest := " FROM " + from[q.Level] + " WHERE " + strings.Join(c.where, " AND ") +
		" ORDER BY " + order + " LIMIT " + c.arg(limit) + " OFFSET " + c.arg(skip)
	columns := output[q.Level]
	if deep {
		for level := StudyLevel; level <= q.Level; level++ {
			columns += ", " + strings.Join(keyColumns[level], ", ")
		}
	}
	if id := alias[q.Level] + "id"; q.Limit > 0 && (db.dialect.narrow && q.Level == StudyLevel || skip >= anchorFrom) {
		// The page is found in indexes alone, then its rows are read.
		page := " IN (SELECT " + id + rest + ")"
		if db.dialect.narrow {
			page = " = ANY (ARRAY(SELECT " + id + rest + "))"
		}
		return "SELECT " + columns + " FROM " + from[q.Level] + " WHERE " + id + page + " ORDER BY " + order, c.args, nil
	}
	return "SELECT " + columns + rest, c.args, nil
}

func orderBy(q Query) (string, error) {
	var keys []string
	if len(q.OrderBy) > 16 {
		return "", fmt.Errorf("order by %d keys: %w", len(q.OrderBy), ErrBadQuery)
	}
	for _, o := range q.OrderBy {
		a, ok := known[o.Keyword]
		if !ok || a.column == "" || a.level > q.Level {
			return "", fmt.Errorf("order by %s: %w", o.Keyword, ErrUnsupportedMatch)
		}
		key := alias[a.level] + a.column
		switch a.column {
		case "names":
			key = "COALESCE(s.name_alphabetic, s.name_pinyin, s.name_ideographic, s.name_phonetic, '')"
		case "patient_id", "accession_number", "description", "modality": // engines disagree on where NULL goes
			key = "COALESCE(" + key + ", '')"
		}
		if o.Descending {
			key += " DESC"
		}
		keys = append(keys, key)
	}
	for level := StudyLevel; level <= q.Level; level++ {
		keys = append(keys, byDefault[level]...)
	}
	return strings.Join(keys, ", "), nil
}

// countAtOnce is how many studies one statement counts.
const countAtOnce = 64

var countSQL = "SELECT study_id, COUNT(*), CAST(SUM(instances) AS BIGINT) FROM series WHERE study_id IN (" +
	parameters(1, countAtOnce) + ") GROUP BY study_id"

// count fills in the numbers of series and instances of the rows' studies.
func (db *DB) count(ctx context.Context, studies []int64, out []Row) error {
	type numbers struct{ series, instances string }
	counts := make(map[int64]numbers)
	var ask []int64
	for _, id := range studies {
		if _, ok := counts[id]; !ok {
			counts[id] = numbers{}
			ask = append(ask, id)
		}
	}
	for len(ask) > 0 {
		n := min(countAtOnce, len(ask))
		args := make([]any, countAtOnce)
		for i := range args {
			args[i] = ask[min(i, n-1)]
		}
		ask = ask[n:]
		rows, err := db.engine.query(ctx, db.counting, args...)
		if err != nil {
			return err
		}
		for rows.Next() {
			var id, series, instances int64
			if err := rows.Scan(&id, &series, &instances); err != nil {
				_ = rows.Close() // the error is told already
				return err
			}
			counts[id] = numbers{strconv.FormatInt(series, 10), strconv.FormatInt(instances, 10)}
		}
		if err := rows.Err(); err != nil {
			_ = rows.Close()
			return err
		}
		if err := rows.Close(); err != nil {
			return err
		}
	}
	for i, id := range studies {
		if n := counts[id]; n.series != "" { // else it went while we looked
			out[i].Attributes["NumberOfStudyRelatedSeries"] = n.series
			out[i].Attributes["NumberOfStudyRelatedInstances"] = n.instances
		}
	}
	return nil
}

// The two documents of an instance.
const (
	headerDocument = "header"
	layoutDocument = "layout"
)

// document opens an attachment of an instance; nil when its event had none.
func (db *DB) document(ctx context.Context, instance int64, which string) ([]byte, error) {
	rows, err := db.engine.query(ctx, "SELECT "+which+"_encoding, "+which+"_bytes, "+which+"_key, "+which+
		" FROM documents WHERE instance_id = $1", instance)
	if err != nil {
		return nil, db.failed(ctx, "read "+which, err)
	}
	defer rows.Close()
	var a event.Attachment
	if rows.Next() {
		if err := rows.Scan(&a.Encoding, &a.Bytes, &a.BlobKey, &a.Data); err != nil {
			return nil, db.failed(ctx, "read "+which, err)
		}
	}
	if err := rows.Err(); err != nil {
		return nil, db.failed(ctx, "read "+which, err)
	}
	rows.Close() //nolint:errcheck // read to its end; the connection is free while a blob is read
	if a.Encoding == "" {
		return nil, nil
	}
	data := a.Data
	if a.BlobKey != "" && len(data) == 0 {
		if db.attachments == nil {
			return nil, fmt.Errorf("read %s: it lies in a blob, and the index was opened without Attachments", which)
		}
		// Compression never adds more than a little.
		if data, err = db.attachments.ReadBlob(ctx, a.BlobKey, a.Bytes+a.Bytes/8+(64<<10)); err != nil {
			return nil, fmt.Errorf("read %s: %w", which, err)
		}
	}
	doc, err := a.Open(data)
	if err != nil {
		return nil, fmt.Errorf("open %s: %w", which, err)
	}
	return doc, nil
}
