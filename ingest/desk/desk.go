package desk

import (
	"context"
	"encoding/json"
	"errors"
	"io"
	"log/slog"
	"net/http"
	"slices"
	"strconv"
	"strings"

	"github.com/tributary-dicom/tributary/ingest"
	"github.com/tributary-dicom/tributary/parsers/reject"
	"github.com/tributary-dicom/tributary/storage/blob"
	"github.com/tributary-dicom/tributary/storage/index"
)

// Lists is what the desk shows; *index.DB has it.
type Lists interface {
	Quarantine(ctx context.Context, tenant string, limit, offset int) ([]index.Quarantined, error)
	QuarantineEntry(ctx context.Context, tenant, id string) (index.Quarantined, error)
	Conflicts(ctx context.Context, tenant string, limit, offset int) ([]index.Conflict, error)
	PatientConflicts(ctx context.Context, tenant string, limit, offset int) ([]index.PatientConflict, error)
	Lookup(ctx context.Context, tenant, sopInstanceUID string) ([]index.Version, string, error)
	Objects(ctx context.Context, s index.Scope, w index.Want, fn func(index.Object) error) error
}

// Decisions is what the desk does; *ingest.Intake has it.
type Decisions interface {
	Retry(ctx context.Context, tenant string, q index.Quarantined, by string) (ingest.Receipt, error)
	Remove(ctx context.Context, tenant string, q index.Quarantined, by string) error
	Settle(ctx context.Context, tenant string, c index.Conflict, objectID, action, by string) error
}

// Blobs opens what is kept; blob.Store has it.
type Blobs interface {
	Open(ctx context.Context, key string, off, n int64) (io.ReadCloser, error)
}

// Config of the desk.
type Config struct {
	Tenant    string
	Lists     Lists
	Decisions Decisions
	Blobs     Blobs
	Logger    *slog.Logger // nil: nobody hears why the desk failed
}

// Entries of a list: how many without ?limit=, and at most. A page of conflicts costs a lookup for each.
const (
	defaultLimit = 100
	maxLimit     = 1000
)

// maxBy bounds the name of the operator that is kept with a decision, bytes.
const maxBy = 64

// New returns the handler of /quarantine and /conflicts.
func New(cfg Config) http.Handler {
	if cfg.Logger == nil {
		cfg.Logger = slog.New(slog.DiscardHandler)
	}
	d := desk{cfg}
	mux := http.NewServeMux()
	mux.HandleFunc("GET /quarantine", d.quarantine)
	mux.HandleFunc("GET /quarantine/{id}", d.entry)
	mux.HandleFunc("GET /quarantine/{id}/file", d.file)
	mux.HandleFunc("POST /quarantine/{id}/retry", d.retry)
	mux.HandleFunc("DELETE /quarantine/{id}", d.remove)
	mux.HandleFunc("GET /conflicts", d.conflicts)
	mux.HandleFunc("GET /conflicts/patients", d.patients)
	mux.HandleFunc("POST /conflicts/{instance}/{action}/{id}", d.settle)
	return mux
}

type desk struct{ cfg Config }

func (d desk) quarantine(w http.ResponseWriter, r *http.Request) {
	limit, offset := page(r)
	list, err := d.cfg.Lists.Quarantine(r.Context(), d.cfg.Tenant, limit, offset)
	if list == nil {
		list = []index.Quarantined{}
	}
	d.answer(w, http.StatusOK, list, err)
}

func (d desk) entry(w http.ResponseWriter, r *http.Request) {
	q, err := d.cfg.Lists.QuarantineEntry(r.Context(), d.cfg.Tenant, r.PathValue("id"))
	d.answer(w, http.StatusOK, q, err)
}

// file hands out the quarantined bytes as they came, never to be shown by a browser.
func (d desk) file(w http.ResponseWriter, r *http.Request) {
	q, err := d.cfg.Lists.QuarantineEntry(r.Context(), d.cfg.Tenant, r.PathValue("id"))
	if err != nil {
		d.answer(w, 0, nil, err)
		return
	}
	body, err := d.cfg.Blobs.Open(r.Context(), q.BlobKey, 0, -1)
	if err != nil {
		d.answer(w, 0, nil, err)
		return
	}
	defer body.Close()
	h := w.Header()
	h.Set("Content-Type", "application/octet-stream")
	h.Set("Content-Disposition", `attachment; filename="`+q.ObjectID+`.bin"`)
	h.Set("X-Content-Type-Options", "nosniff")
	h.Set("Content-Length", strconv.FormatInt(q.Bytes, 10))
	if _, err := io.Copy(w, body); err != nil {
		panic(http.ErrAbortHandler) // a short body must not look whole
	}
}

func (d desk) retry(w http.ResponseWriter, r *http.Request) {
	q, err := d.cfg.Lists.QuarantineEntry(r.Context(), d.cfg.Tenant, r.PathValue("id"))
	if err != nil {
		d.answer(w, 0, nil, err)
		return
	}
	rec, err := d.cfg.Decisions.Retry(r.Context(), d.cfg.Tenant, q, by(r))
	d.answer(w, http.StatusOK, rec, err)
}

func (d desk) remove(w http.ResponseWriter, r *http.Request) {
	q, err := d.cfg.Lists.QuarantineEntry(r.Context(), d.cfg.Tenant, r.PathValue("id"))
	if err == nil {
		err = d.cfg.Decisions.Remove(r.Context(), d.cfg.Tenant, q, by(r))
	}
	d.answer(w, http.StatusOK, map[string]string{"id": q.ObjectID, "status": ingest.ActionRemoved}, err)
}

func (d desk) conflicts(w http.ResponseWriter, r *http.Request) {
	limit, offset := page(r)
	list, err := d.cfg.Lists.Conflicts(r.Context(), d.cfg.Tenant, limit, offset)
	if list == nil {
		list = []index.Conflict{}
	}
	d.answer(w, http.StatusOK, list, err)
}

// patients lists studies of more than one patient. Nothing here settles them: the devices' own systems must send
// one of them again under another study.
func (d desk) patients(w http.ResponseWriter, r *http.Request) {
	limit, offset := page(r)
	list, err := d.cfg.Lists.PatientConflicts(r.Context(), d.cfg.Tenant, limit, offset)
	if list == nil {
		list = []index.PatientConflict{}
	}
	d.answer(w, http.StatusOK, list, err)
}

func (d desk) settle(w http.ResponseWriter, r *http.Request) {
	action := map[string]string{"promote": ingest.ActionPromoted, "keep": ingest.ActionKept}[r.PathValue("action")]
	if action == "" {
		d.answer(w, http.StatusNotFound, map[string]string{"error": "POST /conflicts/INSTANCE/promote/ID or …/keep/ID"}, nil)
		return
	}
	c, err := d.conflict(r.Context(), r.PathValue("instance"))
	id := r.PathValue("id")
	switch {
	case err != nil:
		d.answer(w, 0, nil, err)
	case !slices.ContainsFunc(c.Versions, func(v index.Version) bool { return v.ObjectID == id }):
		d.answer(w, 0, nil, index.ErrNotFound)
	case action == ingest.ActionKept && id != c.Current:
		writeJSON(w, http.StatusConflict, map[string]string{"error": "readers see version " + c.Current + "; keep that one, or promote this one"})
	default:
		err := d.cfg.Decisions.Settle(r.Context(), d.cfg.Tenant, c, id, action, by(r))
		d.answer(w, http.StatusOK, map[string]string{"id": id, "status": action}, err)
	}
}

// conflict returns an instance with more than one version, or index.ErrNotFound. Decided ones count: a
// person may think again.
func (d desk) conflict(ctx context.Context, instance string) (index.Conflict, error) {
	c := index.Conflict{SOPInstanceUID: instance}
	var err error
	c.Versions, c.Current, err = d.cfg.Lists.Lookup(ctx, d.cfg.Tenant, instance)
	if err == nil && len(c.Versions) < 2 {
		err = index.ErrNotFound
	}
	if err != nil {
		return c, err
	}
	// The study is the key that keeps the decision behind its object's records.
	return c, d.cfg.Lists.Objects(ctx, index.Scope{Tenant: d.cfg.Tenant, SOPInstanceUID: instance}, index.Want{}, func(o index.Object) error {
		c.StudyInstanceUID, c.SeriesInstanceUID = o.StudyInstanceUID, o.SeriesInstanceUID
		return nil
	})
}

// by is who decides, as far as the request tells.
func by(r *http.Request) string {
	user, _, _ := r.BasicAuth()
	return strings.ToValidUTF8(user[:min(len(user), maxBy)], "")
}

func page(r *http.Request) (limit, offset int) {
	limit, err := strconv.Atoi(r.FormValue("limit"))
	if err != nil || limit < 1 {
		limit = defaultLimit
	}
	offset, err = strconv.Atoi(r.FormValue("offset"))
	if err != nil || offset < 0 {
		offset = 0
	}
	return min(limit, maxLimit), offset
}

// answer writes v, or err as {"error", "code"} with the status that fits it.
func (d desk) answer(w http.ResponseWriter, status int, v any, err error) {
	if err != nil {
		var refusal *reject.Error
		body := map[string]string{"error": "internal error; see the server's log"}
		status = http.StatusInternalServerError
		switch {
		case errors.Is(err, index.ErrUnavailable), errors.Is(err, blob.ErrUnavailable):
			status, body["error"] = http.StatusServiceUnavailable, "the index or the blob store does not answer now; try again"
		case errors.Is(err, index.ErrNotFound), errors.Is(err, blob.ErrNotFound):
			status, body["error"] = http.StatusNotFound, "no such entry; GET /quarantine and GET /conflicts list what there is"
		case errors.As(err, &refusal):
			status = ingest.AnswerFor(refusal.Code).HTTP
			if refusal.Code.Keeps() {
				status = http.StatusUnprocessableEntity
			}
			body["code"] = string(refusal.Code)
			body["error"] = "still cannot be taken: " + string(refusal.Code)
		}
		if status == http.StatusServiceUnavailable {
			w.Header().Set("Retry-After", "5")
		}
		if status >= http.StatusInternalServerError {
			d.cfg.Logger.Error("an operator's request failed", "error", err.Error())
		}
		v = body
	}
	writeJSON(w, status, v)
}

func writeJSON(w http.ResponseWriter, status int, v any) {
	w.Header().Set("Content-Type", "application/json")
	w.Header().Set("Cache-Control", "no-store")
	w.WriteHeader(status)
	_ = json.NewEncoder(w).Encode(v) // the client may be gone; nothing is left to tell it
}
