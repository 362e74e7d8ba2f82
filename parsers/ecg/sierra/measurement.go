package sierra

import (
	"strings"

	"github.com/tributary-dicom/tributary/parsers/ecg"
	"github.com/tributary-dicom/tributary/parsers/ecg/xmltext"
)

type meaning struct {
	kind    ecg.MeasurementKind
	unit    string
	formula string
}

// global are the numbers for all leads. qonset is a time in the representative beats.
var global = map[string]meaning{
	"heartrate": {ecg.VentricularRate, "/min", ""}, "meanventrate": {ecg.VentricularRate, "/min", ""}, "lowventrate": {"", "/min", ""},
	"highventrate": {"", "/min", ""}, "atrialrate": {ecg.AtrialRate, "/min", ""}, "rrint": {ecg.RRInterval, "ms", ""},
	"pdur": {ecg.PDuration, "ms", ""}, "print": {ecg.PRInterval, "ms", ""}, "meanprint": {ecg.PRInterval, "ms", ""}, "meanprseg": {"", "ms", ""},
	"qonset": {ecg.QRSOnset, "ms", ""}, "qrsdur": {ecg.QRSDuration, "ms", ""}, "meanqrsdur": {ecg.QRSDuration, "ms", ""},
	"qtint": {ecg.QTInterval, "ms", ""}, "meanqtint": {ecg.QTInterval, "ms", ""}, "qtcb": {ecg.QTcInterval, "ms", ecg.Bazett},
	"qtcf": {ecg.QTcInterval, "ms", ecg.Fridericia}, "meanqtc": {ecg.QTcInterval, "ms", ""}, "qtintdispersion": {ecg.QTDispersion, "ms", ""},
	"pfrontaxis": {ecg.PAxis, "deg", ""}, "qrsfrontaxis": {ecg.QRSAxis, "deg", ""}, "tfrontaxis": {ecg.TAxis, "deg", ""},
	"numberofcomplexes": {ecg.QRSCount, "1", ""},
	// Times in the rhythm, of 1.03: not in a median beat.
	"pon": {"", "ms", ""}, "qrson": {"", "ms", ""}, "qrsoff": {"", "ms", ""}, "ton": {"", "ms", ""}, "toff": {"", "ms", ""},
}

var byLead = map[string]meaning{
	"pamp": {ecg.PAmplitude, ecg.Microvolt, ""}, "qamp": {ecg.QAmplitude, ecg.Microvolt, ""}, "ramp": {ecg.RAmplitude, ecg.Microvolt, ""},
	"samp": {ecg.SAmplitude, ecg.Microvolt, ""}, "tamp": {ecg.TAmplitude, ecg.Microvolt, ""}, "ston": {ecg.JAmplitude, ecg.Microvolt, ""},
	"pdur": {ecg.PDuration, "ms", ""}, "qdur": {ecg.QDuration, "ms", ""}, "rdur": {ecg.RDuration, "ms", ""}, "sdur": {ecg.SDuration, "ms", ""},
	"vat": {ecg.IntrinsicTime, "ms", ""}, "qrsdur": {ecg.QRSDuration, "ms", ""}, "print": {ecg.PRInterval, "ms", ""}, "qtint": {ecg.QTInterval, "ms", ""},
}

// beatMeasures are of one lead's representative beat.
var beatMeasures = []struct {
	name string
	kind ecg.MeasurementKind
}{
	{"pdur", ecg.PDuration}, {"print", ecg.PRInterval}, {"qonset", ecg.QRSOnset}, {"qrsdur", ecg.QRSDuration}, {"tonset", ecg.TOnset}, {"qtint", ecg.QTInterval},
}

// measurements reads a block of numbers: those of all leads, or of each.
func (d *decoder) measurements(n *xmltext.Node) {
	if n.Name == "leadmeasurements" {
		for _, l := range n.All("leadmeasurement") {
			d.leadMeasurements(l)
		}
		return
	}
	for _, c := range n.Children {
		if len(c.Children) > 0 || c.Text == "" {
			continue
		}
		d.measure(ecg.Measurement{Name: c.Name, Raw: d.cut(c.Text), Group: -1}, global[c.Name])
	}
}

func (d *decoder) leadMeasurements(n *xmltext.Node) {
	var l ecg.Lead
	l.SetLabel("lead " + d.cut(n.Get("leadname")))
	if l.Code == "" {
		l.Name = d.cut(n.Get("leadname"))
	}
	for _, c := range n.Children {
		if len(c.Children) == 0 && c.Text != "" {
			m := byLead[c.Name]
			if m.unit == "" && strings.HasSuffix(c.Name, "dur") {
				m.unit = "ms"
			}
			d.measure(ecg.Measurement{Name: c.Name, Raw: d.cut(c.Text), Lead: l.Name, Group: -1}, m)
		}
	}
	for _, p := range n.At("pacepulses").All("pacepulse") {
		at, ok := d.number("pacepulse", p.Get("starttime"))
		if !ok || at.Sign() < 0 {
			continue
		}
		if len(d.spikes) >= d.lim.Annotations {
			d.rec.Warn(ecg.WarnAnnotationsCut, "pacepulses")
			return
		}
		d.spikes = append(d.spikes, ecg.Annotation{Kind: ecg.Spike, Lead: l.Name, Onset: at, Code: d.cut(p.Get("paceamptype"))})
	}
}

// measure keeps a number, or what stands in the place of one: "Failed", "Indeterminate".
func (d *decoder) measure(m ecg.Measurement, is meaning) {
	if len(d.rec.Measurements) >= d.lim.Annotations {
		d.rec.Warn(ecg.WarnAnnotationsCut, "measurements")
		return
	}
	v, err := ecg.ParseRat(m.Raw)
	m.Value, m.Valid = v, err == nil
	m.Kind, m.Unit, m.Formula = is.kind, is.unit, is.formula
	if m.Kind == ecg.QRSOnset && m.Group < 0 {
		for i, g := range d.rec.Groups {
			if g.Kind == ecg.Median {
				m.Group = i
			}
		}
	}
	d.rec.Measurements = append(d.rec.Measurements, m)
}
