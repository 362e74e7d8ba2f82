package part10

// Codes of Warning: blemishes of objects that are stored and indexed all the same.
const (
	WarnNoPreamble       = "no-preamble"       // no "DICM"; the syntax was told from the first bytes
	WarnMetaGroupLength  = "meta-group-length" // File Meta group length absent or wrong
	WarnMetaEncoding     = "meta-encoding"     // File Meta elements without VR, or out of group
	WarnMissingMetaUID   = "missing-meta-uid"  // File Meta without Media Storage SOP Class or Instance UID
	WarnMetaSOPClass     = "meta-sop-class"    // File Meta names another SOP class than the data set
	WarnUnknownSyntax    = "unknown-syntax"    // private or unknown transfer syntax, read as explicit little endian
	WarnUnknownClass     = "unknown-sop-class" // private or unknown SOP class
	WarnOddLength        = "odd-length"        // value of odd length
	WarnUnknownVR        = "unknown-vr"        // letters that are no VR of the standard
	WarnImplicitItem     = "implicit-in-item"  // implicit VR elements inside an explicit VR data set
	WarnDelimiter        = "stray-delimiter"   // delimiter at the end of something that had a length
	WarnOrder            = "descending-tags"   // data elements not in ascending order
	WarnDuplicate        = "duplicate-element" // a data element occurs twice; the first one counts
	WarnTrailingBytes    = "trailing-bytes"    // bytes after the data set
	WarnNoPixelData      = "no-pixel-data"     // an image without PixelData: perhaps cut at an element boundary
	WarnFrames           = "frames"            // Frames.Problem says why frames cannot be told apart
	WarnNoPatientID      = "no-patient-id"     // Patient ID missing or empty
	WarnNoModality       = "no-modality"       // Modality missing or empty
	WarnUIDPadding       = "uid-padding"       // UID with spaces around it
	WarnCharsetUnknown   = "charset-unknown"   // Specific Character Set with an unknown term
	WarnCharsetRepaired  = "charset-repaired"  // text contradicts its character set; another was used
	WarnTextReplaced     = "text-replaced"     // bytes that the character set cannot mean became U+FFFD
	WarnBadNumber        = "bad-number"        // IS, DS or binary number that JSON cannot carry became null
	WarnValueCut         = "value-cut"         // text beyond its VR's bounds was cut in header and index
	WarnFragmentPadding  = "fragment-padding"  // odd fragment length with a pad byte outside the length
	WarnDeflateTrailing  = "deflate-trailing"  // bytes after the deflate stream
	WarnSequenceBoundary = "sequence-boundary" // undefined length ended by the container, without delimiter
)

// maxWarnings bounds an Object's list; hostile files could make one for each element.
const maxWarnings = 64

// maxWarningsPerCode keeps one frequent blemish from hiding the others.
const maxWarningsPerCode = 4
