package index

import (
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/tributary-dicom/tributary/internal/testengine"
)

// node is a step of PostgreSQL's plan.
type node struct {
	Kind     string `json:"Node Type"`
	Index    string `json:"Index Name"`
	Relation string `json:"Relation Name"`
	Plans    []node

	// Of EXPLAIN (ANALYZE), a loop.
	Rows          int `json:"Actual Rows"`
	Removed       int `json:"Rows Removed by Filter"`
	RemovedByJoin int `json:"Rows Removed by Join Filter"`
	Loops         int `json:"Actual Loops"`
}

func (n node) walk(visit func(node)) {
	visit(n)
	for _, p := range n.Plans {
		p.walk(visit)
	}
}

// TestPostgresPlans holds that what viewers ask goes through an index, and which one, and that no table that
// grows is read whole. INDEX_STUDIES makes it larger; 100000 are a million instances.
func TestPostgresPlans(t *testing.T) {
	studies := 1500
	if s := os.Getenv("INDEX_STUDIES"); s != "" {
		studies, _ = strconv.Atoi(s)
	}
	server := testengine.StartPostgres(t, "shared_buffers=512MB", "max_wal_size=4GB", "autovacuum=off")
	db, err := OpenPostgres(t.Context(), server.Schema(t), Options{QueryTimeout: time.Minute})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { db.Close() })
	growCounty(t, db, studies, 10)
	if err := server.Exec(t.Context(), "VACUUM (ANALYZE)"); err != nil {
		t.Fatal(err)
	}
	check := func(name, index, text string, args ...any) {
		t.Helper()
		said, err := explainJSON(t.Context(), db, "FORMAT JSON", text, args...)
		if err != nil {
			t.Fatal(err)
		}
		var plans []struct{ Plan node }
		if err := json.Unmarshal([]byte(said), &plans); err != nil || len(plans) != 1 {
			t.Fatalf("%s: %v in %s", name, err, said)
		}
		through, bad := false, ""
		plans[0].Plan.walk(func(n node) {
			through = through || n.Index == index
			if n.Kind == "Seq Scan" && n.Relation != "patients" && n.Relation != "schema_version" {
				bad += " reads all of " + n.Relation
			}
		})
		if !through || bad != "" {
			t.Errorf("%s:%s; through %s: %t\n%s", name, bad, index, through, said)
		}
	}
	for _, q := range viewerQueries(studies) {
		ask := q.query()
		ask.Offset = min(ask.Offset, studies/10) // who skips most rows may as well sort them
		text, args, err := db.plan(ask, false, anchor{})
		if err != nil {
			t.Fatal(err)
		}
		check(q.name, q.index, text, args...)
	}
	study := fmt.Sprintf("1.2.826.0.1.3680043.8.498.%d", 10_000_000+studies/2)
	check("lookup", "instances_uid", "SELECT object_id FROM instances WHERE tenant = $1 AND sop_instance_uid = $2 ORDER BY received, object_id", "clinic", study+".1.1")
	check("M1 objects of a series", "instances_of_series", "SELECT "+objectColumns+` FROM instances i JOIN series e ON e.id = i.series_id
		JOIN studies s ON s.id = e.study_id WHERE i.series_id = $1 ORDER BY i.number, i.sop_instance_uid LIMIT 256`, int64(5))
	check("conflicts", "conflicts_newest", `SELECT c.sop_instance_uid FROM conflicts c WHERE c.tenant = $1
		ORDER BY c.received DESC, c.sop_instance_uid DESC LIMIT 50`, "clinic")
	for _, q := range arrivalQueries(studies) {
		text, args, err := db.planArrivals(q.query, q.object)
		if err != nil {
			t.Fatal(err)
		}
		check(q.name, q.index, text, args...)
	}
	check("patient conflicts", "studies_mixed", `SELECT id FROM studies WHERE tenant = $1 AND mixed = 1
		ORDER BY first_received DESC, study_instance_uid DESC LIMIT 50`, "clinic")
}

// TestCountySize measures the viewers' queries in both engines and writes the report to the file that
// INDEX_REPORT names, with INDEX_STUDIES studies of INDEX_INSTANCES instances, ten if unset.
func TestCountySize(t *testing.T) {
	report := os.Getenv("INDEX_REPORT")
	if report == "" {
		t.Skip("measures only when INDEX_REPORT names a file")
	}
	studies, err := strconv.Atoi(os.Getenv("INDEX_STUDIES"))
	if err != nil {
		t.Fatalf("INDEX_STUDIES: %v", err)
	}
	var out strings.Builder
	defer func() {
		if err := os.WriteFile(report, []byte(out.String()), 0o600); err != nil {
			t.Error(err)
		}
	}()
	instances := 10
	if s := os.Getenv("INDEX_INSTANCES"); s != "" {
		if instances, err = strconv.Atoi(s); err != nil {
			t.Fatalf("INDEX_INSTANCES: %v", err)
		}
	}
	server := testengine.StartPostgres(t, "fsync=on", "shared_buffers=1GB", "max_wal_size=4GB")
	big, err := OpenPostgres(t.Context(), server.URL()+"&schema=county", Options{QueryTimeout: time.Minute})
	if err != nil {
		t.Fatal(err)
	}
	defer big.Close()
	path := filepath.Join(t.TempDir(), "index.db")
	lite, err := OpenSQLite(t.Context(), path, Options{})
	if err != nil {
		t.Fatal(err)
	}
	defer lite.Close()
	for name, db := range map[string]*DB{"PostgreSQL": big, "SQLite": lite} {
		begin := time.Now()
		growCounty(t, db, studies, instances)
		fmt.Fprintf(&out, "%s: filled with %d instances in %v\n", name, studies*instances, time.Since(begin).Round(time.Second))
	}
	if err := server.Exec(t.Context(), "VACUUM (ANALYZE)"); err != nil {
		t.Fatal(err)
	}
	if err := lite.engine.(*sqliteEngine).checkpoint("TRUNCATE"); err != nil {
		t.Fatal(err)
	}
	if info, err := os.Stat(path); err == nil {
		fmt.Fprintf(&out, "SQLite: %d MB\n", info.Size()>>20)
	}
	sizes, err := big.engine.query(t.Context(), `SELECT relname::text, pg_relation_size(oid)::bigint FROM pg_class
		WHERE relnamespace = 'county'::regnamespace AND relkind IN ('r', 'i') ORDER BY 2 DESC LIMIT 25`)
	if err != nil {
		t.Fatal(err)
	}
	for sizes.Next() {
		var name string
		var size int64
		if err := sizes.Scan(&name, &size); err != nil {
			t.Fatal(err)
		}
		fmt.Fprintf(&out, "size %s %.1f MB\n", name, float64(size)/1e6)
	}
	sizes.Close()
	measure := func(name string, ask func(db *DB) (int, error)) {
		t.Helper()
		fmt.Fprintf(&out, "| %s |", name)
		for _, db := range []*DB{lite, big} {
			var took []time.Duration
			rows := 0
			for begin := time.Now(); len(took) < 10 || len(took) < 300 && time.Since(begin) < 3*time.Second; {
				at := time.Now()
				found, err := ask(db)
				if err != nil {
					t.Fatal(err)
				}
				took = append(took, time.Since(at))
				rows = found
				if strings.HasSuffix(name, "jumped to") {
					db.anchors = anchors{}
				}
			}
			slices.Sort(took)
			fmt.Fprintf(&out, " %d | %.2f | %.2f |", rows, float64(took[len(took)/2].Microseconds())/1000, float64(took[len(took)*99/100].Microseconds())/1000)
		}
		fmt.Fprintln(&out)
	}
	for _, q := range viewerQueries(studies) {
		measure(q.name, func(db *DB) (int, error) {
			found, err := db.Search(t.Context(), q.query())
			return len(found), err
		})
	}
	for _, q := range arrivalQueries(studies) {
		measure(q.name, func(db *DB) (int, error) {
			if q.object != "" {
				_, err := db.Arrival(t.Context(), "clinic", q.object)
				return 1, err
			}
			found, err := db.Arrivals(t.Context(), q.query)
			return len(found), err
		})
	}
	for _, q := range viewerQueries(studies) {
		text, args, err := big.plan(q.query(), false, anchor{})
		if err != nil {
			t.Fatal(err)
		}
		plan, err := explainJSON(t.Context(), big, "ANALYZE, COSTS OFF, TIMING OFF, SUMMARY OFF, BUFFERS", text, args...)
		if err != nil {
			t.Fatal(err)
		}
		fmt.Fprintf(&out, "\n%s\n%s\n%s\n", q.name, text, plan)
	}
}
