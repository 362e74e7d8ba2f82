package event_test

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/tributary-dicom/tributary/parsers/part10"
	"github.com/tributary-dicom/tributary/pipeline/event"
)

// sample returns an instance with every field filled: 40 attributes and a header of about 3 KB when
// compressed. Its patient is made up.
func sample() *event.Instance {
	in := &event.Instance{
		ObjectID: "01JEXAMPLE0000000000000001",
		Tenant:   "county-1",
		Origin: event.Origin{
			Door: "dimse", Device: "cart-7", Facility: "village-a", Remote: "192.0.2.10:49152", CallingAE: "CART7", CalledAE: "TRIBUTARY",
			Filename: "ecg 1.dcm", ReceivedAt: time.Date(2025, 3, 1, 8, 30, 15, 123456789, time.UTC),
		},
		Blob: event.Blob{
			Key: "county-1/2025/03/01/01JEXAMPLE0000000000000001", Bytes: 102400, SHA256: strings.Repeat("ab", 32),
			DatasetSHA256: strings.Repeat("cd", 32), DatasetOffset: 356, MediaType: "application/dicom", Format: "dicom",
			TransferSyntaxUID: "1.2.840.10008.1.2.1",
		},
		IDs: event.IDs{
			PatientID: "EX-0001", IssuerOfPatientID: "VILLAGE", AccessionNumber: "A42", StudyInstanceUID: "2.25.1001", SeriesInstanceUID: "2.25.1002",
			SOPInstanceUID: "2.25.1003", SOPClassUID: "1.2.840.10008.5.1.4.1.1.9.1.1",
		},
		Attributes: map[string]string{"PatientName": "Example^Åsa=例^朝", "StudyDescription": "12-lead \"rest\" <ECG> & more\\2"},
		Warnings:   []part10.Warning{{Code: "odd-length", Path: "00100010", Offset: 412}},
		ConflictOf: "01JEXAMPLE0000000000000000", Adopted: true,
		Reason: "truncated", ReasonDetail: "element (7FE0,0010) goes past the end", ReasonOffset: 2048, ScannerVersion: 3,
		ParserVersion: 7, Redescribes: "01JEXAMPLE0000000000000005", DerivedVersion: 6,
		DerivedFrom: "01JEXAMPLE0000000000000003", Priority: event.PriorityStat,
		Findings: []event.Finding{{Finding: "acute-mi", Statement: "急性下壁心肌梗死"}},
		ECG: &event.ECG{
			FormatVersion: "1.3", AcquiredAt: "2025-03-01T08:29:00", DurationMillis: 10000, SamplingFrequencyHz: 500, Leads: []string{"I", "II"}, Groups: 1,
			Measurements: map[string]event.Measurement{"ventricular-rate": {Value: 58, Unit: "/min"}},
			Statements:   []event.Statement{{Text: "急性下壁心肌梗死", Author: "machine"}},
		},
	}
	for i := len(in.Attributes); i < 40; i++ {
		in.Attributes[fmt.Sprintf("AttributeKeyword%02d", i)] = fmt.Sprintf("a value of usual length %d", i)
	}
	var header strings.Builder
	for i := range 260 {
		fmt.Fprintf(&header, `"%08X":{"vr":"LO","Value":["%x"]},`, i*7919, uint64(i+1)*0x9E3779B97F4A7C15)
	}
	in.Header = event.Attach([]byte("{" + strings.TrimSuffix(header.String(), ",") + "}"))
	in.Frames = &event.Attachment{Encoding: "zstd", Bytes: 5 << 20, BlobKey: "county-1/2025/03/01/01JEXAMPLE0000000000000002"}
	return in
}

func BenchmarkEncode(b *testing.B) {
	in := sample()
	b.ReportAllocs()
	for b.Loop() {
		if _, err := event.Encode(in); err != nil {
			b.Fatal(err)
		}
	}
}

func BenchmarkDecode(b *testing.B) {
	data, err := event.Encode(sample())
	if err != nil {
		b.Fatal(err)
	}
	b.SetBytes(int64(len(data)))
	b.ReportAllocs()
	for b.Loop() {
		if _, err := event.Decode[event.Instance](data); err != nil {
			b.Fatal(err)
		}
	}
}

func BenchmarkNewID(b *testing.B) {
	for b.Loop() {
		event.NewID()
	}
}
