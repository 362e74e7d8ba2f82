package index

import (
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/tributary-dicom/tributary/parsers/part10"
)

func openSQLite(t testing.TB) *DB {
	t.Helper()
	db, err := OpenSQLite(t.Context(), filepath.Join(t.TempDir(), "index.db"), Options{})
	if err != nil {
		t.Fatalf("OpenSQLite: %v", err)
	}
	t.Cleanup(func() {
		if err := db.Close(); err != nil {
			t.Errorf("Close: %v", err)
		}
	})
	return db
}

// explain returns the engine's plan, a step a line.
func explain(t testing.TB, db *DB, text string, args ...any) string {
	t.Helper()
	rows, err := db.engine.(*sqliteEngine).readers.QueryContext(t.Context(), "EXPLAIN QUERY PLAN "+text, args...)
	if err != nil {
		t.Fatal(err)
	}
	defer rows.Close()
	var steps []string
	for rows.Next() {
		var id, parent, unused int
		var detail string
		if err := rows.Scan(&id, &parent, &unused, &detail); err != nil {
			t.Fatal(err)
		}
		steps = append(steps, detail)
	}
	if err := rows.Err(); err != nil {
		t.Fatal(err)
	}
	return strings.Join(steps, "\n")
}

// TestPlans holds that what viewers ask goes through an index, and which one.
func TestPlans(t *testing.T) {
	db := openSQLite(t)
	key := func(keyword string, values ...string) Match { return Match{Keyword: keyword, Values: values} }
	const sort = "USE TEMP B-TREE"
	for _, c := range []struct {
		name   string
		level  Level
		fuzzy  bool
		keys   []Match
		want   string // a step
		sorted bool   // a sort of the few that were found is right
	}{
		{"newest", StudyLevel, false, nil, "SEARCH s USING INDEX studies_newest (tenant=?)", false},
		{"patient", StudyLevel, false, []Match{key("PatientID", "1")}, "SEARCH studies USING COVERING INDEX studies_patient (tenant=? AND patient_id=?)", true},
		{"patient begins", StudyLevel, false, []Match{key("PatientID", "1*")}, "SEARCH studies USING COVERING INDEX studies_patient (tenant=? AND patient_id>? AND patient_id<?)", true},
		{"accession", StudyLevel, false, []Match{key("AccessionNumber", "1")}, "SEARCH s USING INDEX studies_accession (tenant=? AND accession_number=?)", true},
		{"name", StudyLevel, false, []Match{key("PatientName", "zhang^san")}, "SEARCH studies USING COVERING INDEX studies_alphabetic (tenant=? AND name_alphabetic=?)", true},
		{"name in hanzi", StudyLevel, false, []Match{key("PatientName", "张^三")}, "SEARCH studies USING COVERING INDEX studies_ideographic (tenant=? AND name_ideographic=?)", true},
		{"name begins", StudyLevel, false, []Match{key("PatientName", "zhang*")}, "SEARCH studies USING COVERING INDEX studies_alphabetic (tenant=? AND name_alphabetic>? AND name_alphabetic<?)", true},
		{"name contains", StudyLevel, false, []Match{key("PatientName", "*zhang*")}, "SEARCH s USING INDEX studies_newest (tenant=?)", false},
		{"name fuzzy", StudyLevel, true, []Match{key("PatientName", "zhang san")}, "USING INDEX studies_newest (tenant=?)", false},
		{"patient contains", StudyLevel, false, []Match{key("PatientID", "*1*")}, "SEARCH s USING INDEX studies_newest (tenant=?)", false},
		{"accession contains", StudyLevel, false, []Match{key("AccessionNumber", "*1*")}, "SEARCH s USING INDEX studies_newest (tenant=?)", false},
		{"description contains", StudyLevel, false, []Match{key("StudyDescription", "*腹部*")}, "SEARCH s USING INDEX studies_newest (tenant=?)", false},
		{"modality", StudyLevel, false, []Match{key("ModalitiesInStudy", "US")}, "SEARCH s USING INDEX studies_newest (tenant=?)", false},
		{"dates", StudyLevel, false, []Match{key("StudyDate", "20000101-20261121")}, "SEARCH s USING INDEX studies_newest (tenant=? AND day>? AND day<?)", false},
		{"since", StudyLevel, false, []Match{key("StudyDate", "20000101-")}, "SEARCH s USING INDEX studies_newest (tenant=? AND day>?)", false},
		{"date and modality", StudyLevel, false, []Match{key("StudyDate", "20260101"), key("ModalitiesInStudy", "US", "CT")}, "SEARCH s USING INDEX studies_newest (tenant=? AND day=?)", false},
		{"study", StudyLevel, false, []Match{key("StudyInstanceUID", "1.2")}, "SEARCH s USING INDEX studies_uid (tenant=? AND study_instance_uid=?)", false},
		{"studies", StudyLevel, false, []Match{key("StudyInstanceUID", "1.2", "1.3")}, "SEARCH s USING INDEX studies_uid (tenant=? AND study_instance_uid=?)", true},
		{"series of a study", SeriesLevel, false, []Match{key("StudyInstanceUID", "1.2")}, "SEARCH e USING INDEX series_of_study (study_id=?)", false},
		{"a series", SeriesLevel, false, []Match{key("StudyInstanceUID", "1.2"), key("SeriesInstanceUID", "1.3")}, "USING INDEX series_uid (series_instance_uid=? AND study_id=?)", true},
		{"a series alone", SeriesLevel, false, []Match{key("SeriesInstanceUID", "1.3")}, "USING INDEX series_uid (series_instance_uid=?)", true},
		{"newest series", SeriesLevel, false, nil, "SEARCH s USING INDEX studies_newest (tenant=?)", true},
		{"instances of a series", InstanceLevel, false, []Match{key("StudyInstanceUID", "1.2"), key("SeriesInstanceUID", "1.3")}, "SEARCH i USING INDEX instances_of_series (series_id=?)", true},
		{"instances of a study", InstanceLevel, false, []Match{key("StudyInstanceUID", "1.2")}, "SEARCH i USING INDEX instances_of_series (series_id=?)", true},
		{"an instance", InstanceLevel, false, []Match{key("SOPInstanceUID", "1.4")}, "SEARCH i USING INDEX instances_uid (tenant=? AND sop_instance_uid=? AND superseded=?)", true},
	} {
		text, args, err := db.plan(Query{Tenant: "clinic", Level: c.level, Fuzzy: c.fuzzy, Matches: c.keys, Limit: 101}, false, anchor{})
		if err != nil {
			t.Errorf("%s: %v", c.name, err)
			continue
		}
		plan := explain(t, db, text, args...)
		if !strings.Contains(plan, c.want) {
			t.Errorf("%s: no step %q in\n%s", c.name, c.want, plan)
		}
		if strings.Contains(plan, sort) && !c.sorted {
			t.Errorf("%s: sorts\n%s", c.name, plan)
		}
		if strings.Contains(plan, "SCAN s") || strings.Contains(plan, "SCAN e") || strings.Contains(plan, "SCAN i") {
			t.Errorf("%s: reads a whole table\n%s", c.name, plan)
		}
	}
}

// TestArrivalPlans holds that lists of arrivals walk an index from where the page begins, and sort no more than a page.
func TestArrivalPlans(t *testing.T) {
	db := openSQLite(t)
	for _, q := range arrivalQueries(1000) {
		text, args, err := db.planArrivals(q.query, q.object)
		if err != nil {
			t.Fatal(err)
		}
		plan := explain(t, db, text, args...)
		for _, step := range strings.Split(plan, "\n") {
			for _, table := range []string{"i", "o", "w", "d", "e", "s", "f", "k"} {
				if step == "SCAN "+table || strings.HasPrefix(step, "SCAN "+table+" ") {
					t.Errorf("%s: reads a whole table\n%s", q.name, plan)
				}
			}
		}
		want := "INDEX " + q.index + " (tenant=?"
		switch {
		case q.object != "":
			want += " AND object_id=?"
		case q.query.Before != "":
			want += " AND object_id<?"
		default:
			want += ")"
		}
		if !strings.Contains(plan, want) {
			t.Errorf("%s: no step %q in\n%s", q.name, want, plan)
		}
		// Each kind's page is found in order; only pages are sorted.
		for rest, more := plan, true; more; {
			_, rest, more = strings.Cut(rest, "CO-ROUTINE p")
			if found, _, _ := strings.Cut(rest, "SCAN p"); more && strings.Contains(found, "TEMP B-TREE") {
				t.Errorf("%s: sorts\n%s", q.name, plan)
			}
		}
	}
}

// TestEveryIndexedAttribute holds that what the scanner takes out of an object can be asked for.
func TestEveryIndexedAttribute(t *testing.T) {
	for _, keyword := range part10.IndexedAttributes {
		if _, ok := known[keyword]; !ok {
			t.Errorf("%s is in events and cannot be matched", keyword)
		}
	}
}

func TestMoments(t *testing.T) {
	for _, c := range []struct{ vr, value, low, high string }{
		{"DA", "20260228", "20260228", "20260228"},
		{"DA", "2026.02.28", "20260228", "20260228"},
		{"DA", "20260229", "", ""},
		{"DA", "2026022", "", ""},
		{"DA", "-20260228", "", "20260228"},
		{"DA", "20260228-", "20260228", ""},
		{"DA", "20260101 - 20260228", "20260101", "20260228"},
		{"DA", "20260201-20260231", "20260201", "20260231"},
		{"DA", "20260231-", "20260231", ""},
		{"DA", "20260231", "", ""},
		{"DA", "20260201-20260232", "", ""},
		{"DA", "--", "", ""},
		{"TM", "07", "070000.000000", "075959.999999"},
		{"TM", "0709", "070900.000000", "070959.999999"},
		{"TM", "07:09:05", "070905.000000", "070905.999999"},
		{"TM", "070905.5", "070905.500000", "070905.599999"[:7] + "599999"},
		{"TM", "070905.1234567", "", ""},
		{"TM", "0709.5", "", ""},
		{"TM", "24", "", ""},
		{"TM", "235960", "235960.000000", "235960.999999"},
		{"TM", "10-11", "100000.000000", "115959.999999"},
		{"DT", "2026", "20260101000000.000000", "20261231235959.999999"},
		{"DT", "202602", "20260201000000.000000", "20260228235959.999999"},
		{"DT", "20260228", "20260228000000.000000", "20260228235959.999999"},
		{"DT", "2026022810", "20260228100000.000000", "20260228105959.999999"},
		{"DT", "20260228100000+0800", "20260228020000.000000", "20260228020000.999999"},
		{"DT", "20260228200000-0500", "20260301010000.000000", "20260301010000.999999"},
		{"DT", "20260228-0500", "20260228050000.000000", "20260301045959.999999"},
		{"DT", "2026-2027", "20260101000000.000000", "20271231235959.999999"},
		{"DT", "20260101+0100-20270101-0100", "20251231230000.000000", "20270102005959.999999"},
		{"DT", "-2027", "", "20271231235959.999999"},
		{"DT", "2026-", "20260101000000.000000", ""},
		{"DT", "20260228+9900", "", ""},
		{"DT", "0000", "", ""},
		{"DT", "20261", "", ""},
	} {
		got, ok := parseRange(c.vr, c.value)
		if want := (span{c.low, c.high}); got != want || ok != (want != span{}) {
			t.Errorf("%s %q = %v, %t; want %v", c.vr, c.value, got, ok, want)
		}
	}
}

func TestPackedAttributes(t *testing.T) {
	in := map[string]string{"PatientName": "张^三", "StudyID": strings.Repeat("x", 300), "Rows": "\x00\x1f"}
	packed := pack(pairs(in), -1)
	out := make(map[string]string)
	if err := unpackInto(out, packed); err != nil || len(out) != len(in) {
		t.Fatalf("unpack = %q, %v", out, err)
	}
	for k, v := range in {
		if out[k] != v {
			t.Errorf("%s = %q, want %q", k, out[k], v)
		}
	}
	for n := 1; n < len(packed); n++ {
		m := make(map[string]string)
		if err := unpackInto(m, packed[:n]); err == nil && len(m) == len(in) {
			t.Errorf("cut at %d: no error and all attributes", n)
		}
	}
}

// TestUpgrade holds that an index of an earlier release is emptied, so that the log fills it again: its rows
// would differ from what this release makes of the same events.
func TestUpgrade(t *testing.T) {
	path := filepath.Join(t.TempDir(), "index.db")
	driver, err := newDriver()
	if err != nil {
		t.Fatal(err)
	}
	raw := open(driver, path)
	steps, err := sqliteDialect.steps(0)
	if err != nil {
		t.Fatal(err)
	}
	for _, s := range slices.Concat([]string{createVersions}, steps[0].statements, steps[1].statements, []string{
		`INSERT INTO offsets (topic, partition, applied, event_id) VALUES ('instances', 0, 7, 'x')`,
		`INSERT INTO conflicts (tenant, sop_instance_uid, received) VALUES ('clinic', '1.2', 3)`,
	}) {
		if _, err := raw.ExecContext(t.Context(), s); err != nil {
			t.Fatalf("%v in %s", err, s)
		}
	}
	if err := raw.Close(); err != nil {
		t.Fatal(err)
	}
	db, err := OpenSQLite(t.Context(), path, Options{})
	if err != nil {
		t.Fatal(err)
	}
	defer db.Close()
	if at, err := db.Applied(t.Context(), "instances", 0); at != -1 || err != nil {
		t.Errorf("Applied = %d, %v; want -1", at, err)
	}
	if s, err := db.Stats(t.Context()); err != nil || s != (Stats{}) {
		t.Errorf("Stats = %+v, %v", s, err)
	}
}

// What studies have in them is emptied with their instances: these are added again, and would count twice.
func TestUpgradeEmptiesCompleteness(t *testing.T) {
	path := filepath.Join(t.TempDir(), "index.db")
	driver, err := newDriver()
	if err != nil {
		t.Fatal(err)
	}
	raw := open(driver, path)
	steps, err := sqliteDialect.steps(0)
	if err != nil {
		t.Fatal(err)
	}
	old := []string{createVersions}
	for _, s := range steps[:5] {
		old = append(old, s.statements...)
	}
	row := completeness{studyKey: studyKey{"clinic", "1.2"}, announced: noContent, lastEvent: 7}
	row.content.Add("1.2.3", "aa", "1.2.840.10008.1.2.1")
	for _, s := range old {
		if _, err := raw.ExecContext(t.Context(), s); err != nil {
			t.Fatalf("%v in %s", err, s)
		}
	}
	if _, err := raw.ExecContext(t.Context(), sqliteDialect.write(writeCompleteness), row.values()...); err != nil {
		t.Fatal(err)
	}
	if err := raw.Close(); err != nil {
		t.Fatal(err)
	}
	db, err := OpenSQLite(t.Context(), path, Options{})
	if err != nil {
		t.Fatal(err)
	}
	defer db.Close()
	if s, err := db.OpenStats(t.Context()); err != nil || s.Open != 0 {
		t.Errorf("%+v, %v", s, err)
	}
}

// TestCheckpoint holds that the write-ahead log can be emptied while readers are open.
func TestCheckpoint(t *testing.T) {
	db := openSQLite(t)
	if err := db.Ready(t.Context()); err != nil { // opens a reader
		t.Fatal(err)
	}
	size := func() int64 {
		t.Helper()
		info, err := os.Stat(db.engine.(*sqliteEngine).path + "-wal")
		if err != nil {
			t.Fatal(err)
		}
		return info.Size()
	}
	if size() == 0 {
		t.Fatal("nothing in the write-ahead log")
	}
	for _, how := range []string{"PASSIVE", "TRUNCATE"} {
		if err := db.engine.(*sqliteEngine).checkpoint(how); err != nil {
			t.Errorf("%s: %v", how, err)
		}
	}
	if got := size(); got != 0 {
		t.Errorf("%d bytes left in the write-ahead log", got)
	}
}
