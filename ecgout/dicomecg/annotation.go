package dicomecg

import (
	"strconv"
	"strings"
	"unicode/utf8"

	"github.com/tributary-dicom/tributary/parsers/ecg"
)

const (
	// maxAnnotationBytes bounds Waveform Annotation Sequence: readers keep a header whole, and ours takes
	// 4 MiB of one.
	maxAnnotationBytes = 1 << 20

	// Values that fit an element with a length of 16 bits (PS3.5 §7.1.2).
	maxPositions = 0xFFFE / 4
	maxOffsets   = 0xFFFE / (maxDecimal + 1)
)

// annotator collects the items of Waveform Annotation Sequence (0040,B020), PS3.3 §C.10.10.
type annotator struct {
	*builder
	d     *dataset
	items []*dataset
	bytes int
}

// annotate puts the readings, the measurements, the gaps and the marks, in this order.
func (b *builder) annotate(d *dataset) {
	a := &annotator{builder: b, d: d}
	a.readings()
	for _, m := range b.rec.Measurements {
		a.measurement(m)
	}
	for n := range b.plan.waves {
		a.gaps(n)
	}
	a.marks()
	if len(a.items) > 0 {
		d.items(0x0040B020, a.items...)
	}
}

// add keeps an item if there is room.
func (a *annotator) add(i *dataset) {
	size := len(i.appendTo(nil)) + 8
	if a.bytes+size > maxAnnotationBytes {
		a.plan.warn(WarnCut, "0040B020")
		return
	}
	a.bytes += size
	a.items = append(a.items, i)
}

// about returns a new item about a lead of a group, or about the group as a whole (channel 0). Index -1
// and groups that are not written mean the first one that has the lead.
func (a *annotator) about(index int, lead string) (*dataset, *wave) {
	group, channel := -1, 0
	for n, w := range a.plan.waves {
		if index >= 0 && w.index != index {
			continue
		}
		c := w.channel(lead)
		if group < 0 || c > 0 && channel == 0 {
			group, channel = n, c
		}
	}
	if group < 0 {
		if index >= 0 {
			return a.about(-1, lead)
		}
		group = 0
	}
	i := a.d.item()
	i.short(0x0040A0B0, uint16(group+1), uint16(channel))
	return i, a.plan.waves[group]
}

// channel returns a lead's channel from 1, 0 when it has none.
func (w *wave) channel(name string) int {
	for c, i := range w.order {
		if name != "" && w.group.Leads[i].Name == name {
			return c + 1
		}
	}
	return 0
}

// maxNoteBytes bounds a text in bytes, not characters: dciodvfy and others count those, and what is cut here goes
// on in the next item. It leaves room for line ends and for the longer codes of GB18030.
const maxNoteBytes = 700

// note adds a text, in several items where it is longer than ST allows.
func (a *annotator) note(text string) {
	for text = strings.TrimSpace(text); text != ""; {
		part := text
		for at := range text {
			if at > maxNoteBytes {
				part = text[:at]
				break
			}
		}
		text = strings.TrimSpace(text[len(part):])
		i, _ := a.about(-1, "")
		i.text(0x00700006, "ST", part)
		a.add(i)
	}
}

// readings puts statements, each reading under a line that says whose it is and whether it is confirmed.
func (a *annotator) readings() {
	if !a.rec.Acquired.Valid() {
		if a.opt.Received.IsZero() {
			a.note("Date and time of the recording are unknown")
		} else {
			a.note("Date and time of the recording are unknown; those stated are of its receipt")
		}
	}
	if p := a.rec.Pacing; p.Known {
		text := "Pacemaker: no"
		if p.Paced {
			text = "Pacemaker: yes"
		}
		if p.Text != "" {
			text += " (" + p.Text + ")"
		}
		a.note(text)
	}
	last := ""
	for _, s := range a.rec.Statements {
		if !utf8.ValidString(s.Text) || strings.TrimSpace(s.Text) == "" {
			continue
		}
		if h := heading(s); h != last {
			last = h
			if s.Text != h {
				a.note(h)
			}
		}
		a.note(s.Text)
	}
}

// heading says whose reading a statement belongs to. What is not known to be confirmed is not.
func heading(s ecg.Statement) string {
	var b strings.Builder
	if s.Status == ecg.Confirmed {
		b.WriteString("Confirmed")
	} else {
		b.WriteString("Unconfirmed")
	}
	switch s.Author {
	case ecg.Machine:
		b.WriteString(" machine reading")
	case ecg.OverRead:
		b.WriteString(" over-read")
	default:
		b.WriteString(" reading")
	}
	if s.Name != "" {
		b.WriteString(" by " + s.Name)
	}
	if s.Time.Valid() {
		b.WriteString(", " + s.Time.String())
	}
	return b.String()
}

// fiducials are measurements that are a point in time.
var fiducials = map[ecg.MeasurementKind]bool{
	ecg.POnset: true, ecg.POffset: true, ecg.QRSOnset: true, ecg.QRSOffset: true, ecg.TOnset: true, ecg.TOffset: true,
}

func (a *annotator) measurement(m ecg.Measurement) {
	if !m.Valid {
		return
	}
	group := m.Group
	if group < 0 && fiducials[m.Kind] { // of the median beat
		for _, w := range a.plan.waves {
			if w.group.Kind == ecg.Median {
				group = w.index
				break
			}
		}
	}
	i, w := a.about(group, m.Lead)
	c := concept(m)
	if m.Lead != "" && w.channel(m.Lead) == 0 { // of a lead that is not written
		c.meaning += ", lead " + m.Lead
	}
	i.code(0x0040A043, c)
	i.code(0x004008EA, unitCode(m.Unit, m.Kind))
	i.number(0x0040A30A, m.Value, "0040A30A")
	if fiducials[m.Kind] && m.Unit == "ms" {
		if p, ok := w.position(m.Value); ok {
			i.ascii(0x0040A130, "CS", "POINT")
			i.long(0x0040A132, p)
		}
	}
	a.add(i)
}

// position returns the sample, from 1, at ms after the group's start, if there is one.
func (w *wave) position(ms ecg.Rat) (uint32, bool) {
	n, ok := ms.Mul(w.group.Rate).Mul(ecg.Frac(1, 1000)).Int64()
	return uint32(n + 1), ok && n >= 0 && n < w.count
}

// gaps marks where channels of a group have no samples (CID 3335).
func (a *annotator) gaps(n int) {
	w := a.plan.waves[n]
	for c, lead := range w.order {
		s := &w.leads[lead]
		if len(s.gaps) == 0 {
			continue
		}
		if s.moreGaps {
			a.plan.warn(WarnCut, "group "+strconv.Itoa(w.index)+" gaps")
		}
		var ends []uint32
		for _, g := range s.gaps {
			ends = append(ends, uint32(g.from+1), uint32(g.to))
		}
		i := a.d.item()
		i.short(0x0040A0B0, uint16(n+1), uint16(c+1))
		i.code(0x0040A043, code{"10:11248", "MDC", "No ECG signal is available"})
		i.ascii(0x0040A130, "CS", rangeType(len(s.gaps), true))
		i.long(0x0040A132, ends...)
		a.add(i)
	}
}

func rangeType(n int, segments bool) string {
	switch {
	case segments && n > 1:
		return "MULTISEGMENT"
	case segments:
		return "SEGMENT"
	case n > 1:
		return "MULTIPOINT"
	}
	return "POINT"
}

// mark is what annotations at several places have in common.
type mark struct {
	kind       ecg.AnnotationKind
	group      int
	lead       string
	code, text string
	segments   bool
	sampled    bool // the places are samples; seconds otherwise
}

type places struct {
	mark
	samples []uint32
	seconds []string
}

// marks puts annotations. Those that say the same of several places share an item: a day has 100,000 beats.
func (a *annotator) marks() {
	at := map[mark]*places{}
	var order []*places
	for _, n := range a.rec.Annotations {
		_, w := a.about(n.Group, n.Lead)
		onset := n.Onset
		if n.Group != w.index { // counted from Recording.Acquired, or from a group that is not written
			if n.Group >= 0 && n.Group < len(a.rec.Groups) {
				onset = onset.Add(a.rec.Groups[n.Group].StartOffset)
			}
			onset = onset.Sub(w.group.StartOffset)
		}
		m := mark{kind: n.Kind, group: w.index, lead: n.Lead, code: n.Code, text: n.Text, segments: n.Duration.Sign() > 0}
		from, fromOK := w.position(onset)
		to, toOK := w.position(onset.Add(n.Duration))
		m.sampled = fromOK && toOK
		p := at[m]
		if p == nil || len(p.samples) >= maxPositions-1 || len(p.seconds) >= maxOffsets-1 {
			p = &places{mark: m}
			at[m] = p
			order = append(order, p)
		}
		switch {
		case m.sampled && m.segments:
			p.samples = append(p.samples, from, to)
		case m.sampled:
			p.samples = append(p.samples, from)
		default:
			p.seconds = append(p.seconds, a.seconds(onset))
			if m.segments {
				p.seconds = append(p.seconds, a.seconds(onset.Add(n.Duration)))
			}
		}
	}
	for _, p := range order {
		a.add(a.markItem(p))
	}
}

func (a *annotator) seconds(ms ecg.Rat) string {
	s, exact := decimal(ms.Mul(ecg.Frac(1, 1000)))
	if !exact {
		a.plan.warn(WarnRounded, "0040A138")
	}
	return s
}

// kindConcepts name what an annotation marks.
var kindConcepts = map[ecg.AnnotationKind]code{
	ecg.Beat:       {"10:8192", "MDC", "Heart beat"},
	ecg.Spike:      {"PACING-SPIKE", private, "Pacing spike"},
	ecg.Wave:       {"WAVE", private, "Wave"},
	ecg.RhythmNote: {"RHYTHM", private, "Rhythm"},
	ecg.Event:      {"EVENT", private, "Event"},
}

// waves are CID 3335 by the names that formats give them.
var waveConcepts = map[string]code{
	"P": {"10:256", "MDC", "P wave"}, "QRS": {"10:1600", "MDC", "QRS wave (excluding P, T and U)"}, "T": {"10:1024", "MDC", "T wave"}, "U": {"10:1152", "MDC", "U wave"},
}

func (a *annotator) markItem(p *places) *dataset {
	i, _ := a.about(p.group, p.lead)
	text := strings.TrimSpace(p.text)
	c, coded := kindConcepts[p.kind]
	if w, ok := waveConcepts[strings.ToUpper(p.code)]; ok && p.kind == ecg.Wave {
		c = w
		if text == p.code {
			text = ""
		}
	}
	native := strings.TrimSpace(p.code)
	switch {
	case !coded && text == "":
		text = native
		if text == "" {
			text = "Note"
		}
		i.text(0x00700006, "ST", text)
	case !coded:
		i.text(0x00700006, "ST", text)
	default:
		i.code(0x0040A043, c)
		if meaning := strings.TrimSpace(strings.TrimSpace(native) + " " + text); meaning != "" && c.meaning != meaning {
			v := privateCode(native)
			if native == "" {
				v = privateCode(text)
			}
			if text != "" && text != native {
				v.meaning = text
			}
			i.code(0x0040A168, v)
		}
	}
	count := len(p.samples) + len(p.seconds)
	if p.segments {
		count /= 2
	}
	i.ascii(0x0040A130, "CS", rangeType(count, p.segments))
	if p.sampled {
		i.long(0x0040A132, p.samples...)
	} else {
		i.ascii(0x0040A138, "DS", strings.Join(p.seconds, `\`))
	}
	return i
}
