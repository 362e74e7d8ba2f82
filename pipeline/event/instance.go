package event

import (
	"cmp"
	"time"

	"github.com/tributary-dicom/tributary/parsers/part10"
)

// Instance is the body of instance.stored, instance.conflict and instance.quarantined records. A
// quarantined object has as many fields as could be read, and Reason.
type Instance struct {
	ObjectID string `json:"object_id"` // ULID given at admission, the receipt's id
	Tenant   string `json:"tenant"`
	Origin   Origin `json:"origin"`
	Blob     Blob   `json:"blob"`
	IDs      IDs    `json:"ids"`

	// Attributes are index attributes by DICOM keyword (part10.Object.Attributes), UTF-8.
	Attributes map[string]string `json:"attributes,omitempty"`

	Header   *Attachment      `json:"header,omitempty"` // DICOM JSON of the data set (part10.Object.Header)
	Frames   *Attachment      `json:"frames,omitempty"` // JSON of Layout
	Warnings []part10.Warning `json:"warnings,omitempty"`

	// ConflictOf is the object id of the instance that holds the same SOP Instance UID with other bytes.
	ConflictOf string `json:"conflict_of,omitempty"`
	Adopted    bool   `json:"adopted,omitempty"` // found in the blob store without a record, after a crash

	Reason         string `json:"reason,omitempty"`        // reject.Code, quarantined only
	ReasonDetail   string `json:"reason_detail,omitempty"` // for an operator; no patient data
	ReasonOffset   int64  `json:"reason_offset,omitempty"` // bytes from the start of the object
	ScannerVersion int    `json:"scanner_version"`

	// DerivedFrom is the object id of what this object was made from: a DICOM waveform of a recording in
	// another format. The source keeps the bytes of the device.
	DerivedFrom string `json:"derived_from,omitempty"`

	// ECG is what a recording says beside its attributes; nil for other objects.
	ECG *ECG `json:"ecg,omitempty"`

	// Priority is PriorityStat for a recording that its own device or reader calls critical, and Findings
	// are the statements that do.
	Priority string    `json:"priority,omitempty"`
	Findings []Finding `json:"findings,omitempty"`

	// ParserVersion is that of the parsers which read the object, all of them together; 0 in events of before
	// there was one. Of two records of an object, the one with the higher version describes it.
	ParserVersion int `json:"parser_version,omitempty"`

	// Redescribes is the id of the record that announced these bytes, in a record that says again what is in
	// them: nothing new came in.
	Redescribes string `json:"redescribes,omitempty"`

	// DerivedVersion is the ParserVersion of the node that made a derived object. It goes with the bytes,
	// whoever reads them later.
	DerivedVersion int `json:"derived_version,omitempty"`
}

// Announced is the id of the record that announced the bytes which a record with this id is about.
func (in *Instance) Announced(id string) string { return cmp.Or(in.Redescribes, id) }

// PriorityStat asks for somebody to look now (DICOM's term, PS3.3 §C.4.11 and others).
const PriorityStat = "STAT"

// Finding is a statement that makes a recording critical.
type Finding struct {
	Finding   string `json:"finding"` // row of docs/ecg-critical.md: "acute-mi", …
	Statement string `json:"statement"`
}

// ECG is a recording without its samples.
type ECG struct {
	FormatVersion string `json:"format_version,omitempty"`
	AcquiredAt    string `json:"acquired_at,omitempty"` // ISO 8601, without offset unless ZoneKnown
	AcquiredRaw   string `json:"acquired_raw,omitempty"`
	ZoneKnown     bool   `json:"zone_known"`

	DurationMillis      float64  `json:"duration_ms"` // of the rhythm
	SamplingFrequencyHz float64  `json:"sampling_frequency_hz"`
	Leads               []string `json:"leads,omitempty"` // of the rhythm, canonical names, without derived ones
	Groups              int      `json:"groups"`

	// Measurements are global ones by kind ("ventricular-rate", "qtc-interval", …), the first of each.
	Measurements map[string]Measurement `json:"measurements,omitempty"`
	Statements   []Statement            `json:"statements,omitempty"`
	Paced        *bool                  `json:"paced,omitempty"`    // nil: the file does not say
	Warnings     []string               `json:"warnings,omitempty"` // "code" or "code: part of the file"
}

// Measurement is one number that a recording states.
type Measurement struct {
	Value   float64 `json:"value"`
	Unit    string  `json:"unit,omitempty"`    // ms, deg, /min, uV
	Formula string  `json:"formula,omitempty"` // of a corrected QT
}

// Statement is one line of interpretation, as the file has it.
type Statement struct {
	Text   string `json:"text"`
	Code   string `json:"code,omitempty"`
	Author string `json:"author,omitempty"` // "machine" or "over-read"
	Name   string `json:"name,omitempty"`   // who signed
	Status string `json:"status,omitempty"` // "unconfirmed", "confirmed"; "" is to be shown as unconfirmed
	Time   string `json:"time,omitempty"`   // ISO 8601
}

// Origin says how an object came in.
type Origin struct {
	Door       string    `json:"door"` // "dimse", "stow", "upload", "tus", "import", …
	Device     string    `json:"device,omitempty"`
	Facility   string    `json:"facility,omitempty"`
	Remote     string    `json:"remote,omitempty"` // host:port of the peer
	CallingAE  string    `json:"calling_ae,omitempty"`
	CalledAE   string    `json:"called_ae,omitempty"`
	Filename   string    `json:"filename,omitempty"` // as the sender named it; never used as a path
	ReceivedAt time.Time `json:"received_at"`        // when the first byte came, the node's clock
}

// Blob says where the bytes are and what they are.
type Blob struct {
	Key               string `json:"key"`
	Bytes             int64  `json:"bytes"`
	SHA256            string `json:"sha256"`         // hex, of the file as stored
	DatasetSHA256     string `json:"dataset_sha256"` // hex, of the data set without preamble and File Meta; as SHA256 for other formats
	DatasetOffset     int64  `json:"dataset_offset"` // first byte of the data set
	MediaType         string `json:"media_type"`
	Format            string `json:"format"` // sniff.Format
	TransferSyntaxUID string `json:"transfer_syntax,omitempty"`
}

// IDs are the identifiers of an instance. UIDs are the standard's; PatientID may be empty.
type IDs struct {
	PatientID         string `json:"patient_id,omitempty"`
	IssuerOfPatientID string `json:"issuer_of_patient_id,omitempty"`
	AccessionNumber   string `json:"accession_number,omitempty"`
	StudyInstanceUID  string `json:"study_instance_uid,omitempty"`
	SeriesInstanceUID string `json:"series_instance_uid,omitempty"`
	SOPInstanceUID    string `json:"sop_instance_uid,omitempty"`
	SOPClassUID       string `json:"sop_class_uid,omitempty"`
}

// Layout is where the large values of a stored object lie.
type Layout struct {
	Frames part10.FrameTable `json:"frames"`
	Bulk   []part10.Bulk     `json:"bulk,omitempty"`
}

// Resolution is the body of quarantine.resolved and conflict.resolved records: a person's decision. It
// is kept as a blob first, since bytes cannot tell it.
type Resolution struct {
	ObjectID    string    `json:"object_id"` // the quarantined or conflicting object
	Tenant      string    `json:"tenant,omitempty"`
	Action      string    `json:"action"` // "removed", "retried", "promoted", "kept"
	By          string    `json:"by,omitempty"`
	At          time.Time `json:"at"`
	NewObjectID string    `json:"new_object_id,omitempty"` // what a successful retry became
	BlobKey     string    `json:"blob_key"`                // of this decision
}
