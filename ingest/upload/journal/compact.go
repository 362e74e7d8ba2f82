package journal

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
)

// wasteful tells whether enough of the journal is out of date to compact it.
func (j *Journal) wasteful() bool {
	j.mu.RLock()
	defer j.mu.RUnlock()
	if len(j.segments) < 2 || j.total < j.patient {
		return false
	}
	return j.total > 2*j.live+2*j.segmentBytes || int64(len(j.segments)) > 16+2*j.live/j.segmentBytes
}

// tryCompact compacts. A failure costs disk alone; it is tried again when another segment is full.
func (j *Journal) tryCompact() {
	if err := j.compact(); err != nil {
		j.patient = j.total + j.segmentBytes
		j.logger.Warn("journal could not be compacted", "error", err.Error())
	}
}

// compact appends what still counts in the oldest segment again and deletes the segment. The caller holds
// the turn, so that nothing changes meanwhile.
func (j *Journal) compact() error {
	old := j.segments[0]
	b := make([]byte, old.end)
	if _, err := old.file.ReadAt(b, 0); err != nil {
		return err
	}
	var batch []*change
	bytes := int64(0)
	flush := func() error {
		if len(batch) == 0 {
			return nil
		}
		err := j.write(batch)
		batch, bytes = nil, 0
		return err
	}
	for at := 0; at < len(b); {
		key, tag, doc, size, ok := parseFrame(b[at:])
		if !ok {
			return fmt.Errorf("segment %d is damaged at %d", old.number, at)
		}
		j.mu.RLock()
		p := j.places[key]
		j.mu.RUnlock()
		if p.segment == old && int(p.offset) == at {
			if bytes += int64(size); bytes > min(maxBatch, j.segmentBytes) {
				if err := flush(); err != nil {
					return err
				}
				bytes = int64(size)
			}
			batch = append(batch, &change{key: key, tag: tag, doc: doc})
		}
		at += size
	}
	if err := flush(); err != nil {
		return err
	}
	if j.active != nil { // what was put lazily counts by now against what is deleted
		if err := datasync(j.active.file); err != nil {
			j.suspect = true
			return err
		}
	}
	// Emptied first, so that a file that cannot be deleted brings nothing back; durably, before the next
	// segment can go, since that may hold the removal of what was here.
	j.mu.Lock()
	err := old.file.Truncate(0)
	if err == nil {
		j.segments = j.segments[1:]
		j.total -= old.end
	}
	j.mu.Unlock()
	if err != nil {
		return err
	}
	return errors.Join(old.file.Sync(), old.file.Close(), os.Remove(filepath.Join(j.dir, segmentName(old.number))), SyncFolder(j.dir))
}
