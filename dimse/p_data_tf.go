package dimse

import "encoding/binary"

// PDataTF is a P-DATA-TF PDU (PS3.8 §9.3.5). Server and Client never hold one as a whole; it is here for
// tools and tests.
type PDataTF struct {
	PDVs []PDV
}

// PDV is a Presentation Data Value item with its message control header (PS3.8 §9.3.5.1, Annex E.2).
type PDV struct {
	ContextID byte
	Command   bool // command fragment, else data set fragment
	Last      bool // last fragment
	Data      []byte
}

// pdvHeader is the length of item length, context id and message control header.
const pdvHeader = 6

// Bits of the message control header (PS3.8 §E.2).
const (
	controlCommand = 1
	controlLast    = 2
)

// AppendTo appends the encoded PDU to b.
func (p *PDataTF) AppendTo(b []byte) []byte {
	start := len(b)
	b = beginPDU(b, pduPDataTF)
	for _, v := range p.PDVs {
		b = appendPDVHeader(b, v.ContextID, v.Command, v.Last, len(v.Data))
		b = append(b, v.Data...)
	}
	return endPDU(b, start)
}

func appendPDVHeader(b []byte, id byte, command, last bool, n int) []byte {
	b = binary.BigEndian.AppendUint32(b, uint32(n+2))
	var control byte
	if command {
		control |= controlCommand
	}
	if last {
		control |= controlLast
	}
	return append(b, id, control)
}

// parsePDVHeader reads the header of a PDV which starts in a PDU with left bytes to go; n is the number of
// bytes of its fragment.
func parsePDVHeader(h []byte, left int) (v PDV, n int, err error) {
	length := int64(binary.BigEndian.Uint32(h))
	if length < 2 || length > int64(left-4) {
		return v, 0, violation(abortBadParam, "PDV of %d bytes in a PDU with %d left", length, left)
	}
	v.ContextID = h[4]
	v.Command = h[5]&controlCommand != 0
	v.Last = h[5]&controlLast != 0
	return v, int(length) - 2, nil
}

func decodePDataTF(b []byte) (*PDataTF, error) {
	p := &PDataTF{}
	for first := true; first || len(b) > 0; first = false {
		if len(b) < pdvHeader {
			return nil, violation(abortBadParam, "%d bytes where a PDV should start", len(b))
		}
		v, n, err := parsePDVHeader(b, len(b))
		if err != nil {
			return nil, err
		}
		v.Data = b[pdvHeader : pdvHeader+n]
		p.PDVs = append(p.PDVs, v)
		b = b[pdvHeader+n:]
	}
	return p, nil
}
