package edf

import (
	"strconv"
	"strings"
	"time"

	"github.com/tributary-dicom/tributary/parsers/ecg"
)

// acquired reads the start: dd.mm.yy and hh.mm.ss, with separators of any kind (EDF: points). The time that the
// first record adds is part of it.
func (d *decoder) acquired(head []byte) {
	date, clock := field(head[168:176]), field(head[176:184])
	raw := strings.TrimSpace(date + " " + clock)
	dmy, hms := numbers(date), numbers(clock)
	full := d.startdate(head[88:168])
	if len(hms) != 3 {
		hms = nil
	}
	year, month, day := 0, 0, 0
	switch {
	case len(dmy) == 3:
		day, month, year = dmy[0], dmy[1], dmy[2]+1900
		if dmy[2] < 85 {
			year += 100
		}
		if full.Valid() && (full.Time.Day() != day || int(full.Time.Month()) != month || full.Time.Year()%100 != dmy[2]%100) {
			d.rec.Warn(ecg.WarnHeaderDiffers, "start date")
		} else if full.Valid() {
			year = full.Time.Year() // beyond 2084, or before 1985
		}
	case full.Valid():
		year, month, day = full.Time.Year(), int(full.Time.Month()), full.Time.Day()
	}
	var t ecg.Time
	if hms != nil {
		t = ecg.NewTime(raw, year, month, day, hms[0], hms[1], hms[2], 0, nil)
	} else {
		t = ecg.NewTime(raw, year, month, day, 0, 0, 0, 0, nil)
		t.DateOnly = t.Valid()
	}
	switch {
	case !t.Valid():
		d.rec.Warn(ecg.WarnTime, "start")
	case len(d.times) > 0:
		t.Time = t.Time.Add(time.Duration(d.times[0]))
	}
	d.rec.Acquired = t
}

// numbers splits text of the form "16.11.20" into its numbers; nil when it is none.
func numbers(s string) []int {
	var out []int
	for _, word := range strings.FieldsFunc(s, func(r rune) bool { return strings.ContainsRune(".:-/, ", r) }) {
		n, err := strconv.Atoi(word)
		if err != nil || n < 0 || len(word) > 2 {
			return nil
		}
		out = append(out, n)
	}
	return out
}

var months = map[string]int{
	"JAN": 1, "FEB": 2, "MAR": 3, "APR": 4, "MAY": 5, "JUN": 6, "JUL": 7, "AUG": 8, "SEP": 9, "OCT": 10, "NOV": 11, "DEC": 12,
}

// date reads dd-MMM-yyyy (EDF+ §2.1.3.3), in any case.
func date(s string) ecg.Time {
	parts := strings.Split(s, "-")
	if len(parts) != 3 {
		return ecg.Time{Raw: s}
	}
	day, derr := strconv.Atoi(parts[0])
	year, yerr := strconv.Atoi(parts[2])
	month := months[strings.ToUpper(parts[1])]
	if derr != nil || yerr != nil || month == 0 || len(parts[2]) != 4 {
		return ecg.Time{Raw: s}
	}
	t := ecg.NewTime(s, year, month, day, 0, 0, 0, 0, nil)
	t.DateOnly = t.Valid()
	return t
}

// startdate reads the date in the recording field.
func (d *decoder) startdate(b []byte) ecg.Time {
	words := strings.Fields(field(b))
	if len(words) < 2 || words[0] != "Startdate" {
		return ecg.Time{}
	}
	return date(words[1])
}

// known returns a subfield of EDF+ as text: "X" is nothing, underscores are spaces.
func known(s string) string {
	if strings.Trim(s, "Xx,_") == "" {
		return ""
	}
	return strings.TrimSpace(strings.ReplaceAll(s, "_", " "))
}

// patient reads the patient field. EDF+ §2.1.3.3: code, sex, date of birth, name, and more. Plain EDF has free
// text: a word with a digit is taken for an identifier, other text for a name.
func (d *decoder) patient(b []byte) {
	p := &d.rec.Patient
	text := d.text(b, "patient")
	words := strings.Fields(text)
	structured := len(words) >= 4 && len(words[1]) == 1 && strings.ContainsAny(words[1], "MFXmfx") &&
		(strings.EqualFold(words[2], "X") || strings.Count(words[2], "-") == 2)
	if d.plus && len(words) >= 2 && len(words[1]) == 1 {
		structured = true
	}
	if !structured {
		switch {
		case text == "" || strings.EqualFold(text, "dd-MMM-yyyy") || known(strings.Join(words, "")) == "":
		case len(words) == 1 && strings.ContainsAny(text, "0123456789"):
			p.ID = text
		default:
			p.Name = text
		}
		return
	}
	words = append(words, "", "", "", "")
	p.ID = known(words[0])
	switch sex := strings.ToUpper(words[1]); sex {
	case "M", "F":
		p.Sex = sex
	}
	if birth := words[2]; known(birth) != "" && !strings.EqualFold(birth, "dd-MMM-yyyy") {
		p.BirthRaw = birth
		// 30 December 1899 is day 0 of spreadsheets: no date was known.
		if t := date(birth); t.Valid() && t.String() != "1899-12-30" {
			p.BirthDate = t.String()
		} else if !t.Valid() {
			d.rec.Warn(ecg.WarnTime, "birth date")
		}
	}
	p.Name = known(words[3])
	if more := known(strings.TrimSpace(strings.Join(words[4:], " "))); more != "" {
		p.Remarks = append(p.Remarks, more)
	}
}

// recording reads the recording field. EDF+ §2.1.3.4: Startdate, the date, administration code, technician,
// equipment, and more.
func (d *decoder) recording(b []byte) {
	text := d.text(b, "recording")
	words := strings.Fields(text)
	if len(words) == 0 {
		return
	}
	if words[0] != "Startdate" {
		if known(text) != "" {
			d.rec.Patient.Remarks = append(d.rec.Patient.Remarks, text)
		}
		return
	}
	words = append(words, "", "", "", "")
	d.rec.Context.OrderNumber = known(words[2])
	d.rec.Context.Operator = known(words[3])
	d.rec.Device.Model = known(words[4])
	if more := known(strings.TrimSpace(strings.Join(words[5:], " "))); more != "" {
		d.rec.Patient.Remarks = append(d.rec.Patient.Remarks, more)
	}
}

// filters reads "HP:0.1Hz LP:75Hz N:50Hz" (EDF+ §2.1.3.6) and its relatives.
func filters(text string) ecg.Filters {
	f := ecg.Filters{Text: text}
	upper := strings.ToUpper(text)
	hz := func(mark string) ecg.Rat {
		i := strings.Index(upper, mark)
		if i < 0 || i > 0 && upper[i-1] >= 'A' && upper[i-1] <= 'Z' {
			return ecg.Rat{}
		}
		rest := strings.TrimLeft(upper[i+len(mark):], " ")
		end := 0
		for end < len(rest) && (rest[end] >= '0' && rest[end] <= '9' || rest[end] == '.' || rest[end] == ',') {
			end++
		}
		n, err := ecg.ParseRat(rest[:end])
		if err != nil || strings.HasPrefix(strings.TrimLeft(rest[end:], " "), "S") { // a time constant
			return ecg.Rat{}
		}
		return n
	}
	f.HighPassHz, f.LowPassHz, f.NotchHz = hz("HP:"), hz("LP:"), hz("N:")
	return f
}
