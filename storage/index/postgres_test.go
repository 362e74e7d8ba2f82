package index_test

import (
	"testing"

	"github.com/tributary-dicom/tributary/internal/testengine"
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

func TestPostgres(t *testing.T) {
	server := testengine.StartPostgres(t)
	indextest.Run(t, func(t *testing.T, blobs index.Attachments) indextest.Index {
		return openPostgres(t, server.Schema(t), index.Options{Attachments: blobs})
	})
}
