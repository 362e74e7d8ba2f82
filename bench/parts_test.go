package main

import (
	"io"
	"testing"
)

func TestStatTicks(t *testing.T) {
	// Fields 14 to 17 are 5, 6, 7, 8; the name has spaces and a parenthesis of its own.
	const stat = "12 (a b) c) S 1 2 3 4 5 6 7 8 9 10 5 6 7 8 20 0 1 0 100"
	if got := statTicks(stat); got != 26 {
		t.Errorf("statTicks = %d, want 26", got)
	}
	if got := statTicks("12 (x) S 1"); got != 0 {
		t.Errorf("a short line gives %d", got)
	}
}

func TestReferenced(t *testing.T) {
	for _, c := range []struct {
		answer string
		want   int
		ok     bool
	}{
		{`{"00081199":{"vr":"SQ","Value":[{},{}]},"00081198":{"vr":"SQ"}}`, 2, true},
		{`{"00081198":{"vr":"SQ","Value":[{}]}}`, 0, true},
		{`<html>`, 0, false},
	} {
		if got, err := referenced([]byte(c.answer)); got != c.want || (err == nil) != c.ok {
			t.Errorf("referenced(%s) = %d, %v", c.answer, got, err)
		}
	}
}

func TestGivenName(t *testing.T) {
	for name, want := range map[string]string{
		"Zhang^Wei=张^伟": "Wei", "Smith^Mary^Ann": "Mary", "Müller^Jürgen": "J", "Åkesson^Æ": "a", "Solo": "a", "": "a",
	} {
		if got := givenName(name); got != want {
			t.Errorf("givenName(%q) = %q, want %q", name, got, want)
		}
	}
}

func TestAround(t *testing.T) {
	for date, want := range map[string]string{"20240301": "20240215-20240316", "20231225": "20231210-20240109", "?": "?"} {
		if got := around(date); got != want {
			t.Errorf("around(%s) = %s, want %s", date, got, want)
		}
	}
}

func TestSearchesAskForWhatIsThere(t *testing.T) {
	s, err := stills(4, 20, 10, 64)
	if err != nil {
		t.Fatal(err)
	}
	for _, k := range queryKinds {
		r, again := s.searches("/x", k), s.searches("/x", k)
		for i := range 1000 {
			a, err := r.path(i)
			if b, _ := again.path(i); err != nil || a != b {
				t.Fatalf("%s: query %d is %s, then %s: %v", k, i, a, b, err)
			}
		}
		if r.check(answer{kept: []byte("[]")}) == nil {
			t.Errorf("%s: an empty answer passes", k)
		}
	}
}

func TestOptions(t *testing.T) {
	quick, err := parse([]string{"-quick", "-only", "w1,W3"}, io.Discard)
	if err != nil || quick.w3Bytes != 64<<20 || !has(quick.only, "W1") || has(quick.only, "W2") {
		t.Errorf("%+v, %v", quick, err)
	}
	for _, bad := range [][]string{{"-only", "W9"}, {"-systems", "x"}, {"-reps", "0"}, {"W1"}, {"-w3-bytes", "-1"}, {"-nonsense"}} {
		if _, err := parse(bad, io.Discard); err == nil {
			t.Errorf("%q passes", bad)
		}
	}
}
