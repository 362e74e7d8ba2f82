package aecg

import (
	"io"
	"strings"

	"github.com/tributary-dicom/tributary/parsers/ecg"
	"github.com/tributary-dicom/tributary/parsers/ecg/xmltext"
	"github.com/tributary-dicom/tributary/parsers/reject"
	"github.com/tributary-dicom/tributary/parsers/sniff"
)

const op = "ecg/aecg.Decode"

type decoder struct {
	xml     *xmltext.Reader
	lim     ecg.Limits
	rec     *ecg.Recording
	samples int64 // so far, all leads

	document span       // the document's effectiveTime
	recorded span       // the first series' effectiveTime
	starts   []ecg.Time // by group: where its time line begins, if it says so
}

// span is an effectiveTime.
type span struct{ low, center, high ecg.Time }

// Decode reads an AnnotatedECG document. It is an ecg.Decoder.
func Decode(src ecg.Source, lim ecg.Limits) (*ecg.Recording, error) {
	lim = lim.Fill()
	x, err := xmltext.New(src.File, lim)
	if err != nil {
		return nil, err
	}
	root, err := x.Next()
	if err == io.EOF || err == nil && root.Name != "AnnotatedECG" {
		return nil, reject.New(reject.UnsupportedFormat, op, "the root is no AnnotatedECG")
	}
	if err != nil {
		return nil, err
	}
	d := &decoder{xml: x, lim: lim, rec: &ecg.Recording{Format: sniff.AECG}}
	if err := x.Children(d.block); err != nil {
		return nil, err
	}
	d.close()
	return d.rec, nil
}

// block reads one child of the root.
func (d *decoder) block(start xmltext.Token) error {
	switch start.Name {
	case "component":
		return d.xml.Children(func(t xmltext.Token) error {
			if t.Name == "series" || t.Name == "derivedSeries" {
				return d.series(t.Name == "derivedSeries")
			}
			return d.xml.Skip()
		})
	case "id", "effectiveTime", "componentOf", "location", "controlVariable", "pertainsTo":
		n, err := d.xml.Tree(start)
		if err == nil {
			d.header(n)
		}
		return err
	}
	return d.xml.Skip()
}

// close fills in what needs all series.
func (d *decoder) close() {
	d.acquired()
	for i, g := range d.rec.Groups {
		if g.Kind == ecg.Median || !d.starts[i].Valid() || !d.rec.Acquired.Valid() {
			continue
		}
		if ms, ok := millis(d.rec.Acquired, d.starts[i]); ok {
			g.StartOffset = ms
		}
	}
	d.xml.Warn(d.rec)
	if len(d.rec.Groups) == 0 {
		d.rec.Warn(ecg.WarnNoWaveform, "")
	}
}

// acquired chooses when the recording began: the time of the first samples themselves; the interval of the
// first series, unless it has no extent, which is a moment of export; the document's time; or whatever there is.
func (d *decoder) acquired() {
	var candidates []ecg.Time
	for i, g := range d.rec.Groups {
		if g.Kind != ecg.Median && d.starts[i].Valid() {
			candidates = append(candidates, d.starts[i])
			break
		}
	}
	if d.recorded.low.Valid() && d.recorded.high.Valid() && d.recorded.low.Time.Before(d.recorded.high.Time) {
		candidates = append(candidates, d.recorded.low)
	}
	candidates = append(candidates, d.document.low, d.document.center, d.document.high, d.recorded.low, d.recorded.center, d.recorded.high)
	for _, c := range candidates {
		if c.Valid() {
			d.rec.Acquired = c
			break
		}
	}
	if !d.rec.Acquired.Valid() {
		for _, c := range candidates {
			if c.Raw != "" {
				d.rec.Acquired = c
				break
			}
		}
		return
	}
	// The document's own idea of the time, a day or more away, is worth a look.
	for _, c := range []ecg.Time{d.document.low, d.document.center, d.document.high, d.recorded.low} {
		if c.Valid() && c.Time.Sub(d.rec.Acquired.Time).Abs().Hours() > 36 {
			d.rec.Warn(ecg.WarnHeaderDiffers, "effectiveTime")
		}
	}
}

// millis returns how many ms after from to is; false when only one of them knows its zone.
func millis(from, to ecg.Time) (ecg.Rat, bool) {
	if from.ZoneKnown != to.ZoneKnown {
		return ecg.Rat{}, false
	}
	return ecg.Frac(to.Time.Sub(from.Time).Nanoseconds(), 1_000_000), true
}

// cut bounds a text and puts its white space in order: names have line ends inside.
func (d *decoder) cut(s string) string {
	if len(s) > d.lim.Text {
		d.rec.Warn(ecg.WarnValueCut, "")
		s = strings.ToValidUTF8(s[:d.lim.Text], "")
	}
	return strings.Join(strings.Fields(s), " ")
}

func (d *decoder) text(n *xmltext.Node, path ...string) string { return d.cut(n.TextAt(path...)) }

// time reads a TS. An empty one is none.
func (d *decoder) time(raw, where string) ecg.Time {
	raw = d.cut(raw)
	if raw == "" {
		return ecg.Time{}
	}
	t := ecg.ParseTime(raw)
	if !t.Valid() {
		d.rec.Warn(ecg.WarnTime, where)
	}
	return t
}

func (d *decoder) span(n *xmltext.Node, where string) span {
	s := span{
		low: d.time(n.At("low").Get("value"), where), high: d.time(n.At("high").Get("value"), where),
		center: d.time(n.At("center").Get("value"), where),
	}
	if v := n.Get("value"); v != "" && !s.center.Valid() {
		s.center = d.time(v, where)
	}
	return s
}

func (d *decoder) number(where, text string) (ecg.Rat, bool) {
	if strings.TrimSpace(text) == "" {
		return ecg.Rat{}, false
	}
	r, err := ecg.ParseRat(text)
	if err != nil {
		d.rec.Warn(ecg.WarnNumber, where)
		return ecg.Rat{}, false
	}
	return r, true
}

func first(values ...string) string {
	for _, v := range values {
		if v != "" {
			return v
		}
	}
	return ""
}
