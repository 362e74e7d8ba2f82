package desk

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/tributary-dicom/tributary/ingest"
	"github.com/tributary-dicom/tributary/pipeline/event"
	"github.com/tributary-dicom/tributary/storage/index"
)

type fakeStates map[string]index.StudyState

func (f fakeStates) StudyState(_ context.Context, tenant, study string) (index.StudyState, error) {
	if study == "away" {
		return index.StudyState{}, index.ErrUnavailable
	}
	s, ok := f[tenant+"/"+study]
	if !ok {
		return s, index.ErrNotFound
	}
	return s, nil
}

type fakeSignals struct {
	said []string
	fail error
}

func (f *fakeSignals) Signal(_ context.Context, tenant, signal string, studies ...string) error {
	f.said = append(f.said, tenant+" "+signal+" "+strings.Join(studies, ","))
	return f.fail
}

func TestCompletenessOfAStudy(t *testing.T) {
	at := time.Date(2026, 11, 22, 8, 0, 0, 0, time.UTC)
	h := NewCompleteness(CompletenessConfig{Tenant: "clinic", States: fakeStates{
		"clinic/1.1": {Complete: true, Revision: 2, CompletedAt: at, Reason: "quiet-period", Instances: 3, Series: 1, LastReceived: at},
		"clinic/1.2": {Instances: 1, Series: 1},
	}})
	for path, want := range map[string]string{
		"/completeness/1.1":  `200 {"study":"1.1","complete":true,"revision":2,"completed_at":"2026-11-22T08:00:00Z","reason":"quiet-period","series":1,"instances":3,"last_received":"2026-11-22T08:00:00Z"}`,
		"/completeness/1.2":  `200 {"study":"1.2","complete":false,"revision":0,"series":1,"instances":1}`,
		"/completeness/1.3":  `404 {"error":"no instance of this study is known"}`,
		"/completeness/away": `503 `,
	} {
		w := httptest.NewRecorder()
		h.ServeHTTP(w, httptest.NewRequest(http.MethodGet, path, nil))
		if got := fmt.Sprintf("%d %s", w.Code, strings.TrimSpace(w.Body.String())); !strings.HasPrefix(got, want) {
			t.Errorf("%s: %s\nwant %s", path, got, want)
		}
	}
	w := httptest.NewRecorder()
	h.ServeHTTP(w, httptest.NewRequest(http.MethodPost, "/completeness", strings.NewReader(`{"studies":["1"]}`)))
	if w.Code != http.StatusNotFound {
		t.Errorf("a node without the role was told: %d", w.Code)
	}
}

func TestSignalsByHTTP(t *testing.T) {
	signals := &fakeSignals{}
	h := NewCompleteness(CompletenessConfig{Tenant: "clinic", Signals: signals})
	many := `{"studies":["` + strings.Repeat(`1","`, maxSignalled) + `1"]}`
	for _, c := range []struct {
		media, body string
		fail        error
		want        int
		said        string
	}{
		{"application/json", `{"studies":["1.1","1.2"]}`, nil, http.StatusOK, "clinic api 1.1,1.2"},
		{"application/json; charset=utf-8", `{"studies":["1.1"],"signal":"import"}`, nil, http.StatusOK, "clinic import 1.1"},
		{"application/json", `{"studies":["x"]}`, ingest.ErrBadSignal, http.StatusBadRequest, "clinic api x"},
		{"application/json", `{"studies":["1"]}`, errors.New("full"), http.StatusServiceUnavailable, "clinic api 1"},
		{"text/plain", `{"studies":["1"]}`, nil, http.StatusUnsupportedMediaType, ""},
		{"", `{"studies":["1"]}`, nil, http.StatusUnsupportedMediaType, ""},
		{"application/json", `{"studies":[]}`, nil, http.StatusBadRequest, ""},
		{"application/json", `{"studies":[1]}`, nil, http.StatusBadRequest, ""},
		{"application/json", many, nil, http.StatusBadRequest, ""},
		{"application/json", strings.Repeat(" ", maxSignalledBody) + `{"studies":["1"]}`, nil, http.StatusBadRequest, ""},
	} {
		signals.said, signals.fail = nil, c.fail
		r := httptest.NewRequest(http.MethodPost, "/completeness", strings.NewReader(c.body))
		r.Header.Set("Content-Type", c.media)
		w := httptest.NewRecorder()
		h.ServeHTTP(w, r)
		if w.Code != c.want || strings.Join(signals.said, ";") != c.said {
			t.Errorf("%s %.40s: %d, said %q; want %d, %q", c.media, c.body, w.Code, signals.said, c.want, c.said)
		}
	}
}

// Announcements are in the live view, and a listener that comes back behind any of them misses none, of either topic.
func TestEventsOfStudies(t *testing.T) {
	log, add := liveLog(t, 1)
	announce := func(revision int) {
		t.Helper()
		e, err := event.NewStudy(event.TypeStudyComplete, "/test", time.Now(), &event.Study{
			Tenant: "default", StudyInstanceUID: "1.2.3", Revision: revision, Reason: event.ReasonQuiet, Digest: event.Content{}.String(), Instances: 1,
		})
		if err != nil {
			t.Fatal(err)
		}
		if _, err := log.Append(t.Context(), e); err != nil {
			t.Fatal(err)
		}
	}
	announce(1)
	add()
	announce(2)
	e := NewEvents(FollowOne(log))
	server := httptest.NewServer(e)
	t.Cleanup(server.Close)
	t.Cleanup(e.Close)

	read := func(from string, n int) (ids, said []string) {
		t.Helper()
		lines, cancel := listen(t, server.URL, from)
		defer cancel()
		for len(said) < n && lines.Scan() {
			if id, ok := strings.CutPrefix(lines.Text(), "id: "); ok {
				ids = append(ids, id)
			}
			if data, ok := strings.CutPrefix(lines.Text(), "data: "); ok {
				what := "object"
				for _, r := range []string{"1", "2"} {
					if strings.Contains(data, `"revision":`+r) {
						what = "revision " + r
					}
				}
				said = append(said, what)
			}
		}
		return ids, said
	}
	ids, said := read("0/0", 4)
	want := []string{"object", "object", "revision 1", "revision 2"}
	if sorted := slices.Sorted(slices.Values(said)); !slices.Equal(sorted, want) {
		t.Fatalf("heard %q, want %q", sorted, want)
	}
	for i := range 3 {
		_, rest := read(ids[i], 3-i)
		if got := slices.Sorted(slices.Values(slices.Concat(said[:i+1], rest))); !slices.Equal(got, want) {
			t.Errorf("behind %s: %q, in all %q", ids[i], rest, got)
		}
	}
	for _, bad := range []string{"1/2/3", "1/x", "x/1"} {
		req, err := http.NewRequestWithContext(t.Context(), http.MethodGet, server.URL, nil)
		if err != nil {
			t.Fatal(err)
		}
		req.Header.Set("Last-Event-ID", bad)
		resp, err := http.DefaultClient.Do(req)
		if err != nil {
			t.Fatal(err)
		}
		resp.Body.Close()
		if resp.StatusCode != http.StatusBadRequest {
			t.Errorf("%q: %s", bad, resp.Status)
		}
	}
}
