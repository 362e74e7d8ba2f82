package cardiosoft

import (
	"strconv"
	"strings"

	"github.com/tributary-dicom/tributary/parsers/ecg"
	"github.com/tributary-dicom/tributary/parsers/ecg/xmltext"
	"github.com/tributary-dicom/tributary/parsers/reject"
	"github.com/tributary-dicom/tributary/parsers/uid"
)

func (d *decoder) cut(s string) string {
	if len(s) > d.lim.Text {
		d.rec.Warn(ecg.WarnValueCut, "")
		s = strings.ToValidUTF8(s[:d.lim.Text], "")
	}
	return s
}

func (d *decoder) text(n *xmltext.Node, path ...string) string { return d.cut(n.TextAt(path...)) }

func (d *decoder) number(where, text string) (ecg.Rat, bool) {
	if text == "" {
		return ecg.Rat{}, false
	}
	r, err := ecg.ParseRat(text)
	if err != nil {
		d.rec.Warn(ecg.WarnNumber, where)
		return ecg.Rat{}, false
	}
	return r, true
}

func (d *decoder) person(n *xmltext.Node) string {
	return strings.TrimRight(d.text(n, "FamilyName")+"^"+d.text(n, "GivenName"), "^")
}

// date reads Year, Month, Day and, with clock, Hour, Minute, Second. Files after anonymisation have 1 in each.
func (d *decoder) date(n *xmltext.Node, clock bool) ecg.Time {
	names := []string{"Year", "Month", "Day"}
	if clock {
		names = append(names, "Hour", "Minute", "Second")
	}
	var v [6]int
	var parts []string
	for i, name := range names {
		s := d.text(n, name)
		parts = append(parts, s)
		var err error
		if v[i], err = strconv.Atoi(s); err != nil && s != "" {
			v[0] = 0
		}
	}
	raw := strings.Join(parts[:3], "-")
	if clock {
		raw += "T" + strings.Join(parts[3:], ":")
	}
	if strings.Trim(raw, "-T:") == "" {
		return ecg.Time{}
	}
	t := ecg.NewTime(raw, v[0], v[1], v[2], v[3], v[4], v[5], 0, nil)
	t.DateOnly = t.Valid() && !clock
	return t
}

// header reads one of the blocks without samples.
func (d *decoder) header(n *xmltext.Node) error {
	switch n.Name {
	case "ObservationDateTime":
		if d.rec.Acquired = d.date(n, true); !d.rec.Acquired.Valid() {
			d.rec.Warn(ecg.WarnTime, n.Name)
		}
	case "UID":
		if study := d.text(n, "DICOMStudyUID"); study != "" && uid.Valid(study) == nil {
			d.rec.Context.StudyInstanceUID = study
		} else if study != "" {
			d.rec.Warn(ecg.WarnBadUID, n.Name)
		}
	case "ClinicalInfo":
		d.rec.Device.Model = d.text(n, "DeviceInfo", "Desc")
		d.rec.Device.Software = d.text(n, "DeviceInfo", "SoftwareVer")
		d.rec.FormatVersion = d.rec.Device.Software
		d.rec.Device.Analysis = d.text(n, "DeviceInfo", "AnalysisVer")
		d.rec.Context.Reason = d.text(n, "ReasonForStudy")
		d.rec.Context.Operator = d.person(n.At("Technician"))
	case "PatientVisit":
		c := &d.rec.Context
		c.Institution = d.text(n, "ServicingFacility", "Name")
		c.Location = strings.TrimSpace(d.text(n, "AssignedPatientLocation", "LocationName") + " " + d.text(n, "PatientRoom"))
		c.ReferringPhysician = d.person(n.At("ReferringDoctor"))
		c.OrderNumber = d.text(n, "OrderNumber")
		for _, m := range n.All("Medications") {
			for _, drug := range m.All("Drug") {
				if drug.Text != "" && len(d.rec.Patient.Medication) < d.lim.Statements {
					d.rec.Patient.Medication = append(d.rec.Patient.Medication, d.cut(drug.Text))
				}
			}
		}
		if history := d.text(n, "MedicalHistory", "MedicalHistoryText"); history != "" {
			d.rec.Patient.Remarks = append(d.rec.Patient.Remarks, history)
		}
	case "PatientInfo":
		d.patient(n)
	case "FilterSetting":
		d.filters.HighPassHz, _ = d.number("HighPass", d.text(n, "HighPass"))
		d.filters.LowPassHz, _ = d.number("LowPass", d.text(n, "LowPass"))
		yes50, yes60 := d.text(n, "Filter50Hz"), d.text(n, "Filter60Hz")
		switch {
		case strings.EqualFold(yes50, "yes"):
			d.filters.NotchHz = ecg.Int(50)
		case strings.EqualFold(yes60, "yes"):
			d.filters.NotchHz = ecg.Int(60)
		case yes50 != "" && yes60 != "":
			d.filters.NotchOff = true
		}
	case "Interpretation":
		return d.interpretation(n)
	}
	return nil
}

func (d *decoder) patient(n *xmltext.Node) {
	p := &d.rec.Patient
	p.ID = d.text(n, "PID")
	p.Name = d.person(n.At("Name"))
	switch g := strings.ToUpper(d.text(n, "Gender")); {
	case strings.HasPrefix(g, "M"):
		p.Sex = "M"
	case strings.HasPrefix(g, "F"):
		p.Sex = "F"
	}
	birth := d.date(n.At("BirthDateTime"), false)
	p.BirthRaw = birth.Raw
	if birth.Valid() {
		p.BirthDate = birth.String()
	} else if birth.Raw != "" {
		d.rec.Warn(ecg.WarnTime, "BirthDateTime")
	}
	if age, ok := d.number("Age", d.text(n, "Age")); ok {
		unit := map[string]string{"YEARS": "a", "MONTHS": "mo", "WEEKS": "wk", "DAYS": "d", "": "a"}[strings.ToUpper(n.At("Age").Get("units"))]
		if unit == "" {
			d.rec.Warn(ecg.WarnUnitUnknown, "Age")
		}
		p.Age = ecg.Quantity{Value: age, Unit: unit}
	}
	if h, ok := d.number("Height", d.text(n, "Height")); ok {
		p.HeightCM = h
		if strings.EqualFold(n.At("Height").Get("units"), "INCHES") {
			p.HeightCM = h.Mul(ecg.MustRat("2.54"))
		}
	}
	if w, ok := d.number("Weight", d.text(n, "Weight")); ok {
		p.WeightKG = w
		if strings.EqualFold(n.At("Weight").Get("units"), "POUNDS") {
			p.WeightKG = w.Mul(ecg.MustRat("0.45359237"))
		}
	}
	p.Race = d.text(n, "Race")
	switch pm := d.text(n, "PaceMaker"); strings.ToLower(pm) {
	case "":
	case "no", "none":
		d.rec.Pacing = ecg.Pacing{Known: true, Text: pm}
	default:
		d.rec.Pacing = ecg.Pacing{Known: true, Paced: true, Text: pm}
	}
}

// interpretation keeps every line of text in the block: Diagnosis and Conclusion blocks come under several
// names. Who read them is stated as a person's confirmation or not at all.
func (d *decoder) interpretation(n *xmltext.Node) error {
	confirmed := false
	name := ""
	if by := n.Find("ConfirmedBy"); by != nil {
		name = d.person(by)
		confirmed = name != "" || by.Text != ""
	}
	stack := []*xmltext.Node{n}
	for len(stack) > 0 {
		c := stack[len(stack)-1]
		stack = stack[:len(stack)-1]
		if c.Name == "ConfirmedBy" {
			continue
		}
		for i := len(c.Children) - 1; i >= 0; i-- {
			stack = append(stack, c.Children[i])
		}
		if c == n || c.Text == "" || strings.Contains(c.Name, "Time") || strings.Contains(c.Name, "Date") {
			continue
		}
		if len(d.rec.Statements) >= d.lim.Statements {
			return reject.New(reject.TooManyElements, op, "more than %d statements", d.lim.Statements)
		}
		s := ecg.Statement{Text: d.cut(strings.Join(strings.Fields(c.Text), " ")), Author: ecg.Machine, Status: ecg.Unconfirmed}
		if confirmed {
			s.Author, s.Status, s.Name = ecg.OverRead, ecg.Confirmed, name
		}
		d.rec.Statements = append(d.rec.Statements, s)
	}
	return nil
}

type meaning struct {
	kind    ecg.MeasurementKind
	formula string
}

var global = map[string]meaning{
	"VentricularRate": {ecg.VentricularRate, ""}, "AtrialRate": {ecg.AtrialRate, ""}, "PQInterval": {ecg.PRInterval, ""},
	"PRInterval": {ecg.PRInterval, ""}, "PDuration": {ecg.PDuration, ""}, "QRSDuration": {ecg.QRSDuration, ""},
	"QTInterval": {ecg.QTInterval, ""}, "QTCInterval": {ecg.QTcInterval, ecg.Bazett}, "RRInterval": {ecg.RRInterval, ""},
	"PPInterval": {ecg.PPInterval, ""}, "PAxis": {ecg.PAxis, ""}, "RAxis": {ecg.QRSAxis, ""}, "TAxis": {ecg.TAxis, ""},
	"QTDispersion": {ecg.QTDispersion, ""}, "QRSNum": {ecg.QRSCount, ""}, "POnset": {ecg.POnset, ""}, "POffset": {ecg.POffset, ""},
	"QOnset": {ecg.QRSOnset, ""}, "QOffset": {ecg.QRSOffset, ""}, "TOffset": {ecg.TOffset, ""},
}

var byLead = map[string]ecg.MeasurementKind{
	"PAmplitude": ecg.PAmplitude, "QAmplitude": ecg.QAmplitude, "RAmplitude": ecg.RAmplitude, "SAmplitude": ecg.SAmplitude,
	"TAmplitude": ecg.TAmplitude, "JAmplitude": ecg.JAmplitude, "QDuration": ecg.QDuration, "RDuration": ecg.RDuration, "SDuration": ecg.SDuration,
}

var units = map[string]string{"bpm": "/min", "degrees": "deg", "ms": "ms", "uv": ecg.Microvolt, "": "1"}

// unit returns the unit of ours for the file's.
func unit(stored string) string {
	if u, ok := units[strings.ToLower(stored)]; ok {
		return u
	}
	return stored
}

func (d *decoder) measurements() error {
	return d.xml.Children(func(start xmltext.Token) error {
		switch start.Name {
		case "MedianSamples":
			return d.waveform(ecg.Median, start.Name)
		case "MeasurementTable":
			n, err := d.xml.Tree(start)
			if err == nil {
				d.table(n)
			}
			return err
		}
		text, err := d.xml.Text()
		if err != nil || text == "" {
			return err
		}
		m := global[start.Name]
		d.measure(ecg.Measurement{Kind: m.kind, Name: start.Name, Raw: d.cut(text), Unit: unit(start.Get("units")), Formula: m.formula, Group: -1})
		return nil
	})
}

func (d *decoder) measure(m ecg.Measurement) {
	if len(d.rec.Measurements) >= d.lim.Annotations {
		d.rec.Warn(ecg.WarnAnnotationsCut, "RestingECGMeasurements")
		return
	}
	v, err := ecg.ParseRat(m.Raw)
	m.Value, m.Valid = v, err == nil
	d.rec.Measurements = append(d.rec.Measurements, m)
}

// table reads measurements by lead: each element is a list in the order of LeadOrder, empty where there is
// none.
func (d *decoder) table(n *xmltext.Node) {
	leads := strings.Split(n.TextAt("LeadOrder"), ",")
	if len(leads) > d.lim.Leads {
		d.rec.Warn(ecg.WarnLayout, "MeasurementTable")
		return
	}
	for _, c := range n.Children {
		if c.Name == "LeadOrder" {
			continue
		}
		values := strings.Split(c.Text, ",")
		if len(values) != len(leads) {
			d.rec.Warn(ecg.WarnLayout, "MeasurementTable")
			continue
		}
		for i, v := range values {
			if v = strings.TrimSpace(v); v == "" {
				continue
			}
			var l ecg.Lead
			l.SetLabel(strings.TrimSpace(leads[i]))
			d.measure(ecg.Measurement{Kind: byLead[c.Name], Name: c.Name, Raw: d.cut(v), Unit: unit(c.Get("units")), Lead: l.Name, Group: -1})
		}
	}
}
