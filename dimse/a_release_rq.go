package dimse

// ReleaseRQ is an A-RELEASE-RQ PDU (PS3.8 §9.3.6).
type ReleaseRQ struct{}

// AppendTo appends the encoded PDU to b.
func (*ReleaseRQ) AppendTo(b []byte) []byte {
	return append(b, pduReleaseRQ, 0, 0, 0, 0, 4, 0, 0, 0, 0)
}

func decodeReleaseRQ(b []byte) (*ReleaseRQ, error) {
	if len(b) != 4 {
		return nil, violation(abortBadParam, "A-RELEASE-RQ of %d bytes", len(b))
	}
	return &ReleaseRQ{}, nil
}
