package dimse

import (
	"cmp"
	"encoding/binary"
	"errors"
	"fmt"
	"slices"
	"strings"
)

// Tags of the elements that are fields of Command (PS3.7 §E.1); the group is 0000.
const (
	tagGroupLength        uint32 = 0x0000
	tagAffectedClass      uint32 = 0x0002
	tagRequestedClass     uint32 = 0x0003
	tagCommandField       uint32 = 0x0100
	tagMessageID          uint32 = 0x0110
	tagRespondedTo        uint32 = 0x0120
	tagMoveDestination    uint32 = 0x0600
	tagPriority           uint32 = 0x0700
	tagDataSetType        uint32 = 0x0800
	tagStatus             uint32 = 0x0900
	tagErrorComment       uint32 = 0x0902
	tagErrorID            uint32 = 0x0903
	tagAffectedInstance   uint32 = 0x1000
	tagRequestedInstance  uint32 = 0x1001
	tagEventTypeID        uint32 = 0x1002
	tagActionTypeID       uint32 = 0x1008
	tagMoveOriginatorAE   uint32 = 0x1030
	tagMoveOriginatorMsg  uint32 = 0x1031
	noDataSet             uint16 = 0x0101 // Command Data Set Type: null
	someDataSet           uint16 = 0x0001
	commandElementHeader         = 8
	maxErrorCommentLength        = 64 // LO
)

var errCommand = errors.New("dimse: malformed command set")

// DecodeCommand decodes a command set (PS3.7 §6.3: implicit VR little endian). Elements it does not know
// are kept, Command Group Length may be absent or wrong, and order does not matter: some devices get these
// wrong and the PDVs say where the command ends. What a Command cannot be understood without must be there.
func DecodeCommand(b []byte) (Command, error) {
	var c Command
	seen := make([]uint32, 0, 24)
	for len(b) > 0 {
		if len(b) < commandElementHeader {
			return Command{}, fmt.Errorf("%w: %d bytes where an element should start", errCommand, len(b))
		}
		group, element := binary.LittleEndian.Uint16(b), binary.LittleEndian.Uint16(b[2:])
		n := binary.LittleEndian.Uint32(b[4:])
		if group != 0 {
			return Command{}, fmt.Errorf("%w: element of group %04X", errCommand, group)
		}
		if int64(n) > int64(len(b)-commandElementHeader) {
			return Command{}, fmt.Errorf("%w: element %04X of %d bytes in %d", errCommand, element, n, len(b)-commandElementHeader)
		}
		tag, value := uint32(element), b[commandElementHeader:commandElementHeader+int(n)]
		b = b[commandElementHeader+int(n):]
		known, err := c.set(tag, value)
		if err != nil {
			return Command{}, err
		}
		switch {
		case !known:
			c.Elements = append(c.Elements, Element{Tag: tag, Value: slices.Clone(value)})
		case slices.Contains(seen, tag):
			return Command{}, fmt.Errorf("%w: element %04X twice", errCommand, element)
		default:
			seen = append(seen, tag)
		}
	}
	slices.SortStableFunc(c.Elements, func(a, b Element) int { return cmp.Compare(a.Tag, b.Tag) })
	for _, tag := range c.required() {
		if !slices.Contains(seen, tag) {
			return Command{}, fmt.Errorf("%w: element %04X is missing", errCommand, tag)
		}
	}
	return c, nil
}

// required lists the elements without which c cannot be understood or answered.
func (c *Command) required() []uint32 {
	switch {
	case c.Field == CCancelRQ:
		return []uint32{tagCommandField, tagRespondedTo, tagDataSetType}
	case c.Field.IsResponse():
		return []uint32{tagCommandField, tagRespondedTo, tagDataSetType, tagStatus}
	default:
		return []uint32{tagCommandField, tagMessageID, tagDataSetType}
	}
}

// set stores the element in its field; known is false when c has none for it.
func (c *Command) set(tag uint32, v []byte) (known bool, err error) {
	us := func(p *uint16) error {
		if len(v) != 2 {
			return fmt.Errorf("%w: element %04X of %d bytes", errCommand, tag, len(v))
		}
		*p = binary.LittleEndian.Uint16(v)
		return nil
	}
	switch tag {
	case tagGroupLength:
	case tagAffectedClass:
		c.AffectedSOPClassUID = uidString(v)
	case tagRequestedClass:
		c.RequestedSOPClassUID = uidString(v)
	case tagCommandField:
		err = us((*uint16)(&c.Field))
	case tagMessageID:
		err = us(&c.MessageID)
	case tagRespondedTo:
		err = us(&c.MessageIDBeingRespondedTo)
	case tagMoveDestination:
		c.MoveDestination = aeString(v)
	case tagPriority:
		err = us(&c.Priority)
	case tagDataSetType:
		var t uint16
		err = us(&t)
		c.HasData = t != noDataSet
	case tagStatus:
		err = us(&c.Status)
	case tagErrorComment:
		c.ErrorComment = uidString(v)
	case tagErrorID:
		err = us(&c.ErrorID)
	case tagAffectedInstance:
		c.AffectedSOPInstanceUID = uidString(v)
	case tagRequestedInstance:
		c.RequestedSOPInstanceUID = uidString(v)
	case tagEventTypeID:
		err = us(&c.EventTypeID)
	case tagActionTypeID:
		err = us(&c.ActionTypeID)
	case tagMoveOriginatorAE:
		c.MoveOriginatorAETitle = aeString(v)
	case tagMoveOriginatorMsg:
		err = us(&c.MoveOriginatorMessageID)
	default:
		return false, nil
	}
	return true, err
}

// AppendTo appends the encoded command set, Command Group Length included, to b. Fields that are zero are
// left out unless the kind of message requires them.
func (c *Command) AppendTo(b []byte) []byte {
	start := len(b)
	w := commandWriter{b: append(b, 0, 0, 0, 0, 4, 0, 0, 0, 0, 0, 0, 0), rest: c.Elements}
	f := c.Field
	request := !f.IsResponse() && f != CCancelRQ
	prioritized := f == CStoreRQ || f == CFindRQ || f == CGetRQ || f == CMoveRQ
	dataSetType := noDataSet
	if c.HasData {
		dataSetType = someDataSet
	}
	w.text(tagAffectedClass, c.AffectedSOPClassUID, 0)
	w.text(tagRequestedClass, c.RequestedSOPClassUID, 0)
	w.number(tagCommandField, uint16(f), true)
	w.number(tagMessageID, c.MessageID, request)
	w.number(tagRespondedTo, c.MessageIDBeingRespondedTo, !request)
	w.text(tagMoveDestination, c.MoveDestination, ' ')
	w.number(tagPriority, c.Priority, prioritized)
	w.number(tagDataSetType, dataSetType, true)
	w.number(tagStatus, c.Status, f.IsResponse())
	w.text(tagErrorComment, c.ErrorComment, ' ')
	w.number(tagErrorID, c.ErrorID, false)
	w.text(tagAffectedInstance, c.AffectedSOPInstanceUID, 0)
	w.text(tagRequestedInstance, c.RequestedSOPInstanceUID, 0)
	w.number(tagEventTypeID, c.EventTypeID, f == NEventReportRQ)
	w.number(tagActionTypeID, c.ActionTypeID, f == NActionRQ)
	w.text(tagMoveOriginatorAE, c.MoveOriginatorAETitle, ' ')
	w.number(tagMoveOriginatorMsg, c.MoveOriginatorMessageID, c.MoveOriginatorAETitle != "")
	w.flush(1 << 16)
	binary.LittleEndian.PutUint32(w.b[start+8:], uint32(len(w.b)-start-12))
	return w.b
}

// commandWriter appends elements in ascending order; rest are those without a field.
type commandWriter struct {
	b    []byte
	rest []Element
}

// flush appends those of rest that come before tag.
func (w *commandWriter) flush(tag uint32) {
	for len(w.rest) > 0 && w.rest[0].Tag < tag {
		e := w.rest[0]
		w.header(e.Tag, len(e.Value))
		w.b = append(w.b, e.Value...)
		w.rest = w.rest[1:]
	}
}

func (w *commandWriter) header(tag uint32, n int) {
	w.b = binary.LittleEndian.AppendUint16(w.b, 0)
	w.b = binary.LittleEndian.AppendUint16(w.b, uint16(tag))
	w.b = binary.LittleEndian.AppendUint32(w.b, uint32(n))
}

func (w *commandWriter) number(tag uint32, v uint16, required bool) {
	w.flush(tag)
	if v == 0 && !required {
		return
	}
	w.header(tag, 2)
	w.b = binary.LittleEndian.AppendUint16(w.b, v)
}

func (w *commandWriter) text(tag uint32, s string, pad byte) {
	w.flush(tag)
	if s == "" {
		return
	}
	w.header(tag, len(s)+len(s)%2)
	w.b = append(w.b, s...)
	if len(s)%2 == 1 {
		w.b = append(w.b, pad)
	}
}

// errorComment makes s fit for (0000,0902): LO, without backslash and beyond the default repertoire.
func errorComment(s string) string {
	s = strings.Map(func(r rune) rune {
		if r < ' ' || r > '~' || r == '\\' {
			return '?'
		}
		return r
	}, s)
	return strings.TrimRight(s[:min(len(s), maxErrorCommentLength)], " ")
}
