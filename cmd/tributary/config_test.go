package main

import (
	"errors"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/alecthomas/kong"
)

func TestPlaces(t *testing.T) {
	at := func(blobs, log, index place) places {
		return places{blobs, log, index, filepath.Join("d", "tus"), filepath.Join("d", "state"), filepath.Join("d", "spool.db")}
	}
	for name, c := range map[string]struct {
		flags engineFlags
		want  places
		err   string
	}{
		"defaults": {
			flags: engineFlags{Data: "d"},
			want:  at(place{path: filepath.Join("d", "blobs")}, place{path: filepath.Join("d", "log.db")}, place{path: filepath.Join("d", "index.db")}),
		},
		"each elsewhere": {
			flags: engineFlags{Data: "d", Blobs: "dir:/b", Log: "sqlite:/l:1.db", Index: "sqlite:i.db"},
			want:  at(place{path: "/b"}, place{path: "/l:1.db"}, place{path: "i.db"}),
		},
		"shared": {
			flags: engineFlags{Data: "d", Blobs: "s3://b/p?endpoint=https://s", Log: "kafka://a,b/t", Index: "postgres://u:secret@h/d"},
			want:  at(place{url: "s3://b/p?endpoint=https://s"}, place{url: "kafka://a,b/t"}, place{url: "postgres://u:secret@h/d"}),
		},
		"no data folder": {flags: engineFlags{}, err: "--data"},
		"no server":      {flags: engineFlags{Data: "d", Log: "kafka://"}, err: "--log kafka:/// is no place that is known: write sqlite:PATH or kafka://…"},
		"other kind":     {flags: engineFlags{Data: "d", Index: "mysql://u:secret@h/d"}, err: "--index mysql://h/d is no place that is known"},
		"no scheme":      {flags: engineFlags{Data: "d", Index: "/i.db"}, err: "--index /i.db is no place"},
		"no path":        {flags: engineFlags{Data: "d", Blobs: "dir:"}, err: "--blobs"},
	} {
		t.Run(name, func(t *testing.T) {
			got, err := c.flags.places()
			if c.err == "" && (err != nil || got != c.want) {
				t.Errorf("%+v, %v; want %+v", got, err, c.want)
			}
			var usage usageError
			if c.err != "" && (!errors.As(err, &usage) || !strings.Contains(err.Error(), c.err)) {
				t.Errorf("%v, want a usage error with %q", err, c.err)
			}
		})
	}
}

// flagDefaults are the flags of serve as they are without a command line.
func flagDefaults(t *testing.T) serveCmd {
	t.Helper()
	for _, env := range os.Environ() {
		if name, _, _ := strings.Cut(env, "="); strings.HasPrefix(name, "TRIBUTARY_") {
			t.Setenv(name, "")
			if err := os.Unsetenv(name); err != nil {
				t.Fatal(err)
			}
		}
	}
	var c cli
	parser, err := kong.New(&c, kong.Exit(func(int) {}))
	if err != nil {
		t.Fatal(err)
	}
	if _, err := parser.Parse([]string{"serve", "--data", t.TempDir()}); err != nil {
		t.Fatal(err)
	}
	return c.Serve
}

func TestNodeConfig(t *testing.T) {
	dir := t.TempDir()
	tokens, empty := filepath.Join(dir, "tokens"), filepath.Join(dir, "empty")
	for path, text := range map[string]string{tokens: "one\ntwo\n", empty: "\n"} {
		if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	for name, c := range map[string]struct {
		change func(*serveCmd)
		errs   []string // all told at once
	}{
		"defaults":                     {change: func(*serveCmd) {}},
		"open with tokens and peers":   {change: func(c *serveCmd) { c.HTTP, c.DICOM, c.TokenFile, c.Peers = ":80", ":104", tokens, []string{"KIT"} }},
		"open, insecure":               {change: func(c *serveCmd) { c.HTTP, c.DICOM, c.Insecure = ":80", "0.0.0.0:104", true }},
		"HTTP open":                    {change: func(c *serveCmd) { c.HTTP = "0.0.0.0:80" }, errs: []string{"--http 0.0.0.0:80", "--token-file", "--insecure"}},
		"HTTP open, peers are no help": {change: func(c *serveCmd) { c.HTTP, c.Peers = ":80", []string{"KIT"} }, errs: []string{"--http"}},
		"DICOM open":                   {change: func(c *serveCmd) { c.DICOM = ":104" }, errs: []string{"--dicom :104", "--peer", "--insecure"}},
		"DICOM open, tokens no help":   {change: func(c *serveCmd) { c.DICOM, c.TokenFile = ":104", tokens }, errs: []string{"--dicom"}},
		"a port alone":                 {change: func(c *serveCmd) { c.HTTP, c.DICOM = "8080", "host" }, errs: []string{"--http 8080: write HOST:PORT", "--dicom host: write HOST:PORT"}},
		"profiles open":                {change: func(c *serveCmd) { c.Pprof, c.Insecure = ":6060", true }, errs: []string{"--pprof"}},
		"no tokens in the file":        {change: func(c *serveCmd) { c.TokenFile = empty }, errs: []string{"has no token"}},
		"no file of tokens":            {change: func(c *serveCmd) { c.TokenFile = filepath.Join(dir, "none") }, errs: []string{"--token-file"}},
		"AE title too long":            {change: func(c *serveCmd) { c.AET = "SEVENTEEN-LETTERS" }, errs: []string{"--aet"}},
		"AE title with a control":      {change: func(c *serveCmd) { c.AET = "A\x07B" }, errs: []string{"--aet"}},
		"AE title in hanzi":            {change: func(c *serveCmd) { c.AET = "县医院" }, errs: []string{"--aet"}},
		"limits":                       {change: func(c *serveCmd) { c.MaxObject, c.Stall = 0, -time.Second }, errs: []string{"--max-object", "--stall"}},
		"PDU too small":                {change: func(c *serveCmd) { c.MaxPDU = 100 }, errs: []string{"MaxPDU"}},
		"everything at once": {
			change: func(c *serveCmd) { c.Data, c.AET, c.Peers, c.DICOM = "", "", []string{"@", "A@b"}, ":104" },
			errs:   []string{"--data", "--aet", `--peer "@"`, `--peer "A@b"`, "--dicom"},
		},
	} {
		t.Run(name, func(t *testing.T) {
			flags := flagDefaults(t)
			c.change(&flags)
			cfg, err := flags.nodeConfig(flags.engineFlags, slog.New(slog.DiscardHandler))
			if len(c.errs) == 0 {
				if err != nil {
					t.Fatal(err)
				}
				if cfg.Node == "" || flags.TokenFile != "" && len(cfg.tokens) != 2 {
					t.Errorf("node %q, %d tokens", cfg.Node, len(cfg.tokens))
				}
				return
			}
			var usage usageError
			if !errors.As(err, &usage) {
				t.Fatalf("%v, want a usage error", err)
			}
			for _, want := range c.errs {
				if !strings.Contains(err.Error(), want) {
					t.Errorf("%q is not in:\n%v", want, err)
				}
			}
		})
	}
}

func TestSOPClasses(t *testing.T) {
	if (nodeConfig{}).sopClass() != nil {
		t.Error("no restriction is a restriction")
	}
	takes := nodeConfig{nodeFlags: nodeFlags{SOPClasses: []string{"1.2", "1.3"}}}.sopClass()
	if !takes("1.2") || !takes("1.3") || takes("1.4") {
		t.Error("the restriction takes other classes")
	}
}
