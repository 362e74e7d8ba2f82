package index

import (
	"context"
	"encoding/json"
	"fmt"
	"slices"
	"time"
)

// Reading is an object that the index shows, as far as reprocessing asks: which parsers read it, and where it lies.
type Reading struct {
	Kind              string // RowInstance (of all versions), RowOriginal or RowQuarantine
	Tenant            string
	ObjectID, BlobKey string
	Bytes             int64
	Received          time.Time
	Parsers           int    // version of those that read it
	Format            string // sniff.Format; "dicom" of an instance
	Reason            string // of an entry of the quarantine

	SHA256            string // hex, of the file; of an entry of the quarantine only
	SOPInstanceUID    string // of an original, the UID that stands for the file
	SOPClassUID       string
	DatasetSHA256     string
	TransferSyntaxUID string
	StudyInstanceUID  string // "" of an instance
	Modality          string // "" of an instance unless it was asked for

	superseded string
}

// ReadingPlace is how far a walk over readings has come. It goes by keys of objects, so that an index which was made
// again meanwhile goes on from there. The zero value is the beginning.
type ReadingPlace struct {
	Kind string `json:"kind,omitempty"`
	Key  string `json:"key,omitempty"`
	Sub  string `json:"sub,omitempty"`
}

// ReadingQuery selects readings. All that is set must hold; of a list, one of its values.
type ReadingQuery struct {
	Tenant     string
	Kinds      []string
	Below      int      // parser version: read by older parsers than these; 0 for any
	Studies    []string // Study Instance UIDs, at most MaxReadingStudies; of an instance, all versions
	Modalities []string
	SOPClasses []string
	Formats    []string
	Reasons    []string // of the quarantine; nothing else has one
	From, To   time.Time
}

// MaxReadingStudies bounds ReadingQuery.Studies: they are parameters of one statement.
const MaxReadingStudies = 64

// matches tests what the statements do not.
func (q *ReadingQuery) matches(r *Reading) bool {
	in := func(list []string, value string) bool { return len(list) == 0 || slices.Contains(list, value) }
	return (q.Below == 0 || r.Parsers < q.Below) && (r.Kind == RowInstance || in(q.Studies, r.StudyInstanceUID)) && in(q.Modalities, r.Modality) &&
		in(q.SOPClasses, r.SOPClassUID) && in(q.Formats, r.Format) && in(q.Reasons, r.Reason) &&
		(q.From.IsZero() || !r.Received.Before(q.From)) && (q.To.IsZero() || r.Received.Before(q.To))
}

// readingPage is how many rows one statement reads: few enough that none takes long, however rare the objects are that
// are looked for.
const readingPage = 1024

// Readings returns up to most readings behind a place, in the order of their keys, and where the next ones are; last
// is true when there are none behind. Objects that come meanwhile may or may not be seen.
func (db *DB) Readings(ctx context.Context, q ReadingQuery, after ReadingPlace, most int) (found []Reading, next ReadingPlace, last bool, err error) {
	if len(q.Studies) > MaxReadingStudies {
		return nil, after, false, fmt.Errorf("%w: %d studies at once, of at most %d", ErrBadQuery, len(q.Studies), MaxReadingStudies)
	}
	kinds := []string{RowInstance, RowOriginal, RowQuarantine}
	start := max(slices.Index(kinds, after.Kind), 0)
	for _, kind := range kinds[start:] {
		if after.Kind != kind {
			after = ReadingPlace{Kind: kind}
		}
		if len(q.Kinds) > 0 && !slices.Contains(q.Kinds, kind) || len(q.Reasons) > 0 && kind != RowQuarantine {
			continue
		}
		for more := true; more; {
			var page []Reading
			if page, err = db.readingPage(ctx, q, after); err != nil {
				return found, after, false, err
			}
			more = len(page) == readingPage
			for i := range page {
				r := &page[i]
				after = r.place()
				if q.matches(r) {
					if found = append(found, *r); len(found) == most {
						return found, after, false, nil
					}
				}
			}
		}
	}
	return found, after, true, nil
}

func (r *Reading) place() ReadingPlace {
	if r.Kind == RowInstance {
		return ReadingPlace{r.Kind, r.SOPInstanceUID, r.superseded}
	}
	return ReadingPlace{Kind: r.Kind, Key: r.ObjectID}
}

// The statements of readingPage. Attributes of instances ride along where a modality is asked for.
const (
	readInstances = `SELECT i.sop_instance_uid, i.superseded, i.object_id, i.blob_key, i.bytes, i.received, i.parser_version, i.sop_class_uid,
		i.dataset_sha256, i.transfer_syntax_uid, d.attributes FROM instances i LEFT JOIN documents d ON d.instance_id = i.id AND $4 <> 0
		WHERE i.tenant = $1 AND (i.sop_instance_uid, i.superseded) > ($2, $3)`
	readInstancesEnd     = ` ORDER BY i.sop_instance_uid, i.superseded LIMIT $5`
	readInstancesOfStudy = ` AND i.sop_instance_uid IN (SELECT j.sop_instance_uid FROM studies s JOIN series e ON e.study_id = s.id
		JOIN instances j ON j.series_id = e.id WHERE s.tenant = $6 AND s.study_instance_uid IN (`
	readOriginals = `SELECT o.object_id, o.blob_key, o.bytes, o.received, o.parser_version, o.format, o.dataset_sha256, o.transfer_syntax_uid,
		o.source_uid, COALESCE(s.study_instance_uid, o.study_instance_uid), o.attributes FROM originals o
		LEFT JOIN instances i ON i.tenant = o.tenant AND i.sop_instance_uid = o.derived_uid AND i.superseded = ''
		LEFT JOIN series e ON e.id = i.series_id LEFT JOIN studies s ON s.id = e.study_id
		WHERE o.tenant = $1 AND o.object_id > $2 ORDER BY o.object_id LIMIT $3`
	readQuarantine = `SELECT object_id, received, parser_version, entry FROM quarantine
		WHERE tenant = $1 AND object_id > $2 ORDER BY object_id LIMIT $3`
)

func (db *DB) readingPage(ctx context.Context, q ReadingQuery, after ReadingPlace) ([]Reading, error) {
	const op = "read what parsers read"
	text, args, scan := readQuarantine, []any{q.Tenant, after.Key, int64(readingPage)}, scanQuarantined
	switch after.Kind {
	case RowInstance:
		attributes := int64(0)
		if len(q.Modalities) > 0 {
			attributes = 1
		}
		text, scan = readInstances+readInstancesEnd, scanInstance
		args = []any{q.Tenant, after.Key, after.Sub, attributes, int64(readingPage)}
		if len(q.Studies) > 0 { // the versions of their instances, whatever study these name
			text = readInstances + readInstancesOfStudy + parameters(7, MaxReadingStudies) + "))" + readInstancesEnd
			args = append(args, q.Tenant)
			for i := range MaxReadingStudies { // filled up: one statement for any number
				args = append(args, q.Studies[min(i, len(q.Studies)-1)])
			}
		}
	case RowOriginal:
		text, scan = readOriginals, scanOriginal
	}
	rows, err := db.engine.query(ctx, text, args...)
	if err != nil {
		return nil, db.failed(ctx, op, err)
	}
	defer rows.Close()
	var page []Reading
	for rows.Next() {
		r := Reading{Kind: after.Kind, Tenant: q.Tenant}
		received, parsers := int64(0), int64(0)
		if err := scan(rows.Scan, &r, &received, &parsers); err != nil {
			return nil, db.failed(ctx, op, err)
		}
		r.Received, r.Parsers = time.UnixMicro(received).UTC(), int(parsers)
		page = append(page, r)
	}
	if err := rows.Err(); err != nil {
		return nil, db.failed(ctx, op, err)
	}
	return page, nil
}

func scanInstance(scan scanner, r *Reading, received, parsers *int64) error {
	var packed []byte
	err := scan(&r.SOPInstanceUID, &r.superseded, &r.ObjectID, &r.BlobKey, &r.Bytes, received, parsers, &r.SOPClassUID, &r.DatasetSHA256,
		&r.TransferSyntaxUID, &packed)
	r.Format = "dicom"
	all := map[string]string{}
	if err == nil {
		err = unpackInto(all, packed)
	}
	r.Modality = all["Modality"]
	return err
}

func scanOriginal(scan scanner, r *Reading, received, parsers *int64) error {
	var packed []byte
	err := scan(&r.ObjectID, &r.BlobKey, &r.Bytes, received, parsers, &r.Format, &r.DatasetSHA256, &r.TransferSyntaxUID, &r.SOPInstanceUID,
		&r.StudyInstanceUID, &packed)
	all := map[string]string{}
	if err == nil {
		err = unpackInto(all, packed)
	}
	r.Modality = all["Modality"]
	return err
}

func scanQuarantined(scan scanner, r *Reading, received, parsers *int64) error {
	var entry []byte
	if err := scan(&r.ObjectID, received, parsers, &entry); err != nil {
		return err
	}
	var q Quarantined
	if err := json.Unmarshal(entry, &q); err != nil {
		return err
	}
	r.BlobKey, r.Bytes, r.Format, r.Reason = q.BlobKey, q.Bytes, q.Format, q.Reason
	r.SHA256 = q.SHA256
	r.SOPInstanceUID, r.StudyInstanceUID = q.SOPInstanceUID, q.StudyInstanceUID
	return nil
}
