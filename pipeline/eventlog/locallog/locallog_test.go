package locallog_test

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"runtime"
	"sync"
	"testing"
	"time"

	"go.uber.org/goleak"

	"github.com/tributary-dicom/tributary/pipeline/event"
	"github.com/tributary-dicom/tributary/pipeline/eventlog"
	"github.com/tributary-dicom/tributary/pipeline/eventlog/locallog"
	"github.com/tributary-dicom/tributary/pipeline/eventlog/logtest"
)

func TestMain(m *testing.M) {
	if path := os.Getenv(victimPath); path != "" {
		victim(path)
		return
	}
	goleak.VerifyTestMain(m)
}

func open(t *testing.T, path string, opt locallog.Options) *locallog.Log {
	t.Helper()
	log, err := locallog.Open(t.Context(), path, opt)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := log.Close(); err != nil {
			t.Error(err)
		}
	})
	return log
}

func TestLog(t *testing.T) {
	logtest.Run(t, func(t *testing.T) eventlog.Log {
		return open(t, filepath.Join(t.TempDir(), "log.db"), locallog.Options{})
	})
}

// With little memory every consumer reads the file now and then; with small checkpoints the write-ahead
// log starts over often.
func TestLogWithLittleMemory(t *testing.T) {
	logtest.Run(t, func(t *testing.T) eventlog.Log {
		return open(t, filepath.Join(t.TempDir(), "log.db"), locallog.Options{RecentBytes: 100, CheckpointBytes: 64 << 10})
	})
}

func numbered(n int) event.Envelope { return logtest.Event(event.TopicInstances, "1.2.3", n) }

func TestReopen(t *testing.T) {
	path := filepath.Join(t.TempDir(), "a b?#%25.db") // a name that an URI must escape
	var want []string
	for round := range 3 {
		log, err := locallog.Open(t.Context(), path, locallog.Options{})
		if err != nil {
			t.Fatal(err)
		}
		for n := range 5 {
			e := numbered(n)
			if _, err := log.Append(t.Context(), e); err != nil {
				t.Fatal(err)
			}
			want = append(want, e.ID)
		}
		c, err := log.Subscribe(t.Context(), "g", event.TopicInstances)
		if err != nil {
			t.Fatal(err)
		}
		records, err := c.Fetch(t.Context(), 4)
		if err != nil {
			t.Fatal(err)
		}
		for i, r := range records {
			if r.Event.ID != want[round*4+i] {
				t.Fatalf("round %d: record %d is %s, want %s", round, i, r.Event.ID, want[round*4+i])
			}
		}
		if err := c.Commit(t.Context(), records...); err != nil {
			t.Fatal(err)
		}
		if head := log.Head(event.TopicInstances); head.Offset != int64(len(want)) {
			t.Fatalf("head = %v, want offset %d", head, len(want))
		}
		if err := log.Close(); err != nil {
			t.Fatal(err)
		}
	}
	if _, err := os.Stat(path); err != nil {
		t.Fatal(err)
	}
}

func TestFilesArePrivate(t *testing.T) {
	if runtime.GOOS == "windows" {
		t.Skip("modes are POSIX")
	}
	path := filepath.Join(t.TempDir(), "log.db")
	log := open(t, path, locallog.Options{})
	if _, err := log.Append(t.Context(), numbered(1)); err != nil {
		t.Fatal(err)
	}
	files, err := filepath.Glob(path + "*")
	if err != nil || len(files) < 4 {
		t.Fatalf("files %v, %v", files, err)
	}
	for _, file := range files {
		if info, err := os.Stat(file); err != nil || info.Mode().Perm() != 0o600 {
			t.Errorf("%s: mode %v, %v", filepath.Base(file), info.Mode(), err)
		}
	}
}

func TestOneOwner(t *testing.T) {
	path := filepath.Join(t.TempDir(), "log.db")
	open(t, path, locallog.Options{})
	if _, err := locallog.Open(t.Context(), path, locallog.Options{}); !errors.Is(err, locallog.ErrInUse) {
		t.Fatalf("second open = %v, want ErrInUse", err)
	}
}

func TestOneConsumerPerGroup(t *testing.T) {
	log := open(t, filepath.Join(t.TempDir(), "log.db"), locallog.Options{})
	c, err := log.Subscribe(t.Context(), "g", event.TopicInstances)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := log.Subscribe(t.Context(), "g", event.TopicInstances); !errors.Is(err, locallog.ErrTaken) {
		t.Fatalf("second consumer = %v, want ErrTaken", err)
	}
	_ = c.Close()
	_ = c.Close()
	if _, err := log.Subscribe(t.Context(), "g", event.TopicInstances); err != nil {
		t.Fatal(err)
	}
}

func TestForeignFiles(t *testing.T) {
	for name, sqlText := range map[string]string{
		"another database": "CREATE TABLE t (a)",
		"a newer schema":   "PRAGMA application_id = 1414678850; PRAGMA user_version = 99",
	} {
		t.Run(name, func(t *testing.T) {
			path := filepath.Join(t.TempDir(), "log.db")
			db, err := sql.Open("sqlite", path)
			if err != nil {
				t.Fatal(err)
			}
			if _, err := db.Exec(sqlText); err != nil {
				t.Fatal(err)
			}
			if err := db.Close(); err != nil {
				t.Fatal(err)
			}
			if log, err := locallog.Open(t.Context(), path, locallog.Options{}); err == nil {
				_ = log.Close()
				t.Fatal("opened")
			}
		})
	}
}

func TestBadTopics(t *testing.T) {
	log := open(t, filepath.Join(t.TempDir(), "log.db"), locallog.Options{})
	for _, topic := range []string{"", ".", "..", "a b", `a"`, "ä", string(make([]byte, 300))} {
		if _, err := log.Append(t.Context(), event.Envelope{ID: "1", Topic: topic}); err == nil {
			t.Errorf("topic %q was taken", topic)
		}
	}
	if _, err := log.Append(t.Context(), event.Envelope{Topic: "a"}); err == nil {
		t.Error("an event without id was taken")
	}
}

func TestReadBackwardsAndForwards(t *testing.T) {
	log := open(t, filepath.Join(t.TempDir(), "log.db"), locallog.Options{})
	for n := range 10 {
		topic := event.TopicInstances
		if n%5 == 4 {
			topic = event.TopicStudies
		}
		if _, err := log.Append(t.Context(), logtest.Event(topic, "1", n)); err != nil {
			t.Fatal(err)
		}
	}
	offsets := func(records []eventlog.Record, err error) string {
		if err != nil {
			t.Fatal(err)
		}
		all := make([]int64, len(records))
		for i, r := range records {
			all[i] = r.Offset
		}
		return fmt.Sprint(all)
	}
	ctx, at := t.Context(), func(offset int64) eventlog.Position {
		return eventlog.Position{Topic: event.TopicInstances, Offset: offset}
	}
	for _, c := range []struct{ what, got, want string }{
		{"tail", offsets(log.Tail(ctx, 4)), "[10 9 8 7]"},
		{"tail of all", offsets(log.Tail(ctx, 99)), "[10 9 8 7 6 5 4 3 2 1]"},
		{"from the beginning", offsets(log.ReadFrom(ctx, event.TopicInstances, at(0), 3)), "[1 2 3]"},
		{"from a record", offsets(log.ReadFrom(ctx, event.TopicInstances, at(4), 3)), "[4 6 7]"},
		{"from the end", offsets(log.ReadFrom(ctx, event.TopicInstances, at(10), 3)), "[]"},
		{"before the end", offsets(log.ReadBefore(ctx, event.TopicInstances, at(0), 2)), "[9 8]"},
		{"before a record", offsets(log.ReadBefore(ctx, event.TopicInstances, at(6), 2)), "[4 3]"},
		{"of an unknown topic", offsets(log.ReadFrom(ctx, "none", at(0), 2)), "[]"},
	} {
		if c.got != c.want {
			t.Errorf("%s: %s, want %s", c.what, c.got, c.want)
		}
	}
	if head := log.Head(event.TopicStudies); head.Offset != 10 {
		t.Errorf("head of studies = %v", head)
	}
	if head := log.Head("none"); head.Offset != 0 {
		t.Errorf("head of an unknown topic = %v", head)
	}
}

func TestSince(t *testing.T) {
	log := open(t, filepath.Join(t.TempDir(), "log.db"), locallog.Options{})
	begin := time.Date(2025, 3, 1, 0, 0, 0, 0, time.UTC)
	var events []event.Envelope
	for n := range 1000 {
		e := numbered(n)
		e.Time = begin.Add(time.Duration(n) * time.Second)
		events = append(events, e)
	}
	events[900].Time = begin // a clock that was set back for one record
	if _, err := log.Append(t.Context(), events...); err != nil {
		t.Fatal(err)
	}
	seen := 0
	err := log.Since(t.Context(), begin.Add(600*time.Second), func(e event.Envelope) error {
		seen++
		return nil
	})
	if err != nil || seen != 399 {
		t.Fatalf("since saw %d records, %v; want 399", seen, err)
	}
	stop := errors.New("enough")
	if err := log.Since(t.Context(), begin, func(event.Envelope) error { return stop }); !errors.Is(err, stop) {
		t.Fatalf("since = %v, want the callback's error", err)
	}
}

// The write-ahead log stays bounded while appends never pause.
func TestWriteAheadLogIsBounded(t *testing.T) {
	path := filepath.Join(t.TempDir(), "log.db")
	log := open(t, path, locallog.Options{CheckpointBytes: 1 << 20})
	c, err := log.Subscribe(t.Context(), "g", event.TopicInstances)
	if err != nil {
		t.Fatal(err)
	}
	var wg sync.WaitGroup
	body := make([]byte, 20_000)
	for range 4 {
		wg.Go(func() {
			for n := range 250 {
				e := numbered(n)
				e.Data = body
				if _, err := log.Append(context.Background(), e); err != nil {
					t.Error(err)
				}
			}
		})
	}
	for seen := 0; seen < 1000; {
		records, err := c.Fetch(t.Context(), 100)
		if err != nil {
			t.Fatal(err)
		}
		seen += len(records)
	}
	wg.Wait()
	info, err := os.Stat(path + "-wal")
	if err != nil {
		t.Fatal(err)
	}
	if info.Size() > 12<<20 {
		t.Fatalf("write-ahead log has %d bytes after 20 MB of records", info.Size())
	}
}

func TestReady(t *testing.T) {
	log := open(t, filepath.Join(t.TempDir(), "log.db"), locallog.Options{})
	if err := log.Ready(t.Context()); err != nil {
		t.Fatal(err)
	}
	if err := log.Close(); err != nil {
		t.Fatal(err)
	}
	if err := log.Ready(t.Context()); !errors.Is(err, eventlog.ErrClosed) {
		t.Fatalf("ready after close = %v", err)
	}
}
