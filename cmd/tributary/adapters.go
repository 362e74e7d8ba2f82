package main

import (
	"context"
	"fmt"
	"io"

	"github.com/tributary-dicom/tributary/pipeline/eventlog"
	"github.com/tributary-dicom/tributary/storage/blob"
	"github.com/tributary-dicom/tributary/storage/index"
)

// view is the index as admission sees it: rows from the database, and what readers see already.
type view struct {
	*index.DB
	stage interface {
		WaitApplied(ctx context.Context, pos eventlog.Position) error
		Seen(pos eventlog.Position) bool
	}
}

func (v view) WaitApplied(ctx context.Context, pos eventlog.Position) error {
	return v.stage.WaitApplied(ctx, pos)
}

func (v view) Seen(pos eventlog.Position) bool { return v.stage.Seen(pos) }

// attachments opens what events keep beside their blobs.
type attachments struct{ blobs blob.Store }

func (a attachments) ReadBlob(ctx context.Context, key string, most int64) ([]byte, error) {
	r, err := a.blobs.Open(ctx, key, 0, -1)
	if err != nil {
		return nil, err
	}
	defer r.Close()
	data, err := io.ReadAll(io.LimitReader(r, most+1))
	if err != nil {
		return nil, err
	}
	if int64(len(data)) > most {
		return nil, fmt.Errorf("blob %s has more than %d bytes", key, most)
	}
	return data, nil
}
