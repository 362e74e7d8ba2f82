package dicomwave

import (
	"strings"

	"github.com/tributary-dicom/tributary/parsers/ecg"
	"github.com/tributary-dicom/tributary/parsers/uid"
)

// header reads what is not waveform.
func (d *decoder) header() {
	h := d.head
	p := &d.rec.Patient
	p.ID, p.Name = h.text("00100020"), h.name("00100010")
	if issuer := h.text("00100021"); issuer != "" && p.ID != "" {
		p.IDs = append(p.IDs, ecg.Identifier{Issuer: issuer, Value: p.ID})
	}
	if sex := strings.ToUpper(h.text("00100040")); sex == "M" || sex == "F" || sex == "O" {
		p.Sex = sex
	}
	if p.BirthRaw = h.text("00100030"); p.BirthRaw != "" {
		if t := ecg.ParseTime(p.BirthRaw); t.Valid() {
			p.BirthDate = t.Time.Format("2006-01-02")
		} else {
			d.rec.Warn(ecg.WarnTime, "00100030")
		}
	}
	if age := h.text("00101010"); len(age) == 4 { // AS: nnnD, nnnW, nnnM or nnnY
		if v, err := ecg.ParseRat(age[:3]); err == nil {
			if unit := map[byte]string{'D': "d", 'W': "wk", 'M': "mo", 'Y': "a"}[age[3]]; unit != "" {
				p.Age = ecg.Quantity{Value: v, Unit: unit}
			}
		}
	}
	if metres, ok := h.number("00101020"); ok {
		p.HeightCM = metres.Mul(ecg.Int(100))
	}
	p.WeightKG, _ = h.number("00101030")
	p.Race = h.text("00102160")
	for tag, list := range map[string]*[]string{"001021B0": &p.Remarks, "00104000": &p.Remarks} {
		if s := h.text(tag); s != "" {
			*list = append(*list, s)
		}
	}
	d.rec.Device = ecg.Device{
		Maker: h.text("00080070"), Model: h.text("00081090"), Serial: h.text("00181000"),
		Software: strings.Join(h.strings("00181020"), " "), Station: h.text("00081010"),
	}
	d.rec.Context = ecg.Context{
		AccessionNumber: h.text("00080050"), OrderNumber: h.text("00402017"), Institution: h.text("00080080"),
		Department: h.text("00081040"), Location: h.text("00380300"), Operator: h.name("00081070"),
		ReferringPhysician: h.name("00080090"), Reason: h.text("00321030"),
	}
	if study := h.text("0020000D"); uid.ValidLenient(study) == nil {
		d.rec.Context.StudyInstanceUID = study
	}
	d.acquired()
	d.placement()
}

// acquired reads Acquisition DateTime (0008,002A), or the next best pair of date and time, and the zone that
// either has.
func (d *decoder) acquired() {
	h := d.head
	raw := h.text("0008002A")
	for _, pair := range [][2]string{{"00080022", "00080032"}, {"00080023", "00080033"}, {"00080020", "00080030"}} {
		if raw != "" {
			break
		}
		if raw = h.text(pair[0]); raw != "" {
			raw += h.text(pair[1])
		}
	}
	if raw == "" {
		return
	}
	t := ecg.ParseTime(raw)
	if zone := h.text("00080201"); t.Valid() && !t.ZoneKnown && !t.DateOnly && len(zone) == 5 {
		if zoned := ecg.ParseTime(raw + zone); zoned.Valid() {
			t = zoned
			t.Raw = raw
		}
	}
	if !t.Valid() {
		d.rec.Warn(ecg.WarnTime, "0008002A")
	}
	d.rec.Acquired = t
}

// placement reads where the electrodes were from Acquisition Context (0040,0555), TID 3401.
func (d *decoder) placement() {
	for _, item := range d.head.items("00400555", 64) {
		concept := strings.ToLower(item.code("0040A043").meaning)
		if !strings.Contains(concept, "electrode placement") && !strings.Contains(concept, "lead system") {
			continue
		}
		value := item.code("0040A168").meaning
		lower := strings.ToLower(value)
		if value == "" || strings.Contains(lower, "unspecified") || strings.HasPrefix(lower, "standard") {
			continue
		}
		for _, g := range d.rec.Groups {
			for i := range g.Leads {
				if g.Leads[i].Placement == "" && g.Leads[i].Code != "" {
					g.Leads[i].Placement = value
				}
			}
		}
	}
}
