package wfdb

import (
	"io"
	"math"
	"strconv"
	"strings"

	"github.com/tributary-dicom/tributary/parsers/ecg"
	"github.com/tributary-dicom/tributary/parsers/reject"
)

// fullDisclosure is what is longer than a rhythm strip, in s.
const fullDisclosure = 600

type key struct {
	perFrame int
	cardiac  bool
}

// channel is a lead with what each unit has for it.
type channel struct {
	lead   ecg.Lead
	layout int // signal of the layout
	picks  map[*unit]pick
}

// groups makes the groups: one for each number of samples a frame, ECG leads and other signals apart.
func (d *decoder) groups(spans []span, layout *header, segmented bool) error {
	if layout == nil {
		d.rec.Warn(ecg.WarnNoWaveform, "")
		return nil
	}
	var keys []key
	members := map[key][]*channel{}
	for i := range layout.signals {
		c, cardiac := d.channel(i, layout, spans, segmented)
		if c == nil {
			continue
		}
		k := key{layout.signals[i].perFrame, cardiac}
		if len(members[k]) == 0 {
			keys = append(keys, k)
		}
		members[k] = append(members[k], c)
	}
	frames := int64(0)
	for _, s := range spans {
		frames += s.frames
	}
	if len(keys) == 0 || frames == 0 {
		d.rec.Warn(ecg.WarnNoWaveform, "")
		return nil
	}
	for _, k := range keys {
		rate := layout.rate.Mul(ecg.Int(int64(k.perFrame)))
		if rate.Cmp(ecg.Int(ecg.MaxRateHz)) > 0 {
			return reject.New(reject.Malformed, op, "%s Hz", rate)
		}
		d.group(k, rate, members[k], spans, frames*int64(k.perFrame))
	}
	return nil
}

func (d *decoder) group(k key, rate ecg.Rat, members []*channel, spans []span, length int64) {
	g := &ecg.Group{Kind: ecg.OtherSignals, Rate: rate, Length: length}
	if k.cardiac && ecg.RateOK(rate) {
		g.Kind = ecg.Rhythm
		if g.DurationMillis().Cmp(ecg.Int(fullDisclosure*1000)) > 0 {
			g.Kind = ecg.FullDisclosure
		}
	}
	names := map[string]bool{}
	picks := map[*unit][]pick{}
	for i, c := range members {
		c.lead.Length = length
		if names[c.lead.Name] {
			d.rec.Warn(ecg.WarnLeadDuplicate, layoutWhere(c.layout))
		}
		names[c.lead.Name] = true
		g.Leads = append(g.Leads, c.lead)
		for u, p := range c.picks {
			p.lead = i
			picks[u] = append(picks[u], p)
		}
	}
	leads := len(g.Leads)
	g.SetSource(func() (ecg.SampleReader, error) {
		return &reader{spans: spans, picks: picks, leads: leads, each: k.perFrame, length: length}, nil
	})
	d.rec.Groups = append(d.rec.Groups, g)
}

func layoutWhere(signal int) string { return "signal " + strconv.Itoa(signal) }

// channel finds what each span has for a signal of the layout; nil when none has anything. In fixed layout that
// is the signal of the same place, in variable layout the one of the same description.
func (d *decoder) channel(i int, layout *header, spans []span, segmented bool) (*channel, bool) {
	want := &layout.signals[i]
	c := &channel{layout: i, picks: map[*unit]pick{}}
	var units []*unit
	for _, s := range spans {
		u := s.unit
		if u == nil {
			continue
		}
		if _, have := c.picks[u]; have {
			continue
		}
		at := i
		if segmented && (i >= len(u.signals) || u.signals[i].label != want.label || len(u.signals) != len(layout.signals)) {
			at = -1
			for j := range u.signals {
				if u.signals[j].label == want.label {
					at = j
					break
				}
			}
		}
		if at < 0 || u.absent[at] {
			continue
		}
		if got := &u.signals[at]; got.perFrame != want.perFrame || got.unit != want.unit {
			d.rec.Warn(ecg.WarnLayout, want.where)
			continue
		}
		missing, misses := missingCount(u.signals[at].format)
		c.picks[u] = pick{signal: at, mul: 1, missing: missing, misses: misses}
		units = append(units, u)
	}
	if len(units) == 0 {
		return nil, false
	}
	cardiac := d.lead(c, want)
	d.scale(c, units)
	return c, cardiac
}

// units are UCUM codes of what headers write.
var units = map[string]string{
	"mmhg": "mm[Hg]", "nu": "1", "bpm": "/min", "%": "%", "degc": "Cel", "cm": "cm", "l/s": "L/s", "l/min": "L/min", "ohm": "Ohm", "g": "g",
}

// lead names the lead, and tells whether it is one of the surface ECG.
func (d *decoder) lead(c *channel, s *signal) (cardiac bool) {
	l := &c.lead
	l.Bits = s.bits
	known := l.SetLabel(s.label)
	if !known && strings.EqualFold(strings.TrimSpace(s.label), "V") { // monitors have one chest lead
		id, _, _ := ecg.LeadByName("lead V")
		l.Set(id)
		known = true
	}
	if l.Name == "" {
		l.Name = s.where
	}
	factor, voltage := ecg.VoltageScale(s.unit)
	upper := strings.ToUpper(s.label)
	switch {
	case !voltage:
		if l.Unit = units[strings.ToLower(s.unit)]; l.Unit == "" {
			l.Unit = s.unit
			d.rec.Warn(ecg.WarnUnitUnknown, s.where)
		}
		l.Name, l.Code, factor = s.label, "", ecg.Int(1)
		if l.Name == "" {
			l.Name = s.where
		}
	case known:
		cardiac = true
	case strings.Contains(upper, "ECG") || strings.Contains(upper, "EKG"):
		d.rec.Warn(ecg.WarnLeadUnknown, s.where)
		cardiac = true
	}
	if voltage {
		l.Unit = ecg.Microvolt
	}
	l.Scale = factor
	return cardiac
}

// scale finds the step that the counts of all units share. Lead.Scale comes in as µV of one unit.
func (d *decoder) scale(c *channel, us []*unit) {
	factor := c.lead.Scale
	steps := make([]ecg.Rat, len(us))
	same := true
	for i, u := range us {
		s := &u.signals[c.picks[u].signal]
		if s.noGain {
			d.rec.Warn(ecg.WarnScaleAbsent, s.where)
		}
		steps[i], _ = factor.Quo(s.gain)
		same = same && steps[i].Equal(steps[0]) && s.baseline == us[0].signals[c.picks[us[0]].signal].baseline
	}
	base := us[0].signals[c.picks[us[0]].signal].baseline
	if steps[0].Abs().Cmp(ecg.Int(1_000_000)) > 0 { // a gain below 0.001 a mV
		d.rec.Warn(ecg.WarnScaleSuspicious, layoutWhere(c.layout))
		c.lead.Unit = ""
	}
	c.lead.Scale, c.lead.Baseline = steps[0], steps[0].Mul(ecg.Int(base)).Neg()
	if same {
		return
	}
	step, exact := commonStep(steps)
	c.lead.Scale, c.lead.Baseline = step, ecg.Rat{}
	for i, u := range us {
		p := c.picks[u]
		s := &u.signals[p.signal]
		ratio, _ := steps[i].Quo(step)
		mul, whole := ratio.Int64()
		// Counts have as many bits as their format; what is multiplied must fit into 32.
		bits := sampleBits(s.format)
		if exact && whole && bits < 30 && (abs(mul)<<bits)+abs(s.baseline)*abs(mul) < math.MaxInt32 && abs(s.baseline) < math.MaxInt32 {
			p.mul, p.base = int32(mul), int32(s.baseline)
			if mul == 1 { // bring leaves such counts alone
				p.mul, p.rational = 1, ecg.NewScaler(ecg.Int(1), ecg.Int(-s.baseline))
			}
		} else {
			p.rational = ecg.NewScaler(ratio, ratio.Mul(ecg.Int(s.baseline)).Neg())
			if !whole {
				d.rec.Warn(ecg.WarnScaleSuspicious, layoutWhere(c.layout)) // rounded to the common step
			}
		}
		c.picks[u] = p
	}
}

func abs(v int64) int64 { return max(v, -v) }

func sampleBits(format int) uint {
	switch {
	case isFLAC(format):
		return uint(format - 500)
	case format == 8:
		return 31
	}
	w := widths[format]
	return uint(w.bytes * 8 / w.samples)
}

// commonStep returns the largest step of which all steps are multiples, and true; or a sixteenth of the smallest
// where that would be too fine for counts of 32 bits.
func commonStep(steps []ecg.Rat) (ecg.Rat, bool) {
	num, den := int64(0), int64(1)
	smallest := steps[0].Abs()
	ok := true
	for _, s := range steps {
		if s.Abs().Cmp(smallest) < 0 {
			smallest = s.Abs()
		}
		n, d, fits := s.Abs().Fraction()
		// n/d and num/den: the greatest common divisor is gcd(n·den, num·d)/(d·den).
		if !fits || n > 1<<31 || d > 1<<31 || den > 1<<31 || num > 1<<31 {
			ok = false
			break
		}
		g := gcd(n*den, num*d)
		num, den = reduce(g, d, den)
		if den <= 0 {
			ok = false
			break
		}
	}
	if ok && num > 0 {
		return ecg.Frac(num, den), true
	}
	step, _ := smallest.Quo(ecg.Int(16))
	return step, false
}

func gcd(a, b int64) int64 {
	for b != 0 {
		a, b = b, a%b
	}
	return a
}

// reduce returns g/(d·e) in lowest terms; den is 0 when it does not fit.
func reduce(g, d, e int64) (num, den int64) {
	if e > math.MaxInt64/d {
		return 0, 0
	}
	c := gcd(g, d*e)
	return g / c, d * e / c
}

// reader reads one group over all spans.
type reader struct {
	spans  []span
	picks  map[*unit][]pick
	leads  int
	each   int   // samples of a frame
	length int64 // samples
	at     int64 // sample

	span int
	in   *unitReader // of the present span
	done int64       // frames of the present span
}

// Next implements ecg.SampleReader.
func (r *reader) Next(b *ecg.Block) error {
	for r.span < len(r.spans) && r.done >= r.spans[r.span].frames {
		r.span, r.done, r.in = r.span+1, 0, nil
	}
	if r.span >= len(r.spans) {
		b.Resize(r.at, r.leads, 0)
		return io.EOF
	}
	s := r.spans[r.span]
	n := int(min(max(1, ecg.BlockSamples/int64(r.each)), s.frames-r.done))
	b.Resize(r.at, r.leads, n*r.each)
	var picks []pick
	if s.unit != nil {
		picks = r.picks[s.unit]
	}
	if len(picks) > 0 {
		if r.in == nil {
			r.in = s.unit.reader(picks)
		}
		if err := r.in.read(n, b, 0); err != nil {
			return err
		}
	}
	if len(picks) < r.leads {
		r.blank(b, picks)
	}
	r.done += int64(n)
	r.at += int64(n * r.each)
	return nil
}

// blank marks leads that the present span does not have.
func (r *reader) blank(b *ecg.Block, picks []pick) {
	have := make([]bool, r.leads)
	for _, p := range picks {
		have[p.lead] = true
	}
	for i, ok := range have {
		for j := 0; !ok && j < b.Len; j++ {
			b.Miss(i, j)
		}
	}
}
