package index

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/tributary-dicom/tributary/internal/testengine"
)

// listener hears what is asked of an engine.
type listener struct {
	engine
	mu    sync.Mutex
	asked []question
}

type question struct {
	text string
	args []any
}

func (l *listener) query(ctx context.Context, text string, args ...any) (rows, error) {
	l.mu.Lock()
	l.asked = append(l.asked, question{text, append([]any{}, args...)})
	l.mu.Unlock()
	return l.engine.query(ctx, text, args...)
}

// heard returns the statements that fn runs.
func heard(t *testing.T, db *DB, fn func() error) []question {
	t.Helper()
	l := &listener{engine: db.engine}
	db.engine = l
	defer func() { db.engine = l.engine }()
	if err := fn(); err != nil {
		t.Fatal(err)
	}
	if len(l.asked) == 0 {
		t.Fatal("the index was not asked")
	}
	return l.asked
}

// readersCalls are what readers ask of an index beside searches: whole studies, duplicates, originals, lists.
func readersCalls(t *testing.T, db *DB, studies int) map[string]func() error {
	t.Helper()
	ctx := t.Context()
	study := fmt.Sprintf("1.2.826.0.1.3680043.8.498.%d", 10_000_000+studies/2)
	objects := func(s Scope, w Want) func() error {
		return func() error {
			n := 0
			err := db.Objects(ctx, s, w, func(Object) error { n++; return nil })
			if n == 0 {
				t.Errorf("%+v has no objects", s)
			}
			return err
		}
	}
	calls := map[string]func() error{
		"M1":                   objects(Scope{"clinic", study, study + ".1", ""}, Want{Header: true}),
		"F1":                   objects(Scope{"clinic", study, study + ".1", study + ".1.1"}, Want{Layout: true}),
		"a whole study":        objects(Scope{"clinic", study, "", ""}, Want{}),
		"WADO-URI":             objects(Scope{"clinic", "", "", study + ".1.1"}, Want{}),
		"admission":            func() error { _, _, err := db.Lookup(ctx, "clinic", study+".1.1"); return err },
		"admission of another": func() error { _, _, err := db.Lookup(ctx, "clinic", "1.2.3"); return err },
		"quarantine":           func() error { _, err := db.Quarantine(ctx, "clinic", 50, 0); return err },
		"quarantined bytes": func() error {
			if _, err := db.QuarantinedBytes(ctx, "clinic", "00"); !errors.Is(err, ErrNotFound) {
				return err
			}
			return nil
		},
		"conflicts":         func() error { _, err := db.Conflicts(ctx, "clinic", 50, 0); return err },
		"patient conflicts": func() error { _, err := db.PatientConflicts(ctx, "clinic", 50, 0); return err },
		"an arrival":        func() error { _, err := db.Arrival(ctx, "clinic", fmt.Sprintf("01J%023d", studies/2)); return err },
		"a missing arrival": func() error {
			if _, err := db.Arrival(ctx, "clinic", "nothing"); !errors.Is(err, ErrNotFound) {
				return err
			}
			return nil
		},
		"an original": func() error {
			if _, err := db.Original(ctx, "clinic", study+".1.1"); !errors.Is(err, ErrNotFound) {
				return err
			}
			return nil
		},
	}
	for _, q := range viewerQueries(studies) {
		calls[q.name] = func() error { _, err := db.Search(ctx, q.query()); return err }
	}
	for _, q := range arrivalQueries(studies) {
		if q.object == "" {
			calls[q.name] = func() error { _, err := db.Arrivals(ctx, q.query); return err }
		}
	}
	for _, status := range []string{ArrivalStored, ArrivalConflict, ArrivalKept, ArrivalDerived, ArrivalQuarantined} {
		calls["arrivals that are "+status] = func() error {
			_, err := db.Arrivals(ctx, ArrivalQuery{Tenant: "clinic", Status: status, Door: "dimse", Device: "kit-7"})
			return err
		}
	}
	return calls
}

// TestViewerPlans holds that no statement behind a reader's question reads a table whole, on an index that is filled.
func TestViewerPlans(t *testing.T) {
	const studies = 300
	db := openSQLite(t)
	growCounty(t, db, studies, 5)
	for name, call := range readersCalls(t, db, studies) {
		for _, q := range heard(t, db, call) {
			plan := explain(t, db, q.text, q.args...)
			for step := range strings.SplitSeq(plan, "\n") {
				table, isScan := strings.CutPrefix(step, "SCAN ")
				table, _, _ = strings.Cut(table, " ")
				// p and x are pages, found before; a list of constants has no name.
				if isScan && table != "p" && table != "x" && table != "CONSTANT" {
					t.Errorf("%s: %s in\n%s\n%s", name, step, q.text, plan)
				}
			}
		}
	}
}

// growing are tables that one must not read whole.
var growing = map[string]bool{
	"studies": true, "series": true, "instances": true, "documents": true, "originals": true, "recordings": true,
	"recording_documents": true, "siblings": true, "quarantine": true,
}

// TestPostgresViewerPlans is TestViewerPlans for PostgreSQL, and holds that a list of the newest sorts no more than its page.
func TestPostgresViewerPlans(t *testing.T) {
	const studies = 600
	server := testengine.StartPostgres(t, "autovacuum=off")
	db, err := OpenPostgres(t.Context(), server.Schema(t), Options{QueryTimeout: time.Minute})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { db.Close() })
	growCounty(t, db, studies, 5)
	if err := server.Exec(t.Context(), "VACUUM (ANALYZE)"); err != nil {
		t.Fatal(err)
	}
	newest := make(map[string]bool)
	for _, q := range viewerQueries(studies) {
		newest[q.name] = q.index == "studies_newest" && q.level == StudyLevel
	}
	for name, call := range readersCalls(t, db, studies) {
		for _, q := range heard(t, db, call) {
			said, err := explainJSON(t.Context(), db, "ANALYZE, TIMING OFF, FORMAT JSON", q.text, q.args...)
			if err != nil {
				t.Fatal(err)
			}
			var plans []struct{ Plan node }
			if err := json.Unmarshal([]byte(said), &plans); err != nil || len(plans) != 1 {
				t.Fatalf("%s: %v in %s", name, err, said)
			}
			plans[0].Plan.walk(func(n node) {
				if n.Kind == "Seq Scan" && growing[n.Relation] {
					t.Errorf("%s: reads all of %s\n%s\n%s", name, n.Relation, q.text, said)
				}
				if strings.Contains(n.Kind, "Sort") && newest[name] && len(n.Plans) == 1 && n.Plans[0].Rows > 101 {
					t.Errorf("%s: sorts %d rows\n%s\n%s", name, n.Plans[0].Rows, q.text, said)
				}
			})
		}
	}
}
