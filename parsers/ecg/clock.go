package ecg

import (
	"strconv"
	"strings"
	"time"
)

// Time is a point in time as a file states it. Most formats have wall clock time without a zone, and it is
// not ours to guess one.
type Time struct {
	Raw       string    // as stored
	Time      time.Time // zero when Raw is no date; UTC stands for "no zone" unless ZoneKnown
	ZoneKnown bool
	DateOnly  bool // the file has no time of day
}

// IsZero reports whether nothing is known, not even text.
func (t Time) IsZero() bool { return t.Raw == "" && t.Time.IsZero() }

// Valid reports whether the date is known.
func (t Time) Valid() bool { return !t.Time.IsZero() }

// String returns ISO 8601: "2002-11-22T09:10:00", with a fraction where there is one, with the offset where
// it is known, and the date alone where only it is known. It is empty for a time that is not Valid.
func (t Time) String() string {
	if !t.Valid() {
		return ""
	}
	layout := "2006-01-02T15:04:05.999999999"
	switch {
	case t.DateOnly:
		layout = "2006-01-02"
	case t.ZoneKnown:
		layout += "Z07:00"
	}
	return t.Time.Format(layout)
}

// MarshalText returns String.
func (t Time) MarshalText() ([]byte, error) { return []byte(t.String()), nil }

// NewTime returns the time of a calendar date and clock; zone is nil when it is not known. Numbers that are
// no date (month 13, 30 February, year 0) leave Time zero.
func NewTime(raw string, year, month, day, hour, minute, second, nanos int, zone *time.Location) Time {
	t := Time{Raw: raw, ZoneKnown: zone != nil}
	if zone == nil {
		zone = time.UTC
	}
	if year < 1800 || year > 2300 || month < 1 || month > 12 || day < 1 || hour < 0 || hour > 23 ||
		minute < 0 || minute > 59 || second < 0 || second > 60 || nanos < 0 || nanos > 999_999_999 {
		return Time{Raw: raw}
	}
	at := time.Date(year, time.Month(month), day, hour, minute, min(second, 59), nanos, zone)
	if at.Day() != day {
		return Time{Raw: raw}
	}
	t.Time = at
	return t
}

// ParseTime reads HL7 and DICOM times (YYYYMMDD[HH[MM[SS[.f]]]][±ZZZZ]) and ISO 8601 and its relatives
// (YYYY-MM-DD or YYYY/MM/DD, "T" or space, HH:MM[:SS[.f]], Z or ±HH:MM). What it cannot read is kept as Raw
// alone. Dates with the year last are for the format to read: which comes first is not in the text.
func ParseTime(raw string) Time {
	s := strings.TrimSpace(raw)
	if len(s) < 8 || len(s) > 40 {
		return Time{Raw: raw}
	}
	p := clockParser{s: s}
	year, month, day := p.digits(4), 0, 0
	p.oneOf("-/.")
	month = p.digits(2)
	p.oneOf("-/.")
	day = p.digits(2)
	if p.bad {
		return Time{Raw: raw}
	}
	var hour, minute, second, nanos int
	p.oneOf("T ")
	clock := p.digitNext()
	if clock {
		hour = p.digits(2)
		p.oneOf(":")
		if p.digitNext() {
			minute = p.digits(2)
			p.oneOf(":")
		}
		if p.digitNext() {
			second = p.digits(2)
			nanos = p.fraction()
		}
	}
	zone, ok := p.zone()
	if !ok || p.bad || p.s != "" {
		return Time{Raw: raw}
	}
	t := NewTime(raw, year, month, day, hour, minute, second, nanos, zone)
	t.DateOnly = t.Valid() && !clock
	return t
}

type clockParser struct {
	s   string
	bad bool
}

func (p *clockParser) digitNext() bool { return p.s != "" && p.s[0] >= '0' && p.s[0] <= '9' }

func (p *clockParser) digits(n int) int {
	if len(p.s) < n {
		p.bad = true
		return 0
	}
	v := 0
	for _, c := range []byte(p.s[:n]) {
		if c < '0' || c > '9' {
			p.bad = true
			return 0
		}
		v = v*10 + int(c-'0')
	}
	p.s = p.s[n:]
	return v
}

func (p *clockParser) oneOf(set string) {
	if p.s != "" && strings.IndexByte(set, p.s[0]) >= 0 {
		p.s = p.s[1:]
	}
}

func (p *clockParser) fraction() int {
	if p.s == "" || p.s[0] != '.' && p.s[0] != ',' {
		return 0
	}
	i := 1
	for i < len(p.s) && p.s[i] >= '0' && p.s[i] <= '9' {
		i++
	}
	digits := (p.s[1:i] + "000000000")[:9]
	p.s = p.s[i:]
	n, _ := strconv.Atoi(digits)
	return n
}

// zone reads Z, ±HHMM, ±HH:MM or ±HH; nil for none.
func (p *clockParser) zone() (*time.Location, bool) {
	p.s = strings.TrimLeft(p.s, " ")
	if p.s == "" {
		return nil, true
	}
	if p.s == "Z" || p.s == "z" {
		p.s = ""
		return time.UTC, true
	}
	sign := 1
	switch p.s[0] {
	case '-':
		sign = -1
	case '+':
	default:
		return nil, false
	}
	p.s = p.s[1:]
	hours, minutes := p.digits(2), 0
	p.oneOf(":")
	if p.digitNext() {
		minutes = p.digits(2)
	}
	if hours > 14 || minutes > 59 {
		return nil, false
	}
	return time.FixedZone("", sign*(hours*3600+minutes*60)), true
}
