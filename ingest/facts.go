package ingest

import (
	"cmp"
	"strings"

	"github.com/tributary-dicom/tributary/parsers/ecg"
	"github.com/tributary-dicom/tributary/pipeline/event"
)

// Bounds of what an event tells of a recording; the object has the rest.
const (
	maxFactLeads      = 64
	maxFactStatements = 200
	maxFactText       = 1024 // bytes of one statement
	maxFactWarnings   = 50
)

// factsOf is what an event tells of a recording.
func factsOf(rec *ecg.Recording) *event.ECG {
	f := &event.ECG{
		FormatVersion: cut(rec.FormatVersion, 64), AcquiredAt: rec.Acquired.String(), AcquiredRaw: cut(rec.Acquired.Raw, 64),
		ZoneKnown: rec.Acquired.ZoneKnown, Groups: len(rec.Groups), Measurements: map[string]event.Measurement{},
	}
	if g := rec.Rhythm(); g != nil {
		f.SamplingFrequencyHz, f.DurationMillis = g.Rate.Float64(), g.DurationMillis().Float64()
		for i := range g.Leads {
			if l := &g.Leads[i]; !l.Derived && len(f.Leads) < maxFactLeads {
				f.Leads = append(f.Leads, cut(cmp.Or(l.Name, l.Label), 64))
			}
		}
	}
	for _, m := range rec.Measurements {
		if _, have := f.Measurements[string(m.Kind)]; m.Kind == "" || m.Lead != "" || !m.Valid || have {
			continue
		}
		f.Measurements[string(m.Kind)] = event.Measurement{Value: m.Value.Float64(), Unit: cut(m.Unit, 16), Formula: cut(m.Formula, 32)}
	}
	for _, s := range rec.Statements[:min(len(rec.Statements), maxFactStatements)] {
		f.Statements = append(f.Statements, event.Statement{
			Text: cut(s.Text, maxFactText), Code: cut(s.Code, 64), Author: string(s.Author), Name: cut(s.Name, 128),
			Status: string(s.Status), Time: s.Time.String(),
		})
	}
	if rec.Pacing.Known {
		f.Paced = &rec.Pacing.Paced
	}
	for _, w := range rec.Warnings[:min(len(rec.Warnings), maxFactWarnings)] {
		f.Warnings = append(f.Warnings, cut(strings.TrimSuffix(string(w.Code)+": "+w.Where, ": "), 128))
	}
	return f
}

// urgent marks the event of a recording that its own device or reader calls critical.
func urgent(ev *event.Instance, rec *ecg.Recording) {
	for _, c := range rec.Criticals() {
		ev.Priority = event.PriorityStat
		ev.Findings = append(ev.Findings, event.Finding{Finding: c.Finding, Statement: cut(c.Statement, maxFactText)})
	}
}

// attributesOf are index attributes of a recording that is not DICOM, by keyword.
func attributesOf(rec *ecg.Recording) map[string]string {
	day, clock := "", ""
	if t := rec.Acquired; t.Valid() {
		day = t.Time.Format("20060102")
		if !t.DateOnly {
			clock = t.Time.Format("150405")
		}
	}
	attributes := map[string]string{}
	for keyword, value := range map[string]string{
		"PatientID": rec.Patient.ID, "PatientName": rec.Patient.Name, "PatientSex": rec.Patient.Sex,
		"PatientBirthDate": strings.ReplaceAll(rec.Patient.BirthDate, "-", ""),
		"StudyDate":        day, "StudyTime": clock, "Modality": "ECG",
		"AccessionNumber": rec.Context.AccessionNumber, "InstitutionName": rec.Context.Institution,
		"ReferringPhysicianName": rec.Context.ReferringPhysician,
		"Manufacturer":           rec.Device.Maker, "ManufacturerModelName": rec.Device.Model, "StationName": rec.Device.Station,
	} {
		if value != "" {
			attributes[keyword] = cut(value, 256)
		}
	}
	return attributes
}
