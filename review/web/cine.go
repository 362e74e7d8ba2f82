package web

import "net/http"

// CineConfig is what these pages need beside Config.
type CineConfig struct{}

// routesCine registers the pages of this file.
func (p *pages) routesCine(_ *http.ServeMux) {}
