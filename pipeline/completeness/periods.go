package completeness

import (
	"cmp"
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"
)

// Periods are how long a study must be quiet to count as complete. The zero value has none; DefaultPeriods has.
type Periods struct {
	modalities map[string]time.Duration
	others     time.Duration
}

// DefaultPeriods are for devices that send while they acquire. An ECG is one object, sent at once; a loop of an
// ultrasound follows the one before when the operator is done with that; a scanner reconstructs series for
// minutes.
func DefaultPeriods() Periods {
	return Periods{
		modalities: map[string]time.Duration{
			"ECG": 10 * time.Second,
			"US":  2 * time.Minute,
			"CT":  5 * time.Minute, "MR": 5 * time.Minute, "PT": 5 * time.Minute, "NM": 5 * time.Minute,
		},
		others: 2 * time.Minute,
	}
}

// Bounds of what a person may write. A study that was not announced for a month was forgotten.
const (
	maxPeriod  = 31 * 24 * time.Hour
	maxPeriods = 64
)

// anyOther stands for modalities that are not named.
const anyOther = "*"

// ParsePeriods reads "US=2m,ECG=10s,*=2m": modalities (0008,0060) and Go durations, * for all that are not named. What
// the text leaves out is as in DefaultPeriods; * alone leaves only itself.
func ParsePeriods(text string) (Periods, error) {
	p := DefaultPeriods()
	if strings.TrimSpace(text) == "" {
		return p, nil
	}
	parts := strings.Split(text, ",")
	if len(parts) > maxPeriods {
		return p, fmt.Errorf("quiet periods: %d are too many", len(parts))
	}
	seen := map[string]bool{}
	for _, part := range parts {
		name, value, ok := strings.Cut(strings.TrimSpace(part), "=")
		name = strings.ToUpper(strings.TrimSpace(name))
		if !ok || name != anyOther && !codeString(name) {
			return p, fmt.Errorf("quiet period %.40q: write MODALITY=DURATION, like US=2m or *=90s", part)
		}
		if seen[name] {
			return p, fmt.Errorf("quiet period of %s: given twice", name)
		}
		seen[name] = true
		d, err := time.ParseDuration(strings.TrimSpace(value))
		if err != nil || d <= 0 || d > maxPeriod {
			return p, fmt.Errorf("quiet period of %s: %.40q is no duration between 0 and %v", name, value, maxPeriod)
		}
		if name == anyOther {
			p.others = d
		} else {
			p.modalities[name] = d
		}
	}
	if len(seen) == 1 && seen[anyOther] {
		clear(p.modalities)
	}
	return p, nil
}

// codeString reports whether s can be a modality (CS, PS3.5 §6.2).
func codeString(s string) bool {
	if s == "" || len(s) > 16 {
		return false
	}
	for _, c := range []byte(s) {
		if (c < 'A' || c > 'Z') && (c < '0' || c > '9') && c != '_' && c != ' ' {
			return false
		}
	}
	return true
}

// Of returns the period of a study with these modalities, in upper case: the longest of them.
func (p Periods) Of(modalities []string) time.Duration {
	longest := time.Duration(0)
	for _, m := range modalities {
		d, ok := p.modalities[m]
		if !ok {
			d = p.others
		}
		longest = max(longest, d)
	}
	return cmp.Or(longest, p.others)
}

// Shortest returns the shortest period that a study may have.
func (p Periods) Shortest() time.Duration {
	shortest := p.others
	for _, d := range p.modalities {
		shortest = min(shortest, d)
	}
	return shortest
}

// String writes what ParsePeriods reads.
func (p Periods) String() string {
	var parts []string
	for _, m := range slices.Sorted(maps.Keys(p.modalities)) {
		parts = append(parts, m+"="+p.modalities[m].String())
	}
	return strings.Join(append(parts, anyOther+"="+p.others.String()), ",")
}
