package desk

import (
	"context"
	"encoding/json"
	"errors"
	"io"
	"net/http"
	"strconv"

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
	Lookup(ctx context.Context, tenant, sopInstanceUID string) ([]index.Version, string, error)
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
}

const (
	defaultLimit = 100
	maxLimit     = 1000
)

// New returns the handler of /quarantine and /conflicts.
func New(cfg Config) http.Handler {
	d := desk{cfg}
	mux := http.NewServeMux()
	mux.HandleFunc("GET /quarantine", d.quarantine)
	mux.HandleFunc("GET /quarantine/{id}", d.entry)
	mux.HandleFunc("GET /quarantine/{id}/file", d.file)
	mux.HandleFunc("POST /quarantine/{id}/retry", d.retry)
	mux.HandleFunc("DELETE /quarantine/{id}", d.remove)
	mux.HandleFunc("GET /conflicts", d.conflicts)
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
	answer(w, http.StatusOK, list, err)
}

func (d desk) entry(w http.ResponseWriter, r *http.Request) {
	q, err := d.cfg.Lists.QuarantineEntry(r.Context(), d.cfg.Tenant, r.PathValue("id"))
	answer(w, http.StatusOK, q, err)
}

// file hands out the quarantined bytes as they came, never to be shown by a browser.
func (d desk) file(w http.ResponseWriter, r *http.Request) {
	q, err := d.cfg.Lists.QuarantineEntry(r.Context(), d.cfg.Tenant, r.PathValue("id"))
	if err != nil {
		answer(w, 0, nil, err)
		return
	}
	body, err := d.cfg.Blobs.Open(r.Context(), q.BlobKey, 0, -1)
	if err != nil {
		answer(w, 0, nil, err)
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
		answer(w, 0, nil, err)
		return
	}
	rec, err := d.cfg.Decisions.Retry(r.Context(), d.cfg.Tenant, q, by(r))
	answer(w, http.StatusOK, rec, err)
}

func (d desk) remove(w http.ResponseWriter, r *http.Request) {
	q, err := d.cfg.Lists.QuarantineEntry(r.Context(), d.cfg.Tenant, r.PathValue("id"))
	if err == nil {
		err = d.cfg.Decisions.Remove(r.Context(), d.cfg.Tenant, q, by(r))
	}
	answer(w, http.StatusOK, map[string]string{"id": q.ObjectID, "status": ingest.ActionRemoved}, err)
}

func (d desk) conflicts(w http.ResponseWriter, r *http.Request) {
	limit, offset := page(r)
	list, err := d.cfg.Lists.Conflicts(r.Context(), d.cfg.Tenant, limit, offset)
	if list == nil {
		list = []index.Conflict{}
	}
	answer(w, http.StatusOK, list, err)
}

func (d desk) settle(w http.ResponseWriter, r *http.Request) {
	action := map[string]string{"promote": ingest.ActionPromoted, "keep": ingest.ActionKept}[r.PathValue("action")]
	if action == "" {
		answer(w, http.StatusNotFound, map[string]string{"error": "POST /conflicts/INSTANCE/promote/ID or …/keep/ID"}, nil)
		return
	}
	c := index.Conflict{SOPInstanceUID: r.PathValue("instance")}
	versions, current, err := d.cfg.Lists.Lookup(r.Context(), d.cfg.Tenant, c.SOPInstanceUID)
	if err == nil && len(versions) < 2 {
		err = index.ErrNotFound
	}
	if err != nil {
		answer(w, 0, nil, err)
		return
	}
	c.Current, c.Versions = current, versions
	id := r.PathValue("id")
	for _, v := range versions {
		if v.ObjectID == id {
			err := d.cfg.Decisions.Settle(r.Context(), d.cfg.Tenant, c, id, action, by(r))
			answer(w, http.StatusOK, map[string]string{"id": id, "status": action}, err)
			return
		}
	}
	answer(w, 0, nil, index.ErrNotFound)
}

func by(r *http.Request) string {
	user, _, _ := r.BasicAuth()
	return user
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
func answer(w http.ResponseWriter, status int, v any, err error) {
	if err != nil {
		var refusal *reject.Error
		body := map[string]string{"error": "internal error; see the server's log"}
		status = http.StatusInternalServerError
		switch {
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
