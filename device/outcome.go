package device

import (
	"errors"
	"fmt"
)

// Outcome is what the node answered about one object.
type Outcome struct {
	Status string `json:"status"`           // Stored, Duplicate, Conflict, Quarantined or Refused
	Code   string `json:"code,omitempty"`   // the protocol's code: a DIMSE status or Failure Reason in hex, a reason code
	Detail string `json:"detail,omitempty"` // in words
	ID     string `json:"id,omitempty"`     // receipt, where the protocol gives one
	Study  string `json:"study,omitempty"`  // Study Instance UID, where the receipt has one
}

// Outcomes. C-STORE and STOW-RS say Stored for duplicates and conflicts too.
const (
	Stored      = "stored"
	Duplicate   = "duplicate"
	Conflict    = "conflict"
	Quarantined = "quarantined"
	Refused     = "refused"
)

// Kept reports whether the node has the bytes.
func (o Outcome) Kept() bool { return o.Status != Refused }

// TemporaryError is a failure after which the same object may be taken: the line broke, or the node said
// so. Other errors are about the object or the target.
type TemporaryError struct{ Err error }

func (e *TemporaryError) Error() string { return e.Err.Error() }
func (e *TemporaryError) Unwrap() error { return e.Err }

// Temporary reports whether sending again may help.
func Temporary(err error) bool {
	var t *TemporaryError
	return errors.As(err, &t)
}

func temporary(format string, args ...any) error {
	return &TemporaryError{fmt.Errorf(format, args...)}
}
