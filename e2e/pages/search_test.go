package pages

import (
	"testing"

	"github.com/tributary-dicom/tributary/internal/testbrowser"
)

func TestSearchPage(t *testing.T) {
	each(t, func(t *testing.T, query string, v testbrowser.Viewport) {
		tab := page(t, "/?"+query, v)
		tab.Axe()
		tab.Screenshot("search-" + query[5:])
	})
}
