package dicomweb

import (
	"slices"

	"github.com/tributary-dicom/tributary/parsers/part10"
)

// isIndexed reports whether admission records an attribute for the index, so that a row without it says
// that the object has none.
func isIndexed(keyword string) bool { return slices.Contains(part10.IndexedAttributes, keyword) }
