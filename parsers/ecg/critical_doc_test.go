package ecg

import (
	"os"
	"regexp"
	"slices"
	"strings"
	"testing"
)

var quotedInDoc = regexp.MustCompile("`([^`]+)`")

// listed returns what stands between backticks behind a label, in a section of the document.
func listed(t *testing.T, section, label string) []string {
	t.Helper()
	var out []string
	for line := range strings.Lines(section) {
		rest, found := strings.CutPrefix(line, "- "+label+": ")
		if !found {
			continue
		}
		if out != nil {
			t.Errorf("%s stands twice in %.40q", label, section)
		}
		for _, m := range quotedInDoc.FindAllStringSubmatch(rest, -1) {
			out = append(out, m[1])
		}
	}
	return out
}

// TestCriticalsAreDocumented holds that docs/ecg-critical.md and the table say the same, row by row.
func TestCriticalsAreDocumented(t *testing.T) {
	data, err := os.ReadFile("../../docs/ecg-critical.md")
	if err != nil {
		t.Fatal(err)
	}
	sections := map[string]string{}
	for _, part := range strings.Split(string(data), "\n### ")[1:] {
		head, body, _ := strings.Cut(part, "\n")
		body, _, _ = strings.Cut(body, "\n## ")
		sections[head] = body
	}
	same := func(where, label string, want []string) {
		t.Helper()
		got := slices.Clone(listed(t, sections[where], label))
		want = slices.Clone(want)
		slices.Sort(got)
		slices.Sort(want)
		if !slices.Equal(got, want) {
			t.Errorf("%s, %s: the document has\n%q\nthe table\n%q", where, label, got, want)
		}
	}
	for _, f := range findings {
		if _, ok := sections[f.name]; !ok {
			t.Errorf("the document has no section %s", f.name)
			continue
		}
		same(f.name, "Codes", f.codes)
		same(f.name, "Phrases", f.phrases)
		same(f.name, "中文", f.hanzi)
		same(f.name, "Not with", f.unless)
	}
	same("negations", "Words", negations)
	same("negations", "中文", notHanzi)
	if len(sections) != len(findings)+1 {
		t.Errorf("the document has %d sections for %d findings and the negations", len(sections), len(findings))
	}
}
