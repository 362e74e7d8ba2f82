package index

import (
	"encoding/json"
	"errors"
	"fmt"
	"strings"
	"time"
	"unicode/utf8"

	"github.com/tributary-dicom/tributary/parsers/sniff"
	"github.com/tributary-dicom/tributary/pipeline/event"
	"github.com/tributary-dicom/tributary/pipeline/eventlog"
)

// place orders instances: by time received, then by object id. It does not depend on when an event
// reaches the index.
type place struct {
	received int64 // µs since 1970
	object   string
}

func (p place) before(q place) bool {
	return p.received < q.received || p.received == q.received && p.object < q.object
}

// change is what one record asks for; one of the pointers is set, or none.
type change struct {
	record      eventlog.Record
	instance    *instance
	original    *original
	quarantined *quarantined
	decision    *decision
	sent        *sent
	announced   *announced
}

// instance is a row of instances and its documents, before it has a number.
type instance struct {
	tenant, study, series, sop string // UIDs
	place
	eventID       string
	door, remote  string
	sopClass      string
	syntax        string
	mediaType     string
	blobKey       string
	bytes         int64
	sha256        string
	datasetSHA256 string
	datasetOffset int64

	patient        int64  // patientHash
	all            []pair // with the identifiers of the event
	header, layout *event.Attachment
	derivedFrom    string
	device         string
	told           telling
	derivedVersion int64
	origin         []byte     // the rest of where it came from, packed; nil when there is no more
	recording      *recording // nil when the event says nothing of one
}

// value returns an attribute; instances have some 40, so a walk beats a map.
func (in *instance) value(keyword string) string { return find(in.all, keyword) }

// identity tells one data set from another: the same bytes under another transfer syntax are another image,
// and mean that one of two senders named the wrong one.
func (in *instance) identity() string { return in.datasetSHA256 + " " + in.syntax }

func find(all []pair, keyword string) string {
	for _, p := range all {
		if p.keyword == keyword {
			return p.value
		}
	}
	return ""
}

type quarantined struct {
	tenant, eventID string
	place
	sha256       string
	door, device string
	entry        []byte
	version      int64 // of the parsers that refused it
}

// decision is a row of decisions.
type decision struct {
	object, eventID, about, action string
	decided                        int64
}

const (
	aboutConflict   = "conflict"
	aboutQuarantine = "quarantine"
)

// decode reads a record. It returns nil for a type that this version does not know.
func decode(r eventlog.Record) (*change, error) {
	c := &change{record: r}
	switch r.Event.Type {
	case event.TypeInstanceStored, event.TypeInstanceConflict:
		body, err := event.Decode[event.Instance](r.Event.Data)
		if err != nil {
			return nil, withoutText(err)
		}
		if isOriginal(body) {
			c.original, err = newOriginal(body, r.Event.ID)
		} else {
			c.instance, err = newInstance(body, r.Event.ID)
		}
		return c, err
	case event.TypeInstanceQuarantined:
		body, err := event.Decode[event.Instance](r.Event.Data)
		if err != nil {
			return nil, withoutText(err)
		}
		q, err := newQuarantined(body, r.Event.ID)
		c.quarantined = q
		return c, err
	case event.TypeQuarantineResolved, event.TypeConflictResolved:
		body, err := event.Decode[event.Resolution](r.Event.Data)
		if err != nil {
			return nil, withoutText(err)
		}
		if err := identifiers(body.ObjectID, r.Event.ID); err != nil {
			return nil, err
		}
		c.decision = &decision{
			object: body.ObjectID, eventID: r.Event.ID, about: aboutConflict, action: plain(body.Action),
			decided: body.At.UnixMicro(),
		}
		if r.Event.Type == event.TypeQuarantineResolved {
			c.decision.about = aboutQuarantine
		}
		return c, nil
	case event.TypeStudySent, event.TypeStudyUpdated, event.TypeStudyComplete:
		return c, decodeStudy(r, c)
	}
	return nil, nil
}

// withoutText keeps what encoding/json says of the place and drops what it quotes: bodies are of patients.
func withoutText(err error) error {
	var syntax *json.SyntaxError
	var kind *json.UnmarshalTypeError
	switch {
	case errors.As(err, &syntax):
		return fmt.Errorf("JSON breaks off or is none at byte %d", syntax.Offset)
	case errors.As(err, &kind):
		return fmt.Errorf("JSON has the wrong type at byte %d", kind.Offset)
	}
	return errors.New("body lacks what its type needs, or is too long")
}

// complete refuses the event of an object that lacks what its row is found by.
func complete(body *event.Instance, eventID string) error {
	ids := body.IDs
	for _, need := range []struct{ what, value string }{
		{"object id", body.ObjectID},
		{"data set hash", body.Blob.DatasetSHA256},
		{"blob key", body.Blob.Key},
		{"Study Instance UID", ids.StudyInstanceUID},
		{"Series Instance UID", ids.SeriesInstanceUID},
		{"SOP Instance UID", ids.SOPInstanceUID},
	} {
		if need.value == "" {
			return errors.New("instance without " + need.what)
		}
	}
	return identifiers(body.Tenant, body.ObjectID, eventID, body.Redescribes, body.Blob.DatasetSHA256, body.Blob.TransferSyntaxUID,
		ids.StudyInstanceUID, ids.SeriesInstanceUID, ids.SOPInstanceUID, body.DerivedFrom)
}

// attributesOf returns the attributes of an event with its identifiers.
func attributesOf(body *event.Instance) []pair {
	ids, m := body.IDs, body.Attributes
	if m == nil {
		m = make(map[string]string, 8)
	}
	// The identifiers rule: attributes may come from a device's own words.
	for _, id := range []pair{
		{"StudyInstanceUID", ids.StudyInstanceUID},
		{"SeriesInstanceUID", ids.SeriesInstanceUID},
		{"SOPInstanceUID", ids.SOPInstanceUID},
		{"SOPClassUID", ids.SOPClassUID},
		{"PatientID", ids.PatientID},
		{"IssuerOfPatientID", ids.IssuerOfPatientID},
		{"AccessionNumber", ids.AccessionNumber},
	} {
		if id.value != "" {
			m[id.keyword] = id.value
		}
	}
	return pairs(m)
}

func newInstance(body *event.Instance, eventID string) (*instance, error) {
	if err := complete(body, eventID); err != nil {
		return nil, err
	}
	ids, told := body.IDs, tellingOf(body, eventID)
	in := &instance{
		tenant: body.Tenant, study: ids.StudyInstanceUID, series: ids.SeriesInstanceUID, sop: ids.SOPInstanceUID,
		place:   place{body.Origin.ReceivedAt.UnixMicro(), body.ObjectID},
		eventID: body.Announced(eventID), door: indexed(plain(body.Origin.Door)), remote: plain(body.Origin.Remote),
		sopClass: plain(ids.SOPClassUID), syntax: body.Blob.TransferSyntaxUID, mediaType: plain(body.Blob.MediaType),
		blobKey: plain(body.Blob.Key), bytes: body.Blob.Bytes, sha256: plain(body.Blob.SHA256),
		datasetSHA256: body.Blob.DatasetSHA256, datasetOffset: body.Blob.DatasetOffset,
		all: attributesOf(body), header: body.Header, layout: body.Frames, derivedFrom: body.DerivedFrom,
		device: indexed(plain(body.Origin.Device)), origin: originOf(body), told: told, derivedVersion: int64(max(body.DerivedVersion, 0)),
	}
	in.patient = patientHash(in.all)
	var err error
	in.recording, err = newRecording(body, in.all)
	return in, err
}

// originOf packs what an instance's event says of where it came from, beside the columns.
func originOf(body *event.Instance) []byte {
	var all []pair
	add := func(keyword, value string) {
		if value != "" {
			all = append(all, pair{keyword, plain(value)})
		}
	}
	add(originCallingAE, body.Origin.CallingAE)
	add(originFacility, body.Origin.Facility)
	add(originFilename, body.Origin.Filename)
	if body.Blob.Format != string(sniff.DICOM) {
		add(originFormat, body.Blob.Format)
	}
	if all == nil {
		return nil
	}
	return pack(all, -1)
}

// maxIdentifier bounds what rows are found by, bytes: a UID has 64 (PS3.5 §9.1), and so has a hash. Several of
// them lie side by side in an index (maxIndexed).
const maxIdentifier = 128

// identifiers refuses what cannot be a key in every engine. Admission lets nothing of the kind pass.
func identifiers(all ...string) error {
	for _, s := range all {
		if len(s) > maxIdentifier || strings.IndexByte(s, 0) >= 0 || !utf8.ValidString(s) {
			return errors.New("identifier is too long or is no text")
		}
	}
	return nil
}

// plain makes s into text that every engine keeps: PostgreSQL takes no NUL.
func plain(s string) string {
	if strings.IndexByte(s, 0) < 0 && utf8.ValidString(s) {
		return s
	}
	return strings.ReplaceAll(strings.ToValidUTF8(s, "\uFFFD"), "\x00", "\uFFFD")
}

func newQuarantined(body *event.Instance, eventID string) (*quarantined, error) {
	if body.ObjectID == "" {
		return nil, errors.New("quarantined object without object id")
	}
	if err := identifiers(body.Tenant, body.ObjectID, eventID, body.Redescribes, body.Blob.SHA256); err != nil {
		return nil, err
	}
	entry, err := json.Marshal(Quarantined{
		ObjectID: body.ObjectID, Reason: body.Reason, Detail: body.ReasonDetail, Offset: body.ReasonOffset,
		Door: body.Origin.Door, Remote: body.Origin.Remote, CallingAE: body.Origin.CallingAE,
		Filename: body.Origin.Filename, ReceivedAt: instant(body.Origin.ReceivedAt.UnixMicro()),
		Bytes: body.Blob.Bytes, SHA256: body.Blob.SHA256, Format: body.Blob.Format, BlobKey: body.Blob.Key,
		StudyInstanceUID: body.IDs.StudyInstanceUID, SeriesInstanceUID: body.IDs.SeriesInstanceUID,
		SOPInstanceUID: body.IDs.SOPInstanceUID, Device: body.Origin.Device, Facility: body.Origin.Facility, MediaType: body.Blob.MediaType,
	})
	if err != nil {
		return nil, fmt.Errorf("encode entry: %w", err)
	}
	at := place{body.Origin.ReceivedAt.UnixMicro(), body.ObjectID}
	return &quarantined{
		tenant: body.Tenant, eventID: body.Announced(eventID), place: at, sha256: body.Blob.SHA256, version: int64(max(body.ParserVersion, 0)),
		door: indexed(plain(body.Origin.Door)), device: indexed(plain(body.Origin.Device)), entry: entry,
	}, nil
}

// instant writes µs since 1970 by RFC 3339.
func instant(micros int64) string { return time.UnixMicro(micros).UTC().Format(time.RFC3339Nano) }
