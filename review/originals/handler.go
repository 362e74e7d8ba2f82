package originals

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"

	"github.com/tributary-dicom/tributary/storage/blob"
	"github.com/tributary-dicom/tributary/storage/index"
)

type server struct{ Config }

// New returns the handler of /originals/ and /ecgs. It serves GET and HEAD. All errors are JSON.
func New(cfg Config) http.Handler {
	s := &server{cfg.withDefaults()}
	mux := http.NewServeMux()
	for pattern, fn := range map[string]func(http.ResponseWriter, *http.Request) error{
		"/originals/{id}":       s.file,
		"/originals/{id}/about": s.about,
		"/ecgs":                 s.search,
		"/": func(http.ResponseWriter, *http.Request) error {
			return fail(http.StatusNotFound, "there is no such resource here; GET /ecgs lists recordings, GET /originals/ID is the file of one")
		},
	} {
		mux.Handle(pattern, s.guard(fn))
	}
	return mux
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
		var err error
		if r.Method != http.MethodGet && r.Method != http.MethodHead {
			h.Set("Allow", "GET, HEAD")
			err = fail(http.StatusMethodNotAllowed, "use GET or HEAD")
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
		f = &failure{http.StatusNotFound, "no original has this id. DICOM objects that came as such have none: retrieve those by WADO-RS"}
	case errors.Is(err, context.DeadlineExceeded), errors.Is(err, index.ErrTimeout):
		f = &failure{http.StatusServiceUnavailable, "the index took too long; narrow the search or try again"}
	case errors.Is(err, index.ErrUnavailable), errors.Is(err, blob.ErrUnavailable):
		f = &failure{http.StatusServiceUnavailable, "the index or the blob store does not answer now; try again"}
		s.Log.WarnContext(r.Context(), "request failed", "route", r.Pattern, "error", err)
	case errors.Is(err, blob.ErrNotFound), errors.Is(err, blob.ErrCorrupt):
		f = &failure{http.StatusInternalServerError, "the stored bytes are missing or damaged; whoever sent them may send them again, which replaces them"}
		s.Log.ErrorContext(r.Context(), "stored object cannot be read", "error", err)
	default:
		f = &failure{http.StatusInternalServerError, "internal error; it was logged"}
		s.Log.ErrorContext(r.Context(), "request failed", "route", r.Pattern, "error", err)
	}
	h := w.Header()
	if f.status == http.StatusServiceUnavailable {
		h.Set("Retry-After", "5")
	}
	for _, name := range []string{"Content-Disposition", "Content-Length", "Etag"} {
		h.Del(name)
	}
	writeJSON(w, f.status, map[string]string{"error": f.text})
}

func writeJSON(w http.ResponseWriter, status int, v any) {
	w.Header().Set("Content-Type", "application/json")
	w.WriteHeader(status)
	enc := json.NewEncoder(w)
	enc.SetEscapeHTML(false)
	_ = enc.Encode(v) // the client may be gone; nothing is left to tell it
}

// maxID bounds an id in a path, bytes: a ULID has 26, a UID 64.
const maxID = 128

// original asks for the file that the path names.
func (s *server) original(r *http.Request) (index.Original, error) {
	id := r.PathValue("id")
	if len(id) > maxID {
		return index.Original{}, index.ErrNotFound
	}
	ctx, cancel := context.WithTimeout(r.Context(), s.Timeout)
	defer cancel()
	return s.Index.Original(ctx, s.Tenant(r), id)
}
