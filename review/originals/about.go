package originals

import (
	"encoding/json"
	"net/http"

	"github.com/tributary-dicom/tributary/storage/index"
)

// description is the JSON of /originals/{id}/about.
type description struct {
	ID         string `json:"id"`
	Format     string `json:"format"`
	MediaType  string `json:"media_type"`
	Filename   string `json:"filename,omitempty"` // as the sender named it
	Bytes      int64  `json:"bytes"`
	SHA256     string `json:"sha256"`
	ReceivedAt string `json:"received_at"` // RFC 3339
	Door       string `json:"door"`
	Device     string `json:"device,omitempty"`
	Facility   string `json:"facility,omitempty"`

	// Source stands for the file where an instance has its SOP Instance UID. Instance is that of the DICOM object made
	// of it; left out while there is none.
	Study    string `json:"study"`
	Series   string `json:"series"`
	Source   string `json:"source"`
	Instance string `json:"instance,omitempty"`

	subject
	said
	Links links `json:"links"`
}

// subject is who was recorded, when and with what. A member that is not known is left out.
type subject struct {
	Patient         patient `json:"patient"`
	StudyDate       string  `json:"study_date,omitempty"` // YYYYMMDD
	StudyTime       string  `json:"study_time,omitempty"`
	AccessionNumber string  `json:"accession_number,omitempty"`
	Institution     string  `json:"institution,omitempty"`
	Manufacturer    string  `json:"manufacturer,omitempty"`
	Model           string  `json:"model,omitempty"`
	Station         string  `json:"station,omitempty"`
}

type patient struct {
	ID        string `json:"id"`
	Name      string `json:"name"` // as PN: component groups divided by "="
	BirthDate string `json:"birth_date,omitempty"`
	Sex       string `json:"sex,omitempty"`
}

func subjectOf(attributes map[string]string) subject {
	return subject{
		Patient: patient{
			attributes["PatientID"], attributes["PatientName"], attributes["PatientBirthDate"], attributes["PatientSex"],
		},
		StudyDate: attributes["StudyDate"], StudyTime: attributes["StudyTime"], AccessionNumber: attributes["AccessionNumber"],
		Institution: attributes["InstitutionName"], Manufacturer: attributes["Manufacturer"],
		Model: attributes["ManufacturerModelName"], Station: attributes["StationName"],
	}
}

// said is what a recording says.
type said struct {
	Priority string          `json:"priority,omitempty"` // STAT: its own device or reader calls it critical
	Findings []index.Finding `json:"findings,omitempty"` // why
	ECG      json.RawMessage `json:"ecg,omitempty"`      // as in events (docs/events.md)
}

func saidIn(f index.RecordingFacts) said { return said{f.Priority, f.Findings, f.Facts} }

// links are paths on this server.
type links struct {
	Instance string `json:"instance,omitempty"` // WADO-RS
	Original string `json:"original,omitempty"` // the file
	About    string `json:"about,omitempty"`    // of the file
}

func (s *server) instanceLink(study, series, instance string) string {
	return s.DICOMWeb + "/studies/" + study + "/series/" + series + "/instances/" + instance
}

// about tells of an original what the index knows.
func (s *server) about(w http.ResponseWriter, r *http.Request) error {
	o, err := s.original(r)
	if err != nil {
		return err
	}
	d := description{
		ID: o.ObjectID, Format: o.Format, MediaType: o.MediaType, Filename: o.Filename, Bytes: o.Bytes, SHA256: o.SHA256,
		ReceivedAt: o.ReceivedAt, Door: o.Door, Device: o.Device, Facility: o.Facility,
		Study: o.StudyInstanceUID, Series: o.SeriesInstanceUID, Source: o.SourceUID,
		subject: subjectOf(o.Attributes), said: saidIn(o.RecordingFacts),
		Links: linksTo(o.ObjectID),
	}
	if o.Derived {
		d.Instance = o.DerivedUID
		d.Links.Instance = s.instanceLink(o.StudyInstanceUID, o.SeriesInstanceUID, o.DerivedUID)
	}
	writeJSON(w, http.StatusOK, d)
	return nil
}
