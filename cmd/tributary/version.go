package main

import (
	"encoding/json"
	"fmt"
	"runtime"
	"runtime/debug"
)

// version is the release; builds may set it with -ldflags "-X main.version=…".
var version = "0.1.0-dev"

type versionCmd struct {
	JSON bool `help:"Print JSON." name:"json"`
}

func (c versionCmd) Run(std streams) error {
	revision := "unknown"
	if info, ok := debug.ReadBuildInfo(); ok {
		for _, s := range info.Settings {
			if s.Key == "vcs.revision" {
				revision = s.Value
			}
		}
	}
	if c.JSON {
		return json.NewEncoder(std.out).Encode(map[string]string{"version": version, "revision": revision, "go": runtime.Version()})
	}
	_, err := fmt.Fprintf(std.out, "tributary %s (revision %s, %s)\n", version, revision, runtime.Version())
	return err
}
