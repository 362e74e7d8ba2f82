package indextest

import (
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/tributary-dicom/tributary/pipeline/event"
	"github.com/tributary-dicom/tributary/storage/index"
)

func ordering(t *testing.T, x Index) {
	tape := NewTape(t)
	for i, at := range []struct{ uid, date, time, name string }{
		{"1.2.1", "20260101", "1000", "C"},
		{"1.2.2", "20260301", "0900", "A"},
		{"1.2.3", "20260301", "1100", "B"},
		{"1.2.4", "", "", "D"}, // without a date: last
		{"1.2.6", "20260201", "10", "E"},
		{"1.2.5", "20260201", "10", "E"}, // received at the same time: by UID
	} {
		tape.Stored(Instance{Study: at.uid, Attributes: map[string]string{
			"StudyDate": at.date, "StudyTime": at.time, "PatientName": at.name, "SeriesNumber": fmt.Sprint(10 - i),
		}})
	}
	apply(t, x, tape.Records...)
	newest := []string{"1.2.3", "1.2.2", "1.2.6", "1.2.5", "1.2.1", "1.2.4"}
	same(t, "newest first", column(search(t, x, index.Query{}), "StudyInstanceUID"), newest)
	same(t, "series of the newest first", column(search(t, x, index.Query{Level: index.SeriesLevel}), "StudyInstanceUID"), newest)
	same(t, "a page", column(search(t, x, index.Query{Limit: 2, Offset: 3}), "StudyInstanceUID"), newest[3:5])
	same(t, "behind the end", column(search(t, x, index.Query{Limit: 2, Offset: 9}), "StudyInstanceUID"), []string{})
	var paged []string
	for i := range newest {
		paged = append(paged, column(search(t, x, index.Query{Level: index.InstanceLevel, Limit: 1, Offset: i}), "StudyInstanceUID")...)
	}
	same(t, "pages of one", paged, newest)

	by := func(level index.Level, order ...index.Order) []string {
		return column(search(t, x, index.Query{Level: level, OrderBy: order}), "StudyInstanceUID")
	}
	same(t, "by name", by(index.StudyLevel, index.Order{Keyword: "PatientName"}),
		[]string{"1.2.2", "1.2.3", "1.2.1", "1.2.4", "1.2.6", "1.2.5"})
	same(t, "by name, descending", by(index.StudyLevel, index.Order{Keyword: "PatientName", Descending: true}),
		[]string{"1.2.6", "1.2.5", "1.2.4", "1.2.1", "1.2.3", "1.2.2"})
	same(t, "by date and UID", by(index.StudyLevel, index.Order{Keyword: "StudyDate"}, index.Order{Keyword: "StudyInstanceUID"}),
		[]string{"1.2.4", "1.2.1", "1.2.5", "1.2.6", "1.2.2", "1.2.3"})
	same(t, "by series number", by(index.SeriesLevel, index.Order{Keyword: "SeriesNumber"}),
		[]string{"1.2.5", "1.2.6", "1.2.4", "1.2.3", "1.2.2", "1.2.1"})
	for _, keyword := range []string{"Modality", "StudyID", "day", "1"} {
		_, err := x.Search(t.Context(), index.Query{Tenant: "clinic", OrderBy: []index.Order{{Keyword: keyword}}})
		if !errors.Is(err, index.ErrUnsupportedMatch) {
			t.Errorf("order by %s: %v, want ErrUnsupportedMatch", keyword, err)
		}
	}
}

func rows(t *testing.T, x Index) {
	tape := NewTape(t)
	attributes := func(modality, number, instance string) map[string]string {
		return map[string]string{
			"PatientName": "Zhang^San", "StudyDate": "bad", "PatientComments": "two\nlines\x1f\x00", "Modality": modality,
			"SeriesNumber": number, "InstanceNumber": instance, "SomethingNew": "kept", "NumberOfStudyRelatedSeries": "99",
		}
	}
	const sr = "1.2.840.10008.5.1.4.1.1.88.33"
	tape.Stored(Instance{Series: "1.2.3.1", SOP: "1.1", Attributes: attributes("US", "2", "2"), Header: `{"first":1}`})
	tape.Stored(Instance{Series: "1.2.3.1", SOP: "1.2", Attributes: attributes("US", "2", "1"), Received: Epoch.Add(1)})
	tape.Stored(Instance{Series: "1.2.3.2", SOP: "2.1", Attributes: attributes("SR", "1", ""), Received: Epoch.Add(time.Second), Class: sr})
	apply(t, x, tape.Records...)

	study := search(t, x, index.Query{WithHeader: true})
	if len(study) != 1 {
		t.Fatalf("%d studies, want 1", len(study))
	}
	for keyword, want := range map[string]string{
		"StudyInstanceUID": "1.2.3", "PatientName": "Zhang^San", "StudyDate": "bad", "PatientComments": "two\nlines\x1f\x00",
		"ModalitiesInStudy": `SR\US`, "SOPClassesInStudy": `1.2.840.10008.5.1.4.1.1.6.1\` + sr,
		"NumberOfStudyRelatedSeries": "2", "NumberOfStudyRelatedInstances": "3", "InstanceAvailability": "ONLINE",
		"Modality": "", "SOPInstanceUID": "", "SomethingNew": "",
	} {
		if got := study[0].Attributes[keyword]; got != want {
			t.Errorf("study: %s = %q, want %q", keyword, got, want)
		}
	}
	if got := string(study[0].Header); got != `{"first":1}` {
		t.Errorf("study: header %q of the first instance", got)
	}
	series := search(t, x, index.Query{Level: index.SeriesLevel})
	same(t, "series by number", column(series, "SeriesInstanceUID"), []string{"1.2.3.2", "1.2.3.1"})
	same(t, "modality", column(series, "Modality"), []string{"SR", "US"})
	same(t, "instances of series", column(series, "NumberOfSeriesRelatedInstances"), []string{"1", "2"})
	same(t, "instances of study", column(series, "NumberOfStudyRelatedInstances"), []string{"3", "3"})
	same(t, "patient", column(series, "PatientName"), []string{"Zhang^San", "Zhang^San"})

	instances := search(t, x, index.Query{Level: index.InstanceLevel, WithHeader: true})
	same(t, "instances by series and number", column(instances, "SOPInstanceUID"), []string{"2.1", "1.2", "1.1"})
	same(t, "syntax", column(instances, "AvailableTransferSyntaxUID"), slices.Repeat([]string{"1.2.840.10008.1.2.1"}, 3))
	same(t, "unknown attribute", column(instances, "SomethingNew"), []string{"kept", "kept", "kept"})
	if instances[0].Header != nil || string(instances[2].Header) != `{"first":1}` {
		t.Errorf("headers %q, %q", instances[0].Header, instances[2].Header)
	}
	if got, err := x.Stats(t.Context()); err != nil || got != (index.Stats{Studies: 1, Series: 2, Instances: 3}) {
		t.Errorf("Stats = %+v, %v", got, err)
	}
}

// uids lists what Objects finds.
func uids(t testing.TB, x Index, s index.Scope) []string {
	t.Helper()
	s.Tenant = "clinic"
	out := []string{}
	err := x.Objects(t.Context(), s, index.Want{}, func(o index.Object) error {
		out = append(out, o.SOPInstanceUID)
		return nil
	})
	if err != nil && !errors.Is(err, index.ErrNotFound) {
		t.Fatalf("Objects(%+v): %v", s, err)
	}
	if (len(out) == 0) != errors.Is(err, index.ErrNotFound) {
		t.Errorf("Objects(%+v) finds %d and says %v", s, len(out), err)
	}
	return out
}

func objects(t *testing.T, x Index) {
	tape := NewTape(t)
	var want, second []string
	for i := range 600 { // more than two pages
		n := (i*7 + 3) % 600
		tape.Stored(Instance{
			Study: "1.1", Series: "1.1.5", SOP: fmt.Sprintf("1.1.5.%d", n), Received: Epoch.Add(time.Duration(i)),
			Attributes: map[string]string{"SeriesNumber": "1", "InstanceNumber": fmt.Sprint(n / 2)},
		})
	}
	for n := range 600 {
		want = append(want, fmt.Sprintf("1.1.5.%d", n))
	}
	slices.SortStableFunc(want, func(a, b string) int { // by number, then UID
		var n, m int
		fmt.Sscanf(a, "1.1.5.%d", &n) //nolint:errcheck // made above
		fmt.Sscanf(b, "1.1.5.%d", &m) //nolint:errcheck // made above
		if n/2 != m/2 {
			return n/2 - m/2
		}
		return strings.Compare(a, b)
	})
	tape.Stored(Instance{Study: "1.1", Series: "1.1.4", SOP: "z"}) // no number: last
	for i := range 300 {
		uid := fmt.Sprintf("1.3.%03d", i)
		second = append(second, uid+".1.1")
		tape.Stored(Instance{Study: uid, Layout: `{"frames":{"kind":"native","count":2,"offset":132,"frame_bits":16},"bulk":[{"path":"7FE00010","vr":"OW","offset":132,"length":4}]}`, Header: `{}`})
	}
	apply(t, x, tape.Records...)

	same(t, "study", uids(t, x, index.Scope{StudyInstanceUID: "1.1"}), append(slices.Clone(want), "z"))
	same(t, "series", uids(t, x, index.Scope{StudyInstanceUID: "1.1", SeriesInstanceUID: "1.1.5"}), want)
	same(t, "instance", uids(t, x, index.Scope{StudyInstanceUID: "1.1", SeriesInstanceUID: "1.1.5", SOPInstanceUID: "1.1.5.9"}), []string{"1.1.5.9"})
	same(t, "instance alone", uids(t, x, index.Scope{SOPInstanceUID: "z"}), []string{"z"})
	same(t, "instance of another series", uids(t, x, index.Scope{StudyInstanceUID: "1.1", SeriesInstanceUID: "1.1.5", SOPInstanceUID: "z"}), []string{})
	same(t, "instance of another study", uids(t, x, index.Scope{StudyInstanceUID: "1.3.000", SOPInstanceUID: "z"}), []string{})
	same(t, "unknown", uids(t, x, index.Scope{StudyInstanceUID: "9"}), []string{})
	same(t, "all", uids(t, x, index.Scope{}), slices.Concat(want, []string{"z"}, second))

	stop := errors.New("enough")
	calls := 0
	err := x.Objects(t.Context(), index.Scope{Tenant: "clinic"}, index.Want{}, func(index.Object) error {
		calls++
		return stop
	})
	if !errors.Is(err, stop) || calls != 1 {
		t.Errorf("Objects = %v after %d calls, want fn's error after one", err, calls)
	}
	err = x.Objects(t.Context(), index.Scope{Tenant: "clinic", StudyInstanceUID: "1.3.007"}, index.Want{Header: true, Layout: true},
		func(o index.Object) error {
			if string(o.Header) != "{}" || o.Frames.Count != 2 || o.Frames.FrameBits != 16 || len(o.Bulk) != 1 || o.Bulk[0].Length != 4 {
				t.Errorf("documents: %q, %+v, %+v", o.Header, o.Frames, o.Bulk)
			}
			if !o.Current || o.BlobKey == "" || o.Bytes == 0 || o.SHA256 == "" || o.DatasetOffset != 132 ||
				o.Modified != Epoch.UnixMilli() || o.MediaType != "application/dicom" || o.ObjectID == "" ||
				o.TransferSyntaxUID == "" || o.SOPClassUID == "" || o.SeriesInstanceUID != "1.3.007.1" {
				t.Errorf("object %+v", o)
			}
			return nil
		})
	if err != nil {
		t.Error(err)
	}
}

func attachments(t *testing.T, x Index) {
	header := event.Attach([]byte(`{"long":true}`))
	Blobs["beside"], header.BlobKey, header.Data = header.Data, "beside", nil
	tape := NewTape(t)
	body := Instance{}.Body()
	body.Header = header
	tape.Event(event.TypeInstanceStored, body)
	body = Instance{SOP: "1.2.3.1.2"}.Body()
	lost := *header
	lost.BlobKey = "lost"
	body.Header = &lost
	tape.Event(event.TypeInstanceStored, body)
	apply(t, x, tape.Records...)

	read := func(sop string) (header string, err error) {
		err = x.Objects(t.Context(), index.Scope{Tenant: "clinic", SOPInstanceUID: sop}, index.Want{Header: true},
			func(o index.Object) error {
				header = string(o.Header)
				return nil
			})
		return header, err
	}
	if got, err := read("1.2.3.1.1"); got != `{"long":true}` || err != nil {
		t.Errorf("header = %q, %v", got, err)
	}
	if _, err := read("1.2.3.1.2"); err == nil || errors.Is(err, index.ErrNotFound) {
		t.Errorf("lost header: %v, want an error that is not ErrNotFound", err)
	}
}

func tenants(t *testing.T, x Index) {
	tape := NewTape(t)
	here, there := Instance{Attributes: map[string]string{"PatientID": "1", "PatientName": "Zhang^San"}}, Instance{}
	there.Attributes, there.Tenant, there.Object = here.Attributes, "other", "02"
	tape.Stored(here)
	tape.Stored(there)
	apply(t, x, tape.Records...)
	for _, m := range []index.Match{
		{Keyword: "PatientID", Values: []string{"1"}},
		{Keyword: "PatientName", Values: []string{"zhang^san"}},
		{Keyword: "PatientName", Values: []string{"z*"}},
		{Keyword: "PatientName", Values: []string{"*s*"}},
		{Keyword: "StudyInstanceUID"},
	} {
		for _, tenant := range []string{"clinic", "other"} {
			for level := index.StudyLevel; level <= index.InstanceLevel; level++ {
				rows := search(t, x, index.Query{Tenant: tenant, Level: level, Matches: []index.Match{m}})
				if len(rows) != 1 || rows[0].Attributes["NumberOfStudyRelatedInstances"] != "1" {
					t.Errorf("%s sees %d rows for %+v", tenant, len(rows), m)
				}
			}
		}
	}
	if versions, current, err := x.Lookup(t.Context(), "other", "1.2.3.1.1"); err != nil || len(versions) != 1 || current != "02" {
		t.Errorf("Lookup = %v, %q, %v", versions, current, err)
	}
	if got := uids(t, x, index.Scope{}); len(got) != 1 {
		t.Errorf("Objects finds %d", len(got))
	}
}
