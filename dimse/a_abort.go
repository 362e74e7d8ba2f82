package dimse

// Abort is an A-ABORT PDU (PS3.8 §9.3.8).
type Abort struct {
	Source byte
	Reason byte
}

// AppendTo appends the encoded PDU to b.
func (p *Abort) AppendTo(b []byte) []byte {
	return append(b, pduAbort, 0, 0, 0, 0, 4, 0, 0, p.Source, p.Reason)
}

func decodeAbort(b []byte) (*Abort, error) {
	if len(b) != 4 {
		return nil, violation(abortBadParam, "A-ABORT of %d bytes", len(b))
	}
	return &Abort{Source: b[2], Reason: b[3]}, nil
}
