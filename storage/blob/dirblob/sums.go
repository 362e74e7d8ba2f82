package dirblob

import (
	"encoding/binary"
	"errors"
	"fmt"
	"hash/crc32"
	"io"

	"github.com/tributary-dicom/tributary/storage/blob"
)

// sumEvery is how many bytes of a payload one sum covers: what a reader of one frame reads more at most,
// against four bytes a mebibyte on the disk.
const sumEvery = 1 << 20

// sumsBytes is the length of the sums of a payload.
func sumsBytes(payload int64) int64 { return 4 * ((payload+sumEvery-1)/sumEvery + 1) }

// sums gathers the sums of a payload while it is written.
type sums struct {
	done  []byte // encoded
	whole uint32 // of all pieces done
	crc   uint32 // of the piece under way
	n     int64  // its bytes
}

func (s *sums) add(p []byte) {
	for len(p) > 0 {
		n := min(int64(len(p)), sumEvery-s.n)
		s.crc = crc32.Update(s.crc, castagnoli, p[:n])
		if s.n += n; s.n == sumEvery {
			s.close()
		}
		p = p[n:]
	}
}

func (s *sums) close() {
	s.done = binary.LittleEndian.AppendUint32(s.done, s.crc)
	s.whole = s.payload()
	s.crc, s.n = 0, 0
}

// payload returns the sum of all that was added.
func (s *sums) payload() uint32 { return joined(s.whole, s.crc, s.n) }

// encode returns what is stored. Nothing may be added afterwards.
func (s *sums) encode() []byte {
	if s.n > 0 {
		s.close()
	}
	return binary.LittleEndian.AppendUint32(s.done, crc32.Checksum(s.done, castagnoli))
}

// readSums returns the sums of a blob, nil where it has none.
func readSums(f io.ReaderAt, h *header) ([]byte, error) {
	if h.sums == 0 {
		return nil, nil
	}
	table := make([]byte, h.sums) // as the payload's length says: decodeHeader
	if n, err := f.ReadAt(table, h.sumsOffset()); n < len(table) {
		if errors.Is(err, io.EOF) {
			err = blob.ErrCorrupt
		}
		return nil, fmt.Errorf("read sums: %w", err)
	}
	table, last := table[:len(table)-4], table[len(table)-4:]
	if crc32.Checksum(table, castagnoli) != binary.LittleEndian.Uint32(last) {
		return nil, fmt.Errorf("sums: %w", blob.ErrCorrupt)
	}
	return table, nil
}

// sound is the piece of a payload that a reader of a range has found to be what was stored. A record of a
// pack is small and one piece.
type sound struct {
	from, to int64 // in the file; from is -1 before the first
	table    []byte
}

// upTo returns how many of n bytes from r.pos on may be given out, at least one.
func (s *sound) upTo(r *reader, n int64) (int64, error) {
	if s.from < 0 {
		table, err := readSums(r.at.file, &r.at.header)
		if err != nil {
			return 0, fmt.Errorf("blob %s: %w", r.key, err)
		}
		s.from, s.to, s.table = 0, 0, table
	}
	if r.pos < s.from || r.pos >= s.to {
		if err := s.prove(r); err != nil {
			return 0, fmt.Errorf("blob %s: %w", r.key, err)
		}
	}
	return min(n, s.to-r.pos), nil
}

// prove reads the piece around r.pos and compares its sum.
func (s *sound) prove(r *reader) error {
	h := &r.at.header
	from, n, want := int64(0), h.payload, h.payloadCRC
	if s.table != nil {
		i := (r.pos - h.payloadOffset()) / sumEvery
		from, want = i*sumEvery, binary.LittleEndian.Uint32(s.table[4*i:])
		n = min(sumEvery, h.payload-from)
	}
	from += h.payloadOffset()
	buf := stages.Get().(*[stageBytes]byte)
	defer stages.Put(buf)
	crc := uint32(0)
	for at, end := from, from+n; at < end; {
		m, err := r.at.file.ReadAt(buf[:min(stageBytes, end-at)], at)
		if m == 0 && err != nil {
			if errors.Is(err, io.EOF) {
				err = blob.ErrCorrupt // the file became shorter
			}
			return err
		}
		crc = crc32.Update(crc, castagnoli, buf[:m])
		at += int64(m)
	}
	if crc != want {
		return fmt.Errorf("payload: %w", blob.ErrCorrupt)
	}
	s.from, s.to = from, from+n
	return nil
}
