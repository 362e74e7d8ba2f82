package web

import (
	"context"
	"errors"
	"io"
	"net/http"
	"strings"
	"time"

	"github.com/tributary-dicom/tributary/parsers/reject"
	"github.com/tributary-dicom/tributary/storage/blob"
	"github.com/tributary-dicom/tributary/storage/index"
)

// Desk is what the operators' pages show; *index.DB has it.
type Desk interface {
	// Arrivals returns what came in, newest first; Arrival one object by its id, or index.ErrNotFound.
	Arrivals(ctx context.Context, q index.ArrivalQuery) ([]index.Arrival, error)
	Arrival(ctx context.Context, tenant, objectID string) (index.Arrival, error)

	Quarantine(ctx context.Context, tenant string, limit, offset int) ([]index.Quarantined, error)
	QuarantineEntry(ctx context.Context, tenant, id string) (index.Quarantined, error)
	Conflicts(ctx context.Context, tenant string, limit, offset int) ([]index.Conflict, error)
	PatientConflicts(ctx context.Context, tenant string, limit, offset int) ([]index.PatientConflict, error)

	// Lookup returns all versions of a SOP Instance UID, oldest first, and the id of the one that readers see.
	Lookup(ctx context.Context, tenant, sopInstanceUID string) ([]index.Version, string, error)
	// Objects calls fn for the current instances in a scope.
	Objects(ctx context.Context, s index.Scope, w index.Want, fn func(index.Object) error) error
}

// Decisions is what operators can do. The pages and the JSON doors of ingest/desk do it by the same code. A refusal is a
// *reject.Error; by names who decided, "" when nobody said.
type Decisions interface {
	// Retry admits the bytes of an entry again. An error leaves everything as it was.
	Retry(ctx context.Context, tenant string, q index.Quarantined, by string) (Outcome, error)
	// Remove forgets an entry and its bytes.
	Remove(ctx context.Context, tenant string, q index.Quarantined, by string) error
	// Promote makes the version objectID the one that readers see.
	Promote(ctx context.Context, tenant string, c index.Conflict, objectID, by string) error
	// Keep confirms the version that readers see, which is objectID.
	Keep(ctx context.Context, tenant string, c index.Conflict, objectID, by string) error
}

// Outcome is what became of an entry of the quarantine that was admitted again.
type Outcome struct {
	ID     string // object id; of the first copy for a duplicate
	Status string // as in a receipt: "stored", "duplicate", "conflict"
}

// Bytes opens what is kept; blob.Store has it.
type Bytes interface {
	// Open yields n bytes of a blob from off on; fewer where it ends.
	Open(ctx context.Context, key string, off, n int64) (io.ReadCloser, error)
}

// OperatorsConfig is what these pages need beside Config. A nil field takes away the pages that need it.
type OperatorsConfig struct {
	Desk      Desk
	Decisions Decisions // nil: lists only
	Blobs     Bytes     // nil: no preview of bytes

	// Upload is this node's door for whole files, POST /upload; resumable ones go to /upload/tus/. Nil on a node that
	// does not take files: the page for them then says so.
	Upload http.Handler
}

// badgeFor is how long the numbers in the navigation are used before they are counted again.
const badgeFor = 10 * time.Second

// operators serves these pages.
type operators struct {
	*pages
	cfg       OperatorsConfig
	comparing chan struct{} // a place for each comparison that runs
}

// routesOperators registers the pages of this file.
func (p *pages) routesOperators(mux *http.ServeMux) {
	o := &operators{pages: p, cfg: p.Operators, comparing: make(chan struct{}, 2)}
	p.handle(mux, "GET /pages/upload", o.uploadPage)
	p.handle(mux, "POST /pages/upload", o.uploadForm)
	o.only(mux, "/pages/upload", "GET, HEAD, POST")
	if o.cfg.Desk == nil {
		return
	}
	p.handle(mux, "GET /pages/receipts", o.receiptsPage)
	p.handle(mux, "GET /pages/receipts/{id}", o.receiptPage)
	p.handle(mux, "GET /pages/quarantine", o.quarantinePage)
	p.handle(mux, "GET /pages/quarantine/{id}", o.entryPage)
	p.handle(mux, "GET /pages/conflicts", o.conflictsPage)
	p.handle(mux, "GET /pages/conflicts/{instance}", o.conflictPage)
	for _, path := range []string{
		"/pages/receipts", "/pages/receipts/{id}", "/pages/quarantine", "/pages/quarantine/{id}", "/pages/conflicts",
		"/pages/conflicts/{instance}",
	} {
		o.only(mux, path, "GET, HEAD")
	}
	if o.cfg.Decisions == nil {
		return
	}
	// Each action has a page that asks first (GET), and a form on it that acts (POST) and leads to what came of it.
	p.handle(mux, "GET /pages/quarantine/{id}/{action}", o.askEntry)
	p.handle(mux, "POST /pages/quarantine/{id}/{action}", o.actEntry)
	o.only(mux, "/pages/quarantine/{id}/{action}", "GET, HEAD, POST")
	p.handle(mux, "GET /pages/conflicts/{instance}/{action}/{id}", o.askConflict)
	p.handle(mux, "POST /pages/conflicts/{instance}/{action}/{id}", o.actConflict)
	o.only(mux, "/pages/conflicts/{instance}/{action}/{id}", "GET, HEAD, POST")
}

// only refuses all methods but those that are registered for a path.
func (o *operators) only(mux *http.ServeMux, path, allow string) {
	o.handle(mux, path, func(w http.ResponseWriter, _ *http.Request) error {
		w.Header().Set("Allow", allow)
		return errMethod
	})
}

var (
	errMethod   = &failure{http.StatusMethodNotAllowed, "operators.error.method", "operators.error.method.text"}
	errResolved = &failure{http.StatusNotFound, "operators.error.resolved", "operators.error.resolved.text"}
	errReceipt  = &failure{http.StatusNotFound, "operators.error.receipt", "operators.error.receipt.text"}
	errSettled  = &failure{http.StatusConflict, "operators.error.settled", "operators.error.settled.text"}
	errNoIntake = &failure{http.StatusNotFound, "operators.upload.elsewhere", "operators.upload.elsewhere.text"}
	errStorage  = &failure{http.StatusServiceUnavailable, "operators.error.storage", "operators.error.storage.text"}
)

// failed turns errors of the desk into those that have a page; missing is the page for what is not there.
func failed(err error, missing *failure) error {
	var refusal *reject.Error
	switch {
	case err == nil:
		return nil
	case errors.Is(err, index.ErrNotFound), errors.Is(err, blob.ErrNotFound):
		return missing
	case errors.Is(err, blob.ErrUnavailable):
		return errUnavailable
	case errors.As(err, &refusal) && passing(refusal.Code):
		return errStorage
	}
	return err
}

// passing reports whether a refusal is about this moment, not about the object.
func passing(c reject.Code) bool { return c == reject.OutOfResources || c == reject.Aborted }

// patience bounds one question to the index.
func (o *operators) patience(r *http.Request) (context.Context, context.CancelFunc) {
	return context.WithTimeout(r.Context(), o.Timeout)
}

// maxBy bounds the name of the operator that is kept with a decision, bytes.
const maxBy = 64

// by is who decides, as far as the request tells.
func by(r *http.Request) string {
	user, _, _ := r.BasicAuth()
	return strings.ToValidUTF8(user[:min(len(user), maxBy)], "")
}

// validID reports whether s can be an object id: a ULID, or what other releases use.
func validID(s string) bool {
	return s != "" && len(s) <= 64 && strings.IndexFunc(s, func(r rune) bool {
		return (r < '0' || r > '9') && (r < 'A' || r > 'Z') && (r < 'a' || r > 'z') && r != '-' && r != '_'
	}) < 0
}

// navOperators are the entries of these pages in the navigation.
func (p *pages) navOperators(r *http.Request) []navItem {
	items := []navItem{{Section: "upload", Href: "/pages/upload", Text: "operators.nav.upload"}}
	if p.Operators.Desk == nil {
		return items
	}
	badges := p.waiting.badges(r.Context(), p.Tenant(r))
	return append(items,
		navItem{Section: "receipts", Href: "/pages/receipts", Text: "operators.nav.receipts"},
		navItem{Section: "quarantine", Href: "/pages/quarantine", Text: "operators.nav.quarantine", Badge: badges["quarantine"]},
		navItem{Section: "conflicts", Href: "/pages/conflicts", Text: "operators.nav.conflicts", Badge: badges["conflicts"]},
	)
}
