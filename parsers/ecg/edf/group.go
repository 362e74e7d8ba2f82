package edf

import (
	"strconv"
	"strings"

	"github.com/tributary-dicom/tributary/parsers/ecg"
	"github.com/tributary-dicom/tributary/parsers/ecg/records"
	"github.com/tributary-dicom/tributary/parsers/reject"
)

// What gaps may cost: one of up to maxGap becomes missing samples, as long as the time line stays within
// maxStretch of what was recorded and a margin. Beyond that new groups begin, so that a few records with absurd
// times do not become years of nothing.
const (
	maxGapNanos    = 3600 * 1e9
	maxStretch     = 32
	stretchMargin  = 600 * 1e9 // ns
	fullDisclosure = 600       // s: what is longer is a Holter
)

// kindOfSignal parts signals of one rate: ECG leads, other signals, and the marker channel of BDF.
type kindOfSignal int

const (
	cardiac kindOfSignal = iota
	other
	status
)

type key struct {
	samples int64
	kind    kindOfSignal
}

// groups makes the recording's groups: for each stretch of time, one for each rate and kind.
func (d *decoder) groups(runs []run) error {
	leads := make([]ecg.Lead, len(d.signals))
	var keys []key
	members := map[key][]int{}
	generic := d.genericLabels()
	for i := range d.signals {
		s := &d.signals[i]
		if s.annotations || s.samples == 0 || d.records == 0 {
			continue
		}
		rate, _ := ecg.Int(s.samples).Quo(d.duration)
		if rate.Cmp(ecg.Int(ecg.MaxRateHz)) > 0 {
			d.rec.Warn(ecg.WarnUnsupportedPart, "signal "+strconv.Itoa(i))
			continue
		}
		var kind kindOfSignal
		leads[i], kind = d.lead(i, generic)
		k := key{s.samples, kind}
		if len(members[k]) == 0 {
			keys = append(keys, k)
		}
		members[k] = append(members[k], i)
	}
	if len(keys) == 0 {
		d.rec.Warn(ecg.WarnNoWaveform, "")
		return nil
	}
	stretches := d.stretches(runs)
	if len(stretches)*len(keys) > d.lim.Groups {
		return reject.New(reject.TooManyElements, op, "%d stretches of time with %d rates", len(stretches), len(keys))
	}
	for _, stretch := range stretches {
		for _, k := range keys {
			if err := d.group(k, members[k], leads, stretch, runs[0].onset); err != nil {
				return err
			}
		}
	}
	return nil
}

// stretches parts runs where a gap is too long to be drawn as missing.
func (d *decoder) stretches(runs []run) [][]run {
	step := d.duration.Float64() * 1e9
	out := [][]run{runs[:1]}
	first, recorded := 0, float64(runs[0].records)*step
	for i := 1; i < len(runs); i++ {
		before := runs[i-1]
		gap := float64(runs[i].onset-before.onset) - float64(before.records)*step
		span := float64(runs[i].onset - runs[first].onset)
		if gap > maxGapNanos || span > maxStretch*recorded+stretchMargin {
			first, recorded = i, 0
			out = append(out, nil)
		}
		recorded += float64(runs[i].records) * step
		out[len(out)-1] = runs[first : i+1]
	}
	return out
}

func (d *decoder) group(k key, members []int, leads []ecg.Lead, stretch []run, start int64) error {
	rate, _ := ecg.Int(k.samples).Quo(d.duration)
	g := &ecg.Group{Kind: ecg.OtherSignals, Rate: rate, StartOffset: ecg.Frac(stretch[0].onset-start, 1_000_000)}
	l := records.Layout{At: d.src.At, RecordBytes: d.record, Samples: k.samples}
	names := map[string]bool{}
	for _, i := range members {
		lead := leads[i]
		if names[lead.Name] {
			d.rec.Warn(ecg.WarnLeadDuplicate, "signal "+strconv.Itoa(i))
		}
		names[lead.Name] = true
		g.Leads = append(g.Leads, lead)
		c := records.Channel{Offset: d.signals[i].offset, Bytes: d.width, Decode: int16s}
		if d.width == 3 {
			c.Decode = int24s
		}
		l.Channels = append(l.Channels, c)
	}
	end := int64(0)
	for _, r := range stretch {
		at, _ := ecg.Frac(r.onset-stretch[0].onset, 1_000_000_000).Mul(rate).Round()
		at = max(at, end)
		l.Runs = append(l.Runs, records.Run{Offset: d.header + r.first*d.record, Records: r.records, Start: at})
		end = at + r.records*k.samples
	}
	if len(stretch) > 1 {
		d.rec.Warn(ecg.WarnMissingSamples, "")
	}
	if err := l.Check(d.src.Size); err != nil {
		return reject.New(reject.Malformed, op, "%w", err)
	}
	l.Stream(g)
	if k.kind == cardiac && ecg.RateOK(rate) {
		g.Kind = ecg.Rhythm
		if g.DurationMillis().Cmp(ecg.Int(fullDisclosure*1000)) > 0 {
			g.Kind = ecg.FullDisclosure
		}
	}
	d.rec.Groups = append(d.rec.Groups, g)
	return nil
}

func int16s(raw []byte, into []int32, _ func(int)) {
	raw = raw[:2*len(into)]
	for i := range into {
		into[i] = int32(int16(uint16(raw[2*i]) | uint16(raw[2*i+1])<<8))
	}
}

func int24s(raw []byte, into []int32, _ func(int)) {
	raw = raw[:3*len(into)]
	for i := range into {
		into[i] = int32(uint32(raw[3*i])<<8|uint32(raw[3*i+1])<<16|uint32(raw[3*i+2])<<24) >> 8
	}
}

// lead reads what the header says about a signal.
func (d *decoder) lead(i int, generic bool) (ecg.Lead, kindOfSignal) {
	s := &d.signals[i]
	where := "signal " + strconv.Itoa(i)
	l := ecg.Lead{Bits: int(8 * d.width), Filters: filters(s.prefilter)}
	known := l.SetLabel(s.label)
	if d.width == 3 && s.label == "Status" {
		l.Scale = ecg.Int(1)
		return l, status
	}
	d.scale(&l, s, where)
	upper := strings.ToUpper(s.label)
	named := strings.Contains(upper, "ECG") || strings.Contains(upper, "EKG") || strings.Contains(s.label, "心电")
	switch {
	case !l.Voltage() && s.unit != "" && !l.Scale.IsZero() && l.Unit != "":
		l.Name, l.Code, l.Placement = s.label, "", "" // X, Y and Z of an accelerometer
		return l, other
	case known:
		return l, cardiac
	case named, generic && isGeneric(upper):
		d.rec.Warn(ecg.WarnLeadUnknown, where)
		return l, cardiac
	}
	return l, other
}

// genericLabels tells files that are about nothing else than ECG, as far as labels go: then "CH1" is one.
func (d *decoder) genericLabels() bool {
	for i := range d.signals {
		for _, word := range []string{"EEG", "EMG", "EOG", "FP1", "C3", "O1"} {
			if strings.Contains(strings.ToUpper(d.signals[i].label), word) {
				return false
			}
		}
	}
	return true
}

// isGeneric knows "CH1", "Channel 2", "通道3".
func isGeneric(label string) bool {
	for _, prefix := range []string{"CHANNEL", "CHAN", "CH", "LEAD", "通道", "导联"} {
		if rest, ok := strings.CutPrefix(label, prefix); ok {
			rest = strings.TrimLeft(rest, " .-_#")
			return rest != "" && strings.Trim(rest, "0123456789") == ""
		}
	}
	return false
}

// units are UCUM codes of what devices write.
var units = map[string]string{
	"mmhg": "mm[Hg]", "degc": "Cel", "°c": "Cel", "c": "Cel", "%": "%", "ohm": "Ohm", "kohm": "kOhm", "l/min": "L/min", "bpm": "/min", "g": "g",
}

// scale turns the ranges into a step and a baseline.
func (d *decoder) scale(l *ecg.Lead, s *signal, where string) {
	var v [4]ecg.Rat
	bad := false
	for i, text := range []string{s.physMin, s.physMax, s.digMin, s.digMax} {
		n, err := ecg.ParseRat(text)
		if err != nil {
			bad = true
		}
		v[i] = n
	}
	step, ok := v[1].Sub(v[0]).Quo(v[3].Sub(v[2]))
	if bad || !ok || step.IsZero() {
		d.rec.Warn(ecg.WarnScaleAbsent, where)
		l.Scale = ecg.Int(1)
		return
	}
	factor, voltage := ecg.VoltageScale(s.unit)
	if voltage && step.Mul(factor).Abs().Cmp(ecg.Int(1_000_000)) > 0 {
		d.rec.Warn(ecg.WarnScaleSuspicious, where)
		l.Scale = ecg.Int(1)
		return
	}
	l.Scale, l.Baseline = step, v[0].Sub(v[2].Mul(step))
	switch ucum := units[strings.ToLower(s.unit)]; {
	case voltage:
		l.Unit, l.Scale, l.Baseline = ecg.Microvolt, l.Scale.Mul(factor), l.Baseline.Mul(factor)
	case ucum != "":
		l.Unit = ucum
	default:
		l.Unit = s.unit
		d.rec.Warn(ecg.WarnUnitUnknown, where)
	}
}
