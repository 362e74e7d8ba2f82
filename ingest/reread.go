package ingest

import (
	"context"
	"errors"
	"fmt"
	"io"
	"maps"
	"slices"
	"strconv"

	"github.com/tributary-dicom/tributary/parsers/reject"
	"github.com/tributary-dicom/tributary/pipeline/event"
	"github.com/tributary-dicom/tributary/pipeline/eventlog"
	"github.com/tributary-dicom/tributary/storage/blob"
	"github.com/tributary-dicom/tributary/storage/index"
)

// ParserVersion is that of all parsers together, and is written into each event. It grows when any of them
// tells something else of the same bytes: then reprocessing has work to do, and what an older release says
// of an object no longer counts (docs/decisions/0022). A test holds that it is not forgotten.
const ParserVersion = 1

// ParserVersion is the version that this Intake writes into events.
func (in *Intake) ParserVersion() int { return in.cfg.ParserVersion }

// Redescribe appends a new event for an object that has one: its header and layout are read from the bytes
// again, and take the place of those that were lost.
func (in *Intake) Redescribe(ctx context.Context, key string) error {
	_, err := in.Reread(ctx, key, Beside{}, func(string, *event.Instance) bool { return true })
	return err
}

// Beside names the blobs of an object's attachments that may be used again, "" where they are inline.
type Beside struct{ Header, Layout string }

// Reread reads a kept object with the parsers of this node, and calls accept with what they make of it: a type of
// event, and its body with the blob, the object's id, its origin and its announcement (event.Instance.Redescribes)
// as they were. TypeInstanceQuarantined says that it cannot be indexed; an entry of the quarantine that can be has
// another type. Attachments are inline whatever their size, unless their blob has them already. Where accept says
// yes, the event is durable in the log when Reread returns, and at says where. The bytes are never touched.
//
// An error that wraps blob.ErrCorrupt, blob.ErrNotFound or ErrNoEvent is about this blob, and so is a *reject.Error
// with another reason than OutOfResources and Aborted; any other is worth another try.
func (in *Intake) Reread(ctx context.Context, key string, had Beside, accept func(kind string, ev *event.Instance) bool) (at []eventlog.Position, err error) {
	info, err := in.blobs.Stat(ctx, key)
	if err != nil {
		return nil, err
	}
	if info.Meta[metaKind] != kindObject {
		return nil, ErrNoEvent
	}
	info.Meta = maps.Clone(info.Meta)
	if had.Header != "" {
		info.Meta[metaHeaderBlob] = had.Header
	}
	if had.Layout != "" {
		info.Meta[metaLayoutBlob] = had.Layout
	}
	share := largeShare{from: &in.large, ctx: ctx}
	defer share.giveBack()
	kind, ev, err := in.readAgain(ctx, info, &share)
	if err != nil {
		return nil, err
	}
	ev.Redescribes = ownEventID(info)
	if !accept(kind, &ev) {
		return nil, nil
	}
	if err := in.putBeside(ctx, &ev); err != nil {
		return nil, err
	}
	env, err := event.NewInstance(kind, in.cfg.Node, in.cfg.Now(), &ev)
	if err != nil {
		return nil, fmt.Errorf("encode event: %w", err)
	}
	// Nothing makes it again: the blob has its event.
	if at, err = in.log.Append(context.WithoutCancel(ctx), env); err != nil {
		return nil, fmt.Errorf("append event: %w", err)
	}
	return at, nil
}

// madeAgain reports whether an arrival is the DICOM object of an original once more, made otherwise by other parsers:
// it takes the place of the older ones, and nobody has to choose.
func madeAgain(a Arrival, versions []index.Version) bool {
	return a.DerivedFrom != "" && !slices.ContainsFunc(versions, func(v index.Version) bool { return v.DerivedFrom == "" })
}

// prefer makes a version that is there already the one that is shown, where today's parsers make it of its original
// again after others had made something else.
func (in *Intake) prefer(ctx context.Context, a Arrival, versions []index.Version, this int) error {
	if a.DerivedFrom == "" || len(versions) < 2 || versions[this].DerivedVersion >= in.cfg.ParserVersion {
		return nil
	}
	_, err := in.Reread(ctx, versions[this].BlobKey, Beside{}, func(_ string, ev *event.Instance) bool {
		ev.DerivedVersion = in.cfg.ParserVersion
		return true
	})
	if err != nil {
		return storeError("ingest.Admit", err)
	}
	return nil
}

// readAgain reads a kept object as if it came again, and makes its event without writing anything. Attachments that
// are not beside the blob yet are inline, whatever their size.
func (in *Intake) readAgain(ctx context.Context, info blob.Info, share *largeShare) (kind string, ev event.Instance, err error) {
	body, err := in.blobs.Open(ctx, info.Key, 0, -1)
	if err != nil {
		return "", ev, err
	}
	defer body.Close()
	a := Arrival{Body: body, Tenant: info.Meta[metaTenant], Origin: originOf(info.Meta, info.Created), DerivedFrom: info.Meta[metaDerivedFrom], MaxBytes: info.Bytes}
	rd, err := in.read(a, io.Discard, share)
	if err != nil {
		return "", ev, err
	}
	rd.verdict = in.judge(a, rd)
	ev = in.instance(a, admission{objectID: info.Meta[metaObjectID], received: info.Created}, rd)
	ev.Blob.Key = info.Key
	ev.DerivedVersion, _ = strconv.Atoi(info.Meta[metaDerivedVersion]) // 0 where there is none
	if rd.verdict != nil {
		// Even a refusal keeps the bytes here: they lie in the store, and somebody may miss them.
		in.refuse(&ev, info, rd.verdict)
		return event.TypeInstanceQuarantined, ev, nil
	}
	if rd.object == nil {
		kind, err := in.describeRecording(ctx, &ev)
		return kind, ev, err
	}
	if err := in.describe(ctx, &ev, rd, info.Meta); err != nil {
		return "", ev, err
	}
	kind = event.TypeInstanceStored
	if ev.ConflictOf = info.Meta[metaConflictOf]; ev.ConflictOf != "" {
		kind = event.TypeInstanceConflict
	}
	return kind, ev, nil
}

// refuse fills the event of a kept object that cannot be indexed as its first one was filled, where the reason is
// one for which objects are kept. What else may be wrong with it now is told as found.
func (in *Intake) refuse(ev *event.Instance, info blob.Info, verdict error) {
	var why *reject.Error
	if was := info.Meta[metaReason]; was != "" && errors.As(verdict, &why) {
		if !why.Code.Keeps() {
			ev.Reason, ev.ReasonDetail = was, info.Meta[metaReasonDetail]
			ev.ReasonOffset, _ = strconv.ParseInt(info.Meta[metaReasonOffset], 10, 64)
			return
		}
		ev.Reason, ev.ReasonOffset = string(why.Code), max(why.Offset, 0)
		if why.Err != nil {
			ev.ReasonDetail = bounded(why.Err.Error())
		}
		return
	}
	ev.Reason, ev.ReasonDetail = string(reject.CodeOf(verdict)), bounded("found after a crash; "+verdict.Error())
}

// attachment compresses doc. Where it is too long for an event, and the blob kept has it, it names that.
func (in *Intake) attachment(ctx context.Context, doc []byte, kept string) *event.Attachment {
	att := event.Attach(doc)
	if len(att.Data) > event.MaxInline && kept != "" && in.holds(ctx, kept, att, doc) {
		att.Data, att.BlobKey = nil, kept
	}
	return att
}

// putBeside moves attachments that are too long for an event into blobs of their own.
func (in *Intake) putBeside(ctx context.Context, ev *event.Instance) (err error) {
	for _, a := range []struct {
		att  *event.Attachment
		what string
	}{{ev.Header, kindHeader}, {ev.Frames, kindLayout}} {
		if a.att != nil && a.att.BlobKey == "" && len(a.att.Data) > event.MaxInline {
			if err := in.putAttachment(ctx, ev, a.what, a.att); err != nil {
				return err
			}
		}
	}
	return nil
}

// putAttachment keeps an attachment in a blob of its own.
func (in *Intake) putAttachment(ctx context.Context, ev *event.Instance, what string, att *event.Attachment) error {
	w, err := in.blobs.Create(ctx)
	if err != nil {
		return storeError("ingest.Admit", err)
	}
	defer w.Abort()
	if _, err := w.Write(att.Data); err != nil {
		return storeError("ingest.Admit", err)
	}
	info, err := w.Commit(ctx, blob.Meta{metaKind: what, metaTenant: ev.Tenant, metaObjectID: ev.ObjectID})
	if err != nil {
		return storeError("ingest.Admit", err)
	}
	att.Data, att.BlobKey = nil, info.Key
	return nil
}
