package fhir

import (
	"math"
	"strconv"
	"strings"

	"github.com/tributary-dicom/tributary/parsers/ecg"
	"github.com/tributary-dicom/tributary/parsers/reject"
)

// intervals are units of R5's interval that are times, in ms.
var intervals = map[string]ecg.Rat{"": ecg.Int(1), "ms": ecg.Int(1), "s": ecg.Int(1000), "us": ecg.Frac(1, 1000), "min": ecg.Int(60_000), "ns": ecg.Frac(1, 1_000_000)}

// sampled reads a waveform.
func (d *decoder) sampled(code concept, s *sampled) error {
	n := 0
	for _, t := range d.tracks {
		n += len(t.group.Leads)
	}
	where := "lead " + strconv.Itoa(n)
	period, ok := d.number(where+" period", s.Period)
	if !ok {
		var every ecg.Rat
		if every, ok = d.number(where+" interval", s.Interval); ok {
			unit, known := intervals[s.IntervalUnit]
			ok, period = known, every.Mul(unit)
		}
	}
	rate, divides := ecg.Int(1000).Quo(period)
	if !ok || !divides || rate.Sign() < 0 || rate.Cmp(ecg.Int(ecg.MaxRateHz)) > 0 {
		return reject.New(reject.Malformed, op, "%s has a period of %.20q, an interval of %.20q %.8q", where, s.Period, s.Interval, s.IntervalUnit)
	}
	if s.Offsets != "" || s.CodeMap != "" {
		// Samples at times of their own, and values that stand for something else, are no even waveform.
		d.rec.Warn(ecg.WarnUnsupportedPart, where)
		return nil
	}
	dimensions := 1
	if s.Dimensions != "" {
		var err error
		if dimensions, err = strconv.Atoi(string(s.Dimensions)); err != nil || dimensions < 1 || dimensions > d.lim.Leads {
			return reject.New(reject.Malformed, op, "%s has %.20q dimensions", where, s.Dimensions)
		}
	}
	list, err := parse(s.Data, d.lim.Samples-d.samples)
	if err != nil {
		return err
	}
	d.samples += int64(len(list.counts))
	if list.errors {
		d.rec.Warn(ecg.WarnMissingSamples, where)
	}
	if list.limits {
		d.rec.Warn(ecg.WarnClamped, where)
	}
	if len(list.counts)%dimensions != 0 {
		d.rec.Warn(ecg.WarnLengthDiffers, where)
	}
	t, err := d.track(rate, dimensions)
	if err != nil {
		return err
	}
	l := d.lead(code, where)
	d.scale(&l, s, list, where)
	for k := range dimensions {
		one, counts, missing := l, list.counts, list.missing
		if dimensions > 1 { // of one time, without names
			one.Name, one.Code = first(l.Name, "channel")+" "+strconv.Itoa(k+1), ""
			counts, missing = every(list.counts, k, dimensions), every(list.missing, k, dimensions)
			d.rec.Warn(ecg.WarnLeadUnknown, where)
		}
		if have, _ := t.group.Lead(one.Name); have != nil {
			d.rec.Warn(ecg.WarnLeadDuplicate, where)
		}
		if one.Code != "" || one.Voltage() {
			t.group.Kind = ecg.Rhythm
		}
		t.sparse = t.sparse || missing != nil
		t.group.Leads, t.counts, t.missing = append(t.group.Leads, one), append(t.counts, counts), append(t.missing, missing)
	}
	return nil
}

// every returns each step-th element from the first on, up to the last whole step.
func every[T any](all []T, first, step int) []T {
	if all == nil {
		return nil
	}
	out := make([]T, 0, len(all)/step)
	for i := first; i < len(all)/step*step; i += step {
		out = append(out, all[i])
	}
	return out
}

// lead names a lead by its code, or by what is written beside it.
func (d *decoder) lead(code concept, where string) ecg.Lead {
	var l ecg.Lead
	label := d.cut(code.Text)
	for _, c := range code.Coding {
		label = first(label, d.cut(c.Display))
		if l.NativeCode == "" && strings.Contains(c.System, "2.16.840.1.113883.6.24") {
			l.NativeCode, l.NativeScheme = d.cut(c.Code), "MDC"
		}
	}
	if len(code.Coding) > 0 {
		label = first(d.cut(code.Coding[0].Display), label, d.cut(code.Coding[0].Code))
	}
	known := l.SetLabel(label)
	if id, ok := ecg.LeadByCode("MDC", l.NativeCode); ok {
		l.Set(id)
		known = true
	}
	if !known {
		d.rec.Warn(ecg.WarnLeadUnknown, where)
	}
	return l
}

// scale sets unit, step and baseline by the rule of FHIR, and says when the data are not likely to mean it.
func (d *decoder) scale(l *ecg.Lead, s *sampled, list *datums, where string) {
	factor, ok := d.number(where+" factor", s.Factor)
	if !ok {
		factor = ecg.Int(1) // FHIR's default
	} else if factor.IsZero() {
		factor = ecg.Int(1)
		d.rec.Warn(ecg.WarnScaleAbsent, where)
	}
	origin, _ := d.number(where+" origin", s.Origin.Value)
	l.Scale, l.Baseline = factor.Pow10(-list.places), origin
	if d.odd(s, list, l, origin) {
		d.rec.Warn(ecg.WarnScaleSuspicious, where)
	}
	unit := d.cut(first(s.Origin.Code, s.Origin.Unit))
	if f, ok := ecg.VoltageScale(unit); ok {
		l.Unit, l.Scale, l.Baseline = ecg.Microvolt, l.Scale.Mul(f), l.Baseline.Mul(f)
		return
	}
	if l.Unit = unit; unit == "" || l.Code != "" {
		d.rec.Warn(ecg.WarnUnitUnknown, where)
	}
}

// odd reports whether values are outside the limits that the file itself gives, or the data lie around an origin
// that is further from 0 than they are from one another: as though datum − origin were meant.
func (d *decoder) odd(s *sampled, list *datums, l *ecg.Lead, origin ecg.Rat) bool {
	if list.low > list.high {
		return false
	}
	low, high := l.Value(list.low), l.Value(list.high)
	if low.Cmp(high) > 0 {
		low, high = high, low
	}
	if limit, ok := d.number("lowerLimit", s.LowerLimit); ok && low.Cmp(limit) < 0 {
		return true
	}
	if limit, ok := d.number("upperLimit", s.UpperLimit); ok && high.Cmp(limit) > 0 {
		return true
	}
	spread := ecg.Int(int64(list.high) - int64(list.low)).Pow10(-list.places)
	middle := ecg.Int(int64(list.high) + int64(list.low)).Mul(ecg.Frac(1, 2)).Pow10(-list.places)
	return origin.Abs().Cmp(spread) > 0 && middle.Sub(origin).Abs().Cmp(spread) <= 0
}

// datums are a list of decimals as whole counts of 10^-places.
type datums struct {
	counts         []int32
	missing        []bool
	places         int
	low, high      int32 // of those that are there; low > high when none is
	errors, limits bool  // E; L or U
}

// parse reads SampledData.data.
func parse(text string, limit int64) (*datums, error) {
	const most = 9
	out := &datums{low: math.MaxInt32, high: math.MinInt32}
	for field := range strings.FieldsSeq(text) {
		if _, fraction, ok := strings.Cut(field, "."); ok {
			out.places = max(out.places, len(strings.TrimRight(fraction, "0")))
		}
	}
	if out.places > most {
		return nil, reject.New(reject.Malformed, op, "samples with %d decimal places", out.places)
	}
	for field := range strings.FieldsSeq(text) {
		if int64(len(out.counts)) >= limit {
			return nil, reject.New(reject.TooLarge, op, "more than %d samples", limit)
		}
		switch field {
		case "E", "L", "U":
			if out.missing == nil {
				out.missing = make([]bool, len(out.counts), len(out.counts)+1)
			}
			out.errors, out.limits = out.errors || field == "E", out.limits || field != "E"
			out.counts, out.missing = append(out.counts, 0), append(out.missing, true)
			continue
		}
		whole, fraction, _ := strings.Cut(field, ".")
		fraction = strings.TrimRight(fraction, "0")
		n, err := strconv.ParseInt(whole+fraction+"000000000"[:out.places-len(fraction)], 10, 32)
		if err != nil {
			return nil, reject.New(reject.Malformed, op, "a sample that is no number")
		}
		out.low, out.high = min(out.low, int32(n)), max(out.high, int32(n))
		if out.counts = append(out.counts, int32(n)); out.missing != nil {
			out.missing = append(out.missing, false)
		}
	}
	return out, nil
}
