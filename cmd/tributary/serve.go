package main

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"regexp"
	"strings"
	"time"

	"github.com/tributary-dicom/tributary/dimse"
	"github.com/tributary-dicom/tributary/ingest/storescp"
)

type serveCmd struct {
	engineFlags
	nodeFlags
	LogFormat string `help:"Form of the log on standard error." enum:"text,json" default:"text" env:"TRIBUTARY_LOG_FORMAT"`
	LogLevel  string `help:"Least level that is logged." enum:"debug,info,warn,error" default:"info" env:"TRIBUTARY_LOG_LEVEL"`
}

// nodeFlags say how a node meets the world.
type nodeFlags struct {
	HTTP  string `help:"Address of the HTTP doors and readers (default: ${default})." default:"127.0.0.1:8080" env:"TRIBUTARY_HTTP" placeholder:"HOST:PORT"`
	DICOM string `help:"Address of the DICOM door (default: ${default})." default:"127.0.0.1:11112" env:"TRIBUTARY_DICOM" placeholder:"HOST:PORT"`
	AET   string `help:"Our AE title." default:"TRIBUTARY" env:"TRIBUTARY_AET"`
	Node  string `help:"Name of this node in events (default: the host's name)." env:"TRIBUTARY_NODE" placeholder:"NAME"`

	Roles []string `help:"What this node does, of intake, index, derive, review; apart only with shared engines (default: all)." default:"intake,index,derive,review" env:"TRIBUTARY_ROLES" placeholder:"ROLE,…"`

	CheckAET   bool     `help:"Reject Associations that call another AE title than ours." name:"check-aet" env:"TRIBUTARY_CHECK_AET"`
	Peers      []string `help:"Who may associate: AET, AET@ADDRESS or *@NETWORK/BITS; repeatable (default: everyone)." name:"peer" env:"TRIBUTARY_PEERS" placeholder:"AET[@ADDR]"`
	TokenFile  string   `help:"File with the access tokens for HTTP, one a line; sent as 'Authorization: Bearer TOKEN' or as a password." env:"TRIBUTARY_TOKEN_FILE" placeholder:"FILE" type:"existingfile"`
	Insecure   bool     `help:"Listen on other addresses than loopback although nobody has to identify themselves." env:"TRIBUTARY_INSECURE"`
	SOPClasses []string `help:"Take these SOP Class UIDs only; repeatable (default: every storage class)." name:"sop-class" env:"TRIBUTARY_SOP_CLASSES" placeholder:"UID"`

	MaxObject       int64         `help:"Largest object, in bytes (default: ${default}, 8 GiB)." default:"8589934592" env:"TRIBUTARY_MAX_OBJECT" placeholder:"BYTES"`
	MaxAssociations int           `help:"Concurrent Associations, in all." default:"256" env:"TRIBUTARY_MAX_ASSOCIATIONS"`
	MaxPerIP        int           `help:"Concurrent Associations from one address." default:"32" env:"TRIBUTARY_MAX_PER_IP"`
	MaxPDU          uint32        `help:"Largest PDU that we announce, in bytes." default:"131072" env:"TRIBUTARY_MAX_PDU"`
	IdleTimeout     time.Duration `help:"How long an Association may be silent between messages." default:"60s" env:"TRIBUTARY_IDLE_TIMEOUT"`
	Stall           time.Duration `help:"How long a sender may pause within an object, and a reader within an answer." default:"30s" env:"TRIBUTARY_STALL"`
	Reserve         int64         `help:"Free disk space that is left alone, in bytes; 0 is 5 % of the disk and at most 2 GiB, -1 is none." default:"0" env:"TRIBUTARY_RESERVE" placeholder:"BYTES"`
	TusExpiry       time.Duration `help:"How long an unfinished resumable upload is kept." default:"168h" env:"TRIBUTARY_TUS_EXPIRY"`
	watchFlags
	ohifFlags
	completenessFlags

	Pprof         string        `help:"Serve Go's profiles at this loopback address." env:"TRIBUTARY_PPROF" placeholder:"HOST:PORT"`
	OrphansEvery  time.Duration `help:"How often blobs are looked for that have no event." hidden:"" default:"10m" env:"TRIBUTARY_ORPHANS_EVERY"`
	ParserVersion int           `hidden:"" env:"TRIBUTARY_PARSER_VERSION"` // for tests of two releases; 0 is this one's, -1 one of before there were versions
	Drain         time.Duration `help:"How long a shutdown waits for objects in flight." default:"25s" env:"TRIBUTARY_DRAIN"`
}

// Run serves until ctx ends.
func (c *serveCmd) Run(ctx context.Context, std streams) error {
	logger := newLogger(std, c.LogFormat, c.LogLevel)
	cfg, err := c.nodeConfig(c.engineFlags, logger)
	if err != nil {
		return err
	}
	n, err := openNode(ctx, cfg)
	if err != nil {
		return err
	}
	fmt.Fprint(std.out, n.doors())
	return n.serve(ctx)
}

func newLogger(std streams, format, level string) *slog.Logger {
	var l slog.Level
	_ = l.UnmarshalText([]byte(level)) // kong's enum admits only good ones
	opt := &slog.HandlerOptions{Level: l}
	if format == "json" {
		return slog.New(slog.NewJSONHandler(std.err, opt))
	}
	return slog.New(slog.NewTextHandler(std.err, opt))
}

// dimseLimits bound what DICOM peers may cost.
func (f nodeFlags) dimseLimits() dimse.Limits {
	return dimse.Limits{
		MaxObjectBytes: f.MaxObject, MaxAssociations: f.MaxAssociations, MaxPerIP: f.MaxPerIP,
		MaxPDU: f.MaxPDU, Idle: f.IdleTimeout, Stall: f.Stall,
	}
}

// nodeName is a name that can be part of a path.
var nodeName = regexp.MustCompile(`^[A-Za-z0-9_][A-Za-z0-9._-]{0,63}$`)

// nodeConfig checks the flags together and reports every mistake at once.
func (f nodeFlags) nodeConfig(engines engineFlags, logger *slog.Logger) (nodeConfig, error) {
	cfg := nodeConfig{nodeFlags: f, engineFlags: engines, log: logger}
	var errs []error
	fail := func(format string, args ...any) { errs = append(errs, fmt.Errorf(format, args...)) }
	var err error
	if cfg.places, err = engines.places(); err != nil {
		errs = append(errs, err)
	}
	if err := checkRoles(f.Roles, cfg.places); err != nil {
		errs = append(errs, err)
	}
	if len(f.AET) < 1 || len(f.AET) > 16 || strings.ContainsFunc(f.AET, func(r rune) bool { return r <= ' ' || r > '~' || r == '\\' }) {
		fail("--aet %q: an AE title has 1 to 16 ASCII characters without space and backslash", f.AET)
	}
	for _, p := range f.Peers {
		peer, err := storescp.ParsePeer(p)
		if err != nil {
			fail("--%w", err)
			continue
		}
		cfg.peers = append(cfg.peers, peer)
	}
	if f.TokenFile != "" {
		text, err := os.ReadFile(f.TokenFile)
		if err != nil {
			fail("--token-file: %w", err)
		}
		cfg.tokens = strings.Fields(string(text))
		if err == nil && len(cfg.tokens) == 0 {
			fail("--token-file %s has no token", f.TokenFile)
		}
	}
	positive := true
	for _, limit := range []struct {
		flag  string
		value int64
	}{
		{"--max-object", f.MaxObject},
		{"--max-associations", int64(f.MaxAssociations)},
		{"--max-per-ip", int64(f.MaxPerIP)},
		{"--max-pdu", int64(f.MaxPDU)},
		{"--idle-timeout", int64(f.IdleTimeout)},
		{"--stall", int64(f.Stall)},
		{"--tus-expiry", int64(f.TusExpiry)},
		{"--drain", int64(f.Drain)},
		{"--orphans-every", int64(f.OrphansEvery)},
	} {
		if limit.value <= 0 {
			fail("%s must be more than 0", limit.flag)
			positive = false
		}
	}
	if err := f.dimseLimits().Validate(); err != nil && positive {
		errs = append(errs, err)
	}
	if f.Pprof != "" && !loopback(f.Pprof) {
		fail("--pprof %s: profiles show memory, so they are served on loopback only", f.Pprof)
	}
	if !hostPort(f.HTTP) {
		fail("--http %s: write HOST:PORT, or :PORT for every address", f.HTTP)
	}
	if cfg.has(roleIntake) && !hostPort(f.DICOM) {
		fail("--dicom %s: write HOST:PORT, or :PORT for every address", f.DICOM)
	}
	if !f.Insecure {
		if hostPort(f.HTTP) && !loopback(f.HTTP) && len(cfg.tokens) == 0 {
			fail("--http %s is reachable from outside: give --token-file, or --insecure when the network itself keeps strangers out", f.HTTP)
		}
		if cfg.has(roleIntake) && hostPort(f.DICOM) && !loopback(f.DICOM) && len(cfg.peers) == 0 {
			fail("--dicom %s is reachable from outside: name the devices with --peer, or give --insecure when the network itself keeps strangers out", f.DICOM)
		}
	}
	if cfg.Node == "" {
		cfg.Node, _ = os.Hostname() // "" is told below
	}
	if cfg.Node == "" {
		cfg.Node = "node"
	}
	if cfg.places.blobs.shared() && !nodeName.MatchString(cfg.Node) {
		fail("--node %q: beside other nodes a name has 1 to 64 letters, digits, dots, dashes or underscores: it is part of addresses", cfg.Node)
	}
	watches, werrs := f.watchFlags.check(cfg)
	cfg.watches = watches
	errs = append(errs, werrs...)
	if cfg.periods, err = f.completenessFlags.check(); err != nil {
		errs = append(errs, err)
	}
	if err := f.ohifFlags.check(cfg); err != nil {
		errs = append(errs, err)
	}
	if len(errs) > 0 {
		return cfg, usageError{errors.Join(errs...)}
	}
	return cfg, nil
}
