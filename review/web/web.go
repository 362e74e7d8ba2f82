package web

import (
	"net/http"
	"net/url"
)

// pages is what all handlers share.
type pages struct {
	Config
	files     *assetFiles
	templates map[Lang]templateSet
	waiting   *waiting
}

// New returns the handler of "/" and of everything below "/pages/".
func New(cfg Config) http.Handler {
	p := &pages{Config: cfg.withDefaults(), files: embedded()}
	p.templates = parseTemplates(p.files)
	p.waiting = newWaiting(p.Operators.Desk, p.Now)
	mux := http.NewServeMux()
	p.handle(mux, "GET /{$}", p.searchPage)
	p.handle(mux, "GET /pages/studies/{study}", p.studyPage)
	mux.HandleFunc("GET /pages/assets/{name}", p.files.serve)
	p.routesOperators(mux)
	p.routesCine(mux)
	p.routesECG(mux)
	p.handle(mux, "/", func(http.ResponseWriter, *http.Request) error { return errNotFound })
	// The forms of operators change something: pages of others may not send them.
	guard := http.NewCrossOriginProtection()
	guard.SetDenyHandler(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) { p.fail(w, r, errForeign) }))
	return guard.Handler(mux)
}

// handle registers fn: it has either answered, or answered nothing and returns an error, which becomes a page.
// Security headers are set before fn runs.
func (p *pages) handle(mux *http.ServeMux, pattern string, fn func(http.ResponseWriter, *http.Request) error) {
	mux.HandleFunc(pattern, func(w http.ResponseWriter, r *http.Request) {
		secure(w.Header())
		chooseLang(w, r)
		if err := fn(w, r); err != nil {
			p.fail(w, r, err)
		}
	})
}

// policy lets a page load what this node serves, and nothing inline.
const policy = "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' blob: data:; media-src 'self' blob:; " +
	"connect-src 'self'; form-action 'self'; frame-ancestors 'none'; base-uri 'none'"

// secure sets the headers that every page has.
func secure(h http.Header) {
	h.Set("Content-Security-Policy", policy)
	h.Set("X-Content-Type-Options", "nosniff")
	h.Set("X-Frame-Options", "DENY")
	// OHIF tells by the address of its own pages whose earlier studies it means (docs/decisions/0018-priors.md).
	h.Set("Referrer-Policy", "same-origin")
	h.Set("Cross-Origin-Opener-Policy", "same-origin")
	h.Set("Cross-Origin-Resource-Policy", "same-origin")
	h.Set("Permissions-Policy", "camera=(), geolocation=(), microphone=(), payment=(), usb=()")
	h.Set("Cache-Control", "no-store") // patients
	h.Set("Vary", "Accept, Accept-Language, Cookie")
}

// here is the address of the page that r asks for in another language.
func here(r *http.Request, lang Lang) string {
	q := url.Values{}
	if r.Method == http.MethodGet || r.Method == http.MethodHead {
		q = r.URL.Query()
	}
	q.Set("lang", string(lang))
	return (&url.URL{Path: r.URL.Path, RawQuery: q.Encode()}).String()
}
