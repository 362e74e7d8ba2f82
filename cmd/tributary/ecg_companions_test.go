package main

import (
	"os"
	"path/filepath"
	"slices"
	"testing"
)

// TestCompanions: a WFDB header's files are found by whatever name, those of its segments too, and no others.
func TestCompanions(t *testing.T) {
	dir := t.TempDir()
	for name, text := range map[string]string{
		"rec-no-len.hea": "# comment\nrec-no-len 2 360\nrec.dat 212 200\nrec.dat 212 200\n../secret 212\nabsent.dat 16\n",
		"rec.dat":        "x", "other.dat": "x", "many.hea": "many/2 2 125 2000\none 1000\n~ 10\nmany.hea 1000\n",
		"one.hea": "one 2 125 1000\nsignals 212\n", "signals": "x", "rec-no-len.atr": "x",
		"cart.scp": "x", "cart.xml": "x",
	} {
		if err := os.WriteFile(filepath.Join(dir, name), []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	for name, want := range map[string][]string{
		"rec-no-len.hea": {"rec-no-len.atr", "rec.dat"}, "many.hea": {"one.hea", "signals"}, "cart.scp": {"cart.xml"}, "none": nil,
	} {
		var got []string
		for _, path := range companions(filepath.Join(dir, name)) {
			got = append(got, filepath.Base(path))
		}
		if !slices.Equal(got, want) {
			t.Errorf("%s: %v, want %v", name, got, want)
		}
	}
	t.Chdir(dir)
	if got := companions("many.hea"); !slices.Equal(got, []string{"one.hea", "signals"}) {
		t.Errorf("in the working directory: %v", got)
	}
}
