package ingest

import (
	"testing"

	"github.com/tributary-dicom/tributary/parsers/reject"
)

func TestEveryCodeHasAnAnswer(t *testing.T) {
	for _, code := range reject.All() {
		a, ok := answers[code]
		if !ok {
			t.Errorf("no row for %q", code)
			continue
		}
		if kept := a.DIMSE&0xF000 == 0xB000; kept != code.Keeps() {
			t.Errorf("%q: DIMSE status %04X says kept=%v, the code says %v", code, a.DIMSE, kept, code.Keeps())
		}
		if (a.HTTP < 300) != code.Keeps() {
			t.Errorf("%q: HTTP %d does not fit kept=%v", code, a.HTTP, code.Keeps())
		}
		if a.STOW == 0 {
			t.Errorf("%q: no Failure Reason for STOW-RS", code)
		}
	}
	if len(answers) != len(reject.All()) {
		t.Errorf("%d rows for %d codes", len(answers), len(reject.All()))
	}
}
