package index

import (
	"cmp"
	"encoding/json"
	"fmt"
	"slices"
	"strings"

	"github.com/tributary-dicom/tributary/parsers/ecg"
	"github.com/tributary-dicom/tributary/pipeline/event"
)

// recording is a row of recordings: what an event tells of an ECG, made searchable. It follows from that one event.
type recording struct {
	tenant, object       string
	original, derivedUID string // of an original
	derivedFrom          string
	study, series, sop   string
	received             int64
	day                  string
	patient              string
	priority             string
	findings, leads      set
	paced                int64
	statements           string
	measures             [len(measures)]any // float64 or nil
	attributes           []pair
	facts, reasons       []byte
}

// Measure is a number of recordings that queries may bound.
type Measure string

// The measures, with their units. All but the last two are what the recording's device or its readers state.
const (
	VentricularRate   Measure = "ventricular_rate"   // /min
	PRInterval        Measure = "pr_interval"        // ms
	QRSDuration       Measure = "qrs_duration"       // ms
	QTInterval        Measure = "qt_interval"        // ms
	QTcInterval       Measure = "qtc_interval"       // ms, by whatever formula
	QRSAxis           Measure = "qrs_axis"           // degrees
	Duration          Measure = "duration"           // ms, of the rhythm
	SamplingFrequency Measure = "sampling_frequency" // Hz
)

// measures are the columns of numbers, in their order.
var measures = [...]struct {
	column Measure
	kind   ecg.MeasurementKind // "" for what is no measurement
	unit   string
}{
	{VentricularRate, ecg.VentricularRate, "/min"},
	{PRInterval, ecg.PRInterval, "ms"},
	{QRSDuration, ecg.QRSDuration, "ms"},
	{QTInterval, ecg.QTInterval, "ms"},
	{QTcInterval, ecg.QTcInterval, "ms"},
	{QRSAxis, ecg.QRSAxis, "deg"},
	{Duration, "", "ms"},
	{SamplingFrequency, "", "Hz"},
}

// Bounds of what searches look at; the facts have all.
const (
	maxSearchedLeads      = 64
	maxSearchedFindings   = 32
	maxSearchedStatements = 64 << 10 // bytes, folded
)

// shownWith are the attributes that rows of a search for recordings have.
var shownWith = map[string]bool{
	"PatientID": true, "IssuerOfPatientID": true, "PatientName": true, "PatientBirthDate": true, "PatientSex": true,
	"StudyDate": true, "StudyTime": true, "StudyDescription": true, "AccessionNumber": true, "ReferringPhysicianName": true,
	"Modality": true, "InstitutionName": true, "Manufacturer": true, "ManufacturerModelName": true, "StationName": true,
}

// newRecording returns nil for an event that says nothing of a recording.
func newRecording(body *event.Instance, all []pair) (*recording, error) {
	if body.ECG == nil && body.Priority == "" {
		return nil, nil
	}
	r := &recording{
		tenant: body.Tenant, object: body.ObjectID, derivedFrom: body.DerivedFrom, study: body.IDs.StudyInstanceUID,
		series: body.IDs.SeriesInstanceUID, sop: body.IDs.SOPInstanceUID, received: body.Origin.ReceivedAt.UnixMicro(),
		day: momentKey("DA", find(all, "StudyDate")), patient: indexed(fold(find(all, "PatientID"))),
		priority: strings.ToUpper(member(body.Priority)), paced: -1,
		attributes: slices.DeleteFunc(slices.Clone(all), func(p pair) bool { return !shownWith[p.keyword] }),
	}
	var err error
	if len(body.Findings) > 0 {
		if r.reasons, err = json.Marshal(body.Findings); err != nil {
			return nil, fmt.Errorf("encode findings: %w", err)
		}
	}
	for _, f := range body.Findings[:min(len(body.Findings), maxSearchedFindings)] {
		r.findings = r.findings.with(member(f.Finding))
	}
	e := body.ECG
	if e == nil {
		return r, nil
	}
	if r.facts, err = json.Marshal(e); err != nil {
		return nil, fmt.Errorf("encode facts: %w", err)
	}
	if acquired, _, _ := strings.Cut(e.AcquiredAt, "T"); acquired != "" {
		r.day = cmp.Or(momentKey("DA", strings.ReplaceAll(acquired, "-", "")), r.day)
	}
	if e.Paced != nil {
		r.paced = 0
		if *e.Paced {
			r.paced = 1
		}
	}
	for _, l := range e.Leads[:min(len(e.Leads), maxSearchedLeads)] {
		r.leads = r.leads.with(member(l))
	}
	r.statements = foldStatements(e.Statements)
	for i, m := range measures {
		switch m.column {
		case Duration:
			r.measures[i] = positive(e.DurationMillis)
		case SamplingFrequency:
			r.measures[i] = positive(e.SamplingFrequencyHz)
		default:
			r.measures[i] = inUnit(e.Measurements, string(m.kind), m.unit)
		}
	}
	return r, nil
}

// member is the form in which values of a set are compared.
func member(s string) string {
	s = setValue(fold(s))
	if len(s) > 64 {
		s = strings.ToValidUTF8(s[:64], "")
	}
	return s
}

// foldStatements joins statements, a separator around each.
func foldStatements(all []event.Statement) string {
	var b strings.Builder
	for _, s := range all {
		text := fold(s.Text)
		if text == "" || b.Len()+len(text)+1 > maxSearchedStatements {
			continue
		}
		b.WriteString(separator)
		b.WriteString(text)
	}
	return b.String()
}

func positive(f float64) any {
	if f > 0 {
		return f
	}
	return nil
}

// inUnit returns a measurement in the unit of its column, nil where there is none or its unit is another.
func inUnit(all map[string]event.Measurement, kind, unit string) any {
	m, ok := all[kind]
	switch {
	case !ok:
		return nil
	case m.Unit == unit, m.Unit == "":
		return m.Value
	case m.Unit == "s" && unit == "ms":
		return m.Value * 1000
	case (m.Unit == "bpm" || m.Unit == "1/min") && unit == "/min":
		return m.Value
	}
	return nil
}

func (b *batch) insertRecording(r *recording, instance int64) error {
	if r == nil {
		return nil
	}
	row := []any{
		instance, r.tenant, r.original, r.object, r.derivedFrom, r.derivedUID, r.study, r.series, r.sop, r.received, r.day,
		orNull(r.patient), r.priority, r.findings.String(), r.paced, r.leads.String(), r.statements,
	}
	row = append(row, r.measures[:]...)
	if err := b.insert(recordingsTable, row); err != nil {
		return fmt.Errorf("insert recording: %w", err)
	}
	documents := []any{instance, r.tenant, r.original, pack(r.attributes, -1), r.facts, r.reasons}
	if err := b.insert(recordingDocumentsTable, documents); err != nil {
		return fmt.Errorf("insert recording: %w", err)
	}
	return nil
}

// deleteRecording takes out the recording of an instance, or of an original (instance 0), where there is one.
func (b *batch) deleteRecording(instance int64, tenant, original string) error {
	for _, table := range []string{"recordings", "recording_documents"} {
		err := b.exec("DELETE FROM "+table+" WHERE instance_id = $1 AND tenant = $2 AND original = $3", instance, tenant, original)
		if err != nil {
			return fmt.Errorf("delete recording: %w", err)
		}
	}
	return nil
}
