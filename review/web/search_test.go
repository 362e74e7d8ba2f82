package web

import (
	"fmt"
	"net/http"
	"net/http/httptest"
	"net/url"
	"path/filepath"
	"reflect"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/tributary-dicom/tributary/pipeline/event"
	"github.com/tributary-dicom/tributary/storage/index"
	"github.com/tributary-dicom/tributary/storage/index/indextest"
)

// people are studies of a clinic, by day.
func people(tape *indextest.Tape) {
	for i, p := range []map[string]string{
		{"PatientName": "张^晓东", "PatientID": "K-20417", "IssuerOfPatientID": "EAST", "StudyDate": "20260301", "StudyTime": "081500", "ModalitiesInStudy": "US", "Modality": "US", "PatientSex": "F", "PatientBirthDate": "19680512", "AccessionNumber": "A100"},
		{"PatientName": "Zhang^Wei=张^伟", "PatientID": "000007", "StudyDate": "20260228", "StudyTime": "0900", "Modality": "ECG", "AccessionNumber": "20417"},
		{"PatientName": "Li^Na=李^娜", "PatientID": "EMERGENCY", "StudyDate": "20260210", "Modality": "US", "AccessionNumber": "A101", "StudyDescription": "腹部<b>超声"},
		{"PatientName": "Smith^Mary", "PatientID": "7", "StudyDate": "20250101", "Modality": "CT", "AccessionNumber": "A102"},
	} {
		in := indextest.Instance{
			Study: fmt.Sprintf("1.2.3.%d", i+1), Series: fmt.Sprintf("1.2.3.%d.1", i+1), SOP: fmt.Sprintf("1.2.3.%d.1.1", i+1),
			Object: fmt.Sprintf("%02d", i+1), Bytes: fmt.Sprint("bytes ", i), Attributes: p, Received: indextest.Epoch.Add(time.Duration(i) * time.Minute),
		}
		if p["Modality"] == "ECG" {
			in.Class, in.ECG, in.Findings = "1.2.840.10008.5.1.4.1.1.9.1.1", &event.ECG{Statements: []event.Statement{{Text: "急性心肌梗死"}}}, []string{"acute-mi"}
		}
		tape.Stored(in)
	}
}

var listed = regexp.MustCompile(`data-study="([0-9.]+)"`)

// studies are the UIDs of a list, as people see it.
func studies(body string) (out []string) {
	for _, m := range listed.FindAllStringSubmatch(body, -1) {
		out = append(out, strings.TrimPrefix(m[1], "1.2.3."))
	}
	return out
}

func TestSearch(t *testing.T) {
	s := newSite(t, people)
	for query, want := range map[string]string{
		"":                              "1 2 3 4",
		"q=张":                           "1 2",
		"q=张晓":                          "1",
		"q=zhang":                       "1 2",
		"q=zhangxiaodong":               "1", // the file has hanzi alone
		"q=Zhang+Xiao+Dong":             "1",
		"q=ｚｈａｎｇ　ｗｅｉ":                   "2",
		"q=smith":                       "4",
		"q=20417":                       "2", // an accession number that begins so, before an ID that has it within
		"q=K-204":                       "1",
		"q=0417":                        "1 2",
		"q=7":                           "4", // the ID that begins so, not the one that ends so
		"q=07":                          "2",
		"q=A10":                         "1 3 4",
		"q=EMERG":                       "3", // no name: an ID without digits
		"q=MERGEN":                      "3",
		"q=zhang+K-20417":               "1",
		"q=zhang+20417":                 "2",
		"q=li+K-20417":                  "",
		"q=1.2.3.3":                     "3",
		"q=1.2.3.9":                     "",
		"q=nobody":                      "",
		"modality=us":                   "1 3",
		"modality=us&q=zhang":           "1",
		"days=1":                        "1",
		"days=7":                        "1 2",
		"days=31":                       "1 2 3",
		"within=7":                      "1 2",
		"within=7&from=2025-01-01":      "1 2 3 4",
		"days=0&from=2026-02-28":        "1 2 3 4",
		"days=7&from=2020-01-01":        "1 2",
		"from=2026-02-28":               "1 2",
		"to=2026-02-27":                 "3 4",
		"from=2026-02-01&to=20260228":   "1 2 3",
		"from=2026-03-01&to=2026-02-28": "1 2",
		"q=%00%1b张%09":                  "1 2",
		"q=%2A":                         "1 2 3 4",
	} {
		rec := s.get("/?" + query)
		if got := strings.Join(studies(rec.Body.String()), " "); got != want {
			t.Errorf("%s: studies %q, want %q", query, got, want)
		}
	}
	for _, q := range s.index.queries {
		if q.Limit <= 0 || q.Limit > maxPages*pageRows+2 {
			t.Errorf("a question without a bound: %+v", q)
		}
	}
}

func TestSearchRows(t *testing.T) {
	s := newSite(t, people, func(c *Config) { c.Operators.Upload = http.NotFoundHandler() })
	rec := s.get("/")
	has(
		t, rec, `<a class="name" href="/pages/studies/1.2.3.1"><span class="hanzi" lang="zh-CN">张晓东</span></a>`,
		`<span class="hanzi" lang="zh-CN">张伟</span> <span class="latin">Zhang Wei</span>`, `<span class="id">K-20417</span> · EAST`, "Female · 57 y",
		`<span class="nowrap">2026-03-01</span> <span class="muted nowrap">08:15</span>`, "腹部&lt;b&gt;超声", "1 / 1", `<span class="badge bad">STAT</span>`, "Arriving",
	)
	if n := strings.Count(rec.Body.String(), "STAT"); n != 2 { // the badge, and the text of the script
		t.Errorf("STAT is there %d times", n)
	}
	has(t, s.get("/?q=nobody&days=7&modality=US"), "No study fits", `href="/?modality=US&amp;q=nobody"`, `href="/?days=7&amp;q=nobody"`, `href="/"`)
	has(t, s.get("/?q=%22%3E%3Cscript%3E"), `value="&#34;&gt;&lt;script&gt;"`)

	empty := newSite(t, nothing, func(c *Config) { c.Operators.Upload = http.NotFoundHandler() })
	has(t, empty.get("/"), "No study has arrived yet", `href="/pages/upload"`)
	has(t, newSite(t, nothing).get("/"), "No study has arrived yet")
}

func TestSearchFaults(t *testing.T) {
	s := newSite(t, people)
	for query, want := range map[string][]string{
		"from=2026-13-01":               {"400", `id="from-fault">A date is year-month-day`, `aria-invalid="true"`},
		"to=yesterday":                  {"400", `id="to-fault">A date is`},
		"modality=%3Cb%3E":              {"400"},
		"q=" + strings.Repeat("张", 200): {"400", `id="q-fault">Too long`},
	} {
		rec := s.get("/?" + query)
		if got := fmt.Sprint(rec.Code); got != want[0] {
			t.Errorf("%s: %s", query, got)
		}
		has(t, rec, want[1:]...)
	}
	s.index.err = index.ErrBadQuery
	rec := s.get("/?q=zhang")
	if rec.Code != http.StatusBadRequest {
		t.Errorf("status %d", rec.Code)
	}
	has(t, rec, "This text cannot be searched for", "Nothing was searched for")
}

// TestSearchPages: the pager goes through all studies, each once and in their order, of one query and of several.
func TestSearchPages(t *testing.T) {
	const all = 2*pageRows + 7
	s := newSite(t, func(tape *indextest.Tape) {
		for i := range all {
			tape.Stored(indextest.Instance{
				Study: fmt.Sprintf("1.2.3.%d", i), SOP: fmt.Sprintf("1.2.3.%d.1.1", i), Series: fmt.Sprintf("1.2.3.%d.1", i), Object: fmt.Sprintf("%03d", i), Bytes: fmt.Sprint(i),
				Received: indextest.Epoch.Add(time.Duration(i) * time.Second), Attributes: map[string]string{
					"PatientName": "Zhang^Wei=张^伟", "StudyDate": "20260301", "StudyTime": fmt.Sprintf("%02d%02d00", i/60, i%60),
					"PatientID": fmt.Sprintf("%s77%d", []string{"", "X"}[i%2], i), "AccessionNumber": fmt.Sprintf("%s77%d", []string{"X", ""}[i%2], i),
				},
			})
		}
	})
	next := regexp.MustCompile(`rel="next" href="([^"]+)"`)
	for _, query := range []string{"/", "/?q=zhang", "/?q=77"} {
		var got []string
		pages := 0
		for target := query; target != ""; pages++ {
			rec := s.get(target)
			got = append(got, studies(rec.Body.String())...)
			target = ""
			if m := next.FindStringSubmatch(rec.Body.String()); m != nil {
				target = strings.ReplaceAll(m[1], "&amp;", "&")
			}
			if pages > 3 {
				t.Fatalf("%s: the pager does not end", query)
			}
		}
		var want []string
		for i := all - 1; i >= 0; i-- {
			want = append(want, fmt.Sprint(i))
		}
		if pages != 3 || !slices.Equal(got, want) {
			t.Errorf("%s: %d pages, studies %v", query, pages, got)
		}
		rec := s.get(strings.TrimSuffix(query, "/") + map[bool]string{true: "/?page=9", false: "&page=9"}[query == "/"])
		has(t, rec, "There is no study on this page any more.", "Newer")
	}
}

func FuzzSearchForm(f *testing.F) {
	for _, q := range []string{"", "q=张三&days=7&page=2", "q=%00%ff&from=2026-01-01&to=2025-01-01&modality=us", "within=31&page=99999999999999999999", "q=ﷺﷺﷺ&from=x"} {
		f.Add(q)
	}
	f.Fuzz(func(t *testing.T, query string) {
		q, err := url.ParseQuery(query)
		if err != nil {
			return
		}
		form := parseSearch(q)
		if form.Page < 0 || form.Page >= maxPages || len([]rune(form.Text)) > maxSearchText {
			t.Fatalf("%q: out of bounds: %+v", query, form)
		}
		if d := form.dates(noon); d != "" && !regexp.MustCompile(`^(\d{8})?-(\d{8})?$`).MatchString(d) {
			t.Fatalf("%q: dates %q", query, d)
		}
		form.Faults = nil
		if again := parseSearch(form.Query()); !reflect.DeepEqual(again, form) {
			t.Fatalf("%q: %+v is read back as %+v", query, form, again)
		}
		for _, queries := range stages(form.Text) {
			if len(queries) == 0 || len(queries) > 2 {
				t.Fatalf("%q: %d queries at once", form.Text, len(queries))
			}
			for _, matches := range queries {
				for _, m := range matches {
					if len(m.Values) != 1 || m.Values[0] == "" {
						t.Fatalf("%q: an empty key %+v matches everybody", form.Text, m)
					}
				}
			}
		}
	})
}

// FuzzDisplay: what files say of people and times is shown, whatever it is.
func FuzzDisplay(f *testing.F) {
	f.Add("Zhang^Wei=张^伟=x", "042Y", "19700101", "20260301")
	f.Add("=\\=^^", "9999", "00000000", "99999999")
	f.Fuzz(func(t *testing.T, pn, as, birth, at string) {
		n := nameParts(pn)
		for _, s := range []string{n.Ideographic, n.Alphabetic} {
			if strings.ContainsAny(s, "^=\\") {
				t.Fatalf("%q: %+v has signs of the encoding", pn, n)
			}
		}
		for in, out := range map[string]string{pn: displayName(pn), birth: displayDate(birth), at: displayTime(at)} {
			if len(out) > len(in)+len("--") {
				t.Fatalf("%q is shown as %q", in, out)
			}
		}
		for _, l := range languages {
			l.age(as, birth, at)
			l.sex(as)
			l.modality(as)
		}
		if m := displayMoment(at); m != at && len(m) > len("10000-01-02 15:04") {
			t.Fatalf("%q is shown as %q", at, m)
		}
		for _, v := range splitValues(pn) {
			if v == "" || strings.Contains(v, `\`) {
				t.Fatalf("%q has the value %q", pn, v)
			}
		}
	})
}

// BenchmarkSearch measures a page of search over a county's studies: the newest, a name, and a name that nobody has, which
// is looked for in every way.
func BenchmarkSearch(b *testing.B) {
	db, err := index.OpenSQLite(b.Context(), filepath.Join(b.TempDir(), "index.db"), index.Options{})
	if err != nil {
		b.Fatal(err)
	}
	defer db.Close()
	if err := db.Apply(b.Context(), indextest.County(b, 2000, 2)); err != nil {
		b.Fatal(err)
	}
	pages := New(Config{Index: db, States: db, Tenant: func(*http.Request) string { return "clinic" }})
	for name, target := range map[string]string{"newest": "/", "name": "/?q=zhang", "nobody": "/?q=nobody"} {
		b.Run(name, func(b *testing.B) {
			for b.Loop() {
				rec := httptest.NewRecorder()
				pages.ServeHTTP(rec, httptest.NewRequest(http.MethodGet, target, nil))
				if rec.Code != http.StatusOK {
					b.Fatal(rec.Code)
				}
			}
		})
	}
}
