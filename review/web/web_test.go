package web

import (
	"bytes"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
)

// TestAssets holds that what is embedded is what the sources make: `make web` makes it again.
func TestAssets(t *testing.T) {
	source, err := os.ReadFile("doc.go")
	if err != nil {
		t.Fatal(err)
	}
	line := regexp.MustCompile(`(?m)^//go:generate (.*) --outdir=assets$`).FindSubmatch(source)
	if line == nil {
		t.Fatal("no go:generate line in doc.go")
	}
	dir := t.TempDir()
	args := append(strings.Fields(string(line[1])), "--outdir="+dir)
	if out, err := exec.CommandContext(t.Context(), args[0], args[1:]...).CombinedOutput(); err != nil {
		t.Fatalf("%v: %v\n%s", args, err, out)
	}
	made, err := filepath.Glob(filepath.Join(dir, "*"))
	if err != nil || len(made) == 0 {
		t.Fatal("nothing was made", err)
	}
	for _, path := range made {
		want, err := os.ReadFile(path)
		if err != nil {
			t.Fatal(err)
		}
		got, err := os.ReadFile(filepath.Join("assets", filepath.Base(path)))
		if err != nil || !bytes.Equal(got, want) {
			t.Errorf("assets/%s is not what src makes (%v); run `make web` and commit it", filepath.Base(path), err)
		}
	}
	kept, err := filepath.Glob("assets/*")
	if err != nil {
		t.Fatal(err)
	}
	if len(kept) != len(made) {
		t.Errorf("assets has %d files, src makes %d", len(kept), len(made))
	}
}

// used reads all that may name a key: templates, Go but the catalogues, scripts.
func used(t *testing.T) string {
	t.Helper()
	var all strings.Builder
	for _, pattern := range []string{"*.go", "templates/*.html", "templates/*/*.html", "src/*/*.ts", "src/*/*/*.ts"} {
		files, err := filepath.Glob(pattern)
		if err != nil {
			t.Fatal(err)
		}
		for _, file := range files {
			if base := filepath.Base(file); strings.HasPrefix(base, "text_") || strings.HasSuffix(base, "_test.go") {
				continue
			}
			body, err := os.ReadFile(file)
			if err != nil {
				t.Fatal(err)
			}
			all.Write(body)
			all.WriteByte('\n')
		}
	}
	return all.String()
}

var verb = regexp.MustCompile(`%[-+# 0-9.]*[a-z%]`)

// TestTexts: every key has both languages with the same verbs and its owner's prefix, and is used; every key that is
// used is there. A key made of a quoted prefix and more ("operators.reason." and a code) counts as used.
func TestTexts(t *testing.T) {
	source := used(t)
	quoted := map[string]bool{}
	for _, m := range regexp.MustCompile("[\"'`]((?:js|frame|operators|cine|ecg)\\.[a-z0-9_.-]+)[\"'`]").FindAllStringSubmatch(source, -1) {
		quoted[m[1]] = true
	}
	for _, owner := range []struct {
		name     string
		all      catalogue
		prefixes []string
	}{
		{"frame", frameText, []string{"frame.", "js."}},
		{"operators", operatorsText, []string{"operators."}},
		{"cine", cineText, []string{"cine."}},
		{"ecg", ecgText, []string{"ecg."}},
	} {
		for key, p := range owner.all {
			if !slices.ContainsFunc(owner.prefixes, func(prefix string) bool { return strings.HasPrefix(key, prefix) }) {
				t.Errorf("%s: the catalogue of %s has keys that begin with %q", key, owner.name, owner.prefixes)
			}
			if p.zh == "" || p.en == "" {
				t.Errorf("%s: a language is missing", key)
			}
			verbs := verb.FindAllString(p.zh, -1)
			for form := range strings.SplitSeq(p.en, "|") {
				if en := verb.FindAllString(form, -1); !slices.Equal(verbs, en) && strings.Count(p.en, "|") == 0 {
					t.Errorf("%s: verbs %q and %q", key, verbs, en)
				}
			}
			found := quoted[key]
			for i := range key {
				if key[i] == '.' && i+1 < len(key) && strings.Count(key[:i], ".") > 0 && quoted[key[:i+1]] {
					found = true
				}
			}
			if !found {
				t.Errorf("%s: not used", key)
			}
		}
	}
	for key := range quoted {
		if _, ok := phrases[key]; !ok && !strings.HasSuffix(key, ".") && !regexp.MustCompile(`\.(css|js|ts|html|go)$`).MatchString(key) {
			t.Errorf("%s: no such key", key)
		}
	}
}

// TestTypes holds that the scripts' types fit, which esbuild does not look at.
func TestTypes(t *testing.T) {
	if testing.Short() {
		t.Skip("the compiler takes seconds")
	}
	const compiler = "../../e2e/pages/node_modules/typescript/bin/tsc"
	node, err := exec.LookPath("node")
	if _, missing := os.Stat(compiler); err != nil || missing != nil {
		if os.Getenv("CI") != "" {
			t.Fatal("Node.js or TypeScript is missing; scripts/test-deps.sh installs both")
		}
		t.Skip("Node.js or TypeScript is missing; scripts/test-deps.sh installs both")
	}
	if out, err := exec.CommandContext(t.Context(), node, compiler, "--project", ".").CombinedOutput(); err != nil {
		t.Errorf("%v\n%s", err, out)
	}
}
