package ingest

import (
	"time"

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
)

// Values of metaKind. Attachments ("header", "layout") belong to the event that names them, and are
// made again when their object is adopted.
const (
	kindObject   = "object"
	kindDecision = "decision"
)

// maxFilename bounds the sender's file name that is kept, bytes.
const maxFilename = 512

func metaOf(ev *event.Instance) blob.Meta {
	m := blob.Meta{
		metaKind: kindObject, metaObjectID: ev.ObjectID, metaTenant: ev.Tenant,
		metaReceivedAt: ev.Origin.ReceivedAt.UTC().Format(time.RFC3339Nano),
	}
	for key, value := range map[string]string{
		metaDoor: ev.Origin.Door, metaDevice: ev.Origin.Device, metaFacility: ev.Origin.Facility,
		metaRemote: ev.Origin.Remote, metaCallingAE: ev.Origin.CallingAE, metaCalledAE: ev.Origin.CalledAE,
		metaFilename: ev.Origin.Filename,
	} {
		if len(value) > maxFilename {
			value = value[:maxFilename]
		}
		if value != "" {
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
