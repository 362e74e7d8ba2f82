package main

import (
	"context"
	"fmt"
	"io"
	"time"

	"github.com/tributary-dicom/tributary/pipeline/event"
	"github.com/tributary-dicom/tributary/pipeline/eventlog"
	"github.com/tributary-dicom/tributary/pipeline/eventlog/locallog"
	"github.com/tributary-dicom/tributary/pipeline/indexer"
	"github.com/tributary-dicom/tributary/storage/blob"
	"github.com/tributary-dicom/tributary/storage/index"
)

// view is the index as admission sees it: rows from the database, progress from its stage.
type view struct {
	*index.DB
	stage *indexer.Indexer
}

func (v view) WaitApplied(ctx context.Context, pos eventlog.Position) error {
	return v.stage.WaitApplied(ctx, pos)
}

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

// history reads the local log back, newest first.
type history struct{ log *locallog.Log }

// historyPage is how many records one step back reads.
const historyPage = 256

func (h history) Since(ctx context.Context, t time.Time, fn func(event.Envelope) error) error {
	at := eventlog.Position{Topic: event.TopicInstances} // the end
	for {
		records, err := h.log.ReadBefore(ctx, event.TopicInstances, at, historyPage)
		if err != nil {
			return err
		}
		if len(records) == 0 {
			return nil
		}
		for _, r := range records {
			if r.Event.Time.Before(t) {
				return nil
			}
			if err := fn(r.Event); err != nil {
				return err
			}
			at = r.Position
		}
	}
}
