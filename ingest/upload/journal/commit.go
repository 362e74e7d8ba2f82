package journal

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"runtime"
	"slices"
)

// maxBatch bounds the frames of one commit, bytes, unless its first is longer.
const maxBatch = 1 << 20

// submit queues c and returns when its commit is done. Whoever gets the turn commits for all who wait.
func (j *Journal) submit(c *change) error {
	c.done = make(chan struct{})
	j.queue.Lock()
	j.queue.pending = append(j.queue.pending, c)
	j.queue.Unlock()
	select {
	case <-c.done:
	case j.turn <- struct{}{}:
		for !isClosed(c.done) {
			j.commit(j.take())
		}
		<-j.turn
	}
	return c.err
}

func isClosed(c <-chan struct{}) bool {
	select {
	case <-c:
		return true
	default:
		return false
	}
}

// take returns the changes of the next commit, of the caller's own among them sooner or later.
func (j *Journal) take() []*change {
	j.queue.Lock()
	defer j.queue.Unlock()
	bytes, n := 0, 0
	for _, c := range j.queue.pending {
		bytes += frameHeader + len(c.doc)
		if n > 0 && (bytes > maxBatch || int64(bytes) > j.segmentBytes) {
			break
		}
		n++
	}
	batch := j.queue.pending[:n:n]
	j.queue.pending = j.queue.pending[n:]
	if len(j.queue.pending) == 0 {
		j.queue.pending = nil // batch's array is the commit's now
	}
	return batch
}

// commit makes a batch durable, or if all of it is lazy only writes it, and ends its calls. The caller holds the turn.
func (j *Journal) commit(batch []*change) {
	err := j.write(batch)
	if err != nil {
		err = fmt.Errorf("write journal: %w", err)
	}
	for _, c := range batch {
		c.err = err
		close(c.done)
	}
	if err == nil && j.wasteful() {
		j.tryCompact()
	}
}

// write appends a batch, which fits into one segment, syncs it with all that is before it, and says where its documents are.
func (j *Journal) write(batch []*change) error {
	j.buf = j.buf[:0]
	for _, c := range batch {
		j.buf = appendFrame(j.buf, c.key, c.tag, c.doc)
	}
	if err := j.room(int64(len(j.buf))); err != nil {
		return err
	}
	s := j.active
	_, err := s.file.WriteAt(j.buf, s.end)
	if err == nil && slices.ContainsFunc(batch, func(c *change) bool { return !c.lazy }) {
		err = datasync(s.file)
	}
	if err != nil {
		j.suspect = true
		return err
	}
	j.mu.Lock()
	defer j.mu.Unlock()
	for _, c := range batch {
		length := int64(frameHeader + len(c.doc))
		j.place(c.key, place{s, uint32(s.end), uint32(length), c.tag})
		s.end += length
	}
	if cap(j.buf) > 2*maxBatch {
		j.buf = nil
	}
	return nil
}

// place notes the latest frame of a key. The caller holds mu.
func (j *Journal) place(key Key, p place) {
	j.live -= int64(j.places[key].length)
	j.total += int64(p.length)
	if p.tag == removed {
		delete(j.places, key)
		return
	}
	j.live += int64(p.length)
	j.places[key] = p
}

// room sees to it that active takes n bytes more.
func (j *Journal) room(n int64) error {
	if j.isClosed() {
		return ErrClosed
	}
	if j.active != nil && (j.suspect || j.active.end+n > j.segmentBytes) {
		// Frames that were refused must not be found at the next start, if they got to the disk after all.
		if err := j.active.seal(); err != nil {
			return err
		}
		j.active, j.suspect = nil, false
	}
	if j.active != nil {
		return nil
	}
	number := uint64(1)
	if last := len(j.segments) - 1; last >= 0 {
		number = j.segments[last].number + 1
	}
	s, err := createSegment(j.dir, number, j.segmentBytes)
	if err != nil {
		return err
	}
	j.mu.Lock()
	defer j.mu.Unlock()
	j.segments, j.active = append(j.segments, s), s
	return nil
}

func (j *Journal) isClosed() bool {
	j.mu.RLock()
	defer j.mu.RUnlock()
	return j.closed
}

// createSegment makes a segment of zeros, durably.
func createSegment(dir string, number uint64, size int64) (_ *segment, err error) {
	path := filepath.Join(dir, segmentName(number))
	f, err := os.OpenFile(path, os.O_RDWR|os.O_CREATE|os.O_TRUNC, 0o600)
	if err != nil {
		return nil, err
	}
	defer func() {
		if err != nil {
			err = errors.Join(err, f.Close(), os.Remove(path))
		}
	}()
	zeros := make([]byte, min(size, 256<<10))
	for at := int64(0); at < size; at += int64(len(zeros)) {
		if _, err := f.WriteAt(zeros[:min(int64(len(zeros)), size-at)], at); err != nil {
			return nil, err
		}
	}
	if err := f.Sync(); err != nil {
		return nil, err
	}
	return &segment{number: number, file: f}, SyncFolder(dir)
}

// seal ends a segment behind its last frame, durably.
func (s *segment) seal() error {
	if err := s.file.Truncate(s.end); err != nil {
		return err
	}
	return s.file.Sync()
}

// SyncFolder makes the names in a folder durable. Windows has no such call and journals them itself.
func SyncFolder(dir string) error {
	if runtime.GOOS == "windows" {
		return nil
	}
	d, err := os.Open(dir)
	if err != nil {
		return err
	}
	defer d.Close()
	return d.Sync()
}
