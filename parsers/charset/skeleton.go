package charset

// Note is a set of flags on decoded text.
type Note uint8

const (
	Replaced Note = 1 << iota // bytes that the character set cannot mean became U+FFFD
	Repaired                  // the declared character set contradicts the bytes; another was used
)

// Set is what a Specific Character Set (0008,0005) says. It is immutable and safe for concurrent use.
type Set struct{ unknown []string }

// Parse reads the raw value of Specific Character Set, backslashes and all. It never returns nil.
func Parse(value string) *Set { return &Set{} }

// Decode returns raw as valid UTF-8. raw is the whole value field, before splitting on backslash; vr
// decides where code extensions reset.
func (s *Set) Decode(raw []byte, vr string) (string, Note) { return string(raw), 0 }

// Unknown returns the defined terms that are not known.
func (s *Set) Unknown() []string { return s.unknown }
