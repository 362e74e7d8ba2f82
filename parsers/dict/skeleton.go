package dict

// VR returns the value representation of tag, "" when unknown. Ambiguous ones are listed with slashes
// as in "US/SS" or "OB/OW".
func VR(tag uint32) string { return "" }

// Keyword returns the keyword of tag, "" when unknown.
func Keyword(tag uint32) string { return "" }

// Tag returns the tag of keyword.
func Tag(keyword string) (uint32, bool) { return 0, false }
