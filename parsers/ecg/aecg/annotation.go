package aecg

import (
	"slices"
	"strings"

	"github.com/tributary-dicom/tributary/parsers/ecg"
	"github.com/tributary-dicom/tributary/parsers/ecg/xmltext"
	"github.com/tributary-dicom/tributary/parsers/reject"
)

// annotations is an annotationSet that is being read.
type annotations struct {
	series *series
	author ecg.Author
	name   string
	made   ecg.Time // activityTime
}

func (d *decoder) annotationSet(s *series) error {
	set := &annotations{series: s}
	return d.xml.Children(func(t xmltext.Token) error {
		switch t.Name {
		case "activityTime":
			set.made = d.time(t.Get("value"), "activityTime")
		case "author":
			n, err := d.xml.Tree(t)
			if err == nil {
				d.reader(set, n)
			}
			return err
		case "component":
			return d.inside("annotation", func() error { return d.annotation(scope{set: set}) })
		}
		return d.xml.Skip()
	})
}

// reader reads who made an annotation set.
func (d *decoder) reader(set *annotations, n *xmltext.Node) {
	if person := n.Find("assignedPerson"); person != nil {
		set.author, set.name = ecg.OverRead, d.name(person.At("name"))
		return
	}
	if device := n.Find("assignedDevice"); device != nil {
		set.author = ecg.Machine
		if d.rec.Device.Analysis == "" {
			d.rec.Device.Analysis = strings.TrimSpace(d.text(device, "manufacturerModelName") + " " + d.text(device, "softwareName"))
		}
	}
}

// extent is the region of an annotation: a time and a lead, or one of them.
type extent struct {
	lead       string
	start, end ecg.Rat // ms after the group's first sample
	from, to   bool    // start and end are known
}

func (e *extent) timed() bool { return e.from || e.to }

// cover widens e by a region within it.
func (e *extent) cover(in *extent) {
	if in.from && (!e.from || in.start.Cmp(e.start) < 0) {
		e.start, e.from = in.start, true
	}
	if in.to && (!e.to || in.end.Cmp(e.end) > 0) {
		e.end, e.to = in.end, true
	}
	if e.lead == "" {
		e.lead = in.lead
	}
}

// scope is what the annotations around one say.
type scope struct {
	set    *annotations
	lead   string
	inBeat bool // one of many beats: its numbers are not the recording's
	inWave bool
	region *extent // of the annotation around, for one that has none itself
}

// annotation reads an annotation and those inside it.
func (d *decoder) annotation(sc scope) error {
	var code, text string
	var v value
	region := extent{lead: sc.lead}
	inner := sc
	inner.region = &region
	numbers, marks := len(d.rec.Measurements), len(d.rec.Annotations)
	told := false
	tell := func() (err error) {
		if !told {
			told = true
			err = d.tell(sc, &inner, code, first(v.text, text), v, &region)
		}
		return err
	}
	err := d.xml.Children(func(t xmltext.Token) (err error) {
		switch t.Name {
		case "code":
			code = d.cut(t.Get("code"))
		case "text":
			text, err = d.xml.Text()
			return err
		case "value":
			v = value{kind: t.Get("type"), number: t.Get("value"), unit: t.Get("unit"), code: d.cut(t.Get("code")), display: d.cut(t.Get("displayName"))}
			v.text, err = d.xml.Text()
			return err
		case "support":
			return d.support(sc.set.series, &region)
		case "component":
			if err := tell(); err != nil {
				return err
			}
			inner.lead = region.lead
			return d.inside("annotation", func() error { return d.annotation(inner) })
		}
		return d.xml.Skip()
	})
	if err == nil {
		err = tell()
	}
	if err != nil {
		return err
	}
	// A region behind the parts that it is about.
	if region.lead != "" && region.lead != sc.lead {
		for i := numbers; i < len(d.rec.Measurements); i++ {
			if d.rec.Measurements[i].Lead == "" {
				d.rec.Measurements[i].Lead = region.lead
			}
		}
	}
	d.place(marks, sc.set.series.group, &region)
	if sc.region != nil {
		if !sc.inWave {
			region.lead = "" // a beat is in all leads, whatever its waves were measured in
		}
		sc.region.cover(&region)
	}
	return nil
}

// value is an annotation's value.
type value struct{ kind, number, unit, code, display, text string }

// tell makes of an annotation what it is. A beat or wave is put in its place by place, when its parts are known.
func (d *decoder) tell(sc scope, inner *scope, code, text string, v value, region *extent) error {
	upper := strings.ToUpper(code)
	switch {
	case strings.Contains(upper, "INTERPRETATION") || strings.Contains(upper, "DIAGNOS") || strings.Contains(upper, "STATEMENT"):
		if s := d.cut(first(text, v.display, v.code)); s != "" {
			st := ecg.Statement{Text: s, Author: sc.set.author, Name: sc.set.name, Time: sc.set.made}
			if st.Author == "" {
				st.Author = ecg.Machine // carts do not sign
			}
			if v.code != "" {
				st.Code = v.code
			}
			st.Status = ecg.Unconfirmed
			return d.statement(st)
		}
	case strings.HasSuffix(upper, "ECG_BEAT"):
		inner.inBeat = sc.set.series.kind != ecg.Median
		d.mark(ecg.Annotation{Kind: ecg.Beat, Code: v.code, Text: d.cut(first(v.display, text))}, sc)
	case strings.Contains(upper, "ECG_WAVC"):
		if !inner.inWave { // a peak, onset or offset inside a wave gives that its place
			d.mark(ecg.Annotation{Kind: ecg.Wave, Code: v.code, Text: d.cut(first(v.display, text))}, sc)
		}
		inner.inWave = true
	case strings.HasSuffix(upper, "ECG_RHY"), strings.Contains(upper, "ECG_RHYTHM"):
		d.mark(ecg.Annotation{Kind: ecg.RhythmNote, Code: v.code, Text: d.cut(first(v.display, text, v.code))}, sc)
	case v.number != "":
		d.measure(sc, code, v, region)
	case strings.Contains(upper, "PACE") || strings.Contains(upper, "SPIKE"):
		d.mark(ecg.Annotation{Kind: ecg.Spike, Code: first(v.code, code)}, sc)
	case text != "" || v.code != "":
		d.mark(ecg.Annotation{Kind: ecg.Note, Code: first(v.code, code), Text: d.cut(first(text, v.display))}, sc)
	}
	return nil
}

func (d *decoder) statement(s ecg.Statement) error {
	if s.Text == "" {
		return nil
	}
	if len(d.rec.Statements) >= d.lim.Statements {
		return reject.New(reject.TooManyElements, op, "more than %d statements", d.lim.Statements)
	}
	d.rec.Statements = append(d.rec.Statements, s)
	return nil
}

// unplaced is the group of an annotation whose place is not known yet.
const unplaced = -2

func (d *decoder) mark(a ecg.Annotation, sc scope) {
	if len(d.rec.Annotations) >= d.lim.Annotations {
		d.rec.Warn(ecg.WarnAnnotationsCut, "annotationSet")
		return
	}
	a.Group, a.Lead = unplaced, sc.lead
	d.rec.Annotations = append(d.rec.Annotations, a)
}

// place puts the annotation at index i, if it is still without place, where its region is in group. Without any
// time it marks nothing, and goes.
func (d *decoder) place(i, group int, region *extent) {
	if i >= len(d.rec.Annotations) || d.rec.Annotations[i].Group != unplaced {
		return
	}
	a := &d.rec.Annotations[i]
	if !region.timed() || group < 0 {
		// Only its own parts stand behind it, so that this costs no more than reading them did.
		d.rec.Annotations = slices.Delete(d.rec.Annotations, i, i+1)
		return
	}
	a.Group, a.Duration = group, ecg.Rat{}
	a.Lead = first(a.Lead, region.lead)
	switch {
	case region.from && region.to:
		a.Onset = region.start
		if length := region.end.Sub(region.start); length.Sign() > 0 {
			a.Duration = length
		}
	case region.from:
		a.Onset = region.start
	default: // the end alone, as of a T wave whose beginning nobody can tell
		a.Onset, a.Text = region.end, strings.TrimSpace(a.Text+" offset")
	}
}

// support reads regions of interest: boundaries in time and leads.
func (d *decoder) support(s *series, region *extent) error {
	var boundary func(t xmltext.Token) error
	boundary = func(t xmltext.Token) error {
		switch t.Name {
		case "supportingROI", "component":
			return d.xml.Children(boundary)
		case "boundary":
			return d.boundary(s, region)
		}
		return d.xml.Skip()
	}
	return d.xml.Children(boundary)
}

func (d *decoder) boundary(s *series, region *extent) error {
	var code string
	var low, high, at quantity
	err := d.xml.Children(func(t xmltext.Token) error {
		switch t.Name {
		case "code":
			code = d.cut(t.Get("code"))
		case "value":
			at = quantityOf(t)
			return d.xml.Children(func(t xmltext.Token) error {
				switch t.Name {
				case "low":
					low = quantityOf(t)
				case "high":
					high = quantityOf(t)
				case "center":
					at = quantityOf(t)
				}
				return d.xml.Skip()
			})
		}
		return d.xml.Skip()
	})
	if err != nil {
		return err
	}
	upper := strings.ToUpper(code)
	if !strings.Contains(upper, "TIME_") {
		var l ecg.Lead
		if l.SetLabel(code) {
			region.lead = l.Name
		}
		return nil
	}
	when := d.relative
	if strings.Contains(upper, "ABSOLUTE") {
		when = d.absolute
	}
	if ms, ok := when(s, low); ok {
		region.start, region.from = ms, true
	}
	if ms, ok := when(s, high); ok {
		region.end, region.to = ms, true
	}
	if ms, ok := when(s, at); ok && !region.timed() {
		region.start, region.end, region.from, region.to = ms, ms, true, true
	}
	return nil
}

// relative turns a time on a relative line into ms after the group's first sample.
func (d *decoder) relative(s *series, q quantity) (ecg.Rat, bool) {
	if q.value == "" {
		return ecg.Rat{}, false
	}
	v, ok := d.inSeconds(q, "boundary")
	return v.Mul(ecg.Int(1000)).Sub(s.head), ok
}

// absolute turns a moment into ms after the group's first sample.
func (d *decoder) absolute(s *series, q quantity) (ecg.Rat, bool) {
	if q.value == "" || !s.start.Valid() {
		return ecg.Rat{}, false
	}
	t := d.time(q.value, "boundary")
	if !t.Valid() {
		return ecg.Rat{}, false
	}
	return millis(s.start, t)
}
