package dimse

import (
	"encoding/binary"
	"strings"
)

// Item types of the association PDUs (PS3.8 §9.3.2, §9.3.3, PS3.7 Annex D.3.3).
const (
	itemApplicationContext = 0x10
	itemProposedContext    = 0x20
	itemContextAnswer      = 0x21
	itemAbstractSyntax     = 0x30
	itemTransferSyntax     = 0x40
	itemUserInformation    = 0x50
	itemMaxLength          = 0x51
	itemImplementationUID  = 0x52
	itemAsyncWindow        = 0x53
	itemRoleSelection      = 0x54
	itemImplementationName = 0x55
	itemExtended           = 0x56
	itemUserIdentity       = 0x58
	itemUserIdentityAnswer = 0x59
)

// item is a type, and a value that aliases the PDU.
type item struct {
	kind  byte
	value []byte
}

// nextItem cuts the first item off b.
func nextItem(b []byte) (it item, rest []byte, err error) {
	if len(b) < 4 {
		return item{}, nil, violation(abortBadParam, "%d bytes where an item should start", len(b))
	}
	n := int(binary.BigEndian.Uint16(b[2:]))
	if n > len(b)-4 {
		return item{}, nil, violation(abortBadParam, "item %02XH of %d bytes in %d", b[0], n, len(b)-4)
	}
	return item{kind: b[0], value: b[4 : 4+n]}, b[4+n:], nil
}

// appendItem appends an item whose value is written by fill. A value beyond 65535 bytes cannot be encoded;
// its length is cut, which only a caller's own oversized field can bring about.
func appendItem(b []byte, kind byte, fill func(b []byte) []byte) []byte {
	b = append(b, kind, 0, 0, 0)
	start := len(b)
	b = fill(b)
	if len(b)-start > 0xFFFF {
		b = b[:start+0xFFFF]
	}
	binary.BigEndian.PutUint16(b[start-2:], uint16(len(b)-start))
	return b
}

func appendStringItem(b []byte, kind byte, s string) []byte {
	return appendItem(b, kind, func(b []byte) []byte { return append(b, s...) })
}

// appendSized appends a 16-bit length and v, cut to what the length can say.
func appendSized[T ~string | ~[]byte](b []byte, v T) []byte {
	v = v[:min(len(v), 0xFFFF)]
	b = binary.BigEndian.AppendUint16(b, uint16(len(v)))
	return append(b, v...)
}

// cutSized reads what appendSized wrote.
func cutSized(b []byte) (v, rest []byte, ok bool) {
	if len(b) < 2 {
		return nil, nil, false
	}
	n := int(binary.BigEndian.Uint16(b))
	if n > len(b)-2 {
		return nil, nil, false
	}
	return b[2 : 2+n], b[2+n:], true
}

// uidString takes off the padding that some senders put behind a UID.
func uidString(b []byte) string { return strings.TrimRight(string(b), "\x00 ") }

// aeString takes off the padding of an AE Title; leading and trailing spaces mean nothing (PS3.5 §6.2).
func aeString(b []byte) string { return strings.Trim(string(b), "\x00 ") }

// appendAE appends an AE Title as 16 bytes.
func appendAE(b []byte, s string) []byte {
	s = s[:min(len(s), 16)]
	b = append(b, s...)
	for range 16 - len(s) {
		b = append(b, ' ')
	}
	return b
}
