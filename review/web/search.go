package web

import "net/http"

func (p *pages) searchPage(w http.ResponseWriter, r *http.Request) error {
	return p.show(w, r, http.StatusOK, page{Name: "search", Section: "search", Title: langOf(r).text("frame.search.title")})
}
