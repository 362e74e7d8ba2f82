package reprocess

import (
	"context"
	"errors"
	"fmt"
	"runtime/debug"
	"time"

	"github.com/tributary-dicom/tributary/parsers/reject"
	"github.com/tributary-dicom/tributary/pipeline/event"
	"github.com/tributary-dicom/tributary/pipeline/eventlog"
)

// ErrGone is returned by an Index for an object that it does not show any more.
var ErrGone = errors.New("the object is not in the index any more")

// Object is a kept object as the index shows it.
type Object struct {
	Kind   string // KindInstance, KindOriginal or KindQuarantine
	ID     string
	Blob   string // key
	Bytes  int64
	Reason string // of an entry of the quarantine

	// What it is: a record with another identity is about another object.
	Tenant, SOPInstanceUID, DatasetSHA256, TransferSyntaxUID string

	Ref any // the index's own
}

// Place is how far a walk over objects has come; the zero value is the beginning. Its members are the index's.
type Place struct {
	Kind string `json:"kind,omitempty"`
	Key  string `json:"key,omitempty"`
	Sub  string `json:"sub,omitempty"`
}

// Index is what reprocessing reads of the index.
type Index interface {
	// Objects returns up to most objects of a selection behind a place, and where the next ones are; last is true when
	// there are none. below is a version of parsers: only objects that older ones have read, 0 for any.
	Objects(ctx context.Context, s Selection, below int, after Place, most int) (page []Object, next Place, last bool, err error)

	// Said returns what the index says of an object, or ErrGone.
	Said(ctx context.Context, o Object) (Said, error)
}

// Said is what the index says of an object.
type Said interface {
	// Beside are the blobs of attachments that are too long for a record, "" for none.
	Beside() (header, layout string)
	// Differs tells how an event says otherwise: in which parts, and in which attributes by their keywords.
	Differs(ev *event.Instance) (parts, keywords []string, err error)
}

// Intake reads objects and appends records.
type Intake interface {
	// Reread reads the object in a blob with today's parsers and calls accept with the record that they would write;
	// it appends that where accept says yes, durably. header and layout are blobs that may be named again.
	Reread(ctx context.Context, blob, header, layout string, accept func(kind string, ev *event.Instance) bool) ([]eventlog.Position, error)

	// Retry admits an entry of the quarantine, which then leaves it; duplicates are found.
	Retry(ctx context.Context, o Object) (newID, status string, err error)

	// ParserVersion is the version of today's parsers.
	ParserVersion() int
}

// result is what came of one object.
type result struct {
	outcome string
	written bool
	Example
	at []eventlog.Position
}

// one reads one object. An error says nothing about the object.
func (j *job) one(ctx context.Context, o Object) (r result, err error) {
	defer func() {
		// A bug, and of one object: it would end the node, and again at each start, since the job goes on then.
		if p := recover(); p != nil {
			j.cfg.Logger.Error("a parser panicked", "object", o.ID, "panic", fmt.Sprint(p), "stack", string(debug.Stack()))
			r, err = result{outcome: OutcomeUnreadable, Example: Example{ID: o.ID, Why: "a parser failed on it"}}, nil
		}
	}()
	r.ID = o.ID
	said, err := j.cfg.Index.Said(ctx, o)
	if errors.Is(err, ErrGone) {
		r.outcome = OutcomeGone
		return r, nil
	}
	if err != nil {
		return r, fmt.Errorf("read what the index says: %w", err)
	}
	header, layout := said.Beside()
	retry := false
	var broken error
	r.at, err = j.cfg.Intake.Reread(ctx, o.Blob, header, layout, func(kind string, ev *event.Instance) bool {
		if r.outcome, r.Why = fits(o, kind, ev); r.outcome != "" {
			return false
		}
		if retry = o.Kind == KindQuarantine && kind != event.TypeInstanceQuarantined; retry {
			return false
		}
		if r.Parts, r.Keywords, broken = said.Differs(ev); broken != nil {
			return false
		}
		r.outcome = OutcomeSame
		switch {
		case o.Kind == KindQuarantine:
			r.outcome, r.Why, r.Parts, r.Keywords = OutcomeWaiting, ev.Reason, nil, nil
		case len(r.Parts) > 0:
			r.outcome = OutcomeChanged
		}
		return !j.status.DryRun
	})
	switch {
	case err == nil && broken != nil:
		return r, fmt.Errorf("compare descriptions: %w", broken)
	case err == nil && retry:
		return j.admit(ctx, o, r)
	case err == nil:
		r.written = len(r.at) > 0
		return r, nil
	case ctx.Err() != nil || !j.ofObject(err):
		return r, fmt.Errorf("read object %s again: %w", o.ID, err)
	}
	return j.unreadable(ctx, o, r, err)
}

// fits tells whether a record is about the object that is asked about; "" says that it is.
func fits(o Object, kind string, ev *event.Instance) (outcome, why string) {
	switch {
	case ev.ObjectID != o.ID || ev.Tenant != o.Tenant:
		return OutcomeIdentity, "its blob is another object's"
	case o.Kind == KindQuarantine:
		return "", ""
	case kind == event.TypeInstanceQuarantined:
		return OutcomeRefused, ev.Reason
	case ev.IDs.SOPInstanceUID != o.SOPInstanceUID:
		return OutcomeIdentity, "SOP Instance UID"
	case ev.Blob.DatasetSHA256 != o.DatasetSHA256:
		return OutcomeIdentity, "extent of the data set"
	case ev.Blob.TransferSyntaxUID != o.TransferSyntaxUID:
		return OutcomeIdentity, "transfer syntax"
	case (o.Kind == KindOriginal) != (ev.IDs.SOPClassUID == ""):
		return OutcomeIdentity, "format"
	}
	return "", ""
}

// admit takes an entry out of the quarantine that today's parsers can read.
func (j *job) admit(ctx context.Context, o Object, r result) (result, error) {
	r.outcome, r.Why = OutcomeAdmitted, o.Reason
	if j.status.DryRun {
		return r, nil
	}
	id, _, err := j.cfg.Intake.Retry(ctx, o)
	switch {
	case err == nil:
		r.NewID, r.written = id, true
		return r, nil
	case ctx.Err() != nil || !j.ofObject(err):
		return r, fmt.Errorf("admit object %s: %w", o.ID, err)
	}
	var why *reject.Error
	if errors.As(err, &why) && (j.cfg.OfObject == nil || !j.cfg.OfObject(err)) { // the door would refuse it
		r.outcome, r.Why = OutcomeWaiting, string(why.Code)
		return r, nil
	}
	return j.unreadable(ctx, o, r, err)
}

// Somebody who removes an entry takes the bytes away a moment before the index shows it.
const (
	goneTries = 10
	goneEvery = 100 * time.Millisecond
)

// unreadable tells an object whose bytes are lost from one that somebody took away meanwhile.
func (j *job) unreadable(ctx context.Context, o Object, r result, failed error) (result, error) {
	r.Parts, r.Keywords = nil, nil
	for range goneTries {
		_, err := j.cfg.Index.Said(ctx, o)
		if errors.Is(err, ErrGone) {
			r.outcome, r.Why = OutcomeGone, ""
			return r, nil
		}
		if err == nil {
			err = sleep(ctx, goneEvery)
		}
		if err != nil {
			return r, fmt.Errorf("read what the index says: %w", err)
		}
	}
	r.outcome, r.Why = OutcomeUnreadable, "damaged or missing"
	var why *reject.Error
	if errors.As(failed, &why) {
		r.Why = string(why.Code)
	}
	return r, nil
}

// ofObject tells errors about one object from those of engines.
func (j *job) ofObject(err error) bool {
	var why *reject.Error
	if errors.As(err, &why) && (why.Code == reject.OutOfResources || why.Code == reject.Aborted || why.Code == reject.Internal) {
		return j.cfg.OfObject != nil && j.cfg.OfObject(err) // a damaged blob may be inside
	}
	return errors.As(err, &why) || j.cfg.OfObject != nil && j.cfg.OfObject(err)
}
