package disk

import (
	"errors"
	"os"

	"golang.org/x/sys/windows"
)

// SyncDir has nothing to do: NTFS journals its folders.
func (osFS) SyncDir(string) error { return nil }

func (osFS) Free(name string) (free, total int64, err error) {
	path, err := windows.UTF16PtrFromString(name)
	if err != nil {
		return 0, 0, err
	}
	var avail, all uint64
	if err := windows.GetDiskFreeSpaceEx(path, &avail, &all, nil); err != nil {
		return 0, 0, &os.PathError{Op: "GetDiskFreeSpaceEx", Path: name, Err: err}
	}
	return int64(avail), int64(all), nil
}

func flock(f *os.File) error {
	// The locked byte lies past the owner's text, which others shall be able to read.
	at := &windows.Overlapped{Offset: 1 << 20}
	err := windows.LockFileEx(windows.Handle(f.Fd()),
		windows.LOCKFILE_EXCLUSIVE_LOCK|windows.LOCKFILE_FAIL_IMMEDIATELY, 0, 1, 0, at)
	if errors.Is(err, windows.ERROR_LOCK_VIOLATION) {
		return &LockedError{}
	}
	return err
}
