package dicomecg

import (
	"strings"
	"time"

	"github.com/tributary-dicom/tributary/parsers/ecg"
	"github.com/tributary-dicom/tributary/parsers/part10"
	"github.com/tributary-dicom/tributary/parsers/sniff"
	"github.com/tributary-dicom/tributary/parsers/uid"
)

// builder makes the header of an object.
type builder struct {
	rec  *ecg.Recording
	opt  Options
	plan *Plan
	t    *texts
}

// header returns all modules but Waveform and Waveform Annotation.
func (b *builder) header() *dataset {
	d := &dataset{t: b.t}
	b.sopCommon(d)
	b.patient(d)
	b.study(d)
	b.series(d)
	b.equipment(d)
	b.source(d)
	b.identification(d)
	b.synchronization(d)
	b.context(d)
	return d
}

// sopCommon is PS3.3 §C.12.1.
func (b *builder) sopCommon(d *dataset) {
	d.ascii(0x00080005, "CS", string(b.opt.Charset))
	d.ascii(0x00080016, "UI", b.plan.SOPClassUID)
	d.ascii(0x00080018, "UI", b.plan.SOPInstanceUID)
	scheme := d.item()
	scheme.ascii(0x00080102, "SH", private)
	scheme.ascii(0x00080115, "ST", "Tributary: concepts without a public code, named by the file that has them")
	d.items(0x00080110, scheme)
	if t := b.rec.Acquired; t.Valid() && t.ZoneKnown {
		d.ascii(0x00080201, "SH", t.Time.Format("-0700"))
	}
}

// patient is PS3.3 §C.7.1.1 and, for age and size, §C.7.2.2.
func (b *builder) patient(d *dataset) {
	p := &b.rec.Patient
	d.text(0x00100010, "PN", p.Name)
	d.text(0x00100020, "LO", p.ID)
	var others []*dataset
	for _, id := range p.IDs {
		switch {
		case id.Value == "" || len(others) == 32:
		case id.Value == p.ID:
			if id.Issuer != "" {
				d.known(0x00100021, "LO", id.Issuer)
			}
		default:
			i := d.item()
			i.text(0x00100020, "LO", id.Value)
			i.known(0x00100021, "LO", id.Issuer)
			i.ascii(0x00100022, "CS", "TEXT")
			others = append(others, i)
		}
	}
	if len(others) > 0 {
		d.items(0x00101002, others...)
	}
	d.ascii(0x00100030, "DA", birthDate(p.BirthDate))
	sex := p.Sex
	if sex != "M" && sex != "F" && sex != "O" {
		sex = ""
	}
	d.ascii(0x00100040, "CS", sex)
	if age := ageString(p.Age); age != "" {
		d.ascii(0x00101010, "AS", age)
	}
	if p.HeightCM.Sign() > 0 {
		d.number(0x00101020, p.HeightCM.Mul(ecg.Frac(1, 100)), "00101020")
	}
	if p.WeightKG.Sign() > 0 {
		d.number(0x00101030, p.WeightKG, "00101030")
	}
	d.known(0x00102160, "SH", p.Race)
	d.known(0x001021B0, "LT", strings.Join(p.Remarks, "\n"))
	if len(p.Medication) > 0 {
		d.known(0x00104000, "LT", "Medication: "+strings.Join(p.Medication, ", "))
	}
}

func birthDate(iso string) string {
	t, err := time.Parse("2006-01-02", iso)
	if err != nil {
		return ""
	}
	return t.Format("20060102")
}

// ageString returns AS: three digits and D, W, M or Y (PS3.5 §6.2). Fractions are not yet lived.
func ageString(q ecg.Quantity) string {
	unit := map[string]byte{"a": 'Y', "mo": 'M', "wk": 'W', "d": 'D', "h": 'D'}[q.Unit]
	if unit == 0 || q.Value.Sign() < 0 {
		return ""
	}
	v := q.Value
	if q.Unit == "h" {
		v = v.Mul(ecg.Frac(1, 24))
	}
	n, ok := v.Sub(ecg.Frac(1, 2)).Round()
	if whole, is := v.Int64(); is {
		n = whole
	}
	if !ok || n < 0 || n > 999 {
		return ""
	}
	return string([]byte{byte('0' + n/100), byte('0' + n/10%10), byte('0' + n%10), unit})
}

// study is PS3.3 §C.7.2.1.
func (b *builder) study(d *dataset) {
	c := &b.rec.Context
	d.ascii(0x0020000D, "UI", b.plan.StudyInstanceUID)
	date, clock := studyTime(b.rec.Acquired)
	d.ascii(0x00080020, "DA", date)
	d.ascii(0x00080030, "TM", clock)
	d.text(0x00080090, "PN", c.ReferringPhysician)
	d.text(0x00200010, "SH", "")
	d.text(0x00080050, "SH", c.AccessionNumber)
	d.known(0x00321030, "LO", c.Reason)
	d.known(0x00402017, "LO", c.OrderNumber)
	d.known(0x00380300, "LO", c.Location)
}

func studyTime(t ecg.Time) (date, clock string) {
	if !t.Valid() {
		return "", ""
	}
	if !t.DateOnly {
		clock = timeString(t.Time)
	}
	return t.Time.Format("20060102"), clock
}

// timeString returns TM with a fraction where there is one.
func timeString(t time.Time) string {
	return t.Format("150405") + strings.TrimRight(t.Format(".000000"), ".0")
}

// series is PS3.3 §C.7.3.1.
func (b *builder) series(d *dataset) {
	d.ascii(0x00080060, "CS", "ECG")
	d.ascii(0x0020000E, "UI", b.plan.SeriesInstanceUID)
	d.ascii(0x00200011, "IS", "1")
	date, clock := studyTime(b.rec.Acquired)
	if date != "" {
		d.ascii(0x00080021, "DA", date)
	}
	if clock != "" {
		d.ascii(0x00080031, "TM", clock)
	}
	d.known(0x00081070, "PN", b.rec.Context.Operator)
}

// equipment is PS3.3 §C.7.5.1, and §C.7.5.2 for the class that demands it.
func (b *builder) equipment(d *dataset) {
	v, c := &b.rec.Device, &b.rec.Context
	software := strings.TrimSpace(v.Software)
	if b.plan.SOPClassUID == General32BitECG { // Type 1
		unknown := func(s string) string {
			if strings.TrimSpace(s) == "" {
				return "unknown"
			}
			return s
		}
		d.text(0x00080070, "LO", unknown(v.Maker))
		d.text(0x00081090, "LO", unknown(v.Model))
		d.text(0x00181000, "LO", unknown(v.Serial))
		d.text(0x00181020, "LO", unknown(software))
	} else {
		d.text(0x00080070, "LO", v.Maker)
		d.known(0x00081090, "LO", v.Model)
		d.known(0x00181000, "LO", v.Serial)
		d.known(0x00181020, "LO", software)
	}
	d.known(0x00081010, "SH", v.Station)
	d.known(0x00080080, "LO", c.Institution)
	d.known(0x00081040, "LO", c.Department)
}

// creator is the owner of our private elements (PS3.5 §7.8.1).
const creator = "TRIBUTARY SOURCE"

// source says what the object was made of. A converted file of another kind has no SOP Class that Conversion
// Source Attributes could name, so its hash and UID stand in words where readers look (Contributing
// Equipment, PS3.3 §C.12.1) and in private elements where programs do.
func (b *builder) source(d *dataset) {
	ids := ecg.Identity(b.opt.Tenant, b.opt.SourceSHA256, b.rec)
	hash := strings.ToLower(b.opt.SourceSHA256)
	i := d.item()
	i.code(0x0040A170, code{"109102", "DCM", "Processing Equipment"})
	i.ascii(0x00080070, "LO", "Tributary")
	i.ascii(0x00081090, "LO", "Tributary ECG conversion")
	i.ascii(0x00181020, "LO", part10.ImplementationVersionName)
	i.text(0x0018A003, "ST", "Converted from "+string(b.rec.Format)+", SHA-256 "+hash+", known as "+ids.Source)
	d.items(0x0018A001, i)
	d.ascii(0x00090010, "LO", creator)
	d.ascii(0x00091001, "UI", ids.Source)
	d.ascii(0x00091002, "LO", hash)
	d.text(0x00091003, "LO", string(b.rec.Format))
	d.known(0x00091004, "LO", b.opt.SourceID)
	if b.rec.Format == sniff.DICOM && uid.Valid(b.opt.SourceSOPClass) == nil && uid.Valid(b.rec.DocumentID) == nil {
		from := d.item()
		from.ascii(0x00081150, "UI", b.opt.SourceSOPClass)
		from.ascii(0x00081155, "UI", b.rec.DocumentID)
		d.items(0x00209172, from)
	}
}

// unknownDate stands where a date is of Type 1, the recording has none and nobody knows when it came.
const unknownDate = "19000101"

// identification is PS3.3 §C.10.8.
func (b *builder) identification(d *dataset) {
	d.ascii(0x00200013, "IS", "1")
	t := b.rec.Acquired
	switch {
	case t.Valid() && t.DateOnly:
		date := t.Time.Format("20060102")
		d.ascii(0x0008002A, "DT", date)
		d.ascii(0x00080023, "DA", date)
		d.ascii(0x00080033, "TM", "000000")
	case t.Valid():
		at := t.Time.Format("20060102") + timeString(t.Time)
		if t.ZoneKnown {
			at += t.Time.Format("-0700")
		}
		d.ascii(0x0008002A, "DT", at)
		d.ascii(0x00080023, "DA", t.Time.Format("20060102"))
		d.ascii(0x00080033, "TM", timeString(t.Time))
	case !b.opt.Received.IsZero():
		b.plan.warn(WarnNoTime, "")
		at := b.opt.Received.UTC()
		d.ascii(0x0008002A, "DT", at.Format("20060102")+timeString(at)+"+0000")
		d.ascii(0x00080023, "DA", at.Format("20060102"))
		d.ascii(0x00080033, "TM", timeString(at))
	default:
		b.plan.warn(WarnNoTime, "")
		d.ascii(0x0008002A, "DT", unknownDate)
		d.ascii(0x00080023, "DA", unknownDate)
		d.ascii(0x00080033, "TM", "000000")
	}
}

// synchronization is PS3.3 §C.7.4.2, written when groups begin at different times: only beside it may Multiplex
// Group Time Offset (0018,1068) stand. The frame of reference is the recorder's clock, and this recording's
// alone.
func (b *builder) synchronization(d *dataset) {
	if !b.offset() {
		return
	}
	d.ascii(0x00200200, "UI", uid.FromHash(b.opt.Tenant, []byte(b.plan.SeriesInstanceUID+" clock")))
	d.ascii(0x0018106A, "CS", "NO TRIGGER")
	d.ascii(0x00181800, "CS", "Y")
}

func (b *builder) offset() bool {
	for _, w := range b.plan.waves {
		if !w.group.StartOffset.IsZero() {
			return true
		}
	}
	return false
}

// placements are electrodes other than standard (CID 3263), by words that formats use.
var placements = []struct {
	word string
	code code
}{
	{"mason", code{"10:11266", "MDC", "Mason-Likar lead positions, electrodes placed individually"}},
	{"easi", code{"10:11284", "MDC", "12-lead from EASI leads (ES, AS, AI) by Dower/EASI transformation"}},
	{"frank", code{"10:11274", "MDC", "Frank XYZ lead system"}},
	{"nehb", code{"10:11280", "MDC", "NEHB lead system"}},
}

// context is Acquisition Context (PS3.3 §C.7.6.14, TID 3401): where the electrodes were, if the recording says.
func (b *builder) context(d *dataset) {
	placement := ""
	for _, w := range b.plan.waves {
		for _, i := range w.order {
			if placement == "" {
				placement = w.group.Leads[i].Placement
			}
		}
	}
	for _, p := range placements {
		if strings.Contains(strings.ToLower(placement), p.word) {
			i := d.item()
			i.ascii(0x0040A040, "CS", "CODE")
			i.code(0x0040A043, code{"122141", "DCM", "Electrode Placement"})
			i.code(0x0040A168, p.code)
			d.items(0x00400555, i)
			return
		}
	}
	d.items(0x00400555)
}
