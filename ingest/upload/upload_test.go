package upload

import (
	"bytes"
	"context"
	"crypto/md5"
	"crypto/sha256"
	"crypto/sha512"
	"encoding/base64"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"io"
	"mime/multipart"
	"net/http"
	"net/http/httptest"
	"net/textproto"
	"strings"
	"sync"
	"testing"

	"github.com/tributary-dicom/tributary/ingest"
	"github.com/tributary-dicom/tributary/parsers/reject"
	"github.com/tributary-dicom/tributary/pipeline/event"
)

// fakeIntake does what the first word of an object says: a Status, "quarantined:CODE", "panic" or a
// reject.Code. All else is stored. While fail is set, it refuses everything with that.
type fakeIntake struct {
	mu   sync.Mutex
	kept []ingest.Arrival // Body is nil, SHA256 as received
	fail error
	hold chan struct{} // when set, Admit says here it is after reading, and waits to go on
}

func (f *fakeIntake) Admit(ctx context.Context, a ingest.Arrival) (ingest.Receipt, error) {
	f.mu.Lock()
	fail, hold := f.fail, f.hold
	f.mu.Unlock()
	if fail != nil {
		return ingest.Receipt{}, fail
	}
	b, err := io.ReadAll(a.Body)
	if err != nil {
		if reject.CodeOf(err) != reject.Internal {
			return ingest.Receipt{}, &reject.Error{Code: reject.CodeOf(err), Op: "fake", Offset: -1, Err: err}
		}
		return ingest.Receipt{}, err
	}
	if hold != nil {
		hold <- struct{}{} // here
		<-hold             // go on
	}
	if err := ctx.Err(); err != nil {
		return ingest.Receipt{}, reject.New(reject.Aborted, "fake", "cancelled")
	}
	if len(b) == 0 {
		return ingest.Receipt{}, reject.New(reject.Empty, "fake", "no bytes")
	}
	raw := sha256.Sum256(b)
	sum := hex.EncodeToString(raw[:])
	if a.SHA256 != "" && a.SHA256 != sum {
		return ingest.Receipt{}, reject.New(reject.ChecksumMismatch, "fake", "other bytes")
	}
	word, _, _ := strings.Cut(string(b[:min(len(b), 100)]), " ")
	word, code, _ := strings.Cut(word, ":")
	rec := ingest.Receipt{ID: "id-" + sum[:8], Format: "dicom", SHA256: sum, Bytes: int64(len(b)), Status: ingest.Stored}
	switch word {
	case "panic":
		panic("fake")
	case "duplicate", "conflict":
		rec.Status = ingest.Status(word)
	case "quarantined":
		rec.Status, rec.Reason = ingest.Quarantined, code
	default:
		for _, c := range reject.All() {
			if string(c) == word {
				return ingest.Receipt{}, reject.New(c, "fake", "as asked")
			}
		}
	}
	a.Body, a.SHA256 = nil, sum
	f.mu.Lock()
	defer f.mu.Unlock()
	f.kept = append(f.kept, a)
	return rec, nil
}

func (f *fakeIntake) set(fail error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.fail = fail
}

func (f *fakeIntake) count() int {
	f.mu.Lock()
	defer f.mu.Unlock()
	return len(f.kept)
}

func do(h http.Handler, method, url, body string, header ...string) *httptest.ResponseRecorder {
	r := httptest.NewRequest(method, url, strings.NewReader(body))
	for i := 0; i+1 < len(header); i += 2 {
		r.Header.Set(header[i], header[i+1])
	}
	w := httptest.NewRecorder()
	h.ServeHTTP(w, r)
	return w
}

func TestUpload(t *testing.T) {
	b64 := func(b []byte) string { return base64.StdEncoding.EncodeToString(b) }
	md, s2, s5 := md5.Sum([]byte("hello")), sha256.Sum256([]byte("hello")), sha512.Sum512([]byte("hello"))
	bad := sha256.Sum256([]byte("other"))
	for name, tc := range map[string]struct {
		body   string
		header []string
		code   int
		want   string // status and reason of the answer
	}{
		"stored":              {"hello", nil, 201, "stored"},
		"curl --data-binary":  {"hello", []string{"Content-Type", "application/x-www-form-urlencoded"}, 201, "stored"},
		"duplicate":           {"duplicate x", nil, 201, "duplicate"},
		"conflict":            {"conflict x", nil, 201, "conflict"},
		"quarantined":         {"quarantined:truncated x", nil, 201, "quarantined truncated"},
		"unknown format":      {"unsupported-format x", nil, 415, "refused unsupported-format"},
		"no storage object":   {"not-storage-object x", nil, 422, "refused not-storage-object"},
		"bad UID":             {"bad-uid x", nil, 400, "refused bad-uid"},
		"policy":              {"class-mismatch x", nil, 409, "refused class-mismatch"},
		"too large":           {strings.Repeat("x", 1001), nil, 413, "refused too-large"},
		"object too large":    {"too-large x", nil, 413, "refused too-large"},
		"store out":           {"out-of-resources x", nil, 503, "refused out-of-resources"},
		"our bug":             {"internal x", nil, 500, "refused internal"},
		"panic":               {"panic x", nil, 500, "refused internal"},
		"empty":               {"", nil, 400, "refused empty"},
		"gzip":                {"hello", []string{"Content-Encoding", "gzip"}, 415, "refused unsupported-format"},
		"Content-MD5":         {"hello", []string{"Content-MD5", b64(md[:])}, 201, "stored"},
		"wrong Content-MD5":   {"hullo", []string{"Content-MD5", b64(md[:])}, 400, "refused checksum-mismatch"},
		"broken Content-MD5":  {"hello", []string{"Content-MD5", "!"}, 400, "refused checksum-mismatch"},
		"Digest":              {"hello", []string{"Digest", "SHA-256=" + b64(s2[:]) + ",unixsum=30637"}, 201, "stored"},
		"wrong Digest":        {"hello", []string{"Digest", "sha-256=" + b64(bad[:])}, 400, "refused checksum-mismatch"},
		"Repr-Digest":         {"hello", []string{"Repr-Digest", "sha-512=:" + b64(s5[:]) + ":, sha-256=:" + b64(s2[:]) + ":"}, 201, "stored"},
		"wrong Repr-Digest":   {"hullo", []string{"Repr-Digest", "sha-512=:" + b64(s5[:]) + ":"}, 400, "refused checksum-mismatch"},
		"X-Content-SHA256":    {"hello", []string{"X-Content-SHA256", strings.ToUpper(hex.EncodeToString(s2[:]))}, 201, "stored"},
		"wrong SHA256":        {"hello", []string{"X-Content-SHA256", hex.EncodeToString(bad[:])}, 400, "refused checksum-mismatch"},
		"short SHA256":        {"hello", []string{"X-Content-SHA256", "abcd"}, 400, "refused checksum-mismatch"},
		"contradicting sums":  {"hello", []string{"X-Content-SHA256", hex.EncodeToString(bad[:]), "Digest", "sha-256=" + b64(s2[:])}, 400, "refused checksum-mismatch"},
		"form, no boundary":   {"hello", []string{"Content-Type", "multipart/form-data"}, 400, "refused malformed"},
		"form with a digest":  {"hello", []string{"Content-Type", "multipart/form-data; boundary=b", "Content-MD5", b64(md[:])}, 400, "refused checksum-mismatch"},
		"form, nothing in it": {"--b--", []string{"Content-Type", "multipart/form-data; boundary=b"}, 400, "refused empty"},
	} {
		t.Run(name, func(t *testing.T) {
			f := &fakeIntake{}
			w := do(New(Config{Admitter: f, MaxBytes: 1000}), "POST", "/upload", tc.body, tc.header...)
			var m map[string]any
			if err := json.Unmarshal(w.Body.Bytes(), &m); err != nil {
				t.Fatal(err)
			}
			got := fmt.Sprint(m["status"])
			if m["reason"] != nil {
				got += " " + fmt.Sprint(m["reason"])
			}
			if w.Code != tc.code || got != tc.want {
				t.Errorf("%d %s (%v), want %d %s", w.Code, got, m["detail"], tc.code, tc.want)
			}
			if _, has := m["id"]; !has {
				t.Error("answer without id")
			}
			if (tc.code == 201) != (len(f.kept) == 1) {
				t.Errorf("kept %d", len(f.kept))
			}
			if (w.Header().Get("Retry-After") != "") != (tc.code == 503) || w.Header().Get("Content-Type") != "application/json" {
				t.Errorf("header %v", w.Header())
			}
		})
	}
	if w := do(New(Config{}), "GET", "/upload", ""); w.Code != 405 {
		t.Errorf("GET: %d", w.Code)
	}
	if w := do(New(Config{Admitter: &fakeIntake{}}), "PUT", "/upload", "hello"); w.Code != 201 {
		t.Errorf("PUT: %d", w.Code)
	}
}

func TestBrokenOff(t *testing.T) {
	for _, contentType := range []string{"", "multipart/form-data; boundary=b"} {
		f := &fakeIntake{}
		body := io.MultiReader(strings.NewReader("--b\r\nContent-Disposition: form-data; name=f; filename=x\r\n\r\nhello"), &failing{io.ErrUnexpectedEOF})
		r := httptest.NewRequest("POST", "/upload", body)
		r.Header.Set("Content-Type", contentType)
		w := httptest.NewRecorder()
		New(Config{Admitter: f}).ServeHTTP(w, r)
		if w.Code != 400 || !strings.Contains(w.Body.String(), `"aborted"`) || len(f.kept) != 0 {
			t.Errorf("%q: %d %s, kept %d", contentType, w.Code, w.Body, len(f.kept))
		}
	}
}

type failing struct{ err error }

func (f *failing) Read([]byte) (int, error) { return 0, f.err }

func TestOrigin(t *testing.T) {
	for name, tc := range map[string]struct {
		header   []string
		identify event.Origin
		want     event.Origin
	}{
		"all":          {[]string{"X-Filename", "a.dcm", "X-Device", "us-7", "X-Facility", "clinic"}, event.Origin{}, event.Origin{Filename: "a.dcm", Device: "us-7", Facility: "clinic"}},
		"no paths":     {[]string{"X-Filename", "../../etc/passwd"}, event.Origin{}, event.Origin{Filename: "passwd"}},
		"Windows path": {[]string{"X-Filename", `C:\ecg\a.xml`}, event.Origin{}, event.Origin{Filename: "a.xml"}},
		"dots":         {[]string{"X-Filename", ".."}, event.Origin{}, event.Origin{}},
		"encoded":      {[]string{"X-Filename", "%E5%BC%A0.dcm"}, event.Origin{}, event.Origin{Filename: "张.dcm"}},
		"encoded path": {[]string{"X-Filename", "..%2f..%2fx"}, event.Origin{}, event.Origin{Filename: "x"}},
		"disposition":  {[]string{"Content-Disposition", `attachment; filename="/tmp/b.scp"`}, event.Origin{}, event.Origin{Filename: "b.scp"}},
		"RFC 5987":     {[]string{"Content-Disposition", `attachment; filename*=UTF-8''%e5%bc%a0.scp`}, event.Origin{}, event.Origin{Filename: "张.scp"}},
		"controls":     {[]string{"X-Filename", "a%0d%0ab%00c", "X-Device", strings.Repeat("x", 100)}, event.Origin{}, event.Origin{Filename: "abc", Device: strings.Repeat("x", 64)}},
		"identified":   {[]string{"X-Device", "liar"}, event.Origin{Device: "us-7"}, event.Origin{Device: "us-7"}},
	} {
		f := &fakeIntake{}
		h := New(Config{Admitter: f, Identify: func(*http.Request) (string, event.Origin) { return "county", tc.identify }})
		do(h, "POST", "/upload", "hello", tc.header...)
		if len(f.kept) != 1 {
			t.Errorf("%s: not kept", name)
			continue
		}
		tc.want.Door, tc.want.Remote = "upload", "192.0.2.1:1234"
		if got := f.kept[0]; got.Origin != tc.want || got.Tenant != "county" {
			t.Errorf("%s: %+v, want %+v", name, got.Origin, tc.want)
		}
	}
}

func TestForm(t *testing.T) {
	file := func(name, body string, more ...string) []string { return append([]string{name, body}, more...) }
	for name, tc := range map[string]struct {
		files [][]string // name ("" for a field), body, extra header lines
		code  int
		want  string
	}{
		"two":           {[][]string{file("a", "hello"), file("b", "duplicate x")}, 201, "stored duplicate"},
		"field between": {[][]string{file("a", "hello"), file("", "a field"), file("c", "hello "+strings.Repeat("x", 3<<20)), file("b", "conflict x")}, 201, "stored stored conflict"},
		"one bad":       {[][]string{file("a", "hello"), file("b", "unsupported-format x"), file("c", "quarantined:truncated x")}, 207, "stored refused quarantined"},
		"all bad":       {[][]string{file("a", "unsupported-format x"), file("b", "bad-uid x")}, 415, "refused refused"},
		"store out":     {[][]string{file("a", "out-of-resources x")}, 503, "refused"},
		"checksum":      {[][]string{file("a", "hello", "X-Content-SHA256", strings.Repeat("ab", 32)), file("b", "x")}, 207, "refused stored"},
		"bad checksum":  {[][]string{file("a", "hello", "Content-Md5", "?")}, 400, "refused"},
		"panic":         {[][]string{file("a", "panic x"), file("b", "hello")}, 207, "refused stored"},
		"empty file":    {[][]string{file("a", "")}, 400, "refused"},
		"too many":      {[][]string{file("a", "x"), file("b", "y"), file("c", "z"), file("d", "x"), file("e", "y"), file("f", "z")}, 207, "stored stored stored stored stored refused"},
	} {
		t.Run(name, func(t *testing.T) {
			var buf bytes.Buffer
			mw := multipart.NewWriter(&buf)
			for _, f := range tc.files {
				h := textproto.MIMEHeader{"Content-Disposition": {`form-data; name="file"; filename="` + f[0] + `"`}}
				if f[0] == "" {
					h.Set("Content-Disposition", `form-data; name="note"`)
				}
				if len(f) > 2 {
					h[f[2]] = []string{f[3]}
				}
				p, err := mw.CreatePart(h)
				if err != nil {
					t.Fatal(err)
				}
				io.WriteString(p, f[1])
			}
			mw.Close()
			f := &fakeIntake{}
			w := do(New(Config{Admitter: f, MaxFiles: 5}), "POST", "/upload", buf.String(), "Content-Type", mw.FormDataContentType())
			var answers []struct {
				Status string `json:"status"`
			}
			if err := json.Unmarshal(w.Body.Bytes(), &answers); err != nil {
				t.Fatalf("%s: %v", w.Body, err)
			}
			var got []string
			for _, a := range answers {
				got = append(got, a.Status)
			}
			if w.Code != tc.code || strings.Join(got, " ") != tc.want {
				t.Errorf("%d %s, want %d %s", w.Code, got, tc.code, tc.want)
			}
			for _, a := range f.kept {
				if a.Origin.Filename == "" {
					t.Error("file name lost")
				}
			}
		})
	}
}
