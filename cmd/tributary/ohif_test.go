package main

import (
	"bytes"
	"errors"
	"log/slog"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

func TestOHIF(t *testing.T) {
	dist := t.TempDir()
	for name, text := range map[string]string{"index.html": `<script>window.PUBLIC_URL="/"</script><script src="/app.js"></script>`, "app.js": "1"} {
		if err := os.WriteFile(filepath.Join(dist, name), []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	cfg := configure(t, t.TempDir())
	cfg.OHIFDir = dist
	n, err := openNode(t.Context(), cfg)
	if err != nil {
		t.Fatal(err)
	}
	r := serve(t, n)
	var printed, errs bytes.Buffer
	if code := run([]string{"ohif-config"}, streams{&printed, &errs}); code != exitOK || errs.Len() > 0 {
		t.Fatalf("ohif-config: %d, %s", code, &errs)
	}
	for path, want := range map[string]string{
		"/ohif":               `src="/ohif/app.js"`, // redirected
		"/ohif/":              `src="/ohif/app.js"`,
		"/ohif/viewer?x=2.25": `src="/ohif/app.js"`,
		"/ohif/app.js":        "1",
		"/ohif/app-config.js": printed.String(),
		"/":                   "viewer    " + r.url + "/ohif/",
	} {
		if code, body := r.do(t, http.MethodGet, path, nil); code != http.StatusOK || !strings.Contains(string(body), want) {
			t.Errorf("%s: %d, %s", path, code, body)
		}
	}
	if code, _ := r.do(t, http.MethodGet, "/ohif/none.js", nil); code != http.StatusNotFound {
		t.Errorf("a file that is not there: %d", code)
	}
	own := filepath.Join(t.TempDir(), "own.js")
	if err := os.WriteFile(own, []byte("window.config = {}"), 0o600); err != nil {
		t.Fatal(err)
	}
	cfg.Data, cfg.OHIFConfig = "", own
	viewer, err := cfg.openViewer(cfg)
	if err != nil {
		t.Fatal(err)
	}
	if err := viewer.Close(); err != nil {
		t.Error(err)
	}
	cfg.OHIFConfig = own + ".none"
	if _, err := cfg.openViewer(cfg); err == nil || !strings.Contains(err.Error(), "--ohif-config") {
		t.Errorf("a configuration that is not there: %v", err)
	}
}

func TestOHIFFlags(t *testing.T) {
	for name, c := range map[string]struct {
		change func(*serveCmd)
		err    string
	}{
		"no reader":  {func(c *serveCmd) { c.OHIFDir, c.Roles = "x", []string{roleIntake, roleIndex} }, "--ohif-dir"},
		"no viewer":  {func(c *serveCmd) { c.OHIFConfig = "x" }, "--ohif-config"},
		"both given": {func(c *serveCmd) { c.OHIFDir, c.OHIFConfig = "x", "y" }, ""},
	} {
		flags := flagDefaults(t)
		c.change(&flags)
		_, err := flags.nodeConfig(flags.engineFlags, slog.New(slog.DiscardHandler))
		var usage usageError
		if c.err == "" && err != nil || c.err != "" && (!errors.As(err, &usage) || !strings.Contains(err.Error(), c.err)) {
			t.Errorf("%s: %v", name, err)
		}
	}
	cfg := configure(t, t.TempDir())
	cfg.OHIFDir = t.TempDir()
	if _, err := openNode(t.Context(), cfg); err == nil || !strings.Contains(err.Error(), "dist folder of the package @ohif/app") {
		t.Errorf("an empty folder: %v", err)
	}
	var out bytes.Buffer
	for _, args := range [][]string{{"ohif-config", "--mount", "x"}, {"ohif-config", "--dicomweb", "nowhere"}} {
		if code := run(args, streams{&out, &out}); code != exitUsage {
			t.Errorf("%v: %d", args, code)
		}
	}
}
