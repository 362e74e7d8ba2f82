package index

import (
	"strings"
	"testing"
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
