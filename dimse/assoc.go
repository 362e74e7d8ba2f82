package dimse

// Assoc is an established Association as a Handler sees it; it does not change.
type Assoc struct {
	ID             uint64 // unique within the process, for logs
	CallingAETitle string // as sent, without padding
	CalledAETitle  string
	Peer           Peer
	Device         string // Decision.Device
	Value          any    // Decision.Value

	// User is what the peer said of itself, without its user identity.
	User UserInformation

	Contexts  []PresentationContext // accepted ones, in the order proposed
	MaxObject int64                 // limit in force for one data set, in bytes
}

// Context returns the accepted Presentation Context with the given id.
func (a *Assoc) Context(id byte) (PresentationContext, bool) {
	for _, pc := range a.Contexts {
		if pc.ID == id {
			return pc, true
		}
	}
	return PresentationContext{}, false
}
