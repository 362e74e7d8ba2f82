package draw

import (
	"math"
	"strconv"
	"strings"
	"unicode"

	"github.com/tributary-dicom/tributary/parsers/ecg"
)

// Sizes of text, µm of an em, and of the banner.
const (
	nameSize   = 5000
	textSize   = 2900
	smallSize  = 2300
	lineHigh   = 4100 // of textSize
	bannerTop  = 6 * mm
	bannerHigh = 35 * mm
)

func itoa(n int) string { return strconv.Itoa(n) }

// number is a value for people: at most two places.
func number(r ecg.Rat) string {
	return strconv.FormatFloat(math.Round(r.Float64()*100)/100, 'f', -1, 64)
}

// personName returns a name as it is written: of DICOM's component groups (PS3.5 §6.2.1) the ideographic
// first, and beside it the alphabetic one.
func personName(pn string) string {
	groups := strings.SplitN(pn, "=", 3)
	var out []string
	for i, g := range groups[:min(len(groups), 2)] {
		parts := strings.Split(g, "^")
		for j := range parts {
			parts[j] = clean(parts[j], 100)
		}
		get := func(j int) string {
			if j < len(parts) {
				return parts[j]
			}
			return ""
		}
		family, rest := get(0), strings.Join(strings.Fields(get(1)+" "+get(2)), " ")
		name := family
		switch {
		case family == "":
			name = rest
		case rest != "" && (i == 1 || hanzi(family)):
			name += rest
		case rest != "":
			name += ", " + rest
		}
		for j, affix := range []string{get(3), get(4)} {
			if affix != "" {
				name += []string{" ", ", "}[j] + affix
			}
		}
		if name != "" {
			out = append([]string{name}, out...)
		}
	}
	if len(out) == 2 && out[0] != out[1] {
		return out[0] + " (" + out[1] + ")"
	}
	return strings.Join(out[:min(1, len(out))], "")
}

// hanzi reports whether a text begins with a Chinese character.
func hanzi(text string) bool {
	for _, r := range text {
		return r >= 0x2E80
	}
	return false
}

// when returns the time of the recording: with its zone, or said to be local.
func (l Language) when(t ecg.Time) string {
	switch {
	case !t.Valid() && clean(t.Raw, 40) == "":
		return l.word(wNoTime)
	case !t.Valid():
		return clean(t.Raw, 40)
	case t.DateOnly:
		return t.Time.Format("2006-01-02")
	case t.ZoneKnown:
		return t.Time.Format("2006-01-02 15:04:05 -07:00")
	}
	return t.Time.Format("2006-01-02 15:04:05") + " (" + l.word(wLocal) + ")"
}

// banner writes who, when, what was measured and what was read, from x to x+w.
func (s *Sheet) banner(rec *ecg.Recording, x, w int32) {
	left, middle := x+w*34/100, x+w*57/100
	s.who(rec, x, left-x-3*mm)
	s.measured(rec, left, middle-left-3*mm)
	s.readings(rec, middle, x+w-middle)
}

func (s *Sheet) who(rec *ecg.Recording, x, w int32) {
	l, p, y := s.language, rec.Patient, int32(bannerTop+nameSize)
	name := personName(p.Name)
	if name == "" {
		name = l.word(wNoName)
	}
	s.fit(inkText, Point{x, y}, nameSize, w, name)
	born := ""
	if p.BirthDate != "" {
		born = l.word(wBorn) + " " + clean(p.BirthDate, 20)
	}
	id := clean(p.ID, 80)
	if id != "" {
		id = l.word(wID) + " " + id
	}
	device := join(" ", clean(rec.Device.Maker, 60), clean(rec.Device.Model, 60))
	y += 1200
	for _, line := range []string{
		id,
		join("   ", l.sex(p.Sex), l.age(p.Age), born),
		l.word(wAcquired) + " " + l.when(rec.Acquired),
		join(", ", clean(rec.Context.Institution, 80), clean(rec.Context.Location, 60)),
		device,
		clean(rec.Device.Analysis, 80),
	} {
		if line != "" {
			y += lineHigh
			s.fit(inkText, Point{x, y}, textSize, w, line)
		}
	}
}

func (s *Sheet) measured(rec *ecg.Recording, x, w int32) {
	l, y := s.language, int32(bannerTop+nameSize)
	value := func(kinds ...ecg.MeasurementKind) string {
		var out []string
		unit, any := "", false
		for _, k := range kinds {
			m, ok := rec.Measurement(k)
			if !ok || !m.Valid {
				out = append(out, "–")
				continue
			}
			any, unit = true, m.Unit
			out = append(out, number(m.Value))
		}
		if !any {
			return ""
		}
		switch unit {
		case "deg":
			unit = "°"
		case "/min":
			unit = " /min"
		default:
			unit = " " + clean(unit, 12)
		}
		return strings.Join(out, " / ") + unit
	}
	qt := value(ecg.QTInterval, ecg.QTcInterval)
	if m, ok := rec.Measurement(ecg.QTcInterval); ok && m.Valid && m.Formula != "" {
		f := []rune(clean(m.Formula, 20))
		if len(f) > 0 {
			f[0] = unicode.ToUpper(f[0])
		}
		qt += " (" + string(f) + ")"
	}
	rate := value(ecg.VentricularRate)
	if m, ok := rec.Measurement(ecg.RRInterval); rate == "" && ok && m.Valid && m.Unit == "ms" && m.Value.Sign() > 0 {
		rate = strconv.FormatFloat(math.Round(60000/m.Value.Float64()), 'f', -1, 64) + " /min (60 s / RR)"
	}
	paced := ""
	if rec.Pacing.Known && rec.Pacing.Paced {
		if paced = clean(rec.Pacing.Text, 40); paced == "" {
			paced = map[Language]string{English: "yes", Chinese: "有"}[l]
		}
	}
	label := int32(0)
	for _, k := range []word{wRate, wPR, wQRS, wQT, wAxes, wPaced} {
		label = max(label, s.textWidth(l.word(k), textSize))
	}
	for _, row := range []struct {
		word  word
		value string
	}{
		{wRate, rate},
		{wPR, value(ecg.PRInterval)},
		{wQRS, value(ecg.QRSDuration)},
		{wQT, qt},
		{wAxes, value(ecg.PAxis, ecg.QRSAxis, ecg.TAxis)},
		{wPaced, paced},
	} {
		if row.value != "" {
			s.write(inkFaint, Point{x, y}, textSize, atStart, l.word(row.word))
			s.fit(inkText, Point{x + label + 2*mm, y}, textSize, w-label-2*mm, row.value)
			y += lineHigh + 300
		}
	}
}

// confirmed returns whether a person stands behind the reading, and who.
func confirmed(rec *ecg.Recording) (bool, string) {
	for _, st := range rec.Statements {
		if st.Status == ecg.Confirmed {
			return true, personName(st.Name)
		}
	}
	return false, ""
}

func (s *Sheet) readings(rec *ecg.Recording, x, w int32) {
	l, y := s.language, int32(bannerTop+nameSize-800)
	if ok, by := confirmed(rec); ok {
		s.fit(inkText, Point{x, y}, 3600, w, join(": ", l.word(wConfirmed), by))
	} else {
		s.write(inkAlert, Point{x, y}, 3600, atStart, l.word(wUnconfirmed))
	}
	type line struct {
		ink  ink
		text string
	}
	var lines []line
	for _, author := range []ecg.Author{ecg.OverRead, ecg.Machine, ""} {
		head := map[ecg.Author]word{ecg.OverRead: wOverRead, ecg.Machine: wMachine}[author]
		first := true
		for _, st := range rec.Statements {
			text := clean(st.Text, 400)
			if st.Author != author && (author != "" || st.Author == ecg.OverRead || st.Author == ecg.Machine) || text == "" {
				continue
			}
			if first && head != 0 {
				title := l.word(head)
				if author == ecg.Machine {
					title = join(" – ", title, clean(rec.Device.Analysis, 40))
				}
				lines = append(lines, line{inkFaint, title})
			}
			first = false
			lines = append(lines, line{inkText, text})
		}
	}
	if len(lines) == 0 {
		lines = append(lines, line{inkFaint, l.word(wNoStatements)})
	}
	// The largest size at which all fits; at the smallest the rest is counted.
	for _, size := range []int32{textSize, 2500, 2100} {
		high := size * 13 / 10
		room := int((bannerTop + bannerHigh - y) / high)
		var out []line
		for _, ln := range lines {
			for _, part := range s.wrap(ln.text, size, w) {
				out = append(out, line{ln.ink, part})
			}
		}
		if len(out) > room && size > 2100 {
			continue
		}
		if len(out) > room {
			more := len(out) - room + 1
			out = append(out[:room-1], line{inkAlert, "+ " + itoa(more) + " " + l.word(wMore)})
		}
		for i, ln := range out {
			s.write(ln.ink, Point{x, y + int32(i+1)*high}, size, atStart, ln.text)
		}
		return
	}
}

// fit writes one line of at most w, smaller where it must be (to three fifths), and with its end cut off and
// marked where that is not enough.
func (s *Sheet) fit(k ink, at Point, size, w int32, text string) {
	if have := s.textWidth(text, size); have > w && have > 0 {
		size = max(size*3/5, int32(float64(size)*float64(w)/float64(have)))
	}
	if s.textWidth(text, size) > w {
		rs := []rune(text)
		for len(rs) > 1 && s.textWidth(string(rs)+"…", size) > w {
			rs = rs[:len(rs)-1]
		}
		text = string(rs) + "…"
	}
	s.write(k, at, size, atStart, text)
}

// wrap breaks a text into lines of at most w: at spaces, and anywhere between hanzi.
func (s *Sheet) wrap(text string, size, w int32) []string {
	var lines []string
	rs := []rune(text)
	for len(rs) > 0 {
		width, cut, space := int32(0), 0, 0
		for cut < len(rs) {
			width += s.textWidth(string(rs[cut]), size)
			if width > w && cut > 0 {
				break
			}
			cut++
			if cut < len(rs) && (rs[cut] == ' ' || rs[cut] >= 0x2E80 || rs[cut-1] >= 0x2E80) {
				space = cut
			}
		}
		if cut < len(rs) && space > 0 {
			cut = space
		}
		lines = append(lines, strings.TrimSpace(string(rs[:cut])))
		rs = []rune(strings.TrimSpace(string(rs[cut:])))
	}
	return lines
}

// join joins the parts that say something.
func join(sep string, parts ...string) string {
	var out []string
	for _, p := range parts {
		if p != "" {
			out = append(out, p)
		}
	}
	return strings.Join(out, sep)
}
