package main

import (
	"path/filepath"
	"strings"
)

// engineFlags choose where a node keeps things. Empty means the embedded default below --data.
type engineFlags struct {
	Data  string `help:"Folder of everything that this node keeps; made when missing (default: ${default})." default:"./data" env:"TRIBUTARY_DATA" placeholder:"DIR"`
	Blobs string `help:"Where bytes are kept: dir:PATH (default dir:DATA/blobs) or s3://BUCKET/PREFIX?endpoint=URL." env:"TRIBUTARY_BLOBS" placeholder:"URL"`
	Log   string `help:"Where events are kept: sqlite:PATH (default sqlite:DATA/log.db) or kafka://BROKER,BROKER/TOPIC-PREFIX." env:"TRIBUTARY_LOG" placeholder:"URL"`
	Index string `help:"Where the index is kept: sqlite:PATH (default sqlite:DATA/index.db) or postgres://HOST/DATABASE." env:"TRIBUTARY_INDEX" placeholder:"URL"`
}

// place is where one engine keeps things: a path of this machine, or the address of a server.
type place struct{ path, url string }

// shared reports whether other nodes may use the same place at the same time.
func (p place) shared() bool { return p.url != "" }

// String names the place for people. An address may carry what is nobody's business, so its query and
// user are left out.
func (p place) String() string {
	if !p.shared() {
		return p.path
	}
	scheme, rest, _ := strings.Cut(p.url, "://")
	rest, _, _ = strings.Cut(rest, "?")
	host, path, _ := strings.Cut(rest, "/")
	return scheme + "://" + host[strings.LastIndexByte(host, '@')+1:] + "/" + path
}

// places are where everything of a node lies.
type places struct {
	blobs, log, index place
	tus, state, spool string // of this node alone; the spool is a log's, for while the shared one is away
}

// places resolves the three URLs.
func (f engineFlags) places() (p places, err error) {
	if f.Data == "" {
		return p, usagef("--data names no folder")
	}
	if p.blobs, err = placeOf("--blobs", f.Blobs, "dir", filepath.Join(f.Data, "blobs"), "s3"); err != nil {
		return p, err
	}
	if p.log, err = placeOf("--log", f.Log, "sqlite", filepath.Join(f.Data, "log.db"), "kafka"); err != nil {
		return p, err
	}
	if p.index, err = placeOf("--index", f.Index, "sqlite", filepath.Join(f.Data, "index.db"), "postgres", "postgresql"); err != nil {
		return p, err
	}
	p.tus, p.state, p.spool = filepath.Join(f.Data, "tus"), filepath.Join(f.Data, "state"), filepath.Join(f.Data, "spool.db")
	return p, nil
}

// placeOf reads one URL: embedded:PATH, or shared://….
func placeOf(flag, url, embedded, fallback string, shared ...string) (place, error) {
	if url == "" {
		return place{path: fallback}, nil
	}
	scheme, rest, ok := strings.Cut(url, ":")
	if ok && scheme == embedded && rest != "" {
		return place{path: rest}, nil
	}
	for _, s := range shared {
		if scheme == s && strings.HasPrefix(rest, "//") && len(rest) > len("//") {
			return place{url: url}, nil
		}
	}
	said := url
	if strings.Contains(url, "://") {
		said = place{url: url}.String()
	}
	return place{}, usagef("%s %s is no place that is known: write %s:PATH or %s://…", flag, said, embedded, shared[0])
}
