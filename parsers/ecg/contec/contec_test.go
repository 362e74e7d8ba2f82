package contec_test

import (
	"testing"

	"github.com/tributary-dicom/tributary/parsers/ecg/contec"
	"github.com/tributary-dicom/tributary/parsers/ecg/ecgtest"
)

func TestGolden(t *testing.T) {
	ecgtest.Golden(t, "contec", contec.Decode, ecgtest.Options{Deviations: map[string]string{
		"contec/0000050.ECG: device model": "the model is not in the file; the reference has it from where the file came from",
	}})
}
