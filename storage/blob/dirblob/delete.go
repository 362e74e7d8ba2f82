package dirblob

import (
	"context"
	"errors"
	"fmt"
	"io/fs"

	"github.com/tributary-dicom/tributary/storage/blob"
	"github.com/tributary-dicom/tributary/storage/blob/dirblob/disk"
)

// maxCounted bounds how many packs Delete remembers the live records of.
const maxCounted = 4096

// Delete forgets a blob durably. A large one gives its space back at once, and so does one in a pack where
// the file system can punch holes; a pack is removed with its last blob. Readers that have the blob open
// read on to its end.
func (s *Store) Delete(ctx context.Context, key string) error {
	p, err := parseKey(key)
	if err != nil {
		return err
	}
	if err := ctx.Err(); err != nil {
		return err
	}
	s.life.RLock()
	defer s.life.RUnlock()
	if s.closed.Load() {
		return ErrClosed
	}
	if err := s.writable(); err != nil {
		return err
	}
	if limit, limited := s.sight.limit(p.file()); limited && limit <= p.offset {
		return nil
	}
	if p.packed() {
		return s.deleteRecord(p)
	}
	if err := s.fs.Remove(s.path(p.file())); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return s.failed("delete blob", err)
	}
	// Also when it is gone: an earlier removal may have died before its sync.
	if err := s.folders.do(s.path(p.day)); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return s.failed("delete blob", err)
	}
	return nil
}

func (s *Store) deleteRecord(p place) error {
	s.maintain.Lock()
	defer s.maintain.Unlock()
	f, err := s.fs.OpenWrite(s.path(p.file()))
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	if err != nil {
		return fmt.Errorf("delete blob: %w", err)
	}
	h, err := p.check(f)
	if errors.Is(err, blob.ErrNotFound) {
		return f.Close()
	}
	if err != nil {
		return errors.Join(fmt.Errorf("delete blob %s: %w", p.key(), err), f.Close())
	}
	err = writeMark(f, h, markDeleted)
	if err == nil {
		err = f.Datasync()
	}
	if err != nil {
		_ = f.Close()
		return s.failed("delete blob", err)
	}
	if s.readers.mayWipe(p.key()) {
		s.wipe(f, h)
	}
	err = f.Close()
	if n, counted := s.live[p.file()]; counted {
		s.live[p.file()] = n - 1
	}
	return errors.Join(err, s.dropLocked(p.file()))
}

// wipe overwrites what shares a block with the header and frees the other blocks. The blob is gone
// without it, so that a failure costs only space.
func (s *Store) wipe(f disk.File, h header) {
	from := h.payloadOffset()
	first := min(roundUp(from), h.metaOffset()+h.meta)
	err := f.WriteVec([][]byte{zeros[:first-from]}, from)
	if rest := h.end() - roundUp(from); err == nil && rest > 0 {
		err = f.PunchHole(roundUp(from), rest)
	}
	if err != nil {
		s.opt.Log.Warn("space of a deleted blob was not freed", "error", err)
	}
}

// wipeLate is wipe for the last reader of a deleted blob.
func (s *Store) wipeLate(p place, h header) {
	s.life.RLock()
	defer s.life.RUnlock()
	if s.closed.Load() || !p.packed() {
		return
	}
	s.maintain.Lock()
	defer s.maintain.Unlock()
	f, err := s.fs.OpenWrite(s.path(p.file()))
	if err != nil {
		return // the pack went with its last blob
	}
	s.wipe(f, h)
	_ = f.Close()
}

// packClosed is told that a pack grows no more. It is removed when its blobs were all deleted before that.
func (s *Store) packClosed(name string) error {
	s.maintain.Lock()
	defer s.maintain.Unlock()
	return s.packClosedLocked(name)
}

func (s *Store) packClosedLocked(name string) error {
	if !s.touched[name] {
		return nil
	}
	delete(s.touched, name)
	return s.dropLocked(name)
}

// dropLocked removes a pack when no blob in it is live. An active pack stays.
func (s *Store) dropLocked(name string) error {
	if _, growing := s.sight.limit(name); growing {
		s.touched[name] = true
		return nil
	}
	n, counted := s.live[name]
	if !counted || n <= 0 { // count again before anything is removed
		var err error
		if n, err = s.countLive(name); err != nil {
			return fmt.Errorf("delete blob: %w", err)
		}
		if len(s.live) >= maxCounted {
			clear(s.live)
		}
		s.live[name] = n
	}
	if n > 0 {
		return nil
	}
	delete(s.live, name)
	if err := s.removePack(name); err != nil {
		return s.failed("delete pack", err)
	}
	return nil
}

// countLive returns how many blobs a pack has. Damaged places count, so that their pack is kept.
func (s *Store) countLive(name string) (n int, err error) {
	f, err := s.fs.Open(s.path(name))
	if err != nil {
		return 0, err
	}
	defer func() { err = errors.Join(err, f.Close()) }()
	size, err := f.Size()
	if err != nil {
		return 0, err
	}
	id, ok, err := readPackID(f)
	if err != nil || !ok {
		return 1, err
	}
	err = walker{
		visit: func(h header) error {
			if h.kind == kindPacked && h.mark != markDeleted && h.mark != markTorn {
				n++
			}
			return nil
		},
		gap: func(_, _ int64) { n++ },
	}.walk(f, id, size)
	return n, err
}
