package dicomwave

import (
	"testing"

	"github.com/tributary-dicom/tributary/parsers/ecg"
)

// TestMeanings: the words of the three vocabularies that devices use.
func TestMeanings(t *testing.T) {
	for meaning, want := range map[string]ecg.MeasurementKind{
		"PR Interval": ecg.PRInterval, "P-R Interval": ecg.PRInterval, "QT interval": ecg.QTInterval, "Q-T  interval": ecg.QTInterval,
		"QTc Interval": ecg.QTcInterval, "Q-T interval corrected": ecg.QTcInterval, "QRS duration": ecg.QRSDuration, "Heart rate": ecg.VentricularRate,
		"QT Interval Global": ecg.QTInterval, "P-R": "", "": "",
	} {
		if got, _ := kindOf(meaning); got != want {
			t.Errorf("%q: %q, want %q", meaning, got, want)
		}
	}
	if kind, formula := kindOf("QTc Fridericia"); kind != ecg.QTcInterval || formula != ecg.Fridericia {
		t.Errorf("%q by %q", kind, formula)
	}
}
