package dicomecg

import (
	"bytes"
	"encoding/binary"
	"testing"

	"github.com/suyashkumar/dicom"
	"github.com/suyashkumar/dicom/pkg/tag"

	"github.com/tributary-dicom/tributary/parsers/ecg"
)

// TestLibraryReads: the Go library that most programs read DICOM with finds in an object what was written.
func TestLibraryReads(t *testing.T) {
	rec := recording(group(ecg.Rhythm, "500", leadsOf("2.5", "I", "II", "V1"), 1000, wavy))
	rec.Patient.Name, rec.Patient.ID = "张三", "P7"
	plan, file := write(t, rec, Options{Tenant: "t", SourceSHA256: hashOf([]byte("x")), StoredOnly: true})
	set, err := dicom.Parse(bytes.NewReader(file), int64(len(file)), nil)
	if err != nil {
		t.Fatal(err)
	}
	for at, want := range map[tag.Tag]string{
		tag.SOPClassUID: plan.SOPClassUID, tag.SOPInstanceUID: plan.SOPInstanceUID, tag.StudyInstanceUID: plan.StudyInstanceUID,
		tag.PatientName: "张三", tag.PatientID: "P7", tag.Modality: "ECG", tag.SpecificCharacterSet: "ISO_IR 192",
	} {
		e, err := set.FindElementByTag(at)
		if err != nil {
			t.Errorf("%v: %v", at, err)
			continue
		}
		if got := dicom.MustGetStrings(e.Value); len(got) != 1 || got[0] != want {
			t.Errorf("%v: %q, want %q", at, got, want)
		}
	}
	e, err := set.FindElementByTagNested(tag.WaveformData)
	if err != nil {
		t.Fatal(err)
	}
	data := dicom.MustGetBytes(e.Value)
	if len(data) != 3*1000*2 {
		t.Fatalf("%d bytes of samples", len(data))
	}
	for i := range 1000 {
		for c := range 3 {
			if got := int32(int16(binary.LittleEndian.Uint16(data[2*(3*i+c):]))); got != wavy(c, i) {
				t.Fatalf("sample %d of channel %d: %d, want %d", i, c, got, wavy(c, i))
			}
		}
	}
}
