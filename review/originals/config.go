package originals

import (
	"context"
	"io"
	"log/slog"
	"net/http"
	"strings"
	"time"

	"github.com/tributary-dicom/tributary/storage/index"
)

// Index is all that this room needs from the index; *index.DB has it.
type Index interface {
	// Original returns a file by its object id, by that of the DICOM object made of it, or by either one's UID;
	// index.ErrNotFound for all else.
	Original(ctx context.Context, tenant, id string) (index.Original, error)

	// Recordings returns rows that match q, newest first, at most q.Limit. index.ErrBadQuery is about q.
	Recordings(ctx context.Context, q index.RecordingQuery) ([]index.RecordingRow, error)
}

// Blobs is all that this room needs from the blob store.
type Blobs interface {
	// Open returns the bytes [off, off+n) of a blob. A store that checks what it reads returns its error in place of
	// io.EOF.
	Open(ctx context.Context, key string, off, n int64) (io.ReadCloser, error)
}

// Defaults of Config.
const (
	DefaultTenant   = "default" // as in package ingest
	DefaultDICOMWeb = "/dicom-web"

	// DefaultTimeout bounds one question to the index.
	DefaultTimeout = 5 * time.Second

	// DefaultLimit rows answer a search that names no limit, MaxLimit any: some 2 KB each.
	DefaultLimit = 100
	MaxLimit     = 1000
)

// Config says what to serve. Index and Blobs are required, everything else has a default.
type Config struct {
	Index Index
	Blobs Blobs

	// Tenant names the tenant whose objects a request may see. Nil means DefaultTenant for all.
	Tenant func(*http.Request) string

	// DICOMWeb is the path of WADO-RS, for links to instances.
	DICOMWeb string

	Timeout time.Duration
	Log     *slog.Logger // nil discards
}

func (c Config) withDefaults() Config {
	if c.Tenant == nil {
		c.Tenant = func(*http.Request) string { return DefaultTenant }
	}
	if c.DICOMWeb == "" {
		c.DICOMWeb = DefaultDICOMWeb
	}
	c.DICOMWeb = "/" + strings.Trim(c.DICOMWeb, "/")
	if c.Timeout <= 0 {
		c.Timeout = DefaultTimeout
	}
	if c.Log == nil {
		c.Log = slog.New(slog.DiscardHandler)
	}
	return c
}
