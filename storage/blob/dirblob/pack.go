package dirblob

import (
	"crypto/rand"
	"errors"
	"io/fs"
	"strings"
	"time"

	"github.com/tributary-dicom/tributary/storage/blob/dirblob/disk"
)

// pack is the one pack that grows. Whoever runs a round of Store.packs owns it.
type pack struct {
	day    string
	base   string // "ID.p"
	name   string // path below the store's folder
	marker string // path of its mark in active
	id     [8]byte
	file   disk.File
	size   int64 // acknowledged bytes; 0 before the first batch
	ahead  int64 // bytes written, zeros included
}

// record is a small blob on its way into a pack.
type record struct {
	header  header
	payload [][]byte
	meta    []byte

	// Filled by the batch.
	key     string
	created time.Time
}

func (r *record) bytes() int64 { return roundUp(packPrefix + r.header.payload + r.header.meta) }

// batch is what one write and one sync make durable.
type batch struct {
	records []*record
	bytes   int64
}

// maxBatchRecords bounds the buffers of one write, for many tiny blobs.
const maxBatchRecords = 512

func (b *batch) add(r *record) bool {
	n := r.bytes()
	if len(b.records) > 0 && (b.bytes+n > maxBatchBytes || len(b.records) == maxBatchRecords) {
		return false
	}
	b.records = append(b.records, r)
	b.bytes += n
	return true
}

var zeros [256 << 10]byte

// commitRecord returns once r is durable, together with whatever else waits.
func (s *Store) commitRecord(r *record) error {
	return s.packs.do(func(b *batch) bool { return b.add(r) }, s.writeBatch)
}

func (s *Store) writeBatch(b *batch) error {
	if err := s.writable(); err != nil {
		return err
	}
	now := s.opt.Now().UTC()
	day := dayOf(now)
	if p := s.active; p != nil && (p.day != day || p.size > packHeadSize && p.size+b.bytes > s.opt.PackBytes) {
		if err := s.sealActive(); err != nil {
			return err
		}
	}
	if s.active == nil {
		if err := s.beginPack(day, now); err != nil {
			return err
		}
	}
	p := s.active
	vec, end := p.layOut(b, now)
	ahead := max(p.ahead, end)
	if extra := s.prewrite(p, b, end); extra > 0 {
		ahead = end + extra
		for ; extra > 0; extra -= int64(len(zeros)) {
			vec = append(vec, zeros[:min(extra, int64(len(zeros)))])
		}
	}
	err := p.file.WriteVec(vec, p.size)
	if err == nil {
		err = p.file.Datasync()
	}
	if err != nil {
		return s.breakPack(err)
	}
	p.size, p.ahead = end, ahead
	s.sight.set(p.name, end)
	return nil
}

// layOut returns the buffers that go to the end of the pack, and where they end.
func (p *pack) layOut(b *batch, now time.Time) (vec [][]byte, end int64) {
	vec = make([][]byte, 0, 4*len(b.records)+16)
	start := p.size
	if start == 0 {
		head := make([]byte, packHeadSize)
		encodePackHead(head, p.id)
		vec = append(vec, head)
		start = packHeadSize
	}
	prefixes := make([]byte, packPrefix*len(b.records))
	at := start
	for i, r := range b.records {
		h := &r.header
		h.kind, h.id, h.offset, h.batch, h.created = kindPacked, p.id, at, start, now.UnixNano()
		prefix := prefixes[i*packPrefix:][:packPrefix]
		h.encode(prefix)
		vec = append(vec, prefix)
		vec = append(vec, r.payload...)
		vec = append(vec, r.meta, zeros[:h.end()-h.metaOffset()-h.meta])
		at = h.end()
		r.key = place{day: p.day, name: p.base, offset: h.offset, length: h.payload}.key()
		r.created = now
	}
	return vec, at
}

// prewrite returns how many zeros to write behind a batch. Overwriting allocated blocks spares the sync a
// journal commit; a lone sender gains, a full batch would only pay for the bytes.
func (s *Store) prewrite(p *pack, b *batch, end int64) int64 {
	n := s.opt.PrewriteBytes
	if n <= 0 || end <= p.ahead || b.bytes > prewriteBatchBytes {
		return 0
	}
	room, err := s.room()
	if err != nil || room < 16*n {
		return 0
	}
	return n
}

// beginPack makes an empty pack. Its mark in active is durable before it can hold anything.
func (s *Store) beginPack(day string, now time.Time) error {
	if err := s.ensureDay(day); err != nil {
		return err
	}
	id := newID(now)
	p := &pack{
		day:    day,
		base:   id + packSuffix,
		name:   day + "/" + id + packSuffix,
		marker: activeDir + "/" + markerName(day, id),
	}
	_, _ = rand.Read(p.id[:]) // never fails: crypto/rand
	s.sight.set(p.name, 0)
	if err := s.createPack(p); err != nil {
		return s.inDoubt("begin pack", err, repair{name: p.name, marker: p.marker})
	}
	s.active = p
	return nil
}

func (s *Store) createPack(p *pack) error {
	m, err := s.fs.Create(s.path(p.marker))
	if err != nil {
		return err
	}
	if err := m.Close(); err != nil {
		return err
	}
	if err := s.folders.do(s.path(activeDir)); err != nil {
		return err
	}
	p.file, err = s.fs.Create(s.path(p.name))
	if err != nil {
		return err
	}
	if err := s.folders.do(s.path(p.day)); err != nil {
		return errors.Join(err, p.file.Close())
	}
	return nil
}

// markerName is the name in active of a pack: "2026-11-22-ID".
func markerName(day, id string) string { return strings.ReplaceAll(day, "/", "-") + "-" + id }

// packOfMarker returns the pack's path for the name of a mark, "" for a foreign name.
func packOfMarker(marker string) string {
	if len(marker) < len(dayLayout)+1 || marker[len(dayLayout)] != '-' {
		return ""
	}
	day := strings.ReplaceAll(marker[:len(dayLayout)], "-", "/")
	id := marker[len(dayLayout)+1:]
	if !isDay(day) || !isID(id) {
		return ""
	}
	return day + "/" + id + packSuffix
}

// breakPack gives up the active pack after a failed write or sync: its file is never used again, and what
// was not acknowledged is cut off.
func (s *Store) breakPack(cause error) error {
	p := s.active
	s.active = nil
	_ = p.file.Close() // the cause is what matters
	return s.inDoubt("write pack", cause, repair{name: p.name, keep: p.size, marker: p.marker})
}

// sealActive closes the active pack, if there is one, at its acknowledged length.
func (s *Store) sealActive() error {
	p := s.active
	if p == nil {
		return nil
	}
	if p.size == 0 {
		s.active = nil
		err := p.file.Close()
		return errors.Join(err, s.repair(repair{name: p.name, marker: p.marker}))
	}
	var err error
	if p.ahead > p.size {
		if err = p.file.Truncate(p.size); err == nil {
			err = p.file.Datasync()
		}
	}
	if err != nil {
		return s.breakPack(err)
	}
	s.active = nil
	err = p.file.Close()
	if rerr := s.fs.Remove(s.path(p.marker)); rerr != nil && !errors.Is(rerr, fs.ErrNotExist) {
		err = errors.Join(err, rerr) // harmless: the next Open looks at the pack once more
	}
	s.sight.clear(p.name)
	if err != nil {
		return s.failed("close pack", err)
	}
	return s.packClosed(p.name)
}
