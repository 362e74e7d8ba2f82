package ecg

// WarningCode is one kind of blemish of a recording that is read all the same. Codes are stored and
// counted: they are added, never renamed.
type WarningCode string

// Warning is a blemish and where it is. Where holds no patient data.
type Warning struct {
	Code  WarningCode `json:"code"`
	Where string      `json:"where,omitempty"`
}

// The closed list of warnings.
const (
	WarnRateRepaired     WarningCode = "rate-repaired"      // the rate as written is absurd; the one meant was told
	WarnRateDiffers      WarningCode = "rate-differs"       // two places state different rates
	WarnLengthDiffers    WarningCode = "length-differs"     // fewer or more samples than stated: the bytes count
	WarnTruncated        WarningCode = "truncated"          // the file ends early; whole samples were kept
	WarnTrailingBytes    WarningCode = "trailing-bytes"     // bytes behind the recording
	WarnChecksum         WarningCode = "checksum-mismatch"  // a checksum of the format does not fit its bytes
	WarnChecksumAbsent   WarningCode = "checksum-absent"    // a checksum that the format has is 0 or missing
	WarnLeadUnknown      WarningCode = "lead-unknown"       // a lead whose code or label we do not know
	WarnLeadDuplicate    WarningCode = "lead-duplicate"     // two leads of a group have one name
	WarnScaleAbsent      WarningCode = "scale-absent"       // no scale stated; the format's default was used
	WarnScaleSuspicious  WarningCode = "scale-suspicious"   // a scale that no cart has
	WarnUnitUnknown      WarningCode = "unit-unknown"       // a unit that we do not know: kept as text
	WarnLimbLeads        WarningCode = "limb-leads"         // III = II − I does not hold
	WarnNotDerivable     WarningCode = "not-derivable"      // limb leads are missing and cannot be computed exactly
	WarnTime             WarningCode = "time-unparsed"      // a date or time that is none
	WarnNumber           WarningCode = "number-unparsed"    // a number that is none
	WarnTextRepaired     WarningCode = "text-repaired"      // text contradicts its declared character set
	WarnTextReplaced     WarningCode = "text-replaced"      // bytes without meaning became U+FFFD
	WarnCharset          WarningCode = "charset-unknown"    // a character set that we do not know
	WarnValueCut         WarningCode = "value-cut"          // text beyond its limit was cut
	WarnMissingSamples   WarningCode = "missing-samples"    // some samples are stored as missing
	WarnCalibration      WarningCode = "calibration-pulse"  // a calibration pulse stands in the signal
	WarnBadUID           WarningCode = "bad-uid"            // an identifier outside its form
	WarnLayout           WarningCode = "layout"             // against the format's own rules, yet readable
	WarnNoWaveform       WarningCode = "no-waveform"        // a document without samples
	WarnUnsupportedPart  WarningCode = "unsupported-part"   // a part of the file is not read
	WarnExternal         WarningCode = "external-reference" // the file names something outside itself; not followed
	WarnClamped          WarningCode = "samples-clamped"    // samples outside their declared range
	WarnAnnotationsCut   WarningCode = "annotations-cut"    // more annotations or measurements than are kept
	WarnHeaderDiffers    WarningCode = "header-differs"     // header and data contradict each other: the data count
	WarnCompanionMissing WarningCode = "companion-missing"  // a file that belongs to this one did not come
)
