package aecg

import (
	"strconv"
	"strings"

	"github.com/tributary-dicom/tributary/parsers/ecg"
	"github.com/tributary-dicom/tributary/parsers/ecg/xmltext"
	"github.com/tributary-dicom/tributary/parsers/reject"
)

// series is a series or derivedSeries that is being read.
type series struct {
	kind    ecg.Kind
	label   string
	when    span
	filters ecg.Filters
	group   int      // the first of its groups; -1 before it
	start   ecg.Time // of that group's time line
	head    ecg.Rat  // ms at which its relative time line begins
}

func (d *decoder) series(derived bool) error {
	s := &series{kind: ecg.Rhythm, group: -1}
	if derived {
		s.kind = ecg.Median
	}
	return d.xml.Children(func(t xmltext.Token) error {
		switch t.Name {
		case "component":
			return d.inside("sequenceSet", func() error { return d.sequenceSet(s) })
		case "derivation":
			return d.inside("derivedSeries", func() error { return d.series(true) })
		case "subjectOf":
			return d.inside("annotationSet", func() error { return d.annotationSet(s) })
		case "annotationSet":
			return d.annotationSet(s)
		case "code":
			s.label = d.cut(t.Get("code"))
			if code := strings.ToUpper(s.label); strings.Contains(code, "REPRESENTATIVE") || strings.Contains(code, "MEDIAN") {
				s.kind = ecg.Median
			}
		case "effectiveTime", "author", "secondaryPerformer", "controlVariable", "analysis":
			n, err := d.xml.Tree(t)
			if err != nil {
				return err
			}
			return d.seriesHeader(s, n)
		}
		return d.xml.Skip()
	})
}

// inside calls read for each child of a name.
func (d *decoder) inside(name string, read func() error) error {
	return d.xml.Children(func(t xmltext.Token) error {
		if t.Name == name {
			return read()
		}
		return d.xml.Skip()
	})
}

func (d *decoder) seriesHeader(s *series, n *xmltext.Node) error {
	switch n.Name {
	case "effectiveTime":
		s.when = d.span(n, "series effectiveTime")
		if s.kind != ecg.Median && d.recorded == (span{}) {
			d.recorded = s.when
		}
	case "author":
		d.device(n)
	case "secondaryPerformer":
		d.rec.Context.Operator = d.name(n.Find("assignedPerson").At("name"))
	case "controlVariable":
		d.filters(&s.filters, n)
	case "analysis":
		// Chinese networks put the reading here, and do not say whose it is.
		for line := range strings.Lines(n.TextAt("gread")) {
			if err := d.statement(ecg.Statement{Text: d.cut(line)}); err != nil {
				return err
			}
		}
	}
	return nil
}

// set is a sequenceSet: leads on one time line.
type set struct {
	leads   []ecg.Lead
	counts  [][]int32
	missing [][]bool
	lists   bool // some lead misses samples

	increment ecg.Rat // seconds as written
	timed     bool
	start     ecg.Time
	head      ecg.Rat // ms
}

func (d *decoder) sequenceSet(s *series) error {
	if len(d.rec.Groups) >= d.lim.Groups {
		return reject.New(reject.TooManyElements, op, "more than %d sequence sets", d.lim.Groups)
	}
	where := "group " + strconv.Itoa(len(d.rec.Groups))
	var q set
	err := d.xml.Children(func(t xmltext.Token) error {
		switch t.Name {
		case "component":
			return d.inside("sequence", func() error { return d.sequence(&q, where) })
		case "sequence":
			return d.sequence(&q, where)
		}
		return d.xml.Skip()
	})
	if err != nil || len(q.leads) == 0 {
		return err
	}
	g := &ecg.Group{Kind: s.kind, Label: s.label, Leads: q.leads}
	if !q.timed {
		return reject.New(reject.Malformed, op, "%s has no sampling rate", where)
	}
	if g.Rate, err = d.rate(q.increment, where); err != nil {
		return err
	}
	for i := range g.Leads {
		g.Leads[i].Filters = s.filters
		if _, at := g.Lead(g.Leads[i].Name); at != i {
			d.rec.Warn(ecg.WarnLeadDuplicate, where+" lead "+strconv.Itoa(i))
		}
	}
	if !q.lists {
		q.missing = nil
	}
	g.Memory(q.counts, q.missing)
	if g.Kind == ecg.Rhythm && g.DurationMillis().Cmp(ecg.Int(3_600_000)) > 0 {
		g.Kind = ecg.FullDisclosure
	}
	if g.Kind != ecg.Median && q.head.Sign() > 0 && !q.start.Valid() {
		g.StartOffset = q.head
	}
	if s.group < 0 {
		s.group, s.head = len(d.rec.Groups), q.head
		if s.start = q.start; !s.start.Valid() {
			s.start = s.when.low
		}
	}
	d.rec.Groups = append(d.rec.Groups, g)
	d.starts = append(d.starts, q.start)
	return nil
}

// Rates that carts have, Hz. An increment in the wrong unit is off by a thousand, and no two rates within
// these bounds are that far apart.
const (
	lowestRate  = 50
	highestRate = 4000
)

// rate turns an increment in seconds into Hz. A rate that no ECG can have is read in the unit that gives one
// that carts have.
func (d *decoder) rate(increment ecg.Rat, where string) (ecg.Rat, error) {
	hz, ok := ecg.Int(1).Quo(increment)
	if !ok || hz.Sign() < 0 {
		return hz, reject.New(reject.Malformed, op, "%s has an increment of %s s", where, increment)
	}
	if ecg.RateOK(hz) {
		return hz, nil
	}
	for _, power := range []int{3, 6, -3, -6} {
		if r := hz.Pow10(power); r.Cmp(ecg.Int(lowestRate)) >= 0 && r.Cmp(ecg.Int(highestRate)) <= 0 {
			d.rec.Warn(ecg.WarnRateRepaired, where)
			return r, nil
		}
	}
	return hz, reject.New(reject.Malformed, op, "%s has a sampling rate of %s Hz", where, hz)
}

// quantity is an attribute pair value and unit.
type quantity struct{ value, unit string }

func quantityOf(t xmltext.Token) quantity { return quantity{t.Get("value"), t.Get("unit")} }

// sequence reads a sequence of time or of a lead.
func (d *decoder) sequence(q *set, where string) error {
	var code, digits string
	var head, increment, origin, scale quantity
	var hasDigits, hasIncrement bool
	err := d.xml.Children(func(t xmltext.Token) error {
		switch t.Name {
		case "code":
			code = d.cut(t.Get("code"))
		case "value":
			return d.xml.Children(func(t xmltext.Token) error {
				switch t.Name {
				case "head":
					head = quantityOf(t)
				case "increment":
					increment, hasIncrement = quantityOf(t), true
				case "origin":
					origin = quantityOf(t)
				case "scale":
					scale = quantityOf(t)
				case "digits":
					hasDigits = true
					var err error
					digits, err = d.xml.Text()
					return err
				}
				return d.xml.Skip()
			})
		}
		return d.xml.Skip()
	})
	if err != nil {
		return err
	}
	switch {
	case strings.Contains(strings.ToUpper(code), "TIME_") && hasIncrement:
		return d.timeLine(q, code, head, increment, where)
	case hasDigits:
		return d.lead(q, code, origin, scale, digits, where)
	}
	d.rec.Warn(ecg.WarnUnsupportedPart, where+" sequence")
	return nil
}

// seconds are the units of time that files use.
var seconds = map[string]ecg.Rat{
	"": ecg.Int(1), "s": ecg.Int(1), "sec": ecg.Int(1), "ms": ecg.Frac(1, 1000), "us": ecg.Frac(1, 1_000_000),
	"min": ecg.Int(60), "h": ecg.Int(3600),
}

func (d *decoder) inSeconds(q quantity, where string) (ecg.Rat, bool) {
	v, ok := d.number(where, q.value)
	if !ok {
		return v, false
	}
	f, known := seconds[strings.ToLower(strings.TrimSpace(q.unit))]
	if !known {
		d.rec.Warn(ecg.WarnUnitUnknown, where)
		f = ecg.Int(1)
	}
	return v.Mul(f), true
}

// timeLine reads a sequence of time. A set may have it in absolute and in relative time: the increments must
// agree, and the absolute one says when.
func (d *decoder) timeLine(q *set, code string, head, increment quantity, where string) error {
	inc, ok := d.inSeconds(increment, where+" increment")
	if !ok {
		return reject.New(reject.Malformed, op, "%s has no sampling rate", where)
	}
	if q.timed && !q.increment.Equal(inc) {
		d.rec.Warn(ecg.WarnRateDiffers, where)
	} else {
		q.increment, q.timed = inc, true
	}
	if strings.Contains(strings.ToUpper(code), "ABSOLUTE") {
		q.start = d.time(head.value, where+" head")
	} else if s, ok := d.inSeconds(head, where+" head"); ok {
		q.head = s.Mul(ecg.Int(1000))
	}
	return nil
}

func (d *decoder) lead(q *set, code string, origin, scale quantity, digits, where string) error {
	if len(q.leads) >= d.lim.Leads {
		return reject.New(reject.TooManyElements, op, "more than %d leads", d.lim.Leads)
	}
	l := ecg.Lead{NativeCode: code, NativeScheme: "MDC"}
	if !l.SetLabel(code) {
		if id, ok := ecg.LeadByCode("MDC", code); ok {
			l.Set(id)
		} else {
			d.rec.Warn(ecg.WarnLeadUnknown, where)
		}
	}
	if l.Code != "" {
		where += " lead " + l.Name
	}
	counts, missing, err := xmltext.Counts(digits, d.lim.Samples-d.samples)
	places := 0
	if err == xmltext.ErrCount {
		d.rec.Warn(ecg.WarnLayout, where)
		counts, places, err = decimals(digits, d.lim.Samples-d.samples)
	}
	switch {
	case err == xmltext.ErrTooMany:
		return reject.New(reject.TooLarge, op, "more than %d samples", d.lim.Samples)
	case err != nil:
		return reject.New(reject.Malformed, op, "%s: %w", where, err)
	}
	d.samples += int64(len(counts))
	if missing != nil {
		q.lists = true
		d.rec.Warn(ecg.WarnMissingSamples, where)
	}
	d.scale(&l, origin, scale, where)
	l.Scale = l.Scale.Pow10(-places)
	q.leads, q.counts, q.missing = append(q.leads, l), append(q.counts, counts), append(q.missing, missing)
	return nil
}

// scale sets a lead's unit, step and origin.
func (d *decoder) scale(l *ecg.Lead, origin, scale quantity, where string) {
	step, ok := d.number(where+" scale", scale.value)
	if !ok || step.IsZero() {
		d.rec.Warn(ecg.WarnScaleAbsent, where)
		l.Scale = ecg.Int(1)
		return
	}
	base, _ := d.number(where+" origin", origin.value)
	scale.unit = first(strings.TrimSpace(scale.unit), strings.TrimSpace(origin.unit))
	f, ok := ecg.VoltageScale(scale.unit)
	if !ok {
		d.rec.Warn(ecg.WarnUnitUnknown, where)
		l.Unit, l.Scale, l.Baseline = scale.unit, step, base
		return
	}
	l.Unit, l.Scale = ecg.Microvolt, step.Mul(f)
	if o, ok := ecg.VoltageScale(strings.TrimSpace(origin.unit)); ok {
		f = o
	}
	l.Baseline = base.Mul(f)
}

// decimals reads digits with fractions, which SLIST_PQ does not have (they are INT) and converters write:
// whole counts of 10^-places.
func decimals(text string, limit int64) (counts []int32, places int, err error) {
	const most = 6
	for field := range strings.FieldsSeq(text) {
		if _, fraction, ok := strings.Cut(field, "."); ok {
			places = max(places, len(strings.TrimRight(fraction, "0")))
		}
	}
	if places > most {
		return nil, 0, xmltext.ErrCount
	}
	for field := range strings.FieldsSeq(text) {
		if int64(len(counts)) >= limit {
			return nil, 0, xmltext.ErrTooMany
		}
		whole, fraction, _ := strings.Cut(field, ".")
		fraction = strings.TrimRight(fraction, "0")
		n, err := strconv.ParseInt(whole+fraction+strings.Repeat("0", places-len(fraction)), 10, 32)
		if err != nil {
			return nil, 0, xmltext.ErrCount
		}
		counts = append(counts, int32(n))
	}
	return counts, places, nil
}
