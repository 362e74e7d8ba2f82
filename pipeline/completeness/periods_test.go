package completeness_test

import (
	"strings"
	"testing"
	"time"

	"github.com/tributary-dicom/tributary/pipeline/completeness"
)

func TestPeriods(t *testing.T) {
	for text, want := range map[string]map[string]time.Duration{
		"":                      {"ECG": 10 * time.Second, "US": 2 * time.Minute, "CT": 5 * time.Minute, "MR": 5 * time.Minute, "OT": 2 * time.Minute, "": 2 * time.Minute, "ECG,CT": 5 * time.Minute},
		"US=90s":                {"US": 90 * time.Second, "ECG": 10 * time.Second, "OT": 2 * time.Minute},
		"us = 90s , *=1m":       {"US": 90 * time.Second, "ECG": 10 * time.Second, "OT": time.Minute, "US,OT": 90 * time.Second},
		"*=3s":                  {"US": 3 * time.Second, "ECG": 3 * time.Second, "": 3 * time.Second},
		"*=3s,CT=4s,X_1=100h0s": {"X_1": 100 * time.Hour, "CT": 4 * time.Second, "MR": 5 * time.Minute},
	} {
		p, err := completeness.ParsePeriods(text)
		if err != nil {
			t.Errorf("%q: %v", text, err)
			continue
		}
		for modalities, want := range want {
			var list []string
			if modalities != "" {
				list = strings.Split(modalities, ",")
			}
			if got := p.Of(list); got != want {
				t.Errorf("%q: a study of %q waits %v, want %v", text, modalities, got, want)
			}
		}
	}
	if p, _ := completeness.ParsePeriods("CT=1s,*=5s"); p.Shortest() != time.Second {
		t.Errorf("shortest %v", p.Shortest())
	}
	for _, bad := range []string{
		"US", "US=", "=2m", "US=0s", "US=-2m", "US=2", "US=2m,US=3m", "us=2m,US=3m", "U\\S=2m", "US=800h", "*=x", ",", "US=2m,",
		strings.Repeat("A", 17) + "=2m", strings.Repeat("US=2m,", 70),
	} {
		if p, err := completeness.ParsePeriods(bad); err == nil {
			t.Errorf("%q was read as %v", bad, p)
		}
	}
}

func FuzzParsePeriods(f *testing.F) {
	for _, text := range []string{"", "US=2m,ECG=10s,*=2m", "*=1h", "CT=5m,", "ＵＳ=2m", "US=2562047h47m16.854775807s"} {
		f.Add(text)
	}
	f.Fuzz(func(t *testing.T, text string) {
		p, err := completeness.ParsePeriods(text)
		if err != nil {
			return
		}
		if s := p.Shortest(); s <= 0 || s > p.Of(nil) {
			t.Fatalf("%q: shortest %v, others %v", text, s, p.Of(nil))
		}
		again, err := completeness.ParsePeriods(p.String())
		if err != nil || again.String() != p.String() {
			t.Fatalf("%q is %v, which reads as %v, %v", text, p, again, err)
		}
	})
}
