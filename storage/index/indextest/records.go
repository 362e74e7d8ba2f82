package indextest

import (
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"testing"
	"time"

	"github.com/tributary-dicom/tributary/parsers/ecg"
	"github.com/tributary-dicom/tributary/pipeline/event"
	"github.com/tributary-dicom/tributary/pipeline/eventlog"
)

// Epoch is when the first object of a Tape was received.
var Epoch = time.Date(2026, 3, 1, 8, 0, 0, 0, time.UTC)

// Instance describes one object; what is left empty gets a value that follows from the rest.
type Instance struct {
	Tenant                    string // "clinic"
	Study, Series, SOP, Class string
	Object                    string // object id
	Bytes                     string // stands for the data set; its hash is the identity
	Received                  time.Time
	Attributes                map[string]string
	Header, Layout            string // JSON
	Key                       string // of the blob
	Syntax                    string // UID
	DerivedFrom               string // object id
	ECG                       *event.ECG
	Findings                  []string // what makes it critical; with any, its priority is STAT
	Parsers                   int      // their version
	Redescribes               string   // event id
	DerivedVersion            int
}

// Tape makes records with growing offsets and event ids, as one partition of a log.
type Tape struct {
	t       testing.TB
	offset  int64
	Records []eventlog.Record
}

// NewTape returns an empty tape.
func NewTape(t testing.TB) *Tape { return &Tape{t: t} }

// Event adds a record with any body.
func (p *Tape) Event(kind string, body any) eventlog.Record {
	p.t.Helper()
	data, err := json.Marshal(body)
	if err != nil {
		p.t.Fatal(err)
	}
	r := eventlog.Record{
		Position: eventlog.Position{Topic: event.TopicInstances, Offset: p.offset},
		Event:    event.Envelope{ID: fmt.Sprintf("01EVENT%019d", p.offset), Type: kind, Topic: event.TopicInstances, Data: data},
	}
	p.offset++
	p.Records = append(p.Records, r)
	return r
}

// Body returns the body of an instance event.
func (in Instance) Body() event.Instance {
	or := func(s *string, value string) {
		if *s == "" {
			*s = value
		}
	}
	or(&in.Tenant, "clinic")
	or(&in.Study, "1.2.3")
	or(&in.Series, in.Study+".1")
	or(&in.SOP, in.Series+".1")
	or(&in.Class, "1.2.840.10008.5.1.4.1.1.6.1")
	or(&in.Bytes, in.SOP)
	or(&in.Object, "01"+in.SOP+"/"+in.Bytes)
	if in.Received.IsZero() {
		in.Received = Epoch
	}
	sum := sha256.Sum256([]byte(in.Bytes))
	hash := hex.EncodeToString(sum[:])
	a := in.Attributes
	body := event.Instance{
		ObjectID: in.Object, Tenant: in.Tenant,
		Origin: event.Origin{Door: "dimse", Remote: "192.0.2.7:50112", CallingAE: "KIT", ReceivedAt: in.Received},
		Blob: event.Blob{
			Key: "blobs/" + in.Object, Bytes: int64(len(in.Bytes)), SHA256: "f" + hash[1:], DatasetSHA256: hash,
			DatasetOffset: 132, MediaType: "application/dicom", Format: "dicom", TransferSyntaxUID: "1.2.840.10008.1.2.1",
		},
		IDs: event.IDs{
			PatientID: a["PatientID"], AccessionNumber: a["AccessionNumber"], StudyInstanceUID: in.Study,
			SeriesInstanceUID: in.Series, SOPInstanceUID: in.SOP, SOPClassUID: in.Class,
		},
		Attributes: a, ScannerVersion: 1, DerivedFrom: in.DerivedFrom, ECG: in.ECG,
		ParserVersion: in.Parsers, Redescribes: in.Redescribes, DerivedVersion: in.DerivedVersion,
	}
	for _, f := range in.Findings {
		body.Priority = event.PriorityStat
		body.Findings = append(body.Findings, event.Finding{Finding: f, Statement: "because of " + f})
	}
	if in.Syntax != "" {
		body.Blob.TransferSyntaxUID = in.Syntax
	}
	if in.Key != "" {
		body.Blob.Key = in.Key
	}
	if in.Header != "" {
		body.Header = event.Attach([]byte(in.Header))
	}
	if in.Layout != "" {
		body.Frames = event.Attach([]byte(in.Layout))
	}
	return body
}

// Original returns the body of the event of a file that is not DICOM: its UIDs are made of its hash, and it has no
// SOP class.
func (in Instance) Original() event.Instance {
	body := in.Body()
	ids := ecg.Identity(body.Tenant, body.Blob.SHA256, nil)
	body.Blob.Format, body.Blob.MediaType, body.Blob.TransferSyntaxUID, body.Blob.DatasetOffset = "scp-ecg", "application/x-scp-ecg", "", 0
	body.IDs.SOPClassUID, body.IDs.SOPInstanceUID = "", ids.Source
	body.Origin.Filename, body.Origin.Device, body.Origin.Facility = "心电图 1.scp", "cart-3", "township"
	if in.Study == "" {
		body.IDs.StudyInstanceUID, body.IDs.SeriesInstanceUID = ids.Study, ids.Series
	}
	return body
}

// DerivedUID is the SOP Instance UID of the DICOM object that is made of an original.
func (in Instance) DerivedUID() string {
	body := in.Body()
	return ecg.Identity(body.Tenant, body.Blob.SHA256, nil).Derived
}

// Kept adds the instance.stored record of an original.
func (p *Tape) Kept(in Instance) eventlog.Record {
	p.t.Helper()
	return p.Event(event.TypeInstanceStored, in.Original())
}

// Stored adds an instance.stored record.
func (p *Tape) Stored(in Instance) eventlog.Record {
	p.t.Helper()
	return p.Event(event.TypeInstanceStored, in.Body())
}

// Conflict adds an instance.conflict record.
func (p *Tape) Conflict(in Instance, of string) eventlog.Record {
	p.t.Helper()
	body := in.Body()
	body.ConflictOf = of
	return p.Event(event.TypeInstanceConflict, body)
}

// Quarantined adds an instance.quarantined record.
func (p *Tape) Quarantined(object string, received time.Time) eventlog.Record {
	p.t.Helper()
	body := Instance{Object: object, Received: received}.Body()
	body.IDs = event.IDs{StudyInstanceUID: "1.2.3"}
	body.Reason, body.ReasonDetail, body.ReasonOffset = "truncated", "ends inside an element", 512
	body.Blob.SHA256 = fmt.Sprintf("%x", sha256.Sum256([]byte(object)))
	return p.Event(event.TypeInstanceQuarantined, body)
}

// Refused adds an instance.quarantined record of parsers of a version.
func (p *Tape) Refused(object string, received time.Time, parsers int) eventlog.Record {
	p.t.Helper()
	body := Instance{Object: object, Received: received, Parsers: parsers}.Body()
	body.IDs = event.IDs{StudyInstanceUID: "1.2.3"}
	body.Reason, body.ReasonDetail = "truncated", fmt.Sprintf("as version %d tells it", parsers)
	body.Blob.SHA256 = fmt.Sprintf("%x", sha256.Sum256([]byte(object)))
	return p.Event(event.TypeInstanceQuarantined, body)
}

// Resolved adds a person's decision; kind is one of the …Resolved types.
func (p *Tape) Resolved(kind, object, action string, at time.Time) eventlog.Record {
	p.t.Helper()
	return p.Event(kind, event.Resolution{ObjectID: object, Action: action, At: at, BlobKey: "decisions/" + object})
}

// Again returns records with offsets of their own behind all others of the tape, as a log has them when
// the same events were appended again.
func (p *Tape) Again(records []eventlog.Record) []eventlog.Record {
	out := make([]eventlog.Record, len(records))
	for i, r := range records {
		r.Offset = p.offset
		p.offset++
		out[i] = r
	}
	return out
}
