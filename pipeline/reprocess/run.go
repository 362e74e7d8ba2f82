package reprocess

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"sync"
	"time"

	"golang.org/x/sync/errgroup"

	"github.com/tributary-dicom/tributary/pipeline/event"
	"github.com/tributary-dicom/tributary/pipeline/eventlog"
)

// Config of a job. Index and Intake are required.
type Config struct {
	Index  Index
	Intake Intake

	// OfObject tells whether an error is about one object alone (it is damaged, or gone), beside a *reject.Error.
	OfObject func(error) bool

	// Wait returns once readers see the record at a position. A job waits for it after each page, so that the index is
	// never far behind because of it. nil waits for nothing.
	Wait func(ctx context.Context, at eventlog.Position) error

	// Keep remembers how far a job is; nil forgets it.
	Keep *Keeper

	// Patience is how long an engine may be away before the job fails; 0 means for ever.
	Patience time.Duration

	Tell   func(Status) // hears of each object, from several goroutines; nil for nobody
	Logger *slog.Logger // nil: nobody
	Page   int          // objects between two marks; default 64
}

func (c *Config) logger() *slog.Logger {
	if c.Logger == nil {
		return slog.New(slog.DiscardHandler)
	}
	return c.Logger
}

// Request is what somebody asks for.
type Request struct {
	Selection
	Speed  Speed `json:"speed"`
	DryRun bool  `json:"dry_run,omitempty"` // read and compare, write nothing
	Again  bool  `json:"again,omitempty"`   // from the beginning, although an earlier run did not end
}

// Validate reports every mistake.
func (r *Request) Validate(version int) error {
	return errors.Join(r.Selection.Validate(version), r.Speed.Validate())
}

const (
	defaultPage = 64
	saveEvery   = time.Second
	maxPasses   = 8
	waitMost    = 10 * time.Second // for the index, before it is waited for again and somebody is told

	retryFirst = 200 * time.Millisecond // pauses while an engine is away
	retryMost  = 10 * time.Second
)

// job is one run.
type job struct {
	cfg  Config
	pace pace

	mu     sync.Mutex // guards status
	status Status
	place  Place
	pass   int
	mark   Kept // as of the last whole page
	saved  time.Time
	newest []eventlog.Position // of this page, the last of each partition
}

// Run goes over a selection until all of it was read once, and until nothing is left that older parsers took in
// meanwhile. Where an earlier run of the same request did not end, it goes on. The error is ctx's, that of an engine
// which was away for too long, or that of a bad request; the status is filled in any case, and says by its State
// which.
func Run(ctx context.Context, cfg Config, req Request) (Status, error) {
	j, err := newJob(&cfg, req)
	if err != nil {
		return Status{State: StateFailed, Selection: req.Selection, Error: err.Error()}, err
	}
	return j.run(ctx)
}

// newJob resumes or begins.
func newJob(cfg *Config, req Request) (*job, error) {
	version := cfg.Intake.ParserVersion()
	if err := req.Validate(version); err != nil {
		return nil, err
	}
	if cfg.Page <= 0 {
		cfg.Page = defaultPage
	}
	cfg.Logger = cfg.logger()
	if cfg.Tell == nil {
		cfg.Tell = func(Status) {}
	}
	j := &job{cfg: *cfg}
	now := time.Now().UTC()
	j.status = Status{
		ID: event.NewID(), State: StateRunning, DryRun: req.DryRun, Selection: req.Selection, Speed: req.Speed,
		ParserVersion: version, Begun: now, Updated: now, Objects: -1, Counts: newCounts(),
	}
	if req.DryRun || cfg.Keep == nil {
		j.cfg.Keep = nil
	} else if kept, err := cfg.Keep.Load(); err != nil {
		return nil, err
	} else if kept != nil && !req.Again && kept.Status.State != StateDone && kept.Status.ParserVersion == version && kept.Status.Selection.same(&req.Selection) {
		j.place, j.pass = kept.Place, kept.Pass
		j.status = kept.Status
		j.status.State, j.status.Speed, j.status.Error, j.status.Waiting = StateRunning, req.Speed, "", ""
		j.status.Resumed++
		if j.pass == 0 {
			j.status.Objects = -1
		}
		j.status.Counts = j.status.clone()
	}
	j.mark = Kept{Status: j.snapshot(), Place: j.place, Pass: j.pass}
	j.pace.speed = j.status.Speed
	return j, nil
}

func (j *job) run(ctx context.Context) (Status, error) {
	err := j.work(ctx)
	switch {
	case err == nil:
		j.status.State = StateDone
	case ctx.Err() != nil:
		j.status.State = StateStopped
	default:
		j.status.State, j.status.Error = StateFailed, err.Error()
	}
	if ctx.Err() == nil || !errors.Is(context.Cause(ctx), errShutdown) {
		// A node that ends leaves the job as running: it goes on at the next start.
		err = errors.Join(err, j.save(true))
	}
	s := j.snapshot()
	j.cfg.Tell(s)
	return s, err
}

// errShutdown is why a job ends with its node.
var errShutdown = errors.New("the node ends")

func (j *job) snapshot() Status {
	j.mu.Lock()
	defer j.mu.Unlock()
	s := j.status
	s.Counts = j.status.clone()
	return s
}

func (j *job) work(ctx context.Context) error {
	if err := j.save(true); err != nil {
		return err
	}
	if j.status.Objects < 0 {
		if err := j.count(ctx); err != nil {
			return err
		}
	}
	for {
		whole := j.place == Place{}
		written, err := j.once(ctx)
		if err != nil {
			return err
		}
		// A node of the release before may have taken something in behind the place.
		j.pass, j.place = j.pass+1, Place{}
		j.mark = Kept{Status: j.snapshot(), Place: j.place, Pass: j.pass}
		if whole && written == 0 || j.status.DryRun || j.status.Selection.Force || j.pass >= maxPasses {
			return nil
		}
	}
}

func (j *job) below() int { return j.status.Selection.below(j.status.ParserVersion) }

// count counts what is selected, for the sake of a progress bar. A job that goes on counts what is left: of what it
// did in the last moments before a crash it only knows that it is not selected any more.
func (j *job) count(ctx context.Context) error {
	objects, bytes, place := j.status.Done, j.status.DoneBytes, j.place
	for last := false; !last; {
		err := j.patiently(ctx, func() (err error) {
			page, next, end, err := j.cfg.Index.Objects(ctx, j.status.Selection, j.below(), place, 1024)
			if err != nil {
				return err
			}
			for i := range page {
				objects++
				bytes += page[i].Bytes
			}
			place, last = next, end
			return nil
		})
		if err != nil {
			return fmt.Errorf("count objects: %w", err)
		}
	}
	j.mu.Lock()
	j.status.Objects, j.status.Bytes = objects, bytes
	j.mu.Unlock()
	j.mark.Status = j.snapshot()
	return j.save(true)
}

// once goes over the selection once, from the place on.
func (j *job) once(ctx context.Context) (written int64, err error) {
	for last := false; !last; {
		var page []Object
		var next Place
		err := j.patiently(ctx, func() (err error) {
			page, next, last, err = j.cfg.Index.Objects(ctx, j.status.Selection, j.below(), j.place, j.cfg.Page)
			return err
		})
		if err != nil {
			return written, fmt.Errorf("list objects: %w", err)
		}
		n, err := j.page(ctx, page)
		written += n
		if err != nil {
			return written, err
		}
		j.place = next
		j.mark = Kept{Status: j.snapshot(), Place: j.place, Pass: j.pass}
		if err := errors.Join(j.save(false), j.wait(ctx)); err != nil {
			return written, err
		}
	}
	return written, nil
}

// page reads the objects of a page. What it counted is only kept when all of it is done: after a crash they are
// counted, and read, again.
func (j *job) page(ctx context.Context, page []Object) (written int64, err error) {
	g, working := errgroup.WithContext(ctx)
	g.SetLimit(max(j.status.Speed.Parallel, 1))
	for _, o := range page {
		g.Go(func() error {
			if err := j.pace.take(working, o.Bytes); err != nil {
				return err
			}
			var r result
			err := j.patiently(working, func() (err error) {
				r, err = j.one(working, o)
				return err
			})
			if err != nil {
				return err
			}
			j.done(o, r)
			return nil
		})
	}
	before := j.snapshot().Written
	err = g.Wait()
	return j.snapshot().Written - before, err
}

func (j *job) done(o Object, r result) {
	j.mu.Lock()
	if j.pass == 0 || r.written { // later passes look for what came meanwhile
		j.status.add(o.Bytes, r)
	}
	for _, at := range r.at {
		known := false
		for i := range j.newest {
			if p := &j.newest[i]; p.Partition == at.Partition && p.Topic == at.Topic {
				known, p.Offset = true, max(p.Offset, at.Offset)
			}
		}
		if !known {
			j.newest = append(j.newest, at)
		}
	}
	j.mu.Unlock()
	if r.outcome == OutcomeUnreadable {
		j.cfg.Logger.Warn("an object cannot be read again", "object", o.ID, "why", r.Why)
	}
	j.cfg.Tell(j.snapshot())
}

// wait lets the index catch up with what was written.
func (j *job) wait(ctx context.Context) error {
	newest := j.newest
	j.newest = nil
	if j.cfg.Wait == nil {
		return nil
	}
	for _, at := range newest {
		err := j.patiently(ctx, func() error {
			limited, cancel := context.WithTimeout(ctx, waitMost)
			defer cancel()
			return j.cfg.Wait(limited, at)
		})
		if err != nil {
			return fmt.Errorf("wait for the index: %w", err)
		}
	}
	return nil
}

// patiently tries again while an engine is away.
func (j *job) patiently(ctx context.Context, do func() error) error {
	begin := time.Now()
	for pause := retryFirst; ; pause = min(2*pause, retryMost) {
		err := do()
		if err == nil || ctx.Err() != nil {
			if err != nil {
				return ctx.Err()
			}
			return j.waiting("")
		}
		if j.cfg.Patience > 0 && time.Since(begin) > j.cfg.Patience {
			return err
		}
		j.cfg.Logger.Warn("reprocessing waits", "error", err.Error())
		if err := errors.Join(j.waiting(err.Error()), sleep(ctx, pause)); err != nil {
			return err
		}
	}
}

func (j *job) waiting(why string) error {
	j.mu.Lock()
	changed := j.status.Waiting != why
	j.status.Waiting = why
	j.mu.Unlock()
	if changed {
		j.cfg.Tell(j.snapshot())
	}
	return nil
}

// save remembers how far the job is, now and then or now: the last whole page, since what is left of another is read,
// and counted, again.
func (j *job) save(now bool) error {
	j.mu.Lock()
	j.status.Updated = time.Now().UTC()
	kept := j.mark
	kept.Status.State, kept.Status.Error, kept.Status.Updated = j.status.State, j.status.Error, j.status.Updated
	j.mu.Unlock()
	if j.cfg.Keep == nil || !now && time.Since(j.saved) < saveEvery {
		return nil
	}
	j.saved = time.Now()
	return j.cfg.Keep.Save(&kept)
}
