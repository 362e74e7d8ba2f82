package dimse

// ContextResult answers a proposed Presentation Context (PS3.8 §9.3.3.2).
type ContextResult byte

// Results of a proposed Presentation Context (PS3.8 Table 9-18).
const (
	ContextAccepted                    ContextResult = 0
	ContextUserRejection               ContextResult = 1
	ContextNoReason                    ContextResult = 2
	ContextAbstractSyntaxNotSupported  ContextResult = 3
	ContextTransferSyntaxesUnsupported ContextResult = 4
)

// PresentationContext is an accepted pair of abstract and transfer syntax.
type PresentationContext struct {
	ID             byte // odd
	AbstractSyntax string
	TransferSyntax string

	// Roles of the requestor after role selection (PS3.7 §D.3.3.4): SCU unless negotiated otherwise.
	RequestorSCU bool
	RequestorSCP bool
}

// ProposedContext is one Presentation Context of an A-ASSOCIATE-RQ (PS3.8 §9.3.2.2).
type ProposedContext struct {
	ID               byte
	AbstractSyntax   string
	TransferSyntaxes []string
}

// ContextAnswer is one Presentation Context of an A-ASSOCIATE-AC (PS3.8 §9.3.3.2).
type ContextAnswer struct {
	ID             byte
	Result         ContextResult
	TransferSyntax string // not significant unless accepted
}
