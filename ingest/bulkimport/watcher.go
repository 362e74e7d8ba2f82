package bulkimport

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"log/slog"
	"os"
	"sync"
	"time"

	"golang.org/x/sync/errgroup"

	"github.com/tributary-dicom/tributary/ingest"
	"github.com/tributary-dicom/tributary/parsers/reject"
	"github.com/tributary-dicom/tributary/parsers/sniff"
)

// Door is how events name a watched folder.
const Door = "watch"

// Admitter is the one admission path; ingest.Intake has it.
type Admitter interface {
	// Admit keeps the object that a yields. Its receipt means durable; with an error nothing is kept.
	Admit(ctx context.Context, a ingest.Arrival) (ingest.Receipt, error)
}

// Config of a Watcher. Zero fields take the defaults.
type Config struct {
	Dir      string   // required
	Admitter Admitter // required

	Tenant, Device, Facility string // of everything in the folder

	// Settle is how long size and time of a file must not change before it counts as whole. Default 5 s. Less
	// takes files of senders that pause; they are then kept cut off, in quarantine.
	Settle time.Duration
	Poll   time.Duration // between looks at the folder; default 2 s

	// Companions is how long a file waits for others of its recording: a WFDB header for its signals, and what no
	// parser knows for a header. Default 1 min.
	Companions time.Duration

	Delete bool          // remove files that are kept; else they go to .tributary/done
	Keep   time.Duration // how long they stay there; default 7 days, negative: for ever

	Parallel   int // files that are admitted at once; default 4
	MaxEntries int // that one look sees; default 100,000

	Logger *slog.Logger
}

func (c Config) withDefaults() Config {
	for _, d := range []struct {
		field *time.Duration
		value time.Duration
	}{{&c.Settle, 5 * time.Second}, {&c.Poll, 2 * time.Second}, {&c.Companions, time.Minute}, {&c.Keep, 7 * 24 * time.Hour}} {
		if *d.field == 0 {
			*d.field = d.value
		}
	}
	if c.Parallel == 0 {
		c.Parallel = 4
	}
	if c.MaxEntries == 0 {
		c.MaxEntries = 100_000
	}
	if c.Logger == nil {
		c.Logger = slog.New(slog.DiscardHandler)
	}
	return c
}

// Pauses before what failed is tried again; they double from the first to the last.
const (
	firstPause = 5 * time.Second
	lastPause  = 5 * time.Minute
)

// cleanEvery is how often old files are removed from .tributary/done.
const cleanEvery = time.Hour

// Watcher takes files out of one folder. Only one should be at work on a folder: two send everything twice, which
// does no harm but costs.
type Watcher struct {
	cfg   Config
	files map[string]*file // by path in the folder, slashes
	temps temps            // names that uploaders use, as of the last look

	mu    sync.Mutex // for what the workers of one round share
	hold  time.Time  // nothing is tried before: the node can store nothing
	pause time.Duration

	cleaned time.Time
	away    bool // the folder could not be read at the last look
	crowded bool // it had too many entries
}

// file is what is known of one file in the folder.
type file struct {
	path  string
	info  fs.FileInfo
	since time.Time // when it was first seen as it is

	renamed bool // it came whole
	format  sniff.Format
	header  []byte // of a WFDB header
	sniffed bool

	try   time.Time // not before
	pause time.Duration

	kept bool  // admission has it; it waits to leave
	err  error // why it was refused; it waits to leave, too
}

// NewWatcher returns a Watcher; Run makes it work.
func NewWatcher(cfg Config) (*Watcher, error) {
	if cfg.Dir == "" || cfg.Admitter == nil {
		return nil, errors.New("bulkimport: a watcher needs a folder and an admission")
	}
	if info, err := os.Stat(cfg.Dir); err == nil && !info.IsDir() {
		return nil, fmt.Errorf("bulkimport: %s is no folder", cfg.Dir)
	}
	return &Watcher{cfg: cfg.withDefaults(), files: map[string]*file{}}, nil
}

// Run looks at the folder until ctx ends. A folder that cannot be read, an unmounted share say, is looked at
// again; what fails is logged without names, since they may tell patients.
func (w *Watcher) Run(ctx context.Context) error {
	tick := time.NewTicker(w.cfg.Poll)
	defer tick.Stop()
	for {
		err := w.Look(ctx)
		switch {
		case ctx.Err() != nil:
			return ctx.Err()
		case err != nil && !w.away:
			w.away = true
			w.cfg.Logger.Error("a watched folder cannot be read; it is tried again", "dir", w.cfg.Dir, "error", plain(err).Error())
		case err == nil && w.away:
			w.away = false
			w.cfg.Logger.Info("a watched folder can be read again", "dir", w.cfg.Dir)
		}
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-tick.C:
		}
	}
}

// plain is an error without the path in it.
func plain(err error) error {
	var p *fs.PathError
	if errors.As(err, &p) {
		return fmt.Errorf("%s: %w", p.Op, p.Err)
	}
	var l *os.LinkError
	if errors.As(err, &l) {
		return fmt.Errorf("%s: %w", l.Op, l.Err)
	}
	return err
}

// Look takes what is whole now, and returns when all of it is answered. The error is about the folder.
func (w *Watcher) Look(ctx context.Context) error {
	root, err := os.OpenRoot(w.cfg.Dir) // each time: a share that comes back is another one
	if err != nil {
		return err
	}
	defer root.Close()
	now := time.Now()
	if err := w.scan(ctx, root, now); err != nil {
		return err
	}
	if now.Sub(w.cleaned) > cleanEvery || w.cleaned.IsZero() {
		w.clean(root, now)
		w.cleaned = now
	}
	jobs, claims := w.plan(root, now)
	var workers errgroup.Group
	workers.SetLimit(w.cfg.Parallel)
	for _, j := range jobs {
		if ctx.Err() != nil {
			break
		}
		workers.Go(func() error {
			w.do(ctx, root, j)
			return nil
		})
	}
	_ = workers.Wait() // each file has its own outcome
	w.leave(root, claims, now)
	return nil
}

// do admits one object and notes what became of its files.
func (w *Watcher) do(ctx context.Context, root *os.Root, j job) {
	if w.held(time.Now()) {
		return
	}
	err := w.admit(ctx, root, j)
	now := time.Now()
	var refusal *reject.Error
	retry := err != nil && (!errors.As(err, &refusal) || ingest.AnswerFor(refusal.Code).Retry)
	switch {
	case err == nil:
		w.relax()
		w.note(j, func(f *file) { f.kept = true })
	case ctx.Err() != nil, errors.Is(err, errBusy):
		// Nothing is wrong with it.
	case retry:
		main := j.files[0]
		main.pause = min(max(2*main.pause, firstPause), lastPause)
		main.try = now.Add(main.pause)
		if reject.CodeOf(err) == reject.OutOfResources {
			w.wait(now)
		} else if !errors.Is(err, errChanged) {
			w.cfg.Logger.Warn("a file of a watched folder is tried again later", "dir", w.cfg.Dir, "error", plain(err).Error())
		}
	default:
		w.relax()
		w.note(j, func(f *file) { f.err = err })
	}
}

// note tells all files of a job what became of it. Recordings may share a file.
func (w *Watcher) note(j job, what func(*file)) {
	w.mu.Lock()
	defer w.mu.Unlock()
	for _, f := range j.files {
		what(f)
	}
}

func (w *Watcher) held(now time.Time) bool {
	w.mu.Lock()
	defer w.mu.Unlock()
	return now.Before(w.hold)
}

// wait lets all files rest: not they are at fault.
func (w *Watcher) wait(now time.Time) {
	w.mu.Lock()
	defer w.mu.Unlock()
	if now.Before(w.hold) {
		return // another worker said so
	}
	w.pause = min(max(2*w.pause, firstPause), lastPause)
	w.hold = now.Add(w.pause)
	w.cfg.Logger.Warn("nothing can be stored now; a watched folder waits", "dir", w.cfg.Dir, "for", w.pause.String())
}

func (w *Watcher) relax() {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.pause = 0
}

// Outcomes of reading that are about the moment, not about the file.
var (
	errBusy    = errors.New("somebody writes to the file")
	errChanged = errors.New("the file changed while it was read")
)

// opened is a file that must stay what it was when it was looked at.
type opened struct {
	ctx  context.Context
	f    *os.File
	info fs.FileInfo
	n    int64
}

// open opens a file that is still the one that was seen.
func open(ctx context.Context, root *os.Root, f *file) (*opened, error) {
	fd, err := root.OpenFile(f.path, os.O_RDONLY|nonBlocking, 0)
	if err != nil {
		return nil, err
	}
	o := &opened{ctx: ctx, f: fd, info: f.info}
	if err := o.same(); err != nil {
		_ = fd.Close() // only read from
		return nil, err
	}
	return o, nil
}

// same checks that it is the very file, unchanged.
func (o *opened) same() error {
	info, err := o.f.Stat()
	if err != nil {
		return err
	}
	if !info.Mode().IsRegular() || !os.SameFile(info, o.info) || !unchanged(info, o.info) {
		return errChanged
	}
	return nil
}

func unchanged(a, b fs.FileInfo) bool {
	return a.Size() == b.Size() && a.ModTime().Equal(b.ModTime())
}

// Read implements io.Reader. A file that changed meanwhile ends with errChanged: nothing of it is kept.
func (o *opened) Read(p []byte) (int, error) {
	if err := o.ctx.Err(); err != nil {
		return 0, err
	}
	n, err := o.f.Read(p)
	o.n += int64(n)
	if err == io.EOF && o.n != o.info.Size() {
		return n, errChanged
	}
	if err == io.EOF {
		if serr := o.same(); serr != nil {
			return n, serr
		}
	}
	return n, err
}

func (o *opened) Close() error { return o.f.Close() }
