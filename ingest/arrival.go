package ingest

import (
	"io"

	"github.com/tributary-dicom/tributary/pipeline/event"
)

// Arrival is one object at a door: its bytes and what the protocol said about them.
type Arrival struct {
	// Body yields the object as it shall be stored: a DICOM file for a C-STORE (the door puts the File
	// Meta group before the data set), the file itself everywhere else. Admit reads it once. An error
	// other than io.EOF means that the sender broke off: nothing is kept.
	Body io.Reader

	Tenant string       // "" means DefaultTenant
	Origin event.Origin // ReceivedAt is filled by Admit when zero

	// What the protocol said the object is; "" where it said nothing.
	SOPClassUID      string // Affected SOP Class UID of the C-STORE-RQ
	SOPInstanceUID   string // Affected SOP Instance UID of the C-STORE-RQ
	StudyInstanceUID string // study of the STOW-RS URL
	SHA256           string // hex; the sender's checksum of the whole object

	// DerivedFrom is the object id of what this object was made from, "" for one that came from outside.
	DerivedFrom string

	MaxBytes int64 // 0 means the Intake's limit
}

// Status says what became of an object that was kept.
type Status string

// Outcomes of Admit without an error.
const (
	Stored      Status = "stored"
	Duplicate   Status = "duplicate"   // the same data set was here already; nothing new is kept
	Conflict    Status = "conflict"    // other bytes under a known SOP Instance UID; both are kept
	Quarantined Status = "quarantined" // kept for operators; Reason says why
)

// Receipt is the answer for one object that was kept, durable before it is given.
type Receipt struct {
	ID       string `json:"id"` // object id; of the first copy for a duplicate
	Format   string `json:"format"`
	SHA256   string `json:"sha256"` // hex, of the bytes as received
	Bytes    int64  `json:"bytes"`
	Study    string `json:"study,omitempty"`
	Series   string `json:"series,omitempty"`
	Instance string `json:"instance,omitempty"`
	SOPClass string `json:"sop_class,omitempty"`
	Status   Status `json:"status"`
	Reason   string `json:"reason,omitempty"` // reject.Code, quarantined only

	// Detail says in words what is wrong, without patient data; quarantined only.
	Detail   string   `json:"detail,omitempty"`
	Warnings []string `json:"warnings,omitempty"` // codes of part10.Warning
}
