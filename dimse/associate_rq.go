package dimse

// AssociateRQ is an A-ASSOCIATE-RQ PDU (PS3.8 §9.3.2).
type AssociateRQ struct {
	ProtocolVersion    uint16 // bit 0 is version 1
	CalledAETitle      string // without padding
	CallingAETitle     string
	ApplicationContext string
	Contexts           []ProposedContext
	User               UserInformation
}
