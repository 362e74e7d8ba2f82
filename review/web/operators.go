package web

import "net/http"

// OperatorsConfig is what these pages need beside Config.
type OperatorsConfig struct{}

// routesOperators registers the pages of this file.
func (p *pages) routesOperators(_ *http.ServeMux) {}

// navOperators are the entries of the navigation that lead to these pages.
func (p *pages) navOperators() []navItem { return nil }
