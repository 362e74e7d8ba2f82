package web

// navItem is an entry of the navigation.
type navItem struct {
	Section string // page.Section of the pages below it
	Href    string
	Text    string // key
}

// Nav is the navigation of this node, in order.
func (s shown) Nav() []navItem { return s.nav }

func (p *pages) nav() []navItem {
	return append([]navItem{{"search", "/", "frame.nav.search"}}, p.navOperators()...)
}
