package stage

import (
	"errors"
	"fmt"
	"runtime"
)

// ErrDeadLetter is returned by Run when a record can be neither handled nor written to the dead-letter
// topic.
var ErrDeadLetter = errors.New("record can be neither handled nor kept as a dead letter")

// Permanent marks err as the fault of a record: trying again will not help. It returns nil for nil.
func Permanent(err error) error {
	if err == nil {
		return nil
	}
	return &permanentError{err}
}

type permanentError struct{ err error }

func (e *permanentError) Error() string   { return e.err.Error() }
func (e *permanentError) Unwrap() error   { return e.err }
func (e *permanentError) Permanent() bool { return true }

// IsPermanent reports whether err is marked by Permanent, or has an error with the method Permanent()
// bool that says so, as event.DecodeError has.
func IsPermanent(err error) bool {
	var p interface{ Permanent() bool }
	return errors.As(err, &p) && p.Permanent()
}

// panicError is a handler's panic. Its text has no stack, which goes to the log alone.
type panicError struct {
	value any
	stack []byte
}

func newPanicError(value any) *panicError {
	stack := make([]byte, 8<<10)
	return &panicError{value: value, stack: stack[:runtime.Stack(stack, false)]}
}

func (e *panicError) Error() string   { return fmt.Sprintf("panic: %v", e.value) }
func (e *panicError) Permanent() bool { return true }

func (e *panicError) Unwrap() error {
	err, _ := e.value.(error)
	return err
}
