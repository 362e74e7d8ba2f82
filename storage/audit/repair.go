package audit

import (
	"context"
	"errors"
	"time"

	"github.com/tributary-dicom/tributary/storage/blob"
)

// Tools are what Repair mends with.
type Tools struct {
	// Adopt gives a blob without an event its event, Redescribe gives an object a new one with attachments
	// made from its bytes; ingest.Intake has both.
	Adopt      func(ctx context.Context, key string) error
	Redescribe func(ctx context.Context, key string) error

	// Remove deletes a blob. It is called for headers and layouts that nothing names, never for an object.
	Remove func(ctx context.Context, key string) error

	// Index makes the index show the log: anew from its beginning, or only what came since. It returns how
	// many records it applied.
	Index func(ctx context.Context, anew bool) (int64, error)

	// Keep is how old a header or layout must be before it is removed. Below a day, an admission of a slow
	// sender could still want it.
	Keep time.Duration
}

// Repair is Verify, and then does what is safe: blobs get their events, lost attachments are made again,
// the index is made again where it does not show the log, and attachments that nothing names are removed.
// Bytes of objects are never touched. The report is of what was wrong before, with Actions; look again to
// know how it is now. What failed is in Actions too; an error means that the look or the repair ended early.
func Repair(ctx context.Context, e Engines, opt Options, with Tools) (_ *Report, err error) {
	a, err := look(ctx, e, opt)
	if err != nil {
		return nil, err
	}
	defer func() { err = errors.Join(err, a.file.close()) }()
	r := repair{audit: a, with: with}
	counts := a.report.Counts
	if counts[BlobWithoutEvent] > 0 {
		if err := r.adopt(ctx); err != nil {
			return &a.report, err
		}
	}
	if counts[AttachmentMissing] > 0 {
		if err := r.redescribe(ctx); err != nil {
			return &a.report, err
		}
	}
	var worst Code
	for _, c := range []Code{IndexMissing, IndexForeign, RowMissing, RowWithoutEvent, RowDiffers, RowBroken, IndexMiscounted} {
		if counts[c] > 0 {
			worst = c
			break
		}
	}
	switch {
	case worst != "":
		err = r.index(ctx, Action{Code: worst, Did: "made the index again from the log; records applied"}, true)
	case r.appended:
		err = r.index(ctx, Action{Code: BlobWithoutEvent, Did: "brought the index up to the log; records applied"}, false)
	}
	if err != nil {
		return &a.report, err
	}
	if counts[AttachmentOrphaned] > 0 {
		if err := r.removeAttachments(ctx); err != nil {
			return &a.report, err
		}
	}
	for _, h := range advice {
		if n := counts[h.code]; n > 0 && !h.mends {
			a.report.Actions = append(a.report.Actions, Action{Code: h.code, Did: "left to people: " + h.advice, Count: n})
		}
	}
	return &a.report, nil
}

type repair struct {
	*audit
	with     Tools
	appended bool // there are new events
}

// done notes an action. Faults of single blobs are counted by their first; the end of ctx ends the repair.
func (r *repair) done(ctx context.Context, did Action, failed error) error {
	if failed != nil {
		did.Error = failed.Error()
	}
	r.report.Actions = append(r.report.Actions, did)
	return ctx.Err()
}

func (r *repair) adopt(ctx context.Context) error {
	did := Action{Code: BlobWithoutEvent, Did: "gave blobs their events"}
	var failed error
	err := r.eachOrphan(ctx, func(o orphan) error {
		err := r.with.Adopt(ctx, o.key)
		switch {
		case err == nil:
			r.appended = true
			did.Count++
		case failed == nil:
			failed = err
		}
		return ctx.Err()
	})
	return errors.Join(r.done(ctx, did, failed), err)
}

func (r *repair) redescribe(ctx context.Context) error {
	did := Action{Code: AttachmentMissing, Did: "read objects again for their attachments"}
	var failed error
	seen := int64(-1) // an object may miss both, one after the other
	err := r.eachLostAttachment(ctx, func(t attachment, _ string) error {
		if t.told.n == seen {
			return nil
		}
		seen = t.told.n
		err := r.with.Redescribe(ctx, t.key)
		switch {
		case err == nil:
			r.appended = true
			did.Count++
		case errors.Is(err, blob.ErrNotFound), errors.Is(err, blob.ErrCorrupt):
			// The object itself is gone, which is a finding of its own.
		case failed == nil:
			failed = err
		}
		return ctx.Err()
	})
	return errors.Join(r.done(ctx, did, failed), err)
}

func (r *repair) index(ctx context.Context, did Action, anew bool) (err error) {
	did.Count, err = r.with.Index(ctx, anew)
	return r.done(ctx, did, err)
}

func (r *repair) removeAttachments(ctx context.Context) error {
	did := Action{Code: AttachmentOrphaned, Did: "removed headers and layouts that nothing names"}
	if r.report.Counts[EventUnreadable] > 0 {
		did.Did = "removed nothing: an event that cannot be read may name them"
		return r.done(ctx, did, nil)
	}
	var failed error
	youngest := r.report.Began.Add(-r.with.Keep).UnixMicro()
	young := Action{Code: AttachmentOrphaned, Did: "left for now, since they are young"}
	err := r.eachUnclaimed(ctx, func(o orphan) error {
		if o.createdMicro > youngest {
			young.Count++
			return nil
		}
		if err := r.with.Remove(ctx, o.key); err == nil {
			did.Count++
		} else if failed == nil {
			failed = err
		}
		return ctx.Err()
	})
	if young.Count > 0 {
		r.report.Actions = append(r.report.Actions, young)
	}
	return errors.Join(r.done(ctx, did, failed), err)
}
