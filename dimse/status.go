package dimse

// Status codes of DIMSE responses (PS3.7 Annex C, PS3.4 §B.2.3, §C.4).
const (
	StatusSuccess                uint16 = 0x0000
	StatusCanceled               uint16 = 0xFE00
	StatusPending                uint16 = 0xFF00
	StatusPendingWarning         uint16 = 0xFF01 // optional keys not supported
	StatusNoSuchAttribute        uint16 = 0x0105
	StatusInvalidAttributeValue  uint16 = 0x0106
	StatusProcessingFailure      uint16 = 0x0110
	StatusDuplicateSOPInstance   uint16 = 0x0111
	StatusNoSuchSOPInstance      uint16 = 0x0112
	StatusNoSuchEventType        uint16 = 0x0113
	StatusNoSuchArgument         uint16 = 0x0114
	StatusInvalidArgumentValue   uint16 = 0x0115
	StatusInvalidSOPInstance     uint16 = 0x0117 // malformed SOP Instance UID
	StatusNoSuchSOPClass         uint16 = 0x0118
	StatusClassInstanceConflict  uint16 = 0x0119
	StatusMissingAttribute       uint16 = 0x0120
	StatusSOPClassNotSupported   uint16 = 0x0122
	StatusNoSuchActionType       uint16 = 0x0123
	StatusNotAuthorized          uint16 = 0x0124
	StatusDuplicateInvocation    uint16 = 0x0210
	StatusUnrecognizedOperation  uint16 = 0x0211
	StatusMistypedArgument       uint16 = 0x0212
	StatusOutOfResources         uint16 = 0xA700
	StatusMoveDestinationUnknown uint16 = 0xA801
	StatusDataSetMismatch        uint16 = 0xA900 // data set does not match SOP Class
	StatusCannotUnderstand       uint16 = 0xC000
	StatusCoercion               uint16 = 0xB000
	StatusElementsDiscarded      uint16 = 0xB006
	StatusDataSetWarning         uint16 = 0xB007 // data set does not match SOP Class, kept
)

// IsPending says whether more responses follow a response with this status.
func IsPending(status uint16) bool { return status&0xFF00 == 0xFF00 }

// IsSuccess says whether status means done: success, or done with a warning (PS3.7 Annex C).
func IsSuccess(status uint16) bool {
	return status == StatusSuccess || status&0xF000 == 0xB000 || status == 0x0001 || status == 0x0107 || status == 0x0116
}
