package dicomweb

import (
	"math"
	"net/url"
	"reflect"
	"strings"
	"testing"

	"github.com/tributary-dicom/tributary/storage/index"
)

func parse(t *testing.T, raw string) request {
	t.Helper()
	params, err := parseParams(raw)
	if err != nil {
		t.Fatalf("%s: %v", raw, err)
	}
	q, err := parseSearch(params)
	if err != nil {
		t.Fatalf("%s: %v", raw, err)
	}
	return q
}

func TestMatches(t *testing.T) {
	one := func(keyword string, values ...string) []index.Match {
		return []index.Match{{Keyword: keyword, Values: values}}
	}
	for raw, want := range map[string][]index.Match{
		"PatientName=*Zhang*":                                     one("PatientName", "*Zhang*"),
		"PatientName=%E5%BC%A0*":                                  one("PatientName", "张*"),
		"00100020=*17*":                                           one("PatientID", "*17*"),
		"0020000d=1.2.3":                                          one("StudyInstanceUID", "1.2.3"),
		"PatientName=Zhang+San":                                   one("PatientName", "Zhang San"),
		"StudyDate=20000101-20261121":                             one("StudyDate", "20000101-20261121"),
		"StudyInstanceUID=1.2,1.3":                                one("StudyInstanceUID", "1.2", "1.3"),
		"StudyInstanceUID=1.2%5C1.3":                              one("StudyInstanceUID", "1.2", "1.3"),
		"StudyInstanceUID=1.2&StudyInstanceUID=1.3":               one("StudyInstanceUID", "1.2", "1.3"),
		"ModalitiesInStudy=US,ECG":                                one("ModalitiesInStudy", "US", "ECG"),
		`ModalitiesInStudy=US\ECG`:                                one("ModalitiesInStudy", "US", "ECG"),
		"StudyDescription=Kopf,%20Hals":                           one("StudyDescription", "Kopf, Hals"),
		"00400275.00400009=SPS1":                                  one("RequestAttributesSequence.ScheduledProcedureStepID", "SPS1"),
		"RequestAttributesSequence.ScheduledProcedureStepID=SPS1": one("RequestAttributesSequence.ScheduledProcedureStepID", "SPS1"),
		"RequestAttributesSequence.00401001=RP1":                  one("RequestAttributesSequence.RequestedProcedureID", "RP1"),
		"PatientName=":                                            nil, // universal
		"StudyInstanceUID=,":                                      nil,
		"NoSuchAttribute=1":                                       nil,
		"00091001=private":                                        nil,
		"accept=application/dicom%2Bjson;q=1&limit=5&PatientID=a;b=c&&": one("PatientID", "a;b=c"),
	} {
		if got := parse(t, raw).matches; !reflect.DeepEqual(got, want) {
			t.Errorf("%s: %v, want %v", raw, got, want)
		}
	}
	if q := parse(t, "NoSuchAttribute=1&00091001=x"); len(q.warnings) != 2 {
		t.Errorf("warnings %q, want one per ignored parameter", q.warnings)
	}
}

func TestIncludeFields(t *testing.T) {
	for raw, want := range map[string][]uint32{
		"includefield=00081030,00080060":                  {0x00081030, 0x00080060},
		"includefield=00081030%2C00080060":                {0x00081030, 0x00080060},
		"includefield=StudyDescription&includefield=0008": {0x00081030},
		"includefield=00081030,StudyDescription,,":        {0x00081030},
		"includefield=99999999,NoSuch,0008103e":           {0x99999999, 0x0008103E},
		"includefield=00400275.00400009":                  {0x00400275},
		"PatientID=1":                                     {0x00100020},
	} {
		if got := parse(t, raw).include; !reflect.DeepEqual(got, want) {
			t.Errorf("%s: %08x, want %08x", raw, got, want)
		}
	}
	if !parse(t, "includefield=all").all {
		t.Error("includefield=all was not seen")
	}
}

func TestPage(t *testing.T) {
	for raw, want := range map[string][2]int{
		"":                                    {100, 0},
		"limit=20&offset=40":                  {20, 40},
		"limit=0":                             {100, 0},
		"limit=-5&offset=-1":                  {100, 0},
		"limit=1000000000":                    {500, 0},
		"limit=99999999999999999999999":       {500, 0},
		"offset=99999999999999999999999":      {100, math.MaxInt32 - 501},
		"limit=-99999999999999999999999":      {100, 0},
		"LIMIT=7&fuzzymatching=true&Offset=1": {7, 1},
	} {
		q := parse(t, raw)
		q.clampPage(100, 500)
		if got := [2]int{q.limit, q.offset}; got != want {
			t.Errorf("%s: %v, want %v", raw, got, want)
		}
	}
}

func TestOrderBy(t *testing.T) {
	q := parse(t, "orderby=StudyDate,-PatientName,-00200010,nothing")
	want := []index.Order{{Keyword: "StudyDate"}, {Keyword: "PatientName", Descending: true}, {Keyword: "StudyID", Descending: true}}
	if !reflect.DeepEqual(q.order, want) || len(q.warnings) != 1 {
		t.Errorf("order %v, warnings %q", q.order, q.warnings)
	}
}

func TestRefusedQueries(t *testing.T) {
	for _, raw := range []string{
		"PatientName=%zz", "PatientName=%00", "PatientName=%FF", "%0A=1", "limit=ten", "offset=1.5",
		strings.Repeat("a=b&", maxParams+1),
		"StudyInstanceUID=" + strings.Repeat("1.2,", maxValues+1),
		"StudyInstanceUID=" + strings.Repeat("1.2,", maxValues) + "&StudyInstanceUID=1",
		strings.Repeat("PatientName=b&", maxMatches+1),
		"orderby=" + strings.Repeat("StudyDate,", maxOrder+1),
	} {
		params, err := parseParams(raw)
		if err == nil {
			_, err = parseSearch(params)
		}
		if err == nil {
			t.Errorf("%.40s was taken", raw)
		}
	}
}

func FuzzParseSearch(f *testing.F) {
	f.Add("limit=101&offset=0&fuzzymatching=false&includefield=00081030%2C00080060")
	f.Add("00400275.00400009=a&orderby=-StudyDate&StudyInstanceUID=1.2\\1.3")
	f.Add("a.b.c.d.e.f.g.h.i=1&%=&PatientName=*")
	f.Fuzz(func(t *testing.T, raw string) {
		params, err := parseParams(raw)
		if err != nil {
			return
		}
		q, err := parseSearch(params)
		if err != nil {
			return
		}
		q.clampPage(10, 100)
		if q.limit < 1 || q.limit > 100 || q.offset < 0 || len(q.matches) > maxMatches || len(q.include) > maxIncludes {
			t.Fatalf("%q: %+v", raw, q)
		}
		for _, w := range q.warnings {
			if strings.ContainsAny(w, "\"\\\r\n") {
				t.Fatalf("warning %q breaks its header", w)
			}
		}
		for _, m := range q.matches {
			for _, v := range m.Values {
				if v == "" {
					t.Fatalf("empty value in %+v", m)
				}
			}
		}
	})
}

func TestSemicolonsSurvive(t *testing.T) {
	params, err := parseParams("accept=" + url.QueryEscape(`multipart/related; type="application/dicom"`) + "&x=a;b")
	if err != nil || params[0].value != `multipart/related; type="application/dicom"` || params[1].value != "a;b" {
		t.Errorf("%v, %v", params, err)
	}
}
