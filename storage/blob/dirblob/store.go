package dirblob

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"time"

	"github.com/oklog/ulid/v2"

	"github.com/tributary-dicom/tributary/storage/blob"
	"github.com/tributary-dicom/tributary/storage/blob/dirblob/disk"
)

// ErrClosed is returned by a Store after Close.
var ErrClosed = errors.New("blob store is closed")

const (
	lockName   = "LOCK"
	formatName = "FORMAT"
	tmpDir     = "tmp"
	activeDir  = "active"

	format = "tributary blobs 1\n"
)

// Store is a blob.Store in a local folder.
type Store struct {
	dir  string
	opt  Options
	fs   disk.FS
	lock io.Closer

	life   sync.RWMutex // held for reading by whatever writes, for writing by Close
	closed atomic.Bool

	health  health
	sight   sight
	buffer  budget
	folders folderSync
	packs   rounds[batch]
	active  *pack // guarded by packs.run
	readers readerCount

	maintain sync.Mutex      // deletions in packs, and repairs
	live     map[string]int  // records not deleted, of closed packs that Delete has met
	touched  map[string]bool // growing packs that Delete has met

	daysMu sync.Mutex
	days   map[string]bool // day folders known to be durable
}

var _ blob.Store = (*Store)(nil)

// Open opens the store in a folder, which it makes if needed, and repairs what a crash left behind. One
// process may have it open at a time. Its cost does not grow with the number of blobs.
func Open(dir string, opt Options) (_ *Store, err error) {
	dir, err = filepath.Abs(dir)
	if err != nil {
		return nil, fmt.Errorf("open blob store: %w", err)
	}
	opt = opt.withDefaults()
	s := &Store{
		dir:     dir,
		opt:     opt,
		fs:      opt.FS,
		folders: folderSync{sync: opt.FS.SyncDir, dirs: map[string]*rounds[struct{}]{}},
		buffer:  budget{max: opt.BufferBytes},
		live:    map[string]int{},
		touched: map[string]bool{},
		days:    map[string]bool{},
	}
	if err := s.makeRoot(); err != nil {
		return nil, fmt.Errorf("open blob store: %w", err)
	}
	host, _ := os.Hostname()
	s.lock, err = s.fs.Lock(s.path(lockName), fmt.Sprintf("process %d on %s", os.Getpid(), host))
	if err != nil {
		var locked *disk.LockedError
		if errors.As(err, &locked) {
			return nil, fmt.Errorf("open blob store: folder %s is %w; stop that process or choose another folder", dir, locked)
		}
		return nil, fmt.Errorf("open blob store: %w", err)
	}
	if err := s.prepare(); err != nil {
		return nil, errors.Join(fmt.Errorf("open blob store: %w", err), s.lock.Close())
	}
	return s, nil
}

// makeRoot makes the folder and its parents, durably.
func (s *Store) makeRoot() error {
	var missing []string
	for d := s.dir; ; d = filepath.Dir(d) {
		_, err := s.fs.ReadDir(d)
		if err == nil || filepath.Dir(d) == d {
			break
		}
		if !errors.Is(err, fs.ErrNotExist) {
			return err
		}
		missing = append(missing, d)
	}
	for i := len(missing) - 1; i >= 0; i-- {
		if err := s.makeDir(missing[i]); err != nil {
			return err
		}
	}
	if len(missing) > 0 {
		return nil
	}
	// The folder may be from a run that died before its name was durable. A parent that nobody may read was
	// made by somebody else, long ago.
	if err := s.folders.do(filepath.Dir(s.dir)); err != nil && !errors.Is(err, fs.ErrPermission) {
		return err
	}
	return nil
}

// makeDir makes one folder durably. One that is there may be from a run that died before its sync.
func (s *Store) makeDir(path string) error {
	if err := s.fs.Mkdir(path); err != nil && !errors.Is(err, fs.ErrExist) {
		return err
	}
	return s.folders.do(filepath.Dir(path))
}

// prepare checks the layout's version, empties tmp and recovers packs.
func (s *Store) prepare() error {
	if err := s.checkFormat(); err != nil {
		return err
	}
	for _, d := range []string{tmpDir, activeDir} {
		if err := s.makeDir(s.path(d)); err != nil {
			return err
		}
	}
	names, err := s.fs.ReadDir(s.path(tmpDir))
	if err != nil {
		return err
	}
	for _, name := range names {
		if err := s.fs.Remove(s.path(tmpDir + "/" + name)); err != nil {
			return err
		}
	}
	return s.recover()
}

// checkFormat refuses a folder that another version of this package laid out.
func (s *Store) checkFormat() error {
	path := s.path(formatName)
	f, err := s.fs.Open(path)
	if errors.Is(err, fs.ErrNotExist) {
		return s.writeFormat(path)
	}
	if err != nil {
		return err
	}
	text := make([]byte, 64)
	n, err := f.ReadAt(text, 0)
	if err := errors.Join(ignoreEOF(err), f.Close()); err != nil {
		return err
	}
	switch found := string(text[:n]); {
	case found == format:
		return nil
	case n == 0 || strings.Trim(found, "\x00") == "" || strings.HasPrefix(format, found):
		// A crash cut the very first Open short.
		if err := s.fs.Remove(path); err != nil {
			return err
		}
		return s.writeFormat(path)
	}
	return fmt.Errorf("%s holds blobs of another layout than %q; use the release that wrote them", s.dir, strings.TrimSpace(format))
}

func (s *Store) writeFormat(path string) error {
	f, err := s.fs.Create(path)
	if err != nil {
		return err
	}
	err = f.WriteVec([][]byte{[]byte(format)}, 0)
	if err == nil {
		err = f.Datasync()
	}
	if err := errors.Join(err, f.Close()); err != nil {
		return err
	}
	return s.fs.SyncDir(s.dir)
}

// Create starts a blob. It fails with blob.ErrNoSpace when the reserve is reached and with
// blob.ErrReadOnly while the disk does not take writes.
func (s *Store) Create(ctx context.Context) (blob.Writer, error) {
	if err := ctx.Err(); err != nil {
		return nil, err
	}
	if err := s.Ready(ctx); err != nil {
		return nil, err
	}
	return &writer{s: s}, nil
}

// Ready returns nil when Create and Commit can succeed. While the store is read-only it probes the disk,
// at most once a second.
func (s *Store) Ready(context.Context) error {
	s.life.RLock()
	defer s.life.RUnlock()
	if s.closed.Load() {
		return ErrClosed
	}
	if err := s.writable(); err != nil {
		return err
	}
	return s.checkSpace()
}

// checkSpace fails when writing would eat into the reserve.
func (s *Store) checkSpace() error {
	room, err := s.room()
	if err != nil {
		return err
	}
	if room <= 0 {
		return fmt.Errorf("reserve reached: %w", blob.ErrNoSpace)
	}
	return nil
}

// room is how many bytes may be written before the reserve is reached.
func (s *Store) room() (int64, error) {
	free, total, err := s.fs.Free(s.dir)
	if err != nil {
		return 0, fmt.Errorf("free space of blob store: %w", err)
	}
	reserve := s.opt.ReserveBytes
	if reserve == 0 {
		reserve = min(total/20, maxReserve)
	}
	return free - max(reserve, 0), nil
}

// Close waits for commits in flight and closes the pack. Blobs not committed are lost; readers stay valid.
func (s *Store) Close() error {
	s.life.Lock()
	defer s.life.Unlock()
	if s.closed.Swap(true) {
		return nil
	}
	err := s.sealActive()
	return errors.Join(err, s.lock.Close())
}

// ensureDay makes the folder of a day durable.
func (s *Store) ensureDay(day string) error {
	s.daysMu.Lock()
	defer s.daysMu.Unlock()
	if s.days[day] {
		return nil
	}
	for _, n := range []int{len("2006"), len("2006/01"), len(dayLayout)} {
		if err := s.makeDir(s.path(day[:n])); err != nil {
			return s.failed("make day folder", err)
		}
	}
	s.days[day] = true
	return nil
}

// newID returns a name that no other blob has: milliseconds and 80 random bits.
func newID(now time.Time) string {
	ms := uint64(max(now.UnixMilli(), 0))
	return ulid.MustNew(min(ms, ulid.MaxTime()), rand.Reader).String()
}

func ignoreEOF(err error) error {
	if errors.Is(err, io.EOF) {
		return nil
	}
	return err
}

func isFull(err error) bool {
	return errors.Is(err, syscall.ENOSPC) || errors.Is(err, syscall.EDQUOT)
}
