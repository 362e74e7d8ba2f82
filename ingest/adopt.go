package ingest

import (
	"context"
	"errors"
	"fmt"
	"io"
	"time"

	"github.com/tributary-dicom/tributary/parsers/reject"
	"github.com/tributary-dicom/tributary/pipeline/event"
	"github.com/tributary-dicom/tributary/storage/blob"
)

// Shelf lists what lies in the blob store; blob.Store has it.
type Shelf interface {
	List(ctx context.Context, since time.Time, fn func(blob.Info) error) error
}

// History reads back what the log says about a span of time.
type History interface {
	// Since calls fn for every event of the instances topic made at or after t.
	Since(ctx context.Context, t time.Time, fn func(event.Envelope) error) error
}

// adoptSlack is how far the log is read back before the first blob in question: an event is made after
// its blob, so a little is enough, and clocks of one node do not jump far.
const adoptSlack = 10 * time.Minute

// AdoptOrphans gives an event to every object blob created between since and until that has none: what a
// crash left between sealing the blob and appending the event. The sender heard no success, so most come
// again; the index keeps one. Nothing is ever deleted here. It returns how many it adopted.
func (in *Intake) AdoptOrphans(ctx context.Context, shelf Shelf, history History, since, until time.Time) (int, error) {
	orphans := map[string]blob.Info{}
	err := shelf.List(ctx, since, func(info blob.Info) error {
		if info.Meta[metaKind] == kindObject && info.Created.Before(until) {
			orphans[info.Key] = info
		}
		return nil
	})
	if errors.Is(err, blob.ErrCorrupt) {
		// The rest was listed; one rotten record must not keep a node from starting.
		in.cfg.Logger.Error("a blob is damaged", "error", err.Error())
	} else if err != nil {
		return 0, fmt.Errorf("list blobs: %w", err)
	}
	if len(orphans) == 0 {
		return 0, nil
	}
	err = history.Since(ctx, since.Add(-adoptSlack), func(env event.Envelope) error {
		key, err := event.BlobKey(env)
		if err == nil {
			delete(orphans, key)
		}
		return nil
	})
	if err != nil {
		return 0, fmt.Errorf("read the log back: %w", err)
	}
	adopted := 0
	for _, info := range orphans {
		err := in.adopt(ctx, info)
		if errors.Is(err, blob.ErrCorrupt) {
			in.cfg.Logger.Error("a blob without an event is damaged and stays as it is", "blob", info.Key)
			continue
		}
		if err != nil {
			return adopted, fmt.Errorf("adopt %s: %w", info.Key, err)
		}
		adopted++
	}
	return adopted, nil
}

// adopt reads a blob as if it came again and appends the event it should have had.
func (in *Intake) adopt(ctx context.Context, info blob.Info) error {
	body, err := in.blobs.Open(ctx, info.Key, 0, -1)
	if err != nil {
		return err
	}
	defer body.Close()
	a := Arrival{Body: body, Tenant: info.Meta[metaTenant], Origin: originOf(info.Meta, info.Created), MaxBytes: info.Bytes}
	ad := admission{objectID: info.Meta[metaObjectID], received: info.Created}
	rd, err := in.read(a, io.Discard)
	if err != nil {
		return err
	}
	rd.verdict = in.judge(a, rd)
	ev := in.instance(a, ad, rd)
	ev.Adopted, ev.Blob.Key = true, info.Key
	if rd.verdict != nil {
		// Even a refusal keeps the bytes here: they lie in the store, and somebody may miss them.
		ev.Reason, ev.ReasonDetail = string(reject.CodeOf(rd.verdict)), "found after a crash; "+rd.verdict.Error()
		_, err = in.announce(ctx, &ev, event.TypeInstanceQuarantined)
		return err
	}
	if err := in.describe(ctx, &ev, rd); err != nil {
		return err
	}
	if _, err = in.announce(ctx, &ev, event.TypeInstanceStored); err == nil {
		in.cfg.Metrics.adopted()
	}
	return err
}
