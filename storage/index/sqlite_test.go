package index_test

import (
	"context"
	"database/sql"
	"errors"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"go.uber.org/goleak"

	"github.com/tributary-dicom/tributary/storage/index"
	"github.com/tributary-dicom/tributary/storage/index/indextest"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

func openAt(t testing.TB, path string, blobs index.Attachments) *index.DB {
	t.Helper()
	db, err := index.OpenSQLite(t.Context(), path, index.Options{Attachments: blobs})
	if err != nil {
		t.Fatalf("OpenSQLite: %v", err)
	}
	return db
}

func open(t testing.TB, blobs index.Attachments) *index.DB {
	t.Helper()
	return openAt(t, filepath.Join(t.TempDir(), "index.db"), blobs)
}

func TestSQLite(t *testing.T) {
	indextest.Run(t, func(t *testing.T, blobs index.Attachments) indextest.Index { return open(t, blobs) })
}

func dump(t testing.TB, db *index.DB) string {
	t.Helper()
	var b strings.Builder
	if err := db.Dump(t.Context(), &b); err != nil {
		t.Fatal(err)
	}
	return b.String()
}

func TestReopen(t *testing.T) {
	path := filepath.Join(t.TempDir(), "a folder with ?, % and # in it.db")
	db := openAt(t, path, nil)
	records := indextest.County(t, 20, 3)
	fill(t, db, records[:31], 10)
	if err := db.Close(); err != nil {
		t.Fatal(err)
	}
	if _, err := os.Stat(path); err != nil {
		t.Errorf("the index is elsewhere: %v", err)
	}
	if err := db.Close(); err != nil {
		t.Errorf("second Close: %v", err)
	}
	if _, err := db.Search(t.Context(), index.Query{}); !errors.Is(err, index.ErrClosed) {
		t.Errorf("Search after Close: %v, want ErrClosed", err)
	}
	if err := db.Apply(t.Context(), records); !errors.Is(err, index.ErrClosed) {
		t.Errorf("Apply after Close: %v, want ErrClosed", err)
	}

	db = openAt(t, path, nil)
	if got, err := db.Applied(t.Context(), "instances", 0); got != 30 || err != nil {
		t.Errorf("Applied = %d, %v; want 30", got, err)
	}
	fill(t, db, records, 7)
	whole := open(t, nil)
	fill(t, whole, records, 1000)
	if dump(t, db) != dump(t, whole) {
		t.Error("views differ after a restart in the middle")
	}
	if err := errors.Join(db.Close(), whole.Close()); err != nil {
		t.Fatal(err)
	}

	raw, err := sql.Open("sqlite", (&url.URL{Scheme: "file", Path: path}).String())
	if err != nil {
		t.Fatal(err)
	}
	if _, err := raw.Exec("INSERT INTO schema_version (version) VALUES (1000)"); err != nil {
		t.Fatal(err)
	}
	if err := raw.Close(); err != nil {
		t.Fatal(err)
	}
	if _, err := index.OpenSQLite(t.Context(), path, index.Options{}); err == nil || !strings.Contains(err.Error(), "newer") {
		t.Errorf("a newer schema: %v, want an error that says so", err)
	}
}

// TestFailedApply cuts a batch short at each statement's turn and holds that nothing of it is left,
// neither in the file nor in what the writer remembers.
func TestFailedApply(t *testing.T) {
	records := indextest.County(t, 6, 4)
	db, twin := open(t, nil), open(t, nil)
	fill(t, db, records[:6], 3)
	before := dump(t, db)
	for n := 1; n < 18; n++ {
		ctx := &countdown{Context: t.Context(), left: n}
		if err := db.Apply(ctx, records[6:]); !errors.Is(err, context.DeadlineExceeded) {
			t.Fatalf("Apply cut at %d: %v", n, err)
		}
		if dump(t, db) != before {
			t.Fatalf("part of a batch cut at %d took effect", n)
		}
	}
	fill(t, db, records[6:], 5)
	fill(t, twin, records, 100)
	if dump(t, db) != dump(t, twin) {
		t.Error("views differ after failed batches")
	}
	if err := errors.Join(db.Close(), twin.Close()); err != nil {
		t.Fatal(err)
	}
}

// countdown is a context that ends at its n-th look.
type countdown struct {
	context.Context
	left int
}

func (c *countdown) Err() error {
	if c.left--; c.left < 0 {
		return context.DeadlineExceeded
	}
	return nil
}

// TestReadersBesideWriter holds that a reader sees whole batches only.
func TestReadersBesideWriter(t *testing.T) {
	db := open(t, nil)
	records := indextest.County(t, 1, 400)
	var wait sync.WaitGroup
	done := make(chan struct{})
	for range 3 {
		wait.Go(func() {
			for {
				select {
				case <-done:
					return
				default:
				}
				s, err := db.Stats(t.Context())
				if err != nil || s.Instances%40 != 0 {
					t.Errorf("Stats = %+v, %v beside a writer of forties", s, err)
					return
				}
				if _, err := db.Search(t.Context(), index.Query{Tenant: "clinic", Level: index.InstanceLevel, Limit: 5}); err != nil {
					t.Errorf("Search: %v", err)
					return
				}
			}
		})
	}
	fill(t, db, records, 40)
	close(done)
	wait.Wait()
	if err := db.Close(); err != nil {
		t.Fatal(err)
	}
}

// TestTimeLimit holds that a query that runs out of time says so, however far it came.
func TestTimeLimit(t *testing.T) {
	db := open(t, nil)
	fill(t, db, indextest.County(t, 300, 1), 300)
	for limit := 20 * time.Microsecond; limit < 10*time.Millisecond; limit = limit * 5 / 4 {
		ctx, cancel := context.WithTimeout(t.Context(), limit)
		_, err := db.Search(ctx, index.Query{Tenant: "clinic", Fuzzy: true, Matches: []index.Match{
			{Keyword: "ReferringPhysicianName", Values: []string{"*l*w*x"}}, {Keyword: "PatientName", Values: []string{"?*a?*"}},
		}})
		cancel()
		if err != nil && !errors.Is(err, context.DeadlineExceeded) {
			t.Errorf("after %v: %v, want context.DeadlineExceeded", limit, err)
		}
	}
	if err := db.Close(); err != nil {
		t.Fatal(err)
	}
}

// hostileValues are what a query may bring from outside.
var hostileValues = []string{
	"Zhang^San", "*张*", "100%", "_", "a\\b", "' OR 1=1 --", "20260101-", "10:15", "1.2.3", "[a-z]*", "~%", "\x00\x1f\xff", "=^*?",
	"***:(", "(?i)plain?", "\\", "\\Q*\\E?", "$1", "?{2}", "[^]?", "(((?", "\u2028*\u2029", "*\xff*",
}

var searchedKeywords = []string{
	"PatientName", "PatientID", "AccessionNumber", "StudyDescription", "StudyID", "ReferringPhysicianName", "ModalitiesInStudy",
	"StudyDate", "StudyTime", "StudyInstanceUID", "SOPClassesInStudy", "PatientBirthDate", "OtherPatientIDs", "IssuerOfPatientID",
}

func fillPlain(t testing.TB, db *index.DB) {
	t.Helper()
	tape := indextest.NewTape(t)
	tape.Stored(indextest.Instance{Attributes: map[string]string{
		"PatientName": "Plain^Text=普通^文", "PatientID": "plain", "StudyDescription": "plain text", "StudyID": "plain",
		"ReferringPhysicianName": "Plain^Doctor", "Modality": "US", "StudyDate": "20260101",
	}})
	if err := db.Apply(t.Context(), tape.Records); err != nil {
		t.Fatal(err)
	}
}

// checkValue holds that no value makes an SQL error, and that its signs are text.
func checkValue(t testing.TB, db *index.DB, value string, n int) {
	t.Helper()
	keyword := searchedKeywords[uint(n)%uint(len(searchedKeywords))]
	for _, fuzzy := range []bool{false, true} {
		rows, err := db.Search(t.Context(), index.Query{
			Tenant: "clinic", Fuzzy: fuzzy, Limit: 3, Matches: []index.Match{{Keyword: keyword, Values: []string{value}}},
		})
		if err != nil && !errors.Is(err, index.ErrBadQuery) {
			t.Fatalf("%s=%q: %v", keyword, value, err)
		}
		// One wildcard-free value of signs only cannot be in what is stored.
		if len(rows) > 0 && value != "" && strings.Trim(value, `%_[]~'"`) == "" {
			t.Fatalf("%s=%q matches by its signs", keyword, value)
		}
	}
}

func FuzzSearch(f *testing.F) {
	for i, v := range hostileValues {
		f.Add(v, i)
		f.Add(v, i+7)
	}
	db := open(f, nil)
	f.Cleanup(func() {
		if err := db.Close(); err != nil {
			f.Error(err)
		}
	})
	fillPlain(f, db)
	f.Fuzz(func(t *testing.T, value string, n int) { checkValue(t, db, value, n) })
}
