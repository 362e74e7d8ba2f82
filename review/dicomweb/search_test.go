package dicomweb

import (
	"compress/gzip"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"reflect"
	"slices"
	"strings"
	"testing"
	"testing/synctest"

	"github.com/tributary-dicom/tributary/storage/index"
)

const (
	studyUID    = "1.2.3"
	seriesUID   = "1.2.3.4"
	instanceUID = "1.2.3.4.5"
)

// echoStudy is one ultrasound study with a name in three component groups.
func echoStudy() map[string]string {
	return map[string]string{
		"StudyDate": "20260102", "StudyTime": "0930", "AccessionNumber": "A1", "ModalitiesInStudy": `SR\US`,
		"ReferringPhysicianName": "Li^Si", "PatientName": "Zhang^San=张^三=", "PatientID": "P17",
		"PatientBirthDate": "19600101", "PatientSex": "M", "StudyInstanceUID": studyUID, "StudyID": "7",
		"StudyDescription": `腹部 "B" ultrasound`, "NumberOfStudyRelatedSeries": "2", "NumberOfStudyRelatedInstances": "12",
	}
}

func with(m map[string]string, more ...string) map[string]string {
	for i := 0; i+1 < len(more); i += 2 {
		m[more[i]] = more[i+1]
	}
	return m
}

func searchWorld(edit ...func(*Config)) *world {
	w := newWorld(edit...)
	bare := map[string]string{"StudyInstanceUID": "1.9"}
	series := with(echoStudy(), "Modality", "US", "SeriesInstanceUID", seriesUID, "SeriesNumber", "2",
		"NumberOfSeriesRelatedInstances", "11", "SeriesDescription", "Liver", "SeriesDate", "20260102",
		"RequestAttributesSequence.ScheduledProcedureStepID", `S1\S2`, "RequestAttributesSequence.RequestedProcedureID", "R1")
	instance := with(with(map[string]string{}, "StudyInstanceUID", studyUID, "SeriesInstanceUID", seriesUID),
		"SOPInstanceUID", instanceUID, "SOPClassUID", "1.2.840.10008.5.1.4.1.1.3.1", "InstanceNumber", "1", "NumberOfFrames", "30",
		"Rows", "480", "Columns", "640", "BitsAllocated", "8", "AvailableTransferSyntaxUID", "1.2.840.10008.1.2.4.50")
	w.rows[index.StudyLevel] = []index.Row{{Attributes: echoStudy()}, {Attributes: bare}}
	w.rows[index.SeriesLevel] = []index.Row{{Attributes: series}}
	w.rows[index.InstanceLevel] = []index.Row{{Attributes: instance}}
	w.add(studyUID, seriesUID, instanceUID, "1.2.840.10008.1.2.4.50", []byte("file"), func(o *index.Object) {
		o.Header = []byte(`{"00080018":{"vr":"UI","Value":["1.2.3.4.5"]},"00101030":{"vr":"DS","Value":[70.5]},` +
			`"00181088":{"vr":"IS","Value":[60]},"00189341":{"vr":"SQ","Value":[{"0018A001":{"vr":"OB","BulkDataURI":"bulkdata/00189341/0/0018A001"}}]},` +
			`"7FE00010":{"vr":"OB","BulkDataURI":"bulkdata/7FE00010"}}`)
	})
	return w
}

// TestOHIFSearches are the searches of OHIF 3.13.2 as recorded: Q1 to Q9.
func TestOHIFSearches(t *testing.T) {
	const tail = "limit=101&offset=0&fuzzymatching=false&includefield=00081030%2C00080060%2C00080090%2C00100030"
	for name, c := range map[string]struct {
		query string
		match []index.Match
		rows  int
	}{
		"Q1": {tail, nil, 2},
		"Q2": {"PatientName=*Zhang*&" + tail, []index.Match{{Keyword: "PatientName", Values: []string{"*Zhang*"}}}, 1},
		"Q3": {"00100020=*17*&" + tail, []index.Match{{Keyword: "PatientID", Values: []string{"*17*"}}}, 1},
		"Q4": {"AccessionNumber=*A1*&" + tail, []index.Match{{Keyword: "AccessionNumber", Values: []string{"*A1*"}}}, 1},
		"Q5": {"StudyDescription=*%E8%85%B9%E9%83%A8*&" + tail, []index.Match{{Keyword: "StudyDescription", Values: []string{"*腹部*"}}}, 1},
		"Q6": {"ModalitiesInStudy=US,CT&" + tail, []index.Match{{Keyword: "ModalitiesInStudy", Values: []string{"US", "CT"}}}, 1},
		"Q7": {"StudyDate=20000101-20261121&" + tail, []index.Match{{Keyword: "StudyDate", Values: []string{"20000101-20261121"}}}, 1},
		"Q8": {"StudyInstanceUID=1.2.3%5C1.9&" + tail, []index.Match{{Keyword: "StudyInstanceUID", Values: []string{"1.2.3", "1.9"}}}, 2},
	} {
		t.Run(name, func(t *testing.T) {
			w := searchWorld()
			out := decode(t, w.get("/dicom-web/studies?"+c.query, "Accept", typeDICOMJSON))
			if len(out) != c.rows {
				t.Fatalf("%d studies, want %d", len(out), c.rows)
			}
			q := w.lastQuery(t)
			if !reflect.DeepEqual(q.Matches, c.match) || q.Limit != 102 || q.Fuzzy || q.Tenant != DefaultTenant {
				t.Errorf("asked %+v", q)
			}
			if len(w.wants) != 0 {
				t.Error("a worklist opened headers")
			}
			if _, there := out[0]["00080060"]; there {
				t.Error("a study has no Modality")
			}
		})
	}
	w := searchWorld()
	out := decode(t, w.get("/dicom-web/studies/1.2.3/series?includefield=00080021,00080031,0008103E,00200011", "Accept", typeDICOMJSON))
	if len(out) != 1 || !reflect.DeepEqual(w.lastQuery(t).Matches, []index.Match{{Keyword: "StudyInstanceUID", Values: []string{"1.2.3"}}}) {
		t.Fatalf("Q9: %v", out)
	}
	for tag, want := range map[string]any{"00201209": 11.0, "00080060": "US", "0020000E": seriesUID, "0008103E": "Liver", "00200011": 2.0, "00080021": "20260102"} {
		if v := out[0][tag].Value; len(v) != 1 || v[0] != want {
			t.Errorf("Q9: %s is %v, want %v", tag, v, want)
		}
	}
}

func TestStudyAttributes(t *testing.T) {
	w := searchWorld()
	rec := w.get("/dicom-web/studies")
	out := decode(t, rec)
	name := map[string]any{"Alphabetic": "Zhang^San", "Ideographic": "张^三"}
	want := map[string]attr{
		"00080005": {VR: "CS", Value: []any{"ISO_IR 192"}},
		"00080020": {VR: "DA", Value: []any{"20260102"}},
		"00080030": {VR: "TM", Value: []any{"0930"}},
		"00080050": {VR: "SH", Value: []any{"A1"}},
		"00080056": {VR: "CS", Value: []any{"ONLINE"}},
		"00080061": {VR: "CS", Value: []any{"SR", "US"}},
		"00080090": {VR: "PN", Value: []any{map[string]any{"Alphabetic": "Li^Si"}}},
		"00081030": {VR: "LO", Value: []any{`腹部 "B" ultrasound`}},
		"00081190": {VR: "UR", Value: []any{"/dicom-web/studies/1.2.3"}},
		"00100010": {VR: "PN", Value: []any{name}},
		"00100020": {VR: "LO", Value: []any{"P17"}},
		"00100030": {VR: "DA", Value: []any{"19600101"}},
		"00100040": {VR: "CS", Value: []any{"M"}},
		"0020000D": {VR: "UI", Value: []any{studyUID}},
		"00200010": {VR: "SH", Value: []any{"7"}},
		"00201206": {VR: "IS", Value: []any{2.0}},
		"00201208": {VR: "IS", Value: []any{12.0}},
	}
	if !reflect.DeepEqual(out[0], want) {
		t.Errorf("got  %v\nwant %v", out[0], want)
	}
	// What the standard requires is there when unknown, without a value.
	for tag := range want {
		if _, there := out[1][tag]; !there && tag != "00081030" {
			t.Errorf("%s is missing in a study that lacks it", tag)
		}
	}
	if v := out[1]["00100010"]; v.VR != "PN" || v.Value != nil {
		t.Errorf("empty PatientName is %+v", v)
	}
	body := rec.Body.String()
	if i, j := strings.Index(body, `"00080005"`), strings.Index(body, `"00201208"`); i < 0 || j < i {
		t.Error("attributes are not in the order of their tags")
	}
}

func TestLowerLevels(t *testing.T) {
	w := searchWorld(func(c *Config) { c.PublicURL = "https://pacs.example/dw/" })
	series := decode(t, w.get("/dicom-web/series"))[0]
	if series["00100020"].Value[0] != "P17" || series["00201208"].Value[0] != 12.0 {
		t.Error("a search over all series lacks the attributes of the study")
	}
	if got := series["00081190"].Value[0]; got != "https://pacs.example/dw/studies/1.2.3/series/1.2.3.4" {
		t.Errorf("Retrieve URL %v", got)
	}
	items, _ := json.Marshal(series["00400275"].Value)
	wantItems := `[{"00400009":{"Value":["S1"],"vr":"SH"},"00401001":{"Value":["R1"],"vr":"SH"}},{"00400009":{"Value":["S2"],"vr":"SH"}}]`
	if string(items) != wantItems {
		t.Errorf("Request Attributes Sequence %s, want %s", items, wantItems)
	}
	for _, target := range []string{"/dicom-web/instances", "/dicom-web/studies/1.2.3/instances", "/dicom-web/studies/1.2.3/series/1.2.3.4/instances"} {
		out := decode(t, w.get(target))
		for tag, want := range map[string]any{
			"00080016": "1.2.840.10008.5.1.4.1.1.3.1", "00080018": instanceUID, "00200013": 1.0, "00280008": 30.0, "00280010": 480.0,
			"00280011": 640.0, "00280100": 8.0, "00083002": "1.2.840.10008.1.2.4.50", "0020000D": studyUID, "0020000E": seriesUID,
			"00081190": "https://pacs.example/dw/studies/1.2.3/series/1.2.3.4/instances/1.2.3.4.5",
		} {
			if v := out[0][tag].Value; len(v) != 1 || v[0] != want {
				t.Errorf("%s: %s is %v, want %v", target, tag, v, want)
			}
		}
	}
	if m := w.lastQuery(t).Matches; len(m) != 2 || m[1].Values[0] != seriesUID {
		t.Errorf("asked for %v", m)
	}
}

func TestIncludeFromHeader(t *testing.T) {
	w := searchWorld()
	out := decode(t, w.get("/dicom-web/studies?StudyInstanceUID=1.2.3&includefield=PatientWeight,HeartRate,7FE00010"))
	if v := out[0]["00101030"]; len(v.Value) != 1 || v.Value[0] != 70.5 {
		t.Errorf("PatientWeight %+v", v)
	}
	if _, there := out[0]["00181088"]; there {
		t.Error("Heart Rate is an instance's, and was told of a study")
	}
	out = decode(t, w.get("/dicom-web/studies/1.2.3/instances?includefield=00181088,00189341.0018A001,7FE00010,99990000,PatientWeight"))
	if v := out[0]["00181088"]; len(v.Value) != 1 || v.Value[0] != 60.0 {
		t.Errorf("HeartRate %+v", v)
	}
	seq, _ := json.Marshal(out[0]["00189341"].Value)
	if !strings.Contains(string(seq), base2()+"/bulkdata/00189341/0/0018A001") {
		t.Errorf("sequence %s", seq)
	}
	if _, there := out[0]["7FE00010"]; there {
		t.Error("a search returned bulk data")
	}
	all := decode(t, w.get("/dicom-web/studies/1.2.3/instances?includefield=all"))[0]
	for _, tag := range []string{"00101030", "00181088", "00189341", "00080018", "00083002"} {
		if _, there := all[tag]; !there {
			t.Errorf("includefield=all lacks %s", tag)
		}
	}
	series := decode(t, w.get("/dicom-web/series?includefield=all"))[0]
	if _, there := series["00181088"]; there {
		t.Error("includefield=all told an instance's attribute of a series")
	}
}

func base2() string { return instanceURL(DefaultPrefix, studyUID, seriesUID, instanceUID) }

func TestUnsupportedKeys(t *testing.T) {
	w := searchWorld()
	w.unknown = []string{"BodyPartExamined", "StudyID"}
	rec := w.get("/dicom-web/studies?BodyPartExamined=HEAD&PatientID=P17&orderby=-StudyID,StudyDate&Nonsense=1")
	if out := decode(t, rec); len(out) != 1 {
		t.Errorf("%d studies, want 1: the supported key counts", len(out))
	}
	q := w.lastQuery(t)
	if len(q.Matches) != 1 || q.Matches[0].Keyword != "PatientID" || !reflect.DeepEqual(q.OrderBy, []index.Order{{Keyword: "StudyDate"}}) {
		t.Errorf("asked %+v", q)
	}
	if warnings := rec.Header().Values("Warning"); len(warnings) != 3 || !strings.HasPrefix(warnings[0], `299 tributary "`) {
		t.Errorf("warnings %q", warnings)
	}
}

func TestPaging(t *testing.T) {
	w := newWorld(func(c *Config) { c.DefaultLimit, c.MaxLimit = 10, 20 })
	for i := range 30 {
		w.rows[index.StudyLevel] = append(w.rows[index.StudyLevel], index.Row{Attributes: map[string]string{"StudyInstanceUID": fmt.Sprintf("1.%d", i)}})
	}
	for query, want := range map[string]struct {
		rows int
		more bool
	}{
		"": {10, true}, "limit=1000000000": {20, true}, "offset=-1&limit=5": {5, true}, "limit=15&offset=15": {15, false},
		"offset=25": {5, false}, "offset=1000000": {0, false}, "offset=99999999999999999999": {0, false},
	} {
		rec := w.get("/dicom-web/studies?" + query)
		if got := len(decode(t, rec)); got != want.rows {
			t.Errorf("%s: %d rows, want %d", query, got, want.rows)
		}
		if got := rec.Header().Get("Warning") != ""; got != want.more {
			t.Errorf("%s: Warning %q", query, rec.Header().Get("Warning"))
		}
	}
	if rec := w.get("/dicom-web/studies?offset=1000"); rec.Body.String() != "[]" {
		t.Errorf("no match is %q", rec.Body)
	}
}

func TestSearchAnswers(t *testing.T) {
	w := searchWorld()
	for target, status := range map[string]int{
		"/dicom-web/studies?limit=x":                                                400,
		"/dicom-web/studies?PatientName=%00":                                        400,
		"/dicom-web/studies?PatientName=%":                                          400,
		"/dicom-web/studies/abc/series":                                             400,
		"/dicom-web/studies/%2e%2e/series":                                          400,
		"/dicom-web/studies/1.2%00/series":                                          400,
		"/dicom-web/studies/..%2f..%2fetc/series":                                   400,
		"/dicom-web/studies/1..2/series":                                            400,
		"/dicom-web/studies/1.2.3/nothing":                                          404,
		"/dicom-web/":                                                               404,
		"/dicom-web":                                                                404,
		"/dicom-web/studies/1.2.3/series/1.4/unknown":                               404,
		"/dicom-web/studies/" + strings.Repeat("1.2", 3400) + "/series":             400,
		"/dicom-web/studies/1.2.3/series/1.2.3.4/instances/1.2.3.4.5/rendered":      406,
		"/dicom-web/studies/1.2.3/series/1.2.3.4/instances/1.2.3.4.5/thumbnail?v=1": 406,
	} {
		rec := w.get(target)
		if rec.Code != status {
			t.Errorf("%.80s: %d, want %d", target, rec.Code, status)
		}
		wantStatus(t, rec, rec.Code)
	}
	wantStatus(t, w.get("/dicom-web/studies", "Accept", `multipart/related; type="application/dicom+xml"`), 406)
	wantStatus(t, w.get("/dicom-web/studies", "Accept", "text/html"), 406)
	wantStatus(t, w.get("/dicom-web/studies?accept=application/dicom%2Bjson", "Accept", "text/html"), 200)
	rec := w.do(http.MethodPut, "/dicom-web/studies")
	wantStatus(t, rec, 405)
	if rec.Header().Get("Allow") == "" || rec.Header().Get("X-Content-Type-Options") != "nosniff" {
		t.Errorf("headers %v", rec.Header())
	}
	rec = w.get("/dicom-web/studies", "Accept", "application/json")
	if rec.Header().Get("Content-Type") != typeJSON {
		t.Errorf("Content-Type %q", rec.Header().Get("Content-Type"))
	}
}

func TestSearchTimeout(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := searchWorld()
		w.block = true
		rec := w.get("/dicom-web/studies?PatientName=*a*")
		wantStatus(t, rec, http.StatusServiceUnavailable)
		if rec.Header().Get("Retry-After") == "" {
			t.Error("no Retry-After")
		}
	})
}

// TestIndexAway: what passes by itself is told as such.
func TestIndexAway(t *testing.T) {
	w := searchWorld()
	w.fail = fmt.Errorf("search: %w", index.ErrUnavailable)
	rec := w.get("/dicom-web/studies?PatientName=*a*")
	wantStatus(t, rec, http.StatusServiceUnavailable)
	if rec.Header().Get("Retry-After") == "" {
		t.Error("no Retry-After")
	}
}

func TestGzip(t *testing.T) {
	w := newWorld()
	for i := range 2000 {
		w.rows[index.StudyLevel] = append(w.rows[index.StudyLevel], index.Row{Attributes: with(echoStudy(), "StudyInstanceUID", fmt.Sprintf("1.%d", i))})
	}
	for _, limit := range []int{1, 5, 100, 2000} {
		plain := w.get(fmt.Sprintf("/dicom-web/studies?limit=%d", limit))
		packed := w.get(fmt.Sprintf("/dicom-web/studies?limit=%d", limit), "Accept-Encoding", "br;q=0.5, gzip;q=1.0")
		body := packed.Body.Bytes()
		if packed.Header().Get("Content-Encoding") == "gzip" {
			z, err := gzip.NewReader(packed.Body)
			if err != nil {
				t.Fatal(err)
			}
			if body, err = io.ReadAll(z); err != nil {
				t.Fatal(err)
			}
		} else if limit > 1 {
			t.Errorf("limit %d: not compressed", limit)
		}
		if string(body) != plain.Body.String() || !json.Valid(body) {
			t.Errorf("limit %d: compressed and plain answers differ", limit)
		}
	}
	refused := w.get("/dicom-web/studies?limit=100", "Accept-Encoding", "gzip;q=0")
	if refused.Header().Get("Content-Encoding") != "" {
		t.Error("gzip;q=0 was compressed")
	}
	if v := refused.Header().Values("Vary"); !slices.ContainsFunc(v, func(s string) bool { return strings.Contains(s, "Accept-Encoding") }) {
		t.Errorf("Vary %q", v)
	}
}

func TestAppendAttribute(t *testing.T) {
	for _, c := range []struct{ vr, text, want string }{
		{"IS", "12", `{"vr":"IS","Value":[12]}`},
		{"IS", ` +7 \x`, `{"vr":"IS","Value":[7,"x"]}`},
		{"DS", `1.50\-2e3\Inf\0x1p2\`, `{"vr":"DS","Value":[1.5,-2000,"Inf","0x1p2",null]}`},
		{"US", "65535", `{"vr":"US","Value":[65535]}`},
		{"UV", "18446744073709551615", `{"vr":"UV","Value":["18446744073709551615"]}`},
		{"CS", `A\\B`, `{"vr":"CS","Value":["A",null,"B"]}`},
		{"ST", `a\b`, `{"vr":"ST","Value":["a\\b"]}`},
		{"LO", "\x01\"\xff<", `{"vr":"LO","Value":["\u0001\"` + "\uFFFD" + `<"]}`},
		{"PN", "A=B=C=D", `{"vr":"PN","Value":[{"Alphabetic":"A","Ideographic":"B","Phonetic":"C"}]}`},
		{"PN", `=张^三\==\Z`, `{"vr":"PN","Value":[{"Ideographic":"张^三"},null,{"Alphabetic":"Z"}]}`},
		{"OB", "x", `{"vr":"OB"}`},
		{"", "x", `{"vr":"UN"}`},
		{"DA", "", `{"vr":"DA"}`},
	} {
		got := string(appendAttribute(nil, c.vr, c.text))
		if got != c.want || !json.Valid([]byte(got)) {
			t.Errorf("%s %q: %s, want %s", c.vr, c.text, got, c.want)
		}
	}
}
