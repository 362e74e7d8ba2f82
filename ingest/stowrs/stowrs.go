package stowrs

import (
	"cmp"
	"context"
	"encoding/json"
	"io"
	"log/slog"
	"net/http"
	"strconv"
	"strings"
	"time"

	"github.com/tributary-dicom/tributary/ingest"
	"github.com/tributary-dicom/tributary/ingest/httpbody"
	"github.com/tributary-dicom/tributary/parsers/reject"
	"github.com/tributary-dicom/tributary/parsers/uid"
	"github.com/tributary-dicom/tributary/pipeline/event"
)

// Admitter is the one admission path; ingest.Intake has it.
type Admitter interface {
	// Admit keeps the object that a yields. Its receipt means durable. With an error nothing is kept; the
	// receipt may then still tell the object's UIDs.
	Admit(ctx context.Context, a ingest.Arrival) (ingest.Receipt, error)
}

// Config of the door. Zero fields take the defaults.
type Config struct {
	Admitter Admitter // required

	// Signal keeps a sender's word that studies have been sent whole (ingest.CompleteHeader); Intake.Signal. Nil: the
	// word is not heard.
	Signal func(ctx context.Context, tenant, signal string, studies ...string) error

	// BaseURL is what Retrieve URLs begin with, like "https://pacs.example/dicom-web". Default: scheme and
	// host of the request, and its path before "/studies".
	BaseURL string

	MaxBytes       int64 // of a request, default 64 GiB
	MaxObjectBytes int64 // of one instance, default the Intake's limit
	MaxParts       int   // of a request, default 100,000

	// BufferBytes is what one request may hold of small parts that are being made durable while the next
	// are received. Default 8 MiB.
	BufferBytes int64

	Pace       httpbody.Pace
	RetryAfter time.Duration // told with 503, default 30 s

	// Identify says for whom a request stores and what is known of the sender. Nil: the default tenant.
	Identify func(*http.Request) (tenant string, origin event.Origin)

	Logger *slog.Logger
}

// Media types of PS3.18 §8.7.3 and their relatives.
const (
	typeDICOM   = "application/dicom"
	typeJSON    = "application/dicom+json"
	typeXML     = "application/dicom+xml"
	typeRelated = "multipart/related"
)

// handler serves the Store transaction.
type handler struct{ cfg Config }

// New returns the door. It serves POST on paths that end in /studies or /studies/{study}.
func New(cfg Config) http.Handler {
	if cfg.MaxBytes == 0 {
		cfg.MaxBytes = 64 << 30
	}
	if cfg.BufferBytes == 0 {
		cfg.BufferBytes = 8 << 20
	}
	if cfg.RetryAfter == 0 {
		cfg.RetryAfter = 30 * time.Second
	}
	if cfg.Logger == nil {
		cfg.Logger = slog.New(slog.DiscardHandler)
	}
	return &handler{cfg}
}

// store is one request's state.
type store struct {
	*handler
	r        *http.Request
	body     *httpbody.Guard
	study    string // of the URL, "" for none
	tenant   string
	origin   event.Origin
	media    string // of the answer
	outcomes []*outcome
	cut      *outcome // of the part in which the body broke off, nil when between parts or not at all
}

// ServeHTTP implements http.Handler.
func (h *handler) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	if r.Method != http.MethodPost {
		w.Header().Set("Allow", http.MethodPost)
		refuse(w, http.StatusMethodNotAllowed, reject.UnsupportedFormat, "STOW-RS is a POST")
		return
	}
	s := &store{handler: h, r: r, origin: event.Origin{}}
	if h.cfg.Identify != nil {
		s.tenant, s.origin = h.cfg.Identify(r)
	}
	s.origin.Door = "stow"
	if s.origin.Remote == "" {
		s.origin.Remote = r.RemoteAddr
	}
	content, ok := s.check(w)
	if !ok {
		return
	}
	s.body = httpbody.NewGuard(w, r, h.cfg.Pace, h.cfg.MaxBytes)
	var err error
	if content.Type == typeDICOM {
		o := s.next()
		s.admit(s.body, o)
		err = s.body.Err()
	} else {
		err = s.parts(content.Params["boundary"])
	}
	s.answer(w, err)
}

// check refuses what can be told from the request's header, before a byte of the body is asked for
// (RFC 9110 §10.1.1). It fills study and media.
func (s *store) check(w http.ResponseWriter) (content httpbody.MediaType, ok bool) {
	r := s.r
	no := func(status int, code reject.Code, detail string) (httpbody.MediaType, bool) {
		refuse(w, status, code, detail)
		return httpbody.MediaType{}, false
	}
	_, rest, _ := cutLast(strings.TrimSuffix(r.URL.Path, "/"), "/studies")
	if s.study = strings.TrimPrefix(rest, "/"); s.study != "" && uid.ValidLenient(s.study) != nil {
		return no(http.StatusBadRequest, reject.BadUID, "the study in the URL is no UID")
	}
	accept := r.Header.Values("Accept")
	if q := r.URL.Query()["accept"]; len(q) > 0 { // PS3.18 §8.3.3.1
		accept = q
	}
	if s.media = httpbody.Preferred(accept, typeJSON, typeXML, "application/json"); s.media == "" {
		return no(http.StatusNotAcceptable, reject.UnsupportedFormat, "answers are "+typeJSON+" or "+typeXML)
	}
	if c := r.Header.Get("Content-Encoding"); c != "" && !strings.EqualFold(c, "identity") {
		w.Header().Set("Accept-Encoding", "identity") // RFC 9110 §15.5.16
		return no(http.StatusUnsupportedMediaType, reject.UnsupportedFormat, "bodies with Content-Encoding are not taken")
	}
	content, ok = httpbody.ParseMediaType(r.Header.Get("Content-Type"))
	root := strings.ToLower(content.Params["type"])
	switch {
	case !ok, content.Type != typeRelated && content.Type != typeDICOM, content.Type == typeRelated && root != "" && root != typeDICOM:
		return no(http.StatusUnsupportedMediaType, reject.UnsupportedFormat, "bodies are "+typeRelated+`; type="`+typeDICOM+`", or `+typeDICOM)
	case content.Type == typeRelated && !httpbody.ValidBoundary(content.Params["boundary"]):
		return no(http.StatusBadRequest, reject.Malformed, "the boundary is missing or not as RFC 2046 §5.1.1 has it")
	case r.ContentLength > s.cfg.MaxBytes:
		return no(http.StatusRequestEntityTooLarge, reject.TooLarge, "a request has at most "+strconv.FormatInt(s.cfg.MaxBytes, 10)+" bytes")
	case r.ContentLength == 0:
		return no(http.StatusBadRequest, reject.Empty, "the request has no body")
	}
	return content, true
}

// parts admits part after part. Its error is why the body was not read to its closing boundary.
func (s *store) parts(boundary string) error {
	reader := httpbody.NewReader(s.body, boundary, httpbody.Limits{Parts: s.cfg.MaxParts})
	lanes := httpbody.NewLanes(s.cfg.BufferBytes)
	defer lanes.Wait()
	for {
		part, err := reader.Next()
		if err == io.EOF {
			return nil
		}
		if err != nil {
			return err
		}
		if !isDICOM(part) {
			if len(s.outcomes) == 0 {
				return errNotDICOM
			}
			s.next().fail(reject.UnsupportedFormat)
			continue
		}
		o := s.next()
		body := &noted{Reader: part}
		err = lanes.Run(s.r.Context(), body, func(body io.Reader) { s.admit(body, o) })
		if err = cmp.Or(body.err, err); err != nil {
			s.cut = o
			o.fail(reject.Aborted)
			return err
		}
	}
}

// errNotDICOM refuses a whole request: metadata with bulk data apart, and other kinds of body.
var errNotDICOM = reject.New(reject.UnsupportedFormat, "stowrs", "parts are %s", typeDICOM)

// isDICOM tells whether a part is a DICOM file as its header says. A part without Content-Type in a body
// of type application/dicom is one.
func isDICOM(p *httpbody.Part) bool {
	switch strings.ToLower(p.Header.Get("Content-Transfer-Encoding")) {
	case "", "binary", "8bit", "7bit":
	default:
		return false
	}
	t := p.Header.Get("Content-Type")
	if t == "" {
		return true
	}
	m, ok := httpbody.ParseMediaType(t)
	return ok && m.Type == typeDICOM
}

// noted remembers why a part could not be read to its end.
type noted struct {
	io.Reader
	err error
}

func (n *noted) Read(p []byte) (int, error) {
	c, err := n.Reader.Read(p)
	if err != nil && err != io.EOF {
		n.err = err
	}
	return c, err
}

// next adds the outcome of the next part, a failure until admission says otherwise. Outcomes keep the
// order of the parts.
func (s *store) next() *outcome {
	o := &outcome{reason: reject.Internal}
	s.outcomes = append(s.outcomes, o)
	return o
}

// admit gives one object to admission and notes the outcome. It runs on several goroutines.
func (s *store) admit(body io.Reader, o *outcome) {
	defer func() {
		if p := recover(); p != nil { // not on net/http's goroutine: it would end the node
			s.cfg.Logger.Error("admission panicked", "door", "stow", "panic", p)
			o.fail(reject.Internal)
		}
	}()
	rec, err := s.cfg.Admitter.Admit(s.r.Context(), ingest.Arrival{
		Body: body, Tenant: s.tenant, Origin: s.origin, StudyInstanceUID: s.study, MaxBytes: s.cfg.MaxObjectBytes,
	})
	o.set(rec, err)
}

// refuse answers a request of which nothing was read.
func refuse(w http.ResponseWriter, status int, code reject.Code, detail string) {
	w.Header().Set("Content-Type", "application/json")
	w.Header().Set("X-Content-Type-Options", "nosniff")
	w.WriteHeader(status)
	_ = json.NewEncoder(w).Encode(map[string]any{
		"status": "refused", "reason": string(code), "detail": detail, "retry": ingest.AnswerFor(code).Retry,
	})
}

func cutLast(s, sep string) (before, after string, found bool) {
	if i := strings.LastIndex(s, sep); i >= 0 {
		return s[:i], s[i+len(sep):], true
	}
	return s, "", false
}
