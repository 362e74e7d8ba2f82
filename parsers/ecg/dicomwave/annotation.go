package dicomwave

import (
	"strings"

	"github.com/tributary-dicom/tributary/parsers/ecg"
)

// meanings tells measurements by the words of their concept; codes differ by scheme (SCPECG, MDC, LOINC) and
// devices agree on the words.
var meanings = map[string]ecg.MeasurementKind{
	"rr interval": ecg.RRInterval, "r-r interval": ecg.RRInterval, "pp interval": ecg.PPInterval, "pr interval": ecg.PRInterval,
	"pq interval": ecg.PRInterval, "p duration": ecg.PDuration, "p wave duration": ecg.PDuration, "qrs duration": ecg.QRSDuration,
	"p-r interval": ecg.PRInterval, "q-t interval": ecg.QTInterval, "q-t interval corrected": ecg.QTcInterval, // as LOINC has them
	"qt interval": ecg.QTInterval, "qtc interval": ecg.QTcInterval, "qt dispersion": ecg.QTDispersion,
	"p axis": ecg.PAxis, "qrs axis": ecg.QRSAxis, "t axis": ecg.TAxis, "r axis": ecg.QRSAxis,
	"ventricular heart rate": ecg.VentricularRate, "ventricular rate": ecg.VentricularRate, "heart rate": ecg.VentricularRate,
	"vent rate": ecg.VentricularRate, "atrial heart rate": ecg.AtrialRate, "atrial rate": ecg.AtrialRate,
	"p onset": ecg.POnset, "p offset": ecg.POffset, "qrs onset": ecg.QRSOnset, "qrs offset": ecg.QRSOffset,
	"t onset": ecg.TOnset, "t offset": ecg.TOffset,
}

func kindOf(meaning string) (ecg.MeasurementKind, string) {
	key := strings.ToLower(strings.Join(strings.Fields(meaning), " "))
	formula := ""
	for _, f := range []string{ecg.Bazett, ecg.Fridericia, ecg.Framingham, ecg.Hodges} {
		if strings.HasPrefix(key, "qtc") && strings.Contains(key, f) {
			return ecg.QTcInterval, f
		}
	}
	return meanings[strings.TrimSuffix(key, " global")], formula
}

// annotations reads Waveform Annotation Sequence (0040,B020), PS3.3 §C.10.10.
func (d *decoder) annotations() {
	limit := d.lim.Annotations + d.lim.Statements
	if d.head.get("0040B020").count() > limit {
		d.rec.Warn(ecg.WarnAnnotationsCut, "0040B020")
	}
	for _, item := range d.head.items("0040B020", limit) {
		group, lead := d.channel(item)
		concept := item.code("0040A043")
		value := item.text("0040A30A")
		switch text := item.text("00700006"); {
		case value != "" && concept.meaning != "":
			d.measure(item, concept, value, group, lead)
		case d.place(item, concept, text, group, lead):
		case text != "":
			d.state(ecg.Statement{Text: text})
		case item.code("0040A168").meaning != "":
			c := item.code("0040A168")
			d.state(ecg.Statement{Text: c.meaning, Code: c.value})
		case concept.meaning != "":
			d.state(ecg.Statement{Text: concept.meaning, Code: concept.value})
		}
	}
}

func (d *decoder) state(s ecg.Statement) {
	if len(d.rec.Statements) >= d.lim.Statements {
		d.rec.Warn(ecg.WarnAnnotationsCut, "statements")
		return
	}
	// The object does not say who read; a cart writes it before anybody could.
	s.Author, s.Status = ecg.Machine, ecg.Unconfirmed
	d.rec.Statements = append(d.rec.Statements, s)
}

// channel reads the first pair of Referenced Waveform Channels (0040,A0B0): multiplex group and channel, both
// from 1; channel 0 is the whole group.
func (d *decoder) channel(item dataset) (group int, lead string) {
	group = -1
	pair := item.strings("0040A0B0")
	if len(pair) < 2 {
		return group, ""
	}
	m, merr := ecg.ParseRat(pair[0])
	c, cerr := ecg.ParseRat(pair[1])
	if merr != nil || cerr != nil {
		return group, ""
	}
	mi, _ := m.Int64()
	if g, ok := d.groups[int(mi)]; ok {
		group = g
		if ci, _ := c.Int64(); ci >= 1 && ci <= int64(len(d.rec.Groups[g].Leads)) && len(pair) == 2 {
			lead = d.rec.Groups[g].Leads[ci-1].Name
		}
	}
	return group, lead
}

func (d *decoder) measure(item dataset, concept code, raw string, group int, lead string) {
	if len(d.rec.Measurements) >= d.lim.Annotations {
		d.rec.Warn(ecg.WarnAnnotationsCut, "0040B020")
		return
	}
	m := ecg.Measurement{Name: concept.meaning, Raw: raw, Lead: lead, Group: group, Unit: item.code("004008EA").value}
	m.Kind, m.Formula = kindOf(concept.meaning)
	v, err := ecg.ParseRat(raw)
	m.Value, m.Valid = v, err == nil
	switch m.Kind {
	case ecg.PAxis, ecg.QRSAxis, ecg.TAxis:
		if m.Unit != "deg" {
			d.rec.Warn(ecg.WarnUnitUnknown, "0040B020") // an axis in ms
			m.Unit = "deg"
		}
	case ecg.VentricularRate, ecg.AtrialRate:
		m.Unit = "/min"
		m.Valid = m.Valid && v.Sign() > 0
	case ecg.RRInterval, ecg.PPInterval, ecg.PRInterval, ecg.PDuration, ecg.QRSDuration, ecg.QTInterval, ecg.QTcInterval:
		if m.Unit == "s" {
			m.Value, m.Unit = v.Mul(ecg.Int(1000)), "ms"
		}
		m.Valid = m.Valid && v.Sign() > 0 // 0 stands for "none"
	}
	d.rec.Measurements = append(d.rec.Measurements, m)
}

// place reads annotations that mark samples (from 1) or times (seconds after the group's start).
func (d *decoder) place(item dataset, concept code, text string, group int, lead string) bool {
	if group < 0 {
		return false
	}
	rate := d.rec.Groups[group].Rate
	var at []ecg.Rat
	for _, s := range item.strings("0040A132") {
		if p, err := ecg.ParseRat(s); err == nil {
			ms, _ := p.Sub(ecg.Int(1)).Mul(ecg.Int(1000)).Quo(rate)
			at = append(at, ms)
		}
	}
	for _, s := range item.strings("0040A138") {
		if p, err := ecg.ParseRat(s); err == nil {
			at = append(at, p.Mul(ecg.Int(1000)))
		}
	}
	if len(at) == 0 {
		return false
	}
	a := ecg.Annotation{Kind: ecg.Event, Group: group, Lead: lead, Code: concept.value, Text: concept.meaning}
	if text != "" {
		a.Text = strings.TrimSpace(a.Text + " " + text)
	}
	if c := item.code("0040A168"); c.meaning != "" {
		a.Text = strings.TrimSpace(a.Text + " " + c.meaning)
	}
	switch lower := strings.ToLower(concept.meaning); {
	case strings.Contains(lower, "beat"), lower == "r wave peak":
		a.Kind = ecg.Beat
	case strings.Contains(lower, "pace"), strings.Contains(lower, "pacing"):
		a.Kind = ecg.Spike
	case strings.Contains(lower, "onset"), strings.Contains(lower, "offset"), strings.Contains(lower, "peak"), strings.Contains(lower, "wave"):
		a.Kind = ecg.Wave
	case concept.meaning == "":
		a.Kind = ecg.Note
	}
	add := func(onset, duration ecg.Rat) bool {
		if len(d.rec.Annotations) >= d.lim.Annotations {
			d.rec.Warn(ecg.WarnAnnotationsCut, "0040B020")
			return false
		}
		a.Onset, a.Duration = onset, duration
		d.rec.Annotations = append(d.rec.Annotations, a)
		return true
	}
	switch item.text("0040A130") {
	case "SEGMENT", "MULTISEGMENT", "BEGIN", "END":
		if len(at) >= 2 {
			for i := 0; i+1 < len(at); i += 2 {
				if !add(at[i], at[i+1].Sub(at[i])) {
					break
				}
			}
			return true
		}
	}
	for _, p := range at {
		if !add(p, ecg.Rat{}) {
			break
		}
	}
	return true
}
