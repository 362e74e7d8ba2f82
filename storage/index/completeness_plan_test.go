package index

import (
	"encoding/json"
	"strings"
	"testing"

	"github.com/tributary-dicom/tributary/internal/testengine"
)

// What is asked every second, and for every page of studies, goes through indexes, without a sort of all that waits.
func TestCompletenessPlans(t *testing.T) {
	db := openSQLite(t)
	for name, c := range map[string]struct {
		text string
		args []any
		want string
	}{
		"waiting": {openStudies(stateWaiting), []any{1, 0, "", "", 10}, "INDEX completeness_open (state=? AND (last_event,tenant,study_instance_uid)>(?,?,?) AND last_event<?)"},
		"urgent":  {openStudies(stateSignaled), []any{1, 0, "", "", 10}, "INDEX completeness_open (state=? AND (last_event,tenant,study_instance_uid)>(?,?,?) AND last_event<?)"},
		"states":  {studyStates(3), []any{"t", "1", "2", "3"}, "INDEX sqlite_autoindex_completeness_1 (tenant=? AND study_instance_uid=?)"},
		"whole":   {wholeStudy, []any{"t", "1"}, "INDEX sqlite_autoindex_completeness_1 (tenant=? AND study_instance_uid=?)"},
	} {
		plan := explain(t, db, c.text, c.args...)
		if !strings.Contains(plan, c.want) || strings.Contains(plan, "SCAN c") || strings.Contains(plan, "SCAN i") || strings.Contains(plan, "SCAN r") {
			t.Errorf("%s:\n%s\nwant %s", name, plan, c.want)
		}
		if name != "whole" && strings.Contains(plan, "TEMP B-TREE") {
			t.Errorf("%s sorts:\n%s", name, plan)
		}
	}
}

// Likewise in PostgreSQL: what waits is read in order from the index that has nothing else.
func TestPostgresCompletenessPlans(t *testing.T) {
	server := testengine.StartPostgres(t)
	db, err := OpenPostgres(t.Context(), server.Schema(t), Options{})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { db.Close() })
	growCounty(t, db, 300, 2)
	if err := server.Exec(t.Context(), "VACUUM (ANALYZE)"); err != nil {
		t.Fatal(err)
	}
	for name, c := range map[string]struct {
		text, index string
		args        []any
	}{
		"waiting": {openStudies(stateWaiting), "completeness_open", []any{int64(1) << 62, 0, "", "", 10}},
		"states":  {studyStates(3), "completeness_pkey", []any{"default", "1", "2", "3"}},
		"whole":   {wholeStudy, "completeness_pkey", []any{"default", "1"}},
	} {
		said, err := explainJSON(t.Context(), db, "FORMAT JSON", c.text, c.args...)
		if err != nil {
			t.Fatal(err)
		}
		var plans []struct{ Plan node }
		if err := json.Unmarshal([]byte(said), &plans); err != nil || len(plans) != 1 {
			t.Fatalf("%s: %v", said, err)
		}
		found := false
		plans[0].Plan.walk(func(n node) {
			found = found || n.Index == c.index
			if n.Kind == "Seq Scan" || name == "waiting" && n.Kind == "Sort" {
				t.Errorf("%s: %s of %s", name, n.Kind, n.Relation)
			}
		})
		if !found {
			t.Errorf("%s does not use %s", name, c.index)
		}
	}
}
