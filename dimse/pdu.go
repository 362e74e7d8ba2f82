package dimse

import (
	"encoding/binary"
	"errors"
	"io"
)

// PDU types (PS3.8 §9.3.1).
const (
	pduAssociateRQ = 1
	pduAssociateAC = 2
	pduAssociateRJ = 3
	pduPDataTF     = 4
	pduReleaseRQ   = 5
	pduReleaseRP   = 6
	pduAbort       = 7
)

// pduHeader is the length of PDU-type, a reserved byte and PDU-length.
const pduHeader = 6

// Sources of an A-ABORT (PS3.8 Table 9-26).
const (
	sourceUser     = 0
	sourceProvider = 2
)

// PDU is one of the seven protocol data units of PS3.8 §9.3.
type PDU interface {
	// AppendTo appends the encoded PDU, header included, to b.
	AppendTo(b []byte) []byte
}

// ReadPDU reads one PDU whose body has at most limit bytes. A peer that broke the protocol is an
// *AbortError with the codes of the A-ABORT that it has earned; io.EOF means that r ended before the
// first byte, io.ErrUnexpectedEOF that it ended within the PDU.
func ReadPDU(r io.Reader, limit int) (PDU, error) {
	var h [pduHeader]byte
	if _, err := io.ReadFull(r, h[:]); err != nil {
		return nil, err
	}
	if h[0] < pduAssociateRQ || h[0] > pduAbort {
		return nil, violation(abortUnrecognized, "PDU type %02XH", h[0])
	}
	// PDU-length counts the bytes after itself (PS3.8 §9.3.1) and is the peer's word.
	n := int64(binary.BigEndian.Uint32(h[2:]))
	if n > int64(limit) {
		return nil, violation(abortBadParam, "PDU of type %d with %d bytes, limit %d", h[0], n, limit)
	}
	body, err := readBody(r, int(n))
	if err != nil {
		return nil, err
	}
	return decodePDU(h[0], body)
}

func decodePDU(kind byte, body []byte) (PDU, error) {
	switch kind {
	case pduAssociateRQ:
		return nilOnError(decodeAssociateRQ(body, DefaultLimits()))
	case pduAssociateAC:
		return nilOnError(decodeAssociateAC(body))
	case pduAssociateRJ:
		return nilOnError(decodeAssociateRJ(body))
	case pduPDataTF:
		return nilOnError(decodePDataTF(body))
	case pduReleaseRQ:
		return nilOnError(decodeReleaseRQ(body))
	case pduReleaseRP:
		return nilOnError(decodeReleaseRP(body))
	case pduAbort:
		return nilOnError(decodeAbort(body))
	}
	return nil, violation(abortUnrecognized, "PDU type %02XH", kind)
}

// nilOnError keeps a nil pointer from becoming a PDU that is not nil.
func nilOnError[P PDU](p P, err error) (PDU, error) {
	if err != nil {
		return nil, err
	}
	return p, nil
}

// readBody reads n bytes in growing steps, so that a peer which announces much and sends little costs
// little.
func readBody(r io.Reader, n int) ([]byte, error) {
	const step = 8 << 10
	body := make([]byte, 0, min(n, step))
	for len(body) < n {
		if len(body) == cap(body) {
			grown := make([]byte, len(body), min(n, 2*cap(body)))
			copy(grown, body)
			body = grown
		}
		next := body[len(body):cap(body)]
		if _, err := io.ReadFull(r, next); err != nil {
			if errors.Is(err, io.EOF) {
				err = io.ErrUnexpectedEOF
			}
			return nil, err
		}
		body = body[:cap(body)]
	}
	return body, nil
}

// beginPDU appends a PDU header whose length endPDU fills in.
func beginPDU(b []byte, kind byte) []byte { return append(b, kind, 0, 0, 0, 0, 0) }

// endPDU sets the length of the PDU that starts at b[start].
func endPDU(b []byte, start int) []byte {
	binary.BigEndian.PutUint32(b[start+2:], uint32(len(b)-start-pduHeader))
	return b
}
