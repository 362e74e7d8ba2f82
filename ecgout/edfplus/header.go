package edfplus

import (
	"sort"
	"strconv"
	"strings"
	"time"
	"unicode/utf8"

	"github.com/tributary-dicom/tributary/parsers/ecg"
)

// maxNote bounds the text of one annotation, bytes.
const maxNote = 400

// maxNotes bounds the annotations of a file: each record has room for as many as the average needs.
const maxNotes = 400_000

type note struct {
	at   ecg.Rat // seconds
	text string  // a TAL
}

// ascii returns a subfield of patient or recording: no spaces, "X" for what is not known or no ASCII.
func (p *Plan) ascii(s string) string {
	s = strings.TrimSpace(s)
	for _, c := range []byte(s) {
		if c >= 0x7F || c < ' ' {
			p.warn(WarnNotASCII, "")
			return "X"
		}
	}
	if s == "" {
		return "X"
	}
	return strings.Join(strings.Fields(s), "_")
}

func (p *Plan) header(rec *ecg.Recording, gaps []gap) {
	var b strings.Builder
	sex := rec.Patient.Sex
	if sex != "M" && sex != "F" {
		sex = "X"
	}
	birth := "X"
	if t, err := time.Parse("2006-01-02", rec.Patient.BirthDate); err == nil {
		birth = dateText(t)
	}
	patient := strings.Join([]string{p.ascii(rec.Patient.ID), sex, birth, p.ascii(strings.ReplaceAll(rec.Patient.Name, "^", " "))}, " ")
	start, day, clock := "X", "01.01.85", "00.00.00"
	if t := rec.Acquired; t.Valid() {
		at := t.Time
		offset, _ := p.group.StartOffset.Mul(ecg.Int(1_000_000)).Round()
		at = at.Add(time.Duration(offset))
		start = dateText(at)
		day = at.Format("02.01.") + "yy"
		if y := at.Year(); y >= 1985 && y <= 2084 {
			day = at.Format("02.01.06")
		}
		if !t.DateOnly {
			clock = at.Format("15.04.05")
			p.fraction = ecg.Frac(int64(at.Nanosecond()), 1_000_000_000)
		}
	}
	recording := strings.Join([]string{"Startdate", start, p.ascii(rec.Context.OrderNumber), p.ascii(rec.Context.Operator), p.ascii(strings.TrimSpace(rec.Device.Maker + " " + rec.Device.Model))}, " ")

	p.collect(rec, gaps)
	signals := len(p.leads) + 1
	duration, exact := number(p.duration)
	if !exact {
		p.warn(WarnRounded, "rate")
	}
	b.WriteString(pad("0", 8) + pad(patient, 80) + pad(recording, 80) + day + clock)
	b.WriteString(pad(strconv.Itoa(256*(signals+1)), 8) + pad("EDF+C", 44) + pad(strconv.FormatInt(p.records, 10), 8) + pad(duration, 8) + pad(strconv.Itoa(signals), 4))
	each := func(width int, of func(l *ecg.Lead, e *extremes) string, annotations string) {
		for k, i := range p.leads {
			b.WriteString(pad(of(&p.group.Leads[i], &p.scales[k]), width))
		}
		b.WriteString(pad(annotations, width))
	}
	each(16, func(l *ecg.Lead, _ *extremes) string { return p.label(l) }, "EDF Annotations")
	each(80, func(l *ecg.Lead, _ *extremes) string { return "" }, "")
	each(8, func(_ *ecg.Lead, e *extremes) string { return p.unit(e.unit) }, "")
	each(8, func(_ *ecg.Lead, e *extremes) string { return e.physMin }, "-1")
	each(8, func(_ *ecg.Lead, e *extremes) string { return e.physMax }, "1")
	each(8, func(_ *ecg.Lead, e *extremes) string { return strconv.FormatInt(e.digMin, 10) }, "-32768")
	each(8, func(_ *ecg.Lead, e *extremes) string { return strconv.FormatInt(e.digMax, 10) }, "32767")
	each(80, func(l *ecg.Lead, _ *extremes) string { return prefilter(l) }, "")
	each(8, func(*ecg.Lead, *extremes) string { return strconv.FormatInt(p.perRecord, 10) }, strconv.Itoa(p.noteBytes/2))
	each(32, func(*ecg.Lead, *extremes) string { return "" }, "")
	p.head = []byte(b.String())
}

// label is "ECG II" for leads, and what the file says for other signals.
func (p *Plan) label(l *ecg.Lead) string {
	if l.Code != "" {
		return "ECG " + l.Name
	}
	s := p.ascii(l.Name)
	return strings.ReplaceAll(s, "_", " ")
}

func (p *Plan) unit(s string) string {
	if s == "" {
		return ""
	}
	return p.ascii(s)
}

func prefilter(l *ecg.Lead) string {
	var parts []string
	for _, f := range []struct {
		name string
		hz   ecg.Rat
	}{{"HP:", l.Filters.HighPassHz}, {"LP:", l.Filters.LowPassHz}, {"N:", l.Filters.NotchHz}} {
		if f.hz.Sign() > 0 {
			s, _ := number(f.hz)
			parts = append(parts, f.name+s+"Hz")
		}
	}
	return strings.Join(parts, " ")
}

// collect makes the annotations: who it is where the header cannot say, the readings, the gaps and the marks.
func (p *Plan) collect(rec *ecg.Recording, gaps []gap) {
	var notes []note
	add := func(at, duration ecg.Rat, text string) {
		clean := strings.Map(func(r rune) rune {
			if r < ' ' && r != '\t' && r != '\n' || r == 0x7F {
				return -1
			}
			return r
		}, strings.ToValidUTF8(strings.TrimSpace(text), "\ufffd"))
		for len(clean) > maxNote {
			cut := maxNote
			for !utf8.RuneStart(clean[cut]) {
				cut--
			}
			clean = clean[:cut]
			p.warn(ecg.WarnValueCut, "annotations")
		}
		if clean == "" {
			return
		}
		if len(notes) >= maxNotes {
			p.warn(ecg.WarnAnnotationsCut, "annotations")
			return
		}
		at = at.Add(p.fraction)
		onset := seconds(at)
		if at.Sign() >= 0 {
			onset = "+" + onset
		}
		if duration.Sign() > 0 {
			onset += "\x15" + seconds(duration)
		}
		notes = append(notes, note{at, onset + "\x14" + clean + "\x14\x00"})
	}
	if !plain(rec.Patient.Name) {
		add(ecg.Rat{}, ecg.Rat{}, "Patient: "+rec.Patient.Name)
	}
	for _, s := range rec.Statements {
		status := "unconfirmed"
		if s.Status == ecg.Confirmed {
			status = "confirmed"
		}
		if strings.TrimSpace(s.Text) != "" {
			add(ecg.Rat{}, ecg.Rat{}, s.Text+" ("+status+")")
		}
	}
	period, _ := ecg.Int(1).Quo(p.group.Rate)
	for _, g := range gaps {
		add(period.Mul(ecg.Int(g.from)), period.Mul(ecg.Int(g.to-g.from)), "No signal: "+p.group.Leads[g.lead].Name)
	}
	if rest := p.records*p.perRecord - p.length; rest > 0 {
		add(period.Mul(ecg.Int(p.length)), period.Mul(ecg.Int(rest)), "End of recording")
	}
	for _, a := range rec.Annotations {
		onset := a.Onset
		switch a.Group {
		case p.Group:
		case -1:
			onset = onset.Sub(p.group.StartOffset)
		default:
			continue
		}
		text := strings.TrimSpace(strings.TrimSpace(a.Code) + " " + a.Text)
		if text == "" {
			text = string(a.Kind)
		}
		if a.Lead != "" {
			text += "@@" + a.Lead // EDF+ on annotations of one signal
		}
		add(onset.Mul(ecg.Frac(1, 1000)), a.Duration.Mul(ecg.Frac(1, 1000)), text)
	}
	sort.SliceStable(notes, func(i, j int) bool { return notes[i].at.Cmp(notes[j].at) < 0 })
	total, longest := int64(0), 0
	for _, n := range notes {
		p.notes = append(p.notes, n.text)
		total += int64(len(n.text))
		longest = max(longest, len(n.text))
	}
	// Notes go into records in order. A record leaves at most the longest one's room unused, so that with
	// this much all have a place.
	const own = 34 // of the record's time: sign, seconds and three separators
	p.noteBytes = own + int((total+p.records-1)/p.records) + longest
	p.noteBytes += p.noteBytes % 2
}

func plain(s string) bool {
	for _, c := range []byte(s) {
		if c >= 0x7F || c < ' ' {
			return false
		}
	}
	return true
}
