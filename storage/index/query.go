package index

import (
	"context"
	"errors"

	"github.com/tributary-dicom/tributary/parsers/part10"
)

var (
	// ErrNotFound is returned when nothing is indexed under the given UIDs or id.
	ErrNotFound = errors.New("not in the index")
	// ErrUnsupportedMatch is returned for a match on an attribute that the index does not hold.
	ErrUnsupportedMatch = errors.New("attribute is not indexed")
	// ErrBadQuery is returned for a query that means nothing (a range on a text attribute, say).
	ErrBadQuery = errors.New("query is not valid")
)

// Level is what a query returns rows of (PS3.18 §10.6.1).
type Level int

// The levels of the Study Root information model (PS3.4 §C.6.2).
const (
	StudyLevel Level = iota
	SeriesLevel
	InstanceLevel
)

// Match is one matching key (PS3.4 §C.2.2.2).
type Match struct {
	// Keyword is the DICOM keyword, or for sequence matching the path "RequestAttributesSequence.
	// ScheduledProcedureStepID" (without the break). An attribute of a higher level is allowed; one of a
	// lower level too, where the standard names it (ModalitiesInStudy, SOPClassesInStudy).
	Keyword string

	// Values are alternatives: one for single value, wildcard (* and ?) and range ("20260101-20261231",
	// "-20261231", "20260101-", for TM and DT likewise) matching; several for a list of UIDs or
	// modalities. Which kind of matching applies follows from the attribute's VR and the value's form.
	// Text is matched without regard to case; a PN matches when any component group does. An empty
	// value matches everything (universal matching).
	Values []string
}

// Order is one sort key.
type Order struct {
	Keyword    string
	Descending bool
}

// Query asks for rows of one level.
type Query struct {
	Tenant  string
	Level   Level
	Matches []Match // all must hold
	Fuzzy   bool    // fuzzy semantic matching of PN attributes (PS3.18 §8.3.4.2): word prefixes in any order

	OrderBy []Order // default: newest study first, then series and instance number
	Limit   int     // rows at most; the caller has clamped it
	Offset  int

	// WithHeader asks for Row.Header, for attributes that the index does not hold as columns.
	WithHeader bool
}

// Row is one study, series or instance. Attributes of the levels above are included.
type Row struct {
	// Attributes by keyword as in part10.Object.Attributes, plus the computed ones: ModalitiesInStudy,
	// SOPClassesInStudy (backslash-joined), NumberOfStudyRelatedSeries, NumberOfStudyRelatedInstances,
	// NumberOfSeriesRelatedInstances, AvailableTransferSyntaxUID and InstanceAvailability.
	Attributes map[string]string

	// SeveralPatients is set when the study has instances of more than one patient (PatientConflicts). The
	// attributes are then those of the first one.
	SeveralPatients bool

	// Header is the DICOM JSON of the instance, or of the row's first instance; nil unless asked for.
	Header []byte
}

// Object is one stored instance as a reader needs it: where the bytes are.
type Object struct {
	ObjectID          string
	StudyInstanceUID  string
	SeriesInstanceUID string
	SOPInstanceUID    string
	SOPClassUID       string
	TransferSyntaxUID string
	BlobKey           string
	Bytes             int64
	SHA256            string // hex, of the file as stored
	DatasetOffset     int64
	Modified          int64 // Unix milliseconds when it was received
	Current           bool  // false for the losing side of a conflict
	MediaType         string

	// Reading stands for what is said of the object: header and layout stay as long as it does. Reread tells that they
	// may be others than when it was received.
	Reading string
	Reread  bool

	Header []byte            // DICOM JSON; nil unless asked for
	Frames part10.FrameTable // zero unless asked for
	Bulk   []part10.Bulk     // nil unless asked for
}

// Scope names what to retrieve; empty UIDs at the end mean all below.
type Scope struct {
	Tenant            string
	StudyInstanceUID  string
	SeriesInstanceUID string
	SOPInstanceUID    string
}

// Want says which costly parts of an Object to fill.
type Want struct {
	Header bool
	Layout bool
}

// Attachments opens what an event keeps beside its blob (event.Attachment.BlobKey).
type Attachments interface {
	// ReadBlob returns all bytes of a blob of at most max bytes.
	ReadBlob(ctx context.Context, key string, max int64) ([]byte, error)
}

// Quarantined is one entry of the quarantine.
type Quarantined struct {
	ObjectID          string `json:"id"`
	Reason            string `json:"reason"`
	Detail            string `json:"detail,omitempty"`
	Offset            int64  `json:"offset,omitempty"`
	Door              string `json:"door"`
	Remote            string `json:"remote,omitempty"`
	CallingAE         string `json:"calling_ae,omitempty"`
	Filename          string `json:"filename,omitempty"`
	ReceivedAt        string `json:"received_at"` // RFC 3339
	Bytes             int64  `json:"bytes"`
	SHA256            string `json:"sha256"`
	Format            string `json:"format"`
	BlobKey           string `json:"blob_key"`
	StudyInstanceUID  string `json:"study,omitempty"`
	SeriesInstanceUID string `json:"series,omitempty"`
	SOPInstanceUID    string `json:"instance,omitempty"`
	Device            string `json:"device,omitempty"`
	Facility          string `json:"facility,omitempty"`
	MediaType         string `json:"media_type,omitempty"`
}

// Conflict is one SOP Instance UID with more than one data set.
type Conflict struct {
	StudyInstanceUID  string    `json:"study"`
	SeriesInstanceUID string    `json:"series"`
	SOPInstanceUID    string    `json:"instance"`
	Current           string    `json:"current"`  // object id of the version that readers see
	Versions          []Version `json:"versions"` // oldest first, the current one included
}

// Version is one data set of a SOP Instance UID.
type Version struct {
	ObjectID          string `json:"id"`
	DatasetSHA256     string `json:"dataset_sha256"`
	SHA256            string `json:"sha256"`
	Bytes             int64  `json:"bytes"`
	TransferSyntaxUID string `json:"transfer_syntax"`
	BlobKey           string `json:"blob_key"`
	Door              string `json:"door"`
	Remote            string `json:"remote,omitempty"`
	ReceivedAt        string `json:"received_at"` // RFC 3339

	// Of a DICOM object made of an original: the original's object id, and the parsers that it was made by.
	DerivedFrom    string `json:"derived_from,omitempty"`
	DerivedVersion int    `json:"derived_version,omitempty"`
}
