package dimse

import (
	"context"
	"time"
)

// Policy decides about one A-ASSOCIATE-RQ that is well formed, has the DICOM application context, and is
// within all limits. It runs in the Association's goroutine; rq is valid until it returns.
type Policy func(ctx context.Context, rq *AssociateRQ, peer Peer) Decision

// Decision is the answer of a Policy.
type Decision struct {
	// Reject, when not nil, refuses the Association with these codes.
	Reject *AssociateRJ

	// Contexts answers each proposed Presentation Context; nil refuses all of them.
	Contexts ContextFunc

	// SCPRole says whether the requestor may act as SCP of a SOP Class when it proposes so (C-GET, Storage
	// Commitment); nil refuses.
	SCPRole func(sopClassUID string) bool

	// IdentityVerified says that the Policy checked rq.User.Identity; a peer that wants to know is told.
	IdentityVerified bool

	Device string // counts against Limits.MaxPerDevice when not empty
	Value  any    // handed to the Handler as Assoc.Value

	// Overrides of Limits for this Association; zero keeps the Server's.
	MaxPerDevice int
	MaxObject    int64 // bytes
	Idle         time.Duration
}

// ContextFunc answers one proposed Presentation Context. The transfer syntax is one of those proposed and
// is significant only with ContextAccepted.
type ContextFunc func(pc ProposedContext) (transferSyntaxUID string, result ContextResult)

// AcceptContexts accepts the abstract syntaxes and transfer syntaxes for which the functions say so, and
// of several acceptable transfer syntaxes the one proposed first: the sender knows in which form it holds
// the object, and nothing shall be transcoded. A nil transfer accepts every transfer syntax.
func AcceptContexts(abstract, transfer func(uid string) bool) ContextFunc {
	return func(pc ProposedContext) (string, ContextResult) {
		if !abstract(pc.AbstractSyntax) {
			return "", ContextAbstractSyntaxNotSupported
		}
		for _, ts := range pc.TransferSyntaxes {
			if transfer == nil || transfer(ts) {
				return ts, ContextAccepted
			}
		}
		return "", ContextTransferSyntaxesUnsupported
	}
}

// AcceptStorage is AcceptContexts for the storage SOP Classes that storage knows, and Verification.
func AcceptStorage(storage, transfer func(uid string) bool) ContextFunc {
	return FirstContext(
		AcceptContexts(func(uid string) bool { return uid == Verification }, uncompressed),
		AcceptContexts(storage, transfer),
	)
}

// FirstContext asks each function in turn and gives the first acceptance, or the refusal that came nearest
// to one: an unsupported transfer syntax before an unsupported abstract syntax.
func FirstContext(funcs ...ContextFunc) ContextFunc {
	return func(pc ProposedContext) (string, ContextResult) {
		refusal := ContextAbstractSyntaxNotSupported
		for _, f := range funcs {
			ts, result := f(pc)
			switch result {
			case ContextAccepted:
				return ts, result
			case ContextAbstractSyntaxNotSupported:
			default:
				refusal = result
			}
		}
		return "", refusal
	}
}

func uncompressed(uid string) bool {
	return uid == ImplicitVRLittleEndian || uid == ExplicitVRLittleEndian || uid == ExplicitVRBigEndian
}

// ForCalledAE rejects Associations that call none of titles with RJ(1,1,7), and asks next about the others.
func ForCalledAE(next Policy, titles ...string) Policy {
	return func(ctx context.Context, rq *AssociateRQ, peer Peer) Decision {
		for _, t := range titles {
			if t == rq.CalledAETitle {
				return next(ctx, rq, peer)
			}
		}
		return Decision{Reject: &RejectCalledAE}
	}
}
