package main

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"os"
	"strconv"
	"strings"
	"sync/atomic"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/collectors"
	"golang.org/x/sync/errgroup"

	"github.com/tributary-dicom/tributary/dimse"
	"github.com/tributary-dicom/tributary/ingest"
	"github.com/tributary-dicom/tributary/ingest/bulkimport"
	"github.com/tributary-dicom/tributary/ingest/storescp"
	"github.com/tributary-dicom/tributary/ingest/upload"
	"github.com/tributary-dicom/tributary/pipeline/completeness"
	"github.com/tributary-dicom/tributary/pipeline/derive"
	"github.com/tributary-dicom/tributary/pipeline/event"
	"github.com/tributary-dicom/tributary/pipeline/eventlog"
	"github.com/tributary-dicom/tributary/pipeline/indexer"
	"github.com/tributary-dicom/tributary/pipeline/reprocess"
	"github.com/tributary-dicom/tributary/pipeline/stage"
	"github.com/tributary-dicom/tributary/review/ohif"
)

// nodeConfig is what a node needs to know, checked.
type nodeConfig struct {
	nodeFlags
	engineFlags
	places places
	peers  []storescp.Peer
	tokens []string
	log    *slog.Logger

	watches []watch
	periods completeness.Periods
}

// node is a running Tributary: engines, and the roles that it has of doors, stages and readers.
type node struct {
	*engines
	cfg      nodeConfig
	indexer  *indexer.Indexer      // nil without the index role
	stuck    atomic.Pointer[error] // why the index stage stands still, nil while it works
	view     view
	intake   *ingest.Intake
	tus      *upload.Tus // nil without the intake role, as is dicom
	dicom    *dimse.Server
	watchers []*bulkimport.Watcher
	viewer   *ohif.Viewer // nil without --ohif-dir

	reprocess *reprocess.Jobs
	metrics   *prometheus.Registry

	deriveMetrics   stage.Metrics
	completeMetrics *completeness.Metrics // nil without the index role

	httpListener  net.Listener
	dicomListener net.Listener // nil without the intake role
}

// openNode opens the engines and takes the addresses. Nothing is served yet.
func openNode(ctx context.Context, cfg nodeConfig) (n *node, err error) {
	n = &node{cfg: cfg, metrics: prometheus.NewRegistry(), engines: &engines{}}
	defer func() {
		if err != nil {
			err = errors.Join(err, n.close())
		}
	}()
	n.metrics.MustRegister(collectors.NewGoCollector(), collectors.NewProcessCollector(collectors.ProcessCollectorOpts{}))
	opened, err := openEngines(ctx, cfg.places, engineOptions{reserve: cfg.Reserve, log: cfg.log})
	if err != nil {
		return n, err
	}
	n.engines = opened
	n.metrics.MustRegister(newEngineCollector(func(ctx context.Context) map[string]error { return n.ready(ctx, cfg.Roles) }))
	if n.kafka != nil {
		registerSpool(n.metrics, n.kafka.Stats)
	}
	if n.httpListener, err = new(net.ListenConfig).Listen(ctx, "tcp", cfg.HTTP); err != nil {
		return n, fmt.Errorf("--http: %w", err)
	}
	if cfg.has(roleIntake) {
		if n.dicomListener, err = new(net.ListenConfig).Listen(ctx, "tcp", cfg.DICOM); err != nil {
			return n, fmt.Errorf("--dicom: %w", err)
		}
	}
	if n.viewer, err = cfg.openViewer(cfg); err != nil {
		return n, err
	}
	source := "/tributary/" + cfg.Node
	stages, err := stage.NewCollectors(n.metrics)
	if err != nil {
		return n, err
	}
	if cfg.has(roleDerive) {
		n.deriveMetrics = stages.For("derive")
	}
	n.view = view{DB: n.index}
	if n.local != nil && !n.places.index.shared() {
		count, err := n.index.UIDs(ctx)
		if err != nil {
			return n, err
		}
		n.view.known = indexer.NewKnown(count)
	}
	if cfg.has(roleIndex) {
		n.indexer = indexer.New(indexer.Config{
			Log: n.events, Index: n.index, Head: n.head(), Source: source, Version: version,
			Metrics: stages.For("index"), Logger: cfg.log, Known: n.view.known,
		})
	}
	if cfg.has(roleIndex) {
		if n.completeMetrics, err = completeness.NewMetrics(n.metrics); err != nil {
			return n, err
		}
	}
	if n.local != nil {
		n.view.stage = n.indexer
	} else {
		n.view.stage = newIndexProgress(n.index, n.kafka)
	}
	n.intake = ingest.New(ingest.Config{
		Node: source, MaxBytes: cfg.MaxObject, SOPClass: cfg.sopClass(),
		ParserVersion: cfg.ParserVersion, Logger: cfg.log, Metrics: ingest.NewMetrics(n.metrics),
	}, n.blobs, n.events, n.view)
	n.openReprocess()
	if !cfg.has(roleIntake) {
		return n, nil
	}
	return n, n.openDoors()
}

// head tells the newest position of a log that is this node's own, nil of a shared one.
func (n *node) head() func(topic string) eventlog.Position {
	if n.local == nil {
		return nil
	}
	return n.local.Head
}

// sopClass is the restriction by --sop-class, nil for none.
func (cfg nodeConfig) sopClass() func(string) bool {
	if len(cfg.SOPClasses) == 0 {
		return nil
	}
	taken := map[string]bool{}
	for _, uid := range cfg.SOPClasses {
		taken[uid] = true
	}
	return func(uid string) bool { return taken[uid] }
}

// serve runs stages and doors until ctx ends, then drains and closes everything.
func (n *node) serve(ctx context.Context) (err error) {
	defer func() { err = errors.Join(err, n.close()) }()

	// Stages outlive the doors, so that what is in flight at the end is mostly indexed too; the rest is at
	// the next start.
	stages, stopStages := context.WithCancel(context.WithoutCancel(ctx))
	staging, stages := errgroup.WithContext(stages)
	if n.indexer != nil {
		staging.Go(func() error { return n.indexing(stages) })
		staging.Go(func() error { return n.completing(stages) })
	}
	if n.cfg.has(roleDerive) {
		staging.Go(func() error { return derive.Run(stages, n.deriveConfig(n.deriveMetrics)) })
	}
	defer func() {
		stopStages()
		if serr := staging.Wait(); serr != nil && !errors.Is(serr, context.Canceled) {
			err = errors.Join(err, fmt.Errorf("index stage: %w", serr))
		}
	}()

	// running ends by signal, by a stage that failed, or when the doors are closed.
	running, stop := context.WithCancel(ctx)
	defer stop()
	defer context.AfterFunc(stages, stop)()
	if err := n.recover(running); err != nil {
		if running.Err() != nil {
			return nil // asked to end, or the stage tells why
		}
		return err
	}
	server := n.httpServer()
	doors, running := errgroup.WithContext(running)
	doors.Go(func() error { return ignore(server.Serve(n.httpListener), http.ErrServerClosed) })
	if n.cfg.has(roleIntake) {
		doors.Go(func() error {
			return ignore(n.dicom.Serve(context.WithoutCancel(ctx), n.dicomListener), dimse.ErrServerClosed)
		})
		doors.Go(func() error { return n.janitor(running) })
		doors.Go(func() error { return n.learn(running) })
		doors.Go(func() error { return ignore(n.tus.Run(running), context.Canceled) })
		for _, w := range n.watchers {
			doors.Go(func() error { return ignore(w.Run(running), context.Canceled) })
		}
	}
	if n.cfg.has(roleReview) {
		doors.Go(func() error { return n.reprocessing(running) })
	}
	if n.cfg.Pprof != "" {
		doors.Go(func() error { return servePprof(running, n.cfg.Pprof) })
	}
	n.cfg.log.Info("ready", "http", n.httpListener.Addr().String(), "dicom", n.dicomAddr(), "aet", n.cfg.AET, "roles", strings.Join(n.cfg.Roles, ","))
	doors.Go(func() error {
		<-running.Done()
		n.cfg.log.Info("draining", "for_at_most", n.cfg.Drain.String())
		limit, cancel := context.WithTimeout(context.WithoutCancel(ctx), n.cfg.Drain)
		defer cancel()
		var drain errgroup.Group
		drain.Go(func() error { return server.Shutdown(limit) })
		if n.dicom != nil {
			drain.Go(func() error { return n.dicom.Shutdown(limit) })
		}
		if err := drain.Wait(); err != nil {
			n.cfg.log.Warn("some transfers were cut off; their senders heard no success", "error", err.Error())
			return server.Close()
		}
		return nil
	})
	return doors.Wait()
}

func ignore(err, harmless error) error {
	if errors.Is(err, harmless) || errors.Is(err, context.Canceled) {
		return nil
	}
	return err
}

// recover brings a node that was killed back to where it stood: the index catches up with the log,
// whole blobs without an event get one, finished uploads are admitted. With a shared log the doors open
// at once: others index meanwhile, and look for orphans too.
func (n *node) recover(ctx context.Context) error {
	if n.local != nil {
		if head := n.local.Head(event.TopicInstances); head.Offset > 0 {
			if err := n.indexer.WaitApplied(ctx, head); err != nil {
				return fmt.Errorf("bring the index up to the log: %w", err)
			}
		}
		// All of them, those too whose time is still to come by a clock that went back: nothing is on its way.
		if err := n.adopt(ctx, time.Now(), endOfTime); err != nil {
			if ctx.Err() != nil {
				return err
			}
			// A full disk, say. The doors say so themselves, and readers can read; the janitor tries again.
			n.cfg.log.Error("orphans wait for the next round", "error", err.Error())
		}
	}
	if n.tus == nil {
		return nil
	}
	if err := n.tus.Recover(ctx); err != nil {
		return fmt.Errorf("finish resumable uploads: %w", err)
	}
	return nil
}

// Orphans are looked for (nodeFlags.OrphansEvery) only among blobs that are old enough to have their event.
const (
	orphanGrace  = time.Minute
	sharedClocks = time.Hour // how far the clocks of nodes and engines may be apart
)

// janitor adopts orphans while the node runs: an append that failed leaves one.
func (n *node) janitor(ctx context.Context) error {
	tick := time.NewTicker(n.cfg.OrphansEvery)
	defer tick.Stop()
	for {
		select {
		case <-ctx.Done():
			return nil
		case <-tick.C:
			until := time.Now().Add(-orphanGrace)
			if err := n.adopt(ctx, until, until); err != nil && ctx.Err() == nil {
				n.cfg.log.Error("orphans wait for the next round", "error", err.Error())
			}
		}
	}
}

// learn tells admission which UIDs the index has, so that it need not ask for new ones.
func (n *node) learn(ctx context.Context) error {
	if n.view.known == nil {
		return nil
	}
	if err := n.view.known.Learn(ctx, n.index.EachUID); err != nil && ctx.Err() == nil {
		n.cfg.log.Warn("the index is asked for every object that comes", "error", err.Error())
	}
	return nil
}

// endOfTime is later than any clock tells.
var endOfTime = time.Date(9999, 1, 1, 0, 0, 0, 0, time.UTC)

// adopt gives events to blobs made since the last round and before until, and remembers that all before
// done are looked at.
func (n *node) adopt(ctx context.Context, done, until time.Time) error {
	mark := n.adoptedMark()
	var head int64 // of a log that is this node's own
	if n.local != nil {
		head = n.local.Head(event.TopicInstances).Offset
	}
	var since time.Time
	var had int64 // newest record then
	if text, err := os.ReadFile(mark); err == nil {
		// An unreadable mark means looking at everything, which is slow and right.
		when, offset, _ := strings.Cut(strings.TrimSpace(string(text)), " ")
		since, _ = time.Parse(time.RFC3339Nano, when)
		had, _ = strconv.ParseInt(offset, 10, 64)
	}
	switch {
	case since.After(done): // the clock went back, and blobs were made before the mark since
		since = time.Time{}
	case n.local != nil && head == 0 || head < had: // the log is new, was lost, or is an older copy
		since = time.Time{}
	case !since.IsZero() && n.places.blobs.shared(): // blobs are stamped by other clocks than this node's
		since = since.Add(-sharedClocks)
	case !since.IsZero():
		since = since.Add(-orphanGrace)
	}
	adopted, err := n.intake.AdoptOrphans(ctx, n.blobs, n.events, since, until)
	if err != nil {
		return fmt.Errorf("adopt orphaned blobs: %w", err)
	}
	if adopted > 0 {
		n.cfg.log.Warn("blobs without an event were given one", "count", adopted)
	}
	// A lost mark costs a longer look, so no fsync.
	return os.WriteFile(mark, fmt.Appendf(nil, "%s %d\n", done.UTC().Format(time.RFC3339Nano), head), 0o600)
}

// close closes what was opened, last first.
func (n *node) close() error {
	var errs []error
	for _, l := range []net.Listener{n.httpListener, n.dicomListener} {
		if l != nil {
			if err := l.Close(); err != nil && !errors.Is(err, net.ErrClosed) {
				errs = append(errs, err)
			}
		}
	}
	if n.viewer != nil {
		errs = append(errs, n.viewer.Close())
	}
	if n.tus != nil {
		errs = append(errs, n.tus.Close())
	}
	return errors.Join(append(errs, n.engines.close())...)
}

// dicomAddr is where the DICOM door is, "" without one.
func (n *node) dicomAddr() string {
	if n.dicomListener == nil {
		return ""
	}
	return n.dicomListener.Addr().String()
}

// doors tells a person where to go.
func (n *node) doors() string {
	base := "http://" + n.httpListener.Addr().String()
	var text strings.Builder
	fmt.Fprintf(&text, "Tributary keeps its data in %s\n\n", n.cfg.Data)
	for _, p := range []struct {
		what string
		at   place
	}{{"blobs", n.places.blobs}, {"log", n.places.log}, {"index", n.places.index}} {
		if p.at.shared() {
			fmt.Fprintf(&text, "  %-9s %s\n", p.what, p.at)
		}
	}
	if n.cfg.has(roleIntake) {
		fmt.Fprintf(&text, `  DICOM     dicom://%s@%s      C-STORE, C-ECHO
  STOW-RS   %s/dicom-web/studies
  upload    %s/upload           POST one file, or a form
  tus       %s/upload/tus/      resumable
`, n.cfg.AET, n.dicomAddr(), base, base, base)
	}
	for _, w := range n.cfg.watches {
		fmt.Fprintf(&text, "  folder    %s\n", w.dir)
	}
	if n.cfg.has(roleReview) {
		fmt.Fprintf(&text, `  pages     %s/                 in a browser
  search    %s/dicom-web/studies?limit=10
  ECGs      %s/ecgs?limit=10
  operators %s/quarantine  %s/conflicts  %s/events
`, base, base, base, base, base, base)
	}
	if n.viewer != nil {
		fmt.Fprintf(&text, "  viewer    %s%s\n", base, n.viewer.Mount())
	}
	fmt.Fprintf(&text, "  health    %s/readyz  %s/metrics\n\nStop with Ctrl-C.\n", base, base)
	return text.String()
}
