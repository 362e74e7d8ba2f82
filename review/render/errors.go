package render

import "fmt"

// NoDecoderError says that a frame is compressed in a way that nothing here decodes.
type NoDecoderError struct {
	TransferSyntaxUID string
	Name              string // of the syntax or of its variant, for people
}

func (e *NoDecoderError) Error() string {
	return fmt.Sprintf("no decoder is kept for transfer syntax %s (%s)", e.TransferSyntaxUID, e.Name)
}

// PixelError says that pixels cannot be drawn: their header is impossible, or the bytes do not fit it. Its
// text has no values of the patient.
type PixelError struct{ Text string }

func (e *PixelError) Error() string { return e.Text }

func wrong(format string, args ...any) error { return &PixelError{fmt.Sprintf(format, args...)} }
