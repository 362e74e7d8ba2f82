package scpecg

import (
	"errors"
	"io"
)

// crcTables are those of the CRC-CCITT (polynomial 1021H, most significant bit first) for eight bytes a step:
// crcTables[k][b] is what byte b does to the CRC when k zero bytes follow it.
var crcTables = func() (t [8][256]uint16) {
	for b := range 256 {
		crc := uint16(b) << 8
		for range 8 {
			if crc&0x8000 != 0 {
				crc = crc<<1 ^ 0x1021
			} else {
				crc <<= 1
			}
		}
		t[0][b] = crc
	}
	for k := 1; k < len(t); k++ {
		for b := range 256 {
			crc := t[k-1][b]
			t[k][b] = crc<<8 ^ t[0][crc>>8]
		}
	}
	return t
}()

// crcStart is the CRC of no bytes (EN 1064 §5.2.5).
const crcStart = 0xFFFF

func updateCRC(crc uint16, b []byte) uint16 {
	t := &crcTables
	for ; len(b) >= 8; b = b[8:] {
		crc = t[7][byte(crc>>8)^b[0]] ^ t[6][byte(crc)^b[1]] ^ t[5][b[2]] ^ t[4][b[3]] ^
			t[3][b[4]] ^ t[2][b[5]] ^ t[1][b[6]] ^ t[0][b[7]]
	}
	for _, c := range b {
		crc = crc<<8 ^ t[0][byte(crc>>8)^c]
	}
	return crc
}

// crcOf returns the CRC of n bytes of r from offset.
func crcOf(r io.ReaderAt, offset, n int64) (uint16, error) {
	buf := make([]byte, min(n, 64<<10))
	crc := uint16(crcStart)
	for n > 0 {
		part := buf[:min(n, int64(len(buf)))]
		if got, err := r.ReadAt(part, offset); got < len(part) {
			if err == nil || errors.Is(err, io.EOF) {
				err = io.ErrUnexpectedEOF
			}
			return 0, err
		}
		crc = updateCRC(crc, part)
		offset += int64(len(part))
		n -= int64(len(part))
	}
	return crc, nil
}
