// Package disk is all that a directory blob store asks of a file system. It is an interface so that
// package simfs can stand in: power cuts, torn writes and failing syncs on demand.
package disk

import "io"

// FS is a file system. Names are absolute paths of the system's own form. Errors wrap fs.ErrNotExist,
// fs.ErrExist and the syscall.Errno that caused them. Safe for concurrent use.
type FS interface {
	// Open opens an existing file for reading.
	Open(name string) (File, error)

	// OpenWrite opens an existing file for reading and writing.
	OpenWrite(name string) (File, error)

	// Create makes a file (mode 0600) that must not exist, for reading and writing.
	Create(name string) (File, error)

	// Mkdir makes a folder (mode 0700) in an existing one. A folder that exists is an error that wraps
	// fs.ErrExist.
	Mkdir(name string) error

	// Rename moves a file within the file system and replaces what newName was.
	Rename(oldName, newName string) error

	// Remove deletes a file.
	Remove(name string) error

	// ReadDir returns the names in a folder, sorted.
	ReadDir(name string) ([]string, error)

	// SyncDir returns once the creations, renames and removals done in a folder are durable.
	SyncDir(name string) error

	// Free returns how many bytes may still be written below a folder, and how many the file system has.
	Free(name string) (free, total int64, err error)

	// Lock takes an exclusive lock named by a file, until the returned Closer is closed or the process
	// ends, and writes owner into it. A lock held elsewhere is a *LockedError.
	Lock(name, owner string) (io.Closer, error)
}

// File is an open file. After an error from WriteVec, Datasync, Truncate or Writeback the file must only be
// closed: what the system holds of it is unknown from then on.
type File interface {
	io.ReaderAt
	io.Closer

	// WriteVec writes the buffers one after another from byte off. It may change bufs, not the bytes.
	WriteVec(bufs [][]byte, off int64) error

	// Datasync returns once the bytes and the length of the file are durable.
	Datasync() error

	// Truncate sets the length in bytes.
	Truncate(size int64) error

	// PunchHole frees the blocks that lie wholly in [off, off+n), which read as zeros afterwards. It may
	// do nothing where the system cannot.
	PunchHole(off, n int64) error

	// Writeback starts to write [off, off+n) to the disk and waits for [waitOff, waitOff+waitN), which it
	// was told of before. It makes nothing durable. It may do nothing.
	Writeback(off, n, waitOff, waitN int64) error

	// Size returns the length in bytes.
	Size() (int64, error)
}

// LockedError tells who holds a lock.
type LockedError struct {
	Owner string // what the holder wrote, "" when unreadable
}

func (e *LockedError) Error() string {
	if e.Owner == "" {
		return "locked by another process"
	}
	return "locked by " + e.Owner
}
