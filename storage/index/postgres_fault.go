package index

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"os"

	"github.com/jackc/pgx/v5/pgconn"
)

// Codes of PostgreSQL (appendix A of its manual).
const (
	codeUniqueViolation      = "23505"
	codeReadOnly             = "25006"
	codeSerialization        = "40001"
	codeDeadlock             = "40P01"
	codeLockNotAvailable     = "55P03"
	codeQueryCanceled        = "57014"
	codeAdminShutdown        = "57P01"
	codeCrashShutdown        = "57P02"
	codeCannotConnectNow     = "57P03"
	codeIdleInTransaction    = "25P03"
	codeTooManyConnections   = "53300"
	classConnection          = "08"
	classInsufficientMachine = "53"
	classSystem              = "58"
)

// errSilent is why a client gave up a server that did not answer, not even that it gave up itself.
var errSilent = errors.New("the server does not answer")

// silent returns errSilent where that ended ctx.
func silent(ctx context.Context, err error) error {
	if err != nil && errors.Is(context.Cause(ctx), errSilent) {
		return errSilent
	}
	return err
}

// metAnother tells errors that come of another writer's work at the same moment.
func metAnother(err error) bool {
	var e *pgconn.PgError
	if !errors.As(err, &e) {
		return false
	}
	switch e.Code {
	case codeUniqueViolation, codeSerialization, codeDeadlock, codeLockNotAvailable:
		return true
	}
	return false
}

// fault marks what passes by itself: nothing that a server says of its own state is the fault of a record or
// of a query. What PostgreSQL says in detail, which quotes rows, is left out of its error's text.
func (e *postgresEngine) fault(err error) error {
	if err == nil || errors.Is(err, ErrUnavailable) || errors.Is(err, ErrClosed) {
		return err
	}
	var said *pgconn.PgError
	if errors.As(err, &said) {
		switch {
		case said.Code == codeQueryCanceled:
			return fmt.Errorf("%w: %w", ErrTimeout, err)
		case away(said.Code):
			return fmt.Errorf("%w: %w", ErrUnavailable, err)
		}
		return err
	}
	var connect *pgconn.ConnectError
	var network net.Error
	switch {
	case errors.Is(err, errSilent), errors.As(err, &connect), errors.As(err, &network), pgconn.Timeout(err), pgconn.SafeToRetry(err),
		errors.Is(err, io.EOF), errors.Is(err, io.ErrUnexpectedEOF), errors.Is(err, net.ErrClosed), errors.Is(err, os.ErrDeadlineExceeded):
		return fmt.Errorf("%w: %w", ErrUnavailable, err)
	}
	return err
}

// away tells codes of a server that cannot answer for now.
func away(code string) bool {
	switch code {
	case codeReadOnly, codeAdminShutdown, codeCrashShutdown, codeCannotConnectNow, codeIdleInTransaction, codeTooManyConnections:
		return true
	}
	switch code[:min(2, len(code))] {
	case classConnection, classInsufficientMachine, classSystem:
		return true
	}
	return false
}
