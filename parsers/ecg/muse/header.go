package muse

import (
	"strconv"
	"strings"

	"github.com/tributary-dicom/tributary/parsers/ecg"
	"github.com/tributary-dicom/tributary/parsers/ecg/xmltext"
	"github.com/tributary-dicom/tributary/parsers/reject"
)

func (d *decoder) patient(n *xmltext.Node) {
	p := &d.rec.Patient
	p.ID = d.text(n, "PatientID")
	p.Name = strings.TrimRight(d.text(n, "PatientLastName")+"^"+d.text(n, "PatientFirstName"), "^")
	switch g := strings.ToUpper(d.text(n, "Gender")); {
	case strings.HasPrefix(g, "M"):
		p.Sex = "M"
	case strings.HasPrefix(g, "F"):
		p.Sex = "F"
	}
	p.BirthRaw = d.text(n, "DateofBirth")
	if t := d.clock(p.BirthRaw, ""); t.Valid() {
		p.BirthDate = t.Time.Format("2006-01-02")
	} else if p.BirthRaw != "" {
		d.rec.Warn(ecg.WarnTime, "DateofBirth")
	}
	if age, ok := d.number("PatientAge", d.text(n, "PatientAge")); ok {
		unit := map[string]string{"YEARS": "a", "MONTHS": "mo", "WEEKS": "wk", "DAYS": "d", "HOURS": "h"}[strings.ToUpper(first(d.text(n, "AgeUnits"), "YEARS"))]
		if unit == "" {
			d.rec.Warn(ecg.WarnUnitUnknown, "AgeUnits")
		}
		p.Age = ecg.Quantity{Value: age, Unit: unit}
	}
	p.HeightCM, _ = d.number("HeightCM", d.text(n, "HeightCM"))
	p.WeightKG, _ = d.number("WeightKG", d.text(n, "WeightKG"))
	p.Race = d.text(n, "Race")
}

// clock reads MM-DD-YYYY and HH:MM:SS.
func (d *decoder) clock(date, clock string) ecg.Time {
	raw := strings.TrimSpace(date + " " + clock)
	parts := strings.FieldsFunc(date, func(r rune) bool { return r == '-' || r == '/' })
	if len(parts) != 3 {
		return ecg.Time{Raw: raw}
	}
	numbers := make([]int, 0, 6)
	clockParts := strings.Split(clock, ":")
	if clock == "" {
		clockParts = nil
	}
	for _, s := range append(parts, clockParts...) {
		v, err := strconv.Atoi(s)
		if err != nil {
			return ecg.Time{Raw: raw}
		}
		numbers = append(numbers, v)
	}
	for len(numbers) < 6 {
		numbers = append(numbers, 0)
	}
	if len(numbers) > 6 {
		return ecg.Time{Raw: raw}
	}
	month, day, year := numbers[0], numbers[1], numbers[2]
	if len(parts[0]) == 4 { // exports of some sites are ISO
		year, month, day = numbers[0], numbers[1], numbers[2]
	}
	t := ecg.NewTime(raw, year, month, day, numbers[3], numbers[4], numbers[5], 0, nil)
	t.DateOnly = t.Valid() && clock == ""
	return t
}

func (d *decoder) testDemographics() {
	n := d.test
	d.rec.Device.Model = d.text(n, "AcquisitionDevice")
	d.rec.Device.Software = d.text(n, "AcquisitionSoftwareVersion")
	d.rec.Device.Analysis = d.text(n, "AnalysisSoftwareVersion")
	d.rec.Device.Station = d.text(n, "CartNumber")
	c := &d.rec.Context
	c.Institution = first(d.text(n, "SiteName"), d.text(n, "Site"))
	c.Location = first(d.text(n, "LocationName"), d.text(n, "Location"))
	if room := d.text(n, "RoomID"); room != "" {
		c.Location = strings.TrimSpace(c.Location + " " + room)
	}
	c.Reason = d.text(n, "TestReason")
	c.Operator = d.text(n, "AcquisitionTechLastName")
	c.ReferringPhysician = strings.TrimRight(d.text(n, "ReferringMDLastName")+"^"+d.text(n, "ReferringMDFirstName"), "^")
	if date := d.text(n, "AcquisitionDate"); date != "" {
		if d.rec.Acquired = d.clock(date, d.text(n, "AcquisitionTime")); !d.rec.Acquired.Valid() {
			d.rec.Warn(ecg.WarnTime, "AcquisitionDate")
		}
	}
}

// lines joins the pieces of a diagnosis into lines.
func (d *decoder) lines(n *xmltext.Node) []string {
	var out []string
	var line strings.Builder
	end := func() {
		if s := strings.Join(strings.Fields(line.String()), " "); s != "" {
			out = append(out, s)
		}
		line.Reset()
	}
	for _, s := range n.All("DiagnosisStatement") {
		if text := d.text(s, "StmtText"); text != "" {
			if line.Len() > 0 {
				line.WriteByte(' ')
			}
			line.WriteString(text)
		}
		for _, flag := range s.All("StmtFlag") {
			if strings.EqualFold(flag.Text, "ENDSLINE") {
				end()
				break
			}
		}
	}
	end()
	return out
}

// statements keeps both readings: the machine's own, and what stands now where somebody confirmed or changed
// it.
func (d *decoder) statements() error {
	machine, now := d.lines(d.original), d.lines(d.diagnosis)
	if len(machine)+len(now) > d.lim.Statements {
		return reject.New(reject.TooManyElements, op, "more than %d statements", d.lim.Statements)
	}
	confirmed := strings.EqualFold(d.text(d.test, "Status"), "CONFIRMED")
	add := func(lines []string, s ecg.Statement) {
		for _, s.Text = range lines {
			d.rec.Statements = append(d.rec.Statements, s)
		}
	}
	edited := confirmed || len(machine) > 0 && strings.Join(machine, "\n") != strings.Join(now, "\n")
	if !edited {
		if len(now) == 0 {
			now = machine
		}
		add(now, ecg.Statement{Author: ecg.Machine, Status: ecg.Unconfirmed})
		return nil
	}
	s := ecg.Statement{Author: ecg.OverRead, Status: ecg.Unconfirmed}
	if confirmed {
		s.Status = ecg.Confirmed
	}
	s.Name = strings.TrimRight(d.text(d.test, "OverreaderLastName")+"^"+d.text(d.test, "OverreaderFirstName"), "^")
	if date := d.text(d.test, "EditDate"); date != "" {
		s.Time = d.clock(date, d.text(d.test, "EditTime"))
	}
	add(now, s)
	add(machine, ecg.Statement{Author: ecg.Machine, Status: ecg.Unconfirmed})
	return nil
}

var kinds = map[string]struct {
	kind    ecg.MeasurementKind
	unit    string
	formula string
}{
	"VentricularRate": {ecg.VentricularRate, "/min", ""}, "AtrialRate": {ecg.AtrialRate, "/min", ""},
	"PRInterval": {ecg.PRInterval, "ms", ""}, "QRSDuration": {ecg.QRSDuration, "ms", ""},
	"QTInterval": {ecg.QTInterval, "ms", ""}, "QTCorrected": {ecg.QTcInterval, "ms", ecg.Bazett},
	"QTcFrederica": {ecg.QTcInterval, "ms", ecg.Fridericia}, "PAxis": {ecg.PAxis, "deg", ""}, "RAxis": {ecg.QRSAxis, "deg", ""},
	"TAxis": {ecg.TAxis, "deg", ""}, "QRSCount": {ecg.QRSCount, "1", ""},
	"POnset": {ecg.POnset, "sample", ""}, "POffset": {ecg.POffset, "sample", ""}, "QOnset": {ecg.QRSOnset, "sample", ""},
	"QOffset": {ecg.QRSOffset, "sample", ""}, "TOffset": {ecg.TOffset, "sample", ""},
}

func (d *decoder) measurements() {
	median := -1
	for i, g := range d.rec.Groups {
		if g.Kind == ecg.Median {
			median = i
			break
		}
	}
	current := map[string]string{}
	for _, block := range []struct {
		n        *xmltext.Node
		original bool
	}{{d.measured, false}, {d.measuredOrig, true}} {
		if block.n == nil {
			continue
		}
		base, ok := d.number("ECGSampleBase", d.text(block.n, "ECGSampleBase"))
		if exponent, err := strconv.Atoi(first(d.text(block.n, "ECGSampleExponent"), "0")); err == nil && exponent >= -9 && exponent <= 9 {
			base = base.Pow10(exponent)
		} else {
			ok = false
		}
		for _, c := range block.n.Children {
			if c.Text == "" || len(c.Children) > 0 || len(c.Text) > d.lim.Text || len(d.rec.Measurements) >= d.lim.Annotations {
				continue
			}
			m := ecg.Measurement{Name: c.Name, Raw: c.Text, Group: -1}
			if block.original {
				if current[c.Name] == c.Text {
					continue // nobody changed it
				}
				m.Name = "Original" + c.Name // of no kind: what stands now counts
			} else {
				current[c.Name] = c.Text
			}
			value, err := ecg.ParseRat(c.Text)
			m.Value, m.Valid = value, err == nil
			k := kinds[c.Name]
			m.Unit, m.Formula = k.unit, k.formula
			if !block.original {
				m.Kind = k.kind
			}
			if k.unit == "sample" {
				m.Unit, m.Group = "ms", median
				var divisible bool
				m.Value, divisible = m.Value.Mul(ecg.Int(1000)).Quo(base)
				m.Valid = m.Valid && ok && divisible
			}
			d.rec.Measurements = append(d.rec.Measurements, m)
		}
	}
}

// beats marks the QRS complexes of the rhythm, whose times are in ms: in files with a known rate of beats and
// of samples only ms fit both.
func (d *decoder) beats() {
	rhythm := -1
	for i, g := range d.rec.Groups {
		if g.Kind == ecg.Rhythm {
			rhythm = i
			break
		}
	}
	for _, q := range d.qrs.All("QRS") {
		if len(d.rec.Annotations) >= d.lim.Annotations {
			d.rec.Warn(ecg.WarnAnnotationsCut, "QRSTimesTypes")
			return
		}
		if at, ok := d.number("QRSTimesTypes", d.text(q, "Time")); ok && rhythm >= 0 {
			d.rec.Annotations = append(d.rec.Annotations, ecg.Annotation{Kind: ecg.Beat, Group: rhythm, Onset: at, Code: d.text(q, "Type")})
		}
	}
}
