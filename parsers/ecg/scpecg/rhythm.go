package scpecg

import (
	"fmt"
	"math"

	"github.com/tributary-dicom/tributary/parsers/ecg"
	"github.com/tributary-dicom/tributary/parsers/reject"
)

// maxDecimation bounds how much slower samples outside protected zones may be. Annex C decimates by 4.
const maxDecimation = 20

// section6 reads the rhythm: unpacks it, fills in what bimodal compression left out, and adds the reference
// beats back.
func (d *decoder) section6() error {
	b, ok, err := d.body(6, true)
	if err != nil {
		return err
	}
	if !ok || len(d.leads) == 0 {
		d.medianGroup()
		return nil
	}
	s, err := d.readSignal(6, b)
	if err != nil {
		return err
	}
	factor, err := d.decimation(&s)
	if err != nil {
		return err
	}
	want := make([]int64, len(d.leads))
	for i, l := range d.leads {
		want[i] = d.stored(l, factor)
	}
	stored, err := d.decodeLeads(s, want)
	if err != nil {
		return err
	}
	m, err := d.mixture(s, factor)
	if err != nil {
		return err
	}
	g := &ecg.Group{Kind: ecg.Rhythm, Rate: rateOf(s.interval)}
	counts, missing := make([][]int32, len(stored)), make([][]bool, len(stored))
	for i := range stored {
		lead := d.lead(d.leads[i].id, i, "rhythm")
		lead.Scale, lead.Start = m.scale, d.leads[i].start-1
		if factor > 1 {
			if lead.Filters.Text != "" {
				lead.Filters.Text += ", "
			}
			lead.Filters.Text += fmt.Sprintf("bimodal compression %d:1, interpolated outside QRS zones", factor)
		}
		g.Leads = append(g.Leads, lead)
		counts[i], missing[i] = m.lead(d, i, stored[i])
		if int64(len(counts[i])) != d.leads[i].samples() {
			d.rec.Warn(ecg.WarnLengthDiffers, "rhythm "+lead.Name)
		}
		stored[i] = nil
	}
	g.Memory(counts, missing)
	d.rhythm = len(d.rec.Groups)
	d.rec.Groups = append(d.rec.Groups, g)
	d.medianGroup()
	d.annotateBeats(s.interval)
	if factor > 1 {
		d.annotateInterpolated(s.interval, int64(factor), g.Length)
	}
	return nil
}

// decimation returns how many samples one stored sample stands for outside protected zones, 1 without bimodal
// compression, and sets s.interval to that of the time line. Section 6 then states the interval of its slow
// samples, section 5 that of the time line (§5.9.3). Without section 5 the factor is the one with which
// the stored samples add up.
func (d *decoder) decimation(s *signal) (int, error) {
	if !s.bimodal {
		return 1, nil
	}
	if r := d.reference; r != nil {
		if s.interval%r.interval != 0 || s.interval/r.interval > maxDecimation {
			return 0, reject.At(reject.Malformed, op, d.sections[6].offset,
				"bimodal compression from %d to %d µs", r.interval, s.interval)
		}
		factor := s.interval / r.interval
		s.interval = r.interval
		return int(factor), nil
	}
	return d.guessDecimation(s)
}

// guessDecimation finds the factor from the number of samples of the first lead.
func (d *decoder) guessDecimation(s *signal) (int, error) {
	const padding = 15 // zero bits up to an even length may look like as many samples
	all := make([]int64, len(d.leads))
	for i, l := range d.leads {
		all[i] = l.samples()
	}
	leads, err := d.decodeLeads(*s, all)
	if err != nil {
		return 0, err
	}
	n := int64(len(leads[0]))
	for _, factor := range []int{4, 2, 3, 5, 8, 10, 1} {
		if want := d.stored(d.leads[0], factor); n < want || n > want+padding {
			continue
		}
		if s.interval%int64(factor) == 0 && s.interval/int64(factor) >= 1000 {
			s.interval /= int64(factor)
		} else { // above 1000 Hz: the interval must be that of the time line already
			d.rec.Warn(ecg.WarnRateRepaired, where(6))
		}
		return factor, nil
	}
	return 0, reject.At(reject.Malformed, op, d.sections[6].offset, "bimodal compression by an unknown factor")
}

// runs calls visit for each run of samples of a lead, in order: protected or not. from and till are on the
// time line from 1.
func (d *decoder) runs(l leadRange, visit func(from, till int64, protected bool)) {
	at := l.start
	for _, z := range d.beats.protected {
		from, till := max(z.from, at), min(z.till, l.end)
		if from > till {
			continue
		}
		if from > at {
			visit(at, from-1, false)
		}
		visit(from, till, true)
		at = till + 1
	}
	if at <= l.end {
		visit(at, l.end, false)
	}
}

// stored returns how many samples a lead has in section 6: every one of protected runs; of other runs one
// for factor of them, and what is left at the run's end as it is.
func (d *decoder) stored(l leadRange, factor int) int64 {
	if factor == 1 {
		return l.samples()
	}
	n, f := int64(0), int64(factor)
	d.runs(l, func(from, till int64, protected bool) {
		if length := till - from + 1; protected {
			n += length
		} else {
			n += length/f + length%f
		}
	})
	return n
}

// mixture says how counts come from residual and reference beat, in whole numbers:
// count = residual·factor·ofResidual + beat·ofBeat, and a count is scale µV. residual·factor is whole also
// where it is interpolated.
type mixture struct {
	factor             int64
	ofResidual, ofBeat int64
	scale              ecg.Rat
	zones              []beat
}

// mixture settles the common step of residual and reference beat, which may differ: carts store the residual
// in 20 µV and the beat in 5 µV.
func (d *decoder) mixture(s signal, factor int) (mixture, error) {
	f := int64(factor)
	m := mixture{factor: f, ofResidual: 1, scale: ecg.Frac(s.avm, 1000*f)}
	if d.flags&flagSubtracted == 0 {
		return m, nil
	}
	zones, err := d.subtracted()
	if err != nil {
		return m, err
	}
	if _, ok := d.sections[4]; !ok {
		return m, reject.At(reject.Malformed, op, d.sections[3].offset, "reference beats were subtracted, and no section 4 says where")
	}
	if len(zones) == 0 {
		return m, nil
	}
	r := d.reference
	switch {
	case r == nil:
		return m, reject.At(reject.Malformed, op, d.sections[3].offset, "reference beats were subtracted, and there is none")
	case r.interval != s.interval:
		return m, reject.At(reject.Malformed, op, d.sections[6].offset, "reference beat of %d µs in a rhythm of %d µs", r.interval, s.interval)
	case d.beats.fiducial < 1:
		return m, reject.At(reject.Malformed, op, d.sections[4].offset, "reference beat without fiducial point")
	}
	step := gcd(s.avm, r.avm*f)
	m.ofResidual, m.ofBeat = s.avm/step, r.avm*f/step
	m.scale = ecg.Frac(step, 1000*f)
	m.zones = zones
	return m, nil
}

func gcd(a, b int64) int64 {
	for b != 0 {
		a, b = b, a%b
	}
	return a
}

// lead returns lead i from its stored samples: as many as they suffice for, and which of them do not fit into
// 32 bits.
func (m *mixture) lead(d *decoder, i int, stored []int16) (counts []int32, missing []bool) {
	l := d.leads[i]
	wide := m.expand(d, l, stored)
	for _, z := range m.zones {
		shift := int64(d.beats.fiducial) - z.fiducial - 1 // from the time line to the beat's samples, from 0
		beat := d.reference.leads[i]
		from := max(z.from, l.start, -shift)
		till := min(z.till, l.start+int64(len(wide))-1, int64(len(beat))-1-shift)
		for k := from; k <= till; k++ {
			wide[k-l.start] += int64(beat[k+shift]) * m.ofBeat
		}
	}
	counts = make([]int32, len(wide))
	for k, v := range wide {
		if v > math.MaxInt32 || v < math.MinInt32 {
			if missing == nil {
				missing = make([]bool, len(wide))
				d.rec.Warn(ecg.WarnClamped, "rhythm "+where(6))
			}
			missing[k] = true
			continue
		}
		counts[k] = int32(v)
	}
	return counts, missing
}

// expand puts a lead's residual on the time line. Of a decimated run each stored value is the mean of factor
// samples: the first half is held, then lines lead from one value to the next, and the last half is held.
func (m *mixture) expand(d *decoder, l leadRange, stored []int16) []int64 {
	one := m.factor * m.ofResidual
	if m.factor == 1 {
		wide := make([]int64, len(stored))
		for k, v := range stored {
			wide[k] = int64(v) * one
		}
		return wide
	}
	wide := make([]int64, 0, min(l.samples(), int64(len(stored))*m.factor))
	rest := stored
	asIs := func(n int64) {
		n = min(n, int64(len(rest)))
		for _, v := range rest[:n] {
			wide = append(wide, int64(v)*one)
		}
		rest = rest[n:]
	}
	d.runs(l, func(from, till int64, protected bool) {
		length := till - from + 1
		if protected {
			asIs(length)
			return
		}
		n := min(length/m.factor, int64(len(rest)))
		if n > 0 {
			wide = m.interpolate(wide, rest[:n])
			rest = rest[n:]
		}
		asIs(length % m.factor)
	})
	return wide
}

// interpolate appends len(values)·factor samples.
func (m *mixture) interpolate(wide []int64, values []int16) []int64 {
	hold := func(v int16, n int64) {
		for range n {
			wide = append(wide, int64(v)*m.factor*m.ofResidual)
		}
	}
	hold(values[0], m.factor/2)
	for i := 1; i < len(values); i++ {
		from, step := int64(values[i-1]), int64(values[i])-int64(values[i-1])
		for k := range m.factor {
			wide = append(wide, (from*m.factor+step*k)*m.ofResidual)
		}
	}
	hold(values[len(values)-1], m.factor-m.factor/2)
	return wide
}

// millis returns the time of a sample of the time line, counted from 1.
func millis(sample, interval int64) ecg.Rat { return ecg.Frac((sample-1)*interval, 1000) }

// annotateBeats adds the beats of section 4.
func (d *decoder) annotateBeats(interval int64) {
	var last int64
	for _, l := range d.leads {
		last = max(last, l.end)
	}
	for _, b := range d.beats.list {
		if b.fiducial >= 1 && b.fiducial <= last {
			d.annotate(ecg.Annotation{
				Kind: ecg.Beat, Group: d.rhythm, Onset: millis(b.fiducial, interval), Code: fmt.Sprintf("type %d", b.kind),
			})
		}
	}
}

// interpolatedCode marks stretches whose samples were not stored one by one.
const interpolatedCode = "interpolated"

// annotateInterpolated marks what bimodal compression left out and was filled in.
func (d *decoder) annotateInterpolated(interval, factor, length int64) {
	d.runs(leadRange{start: 1, end: length}, func(from, till int64, protected bool) {
		n := (till - from + 1) / factor * factor
		if protected || n == 0 {
			return
		}
		d.annotate(ecg.Annotation{
			Kind: ecg.Note, Group: d.rhythm, Onset: millis(from, interval), Duration: ecg.Frac(n*interval, 1000),
			Code: interpolatedCode, Text: fmt.Sprintf("bimodal compression %d:1", factor),
		})
	})
}
