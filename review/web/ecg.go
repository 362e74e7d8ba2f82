package web

import "net/http"

// ECGConfig is what these pages need beside Config.
type ECGConfig struct{}

// routesECG registers the pages of this file.
func (p *pages) routesECG(_ *http.ServeMux) {}
