package index_test

import (
	"path/filepath"
	"testing"

	"github.com/tributary-dicom/tributary/storage/index"
	"github.com/tributary-dicom/tributary/storage/index/indextest"
)

func open(t testing.TB, blobs index.Attachments) *index.DB {
	t.Helper()
	db, err := index.OpenSQLite(t.Context(), filepath.Join(t.TempDir(), "index.db"), index.Options{Attachments: blobs})
	if err != nil {
		t.Fatalf("OpenSQLite: %v", err)
	}
	return db
}

func TestSQLite(t *testing.T) {
	indextest.Run(t, func(t *testing.T, blobs index.Attachments) indextest.Index { return open(t, blobs) })
}
