package bulkimport

import (
	"context"
	"errors"
	"io"
	"io/fs"
	"os"
	"path"
	"strconv"
	"strings"
	"time"

	"github.com/tributary-dicom/tributary/ingest/bundle"
	"github.com/tributary-dicom/tributary/parsers/sniff"
)

// maxDepth bounds folders in folders.
const maxDepth = 16

// scanBatch is how many entries of a folder are read at once.
const scanBatch = 1024

// temps are files under names that uploaders use, by what a rename leaves as it is.
type temps map[string][]fs.FileInfo

// traits are what a rename leaves as it is, within one folder.
func traits(dir string, info fs.FileInfo) string {
	return dir + "\x00" + strconv.FormatInt(info.Size(), 10) + "\x00" + strconv.FormatInt(info.ModTime().UnixNano(), 10)
}

func (t temps) has(dir string, info fs.FileInfo) bool {
	for _, before := range t[traits(dir, info)] {
		if os.SameFile(before, info) {
			return true
		}
	}
	return false
}

// look is one pass over the folder.
type look struct {
	w     *Watcher
	root  *os.Root
	now   time.Time
	left  int // entries
	files map[string]*file
	temps temps
	cut   bool
}

// scan sees what is there and since when it is as it is.
func (w *Watcher) scan(ctx context.Context, root *os.Root, now time.Time) error {
	l := &look{w: w, root: root, now: now, left: w.cfg.MaxEntries, files: map[string]*file{}, temps: temps{}}
	if _, err := l.folder(ctx, ".", 0); err != nil {
		return err
	}
	if l.cut != w.crowded {
		if w.crowded = l.cut; l.cut {
			w.cfg.Logger.Warn("a watched folder has more than can be looked at in one go; the rest comes as these leave", "dir", w.cfg.Dir, "entries", w.cfg.MaxEntries)
		}
	}
	w.files, w.temps = l.files, l.temps
	return nil
}

// folder looks at one folder; it tells how many entries there are.
func (l *look) folder(ctx context.Context, dir string, depth int) (entries int, err error) {
	f, err := l.root.Open(dir)
	if err != nil {
		return 0, err
	}
	defer f.Close()
	for {
		if err := ctx.Err(); err != nil {
			return entries, err
		}
		list, err := f.ReadDir(scanBatch)
		for _, e := range list {
			entries++
			if l.left == 0 {
				l.cut = true
				return entries, nil
			}
			l.left--
			l.entry(ctx, dir, e, depth)
		}
		if errors.Is(err, io.EOF) || err == nil && len(list) == 0 {
			return entries, nil
		}
		if err != nil {
			return entries, err
		}
	}
}

func (l *look) entry(ctx context.Context, dir string, e fs.DirEntry, depth int) {
	p := path.Join(dir, e.Name())
	if e.IsDir() {
		if strings.HasPrefix(e.Name(), ".") || depth+1 > maxDepth {
			return
		}
		n, err := l.folder(ctx, p, depth+1)
		if err != nil {
			return // its owner may be at work on it; it is looked at again
		}
		if n == 0 {
			l.empty(p)
		}
		return
	}
	if !e.Type().IsRegular() {
		return
	}
	info, err := l.root.Lstat(p)
	if err != nil || !info.Mode().IsRegular() {
		return // gone, or not what it was
	}
	if isWriting(e.Name()) {
		key := traits(dir, info)
		l.temps[key] = append(l.temps[key], info)
		l.files[p] = &file{path: p, info: info, since: l.now}
		return
	}
	known := l.w.files[p]
	if known != nil && os.SameFile(known.info, info) && unchanged(known.info, info) {
		l.files[p] = known
		return
	}
	l.files[p] = &file{path: p, info: info, since: l.now, renamed: l.w.temps.has(dir, info)}
}

// empty removes an empty folder that nobody has put anything into for as long as answered files are kept.
func (l *look) empty(p string) {
	if l.w.cfg.Keep < 0 {
		return
	}
	info, err := l.root.Lstat(p)
	if err == nil && info.IsDir() && l.now.Sub(info.ModTime()) > l.w.cfg.Keep {
		_ = l.root.Remove(p) // it fails when it is not empty any more
	}
}

// settled reports whether a file is whole, as far as can be seen from outside.
func (w *Watcher) settled(f *file, now time.Time) bool {
	if isWriting(path.Base(f.path)) {
		return false
	}
	// A sender that made a file and has sent nothing of it yet is slow; nobody sends empty files.
	if f.info.Size() == 0 {
		return now.Sub(f.since) >= max(w.cfg.Settle, w.cfg.Companions)
	}
	return f.renamed || now.Sub(f.since) >= w.cfg.Settle
}

// sniff tells a settled file's format, once.
func (f *file) sniff(ctx context.Context, root *os.Root) error {
	if f.sniffed {
		return nil
	}
	o, err := open(ctx, root, f)
	if err != nil {
		return err
	}
	defer o.Close()
	head := make([]byte, min(f.info.Size(), sniff.HeadBytes))
	if _, err := io.ReadFull(o, head); err != nil {
		return err
	}
	f.format = sniff.Detect(head)
	if f.format == sniff.WFDBHeader && f.info.Size() <= bundle.MaxHeader {
		rest := make([]byte, f.info.Size()-int64(len(head)))
		if _, err := io.ReadFull(o, rest); err != nil {
			return err
		}
		f.header = append(head, rest...)
	}
	f.sniffed = true
	return nil
}
