package ingest

import (
	"strconv"
	"time"
	"unicode/utf8"

	"github.com/tributary-dicom/tributary/pipeline/event"
	"github.com/tributary-dicom/tributary/storage/blob"
)

// Keys of blob.Meta: what only the door knew, kept with the bytes so that a blob without an event can be
// adopted, on this node or another.
const (
	metaKind       = "kind"
	metaObjectID   = "object_id"
	metaTenant     = "tenant"
	metaReceivedAt = "received_at" // RFC 3339 with nanoseconds
	metaDoor       = "door"
	metaDevice     = "device"
	metaFacility   = "facility"
	metaRemote     = "remote"
	metaCallingAE  = "calling_ae"
	metaCalledAE   = "called_ae"
	metaFilename   = "filename"

	// What the event of the blob says and bytes cannot tell: with these an event that was lost is made again
	// as it was.
	metaEventID      = "event_id"
	metaConflictOf   = "conflict_of"
	metaReason       = "reason" // present when admission put the object into quarantine
	metaReasonDetail = "reason_detail"
	metaReasonOffset = "reason_offset" // bytes, decimal
	metaHeaderBlob   = "header_blob"   // attachments in blobs of their own, which were there first
	metaLayoutBlob   = "layout_blob"
	metaDerivedFrom  = "derived_from"

	metaDerivedVersion = "derived_version" // of the parsers that made it, decimal

	// Of a decision: the type of its event, and the study that it is filed under.
	metaEventType = "event_type"
	metaStudy     = "study"
)

// Values of metaKind. Attachments belong to the event that names them, and are made again when their
// object is adopted and they are not there.
const (
	kindObject   = "object"
	kindDecision = "decision"
	kindHeader   = "header"
	kindLayout   = "layout"
)

// maxMetaValue bounds each text that is kept with a blob, bytes. Doors hold their peers to less.
const maxMetaValue = 512

// bounded cuts what is kept with a blob.
func bounded(s string) string { return cut(s, maxMetaValue) }

// cut returns at most n bytes of s, cut between characters.
func cut(s string, n int) string {
	if len(s) <= n {
		return s
	}
	for n > 0 && !utf8.RuneStart(s[n]) {
		n--
	}
	return s[:n]
}

// besideBlob is the key of an attachment that is not inline.
func besideBlob(att *event.Attachment) string {
	if att == nil {
		return ""
	}
	return att.BlobKey
}

// metaOf is what a blob keeps of its event.
func metaOf(ev *event.Instance, eventID string) blob.Meta {
	m := blob.Meta{
		metaKind: kindObject, metaObjectID: ev.ObjectID, metaTenant: ev.Tenant, metaEventID: eventID,
		metaReceivedAt: ev.Origin.ReceivedAt.UTC().Format(time.RFC3339Nano),
	}
	if ev.ReasonOffset > 0 {
		m[metaReasonOffset] = strconv.FormatInt(ev.ReasonOffset, 10)
	}
	if ev.DerivedVersion > 0 {
		m[metaDerivedVersion] = strconv.Itoa(ev.DerivedVersion)
	}
	for key, value := range map[string]string{
		metaDoor: ev.Origin.Door, metaDevice: ev.Origin.Device, metaFacility: ev.Origin.Facility,
		metaRemote: ev.Origin.Remote, metaCallingAE: ev.Origin.CallingAE, metaCalledAE: ev.Origin.CalledAE,
		metaFilename: ev.Origin.Filename, metaConflictOf: ev.ConflictOf, metaReason: ev.Reason,
		metaReasonDetail: ev.ReasonDetail, metaDerivedFrom: ev.DerivedFrom, metaHeaderBlob: besideBlob(ev.Header), metaLayoutBlob: besideBlob(ev.Frames),
	} {
		if value = bounded(value); value != "" {
			m[key] = value
		}
	}
	return m
}

func originOf(m blob.Meta, created time.Time) event.Origin {
	o := event.Origin{
		Door: m[metaDoor], Device: m[metaDevice], Facility: m[metaFacility], Remote: m[metaRemote],
		CallingAE: m[metaCallingAE], CalledAE: m[metaCalledAE], Filename: m[metaFilename], ReceivedAt: created,
	}
	if at, err := time.Parse(time.RFC3339Nano, m[metaReceivedAt]); err == nil {
		o.ReceivedAt = at
	}
	return o
}

// Kept reads what admission wrote beside a blob: its kind ("object", "decision", "header", "layout"), whose
// object it is, and the blobs that have the object's header and layout, "" where they are inline.
func Kept(m blob.Meta) (kind, objectID, header, layout string) {
	return m[metaKind], m[metaObjectID], m[metaHeaderBlob], m[metaLayoutBlob]
}

// OwnEvent tells by its meta whether a blob is to have an event of its own.
func OwnEvent(m blob.Meta) bool { return m[metaKind] == kindObject || m[metaKind] == kindDecision }
