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

// quarantined is what those who keep, retry and remove the same quarantined bytes take turns by, so that
// nobody hears of bytes as kept that are going. No UID has a colon.
func quarantined(tenant, sha256 string) identity { return identity{tenant, "sha256:" + sha256} }

// Retry admits the bytes of a quarantined object again, after a repair of the configuration or with a
// newer scanner. On success the entry leaves the quarantine. An error leaves everything as it was.
func (in *Intake) Retry(ctx context.Context, tenant string, q index.Quarantined, by string) (Receipt, error) {
	unlock, err := in.busy.lock(ctx, quarantined(tenant, q.SHA256))
	if err != nil {
		return Receipt{}, aborted(err)
	}
	defer unlock()
	info, err := in.blobs.Stat(ctx, q.BlobKey)
	if err != nil {
		return Receipt{}, fmt.Errorf("find the quarantined bytes: %w", err)
	}
	body, err := in.blobs.Open(ctx, q.BlobKey, 0, -1)
	if err != nil {
		return Receipt{}, fmt.Errorf("open the quarantined bytes: %w", err)
	}
	defer body.Close()
	a := Arrival{Body: body, Tenant: tenant, Origin: originOf(info.Meta, info.Created), DerivedFrom: info.Meta[metaDerivedFrom]}
	rec, err := in.admit(ctx, a, admission{objectID: event.NewID(), received: a.Origin.ReceivedAt, retry: true})
	if err != nil {
		return Receipt{}, err
	}
	r := event.Resolution{ObjectID: q.ObjectID, Action: ActionRetried, By: by, NewObjectID: rec.ID}
	if err := in.resolve(ctx, tenant, event.TypeQuarantineResolved, q.StudyInstanceUID, r); err != nil {
		return Receipt{}, err
	}
	return rec, in.drop(ctx, q)
}

// drop deletes the bytes of an entry whose resolution is durable. The operator may be gone by then.
func (in *Intake) drop(ctx context.Context, q index.Quarantined) error {
	if err := in.blobs.Delete(context.WithoutCancel(ctx), q.BlobKey); err != nil {
		return fmt.Errorf("the entry is resolved, its bytes could not be deleted: %w", err)
	}
	return nil
}

// Remove forgets a quarantined object and its bytes.
func (in *Intake) Remove(ctx context.Context, tenant string, q index.Quarantined, by string) error {
	unlock, err := in.busy.lock(ctx, quarantined(tenant, q.SHA256))
	if err != nil {
		return aborted(err)
	}
	defer unlock()
	r := event.Resolution{ObjectID: q.ObjectID, Action: ActionRemoved, By: by}
	if err := in.resolve(ctx, tenant, event.TypeQuarantineResolved, q.StudyInstanceUID, r); err != nil {
		return err
	}
	return in.drop(ctx, q)
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
	id := event.NewID()
	info, err := w.Commit(ctx, blob.Meta{
		metaKind: kindDecision, metaTenant: tenant, metaObjectID: r.ObjectID,
		metaEventID: id, metaEventType: kind, metaStudy: bounded(study),
	})
	if err != nil {
		return storeError("ingest.resolve", err)
	}
	r.BlobKey = info.Key
	env, err := event.NewResolution(kind, in.cfg.Node, study, tenant, &r)
	if err != nil {
		return fmt.Errorf("encode decision: %w", err)
	}
	env.ID = id
	pos, err := in.log.Append(context.WithoutCancel(ctx), env)
	if err != nil {
		return fmt.Errorf("append decision (it is kept, and takes effect when the log can be written): %w", err)
	}
	in.waitVisible(ctx, pos)
	return nil
}
