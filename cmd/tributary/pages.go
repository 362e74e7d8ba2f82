package main

import (
	"net/http"
	"strconv"
	"strings"

	"github.com/tributary-dicom/tributary/review/slowreader"
	"github.com/tributary-dicom/tributary/review/web"
)

// mountPages serves the node's own pages: the search at "/", everything else below "/pages/".
func (n *node) mountPages(mux *http.ServeMux) {
	cfg := web.Config{Index: n.index, States: n.index, Log: n.cfg.log, Operators: n.operatorPages()}
	cfg.ECG = web.ECGConfig{Objects: n.index, Blobs: n.blobs}
	if n.viewer != nil {
		cfg.Viewer = n.viewer.Mount()
	}
	pages := slowreader.Limit(web.New(cfg), n.cfg.Stall) // windows of an ECG share memory until they are taken
	fresh := n.fresh(pages)
	mux.Handle("/pages/", fresh)
	mux.Handle("/pages/assets/", pages) // files of the program: they wait for nothing
	mux.HandleFunc("GET /{$}", func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Vary", "Accept")
		if prefersHTML(r.Header.Values("Accept")) {
			fresh.ServeHTTP(w, r)
			return
		}
		n.welcome(w, r)
	})
}

// prefersHTML reports whether a client would rather have a page than plain text (RFC 9110 §12.5.1). Browsers name
// text/html; curl and its like take anything, and get text.
func prefersHTML(accept []string) bool {
	html, plain := 0.0, 0.0
	for _, header := range accept {
		for part := range strings.SplitSeq(header, ",") {
			kind, params, _ := strings.Cut(part, ";")
			weight := 1.0
			for param := range strings.SplitSeq(params, ";") {
				if q, ok := strings.CutPrefix(strings.ToLower(strings.TrimSpace(param)), "q="); ok {
					var err error
					if weight, err = strconv.ParseFloat(q, 64); err != nil {
						weight = 0
					}
				}
			}
			switch strings.ToLower(strings.TrimSpace(kind)) {
			case "text/html", "application/xhtml+xml":
				html = max(html, weight)
			case "text/plain":
				plain = max(plain, weight)
			}
		}
	}
	return html > plain
}
