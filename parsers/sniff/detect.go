package sniff

import (
	"bytes"
	"encoding/binary"

	"github.com/tributary-dicom/tributary/parsers/part10"
)

// HeadBytes is how much of a file Detect looks at. Enough for comments in front of an XML root; fewer
// bytes do, for files that are shorter.
const HeadBytes = 4 << 10

// Detect tells a file's format by its first bytes: those of a shorter file, or HeadBytes; it looks at no
// more than that.
func Detect(head []byte) Format {
	head = head[:min(len(head), HeadBytes)]
	// DICM goes first: the 128 bytes in front of it may look like anything (PS3.10 §7.1).
	if part10.HasPreamble(head) {
		return DICOM
	}
	for _, m := range magics {
		if len(head) >= m.at+len(m.bytes) && string(head[m.at:m.at+len(m.bytes)]) == m.bytes && (m.also == nil || m.also(head)) {
			return m.format
		}
	}
	switch {
	case bytes.Contains(head[:min(len(head), 1024)], []byte("%PDF-")) && !isXML(head):
		return PDF // readers accept bytes in front of the mark, so mails and scanners leave some
	case part10.LooksLikeDICOM(head):
		return DICOM
	}
	if f := pointerTable(head); f != Unknown {
		return f
	}
	if isMFERChain(head) {
		return MFER
	}
	if f := text(head); f != Unknown {
		return f
	}
	return Unknown
}

// magics are marks at fixed places; the first that fits counts.
var magics = []struct {
	at     int
	bytes  string
	format Format
	also   func(head []byte) bool
}{
	{0, "%PDF-", PDF, nil},
	{0, "ISHNE1.0", ISHNE, nil},
	{0, "ANN  1.0", ISHNEAnn, nil},
	{0, "\xffBIOSEMI", BDF, nil},
	{0, "0       ", EDF, isEDF},
	{16, "SCPECG", SCPECG, nil},
	{0, "@", MFER, isMFERPreamble},
	{10, "", Contec, isContec},
	{0, "PK\x03\x04", ZIP, nil},
	{0, "PK\x05\x06", ZIP, nil}, // empty
	{0, "\x1f\x8b\x08", GZIP, nil},
	{257, "ustar", TAR, nil},
	{0, "\xff\xd8\xff", JPEG, nil},
	{0, "\x89PNG\r\n\x1a\n", PNG, nil},
	{4, "ftyp", MP4, nil},
}

// isEDF checks that the header's own length is 256 bytes for the file and each signal, or, where a device counts
// that wrong, that a number of signals stands behind a start of six pairs of digits.
func isEDF(head []byte) bool {
	if len(head) < 256 {
		return false
	}
	length, ok := number(head[184:192])
	signals, sok := number(head[252:256])
	return sok && (ok && length == 256*(signals+1) || signals > 0 && isClock(head[168:184]))
}

// isClock knows "dd.mm.yyhh.mm.ss" with separators of any kind.
func isClock(b []byte) bool {
	for i, c := range b {
		digit := c >= '0' && c <= '9'
		if i%8 == 2 || i%8 == 5 {
			if digit || c <= ' ' || c > '~' {
				return false
			}
		} else if !digit {
			return false
		}
	}
	return true
}

func number(field []byte) (n int, ok bool) {
	field = bytes.TrimSpace(field)
	if len(field) == 0 || len(field) > 8 {
		return 0, false
	}
	for _, c := range field {
		if c < '0' || c > '9' {
			return 0, false
		}
		n = n*10 + int(c-'0')
	}
	return n, true
}

// isMFERPreamble knows the preamble tag (40H) with its text "MFR " or "MFER ".
func isMFERPreamble(head []byte) bool {
	mark := head[1:min(len(head), 12)]
	return bytes.Contains(mark, []byte("MFR ")) || bytes.Contains(mark, []byte("MFER "))
}

// isContec knows the date that Contec carts write behind an eight-byte case number and a marker.
func isContec(head []byte) bool {
	const form = "0000-00-00 00:00:00"
	const at = 10
	if len(head) < 64 {
		return false
	}
	for i, f := range []byte(form) {
		c := head[at+i]
		if f == '0' && (c < '0' || c > '9') || f != '0' && c != f {
			return false
		}
	}
	return true
}

// pointerTable knows SCP-ECG whose section 0 lacks its name, and the format that Heal Force derived from
// it, by the first entry of the pointer table: it points to section 0 itself, counted from 1 in SCP-ECG
// and from 0 there.
func pointerTable(head []byte) Format {
	if len(head) < 32 || binary.LittleEndian.Uint16(head[8:]) != 0 || binary.LittleEndian.Uint16(head[22:]) != 0 {
		return Unknown
	}
	length := binary.LittleEndian.Uint32(head[10:])
	if length < 16+10 || length > 64<<10 || binary.LittleEndian.Uint32(head[24:]) != length {
		return Unknown
	}
	switch binary.LittleEndian.Uint32(head[28:]) {
	case 7:
		return SCPECG
	case 6:
		return HealForce
	}
	return Unknown
}

// isMFERChain knows MFER without preamble: byte order first, then a chain of known tags with sane lengths
// (ISO 22077-1), of which one must tell sampling.
func isMFERChain(head []byte) bool {
	if len(head) < 16 || head[0] != 1 || head[1] != 1 || head[2] > 1 {
		return false
	}
	tags, sampling := 0, false
	for i := 0; i+2 <= len(head) && tags < 16; tags++ {
		tag, n := head[i], int(head[i+1])
		switch {
		case tag == 0x1E || tag == 0x80:
			return tags >= 4 && sampling
		case tag == 0 || tag > 0x20 && tag < 0x3F || tag > 0x9F:
			return false
		case tag == 0x0B:
			sampling = true
		}
		i += 2
		if tag == 0x3F { // channel number, then the length
			if i >= len(head) {
				return false
			}
			n = int(head[i])
			i++
		}
		if n&0x80 != 0 {
			return false // long values come after the sampling tags
		}
		i += n
	}
	return tags >= 4 && sampling
}
