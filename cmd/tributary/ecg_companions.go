package main

import (
	"bufio"
	"io"
	"os"
	"path/filepath"
	"slices"
	"strings"
)

// maxCompanions bounds the files that are opened beside a recording.
const maxCompanions = 256

// companions are the regular files beside a recording that may belong to it, in order: those whose names begin
// as its own does, and those that a WFDB header names, by whatever name.
func companions(path string) []string {
	dir, base := filepath.Split(path)
	stem := strings.TrimSuffix(base, filepath.Ext(base))
	entries, err := os.ReadDir(filepath.Dir(path))
	if err != nil || stem == "" {
		return nil
	}
	regular := map[string]bool{}
	for _, e := range entries {
		regular[e.Name()] = e.Type().IsRegular()
	}
	wanted := map[string]bool{}
	var read func(header string)
	read = func(header string) {
		for _, name := range namedBy(filepath.Join(dir, header)) {
			for _, n := range []string{name, name + ".hea"} {
				if !regular[n] || wanted[n] || n == base || len(wanted) >= maxCompanions {
					continue
				}
				wanted[n] = true
				if filepath.Ext(n) == ".hea" {
					read(n)
				}
			}
		}
	}
	if filepath.Ext(base) == ".hea" {
		read(base)
	}
	for name, is := range regular {
		if is && name != base && strings.HasPrefix(name, stem) && len(wanted) < maxCompanions {
			wanted[name] = true
		}
	}
	var out []string
	for name := range wanted {
		out = append(out, filepath.Join(dir, name))
	}
	slices.Sort(out)
	return out
}

// namedBy are the first words of a WFDB header's lines behind the first: signal files, or segments.
func namedBy(header string) (names []string) {
	f, err := os.Open(header)
	if err != nil {
		return nil
	}
	defer f.Close()
	lines := bufio.NewScanner(io.LimitReader(f, 1<<20))
	record := false
	for lines.Scan() {
		words := strings.Fields(lines.Text())
		switch {
		case len(words) == 0 || strings.HasPrefix(words[0], "#"):
		case !record:
			record = true
		case !slices.Contains(names, words[0]) && words[0] == filepath.Base(words[0]):
			names = append(names, words[0])
		}
	}
	return names
}
