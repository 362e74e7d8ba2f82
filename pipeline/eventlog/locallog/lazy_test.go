package locallog

import (
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/tributary-dicom/tributary/pipeline/event"
)

func lazyEvent() event.Envelope {
	return event.Envelope{ID: event.NewID(), Topic: event.TopicInstances, Key: "k", Data: []byte("{}")}
}

// TestAppendSyncsAndBackedDoesNot holds SQLite's own word for what a commit does: FULL (2) syncs the
// write-ahead log before it returns, NORMAL (1) does not.
func TestAppendSyncsAndBackedDoesNot(t *testing.T) {
	l, err := Open(t.Context(), filepath.Join(t.TempDir(), "log.db"), Options{})
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	mode := func() (n int) {
		t.Helper()
		if err := l.write.conn.QueryRowContext(t.Context(), "PRAGMA synchronous").Scan(&n); err != nil {
			t.Fatal(err)
		}
		return n
	}
	for i, step := range []struct {
		backed bool
		want   int
	}{{false, 2}, {true, 1}, {true, 1}, {false, 2}, {true, 1}} {
		add := l.Append
		if step.backed {
			add = l.AppendBacked
		}
		if _, err := add(t.Context(), lazyEvent()); err != nil {
			t.Fatal(err)
		}
		if got := mode(); got != step.want {
			t.Errorf("step %d: synchronous is %d, want %d", i, got, step.want)
		}
	}
}

// TestFailedBackgroundSyncStopsTheLog gives the syncer a file that cannot be synced: after the first backed
// event the log takes nothing more and says why.
func TestFailedBackgroundSyncStopsTheLog(t *testing.T) {
	l, err := Open(t.Context(), filepath.Join(t.TempDir(), "log.db"), Options{})
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	r, w, err := os.Pipe() // a pipe has nothing to sync: EINVAL
	if err != nil {
		t.Fatal(err)
	}
	defer r.Close()
	if err := l.lazy.wal.Close(); err != nil {
		t.Fatal(err)
	}
	l.lazy.wal = w
	if _, err := l.AppendBacked(t.Context(), lazyEvent()); err != nil {
		t.Fatal(err)
	}
	for l.Ready(t.Context()) == nil {
		time.Sleep(time.Millisecond) // until the syncer has tried; the test's own deadline ends it otherwise
	}
	if _, err := l.Append(t.Context(), lazyEvent()); err == nil {
		t.Error("an event was taken behind a failed sync")
	}
	if _, err := l.AppendBacked(t.Context(), lazyEvent()); err == nil {
		t.Error("a backed event was taken behind a failed sync")
	}
}
