package main

import (
	"path/filepath"
	"strings"
)

// engineFlags choose where a node keeps things. Empty means the embedded default below --data.
type engineFlags struct {
	Data  string `help:"Folder of everything that this node keeps; made when missing." default:"./data" env:"TRIBUTARY_DATA" placeholder:"DIR"`
	Blobs string `help:"Where bytes are kept: dir:PATH (default dir:DATA/blobs)." env:"TRIBUTARY_BLOBS" placeholder:"URL"`
	Log   string `help:"Where events are kept: sqlite:PATH (default sqlite:DATA/log.db)." env:"TRIBUTARY_LOG" placeholder:"URL"`
	Index string `help:"Where the index is kept: sqlite:PATH (default sqlite:DATA/index.db)." env:"TRIBUTARY_INDEX" placeholder:"URL"`
}

// enginePaths are the embedded engines' places.
type enginePaths struct{ blobs, log, index, tus, state string }

// paths resolves the three URLs.
func (f engineFlags) paths() (p enginePaths, err error) {
	if f.Data == "" {
		return p, usagef("--data names no folder")
	}
	if p.blobs, err = enginePath("--blobs", f.Blobs, "dir", filepath.Join(f.Data, "blobs")); err != nil {
		return p, err
	}
	if p.log, err = enginePath("--log", f.Log, "sqlite", filepath.Join(f.Data, "log.db")); err != nil {
		return p, err
	}
	if p.index, err = enginePath("--index", f.Index, "sqlite", filepath.Join(f.Data, "index.db")); err != nil {
		return p, err
	}
	p.tus, p.state = filepath.Join(f.Data, "tus"), filepath.Join(f.Data, "state")
	return p, nil
}

func enginePath(flag, url, scheme, fallback string) (string, error) {
	if url == "" {
		return fallback, nil
	}
	got, path, ok := strings.Cut(url, ":")
	if !ok || got != scheme || path == "" {
		return "", usagef("%s %s: this version has the embedded engine only; write %s:PATH", flag, url, scheme)
	}
	return path, nil
}
