package sierra

import (
	"strings"

	"github.com/tributary-dicom/tributary/parsers/ecg"
	"github.com/tributary-dicom/tributary/parsers/ecg/xmltext"
	"github.com/tributary-dicom/tributary/parsers/reject"
)

// versions are the types and versions whose schemas are.
var versions = map[string]string{"1.03": "SierraECG", "1.04": "PhilipsECG", "1.04.01": "PhilipsECG", "1.04.02": "PhilipsECG"}

// header reads one of the blocks without samples.
func (d *decoder) header(n *xmltext.Node) {
	c := &d.rec.Context
	switch n.Name {
	case "documentinfo":
		d.rec.DocumentID = strings.TrimSuffix(d.text(n, "documentname"), ".xml")
		d.rec.FormatVersion = d.text(n, "documentversion")
		if versions[d.rec.FormatVersion] != d.text(n, "documenttype") {
			d.rec.Warn(ecg.WarnLayout, "documenttype")
		}
	case "orderinfo":
		c.OrderNumber = d.text(n, "ordernumber")
		c.Reason = d.text(n, "reasonfororder")
	case "reportinfo":
		d.display = d.cut(n.TextAt("reportformat", "waveformformat", "mainwaveformformat"))
	case "dataacquisition":
		d.rec.Acquired = d.clock(n, "dataacquisition")
		m := n.At("machine")
		d.rec.Device.Model, d.rec.Device.Software, d.rec.Device.Station = d.text(m), d.cut(m.Get("detaildescription")), d.cut(m.Get("machineid"))
		a := n.At("acquirer")
		c.Institution = first(d.text(a, "institutionname"), d.text(a, "facilityname"))
		c.Department = first(d.text(a, "departmentname"), d.text(a, "departmentid"))
		c.Location = strings.TrimSpace(d.text(a, "room") + " " + d.text(a, "bed"))
		c.Operator = first(d.text(a, "operator"), d.cut(a.At("operator").Get("id")), d.text(a, "operatorid"))
		for _, who := range []string{"referringclinician", "orderingclinician"} {
			if doctor := d.text(a, who); strings.Trim(doctor, " ,") != "" {
				c.ReferringPhysician = first(c.ReferringPhysician, doctor)
			}
		}
		d.signal = n.At("signalcharacteristics")
	case "patient":
		d.patient(n)
	case "interpretations":
		d.interpret = n.All("interpretation")
	}
}

// clock reads attributes date and time.
func (d *decoder) clock(n *xmltext.Node, where string) ecg.Time {
	date, clock := d.cut(n.Get("date")), d.cut(n.Get("time"))
	if date == "" {
		return ecg.Time{}
	}
	t := ecg.ParseTime(strings.TrimSuffix(date+"T"+clock, "T"))
	if !t.Valid() {
		d.rec.Warn(ecg.WarnTime, where)
	}
	return t
}

func (d *decoder) patient(n *xmltext.Node) {
	p := &d.rec.Patient
	n = n.At("generalpatientdata")
	p.ID = d.text(n, "patientid")
	for _, id := range []string{"patientid", "MRN", "secondaryid", "uniquepatientid"} {
		if v := d.text(n, id); v != "" && (id == "patientid" || v != p.ID) {
			p.IDs = append(p.IDs, ecg.Identifier{Issuer: id, Value: v})
			p.ID = first(p.ID, v)
		}
	}
	// Of a name taken out, the dashes are what stands on the report, and stay.
	p.Name = d.cut(n.TextAt("name", "lastname")) + "^" + d.cut(n.TextAt("name", "firstname")) + "^" + d.text(n, "name", "middlename")
	p.Name = strings.TrimRight(p.Name, "^")
	switch sex := strings.ToLower(d.text(n, "sex")); sex {
	case "male":
		p.Sex = "M"
	case "female":
		p.Sex = "F"
	}
	age := n.At("age")
	if p.BirthRaw = d.text(age, "dateofbirth"); p.BirthRaw != "" {
		if t := ecg.ParseTime(p.BirthRaw); t.Valid() {
			p.BirthDate = t.Time.Format("2006-01-02")
		} else {
			d.rec.Warn(ecg.WarnTime, "dateofbirth")
		}
	}
	for _, u := range [][2]string{{"years", "a"}, {"months", "mo"}, {"weeks", "wk"}, {"days", "d"}, {"hours", "h"}} {
		if v, ok := d.number("age", age.TextAt(u[0])); ok {
			p.Age = ecg.Quantity{Value: v, Unit: u[1]}
			break
		}
	}
	p.HeightCM = d.either(n.At("height"), "cm", "inch", "2.54")
	p.WeightKG = d.either(n.At("weight"), "kg", "lb", "0.45359237")
	p.Race = d.text(n, "race")
	switch paced := d.text(n, "pacestatus"); strings.ToLower(paced) {
	case "", "unknown":
	case "non paced", "not paced", "none":
		d.rec.Pacing = ecg.Pacing{Known: true, Text: paced}
	default:
		d.rec.Pacing = ecg.Pacing{Known: true, Paced: true, Text: paced}
	}
}

// either reads a number in one unit or another.
func (d *decoder) either(n *xmltext.Node, metric, other, factor string) ecg.Rat {
	if v, ok := d.number(metric, n.TextAt(metric)); ok {
		return v
	}
	if v, ok := d.number(other, n.TextAt(other)); ok {
		return v.Mul(ecg.MustRat(factor))
	}
	return ecg.Rat{}
}

// interpretation reads statements, severity and the numbers that stand.
func (d *decoder) interpretation(n *xmltext.Node) error {
	s := ecg.Statement{Author: ecg.Machine, Status: ecg.Unconfirmed}
	if by := n.At("confirmingclinician"); strings.EqualFold(d.status, "Confirmed") || d.text(by) != "" {
		s = ecg.Statement{Author: ecg.OverRead, Status: ecg.Confirmed, Name: d.text(by)}
		if by != nil {
			s.Time = d.clock(by, "confirmingclinician")
		}
	}
	add := func(text, code string) error {
		if text == "" {
			return nil
		}
		if len(d.rec.Statements) >= d.lim.Statements {
			return reject.New(reject.TooManyElements, op, "more than %d statements", d.lim.Statements)
		}
		s.Text, s.Code = text, code
		d.rec.Statements = append(d.rec.Statements, s)
		return nil
	}
	for _, c := range n.All("statement") {
		text, reason := d.text(c, "leftstatement"), d.text(c, "rightstatement")
		if reason != "" {
			text = strings.TrimLeft(text+" | "+reason, " |")
		}
		if err := add(text, d.text(c, "statementcode")); err != nil {
			return err
		}
	}
	// "- ABNORMAL ECG -" with the cart's own dashes.
	if err := add(d.text(n, "severity"), d.cut(n.At("severity").Get("code"))); err != nil {
		return err
	}
	for _, name := range []string{"globalmeasurements", "interpretationmeasurements"} {
		if m := n.At(name); m != nil {
			d.measurements(m)
		}
	}
	return nil
}
