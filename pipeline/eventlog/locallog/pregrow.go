package locallog

import (
	"errors"
	"io/fs"
	"os"
)

// pregrowSlack is what appends write while a checkpoint runs beside them, and the frames' headers, bytes.
const pregrowSlack = 2 << 20

// pregrow makes the write-ahead log as long as it will become, with zeros behind its frames. Appends then
// overwrite blocks that the file system has allocated already, which halves the time of a sync
// (docs/decisions/0003). SQLite reads frames up to the first that is not valid, so zeros mean nothing to
// it, and it never shortens the file while it is open.
func pregrow(path string, size int64) (err error) {
	f, err := os.OpenFile(path, os.O_WRONLY, 0)
	if errors.Is(err, fs.ErrNotExist) {
		return nil // no frame was written yet
	}
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, f.Close()) }()
	info, err := f.Stat()
	if err != nil {
		return err
	}
	zeros := make([]byte, 256<<10)
	for at := info.Size(); at < size; {
		n, err := f.WriteAt(zeros[:min(int64(len(zeros)), size-at)], at)
		if err != nil {
			return err
		}
		at += int64(n)
	}
	return f.Sync()
}
