package main

import (
	"log/slog"
	"path/filepath"
	"strings"
	"testing"
)

func TestWatchFlags(t *testing.T) {
	base := t.TempDir()
	in := func(name string) string { return filepath.Join(base, name) }
	for name, c := range map[string]struct {
		watch []string
		roles []string
		want  []watch
		err   string
	}{
		"none":                 {},
		"two":                  {watch: []string{in("a") + "=心电-1", in("b=c") + "="}, want: []watch{{in("a"), "心电-1"}, {in("b=c"), ""}}},
		"neighbours by name":   {watch: []string{in("a"), in("a2")}, want: []watch{{in("a"), ""}, {in("a2"), ""}}},
		"no folder":            {watch: []string{"=x"}, err: "names no folder"},
		"a slash in a device":  {watch: []string{in("x=y") + "/a"}, err: "slash"},
		"one in the other":     {watch: []string{in("a"), in("a/b")}, err: "lies in the other"},
		"the other in one":     {watch: []string{in("a/b"), in("a")}, err: "lies in the other"},
		"twice":                {watch: []string{in("a"), in("a") + "=x"}, err: "lies in the other"},
		"around our own data":  {watch: []string{base}, err: "its own data"},
		"in our own data":      {watch: []string{in("data/blobs/x")}, err: "its own data"},
		"a node without doors": {watch: []string{in("a")}, roles: []string{"index"}, err: "needs the role intake"},
	} {
		t.Run(name, func(t *testing.T) {
			f := flagDefaults(t)
			f.Data, f.Watch = in("data"), c.watch
			if c.roles != nil {
				f.Roles = c.roles
			}
			cfg, err := f.nodeConfig(f.engineFlags, slog.New(slog.DiscardHandler))
			switch {
			case c.err != "":
				if err == nil || !strings.Contains(err.Error(), c.err) {
					t.Errorf("%v, want %q", err, c.err)
				}
			case err != nil:
				t.Error(err)
			case len(cfg.watches) != len(c.want):
				t.Errorf("%v, want %v", cfg.watches, c.want)
			default:
				for i, w := range c.want {
					if cfg.watches[i] != w {
						t.Errorf("%v, want %v", cfg.watches[i], w)
					}
				}
			}
		})
	}
}
