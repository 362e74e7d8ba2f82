package index_test

import (
	"context"
	"errors"
	"fmt"
	"reflect"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/tributary-dicom/tributary/internal/testengine"
	"github.com/tributary-dicom/tributary/pipeline/event"
	"github.com/tributary-dicom/tributary/pipeline/eventlog"
	"github.com/tributary-dicom/tributary/storage/index"
	"github.com/tributary-dicom/tributary/storage/index/indextest"
)

func openPostgres(t testing.TB, url string, opt index.Options) *index.DB {
	t.Helper()
	db, err := index.OpenPostgres(t.Context(), url, opt)
	if err != nil {
		t.Fatalf("OpenPostgres: %v", err)
	}
	return db
}

// closing closes an index at the end of the test.
func closing(t testing.TB, db *index.DB) *index.DB {
	t.Helper()
	t.Cleanup(func() {
		if err := db.Close(); err != nil {
			t.Errorf("Close: %v", err)
		}
	})
	return db
}

func TestPostgres(t *testing.T) {
	server := testengine.StartPostgres(t)
	t.Run("suite", func(t *testing.T) {
		indextest.Run(t, func(t *testing.T, blobs index.Attachments) indextest.Index {
			return openPostgres(t, server.Schema(t), index.Options{Attachments: blobs})
		})
	})
	for name, check := range map[string]func(*testing.T, *testengine.Postgres){
		"one view in both engines":     oneView,
		"one answer in both engines":   oneAnswer,
		"appliers side by side":        appliers,
		"nodes start together":         startTogether,
		"a newer schema":               newerSchema,
		"a query that takes too long":  slowQuery,
		"a reader who goes away":       gone,
		"values from outside are text": outsideText,
		"reopening and closing":        reopen,
	} {
		t.Run(name, func(t *testing.T) { check(t, server) })
	}
}

// oneView holds that both engines make the same bytes of the same events.
func oneView(t *testing.T, server *testengine.Postgres) {
	for seed := range uint64(4) {
		lite, big := closing(t, open(t, nil)), closing(t, openPostgres(t, server.Schema(t), index.Options{}))
		records := indextest.Mess(t, seed, 150)
		fill(t, lite, records, 1+int(seed)*13)
		fill(t, big, records, 1+int(seed)*31)
		if a, b := dump(t, lite), dump(t, big); a != b {
			t.Fatalf("seed %d: %s", seed, difference(a, b))
		}
		if a, b := audited(t, lite), audited(t, big); a != b {
			t.Fatalf("seed %d: an audit sees %s", seed, difference(a, b))
		}
	}
}

// audited returns what an audit reads.
func audited(t testing.TB, db *index.DB) string {
	t.Helper()
	var lines []string
	err := db.EachRow(t.Context(), func(r index.RowOf) error {
		lines = append(lines, fmt.Sprintf("%+v\n", r))
		return nil
	})
	if n, bad := db.Miscounted(t.Context()); err != nil || bad != nil || n != 0 {
		t.Errorf("audit: %v; %d miscounted, %v", err, n, bad)
	}
	slices.Sort(lines)
	return strings.Join(lines, "")
}

// difference returns the lines that only one of two dumps has.
func difference(a, b string) string {
	has := map[string]int{}
	for line := range strings.Lines(a) {
		has[line]++
	}
	for line := range strings.Lines(b) {
		has[line]--
	}
	var out []string
	for line, n := range has {
		if n != 0 {
			out = append(out, fmt.Sprintf("%+d %s", n, line))
		}
	}
	return strings.Join(out, "")
}

// oneAnswer holds that both engines answer alike, in the same order.
func oneAnswer(t *testing.T, server *testengine.Postgres) {
	lite, big := closing(t, open(t, nil)), closing(t, openPostgres(t, server.Schema(t), index.Options{}))
	records := append(indextest.County(t, 100, 2), indextest.Mess(t, 1, 150)...)
	for i := range records {
		records[i].Offset = int64(i)
	}
	fill(t, lite, records, 100)
	fill(t, big, records, 100)
	one := func(keyword string, values ...string) []index.Match {
		return []index.Match{{Keyword: keyword, Values: values}}
	}
	for _, matches := range [][]index.Match{
		nil, one("PatientName", "*zhang*"), one("PatientName", "w*"), one("PatientName", "?a*^*i*"), one("PatientName", "张^伟", "王*"),
		one("PatientID", "P000001*"), one("PatientID", "1"), one("PatientID", "*1?"), one("StudyDate", "20180101-20201231"),
		one("StudyTime", "10-12"), one("ModalitiesInStudy", "US", "C*"), one("PatientBirthDate", "1950-"), one("ReferringPhysicianName", "李*"),
		append(one("StudyDate", "2019-"), one("ModalitiesInStudy", "CT")...), one("StudyID", "1?"), one("StudyDescription", "*腹部*"),
	} {
		for level := index.StudyLevel; level <= index.InstanceLevel; level++ {
			for _, order := range [][]index.Order{nil, {{Keyword: "PatientName"}}, {{Keyword: "PatientID", Descending: true}}} {
				for _, limit := range []int{0, 7} {
					for _, fuzzy := range []bool{false, true}[:2-len(order)] {
						q := index.Query{Tenant: "clinic", Level: level, Matches: matches, Fuzzy: fuzzy, OrderBy: order, Limit: limit, Offset: limit / 2}
						a, err1 := lite.Search(t.Context(), q)
						b, err2 := big.Search(t.Context(), q)
						if !reflect.DeepEqual(a, b) || (err1 == nil) != (err2 == nil) {
							t.Errorf("%+v: %d rows, %v; %d rows, %v", q, len(a), err1, len(b), err2)
						}
					}
				}
			}
		}
	}
}

// appliers holds that several processes that apply the same events in other orders, repeated, to other
// partitions, and even to the same one, make the view that one of them would.
func appliers(t *testing.T, server *testengine.Postgres) {
	for seed := range uint64(3) {
		records := indextest.Mess(t, 100+seed, 200)
		if seed == 0 {
			records = indextest.County(t, 40, 10) // the ordinary case: nothing collides but repetitions
		}
		if seed == 1 { // versions of few instances in many studies, which study locks do not keep apart
			tape := indextest.NewTape(t)
			for i := range 240 {
				in := indextest.Instance{
					Study: fmt.Sprintf("1.%d", i%60), SOP: fmt.Sprintf("1.7.%d", i%4), Object: fmt.Sprintf("01%03d", i), Bytes: fmt.Sprint(i % 24),
					Received: indextest.Epoch.Add(time.Duration(i*37%240) * time.Second), Attributes: map[string]string{"PatientID": fmt.Sprint(i % 3)},
				}
				tape.Stored(in)
				if i%5 == 0 {
					tape.Resolved(event.TypeConflictResolved, in.Object, "promoted", in.Received)
				}
			}
			records = tape.Records
		}
		want := closing(t, open(t, nil))
		fill(t, want, records, 50)
		schema := server.Schema(t)
		var all sync.WaitGroup
		parts := indextest.Deal(seed, records, 4)
		for n := range 8 { // two a partition, as around a rebalance
			db := closing(t, openPostgres(t, schema, index.Options{}))
			all.Go(func() {
				rest := parts[n%4]
				for len(rest) > 0 {
					batch := rest[:min(len(rest), 1+n*2)]
					if err := db.Apply(t.Context(), batch); err != nil {
						t.Errorf("seed %d: Apply: %v", seed, err)
						return
					}
					rest = rest[len(batch):]
				}
			})
		}
		all.Wait()
		got := closing(t, openPostgres(t, schema, index.Options{}))
		if a, b := dump(t, want), dump(t, got); a != b {
			t.Fatalf("seed %d: %s", seed, difference(a, b))
		}
		for n, part := range parts {
			if at, err := got.Applied(t.Context(), event.TopicInstances, int32(n)); err != nil || at != int64(len(part)-1) {
				t.Errorf("partition %d is at %d, %v; want %d", n, at, err, len(part)-1)
			}
		}
	}
}

func startTogether(t *testing.T, server *testengine.Postgres) {
	schema := server.Schema(t)
	var all sync.WaitGroup
	for range 6 {
		all.Go(func() {
			db, err := index.OpenPostgres(t.Context(), schema, index.Options{})
			if err != nil {
				t.Errorf("OpenPostgres: %v", err)
				return
			}
			if err := errors.Join(db.Ready(t.Context()), db.Close()); err != nil {
				t.Error(err)
			}
		})
	}
	all.Wait()
}

// schemaOf returns the quoted name of a URL's schema.
func schemaOf(t testing.TB, url string) string {
	t.Helper()
	config, err := pgx.ParseConfig(url)
	if err != nil {
		t.Fatal(err)
	}
	return pgx.Identifier{config.RuntimeParams["schema"]}.Sanitize()
}

func newerSchema(t *testing.T, server *testengine.Postgres) {
	url := server.Schema(t)
	closing(t, openPostgres(t, url, index.Options{}))
	if err := server.Exec(t.Context(), "INSERT INTO "+schemaOf(t, url)+".schema_version (version) VALUES (1000)"); err != nil {
		t.Fatal(err)
	}
	if _, err := index.OpenPostgres(t.Context(), url, index.Options{}); err == nil || !strings.Contains(err.Error(), "newer") || errors.Is(err, index.ErrUnavailable) {
		t.Errorf("a newer schema: %v, want an error that says so", err)
	}
}

// slowQuery holds that the server ends what takes too long, and that the error can be told from others.
func slowQuery(t *testing.T, server *testengine.Postgres) {
	url := server.Schema(t)
	db := closing(t, openPostgres(t, url, index.Options{QueryTimeout: 50 * time.Millisecond}))
	conn, err := pgx.Connect(t.Context(), server.URL())
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close(context.Background())
	if _, err := conn.PgConn().Exec(t.Context(), "BEGIN; LOCK TABLE "+schemaOf(t, url)+".studies IN ACCESS EXCLUSIVE MODE").ReadAll(); err != nil {
		t.Fatal(err)
	}
	_, err = db.Search(t.Context(), index.Query{Tenant: "clinic"})
	if !errors.Is(err, index.ErrTimeout) || !errors.Is(err, index.ErrUnavailable) {
		t.Errorf("Search: %v, want ErrTimeout", err)
	}
	if _, err := conn.Exec(t.Context(), "ROLLBACK"); err != nil {
		t.Fatal(err)
	}
	for err = index.ErrTimeout; errors.Is(err, index.ErrTimeout); { // a busy machine may take as long for nothing
		if _, err = db.Search(t.Context(), index.Query{Tenant: "clinic"}); err != nil && !errors.Is(err, index.ErrTimeout) {
			t.Errorf("Search afterwards: %v", err)
		}
	}
}

// gone holds that a caller's cancellation ends a query, says so, and costs no connection.
func gone(t *testing.T, server *testengine.Postgres) {
	url := server.Schema(t)
	db := closing(t, openPostgres(t, url, index.Options{Readers: 1}))
	conn, err := pgx.Connect(t.Context(), server.URL())
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close(context.Background())
	if _, err := conn.PgConn().Exec(t.Context(), "BEGIN; LOCK TABLE "+schemaOf(t, url)+".studies IN ACCESS EXCLUSIVE MODE").ReadAll(); err != nil {
		t.Fatal(err)
	}
	for range 3 {
		ctx, cancel := context.WithTimeout(t.Context(), 20*time.Millisecond)
		if _, err := db.Search(ctx, index.Query{Tenant: "clinic"}); !errors.Is(err, context.DeadlineExceeded) || errors.Is(err, index.ErrUnavailable) {
			t.Errorf("Search: %v, want the caller's own error", err)
		}
		cancel()
	}
	if _, err := conn.Exec(t.Context(), "ROLLBACK"); err != nil {
		t.Fatal(err)
	}
	if _, err := db.Search(t.Context(), index.Query{Tenant: "clinic"}); err != nil {
		t.Errorf("Search afterwards: %v", err)
	}
}

func outsideText(t *testing.T, server *testengine.Postgres) {
	db := closing(t, openPostgres(t, server.Schema(t), index.Options{}))
	fillPlain(t, db)
	for _, value := range hostileValues {
		for n := range searchedKeywords {
			checkValue(t, db, value, n)
		}
	}
}

func reopen(t *testing.T, server *testengine.Postgres) {
	url := server.Schema(t)
	db := openPostgres(t, url, index.Options{})
	records := indextest.County(t, 20, 3)
	fill(t, db, records[:31], 10)
	if err := errors.Join(db.Close(), db.Close()); err != nil {
		t.Fatal(err)
	}
	if _, err := db.Search(t.Context(), index.Query{}); !errors.Is(err, index.ErrClosed) {
		t.Errorf("Search after Close: %v, want ErrClosed", err)
	}
	if err := db.Apply(t.Context(), records); !errors.Is(err, index.ErrClosed) {
		t.Errorf("Apply after Close: %v, want ErrClosed", err)
	}
	db = closing(t, openPostgres(t, url, index.Options{}))
	if at, id, err := db.LastApplied(t.Context(), event.TopicInstances, 0); at != 30 || id != records[30].Event.ID || err != nil {
		t.Errorf("LastApplied = %d, %q, %v; want 30", at, id, err)
	}
	fill(t, db, records, 7)
	whole := closing(t, open(t, nil))
	fill(t, whole, records, 1000)
	if a, b := dump(t, whole), dump(t, db); a != b {
		t.Errorf("views differ after a restart in the middle: %s", difference(a, b))
	}
}

// TestPostgresAway holds what callers see of a server that is stopped, killed, frozen, or takes no writes, and
// that the same DB goes on when it is back.
func TestPostgresAway(t *testing.T) {
	server := testengine.StartPostgres(t)
	url := server.Schema(t)
	db := closing(t, openPostgres(t, url, index.Options{QueryTimeout: time.Second}))
	tape := indextest.NewTape(t)
	works := func(when string) {
		t.Helper()
		r := tape.Stored(indextest.Instance{Study: fmt.Sprintf("1.%d", len(tape.Records))})
		if err := db.Apply(t.Context(), []eventlog.Record{r}); err != nil {
			t.Fatalf("%s: Apply: %v", when, err)
		}
		for range index.DefaultReaders + 1 { // each connection
			if err := db.Ready(t.Context()); err != nil {
				t.Fatalf("%s: Ready: %v", when, err)
			}
			if rows, err := db.Search(t.Context(), index.Query{Tenant: "clinic"}); err != nil || len(rows) != len(tape.Records) {
				t.Fatalf("%s: %d rows, %v; want %d", when, len(rows), err, len(tape.Records))
			}
		}
	}
	next := indextest.NewTape(t).Stored(indextest.Instance{Study: "1.999"})
	next.Offset = 1 << 40
	unavailable := func(when string, err error) {
		t.Helper()
		var poison *index.RecordError
		if !errors.Is(err, index.ErrUnavailable) || errors.As(err, &poison) {
			t.Errorf("%s: %v, want ErrUnavailable", when, err)
		}
		if err != nil && strings.Contains(err.Error(), "secret") {
			t.Errorf("%s: the error has the password: %v", when, err)
		}
	}
	broken := func(when string) {
		t.Helper()
		unavailable(when+": Ready", db.Ready(t.Context()))
		_, err := db.Search(t.Context(), index.Query{Tenant: "clinic"})
		unavailable(when+": Search", err)
		_, err = db.Applied(t.Context(), event.TopicInstances, 0)
		unavailable(when+": Applied", err)
		unavailable(when+": Apply", db.Apply(t.Context(), []eventlog.Record{next}))
		_, err = index.OpenPostgres(t.Context(), strings.Replace(url, "tributary@", "tributary:secret@", 1), index.Options{})
		unavailable(when+": OpenPostgres", err)
	}
	works("at first")
	server.Stop()
	broken("stopped")
	server.Start(t)
	works("after a stop")
	server.Kill()
	server.Start(t)
	works("after a quick restart") // the connections in the pool are dead, nobody hears of it
	server.Kill()
	broken("killed")
	server.Start(t)
	works("after a kill")

	server.Pause()
	_, err := db.Search(t.Context(), index.Query{Tenant: "clinic"})
	unavailable("frozen: Search", err)
	server.Resume()
	works("after a pause")

	// A primary that becomes a standby, seen by connections that stay open.
	if err := server.Exec(t.Context(), "ALTER SYSTEM SET default_transaction_read_only = on"); err != nil {
		t.Fatal(err)
	}
	if err := server.Exec(t.Context(), "SELECT pg_reload_conf()"); err != nil {
		t.Fatal(err)
	}
	for { // sessions hear of it by and by
		err := db.Apply(t.Context(), []eventlog.Record{tape.Stored(indextest.Instance{Study: fmt.Sprintf("1.%d", len(tape.Records))})})
		if err != nil {
			unavailable("demoted: Apply", err)
			tape.Records = tape.Records[:len(tape.Records)-1]
			break
		}
	}
	if err := server.Exec(t.Context(), "ALTER SYSTEM RESET default_transaction_read_only"); err != nil {
		t.Fatal(err)
	}
	server.Kill()
	server.Start(t)
	works("after a demotion")

	// As a standby, or a primary that was fenced.
	if err := server.Exec(t.Context(), "ALTER ROLE tributary SET default_transaction_read_only = on"); err != nil {
		t.Fatal(err)
	}
	server.Kill()
	server.Start(t)
	broken("read only")
	if err := server.Exec(t.Context(), "BEGIN READ WRITE; ALTER ROLE tributary RESET default_transaction_read_only; COMMIT"); err != nil {
		t.Fatal(err)
	}
	works("after a failover")
}

// TestPostgresKilled kills the server again and again while appliers work, and holds that nothing is lost or
// counted twice.
func TestPostgresKilled(t *testing.T) {
	server := testengine.StartPostgres(t)
	url := server.Schema(t)
	records := append(indextest.County(t, 60, 10), indextest.Mess(t, 9, 200)...)
	want := closing(t, open(t, nil))
	for i := range records {
		records[i].Offset = int64(i)
	}
	fill(t, want, records, 100)
	parts := indextest.Deal(3, records, 3)
	var all sync.WaitGroup
	var mu sync.Mutex
	applied, failed := 0, 0
	moved := make(chan struct{}, 1)
	dbs := make([]*index.DB, len(parts))
	for n := range parts {
		dbs[n] = closing(t, openPostgres(t, url, index.Options{}))
	}
	for n, rest := range parts {
		all.Go(func() {
			for len(rest) > 0 {
				batch := rest[:min(len(rest), 16)]
				err := dbs[n].Apply(t.Context(), batch)
				mu.Lock()
				if err == nil {
					applied++
					rest = rest[len(batch):]
				} else {
					failed++
				}
				mu.Unlock()
				if err != nil && !errors.Is(err, index.ErrUnavailable) {
					t.Errorf("Apply: %v, want ErrUnavailable", err)
					return
				}
				if err != nil {
					time.Sleep(5 * time.Millisecond) // as the stage pauses before it tries again
				}
				select {
				case moved <- struct{}{}:
				default:
				}
			}
		})
	}
	for kills := range 4 {
		for { // between kills, some batches
			<-moved
			mu.Lock()
			far := applied > kills*12+5
			mu.Unlock()
			if far {
				break
			}
		}
		server.Kill()
		server.Start(t)
	}
	all.Wait()
	if failed == 0 {
		t.Error("no batch met the server's end: the test shows nothing")
	}
	got := closing(t, openPostgres(t, url, index.Options{}))
	if a, b := dump(t, want), dump(t, got); a != b {
		t.Fatal(difference(a, b))
	}
}
