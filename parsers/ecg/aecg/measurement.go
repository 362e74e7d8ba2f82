package aecg

import (
	"strings"

	"github.com/tributary-dicom/tributary/parsers/ecg"
)

type meaning struct {
	kind    ecg.MeasurementKind
	formula string
}

// meanings are codes of measurements without what is in front of them (MDC_ECG_, NOM_ECG_, MINDRAY_ECG_,
// MINDRAY_), in upper case.
var meanings = map[string]meaning{
	"HEART_RATE": {ecg.VentricularRate, ""}, "VENT_RATE": {ecg.VentricularRate, ""}, "ATRIAL_RATE": {ecg.AtrialRate, ""},
	"TIME_PD_RR": {ecg.RRInterval, ""}, "TIME_PD_RR_GL": {ecg.RRInterval, ""}, "TIME_PD_PP": {ecg.PPInterval, ""},
	"TIME_PD_P": {ecg.PDuration, ""}, "TIME_PD_PWD": {ecg.PDuration, ""}, "TIME_PD_PR": {ecg.PRInterval, ""},
	"TIME_PD_PQ": {ecg.PRInterval, ""}, "TIME_PD_QRS": {ecg.QRSDuration, ""}, "TIME_PD_QT": {ecg.QTInterval, ""},
	"TIME_PD_QT_GL": {ecg.QTInterval, ""}, "TIME_PD_QTC": {ecg.QTcInterval, ""}, "TIME_PD_QTCB": {ecg.QTcInterval, ecg.Bazett},
	"TIME_PD_QTC_BAZETT": {ecg.QTcInterval, ecg.Bazett}, "TIME_PD_QTCF": {ecg.QTcInterval, ecg.Fridericia},
	"TIME_PD_QTC_FRIDERICIA": {ecg.QTcInterval, ecg.Fridericia}, "TIME_PD_QTCFR": {ecg.QTcInterval, ecg.Framingham},
	"TIME_PD_QTCH": {ecg.QTcInterval, ecg.Hodges}, "TIME_PD_QTC_HODGES": {ecg.QTcInterval, ecg.Hodges},
	"TIME_PD_QTC_FRAMINGHAM": {ecg.QTcInterval, ecg.Framingham}, "ANGLE_P_FRONT": {ecg.PAxis, ""}, "ANGLE_QRS_FRONT": {ecg.QRSAxis, ""},
	"ANGLE_T_FRONT": {ecg.TAxis, ""}, "P_AXIS": {ecg.PAxis, ""}, "QRS_AXIS": {ecg.QRSAxis, ""}, "T_AXIS": {ecg.TAxis, ""},
	"P_ONSET": {ecg.POnset, ""}, "P_OFFSET": {ecg.POffset, ""}, "QRS_ONSET": {ecg.QRSOnset, ""}, "QRS_OFFSET": {ecg.QRSOffset, ""},
	"T_ONSET": {ecg.TOnset, ""}, "T_OFFSET": {ecg.TOffset, ""}, "P_DUR": {ecg.PDuration, ""}, "QRS_DURATION": {ecg.QRSDuration, ""},
	"Q_DUR": {ecg.QDuration, ""}, "R_DUR": {ecg.RDuration, ""}, "S_DUR": {ecg.SDuration, ""}, "P_AMP": {ecg.PAmplitude, ""},
	"Q_AMP": {ecg.QAmplitude, ""}, "R_AMP": {ecg.RAmplitude, ""}, "S_AMP": {ecg.SAmplitude, ""}, "T_AMP": {ecg.TAmplitude, ""},
	"J_AMP": {ecg.JAmplitude, ""}, "ST_AMP": {ecg.STAmplitude, ""},
}

// intervals are kinds of which 0 ms means that there was nothing to measure.
var intervals = map[ecg.MeasurementKind]bool{
	ecg.RRInterval: true, ecg.PPInterval: true, ecg.PDuration: true, ecg.PRInterval: true, ecg.QRSDuration: true,
	ecg.QTInterval: true, ecg.QTcInterval: true, ecg.VentricularRate: true,
}

// fiducials are kinds that are times after the first sample of a median beat.
var fiducials = map[ecg.MeasurementKind]bool{
	ecg.POnset: true, ecg.POffset: true, ecg.QRSOnset: true, ecg.QRSOffset: true, ecg.TOnset: true, ecg.TOffset: true,
}

// measure keeps a number. Those inside one beat of a rhythm have a name and no kind: a recording has one PR
// interval, not twelve.
func (d *decoder) measure(sc scope, code string, v value, region *extent) {
	if len(d.rec.Measurements) >= d.lim.Annotations {
		d.rec.Warn(ecg.WarnAnnotationsCut, "annotationSet")
		return
	}
	m := ecg.Measurement{Name: code, Raw: d.cut(v.number), Unit: d.cut(v.unit), Lead: first(region.lead, sc.lead), Group: sc.set.series.group}
	value, err := ecg.ParseRat(m.Raw)
	m.Value, m.Valid = value, err == nil
	if !sc.inBeat {
		name := strings.ToUpper(code)
		for _, prefix := range []string{"MDC_", "NOM_", "MINDRAY_", "ECG_"} {
			name = strings.TrimPrefix(name, prefix)
		}
		known := meanings[name]
		m.Kind, m.Formula = known.kind, known.formula
	}
	switch unit := strings.ToLower(m.Unit); unit {
	case "bpm", "/min", "{beats}/min", "1/min":
		m.Unit = "/min"
	case "s", "sec":
		m.Unit, m.Value = "ms", m.Value.Mul(ecg.Int(1000))
	case "ms", "msec":
		m.Unit = "ms"
	case "deg", "°", "degree", "degrees":
		m.Unit = "deg"
	case "":
	default:
		if f, ok := ecg.VoltageScale(m.Unit); ok {
			m.Unit, m.Value = ecg.Microvolt, m.Value.Mul(f)
		}
	}
	if intervals[m.Kind] && m.Value.Sign() <= 0 {
		m.Valid = false
	}
	if fiducials[m.Kind] {
		m.Group = d.median(m.Group)
	}
	d.rec.Measurements = append(d.rec.Measurements, m)
}

// median returns the first median group, or other when there is none.
func (d *decoder) median(other int) int {
	for i, g := range d.rec.Groups {
		if g.Kind == ecg.Median {
			return i
		}
	}
	return other
}
