package web

import (
	"bytes"
	"context"
	"embed"
	"errors"
	"fmt"
	"html/template"
	"io/fs"
	"net/http"
	"path"
	"strings"

	"github.com/tributary-dicom/tributary/storage/index"
)

//go:embed templates
var templateFiles embed.FS

// templateSet is the templates of one language by the name of their page.
type templateSet map[string]*template.Template

// page is what a handler shows.
type page struct {
	// Name is that of the template: templates/NAME.html, which defines "main". templates/layout.html goes around it,
	// and templates/parts/*.html are there for all.
	Name string

	// Title is the text of the window, in the language of the request. The product's name is put behind it.
	Title string

	// Section is the entry of the navigation that is shown as chosen: "search", "upload", "receipts", "quarantine",
	// "conflicts", or "".
	Section string

	// Bundle names the script and the style that the page has beside the frame's: "operators", "cine", "ecg", or "".
	Bundle string

	// Dark chooses the colours for looking at pictures.
	Dark bool

	// Texts are prefixes of the keys that scripts need; they read them from the data block "text".
	Texts []string

	Data any
}

// shown is what layout.html sees.
type shown struct {
	page
	Lang    Lang
	Other   string // this page in the other language
	Scripts map[string]string
	nav     []navItem
}

// show answers with a page. Nothing is sent before all of it is made, so that errors become pages too.
func (p *pages) show(w http.ResponseWriter, r *http.Request, status int, what page) error {
	lang := langOf(r)
	other := English
	if lang == English {
		other = Chinese
	}
	t, ok := p.templates[lang][what.Name]
	if !ok {
		return fmt.Errorf("no template %q", what.Name)
	}
	var body bytes.Buffer
	s := shown{page: what, Lang: lang, Other: here(r, other), Scripts: lang.forScript(append([]string{"js."}, what.Texts...)), nav: p.nav(r)}
	if err := t.ExecuteTemplate(&body, "layout.html", s); err != nil {
		return fmt.Errorf("page %s: %w", what.Name, err)
	}
	h := w.Header()
	h.Set("Content-Type", "text/html; charset=utf-8")
	h.Set("Content-Language", string(lang))
	w.WriteHeader(status)
	_, _ = body.WriteTo(w) // the client may be gone
	return nil
}

// parseTemplates reads all templates once for each language. It panics on a template that does not parse: they are
// part of the program.
func parseTemplates(files *assetFiles) map[Lang]templateSet {
	names, err := fs.Glob(templateFiles, "templates/*.html")
	if err != nil {
		panic(err)
	}
	sets := map[Lang]templateSet{}
	for _, lang := range languages {
		base := template.New("").Funcs(functions(lang, files))
		template.Must(base.ParseFS(templateFiles, "templates/layout.html", "templates/parts/*.html"))
		set := templateSet{}
		for _, name := range names {
			if path.Base(name) != "layout.html" {
				set[strings.TrimSuffix(path.Base(name), ".html")] = template.Must(template.Must(base.Clone()).ParseFS(templateFiles, name))
			}
		}
		sets[lang] = set
	}
	return sets
}

// functions are what templates may call.
func functions(lang Lang, files *assetFiles) template.FuncMap {
	return template.FuncMap{
		"t":        lang.text,   // the phrase of a key, its verbs filled with what follows
		"asset":    files.path,  // the address of an asset: {{asset "frame.css"}}
		"name":     displayName, // a PN as people read it
		"names":    nameParts,   // its groups: .Ideographic, .Alphabetic
		"date":     displayDate, // 20260301 → 2026-03-01
		"clock":    displayTime, // 091502.123 → 09:15
		"age":      lang.age,    // birth date and study date → 42 岁
		"sex":      lang.sex,    // M → 男
		"list":     splitValues, // a multi-valued attribute: {{range list .ModalitiesInStudy}}
		"bytes":    displayBytes,
		"moment":   displayMoment, // RFC 3339 → 2026-03-01 09:15, the node's time zone
		"lang":     func() Lang { return lang },
		"modality": lang.modality, // US → 超声
		"dict":     mapOf,
	}
}

// mapOf makes a map of keys and values, for templates that call a part with several things.
func mapOf(pairs ...any) (map[string]any, error) {
	if len(pairs)%2 != 0 {
		return nil, errors.New("dict: a key without a value")
	}
	m := make(map[string]any, len(pairs)/2)
	for i := 0; i < len(pairs); i += 2 {
		key, ok := pairs[i].(string)
		if !ok {
			return nil, fmt.Errorf("dict: %v is no key", pairs[i])
		}
		m[key] = pairs[i+1]
	}
	return m, nil
}

// failure is an error that has a page: a status and the keys of what it tells. Text of errors never reaches a page.
type failure struct {
	status int
	title  string
	text   string
}

func (f *failure) Error() string { return f.title }

var (
	errNotFound    = &failure{http.StatusNotFound, "frame.error.notfound", "frame.error.notfound.text"}
	errUnavailable = &failure{http.StatusServiceUnavailable, "frame.error.unavailable", "frame.error.unavailable.text"}
	errLate        = &failure{http.StatusServiceUnavailable, "frame.error.late", "frame.error.late.text"}
	errInternal    = &failure{http.StatusInternalServerError, "frame.error.internal", "frame.error.internal.text"}
	errForeign     = &failure{http.StatusForbidden, "frame.error.foreign", "frame.error.foreign.text"}
)

// fail answers with the page of an error.
func (p *pages) fail(w http.ResponseWriter, r *http.Request, err error) {
	var f *failure
	switch {
	case errors.As(err, &f):
	case r.Context().Err() != nil:
		panic(http.ErrAbortHandler) // nobody listens
	case errors.Is(err, index.ErrNotFound):
		f = errNotFound
	case errors.Is(err, context.DeadlineExceeded), errors.Is(err, index.ErrTimeout):
		f = errLate
	case errors.Is(err, index.ErrUnavailable):
		f = errUnavailable
		p.Log.WarnContext(r.Context(), "page failed", "route", r.Pattern, "error", err)
	default:
		f = errInternal
		p.Log.ErrorContext(r.Context(), "page failed", "route", r.Pattern, "error", err)
	}
	h := w.Header()
	secure(h)
	if f.status == http.StatusServiceUnavailable {
		h.Set("Retry-After", "5")
	}
	lang := langOf(r)
	what := page{Name: "error", Title: lang.text(f.title), Data: struct{ Title, Text string }{lang.text(f.title), lang.text(f.text)}}
	if err := p.show(w, r, f.status, what); err != nil {
		p.Log.ErrorContext(r.Context(), "page failed", "route", r.Pattern, "error", err)
		http.Error(w, http.StatusText(f.status), f.status)
	}
}
