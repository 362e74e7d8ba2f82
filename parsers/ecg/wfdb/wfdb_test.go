package wfdb

import (
	"strings"
	"testing"

	"github.com/tributary-dicom/tributary/parsers/ecg/ecgtest"
)

// TestGolden compares with rdsamp. Where the reference names leads otherwise than the header (upper case; words
// of a description cut apart), leads are compared by place.
func TestGolden(t *testing.T) {
	const ties = "0.5 µV a count: halves fall otherwise in floating point; the counts agree"
	byPlace := func(path string) bool {
		return strings.HasSuffix(path, "s0010_re.hea") || strings.HasSuffix(path, "binformats.hea")
	}
	deviations := map[string]string{}
	for file, leads := range map[string]string{"041s": "III V PLETH RESP", "041s01": "III I V PLETH RESP", "041s02": "V PLETH RESP"} {
		for _, lead := range strings.Fields(leads) {
			deviations["wfdb/041s/"+file+".hea: lead "+lead+": µV differ"] = ties
		}
	}
	ecgtest.Golden(t, "wfdb", Decode, ecgtest.Options{
		SplitRates: true, Files: func(path string) bool { return strings.HasSuffix(path, ".hea") && !byPlace(path) }, Deviations: deviations,
	})
	deviations = map[string]string{
		"wfdb/binformats.hea: group 0 lead fmt 160: µV differ": "format 32: ten million µV and more do not fit the reference's 32 bits; the counts agree",
	}
	for _, lead := range strings.Split("sig 0,fmt 8,sig 1,fmt 16,sig 2,fmt 61,sig 3,fmt 80,sig 4,fmt 160", ",") {
		deviations["wfdb/binformats.hea: group 0 lead "+lead+": is called"] = "descriptions with a comma, cut apart in the reference"
	}
	for _, lead := range strings.Fields("I II III aVR aVL aVF V1 V2 V3 V4 V5 VZ") {
		deviations["wfdb/s0010_re.hea: group 0 lead "+lead+": µV differ"] = ties
	}
	for _, lead := range strings.Fields("VX VY VZ") {
		deviations["wfdb/s0010_re.hea: group 0 lead "+lead+": is called"] = "Frank leads are X, Y and Z"
	}
	ecgtest.Golden(t, "wfdb", Decode, ecgtest.Options{Files: byPlace, Deviations: deviations})
}
