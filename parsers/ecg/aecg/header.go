package aecg

import (
	"strings"

	"github.com/tributary-dicom/tributary/parsers/ecg"
	"github.com/tributary-dicom/tributary/parsers/ecg/xmltext"
)

// header reads one of the document's parts without samples.
func (d *decoder) header(n *xmltext.Node) {
	switch n.Name {
	case "id":
		root, extension := d.cut(n.Get("root")), d.cut(n.Get("extension"))
		d.rec.DocumentID = root
		if extension != "" {
			d.rec.DocumentID = strings.TrimPrefix(root+"/"+extension, "/")
		}
	case "effectiveTime":
		d.document = d.span(n, "effectiveTime")
	case "componentOf":
		d.visit(n)
	case "location":
		if site := d.text(n, "testingSite", "location", "name"); site != "" {
			d.rec.Context.Institution = site
		}
	case "controlVariable":
		o := n.At("relatedObservation")
		// LOINC 21612-7, reported age.
		if o.At("code").Get("code") == "21612-7" {
			d.age(o.At("value").Get("value"), o.At("value").Get("unit"))
		}
	case "pertainsTo":
		if remark := d.text(n, "subjectFindingComment", "text"); remark != "" {
			d.rec.Patient.Remarks = append(d.rec.Patient.Remarks, remark)
		}
	}
}

// visit reads what the recording was made for: subject, trial and site.
func (d *decoder) visit(n *xmltext.Node) {
	if s := n.Find("trialSubject"); s != nil {
		d.subject(s)
	}
	c := &d.rec.Context
	if site := n.Find("trialSite"); site != nil && c.Institution == "" {
		c.Institution = d.text(site, "location", "name")
	}
	if doctor := n.Find("investigatorPerson"); doctor != nil {
		c.ReferringPhysician = d.name(doctor.At("name"))
	}
}

func (d *decoder) subject(n *xmltext.Node) {
	p := &d.rec.Patient
	for _, id := range n.All("id") {
		value := d.cut(id.Get("extension"))
		if value == "" || len(p.IDs) >= 32 {
			continue
		}
		p.IDs = append(p.IDs, ecg.Identifier{Issuer: d.cut(id.Get("root")), Value: value})
		p.ID = first(p.ID, value)
	}
	who := n.At("subjectDemographicPerson")
	p.Name = d.name(who.At("name"))
	switch strings.ToUpper(strings.TrimSpace(who.At("administrativeGenderCode").Get("code"))) {
	case "M", "MALE", "男":
		p.Sex = "M"
	case "F", "FEMALE", "女":
		p.Sex = "F"
	}
	p.BirthRaw = d.cut(who.At("birthTime").Get("value"))
	if t := d.time(p.BirthRaw, "birthTime"); t.Valid() {
		p.BirthDate = t.Time.Format("2006-01-02")
	}
	race := who.At("raceCode")
	p.Race = d.cut(first(race.Get("displayName"), race.Get("code")))

	// Mindray's own.
	for _, name := range []string{"PatientID", "SecondPatientID"} {
		if id := d.text(who, name); id != "" {
			p.ID = first(p.ID, id)
		}
	}
	d.age(who.TextAt("Age"), "")
	switch paced := d.text(who, "Paced"); strings.ToLower(paced) {
	case "true", "yes", "1":
		d.rec.Pacing = ecg.Pacing{Known: true, Paced: true, Text: paced}
	case "false", "no", "0":
		d.rec.Pacing = ecg.Pacing{Known: true, Text: paced}
	}
	for _, m := range who.At("Medications").All("Medication") {
		if drug := d.cut(m.Text); drug != "" && len(p.Medication) < d.lim.Statements {
			p.Medication = append(p.Medication, drug)
		}
	}
	c := &d.rec.Context
	c.Location = strings.Join(strings.Fields(d.text(who, "PointOfCare")+" "+d.text(who, "Room")+" "+d.text(who, "Bed")), " ")
}

// age reads a number of years, or of the unit given or written behind it.
func (d *decoder) age(value, unit string) {
	value = strings.TrimSpace(value)
	if value == "" {
		return
	}
	if i := strings.IndexFunc(value, func(c rune) bool { return (c < '0' || c > '9') && c != '.' }); i > 0 {
		value, unit = value[:i], first(strings.TrimSpace(value[i:]), unit)
	}
	years, ok := d.number("age", value)
	if !ok {
		return
	}
	u := map[string]string{
		"": "a", "a": "a", "y": "a", "year": "a", "years": "a", "岁": "a", "mo": "mo", "m": "mo", "months": "mo", "月": "mo", "个月": "mo",
		"wk": "wk", "w": "wk", "weeks": "wk", "周": "wk", "d": "d", "days": "d", "天": "d", "日": "d", "h": "h",
	}[strings.ToLower(unit)]
	if u == "" {
		d.rec.Warn(ecg.WarnUnitUnknown, "age")
		return
	}
	d.rec.Patient.Age = ecg.Quantity{Value: years, Unit: u}
}

// name reads a PN: family and given parts where it has them, and text as it stands otherwise.
func (d *decoder) name(n *xmltext.Node) string {
	family, given := d.text(n, "family"), ""
	for i, g := range n.All("given") {
		part := d.cut(g.Text)
		if i > 0 && part != "" {
			part = "^" + part
		}
		given += part
	}
	if family == "" && given == "" {
		return d.text(n)
	}
	return strings.TrimRight(family+"^"+given, "^")
}

// device reads a series' author.
func (d *decoder) device(n *xmltext.Node) {
	dev := &d.rec.Device
	if dev.Model != "" || dev.Maker != "" {
		return // of the first series
	}
	dev.Model = d.find(n, "manufacturerModelName")
	dev.Software = d.find(n, "softwareName")
	dev.Serial = d.find(n, "SerialNumber")
	for _, name := range []string{"manufacturedSeriesDevice", "manufacturedDevice"} {
		// The guide keeps a device's number in its id; "0" stands for none.
		if id := d.cut(n.Find(name).At("id").Get("extension")); dev.Serial == "" && id != "0" {
			dev.Serial = id
		}
	}
	dev.Maker = d.text(n.Find("manufacturerOrganization"), "name")
}

func (d *decoder) find(n *xmltext.Node, name string) string { return d.text(n.Find(name)) }

// filters adds what a controlVariable of a series says about filters.
func (d *decoder) filters(f *ecg.Filters, n *xmltext.Node) {
	outer := n
	if inner := n.At("controlVariable"); inner != nil {
		outer = inner
	}
	var target *ecg.Rat
	switch code := strings.ToUpper(outer.At("code").Get("code")); {
	case strings.Contains(code, "FILTER_LOW_PASS"):
		target = &f.LowPassHz
	case strings.Contains(code, "FILTER_HIGH_PASS"):
		target = &f.HighPassHz
	case strings.Contains(code, "FILTER_NOTCH"):
		target = &f.NotchHz
	default:
		return
	}
	for _, c := range outer.All("component") {
		v := c.At("controlVariable", "value")
		switch code := strings.ToUpper(c.At("controlVariable", "code").Get("code")); {
		case strings.HasSuffix(code, "_FREQ"):
			if hz, ok := d.number("filter", v.Get("value")); ok && (v.Get("unit") == "" || strings.EqualFold(v.Get("unit"), "Hz")) {
				*target = hz
			}
		case strings.HasSuffix(code, "_DESCRIPTION"):
			if kind := d.cut(first(v.Text, v.Get("value"))); kind != "" && len(f.Text) < 256 {
				f.Text = strings.TrimLeft(f.Text+"; "+kind, "; ")
			}
		}
	}
}
