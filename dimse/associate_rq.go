package dimse

import "encoding/binary"

// AssociateRQ is an A-ASSOCIATE-RQ PDU (PS3.8 §9.3.2).
type AssociateRQ struct {
	ProtocolVersion    uint16 // bit 0 is version 1
	CalledAETitle      string // without padding
	CallingAETitle     string
	ApplicationContext string
	Contexts           []ProposedContext
	User               UserInformation
}

// associateFixed is the length of the fields before the first item of an A-ASSOCIATE-RQ or -AC.
const associateFixed = 68

// AppendTo appends the encoded PDU to b.
func (p *AssociateRQ) AppendTo(b []byte) []byte {
	start := len(b)
	b = beginPDU(b, pduAssociateRQ)
	b = appendAssociateFixed(b, p.ProtocolVersion, p.CalledAETitle, p.CallingAETitle)
	b = appendStringItem(b, itemApplicationContext, p.ApplicationContext)
	for _, pc := range p.Contexts {
		b = appendItem(b, itemProposedContext, func(b []byte) []byte {
			b = append(b, pc.ID, 0, 0, 0)
			b = appendStringItem(b, itemAbstractSyntax, pc.AbstractSyntax)
			for _, ts := range pc.TransferSyntaxes {
				b = appendStringItem(b, itemTransferSyntax, ts)
			}
			return b
		})
	}
	b = p.User.appendTo(b)
	return endPDU(b, start)
}

func appendAssociateFixed(b []byte, version uint16, called, calling string) []byte {
	b = binary.BigEndian.AppendUint16(b, version)
	b = append(b, 0, 0)
	b = appendAE(b, called)
	b = appendAE(b, calling)
	return append(b, make([]byte, 32)...)
}

// decodeAssociateRQ decodes the bytes after the PDU header. Items it does not know are skipped.
func decodeAssociateRQ(b []byte, limits Limits) (*AssociateRQ, error) {
	if len(b) < associateFixed {
		return nil, violation(abortBadParam, "A-ASSOCIATE-RQ of %d bytes", len(b))
	}
	p := &AssociateRQ{
		ProtocolVersion: binary.BigEndian.Uint16(b),
		CalledAETitle:   aeString(b[4:20]),
		CallingAETitle:  aeString(b[20:36]),
	}
	var taken [256]bool
	for b = b[associateFixed:]; len(b) > 0; {
		var it item
		var err error
		if it, b, err = nextItem(b); err != nil {
			return nil, err
		}
		switch it.kind {
		case itemApplicationContext:
			p.ApplicationContext = uidString(it.value)
		case itemProposedContext:
			pc, err := decodeProposedContext(it.value, limits.MaxTransferSyntaxes)
			if err != nil {
				return nil, err
			}
			if taken[pc.ID] {
				return nil, violation(abortBadParam, "presentation context %d twice", pc.ID)
			}
			taken[pc.ID] = true
			if len(p.Contexts) == limits.MaxContexts {
				return nil, violation(abortBadParam, "more than %d presentation contexts", limits.MaxContexts)
			}
			p.Contexts = append(p.Contexts, pc)
		case itemUserInformation:
			if p.User, err = decodeUserInformation(it.value); err != nil {
				return nil, err
			}
		}
	}
	return p, nil
}

func decodeProposedContext(b []byte, maxSyntaxes int) (ProposedContext, error) {
	var pc ProposedContext
	if len(b) < 4 {
		return pc, violation(abortBadParam, "presentation context of %d bytes", len(b))
	}
	if pc.ID = b[0]; pc.ID%2 == 0 {
		return pc, violation(abortBadParam, "presentation context with even id %d", pc.ID)
	}
	abstract := 0
	for b = b[4:]; len(b) > 0; {
		var it item
		var err error
		if it, b, err = nextItem(b); err != nil {
			return pc, err
		}
		switch it.kind {
		case itemAbstractSyntax:
			pc.AbstractSyntax = uidString(it.value)
			abstract++
		case itemTransferSyntax:
			if len(pc.TransferSyntaxes) == maxSyntaxes {
				return pc, violation(abortBadParam, "more than %d transfer syntaxes", maxSyntaxes)
			}
			pc.TransferSyntaxes = append(pc.TransferSyntaxes, uidString(it.value))
		}
	}
	if abstract != 1 {
		return pc, violation(abortBadParam, "presentation context with %d abstract syntaxes", abstract)
	}
	return pc, nil
}
