package main

import (
	"fmt"
	"path/filepath"
	"strings"
	"time"
	"unicode"
	"unicode/utf8"

	"github.com/tributary-dicom/tributary/ingest"
	"github.com/tributary-dicom/tributary/ingest/bulkimport"
)

// watchFlags are about folders whose files are taken in.
type watchFlags struct {
	Watch           []string      `help:"Take in what is put into this folder, as of this device; repeatable." name:"watch" env:"TRIBUTARY_WATCH" placeholder:"DIR[=DEVICE]" sep:";"`
	WatchSettle     time.Duration `help:"How long a file in a watched folder must not change before it counts as whole." default:"5s" env:"TRIBUTARY_WATCH_SETTLE"`
	WatchPoll       time.Duration `help:"How often watched folders are looked at." default:"2s" env:"TRIBUTARY_WATCH_POLL"`
	WatchCompanions time.Duration `help:"How long a file in a watched folder waits for the others of its recording." default:"1m" env:"TRIBUTARY_WATCH_COMPANIONS"`
	WatchKeep       time.Duration `help:"How long files that are kept by the node stay in DIR/.tributary/done; less than 0 is for ever." default:"168h" env:"TRIBUTARY_WATCH_KEEP"`
	WatchDelete     bool          `help:"Delete files of watched folders as soon as the node keeps them, instead of moving them to DIR/.tributary/done." env:"TRIBUTARY_WATCH_DELETE"`
}

// watch is one folder to be watched.
type watch struct{ dir, device string }

// maxDeviceName bounds a device's name, characters; as the HTTP doors do.
const maxDeviceName = 64

// parseWatch reads DIR[=DEVICE]. A folder's own name may have a "=" before the last one.
func parseWatch(text string) (w watch, err error) {
	w.dir = text
	if i := strings.LastIndexByte(text, '='); i >= 0 {
		w.dir, w.device = text[:i], text[i+1:]
	}
	if w.dir == "" {
		return w, fmt.Errorf("--watch %q names no folder", text)
	}
	if utf8.RuneCountInString(w.device) > maxDeviceName || strings.ContainsFunc(w.device, func(r rune) bool { return !unicode.IsPrint(r) || r == '/' || r == '\\' }) {
		return w, fmt.Errorf("--watch %q: a device's name has at most %d characters, none of them a slash", text, maxDeviceName)
	}
	w.dir, err = filepath.Abs(w.dir)
	return w, err
}

// within reports whether a path is a folder or lies in it.
func within(path, dir string) bool {
	rel, err := filepath.Rel(dir, path)
	return err == nil && rel != ".." && !strings.HasPrefix(rel, ".."+string(filepath.Separator))
}

// check reads the folders and refuses those that cannot work: a file must be of one folder only, and a node must
// not take in what it keeps.
func (f watchFlags) check(cfg nodeConfig) (all []watch, errs []error) {
	fail := func(format string, args ...any) { errs = append(errs, fmt.Errorf(format, args...)) }
	if len(f.Watch) == 0 {
		return nil, nil
	}
	if !cfg.has(roleIntake) {
		fail("--watch is a door: it needs the role intake")
	}
	for _, d := range []struct {
		flag  string
		value time.Duration
	}{{"--watch-settle", f.WatchSettle}, {"--watch-poll", f.WatchPoll}, {"--watch-companions", f.WatchCompanions}} {
		if d.value <= 0 {
			fail("%s must be more than 0", d.flag)
		}
	}
	for _, text := range f.Watch {
		w, err := parseWatch(text)
		if err != nil {
			errs = append(errs, err)
			continue
		}
		for _, other := range all {
			if within(w.dir, other.dir) || within(other.dir, w.dir) {
				fail("--watch %s and %s: one lies in the other", other.dir, w.dir)
			}
		}
		for _, own := range []string{cfg.Data, cfg.places.blobs.path, cfg.places.log.path, cfg.places.index.path} {
			if own == "" {
				continue
			}
			if own, err := filepath.Abs(own); err == nil && (within(own, w.dir) || within(w.dir, own)) {
				fail("--watch %s: the node keeps its own data there, or around it", w.dir)
				break
			}
		}
		all = append(all, w)
	}
	return all, errs
}

// openWatchers makes the folder doors.
func (n *node) openWatchers() error {
	for _, w := range n.cfg.watches {
		watcher, err := bulkimport.NewWatcher(bulkimport.Config{
			Dir: w.dir, Device: w.device, Tenant: ingest.DefaultTenant, Admitter: n.intake, Logger: n.cfg.log,
			Settle: n.cfg.WatchSettle, Poll: n.cfg.WatchPoll, Companions: n.cfg.WatchCompanions,
			Delete: n.cfg.WatchDelete, Keep: keepFor(n.cfg.WatchKeep),
		})
		if err != nil {
			return usageError{fmt.Errorf("--watch: %w", err)}
		}
		n.watchers = append(n.watchers, watcher)
	}
	return nil
}

// keepFor makes 0, which is a default elsewhere, mean what it says here.
func keepFor(d time.Duration) time.Duration {
	if d == 0 {
		return time.Nanosecond
	}
	return d
}
