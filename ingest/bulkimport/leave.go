package bulkimport

import (
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path"
	"strings"
	"time"

	"github.com/tributary-dicom/tributary/parsers/reject"
)

// Folders below ownFolder.
const (
	doneFolder    = ownFolder + "/done"    // DATE/…: what is kept
	refusedFolder = ownFolder + "/refused" // …: what is not, each with NAME.reason.json beside
)

const reasonEnding = ".reason.json"

// maxSame is how many files of one name a day's folder takes.
const maxSame = 10_000

// leave takes answered files out of the folder. One that a recording needs which is still to come stays; if
// nothing came of that recording, it leaves with the answer it had.
func (w *Watcher) leave(root *os.Root, claims map[*file][]*file, now time.Time) {
	for p, f := range w.files {
		if !f.kept && f.err == nil || now.Before(f.try) && f.pause > 0 {
			continue
		}
		needed := false
		for _, main := range claims[f] {
			needed = needed || !main.kept && main.err == nil
		}
		if needed {
			continue
		}
		if err := w.leaveOne(root, f, now); err != nil {
			f.pause = min(max(2*f.pause, firstPause), lastPause)
			f.try = now.Add(f.pause)
			w.cfg.Logger.Error("an answered file cannot leave its watched folder; after a restart it is sent again and is a duplicate",
				"dir", w.cfg.Dir, "error", plain(err).Error())
			continue
		}
		delete(w.files, p)
	}
}

func (w *Watcher) leaveOne(root *os.Root, f *file, now time.Time) error {
	info, err := root.Lstat(f.path)
	if errors.Is(err, fs.ErrNotExist) {
		return nil // somebody else took it away
	}
	if err != nil {
		return err
	}
	if !os.SameFile(info, f.info) || !unchanged(info, f.info) {
		return nil // another file of this name: it is looked at as such
	}
	switch {
	case f.kept && w.cfg.Delete:
		return ignoreGone(root.Remove(f.path))
	case f.kept:
		_, err := move(root, f.path, path.Join(doneFolder, now.UTC().Format(time.DateOnly), f.path))
		return ignoreGone(err)
	}
	to, err := move(root, f.path, path.Join(refusedFolder, f.path))
	if err != nil {
		return ignoreGone(err)
	}
	return root.WriteFile(to+reasonEnding, reasonOf(f, now), 0o640)
}

func ignoreGone(err error) error {
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	return err
}

// reasonOf is what people find beside a refused file, in the shape of /upload's refusals.
func reasonOf(f *file, now time.Time) []byte {
	why := struct {
		Status    string      `json:"status"`
		Reason    reject.Code `json:"reason"`
		Detail    string      `json:"detail,omitempty"`
		Bytes     int64       `json:"bytes"`
		RefusedAt time.Time   `json:"refused_at"`
	}{"refused", reject.CodeOf(f.err), "", f.info.Size(), now.UTC()}
	var e *reject.Error
	if errors.As(f.err, &e) && e.Err != nil {
		why.Detail = e.Err.Error()
	}
	text, _ := json.MarshalIndent(why, "", "  ") // it has nothing that cannot be encoded
	return append(text, '\n')
}

// move gives a file a place where nothing is yet.
func move(root *os.Root, from, to string) (string, error) {
	if err := root.MkdirAll(path.Dir(to), 0o750); err != nil {
		return "", err
	}
	end := path.Ext(to)
	for n := range maxSame {
		place := to
		if n > 0 {
			place = fmt.Sprintf("%s~%d%s", strings.TrimSuffix(to, end), n, end)
		}
		if _, err := root.Lstat(place); !errors.Is(err, fs.ErrNotExist) {
			if err != nil {
				return "", err
			}
			continue
		}
		return place, root.Rename(from, place)
	}
	return "", fmt.Errorf("%d files of one name", maxSame)
}

// clean removes days of done files that are over.
func (w *Watcher) clean(root *os.Root, now time.Time) {
	if w.cfg.Keep < 0 {
		return
	}
	f, err := root.Open(doneFolder)
	if err != nil {
		return // nothing was done yet
	}
	defer f.Close()
	days, _ := f.ReadDir(-1) // the rest is seen next time
	for _, d := range days {
		day, err := time.Parse(time.DateOnly, d.Name())
		// A day's last file is as old as the day's end.
		if err != nil || !d.IsDir() || now.UTC().Sub(day.Add(24*time.Hour)) <= w.cfg.Keep {
			continue
		}
		if err := root.RemoveAll(path.Join(doneFolder, d.Name())); err != nil {
			w.cfg.Logger.Warn("old files of a watched folder cannot be removed", "dir", w.cfg.Dir, "error", plain(err).Error())
		}
	}
}
