package dicomweb

import (
	"context"
	"io"
	"log/slog"
	"net/http"
	"strings"
	"time"

	"github.com/tributary-dicom/tributary/storage/index"
)

// Index is all that readers need from the index.
type Index interface {
	// Search returns the rows that match q, at most q.Limit.
	Search(ctx context.Context, q index.Query) ([]index.Row, error)

	// Objects calls fn for each current instance in scope, in order of series and instance number, until
	// fn fails, and returns fn's error. Nothing in scope is no call, or index.ErrNotFound. What an Object
	// refers to is fn's to keep.
	Objects(ctx context.Context, s index.Scope, w index.Want, fn func(index.Object) error) error
}

// Blobs is all that readers need from the blob store.
type Blobs interface {
	// Open returns the bytes [off, off+n) of a blob, to its end for n < 0. An *os.File goes out by
	// sendfile; a store that checks what it reads returns its error in place of io.EOF.
	Open(ctx context.Context, key string, off, n int64) (io.ReadCloser, error)
}

// Defaults of Config.
const (
	DefaultPrefix = "/dicom-web"
	DefaultTenant = "default" // as in package ingest

	// DefaultLimit rows answer a search over all studies that names no limit. Lower cuts worklists that
	// do not page; higher makes an idle glance expensive.
	DefaultLimit = 1000
	// MaxLimit rows are the most that one search returns, and the default within one study: clients that
	// list the instances of a CT do not page. Ten thousand rows take some 15 MB.
	MaxLimit = 10_000

	// DefaultTimeout bounds one question to the index.
	DefaultTimeout = 5 * time.Second
)

// Config says what to serve and how. Index and Blobs are required, everything else has a default.
type Config struct {
	Index Index
	Blobs Blobs

	// Prefix is the path below which everything is served, without a slash at the end.
	Prefix string

	// PublicURL is how clients reach Prefix ("https://pacs.example/dicom-web"). Retrieve URLs (0008,1190)
	// in search results are absolute with it and server-relative without: no proxy can then make them
	// wrong. Bulk Data URIs are always server-relative.
	PublicURL string

	// Tenant names the tenant whose objects a request may see. Nil means DefaultTenant for all.
	Tenant func(*http.Request) string

	DefaultLimit int           // rows of a search that names no limit
	MaxLimit     int           // rows of any search
	Timeout      time.Duration // for one question to the index

	Log *slog.Logger // nil discards
}

func (c Config) withDefaults() Config {
	if c.Prefix == "" {
		c.Prefix = DefaultPrefix
	}
	c.Prefix = "/" + strings.Trim(c.Prefix, "/")
	c.PublicURL = strings.TrimRight(c.PublicURL, "/")
	if c.PublicURL == "" {
		c.PublicURL = c.Prefix
	}
	if c.Tenant == nil {
		c.Tenant = func(*http.Request) string { return DefaultTenant }
	}
	if c.MaxLimit <= 0 {
		c.MaxLimit = MaxLimit
	}
	if c.DefaultLimit <= 0 {
		c.DefaultLimit = DefaultLimit
	}
	c.DefaultLimit = min(c.DefaultLimit, c.MaxLimit)
	if c.Timeout <= 0 {
		c.Timeout = DefaultTimeout
	}
	if c.Log == nil {
		c.Log = slog.New(slog.DiscardHandler)
	}
	return c
}
