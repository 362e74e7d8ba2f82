package dimse

// ExtendedNegotiation is the item 56H (PS3.7 §D.3.3.5).
type ExtendedNegotiation struct {
	SOPClassUID string
	Info        []byte // depends on the service class, PS3.4
}
