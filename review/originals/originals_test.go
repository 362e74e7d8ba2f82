package originals

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
	"net/url"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/tributary-dicom/tributary/pipeline/event"
	"github.com/tributary-dicom/tributary/storage/blob"
	"github.com/tributary-dicom/tributary/storage/index"
	"github.com/tributary-dicom/tributary/storage/index/indextest"
)

// blobs keeps blobs by key, and what was asked for. A key in broken ends with an error.
type blobs struct {
	bytes  map[string][]byte
	broken map[string]error
	asked  []string
	open   int
}

func (b *blobs) Open(_ context.Context, key string, off, n int64) (io.ReadCloser, error) {
	b.asked = append(b.asked, fmt.Sprint(key, " ", off, " ", n))
	data, ok := b.bytes[key]
	if !ok {
		return nil, errors.Join(b.broken[key], blob.ErrNotFound)
	}
	b.open++
	end := io.Reader(strings.NewReader(""))
	if err := b.broken[key]; err != nil {
		end = failing{err}
	}
	return &closing{io.MultiReader(bytes.NewReader(data[off:min(off+n, int64(len(data)))]), end), b}, nil
}

type failing struct{ error }

func (f failing) Read([]byte) (int, error) { return 0, f.error }

type closing struct {
	io.Reader
	of *blobs
}

func (c *closing) Close() error { c.of.open--; return nil }

// world is the room over a real index.
type world struct {
	http.Handler
	*blobs
	db  *index.DB
	log bytes.Buffer
}

func newWorld(t *testing.T, records func(*indextest.Tape)) *world {
	t.Helper()
	db, err := index.OpenSQLite(t.Context(), filepath.Join(t.TempDir(), "index.db"), index.Options{})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := db.Close(); err != nil {
			t.Error(err)
		}
	})
	tape := indextest.NewTape(t)
	records(tape)
	if err := db.Apply(t.Context(), tape.Records); err != nil {
		t.Fatal(err)
	}
	w := &world{blobs: &blobs{bytes: map[string][]byte{}, broken: map[string]error{}}, db: db}
	w.Handler = New(Config{
		Index: db, Blobs: w.blobs, Tenant: func(*http.Request) string { return "clinic" },
		Log: slog.New(slog.NewTextHandler(&w.log, nil)),
	})
	return w
}

func (w *world) get(target string, headers ...string) *httptest.ResponseRecorder {
	return w.do(http.MethodGet, target, headers...)
}

func (w *world) do(method, target string, headers ...string) *httptest.ResponseRecorder {
	r := httptest.NewRequest(method, target, nil)
	for i := 0; i+1 < len(headers); i += 2 {
		r.Header.Add(headers[i], headers[i+1])
	}
	rec := httptest.NewRecorder()
	w.ServeHTTP(rec, r)
	return rec
}

// scp is an original of ten bytes; the object made of it has the id "02".
var scp = indextest.Instance{
	Object: "01", Bytes: "0123456789", Attributes: map[string]string{"PatientID": "P7", "PatientName": "Zhang^San=张^三", "StudyDate": "20260301"},
	ECG: &event.ECG{
		Measurements: map[string]event.Measurement{"ventricular-rate": {Value: 42, Unit: "/min"}, "qrs-axis": {Value: -40, Unit: "deg"}},
		Statements:   []event.Statement{{Text: "急性心肌梗死"}}, Leads: []string{"I", "II"},
	},
	Findings: []string{"acute-mi"},
}

func made() indextest.Instance {
	body := scp.Original()
	return indextest.Instance{
		Object: "02", Bytes: "dicom", DerivedFrom: "01", SOP: scp.DerivedUID(), Study: body.IDs.StudyInstanceUID,
		Series: body.IDs.SeriesInstanceUID, Attributes: scp.Attributes, ECG: scp.ECG, Findings: scp.Findings, Received: indextest.Epoch.Add(time.Minute),
	}
}

func both(t *testing.T) *world {
	w := newWorld(t, func(tape *indextest.Tape) {
		tape.Kept(scp)
		tape.Stored(made())
		tape.Stored(indextest.Instance{Object: "03", SOP: "1.2.9", ECG: &event.ECG{}, Received: indextest.Epoch.Add(-time.Minute)})
	})
	w.bytes["blobs/01"] = []byte("0123456789")
	return w
}

func TestFile(t *testing.T) {
	w := both(t)
	for _, id := range []string{"01", "02", scp.DerivedUID(), scp.Original().IDs.SOPInstanceUID} {
		rec := w.get("/originals/" + id)
		h := rec.Header()
		if rec.Code != http.StatusOK || rec.Body.String() != "0123456789" || h.Get("Content-Type") != "application/x-scp-ecg" || h.Get("Content-Length") != "10" ||
			h.Get("ETag") != `"`+scp.Original().Blob.SHA256+`"` || h.Get("X-Content-Type-Options") != "nosniff" || h.Get("Accept-Ranges") != "bytes" {
			t.Errorf("%s: %d %q %v", id, rec.Code, rec.Body, h)
		}
		if got, want := h.Get("Content-Disposition"), `attachment; filename="____1.scp"; filename*=UTF-8''%E5%BF%83%E7%94%B5%E5%9B%BE%201.scp`; got != strings.Replace(want, "____1", "___ 1", 1) {
			t.Errorf("%s: Content-Disposition %s", id, got)
		}
	}
	w.asked = nil
	etag := w.get("/originals/01").Header().Get("ETag")
	for name, c := range map[string]struct {
		method  string
		headers []string
		status  int
		body    string
		length  string
		asked   string
	}{
		"head":             {http.MethodHead, nil, 200, "", "10", ""},
		"range":            {http.MethodGet, []string{"Range", "bytes=2-4"}, 206, "234", "3", "blobs/01 2 3"},
		"end":              {http.MethodGet, []string{"Range", "bytes=-4"}, 206, "6789", "4", "blobs/01 6 4"},
		"outside":          {http.MethodGet, []string{"Range", "bytes=10-"}, 416, "", "", ""},
		"several":          {http.MethodGet, []string{"Range", "bytes=0-1,3-4"}, 200, "0123456789", "10", "blobs/01 0 10"},
		"of this version":  {http.MethodGet, []string{"Range", "bytes=0-1", "If-Range", etag}, 206, "01", "2", "blobs/01 0 2"},
		"of another":       {http.MethodGet, []string{"Range", "bytes=0-1", "If-Range", `"x"`}, 200, "0123456789", "10", "blobs/01 0 10"},
		"known":            {http.MethodGet, []string{"If-None-Match", etag}, 304, "", "", ""},
		"head of a range":  {http.MethodHead, []string{"Range", "bytes=2-4"}, 206, "", "3", ""},
		"another's method": {http.MethodPost, nil, 405, "", "", ""},
	} {
		w.asked = nil
		rec := w.do(c.method, "/originals/01", c.headers...)
		if rec.Code != c.status || c.status < 300 && rec.Body.String() != c.body || rec.Header().Get("Content-Length") != c.length {
			t.Errorf("%s: %d %q, length %q", name, rec.Code, rec.Body, rec.Header().Get("Content-Length"))
		}
		if asked := strings.Join(w.asked, ";"); asked != c.asked {
			t.Errorf("%s: the store was asked for %q, want %q", name, asked, c.asked)
		}
	}
	if got := w.get("/originals/01", "Range", "bytes=2-4").Header().Get("Content-Range"); got != "bytes 2-4/10" {
		t.Errorf("Content-Range %q", got)
	}
	if w.open != 0 {
		t.Errorf("%d readers left open", w.open)
	}
	for _, id := range []string{"03", "04", "1.2.9", strings.Repeat("x", 4000), "%00"} {
		if rec := w.get("/originals/" + id); rec.Code != http.StatusNotFound || !strings.Contains(rec.Body.String(), "WADO-RS") {
			t.Errorf("%.10s: %d %s", id, rec.Code, rec.Body)
		}
	}
}

// TestBrokenFile: what fails before the first byte is an answer; behind it, the connection breaks before the client
// has all.
func TestBrokenFile(t *testing.T) {
	w := both(t)
	delete(w.bytes, "blobs/01")
	if rec := w.get("/originals/01"); rec.Code != http.StatusInternalServerError || rec.Header().Get("ETag") != "" || !strings.Contains(w.log.String(), "cannot be read") {
		t.Errorf("%d %v, log %s", rec.Code, rec.Header(), w.log.String())
	}
	w.broken["blobs/01"] = blob.ErrUnavailable
	if rec := w.get("/originals/01"); rec.Code != http.StatusServiceUnavailable || rec.Header().Get("Retry-After") == "" {
		t.Errorf("%d %v", rec.Code, rec.Header())
	}
	for name, data := range map[string]string{"wrong checksum": "0123456789", "short": "01234"} {
		w.bytes["blobs/01"], w.broken["blobs/01"] = []byte(data), blob.ErrCorrupt
		rec := w.get("/originals/01")
		if rec.Code != http.StatusInternalServerError || rec.Header().Get("Content-Type") != "application/json" || rec.Header().Get("Content-Disposition") != "" {
			t.Errorf("%s: %d %v", name, rec.Code, rec.Header())
		}
	}
	if w.open != 0 {
		t.Errorf("%d readers left open", w.open)
	}

	large := scp
	large.Bytes = strings.Repeat("0123456789", 20_000) // more than one piece
	w = newWorld(t, func(tape *indextest.Tape) { tape.Kept(large) })
	for name, length := range map[string]int{"wrong checksum": len(large.Bytes), "short": len(large.Bytes) / 2} {
		w.bytes["blobs/01"], w.broken["blobs/01"] = []byte(large.Bytes[:length]), blob.ErrCorrupt
		rec := httptest.NewRecorder()
		func() {
			defer func() {
				if p := recover(); p != http.ErrAbortHandler {
					t.Errorf("%s: panic %v", name, p)
				}
			}()
			w.ServeHTTP(rec, httptest.NewRequest(http.MethodGet, "/originals/01", nil))
		}()
		if rec.Body.Len() == 0 || rec.Body.Len() >= len(large.Bytes) {
			t.Errorf("%s: the client has %d bytes", name, rec.Body.Len())
		}
	}
	if w.open != 0 {
		t.Errorf("%d readers left open", w.open)
	}
}

func TestAbout(t *testing.T) {
	w := both(t)
	rec := w.get("/originals/02/about")
	var d description
	if err := json.Unmarshal(rec.Body.Bytes(), &d); err != nil || rec.Code != http.StatusOK {
		t.Fatalf("%d %s, %v", rec.Code, rec.Body, err)
	}
	if d.ID != "01" || d.Format != "scp-ecg" || d.Filename != "心电图 1.scp" || d.Instance != scp.DerivedUID() || d.Priority != "STAT" || d.Device != "cart-3" ||
		d.Patient.Name != "Zhang^San=张^三" || len(d.Findings) != 1 || !strings.Contains(string(d.ECG), "急性心肌梗死") || d.Links.Original != "/originals/01" ||
		d.Links.Instance != "/dicom-web/studies/"+d.Study+"/series/"+d.Series+"/instances/"+d.Instance {
		t.Errorf("%s", rec.Body)
	}
	alone := newWorld(t, func(tape *indextest.Tape) { tape.Kept(scp) })
	if body := alone.get("/originals/01/about").Body.String(); strings.Contains(body, `"instance"`) || !json.Valid([]byte(body)) {
		t.Errorf("before it is made: %s", body)
	}
}

func (w *world) ecgs(t *testing.T, query string) list {
	t.Helper()
	rec := w.get("/ecgs?" + query)
	var l list
	if err := json.Unmarshal(rec.Body.Bytes(), &l); err != nil || rec.Code != http.StatusOK {
		t.Fatalf("%s: %d %s, %v", query, rec.Code, rec.Body, err)
	}
	return l
}

func TestSearch(t *testing.T) {
	w := both(t)
	for query, want := range map[string]string{
		"":                                   "02 03",
		"priority=STAT":                      "02",
		"priority=stat&heart_rate=-50":       "02",
		"heart_rate=50-":                     "",
		"heart_rate=42":                      "02",
		"heart_rate=40-45.5&qtc=":            "02",
		"qrs_axis=-90..-30":                  "02",
		"qrs_axis=..-41":                     "",
		"statement=" + url.QueryEscape("梗死"): "02",
		"statement=x&statement=y":            "",
		"finding=acute-mi&lead=ii":           "02",
		"patient_id=p*":                      "02",
		"study=" + scp.Original().IDs.StudyInstanceUID: "02",
		"date=20260301-": "02",
		"paced=true":     "",
		"limit=100000":   "02 03",
	} {
		l := w.ecgs(t, query)
		var ids []string
		for _, r := range l.ECGs {
			ids = append(ids, r.ID)
		}
		if got := strings.Join(ids, " "); got != want || l.Next != "" {
			t.Errorf("%s: %q, want %q; next %q", query, got, want, l.Next)
		}
	}
	if body := w.get("/ecgs?priority=STAT&heart_rate=200-").Body.String(); body != `{"ecgs":[]}`+"\n" {
		t.Errorf("nothing found: %s", body)
	}
	r := w.ecgs(t, "priority=STAT").ECGs[0]
	if r.Instance != scp.DerivedUID() || r.Links.Original != "/originals/01" || r.Links.Instance == "" || r.Patient.ID != "P7" || r.StudyDate != "20260301" || len(r.ECG) == 0 {
		t.Errorf("%+v", r)
	}
	if r := w.ecgs(t, "patient_id=&limit=2").ECGs[1]; r.Links.Original != "" || r.Links.Instance == "" {
		t.Errorf("of an object that came as DICOM: %+v", r)
	}
	alone := newWorld(t, func(tape *indextest.Tape) { tape.Kept(scp) })
	if r := alone.ecgs(t, "priority=STAT").ECGs[0]; r.ID != "01" || r.Instance != "" || r.Links.Instance != "" || r.Links.Original != "/originals/01" {
		t.Errorf("before its object is made: %+v", r)
	}
}

func TestPages(t *testing.T) {
	w := newWorld(t, func(tape *indextest.Tape) {
		for i := range 7 {
			tape.Stored(indextest.Instance{Object: fmt.Sprintf("%02d+.&", i), SOP: fmt.Sprint("1.", i), ECG: &event.ECG{}})
		}
	})
	var ids []string
	query, pages := "limit=3&patient_id=*", 0
	for ; query != ""; pages++ {
		l := w.ecgs(t, query)
		for _, r := range l.ECGs {
			ids = append(ids, r.ID[:2])
		}
		_, query, _ = strings.Cut(l.Next, "?")
	}
	if want := []string{"06", "05", "04", "03", "02", "01", "00"}; !slices.Equal(ids, want) || pages != 3 {
		t.Errorf("%d pages, %v", pages, ids)
	}
}

func TestBadParameters(t *testing.T) {
	w := both(t)
	for _, query := range []string{
		"heart_rate=fast", "heart_rate=60-50", "heart_rate=-", "heart_rate=1e9", "heart_rate=NaN", "heart_rate=-90--30", "qtc=" + strings.Repeat("9", 400),
		"priority=URGENT", "finding=Acute", "paced=perhaps", "lead=a%5Cb", "study=1.2;x", "study=abc", "date=today", "date=20261301", "limit=0", "limit=x", "limit=-5",
		"before=x", "before=1", "colour=red", "heartrate=5", "limit=1&limit=2", "patient_id=" + strings.Repeat("*a", 40), "statement=%FF", "statement=a%00", "%zz",
		"statement=" + strings.Repeat("a", 2000), strings.Repeat("statement=a&", 20), "before=1." + strings.Repeat("a", 500), strings.Repeat("a", 20<<10),
	} {
		rec := w.get("/ecgs?" + query)
		var body map[string]string
		if err := json.Unmarshal(rec.Body.Bytes(), &body); rec.Code != http.StatusBadRequest || err != nil || body["error"] == "" {
			t.Errorf("%.40s: %d %s", query, rec.Code, rec.Body)
		}
	}
	if body := w.get("/ecgs?colour=red").Body.String(); !strings.Contains(body, "heart_rate") {
		t.Errorf("does not say what is allowed: %s", body)
	}
	for name := range ranges {
		if !strings.Contains(allowed, name) {
			t.Errorf("%s is not among the names for people", name)
		}
	}
	if rec := w.get("/other"); rec.Code != http.StatusNotFound {
		t.Errorf("another path: %d", rec.Code)
	}
}

// away is an index that fails, or never answers.
type away struct {
	err   error
	block bool
}

func (a away) wait(ctx context.Context) error {
	if a.block {
		<-ctx.Done()
		return ctx.Err()
	}
	return a.err
}

func (a away) Original(ctx context.Context, _, _ string) (index.Original, error) {
	return index.Original{}, a.wait(ctx)
}

func (a away) Recordings(ctx context.Context, _ index.RecordingQuery) ([]index.RecordingRow, error) {
	return nil, a.wait(ctx)
}

func TestIndexAway(t *testing.T) {
	for name, c := range map[string]struct {
		index  away
		status int
	}{
		"away":     {away{err: fmt.Errorf("secret: %w", index.ErrUnavailable)}, 503},
		"too slow": {away{err: fmt.Errorf("secret: %w", index.ErrTimeout)}, 503},
		"silent":   {away{block: true}, 503},
		"our bug":  {away{err: errors.New("secret")}, 500},
	} {
		synctest.Test(t, func(t *testing.T) {
			h := New(Config{Index: c.index, Blobs: &blobs{}})
			for _, target := range []string{"/ecgs", "/originals/1", "/originals/1/about"} {
				rec := httptest.NewRecorder()
				h.ServeHTTP(rec, httptest.NewRequest(http.MethodGet, target, nil))
				if rec.Code != c.status || (rec.Header().Get("Retry-After") != "") != (c.status == 503) || strings.Contains(rec.Body.String(), "secret") {
					t.Errorf("%s, %s: %d %v %s", name, target, rec.Code, rec.Header(), rec.Body)
				}
			}
		})
	}
}

func TestFileName(t *testing.T) {
	for sent, want := range map[string]string{
		"":                                "original-01",
		"a.scp":                           "a.scp",
		`C:\ECG\张三.scp`:                   "张三.scp",
		"../../etc/passwd":                "passwd",
		"..":                              "original-01",
		"x\r\nSet-Cookie: a=b":            "xSet-Cookie_ a=b",
		"a\"b;c.pdf":                      "a_b;c.pdf",
		"exe\u202efdp.scp":                "exefdp.scp",
		" . hidden . ":                    "hidden",
		"bad\xffutf8":                     "badutf8",
		strings.Repeat("心", 100) + ".scp": strings.Repeat("心", 58) + ".scp",
	} {
		if got := fileName(sent, "01"); got != want {
			t.Errorf("%q: %q, want %q", sent, got, want)
		}
	}
}

func FuzzDisposition(f *testing.F) {
	f.Add("心电图 1.scp")
	f.Add("a\"b\\c%41\r\n.pdf")
	f.Fuzz(func(t *testing.T, sent string) {
		name := fileName(sent, "01")
		if name == "" || len(name) > maxFileName || strings.ContainsAny(name, "/\\\x00\r\n\"") {
			t.Fatalf("%q becomes %q", sent, name)
		}
		got := disposition(name)
		if strings.ContainsFunc(got, func(r rune) bool { return r < ' ' || r > '~' }) || strings.Count(got, `"`) != 2 {
			t.Fatalf("%q: %s", name, got)
		}
		if _, encoded, found := strings.Cut(got, "filename*=UTF-8''"); found {
			if back, err := url.PathUnescape(encoded); err != nil || back != name {
				t.Fatalf("%q comes back as %q, %v", name, back, err)
			}
		}
	})
}

func FuzzParse(f *testing.F) {
	f.Add("heart_rate=-50&qtc=500-&statement=%E6%A2%97&before=1.x&limit=7")
	f.Add("qrs_axis=-90..-30&paced=1;a=%zz")
	f.Fuzz(func(t *testing.T, raw string) {
		q, err := parse(raw)
		var refused *failure
		if err != nil && (!errors.As(err, &refused) || refused.status != http.StatusBadRequest) {
			t.Fatalf("%q: %v", raw, err)
		}
		if err == nil && (q.Limit < 1 || q.Limit > MaxLimit || len(q.Statements) > maxStatements) {
			t.Fatalf("%q: %+v", raw, q)
		}
	})
}
