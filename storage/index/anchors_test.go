package index

import (
	"database/sql/driver"
	"encoding/json"
	"fmt"
	"strings"
	"testing"
	"time"

	"modernc.org/sqlite"

	"github.com/tributary-dicom/tributary/internal/testengine"
)

func TestAnchors(t *testing.T) {
	var a anchors
	now := time.Unix(1000, 0)
	key := func(s string) sortKey { return sortKey{s, int64(1)} }
	one, two := walkID(Query{Tenant: "a", Offset: 7}), walkID(Query{Tenant: "b"})
	if one != walkID(Query{Tenant: "a", WithHeader: true}) || one == two || one == walkID(Query{Tenant: "a", Limit: 5}) {
		t.Error("searches are not told apart by what they ask, and only by that")
	}
	near := func(id [32]byte, rows, want int) {
		t.Helper()
		if got := a.before(id, rows, now); got.rows != want {
			t.Errorf("before %d: %d, want %d", rows, got.rows, want)
		}
	}
	near(one, 5000, 0)
	for rows := 600; rows <= 1000; rows += 100 {
		a.keep(one, rows, key(fmt.Sprint(rows)), now)
	}
	near(one, 599, 0)
	near(one, 600, 600)
	near(one, 799, 700)
	near(one, 5000, 1000)
	near(two, 5000, 0)

	a.keep(one, 800, key("800"), now) // the same row: what is behind it holds
	near(one, 5000, 1000)
	a.keep(one, 800, key("another"), now)
	near(one, 5000, 800)
	near(one, 750, 700)

	now = now.Add(anchorLife)
	a.keep(one, 900, key("900"), now)
	now = now.Add(1)
	near(one, 850, 0)
	near(one, 5000, 900)

	for i := range 10 * maxAnchors {
		now = now.Add(time.Millisecond)
		a.keep(one, 1000+i, key(fmt.Sprint(i)), now)
		near(one, 1000+i, 1000+i)
		if n := len(a.walks[one].Value.(*walk).anchors); n > maxAnchors {
			t.Fatalf("%d places", n)
		}
	}
	for i := range 2 * maxWalks {
		a.keep(walkID(Query{Limit: i}), 600, key("600"), now)
	}
	if len(a.walks) != maxWalks || a.order.Len() != maxWalks {
		t.Errorf("%d walks", len(a.walks))
	}
	near(one, 5000, 0)
}

// pageWork are searches whose hundredth page must cost what the first one costs.
func pageWork() []Query {
	one := func(keyword, value string) []Match { return []Match{{Keyword: keyword, Values: []string{value}}} }
	study := fmt.Sprintf("1.2.826.0.1.3680043.8.498.%d", 10_000_000)
	return []Query{
		{Tenant: "clinic", Limit: 20},
		{Tenant: "clinic", Limit: 20, Matches: one("StudyDate", "20000101-20261121")},
		{Tenant: "clinic", Limit: 20, Matches: one("StudyDescription", "*腹部*")},
		{Tenant: "clinic", Limit: 20, Level: SeriesLevel},
		{Tenant: "large", Limit: 20, Level: SeriesLevel, Matches: one("StudyInstanceUID", study)},
		{Tenant: "large", Limit: 20, Level: InstanceLevel, Matches: append(one("StudyInstanceUID", study), one("SeriesInstanceUID", study+".1")...)},
	}
}

// growForPages fills 2,400 studies, and for another tenant one of as many series, one of which has as many instances.
func growForPages(t *testing.T, db *DB) {
	t.Helper()
	const n = 2400
	growCounty(t, db, n, 1)
	study := fmt.Sprintf("1.2.826.0.1.3680043.8.498.%d", 10_000_000)
	var changes []*change
	for i := range 2 * n {
		series, number := fmt.Sprintf("%s.1%04d", study, i), i
		if i >= n {
			series, number = study+".1", 1
		}
		m := map[string]string{
			"StudyInstanceUID": study, "SeriesInstanceUID": series, "SOPInstanceUID": fmt.Sprintf("%s.9.%d", study, i),
			"SeriesNumber": fmt.Sprint(number), "InstanceNumber": fmt.Sprint(i), "StudyDate": "20160101",
		}
		in := &instance{
			tenant: "large", study: study, series: series, sop: m["SOPInstanceUID"], eventID: fmt.Sprintf("01F%023d", i),
			place: place{1_872_352_000_000_000 + int64(i), fmt.Sprintf("01K%023d", i)}, syntax: "1.2.840.10008.1.2.1",
			datasetSHA256: fmt.Sprintf("%064x", i), blobKey: "k", all: pairs(m),
		}
		in.patient = patientHash(in.all)
		c := &change{instance: in}
		c.record.Topic, c.record.Offset = "more", int64(i)
		changes = append(changes, c)
	}
	for len(changes) > 0 {
		k := min(500, len(changes))
		if err := db.engine.apply(t.Context(), changes[:k]); err != nil {
			t.Fatal(err)
		}
		changes = changes[k:]
	}
}

// walkTo reads pages until one begins at an offset, and returns the statements of the first page and of that one.
func walkTo(t *testing.T, db *DB, q Query, offset int) (first, last string, firstArgs, lastArgs []any) {
	t.Helper()
	for q.Offset = 0; q.Offset < offset; q.Offset += q.Limit {
		found, err := db.Search(t.Context(), q)
		if err != nil || len(found) != q.Limit {
			t.Fatalf("%+v: %d rows, %v", q, len(found), err)
		}
	}
	var err error
	lastQuery := q
	q.Offset = 0
	if first, firstArgs, err = db.plan(q, true, anchor{}); err != nil {
		t.Fatal(err)
	}
	if last, lastArgs, err = db.plan(lastQuery, true, db.anchors.before(walkID(q), offset, time.Now())); err != nil {
		t.Fatal(err)
	}
	return first, last, firstArgs, lastArgs
}

// TestPageWork counts the rows that SQLite looks at for a page: the hundredth takes no more than the first, but for a few.
func TestPageWork(t *testing.T) {
	db := openSQLite(t)
	growForPages(t, db)
	d, err := newDriver()
	if err != nil {
		t.Fatal(err)
	}
	looked := 0
	err = d.RegisterScalarFunction("looked", 1, func(*sqlite.FunctionContext, []driver.Value) (driver.Value, error) {
		looked++
		return int64(1), nil
	})
	if err != nil {
		t.Fatal(err)
	}
	counting := open(d, db.engine.(*sqliteEngine).path, "query_only(1)")
	defer counting.Close()
	for _, q := range pageWork() {
		alias := [...]string{"s", "e", "i"}[q.Level]
		count := func(text string, args []any) int {
			t.Helper()
			looked = 0
			rows, err := counting.QueryContext(t.Context(), strings.Replace(text, " ORDER BY", " AND looked("+alias+".id) ORDER BY", 1), args...)
			if err != nil {
				t.Fatal(err)
			}
			defer rows.Close()
			n := 0
			for rows.Next() {
				n++
			}
			if err := rows.Err(); err != nil || n != q.Limit {
				t.Fatalf("%d rows, %v", n, err)
			}
			return looked
		}
		first, last, firstArgs, lastArgs := walkTo(t, db, q, 100*q.Limit)
		a, b := count(first, firstArgs), count(last, lastArgs)
		if b > a+2*q.Limit {
			t.Errorf("%+v: the first page looks at %d rows, the hundredth at %d\n%s", q, a, b, explain(t, db, last, lastArgs...))
		}
	}
}

// TestPostgresPageWork counts the rows that pass through the steps of PostgreSQL's plan.
func TestPostgresPageWork(t *testing.T) {
	server := testengine.StartPostgres(t, "autovacuum=off")
	db, err := OpenPostgres(t.Context(), server.Schema(t), Options{QueryTimeout: time.Minute})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { db.Close() })
	growForPages(t, db)
	if err := server.Exec(t.Context(), "VACUUM (ANALYZE)"); err != nil {
		t.Fatal(err)
	}
	for _, q := range pageWork() {
		said := ""
		count := func(text string, args []any) (rows int) {
			t.Helper()
			var err error
			if said, err = explainJSON(t.Context(), db, "ANALYZE, TIMING OFF, FORMAT JSON", text, args...); err != nil {
				t.Fatal(err)
			}
			var plans []struct{ Plan node }
			if err := json.Unmarshal([]byte(said), &plans); err != nil || len(plans) != 1 {
				t.Fatalf("%v in %s", err, said)
			}
			plans[0].Plan.walk(func(n node) { rows += (n.Rows + n.Removed + n.RemovedByJoin) * n.Loops })
			return rows
		}
		first, last, firstArgs, lastArgs := walkTo(t, db, q, 100*q.Limit)
		a, b := count(first, firstArgs), count(last, lastArgs)
		if b > 2*a+4*q.Limit {
			t.Errorf("%+v: the first page looks at %d rows, the hundredth at %d\n%s\n%s", q, a, b, last, said)
		}
	}
}
