package index_test

import (
	"fmt"
	"os"
	"strconv"
	"testing"
	"time"

	"github.com/tributary-dicom/tributary/internal/testengine"
	"github.com/tributary-dicom/tributary/pipeline/event"
	"github.com/tributary-dicom/tributary/pipeline/eventlog"
	"github.com/tributary-dicom/tributary/storage/index"
	"github.com/tributary-dicom/tributary/storage/index/indextest"
)

// BenchmarkRecordings asks for pages of 100 of INDEX_RECORDINGS recordings (2,000 when not given), each of an original
// and of the object made of it.
func BenchmarkRecordings(b *testing.B) {
	n := 2000
	if s := os.Getenv("INDEX_RECORDINGS"); s != "" {
		var err error
		if n, err = strconv.Atoi(s); err != nil {
			b.Fatal(err)
		}
	}
	slow, long := 45.0, 620.0
	for engine, open := range map[string]func() *index.DB{
		"sqlite":   func() *index.DB { return open(b, nil) },
		"postgres": func() *index.DB { return openPostgres(b, testengine.StartPostgres(b).Schema(b), index.Options{}) },
	} {
		b.Run(engine, func(b *testing.B) {
			db := closing(b, open())
			began := time.Now()
			fill(b, db, ecgs(b, n), 512)
			b.Logf("%d events applied in %v", 2*n, time.Since(began))
			for _, c := range []struct {
				name string
				q    index.RecordingQuery
			}{
				{"newest", index.RecordingQuery{}},
				{"critical", index.RecordingQuery{Priority: "STAT"}},
				{"slow", index.RecordingQuery{Ranges: map[index.Measure]index.Bounds{index.VentricularRate: {Max: &slow}}}},
				{"long QTc, nobody", index.RecordingQuery{Ranges: map[index.Measure]index.Bounds{index.QTcInterval: {Min: &long}}}},
				{"statement", index.RecordingQuery{Statements: []string{"梗死"}}},
				{"statement, nobody", index.RecordingQuery{Statements: []string{"没有"}}},
				{"patient", index.RecordingQuery{PatientID: "P77"}},
			} {
				b.Run(c.name, func(b *testing.B) {
					c.q.Tenant, c.q.Limit = "clinic", 100
					rows := 0
					for b.Loop() {
						found, err := db.Recordings(b.Context(), c.q)
						if err != nil {
							b.Fatal(err)
						}
						rows = len(found)
					}
					b.ReportMetric(float64(rows), "rows")
				})
			}
		})
	}
}

// ecgs are n originals with what is made of them; one in fifty is critical.
func ecgs(b *testing.B, n int) []eventlog.Record {
	tape := indextest.NewTape(b)
	for i := range n {
		statements := []event.Statement{{Text: "窦性心律"}, {Text: "Normal sinus rhythm"}, {Text: "左心室高电压"}}
		facts := &event.ECG{
			FormatVersion: "1.3", AcquiredAt: "2026-03-01T08:00:00", DurationMillis: 10_000, SamplingFrequencyHz: 500, Groups: 2,
			Leads:      []string{"I", "II", "III", "aVR", "aVL", "aVF", "V1", "V2", "V3", "V4", "V5", "V6"},
			Statements: statements, Measurements: map[string]event.Measurement{},
		}
		for kind, value := range map[string]float64{
			"ventricular-rate": float64(40 + i%97), "pr-interval": float64(120 + i%80), "qrs-duration": float64(80 + i%50),
			"qt-interval": float64(340 + i%120), "qtc-interval": float64(380 + i%150), "qrs-axis": float64(i%180 - 60),
		} {
			facts.Measurements[kind] = event.Measurement{Value: value, Unit: map[bool]string{true: "/min", false: "ms"}[kind == "ventricular-rate"]}
		}
		in := indextest.Instance{
			Object: fmt.Sprintf("01J%023d", 2*i), Bytes: fmt.Sprint(i), ECG: facts, Received: indextest.Epoch.Add(time.Duration(i) * time.Second),
			Attributes: map[string]string{"PatientID": fmt.Sprintf("P%d", i/3), "PatientName": "Zhang^San=张^三", "PatientBirthDate": "19500412", "PatientSex": "F", "StudyDate": "20260301", "Modality": "ECG"},
		}
		if i%50 == 0 {
			facts.Statements = append(statements, event.Statement{Text: "急性下壁心肌梗死"})
			in.Findings = []string{"acute-mi"}
		}
		body := in.Original()
		tape.Kept(in)
		in.DerivedFrom, in.Object, in.SOP = in.Object, fmt.Sprintf("01J%023d", 2*i+1), in.DerivedUID()
		in.Study, in.Series, in.Bytes = body.IDs.StudyInstanceUID, body.IDs.SeriesInstanceUID, "d"+in.Bytes
		tape.Stored(in)
	}
	return tape.Records
}
