package web

import (
	"net/http"
	"strings"

	"github.com/tributary-dicom/tributary/parsers/ecg"
	"github.com/tributary-dicom/tributary/storage/index"
)

// ecgHeader is the JSON of a recording without its samples. Numbers that must be exact are text: a decimal, or
// "numerator/denominator" where none is exact.
type ecgHeader struct {
	Format   string            `json:"format"`
	Version  string            `json:"version,omitempty"`
	Patient  ecgHeaderPatient  `json:"patient"`
	Acquired ecgHeaderTime     `json:"acquired"`
	Device   ecg.Device        `json:"device"`
	Groups   []ecgHeaderGroup  `json:"groups"`
	Measures []ecgHeaderValue  `json:"measurements"`
	Pacing   *ecgHeaderPacing  `json:"pacing,omitempty"` // left out where the file does not say
	Spikes   int               `json:"spikes"`           // /spikes has them
	Says     []ecgStatement    `json:"statements"`
	Confirm  bool              `json:"confirmed"` // a person stands behind the reading
	Priority string            `json:"priority,omitempty"`
	Findings []index.Finding   `json:"findings,omitempty"`
	Warnings []ecg.Warning     `json:"warnings"`
	Links    map[string]string `json:"links"`
}

type ecgHeaderPatient struct {
	ID          string `json:"id"`
	Ideographic string `json:"ideographic,omitempty"`
	Alphabetic  string `json:"alphabetic,omitempty"`
	Sex         string `json:"sex,omitempty"`
	BirthDate   string `json:"birth_date,omitempty"`
	Age         string `json:"age,omitempty"` // with unit: "54 a"
}

type ecgHeaderTime struct {
	At        string `json:"at,omitempty"` // ISO 8601, with an offset only where it is known
	Raw       string `json:"raw,omitempty"`
	ZoneKnown bool   `json:"zone_known"`
}

type ecgHeaderGroup struct {
	Kind        ecg.Kind        `json:"kind"`
	Label       string          `json:"label,omitempty"`
	Rate        string          `json:"rate_hz"`
	StartMillis string          `json:"start_ms"`
	Samples     int64           `json:"samples"` // of the time line
	Window      int64           `json:"window"`  // samples that one answer of /samples has at most
	Leads       []ecgHeaderLead `json:"leads"`
}

type ecgHeaderLead struct {
	Name       string            `json:"name"`
	Code       string            `json:"code,omitempty"`
	Label      string            `json:"label,omitempty"`
	Unit       string            `json:"unit"`  // uV for every voltage
	Scale      string            `json:"scale"` // unit per count
	Baseline   string            `json:"baseline"`
	Bits       int               `json:"bits,omitempty"`
	Start      int64             `json:"start"` // first sample on the time line
	Samples    int64             `json:"samples"`
	SkewMillis string            `json:"skew_ms,omitempty"`
	Derived    bool              `json:"derived"`
	DerivedBy  string            `json:"derived_by,omitempty"`
	Filters    *ecgHeaderFilters `json:"filters,omitempty"` // that acted before the samples were stored
	Placement  string            `json:"placement,omitempty"`
	Quality    string            `json:"quality,omitempty"`
}

type ecgHeaderFilters struct {
	HighPassHz string `json:"high_pass_hz,omitempty"`
	LowPassHz  string `json:"low_pass_hz,omitempty"`
	NotchHz    string `json:"notch_hz,omitempty"`
	NotchOff   bool   `json:"notch_off,omitempty"`
	Text       string `json:"text,omitempty"`
}

type ecgHeaderValue struct {
	Kind    ecg.MeasurementKind `json:"kind,omitempty"`
	Name    string              `json:"name"`
	Raw     string              `json:"raw"`
	Value   string              `json:"value,omitempty"` // left out where Raw is no number that means something
	Unit    string              `json:"unit,omitempty"`
	Formula string              `json:"formula,omitempty"`
	Lead    string              `json:"lead,omitempty"`
	Group   int                 `json:"group"` // -1 for none in particular
}

type ecgHeaderPacing struct {
	Paced bool   `json:"paced"`
	Text  string `json:"text,omitempty"`
}

// ecgMeasuresSent bounds the measurements of a header: twelve leads with thirty each are 360.
const ecgMeasuresSent = 4000

// recording sends the header of a recording.
func (e *ecgPages) recording(w http.ResponseWriter, r *http.Request, rec *ecgRecord) error {
	s, err := e.ecgScope(r)
	if err != nil {
		return err
	}
	known, err := e.known(r.Context(), s)
	if err != nil {
		return err
	}
	sendECG(w, http.StatusOK, headerOfECG(rec, known))
	return nil
}

func headerOfECG(rec *ecgRecord, known ecgKnown) ecgHeader {
	name := nameParts(rec.Patient.Name)
	says := ecgStatementsOf(rec.Recording, known)
	acquired := known.acquired(rec.Recording)
	h := ecgHeader{
		Format: string(rec.Format), Version: rec.FormatVersion,
		Patient: ecgHeaderPatient{
			ID: rec.Patient.ID, Ideographic: name.Ideographic, Alphabetic: name.Alphabetic, Sex: rec.Patient.Sex, BirthDate: rec.Patient.BirthDate,
		},
		Acquired: ecgHeaderTime{At: acquired.String(), ZoneKnown: acquired.ZoneKnown},
		Device:   rec.Device, Groups: []ecgHeaderGroup{}, Measures: []ecgHeaderValue{}, Spikes: len(rec.spikes),
		Says: says, Priority: ecgPriority(rec.Recording, known), Findings: known.Findings, Warnings: append([]ecg.Warning{}, rec.Warnings...),
	}
	_, h.Confirm = confirmedECG(says)
	if h.Acquired.At == "" {
		h.Acquired.Raw = acquired.Raw
	}
	if a := rec.Patient.Age; a.Known() {
		h.Patient.Age = a.Value.String() + " " + a.Unit
	}
	if pacing := known.pacing(rec.Recording); pacing.Known {
		h.Pacing = &ecgHeaderPacing{pacing.Paced, pacing.Text}
	}
	if known.DerivedFrom != "" {
		h.Links = map[string]string{"original": "/originals/" + known.DerivedFrom}
	}
	for _, g := range rec.Groups {
		h.Groups = append(h.Groups, headerOfECGGroup(g))
	}
	for _, m := range rec.Measurements[:min(len(rec.Measurements), ecgMeasuresSent)] {
		v := ecgHeaderValue{Kind: m.Kind, Name: m.Name, Raw: m.Raw, Unit: m.Unit, Formula: m.Formula, Lead: m.Lead, Group: m.Group}
		if m.Valid {
			v.Value = m.Value.String()
		}
		h.Measures = append(h.Measures, v)
	}
	return h
}

func headerOfECGGroup(g *ecg.Group) ecgHeaderGroup {
	out := ecgHeaderGroup{
		Kind: g.Kind, Label: g.Label, Rate: g.Rate.String(), StartMillis: g.StartOffset.String(), Samples: g.Length,
		Window: ecgWindowOf(g), Leads: []ecgHeaderLead{},
	}
	for i := range g.Leads {
		l := &g.Leads[i]
		lead := ecgHeaderLead{
			Name: strings.ToValidUTF8(l.Name, "\uFFFD"), Code: l.Code, Unit: l.Unit, Scale: l.Scale.String(), Baseline: l.Baseline.String(),
			Bits: l.Bits, Start: l.Start, Samples: l.Length, Derived: l.Derived, DerivedBy: l.DerivedBy, Placement: l.Placement, Quality: l.Quality,
		}
		if l.Label != l.Name {
			lead.Label = l.Label
		}
		if !l.Skew.IsZero() {
			lead.SkewMillis = l.Skew.String()
		}
		hertz := func(r ecg.Rat) string {
			if r.Sign() > 0 {
				return r.String()
			}
			return ""
		}
		f := ecgHeaderFilters{hertz(l.Filters.HighPassHz), hertz(l.Filters.LowPassHz), hertz(l.Filters.NotchHz), l.Filters.NotchOff, l.Filters.Text}
		if f != (ecgHeaderFilters{}) {
			lead.Filters = &f
		}
		out.Leads = append(out.Leads, lead)
	}
	return out
}
