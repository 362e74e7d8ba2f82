package dimse

// ReleaseRP is an A-RELEASE-RP PDU (PS3.8 §9.3.7).
type ReleaseRP struct{}

// AppendTo appends the encoded PDU to b.
func (*ReleaseRP) AppendTo(b []byte) []byte {
	return append(b, pduReleaseRP, 0, 0, 0, 0, 4, 0, 0, 0, 0)
}

func decodeReleaseRP(b []byte) (*ReleaseRP, error) {
	if len(b) != 4 {
		return nil, violation(abortBadParam, "A-RELEASE-RP of %d bytes", len(b))
	}
	return &ReleaseRP{}, nil
}
