package dicomweb

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"

	"golang.org/x/sync/semaphore"

	"github.com/tributary-dicom/tributary/parsers/uid"
	"github.com/tributary-dicom/tributary/storage/blob"
	"github.com/tributary-dicom/tributary/storage/index"
)

// server holds what all requests share.
type server struct {
	Config
	layouts layouts
	drawing *semaphore.Weighted // bytes
	held    *semaphore.Weighted // bytes
}

// WADOURI is the path of WADO-URI (PS3.18 §9), for older readers: at the root, and below Config.Prefix.
const WADOURI = "/wado"

// New returns the handler of everything below cfg.Prefix, and of WADOURI. It serves GET and HEAD; other methods on a
// known path are 405. All errors are JSON.
func New(cfg Config) http.Handler {
	s := &server{
		Config: cfg.withDefaults(), layouts: newLayouts(),
		drawing: semaphore.NewWeighted(drawingMemory), held: semaphore.NewWeighted(heldMemory),
	}
	mux := http.NewServeMux()
	const (
		study    = "/studies/{study}"
		series   = study + "/series/{series}"
		instance = series + "/instances/{instance}"
	)
	for pattern, fn := range map[string]func(http.ResponseWriter, *http.Request) error{
		"/studies":            s.search(index.StudyLevel),
		"/series":             s.search(index.SeriesLevel),
		"/instances":          s.search(index.InstanceLevel),
		study + "/series":     s.search(index.SeriesLevel),
		study + "/instances":  s.search(index.InstanceLevel),
		series + "/instances": s.search(index.InstanceLevel),

		study:    s.retrieve,
		series:   s.retrieve,
		instance: s.retrieve,

		study + "/metadata":    s.metadata,
		series + "/metadata":   s.metadata,
		instance + "/metadata": s.metadata,

		study + "/rendered":    s.rendered(false),
		series + "/rendered":   s.rendered(false),
		instance + "/rendered": s.rendered(false),

		study + "/thumbnail":    s.rendered(true),
		series + "/thumbnail":   s.rendered(true),
		instance + "/thumbnail": s.rendered(true),

		instance + "/frames/{frames}":           s.frames,
		instance + "/frames/{frames}/rendered":  s.rendered(false),
		instance + "/frames/{frames}/thumbnail": s.rendered(true),

		instance + "/bulkdata/{path...}": s.bulkData,
	} {
		mux.Handle(s.Prefix+pattern, s.guard(fn))
	}
	mux.Handle(WADOURI, s.guard(s.wadoURI))
	mux.Handle(s.Prefix+WADOURI, s.guard(s.wadoURI))
	mux.Handle(s.Prefix, s.guard(s.root))
	mux.Handle(s.Prefix+"/{$}", s.guard(s.root))
	mux.Handle("/", s.guard(nothing))
	return mux
}

func nothing(http.ResponseWriter, *http.Request) error {
	return fail(http.StatusNotFound, "there is no such resource here; see docs/dicomweb.md for what is served")
}

// root is WADO-URI for clients that are told one address for everything, dicomweb-client among them.
func (s *server) root(w http.ResponseWriter, r *http.Request) error {
	if q, err := readURI(r.URL.RawQuery); err != nil || q["requestType"] == "" {
		return nothing(w, r)
	}
	return s.wadoURI(w, r)
}

// failure is an answer instead of a result.
type failure struct {
	status int
	text   string
}

func (f *failure) Error() string { return f.text }

func fail(status int, format string, args ...any) error {
	return &failure{status, fmt.Sprintf(format, args...)}
}

// guard answers the errors of fn. fn returns one only before it has written anything.
func (s *server) guard(fn func(http.ResponseWriter, *http.Request) error) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		h := w.Header()
		h.Set("X-Content-Type-Options", "nosniff")
		h.Set("Cache-Control", "private, no-cache")
		err := error(nil)
		if r.Method != http.MethodGet && r.Method != http.MethodHead {
			h.Set("Allow", "GET, HEAD")
			err = fail(http.StatusMethodNotAllowed, "%s is not served here; use GET or HEAD", clip(r.Method))
		} else {
			err = fn(w, r)
		}
		if err != nil {
			s.answer(w, r, err)
		}
	})
}

// answer turns an error into a status. Internal text never reaches the peer.
func (s *server) answer(w http.ResponseWriter, r *http.Request, err error) {
	var f *failure
	switch {
	case errors.As(err, &f):
	case r.Context().Err() != nil:
		panic(http.ErrAbortHandler) // nobody listens
	case errors.Is(err, index.ErrNotFound):
		f = &failure{http.StatusNotFound, "no such study, series or instance"}
	case errors.Is(err, index.ErrBadQuery):
		f = &failure{http.StatusBadRequest, "a matching value does not fit its attribute; see PS3.4 §C.2.2.2"}
	case errors.Is(err, context.DeadlineExceeded), errors.Is(err, index.ErrTimeout):
		f = &failure{http.StatusServiceUnavailable, "the index took too long; narrow the search or try again"}
	case errors.Is(err, index.ErrUnavailable):
		f = &failure{http.StatusServiceUnavailable, "the index does not answer now; try again"}
		s.Log.WarnContext(r.Context(), "request failed", "route", r.Pattern, "error", err)
	case errors.Is(err, blob.ErrUnavailable):
		f = &failure{http.StatusServiceUnavailable, "the stored objects cannot be read now; try again"}
		s.Log.WarnContext(r.Context(), "request failed", "route", r.Pattern, "error", err)
	case errors.Is(err, blob.ErrNotFound), errors.Is(err, blob.ErrCorrupt):
		f = &failure{http.StatusInternalServerError, "the stored bytes are missing or damaged; whoever sent them may send them again, which replaces them"}
		s.Log.ErrorContext(r.Context(), "stored object cannot be read", "error", err)
	default:
		f = &failure{http.StatusInternalServerError, "internal error; it was logged"}
		s.Log.ErrorContext(r.Context(), "request failed", "route", r.Pattern, "error", err)
	}
	if f.status == http.StatusServiceUnavailable {
		w.Header().Set("Retry-After", "5")
	}
	body, _ := json.Marshal(map[string]string{"error": f.text}) // a map of strings always marshals
	h := w.Header()
	for _, name := range []string{"Content-Disposition", "Content-Encoding", "Content-Length", "Etag", "Last-Modified"} {
		h.Del(name)
	}
	h.Set("Content-Type", "application/json")
	w.WriteHeader(f.status)
	_, _ = w.Write(append(body, '\n'))
}

// broken ends a response that has begun and cannot be finished: the connection breaks, so that no
// client takes the part for the whole.
func (s *server) broken(r *http.Request, err error) {
	if r.Context().Err() == nil {
		s.Log.ErrorContext(r.Context(), "response broken off", "route", r.Pattern, "error", err)
	}
	panic(http.ErrAbortHandler)
}

// scope reads the UIDs of the path. They are checked for form (PS3.5 §9.1) before anything sees them.
func (s *server) scope(r *http.Request) (index.Scope, error) {
	sc := index.Scope{Tenant: s.Tenant(r)}
	for _, p := range []struct {
		name string
		to   *string
	}{{"study", &sc.StudyInstanceUID}, {"series", &sc.SeriesInstanceUID}, {"instance", &sc.SOPInstanceUID}} {
		v := r.PathValue(p.name)
		if v == "" {
			continue
		}
		if !isUID(v) {
			return sc, fail(http.StatusBadRequest, "the %s UID in the path is not a UID (PS3.5 §9.1)", p.name)
		}
		*p.to = v
	}
	return sc, nil
}

func isUID(s string) bool { return len(s) <= 64 && uid.ValidLenient(s) == nil && digitsAndDots(s) }

func digitsAndDots(s string) bool {
	for i := 0; i < len(s); i++ {
		if s[i] != '.' && (s[i] < '0' || s[i] > '9') {
			return false
		}
	}
	return true
}

// clip makes a peer's text fit for an error message: short and printable ASCII.
func clip(s string) string {
	const most = 64
	b := make([]byte, 0, most)
	for i := 0; i < len(s) && len(b) < most; i++ {
		if c := s[i]; c > ' ' && c < 0x7F && c != '"' && c != '\\' {
			b = append(b, c)
		}
	}
	return string(b)
}

// instanceURL is the path of an instance below base, without a slash at the end.
func instanceURL(base, study, series, instance string) string {
	return base + "/studies/" + study + "/series/" + series + "/instances/" + instance
}
