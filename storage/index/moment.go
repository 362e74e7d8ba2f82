package index

import (
	"strings"
	"time"
)

// span is a run of keys, both ends included. Keys compare as text.
type span struct{ low, high string }

// Keys of the three VRs: DA "YYYYMMDD", TM "HHMMSS.ffffff", DT both in one. A value with less
// precision stands for all moments in it (PS3.5 §6.2).

func digits(s string) bool {
	for i := range len(s) {
		if s[i] < '0' || s[i] > '9' {
			return false
		}
	}
	return true
}

// parseDA reads a DA, also in the form YYYY.MM.DD of ACR-NEMA (PS3.5 §6.2 note).
func parseDA(s string) (span, bool) {
	s, ok := dayDigits(s)
	if !ok {
		return span{}, false
	}
	if _, err := time.Parse("20060102", s); err != nil {
		return span{}, false
	}
	return span{s, s}, true
}

// dayDigits returns the eight digits of a DA.
func dayDigits(s string) (string, bool) {
	s = strings.Trim(s, " \x00")
	if len(s) == 10 && s[4] == '.' && s[7] == '.' {
		s = s[:4] + s[5:7] + s[8:]
	}
	return s, len(s) == 8 && digits(s)
}

// parseTM reads a TM of any precision, also with colons as in ACR-NEMA.
func parseTM(s string) (span, bool) {
	s = strings.Trim(s, " \x00")
	if len(s) >= 5 && s[2] == ':' {
		s = s[:2] + s[3:]
		if len(s) >= 7 && s[4] == ':' {
			s = s[:4] + s[5:]
		}
	}
	whole, fraction, dotted := strings.Cut(s, ".")
	if !digits(whole) || !digits(fraction) || len(fraction) > 6 || dotted && (len(whole) != 6 || fraction == "") {
		return span{}, false
	}
	switch len(whole) {
	case 2, 4, 6:
	default:
		return span{}, false
	}
	if whole[:2] > "23" || len(whole) > 2 && whole[2:4] > "59" || len(whole) > 4 && whole[4:6] > "60" {
		return span{}, false
	}
	const low, high = "000000", "235959"
	return span{
		whole + low[len(whole):] + "." + fraction + "000000"[len(fraction):],
		whole + high[len(whole):] + "." + fraction + "999999"[len(fraction):],
	}, true
}

// parseDT reads a DT of any precision; a value with an offset is moved to UTC, one without is taken as
// it is.
func parseDT(s string) (span, bool) {
	s = strings.Trim(s, " \x00")
	offset := time.Duration(0)
	if n := len(s) - 5; n >= 4 && (s[n] == '+' || s[n] == '-') && digits(s[n+1:]) {
		// PS3.5 §6.2: -1200 to +1400. Beyond that the hyphen divides a range.
		if s[n] == '+' && s[n+1:] > "1400" || s[n] == '-' && s[n+1:] > "1200" || s[n+3] > '5' {
			return span{}, false
		}
		offset = time.Duration(int(s[n+1]-'0')*10+int(s[n+2]-'0'))*time.Hour +
			time.Duration(int(s[n+3]-'0')*10+int(s[n+4]-'0'))*time.Minute
		if s[n] == '-' {
			offset = -offset
		}
		s = s[:n]
	}
	var day, clock span
	var ok bool
	switch {
	case len(s) < 4 || !digits(s[:4]):
		return span{}, false
	case len(s) == 4:
		day, ok = span{s + "0101", s + "1231"}, s != "0000"
	case len(s) == 6 && digits(s):
		first, err := time.Parse("200601", s)
		day, ok = span{s + "01", first.AddDate(0, 1, -1).Format("20060102")}, err == nil
	case len(s) >= 8:
		day, ok = parseDA(s[:8])
	default:
		return span{}, false
	}
	if !ok {
		return span{}, false
	}
	clock = span{"000000.000000", "235959.999999"}
	if len(s) > 8 {
		if clock, ok = parseTM(s[8:]); !ok || !digits(s[8:10]) || strings.ContainsAny(s[8:], ": ") {
			return span{}, false
		}
	}
	key := span{day.low + clock.low, day.high + clock.high}
	if offset == 0 {
		return key, true
	}
	const layout = "20060102150405.000000"
	low, err1 := time.Parse(layout, strings.Replace(key.low, "60.", "59.", 1))
	high, err2 := time.Parse(layout, strings.Replace(key.high, "60.", "59.", 1))
	if err1 != nil || err2 != nil {
		return span{}, false
	}
	low, high = low.Add(-offset), high.Add(-offset)
	if low.Year() < 0 || high.Year() > 9999 {
		return span{}, false
	}
	return span{low.Format(layout), high.Format(layout)}, true
}

// parseMoment reads a value of vr DA, TM or DT.
func parseMoment(vr, s string) (span, bool) {
	switch vr {
	case "DA":
		return parseDA(s)
	case "TM":
		return parseTM(s)
	}
	return parseDT(s)
}

// momentKey is the key of a stored value, "" when there is none or it is no moment. Of several values
// the first counts.
func momentKey(vr, s string) string {
	if s == "" {
		return ""
	}
	s, _, _ = strings.Cut(s, `\`)
	key, ok := parseMoment(vr, s)
	if !ok {
		return ""
	}
	return key.low
}

// parseBound reads an end of a range. Clients ask for a month as its days 01 to 31, however many it has: a
// DA that is no day of the calendar, but has a month and a day that some month has, is compared as it stands.
// As an upper end it means the end of its month then, as a lower one the beginning of the next.
func parseBound(vr, s string) (span, bool) {
	if key, ok := parseMoment(vr, s); ok || vr != "DA" {
		return key, ok
	}
	s, ok := dayDigits(s)
	if !ok || s[4:6] < "01" || s[4:6] > "12" || s[6:] < "01" || s[6:] > "31" {
		return span{}, false
	}
	return span{s, s}, true
}

// parseRange reads a single value or a range (PS3.4 §C.2.2.2.5). An open end is "".
func parseRange(vr, s string) (span, bool) {
	if key, ok := parseMoment(vr, s); ok {
		return key, true
	}
	// A hyphen in a DT may also begin an offset; the first division that leaves two moments counts.
	for i := range len(s) {
		if s[i] != '-' {
			continue
		}
		left, right := strings.Trim(s[:i], " "), strings.Trim(s[i+1:], " ")
		var out span
		if left == "" && right == "" {
			return span{}, false
		}
		if left != "" {
			key, ok := parseBound(vr, left)
			if !ok {
				continue
			}
			out.low = key.low
		}
		if right != "" {
			key, ok := parseBound(vr, right)
			if !ok {
				continue
			}
			out.high = key.high
		}
		return out, true
	}
	return span{}, false
}
