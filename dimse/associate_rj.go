package dimse

import "fmt"

// AssociateRJ is an A-ASSOCIATE-RJ PDU (PS3.8 §9.3.4).
type AssociateRJ struct {
	Result byte // 1 permanent, 2 transient
	Source byte // 1 service-user, 2 provider (ACSE), 3 provider (presentation)
	Reason byte // Table 9-21, depends on Source
}

// Rejections in use (PS3.8 Table 9-21).
var (
	RejectNoReason           = AssociateRJ{1, 1, 1}
	RejectApplicationContext = AssociateRJ{1, 1, 2}
	RejectCallingAE          = AssociateRJ{1, 1, 3}
	RejectCalledAE           = AssociateRJ{1, 1, 7}
	RejectProtocolVersion    = AssociateRJ{1, 2, 2}
	RejectCongestion         = AssociateRJ{2, 3, 1} // a store or log behind us is away
	RejectBusy               = AssociateRJ{2, 3, 2} // local limit of Associations
)

// Error makes a rejection the error of Dial.
func (p *AssociateRJ) Error() string {
	return fmt.Sprintf("dimse: association rejected (%d,%d,%d)", p.Result, p.Source, p.Reason)
}

// AppendTo appends the encoded PDU to b.
func (p *AssociateRJ) AppendTo(b []byte) []byte {
	return append(b, pduAssociateRJ, 0, 0, 0, 0, 4, 0, p.Result, p.Source, p.Reason)
}

func decodeAssociateRJ(b []byte) (*AssociateRJ, error) {
	if len(b) != 4 {
		return nil, violation(abortBadParam, "A-ASSOCIATE-RJ of %d bytes", len(b))
	}
	return &AssociateRJ{Result: b[1], Source: b[2], Reason: b[3]}, nil
}
