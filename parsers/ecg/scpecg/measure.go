package scpecg

import (
	"fmt"

	"github.com/tributary-dicom/tributary/parsers/ecg"
)

// Values of measurements that mean none (§5.10, §5.13).
const (
	waveAbsent    = 19999
	leadRejected  = 29998
	notComputed   = 29999
	axisUndefined = 999
)

func stated(v int) bool { return v != waveAbsent && v != leadRejected && v != notComputed }

// section7 reads global measurements, pacemaker spikes and rates.
func (d *decoder) section7() error {
	b, ok, err := d.body(7, false)
	if err != nil || !ok {
		return err
	}
	f := &fields{b: b}
	blocks, spikes := f.u8(), f.u8()
	rr, pp := f.u16(), f.u16()
	if f.short {
		d.rec.Warn(ecg.WarnTruncated, where(7))
		return nil
	}
	d.global(ecg.RRInterval, "mean RR interval", "ms", rr, rr != 0 && stated(rr))
	d.global(ecg.PPInterval, "mean PP interval", "ms", pp, pp != 0 && stated(pp))
	for i := range blocks {
		block := fields{b: f.take(16)}
		if f.short {
			break
		}
		d.waves(&block, i)
	}
	d.spikes(f, spikes)
	if beats := f.u16(); beats > 0 {
		f.take(beats) // type of each beat: section 4 has it with its place
	}
	ventricular, atrial, qtc, formula := f.u16(), f.u16(), f.u16(), f.u8()
	if f.short { // protocol 1.0 ends before
		return nil
	}
	d.global(ecg.VentricularRate, "ventricular rate", "/min", ventricular, ventricular != 0 && stated(ventricular))
	d.global(ecg.AtrialRate, "atrial rate", "/min", atrial, atrial != 0 && stated(atrial))
	m := ecg.Measurement{Kind: ecg.QTcInterval, Name: "QTc", Unit: "ms", Group: -1}
	if formula < len(formulas) {
		m.Formula = formulas[formula]
	}
	d.measure(m, qtc, qtc != 0 && stated(qtc))
	if tagged := f.u16(); tagged > 0 && !f.short {
		d.rec.Warn(ecg.WarnUnsupportedPart, "section 7 tagged fields")
	}
	return nil
}

// formulas are those of QTc by code.
var formulas = [...]string{"", ecg.Bazett, ecg.Hodges, ecg.Fridericia, ecg.Framingham}

func (d *decoder) global(kind ecg.MeasurementKind, name, unit string, value int, valid bool) {
	d.measure(ecg.Measurement{Kind: kind, Name: name, Unit: unit, Group: -1}, value, valid)
}

// waves reads the block of measurements of one reference beat or one beat: fiducial points in ms from the
// beat's start, axes in degrees. Only the first one is of the reference beat that is shown; it gives the
// durations, which are differences of its points.
func (d *decoder) waves(f *fields, number int) {
	points := [5]int{}
	for i := range points {
		points[i] = f.u16()
	}
	axes := [3]int{}
	for i := range axes {
		axes[i] = f.i16()
	}
	suffix := ""
	if number > 0 {
		suffix = fmt.Sprintf(" (block %d)", number)
	}
	for i, p := range points {
		m := ecg.Measurement{Name: pointNames[i].name + suffix, Unit: "ms", Group: d.median}
		if number == 0 {
			m.Kind = pointNames[i].kind
		} else if !stated(p) {
			continue
		}
		d.measure(m, p, stated(p))
	}
	for i, a := range axes {
		valid := stated(a) && a != axisUndefined
		m := ecg.Measurement{Name: axisNames[i].name + suffix, Unit: "deg", Group: d.median}
		if number == 0 {
			m.Kind = axisNames[i].kind
		} else if !valid {
			continue
		}
		d.measure(m, a, valid)
	}
	if number > 0 {
		return
	}
	for _, span := range spans {
		from, till := points[span.from], points[span.till]
		if stated(from) && stated(till) && till > from {
			d.global(span.kind, span.name, "ms", till-from, true)
		}
	}
}

type namedKind struct {
	kind ecg.MeasurementKind
	name string
}

var (
	pointNames = [...]namedKind{
		{ecg.POnset, "P onset"},
		{ecg.POffset, "P offset"},
		{ecg.QRSOnset, "QRS onset"},
		{ecg.QRSOffset, "QRS offset"},
		{ecg.TOffset, "T offset"},
	}
	axisNames = [...]namedKind{{ecg.PAxis, "P axis"}, {ecg.QRSAxis, "QRS axis"}, {ecg.TAxis, "T axis"}}
	spans     = [...]struct {
		kind       ecg.MeasurementKind
		name       string
		from, till int // of pointNames
	}{
		{ecg.PDuration, "P duration", 0, 1},
		{ecg.PRInterval, "PR interval", 0, 2},
		{ecg.QRSDuration, "QRS duration", 2, 3},
		{ecg.QTInterval, "QT interval", 2, 4},
	}
)

// spikes reads pacemaker spikes: time in ms and amplitude in µV of each, then what each is.
func (d *decoder) spikes(f *fields, n int) {
	if n == 0 {
		return
	}
	times := fields{b: f.take(4 * n)}
	kinds := fields{b: f.take(6 * n)}
	if len(times.b) == 0 {
		d.rec.Warn(ecg.WarnTruncated, where(7))
		return
	}
	d.rec.Pacing = ecg.Pacing{Known: true, Paced: true, Text: fmt.Sprintf("%d spikes", n)}
	for range n {
		at, amplitude := times.u16(), times.i16()
		kind, source := kinds.u8(), kinds.u8()
		kinds.u16() // the beat that it triggers
		width := kinds.u16()
		a := ecg.Annotation{Kind: ecg.Spike, Group: max(d.rhythm, 0), Onset: ecg.Int(int64(at)), Text: fmt.Sprintf("%d uV", amplitude)}
		if d.rhythm < 0 {
			a.Group = -1
		}
		if !kinds.short {
			a.Code = fmt.Sprintf("type %d source %d", kind, source)
			a.Duration = ecg.Frac(int64(width), 1000)
		}
		d.annotate(a)
	}
}

// perLead are the values of section 10 in their order (§5.13).
var perLead = [...]struct {
	kind ecg.MeasurementKind
	name string
	unit string
}{
	{ecg.PDuration, "P duration", "ms"},
	{ecg.PRInterval, "PR interval", "ms"},
	{ecg.QRSDuration, "QRS duration", "ms"},
	{ecg.QTInterval, "QT interval", "ms"},
	{ecg.QDuration, "Q duration", "ms"},
	{ecg.RDuration, "R duration", "ms"},
	{ecg.SDuration, "S duration", "ms"},
	{"", "R' duration", "ms"},
	{"", "S' duration", "ms"},
	{ecg.QAmplitude, "Q amplitude", "uV"},
	{ecg.RAmplitude, "R amplitude", "uV"},
	{ecg.SAmplitude, "S amplitude", "uV"},
	{"", "R' amplitude", "uV"},
	{"", "S' amplitude", "uV"},
	{ecg.JAmplitude, "J amplitude", "uV"},
	{ecg.PAmplitude, "P+ amplitude", "uV"},
	{"", "P- amplitude", "uV"},
	{ecg.TAmplitude, "T+ amplitude", "uV"},
	{"", "T- amplitude", "uV"},
	{"", "ST slope", "uV/s"},
	{"", "P morphology", "1"},
	{"", "T morphology", "1"},
	{"", "isoelectric segment at QRS onset", "ms"},
	{"", "isoelectric segment at QRS end", "ms"},
	{ecg.IntrinsicTime, "intrinsicoid deflection", "ms"},
	{"", "quality code", "1"},
	{"", "ST amplitude J+20 ms", "uV"},
	{ecg.STAmplitude, "ST amplitude J+60 ms", "uV"},
	{"", "ST amplitude J+80 ms", "uV"},
	{"", "ST amplitude J+RR/16", "uV"},
	{"", "ST amplitude J+RR/8", "uV"},
}

// section10 reads the measurements of each lead.
func (d *decoder) section10() error {
	b, ok, err := d.body(10, false)
	if err != nil || !ok {
		return err
	}
	f := fields{b: b}
	leads := f.u16()
	f.u16() // maker
	for i := range leads {
		id, length := f.u16(), f.u16()
		values := fields{b: f.take(length)}
		if f.short {
			d.rec.Warn(ecg.WarnTruncated, where(10))
			break
		}
		name := fmt.Sprintf("lead %d", i+1)
		if known, ok := ecg.LeadByCode("scp", fmt.Sprint(id)); ok {
			name = known.Name()
		}
		for _, p := range perLead {
			v := values.i16()
			if values.short {
				break
			}
			d.measure(ecg.Measurement{Kind: p.kind, Name: p.name, Unit: p.unit, Lead: name, Group: d.median}, v, stated(v))
		}
	}
	return nil
}
