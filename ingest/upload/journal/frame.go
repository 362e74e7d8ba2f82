package journal

import (
	"encoding/binary"
	"hash/crc32"
)

// A frame, big endian:
//
//	0   CRC-32C of what follows
//	4   length of the document
//	8   tag; 0 is a removal, without a document
//	9   three zeros
//	12  key
//	28  document
//
// Zeros are no frame: their checksum is wrong.
const (
	frameHeader = 28
	removed     = 0
)

var castagnoli = crc32.MakeTable(crc32.Castagnoli)

// appendFrame appends a frame to b.
func appendFrame(b []byte, key Key, tag Tag, doc []byte) []byte {
	at := len(b)
	b = append(b, 0, 0, 0, 0)
	b = binary.BigEndian.AppendUint32(b, uint32(len(doc))) // Put bounds it
	b = append(b, byte(tag), 0, 0, 0)
	b = append(b, key[:]...)
	b = append(b, doc...)
	binary.BigEndian.PutUint32(b[at:], crc32.Checksum(b[at+4:], castagnoli))
	return b
}

// parseFrame reads the frame that b begins with and returns its length in bytes; not ok when there is no
// whole one.
func parseFrame(b []byte) (key Key, tag Tag, doc []byte, size int, ok bool) {
	if len(b) < frameHeader {
		return
	}
	n := binary.BigEndian.Uint32(b[4:])
	if n > MaxDocument || int(n) > len(b)-frameHeader {
		return
	}
	size = frameHeader + int(n)
	if crc32.Checksum(b[4:size], castagnoli) != binary.BigEndian.Uint32(b) {
		return Key{}, 0, nil, 0, false
	}
	return Key(b[12:28]), Tag(b[8]), b[frameHeader:size], size, true
}
