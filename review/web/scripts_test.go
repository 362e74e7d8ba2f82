package web

import (
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
)

// TestECGScripts runs the tests of src/ecg: places on the paper, filters, calipers, windows.
func TestECGScripts(t *testing.T) { runScripts(t, "src/ecg/tests/*.test.ts") }

// TestOperatorsScripts runs the tests of src/operators: archives, files that go together, uploads that go on.
func TestOperatorsScripts(t *testing.T) { runScripts(t, "src/operators/tests/*.test.ts") }

// runScripts bundles test files and runs them in Node.
func runScripts(t *testing.T, pattern string) {
	t.Helper()
	node, err := exec.LookPath("node")
	if err != nil {
		if os.Getenv("CI") != "" {
			t.Fatal(err)
		}
		t.Skip("Node is not installed")
	}
	files, err := filepath.Glob(pattern)
	if err != nil || len(files) == 0 {
		t.Fatal("no tests", err)
	}
	dir := t.TempDir()
	build := append(strings.Fields("tool -modfile=../../tools/go.mod esbuild"), files...)
	build = append(build, "--bundle", "--format=esm", "--platform=node", "--target=es2022", "--log-level=warning", "--out-extension:.js=.mjs", "--outdir="+dir)
	if out, err := exec.CommandContext(t.Context(), "go", build...).CombinedOutput(); err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	made, err := filepath.Glob(filepath.Join(dir, "*.mjs"))
	if err != nil || len(made) != len(files) {
		t.Fatal(made, err)
	}
	if out, err := exec.CommandContext(t.Context(), node, append([]string{"--test"}, made...)...).CombinedOutput(); err != nil {
		t.Errorf("%v\n%s", err, out)
	}
}
