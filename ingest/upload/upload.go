package upload

import (
	"context"
	"encoding/json"
	"log/slog"
	"maps"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/tributary-dicom/tributary/ingest"
	"github.com/tributary-dicom/tributary/ingest/httpbody"
	"github.com/tributary-dicom/tributary/parsers/reject"
	"github.com/tributary-dicom/tributary/pipeline/event"
)

// Admitter is the one admission path; ingest.Intake has it.
type Admitter interface {
	// Admit keeps the object that a yields. Its receipt means durable; with an error nothing is kept.
	Admit(ctx context.Context, a ingest.Arrival) (ingest.Receipt, error)
}

// Config of the doors. Zero fields take the defaults.
type Config struct {
	Admitter Admitter // required

	// Signal keeps a sender's word that studies have been sent whole (ingest.CompleteHeader); Intake.Signal. Nil: the
	// word is not heard.
	Signal func(ctx context.Context, tenant, signal string, studies ...string) error

	MaxBytes int64 // of a request, and of a tus upload; default 16 GiB
	MaxFiles int   // of a form, default 10,000

	// BufferBytes is what one form may hold of small files that are being made durable while the next are
	// received. Default 8 MiB.
	BufferBytes int64

	// HoldDir is where parts of a form are held that may belong together, up to 1 GiB a form; "" is the system's
	// folder for temporary files.
	HoldDir string

	Pace       httpbody.Pace
	RetryAfter time.Duration // told with 503, default 30 s

	// Identify says for whom a request stores and what is known of the sender. What it leaves empty is
	// taken from X-Device and X-Facility. Nil: the default tenant.
	Identify func(*http.Request) (tenant string, origin event.Origin)

	Logger *slog.Logger
}

func (c Config) withDefaults() Config {
	if c.MaxBytes == 0 {
		c.MaxBytes = 16 << 30
	}
	if c.MaxFiles == 0 {
		c.MaxFiles = 10_000
	}
	if c.BufferBytes == 0 {
		c.BufferBytes = 8 << 20
	}
	if c.RetryAfter == 0 {
		c.RetryAfter = 30 * time.Second
	}
	if c.Logger == nil {
		c.Logger = slog.New(slog.DiscardHandler)
	}
	return c
}

// retryAfter is RetryAfter as the header has it, whole seconds (RFC 9110 §10.2.3).
func (c Config) retryAfter() string { return strconv.Itoa(max(1, int(c.RetryAfter.Seconds()))) }

// Refused is the status of an object that is not kept.
const Refused ingest.Status = "refused"

// Refusal is the answer for one object that is not kept, in the shape of a Receipt.
type Refusal struct {
	ID     string        `json:"id"` // always empty
	Status ingest.Status `json:"status"`
	Reason reject.Code   `json:"reason"`
	Detail string        `json:"detail,omitempty"`
	Retry  bool          `json:"retry"` // the same object may be taken later
}

// refusal turns an admission's error into its answer. Only what the object itself caused is told in
// words; texts about our disks and stores stay here.
func refusal(err error) Refusal {
	code := reject.CodeOf(err)
	r := Refusal{Status: Refused, Reason: code, Retry: ingest.AnswerFor(code).Retry}
	switch code {
	case reject.Internal:
		r.Detail = "the node failed to take the object"
	case reject.OutOfResources:
		r.Detail = "nothing can be stored now; send again later"
	case reject.Aborted:
		r.Detail = "the object did not arrive whole"
	default:
		r.Detail = detailOf(err)
	}
	return r
}

// statusOf is the HTTP status of a refusal. Reasons that keep an object in quarantine refuse only requests
// whose own form is at fault.
func statusOf(err error) int {
	code := reject.CodeOf(err)
	if code.Keeps() {
		return http.StatusBadRequest
	}
	return ingest.AnswerFor(code).HTTP
}

// handler serves /upload.
type handler struct{ cfg Config }

// New returns the door for POST and PUT of whole files. A body is answered with 201 and one receipt, a
// multipart/form-data body with an array of them in the order of its files: 201 when all are kept, 207
// when some are, else what the first failure says. Errors have the same shape, with "status":"refused".
func New(cfg Config) http.Handler { return &handler{cfg.withDefaults()} }

// ServeHTTP implements http.Handler.
func (h *handler) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	if r.Method != http.MethodPost && r.Method != http.MethodPut {
		w.Header().Set("Allow", "POST, PUT")
		h.refuse(w, http.StatusMethodNotAllowed, reject.New(reject.UnsupportedFormat, "upload", "files are sent by POST or PUT"))
		return
	}
	a, digests, err := h.arrival(r)
	if c := r.Header.Get("Content-Encoding"); c != "" && !strings.EqualFold(c, "identity") {
		w.Header().Set("Accept-Encoding", "identity") // RFC 9110 §15.5.16
		err = reject.New(reject.UnsupportedFormat, "upload", "bodies with Content-Encoding are not taken")
	}
	content, _ := httpbody.ParseMediaType(r.Header.Get("Content-Type"))
	form := content.Type == "multipart/form-data"
	switch {
	case err != nil:
	case r.ContentLength > h.cfg.MaxBytes:
		err = reject.New(reject.TooLarge, "upload", "a request has at most %d bytes", h.cfg.MaxBytes)
	case r.ContentLength == 0:
		err = reject.New(reject.Empty, "upload", "the request has no body")
	case form && !httpbody.ValidBoundary(content.Params["boundary"]):
		err = reject.New(reject.Malformed, "upload", "the boundary is missing or not as RFC 2046 §5.1.1 has it")
	case form && len(digests) > 0:
		err = reject.New(reject.ChecksumMismatch, "upload", "a form's checksums belong into the header of each file")
	}
	if err != nil {
		h.refuse(w, statusOf(err), err)
		return
	}
	body := httpbody.NewGuard(w, r, h.cfg.Pace, h.cfg.MaxBytes)
	if form {
		h.form(w, r, body, content.Params["boundary"], a)
		return
	}
	a.Body = body
	rec, err := h.admit(r.Context(), a, digests)
	switch {
	case err == nil:
		h.complete(w, r, a.Tenant, rec)
		writeJSON(w, http.StatusCreated, rec)
	case body.Slow():
		h.refuse(w, http.StatusRequestTimeout, reject.New(reject.Aborted, "upload", "the body came too slowly"))
	default:
		h.refuse(w, statusOf(err), err)
	}
}

// arrival is what the request's header says about its object or objects.
func (h *handler) arrival(r *http.Request) (ingest.Arrival, digests, error) {
	a := ingest.Arrival{}
	if h.cfg.Identify != nil {
		a.Tenant, a.Origin = h.cfg.Identify(r)
	}
	fillOrigin(&a.Origin, "upload", r)
	if a.Origin.Filename == "" {
		a.Origin.Filename = requestFilename(r.Header)
	}
	d, err := parseDigests(r.Header)
	return a, d, err
}

// admit gives one object to admission with its sender's checksums.
func (h *handler) admit(ctx context.Context, a ingest.Arrival, d digests) (rec ingest.Receipt, err error) {
	defer func() {
		if p := recover(); p != nil { // forms admit on goroutines of their own: it would end the node
			h.cfg.Logger.Error("admission panicked", "door", a.Origin.Door, "panic", p)
			err = reject.New(reject.Internal, "upload", "panic")
		}
	}()
	a.SHA256 = d[sha256Name]
	body := d.check(a.Body)
	a.Body = body
	rec, err = h.cfg.Admitter.Admit(ctx, a)
	if err != nil && body.err != nil {
		err = body.err
	}
	return rec, err
}

// complete keeps the sender's word that the studies of its objects, all of which are kept, have been sent whole.
func (h *handler) complete(w http.ResponseWriter, r *http.Request, tenant string, kept ...ingest.Receipt) {
	if h.cfg.Signal == nil || !ingest.SaysComplete(r.Header) {
		return
	}
	studies := map[string]bool{}
	for _, rec := range kept {
		if rec.Status == ingest.Quarantined || rec.Study == "" {
			return // of which study, nobody knows
		}
		studies[rec.Study] = true
	}
	if err := h.cfg.Signal(r.Context(), tenant, event.SignalUpload, slices.Sorted(maps.Keys(studies))...); err != nil {
		h.cfg.Logger.Warn("a signal is lost, the studies are complete when they are quiet", "door", "upload", "error", err.Error())
		return
	}
	w.Header().Set(ingest.CompleteHeader, "true")
}

// refuse answers with one refusal.
func (h *handler) refuse(w http.ResponseWriter, status int, err error) {
	if status == http.StatusServiceUnavailable {
		w.Header().Set("Retry-After", h.cfg.retryAfter())
	}
	writeJSON(w, status, refusal(err))
}

// writeJSON answers with v. A peer that is gone does not hear it and asks again.
func writeJSON(w http.ResponseWriter, status int, v any) {
	w.Header().Set("Content-Type", "application/json")
	w.Header().Set("X-Content-Type-Options", "nosniff")
	w.Header().Set("Cache-Control", "no-store")
	w.WriteHeader(status)
	_ = json.NewEncoder(w).Encode(v)
}
