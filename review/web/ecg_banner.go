package web

import (
	"math"
	"slices"
	"strconv"
	"strings"

	"github.com/tributary-dicom/tributary/parsers/ecg"
)

// ecgBanner is what stands above the traces.
type ecgBanner struct {
	Name      personName
	Facts     []ecgFact // id, sex, age, time, device
	Measured  []ecgFact // rate, intervals, axes
	Readings  []ecgReading
	Confirmed bool
	By        string // who confirmed
	Critical  bool
	Findings  []string // statements that say so
	Warnings  []string
}

// ecgFact is a value and what it is; Title is a key.
type ecgFact struct{ Title, Value string }

// ecgReading is the statements of one author.
type ecgReading struct {
	Title     string // key
	By        string
	Confirmed bool
	Lines     []string
}

// ecgStatement is one line of a reading.
type ecgStatement struct {
	Text   string `json:"text"`
	Code   string `json:"code,omitempty"`
	Author string `json:"author,omitempty"` // "machine", "over-read", or not known
	Name   string `json:"name,omitempty"`
	Status string `json:"status,omitempty"` // "confirmed"; all else is to be shown as unconfirmed
	Time   string `json:"time,omitempty"`
}

// ecgStatementsOf returns what is read out of the recording. Where the object was made of a file, the index has that
// file's statements, which tell authors apart; the object can only say them in a row, with notes of our own among them.
func ecgStatementsOf(rec *ecg.Recording, known ecgKnown) []ecgStatement {
	if known.DerivedFrom != "" && known.told != nil {
		return append([]ecgStatement{}, known.told.Statements...)
	}
	out := []ecgStatement{}
	for _, s := range rec.Statements {
		out = append(out, ecgStatement{s.Text, s.Code, string(s.Author), s.Name, string(s.Status), s.Time.String()})
	}
	return out
}

// acquired is when the recording was made. The object of a file without a date has one that stands in for it.
func (k ecgKnown) acquired(rec *ecg.Recording) ecg.Time {
	if k.told != nil && k.told.AcquiredAt == "" {
		return ecg.Time{Raw: k.told.AcquiredRaw}
	}
	return rec.Acquired
}

// pacing is what is said of a pacemaker.
func (k ecgKnown) pacing(rec *ecg.Recording) ecg.Pacing {
	if !rec.Pacing.Known && k.told != nil && k.told.Paced != nil {
		return ecg.Pacing{Known: true, Paced: *k.told.Paced}
	}
	return rec.Pacing
}

// confirmedECG reports whether somebody stands behind the reading, and who.
func confirmedECG(says []ecgStatement) (by string, ok bool) {
	for _, s := range says {
		if s.Status == string(ecg.Confirmed) {
			return displayName(s.Name), true
		}
	}
	return "", false
}

// ecgPriority is the index's word, or that of the recording's own statements.
func ecgPriority(rec *ecg.Recording, known ecgKnown) string {
	if known.Priority != "" || known.ObjectID != "" {
		return known.Priority
	}
	if len(rec.Criticals()) > 0 {
		return "STAT"
	}
	return ""
}

// Limits of text in a banner: a line of a reading is some words, and a hostile one is a book.
const (
	ecgMostLines = 200
	ecgMostText  = 2000 // runes
)

func clipped(s string) string {
	s = strings.TrimSpace(strings.ToValidUTF8(s, "\uFFFD"))
	if rs := []rune(s); len(rs) > ecgMostText {
		return string(rs[:ecgMostText]) + "…"
	}
	return s
}

func (l Lang) ecgBanner(rec *ecg.Recording, known ecgKnown) ecgBanner {
	p := rec.Patient
	says, acquired := ecgStatementsOf(rec, known), known.acquired(rec)
	b := ecgBanner{Name: nameParts(p.Name), Critical: ecgPriority(rec, known) != ""}
	b.By, b.Confirmed = confirmedECG(says)
	for _, f := range known.Findings {
		if !slices.Contains(b.Findings, clipped(f.Statement)) && len(b.Findings) < ecgMostLines {
			b.Findings = append(b.Findings, clipped(f.Statement))
		}
	}
	add := func(to *[]ecgFact, title, value string) {
		if value = clipped(value); value != "" {
			*to = append(*to, ecgFact{title, value})
		}
	}
	add(&b.Facts, "ecg.id", p.ID)
	add(&b.Facts, "ecg.sex", l.sex(p.Sex))
	add(&b.Facts, "ecg.age", l.ecgAge(rec, acquired))
	add(&b.Facts, "ecg.birth", p.BirthDate)
	add(&b.Facts, "ecg.acquired", l.ecgWhen(acquired))
	add(&b.Facts, "ecg.device", strings.Join(strings.Fields(rec.Device.Maker+" "+rec.Device.Model), " "))
	add(&b.Facts, "ecg.place", joined(", ", rec.Context.Institution, rec.Context.Department, rec.Context.Location))
	add(&b.Facts, "ecg.analysis", rec.Device.Analysis)
	b.Measured = l.ecgMeasured(rec, known.pacing(rec))
	b.Readings = l.ecgReadings(says)
	for _, w := range rec.Warnings {
		if len(b.Warnings) < ecgMostLines {
			b.Warnings = append(b.Warnings, clipped(joined(": ", string(w.Code), w.Where)))
		}
	}
	return b
}

func joined(sep string, parts ...string) string {
	return strings.Join(slices.DeleteFunc(parts, func(s string) bool { return s == "" }), sep)
}

// ecgAge is the age that the recording states, or follows from the dates.
func (l Lang) ecgAge(rec *ecg.Recording, at ecg.Time) string {
	if a := rec.Patient.Age; a.Known() && a.Value.Sign() >= 0 {
		if n, whole := a.Value.Int64(); whole {
			switch a.Unit {
			case "a":
				return l.text("frame.age.years", n)
			case "mo":
				return l.text("frame.age.months", n)
			case "wk":
				return l.text("frame.age.weeks", n)
			case "d":
				return l.text("frame.age.days", n)
			}
		}
		return ecgNumber(a.Value) + " " + a.Unit
	}
	if !at.Valid() {
		return ""
	}
	return l.age("", strings.ReplaceAll(rec.Patient.BirthDate, "-", ""), at.Time.Format("20060102"))
}

// ecgWhen is the time of the recording: with its zone, or said to be local to nobody knows where.
func (l Lang) ecgWhen(t ecg.Time) string {
	switch {
	case !t.Valid() && strings.TrimSpace(t.Raw) == "":
		return l.text("ecg.time.unknown")
	case !t.Valid():
		return t.Raw
	case t.DateOnly:
		return t.Time.Format("2006-01-02")
	case t.ZoneKnown:
		return t.Time.Format("2006-01-02 15:04:05 -07:00")
	}
	return t.Time.Format("2006-01-02 15:04:05") + " " + l.text("ecg.time.local")
}

// ecgNumber is a value for people: at most two places.
func ecgNumber(r ecg.Rat) string {
	return strconv.FormatFloat(math.Round(r.Float64()*100)/100, 'f', -1, 64)
}

// ecgUnits are units as people write them.
var ecgUnits = map[string]string{"deg": "°", "uV": " µV", "/min": " /min", "ms": " ms"}

func (l Lang) ecgMeasured(rec *ecg.Recording, pacing ecg.Pacing) []ecgFact {
	var out []ecgFact
	one := func(title string, kind ecg.MeasurementKind) {
		if m, ok := rec.Measurement(kind); ok && m.Valid {
			unit, known := ecgUnits[m.Unit]
			if !known && m.Unit != "" && m.Unit != "1" {
				unit = " " + clipped(m.Unit)
			}
			out = append(out, ecgFact{title, ecgNumber(m.Value) + unit})
		}
	}
	one("ecg.rate", ecg.VentricularRate)
	if _, ok := rec.Measurement(ecg.VentricularRate); !ok {
		one("ecg.rr", ecg.RRInterval)
	}
	one("ecg.atrial", ecg.AtrialRate)
	one("ecg.pr", ecg.PRInterval)
	one("ecg.qrs", ecg.QRSDuration)
	one("ecg.qt", ecg.QTInterval)
	var qtcs []ecgFact
	for _, m := range rec.Measurements { // by several formulas, maybe
		if m.Kind != ecg.QTcInterval || m.Lead != "" || !m.Valid || len(qtcs) == 4 {
			continue
		}
		formula := l.text("ecg.formula.unknown")
		switch m.Formula {
		case ecg.Bazett, ecg.Fridericia, ecg.Framingham, ecg.Hodges:
			formula = strings.ToUpper(m.Formula[:1]) + m.Formula[1:]
		}
		if one := (ecgFact{"ecg.qtc", ecgNumber(m.Value) + " ms (" + formula + ")"}); !slices.Contains(qtcs, one) {
			qtcs = append(qtcs, one)
		}
	}
	out = append(out, qtcs...)
	var axes []string
	any := false
	for _, kind := range []ecg.MeasurementKind{ecg.PAxis, ecg.QRSAxis, ecg.TAxis} {
		if m, ok := rec.Measurement(kind); ok && m.Valid {
			axes, any = append(axes, ecgNumber(m.Value)+"°"), true
		} else {
			axes = append(axes, "–")
		}
	}
	if any {
		out = append(out, ecgFact{"ecg.axes", strings.Join(axes, " / ")})
	}
	if pacing.Known {
		value := l.text("ecg.paced.no")
		if pacing.Paced {
			value = l.text("ecg.paced.yes")
		}
		out = append(out, ecgFact{"ecg.paced", clipped(joined(" ", value, pacing.Text))})
	}
	return out
}

// ecgReadings groups statements by author and status: a person's before the machine's.
func (l Lang) ecgReadings(says []ecgStatement) []ecgReading {
	var out []ecgReading
	lines := 0
	for _, author := range []string{string(ecg.OverRead), string(ecg.Machine), ""} {
		title := map[string]string{string(ecg.OverRead): "ecg.reading.person", string(ecg.Machine): "ecg.reading.machine", "": "ecg.reading.unknown"}[author]
		for _, s := range says {
			known := s.Author == string(ecg.OverRead) || s.Author == string(ecg.Machine)
			text := clipped(s.Text)
			if text == "" || s.Author != author && (author != "" || known) || lines == ecgMostLines {
				continue
			}
			by, ok := clipped(displayName(s.Name)), s.Status == string(ecg.Confirmed)
			if n := len(out); n == 0 || out[n-1].Title != title || out[n-1].By != by || out[n-1].Confirmed != ok {
				out = append(out, ecgReading{Title: title, By: by, Confirmed: ok})
			}
			last := &out[len(out)-1]
			last.Lines = append(last.Lines, text)
			lines++
		}
	}
	return out
}
