package originals

import (
	"math"
	"net/http"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"unicode"
	"unicode/utf8"

	"github.com/tributary-dicom/tributary/storage/index"
)

// ranges are the parameters that bound a number.
var ranges = map[string]index.Measure{
	"heart_rate": index.VentricularRate, "pr": index.PRInterval, "qrs": index.QRSDuration, "qt": index.QTInterval,
	"qtc": index.QTcInterval, "qrs_axis": index.QRSAxis, "duration": index.Duration, "sampling_frequency": index.SamplingFrequency,
}

// allowed names all parameters, for people.
const allowed = "priority, finding, heart_rate (/min), pr, qrs, qt, qtc (ms), qrs_axis (degrees), duration (ms), sampling_frequency (Hz), " +
	"lead, paced, statement (may be repeated), patient_id, study, date, limit, before"

// Bounds of a query string.
const (
	maxQuery      = 16 << 10 // bytes
	maxStatements = 8
)

func bad(format string, args ...any) error { return fail(http.StatusBadRequest, format, args...) }

// parse reads a query string.
func parse(raw string) (index.RecordingQuery, error) {
	q := index.RecordingQuery{Limit: DefaultLimit, Ranges: map[index.Measure]index.Bounds{}}
	if len(raw) > maxQuery {
		return q, bad("the query string has more than %d bytes", maxQuery)
	}
	values, err := url.ParseQuery(raw)
	if err != nil {
		return q, bad("the query string has a broken percent escape or a semicolon")
	}
	for name, all := range values {
		if name != "statement" && len(all) > 1 {
			return q, bad("%s is given more than once; only statement may be", printable(name))
		}
		for _, v := range all {
			if !utf8.ValidString(v) || strings.ContainsFunc(v, unicode.IsControl) {
				return q, bad("%s is not UTF-8 text without control characters", printable(name))
			}
			if v == "" {
				continue // as though it were not there: forms send all their fields
			}
			if err := set(&q, name, v); err != nil {
				return q, err
			}
		}
		if _, known := ranges[name]; !known && !slices.Contains(strings.Split(plainNames, " "), name) {
			return q, bad("there is no parameter %s; allowed are %s", printable(name), allowed)
		}
	}
	if len(q.Statements) > maxStatements {
		return q, bad("at most %d statements", maxStatements)
	}
	return q, nil
}

const plainNames = "priority finding lead paced statement patient_id study date limit before"

// set takes one parameter with a value.
func set(q *index.RecordingQuery, name, v string) error {
	if measure, ok := ranges[name]; ok {
		b, ok := bounds(v)
		if !ok {
			return bad("%s is a range of numbers: LOW-HIGH, LOW- or -HIGH, or with two dots where a number is negative: -90..-30", name)
		}
		q.Ranges[measure] = b
		return nil
	}
	switch name {
	case "priority":
		if !strings.EqualFold(v, "STAT") {
			return bad("priority can be STAT only")
		}
		q.Priority = "STAT"
	case "finding":
		if len(v) > 64 || strings.Trim(v, "abcdefghijklmnopqrstuvwxyz0123456789-") != "" {
			return bad("finding is a name of docs/ecg-critical.md, such as acute-mi")
		}
		q.Finding = v
	case "lead":
		if utf8.RuneCountInString(v) > 64 || strings.Contains(v, `\`) {
			return bad("lead is the name of one lead, such as V1 or aVR")
		}
		q.Lead = v
	case "paced":
		paced, err := strconv.ParseBool(v)
		if err != nil {
			return bad("paced is true or false")
		}
		q.Paced = &paced
	case "statement":
		q.Statements = append(q.Statements, v)
	case "patient_id":
		q.PatientID = v
	case "study":
		if len(v) > 64 || strings.Trim(v, "0123456789.") != "" {
			return bad("study is a Study Instance UID")
		}
		q.StudyInstanceUID = v
	case "date":
		q.Dates = v
	case "limit":
		n, err := strconv.Atoi(v)
		if err != nil || n < 1 {
			return bad("limit is a number from 1; more than %d rows are not given at once", MaxLimit)
		}
		q.Limit = min(n, MaxLimit)
	case "before":
		place, ok := parsePlace(v)
		if !ok {
			return bad("before is part of the member next of an answer, and nothing else")
		}
		q.Before = &place
	}
	return nil
}

// bounds reads "LOW-HIGH", "LOW-", "-HIGH" or one number; with ".." instead of the hyphen, numbers may be negative.
func bounds(v string) (b index.Bounds, ok bool) {
	low, high, dots := strings.Cut(v, "..")
	if !dots {
		var hyphen bool
		if low, high, hyphen = strings.Cut(v, "-"); !hyphen {
			high = v
		}
	}
	if low == "" && high == "" {
		return b, false
	}
	for _, end := range []struct {
		text string
		to   **float64
	}{{low, &b.Min}, {high, &b.Max}} {
		if end.text == "" {
			continue
		}
		f, ok := decimal(end.text)
		if !ok {
			return b, false
		}
		*end.to = &f
	}
	return b, b.Min == nil || b.Max == nil || *b.Min <= *b.Max
}

// decimal reads a number as people write it: digits with a point, no exponent.
func decimal(s string) (float64, bool) {
	if len(s) > 24 || strings.Trim(strings.TrimPrefix(s, "-"), "0123456789.") != "" {
		return 0, false
	}
	f, err := strconv.ParseFloat(s, 64)
	return f, err == nil && !math.IsInf(f, 0)
}

// printable makes a peer's text fit for an error message.
func printable(s string) string {
	s = strings.Map(func(r rune) rune {
		if r <= ' ' || r > '~' {
			return -1
		}
		return r
	}, s)
	return s[:min(len(s), 40)]
}

// nextPage is the path of the page behind a row.
func nextPage(values url.Values, at index.RecordingPlace) string {
	values.Set("before", strconv.FormatInt(at.Received, 10)+"."+at.ObjectID)
	return "/ecgs?" + values.Encode()
}

func parsePlace(v string) (p index.RecordingPlace, ok bool) {
	micros, object, found := strings.Cut(v, ".")
	n, err := strconv.ParseInt(micros, 10, 64)
	return index.RecordingPlace{Received: n, ObjectID: object}, found && err == nil && len(object) <= maxID
}
