package dirblob

import (
	"errors"
	"fmt"
	"io/fs"
	"path/filepath"
	"sync"
	"syscall"
	"time"

	"github.com/tributary-dicom/tributary/storage/blob"
)

// probeEvery is how often a read-only store tries the disk again: often enough that a device's next try
// may succeed, seldom enough not to hammer a dying disk.
const probeEvery = time.Second

// health says whether the disk can be trusted. After a failed write or sync nobody knows what the system
// still holds in memory (it may forget pages and call the next sync a success), so nothing more is
// acknowledged until what was in doubt has been cut off and a fresh file was written and synced.
type health struct {
	mu      sync.Mutex
	cause   error // nil means healthy
	faults  int
	probed  time.Time
	probing bool
	repairs []repair
}

// repair is what must be done before the store may be written again.
type repair struct {
	name   string // path below the store's folder
	keep   int64  // bytes that were acknowledged; 0 removes the file
	marker string // path of the pack's mark in active, if any
}

// failed turns an error of the disk into the caller's, and the store read-only unless the disk is merely
// full or the process out of descriptors.
func (s *Store) failed(op string, err error) error {
	switch {
	case errors.Is(err, blob.ErrNoSpace), errors.Is(err, blob.ErrReadOnly):
		return err
	case isFull(err):
		return fmt.Errorf("%s: %w: %w", op, blob.ErrNoSpace, err)
	case errors.Is(err, syscall.EMFILE), errors.Is(err, syscall.ENFILE):
		return fmt.Errorf("%s: %w", op, err)
	}
	s.turnReadOnly(op, err)
	return fmt.Errorf("%s: %w: %w", op, blob.ErrReadOnly, err)
}

func (s *Store) turnReadOnly(op string, err error, repairs ...repair) {
	h := &s.health
	h.mu.Lock()
	defer h.mu.Unlock()
	if h.cause == nil {
		s.opt.Log.Error("blob store turned read-only; it is tried again once a second", "op", op, "error", err)
	}
	h.cause = err
	h.faults++
	h.probed = s.opt.Now()
	h.repairs = append(h.repairs, repairs...)
}

// inDoubt is failed for an operation that may have left bytes on disk that were not acknowledged. They are
// out of sight already. After a failure they are cut off when the disk is probed, else at once.
func (s *Store) inDoubt(op string, cause error, r repair) error {
	err := s.failed(op, cause)
	if !errors.Is(err, blob.ErrReadOnly) {
		rerr := s.repair(r)
		if rerr == nil {
			return err
		}
		cause = rerr
	}
	s.turnReadOnly(op, cause, r)
	return err
}

// writable returns nil when the disk can be trusted.
func (s *Store) writable() error {
	h := &s.health
	h.mu.Lock()
	if h.cause == nil {
		h.mu.Unlock()
		return nil
	}
	since := s.opt.Now().Sub(h.probed)
	if h.probing || since >= 0 && since < probeEvery {
		defer h.mu.Unlock()
		return fmt.Errorf("%w: %w", blob.ErrReadOnly, h.cause)
	}
	h.probing = true
	h.probed = s.opt.Now()
	faults, repairs := h.faults, h.repairs
	h.repairs = nil
	h.mu.Unlock()

	undone, err := s.repairAll(repairs)
	if err == nil {
		err = s.probe()
	}

	h.mu.Lock()
	defer h.mu.Unlock()
	h.probing = false
	h.repairs = append(h.repairs, undone...)
	if err != nil {
		h.cause = err
		return fmt.Errorf("%w: %w", blob.ErrReadOnly, err)
	}
	if h.faults != faults || len(h.repairs) > 0 {
		return fmt.Errorf("%w: %w", blob.ErrReadOnly, h.cause)
	}
	h.cause = nil
	s.opt.Log.Info("blob store takes writes again")
	return nil
}

// probe writes, syncs and removes a small file.
func (s *Store) probe() error {
	path := s.path(tmpDir + "/probe")
	if err := s.fs.Remove(path); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	f, err := s.fs.Create(path)
	if err != nil {
		return err
	}
	err = f.WriteVec([][]byte{zeros[:blockBytes]}, 0)
	if err == nil {
		err = f.Datasync()
	}
	err = errors.Join(err, f.Close(), s.fs.Remove(path))
	if err != nil {
		return err
	}
	return s.fs.SyncDir(s.path(tmpDir))
}

// repairAll returns what could not be repaired.
func (s *Store) repairAll(repairs []repair) ([]repair, error) {
	for i, r := range repairs {
		if err := s.repair(r); err != nil {
			return repairs[i:], err
		}
	}
	return nil, nil
}

// repair cuts a file back to what was acknowledged, or removes it, and lets readers see the rest again.
func (s *Store) repair(r repair) error {
	s.maintain.Lock()
	defer s.maintain.Unlock()
	path := s.path(r.name)
	if r.keep > 0 {
		if err := s.cut(path, r.keep); err != nil {
			return err
		}
	} else {
		if err := s.fs.Remove(path); err != nil && !errors.Is(err, fs.ErrNotExist) {
			return err
		}
		if err := s.folders.do(filepath.Dir(path)); err != nil {
			return err
		}
	}
	if r.marker != "" {
		if err := s.fs.Remove(s.path(r.marker)); err != nil && !errors.Is(err, fs.ErrNotExist) {
			return err
		}
	}
	s.sight.clear(r.name)
	if r.keep == 0 {
		delete(s.touched, r.name)
		return nil
	}
	return s.packClosedLocked(r.name)
}

// cut shortens a file durably.
func (s *Store) cut(path string, size int64) error {
	f, err := s.fs.OpenWrite(path)
	if err != nil {
		return err
	}
	err = f.Truncate(size)
	if err == nil {
		err = f.Datasync()
	}
	return errors.Join(err, f.Close())
}

// sight limits what readers see of files that are not acknowledged to their end.
type sight struct {
	mu     sync.RWMutex
	limits map[string]int64 // bytes, by path below the store's folder
}

func (v *sight) set(name string, bytes int64) {
	v.mu.Lock()
	defer v.mu.Unlock()
	if v.limits == nil {
		v.limits = map[string]int64{}
	}
	v.limits[name] = bytes
}

func (v *sight) clear(name string) {
	v.mu.Lock()
	defer v.mu.Unlock()
	delete(v.limits, name)
}

// limit returns how many bytes of a file may be seen, and whether there is a limit at all.
func (v *sight) limit(name string) (int64, bool) {
	v.mu.RLock()
	defer v.mu.RUnlock()
	n, ok := v.limits[name]
	return n, ok
}
