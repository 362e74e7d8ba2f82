package dirblob

import (
	"errors"
	"fmt"
	"hash/crc32"
	"io"
	"io/fs"

	"github.com/tributary-dicom/tributary/storage/blob/dirblob/disk"
)

// recover repairs the packs that were not closed: usually one.
func (s *Store) recover() error {
	names, err := s.fs.ReadDir(s.path(activeDir))
	if err != nil {
		return err
	}
	for _, m := range names {
		name := packOfMarker(m)
		if name == "" {
			continue // not ours: leave it alone
		}
		if err := s.recoverPack(name); err != nil {
			return fmt.Errorf("recover pack %s: %w", name, err)
		}
		if err := s.fs.Remove(s.path(activeDir + "/" + m)); err != nil {
			return err
		}
	}
	return nil
}

// recoverPack cuts a pack after its last whole record. Only the last batch can be torn, since a batch is
// written when the one before is durable; so only its payloads are read.
func (s *Store) recoverPack(name string) error {
	path := s.path(name)
	f, err := s.fs.OpenWrite(path)
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	if err != nil {
		return err
	}
	size, err := f.Size()
	if err != nil {
		return errors.Join(err, f.Close())
	}
	id, ok, err := readPackID(f)
	if err != nil {
		return errors.Join(err, f.Close())
	}
	if !ok {
		err := f.Close()
		if size > packHeadSize+maxBatchBytes+s.opt.PrewriteBytes {
			// More than a first batch: there were acknowledged blobs. Keep the bytes for people.
			s.opt.Log.Error("pack is damaged beyond recovery and was left alone", "pack", name, "bytes", size)
			return err
		}
		return errors.Join(err, s.removePack(name))
	}
	t, err := findTail(f, id, size)
	if err != nil {
		return errors.Join(err, f.Close())
	}
	if t.end <= packHeadSize {
		return errors.Join(f.Close(), s.removePack(name))
	}
	err = t.mend(f, id, size)
	if err := errors.Join(err, f.Close()); err != nil {
		return err
	}
	s.opt.Log.Info("pack recovered", "pack", name, "bytes", t.end, "bytes_cut", size-t.end, "records_torn", len(t.torn)+len(t.gaps))
	if t.live == 0 {
		return s.removePack(name)
	}
	return nil
}

func (s *Store) removePack(name string) error {
	if err := s.fs.Remove(s.path(name)); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	day := name[:len(dayLayout)]
	return s.folders.do(s.path(day))
}

// tail is what a crash left of a pack's last batch.
type tail struct {
	batch int64      // where it starts
	end   int64      // where the pack is to end
	torn  []header   // records before end that are not whole
	gaps  [][2]int64 // bytes of the batch before end that are no records
	live  int        // records before end that are neither deleted nor torn
}

func findTail(f io.ReaderAt, id [8]byte, size int64) (tail, error) {
	t := tail{batch: packHeadSize}
	var last []header // of the last batch
	var gaps [][2]int64
	err := walker{
		visit: func(h header) error {
			if h.batch > t.batch {
				t.batch, last = h.batch, last[:0]
			}
			if h.offset >= t.batch {
				last = append(last, h)
			}
			if h.kind == kindPacked && h.mark == markLive {
				t.live++
			}
			return nil
		},
		gap: func(from, to int64) { gaps = append(gaps, [2]int64{from, to}) },
	}.walk(f, id, size)
	if err != nil {
		return t, err
	}
	t.end = t.batch
	var torn []header
	for _, h := range last {
		whole := h.kind == kindPacked && h.mark != markLive // judged before, its bytes may be gone
		if h.kind == kindPacked && h.mark == markLive {
			if whole, err = isWhole(f, h); err != nil {
				return t, err
			}
			if !whole {
				torn = append(torn, h)
				t.live--
			}
		}
		if whole {
			t.end = h.end()
		}
	}
	for _, h := range torn {
		if h.offset < t.end {
			t.torn = append(t.torn, h)
		}
	}
	for _, g := range gaps {
		if g[0] >= t.batch && g[1] <= t.end {
			t.gaps = append(t.gaps, g)
		}
	}
	return t, nil
}

// mend makes the records before the end readable one after another, and drops the rest.
func (t tail) mend(f disk.File, id [8]byte, size int64) error {
	for _, h := range t.torn {
		if err := writeMark(f, h, markTorn); err != nil {
			return err
		}
	}
	for _, g := range t.gaps {
		h := header{kind: kindVoid, id: id, offset: g[0], payload: g[1] - g[0] - packPrefix, batch: t.batch}
		b := make([]byte, packPrefix)
		h.encode(b)
		if err := f.WriteVec([][]byte{b}, g[0]); err != nil {
			return err
		}
	}
	if size > t.end {
		if err := f.Truncate(t.end); err != nil {
			return err
		}
	}
	return f.Datasync()
}

func writeMark(f disk.File, h header, mark byte) error {
	return f.WriteVec([][]byte{{mark}}, h.offset+markOffset)
}

// isWhole reads a record and compares its sums.
func isWhole(f io.ReaderAt, h header) (bool, error) {
	for _, part := range []struct {
		off, n int64
		crc    uint32
	}{
		{h.payloadOffset(), h.payload, h.payloadCRC},
		{h.metaOffset(), h.meta, h.metaCRC},
	} {
		sum := crc32.New(castagnoli)
		n, err := io.Copy(sum, io.NewSectionReader(f, part.off, part.n))
		if err != nil {
			return false, err
		}
		if n != part.n || sum.Sum32() != part.crc {
			return false, nil
		}
	}
	return true, nil
}
