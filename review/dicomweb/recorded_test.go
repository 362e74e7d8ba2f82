package dicomweb

import (
	"fmt"
	"net/http"
	"net/http/httptest"
	"net/url"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/tributary-dicom/tributary/internal/testengine"
	"github.com/tributary-dicom/tributary/storage/index"
	"github.com/tributary-dicom/tributary/storage/index/indextest"
)

// clinicWorld serves an index that has what a small clinic sends: four studies, one with two series.
func clinicWorld(t *testing.T, open func() (*index.DB, error)) http.Handler {
	t.Helper()
	db, err := open()
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { db.Close() })
	tape := indextest.NewTape(t)
	for i, a := range []map[string]string{
		1: {
			"PatientName": "Zhang^San=张^三", "PatientID": "7", "IssuerOfPatientID": "EAST", "StudyDate": "20260105", "StudyTime": "0800",
			"AccessionNumber": "A100", "StudyDescription": "腹部超声", "Modality": "US", "SeriesDate": "20260105", "SeriesTime": "0801",
			"SeriesDescription": "Liver", "SeriesNumber": "1", "ReferringPhysicianName": "Li^Wei", "PatientBirthDate": "19500412",
		},
		2: {
			"PatientName": "=李^四", "PatientID": "7", "IssuerOfPatientID": "WEST", "StudyDate": "20260301", "StudyTime": "0900",
			"AccessionNumber": "A200", "StudyDescription": "Chest CT", "Modality": "CT", "SeriesNumber": "2", "PatientBirthDate": "19610101",
		},
		3: {
			"PatientName": "WANG^WU", "PatientID": "P-3", "StudyDate": "20251201", "AccessionNumber": "B300", "StudyDescription": "12-lead ECG",
			"Modality": "ECG", "SeriesNumber": "1",
		},
		4: {
			"PatientName": "Zhang^San=张^三", "PatientID": "7", "IssuerOfPatientID": "EAST", "StudyDate": "20241010", "Modality": "DX",
			"StudyDescription": "Chest", "SeriesNumber": "1", "PatientBirthDate": "19500412",
		},
	} {
		if a != nil {
			study := fmt.Sprintf("1.2.%d", i)
			a["InstanceNumber"] = "2"
			tape.Stored(indextest.Instance{
				Tenant: DefaultTenant, Study: study, Attributes: a, Received: indextest.Epoch.Add(time.Duration(i) * time.Second), Syntax: "1.2.840.10008.1.2.4.50",
				Header: `{"00080018":{"vr":"UI","Value":["` + study + `.1.1"]},"00081030":{"vr":"LO","Value":["` + a["StudyDescription"] + `"]}}`,
			})
		}
	}
	a := map[string]string{"Modality": "SR", "SeriesNumber": "9", "StudyDate": "20260105", "InstanceNumber": "1", "PatientName": "Zhang^San=张^三", "PatientID": "7", "IssuerOfPatientID": "EAST", "PatientBirthDate": "19500412"}
	tape.Stored(indextest.Instance{Tenant: DefaultTenant, Study: "1.2.1", Series: "1.2.1.9", Attributes: a, Received: indextest.Epoch.Add(time.Minute), Header: `{}`})
	a["InstanceNumber"] = "1"
	tape.Stored(indextest.Instance{Tenant: DefaultTenant, Study: "1.2.1", SOP: "1.2.1.1.7", Attributes: a, Received: indextest.Epoch.Add(time.Minute), Header: `{}`})
	if err := db.Apply(t.Context(), tape.Records); err != nil {
		t.Fatal(err)
	}
	return New(Config{Index: db, Blobs: &memBlobs{}})
}

// TestRecordedRequests holds that what a viewer was recorded to ask is answered from a real index, in both engines.
func TestRecordedRequests(t *testing.T) {
	t.Run("sqlite", func(t *testing.T) {
		recordedRequests(t, clinicWorld(t, func() (*index.DB, error) {
			return index.OpenSQLite(t.Context(), filepath.Join(t.TempDir(), "index.db"), index.Options{})
		}))
	})
	t.Run("postgres", func(t *testing.T) {
		server := testengine.StartPostgres(t)
		recordedRequests(t, clinicWorld(t, func() (*index.DB, error) {
			return index.OpenPostgres(t.Context(), server.Schema(t), index.Options{})
		}))
	})
}

func recordedRequests(t *testing.T, h http.Handler) {
	const list = "/dicom-web/studies?limit=101&offset=0&fuzzymatching=false&includefield=00081030%2C00080060%2C00080090%2C00100030"
	ask := func(target string, headers ...string) []map[string]attr {
		t.Helper()
		r := httptest.NewRequest(http.MethodGet, target, nil)
		r.Header.Set("Accept", "application/dicom+json")
		for i := 0; i+1 < len(headers); i += 2 {
			r.Header.Set(headers[i], headers[i+1])
		}
		w := httptest.NewRecorder()
		h.ServeHTTP(w, r)
		return decode(t, w)
	}
	uids := func(rows []map[string]attr, tag string) string {
		var out []string
		for _, row := range rows {
			out = append(out, strings.TrimPrefix(fmt.Sprint(row[tag].Value[0]), "1.2."))
		}
		return strings.Join(out, " ")
	}
	for _, c := range []struct{ name, query, want string }{
		{"Q1: the newest first", "", "2 1 3 4"},
		{"Q2: a name", "&PatientName=" + url.QueryEscape("*Zhang*"), "1 4"},
		{"Q2: a name in Han characters", "&PatientName=" + url.QueryEscape("*张*"), "1 4"},
		{"Q2: a name that came in Han characters, typed in letters", "&PatientName=" + url.QueryEscape("*lisi*"), "2"},
		{"Q2: in pieces", "&PatientName=" + url.QueryEscape("*li si*"), "2"},
		{"Q3: a patient", "&00100020=" + url.QueryEscape("*p-*"), "3"},
		{"Q4: an accession number", "&AccessionNumber=" + url.QueryEscape("*00*"), "2 1 3"},
		{"Q5: a description", "&StudyDescription=" + url.QueryEscape("*腹部*"), "1"},
		{"Q5: a description, bare", "&StudyDescription=*腹部*", "1"},
		{"Q6: a modality", "&ModalitiesInStudy=US", "1"},
		{"Q6: modalities by comma", "&ModalitiesInStudy=US%2CECG", "1 3"},
		{"Q6: modalities by a bare comma", "&ModalitiesInStudy=CT,ECG", "2 3"},
		{"Q6: modalities by backslash", "&ModalitiesInStudy=US%5CDX", "1 4"},
		{"Q6: modalities by a bare backslash", `&ModalitiesInStudy=US\DX`, "1 4"},
		{"Q6: modalities, repeated", "&ModalitiesInStudy=US&ModalitiesInStudy=CT", "2 1"},
		{"Q7: dates", "&StudyDate=20000101-20260131", "1 3 4"},
		{"Q7: from a day on", "&StudyDate=20260101-20261121", "2 1"},
		{"Q7: dates and a modality", "&StudyDate=19700102-20260131&ModalitiesInStudy=US", "1"},
		{"Q8: a study", "&StudyInstanceUID=1.2.3", "3"},
		{"Q8: studies", "&StudyInstanceUID=1.2.3%5C1.2.1%5C9.9", "1 3"},
		{"a page", "&PatientID=" + url.QueryEscape("*7*"), "2 1 4"},
		{"nobody", "&PatientName=" + url.QueryEscape("*nobody*"), ""},
	} {
		if got := uids(ask(list+c.query), "0020000D"); got != c.want {
			t.Errorf("%s: %q, want %q", c.name, got, c.want)
		}
	}
	if got := uids(ask("/dicom-web/studies?fuzzymatching=true&PatientName=li%20si"), "0020000D"); got != "2" {
		t.Errorf("fuzzy: %q", got)
	}
	if got := uids(ask("/dicom-web/studies?PatientName=li%5Esi"), "0020000D"); got != "" {
		t.Errorf("exact matching took a spelling for the name: %q", got)
	}
	if got := uids(ask("/dicom-web/studies?limit=1&offset=2"), "0020000D"); got != "3" {
		t.Errorf("the third page: %q", got)
	}

	// includefield as a list, repeated, by keyword, all: the same studies, with what was asked for.
	for _, include := range []string{
		"includefield=00081030%2C00080060%2C00080090%2C00100030", "includefield=00081030,00080060,00080090,00100030",
		"includefield=00081030&includefield=00080060&includefield=00080090&includefield=00100030",
		"includefield=StudyDescription&includefield=Modality%2CReferringPhysicianName&includefield=PatientBirthDate", "includefield=all", "",
	} {
		rows := ask("/dicom-web/studies?limit=101&StudyInstanceUID=1.2.1&" + include)
		if len(rows) != 1 {
			t.Fatalf("%s: %d studies", include, len(rows))
		}
		for tag, want := range map[string]string{
			"00081030": "腹部超声", "00100030": "19500412", "00080020": "20260105", "00080050": "A100", "00100020": "7", "00100021": "EAST",
		} {
			if v := rows[0][tag].Value; len(v) != 1 || v[0] != want {
				t.Errorf("%s: %s is %v, want %s", include, tag, v, want)
			}
		}
		if v := rows[0]["00080061"].Value; !slices.Equal(v, []any{"SR", "US"}) {
			t.Errorf("%s: modalities %v", include, v)
		}
		if _, there := rows[0]["00080060"]; there {
			t.Errorf("%s: the modality of a series was told of a study", include)
		}
	}

	// Q9: the series of a study, in their order.
	series := ask("/dicom-web/studies/1.2.1/series?includefield=00080021%2C00080031%2C0008103E%2C00200011")
	if got := uids(series, "0020000E"); got != "1.1 1.9" {
		t.Errorf("Q9: %q", got)
	}
	for tag, want := range map[string]any{"00080021": "20260105", "00080031": "0801", "0008103E": "Liver", "00200011": 1.0, "00201209": 2.0, "00080060": "US"} {
		if v := series[0][tag].Value; len(v) != 1 || v[0] != want {
			t.Errorf("Q9: %s is %v, want %v", tag, v, want)
		}
	}

	// Instances, with the syntax that tells a viewer how to show them.
	for target, want := range map[string]string{
		"/dicom-web/studies/1.2.1/series/1.2.1.1/instances?limit=1&includefield=00080018": "1.1.7",
		"/dicom-web/studies/1.2.1/series/1.2.1.1/instances":                               "1.1.7 1.1.1",
		"/dicom-web/studies/1.2.1/instances":                                              "1.1.7 1.1.1 1.9.1",
		"/dicom-web/instances?SOPInstanceUID=1.2.1.1.1":                                   "1.1.1",
	} {
		rows := ask(target)
		if got := uids(rows, "00080018"); got != want {
			t.Errorf("%s: %q, want %q", target, got, want)
		}
		for _, row := range rows {
			syntax := "1.2.840.10008.1.2.1"
			if row["00080018"].Value[0] == "1.2.1.1.1" {
				syntax = "1.2.840.10008.1.2.4.50"
			}
			if v := row["00083002"].Value; len(v) != 1 || v[0] != syntax {
				t.Errorf("%s: transfer syntax %v, want %s", target, v, syntax)
			}
		}
	}

	// The viewer's question for prior studies, with the study that is open in the address of its page.
	referer := "http://node.example/ohif/viewer?StudyInstanceUIDs=1.2.1"
	if got := uids(ask("/dicom-web/studies?limit=101&offset=0&fuzzymatching=false&00100020=7&includefield=00081030", "Referer", referer), "0020000D"); got != "1 4" {
		t.Errorf("priors: %q", got)
	}

	// M1: the metadata of a series, in the order of its instances.
	if got := ask("/dicom-web/studies/1.2.3/series/1.2.3.1/metadata"); len(got) != 1 || fmt.Sprint(got[0]["00080018"].Value) != "[1.2.3.1.1]" {
		t.Errorf("M1: %v", got)
	}
}
