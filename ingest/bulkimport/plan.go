package bulkimport

import (
	"context"
	"errors"
	"io"
	"io/fs"
	"os"
	"path"
	"slices"
	"strings"
	"time"

	"github.com/tributary-dicom/tributary/ingest"
	"github.com/tributary-dicom/tributary/ingest/bundle"
	"github.com/tributary-dicom/tributary/parsers/sniff"
	"github.com/tributary-dicom/tributary/pipeline/event"
)

// job is one object to admit: a file, or the files of a recording, the main one first.
type job struct {
	files []*file
}

// plan decides what is admitted now. claims are files that a recording still needs that is not admitted by
// this plan.
func (w *Watcher) plan(root *os.Root, now time.Time) (jobs []job, claims map[*file][]*file) {
	claims = map[*file][]*file{}
	folders := map[string][]*file{}
	for p, f := range w.files {
		dir := path.Dir(p)
		folders[dir] = append(folders[dir], f)
	}
	for _, files := range folders {
		slices.SortFunc(files, func(a, b *file) int { return strings.Compare(a.path, b.path) })
		jobs = append(jobs, w.planFolder(root, files, claims, now)...)
	}
	if w.held(now) {
		return nil, claims
	}
	slices.SortStableFunc(jobs, func(a, b job) int { return a.files[0].info.ModTime().Compare(b.files[0].info.ModTime()) })
	return jobs, claims
}

func (w *Watcher) planFolder(root *os.Root, files []*file, claims map[*file][]*file, now time.Time) (jobs []job) {
	byName := map[string]*file{}
	unsettled := map[string]bool{} // stems
	var candidates []bundle.Candidate
	var ready []*file
	for _, f := range files {
		name := path.Base(f.path)
		switch {
		case !w.settled(f, now):
			unsettled[stem(name)] = true
			continue
		case f.err != nil:
			continue
		case !w.sniff(root, f, now):
			unsettled[stem(name)] = true
			continue
		}
		byName[name] = f
		candidates = append(candidates, bundle.Candidate{Name: name, Format: f.format, Header: f.header})
		ready = append(ready, f)
	}
	apart := map[*file]bool{} // it has a job, or waits for one
	for _, r := range bundle.Records(candidates) {
		main := byName[r.Main]
		late := now.Sub(main.since) >= w.cfg.Settle+w.cfg.Companions
		complete := len(r.Missing) == 0 && !unsettled[stem(r.Main)]
		if main.kept || late && !complete {
			continue
		}
		apart[main] = true
		j := job{files: []*file{main}}
		for _, name := range r.Parts {
			part := byName[name]
			apart[part] = true
			claims[part] = append(claims[part], main)
			j.files = append(j.files, part)
		}
		if complete && !now.Before(main.try) {
			jobs = append(jobs, j)
		}
	}
	for _, f := range ready {
		if apart[f] || f.kept || now.Before(f.try) {
			continue
		}
		wait := time.Duration(0)
		switch f.format {
		case sniff.Unknown, sniff.ISHNEAnn: // a recording may come that it belongs to
			wait = w.cfg.Settle + w.cfg.Companions
		case sniff.ISHNE: // its annotations are on their way
			if unsettled[stem(path.Base(f.path))] {
				wait = w.cfg.Settle + w.cfg.Companions
			}
		}
		if now.Sub(f.since) >= wait {
			jobs = append(jobs, job{files: []*file{f}})
		}
	}
	return jobs
}

// sniff tells a file's format; false when it cannot be read now.
func (w *Watcher) sniff(root *os.Root, f *file, now time.Time) bool {
	if f.sniffed {
		return true
	}
	if now.Before(f.try) {
		return false
	}
	err := f.sniff(context.Background(), root)
	if err != nil && !errors.Is(err, errChanged) && !errors.Is(err, fs.ErrNotExist) {
		f.pause = min(max(2*f.pause, firstPause), lastPause)
		f.try = now.Add(f.pause)
		w.cfg.Logger.Warn("a file of a watched folder cannot be read; it is tried again later", "dir", w.cfg.Dir, "error", plain(err).Error())
	}
	return err == nil
}

// admit hands an object to admission.
func (w *Watcher) admit(ctx context.Context, root *os.Root, j job) error {
	main := j.files[0]
	a := ingest.Arrival{Tenant: w.cfg.Tenant, Origin: event.Origin{
		Door: Door, Device: w.cfg.Device, Facility: w.cfg.Facility, Filename: clean(path.Base(main.path), maxName),
	}}
	if dir := path.Dir(main.path); dir != "." {
		a.Origin.Remote = clean(dir, maxPath)
	}
	for _, f := range j.files {
		o, err := open(ctx, root, f)
		if err != nil {
			return err
		}
		busy := heldForWriting(o.f)
		if len(j.files) == 1 && !busy {
			defer o.Close()
			a.Body = o
			_, err := w.cfg.Admitter.Admit(ctx, a)
			return err
		}
		_ = o.Close() // only read from
		if busy {
			return errBusy
		}
	}
	parts := make([]bundle.File, len(j.files))
	for i, f := range j.files {
		parts[i] = bundle.File{Name: path.Base(f.path), Size: f.info.Size(), Open: func() (io.ReadCloser, error) {
			return open(ctx, root, f)
		}}
	}
	body, err := bundle.New(parts[0], parts[1:])
	if err != nil {
		return err
	}
	defer body.Close()
	a.Body, a.Origin.Filename = body, clean(bundle.Name(parts[0].Name), maxName)
	_, err = w.cfg.Admitter.Admit(ctx, a)
	return err
}
