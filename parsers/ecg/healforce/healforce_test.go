package healforce_test

import (
	"testing"

	"github.com/tributary-dicom/tributary/parsers/ecg/ecgtest"
	"github.com/tributary-dicom/tributary/parsers/ecg/healforce"
)

func TestGolden(t *testing.T) {
	ecgtest.Golden(t, "scp", healforce.Decode, ecgtest.Options{
		Files: func(path string) bool { return path == "scp/healforce_62.SCP" },
		Deviations: map[string]string{
			"scp/healforce_62.SCP: device model": "the model is not in the file; the reference has it from a read-me",
		},
	})
}
