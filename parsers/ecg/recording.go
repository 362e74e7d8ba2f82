package ecg

import "github.com/tributary-dicom/tributary/parsers/sniff"

// Recording is what one ECG file says, in one shape for all formats. Decoders fill it with what is stored
// and nothing else; Complete adds what follows from it, marked as derived.
type Recording struct {
	Format        sniff.Format
	FormatVersion string // as the file states it: "1.3", "1.04.02", "EDF+C"
	DocumentID    string // the file's own identifier of the recording or document

	Patient  Patient
	Device   Device
	Context  Context
	Acquired Time // start of the first group

	Groups       []*Group
	Measurements []Measurement // global and per lead
	Annotations  []Annotation
	Pacing       Pacing
	Statements   []Statement
	Warnings     []Warning
}

// Patient is who was recorded. Text is UTF-8; an empty field is unknown.
type Patient struct {
	ID         string
	IDs        []Identifier // all of them, ID's own among them, where the file has issuers
	Name       string       // as DICOM's PN, "Family^Given", or as one piece where the file has one piece
	Sex        string       // M, F, O or ""
	BirthDate  string       // YYYY-MM-DD, or ""
	BirthRaw   string       // as stored
	Age        Quantity     // unit a (years), mo, wk, d or h
	HeightCM   Rat
	WeightKG   Rat
	Race       string
	Medication []string
	Remarks    []string // history, symptoms, comments about the patient
}

// Identifier is an id with who issued it.
type Identifier struct {
	Issuer string // OID, namespace or name
	Value  string
}

// Quantity is a number with its unit (UCUM). The zero value is unknown.
type Quantity struct {
	Value Rat
	Unit  string
}

// Known reports whether q says anything.
func (q Quantity) Known() bool { return q.Unit != "" }

// Device is what recorded, and what analysed.
type Device struct {
	Maker    string `json:"maker,omitempty"`
	Model    string `json:"model,omitempty"`
	Serial   string `json:"serial,omitempty"`
	Software string `json:"software,omitempty"`
	Analysis string `json:"analysis,omitempty"` // the interpreting program and its version: "12SL V21"
	Station  string `json:"station,omitempty"`  // the cart's name or number in its institution
}

// Context is the order and place of the recording.
type Context struct {
	StudyInstanceUID   string // only where the file carries a valid one
	AccessionNumber    string
	OrderNumber        string
	Institution        string
	Department         string
	Location           string // ward, room, bed
	Operator           string
	ReferringPhysician string
	Reason             string
}

// Pacing is what the file says about a pacemaker. Single spikes are Annotations of kind Spike.
type Pacing struct {
	Known bool // the file says whether there is one
	Paced bool
	Text  string // its kind, as stored
}

// Warn adds a warning, once for each code and place. where names the part of the file ("group 1 lead V3",
// "section 6"), never a patient.
func (r *Recording) Warn(code WarningCode, where string) {
	w := Warning{Code: code, Where: where}
	for _, have := range r.Warnings {
		if have == w {
			return
		}
	}
	if len(r.Warnings) < maxWarnings {
		r.Warnings = append(r.Warnings, w)
	}
}

// maxWarnings bounds what a file full of blemishes makes us keep.
const maxWarnings = 200

// Measurement returns the first global measurement of a kind.
func (r *Recording) Measurement(kind MeasurementKind) (Measurement, bool) {
	for _, m := range r.Measurements {
		if m.Kind == kind && m.Lead == "" {
			return m, true
		}
	}
	return Measurement{}, false
}

// Rhythm returns the first group of kind Rhythm, or failing that of FullDisclosure; nil when there is none.
func (r *Recording) Rhythm() *Group {
	for _, kind := range []Kind{Rhythm, FullDisclosure} {
		for _, g := range r.Groups {
			if g.Kind == kind {
				return g
			}
		}
	}
	return nil
}
