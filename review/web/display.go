package web

import (
	"fmt"
	"strconv"
	"strings"
	"time"
	"unicode"
	"unicode/utf8"
)

// personName is a PN as people read it (PS3.5 §6.2.1): "^" between the parts of a group is taken away.
type personName struct{ Ideographic, Alphabetic, Phonetic string }

// nameParts divides a PN. A first group in hanzi, as kits without a second one write it, is the ideographic one.
func nameParts(pn string) (n personName) {
	first, _, _ := strings.Cut(pn, `\`)
	groups := strings.SplitN(first, "=", 3)
	for i, g := range groups {
		g, alphabetic := spoken(g)
		switch {
		case g == "":
		case i == 2:
			n.Phonetic = g
		case i == 1 || !alphabetic && n.Ideographic == "":
			n.Ideographic = g
		default:
			n.Alphabetic = g
		}
	}
	return n
}

// spoken puts the parts of a group together: hanzi without a space, as they are written, other letters with one.
func spoken(group string) (text string, alphabetic bool) {
	alphabetic = strings.IndexFunc(group, func(r rune) bool {
		return unicode.In(r, unicode.Han, unicode.Hiragana, unicode.Katakana, unicode.Hangul)
	}) < 0
	parts := strings.FieldsFunc(group, func(r rune) bool { return r == '^' || alphabetic && r == ' ' })
	if alphabetic {
		return strings.Join(parts, " "), true
	}
	for i, p := range parts {
		parts[i] = strings.TrimSpace(p)
	}
	return strings.Join(parts, ""), false
}

// displayName is a PN in one line, hanzi first: "张伟 Zhang Wei".
func displayName(pn string) string {
	n := nameParts(pn)
	out := strings.TrimSpace(n.Ideographic + " " + n.Alphabetic)
	if out == "" {
		return n.Phonetic
	}
	return out
}

// displayDate writes a DA as people do: 20260301 is 2026-03-01. What is no date is shown as it is.
func displayDate(da string) string {
	if d := strings.TrimSpace(da); len(d) == 8 && strings.Trim(d, "0123456789") == "" {
		return d[:4] + "-" + d[4:6] + "-" + d[6:]
	}
	return da
}

// displayTime writes a TM to the minute: 091502.123 is 09:15.
func displayTime(tm string) string {
	t := strings.TrimSpace(tm)
	if len(t) >= 4 && strings.Trim(t[:4], "0123456789") == "" {
		return t[:2] + ":" + t[2:4]
	}
	return tm
}

// age tells how old a patient was: as the recording says it (an AS, "042Y"), else from two DAs. Infants' ages are in
// months and days. It is "" when nothing tells.
func (l Lang) age(as, birth, at string) string {
	as = strings.TrimSpace(as)
	if len(as) == 4 {
		if n, err := strconv.Atoi(as[:3]); err == nil && n >= 0 {
			switch as[3] {
			case 'Y':
				return l.text("frame.age.years", n)
			case 'M':
				return l.text("frame.age.months", n)
			case 'W':
				return l.text("frame.age.weeks", n)
			case 'D':
				return l.text("frame.age.days", n)
			}
		}
	}
	born, err := time.Parse("20060102", strings.TrimSpace(birth))
	if err != nil {
		return ""
	}
	then, err := time.Parse("20060102", strings.TrimSpace(at))
	if err != nil || then.Before(born) {
		return ""
	}
	months := (then.Year()-born.Year())*12 + int(then.Month()) - int(born.Month())
	if then.Day() < born.Day() {
		months--
	}
	switch {
	case months >= 24:
		return l.text("frame.age.years", months/12)
	case months >= 1:
		return l.text("frame.age.months", months)
	}
	return l.text("frame.age.days", int(then.Sub(born).Hours()/24))
}

// sex is Patient's Sex (0010,0040) in words.
func (l Lang) sex(cs string) string {
	switch strings.ToUpper(strings.TrimSpace(cs)) {
	case "M":
		return l.text("frame.sex.male")
	case "F":
		return l.text("frame.sex.female")
	case "O":
		return l.text("frame.sex.other")
	}
	return ""
}

// modality is a Modality (0008,0060) in words, with its code: "超声 US".
func (l Lang) modality(cs string) string {
	key := "frame.modality." + strings.ToLower(cs)
	if _, ok := phrases[key]; !ok {
		return cs
	}
	if name := l.text(key); name != cs {
		return name + " " + cs
	}
	return cs
}

// splitValues divides the values of an attribute.
func splitValues(s string) []string {
	var out []string
	for v := range strings.SplitSeq(s, `\`) {
		if v = strings.TrimSpace(v); v != "" {
			out = append(out, v)
		}
	}
	return out
}

// displayBytes writes a size with three digits: 3.42 MB. Units are powers of 1,000, as disks count.
func displayBytes(n int64) string {
	units := []string{"B", "kB", "MB", "GB", "TB", "PB"}
	v, u := float64(n), 0
	for v >= 999.5 && u < len(units)-1 {
		v, u = v/1000, u+1
	}
	switch {
	case u == 0:
		return fmt.Sprintf("%d B", n)
	case v < 9.995:
		return fmt.Sprintf("%.2f %s", v, units[u])
	case v < 99.95:
		return fmt.Sprintf("%.1f %s", v, units[u])
	}
	return fmt.Sprintf("%.0f %s", v, units[u])
}

// displayMoment writes an RFC 3339 time to the minute in the node's time zone.
func displayMoment(s string) string {
	t, err := time.Parse(time.RFC3339Nano, s)
	if err != nil {
		return s
	}
	return t.Local().Format("2006-01-02 15:04")
}

// validUID reports whether s can be a UID (PS3.5 §9.1), leading zeros included: devices send those.
func validUID(s string) bool {
	return s != "" && len(s) <= 64 && utf8.ValidString(s) && strings.Trim(s, "0123456789.") == ""
}
