package disk

import (
	"errors"
	"io"
	"os"
	"slices"
)

// OS returns the operating system's file system.
func OS() FS { return osFS{} }

type osFS struct{}

func (osFS) Open(name string) (File, error)       { return open(name, os.O_RDONLY) }
func (osFS) OpenWrite(name string) (File, error)  { return open(name, os.O_RDWR) }
func (osFS) Create(name string) (File, error)     { return open(name, os.O_RDWR|os.O_CREATE|os.O_EXCL) }
func (osFS) Mkdir(name string) error              { return os.Mkdir(name, 0o700) }
func (osFS) Rename(oldName, newName string) error { return os.Rename(oldName, newName) }
func (osFS) Remove(name string) error             { return os.Remove(name) }

func open(name string, flag int) (File, error) {
	f, err := os.OpenFile(name, flag, 0o600)
	if err != nil {
		return nil, err
	}
	return osFile{f}, nil
}

func (osFS) ReadDir(name string) ([]string, error) {
	d, err := os.Open(name)
	if err != nil {
		return nil, err
	}
	names, err := d.Readdirnames(-1)
	slices.Sort(names)
	return names, errors.Join(err, d.Close())
}

func (osFS) Lock(name, owner string) (io.Closer, error) {
	f, err := os.OpenFile(name, os.O_RDWR|os.O_CREATE, 0o600)
	if err != nil {
		return nil, err
	}
	if err := flock(f); err != nil {
		var locked *LockedError
		if errors.As(err, &locked) {
			text := make([]byte, 256)
			n, _ := f.ReadAt(text, 0)
			locked.Owner = printable(text[:n])
		}
		return nil, errors.Join(err, f.Close())
	}
	// The owner is for people only; the lock holds without it.
	if f.Truncate(0) == nil {
		_, _ = f.WriteAt([]byte(owner), 0)
	}
	return f, nil
}

func printable(b []byte) string {
	for i, c := range b {
		if c < ' ' || c > '~' {
			return string(b[:i])
		}
	}
	return string(b)
}

type osFile struct{ *os.File }

func (f osFile) Size() (int64, error) {
	info, err := f.Stat()
	if err != nil {
		return 0, err
	}
	return info.Size(), nil
}
