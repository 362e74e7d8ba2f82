package ecg

// MeasurementKind is what is measured, in one vocabulary for all formats. A measurement without a kind here
// keeps its native name with kind "".
type MeasurementKind string

// Kinds of measurement. Durations and times are in ms, axes in deg, amplitudes in uV, rates in /min.
const (
	VentricularRate MeasurementKind = "ventricular-rate" // heart rate
	AtrialRate      MeasurementKind = "atrial-rate"
	RRInterval      MeasurementKind = "rr-interval"
	PPInterval      MeasurementKind = "pp-interval"
	PDuration       MeasurementKind = "p-duration"
	PRInterval      MeasurementKind = "pr-interval" // PQ
	QRSDuration     MeasurementKind = "qrs-duration"
	QTInterval      MeasurementKind = "qt-interval"
	QTcInterval     MeasurementKind = "qtc-interval" // by Measurement.Formula
	QTDispersion    MeasurementKind = "qt-dispersion"
	PAxis           MeasurementKind = "p-axis"
	QRSAxis         MeasurementKind = "qrs-axis"
	TAxis           MeasurementKind = "t-axis"
	QRSCount        MeasurementKind = "qrs-count"

	// Fiducial points of the median beat, ms after the median group's first sample.
	POnset    MeasurementKind = "p-onset"
	POffset   MeasurementKind = "p-offset"
	QRSOnset  MeasurementKind = "qrs-onset"
	QRSOffset MeasurementKind = "qrs-offset"
	TOnset    MeasurementKind = "t-onset"
	TOffset   MeasurementKind = "t-offset"

	// Per lead.
	PAmplitude    MeasurementKind = "p-amplitude"
	QAmplitude    MeasurementKind = "q-amplitude"
	RAmplitude    MeasurementKind = "r-amplitude"
	SAmplitude    MeasurementKind = "s-amplitude"
	TAmplitude    MeasurementKind = "t-amplitude"
	JAmplitude    MeasurementKind = "j-amplitude"
	STAmplitude   MeasurementKind = "st-amplitude"
	QDuration     MeasurementKind = "q-duration"
	RDuration     MeasurementKind = "r-duration"
	SDuration     MeasurementKind = "s-duration"
	IntrinsicTime MeasurementKind = "intrinsicoid-deflection"
)

// Formulas of a corrected QT.
const (
	Bazett     = "bazett"
	Fridericia = "fridericia"
	Framingham = "framingham"
	Hodges     = "hodges"
)

// Measurement is one number that the file states.
type Measurement struct {
	Kind    MeasurementKind
	Name    string // as the file calls it: "QTCorrected", "MDC_ECG_TIME_PD_QT"
	Raw     string // as the file writes it, without unit: "216"
	Value   Rat    // in Unit; meaningless when Valid is false
	Valid   bool   // Raw is a number that means something ("0" for "no P wave" may not)
	Unit    string // ms, deg, uV, /min, 1, or as stored
	Formula string // of a QTc: Bazett, …; "" where not stated
	Lead    string // canonical name of the lead; "" for all
	Group   int    // index into Recording.Groups that it is about; -1 for none in particular
}

// AnnotationKind is what an annotation marks.
type AnnotationKind string

// Kinds of annotation.
const (
	Beat       AnnotationKind = "beat"  // Code is the beat's class
	Wave       AnnotationKind = "wave"  // P, QRS or T, a point or an interval
	Spike      AnnotationKind = "spike" // of a pacemaker
	RhythmNote AnnotationKind = "rhythm"
	Event      AnnotationKind = "event" // button, symptom, noise, lead off
	Note       AnnotationKind = "note"  // free text
)

// Annotation marks a place in the signal.
type Annotation struct {
	Kind     AnnotationKind
	Group    int    // index into Recording.Groups; -1: times count from Recording.Acquired
	Lead     string // canonical name; "" for all leads
	Onset    Rat    // ms after the group's first sample
	Duration Rat    // ms; 0 for a point
	Code     string // in the file's own scheme
	Text     string
}

// Author is whose reading a statement is.
type Author string

// Readers of ECGs.
const (
	Machine  Author = "machine"
	OverRead Author = "over-read" // a person who read after the machine
)

// Status is how far a reading has come.
type Status string

// Statuses of a reading. Empty is unknown, and must be shown as unconfirmed.
const (
	Unconfirmed Status = "unconfirmed"
	Confirmed   Status = "confirmed"
)

// Statement is one line of interpretation.
type Statement struct {
	Text   string `json:"text"`
	Code   string `json:"code,omitempty"` // in the file's own scheme
	Author Author `json:"author,omitempty"`
	Name   string `json:"name,omitempty"` // who signed
	Status Status `json:"status,omitempty"`
	Time   Time   `json:"time,omitzero"`
}
