package s3blob

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"net/http"

	"github.com/minio/minio-go/v7"

	"github.com/tributary-dicom/tributary/storage/blob"
)

// ErrClosed is returned after Close.
var ErrClosed = errors.New("blob store is closed")

var (
	errStalled  = errors.New("no byte moved for too long")
	errMismatch = errors.New("server answered with another checksum")
	errTransit  = errors.New("bytes changed on the way")
	errNoRanges = errors.New("server does not keep to ranges of bytes")
	errLost     = errors.New("the server lost what it had taken")
	errSpent    = errors.New("blob writer is spent")
	errTooOld   = fmt.Errorf("blob was begun more than %v ago", maxUploadAge)
	errTooLarge = errors.New("blob is larger than the store takes")
)

// verdict is what an answer means for what comes next.
type verdict int

const (
	passing  verdict = iota // the server is away, busy, or the line broke: worth another try
	refused                 // wrong rights, no bucket, no trust: people have to see to it
	missing                 // no such object
	noUpload                // no such multipart upload
	exists                  // something has the key already
	noRange                 // a range begins past the end
	full                    // no room, or a quota is used up
	rejected                // any other answer that will not change
)

// judge reads an error of the library.
func judge(err error) verdict {
	if errors.Is(err, blob.ErrCorrupt) || errors.Is(err, errMismatch) || errors.Is(err, errNoRanges) || errors.Is(err, blob.ErrNoSpace) {
		return rejected // by us
	}
	var resp minio.ErrorResponse
	if !errors.As(err, &resp) {
		var cert *tls.CertificateVerificationError
		if errors.As(err, &cert) {
			return refused
		}
		return passing // of the network
	}
	switch resp.Code {
	case minio.NoSuchKey, minio.NoSuchVersion:
		return missing
	case minio.NoSuchBucket, minio.AccessDenied, minio.AllAccessDisabled, minio.InvalidAccessKeyID, minio.SignatureDoesNotMatch,
		minio.InvalidBucketName, minio.AuthorizationHeaderMalformed, minio.RequestTimeTooSkewed, minio.InvalidRegion, "InvalidToken", "InvalidSecurity":
		return refused
	case minio.NoSuchUpload:
		return noUpload
	case minio.PreconditionFailed:
		return exists
	case minio.InvalidRange:
		return noRange
	case "QuotaExceeded", "XMinioStorageFull", "XMinioAdminBucketQuotaExceeded", "XMinioBucketQuotaExceeded", "InsufficientCapacity", "NotEnoughSpace", "InsufficientStorage":
		return full
	case minio.InternalError, minio.BadDigest, minio.IncompleteBody, minio.XAmzContentSHA256Mismatch, "SlowDown", "SlowDownWrite", "SlowDownRead", "RequestTimeout", "Throttling",
		"ThrottlingException", "RequestLimitExceeded", "RequestThrottled", "ExpiredToken", "ExpiredTokenException", "OperationAborted", "ConditionalRequestConflict", "ServiceUnavailable":
		return passing
	}
	switch code := resp.StatusCode; {
	case code == http.StatusInsufficientStorage:
		return full
	case code == http.StatusNotFound:
		return missing
	case code == http.StatusForbidden, code == http.StatusUnauthorized:
		return refused
	case code == http.StatusPreconditionFailed:
		return exists
	case code == http.StatusRequestedRangeNotSatisfiable:
		return noRange
	case code == http.StatusRequestTimeout, code == http.StatusTooManyRequests, code == 499: // client closed the request, says a proxy
		return passing
	case code >= 500 && code != http.StatusNotImplemented:
		return passing
	}
	return rejected
}

// explain turns an error of the library into one that users of the store know. Where ctx is over it is
// that. writing tells what the store was asked for.
func explain(ctx context.Context, op string, err error, writing bool) error {
	if cause := context.Cause(ctx); cause != nil {
		return fmt.Errorf("%s: %w", op, cause)
	}
	switch {
	case errors.Is(err, ErrClosed), errors.Is(err, blob.ErrUnavailable), errors.Is(err, blob.ErrCorrupt),
		errors.Is(err, blob.ErrNotFound), errors.Is(err, blob.ErrNoSpace), errors.Is(err, blob.ErrReadOnly), errors.Is(err, blob.ErrBadKey):
		return fmt.Errorf("%s: %w", op, err)
	case errors.Is(err, errSpent), errors.Is(err, errTooLarge), errors.Is(err, errTooOld):
		return fmt.Errorf("%s: %w", op, err)
	}
	switch judge(err) {
	case missing:
		return fmt.Errorf("%s: %w", op, blob.ErrNotFound)
	case full:
		return fmt.Errorf("%s: %w: %w", op, blob.ErrNoSpace, opaque(err))
	case passing:
		return fmt.Errorf("%s: %w: %w", op, blob.ErrUnavailable, opaque(err))
	case refused:
		if writing {
			return fmt.Errorf("%s: %w: %w", op, blob.ErrReadOnly, opaque(err))
		}
		return fmt.Errorf("%s: %w: %w", op, blob.ErrUnavailable, opaque(err))
	default:
		return fmt.Errorf("%s: %w", op, opaque(err))
	}
}

// opaque keeps an error's text, with S3's code where it has one, and hides that it may be a deadline of ours:
// callers ask errors.Is to learn of their own.
func opaque(err error) error {
	text := err.Error()
	var resp minio.ErrorResponse
	if errors.As(err, &resp) && resp.Code != "" {
		text = resp.Code + ": " + text
	}
	if errors.Is(err, context.Canceled) || errors.Is(err, context.DeadlineExceeded) || text != err.Error() {
		return errors.New(text)
	}
	return err
}
