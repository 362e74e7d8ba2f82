package index

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
)

// Fresh is an index that is made beside the one in use and takes its place when it is whole.
type Fresh struct {
	*DB
	path string // of the index in use
}

// freshSuffix is appended to the path of the index in use.
const freshSuffix = ".new"

// FreshSQLite opens the index that an earlier call began beside the one at path, or begins one. What is
// there and cannot be read is made anew.
func FreshSQLite(ctx context.Context, path string, opt Options) (*Fresh, error) {
	path, err := filepath.Abs(path)
	if err != nil {
		return nil, fmt.Errorf("open index: %w", err)
	}
	db, err := OpenSQLite(ctx, path+freshSuffix, opt)
	if errors.Is(err, ErrDamaged) {
		if err := removeSQLite(path + freshSuffix); err != nil {
			return nil, err
		}
		db, err = OpenSQLite(ctx, path+freshSuffix, opt)
	}
	if err != nil {
		return nil, err
	}
	return &Fresh{db, path}, nil
}

// Swap closes the index and puts it into the place of the one in use, durably. Nobody may have either of
// them open otherwise. A crash in between leaves the old one, the new one, or none and the new one beside:
// never a mixture.
func (f *Fresh) Swap() error {
	if err := f.Close(); err != nil { // the last one to close moves the write-ahead log into the file
		return fmt.Errorf("finish the new index: %w", err)
	}
	fresh := f.path + freshSuffix
	if info, err := os.Stat(fresh + "-wal"); err == nil && info.Size() > 0 {
		return errors.New("the new index is open elsewhere")
	}
	if err := syncPath(fresh); err != nil {
		return fmt.Errorf("sync the new index: %w", err)
	}
	old := f.path + ".old"
	if err := os.Rename(f.path, old); err != nil && !errors.Is(err, os.ErrNotExist) {
		return fmt.Errorf("put the old index aside: %w", err)
	}
	// They belong to the old file, and would be taken for the new one's.
	for _, suffix := range []string{"-wal", "-shm"} {
		if err := os.Remove(f.path + suffix); err != nil && !errors.Is(err, os.ErrNotExist) {
			return fmt.Errorf("put the old index aside: %w", err)
		}
	}
	if err := os.Rename(fresh, f.path); err != nil {
		return fmt.Errorf("put the new index in place: %w", err)
	}
	for _, suffix := range []string{"-wal", "-shm"} {
		if err := os.Remove(fresh + suffix); err != nil && !errors.Is(err, os.ErrNotExist) {
			return fmt.Errorf("put the new index in place: %w", err)
		}
	}
	if err := syncPath(filepath.Dir(f.path)); err != nil {
		return fmt.Errorf("sync the index's folder: %w", err)
	}
	return removeSQLite(old)
}

// Discard closes the index and removes it; the one in use stays.
func (f *Fresh) Discard() error {
	return errors.Join(f.Close(), removeSQLite(f.path+freshSuffix))
}

func removeSQLite(path string) error {
	for _, suffix := range []string{"", "-wal", "-shm"} {
		if err := os.Remove(path + suffix); err != nil && !errors.Is(err, os.ErrNotExist) {
			return fmt.Errorf("remove index: %w", err)
		}
	}
	return nil
}

// syncPath makes a file's bytes, or a folder's names, durable.
func syncPath(path string) error {
	f, err := os.Open(path)
	if err != nil {
		return err
	}
	return errors.Join(f.Sync(), f.Close())
}
