package blob

import (
	"context"
	"errors"
	"io"
	"time"
)

var (
	// ErrNotFound is returned for a key that names no blob, or one that was deleted.
	ErrNotFound = errors.New("no such blob")
	// ErrCorrupt is returned instead of bytes that are not those that were stored.
	ErrCorrupt = errors.New("blob is damaged")
	// ErrNoSpace is returned when the disk reserve is reached or the store is full.
	ErrNoSpace = errors.New("blob store is full")
	// ErrReadOnly is returned after a failed fsync, until a probe succeeds.
	ErrReadOnly = errors.New("blob store cannot write")
	// ErrUnavailable is returned while the store does not answer, or answers that it cannot. Nothing is said
	// about what it keeps; trying again later helps.
	ErrUnavailable = errors.New("blob store is away")
	// ErrBadKey is returned for a key that this store never gave out.
	ErrBadKey = errors.New("not a blob key")
)

// Meta is kept with the bytes, so that a blob whose event was lost can be adopted: what only the door
// knew. Values are UTF-8; all of it together is at most 16 KiB of JSON.
type Meta map[string]string

// Info describes a stored blob.
type Info struct {
	Key     string // opaque, given by the store, safe in URLs and logs
	Bytes   int64
	Meta    Meta
	Created time.Time
}

// Store keeps immutable blobs. Keys are the store's to give, unique for ever. Safe for concurrent use.
type Store interface {
	// Create starts a blob. Nothing is visible until Writer.Commit.
	Create(ctx context.Context) (Writer, error)

	// Open returns the bytes [off, off+n) of a blob, to its end for n < 0. A range past the end is cut
	// short. Where the bytes are not those that were stored, reading ends in ErrCorrupt instead of io.EOF,
	// and of a range shorter than the blob no such byte is given out. The caller closes the reader.
	Open(ctx context.Context, key string, off, n int64) (io.ReadCloser, error)

	// Stat returns a blob's description.
	Stat(ctx context.Context, key string) (Info, error)

	// Delete forgets a blob and frees its space. Deleting what is gone succeeds.
	Delete(ctx context.Context, key string) error

	// List calls fn for every blob created at or after since, in no particular order, until fn fails.
	List(ctx context.Context, since time.Time, fn func(Info) error) error

	// Ready returns nil when Create and Commit can succeed, or why not.
	Ready(ctx context.Context) error

	Close() error
}

// Writer receives one blob's bytes. Not safe for concurrent use. It does not retain p after Write.
type Writer interface {
	io.Writer

	// Commit seals the blob and returns once bytes and meta are durable. Until then, and after any
	// error, no reader and no List sees any of it. Writer is spent afterwards.
	Commit(ctx context.Context, meta Meta) (Info, error)

	// Abort drops what was written. It does nothing after Commit or Abort.
	Abort()
}
