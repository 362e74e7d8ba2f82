package ingest

import (
	"context"
	"encoding/json"
	"fmt"

	"github.com/tributary-dicom/tributary/pipeline/event"
	"github.com/tributary-dicom/tributary/storage/blob"
	"github.com/tributary-dicom/tributary/storage/index"
)

// Actions of a person on what is kept (event.Resolution.Action).
const (
	ActionRemoved  = "removed"
	ActionRetried  = "retried"
	ActionPromoted = "promoted"
	ActionKept     = "kept"
)

// Retry admits the bytes of a quarantined object again, after a repair of the configuration or with a
// newer scanner. On success the entry leaves the quarantine. An error leaves everything as it was.
func (in *Intake) Retry(ctx context.Context, tenant string, q index.Quarantined, by string) (Receipt, error) {
	info, err := in.blobs.Stat(ctx, q.BlobKey)
	if err != nil {
		return Receipt{}, fmt.Errorf("find the quarantined bytes: %w", err)
	}
	body, err := in.blobs.Open(ctx, q.BlobKey, 0, -1)
	if err != nil {
		return Receipt{}, fmt.Errorf("open the quarantined bytes: %w", err)
	}
	defer body.Close()
	a := Arrival{Body: body, Tenant: tenant, Origin: originOf(info.Meta, info.Created)}
	rec, err := in.admit(ctx, a, admission{objectID: event.NewID(), received: a.Origin.ReceivedAt, retry: true})
	if err != nil {
		return Receipt{}, err
	}
	r := event.Resolution{ObjectID: q.ObjectID, Action: ActionRetried, By: by, NewObjectID: rec.ID}
	if err := in.resolve(ctx, tenant, event.TypeQuarantineResolved, q.StudyInstanceUID, r); err != nil {
		return Receipt{}, err
	}
	return rec, in.blobs.Delete(ctx, q.BlobKey)
}

// Remove forgets a quarantined object and its bytes.
func (in *Intake) Remove(ctx context.Context, tenant string, q index.Quarantined, by string) error {
	r := event.Resolution{ObjectID: q.ObjectID, Action: ActionRemoved, By: by}
	if err := in.resolve(ctx, tenant, event.TypeQuarantineResolved, q.StudyInstanceUID, r); err != nil {
		return err
	}
	return in.blobs.Delete(ctx, q.BlobKey)
}

// Settle records an operator's decision on a conflict: the version objectID is promoted to be what
// readers see (ActionPromoted), or the current one is confirmed (ActionKept). All versions stay.
func (in *Intake) Settle(ctx context.Context, tenant string, c index.Conflict, objectID, action, by string) error {
	r := event.Resolution{ObjectID: objectID, Action: action, By: by}
	return in.resolve(ctx, tenant, event.TypeConflictResolved, c.StudyInstanceUID, r)
}

// resolve keeps a decision as a blob, since no bytes of an object can tell it, then as an event.
func (in *Intake) resolve(ctx context.Context, tenant, kind, study string, r event.Resolution) error {
	r.At = in.cfg.Now()
	w, err := in.blobs.Create(ctx)
	if err != nil {
		return storeError("ingest.resolve", err)
	}
	defer w.Abort()
	doc, err := json.Marshal(r)
	if err != nil {
		return fmt.Errorf("encode decision: %w", err)
	}
	if _, err := w.Write(doc); err != nil {
		return storeError("ingest.resolve", err)
	}
	info, err := w.Commit(ctx, blob.Meta{metaKind: kindDecision, metaTenant: tenant, metaObjectID: r.ObjectID})
	if err != nil {
		return storeError("ingest.resolve", err)
	}
	r.BlobKey = info.Key
	env, err := event.NewResolution(kind, in.cfg.Node, study, tenant, &r)
	if err != nil {
		return fmt.Errorf("encode decision: %w", err)
	}
	pos, err := in.log.Append(context.WithoutCancel(ctx), env)
	if err != nil {
		return fmt.Errorf("append decision: %w", err)
	}
	in.waitVisible(ctx, pos)
	return nil
}
