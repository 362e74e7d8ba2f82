package indextest

import (
	"encoding/json"
	"errors"
	"fmt"
	"math"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/tributary-dicom/tributary/pipeline/event"
	"github.com/tributary-dicom/tributary/pipeline/eventlog"
	"github.com/tributary-dicom/tributary/storage/index"
)

// randomECG returns one of three sets of facts, or nil.
func randomECG(n int) *event.ECG {
	paced := true
	switch n {
	case 1:
		return &event.ECG{AcquiredAt: "2026-01-02T10:15:00", DurationMillis: 10_000, SamplingFrequencyHz: 500, Leads: []string{"I", "aVR"}, Groups: 2}
	case 2:
		return &event.ECG{Paced: &paced, Statements: []event.Statement{{Text: "急性心肌梗死"}, {Text: "Ｗｉｄｅ QRS"}}}
	case 3:
		return &event.ECG{Measurements: map[string]event.Measurement{
			"ventricular-rate": {Value: 72.5, Unit: "/min"}, "qrs-axis": {Value: -31, Unit: "deg"}, "qt-interval": {Value: 0.4, Unit: "s"},
		}}
	}
	return nil
}

func recorded(t testing.TB, x Index, q index.RecordingQuery) []index.RecordingRow {
	t.Helper()
	if q.Tenant == "" {
		q.Tenant = "clinic"
	}
	found, err := x.Recordings(t.Context(), q)
	if err != nil {
		t.Fatalf("Recordings(%+v): %v", q, err)
	}
	return found
}

func objectsOf(found []index.RecordingRow) []string {
	out := []string{}
	for _, r := range found {
		out = append(out, r.ObjectID)
	}
	return out
}

// originals holds that files that are not DICOM are kept apart, and found again by admission.
func originals(t *testing.T, x Index) {
	ctx := t.Context()
	tape := NewTape(t)
	in := Instance{
		Object: "01", Bytes: "scp", Attributes: map[string]string{"PatientName": "张三", "PatientID": "P7"}, ECG: randomECG(2),
		Findings: []string{"acute-mi"},
	}
	body := in.Original()
	apply(t, x, tape.Kept(in))
	for _, level := range []index.Level{index.StudyLevel, index.SeriesLevel, index.InstanceLevel} {
		if found := search(t, x, index.Query{Level: level}); len(found) != 0 {
			t.Errorf("level %d finds %v", level, found)
		}
	}
	err := x.Objects(ctx, index.Scope{Tenant: "clinic", StudyInstanceUID: body.IDs.StudyInstanceUID}, index.Want{}, func(index.Object) error { return nil })
	if !errors.Is(err, index.ErrNotFound) {
		t.Errorf("Objects = %v, want ErrNotFound", err)
	}
	if s, err := x.Stats(ctx); err != nil || s != (index.Stats{Originals: 1}) {
		t.Errorf("Stats = %+v, %v", s, err)
	}
	versions, current, err := x.Lookup(ctx, "clinic", body.IDs.SOPInstanceUID)
	if err != nil || current != "01" || len(versions) != 1 {
		t.Fatalf("Lookup = %+v, %q, %v", versions, current, err)
	}
	if v := versions[0]; v.DatasetSHA256 != body.Blob.DatasetSHA256 || v.BlobKey != "blobs/01" || v.ReceivedAt != "2026-03-01T08:00:00Z" || v.SHA256 != body.Blob.SHA256 {
		t.Errorf("version %+v", v)
	}
	for name, id := range map[string]string{"object": "01", "file": body.IDs.SOPInstanceUID, "instance to be": in.DerivedUID()} {
		o, err := x.Original(ctx, "clinic", id)
		if err != nil || o.ObjectID != "01" || o.Filename != "心电图 1.scp" || o.MediaType != "application/x-scp-ecg" || o.Format != "scp-ecg" ||
			o.BlobKey != "blobs/01" || o.Bytes != 3 || o.Attributes["PatientName"] != "张三" || o.Priority != "STAT" || o.Derived ||
			o.StudyInstanceUID != body.IDs.StudyInstanceUID || o.Device != "cart-3" || len(o.Findings) != 1 || !json.Valid(o.Facts) {
			t.Errorf("by the UID of the %s: %+v, %v", name, o, err)
		}
		if _, err := x.Original(ctx, "other", id); !errors.Is(err, index.ErrNotFound) {
			t.Errorf("another tenant's: %v", err)
		}
	}

	// Bytes that took the place of lost ones: the newest event counts, in whatever order.
	before := dump(t, x)
	apply(t, x, tape.Again(tape.Records)...)
	if dump(t, x) != before {
		t.Error("the same event took effect again")
	}
	was := tape.Records[0]
	in.Key, in.ECG, in.Findings = "blobs/new", nil, nil
	apply(t, x, tape.Kept(in))
	apply(t, x, tape.Again([]eventlog.Record{was})...)
	if o, err := x.Original(ctx, "clinic", "01"); err != nil || o.BlobKey != "blobs/new" || o.Facts != nil || o.Priority != "" || o.Findings != nil {
		t.Errorf("after its bytes were replaced: %+v, %v", o, err)
	}
	// A copy that another node took in at the same time is another object, and no other version.
	in.Object, in.Key = "02", ""
	apply(t, x, tape.Kept(in))
	if versions, current, err := x.Lookup(ctx, "clinic", body.IDs.SOPInstanceUID); err != nil || current != "01" || len(versions) != 1 {
		t.Errorf("of two copies: %+v, %q, %v", versions, current, err)
	}
	if o, err := x.Original(ctx, "clinic", "02"); err != nil || o.BlobKey != "blobs/02" {
		t.Errorf("the copy: %+v, %v", o, err)
	}

	// Neither a format nor an archive around DICOM makes an instance.
	for i, edit := range []func(*event.Instance){
		func(b *event.Instance) { b.Blob.Format = "pdf" },
		func(b *event.Instance) { b.Blob.Format, b.Blob.MediaType = "dicom", "application/gzip" },
	} {
		odd := Instance{Object: fmt.Sprint("odd", i), Bytes: fmt.Sprint(i)}.Original()
		edit(&odd)
		apply(t, x, tape.Event(event.TypeInstanceStored, odd))
		if _, err := x.Original(ctx, "clinic", odd.ObjectID); err != nil {
			t.Errorf("%d: %v", i, err)
		}
	}
	if found := search(t, x, index.Query{}); len(found) != 0 {
		t.Errorf("found %v", found)
	}
}

// derived holds that the DICOM object of an original stands in its place once it is there, whichever comes first.
func derived(t *testing.T, x Index) {
	ctx := t.Context()
	tape := NewTape(t)
	var studies []string
	for i, order := range []string{"original first", "object first"} {
		source, made := fmt.Sprintf("%d1", i), fmt.Sprintf("%d2", i)
		in := Instance{Object: source, Bytes: order, ECG: randomECG(3)}
		body := in.Original()
		studies = append(studies, body.IDs.StudyInstanceUID)
		first := tape.Kept(in)
		second := tape.Stored(Instance{
			Study: body.IDs.StudyInstanceUID, Series: body.IDs.SeriesInstanceUID, SOP: in.DerivedUID(), Object: made, Bytes: "dicom of " + order,
			DerivedFrom: source, ECG: randomECG(3), Received: Epoch.Add(time.Minute),
		})
		listed := func() []index.RecordingRow {
			return slices.DeleteFunc(recorded(t, x, index.RecordingQuery{}), func(r index.RecordingRow) bool {
				return r.StudyInstanceUID != body.IDs.StudyInstanceUID
			})
		}
		if order == "original first" {
			apply(t, x, first)
			if found := listed(); len(found) != 1 || found[0].ObjectID != source || !found[0].Original || found[0].SOPInstanceUID != body.IDs.SOPInstanceUID {
				t.Errorf("before it is made: %+v", found)
			}
			apply(t, x, second)
		} else {
			apply(t, x, second)
			if found := listed(); len(found) != 1 || found[0].ObjectID != made || found[0].Original {
				t.Errorf("before its original is known: %+v", found)
			}
			apply(t, x, tape.Again([]eventlog.Record{first})...)
		}
		found := listed()
		if len(found) != 1 || found[0].ObjectID != made || found[0].Original || found[0].DerivedFrom != source || found[0].SOPInstanceUID != in.DerivedUID() {
			t.Errorf("%s: %+v", order, found)
		}
		for _, id := range []string{source, made, in.DerivedUID(), body.IDs.SOPInstanceUID} {
			if o, err := x.Original(ctx, "clinic", id); err != nil || o.ObjectID != source || !o.Derived || o.DerivedUID != in.DerivedUID() {
				t.Errorf("%s: original by %s: %+v, %v", order, id, o, err)
			}
		}
	}
	same(t, "studies", column(search(t, x, index.Query{}), "StudyInstanceUID"), studies)
	if _, err := x.Original(ctx, "clinic", "1.2.3"); !errors.Is(err, index.ErrNotFound) {
		t.Errorf("the original of another UID: %v", err)
	}
}

// recordings are objects 1, 2, …, received a minute apart.
func recordings(t *testing.T, x Index) {
	yes, no := true, false
	number := func(kind string, value float64, unit string) map[string]event.Measurement {
		return map[string]event.Measurement{kind: {Value: value, Unit: unit}}
	}
	tape := NewTape(t)
	for i, in := range []Instance{
		1: {ECG: &event.ECG{Measurements: number("ventricular-rate", 42, "/min"), Paced: &yes, Leads: []string{"I", "V4R"}}, Attributes: map[string]string{"PatientID": "p1", "StudyDate": "20260101"}},
		2: {ECG: &event.ECG{Measurements: number("ventricular-rate", 121.5, "bpm"), Paced: &no, AcquiredAt: "2026-02-03T01:02:03"}, Attributes: map[string]string{"PatientID": "P2"}},
		3: {ECG: &event.ECG{Statements: []event.Statement{{Text: "急性下壁心肌梗死"}, {Text: "Sinus  RHYTHM"}}}, Findings: []string{"acute-mi", "asystole"}},
		4: {ECG: &event.ECG{Measurements: number("qtc-interval", 0.512, "s"), DurationMillis: 10_000, SamplingFrequencyHz: 500}},
		5: {ECG: &event.ECG{Measurements: number("qtc-interval", 480, "ms"), Statements: []event.Statement{{Text: "Ｗｉｄｅ　ＱＲＳ 100%_x"}}}},
		6: {ECG: &event.ECG{Measurements: number("ventricular-rate", 60, "furlongs")}, Attributes: map[string]string{"StudyDate": "20260101"}},
		7: {},                                    // no recording
		8: {Tenant: "county", ECG: randomECG(3)}, // of another tenant
	} {
		if i > 0 {
			in.Object, in.Study, in.Received = fmt.Sprint(i), fmt.Sprintf("1.2.%d", i), Epoch.Add(time.Duration(i)*time.Minute)
			tape.Stored(in)
		}
	}
	apply(t, x, tape.Records...)
	bound := func(m index.Measure, low, high float64) map[index.Measure]index.Bounds {
		b := index.Bounds{Min: &low, Max: &high}
		if math.IsNaN(low) {
			b.Min = nil
		}
		if math.IsNaN(high) {
			b.Max = nil
		}
		return map[index.Measure]index.Bounds{m: b}
	}
	open := math.NaN()
	for name, c := range map[string]struct {
		q    index.RecordingQuery
		want string
	}{
		"all, newest first":    {index.RecordingQuery{}, "6 5 4 3 2 1"},
		"slow":                 {index.RecordingQuery{Ranges: bound(index.VentricularRate, open, 50)}, "1"},
		"fast":                 {index.RecordingQuery{Ranges: bound(index.VentricularRate, 121.5, open)}, "2"},
		"between":              {index.RecordingQuery{Ranges: bound(index.VentricularRate, 42, 121)}, "1"},
		"any rate":             {index.RecordingQuery{Ranges: bound(index.VentricularRate, 0, open)}, "2 1"},
		"long QTc":             {index.RecordingQuery{Ranges: bound(index.QTcInterval, 500, open)}, "4"},
		"ten seconds":          {index.RecordingQuery{Ranges: bound(index.Duration, 10_000, 10_000)}, "4"},
		"500 Hz":               {index.RecordingQuery{Ranges: bound(index.SamplingFrequency, 500, open)}, "4"},
		"negative":             {index.RecordingQuery{Ranges: bound(index.QRSAxis, -90, -30)}, ""},
		"no bounds at all":     {index.RecordingQuery{Ranges: map[index.Measure]index.Bounds{index.QRSAxis: {}}}, "6 5 4 3 2 1"},
		"urgent":               {index.RecordingQuery{Priority: "stat"}, "3"},
		"finding":              {index.RecordingQuery{Finding: "asystole"}, "3"},
		"part of a finding":    {index.RecordingQuery{Finding: "acute"}, ""},
		"hanzi":                {index.RecordingQuery{Statements: []string{"心肌梗死"}}, "3"},
		"two statements":       {index.RecordingQuery{Statements: []string{"下壁", "RHYTHM"}}, "3"},
		"one of them is not":   {index.RecordingQuery{Statements: []string{"下壁", "前壁"}}, ""},
		"full width":           {index.RecordingQuery{Statements: []string{"wide qrs"}}, "5"},
		"no wildcards":         {index.RecordingQuery{Statements: []string{"0%_X"}}, "5"},
		"across statements":    {index.RecordingQuery{Statements: []string{"死sinus"}}, ""},
		"lead":                 {index.RecordingQuery{Lead: "v4r"}, "1"},
		"part of a lead":       {index.RecordingQuery{Lead: "V4"}, ""},
		"paced":                {index.RecordingQuery{Paced: &yes}, "1"},
		"not paced":            {index.RecordingQuery{Paced: &no}, "2"},
		"patient":              {index.RecordingQuery{PatientID: "P1"}, "1"},
		"patients":             {index.RecordingQuery{PatientID: "p*"}, "2 1"},
		"study":                {index.RecordingQuery{StudyInstanceUID: "1.2.4"}, "4"},
		"day":                  {index.RecordingQuery{Dates: "20260101"}, "6 1"},
		"since, when acquired": {index.RecordingQuery{Dates: "20260102-"}, "2"},
		"until":                {index.RecordingQuery{Dates: "-20260131"}, "6 1"},
		"both":                 {index.RecordingQuery{Priority: "STAT", Lead: "I"}, ""},
		"another tenant":       {index.RecordingQuery{Tenant: "county"}, "8"},
	} {
		if got := strings.Join(objectsOf(recorded(t, x, c.q)), " "); got != c.want {
			t.Errorf("%s: %q, want %q", name, got, c.want)
		}
	}
	row := recorded(t, x, index.RecordingQuery{Priority: "STAT"})[0]
	var facts event.ECG
	if err := json.Unmarshal(row.Facts, &facts); err != nil || len(facts.Statements) != 2 || facts.Statements[0].Text != "急性下壁心肌梗死" {
		t.Errorf("facts %s, %v", row.Facts, err)
	}
	if row.Priority != "STAT" || len(row.Findings) != 2 || row.Findings[1].Finding != "asystole" || row.Findings[0].Statement == "" ||
		row.ReceivedAt != "2026-03-01T08:03:00Z" || row.SeriesInstanceUID != "1.2.3.1" || row.SOPInstanceUID != "1.2.3.1.1" {
		t.Errorf("row %+v", row)
	}
	inf := math.Inf(1)
	for name, q := range map[string]index.RecordingQuery{
		"infinite":           {Ranges: bound(index.QTInterval, 1, inf)},
		"not a measure":      {Ranges: bound("qt; --", 1, 2)},
		"not a date":         {Dates: "yesterday"},
		"long":               {Statements: []string{strings.Repeat("a", 5000)}},
		"many":               {Statements: make([]string, 100)},
		"too many wildcards": {PatientID: strings.Repeat("*a", 100)},
	} {
		if _, err := x.Recordings(t.Context(), q); !errors.Is(err, index.ErrBadQuery) {
			t.Errorf("%s: %v, want ErrBadQuery", name, err)
		}
	}
}

// recordingPages holds that pages come one behind the other without a gap, also where several came at one moment.
func recordingPages(t *testing.T, x Index) {
	tape := NewTape(t)
	for i := range 23 {
		tape.Stored(Instance{SOP: fmt.Sprint("1.", i), Object: fmt.Sprintf("%02d", i), Received: Epoch.Add(time.Duration(i/5) * time.Minute), ECG: randomECG(1)})
	}
	apply(t, x, tape.Records...)
	var got []string
	q := index.RecordingQuery{Limit: 4}
	for range 20 {
		page := recorded(t, x, q)
		got = append(got, objectsOf(page)...)
		if len(page) < q.Limit {
			break
		}
		q.Before = &page[len(page)-1].Place
	}
	all := objectsOf(recorded(t, x, index.RecordingQuery{}))
	if len(all) != 23 || !slices.Equal(got, all) || all[0] != "22" {
		t.Errorf("pages %v, all %v", got, all)
	}
}

// recordingVersions holds that of several versions the current one is found.
func recordingVersions(t *testing.T, x Index) {
	tape := NewTape(t)
	apply(t, x,
		tape.Stored(Instance{SOP: "7", Object: "01", Bytes: "a", ECG: randomECG(2)}),
		tape.Conflict(Instance{SOP: "7", Object: "02", Bytes: "b", ECG: randomECG(3), Received: Epoch.Add(time.Minute)}, "01"))
	same(t, "first", objectsOf(recorded(t, x, index.RecordingQuery{})), []string{"01"})
	apply(t, x, tape.Resolved(event.TypeConflictResolved, "02", "promoted", Epoch.Add(time.Hour)))
	same(t, "promoted", objectsOf(recorded(t, x, index.RecordingQuery{})), []string{"02"})
	same(t, "the other one's words", objectsOf(recorded(t, x, index.RecordingQuery{Statements: []string{"急性"}})), nil)

	// An earlier copy of the same data set stands for it, with what its own event says.
	apply(t, x, tape.Stored(Instance{SOP: "7", Object: "00", Bytes: "b", Received: Epoch.Add(-time.Minute)}))
	same(t, "a copy without facts", objectsOf(recorded(t, x, index.RecordingQuery{})), nil)
}
