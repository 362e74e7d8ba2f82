package dimse

// CommandField is the kind of a message, (0000,0100) (PS3.7 §E.1).
type CommandField uint16

// Command Fields (PS3.7 Table E.1-1).
const (
	CStoreRQ        CommandField = 0x0001
	CStoreRSP       CommandField = 0x8001
	CGetRQ          CommandField = 0x0010
	CGetRSP         CommandField = 0x8010
	CFindRQ         CommandField = 0x0020
	CFindRSP        CommandField = 0x8020
	CMoveRQ         CommandField = 0x0021
	CMoveRSP        CommandField = 0x8021
	CEchoRQ         CommandField = 0x0030
	CEchoRSP        CommandField = 0x8030
	CCancelRQ       CommandField = 0x0FFF
	NEventReportRQ  CommandField = 0x0100
	NEventReportRSP CommandField = 0x8100
	NGetRQ          CommandField = 0x0110
	NGetRSP         CommandField = 0x8110
	NSetRQ          CommandField = 0x0120
	NSetRSP         CommandField = 0x8120
	NActionRQ       CommandField = 0x0130
	NActionRSP      CommandField = 0x8130
	NCreateRQ       CommandField = 0x0140
	NCreateRSP      CommandField = 0x8140
	NDeleteRQ       CommandField = 0x0150
	NDeleteRSP      CommandField = 0x8150
)

// IsResponse says whether f answers a request.
func (f CommandField) IsResponse() bool { return f&0x8000 != 0 }

// Priorities of a C-STORE, C-FIND, C-GET or C-MOVE (0000,0700).
const (
	PriorityMedium uint16 = 0
	PriorityHigh   uint16 = 1
	PriorityLow    uint16 = 2
)

// Command is a decoded command set (PS3.7 §9.3, §10.3). Strings are without padding. A field that was
// absent is zero.
type Command struct {
	Field                     CommandField // (0000,0100)
	MessageID                 uint16       // (0000,0110), requests
	MessageIDBeingRespondedTo uint16       // (0000,0120), responses and C-CANCEL
	HasData                   bool         // Command Data Set Type (0000,0800) is not 0101H
	Priority                  uint16       // (0000,0700)
	Status                    uint16       // (0000,0900), responses
	ErrorComment              string       // (0000,0902)
	ErrorID                   uint16       // (0000,0903)

	AffectedSOPClassUID     string // (0000,0002)
	AffectedSOPInstanceUID  string // (0000,1000)
	RequestedSOPClassUID    string // (0000,0003)
	RequestedSOPInstanceUID string // (0000,1001)

	EventTypeID  uint16 // (0000,1002)
	ActionTypeID uint16 // (0000,1008)

	MoveDestination         string // (0000,0600)
	MoveOriginatorAETitle   string // (0000,1030)
	MoveOriginatorMessageID uint16 // (0000,1031)

	// Elements are all others in ascending order, Command Group Length (0000,0000) excepted.
	Elements []Element
}

// Element is a command element as it is encoded.
type Element struct {
	Tag   uint32 // group 0000: 0x00001020 is Number of Remaining Sub-operations
	Value []byte // little endian
}

// Tags of elements that have no field of their own in Command.
const (
	TagOffendingElement        uint32 = 0x00000901
	TagAttributeIdentifierList uint32 = 0x00001005
	TagRemainingSuboperations  uint32 = 0x00001020
	TagCompletedSuboperations  uint32 = 0x00001021
	TagFailedSuboperations     uint32 = 0x00001022
	TagWarningSuboperations    uint32 = 0x00001023
)

// US returns an element with one 16-bit value.
func US(tag uint32, v uint16) Element {
	return Element{Tag: tag, Value: []byte{byte(v), byte(v >> 8)}}
}

// Uint16 returns the value of an element in c.Elements.
func (c *Command) Uint16(tag uint32) (v uint16, ok bool) {
	for _, e := range c.Elements {
		if e.Tag == tag && len(e.Value) == 2 {
			return uint16(e.Value[0]) | uint16(e.Value[1])<<8, true
		}
	}
	return 0, false
}
