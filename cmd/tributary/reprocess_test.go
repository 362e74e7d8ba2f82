package main

import (
	"encoding/json"
	"math"
	"strings"
	"testing"
	"time"

	"github.com/tributary-dicom/tributary/pipeline/reprocess"
)

func TestParseTime(t *testing.T) {
	day := time.Date(2026, 3, 1, 0, 0, 0, 0, time.Local)
	for text, want := range map[string]time.Time{
		"": {}, "2026-03-01": day, "2026-03-01T08:30": day.Add(8*time.Hour + 30*time.Minute), "2026-03-01T08:30:15": day.Add(8*time.Hour + 30*time.Minute + 15*time.Second),
		"2026-03-01T08:30:00+08:00": time.Date(2026, 3, 1, 0, 30, 0, 0, time.UTC), "2026-03-01T00:30:00.5Z": time.Date(2026, 3, 1, 0, 30, 0, 5e8, time.UTC),
	} {
		if got, err := parseTime(text); err != nil || !got.Equal(want) {
			t.Errorf("%q: %v, %v; want %v", text, got, err, want)
		}
	}
	for _, text := range []string{"yesterday", "01.03.2026", "2026-13-01", "99999-01-01T00:00:00Z", "0001-01-01T00:00:00Z"} {
		if got, err := parseTime(text); err == nil {
			t.Errorf("%q is %v", text, got)
		}
	}
}

func TestParseByteCount(t *testing.T) {
	for text, want := range map[string]float64{"0": 0, "512": 512, "512B": 512, "1k": 1024, "2 MiB": 2 << 20, "32mib": 32 << 20, "1G": 1 << 30, "3GiB": 3 << 30} {
		if got, err := parseByteCount(text); err != nil || got != want {
			t.Errorf("%q: %v, %v; want %v", text, got, err, want)
		}
	}
	for _, text := range []string{"", "fast", "-1", "1.5M", "1e9", "MiB", "99999999999999999999", "1TiB"} {
		if got, err := parseByteCount(text); err == nil {
			t.Errorf("%q is %v", text, got)
		}
	}
}

// FuzzReprocessParameters holds that whatever flags and requests say is refused, or within bounds.
func FuzzReprocessParameters(f *testing.F) {
	f.Add("2026-03-01", "32MiB", `{"studies":["1.2.3"],"speed":{"parallel":2}}`)
	f.Add("2026-03-01T08:30:00+08:00", "0", `{"from":"2026-03-01T00:00:00Z","force":true,"dry_run":true}`)
	f.Add("", "1 GiB", `{} {}`)
	f.Fuzz(func(t *testing.T, when, size, request string) {
		if got, err := parseTime(when); err == nil && when != "" && (got.Year() < 0 || got.Year() > 9999) {
			t.Fatalf("%q is %v", when, got)
		}
		if got, err := parseByteCount(size); err == nil && (got < 0 || math.IsInf(got, 0) || math.IsNaN(got)) {
			t.Fatalf("%q is %v", size, got)
		}
		flags := selectFlags{Studies: strings.Fields(request), From: when, To: when}
		if s, err := flags.selection(); err == nil {
			_ = s.Validate(3) // whatever it says, it ends
		}
		req, err := decodeRequest(strings.NewReader(request))
		if err != nil || req.Validate(3) != nil {
			return
		}
		doc, err := json.Marshal(req)
		if err != nil {
			t.Fatal(err)
		}
		again, err := decodeRequest(strings.NewReader(string(doc)))
		if err != nil || again.Validate(3) != nil {
			t.Fatalf("%s became %s: %v", request, doc, err)
		}
		if req.Speed.Parallel < 0 || req.Speed.Parallel > 16 || req.OlderThan < 0 || req.OlderThan > 3 {
			t.Fatalf("%s was taken as %+v", request, req)
		}
	})
}

// TestReprocessWords: examples are told without anything of a patient, and in one line.
func TestReprocessWords(t *testing.T) {
	for want, e := range map[string]reprocess.Example{
		"": {ID: "1"}, "as 2  too-many-elements": {ID: "1", NewID: "2", Why: "too-many-elements"},
		"attributes, header  (PatientName)": {ID: "1", Parts: []string{"attributes", "header"}, Keywords: []string{"PatientName"}},
	} {
		if got := wordsOf(e); got != want {
			t.Errorf("%q, want %q", got, want)
		}
	}
}
