package index

import (
	"strings"
	"testing"

	"github.com/tributary-dicom/tributary/internal/testengine"
)

// planned are searches for recordings, and the index that each goes through.
func planned() map[string]struct {
	q    RecordingQuery
	want string
} {
	slow := 50.0
	return map[string]struct {
		q    RecordingQuery
		want string
	}{
		"newest":     {RecordingQuery{}, "recordings_newest"},
		"a page on":  {RecordingQuery{Before: &RecordingPlace{1, "x"}}, "recordings_newest"},
		"urgent":     {RecordingQuery{Priority: "STAT"}, "recordings_urgent"},
		"urgent too": {RecordingQuery{Priority: "STAT", Statements: []string{"梗死"}}, "recordings_urgent"},
		"statement":  {RecordingQuery{Statements: []string{"梗死"}}, "recordings_newest"},
		"patient":    {RecordingQuery{PatientID: "1"}, "recordings_patient"},
		"study":      {RecordingQuery{StudyInstanceUID: "1.2"}, "recordings_study"},
		"day":        {RecordingQuery{Dates: "20260101"}, "recordings_day"},
		"slow":       {RecordingQuery{Ranges: map[Measure]Bounds{VentricularRate: {Max: &slow}}}, "recordings_newest"},
	}
}

func TestRecordingPlans(t *testing.T) {
	db := openSQLite(t)
	for name, c := range planned() {
		c.q.Tenant, c.q.Limit = "clinic", 100
		text, args, err := db.planRecordings(c.q)
		if err != nil {
			t.Fatal(err)
		}
		plan := explain(t, db, text, args...)
		for _, want := range []string{"SEARCH r USING INDEX " + c.want, "SEARCH i USING COVERING INDEX instances_uid (tenant=? AND sop_instance_uid=? AND superseded=?)", "SEARCH i USING INTEGER PRIMARY KEY"} {
			if !strings.Contains(plan, want) {
				t.Errorf("%s: no step %q in\n%s", name, want, plan)
			}
		}
		if strings.Contains(plan, "SCAN r") || strings.Contains(plan, "SCAN i") {
			t.Errorf("%s: reads a whole table\n%s", name, plan)
		}
		// The rows of the page are sorted once more, behind the join.
		if sorts := strings.Count(plan, "TEMP B-TREE"); sorts > 1 && (c.want == "recordings_newest" || c.want == "recordings_urgent") {
			t.Errorf("%s: sorts\n%s", name, plan)
		}
	}
}

// TestPostgresRecordingPlans holds the same of a server that knows a county's recordings.
func TestPostgresRecordingPlans(t *testing.T) {
	server := testengine.StartPostgres(t)
	db, err := OpenPostgres(t.Context(), server.Schema(t), Options{})
	if err != nil {
		t.Fatal(err)
	}
	defer db.Close()
	writers := db.engine.(*postgresEngine).writers
	c, err := writers.acquire(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	for _, text := range []string{
		`INSERT INTO recordings (instance_id, tenant, original, object_id, derived_from, derived_uid, study_instance_uid, series_instance_uid,
			sop_instance_uid, received, day, patient_id, priority, findings, paced, leads, statements, ventricular_rate)
			SELECT n, 'clinic', '', 'object' || n, '', '', '1.2.' || n, '1', '1', n, '2026' || (1000 + n % 300), 'p' || n / 3,
			CASE WHEN n % 50 = 0 THEN 'STAT' ELSE '' END, '', -1, '', '', 40 + n % 80 FROM generate_series(1, 20000) AS n`,
		"ANALYZE recordings",
	} {
		if _, err := c.Exec(t.Context(), text); err != nil {
			t.Fatal(err)
		}
	}
	writers.release(c)
	for name, c := range planned() {
		c.q.Tenant, c.q.Limit = "clinic", 100
		text, args, err := db.planRecordings(c.q)
		if err != nil {
			t.Fatal(err)
		}
		found, err := db.engine.query(t.Context(), "EXPLAIN "+text, args...)
		if err != nil {
			t.Fatal(err)
		}
		var steps []string
		for found.Next() {
			var line string
			if err := found.Scan(&line); err != nil {
				t.Fatal(err)
			}
			steps = append(steps, line)
		}
		if err := found.Err(); err != nil {
			t.Fatal(err)
		}
		found.Close()
		plan := strings.Join(steps, "\n")
		if strings.Contains(plan, "Seq Scan") || strings.Contains(plan, "hashed SubPlan") || !strings.Contains(plan, " "+c.want+" ") {
			t.Errorf("%s:\n%s", name, plan)
		}
	}
}
