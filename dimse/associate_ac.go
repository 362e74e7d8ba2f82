package dimse

import "encoding/binary"

// AssociateAC is an A-ASSOCIATE-AC PDU (PS3.8 §9.3.3). The AE Titles are those of the request; nobody
// shall test them in an answer.
type AssociateAC struct {
	ProtocolVersion    uint16
	CalledAETitle      string
	CallingAETitle     string
	ApplicationContext string
	Contexts           []ContextAnswer
	User               UserInformation
}

// AppendTo appends the encoded PDU to b.
func (p *AssociateAC) AppendTo(b []byte) []byte {
	start := len(b)
	b = beginPDU(b, pduAssociateAC)
	b = appendAssociateFixed(b, p.ProtocolVersion, p.CalledAETitle, p.CallingAETitle)
	b = appendStringItem(b, itemApplicationContext, p.ApplicationContext)
	for _, pc := range p.Contexts {
		b = appendItem(b, itemContextAnswer, func(b []byte) []byte {
			b = append(b, pc.ID, 0, byte(pc.Result), 0)
			return appendStringItem(b, itemTransferSyntax, pc.TransferSyntax)
		})
	}
	b = p.User.appendTo(b)
	return endPDU(b, start)
}

func decodeAssociateAC(b []byte) (*AssociateAC, error) {
	if len(b) < associateFixed {
		return nil, violation(abortBadParam, "A-ASSOCIATE-AC of %d bytes", len(b))
	}
	p := &AssociateAC{
		ProtocolVersion: binary.BigEndian.Uint16(b),
		CalledAETitle:   aeString(b[4:20]),
		CallingAETitle:  aeString(b[20:36]),
	}
	for b = b[associateFixed:]; len(b) > 0; {
		var it item
		var err error
		if it, b, err = nextItem(b); err != nil {
			return nil, err
		}
		switch it.kind {
		case itemApplicationContext:
			p.ApplicationContext = uidString(it.value)
		case itemContextAnswer:
			pc, err := decodeContextAnswer(it.value)
			if err != nil {
				return nil, err
			}
			if len(p.Contexts) == 128 {
				return nil, violation(abortBadParam, "more than 128 presentation contexts")
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

func decodeContextAnswer(b []byte) (ContextAnswer, error) {
	if len(b) < 4 {
		return ContextAnswer{}, violation(abortBadParam, "presentation context of %d bytes", len(b))
	}
	pc := ContextAnswer{ID: b[0], Result: ContextResult(b[2])}
	for b = b[4:]; len(b) > 0; {
		var it item
		var err error
		if it, b, err = nextItem(b); err != nil {
			return pc, err
		}
		if it.kind == itemTransferSyntax {
			pc.TransferSyntax = uidString(it.value)
		}
	}
	return pc, nil
}
