package index

import (
	"context"
	"encoding/json"
	"fmt"
	"strings"

	"github.com/tributary-dicom/tributary/parsers/sniff"
)

// Statuses of an Arrival.
const (
	ArrivalStored      = "stored"      // an instance that readers see
	ArrivalConflict    = "conflict"    // an instance whose SOP Instance UID stands for other bytes, which readers see
	ArrivalQuarantined = "quarantined" // kept, and waits for a person
	ArrivalKept        = "kept"        // an original of which no DICOM object was made
	ArrivalDerived     = "derived"     // an original of which a DICOM object was made
	ArrivalDuplicate   = "duplicate"   // a copy of an instance that is there already; in no list
)

// Arrival is one object that came in, whatever became of it. What is not known is empty.
type Arrival struct {
	ObjectID   string `json:"id"`
	ReceivedAt string `json:"received_at"` // RFC 3339
	Status     string `json:"status"`      // one of the constants
	Undecided  bool   `json:"undecided"`   // its SOP Instance UID has several data sets, and a person must choose

	Door      string `json:"door"`
	Remote    string `json:"remote,omitempty"` // host:port
	Device    string `json:"device,omitempty"`
	Facility  string `json:"facility,omitempty"`
	CallingAE string `json:"calling_ae,omitempty"`
	Filename  string `json:"filename,omitempty"` // as the sender named it

	Format    string `json:"format"` // sniff.Format
	MediaType string `json:"media_type,omitempty"`
	Bytes     int64  `json:"bytes"`
	SHA256    string `json:"sha256"` // hex
	BlobKey   string `json:"blob_key"`

	Reason string `json:"reason,omitempty"` // reject.Code, of a quarantined object
	Detail string `json:"detail,omitempty"`
	Offset int64  `json:"offset,omitempty"` // bytes from its start, where that was found

	// UIDs as far as the object tells them. An original has UIDs that stand for the file until a DICOM object is
	// made of it, and then the study and series of that.
	StudyInstanceUID  string `json:"study,omitempty"`
	SeriesInstanceUID string `json:"series,omitempty"`
	SOPInstanceUID    string `json:"instance,omitempty"`

	DerivedUID    string `json:"derived_instance,omitempty"` // SOP Instance UID of the DICOM object made of an original, once it is there
	DerivedObject string `json:"derived_id,omitempty"`       // object id of that
	DerivedFrom   string `json:"derived_from,omitempty"`     // object id of the original that this was made of
	DuplicateOf   string `json:"duplicate_of,omitempty"`     // object id
}

// ArrivalQuery asks for a page of arrivals. All that is set must hold.
type ArrivalQuery struct {
	Tenant string
	Before string // object id; only arrivals before that one: the next page. "" begins with the newest
	Limit  int    // rows at most: 1 to MaxArrivals; 0 means DefaultArrivals

	Status string // one of the constants, or "" for all
	Door   string // exactly
	Device string // exactly
}

const (
	// DefaultArrivals is a page of arrivals.
	DefaultArrivals = 100
	// MaxArrivals is the longest page of arrivals.
	MaxArrivals = 1000
)

// Arrivals returns what came in, newest first by object id: instances in all versions, originals and quarantined
// objects. DICOM objects made of originals did not come in and are not among them. Object ids are ULIDs, so a
// page is bounded by the one before (Before), whatever comes in meanwhile. It fails with ErrBadQuery for a
// status that there is not.
//
// A page walks one index from Before on. Doors and devices ride along there, so what few arrivals have costs a walk
// over entries of an index, not over rows.
func (db *DB) Arrivals(ctx context.Context, q ArrivalQuery) ([]Arrival, error) {
	switch {
	case q.Limit <= 0:
		q.Limit = DefaultArrivals
	case q.Limit > MaxArrivals:
		q.Limit = MaxArrivals
	}
	var out []Arrival
	for {
		text, args, err := db.planArrivals(q, "")
		if err != nil {
			return nil, err
		}
		page, err := db.arrivals(ctx, text, args...)
		if err != nil {
			return nil, err
		}
		had := len(out)
		for _, a := range page {
			if last := len(out) - 1; last >= had && out[last].ObjectID == a.ObjectID {
				continue // an object that was read anew may have several rows; the one that counts most comes first
			}
			if len(out) == q.Limit {
				return out, nil
			}
			out = append(out, a)
		}
		if len(page) <= q.Limit {
			return out, nil
		}
		// Some had several rows. The last one's may not all have been there.
		if len(out)-had > 1 {
			out = out[:len(out)-1]
		}
		q.Before = out[len(out)-1].ObjectID
		if len(out) == q.Limit {
			return out, nil
		}
	}
}

// Arrival returns one object by its id, DICOM objects made of originals and copies included, or ErrNotFound.
func (db *DB) Arrival(ctx context.Context, tenant, objectID string) (Arrival, error) {
	if objectID == "" {
		return Arrival{}, ErrNotFound
	}
	text, args, err := db.planArrivals(ArrivalQuery{Tenant: tenant, Limit: DefaultArrivals}, objectID)
	if err != nil {
		return Arrival{}, err
	}
	found, err := db.arrivals(ctx, text, args...)
	if err != nil {
		return Arrival{}, err
	}
	if len(found) == 0 {
		return db.duplicate(ctx, tenant, objectID)
	}
	return found[0], nil
}

// duplicate tells of a copy what is known: what it is a copy of.
func (db *DB) duplicate(ctx context.Context, tenant, objectID string) (Arrival, error) {
	const op = "read arrival"
	found, err := db.engine.query(ctx, `SELECT i.object_id FROM siblings b
		JOIN instances i ON i.tenant = b.tenant AND i.sop_instance_uid = b.sop_instance_uid
			AND i.dataset_sha256 || ' ' || i.transfer_syntax_uid = b.dataset_sha256
		WHERE b.object_id = $1 AND b.tenant = $2 LIMIT 1`, objectID, tenant)
	if err != nil {
		return Arrival{}, db.failed(ctx, op, err)
	}
	defer found.Close()
	of := ""
	if found.Next() {
		if err := found.Scan(&of); err != nil {
			return Arrival{}, db.failed(ctx, op, err)
		}
	}
	if err := found.Err(); err != nil {
		return Arrival{}, db.failed(ctx, op, err)
	}
	found.Close() //nolint:errcheck // read to its end; the next query may need the connection
	if of == "" || of == objectID {
		return Arrival{}, ErrNotFound
	}
	a, err := db.Arrival(ctx, tenant, of)
	if err != nil {
		return Arrival{}, err
	}
	return Arrival{
		ObjectID: objectID, Status: ArrivalDuplicate, DuplicateOf: of, Format: a.Format, MediaType: a.MediaType, Bytes: a.Bytes,
		StudyInstanceUID: a.StudyInstanceUID, SeriesInstanceUID: a.SeriesInstanceUID, SOPInstanceUID: a.SOPInstanceUID,
	}, nil
}

// Kinds of rows in the statement of arrivals.
const (
	arrivedInstance = iota
	arrivedOriginal
	arrivedQuarantined
)

// derivedNow counts the DICOM objects that stand for an original.
const derivedNow = `(SELECT COUNT(*) FROM instances d WHERE d.tenant = o.tenant AND d.sop_instance_uid = o.derived_uid AND d.superseded = '')`

// planArrivals writes the statement of a page, with one row more than a page has; of one object when object is not "".
// Each kind is asked for a page, found in an index alone where its table is large, and then the rows are read.
func (db *DB) planArrivals(q ArrivalQuery, object string) (text string, args []any, err error) {
	c := &condition{dialect: db.dialect}
	tenant := c.arg(q.Tenant)
	limit := c.arg(int64(q.Limit) + 1)
	where := func(alias string) string {
		tests := []string{alias + "tenant = " + tenant}
		for _, t := range []struct{ test, value string }{
			{"object_id = ", object}, {"object_id < ", q.Before}, {"door = ", q.Door}, {"device = ", q.Device},
		} {
			if t.value != "" {
				tests = append(tests, alias+t.test+c.arg(t.value))
			}
		}
		return strings.Join(tests, " AND ")
	}
	page := func(alias string) string { return " ORDER BY " + alias + "object_id DESC LIMIT " + limit }

	var kinds []string
	instances := func(test string) {
		kinds = append(kinds, fmt.Sprintf(`SELECT * FROM (SELECT %d AS kind, i.object_id, i.received, i.superseded AS state, i.door, i.remote, i.device,
			'' AS facility, '' AS filename, '' AS format, i.media_type, i.blob_key, i.bytes, i.sha256,
			COALESCE(s.study_instance_uid, '') AS study, COALESCE(e.series_instance_uid, '') AS series, i.sop_instance_uid AS sop,
			'' AS derived_uid, '' AS derived_object, i.derived_from, i.origin AS packed, f.attributes AS identifiers,
			(SELECT COUNT(*) FROM conflicts k WHERE k.tenant = i.tenant AND k.sop_instance_uid = i.sop_instance_uid) AS undecided
			FROM (SELECT i.id FROM instances i WHERE %s AND %s%s) p JOIN instances i ON i.id = p.id
			LEFT JOIN series e ON e.id = i.series_id LEFT JOIN studies s ON s.id = e.study_id
			LEFT JOIN documents f ON f.instance_id = i.id AND i.superseded <> '') x`,
			arrivedInstance, where("i."), test, page("i.")))
	}
	originals := func(test string) {
		kinds = append(kinds, fmt.Sprintf(`SELECT * FROM (SELECT %d AS kind, o.object_id, o.received, '' AS state, o.door, o.remote, o.device,
			o.facility, o.filename, o.format, o.media_type, o.blob_key, o.bytes, o.sha256,
			COALESCE(s.study_instance_uid, o.study_instance_uid) AS study, COALESCE(e.series_instance_uid, o.series_instance_uid) AS series,
			o.source_uid AS sop, CASE WHEN d.id IS NULL THEN '' ELSE o.derived_uid END AS derived_uid, COALESCE(d.object_id, '') AS derived_object,
			'' AS derived_from, CASE WHEN 1 = 0 THEN o.attributes END AS packed, CASE WHEN 1 = 0 THEN o.attributes END AS identifiers,
			CAST(0 AS BIGINT) AS undecided
			FROM (SELECT o.tenant, o.object_id FROM originals o WHERE %s%s%s) p
			JOIN originals o ON o.tenant = p.tenant AND o.object_id = p.object_id
			LEFT JOIN instances d ON d.tenant = o.tenant AND d.sop_instance_uid = o.derived_uid AND d.superseded = ''
			LEFT JOIN series e ON e.id = d.series_id LEFT JOIN studies s ON s.id = e.study_id) x`,
			arrivedOriginal, where("o."), test, page("o.")))
	}
	quarantined := func() {
		kinds = append(kinds, fmt.Sprintf(`SELECT * FROM (SELECT %d AS kind, w.object_id, w.received, '' AS state, w.door, '' AS remote, w.device,
			'' AS facility, '' AS filename, '' AS format, '' AS media_type, '' AS blob_key, CAST(0 AS BIGINT) AS bytes, w.sha256,
			'' AS study, '' AS series, '' AS sop, '' AS derived_uid, '' AS derived_object, '' AS derived_from, w.entry AS packed,
			CASE WHEN 1 = 0 THEN w.entry END AS identifiers, CAST(0 AS BIGINT) AS undecided
			FROM quarantine w WHERE %s%s) x`, arrivedQuarantined, where("w."), page("w.")))
	}
	switch q.Status {
	case "":
		instances("i.derived_from = ''")
		if object != "" {
			instances("i.derived_from <> ''")
		}
		originals("")
		quarantined()
	case ArrivalStored:
		instances("i.derived_from = '' AND i.superseded = ''")
	case ArrivalConflict:
		instances("i.superseded <> '' AND i.derived_from = ''")
	case ArrivalKept:
		originals(" AND " + derivedNow + " = 0")
	case ArrivalDerived:
		originals(" AND " + derivedNow + " > 0")
	case ArrivalQuarantined:
		quarantined()
	default:
		return "", nil, fmt.Errorf("status of an arrival: %w", ErrBadQuery)
	}
	return strings.Join(kinds, " UNION ALL ") + " ORDER BY object_id DESC, kind, state LIMIT " + limit, c.args, nil
}

func (db *DB) arrivals(ctx context.Context, text string, args ...any) ([]Arrival, error) {
	const op = "read arrivals"
	found, err := db.engine.query(ctx, text, args...)
	if err != nil {
		return nil, db.failed(ctx, op, err)
	}
	defer found.Close()
	var out []Arrival
	for found.Next() {
		var a Arrival
		var kind, received, undecided int64
		var state string
		var packed, identifiers []byte
		err := found.Scan(&kind, &a.ObjectID, &received, &state, &a.Door, &a.Remote, &a.Device, &a.Facility, &a.Filename, &a.Format,
			&a.MediaType, &a.BlobKey, &a.Bytes, &a.SHA256, &a.StudyInstanceUID, &a.SeriesInstanceUID, &a.SOPInstanceUID,
			&a.DerivedUID, &a.DerivedObject, &a.DerivedFrom, &packed, &identifiers, &undecided)
		if err != nil {
			return nil, db.failed(ctx, op, err)
		}
		a.ReceivedAt, a.Undecided = instant(received), undecided > 0
		switch kind {
		case arrivedInstance:
			a.Status = ArrivalStored
			if state != "" {
				a.Status = ArrivalConflict
			}
			err = a.cameFrom(packed, identifiers)
		case arrivedOriginal:
			a.Status = ArrivalKept
			if a.DerivedUID != "" {
				a.Status = ArrivalDerived
			}
		case arrivedQuarantined:
			a.Status = ArrivalQuarantined
			err = a.entry(packed)
		}
		if err != nil {
			return nil, db.failed(ctx, op, err)
		}
		out = append(out, a)
	}
	if err := found.Err(); err != nil {
		return nil, db.failed(ctx, op, err)
	}
	return out, nil
}

// Keywords of instances.origin.
const (
	originFacility  = "facility"
	originCallingAE = "ae"
	originFilename  = "filename"
	originFormat    = "format" // absent for DICOM
)

// cameFrom fills in what an instance's row has packed, and of one that belongs to no series its identifiers.
func (a *Arrival) cameFrom(origin, identifiers []byte) error {
	m := make(map[string]string, 4)
	if err := unpackInto(m, origin); err != nil {
		return err
	}
	a.Facility, a.CallingAE, a.Filename, a.Format = m[originFacility], m[originCallingAE], m[originFilename], m[originFormat]
	if a.Format == "" {
		a.Format = string(sniff.DICOM)
	}
	if len(identifiers) == 0 {
		return nil
	}
	clear(m)
	if err := unpackInto(m, identifiers); err != nil {
		return err
	}
	a.StudyInstanceUID, a.SeriesInstanceUID = m["StudyInstanceUID"], m["SeriesInstanceUID"]
	return nil
}

// entry fills in what the quarantine's entry has.
func (a *Arrival) entry(data []byte) error {
	var q Quarantined
	if err := json.Unmarshal(data, &q); err != nil {
		return fmt.Errorf("decode quarantine entry: %w", err)
	}
	a.Remote, a.CallingAE, a.Filename, a.Facility = q.Remote, q.CallingAE, q.Filename, q.Facility
	a.Format, a.MediaType, a.Bytes, a.BlobKey = q.Format, q.MediaType, q.Bytes, q.BlobKey
	a.Reason, a.Detail, a.Offset = q.Reason, q.Detail, q.Offset
	a.StudyInstanceUID, a.SeriesInstanceUID, a.SOPInstanceUID = q.StudyInstanceUID, q.SeriesInstanceUID, q.SOPInstanceUID
	return nil
}
