package main

import (
	"context"

	"github.com/tributary-dicom/tributary/ingest"
	"github.com/tributary-dicom/tributary/ingest/upload"
	"github.com/tributary-dicom/tributary/review/web"
	"github.com/tributary-dicom/tributary/storage/index"
)

// operatorPages is what the operators' pages work with: lists of the index, decisions of the intake, and on a node that
// takes files its door for them.
func (n *node) operatorPages() web.OperatorsConfig {
	cfg := web.OperatorsConfig{Desk: n.index, Decisions: decisions{n.intake}, Blobs: n.blobs}
	if n.cfg.has(roleIntake) {
		cfg.Upload = upload.New(n.uploadConfig())
	}
	return cfg
}

// decisions lets pages, which know no intake, do what ingest/desk does.
type decisions struct{ intake *ingest.Intake }

// Retry implements web.Decisions.
func (d decisions) Retry(ctx context.Context, tenant string, q index.Quarantined, by string) (web.Outcome, error) {
	rec, err := d.intake.Retry(ctx, tenant, q, by)
	return web.Outcome{ID: rec.ID, Status: string(rec.Status)}, err
}

// Remove implements web.Decisions.
func (d decisions) Remove(ctx context.Context, tenant string, q index.Quarantined, by string) error {
	return d.intake.Remove(ctx, tenant, q, by)
}

// Promote implements web.Decisions.
func (d decisions) Promote(ctx context.Context, tenant string, c index.Conflict, objectID, by string) error {
	return d.intake.Settle(ctx, tenant, c, objectID, ingest.ActionPromoted, by)
}

// Keep implements web.Decisions.
func (d decisions) Keep(ctx context.Context, tenant string, c index.Conflict, objectID, by string) error {
	return d.intake.Settle(ctx, tenant, c, objectID, ingest.ActionKept, by)
}
