package dirblob

import (
	"encoding/binary"
	"errors"
	"fmt"
	"hash/crc32"
	"io"
	"math"
)

// A pack is one block that tells its id, and then records. A large blob's file is one record. Numbers are
// little endian.
//
//	record   0  magic "TRb1"            4
//	         4  kind                    1   'p' in a pack, 'f' in its own file, 'v' void
//	         5  zero                    3
//	         8  id                      8   random, of the pack or the file
//	        16  offset of this record   8
//	        24  payload length          8
//	        32  meta length             4
//	        36  payload CRC32C          4
//	        40  meta CRC32C             4
//	        44  length of the sums      4   0 where there are none
//	        48  created, Unix ns        8
//	        56  offset of the batch     8   everything before it was durable when this was written
//	        64  CRC32C of bytes 0–63    4
//	        68  zero                    4
//	        72  mark                    1   0, deleted or torn: the only byte that ever changes
//	        73  zero                        up to 128 ('p') or 4096 ('f')
//	         …  payload, meta JSON, sums, zeros to a whole block
//
// A file has sums, so that a range can be checked without reading all of it: the CRC32C of each mebibyte
// of the payload, and at last of the sums themselves.
//
// The header is written last (a file) or with the rest (a pack), when all lengths and sums are known. The
// id is never told to anybody, so that a payload cannot pretend to be a record. No block holds bytes of
// two records: writing one cannot hurt another, whatever a power cut does to the block.
const (
	headerBytes  = 80
	blockBytes   = 4096
	packPrefix   = 128        // from a record in a pack to its payload
	filePrefix   = blockBytes // from the start of a file to its payload
	packHeadSize = blockBytes // from the start of a pack to its first record
	markOffset   = 72

	recordMagic = 0x31625254 // "TRb1"
	packMagic   = 0x31705254 // "TRp1"
)

type kind byte

const (
	kindPacked kind = 'p'
	kindFile   kind = 'f'
	kindVoid   kind = 'v'
)

// A mark is one byte, which no crash can tear, and differs from the others in five bits at least, so that
// a flipped one shows.
const (
	markLive    byte = 0x00
	markDeleted byte = 0xDE
	markTorn    byte = 0x75
)

var castagnoli = crc32.MakeTable(crc32.Castagnoli)

// errNoHeader: these bytes are no record header.
var errNoHeader = errors.New("no record header")

// errRottenHeader: these bytes were a record header once.
var errRottenHeader = errors.New("record header is damaged")

type header struct {
	kind       kind
	id         [8]byte
	offset     int64
	payload    int64 // bytes
	meta       int64 // bytes
	payloadCRC uint32
	metaCRC    uint32
	sums       int64 // bytes
	created    int64 // Unix nanoseconds
	batch      int64
	mark       byte
}

// payloadOffset counts from the start of the file.
func (h *header) payloadOffset() int64 {
	if h.kind == kindFile {
		return h.offset + filePrefix
	}
	return h.offset + packPrefix
}

func (h *header) metaOffset() int64 { return h.payloadOffset() + h.payload }

func (h *header) sumsOffset() int64 { return h.metaOffset() + h.meta }

// end is where the next record starts.
func (h *header) end() int64 { return roundUp(h.sumsOffset() + h.sums) }

func roundUp(n int64) int64 { return (n + blockBytes - 1) &^ (blockBytes - 1) }

func (h *header) encode(b []byte) {
	clear(b[:headerBytes])
	le := binary.LittleEndian
	le.PutUint32(b, recordMagic)
	b[4] = byte(h.kind)
	copy(b[8:], h.id[:])
	le.PutUint64(b[16:], uint64(h.offset))
	le.PutUint64(b[24:], uint64(h.payload))
	le.PutUint32(b[32:], uint32(h.meta))
	le.PutUint32(b[36:], h.payloadCRC)
	le.PutUint32(b[40:], h.metaCRC)
	le.PutUint32(b[44:], uint32(h.sums))
	le.PutUint64(b[48:], uint64(h.created))
	le.PutUint64(b[56:], uint64(h.batch))
	le.PutUint32(b[64:], crc32.Checksum(b[:64], castagnoli))
	b[markOffset] = h.mark
}

// decodeHeader accepts what encode wrote at this place of this file, and nothing else. id nil accepts any.
func decodeHeader(b []byte, at int64, id *[8]byte) (header, error) {
	if len(b) < headerBytes {
		return header{}, errNoHeader
	}
	le := binary.LittleEndian
	h := header{
		kind:       kind(b[4]),
		id:         [8]byte(b[8:16]),
		offset:     int64(le.Uint64(b[16:])),
		payload:    int64(le.Uint64(b[24:])),
		meta:       int64(le.Uint32(b[32:])),
		payloadCRC: le.Uint32(b[36:]),
		metaCRC:    le.Uint32(b[40:]),
		sums:       int64(le.Uint32(b[44:])),
		created:    int64(le.Uint64(b[48:])),
		batch:      int64(le.Uint64(b[56:])),
		mark:       b[markOffset],
	}
	isMagic := le.Uint32(b) == recordMagic
	isOurs := id == nil || h.id == *id
	if le.Uint32(b[64:]) != crc32.Checksum(b[:64], castagnoli) {
		if isMagic || id != nil && isOurs {
			return header{}, errRottenHeader
		}
		return header{}, errNoHeader
	}
	switch {
	case !isMagic, !isOurs, h.offset != at,
		h.kind != kindPacked && h.kind != kindFile && h.kind != kindVoid,
		h.kind == kindFile && at != 0,
		h.payload < 0 || h.payload > math.MaxInt64/4 || h.offset > math.MaxInt64/4,
		h.meta > maxMetaBytes,
		h.sums != 0 && (h.kind != kindFile || h.sums != sumsBytes(h.payload)),
		h.batch < 0 || h.batch > h.offset:
		return header{}, errNoHeader
	}
	return h, nil
}

// readHeader reads the header of the record at a place.
func readHeader(f io.ReaderAt, at int64, id *[8]byte) (header, error) {
	var b [headerBytes]byte
	n, err := f.ReadAt(b[:], at)
	if err != nil && !errors.Is(err, io.EOF) {
		return header{}, fmt.Errorf("read record header: %w", err)
	}
	return decodeHeader(b[:n], at, id)
}

// encodePackHead fills the first block of a pack.
func encodePackHead(b []byte, id [8]byte) {
	binary.LittleEndian.PutUint32(b, packMagic)
	copy(b[8:], id[:])
	binary.LittleEndian.PutUint32(b[16:], crc32.Checksum(b[:16], castagnoli))
}

// readPackID returns a pack's id: from its first block, or from its first record where that block is
// damaged, for only this store writes at the place of the first record. ok is false when neither is whole.
func readPackID(f io.ReaderAt) (id [8]byte, ok bool, err error) {
	var b [20]byte
	if _, err := f.ReadAt(b[:], 0); err != nil && !errors.Is(err, io.EOF) {
		return id, false, fmt.Errorf("read pack: %w", err)
	}
	le := binary.LittleEndian
	if le.Uint32(b[:]) == packMagic && le.Uint32(b[16:]) == crc32.Checksum(b[:16], castagnoli) {
		return [8]byte(b[8:16]), true, nil
	}
	h, err := readHeader(f, packHeadSize, nil)
	if errors.Is(err, errNoHeader) || errors.Is(err, errRottenHeader) || err == nil && h.kind == kindFile {
		return id, false, nil
	}
	return h.id, err == nil, err
}
