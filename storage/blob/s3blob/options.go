package s3blob

import (
	"log/slog"
	"net/http"
	"time"
)

// Options tune a Store. The zero value is good for production.
type Options struct {
	// BufferBytes bounds the memory of all blobs between Create and Commit. What is beyond it is gathered in
	// temporary files; none waits for another's sender. 0 means 64 MiB.
	BufferBytes int64

	// Parts is how many parts of one blob are sent at once. 0 means 3.
	Parts int

	// TempDir is for what exceeds BufferBytes, and for the large parts of blobs beyond some 8 GiB. Nothing in
	// it needs to be durable, nothing is left in it. "" means os.TempDir.
	TempDir string

	// Timeout is how long a request may go without a byte moving, or without an answer. A slow stream that
	// moves is not cut off. 0 means 20 s.
	Timeout time.Duration

	// Attempts is how often a request is sent in all while it fails for a reason that may pass. 0 means 4.
	Attempts int

	// UserAgent is sent after the library's own, "name/version". "" means "tributary".
	UserAgent string

	// Wrap puts something around the transport, for metrics or tests. nil means nothing.
	Wrap func(http.RoundTripper) http.RoundTripper

	// Log hears of a server that is away, comes back, or damages blobs. nil means silence.
	Log *slog.Logger

	// Now is the clock, nil means time.Now. It names blobs and stamps them; nothing else trusts it.
	Now func() time.Time
}

const (
	// maxUploadAge is how long a blob may take from Create to Commit: what is older may be swept, and List
	// looks no further back for blobs that were named before they were committed.
	maxUploadAge = 24 * time.Hour

	// completeTimeout is for the one request that a server may have to work on for long: it may copy
	// the parts together before it answers.
	completeTimeout = 3 * time.Minute

	// adoptAfter is less than the age at which an orphan may be adopted by some node's janitor. A blob whose
	// commit failed may only be deleted before.
	adoptAfter = 45 * time.Second
)

func (o Options) withDefaults() Options {
	if o.BufferBytes <= 0 {
		o.BufferBytes = 64 << 20
	}
	if o.Parts <= 0 {
		o.Parts = 3
	}
	if o.Timeout <= 0 {
		o.Timeout = 20 * time.Second
	}
	if o.Attempts <= 0 {
		o.Attempts = 4
	}
	if o.UserAgent == "" {
		o.UserAgent = "tributary"
	}
	if o.Log == nil {
		o.Log = slog.New(slog.DiscardHandler)
	}
	if o.Now == nil {
		o.Now = time.Now
	}
	return o
}
