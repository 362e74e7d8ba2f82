package testengine_test

import (
	"context"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/tributary-dicom/tributary/internal/testengine"
)

func TestPostgres(t *testing.T) {
	p := testengine.StartPostgres(t)
	ctx := t.Context()
	if err := p.Exec(ctx, "CREATE TABLE kept (n int); INSERT INTO kept VALUES (7)"); err != nil {
		t.Fatal(err)
	}
	if a, b := p.Schema(t), p.Schema(t); a == b {
		t.Errorf("one schema for two tests: %s", a)
	}
	open, err := pgx.Connect(ctx, p.URL())
	if err != nil {
		t.Fatal(err)
	}
	defer open.Close(context.Background())

	p.Pause()
	short, cancel := context.WithTimeout(ctx, 100*time.Millisecond)
	if _, err := open.Exec(short, "SELECT 1"); err == nil {
		t.Error("a paused server answers")
	}
	cancel()
	p.Resume()
	if err := p.Exec(ctx, "SELECT 1"); err != nil {
		t.Errorf("after a pause: %v", err)
	}
	for name, end := range map[string]func(){"Kill": p.Kill, "Stop": p.Stop} {
		end()
		if err := p.Exec(ctx, "SELECT 1"); err == nil {
			t.Errorf("after %s the server answers", name)
		}
		p.Start(t)
		if err := p.Exec(ctx, "DO $$ BEGIN ASSERT (SELECT n FROM kept) = 7; END $$"); err != nil {
			t.Errorf("after %s and a new start: %v", name, err)
		}
	}
}
