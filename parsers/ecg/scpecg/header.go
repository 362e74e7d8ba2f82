package scpecg

import (
	"fmt"
	"strconv"
	"strings"
	"time"

	"github.com/tributary-dicom/tributary/parsers/ecg"
)

// header is what section 1 says that other sections need.
type header struct {
	zone      *time.Location // tag 34
	confirmer string         // tag 21
	filters   ecg.Filters
	placement string
	hasHigh   bool // the baseline filter is still to be read: its unit depends on the maker
	highPass  int
}

// Tags of section 1 (§5.4.5).
const (
	tagLastName         = 0
	tagFirstName        = 1
	tagPatientID        = 2
	tagSecondLastName   = 3
	tagAge              = 4
	tagBirthDate        = 5
	tagHeight           = 6
	tagWeight           = 7
	tagSex              = 8
	tagRace             = 9
	tagDrug             = 10
	tagSystolic         = 11
	tagDiastolic        = 12
	tagIndication       = 13
	tagAcquiringDevice  = 14
	tagAnalysingDevice  = 15
	tagInstitution      = 16
	tagAnalysingInst    = 17
	tagDepartment       = 18
	tagAnalysingDept    = 19
	tagReferring        = 20
	tagConfirming       = 21
	tagTechnician       = 22
	tagRoom             = 23
	tagStat             = 24
	tagDate             = 25
	tagTime             = 26
	tagBaselineFilter   = 27
	tagLowPassFilter    = 28
	tagFilterBits       = 29
	tagFreeText         = 30
	tagSequenceNumber   = 31
	tagHistoryCodes     = 32
	tagElectrodes       = 33
	tagTimeZone         = 34
	tagHistoryText      = 35
	tagEnd              = 255
	languageOffset      = 16 // of the language support code in tag 14
	minutesUndefined    = 0x7FFF
	maxTagsOfOnePatient = 4096
)

// tagged is one field of section 1.
type tagged struct {
	tag   int
	value []byte
}

// section1 reads patient, devices and acquisition.
func (d *decoder) section1() error {
	d.text, _ = newTextReader(0)
	b, ok, err := d.body(1, false)
	if err != nil {
		return err
	}
	if !ok {
		d.rec.Warn(ecg.WarnLayout, "section 1 is missing")
		return nil
	}
	var tags []tagged
	for f := (fields{b: b}); len(f.b) > 0; {
		tag := f.u8()
		if tag == tagEnd {
			break
		}
		value := f.take(f.u16())
		if f.short {
			d.rec.Warn(ecg.WarnTruncated, "section 1")
			break
		}
		if len(tags) == maxTagsOfOnePatient {
			d.rec.Warn(ecg.WarnValueCut, "section 1")
			break
		}
		tags = append(tags, tagged{tag, value})
	}
	// The language comes with the device, behind the texts that need it.
	for _, t := range tags {
		if t.tag == tagAcquiringDevice && len(t.value) > languageOffset {
			reader, known := newTextReader(t.value[languageOffset])
			if !known {
				d.rec.Warn(ecg.WarnCharset, fmt.Sprintf("section 1 tag 14: language %02XH", t.value[languageOffset]))
			}
			d.text = reader
		}
	}
	var n names
	var when clock
	for _, t := range tags {
		if len(t.value) == 0 {
			continue // not defined
		}
		if !d.patientTag(t, &n) && !d.contextTag(t) && !d.acquisitionTag(t, &when) {
			d.rec.Warn(ecg.WarnUnsupportedPart, "section 1 tag "+strconv.Itoa(t.tag))
		}
	}
	d.rec.Patient.Name = n.String()
	d.rec.Acquired = when.acquired(d.header.zone)
	if d.rec.Acquired.Raw != "" && !d.rec.Acquired.Valid() {
		d.rec.Warn(ecg.WarnTime, "section 1 tag 25")
	}
	d.baselineFilter()
	return nil
}

// names are the parts of a name as the record has them.
type names struct{ last, second, first string }

// String returns Family^Given.
func (n names) String() string {
	family := strings.TrimSpace(n.last + " " + n.second)
	return strings.TrimRight(family+"^"+n.first, "^")
}

func (t tagged) where() string { return "section 1 tag " + strconv.Itoa(t.tag) }

func (d *decoder) tagText(t tagged) string { return d.string(t.value, t.where()) }

// quantity reads a number with a unit code; 0 means unspecified and so does unit 0.
func quantity(t tagged) (value int64, unit int) {
	f := fields{b: t.value}
	v, u := f.u16(), f.u8()
	if f.short {
		return 0, 0
	}
	return int64(v), u
}

// patientTag takes in a tag about the patient; false when the tag is none.
func (d *decoder) patientTag(t tagged, n *names) bool {
	p := &d.rec.Patient
	switch t.tag {
	case tagLastName:
		n.last = d.tagText(t)
	case tagFirstName:
		n.first = d.tagText(t)
	case tagSecondLastName:
		n.second = d.tagText(t)
	case tagPatientID:
		p.ID = d.tagText(t)
	case tagAge:
		if v, u := quantity(t); u >= 1 && u <= 5 {
			p.Age = ecg.Quantity{Value: ecg.Int(v), Unit: [...]string{"", "a", "mo", "wk", "d", "h"}[u]}
		}
	case tagBirthDate:
		d.birth(t)
	case tagHeight:
		switch v, u := quantity(t); u {
		case 1:
			p.HeightCM = ecg.Int(v)
		case 2: // inches
			p.HeightCM = ecg.Int(v).Mul(ecg.Frac(254, 100))
		case 3: // mm
			p.HeightCM = ecg.Frac(v, 10)
		}
	case tagWeight:
		switch v, u := quantity(t); u {
		case 1:
			p.WeightKG = ecg.Int(v)
		case 2: // g
			p.WeightKG = ecg.Frac(v, 1000)
		case 3: // pounds
			p.WeightKG = ecg.Int(v).Mul(ecg.Frac(45359237, 100000000))
		case 4: // ounces
			p.WeightKG = ecg.Int(v).Mul(ecg.Frac(45359237, 1600000000))
		}
	case tagSex:
		switch t.value[0] {
		case 1:
			p.Sex = "M"
		case 2:
			p.Sex = "F"
		}
	case tagRace:
		switch t.value[0] {
		case 1:
			p.Race = "Caucasian"
		case 2:
			p.Race = "Black"
		case 3:
			p.Race = "Oriental"
		}
	case tagDrug:
		d.drug(t)
	case tagSystolic, tagDiastolic:
		name := "systolic blood pressure"
		if t.tag == tagDiastolic {
			name = "diastolic blood pressure"
		}
		if f := (fields{b: t.value}); len(t.value) >= 2 {
			v := f.u16()
			d.measure(ecg.Measurement{Name: name, Unit: "mm[Hg]", Group: -1}, v, v != 0)
		}
	case tagFreeText, tagHistoryText:
		d.remark(d.tagText(t))
	case tagHistoryCodes:
		var codes []string
		for _, c := range t.value[1:min(len(t.value), 64)] {
			codes = append(codes, strconv.Itoa(int(c)))
		}
		if len(codes) > 0 {
			d.remark(fmt.Sprintf("medical history codes %s of table %d", strings.Join(codes, ", "), t.value[0]))
		}
	default:
		return false
	}
	return true
}

func (d *decoder) remark(text string) {
	if p := &d.rec.Patient; text != "" && len(p.Remarks) < d.lim.Statements {
		p.Remarks = append(p.Remarks, text)
	}
}

// drug reads a drug: table, class, code within the class, and text.
func (d *decoder) drug(t tagged) {
	f := fields{b: t.value}
	table, class, code := f.u8(), f.u8(), f.u8()
	text := d.string(f.b, t.where())
	if text == "" && !f.short {
		text = fmt.Sprintf("drug %d.%d of table %d", class, code, table)
	}
	if p := &d.rec.Patient; text != "" && len(p.Medication) < d.lim.Statements {
		p.Medication = append(p.Medication, text)
	}
}

func (d *decoder) birth(t tagged) {
	f := fields{b: t.value}
	year, month, day := f.u16(), f.u8(), f.u8()
	if f.short || year == 0 && month == 0 && day == 0 {
		return
	}
	raw := fmt.Sprintf("%04d-%02d-%02d", year, month, day)
	d.rec.Patient.BirthRaw = raw
	if ecg.NewTime(raw, year, month, day, 0, 0, 0, 0, nil).Valid() {
		d.rec.Patient.BirthDate = raw
	} else {
		d.rec.Warn(ecg.WarnTime, t.where())
	}
}

// contextTag takes in a tag about place, people and devices; false when the tag is none.
func (d *decoder) contextTag(t tagged) bool {
	c := &d.rec.Context
	switch t.tag {
	case tagAcquiringDevice, tagAnalysingDevice:
		d.device(t)
	case tagInstitution:
		c.Institution = d.tagText(t)
	case tagDepartment:
		c.Department = d.tagText(t)
	case tagAnalysingInst, tagAnalysingDept: // where it was read, not where the patient was
		if text := d.tagText(t); text != "" {
			d.remark("analysed by " + text)
		}
	case tagReferring:
		c.ReferringPhysician = d.tagText(t)
	case tagConfirming:
		d.header.confirmer = d.tagText(t)
	case tagTechnician:
		c.Operator = d.tagText(t)
	case tagRoom:
		c.Location = d.tagText(t)
	case tagIndication:
		c.Reason = d.tagText(t)
	case tagSequenceNumber:
		d.rec.DocumentID = d.tagText(t)
	case tagStat:
		if v := int(t.value[0]); v != 0 {
			d.measure(ecg.Measurement{Name: "stat code", Unit: "1", Group: -1}, v, true)
		}
	default:
		return false
	}
	return true
}

// clock is when the recording was made.
type clock struct {
	date, time           bool
	year, month, day     int
	hour, minute, second int
}

func (c clock) raw() string {
	raw := fmt.Sprintf("%04d-%02d-%02d", c.year, c.month, c.day)
	if c.time {
		raw += fmt.Sprintf(" %02d:%02d:%02d", c.hour, c.minute, c.second)
	}
	return raw
}

// acquired returns the time; zero where the record has no date.
func (c clock) acquired(zone *time.Location) ecg.Time {
	if !c.date || c.year == 0 && c.month == 0 && c.day == 0 {
		return ecg.Time{}
	}
	t := ecg.NewTime(c.raw(), c.year, c.month, c.day, c.hour, c.minute, c.second, 0, zone)
	t.DateOnly = t.Valid() && !c.time
	return t
}

// acquisitionTag takes in a tag about the recording; false when the tag is none.
func (d *decoder) acquisitionTag(t tagged, when *clock) bool {
	f := fields{b: t.value}
	switch t.tag {
	case tagDate:
		when.year, when.month, when.day = f.u16(), f.u8(), f.u8()
		when.date = !f.short
	case tagTime:
		when.hour, when.minute, when.second = f.u8(), f.u8(), f.u8()
		when.time = !f.short
	case tagTimeZone:
		if minutes := f.i16(); !f.short && minutes != minutesUndefined && minutes >= -12*60 && minutes <= 14*60 {
			d.header.zone = time.FixedZone("", minutes*60)
		}
	case tagBaselineFilter:
		d.header.highPass = f.u16()
		d.header.hasHigh = !f.short
	case tagLowPassFilter:
		d.header.filters.LowPassHz = ecg.Int(int64(f.u16()))
	case tagFilterBits:
		bits := f.u8()
		switch bits & 3 {
		case 1:
			d.header.filters.NotchHz = ecg.Int(60)
		case 2:
			d.header.filters.NotchHz = ecg.Int(50)
		}
		var text []string
		for i, name := range []string{"60 Hz notch", "50 Hz notch", "artifact filter", "baseline filter"} {
			if bits>>i&1 != 0 {
				text = append(text, name)
			}
		}
		d.header.filters.Text = strings.Join(text, ", ")
	case tagElectrodes:
		if code := f.u8(); code > 1 { // 0 unspecified, 1 standard
			d.header.placement = "SCP-ECG electrode configuration " + strconv.Itoa(code)
		}
	default:
		return false
	}
	return true
}

// baselineFilter takes the lower edge of the band: 1/100 Hz by the standard, and 1/10000 Hz from carts that
// say 500 for 0.05 Hz (Burdick, Spacelabs). No cart cuts off at 5 Hz.
func (d *decoder) baselineFilter() {
	if !d.header.hasHigh || d.header.highPass == 0 {
		return
	}
	unit := int64(100)
	if d.header.highPass >= 300 {
		unit = 10_000
		d.rec.Warn(ecg.WarnLayout, "section 1 tag 27 in 1/10000 Hz")
	}
	d.header.filters.HighPassHz = ecg.Frac(int64(d.header.highPass), unit)
}
