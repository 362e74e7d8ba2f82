package reject

import (
	"errors"
	"fmt"
)

// Code names one reason for refusing or quarantining an object.
type Code string

// Reasons to keep nothing: the sender is told that the object was refused.
const (
	Empty             Code = "empty"              // no bytes at all
	UnsupportedFormat Code = "unsupported-format" // no parser knows these bytes
	NotStorageObject  Code = "not-storage-object" // DICOM, but not an instance: DICOMDIR, worklist item, …
	BadUID            Code = "bad-uid"            // characters, length or form outside PS3.5 §9.1
	TooLarge          Code = "too-large"          // over the byte limit of the door or device
	UnsupportedClass  Code = "unsupported-class"  // SOP Class restricted by configuration
	ClassMismatch     Code = "class-mismatch"     // data set and C-STORE command contradict each other
	StudyMismatch     Code = "study-mismatch"     // data set is of another study than the STOW-RS URL names
	ContextMismatch   Code = "context-mismatch"   // command's SOP Class is not its Presentation Context's
	NotAuthorized     Code = "not-authorized"     // this sender may not store this
	Conflict          Code = "conflict"           // same SOP Instance UID, other bytes, policy refuses
	Aborted           Code = "aborted"            // the sender broke off, or the line did
	OutOfResources    Code = "out-of-resources"   // disk reserve reached, store or log away, budget exhausted
	ChecksumMismatch  Code = "checksum-mismatch"  // the bytes are not those that the sender announced
	Internal          Code = "internal"           // our bug, or an error that nobody classified
)

// Reasons to keep the bytes in quarantine: complete transfers that cannot be indexed.
const (
	Malformed          Code = "malformed"           // the encoding breaks off in nonsense
	Truncated          Code = "truncated"           // the object ends inside an element, sequence or fragment
	MissingUID         Code = "missing-uid"         // no Study, Series, SOP Instance or SOP Class UID
	NoTransferSyntax   Code = "no-transfer-syntax"  // File Meta without a Transfer Syntax UID
	WrongSyntax        Code = "wrong-syntax"        // the data set is not encoded as its transfer syntax says
	UIDContradiction   Code = "uid-contradiction"   // File Meta and data set name different instances
	DuplicateElement   Code = "duplicate-element"   // an identifying element occurs twice with different values
	TooDeep            Code = "too-deep"            // sequences nested beyond the limit
	TooManyElements    Code = "too-many-elements"   // elements or items beyond the limit
	HeaderTooLarge     Code = "header-too-large"    // header beyond the byte limit
	InflateBomb        Code = "inflate-bomb"        // deflated data set beyond the output budget or ratio
	UndecodableDeflate Code = "undecodable-deflate" // deflate stream corrupt
	NotParsed          Code = "not-parsed"          // a known format that this version does not read yet
)

var refused = []Code{
	Empty, UnsupportedFormat, NotStorageObject, BadUID, TooLarge, UnsupportedClass, ClassMismatch, StudyMismatch,
	ContextMismatch, NotAuthorized, Conflict, Aborted, OutOfResources, ChecksumMismatch, Internal,
}

var quarantined = []Code{
	Malformed, Truncated, MissingUID, NoTransferSyntax, WrongSyntax, UIDContradiction, DuplicateElement, TooDeep,
	TooManyElements, HeaderTooLarge, InflateBomb, UndecodableDeflate, NotParsed,
}

// All returns every code.
func All() []Code { return append(append([]Code{}, refused...), quarantined...) }

// Keeps reports whether an object refused with c is kept in quarantine (true) or not at all (false).
func (c Code) Keeps() bool {
	for _, q := range quarantined {
		if c == q {
			return true
		}
	}
	return false
}

// Error is a refusal. Op is like "part10.Scan"; Offset counts bytes from the start of the object, -1
// for no place. Err may be nil.
type Error struct {
	Code   Code
	Op     string
	Offset int64
	Err    error
}

// New returns a refusal without a place.
func New(code Code, op, format string, args ...any) *Error {
	return &Error{Code: code, Op: op, Offset: -1, Err: fmt.Errorf(format, args...)}
}

// At returns a refusal at a byte offset of the object.
func At(code Code, op string, offset int64, format string, args ...any) *Error {
	return &Error{Code: code, Op: op, Offset: offset, Err: fmt.Errorf(format, args...)}
}

func (e *Error) Error() string {
	s := e.Op + ": " + string(e.Code)
	if e.Offset >= 0 {
		s += fmt.Sprintf(" at byte %d", e.Offset)
	}
	if e.Err != nil {
		s += ": " + e.Err.Error()
	}
	return s
}

func (e *Error) Unwrap() error { return e.Err }

// CodeOf returns the code of err's refusal, or Internal for an error that nobody classified.
func CodeOf(err error) Code {
	var e *Error
	if errors.As(err, &e) {
		return e.Code
	}
	return Internal
}
