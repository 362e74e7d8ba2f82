package web

import "net/http"

func (p *pages) studyPage(w http.ResponseWriter, r *http.Request) error {
	return p.show(w, r, http.StatusOK, page{Name: "study", Title: langOf(r).text("frame.study.title")})
}
