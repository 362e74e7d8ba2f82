package dimse

// UIDs that the upper layer itself needs (PS3.6 Annex A).
const (
	ApplicationContext     = "1.2.840.10008.3.1.1.1"
	Verification           = "1.2.840.10008.1.1"
	ImplicitVRLittleEndian = "1.2.840.10008.1.2"
	ExplicitVRLittleEndian = "1.2.840.10008.1.2.1"
	ExplicitVRBigEndian    = "1.2.840.10008.1.2.2"
)

// DefaultImplementationClassUID names this implementation when nothing else is configured. It is derived
// from a UUID (PS3.5 §B.2).
const DefaultImplementationClassUID = "2.25.215409183270671453093917226510963521711"

// DefaultImplementationVersionName goes with DefaultImplementationClassUID.
const DefaultImplementationVersionName = "TRIBUTARY_1"

// ValidUID says whether s may stand where the standard wants a UID (PS3.5 §9.1): digits and single dots,
// 1 to 64 characters, no empty component. Leading zeros are wrong too, but devices in use send them and
// they do no harm, so they pass.
func ValidUID(s string) bool {
	if len(s) == 0 || len(s) > 64 {
		return false
	}
	dot := true // a component must follow
	for i := 0; i < len(s); i++ {
		switch c := s[i]; {
		case c >= '0' && c <= '9':
			dot = false
		case c == '.' && !dot:
			dot = true
		default:
			return false
		}
	}
	return !dot
}
