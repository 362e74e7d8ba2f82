package web

import (
	"context"
	"fmt"
	"net/http"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/tributary-dicom/tributary/pipeline/event"
	"github.com/tributary-dicom/tributary/storage/index"
	"github.com/tributary-dicom/tributary/storage/index/indextest"
)

const (
	ecgClass   = "1.2.840.10008.5.1.4.1.1.9.1.1"
	stillClass = "1.2.840.10008.5.1.4.1.1.6.1"
	loopClass  = "1.2.840.10008.5.1.4.1.1.3.1"
)

// visit is an ECG with a report, loops and a video, of one patient.
func visit(tape *indextest.Tape) {
	who := func(more ...string) map[string]string {
		a := map[string]string{
			"PatientName": "Zhang^Wei=张^伟", "PatientID": "7", "IssuerOfPatientID": "EAST", "PatientSex": "M", "PatientBirthDate": "19680512",
			"StudyDate": "20260301", "StudyTime": "081500", "StudyDescription": "胸痛", "AccessionNumber": "A1",
		}
		for i := 0; i+1 < len(more); i += 2 {
			a[more[i]] = more[i+1]
		}
		return a
	}
	for i, in := range []indextest.Instance{
		{Series: "1.2.1.1", Class: ecgClass, Attributes: who("Modality", "ECG", "SeriesNumber", "1", "InstanceNumber", "1"), Findings: []string{"acute-mi"}, ECG: &event.ECG{
			AcquiredAt:   "2026-03-01T08:15:02",
			Measurements: map[string]event.Measurement{"ventricular-rate": {Value: 42, Unit: "/min"}, "qtc-interval": {Value: 431.26, Unit: "ms", Formula: "Bazett"}, "qrs-axis": {Value: -40, Unit: "deg"}},
			Statements:   []event.Statement{{Text: "急性心肌梗死", Author: "machine"}, {Text: "Confirmed by <reader>", Author: "over-read", Status: "confirmed"}},
		}},
		{Series: "1.2.1.2", Class: "1.2.840.10008.5.1.4.1.1.104.1", Attributes: who("Modality", "DOC", "SeriesNumber", "2", "InstanceNumber", "1", "DocumentTitle", "报告")},
		{Series: "1.2.1.3", Class: loopClass, Syntax: "1.2.840.10008.1.2.4.50", Attributes: who("Modality", "US", "SeriesNumber", "3", "InstanceNumber", "1", "Rows", "480", "Columns", "640", "NumberOfFrames", "30")},
		{Series: "1.2.1.3", Class: stillClass, Syntax: "1.2.840.10008.1.2.4.90", Attributes: who("Modality", "US", "SeriesNumber", "3", "InstanceNumber", "2", "Rows", "480", "Columns", "640")},
		{Series: "1.2.1.4", Class: "1.2.840.10008.5.1.4.1.1.77.1.1.1", Syntax: "1.2.840.10008.1.2.4.102", Attributes: who("Modality", "ES", "SeriesNumber", "4", "InstanceNumber", "1", "Rows", "480", "Columns", "640", "NumberOfFrames", "30")},
		{Series: "1.2.1.5", Class: "1.2.840.10008.5.1.4.1.1.88.11", Attributes: who("Modality", "SR", "SeriesNumber", "5", "InstanceNumber", "1")},
	} {
		in.Study, in.SOP = "1.2.1", fmt.Sprintf("%s.%d", in.Series, i)
		in.Object, in.Bytes, in.Received = fmt.Sprintf("%02d", i), fmt.Sprint("visit", i), indextest.Epoch.Add(time.Duration(i)*time.Second)
		tape.Stored(in)
	}
	// Others: the same person, one of another issuer, one with another date of birth.
	for i, a := range []map[string]string{
		who("StudyDate", "20250301", "Modality", "US", "StudyDescription", "earlier"),
		who("IssuerOfPatientID", "WEST", "StudyDescription", "stranger"),
		who("PatientBirthDate", "19990101", "StudyDescription", "namesake"),
	} {
		tape.Stored(indextest.Instance{
			Study: fmt.Sprintf("1.2.%d", i+2), Series: fmt.Sprintf("1.2.%d.1", i+2), SOP: fmt.Sprintf("1.2.%d.1.1", i+2), Object: fmt.Sprintf("1%d", i), Bytes: fmt.Sprint("other", i),
			Attributes: a, Received: indextest.Epoch.Add(-time.Minute),
		})
	}
}

func TestStudy(t *testing.T) {
	s := newSite(t, visit)
	rec := s.get("/pages/studies/1.2.1")
	if rec.Code != http.StatusOK {
		t.Fatalf("%d %s", rec.Code, rec.Body)
	}
	has(
		t, rec, `<span class="hanzi" lang="zh-CN">张伟</span> <span class="latin">Zhang Wei</span>`, `<dd><span class="id">7</span> <span class="muted">EAST</span>`,
		"<dd>Male</dd>", "<dd>57 y</dd>", "1968-05-12", "胸痛", "A1", "Series: 5, instances: 6", "Arriving",
		// What each is, and where it is shown.
		`href="/pages/ecg/1.2.1/1.2.1.1/1.2.1.1.0"`, `src="/dicom-web/studies/1.2.1/series/1.2.1.1/instances/1.2.1.1.0/thumbnail?viewport=160%2C120"`,
		`href="/dicom-web/studies/1.2.1/series/1.2.1.2/instances/1.2.1.2.1/rendered?accept=application%2Fpdf" target="_blank" rel="noopener"`, "报告",
		`href="/pages/view/1.2.1/1.2.1.3/1.2.1.3.2"`, "Loop, 30 frames", "640 × 480 · JPEG Baseline",
		`href="/pages/view/1.2.1/1.2.1.3/1.2.1.3.3"`, "No preview<br>JPEG 2000 Lossless",
		`href="/pages/view/1.2.1/1.2.1.4/1.2.1.4.4"`, "Video",
		`href="/dicom-web/studies/1.2.1/series/1.2.1.5/instances/1.2.1.5.5?accept=application%2Fdicom" download`,
		// The ECG in words.
		"An ECG of this study is called critical", "42 /min", `431.3 ms <span class="small muted">Bazett`, "-40°", "2026-03-01 08:15", "急性心肌梗死", "Machine reading <span class=\"badge\">Unconfirmed", "Over-read <span class=\"badge ok\">Confirmed", "Confirmed by &lt;reader&gt;",
		// The patient's other studies, and nobody else's.
		`href="/pages/studies/1.2.2"`, "earlier", "1 study",
	)
	lacks(t, rec, "stranger", "namesake", "1.2.1.5.5/thumbnail", "1.2.1.4.4/thumbnail", "ohif", "Several patients", "different contents")
	if title := regexp.MustCompile(`<title>.*</title>`).FindString(rec.Body.String()); strings.Contains(title, "张") || strings.Contains(title, "Zhang") {
		t.Errorf("the title names the patient: %s", title)
	}

	rec = newSite(t, visit, func(c *Config) { c.Viewer, c.States, c.Operators = "/ohif/", nil, OperatorsConfig{} }).get("/pages/studies/1.2.1")
	has(t, rec, `href="/ohif/viewer?StudyInstanceUIDs=1.2.1"`)
	lacks(t, rec, "Arriving", "Last received")
}

func TestStudyConflicts(t *testing.T) {
	s := newSite(t, func(tape *indextest.Tape) {
		a := func(name, id string) map[string]string {
			return map[string]string{"PatientName": name, "PatientID": id, "StudyDate": "20260301"}
		}
		tape.Stored(indextest.Instance{Study: "1.2.1", Series: "1.2.1.1", SOP: "1.2.1.1.1", Object: "01", Bytes: "one", Attributes: a("A", "1")})
		tape.Stored(indextest.Instance{Study: "1.2.1", Series: "1.2.1.1", SOP: "1.2.1.1.2", Object: "02", Bytes: "two", Attributes: a("B", "2")})
		tape.Conflict(indextest.Instance{Study: "1.2.1", Series: "1.2.1.1", SOP: "1.2.1.1.1", Object: "03", Bytes: "three", Attributes: a("A", "1")}, "01")
		tape.Stored(indextest.Instance{Study: "1.2.2", Series: "1.2.2.1", SOP: "1.2.2.1.1", Object: "04", Bytes: "four", Attributes: a("A", "1")})
	})
	rec := s.get("/pages/studies/1.2.1")
	has(t, rec, "Several patients", "Instances of this study are of several patients", "1 instance came with different contents", `href="/pages/conflicts/1.2.1.1.1"`, "No other study is known to be this patient")
	lacks(t, rec, `href="/pages/studies/1.2.2"`)
	rec = s.get("/pages/studies/1.2.2")
	lacks(t, rec, `href="/pages/studies/1.2.1"`, "different contents")
	has(t, rec, "Other studies have this patient ID and are not listed")
}

// told are states that a test makes up.
type told map[string]index.StudyState

func (s told) StudyStates(context.Context, string, []string) (map[string]index.StudyState, error) {
	return s, nil
}

func TestStudyStates(t *testing.T) {
	at := time.Date(2026, 3, 1, 9, 30, 0, 0, time.Local)
	for name, c := range map[string]struct {
		state index.StudyState
		has   []string
		lacks []string
	}{
		"open":     {index.StudyState{LastReceived: at}, []string{"Arriving", "Last received", "2026-03-01 09:30"}, []string{"Complete since"}},
		"complete": {index.StudyState{Complete: true, Revision: 1, CompletedAt: at, Reason: "signal:stow", LastReceived: at}, []string{`badge ok">Complete<`, "Complete since", "the sender sent all of it"}, []string{"announced"}},
		"changed":  {index.StudyState{Revision: 3, CompletedAt: at, Reason: "a reason of tomorrow", LastReceived: at}, []string{`badge warn">Changed<`, "announced 3 times"}, []string{"tomorrow"}},
	} {
		s := newSite(t, visit, func(cfg *Config) { cfg.States = told{"1.2.1": c.state} })
		rec := s.get("/pages/studies/1.2.1")
		has(t, rec, c.has...)
		lacks(t, rec, c.lacks...)
		has(t, s.get("/"), c.has[0])
		if t.Failed() {
			t.Fatal(name)
		}
	}
}

// TestOriginal: a recording whose DICOM object is not made yet is told of all the same.
func TestOriginal(t *testing.T) {
	s := newSite(t, func(tape *indextest.Tape) {
		report := indextest.Instance{Study: "1.2.1", Series: "1.2.1.1", SOP: "1.2.1.1.1", Object: "01", Bytes: "one", Attributes: map[string]string{"PatientID": "1"}}
		tape.Stored(report)
		kept := indextest.Instance{Object: "02", Bytes: "scp", Attributes: map[string]string{"PatientID": "1"}, ECG: &event.ECG{Statements: []event.Statement{{Text: "VT"}}}, Findings: []string{"vt"}}
		body := kept.Original()
		body.IDs.StudyInstanceUID = "1.2.1"
		tape.Event(event.TypeInstanceStored, body)
	})
	rec := s.get("/pages/studies/1.2.1")
	has(t, rec, "Being made into DICOM", `href="/originals/02"`, "VT", "called critical")
	lacks(t, rec, `href="/pages/ecg/`)
}

// TestLargeStudy: a study of thousands of instances costs a page, and all of it can be reached.
func TestLargeStudy(t *testing.T) {
	const series, instances = maxStudySeries + 3, 2*seriesPage + 5
	s := newSite(t, func(tape *indextest.Tape) {
		add := func(series, n int) {
			uid := fmt.Sprintf("1.2.1.%d", series)
			tape.Stored(indextest.Instance{
				Study: "1.2.1", Series: uid, SOP: fmt.Sprintf("%s.%d", uid, n), Object: fmt.Sprintf("%03d%03d", series, n), Bytes: fmt.Sprint(series, " ", n), Class: stillClass,
				Attributes: map[string]string{"SeriesNumber": fmt.Sprint(series), "InstanceNumber": fmt.Sprint(n), "Rows": "8", "Columns": "8"},
			})
		}
		for n := range instances {
			add(1, n+1)
		}
		for i := 2; i <= series; i++ {
			add(i, 1)
		}
	})
	shown := regexp.MustCompile(`href="/pages/view/1\.2\.1/(?:[0-9.]+)/1\.2\.1\.([0-9.]+)"`)
	count := func(target string) (out []string) {
		rec := s.get(target)
		if rec.Code != http.StatusOK {
			t.Fatalf("%s: %d", target, rec.Code)
		}
		for _, m := range shown.FindAllStringSubmatch(rec.Body.String(), -1) {
			out = append(out, m[1])
		}
		return out
	}
	if got := count("/pages/studies/1.2.1"); len(got) != firstInstances+maxStudySeries-1 || got[0] != "1.1" || got[firstInstances] != "2.1" {
		t.Errorf("the first page has %d: %v", len(got), got)
	}
	has(t, s.get("/pages/studies/1.2.1"), fmt.Sprintf("Show all %d", instances), `href="/pages/studies/1.2.1?series=1.2.1.1"`, fmt.Sprintf(`href="/pages/studies/1.2.1?from=%d"`, maxStudySeries))
	if got := count(fmt.Sprintf("/pages/studies/1.2.1?from=%d", maxStudySeries)); len(got) != series-maxStudySeries {
		t.Errorf("the second page has %v", got)
	}
	var all []string
	for page := range 3 {
		all = append(all, count(fmt.Sprintf("/pages/studies/1.2.1?series=1.2.1.1&page=%d", page))...)
	}
	slices.Sort(all)
	if all = slices.Compact(all); len(all) != instances {
		t.Errorf("the pages of a series have %d of %d instances", len(all), instances)
	}
	has(t, s.get("/pages/studies/1.2.1?series=1.2.1.1&page=1"), `rel="prev"`, `rel="next"`, fmt.Sprintf("%d–%d of %d", seriesPage+1, 2*seriesPage, instances))
	for _, target := range []string{"/pages/studies/1.2.1?series=1.2.9", "/pages/studies/1.2.1?series=x"} {
		if rec := s.get(target); rec.Code != http.StatusNotFound {
			t.Errorf("%s: %d", target, rec.Code)
		}
	}
	for _, target := range []string{"/pages/studies/1.2.1?from=-1", "/pages/studies/1.2.1?from=99999999999999999999", "/pages/studies/1.2.1?series=1.2.1.1&page=-7"} {
		if rec := s.get(target); rec.Code != http.StatusOK {
			t.Errorf("%s: %d", target, rec.Code)
		}
	}
	for _, q := range s.index.queries {
		if q.Limit <= 0 || q.Limit > seriesPage {
			t.Errorf("a question without a bound: %+v", q)
		}
	}
}

func TestECGSummary(t *testing.T) {
	for _, facts := range []string{"", "null", "{", `{"measurements":{"ventricular-rate":{"value":1e999}}}`, `{"statements":[{}]}`, `{"acquired_at":"x"}`} {
		s := English.ecgSummary(index.RecordingRow{RecordingFacts: index.RecordingFacts{Facts: []byte(facts)}})
		if len(s.Facts)+len(s.Says) > 0 || s.Title != "" {
			t.Errorf("%s: %+v", facts, s)
		}
	}
	many := `{"statements":[` + strings.Repeat(`{"text":"a"},`, maxLines+4) + `{"text":"b"}]}`
	if s := English.ecgSummary(index.RecordingRow{RecordingFacts: index.RecordingFacts{Facts: []byte(many)}}); len(s.Says) != 1 || len(s.Says[0].Lines) != maxLines || s.More != 5 {
		t.Errorf("%d authors, %d more", len(s.Says), s.More)
	}
}
