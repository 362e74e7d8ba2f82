package main

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"maps"
	"os"
	"runtime"
	"slices"
	"strconv"
	"strings"
	"sync"
	"text/tabwriter"
	"time"

	"github.com/tributary-dicom/tributary/ingest"
	"github.com/tributary-dicom/tributary/pipeline/event"
	"github.com/tributary-dicom/tributary/pipeline/eventlog/kafkalog"
	"github.com/tributary-dicom/tributary/pipeline/eventlog/locallog"
	"github.com/tributary-dicom/tributary/pipeline/indexer"
	"github.com/tributary-dicom/tributary/pipeline/reprocess"
	"github.com/tributary-dicom/tributary/storage/blob/dirblob/disk"
)

type reprocessCmd struct {
	engineFlags
	selectFlags
	Server string `help:"Let a running node do the work, and follow it; without, the data are worked on directly, while no node has them or when all engines are shared." env:"TRIBUTARY_SERVER" placeholder:"URL"`
	Token  string `help:"Access token of the node." env:"TRIBUTARY_TOKEN" placeholder:"TOKEN"`

	Rate      *float64 `help:"Objects a second, 0 for any (default: 100 with --server, 0 without)." placeholder:"N"`
	Bandwidth string   `help:"Bytes a second, as 32MiB; 0 for any (default: 32MiB with --server, 0 without)." placeholder:"BYTES"`
	Parallel  int      `help:"Objects that are read at a time (default: 1 with --server, one for each CPU without)." short:"n" placeholder:"N"`

	DryRun bool `help:"Read and compare, say what would change, write nothing."`
	Again  bool `help:"From the beginning, although an earlier run of the same selection did not end."`
	Detach bool `help:"With --server: begin, and do not follow."`
	Status bool `help:"With --server: only tell how the job stands."`
	Stop   bool `help:"With --server: only stop the job; the same selection goes on later."`
	JSON   bool `help:"Print JSON lines: progress, and at last the result." name:"json"`
	Quiet  bool `help:"No progress bar." short:"q"`

	ParserVersion int           `hidden:"" env:"TRIBUTARY_PARSER_VERSION"`
	Patience      time.Duration `help:"How long an engine or the node may be away before the command gives up; what is done stays done." default:"1m"`
}

// selectFlags choose objects.
type selectFlags struct {
	Kinds      []string `help:"Only these kinds: instance, original, quarantine." name:"kind" placeholder:"KIND"`
	Studies    []string `help:"Only of these studies (Study Instance UID)." name:"study" placeholder:"UID"`
	Modalities []string `help:"Only of these modalities." name:"modality" placeholder:"MODALITY"`
	SOPClasses []string `help:"Only of these SOP Class UIDs." name:"sop-class" placeholder:"UID"`
	Formats    []string `help:"Only files of these formats: dicom, scp-ecg, aecg, …" name:"format" placeholder:"FORMAT"`
	Reasons    []string `help:"Only what is in quarantine for these reasons: truncated, not-parsed, …" name:"reason" placeholder:"CODE"`
	From       string   `help:"Only what was received at or after this time (2026-03-01, or RFC 3339)." placeholder:"TIME"`
	To         string   `help:"Only what was received before this time." placeholder:"TIME"`
	OlderThan  int      `help:"Only what parsers older than this version have read (default: the version of the node that reads)." placeholder:"VERSION"`
	Force      bool     `help:"Whatever parsers have read it, today's too."`
}

// selection reads the flags; their values are checked with the rest of the request.
func (f *selectFlags) selection() (reprocess.Selection, error) {
	s := reprocess.Selection{
		Kinds: f.Kinds, Studies: f.Studies, Modalities: f.Modalities, SOPClasses: f.SOPClasses, Formats: f.Formats, Reasons: f.Reasons,
		OlderThan: f.OlderThan, Force: f.Force,
	}
	var err error
	if s.From, err = parseTime(f.From); err != nil {
		return s, usagef("--from %w", err)
	}
	if s.To, err = parseTime(f.To); err != nil {
		return s, usagef("--to %w", err)
	}
	return s, nil
}

// parseTime reads a day of this machine's calendar, or an instant. "" is the zero time.
func parseTime(text string) (time.Time, error) {
	if text == "" {
		return time.Time{}, nil
	}
	for _, layout := range []string{time.DateOnly, "2006-01-02T15:04", "2006-01-02T15:04:05"} {
		if t, err := time.ParseInLocation(layout, text, time.Local); err == nil {
			return t.UTC(), nil
		}
	}
	t, err := time.Parse(time.RFC3339Nano, text)
	if err != nil || t.Year() < 1970 || t.Year() > 9000 {
		return time.Time{}, fmt.Errorf("%.40q is no time: write 2026-03-01 or 2026-03-01T08:00:00+08:00", text)
	}
	return t.UTC(), nil
}

// byteUnits are those of byteCount, and short forms.
var byteUnits = []struct {
	suffix string
	factor float64
}{
	{"kib", 1 << 10},
	{"mib", 1 << 20},
	{"gib", 1 << 30},
	{"k", 1 << 10},
	{"m", 1 << 20},
	{"g", 1 << 30},
	{"b", 1},
	{"", 1},
}

// parseByteCount reads a number of bytes with an optional binary unit.
func parseByteCount(text string) (float64, error) {
	low := strings.ToLower(strings.TrimSpace(text))
	for _, u := range byteUnits {
		digits, ok := strings.CutSuffix(low, u.suffix)
		if !ok {
			continue
		}
		n, err := strconv.ParseUint(strings.TrimSpace(digits), 10, 40)
		if err != nil {
			break
		}
		return float64(n) * u.factor, nil
	}
	return 0, fmt.Errorf("%.40q is no number of bytes: write 33554432 or 32MiB", text)
}

// Speed of jobs beside live intake: a tenth of what two cores read, and half of what one disk of a small machine gives.
var besideIntake = reprocess.Speed{Objects: 100, Bytes: 32 << 20, Parallel: 1}

func (c *reprocessCmd) request() (req reprocess.Request, err error) {
	req.DryRun, req.Again = c.DryRun, c.Again
	if req.Selection, err = c.selection(); err != nil {
		return req, err
	}
	req.Speed = besideIntake
	if c.Server == "" {
		req.Speed = reprocess.Speed{Parallel: min(runtime.GOMAXPROCS(0), 8)}
	}
	if c.Rate != nil {
		req.Speed.Objects = *c.Rate
	}
	if c.Bandwidth != "" {
		if req.Speed.Bytes, err = parseByteCount(c.Bandwidth); err != nil {
			return req, usagef("--bandwidth %w", err)
		}
	}
	if c.Parallel != 0 {
		req.Speed.Parallel = c.Parallel
	}
	// A node may be of another release; what it can read, it says.
	if err := req.Validate(max(c.version(), req.OlderThan)); err != nil {
		return req, usageError{err}
	}
	return req, nil
}

func (c *reprocessCmd) version() int {
	if c.ParserVersion != 0 {
		return max(c.ParserVersion, 0)
	}
	return ingest.ParserVersion
}

// Run reads kept objects again, here or by a node.
func (c *reprocessCmd) Run(ctx context.Context, std streams) error {
	req, err := c.request()
	if err != nil {
		return err
	}
	if c.Server != "" {
		return c.follow(ctx, std, req)
	}
	if c.Detach || c.Status || c.Stop {
		return usagef("--detach, --status and --stop are about a node: name it with --server")
	}
	if req.OlderThan > c.version() {
		return usagef("--older-than %d: this release's parsers are of version %d", req.OlderThan, c.version())
	}
	return c.here(ctx, std, req)
}

// here does the work in this process.
func (c *reprocessCmd) here(ctx context.Context, std streams, req reprocess.Request) (err error) {
	at, err := c.places()
	if err != nil {
		return err
	}
	if at.log.shared() && !at.index.shared() {
		return usagef("the index %s is a node's own, and other nodes write the log beside it: let the node do the work, with --server", at.index)
	}
	if !at.log.shared() && !exists(at.log.path) {
		return fmt.Errorf("there is no log at %s; when it is lost, tributary reindex --from blobs makes it again", at.log)
	}
	o, err := openOffline(ctx, at, std, true)
	if err != nil {
		var locked *disk.LockedError
		if errors.Is(err, locallog.ErrInUse) || errors.As(err, &locked) {
			err = fmt.Errorf("%w; or let it do the work: --server http://HOST:PORT", err)
		}
		return err
	}
	defer func() { err = errors.Join(err, o.close()) }()
	if err := o.openIndex(ctx); err != nil {
		return fmt.Errorf("open index %s: %w", at.index, err)
	}
	// The index stage outlives the job, so that what it wrote is seen when the command ends.
	staging, stop := context.WithCancel(context.WithoutCancel(ctx))
	defer stop()
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	v, ended, err := o.offlineView(ctx, staging, cancel)
	if err != nil {
		return err
	}
	defer func() {
		stop()
		<-ended
	}()
	intake := ingest.New(ingest.Config{Node: offlineSource(), Logger: o.log, ParserVersion: c.ParserVersion}, o.blobs, o.events, v)
	cfg := reprocessConfig(at, o.index, intake, v.WaitApplied)
	cfg.Logger, cfg.Patience = o.log, c.Patience
	watch := &reprocessWatch{std: std, json: c.JSON, quiet: c.Quiet}
	cfg.Tell = watch.tell
	status, err := reprocess.Run(ctx, cfg, req)
	watch.finish()
	if cause := context.Cause(ctx); err != nil && cause != nil && !errors.Is(cause, context.Canceled) {
		err = cause // the index stage tells why
	}
	if terr := c.report(std, status, true); terr != nil {
		return terr
	}
	if err != nil {
		return goOn(err)
	}
	return troubled(status)
}

// offlineView is the index as admission sees it. Over a log of this machine's own the index stage runs here, until
// staging ends; then ended is closed. An error of it cancels the work.
func (o *offline) offlineView(ctx, staging context.Context, cancel context.CancelCauseFunc) (v view, ended <-chan struct{}, err error) {
	done := make(chan struct{})
	v = view{DB: o.index}
	if o.local == nil {
		log, ok := o.events.(*kafkalog.Log)
		if !ok {
			return v, nil, errors.New("neither a log of this machine nor a shared one")
		}
		v.stage = newIndexProgress(o.index, log)
		close(done)
		return v, done, nil
	}
	stage := indexer.New(indexer.Config{
		Log: o.events, Index: o.index, Head: o.local.Head, Source: offlineSource(), Version: version,
		Logger: slog.New(slog.DiscardHandler),
	})
	v.stage = stage
	go func() {
		defer close(done)
		if err := stage.Run(staging); err != nil && staging.Err() == nil {
			cancel(fmt.Errorf("index stage: %w", err))
		}
	}()
	if head := o.local.Head(event.TopicInstances); head.Offset > 0 {
		if err := stage.WaitApplied(ctx, head); err != nil {
			return v, done, fmt.Errorf("bring the index up to the log: %w", errors.Join(err, context.Cause(ctx)))
		}
	}
	return v, done, nil
}

// offlineSource is the ce_source of records that a command makes.
func offlineSource() string {
	host, err := os.Hostname()
	if err != nil || host == "" {
		host = "node"
	}
	return "/tributary/" + host
}

// reprocessWatch draws a job's progress.
type reprocessWatch struct {
	std         streams
	json, quiet bool
	mu          sync.Mutex
	bar         *shown // nil until it is known how much there is
}

// tell hears of a job.
func (w *reprocessWatch) tell(s reprocess.Status) {
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.bar == nil {
		if s.Objects < 0 || w.quiet && !w.json {
			return
		}
		w.bar = show(w.std, w.json, "reprocess", s.Objects, s.Bytes)
	}
	w.bar.items.Store(s.Done)
	w.bar.bytes.Store(s.DoneBytes)
}

func (w *reprocessWatch) finish() {
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.bar != nil {
		w.bar.finish()
	}
}

// outcomes say in words what came of objects, in the order in which they are told.
var outcomes = []struct{ code, done, would string }{
	{reprocess.OutcomeSame, "are described as before", "would be described as before"},
	{reprocess.OutcomeChanged, "are described otherwise now", "would be described otherwise"},
	{reprocess.OutcomeAdmitted, "left the quarantine", "would leave the quarantine"},
	{reprocess.OutcomeWaiting, "stay in quarantine", "would stay in quarantine"},
	{reprocess.OutcomeRefused, "stay as they are: today's parsers would not take them", "would stay as they are: today's parsers would not take them"},
	{reprocess.OutcomeIdentity, "stay as they are: today's parsers take them for other objects", "would stay as they are: today's parsers take them for other objects"},
	{reprocess.OutcomeGone, "were removed meanwhile", "were removed meanwhile"},
	{reprocess.OutcomeUnreadable, "CANNOT BE READ: tributary fsck --full says more", "CANNOT BE READ: tributary fsck --full says more"},
}

// report prints what came of a job.
func (c *reprocessCmd) report(std streams, s reprocess.Status, ended bool) error {
	if c.JSON {
		return printLine(std.out, s)
	}
	verb := "reprocessed"
	if s.DryRun {
		verb = "read"
	}
	total := ""
	if s.Objects > s.Done {
		total = fmt.Sprintf(" of %d", s.Objects)
	}
	fmt.Fprintf(std.out, "%s %d%s objects (%s) with parsers of version %d; %d records written\n", verb, s.Done, total, byteCount(s.DoneBytes), s.ParserVersion, s.Written)
	t := tabwriter.NewWriter(std.out, 0, 0, 2, ' ', tabwriter.AlignRight)
	for _, o := range outcomes {
		if n := s.Outcomes[o.code]; n > 0 {
			say := o.done
			if s.DryRun {
				say = o.would
			}
			fmt.Fprintf(t, "%d\t  %s\n", n, say)
		}
	}
	if err := t.Flush(); err != nil {
		return err
	}
	tell := func(what string, counts map[string]int64, most int) {
		if len(counts) == 0 {
			return
		}
		names := slices.SortedFunc(maps.Keys(counts), func(a, b string) int {
			return 2*int(min(max(counts[b]-counts[a], -1), 1)) + strings.Compare(a, b)
		})
		var list []string
		for _, name := range names[:min(len(names), most)] {
			list = append(list, fmt.Sprintf("%s %d", name, counts[name]))
		}
		fmt.Fprintf(std.out, "%s: %s\n", what, strings.Join(list, ", "))
	}
	tell("What changed", s.Parts, 10)
	tell("Attributes", s.Keywords, 20)
	for _, o := range outcomes {
		for i, e := range s.Examples[o.code] {
			if i == 0 {
				fmt.Fprintf(std.out, "Examples of those that %s:\n", strings.TrimPrefix(map[bool]string{false: o.done, true: o.would}[s.DryRun], "CANNOT BE READ: "))
			}
			fmt.Fprintln(std.out, strings.TrimRight(fmt.Sprintf("  %s  %s", e.ID, wordsOf(e)), " "))
		}
	}
	switch {
	case s.Error != "":
		fmt.Fprintf(std.out, "failed: %s\n", s.Error)
	case s.State == reprocess.StateStopped:
		fmt.Fprintln(std.out, "stopped; the same command goes on")
	case s.State == reprocess.StateRunning && s.Waiting != "":
		fmt.Fprintf(std.out, "waiting: %s\n", s.Waiting)
	case s.State == reprocess.StateRunning && !ended:
		fmt.Fprintln(std.out, "running")
	}
	return nil
}

// troubled fails where people have something to do.
func troubled(s reprocess.Status) error {
	if n := s.Trouble(); n > 0 {
		return fmt.Errorf("%d objects cannot be read", n)
	}
	return nil
}
