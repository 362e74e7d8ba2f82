package dimse

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

const (
	sourceUser     = 0
	sourceProvider = 2
)
