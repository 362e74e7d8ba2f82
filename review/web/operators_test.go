package web

import (
	"bytes"
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/tributary-dicom/tributary/parsers/reject"
	"github.com/tributary-dicom/tributary/storage/blob"
	"github.com/tributary-dicom/tributary/storage/index"
)

// office is everything behind the operators' pages. fail makes the index fail.
type office struct {
	Index // of the other pages; never asked

	fail     error
	arrivals []index.Arrival
	entries  []index.Quarantined
	two      []index.Version // of instance 1.2.3; current is their current one
	current  string
	mixed    []index.PatientConflict
	retry    error
	outcome  Outcome
	bodies   map[string]string

	asked  index.ArrivalQuery
	pages  []string // limit and offset of lists by offset
	counts int      // how often the badge was counted
	done   []string
}

func (o *office) Arrivals(_ context.Context, q index.ArrivalQuery) ([]index.Arrival, error) {
	o.asked = q
	return o.arrivals[:min(len(o.arrivals), q.Limit)], o.fail
}

func (o *office) Arrival(_ context.Context, tenant, id string) (index.Arrival, error) {
	i := slices.IndexFunc(o.arrivals, func(a index.Arrival) bool { return a.ObjectID == id && tenant == "clinic" })
	if o.fail != nil || i < 0 {
		return index.Arrival{}, cmp.Or(o.fail, index.ErrNotFound)
	}
	return o.arrivals[i], nil
}

func (o *office) Quarantine(_ context.Context, tenant string, limit, offset int) ([]index.Quarantined, error) {
	if limit == mostWaiting+1 {
		o.counts++
	} else {
		o.pages = append(o.pages, fmt.Sprintln(tenant, limit, offset))
	}
	return o.entries[min(len(o.entries), offset):min(len(o.entries), offset+limit)], o.fail
}

func (o *office) QuarantineEntry(_ context.Context, tenant, id string) (index.Quarantined, error) {
	i := slices.IndexFunc(o.entries, func(q index.Quarantined) bool { return q.ObjectID == id && tenant == "clinic" })
	if o.fail != nil || i < 0 {
		return index.Quarantined{}, cmp.Or(o.fail, index.ErrNotFound)
	}
	return o.entries[i], nil
}

func (o *office) Conflicts(_ context.Context, _ string, limit, offset int) ([]index.Conflict, error) {
	if o.two == nil || offset > 0 {
		return nil, o.fail
	}
	return []index.Conflict{{StudyInstanceUID: "1.2", SOPInstanceUID: "1.2.3", Current: o.current, Versions: o.two}}, o.fail
}

func (o *office) PatientConflicts(context.Context, string, int, int) ([]index.PatientConflict, error) {
	return o.mixed, o.fail
}

func (o *office) Lookup(_ context.Context, _, instance string) ([]index.Version, string, error) {
	if instance != "1.2.3" {
		return nil, "", o.fail
	}
	return o.two, o.current, o.fail
}

func (o *office) Objects(_ context.Context, s index.Scope, _ index.Want, fn func(index.Object) error) error {
	return fn(index.Object{StudyInstanceUID: "1.2", SeriesInstanceUID: "1.2.1", SOPInstanceUID: s.SOPInstanceUID})
}

func (o *office) Retry(_ context.Context, tenant string, q index.Quarantined, by string) (Outcome, error) {
	o.done = append(o.done, strings.Join([]string{"retry", tenant, q.ObjectID, by}, " "))
	return o.outcome, o.retry
}

func (o *office) Remove(_ context.Context, tenant string, q index.Quarantined, by string) error {
	o.done = append(o.done, strings.Join([]string{"remove", tenant, q.ObjectID, by}, " "))
	return o.retry
}

func (o *office) Promote(_ context.Context, tenant string, c index.Conflict, id, by string) error {
	o.done = append(o.done, strings.Join([]string{"promote", tenant, c.StudyInstanceUID, c.SOPInstanceUID, id, by}, " "))
	return o.retry
}

func (o *office) Keep(_ context.Context, tenant string, c index.Conflict, id, by string) error {
	o.done = append(o.done, strings.Join([]string{"keep", tenant, c.StudyInstanceUID, c.SOPInstanceUID, id, by}, " "))
	return o.retry
}

func (o *office) Open(_ context.Context, key string, off, n int64) (io.ReadCloser, error) {
	body, ok := o.bodies[key]
	if !ok {
		return nil, blob.ErrNotFound
	}
	if n != previewBytes && n != comparedBytes || off != 0 {
		return nil, fmt.Errorf("a page asks for %d bytes from %d on", n, off)
	}
	return io.NopCloser(strings.NewReader(body)), nil // all of it: the page must stop by itself
}

const (
	idStored  = "01J0000000000000000000000A"
	idSecond  = "01J0000000000000000000000B"
	idDerived = "01J0000000000000000000000C"
	idHeld    = "01J0000000000000000000000D"
)

func newOperatorsOffice() *office {
	at := "2026-03-01T01:15:02.5Z"
	return &office{
		arrivals: []index.Arrival{
			{ObjectID: idHeld, ReceivedAt: at, Status: index.ArrivalQuarantined, Reason: string(reject.Truncated), Door: "upload", Filename: "<b>.dcm", Bytes: 7},
			{ObjectID: idDerived, ReceivedAt: at, Status: index.ArrivalDerived, Door: "watch", Format: "scp-ecg", StudyInstanceUID: "1.9", SeriesInstanceUID: "1.9.1", SOPInstanceUID: "1.9.0", DerivedUID: "1.9.2", DerivedObject: idStored},
			{ObjectID: idSecond, ReceivedAt: at, Status: index.ArrivalConflict, Undecided: true, Door: "dimse", CallingAE: "KIT-2", StudyInstanceUID: "1.2", SOPInstanceUID: "1.2.3"},
			{ObjectID: idStored, ReceivedAt: at, Status: index.ArrivalStored, Undecided: true, Door: "dimse", Device: "kit-7", Facility: "石桥镇卫生院", StudyInstanceUID: "1.2", SOPInstanceUID: "1.2.3"},
		},
		entries: []index.Quarantined{
			{ObjectID: idHeld, ReceivedAt: at, BlobKey: "a", Bytes: 1000, Reason: string(reject.Truncated), Filename: "<b>.dcm"},
			{ObjectID: "GONE", ReceivedAt: at, BlobKey: "gone", Bytes: 5, Reason: "of-a-later-release"},
		},
		two:     []index.Version{{ObjectID: idStored, ReceivedAt: at, TransferSyntaxUID: "1.2.840.10008.1.2.1"}, {ObjectID: idSecond, ReceivedAt: at, TransferSyntaxUID: "1.9.9"}},
		current: idStored,
		mixed:   []index.PatientConflict{{StudyInstanceUID: "1.7", Patients: []index.Patient{{PatientName: "张^伟", PatientID: "P1"}, {PatientName: "Li^Na", PatientID: "P2"}}}},
		outcome: Outcome{ID: idStored, Status: "stored"},
		bodies:  map[string]string{"a": strings.Repeat("\x00DICM", 200)},
	}
}

func (o *office) handler(log io.Writer, change ...func(*Config)) http.Handler {
	cfg := Config{
		Index: o, Tenant: func(*http.Request) string { return "clinic" }, Log: slog.New(slog.NewTextHandler(log, nil)),
		Operators: OperatorsConfig{Desk: o, Decisions: o, Blobs: o},
	}
	for _, c := range change {
		c(&cfg)
	}
	return New(cfg)
}

func TestOperators(t *testing.T) {
	held, at := "/pages/quarantine/"+idHeld, "/pages/conflicts/1.2.3"
	away := func(o *office) { o.fail = index.ErrUnavailable }
	full := func(o *office) { o.retry = reject.New(reject.OutOfResources, "x", "secret") }
	for name, c := range map[string]struct {
		method, path, user string // English unless the path says otherwise
		change             func(*office)
		status             int
		has, lacks         []string // in the page
		location, done     string
	}{
		"receipts":                   {path: "/pages/receipts", status: 200, has: []string{"&lt;b&gt;.dcm", "kit-7 · 石桥镇卫生院", "KIT-2", `href="/pages/receipts/` + idHeld, `href="/pages/studies/1.9"`, "Quarantined", "Converted"}, lacks: []string{"Older"}},
		"receipts in Chinese":        {path: "/pages/receipts?lang=zh-CN", status: 200, has: []string{"已隔离", "监视文件夹"}},
		"receipts, none":             {path: "/pages/receipts", change: func(o *office) { o.arrivals = nil }, status: 200, has: []string{"Nothing has come in yet"}},
		"receipts, no match":         {path: "/pages/receipts?status=kept", change: func(o *office) { o.arrivals = nil }, status: 200, has: []string{"Nothing matches", "Clear"}},
		"receipts, away":             {path: "/pages/receipts", change: away, status: 503, has: []string{"does not answer now"}},
		"look up":                    {path: "/pages/receipts?id=+" + idStored + "+", status: 303, location: "/pages/receipts/" + idStored},
		"look up nonsense":           {path: "/pages/receipts?id=%3Cscript%3E", status: 404, has: []string{"No such receipt"}},
		"receipt":                    {path: "/pages/receipts/" + idStored, status: 200, has: []string{"Stored", "Other content came under its instance UID too", `href="/pages/studies/1.2"`, `href="` + at + `"`}},
		"receipt, retried":           {path: "/pages/receipts/" + idStored + "?done=retried&as=stored", status: 200, has: []string{"It was taken again"}},
		"receipt, retried duplicate": {path: "/pages/receipts/" + idStored + "?done=retried&as=duplicate", status: 200, has: []string{"The same was here already"}, lacks: []string{"It was taken again"}},
		"receipt, held":              {path: "/pages/receipts/" + idHeld, status: 200, has: []string{"cut off", "Have the whole file sent again", `href="` + held + `"`}, lacks: []string{"/pages/studies/"}},
		"receipt, derived":           {path: "/pages/receipts/" + idDerived, status: 200, has: []string{`href="/originals/` + idDerived, `href="/pages/ecg/1.9/1.9.1/1.9.2"`, `href="/pages/receipts/` + idStored}},
		"receipt, unknown":           {path: "/pages/receipts/01JZZ", status: 404, has: []string{"No such receipt"}},
		"receipt, nonsense":          {path: "/pages/receipts/a%22b", status: 404, has: []string{"No such receipt"}},
		"receipt, away":              {path: "/pages/receipts/" + idStored, change: away, status: 503},
		"receipt, index late":        {path: "/pages/receipts/01JZZ?done=retried", status: 503},

		"quarantine":        {path: "/pages/quarantine", status: 200, has: []string{"The file is cut off", `href="` + held + `"`, "of-a-later-release"}, lacks: []string{"It was removed"}},
		"quarantine, empty": {path: "/pages/quarantine?done=removed", change: func(o *office) { o.entries = nil }, status: 200, has: []string{"The quarantine is empty", "It was removed"}},
		"quarantine, away":  {path: "/pages/quarantine", change: away, status: 503},
		"entry":             {path: held, status: 200, has: []string{"The first 256 of 1000 bytes", "00 44 49 43 4d", ".DICM", `href="/quarantine/` + idHeld + `/file"`, held + "/retry", held + "/remove"}},
		"entry, bytes gone": {path: "/pages/quarantine/GONE", status: 200, has: []string{"cannot be read now", "of-a-later-release"}},
		"entry, unknown":    {path: "/pages/quarantine/01JZZ", status: 404, has: []string{"Not in quarantine"}},
		"entry, away":       {path: held, change: away, status: 503},

		"ask to retry":         {path: held + "/retry", status: 200, has: []string{`method="post" action="` + held + `/retry"`, "Take this file again?"}},
		"ask to remove":        {path: held + "/remove", status: 200, has: []string{`method="post" action="` + held + `/remove"`, "cannot be brought back"}},
		"ask about no entry":   {path: "/pages/quarantine/01JZZ/retry", status: 404},
		"ask what there isn't": {path: held + "/eat", status: 404},
		"retry":                {method: "POST", path: held + "/retry", user: "zhang", status: 303, location: "/pages/receipts/" + idStored + "?as=stored&done=retried", done: "retry clinic " + idHeld + " zhang"},
		"retry of no entry":    {method: "POST", path: "/pages/quarantine/01JZZ/retry", status: 404},
		"retry in vain":        {method: "POST", path: held + "/retry", change: func(o *office) { o.retry = reject.New(reject.Truncated, "x", "secret") }, status: 422, has: []string{"It still cannot be taken", "cut off"}, lacks: []string{"secret"}, done: "retry clinic " + idHeld + " "},
		"retry without room":   {method: "POST", path: held + "/retry", change: full, status: 503, has: []string{"Nothing can be stored now"}, lacks: []string{"secret"}, done: "retry clinic " + idHeld + " "},
		"retry, a bug":         {method: "POST", path: held + "/retry", change: func(o *office) { o.retry = errors.New("secret") }, status: 500, lacks: []string{"secret"}, done: "retry clinic " + idHeld + " "},
		"retry, store away":    {method: "POST", path: held + "/retry", change: func(o *office) { o.retry = blob.ErrUnavailable }, status: 503, done: "retry clinic " + idHeld + " "},
		"retry by GET":         {path: held + "/retry", status: 200},
		"remove":               {method: "POST", path: held + "/remove", user: strings.Repeat("Ж", 1000), status: 303, location: "/pages/quarantine?done=removed", done: "remove clinic " + idHeld + " " + strings.Repeat("Ж", 32)},
		"remove, away":         {method: "POST", path: held + "/remove", change: away, status: 503},
		"remove by DELETE":     {method: "DELETE", path: held + "/remove", status: 405},
		"remove by PUT":        {method: "PUT", path: held + "/remove", status: 405},
		"eat":                  {method: "POST", path: held + "/eat", status: 404},
		"POST to the list":     {method: "POST", path: "/pages/quarantine", status: 405},
		"POST to an entry":     {method: "POST", path: held, status: 405},

		"conflicts":              {path: "/pages/conflicts", status: 200, has: []string{`href="` + at + `"`, "张伟", "Li Na", `href="/pages/studies/1.7"`}},
		"conflicts, none":        {path: "/pages/conflicts", change: func(o *office) { o.two, o.mixed = nil, nil }, status: 200, has: []string{"No instance waits", "There are no such studies"}},
		"conflicts, away":        {path: "/pages/conflicts", change: away, status: 503},
		"conflict":               {path: at, status: 200, has: []string{"Explicit VR LE", "1.9.9", "kit-7", "KIT-2", "Waits for a decision", at + "/keep/" + idStored, at + "/promote/" + idSecond}, lacks: []string{at + "/promote/" + idStored}},
		"conflict, decided":      {path: at + "?done=promoted", change: func(o *office) { o.arrivals = nil }, status: 200, has: []string{"Decided", "Changed: readers see"}, lacks: []string{"/keep/"}},
		"conflict, unknown":      {path: "/pages/conflicts/1.2.4", status: 404},
		"conflict, one version":  {path: at, change: func(o *office) { o.two = o.two[:1] }, status: 404},
		"conflict, no UID":       {path: "/pages/conflicts/abc", status: 404},
		"conflict, away":         {path: at, change: away, status: 503},
		"ask to promote":         {path: at + "/promote/" + idSecond, status: 200, has: []string{`action="` + at + "/promote/" + idSecond + `"`}},
		"ask to keep":            {path: at + "/keep/" + idStored, status: 200, has: []string{`action="` + at + "/keep/" + idStored + `"`}},
		"promote":                {method: "POST", path: at + "/promote/" + idSecond, status: 303, location: at + "?done=promoted", done: "promote clinic 1.2 1.2.3 " + idSecond + " "},
		"promote the current":    {method: "POST", path: at + "/promote/" + idStored, status: 409, has: []string{"It changed meanwhile"}},
		"promote what isn't":     {method: "POST", path: at + "/promote/01JZZ", status: 404},
		"promote without room":   {method: "POST", path: at + "/promote/" + idSecond, change: full, status: 503, done: "promote clinic 1.2 1.2.3 " + idSecond + " "},
		"keep":                   {method: "POST", path: at + "/keep/" + idStored, user: "li", status: 303, location: at + "?done=kept", done: "keep clinic 1.2 1.2.3 " + idStored + " li"},
		"keep another":           {method: "POST", path: at + "/keep/" + idSecond, status: 409},
		"drop a version":         {method: "POST", path: at + "/drop/" + idSecond, status: 404},
		"decide by DELETE":       {method: "DELETE", path: at + "/keep/" + idStored, status: 405},
		"POST to the conflicts":  {method: "POST", path: "/pages/conflicts", status: 405},
		"POST to the receipts":   {method: "POST", path: "/pages/receipts", status: 405},
		"upload, not taken here": {path: "/pages/upload", status: 200, has: []string{"This node does not take files", "data-elsewhere"}},
		"upload to it":           {method: "POST", path: "/pages/upload", status: 404, has: []string{"This node does not take files"}},
	} {
		t.Run(name, func(t *testing.T) {
			o := newOperatorsOffice()
			if c.change != nil {
				c.change(o)
			}
			var log bytes.Buffer
			r := httptest.NewRequest(cmp.Or(c.method, "GET"), c.path, nil)
			r.Header.Set("Accept-Language", "en")
			if c.user != "" {
				r.SetBasicAuth(c.user, "x")
			}
			w := httptest.NewRecorder()
			o.handler(&log).ServeHTTP(w, r)
			body := w.Body.String()
			if w.Code != c.status || w.Header().Get("Location") != c.location || strings.Join(o.done, ", ") != c.done {
				t.Errorf("%d to %q, done %q; want %d to %q, done %q", w.Code, w.Header().Get("Location"), o.done, c.status, c.location, c.done)
			}
			for _, s := range c.has {
				if !strings.Contains(body, s) {
					t.Errorf("the page lacks %q:\n%s", s, body)
				}
			}
			for _, s := range c.lacks {
				if strings.Contains(body, s) {
					t.Errorf("the page has %q", s)
				}
			}
			if w.Code == 405 && w.Header().Get("Allow") == "" {
				t.Error("405 without Allow")
			}
			if w.Code == 503 && w.Header().Get("Retry-After") == "" {
				t.Error("503 without Retry-After")
			}
			if h := w.Header(); h.Get("Cache-Control") != "no-store" || h.Get("Content-Security-Policy") != policy {
				t.Errorf("headers %v", h)
			}
			if strings.Contains(log.String(), "张") || strings.Contains(log.String(), ".dcm") {
				t.Errorf("the log tells of patients: %s", log.String())
			}
		})
	}
}

// TestOperatorsForeign: forms of other sites are refused before anything is asked.
func TestOperatorsForeign(t *testing.T) {
	o := newOperatorsOffice()
	r := httptest.NewRequest(http.MethodPost, "/pages/quarantine/"+idHeld+"/remove", nil)
	r.Header.Set("Sec-Fetch-Site", "cross-site")
	w := httptest.NewRecorder()
	o.handler(io.Discard).ServeHTTP(w, r)
	if w.Code != http.StatusForbidden || len(o.done) != 0 {
		t.Errorf("%d, done %q", w.Code, o.done)
	}
}

// TestOperatorsReadOnly: without Decisions there are lists and no actions; without a Desk there is neither.
func TestOperatorsReadOnly(t *testing.T) {
	get := func(h http.Handler, method, path string) (int, string) {
		w := httptest.NewRecorder()
		h.ServeHTTP(w, httptest.NewRequest(method, path+"?lang=en", nil))
		return w.Code, w.Body.String()
	}
	o := newOperatorsOffice()
	h := o.handler(io.Discard, func(c *Config) { c.Operators.Decisions, c.Operators.Blobs = nil, nil })
	if code, body := get(h, "GET", "/pages/quarantine/"+idHeld); code != 200 || strings.Contains(body, "/remove") || strings.Contains(body, "How the file begins") {
		t.Errorf("an entry without decisions: %d %s", code, body)
	}
	if code, body := get(h, "GET", "/pages/conflicts/1.2.3"); code != 200 || strings.Contains(body, "/promote/") {
		t.Errorf("a conflict without decisions: %d %s", code, body)
	}
	if code, _ := get(h, "POST", "/pages/quarantine/"+idHeld+"/remove"); code != 404 {
		t.Errorf("remove without decisions: %d", code)
	}
	h = o.handler(io.Discard, func(c *Config) { c.Operators = OperatorsConfig{} })
	if code, _ := get(h, "GET", "/pages/receipts"); code != 404 {
		t.Errorf("receipts without a desk: %d", code)
	}
	if _, body := get(h, "GET", "/pages/upload"); strings.Contains(body, "/pages/quarantine") {
		t.Error("the navigation leads to a page that there is not")
	}
}

// TestOperatorsPaging: each list tells that it goes on, and where.
func TestOperatorsPaging(t *testing.T) {
	o := newOperatorsOffice()
	o.arrivals, o.entries = nil, nil
	for n := range receiptsPageRows + 1 {
		id := fmt.Sprintf("01J%023d", 999-n)
		o.arrivals = append(o.arrivals, index.Arrival{ObjectID: id, Status: index.ArrivalStored})
		o.entries = append(o.entries, index.Quarantined{ObjectID: id})
	}
	h := o.handler(io.Discard)
	page := func(path string) string {
		w := httptest.NewRecorder()
		r := httptest.NewRequest("GET", path, nil)
		r.Header.Set("Accept-Language", "en")
		h.ServeHTTP(w, r)
		return w.Body.String()
	}
	last := o.arrivals[receiptsPageRows-1].ObjectID
	if body := page("/pages/receipts?status=stored&door=tus&device=kit"); !strings.Contains(body, `href="/pages/receipts?before=`+last+`&amp;device=kit&amp;door=tus&amp;status=stored"`) ||
		strings.Contains(body, o.arrivals[receiptsPageRows].ObjectID) {
		t.Errorf("the first page is %s", body)
	}
	if want := (index.ArrivalQuery{Tenant: "clinic", Limit: receiptsPageRows + 1, Status: "stored", Door: "tus", Device: "kit"}); o.asked != want {
		t.Errorf("asked for %+v", o.asked)
	}
	if body := page("/pages/receipts?before=" + last); o.asked.Before != last || !strings.Contains(body, `href="/pages/receipts" rel="first"`) {
		t.Errorf("the second page is %s", body)
	}
	if body := page("/pages/quarantine"); !strings.Contains(body, `href="/pages/quarantine?offset=50"`) || strings.Contains(body, "Newer") {
		t.Errorf("the first page is %s", body)
	}
	if body := page("/pages/quarantine?offset=50"); !strings.Contains(body, `href="/pages/quarantine"`) || strings.Contains(body, "Older") {
		t.Errorf("the second page is %s", body)
	}
	page("/pages/quarantine?offset=-7")
	page("/pages/quarantine?offset=99999999999999999999")
	page("/pages/quarantine?offset=99999999")
	if got := strings.Join(o.pages, ""); got != "clinic 51 0\nclinic 51 50\nclinic 51 0\nclinic 51 0\nclinic 51 1000000\n" {
		t.Errorf("asked for %q", got)
	}
}

// TestWaiting: numbers are bounded, counted once in a while, and again after a decision.
func TestWaiting(t *testing.T) {
	o := newOperatorsOffice()
	now := time.Now()
	c := newWaiting(o, func() time.Time { return now })
	want := func(quarantine string, counts int) {
		t.Helper()
		if b := c.badges(t.Context(), "clinic"); b["quarantine"] != quarantine || b["conflicts"] != "1" || o.counts != counts {
			t.Errorf("badges %v after %d counts; want %q after %d", b, o.counts, quarantine, counts)
		}
	}
	want("2", 1)
	o.entries = nil
	want("2", 1)
	c.forget("clinic")
	want("", 2)
	o.entries = make([]index.Quarantined, 300)
	now = now.Add(badgeFor)
	want("99+", 3)
	o.fail = index.ErrUnavailable
	now = now.Add(badgeFor)
	want("99+", 4) // the index is away: the last numbers
	for n := range maxTenants + 5 {
		c.badges(t.Context(), fmt.Sprint(n))
	}
	if len(c.known) > maxTenants {
		t.Errorf("%d tenants are remembered", len(c.known))
	}
	if b := newWaiting(nil, time.Now).badges(t.Context(), "clinic"); b != nil {
		t.Errorf("without a desk %v waits", b)
	}
}

// TestReasons: every code and every status has its words in both languages.
func TestReasons(t *testing.T) {
	for _, code := range reject.All() {
		for _, prefix := range []string{"operators.reason.", "operators.todo."} {
			if _, ok := phrases[prefix+string(code)]; !ok {
				t.Errorf("no text %s%s", prefix, code)
			}
		}
	}
	for _, status := range append([]string{statusDuplicate, statusRefused}, listedStatuses...) {
		for _, prefix := range []string{"operators.status.", "operators.why.", "operators.next."} {
			if _, ok := phrases[prefix+status]; !ok {
				t.Errorf("no text %s%s", prefix, status)
			}
		}
		if English.status(status).Tone == "" {
			t.Errorf("%s has no look", status)
		}
	}
	for _, door := range listedDoors {
		if English.door(door) == door {
			t.Errorf("no text for the door %s", door)
		}
	}
	if a := English.adviceOf("quarantined", "of-a-later-release"); a.Why != "of-a-later-release" || a.Next == "" {
		t.Errorf("an unknown code is %+v", a)
	}
}

func TestNewestOf(t *testing.T) {
	c := index.Conflict{Current: "1"}
	for n := range 30 {
		c.Versions = append(c.Versions, index.Version{ObjectID: fmt.Sprint(n)})
	}
	got := newestOf(c, 5)
	if len(got) != 5 || got[0].ObjectID != "1" || got[4].ObjectID != "29" {
		t.Errorf("versions %v", got)
	}
	if c.Versions[25].ObjectID != "25" {
		t.Error("the list was changed")
	}
}

// slowDesk counts when it is told to.
type slowDesk struct {
	*office
	asked, answer chan struct{}
}

func (d slowDesk) Quarantine(ctx context.Context, tenant string, limit, offset int) ([]index.Quarantined, error) {
	d.asked <- struct{}{}
	<-d.answer
	return d.office.Quarantine(ctx, tenant, limit, offset)
}

// TestWaitingForNobody: while one page counts, others show the last numbers.
func TestWaitingForNobody(t *testing.T) {
	d := slowDesk{newOperatorsOffice(), make(chan struct{}), make(chan struct{})}
	c := newWaiting(d, time.Now)
	first := make(chan map[string]string)
	go func() { first <- c.badges(t.Context(), "clinic") }()
	<-d.asked
	if b := c.badges(t.Context(), "clinic"); len(b) != 0 {
		t.Errorf("before anything was counted %v waits", b)
	}
	close(d.answer)
	if b := <-first; b["quarantine"] != "2" {
		t.Errorf("badges %v", b)
	}
}
