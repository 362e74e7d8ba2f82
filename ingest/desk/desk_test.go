package desk

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"github.com/tributary-dicom/tributary/ingest"
	"github.com/tributary-dicom/tributary/parsers/reject"
	"github.com/tributary-dicom/tributary/storage/blob"
	"github.com/tributary-dicom/tributary/storage/index"
)

// office is everything behind the desk: lists, decisions and blobs. fail makes all of it fail.
type office struct {
	fail    error
	entries []index.Quarantined
	mixed   []index.PatientConflict
	two     []index.Version // of instance 1.2.3; the first is current
	bodies  map[string]string
	retried error // of Retry

	asked string // limit and offset of the last list
	done  []string
}

func (o *office) Quarantine(_ context.Context, tenant string, limit, offset int) ([]index.Quarantined, error) {
	o.asked = fmt.Sprint(tenant, limit, offset)
	return o.entries, o.fail
}

func (o *office) QuarantineEntry(_ context.Context, tenant, id string) (index.Quarantined, error) {
	for _, q := range o.entries {
		if q.ObjectID == id && tenant == "clinic" && o.fail == nil {
			return q, nil
		}
	}
	return index.Quarantined{}, errors.Join(o.fail, index.ErrNotFound)
}

func (o *office) Conflicts(_ context.Context, tenant string, limit, offset int) ([]index.Conflict, error) {
	o.asked = fmt.Sprint(tenant, limit, offset)
	return nil, o.fail
}

func (o *office) PatientConflicts(_ context.Context, tenant string, limit, offset int) ([]index.PatientConflict, error) {
	o.asked = fmt.Sprint(tenant, limit, offset)
	return o.mixed, o.fail
}

func (o *office) Lookup(_ context.Context, _, instance string) ([]index.Version, string, error) {
	if o.fail != nil || instance != "1.2.3" || len(o.two) == 0 {
		return nil, "", o.fail
	}
	return o.two, o.two[0].ObjectID, nil
}

func (o *office) Objects(_ context.Context, s index.Scope, _ index.Want, fn func(index.Object) error) error {
	return fn(index.Object{StudyInstanceUID: "1.2", SeriesInstanceUID: "1.2.1", SOPInstanceUID: s.SOPInstanceUID})
}

func (o *office) Retry(_ context.Context, tenant string, q index.Quarantined, by string) (ingest.Receipt, error) {
	o.done = append(o.done, strings.Join([]string{"retry", tenant, q.ObjectID, by}, " "))
	return ingest.Receipt{ID: "new", Status: ingest.Stored}, o.retried
}

func (o *office) Remove(_ context.Context, tenant string, q index.Quarantined, by string) error {
	o.done = append(o.done, strings.Join([]string{"remove", tenant, q.ObjectID, by}, " "))
	return nil
}

func (o *office) Settle(_ context.Context, tenant string, c index.Conflict, id, action, by string) error {
	o.done = append(o.done, strings.Join([]string{"settle", tenant, c.StudyInstanceUID, c.SOPInstanceUID, id, action, by}, " "))
	return nil
}

func (o *office) Open(_ context.Context, key string, _, _ int64) (io.ReadCloser, error) {
	body, ok := o.bodies[key]
	if !ok {
		return nil, blob.ErrNotFound
	}
	return io.NopCloser(strings.NewReader(body)), nil
}

func newOffice() *office {
	return &office{
		entries: []index.Quarantined{
			{ObjectID: "01A", BlobKey: "a", Bytes: 5, Reason: string(reject.Truncated)},
			{ObjectID: "01B", BlobKey: "b", Bytes: 5},
			{ObjectID: "01C", BlobKey: "gone", Bytes: 5},
		},
		two:    []index.Version{{ObjectID: "01V"}, {ObjectID: "01W"}},
		bodies: map[string]string{"a": "hello", "b": "hell"},
	}
}

func (o *office) desk(log io.Writer) http.Handler {
	return New(Config{Tenant: "clinic", Lists: o, Decisions: o, Blobs: o, Logger: slog.New(slog.NewTextHandler(log, nil))})
}

func TestDesk(t *testing.T) {
	long := strings.Repeat("Ж", 1000)
	for name, c := range map[string]struct {
		method, path, user string
		change             func(*office)
		status             int
		body               string // is in the answer
		asked              string
		done               string
	}{
		"quarantine":           {path: "/quarantine", status: 200, body: `"id":"01A"`, asked: "clinic100 0"},
		"quarantine, a page":   {path: "/quarantine?limit=7&offset=14", status: 200, asked: "clinic7 14"},
		"quarantine, too much": {path: "/quarantine?limit=1000000&offset=-3", status: 200, asked: "clinic1000 0"},
		"quarantine, nonsense": {path: "/quarantine?limit=x&offset=y", status: 200, asked: "clinic100 0"},
		"quarantine, empty":    {path: "/quarantine", change: func(o *office) { o.entries = nil }, status: 200, body: "[]\n"},
		"entry":                {path: "/quarantine/01A", status: 200, body: `"reason":"truncated"`},
		"no entry":             {path: "/quarantine/01Z", status: 404, body: "GET /quarantine"},
		"file":                 {path: "/quarantine/01A/file", status: 200, body: "hello"},
		"file of no entry":     {path: "/quarantine/01Z/file", status: 404},
		"file that is gone":    {path: "/quarantine/01C/file", status: 404},
		"retry":                {method: "POST", path: "/quarantine/01A/retry", user: "zhang", status: 200, body: `"id":"new"`, done: "retry clinic 01A zhang"},
		"retry of no entry":    {method: "POST", path: "/quarantine/01Z/retry", status: 404},
		"retry in vain":        {method: "POST", path: "/quarantine/01A/retry", change: func(o *office) { o.retried = reject.New(reject.Truncated, "x", "secret") }, status: 422, body: `"code":"truncated"`, done: "retry clinic 01A "},
		"retry without room":   {method: "POST", path: "/quarantine/01A/retry", change: func(o *office) { o.retried = reject.New(reject.OutOfResources, "x", "secret") }, status: 503, done: "retry clinic 01A "},
		"remove":               {method: "DELETE", path: "/quarantine/01A", user: long, status: 200, body: `"status":"removed"`, done: "remove clinic 01A " + strings.Repeat("Ж", 32)},
		"remove no entry":      {method: "DELETE", path: "/quarantine/01Z", status: 404},
		"conflicts":            {path: "/conflicts", status: 200, body: "[]\n", asked: "clinic100 0"},
		"patients":             {path: "/conflicts/patients?limit=3", status: 200, body: "[]\n", asked: "clinic3 0"},
		"patients of a study": {path: "/conflicts/patients", change: func(o *office) {
			o.mixed = []index.PatientConflict{{StudyInstanceUID: "1.2", Patients: []index.Patient{{PatientName: "张^三"}}}}
		}, status: 200, body: `[{"study":"1.2","patients":[{"patient_id":"","patient_name":"张^三"`, asked: "clinic100 0"},
		"patients, the index is slow":  {path: "/conflicts/patients", change: func(o *office) { o.fail = fmt.Errorf("secret: %w", index.ErrTimeout) }, status: 503, body: "try again", asked: "clinic100 0"},
		"the index is away for now":    {path: "/quarantine", change: func(o *office) { o.fail = fmt.Errorf("secret: %w", index.ErrUnavailable) }, status: 503, body: "try again"},
		"an entry of it":               {path: "/quarantine/01A", change: func(o *office) { o.fail = fmt.Errorf("secret: %w", index.ErrUnavailable) }, status: 503},
		"promote":                      {method: "POST", path: "/conflicts/1.2.3/promote/01W", user: "li", status: 200, body: `"status":"promoted"`, done: "settle clinic 1.2 1.2.3 01W promoted li"},
		"promote the current":          {method: "POST", path: "/conflicts/1.2.3/promote/01V", status: 200, done: "settle clinic 1.2 1.2.3 01V promoted "},
		"keep":                         {method: "POST", path: "/conflicts/1.2.3/keep/01V", status: 200, body: `"status":"kept"`, done: "settle clinic 1.2 1.2.3 01V kept "},
		"keep what is not current":     {method: "POST", path: "/conflicts/1.2.3/keep/01W", status: 409, body: "01V"},
		"promote no version":           {method: "POST", path: "/conflicts/1.2.3/promote/01Z", status: 404},
		"promote of no conflict":       {method: "POST", path: "/conflicts/1.2.9/promote/01W", status: 404},
		"promote where there is one":   {method: "POST", path: "/conflicts/1.2.3/promote/01V", change: func(o *office) { o.two = o.two[:1] }, status: 404},
		"another action":               {method: "POST", path: "/conflicts/1.2.3/drop/01W", status: 404, body: "promote"},
		"another method":               {method: "PUT", path: "/quarantine", status: 405},
		"the index is away":            {path: "/quarantine", change: func(o *office) { o.fail = errors.New("secret") }, status: 500, body: "see the server's log"},
		"the index is away, conflicts": {method: "POST", path: "/conflicts/1.2.3/keep/01V", change: func(o *office) { o.fail = errors.New("secret") }, status: 500},
	} {
		t.Run(name, func(t *testing.T) {
			o := newOffice()
			if c.change != nil {
				c.change(o)
			}
			method := c.method
			if method == "" {
				method = http.MethodGet
			}
			r := httptest.NewRequest(method, c.path, nil)
			if c.user != "" {
				r.SetBasicAuth(c.user, "token")
			}
			var log bytes.Buffer
			w := httptest.NewRecorder()
			o.desk(&log).ServeHTTP(w, r)
			if w.Code != c.status || !strings.Contains(w.Body.String(), c.body) {
				t.Errorf("%d %s, want %d and %q", w.Code, w.Body, c.status, c.body)
			}
			if c.asked != "" && o.asked != c.asked {
				t.Errorf("the lists were asked for %q, want %q", o.asked, c.asked)
			}
			if got := strings.Join(o.done, ";"); got != c.done {
				t.Errorf("done %q, want %q", got, c.done)
			}
			if strings.Contains(w.Body.String(), "secret") {
				t.Errorf("internal text reaches the peer: %s", w.Body)
			}
			if again := w.Header().Get("Retry-After"); (again != "") != (w.Code == http.StatusServiceUnavailable) {
				t.Errorf("Retry-After %q after %d", again, w.Code)
			}
			if logged := strings.Contains(log.String(), "secret"); logged != (c.status >= 500) {
				t.Errorf("log %q after %d", log.String(), w.Code)
			}
			if w.Code < 300 && w.Body.String() != "hello" && !json.Valid(w.Body.Bytes()) {
				t.Errorf("no JSON: %s", w.Body)
			}
		})
	}
}

func TestFileIsNeverShownByABrowser(t *testing.T) {
	w := httptest.NewRecorder()
	newOffice().desk(io.Discard).ServeHTTP(w, httptest.NewRequest(http.MethodGet, "/quarantine/01A/file", nil))
	h := w.Header()
	if h.Get("Content-Type") != "application/octet-stream" || h.Get("X-Content-Type-Options") != "nosniff" ||
		h.Get("Content-Disposition") != `attachment; filename="01A.bin"` || h.Get("Content-Length") != "5" {
		t.Errorf("header %v", h)
	}
}

// TestShortFileBreaksOff: bytes that are missing must not look like a shorter file.
func TestShortFileBreaksOff(t *testing.T) {
	server := httptest.NewServer(newOffice().desk(io.Discard))
	defer server.Close()
	resp, err := http.Get(server.URL + "/quarantine/01B/file")
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	if body, err := io.ReadAll(resp.Body); err == nil {
		t.Errorf("%d bytes of 5 pass for whole: %q", len(body), body)
	}
}
