package render

import "github.com/tributary-dicom/tributary/parsers/uid"

// Transfer Syntaxes of compressed frames that are decoded (PS3.5 Annex A).
const (
	jpegBaseline  = "1.2.840.10008.1.2.4.50"
	jpegExtended  = "1.2.840.10008.1.2.4.51"
	rleLossless   = "1.2.840.10008.1.2.5"
	deflatedFrame = "1.2.840.10008.1.2.8.1"
)

// CanDecode returns a *NoDecoderError for a syntax whose frames cannot be drawn. A frame of a syntax that it
// takes may still be of a variant that it does not: JPEG Extended of 12 bits.
func CanDecode(transferSyntaxUID string) error {
	switch transferSyntaxUID {
	case jpegBaseline, jpegExtended, rleLossless, deflatedFrame:
		return nil
	}
	ts, known := uid.TransferSyntax(transferSyntaxUID)
	switch {
	case known && !ts.Encapsulated:
		return nil
	case known:
		return &NoDecoderError{transferSyntaxUID, ts.Name}
	}
	return &NoDecoderError{transferSyntaxUID, "not known here"}
}

// IsJPEG reports whether frames of a syntax are what a browser calls image/jpeg.
func IsJPEG(transferSyntaxUID string) bool {
	return transferSyntaxUID == jpegBaseline || transferSyntaxUID == jpegExtended
}
