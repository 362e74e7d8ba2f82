package scpecg

import (
	"bytes"
	"encoding/binary"
	"fmt"
	"strconv"

	"github.com/tributary-dicom/tributary/parsers/ecg"
	"github.com/tributary-dicom/tributary/parsers/reject"
)

// Sizes of the container (§5.2, §5.3), bytes.
const (
	recordHead   = 6  // CRC, size
	sectionHead  = 16 // CRC, id, length, versions, 6 reserved
	pointerBytes = 10 // id, length, index from 1
)

// Bounds of the container: the standard has 12 sections, version 3 has 19, makers add a few.
const (
	maxSection0 = 64 << 10
	maxSections = 1024
	maxID       = 1023 // of makers' sections (§5.3.3)
)

// section is where one lies.
type section struct {
	id       int
	offset   int64 // of its header in the file
	length   int64 // header included
	version  byte  // of the section, 20 for 2.0
	protocol byte
}

// open reads the record's head and pointers, and gives its verdict on every CRC.
func (d *decoder) open() error {
	size := d.src.Size
	if size < recordHead+sectionHead+pointerBytes {
		return reject.At(reject.Truncated, op, 0, "%d bytes", size)
	}
	head, err := d.src.Bytes(0, recordHead+sectionHead)
	if err != nil {
		return err
	}
	end := int64(binary.LittleEndian.Uint32(head[2:]))
	switch {
	case end > size:
		d.rec.Warn(ecg.WarnTruncated, "file")
		end = size
	case end < recordHead+sectionHead+pointerBytes:
		d.rec.Warn(ecg.WarnHeaderDiffers, "size of the record")
		end = size
	case end < size:
		d.rec.Warn(ecg.WarnTrailingBytes, "file")
	}
	d.budget = 2*size + 1<<20
	if err := d.verify(binary.LittleEndian.Uint16(head), 2, end-2, "file"); err != nil {
		return err
	}
	return d.pointers(head[recordHead:])
}

// verify warns when n bytes from offset have another CRC than the stored one. Overlapping sections could make
// it read the file over and over; it stops when it has read it all twice.
func (d *decoder) verify(stored uint16, offset, n int64, where string) error {
	if d.budget -= n; d.budget < 0 {
		d.rec.Warn(ecg.WarnLayout, "overlapping sections")
		return nil
	}
	crc, err := crcOf(d.src.At, offset, n)
	if err != nil {
		return fmt.Errorf("%s: read: %w", op, err)
	}
	if crc == stored {
		return nil
	}
	if stored == 0 || stored == 0xFFFF {
		d.rec.Warn(ecg.WarnChecksumAbsent, where)
	} else {
		d.rec.Warn(ecg.WarnChecksum, where)
	}
	return nil
}

// pointers reads section 0, whose head is given, and finds the sections.
func (d *decoder) pointers(head []byte) error {
	length := int64(binary.LittleEndian.Uint32(head[4:]))
	if id := binary.LittleEndian.Uint16(head[2:]); id != 0 || length < sectionHead+pointerBytes || length > maxSection0 {
		return reject.At(reject.Malformed, op, recordHead, "section %d of %d bytes where section 0 must be", id, length)
	}
	b, err := d.src.Bytes(recordHead, length)
	if err != nil {
		return err
	}
	before := len(d.rec.Warnings)
	if err := d.verify(binary.LittleEndian.Uint16(b), recordHead+2, length-2, "section 0"); err != nil {
		return err
	}
	if !bytes.Equal(b[10:16], []byte("SCPECG")) {
		if len(d.rec.Warnings) != before {
			return reject.At(reject.Malformed, op, recordHead, "neither the name SCPECG nor a CRC that fits section 0")
		}
		d.rec.Warn(ecg.WarnLayout, "section 0 lacks the name SCPECG")
	}
	d.rec.FormatVersion = fmt.Sprintf("%d.%d", b[9]/10, b[9]%10)
	if b[9] == 0 {
		d.rec.FormatVersion = fmt.Sprintf("%d.%d", b[8]/10, b[8]%10)
	}
	for f := (fields{b: b[sectionHead:]}); len(f.b) >= pointerBytes; {
		id, length, index := f.u16(), f.u32(), f.u32()
		if length == 0 || id == 0 {
			continue
		}
		if id > maxID || len(d.sections) >= maxSections {
			d.rec.Warn(ecg.WarnUnsupportedPart, "section "+strconv.Itoa(id))
			continue
		}
		if _, twice := d.sections[id]; twice {
			d.rec.Warn(ecg.WarnLayout, where(id)+" has two pointers")
			continue
		}
		if err := d.locate(id, length, index-1); err != nil {
			return err
		}
	}
	return nil
}

// where names a section in warnings.
func where(id int) string { return "section " + strconv.Itoa(id) }

// locate finds a section where its pointer says, or else by walking from section to section.
func (d *decoder) locate(id int, length, offset int64) error {
	s, ok, err := d.headAt(offset)
	if err != nil {
		return err
	}
	if !ok || s.id != id {
		if s, ok, err = d.walkTo(id); err != nil {
			return err
		}
		if !ok {
			d.broken[id] = offset
			return nil
		}
		d.rec.Warn(ecg.WarnHeaderDiffers, "pointer to "+where(id))
		length = s.length
	}
	stated := s.length
	s.length = length
	if stated != length {
		d.rec.Warn(ecg.WarnHeaderDiffers, "length of "+where(id))
		if fits := stated >= sectionHead && stated <= d.src.Size-s.offset; fits && (length < sectionHead || length > d.src.Size-s.offset) {
			s.length = stated
		}
	}
	if s.length < sectionHead || s.length > d.src.Size-s.offset {
		d.broken[id] = s.offset
		return nil
	}
	d.sections[id] = s
	if s.length == sectionHead {
		return nil // a section without data
	}
	b, err := d.src.Bytes(s.offset, 2)
	if err != nil {
		return err
	}
	return d.verify(binary.LittleEndian.Uint16(b), s.offset+2, s.length-2, where(id))
}

// headAt reads the section header at offset; ok is false when none fits there.
func (d *decoder) headAt(offset int64) (s section, ok bool, err error) {
	if offset < recordHead || offset > d.src.Size-sectionHead {
		return section{}, false, nil
	}
	b, err := d.src.Bytes(offset, sectionHead)
	if err != nil {
		return section{}, false, err
	}
	return section{
		id: int(binary.LittleEndian.Uint16(b[2:])), offset: offset,
		length: int64(binary.LittleEndian.Uint32(b[4:])), version: b[8], protocol: b[9],
	}, true, nil
}

// walkTo looks for a section by going from one to the next.
func (d *decoder) walkTo(id int) (section, bool, error) {
	if d.walked == nil {
		d.walked = map[int]section{}
		offset := int64(recordHead)
		for range maxSections {
			s, ok, err := d.headAt(offset)
			if err != nil {
				return section{}, false, err
			}
			if !ok || s.length < sectionHead || s.length > d.src.Size-offset {
				break
			}
			if _, have := d.walked[s.id]; !have {
				d.walked[s.id] = s
			}
			offset += s.length
		}
	}
	s, ok := d.walked[id]
	return s, ok, nil
}

// body returns a section's data. ok is false when there is none. A section that its pointer puts outside the
// file is an error when needed, and a warning when not.
func (d *decoder) body(id int, needed bool) (b []byte, ok bool, err error) {
	s, ok := d.sections[id]
	if !ok {
		offset, broken := d.broken[id]
		if broken && needed {
			return nil, false, reject.At(reject.Truncated, op, max(offset, 0), "%s lies outside the file", where(id))
		}
		if broken {
			d.rec.Warn(ecg.WarnTruncated, where(id))
		}
		return nil, false, nil
	}
	n := s.length - sectionHead
	if n == 0 {
		return nil, false, nil
	}
	if n > d.lim.HeaderBytes {
		if needed {
			return nil, false, reject.At(reject.HeaderTooLarge, op, s.offset, "%s has %d bytes", where(id), n)
		}
		d.rec.Warn(ecg.WarnUnsupportedPart, where(id))
		return nil, false, nil
	}
	b, err = d.src.Bytes(s.offset+sectionHead, n)
	return b, err == nil, err
}
