package stowrs

import (
	"bufio"
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"encoding/xml"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/tributary-dicom/tributary/ingest"
	"github.com/tributary-dicom/tributary/ingest/httpbody"
	"github.com/tributary-dicom/tributary/parsers/reject"
	"github.com/tributary-dicom/tributary/pipeline/event"
)

// fakeIntake does what the first words of an object say: "OUTCOME INSTANCE", where OUTCOME is a Status,
// "blemish", "quarantined:CODE", "panic" or a reject.Code. All else is stored.
type fakeIntake struct {
	mu     sync.Mutex
	kept   map[string]string // instance → hex SHA-256
	last   ingest.Arrival
	before func() // called by each Admit
}

func (f *fakeIntake) Admit(ctx context.Context, a ingest.Arrival) (ingest.Receipt, error) {
	if f.before != nil {
		f.before()
	}
	b, err := io.ReadAll(a.Body)
	if err != nil {
		return ingest.Receipt{}, err
	}
	if a.MaxBytes > 0 && int64(len(b)) > a.MaxBytes {
		return ingest.Receipt{}, reject.New(reject.TooLarge, "fake", "too large")
	}
	words := strings.Fields(string(b[:min(len(b), 200)]))
	if len(words) < 2 {
		words = []string{"malformed", ""}
	}
	sum := sha256.Sum256(b)
	rec := ingest.Receipt{ID: "id-" + words[1], Status: ingest.Stored, SHA256: hex.EncodeToString(sum[:]), Study: "1.2", Series: "1.2.3", Instance: words[1], SOPClass: "1.2.840.10008.5.1.4.1.1.7"}
	outcome, code, _ := strings.Cut(words[0], ":")
	switch outcome {
	case "panic":
		panic("fake")
	case "blemish":
		rec.Warnings = []string{"odd-length"}
	case "quarantined":
		rec.Status, rec.Reason = ingest.Quarantined, code
		if code == string(reject.MissingUID) {
			rec.Instance = ""
		}
	case "stored", "duplicate", "conflict":
		rec.Status = ingest.Status(outcome)
	case string(reject.StudyMismatch):
		return rec, reject.New(reject.StudyMismatch, "fake", "other study")
	default:
		return ingest.Receipt{}, reject.New(reject.Code(outcome), "fake", "refused")
	}
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.kept == nil {
		f.kept = map[string]string{}
	}
	f.kept[words[1]], f.last = rec.SHA256, a
	return rec, nil
}

func related(parts ...string) string {
	var b strings.Builder
	for _, p := range parts {
		b.WriteString("--b\r\nContent-Type: application/dicom\r\n\r\n" + p + "\r\n")
	}
	return b.String() + "--b--\r\n"
}

const relatedType = `multipart/related; type="application/dicom"; boundary=b`

func post(h http.Handler, url, contentType, body string, header ...string) *httptest.ResponseRecorder {
	r := httptest.NewRequest("POST", url, strings.NewReader(body))
	r.Header.Set("Content-Type", contentType)
	for i := 0; i+1 < len(header); i += 2 {
		r.Header.Set(header[i], header[i+1])
	}
	w := httptest.NewRecorder()
	h.ServeHTTP(w, r)
	return w
}

// summary renders an answer as "study URL;failed 1.2=C000;stored 1.3,1.4=B007;other C000".
func summary(t *testing.T, body []byte) string {
	t.Helper()
	type attr struct {
		VR    string            `json:"vr"`
		Value []json.RawMessage `json:"Value"`
	}
	var ds map[string]attr
	if err := json.Unmarshal(body, &ds); err != nil {
		t.Fatalf("answer %q: %v", body, err)
	}
	text := func(m map[string]attr, tag string) string {
		if len(m[tag].Value) == 0 {
			return ""
		}
		return strings.Trim(string(m[tag].Value[0]), `"`)
	}
	hexOf := func(s string) string {
		var n int
		fmt.Sscan(s, &n)
		return fmt.Sprintf("%04X", n)
	}
	out := []string{"study " + text(ds, "00081190")}
	for _, seq := range []struct{ tag, name, reason string }{{"00081198", "failed", "00081197"}, {"00081199", "stored", "00081196"}, {"0008119A", "other", "00081197"}} {
		var items []string
		for _, raw := range ds[seq.tag].Value {
			var m map[string]attr
			if err := json.Unmarshal(raw, &m); err != nil {
				t.Fatal(err)
			}
			s := text(m, "00081155")
			if seq.name == "stored" && !strings.HasSuffix(text(m, "00081190"), "/studies/1.2/series/1.2.3/instances/"+s) {
				t.Errorf("Retrieve URL of %s: %s", s, text(m, "00081190"))
			}
			if v := text(m, seq.reason); v != "" {
				s += "=" + hexOf(v)
			}
			items = append(items, s)
		}
		if items != nil {
			out = append(out, seq.name+" "+strings.Join(items, ","))
		}
	}
	return strings.Join(out, ";")
}

func TestOutcomes(t *testing.T) {
	const study = "study http://example.com/dicom-web/studies/1.2"
	long := "stored 1.9 " + strings.Repeat("x", 3<<20)
	for name, tc := range map[string]struct {
		parts []string
		code  int
		want  string
	}{
		"one":                   {[]string{"stored 1.1"}, 200, study + ";stored 1.1"},
		"order":                 {[]string{"stored 1.1", long, "duplicate 1.3", "stored 1.4"}, 200, study + ";stored 1.1,1.9,1.3,1.4"},
		"one bad of three":      {[]string{"stored 1.1", "bad-uid 1.2", "stored 1.3"}, 202, study + ";stored 1.1,1.3;other =0117"},
		"blemish":               {[]string{"stored 1.1", "blemish 1.2"}, 202, study + ";stored 1.1,1.2=B007"},
		"conflict":              {[]string{"conflict 1.1"}, 202, study + ";stored 1.1=B000"},
		"quarantined":           {[]string{"quarantined:truncated 1.1", "stored 1.2"}, 202, study + ";failed 1.1=C000;stored 1.2"},
		"only quarantined":      {[]string{"quarantined:uid-contradiction 1.1"}, 409, "study ;failed 1.1=A900"},
		"quarantined, no UID":   {[]string{"quarantined:missing-uid 1.1"}, 409, "study ;other =C000"},
		"study mismatch":        {[]string{"study-mismatch 1.1", "stored 1.2"}, 202, study + ";failed 1.1=A900;stored 1.2"},
		"all of another study":  {[]string{"study-mismatch 1.1", "study-mismatch 1.2"}, 409, "study ;failed 1.1=A900,1.2=A900"},
		"store is out":          {[]string{"out-of-resources 1.1", "out-of-resources 1.2"}, 503, "study ;other =A700,=A700"},
		"store went out":        {[]string{"stored 1.1", "out-of-resources 1.2"}, 202, study + ";stored 1.1;other =A700"},
		"all too large":         {[]string{"too-large 1.1"}, 413, "study ;other =A700"},
		"all forbidden":         {[]string{"not-authorized 1.1"}, 403, "study ;other =0124"},
		"failures of two kinds": {[]string{"not-authorized 1.1", "bad-uid 1.2"}, 409, "study ;other =0124,=0117"},
		"panic":                 {[]string{"panic 1.1", "stored 1.2"}, 202, study + ";stored 1.2;other =0110"},
		"empty part":            {[]string{"", "stored 1.2"}, 202, study + ";stored 1.2;other =C000"},
	} {
		t.Run(name, func(t *testing.T) {
			w := post(New(Config{Admitter: &fakeIntake{}}), "/dicom-web/studies", relatedType, related(tc.parts...))
			if got := summary(t, w.Body.Bytes()); w.Code != tc.code || got != tc.want {
				t.Errorf("%d %s\nwant %d %s", w.Code, got, tc.code, tc.want)
			}
			if ct := w.Header().Get("Content-Type"); ct != typeJSON {
				t.Errorf("Content-Type %s", ct)
			}
			if (w.Header().Get("Retry-After") != "") != (tc.code == 503) {
				t.Errorf("Retry-After %q", w.Header().Get("Retry-After"))
			}
			if (w.Header().Get("Warning") != "") != strings.Contains(strings.Join(tc.parts, ""), "quarantined") {
				t.Errorf("Warning %q", w.Header().Get("Warning"))
			}
		})
	}
}

func TestBytesArriveUnchanged(t *testing.T) {
	f := &fakeIntake{}
	want := map[string]string{}
	var parts []string
	for i, n := range []int{10, 127 << 10, 128 << 10, 1 << 20, 1<<20 + 1, 5 << 20} {
		p := fmt.Sprintf("stored 1.%d ", i) + strings.Repeat("\r\n--bx-", n/7)
		sum := sha256.Sum256([]byte(p))
		want[fmt.Sprintf("1.%d", i)] = hex.EncodeToString(sum[:])
		parts = append(parts, p)
	}
	w := post(New(Config{Admitter: f}), "/dicom-web/studies/1.2", relatedType, related(parts...))
	if w.Code != 200 || fmt.Sprint(f.kept) != fmt.Sprint(want) {
		t.Errorf("%d, kept %v, want %v", w.Code, f.kept, want)
	}
	if f.last.StudyInstanceUID != "1.2" || f.last.Origin.Door != "stow" || f.last.Origin.Remote == "" {
		t.Errorf("arrival %+v", f.last)
	}
}

func TestRequests(t *testing.T) {
	one := related("stored 1.1")
	for name, tc := range map[string]struct {
		url, contentType, body string
		header                 []string
		code                   int
	}{
		"type without quotes": {"", "multipart/related; type=application/dicom; boundary=b", one, nil, 200},
		"quoted boundary":     {"", `multipart/related; type="application/dicom"; boundary="b"`, one, nil, 200},
		"no type":             {"", "multipart/related; boundary=b", one, nil, 200},
		"single":              {"", "application/dicom", "stored 1.1", nil, 200},
		"single, with syntax": {"", "application/dicom; transfer-syntax=1.2.840.10008.1.2.1", "stored 1.1", nil, 200},
		"part without type":   {"", relatedType, "--b\r\n\r\nstored 1.1\r\n--b--", nil, 200},
		"Content-Location":    {"", relatedType, "--b\r\nContent-Location: http://127.0.0.1:1/x\r\n\r\nstored 1.1\r\n--b--", nil, 200},
		"trailing slash":      {"/dicom-web/studies/1.2/", relatedType, one, nil, 200},
		"any answer":          {"", relatedType, one, []string{"Accept", "*/*"}, 200},
		"plain JSON":          {"", relatedType, one, []string{"Accept", "application/json"}, 200},
		"accept in the query": {"/dicom-web/studies?accept=application/dicom%2Bjson", relatedType, one, []string{"Accept", "text/html"}, 200},
		"identity":            {"", relatedType, one, []string{"Content-Encoding", "identity"}, 200},

		"no acceptable answer": {"", relatedType, one, []string{"Accept", "text/html"}, 406},
		"bad study":            {"/dicom-web/studies/..%2f..%2fetc", relatedType, one, nil, 400},
		"bad study characters": {"/dicom-web/studies/1.2a", relatedType, one, nil, 400},
		"long study":           {"/dicom-web/studies/1." + strings.Repeat("2", 63), relatedType, one, nil, 400},
		"gzip":                 {"", relatedType, one, []string{"Content-Encoding", "gzip"}, 415},
		"no Content-Type":      {"", "", one, nil, 415},
		"form":                 {"", "multipart/form-data; boundary=b", one, nil, 415},
		"JSON metadata":        {"", `multipart/related; type="application/dicom+json"; boundary=b`, one, nil, 415},
		"JSON part":            {"", relatedType, "--b\r\nContent-Type: application/dicom+json\r\n\r\n[]\r\n--b--", nil, 415},
		"base64 part":          {"", relatedType, "--b\r\nContent-Transfer-Encoding: base64\r\n\r\nAAAA\r\n--b--", nil, 415},
		"no boundary":          {"", "multipart/related; type=application/dicom", one, nil, 400},
		"long boundary":        {"", "multipart/related; boundary=" + strings.Repeat("b", 70_000), one, nil, 400},
		"odd boundary":         {"", `multipart/related; boundary="b\"c"`, one, nil, 400},
		"no body":              {"", relatedType, "", nil, 400},
		"no parts":             {"", relatedType, "--b--\r\n", nil, 400},
		"not multipart":        {"", relatedType, "stored 1.1", nil, 400},
		"other boundary":       {"", "multipart/related; boundary=c", one, nil, 400},
		"cut in the only part": {"", relatedType, "--b\r\n\r\nstored 1.1", nil, 400},
		"header bomb":          {"", relatedType, "--b\r\n" + strings.Repeat("A: b\r\n", 100_000) + "\r\nx\r\n--b--", nil, 400},
		"too large":            {"", relatedType, related(strings.Repeat("x", 5<<20)), nil, 413},
	} {
		t.Run(name, func(t *testing.T) {
			f := &fakeIntake{}
			url := tc.url
			if url == "" {
				url = "/dicom-web/studies"
			}
			w := post(New(Config{Admitter: f, MaxBytes: 4 << 20}), url, tc.contentType, tc.body, tc.header...)
			if w.Code != tc.code {
				t.Errorf("%d %s, want %d", w.Code, w.Body, tc.code)
			}
			if tc.code == 200 && len(f.kept) != 1 || tc.code != 200 && len(f.kept) != 0 {
				t.Errorf("kept %v", f.kept)
			}
		})
	}
	if w := httptest.NewRecorder(); true {
		New(Config{}).ServeHTTP(w, httptest.NewRequest("GET", "/dicom-web/studies", nil))
		if w.Code != 405 || w.Header().Get("Allow") != "POST" {
			t.Errorf("GET: %d", w.Code)
		}
	}
}

// TestBrokenBodies has something durable before the body breaks: that must be told.
func TestBrokenBodies(t *testing.T) {
	whole := "--b\r\n\r\nstored 1.1\r\n"
	for name, tc := range map[string]struct{ body, want string }{
		"no closing boundary":    {whole + "--b\r\n\r\nstored 1.2\r\n", "stored 1.1;other =0110"},
		"cut in a header":        {whole + "--b\r\nContent-T", "stored 1.1;other =0110"},
		"cut after a boundary":   {whole + "--b", "stored 1.1;other =C000"},
		"cut in a long part":     {whole + "--b\r\n\r\nstored 1.2 " + strings.Repeat("x", 2<<20), "stored 1.1;other =0110"},
		"nonsense at a boundary": {whole + "--b nonsense\r\n\r\nstored 1.2\r\n--b--", "stored 1.1;other =C000"},
		"over the limit":         {whole + "--b\r\n\r\nstored 1.2 " + strings.Repeat("x", 5<<20) + "\r\n--b--", "stored 1.1;other =A700"},
		"too many parts":         {strings.Repeat(whole, 5), "stored 1.1,1.1,1.1,1.1;other =A700"},
		"JSON part":              {whole + "--b\r\nContent-Type: application/dicom+json\r\n\r\n[]\r\n--b\r\n\r\nstored 1.2\r\n--b--", "stored 1.1,1.2;other =C000"},
		"quarantined before":     {"--b\r\n\r\nquarantined:truncated 1.1\r\n--b\r\n\r\nstored 1.2", "failed 1.1=C000;other =0110"},
	} {
		t.Run(name, func(t *testing.T) {
			r := httptest.NewRequest("POST", "/dicom-web/studies", io.NopCloser(strings.NewReader(tc.body)))
			r.ContentLength = -1
			r.Header.Set("Content-Type", relatedType)
			w := httptest.NewRecorder()
			New(Config{Admitter: &fakeIntake{}, MaxBytes: 4 << 20, MaxParts: 4}).ServeHTTP(w, r)
			_, got, _ := strings.Cut(summary(t, w.Body.Bytes()), ";")
			want := 202
			if strings.HasPrefix(tc.want, "failed") {
				want = 409
			}
			if w.Code != want || got != tc.want {
				t.Errorf("%d %s, want %d %s", w.Code, got, want, tc.want)
			}
		})
	}
}

func TestXML(t *testing.T) {
	w := post(New(Config{Admitter: &fakeIntake{}, BaseURL: "https://h/a&b/"}), "/dicom-web/studies", relatedType,
		related("stored 1.1", "study-mismatch <1.2>", "bad-uid 1.3"), "Accept", "application/dicom+xml, application/dicom+json;q=0.5")
	type node struct {
		Tag      string `xml:"tag,attr"`
		VR       string `xml:"vr,attr"`
		Keyword  string `xml:"keyword,attr"`
		Value    string `xml:"Value"`
		Children []struct {
			Number int `xml:"number,attr"`
			Attrs  []struct {
				Tag   string `xml:"tag,attr"`
				Value string `xml:"Value"`
			} `xml:"DicomAttribute"`
		} `xml:"Item"`
	}
	var m struct {
		XMLName xml.Name `xml:"http://dicom.nema.org/PS3.19/models/NativeDICOM NativeDicomModel"`
		Attrs   []node   `xml:"DicomAttribute"`
	}
	if err := xml.Unmarshal(w.Body.Bytes(), &m); err != nil || w.Code != 202 || w.Header().Get("Content-Type") != typeXML {
		t.Fatalf("%d %s: %v", w.Code, w.Header().Get("Content-Type"), err)
	}
	if got, want := fmt.Sprint(m.Attrs), "[{00081190 UR RetrieveURL https://h/a&b/studies/1.2 []} "+
		"{00081198 SQ FailedSOPSequence  [{1 [{00081150 1.2.840.10008.5.1.4.1.1.7} {00081155 <1.2>} {00081197 43264}]}]} "+
		"{00081199 SQ ReferencedSOPSequence  [{1 [{00081150 1.2.840.10008.5.1.4.1.1.7} {00081155 1.1} {00081190 https://h/a&b/studies/1.2/series/1.2.3/instances/1.1}]}]} "+
		"{0008119A SQ OtherFailuresSequence  [{1 [{00081197 279}]}]}]"; got != want {
		t.Errorf("got  %s\nwant %s", got, want)
	}
}

func TestPartsAreAdmittedSideBySide(t *testing.T) {
	var wg sync.WaitGroup
	wg.Add(8) // each admission waits for the others
	f := &fakeIntake{before: func() { wg.Done(); wg.Wait() }}
	var parts []string
	for i := range 8 {
		parts = append(parts, fmt.Sprintf("stored 1.%d", i))
	}
	if w := post(New(Config{Admitter: f}), "/dicom-web/studies", relatedType, related(parts...)); w.Code != 200 {
		t.Errorf("%d %s", w.Code, w.Body)
	}
}

func TestIdentify(t *testing.T) {
	f := &fakeIntake{}
	h := New(Config{Admitter: f, Identify: func(*http.Request) (string, event.Origin) {
		return "county", event.Origin{Device: "us-7", Facility: "clinic"}
	}})
	post(h, "/dicom-web/studies", relatedType, related("stored 1.1"))
	if f.last.Tenant != "county" || f.last.Origin.Device != "us-7" || f.last.Origin.Door != "stow" {
		t.Errorf("arrival %+v", f.last)
	}
}

// TestConnections needs real connections: expectations, stalls and peers that leave.
func TestConnections(t *testing.T) {
	f := &fakeIntake{}
	answered := make(chan struct{}, 1)
	h := New(Config{Admitter: f, MaxBytes: 1 << 20, Pace: httpbody.Pace{Stall: 400 * time.Millisecond}})
	srv := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		h.ServeHTTP(w, r)
		answered <- struct{}{}
	}))
	defer srv.Close()
	head := func(length int, more string) string {
		return fmt.Sprintf("POST /dicom-web/studies HTTP/1.1\r\nHost: x\r\nContent-Type: %s\r\nContent-Length: %d\r\n%s\r\n", relatedType, length, more)
	}
	for name, tc := range map[string]struct {
		send  string
		leave bool
		code  int
	}{
		"refused before the body": {head(10<<30, "Expect: 100-continue\r\n"), false, 413},
		"stalls in a part":        {head(1000, "") + "--b\r\n\r\nstored 1.1", false, 408},
		"leaves in a part":        {head(1000, "") + "--b\r\n\r\nstored 1.2", true, 0},
	} {
		c, err := net.Dial("tcp", srv.Listener.Addr().String())
		if err != nil {
			t.Fatal(err)
		}
		io.WriteString(c, tc.send)
		if tc.leave {
			c.Close()
		}
		<-answered
		if !tc.leave {
			res, err := http.ReadResponse(bufio.NewReader(c), nil)
			if err != nil || res.StatusCode != tc.code {
				t.Errorf("%s: %v, %v", name, res, err)
			}
		}
		c.Close()
	}
	if len(f.kept) != 0 {
		t.Errorf("kept %v", f.kept)
	}
	body := []byte(related("stored 1.3"))
	req, _ := http.NewRequest("POST", srv.URL+"/dicom-web/studies", bytes.NewReader(body))
	req.Header.Set("Content-Type", relatedType)
	req.Header.Set("Expect", "100-continue")
	res, err := http.DefaultClient.Do(req)
	if err != nil || res.StatusCode != 200 {
		t.Fatalf("%v, %v", res, err)
	}
	res.Body.Close()
}

// FuzzStore checks that no body makes the door panic, lie or answer what is no answer.
func FuzzStore(f *testing.F) {
	f.Add([]byte(related("stored 1.1", "quarantined:truncated 1.2", "bad-uid 1.3")), relatedType)
	f.Add([]byte("stored 1.1"), "application/dicom")
	f.Add([]byte("--b\r\n\r\nstored 1.1\r\n"), "multipart/related; boundary=b")
	f.Fuzz(func(t *testing.T, body []byte, contentType string) {
		in := &fakeIntake{}
		w := post(New(Config{Admitter: in}), "/dicom-web/studies", contentType, string(body))
		if !json.Valid(w.Body.Bytes()) {
			t.Fatalf("%d %q", w.Code, w.Body)
		}
		if w.Code == 200 && len(in.kept) == 0 {
			t.Fatal("success without anything kept")
		}
	})
}
