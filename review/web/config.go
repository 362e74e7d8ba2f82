package web

import (
	"context"
	"log/slog"
	"net/http"
	"strings"
	"time"

	"github.com/tributary-dicom/tributary/storage/index"
)

// Index is all that the search and study pages need from the index.
type Index interface {
	// Search returns the rows that match q, at most q.Limit.
	Search(ctx context.Context, q index.Query) ([]index.Row, error)

	// Recordings returns ECG recordings that match q, newest received first.
	Recordings(ctx context.Context, q index.RecordingQuery) ([]index.RecordingRow, error)
}

// Defaults of Config.
const (
	DefaultDICOMWeb = "/dicom-web"
	DefaultTenant   = "default" // as in package ingest

	// DefaultTimeout bounds what one page asks of the index, all questions together.
	DefaultTimeout = 5 * time.Second
)

// Config says what the pages show. Index is required; all else may be left out, and what needs it is then not shown.
type Config struct {
	Index  Index
	States States // completeness of studies

	// DICOMWeb is the path of this node's DICOMweb, without a slash at the end. Default DefaultDICOMWeb.
	DICOMWeb string

	// Viewer is the path below which OHIF is served, with slashes at both ends, or "".
	Viewer string

	// Tenant names the tenant whose objects a request may see. Nil means DefaultTenant for all.
	Tenant func(*http.Request) string

	Timeout time.Duration    // for all that a page asks of the index
	Now     func() time.Time // for "today" and ages; nil means time.Now
	Log     *slog.Logger     // nil discards

	Operators OperatorsConfig
	Cine      CineConfig
	ECG       ECGConfig
}

func (c Config) withDefaults() Config {
	if c.DICOMWeb == "" {
		c.DICOMWeb = DefaultDICOMWeb
	}
	c.DICOMWeb = "/" + strings.Trim(c.DICOMWeb, "/")
	if c.Tenant == nil {
		c.Tenant = func(*http.Request) string { return DefaultTenant }
	}
	if c.Timeout <= 0 {
		c.Timeout = DefaultTimeout
	}
	if c.Now == nil {
		c.Now = time.Now
	}
	if c.Log == nil {
		c.Log = slog.New(slog.DiscardHandler)
	}
	return c
}
