package main

import (
	"context"
	"errors"
	"fmt"
	"io"

	"github.com/tributary-dicom/tributary/ingest"
	"github.com/tributary-dicom/tributary/pipeline/derive"
	"github.com/tributary-dicom/tributary/pipeline/event"
	"github.com/tributary-dicom/tributary/pipeline/eventlog"
	"github.com/tributary-dicom/tributary/pipeline/indexer"
	"github.com/tributary-dicom/tributary/pipeline/stage"
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
	known *indexer.Known // nil where others write the index too
}

// Lookup spares the index the question for a UID that it cannot have.
func (v view) Lookup(ctx context.Context, tenant, sopInstanceUID string) ([]index.Version, string, error) {
	if v.known != nil && v.known.Absent(sopInstanceUID) {
		return nil, "", nil
	}
	return v.DB.Lookup(ctx, tenant, sopInstanceUID)
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

// deriveConfig wires the derive stage: it reads originals from the blobs, and what it makes goes the way of
// every arrival.
func (n *node) deriveConfig(metrics stage.Metrics) derive.Config {
	cfg := derive.Config{
		Log: n.events, Source: "/tributary/" + n.cfg.Node, Version: version, Metrics: metrics, Logger: n.cfg.log,
		Open: func(ctx context.Context, key string, size int64) (io.ReaderAt, error) {
			return blob.At(ctx, n.blobs, key, size)
		},
		Gone: func(err error) bool { return errors.Is(err, blob.ErrNotFound) || errors.Is(err, blob.ErrCorrupt) },
		Admit: func(ctx context.Context, d derive.Derived) error {
			origin := d.Source.Origin // of the device: who sent it, and when
			origin.Door = "derive"
			rec, err := n.intake.Admit(ctx, ingest.Arrival{
				Body: d.Body, Tenant: d.Source.Tenant, Origin: origin, DerivedFrom: d.Source.ObjectID,
			})
			if err == nil && rec.Status == ingest.Quarantined {
				n.cfg.log.Error("a derived object is in quarantine", "original", d.Source.ObjectID, "object", rec.ID, "reason", rec.Reason)
			}
			return err
		},
	}
	if n.local != nil {
		cfg.Head = func() eventlog.Position { return n.local.Head(event.TopicInstances) }
	}
	return cfg
}
