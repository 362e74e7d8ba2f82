package ecgtest

import (
	"encoding/json"
	"fmt"
	"math"
	"strconv"
	"strings"

	"github.com/tributary-dicom/tributary/parsers/ecg"
)

func sprintf(format string, args ...any) string { return fmt.Sprintf(format, args...) }

func float(n json.Number) float64 {
	f, err := n.Float64()
	if err != nil {
		return math.NaN()
	}
	return f
}

func near(a, b float64) bool { return math.Abs(a-b) <= 1e-6*math.Max(1, math.Abs(b)) }

func str(m map[string]any, key string) (string, bool) {
	s, ok := m[key].(string)
	return strings.TrimSpace(s), ok
}

// patient compares what the reference says in plain fields: id, name (or family and given), sex, birth_date
// in ISO form.
func (c *comparison) patient(rec *ecg.Recording, want map[string]any) {
	if id, ok := str(want, "id"); ok && id != rec.Patient.ID {
		c.errorf("patient id %q, want %q", rec.Patient.ID, id)
	}
	name, ok := str(want, "name")
	if family, have := str(want, "family"); have {
		given, _ := str(want, "given")
		name, ok = strings.TrimRight(family+"^"+given, "^"), true
	}
	if ok && name != rec.Patient.Name {
		c.errorf("patient name %q, want %q", rec.Patient.Name, name)
	}
	if sex, ok := str(want, "sex"); ok {
		letter := ""
		if sex != "" && sex != "U" {
			letter = strings.ToUpper(sex[:1])
		}
		if letter != rec.Patient.Sex {
			c.errorf("sex %q, want %q", rec.Patient.Sex, letter)
		}
	}
	if birth, ok := str(want, "birth_date"); ok && (birth == "" || len(birth) == 10) && birth != rec.Patient.BirthDate {
		c.errorf("birth date %q, want %q", rec.Patient.BirthDate, birth)
	}
}

// date compares the acquisition time: ISO text with the parsed time, raw text with the raw one.
func (c *comparison) date(rec *ecg.Recording, want *Expected) {
	if iso := want.AcquisitionDateTime; iso != "" && len(iso) >= 19 {
		if got := rec.Acquired.String(); !strings.HasPrefix(got, iso[:19]) {
			c.errorf("acquired %q, want %q", got, iso)
		}
	}
	raw, ok := want.AcquisitionRaw.(string)
	if !ok || raw == "" {
		return
	}
	got := digitsOf(rec.Acquired.Raw)
	if w := digitsOf(raw); !strings.HasPrefix(got, w) && !strings.HasPrefix(w, got) || got == "" && w != "" {
		c.errorf("acquired as written %q, want %q", rec.Acquired.Raw, raw)
	}
}

func digitsOf(s string) string {
	return strings.Map(func(r rune) rune {
		if r >= '0' && r <= '9' {
			return r
		}
		return -1
	}, s)
}

func (c *comparison) device(rec *ecg.Recording, want map[string]any) {
	for key, got := range map[string]string{
		"model": rec.Device.Model, "serial": rec.Device.Serial, "software": rec.Device.Software,
	} {
		if w, ok := str(want, key); ok && w != "" && w != got {
			c.errorf("device %s %q, want %q", key, got, w)
		}
	}
}

func hasStatement(rec *ecg.Recording, line string) bool {
	squeeze := func(s string) string { return strings.Join(strings.Fields(strings.ReplaceAll(s, "|", " ")), " ") }
	want := squeeze(line)
	for _, s := range rec.Statements {
		if got := squeeze(s.Text); got == want || want != "" && strings.Contains(got, want) {
			return true
		}
	}
	return false
}

// measurement looks for a measurement of the reference's name (which may end in a unit) whose number as
// written is the reference's.
func (c *comparison) measurement(rec *ecg.Recording, name, raw string) {
	want, numeric := leading(raw)
	base := name
	if i := strings.LastIndexByte(name, ' '); i > 0 {
		base = name[:i]
	}
	found := false
	for _, m := range rec.Measurements {
		if m.Name != name && m.Name != base {
			continue
		}
		found = true
		got, ok := leading(m.Raw)
		if numeric && ok && near(got, want) || !numeric && strings.TrimSpace(m.Raw) == strings.TrimSpace(raw) {
			return
		}
	}
	if !found && !numeric {
		return // text among the reference's numbers: version strings, lists of leads
	}
	c.errorf("measurement %s: want %q (found: %t)", name, raw, found)
}

func leading(s string) (float64, bool) {
	s, _, _ = strings.Cut(strings.TrimSpace(s), " ")
	f, err := strconv.ParseFloat(s, 64)
	return f, err == nil
}
