package web

import "net/http"

// navItem is an entry of the navigation.
type navItem struct {
	Section string // page.Section of the pages below it
	Href    string
	Text    string // key
	Badge   string // how much waits there, "" for nothing
}

// Nav is the navigation of this node, in order.
func (s shown) Nav() []navItem { return s.nav }

func (p *pages) nav(r *http.Request) []navItem {
	return append([]navItem{{Section: "search", Href: "/", Text: "frame.nav.search"}}, p.navOperators(r)...)
}
