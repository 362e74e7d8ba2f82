package index_test

import (
	"context"
	"errors"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"

	"github.com/tributary-dicom/tributary/internal/testengine"
	"github.com/tributary-dicom/tributary/pipeline/event"
	"github.com/tributary-dicom/tributary/pipeline/eventlog"
	"github.com/tributary-dicom/tributary/storage/index"
)

// decided is a record that leaves one row and the place.
func decided(t *testing.T, n int) eventlog.Record {
	t.Helper()
	env, err := event.NewResolution(event.TypeConflictResolved, "/test", "1.2.3", "default", &event.Resolution{
		ObjectID: "object-" + strconv.Itoa(n), Action: "kept", BlobKey: "key-" + strconv.Itoa(n),
	})
	if err != nil {
		t.Fatal(err)
	}
	return eventlog.Record{Position: eventlog.Position{Topic: event.TopicInstances, Offset: int64(n)}, Event: env}
}

type rebuildable interface {
	Apply(ctx context.Context, records []eventlog.Record) error
	Applied(ctx context.Context, topic string, partition int32) (int64, error)
	Swap() error
	Discard() error
	Close() error
}

// swaps holds an engine to what Swap, Discard and a second opening promise.
func swaps(t *testing.T, open func() *index.DB, fresh func() rebuildable) {
	t.Helper()
	ctx := t.Context()
	apply := func(x interface {
		Apply(context.Context, []eventlog.Record) error
	}, n int,
	) {
		t.Helper()
		if err := x.Apply(ctx, []eventlog.Record{decided(t, n)}); err != nil {
			t.Fatal(err)
		}
	}
	// rows are the decisions of the index in use.
	rows := func() (objects string) {
		t.Helper()
		db := open()
		err := db.EachRow(ctx, func(r index.RowOf) error { objects += r.ObjectID + " "; return nil })
		if n, merr := db.Miscounted(ctx); n != 0 || merr != nil {
			t.Errorf("miscounted %d, %v", n, merr)
		}
		if err := errors.Join(err, db.Close()); err != nil {
			t.Fatal(err)
		}
		return strings.TrimSpace(objects)
	}
	db := open()
	apply(db, 1)
	if err := db.Close(); err != nil {
		t.Fatal(err)
	}
	first := fresh()
	apply(first, 2)
	if err := first.Close(); err != nil { // as a killed run
		t.Fatal(err)
	}
	if got := rows(); got != "object-1" {
		t.Errorf("beside a new one, the index in use has %q", got)
	}
	second := fresh()
	if at, err := second.Applied(ctx, event.TopicInstances, 0); err != nil || at != 2 {
		t.Errorf("the second run begins behind %d, %v; want 2", at, err)
	}
	apply(second, 3)
	if err := second.Swap(); err != nil {
		t.Fatal(err)
	}
	if got := rows(); got != "object-2 object-3" {
		t.Errorf("after the swap: %q", got)
	}
	third := fresh()
	if at, err := third.Applied(ctx, event.TopicInstances, 0); err != nil || at != -1 {
		t.Errorf("after a swap, a new one begins behind %d, %v; want -1", at, err)
	}
	apply(third, 9)
	if err := third.Discard(); err != nil {
		t.Fatal(err)
	}
	if got := rows(); got != "object-2 object-3" {
		t.Errorf("after a discard: %q", got)
	}
	db = open() // and it can be written
	apply(db, 4)
	if err := db.Close(); err != nil {
		t.Fatal(err)
	}
	if got := rows(); got != "object-2 object-3 object-4" {
		t.Errorf("written after the swap: %q", got)
	}
}

func TestFreshSQLite(t *testing.T) {
	path := filepath.Join(t.TempDir(), "index.db")
	open := func() *index.DB {
		t.Helper()
		db, err := index.OpenSQLite(t.Context(), path, index.Options{})
		if err != nil {
			t.Fatal(err)
		}
		return db
	}
	fresh := func() rebuildable {
		t.Helper()
		f, err := index.FreshSQLite(t.Context(), path, index.Options{})
		if err != nil {
			t.Fatal(err)
		}
		return f
	}
	swaps(t, open, fresh)
	left, err := filepath.Glob(path + "?*")
	if err != nil || len(left) > 0 {
		t.Errorf("files are left: %v, %v", left, err)
	}
	// What a killed run left may be damaged, and so may the index in use.
	for _, name := range []string{path, path + ".new", path + "-wal"} {
		if err := os.WriteFile(name, []byte(strings.Repeat("damaged ", 1000)), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	if err := fresh().Swap(); err != nil {
		t.Fatal(err)
	}
	if err := open().Close(); err != nil {
		t.Fatal(err)
	}
}

func TestFreshPostgres(t *testing.T) {
	server := testengine.StartPostgres(t)
	url := server.Schema(t)
	open := func() *index.DB { return openPostgres(t, url, index.Options{}) }
	fresh := func() rebuildable {
		t.Helper()
		f, err := index.FreshPostgres(t.Context(), url, index.Options{})
		if err != nil {
			t.Fatal(err)
		}
		return f
	}
	swaps(t, open, fresh)

	// A node that was not stopped.
	f, db := fresh(), open()
	defer db.Close()
	if err := f.Apply(t.Context(), []eventlog.Record{decided(t, 1)}); err != nil {
		t.Fatal(err)
	}
	if err := db.Apply(t.Context(), []eventlog.Record{decided(t, 100)}); err != nil {
		t.Fatal(err)
	}
	if err := f.Swap(); !errors.Is(err, index.ErrWritten) {
		t.Errorf("swapped beside a node that writes: %v", err)
	}
	// A reader goes on through a swap.
	if err := fresh().Swap(); err != nil {
		t.Fatal(err)
	}
	seen := ""
	if err := db.EachRow(t.Context(), func(r index.RowOf) error { seen += r.ObjectID; return nil }); err != nil || seen != "object-1" {
		t.Errorf("a reader sees %q, %v", seen, err)
	}
}
