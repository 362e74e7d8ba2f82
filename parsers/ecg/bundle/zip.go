package bundle

import (
	"compress/flate"
	"encoding/binary"
	"hash/crc32"
	"io"
	"strings"

	"github.com/tributary-dicom/tributary/parsers/ecg"
	"github.com/tributary-dicom/tributary/parsers/reject"
)

// ZIP (PKWARE APPNOTE), read by its directory. archive/zip reads a directory of a million entries before it says
// so; here its size is bounded first, and what local headers say must agree.
const (
	endSize       = 22
	end64Size     = 56
	locatorSize   = 20
	centralSize   = 46
	localSize     = 30
	maxDirectory  = 8 << 20 // bytes
	flagEncrypted = 1
	methodStored  = 0
	methodDeflate = 8
)

func malformedZIP(offset int64, what string) error {
	return reject.At(reject.UnsupportedFormat, op, offset, "ZIP: %s", what)
}

// directory is where the directory lies.
type directory struct {
	entries      uint64
	size, offset uint64
	end          int64 // where the end record begins
}

// findDirectory reads the end record (§4.3.16), and that of ZIP64 (§4.3.14) where it is needed.
func findDirectory(f ecg.File) (directory, error) {
	tail, err := f.Bytes(max(0, f.Size-endSize-1<<16), min(f.Size, endSize+1<<16))
	if err != nil {
		return directory{}, err
	}
	base := f.Size - int64(len(tail))
	at := len(tail) - endSize
	for ; at >= 0; at-- {
		if string(tail[at:at+4]) == "PK\x05\x06" && at+endSize+int(binary.LittleEndian.Uint16(tail[at+20:])) <= len(tail) {
			break
		}
	}
	if at < 0 {
		return directory{}, reject.New(reject.Truncated, op, "a ZIP archive without its directory")
	}
	end := tail[at:]
	d := directory{
		entries: uint64(binary.LittleEndian.Uint16(end[10:])), size: uint64(binary.LittleEndian.Uint32(end[12:])),
		offset: uint64(binary.LittleEndian.Uint32(end[16:])), end: base + int64(at),
	}
	if d.entries != 0xFFFF && d.size != 0xFFFFFFFF && d.offset != 0xFFFFFFFF {
		return d, nil
	}
	if d.end < locatorSize {
		return d, malformedZIP(d.end, "no locator")
	}
	locator, err := f.Bytes(d.end-locatorSize, locatorSize)
	if err != nil {
		return d, err
	}
	if string(locator[:4]) != "PK\x06\x07" {
		return d, nil // 65535 entries, and no ZIP64
	}
	where := binary.LittleEndian.Uint64(locator[8:])
	if where > uint64(f.Size) {
		return d, malformedZIP(d.end, "a directory beyond the file")
	}
	end64, err := f.Bytes(int64(where), end64Size)
	if err != nil {
		return d, err
	}
	if string(end64[:4]) != "PK\x06\x06" {
		return d, malformedZIP(int64(where), "no end record")
	}
	d.entries = binary.LittleEndian.Uint64(end64[32:])
	d.size = binary.LittleEndian.Uint64(end64[40:])
	d.offset = binary.LittleEndian.Uint64(end64[48:])
	return d, nil
}

func readZIP(f ecg.File) ([]*member, error) {
	d, err := findDirectory(f)
	if err != nil {
		return nil, err
	}
	if d.entries > MaxEntries || d.size > maxDirectory {
		return nil, reject.New(reject.TooLarge, op, "an archive of %d entries", d.entries)
	}
	if d.offset > uint64(d.end) || d.size > uint64(d.end)-d.offset {
		return nil, malformedZIP(d.end, "a directory beyond the file")
	}
	raw, err := f.Bytes(int64(d.offset), int64(d.size))
	if err != nil {
		return nil, err
	}
	var members []*member
	for n := uint64(0); len(raw) > 0; n++ {
		if n >= d.entries {
			return nil, malformedZIP(int64(d.offset), "more entries than the directory says")
		}
		if len(raw) < centralSize || string(raw[:4]) != "PK\x01\x02" {
			return nil, malformedZIP(int64(d.offset), "a broken directory")
		}
		total := centralSize
		for _, at := range []int{28, 30, 32} { // name, extra, comment
			total += int(binary.LittleEndian.Uint16(raw[at:]))
		}
		if total > len(raw) {
			return nil, malformedZIP(int64(d.offset), "a broken directory")
		}
		m, err := zipMember(f, raw[:total])
		if err != nil {
			return nil, err
		}
		if m != nil {
			members = append(members, m)
		}
		raw = raw[total:]
	}
	if len(members) > int(d.entries) {
		return nil, malformedZIP(int64(d.offset), "a broken directory")
	}
	return members, nil
}

// zipMember reads one entry of the directory; nil for a folder.
func zipMember(f ecg.File, e []byte) (*member, error) {
	u16, u32 := binary.LittleEndian.Uint16, binary.LittleEndian.Uint32
	rawName := string(e[centralSize : centralSize+int(u16(e[28:]))])
	extra := e[centralSize+len(rawName):][:u16(e[30:])]
	name, ok := cleanName(rawName)
	if !ok {
		return nil, reject.New(reject.UnsupportedFormat, op, "a member's name leads out of the archive")
	}
	if e[5] == 3 || e[5] == 19 { // made on Unix or a Mac: the mode tells links and devices
		switch kind := u32(e[38:]) >> 16 & 0xF000; kind {
		case 0, 0x8000: // file
		case 0x4000: // folder
		default:
			return nil, reject.New(reject.UnsupportedFormat, op, "a member that is a link or a device")
		}
	}
	if strings.HasSuffix(rawName, "/") || strings.HasSuffix(rawName, `\`) {
		return nil, nil
	}
	if litter(name) {
		return nil, nil
	}
	method, crc := u16(e[10:]), u32(e[16:])
	in, size, offset := uint64(u32(e[20:])), uint64(u32(e[24:])), uint64(u32(e[42:]))
	for len(extra) >= 4 { // ZIP64 sizes (§4.5.3)
		id, n := u16(extra), int(u16(extra[2:]))
		if n > len(extra)-4 {
			break
		}
		field := extra[4 : 4+n]
		extra = extra[4+n:]
		if id != 1 {
			continue
		}
		for _, v := range []*uint64{&size, &in, &offset} {
			if *v == 0xFFFFFFFF && len(field) >= 8 {
				*v, field = binary.LittleEndian.Uint64(field), field[8:]
			}
		}
	}
	if u16(e[8:])&flagEncrypted != 0 {
		return nil, reject.New(reject.UnsupportedFormat, op, "an encrypted member")
	}
	if offset > uint64(f.Size) {
		return nil, reject.New(reject.Truncated, op, "a member beyond the file")
	}
	local, err := f.Bytes(int64(offset), localSize+int64(len(rawName)))
	if err != nil {
		return nil, err
	}
	if string(local[:4]) != "PK\x03\x04" || u16(local[8:]) != method || string(local[localSize:]) != rawName || int(u16(local[26:])) != len(rawName) {
		return nil, malformedZIP(int64(offset), "a member that is not what the directory says")
	}
	start := int64(offset) + localSize + int64(len(rawName)) + int64(u16(local[28:]))
	if start > f.Size || in > uint64(f.Size-start) {
		return nil, reject.New(reject.Truncated, op, "a member beyond the file")
	}
	m := &member{name: name, size: int64(min(size, 1<<62)), in: int64(in), sum: func(b []byte) bool { return crc32.ChecksumIEEE(b) == crc }}
	switch method {
	case methodStored:
		if in != size {
			return nil, reject.New(reject.ChecksumMismatch, op, "a stored member of %d bytes that says it has %d", in, size)
		}
		m.stored = ecg.File{At: io.NewSectionReader(f.At, start, int64(in)), Size: int64(in)}
	case methodDeflate:
		m.open = func() (io.Reader, error) {
			return flate.NewReader(io.NewSectionReader(f.At, start, int64(in))), nil
		}
	default:
		return nil, reject.New(reject.UnsupportedFormat, op, "ZIP method %d", method)
	}
	return m, nil
}
