package dirblob

import (
	"crypto/rand"
	"errors"
	"sync"

	"github.com/tributary-dicom/tributary/storage/blob/dirblob/disk"
)

const (
	// stageBytes gathers small writes: a door hands on what one PDU carried.
	stageBytes = 256 << 10

	// The disk is told to write a large blob every writebackBytes, so that it never idles. What lies
	// more than dirtyBytes behind is waited for; else the last sync would wait for gigabytes.
	writebackBytes = 4 << 20
	dirtyBytes     = 16 << 20

	// spaceEvery is how often a large blob looks at the reserve again.
	spaceEvery = 64 << 20
)

var stages = sync.Pool{New: func() any { return new([stageBytes]byte) }}

// tempFile is a large blob that is not committed.
type tempFile struct {
	s      *Store
	name   string // path below the store's folder
	file   disk.File
	stage  *[stageBytes]byte
	staged int
	off    int64 // where the stage goes
	hinted int64 // up to where the disk was told to write
	waited int64 // up to where it has written
	check  int64 // where to look at the reserve
	moved  bool
}

func (s *Store) createTemp() (*tempFile, error) {
	if err := s.checkSpace(); err != nil {
		return nil, err
	}
	name := tmpDir + "/" + newID(s.opt.Now())
	f, err := s.fs.Create(s.path(name))
	if err != nil {
		return nil, s.failed("create blob file", err)
	}
	return &tempFile{
		s: s, name: name, file: f,
		stage: stages.Get().(*[stageBytes]byte),
		off:   filePrefix, hinted: filePrefix, waited: filePrefix,
		check: spaceEvery,
	}, nil
}

func (t *tempFile) write(p []byte) error {
	for len(p) > 0 {
		if t.staged == 0 && len(p) >= stageBytes {
			n := min(len(p), writebackBytes)
			if err := t.put(p[:n]); err != nil {
				return err
			}
			p = p[n:]
			continue
		}
		n := copy(t.stage[t.staged:], p)
		t.staged += n
		p = p[n:]
		if t.staged == stageBytes {
			if err := t.flush(); err != nil {
				return err
			}
		}
	}
	return nil
}

func (t *tempFile) flush() error {
	n := t.staged
	t.staged = 0
	if n == 0 {
		return nil
	}
	return t.put(t.stage[:n])
}

func (t *tempFile) put(p []byte) error {
	if t.off+int64(len(p)) > t.check {
		if err := t.s.checkSpace(); err != nil {
			return err
		}
		t.check += spaceEvery
	}
	if err := t.file.WriteVec([][]byte{p}, t.off); err != nil {
		return t.s.failed("write blob file", err)
	}
	t.off += int64(len(p))
	if t.off-t.hinted < writebackBytes {
		return nil
	}
	late := max(0, t.off-dirtyBytes-t.waited)
	if err := t.file.Writeback(t.hinted, t.off-t.hinted, t.waited, late); err != nil {
		return t.s.failed("write blob file", err)
	}
	t.hinted = t.off
	t.waited += late
	return nil
}

// drop removes the file, unless it was moved away. What cannot be removed now, the next Open removes.
func (t *tempFile) drop() {
	_ = t.close()
	if !t.moved {
		_ = t.s.fs.Remove(t.s.path(t.name))
	}
}

func (t *tempFile) close() error {
	if t.file == nil {
		return nil
	}
	err := t.file.Close()
	t.file = nil
	stages.Put(t.stage)
	t.stage = nil
	return err
}

// commitFile makes the blob a file of its own.
func (w *writer) commitFile(r *record) error {
	if err := w.s.writable(); err != nil {
		return err
	}
	if w.file == nil {
		if err := w.spill(); err != nil {
			return err
		}
	}
	t := w.file
	if err := t.flush(); err != nil {
		return err
	}
	now := w.s.opt.Now().UTC()
	h := &r.header
	h.kind, h.created = kindFile, now.UnixNano()
	_, _ = rand.Read(h.id[:]) // never fails: crypto/rand
	sums := w.sums.encode()
	h.sums = int64(len(sums))
	head := make([]byte, filePrefix)
	h.encode(head)
	err := t.file.WriteVec([][]byte{r.meta, sums}, h.metaOffset())
	if err == nil {
		err = t.file.WriteVec([][]byte{head}, 0)
	}
	if err == nil {
		err = t.file.Datasync()
	}
	if err = errors.Join(err, t.close()); err != nil {
		return w.s.failed("write blob file", err)
	}
	p := place{day: dayOf(now), name: newID(now) + fileSuffix}
	if err := w.s.ensureDay(p.day); err != nil {
		return err
	}
	if err := w.s.publish(t, p); err != nil {
		return err
	}
	r.key, r.created = p.key(), now
	return nil
}

// publish moves a synced file to where its key says. Nobody sees it before the folder is synced too.
func (s *Store) publish(t *tempFile, p place) error {
	s.sight.set(p.file(), 0)
	if err := s.fs.Rename(s.path(t.name), s.path(p.file())); err != nil {
		return s.inDoubt("name blob file", err, repair{name: p.file()})
	}
	t.moved = true
	if err := s.folders.do(s.path(p.day)); err != nil {
		return s.inDoubt("sync folder", err, repair{name: p.file()})
	}
	s.sight.clear(p.file())
	return nil
}
