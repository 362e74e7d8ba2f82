package main

import (
	"fmt"
	"io"
	"strconv"
	"strings"

	"github.com/tributary-dicom/tributary/parsers/ecg"
)

// showRecording prints a recording for people.
func showRecording(w io.Writer, name string, rec *ecg.Recording) error {
	s, err := rec.Summarize(false)
	if err != nil {
		return err
	}
	fmt.Fprintln(w, name)
	rows := [][]string{{"Format", strings.TrimSpace(s.Format + " " + s.FormatVersion)}}
	add := func(what string, parts ...string) {
		var said []string
		for _, p := range parts {
			if p != "" {
				said = append(said, p)
			}
		}
		if len(said) > 0 {
			rows = append(rows, []string{what, strings.Join(said, "  ")})
		}
	}
	prefixed := func(word, s string) string {
		if s == "" {
			return ""
		}
		return word + " " + s
	}
	add("Patient", clean(s.Patient.Name), prefixed("id", clean(s.Patient.ID)), s.Patient.Sex, prefixed("born", s.Patient.BirthDate), prefixed("age", s.Patient.Age))
	at := strings.Replace(s.AcquiredAt, "T", " ", 1)
	switch {
	case at == "":
		at = prefixed("unreadable:", clean(s.AcquiredRaw))
	case !s.ZoneKnown:
		at += "  (time zone unknown)"
	}
	add("Recorded", at)
	d := s.Device
	add("Device", clean(d.Maker), clean(d.Model), prefixed("serial", clean(d.Serial)), prefixed("software", clean(d.Software)), prefixed("analysis", clean(d.Analysis)))
	if p := s.Pacing; p != nil {
		said := "no"
		if p.Paced {
			said = "yes"
		}
		add("Pacemaker", said, clean(p.Text))
	}
	printTable(w, rows)
	if len(s.Groups) > 0 {
		fmt.Fprintln(w)
		showGroups(w, rec)
	}
	showMeasurements(w, rec)
	if len(s.Statements) > 0 {
		fmt.Fprintln(w, "\nReading")
	}
	for _, st := range s.Statements {
		status := "unconfirmed"
		if st.Status == ecg.Confirmed {
			status = "confirmed"
		}
		fmt.Fprintf(w, "  %s  (%s)\n", clean(st.Text), strings.TrimSpace(string(st.Author)+" "+status))
	}
	if len(s.Warnings) > 0 {
		fmt.Fprintln(w, "\nWarnings")
	}
	for _, v := range s.Warnings {
		fmt.Fprintln(w, " ", strings.TrimSpace(string(v.Code)+"  "+v.Where))
	}
	return nil
}

// clean keeps a file's text on one line, and its control characters from the terminal.
func clean(s string) string {
	return strings.Map(func(r rune) rune {
		switch {
		case r == '\n', r == '\t', r == '\r':
			return ' '
		case r < ' ', r >= 0x7F && r < 0xA0, r >= 0x202A && r <= 0x202E, r >= 0x2066 && r <= 0x2069:
			return -1
		}
		return r
	}, strings.TrimSpace(s))
}

func showGroups(w io.Writer, rec *ecg.Recording) {
	rows := [][]string{{"Group", "Kind", "Rate", "Length", "Step", "Leads (* computed)"}}
	for i, g := range rec.Groups {
		var leads []string
		step := ""
		for j := range g.Leads {
			l := &g.Leads[j]
			name := clean(l.Name)
			if l.Derived {
				name += "*"
			}
			leads = append(leads, name)
			if l.Derived {
				continue
			}
			unit := l.Unit
			if l.Voltage() {
				unit = "µV"
			}
			switch this := strings.TrimSpace(l.Scale.String() + " " + clean(unit)); step {
			case "", this:
				step = this
			default:
				step = "differs"
			}
		}
		rows = append(rows, []string{
			strconv.Itoa(i), string(g.Kind), short(g.Rate) + " Hz", length(g.DurationMillis()), step, strings.Join(leads, " "),
		})
	}
	printTable(w, rows)
}

// short is a number for people.
func short(r ecg.Rat) string {
	if s := r.String(); len(s) <= 10 && !strings.Contains(s, "/") {
		return s
	}
	return strconv.FormatFloat(r.Float64(), 'g', 6, 64)
}

// length is a time for people, from ms.
func length(ms ecg.Rat) string {
	seconds := ms.Float64() / 1000
	switch {
	case seconds < 1:
		return short(ms) + " ms"
	case seconds < 600:
		return strconv.FormatFloat(seconds, 'g', 6, 64) + " s"
	}
	all := int64(seconds)
	return fmt.Sprintf("%d:%02d:%02d", all/3600, all/60%60, all%60)
}

func showMeasurements(w io.Writer, rec *ecg.Recording) {
	var rows [][]string
	leads := 0
	for _, m := range rec.Measurements {
		switch {
		case m.Lead != "":
			leads++
			continue
		case !m.Valid || len(rows) >= 60:
			continue
		}
		name := string(m.Kind)
		if name == "" {
			name = clean(m.Name)
		}
		if m.Formula != "" {
			name += " (" + m.Formula + ")"
		}
		rows = append(rows, []string{"  " + name, short(m.Value), clean(m.Unit)})
	}
	if len(rows) > 0 {
		fmt.Fprintln(w, "\nMeasurements")
		printTable(w, rows)
	}
	if leads > 0 {
		fmt.Fprintf(w, "  and %d of single leads\n", leads)
	}
	if n := len(rec.Annotations); n > 0 {
		fmt.Fprintf(w, "\nAnnotations: %d\n", n)
	}
}
