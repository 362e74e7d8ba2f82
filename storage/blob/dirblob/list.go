package dirblob

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"strings"
	"time"

	"github.com/tributary-dicom/tributary/storage/blob"
)

// List calls fn for every blob created at or after since, day by day. Damaged blobs do not stop it: they
// are left out, and an error that wraps blob.ErrCorrupt counts them at the end. It reads headers and
// meta, not payloads.
func (s *Store) List(ctx context.Context, since time.Time, fn func(blob.Info) error) error {
	l := lister{s: s, ctx: ctx, since: since, fn: fn}
	from := dayOf(since)
	switch year := since.UTC().Year(); { // years of four digits compare as text
	case year < 1:
		from = "0000/00/00"
	case year > 9999:
		return nil
	}
	err := l.folders("", from, 4, func(year string) error {
		return l.folders(year, from, 2, func(month string) error {
			return l.folders(month, from, 2, l.day)
		})
	})
	if err != nil {
		return err
	}
	if l.damaged > 0 {
		return fmt.Errorf("%d places in blob store, first %s: %w", l.damaged, l.first, blob.ErrCorrupt)
	}
	return nil
}

type lister struct {
	s       *Store
	ctx     context.Context
	since   time.Time
	fn      func(blob.Info) error
	damaged int
	first   string
}

// folders calls visit for the folders in parent whose names are numbers of so many digits and which are
// not before from.
func (l *lister) folders(parent, from string, digits int, visit func(path string) error) error {
	names, err := l.s.fs.ReadDir(l.s.path(parent))
	if err != nil {
		return fmt.Errorf("list blobs: %w", err)
	}
	for _, name := range names {
		if len(name) != digits || strings.Trim(name, "0123456789") != "" {
			continue
		}
		path := name
		if parent != "" {
			path = parent + "/" + name
		}
		if path < from[:len(path)] {
			continue
		}
		if err := visit(path); err != nil {
			return err
		}
	}
	return nil
}

func (l *lister) day(day string) error {
	if !isDay(day) {
		return nil
	}
	names, err := l.s.fs.ReadDir(l.s.path(day))
	if err != nil {
		return fmt.Errorf("list blobs: %w", err)
	}
	for _, name := range names {
		if !isBlobName(name) {
			continue
		}
		if err := l.ctx.Err(); err != nil {
			return err
		}
		if l.s.closed.Load() {
			return ErrClosed
		}
		p := place{day: day, name: name}
		if p.packed() {
			err = l.pack(p)
		} else {
			err = l.file(p)
		}
		if err != nil {
			return err
		}
	}
	return nil
}

func (l *lister) tooOld(h header) bool { return time.Unix(0, h.created).Before(l.since) }

func (l *lister) damage(where string) {
	if l.damaged == 0 {
		l.first = where
	}
	l.damaged++
}

// tell hands on what was found, or notes that it is damaged.
func (l *lister) tell(info blob.Info, err error) error {
	switch {
	case err == nil:
		return l.fn(info)
	case errors.Is(err, blob.ErrCorrupt):
		l.damage(info.Key)
		return nil
	case errors.Is(err, blob.ErrNotFound), errors.Is(err, fs.ErrNotExist):
		return nil // deleted meanwhile, or not acknowledged yet
	}
	return fmt.Errorf("list blobs: %w", err)
}

func (l *lister) file(p place) error {
	at, err := l.s.find(p.key())
	if err != nil {
		return l.tell(blob.Info{Key: p.key()}, err)
	}
	if l.tooOld(at.header) {
		return at.file.Close()
	}
	info, err := at.header.info(p.key(), at.file)
	if cerr := at.file.Close(); err == nil && cerr != nil {
		return fmt.Errorf("list blobs: %w", cerr)
	}
	return l.tell(info, err)
}

func (l *lister) pack(p place) (err error) {
	limit, limited := l.s.sight.limit(p.file())
	if limited && limit == 0 {
		return nil
	}
	f, err := l.s.fs.Open(l.s.path(p.file()))
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	if err != nil {
		return fmt.Errorf("list blobs: %w", err)
	}
	defer func() { err = errors.Join(err, f.Close()) }()
	size, err := f.Size()
	if err != nil {
		return fmt.Errorf("list blobs: %w", err)
	}
	if limited {
		size = min(size, limit)
	}
	id, ok, err := readPackID(f)
	if err != nil {
		return fmt.Errorf("list blobs: %w", err)
	}
	if !ok {
		if size > 0 {
			l.damage(p.file())
		}
		return nil
	}
	return walker{
		visit: func(h header) error {
			if h.kind != kindPacked || h.mark != markLive || l.tooOld(h) {
				return l.ctx.Err()
			}
			p.offset, p.length = h.offset, h.payload
			return l.tell(h.info(p.key(), f))
		},
		gap: func(_, _ int64) { l.damage(p.file()) },
	}.walk(f, id, size)
}
