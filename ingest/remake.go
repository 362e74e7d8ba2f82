package ingest

import (
	"bytes"
	"cmp"
	"context"
	"crypto/sha256"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"strconv"

	"github.com/oklog/ulid/v2"

	"github.com/tributary-dicom/tributary/parsers/sniff"
	"github.com/tributary-dicom/tributary/pipeline/event"
	"github.com/tributary-dicom/tributary/storage/blob"
)

// ErrNoEvent is returned by Adopt for a blob that has no event of its own: an attachment, or a blob that
// something else than Tributary wrote.
var ErrNoEvent = errors.New("blob is neither an object nor a decision")

// Adopt appends the event of a blob whose event was lost. It has the id, the object's id, the origin and
// the reason that it had before; the rest is read from the bytes again. A second call appends the same
// event, which consumers drop. It returns blob.ErrCorrupt where the bytes cannot be read, and ErrNoEvent.
func (in *Intake) Adopt(ctx context.Context, key string) error { return in.remake(ctx, key) }

// remake makes the event of a blob under the id that it had.
func (in *Intake) remake(ctx context.Context, key string) error {
	info, err := in.blobs.Stat(ctx, key)
	if err != nil {
		return err
	}
	id := ownEventID(info)
	switch info.Meta[metaKind] {
	case kindObject:
		err = in.remakeObject(ctx, info, id)
	case kindDecision:
		err = in.remakeDecision(ctx, info, id)
	default:
		return ErrNoEvent
	}
	if err == nil {
		in.cfg.Metrics.adopted()
	}
	return err
}

// ownEventID is the id of the event that announces a blob.
func ownEventID(info blob.Info) string { return cmp.Or(info.Meta[metaEventID], derivedID(info)) }

// remakeObject appends what is read of a blob as if it came again.
func (in *Intake) remakeObject(ctx context.Context, info blob.Info, id string) error {
	share := largeShare{from: &in.large, ctx: ctx}
	defer share.giveBack()
	kind, ev, err := in.readAgain(ctx, info, &share)
	if err != nil {
		return err
	}
	ev.Adopted = true
	if why := info.Meta[metaReason]; why != "" && kind != event.TypeInstanceQuarantined {
		// A person decides whether to try again, not an accident of the log.
		kind, ev.Reason, ev.ReasonDetail = event.TypeInstanceQuarantined, why, info.Meta[metaReasonDetail]
		ev.ReasonOffset, _ = strconv.ParseInt(info.Meta[metaReasonOffset], 10, 64) // 0 where there is none
		ev.ConflictOf, ev.Header, ev.Frames, ev.ECG, ev.Priority, ev.Findings = "", nil, nil, nil, "", nil
		if ev.Blob.Format != string(sniff.DICOM) {
			ev.IDs, ev.Attributes = event.IDs{}, nil
		}
	}
	if err := in.putBeside(ctx, &ev); err != nil {
		return err
	}
	_, err = in.announce(ctx, &ev, kind, id)
	return err
}

// maxDecision bounds the JSON of a decision, bytes.
const maxDecision = 64 << 10

func (in *Intake) remakeDecision(ctx context.Context, info blob.Info, id string) error {
	body, err := in.blobs.Open(ctx, info.Key, 0, -1)
	if err != nil {
		return err
	}
	defer body.Close()
	doc, err := io.ReadAll(io.LimitReader(body, maxDecision))
	if err != nil {
		return err
	}
	var r event.Resolution
	if err := json.Unmarshal(doc, &r); err != nil {
		return fmt.Errorf("decision %s: %w", info.Key, blob.ErrCorrupt)
	}
	r.BlobKey = info.Key
	kind := info.Meta[metaEventType]
	if kind == "" { // of an earlier release
		kind = event.TypeConflictResolved
		if r.Action == ActionRemoved || r.Action == ActionRetried {
			kind = event.TypeQuarantineResolved
		}
	}
	env, err := event.NewResolution(kind, in.cfg.Node, info.Meta[metaStudy], info.Meta[metaTenant], &r)
	if err != nil {
		return fmt.Errorf("encode decision: %w", err)
	}
	// History goes by when events were made, and this one is made now.
	env.ID, env.Time = id, in.cfg.Now().UTC()
	if _, err := in.log.AppendBacked(context.WithoutCancel(ctx), env); err != nil {
		return fmt.Errorf("append decision: %w", err)
	}
	return nil
}

// derivedID is the event id for a blob that names none: always the same, and in order with those of other
// blobs.
func derivedID(info blob.Info) string {
	sum := sha256.Sum256([]byte(info.Key))
	id := ulid.ULID(sum[:16])
	_ = id.SetTime(min(uint64(max(info.Created.UnixMilli(), 0)), ulid.MaxTime()))
	return id.String()
}

// maxKept bounds an attachment that is compared, compressed bytes.
const maxKept = 128 << 20

// holds tells whether the blob at key is the attachment of doc.
func (in *Intake) holds(ctx context.Context, key string, att *event.Attachment, doc []byte) bool {
	body, err := in.blobs.Open(ctx, key, 0, -1)
	if err != nil {
		return false
	}
	defer body.Close()
	data, err := io.ReadAll(io.LimitReader(body, maxKept))
	if err != nil {
		return false
	}
	had, err := att.Open(data)
	return err == nil && bytes.Equal(had, doc)
}
