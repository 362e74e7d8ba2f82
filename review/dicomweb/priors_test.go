package dicomweb

import (
	"net/http"
	"slices"
	"strings"
	"testing"

	"github.com/tributary-dicom/tributary/storage/index"
)

// villages are studies of four people whom three kits and a hospital know as patient 7.
func villages() *world {
	w := newWorld()
	study := func(uid, issuer, born, name string, several bool) {
		w.rows[index.StudyLevel] = append(w.rows[index.StudyLevel], index.Row{SeveralPatients: several, Attributes: map[string]string{
			"StudyInstanceUID": uid, "PatientID": "7", "IssuerOfPatientID": issuer, "PatientBirthDate": born, "PatientName": name,
		}})
	}
	study("1.1", "EAST", "19500101", "Zhang^San", false)
	study("1.2", "EAST", "", "Zhang^San=张^三", false)
	study("1.3", "WEST", "19500101", "Zhang^San", false)
	study("1.4", "", "19500101", "Zhang^San", false)
	study("1.5", "", "19500101", "=张^三", false)
	study("1.6", "", "19610203", "Li^Si", false)
	study("1.7", "", "", "Wang^Wu", false)
	study("1.8", "", "", "WANG^WU", false)
	study("1.9", "", "", "Zhao^Liu", false)
	study("1.10", "EAST", "19770707", "Sun^Qi", false)
	study("1.11", "EAST", "19500101", "Zhang^San", true)
	return w
}

func TestPriorsAreOfOnePatient(t *testing.T) {
	const viewer = "http://node/ohif/viewer?StudyInstanceUIDs="
	all := []string{"1.1", "1.2", "1.3", "1.4", "1.5", "1.6", "1.7", "1.8", "1.9", "1.10", "1.11"}
	for name, c := range map[string]struct {
		query   string
		headers []string
		want    []string
	}{
		"an issuer's":                   {"00100020=7", []string{"Referer", viewer + "1.1"}, []string{"1.1", "1.2"}},
		"another issuer's":              {"00100020=7", []string{"Referer", viewer + "1.3"}, []string{"1.3"}},
		"no issuer, born the same day":  {"00100020=7", []string{"Referer", viewer + "1.4"}, []string{"1.4", "1.5"}},
		"no issuer, born another day":   {"00100020=7", []string{"Referer", viewer + "1.6"}, []string{"1.6"}},
		"no issuer, no day, one name":   {"00100020=7", []string{"Referer", viewer + "1.7"}, []string{"1.7", "1.8"}},
		"no issuer, no day, other name": {"00100020=7", []string{"Referer", viewer + "1.9"}, []string{"1.9"}},
		"of two patients":               {"00100020=7", []string{"Referer", viewer + "1.11"}, []string{"1.11"}},
		"two studies are open":          {"00100020=7", []string{"Referer", viewer + "1.3,1.6"}, []string{"1.3", "1.6"}},
		"parameters repeated":           {"PatientID=7", []string{"Referer", viewer + "1.3&StudyInstanceUIDs=1.6"}, []string{"1.3", "1.6"}},
		"nothing that is known is open": {"00100020=7", []string{"Referer", viewer + "9.9"}, nil},
		"the address is not told":       {"00100020=7", []string{"Referer", "http://node/"}, nil},
		"nor a Referer":                 {"00100020=7", []string{"Sec-Fetch-Site", "same-origin"}, nil},
		"a filter of the study list":    {"00100020=*7*", []string{"Referer", viewer + "1.1"}, all},
		"the issuer is asked for":       {"00100020=7&00100021=WEST", []string{"Referer", viewer + "1.1"}, []string{"1.3"}},
		"one study by its UID":          {"00100020=7&StudyInstanceUID=1.6", []string{"Referer", viewer + "1.1"}, []string{"1.6"}},
		"another id":                    {"00100020=8", []string{"Referer", viewer + "1.1"}, nil},
		"a program":                     {"00100020=7", nil, all},
		"a person typed it":             {"00100020=7", []string{"Sec-Fetch-Site", "none"}, all},
	} {
		t.Run(name, func(t *testing.T) {
			rec := villages().get("/dicom-web/studies?limit=101&"+c.query, c.headers...)
			var got []string
			for _, study := range decode(t, rec) {
				got = append(got, study["0020000D"].Value[0].(string))
			}
			if !slices.Equal(got, c.want) {
				t.Errorf("%v, want %v", got, c.want)
			}
			if warned := strings.Contains(rec.Header().Get("Warning"), "several patients"); warned != (len(c.want) == 0 && c.query == "00100020=7") {
				t.Errorf("Warning %q", rec.Header().Values("Warning"))
			}
		})
	}
}

func TestPriorsOfOneAreReturnedWithoutAnAddress(t *testing.T) {
	w := villages()
	w.rows[index.StudyLevel] = w.rows[index.StudyLevel][:2]
	if got := decode(t, w.get("/dicom-web/studies?00100020=7", "Sec-Fetch-Site", "same-origin")); len(got) != 2 {
		t.Errorf("%d studies", len(got))
	}
	w.fail = index.ErrUnavailable
	wantStatus(t, w.get("/dicom-web/studies?00100020=7", "Referer", "http://node/?StudyInstanceUIDs=1.1"), http.StatusServiceUnavailable)
}

func TestPriorsNarrowTheSearch(t *testing.T) {
	for want, c := range map[string][2]string{"IssuerOfPatientID=KIT-7": {"KIT-7", "19500101"}, "PatientBirthDate=19500101": {"", "19500101"}, "": {"", "1950-01"}} {
		w := villages()
		w.rows[index.StudyLevel] = w.rows[index.StudyLevel][:1]
		with(w.rows[index.StudyLevel][0].Attributes, "IssuerOfPatientID", c[0], "PatientBirthDate", c[1])
		if got := decode(t, w.get("/dicom-web/studies?00100020=7", "Referer", "http://node/?StudyInstanceUIDs=1.1")); len(got) != 1 {
			t.Errorf("%q: %d studies", want, len(got))
		}
		got := ""
		if matches := w.lastQuery(t).Matches; len(matches) > 1 {
			got = matches[1].Keyword + "=" + matches[1].Values[0]
		}
		if got != want {
			t.Errorf("asked for %q, want %q", got, want)
		}
	}
}

func TestOpenedStudies(t *testing.T) {
	for address, want := range map[string][]string{
		"": nil, "%": nil, "http://node/viewer": nil,
		"http://node/viewer?StudyInstanceUIDs=1.2,,1.3%2C1.4":               {"1.2", "1.3", "1.4"},
		"/viewer?studyinstanceuids=2.25.1&x=y":                              {"2.25.1"},
		"/viewer?StudyInstanceUIDs=*,1.?,1.2\\1.3":                          nil,
		"/viewer?StudyInstanceUIDs=" + strings.Repeat("1", 65):              nil,
		"/viewer?StudyInstanceUIDs=1.2&" + strings.Repeat("x", 9<<10):       nil,
		"/viewer?StudyInstanceUIDs=" + strings.Repeat("1.2,", maxOpened+10): slices.Repeat([]string{"1.2"}, maxOpened),
	} {
		if got := openedStudies(address); !slices.Equal(got, want) {
			t.Errorf("%.80q: %v", address, got)
		}
	}
}
