package index

import (
	"context"
	"fmt"
	"slices"

	"github.com/tributary-dicom/tributary/parsers/ecg"
	"github.com/tributary-dicom/tributary/parsers/sniff"
	"github.com/tributary-dicom/tributary/pipeline/event"
)

// An original is a file of a device that is no DICOM object: an ECG in its maker's format, a report. It is kept as it
// came, and readers of DICOM see what a later stage makes of it. Its row is that of its newest event.

// original is a row of originals.
type original struct {
	tenant, study, series, source, derived string // UIDs
	place
	eventID               string // of its announcement
	told                  telling
	door, remote          string
	device, facility      string
	filename              string
	format, mediaType     string
	syntax                string
	blobKey               string
	bytes                 int64
	sha256, datasetSHA256 string
	all                   []pair
	recording             *recording
}

// objectKey is an object of a tenant.
type objectKey struct{ tenant, object string }

const mediaTypeDICOM = "application/dicom"

// isOriginal tells the event of a file that is not DICOM. Events of before there were others may lack a format.
// One that was DICOM inside of an archive says so, and yet its bytes are the archive's.
func isOriginal(body *event.Instance) bool {
	if f := body.Blob.Format; f != "" && f != string(sniff.DICOM) {
		return true
	}
	return body.IDs.SOPClassUID == "" && body.Blob.MediaType != "" && body.Blob.MediaType != mediaTypeDICOM
}

func newOriginal(body *event.Instance, eventID string) (*original, error) {
	if err := complete(body, eventID); err != nil {
		return nil, err
	}
	ids := body.IDs
	o := &original{
		tenant: body.Tenant, study: ids.StudyInstanceUID, series: ids.SeriesInstanceUID, source: ids.SOPInstanceUID,
		derived: ecg.Identity(body.Tenant, body.Blob.SHA256, nil).Derived,
		place:   place{body.Origin.ReceivedAt.UnixMicro(), body.ObjectID},
		eventID: body.Announced(eventID), told: tellingOf(body, eventID), door: plain(body.Origin.Door), remote: plain(body.Origin.Remote), device: plain(body.Origin.Device),
		facility: plain(body.Origin.Facility), filename: plain(body.Origin.Filename), format: plain(body.Blob.Format),
		mediaType: plain(body.Blob.MediaType), syntax: body.Blob.TransferSyntaxUID, blobKey: plain(body.Blob.Key),
		bytes: body.Blob.Bytes, sha256: plain(body.Blob.SHA256), datasetSHA256: body.Blob.DatasetSHA256, all: attributesOf(body),
	}
	var err error
	if o.recording, err = newRecording(body, o.all); o.recording != nil {
		o.recording.original, o.recording.derivedUID = o.object, o.derived
	}
	return o, err
}

// originalColumns are those of a row, without what it is found by.
const originalColumns = `event_id source_uid derived_uid study_instance_uid series_instance_uid received:int door remote device facility
	filename format media_type transfer_syntax_uid blob_key bytes:int sha256 dataset_sha256 attributes:bytes
	parser_version:int described_by`

func (o *original) values() []any {
	return []any{
		o.eventID, o.source, o.derived, o.study, o.series, o.received, o.door, o.remote, o.device, o.facility,
		o.filename, o.format, o.mediaType, o.syntax, o.blobKey, o.bytes, o.sha256, o.datasetSHA256, pack(o.all, -1),
		o.told.version, o.told.record, o.tenant, o.object,
	}
}

// newestOriginals returns what is known of those originals of the changes that have a row.
func (b *batch) newestOriginals(changes []*change) (map[objectKey]originalRow, error) {
	newest := make(map[objectKey]originalRow)
	byTenant := make(map[string][]any)
	for _, c := range changes {
		if c.original != nil {
			byTenant[c.original.tenant] = append(byTenant[c.original.tenant], c.original.object)
		}
	}
	for tenant, objects := range byTenant {
		err := b.eachOf(func(scan scanner) error {
			var object string
			var row originalRow
			err := scan(&object, &row.eventID, &row.described.version, &row.described.record)
			newest[objectKey{tenant, object}] = row
			return err
		}, "SELECT object_id, event_id, parser_version, described_by FROM originals WHERE tenant = $1 AND object_id", []any{tenant}, objects)
		if err != nil {
			return nil, fmt.Errorf("read originals: %w", err)
		}
	}
	return newest, nil
}

func (db *DB) lookupOriginal(ctx context.Context, tenant, source string) (versions []Version, current string, err error) {
	const op = "look up original"
	rows, err := db.engine.query(ctx, `SELECT object_id, dataset_sha256, sha256, bytes, transfer_syntax_uid, blob_key, door, remote, received
		FROM originals WHERE tenant = $1 AND source_uid = $2 ORDER BY received, object_id`, tenant, source)
	if err != nil {
		return nil, "", db.failed(ctx, op, err)
	}
	defer rows.Close()
	for rows.Next() {
		var v Version
		var received int64
		err := rows.Scan(&v.ObjectID, &v.DatasetSHA256, &v.SHA256, &v.Bytes, &v.TransferSyntaxUID, &v.BlobKey, &v.Door, &v.Remote, &received)
		if err != nil {
			return nil, "", db.failed(ctx, op, err)
		}
		v.ReceivedAt = instant(received)
		// Several objects of the same bytes are one version, as with instances.
		if !slices.ContainsFunc(versions, func(have Version) bool { return have.DatasetSHA256 == v.DatasetSHA256 }) {
			versions = append(versions, v)
		}
	}
	if err := rows.Err(); err != nil {
		return nil, "", db.failed(ctx, op, err)
	}
	if len(versions) > 0 {
		current = versions[0].ObjectID
	}
	return versions, current, nil
}

// Original is a file that is kept as its device sent it, and is no DICOM object.
type Original struct {
	ObjectID          string
	SourceUID         string // stands for the file where an instance has its SOP Instance UID
	StudyInstanceUID  string
	SeriesInstanceUID string
	DerivedUID        string // SOP Instance UID of the DICOM object made of it
	Derived           bool   // that object is there; UIDs of study and series are then its own
	ReceivedAt        string // RFC 3339
	Door, Remote      string
	Device, Facility  string
	Filename          string // as the sender named it
	Format, MediaType string
	BlobKey           string
	Bytes             int64
	SHA256            string // hex

	// Attributes by keyword, as far as the file has them: PatientID, PatientName, …
	Attributes map[string]string

	RecordingFacts
}

// Original returns a file by its object id, by that of the DICOM object made of it, or by either one's UID. Of several
// objects with the same bytes a UID means the first received. It returns ErrNotFound for all else, DICOM objects
// that came as such included.
func (db *DB) Original(ctx context.Context, tenant, id string) (Original, error) {
	for _, which := range []string{
		"o.object_id = $2",
		"o.object_id = (SELECT MIN(d.derived_from) FROM instances d WHERE d.tenant = $1 AND d.object_id = $2 AND d.derived_from <> '')",
		"o.derived_uid = $2",
		"o.source_uid = $2",
	} {
		found, err := db.originals(ctx, which, tenant, id)
		if err != nil || len(found) > 0 {
			return append(found, Original{})[0], err
		}
	}
	return Original{}, ErrNotFound
}

func (db *DB) originals(ctx context.Context, which, tenant, id string) ([]Original, error) {
	const op = "read original"
	rows, err := db.engine.query(ctx, `SELECT o.object_id, o.source_uid, COALESCE(s.study_instance_uid, o.study_instance_uid),
		COALESCE(e.series_instance_uid, o.series_instance_uid), o.derived_uid, CASE WHEN s.id IS NULL THEN 0 ELSE 1 END, o.received,
		o.door, o.remote, o.device, o.facility, o.filename, o.format, o.media_type, o.blob_key, o.bytes, o.sha256, o.attributes,
		COALESCE(r.priority, ''), f.facts, f.reasons
		FROM originals o
		LEFT JOIN recordings r ON r.instance_id = 0 AND r.tenant = o.tenant AND r.original = o.object_id
		LEFT JOIN recording_documents f ON f.instance_id = 0 AND f.tenant = o.tenant AND f.original = o.object_id
		LEFT JOIN instances i ON i.tenant = o.tenant AND i.sop_instance_uid = o.derived_uid AND i.superseded = ''
		LEFT JOIN series e ON e.id = i.series_id LEFT JOIN studies s ON s.id = e.study_id
		WHERE o.tenant = $1 AND `+which+" ORDER BY o.received, o.object_id LIMIT 1", tenant, id)
	if err != nil {
		return nil, db.failed(ctx, op, err)
	}
	defer rows.Close()
	var out []Original
	for rows.Next() {
		var o Original
		var derived, received int64
		var packed, facts, reasons []byte
		err := rows.Scan(&o.ObjectID, &o.SourceUID, &o.StudyInstanceUID, &o.SeriesInstanceUID, &o.DerivedUID, &derived, &received,
			&o.Door, &o.Remote, &o.Device, &o.Facility, &o.Filename, &o.Format, &o.MediaType, &o.BlobKey, &o.Bytes, &o.SHA256, &packed,
			&o.Priority, &facts, &reasons)
		if err != nil {
			return nil, db.failed(ctx, op, err)
		}
		o.Derived, o.ReceivedAt, o.Attributes = derived != 0, instant(received), make(map[string]string)
		if err := unpackInto(o.Attributes, packed); err != nil {
			return nil, db.failed(ctx, op, err)
		}
		if err := o.documents(facts, reasons); err != nil {
			return nil, db.failed(ctx, op, err)
		}
		out = append(out, o)
	}
	if err := rows.Err(); err != nil {
		return nil, db.failed(ctx, op, err)
	}
	return out, nil
}
