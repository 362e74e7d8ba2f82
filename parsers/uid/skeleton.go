package uid

// Syntax is a transfer syntax (PS3.5 §10, Annex A).
type Syntax struct {
	UID, Name string

	ExplicitVR   bool // data elements carry their VR
	BigEndian    bool
	Deflated     bool // the data set after File Meta is one deflate stream (PS3.5 §A.5)
	Encapsulated bool // PixelData is a sequence of fragments (PS3.5 §A.4)
	Video        bool // the fragments are one video stream, not one a frame
	Retired      bool
}

// TransferSyntax returns the transfer syntax named uid.
func TransferSyntax(uid string) (Syntax, bool) { return Syntax{}, false }

// SOPClassName returns the name of a standard SOP class (PS3.6 Table A-1).
func SOPClassName(uid string) (string, bool) { return "", false }

// IsStorage reports whether instances of sopClass are objects to keep.
func IsStorage(sopClass string) bool { return false }

// Valid checks s against PS3.5 §9.1.
func Valid(s string) error { return nil }

// ValidLenient checks s as Valid does, but tolerates leading zeros.
func ValidLenient(s string) error { return nil }

// FromHash derives a UID.
func FromHash(tenant string, sha256 []byte) string { return "" }
