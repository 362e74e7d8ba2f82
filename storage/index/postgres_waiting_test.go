package index_test

import (
	"errors"
	"testing"
	"time"

	"github.com/tributary-dicom/tributary/internal/testengine"
	"github.com/tributary-dicom/tributary/pipeline/event"
	"github.com/tributary-dicom/tributary/storage/index"
	"github.com/tributary-dicom/tributary/storage/index/indextest"
)

// A patient index opens without its server, says that it is away, and works when the server is there, with a
// schema that nobody had made before. One that is closed meanwhile is closed at once.
func TestPatient(t *testing.T) {
	server := testengine.StartPostgres(t)
	url := server.Schema(t)
	server.Kill()
	if _, err := index.OpenPostgres(t.Context(), url, index.Options{}); !errors.Is(err, index.ErrUnavailable) {
		t.Fatalf("an impatient one: %v", err)
	}
	if err := openPostgres(t, url, index.Options{Patient: true}).Close(); err != nil {
		t.Errorf("Close while the server is away: %v", err)
	}
	db := closing(t, openPostgres(t, url, index.Options{Patient: true}))
	records := indextest.Mess(t, 1, 20)
	_, lookup := db.Applied(t.Context(), event.TopicInstances, 0)
	for what, err := range map[string]error{
		"Ready": db.Ready(t.Context()), "Apply": db.Apply(t.Context(), records), "Applied": lookup,
	} {
		if !errors.Is(err, index.ErrUnavailable) {
			t.Errorf("%s without a server: %v", what, err)
		}
	}
	server.Start(t)
	for err := db.Ready(t.Context()); err != nil; err = db.Ready(t.Context()) {
		if !errors.Is(err, index.ErrUnavailable) || t.Context().Err() != nil {
			t.Fatal(err)
		}
		time.Sleep(20 * time.Millisecond)
	}
	fill(t, db, records, 7)
	lite := closing(t, open(t, nil))
	fill(t, lite, records, 7)
	if a, b := dump(t, lite), dump(t, db); a != b {
		t.Error(difference(a, b))
	}
}
