package web

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/tributary-dicom/tributary/storage/index"
	"github.com/tributary-dicom/tributary/storage/index/indextest"
)

// watched is an index that notes what it is asked, and fails with err when that is set.
type watched struct {
	*index.DB
	err     error
	queries []index.Query
}

func (w *watched) Search(ctx context.Context, q index.Query) ([]index.Row, error) {
	w.queries = append(w.queries, q)
	if w.err != nil {
		return nil, w.err
	}
	return w.DB.Search(ctx, q)
}

// site is the pages over an index that has what a tape was given.
type site struct {
	http.Handler
	index *watched
}

var noon = time.Date(2026, 3, 1, 12, 0, 0, 0, time.Local)

func newSite(t *testing.T, fill func(*indextest.Tape), change ...func(*Config)) *site {
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
	fill(tape)
	if len(tape.Records) > 0 {
		if err := db.Apply(t.Context(), tape.Records); err != nil {
			t.Fatal(err)
		}
	}
	s := &site{index: &watched{DB: db}}
	cfg := Config{
		Index: s.index, States: db, Tenant: func(*http.Request) string { return "clinic" },
		Now: func() time.Time { return noon }, Operators: OperatorsConfig{Desk: db},
	}
	for _, fn := range change {
		fn(&cfg)
	}
	s.Handler = New(cfg)
	return s
}

// get asks for a page in English, unless headers say otherwise.
func (s *site) get(target string, headers ...string) *httptest.ResponseRecorder {
	r := httptest.NewRequest(http.MethodGet, target, nil)
	r.Header.Set("Accept-Language", "en")
	for i := 0; i+1 < len(headers); i += 2 {
		r.Header.Set(headers[i], headers[i+1])
	}
	rec := httptest.NewRecorder()
	s.ServeHTTP(rec, r)
	return rec
}

// has fails the test when a page lacks a part.
func has(t *testing.T, rec *httptest.ResponseRecorder, parts ...string) {
	t.Helper()
	for _, part := range parts {
		if !strings.Contains(rec.Body.String(), part) {
			t.Errorf("there is no %q in %d %s", part, rec.Code, rec.Body)
		}
	}
}

// lacks fails the test when a page has a part.
func lacks(t *testing.T, rec *httptest.ResponseRecorder, parts ...string) {
	t.Helper()
	for _, part := range parts {
		if strings.Contains(rec.Body.String(), part) {
			t.Errorf("there is %q in %d %s", part, rec.Code, rec.Body)
		}
	}
}

func nothing(*indextest.Tape) {}

func TestHeaders(t *testing.T) {
	s := newSite(t, nothing)
	for _, target := range []string{"/", "/pages/studies/1.2.3", "/pages/none", "/pages/assets/none.css"} {
		h := s.get(target).Header()
		if got := h.Get("Content-Security-Policy"); got != policy || strings.Contains(got, "unsafe") {
			t.Errorf("%s: Content-Security-Policy %q", target, got)
		}
		for name, want := range map[string]string{
			"X-Content-Type-Options": "nosniff", "Cache-Control": "no-store", "Referrer-Policy": "same-origin", "X-Frame-Options": "DENY",
		} {
			if got := h.Get(name); got != want {
				t.Errorf("%s: %s is %q", target, name, got)
			}
		}
	}
	// Nothing inline: the policy would stop it.
	body := s.get("/").Body.String()
	for _, part := range []string{"<style", " style=", "onclick=", "javascript:"} {
		if strings.Contains(body, part) {
			t.Errorf("the page has %s", part)
		}
	}
}

func TestLanguage(t *testing.T) {
	s := newSite(t, nothing)
	for _, c := range []struct{ target, accept, cookie, want string }{
		{"/", "", "", "zh-CN"},
		{"/", "de", "", "zh-CN"},
		{"/", "en-GB,en;q=0.9", "", "en"},
		{"/", "zh-TW", "", "zh-CN"},
		{"/", "de,en;q=0.5", "", "en"},
		{"/", "en", "lang=zh-CN", "zh-CN"},
		{"/", "zh", "lang=en", "en"},
		{"/", "", "lang=xx", "zh-CN"},
		{"/?lang=en", "zh", "lang=zh-CN", "en"},
		{"/?lang=zh", "en", "", "zh-CN"},
		{"/?lang=xx", "en", "", "en"},
		{"/", strings.Repeat("en,", 1000), "", "zh-CN"},
	} {
		rec := s.get(c.target, "Accept-Language", c.accept, "Cookie", c.cookie)
		if got := rec.Header().Get("Content-Language"); got != c.want || !strings.Contains(rec.Body.String(), `<html lang="`+c.want+`"`) {
			t.Errorf("%+v: %s", c, got)
		}
		if set := rec.Header().Get("Set-Cookie"); (set != "") != strings.Contains(c.target, "lang=en") && !strings.Contains(c.target, "lang=zh") {
			t.Errorf("%+v: Set-Cookie %q", c, set)
		}
	}
	rec := s.get("/?lang=en&q=zhang&days=7")
	has(t, rec, `href="/?days=7&amp;lang=zh-CN&amp;q=zhang"`, ">中文<")
	if cookie := rec.Header().Get("Set-Cookie"); !strings.HasPrefix(cookie, "lang=en;") || !strings.Contains(cookie, "HttpOnly") || !strings.Contains(cookie, "SameSite=Lax") {
		t.Errorf("Set-Cookie %q", cookie)
	}
}

func TestErrorPages(t *testing.T) {
	s := newSite(t, nothing)
	for _, c := range []struct {
		err    error
		status int
		en, zh string
	}{
		{nil, 404, "Not found", "没有找到"},
		{index.ErrUnavailable, 503, "Not available now", "暂时无法读取"},
		{index.ErrTimeout, 503, "That took too long", "查询时间过长"},
		{context.DeadlineExceeded, 503, "That took too long", "查询时间过长"},
		{errors.New("secret"), 500, "Internal error", "内部错误"},
		{fmt.Errorf("wrapped: %w", index.ErrNotFound), 404, "Not found", "没有找到"},
	} {
		s.index.err = c.err
		for lang, want := range map[string]string{"en": c.en, "zh": c.zh} {
			rec := s.get("/pages/studies/1.2.3", "Accept-Language", lang)
			if rec.Code != c.status {
				t.Errorf("%v: status %d", c.err, rec.Code)
			}
			if got := rec.Header().Get("Retry-After"); (got != "") != (c.status == 503) {
				t.Errorf("%v: Retry-After %q", c.err, got)
			}
			has(t, rec, "<h1>"+want)
			lacks(t, rec, "secret")
		}
	}
	s.index.err = nil
	for _, target := range []string{"/pages/none", "/pages/studies/", "/pages/studies/x", "/pages/studies/1.2/more", "/pages/studies/" + strings.Repeat("1", 65)} {
		if rec := s.get(target); rec.Code != http.StatusNotFound {
			t.Errorf("%s: %d", target, rec.Code)
		}
	}
}

func TestAssetsAreServed(t *testing.T) {
	s := newSite(t, nothing)
	page := s.get("/").Body.String()
	for _, kind := range []string{"css", "js"} {
		_, rest, ok := strings.Cut(page, assetPath+"frame.")
		for ok && !strings.HasPrefix(rest[strings.IndexByte(rest, '.')+1:], kind) {
			_, rest, ok = strings.Cut(rest, assetPath+"frame.")
		}
		if !ok {
			t.Fatalf("the page has no %s", kind)
		}
		target := assetPath + "frame." + rest[:strings.IndexByte(rest, '"')]
		plain, small := s.get(target), s.get(target, "Accept-Encoding", "br, gzip;q=0.8")
		h := plain.Header()
		if plain.Code != http.StatusOK || h.Get("Cache-Control") != "public, max-age=31536000, immutable" || h.Get("Content-Encoding") != "" ||
			h.Get("Vary") != "Accept-Encoding" || !strings.HasPrefix(h.Get("Content-Type"), map[string]string{"css": "text/css", "js": "text/javascript"}[kind]) {
			t.Errorf("%s: %d %v", target, plain.Code, h)
		}
		if small.Header().Get("Content-Encoding") != "gzip" || small.Body.Len() >= plain.Body.Len() {
			t.Errorf("%s: compressed %v, %d of %d bytes", target, small.Header(), small.Body.Len(), plain.Body.Len())
		}
	}
	for _, accept := range []string{"", "br", "gzip;q=0", "gzip; q=0.0", "gzip;q=x", "identity"} {
		if takesGzip([]string{accept}) {
			t.Errorf("Accept-Encoding: %s takes gzip", accept)
		}
	}
}

// TestForeignForms: pages of others may not send forms here.
func TestForeignForms(t *testing.T) {
	s := newSite(t, nothing)
	r := httptest.NewRequest(http.MethodPost, "/pages/quarantine/1/remove", nil)
	r.Header.Set("Sec-Fetch-Site", "cross-site")
	rec := httptest.NewRecorder()
	s.ServeHTTP(rec, r)
	if rec.Code != http.StatusForbidden {
		t.Errorf("status %d", rec.Code)
	}
	if body, _ := io.ReadAll(rec.Body); !strings.Contains(string(body), "请求被拒绝") {
		t.Errorf("page %s", body)
	}
}

func TestNames(t *testing.T) {
	for pn, want := range map[string]personName{
		"Zhang^Wei=张^伟":      {"张伟", "Zhang Wei", ""},
		"张^晓东":               {"张晓东", "", ""},
		"张^晓东=张^晓东":          {"张晓东", "", ""},
		"Müller^Jürgen^^Dr.": {"", "Müller Jürgen Dr.", ""},
		"=欧阳^凤仙":             {"欧阳凤仙", "", ""},
		"Yamada^Tarou=山田^太郎=やまだ^たろう": {"山田太郎", "Yamada Tarou", "やまだたろう"},
		"": {}, "^^^": {}, "==": {}, "A^B\\C^D": {"", "A B", ""},
		"古丽·阿不都": {"古丽·阿不都", "", ""},
	} {
		if got := nameParts(pn); got != want {
			t.Errorf("%q: %+v", pn, got)
		}
	}
	for pn, want := range map[string]string{"Zhang^Wei=张^伟": "张伟 Zhang Wei", "": "", "==ちょう": "ちょう"} {
		if got := displayName(pn); got != want {
			t.Errorf("%q: %q", pn, got)
		}
	}
}

func TestWords(t *testing.T) {
	for _, c := range []struct{ as, birth, at, want string }{
		{"042Y", "", "", "42 y"},
		{"003M", "19700101", "20260101", "3 mo"},
		{"002W", "", "", "2 wk"},
		{"010D", "", "", "10 d"},
		{"", "19700302", "20260301", "55 y"},
		{"", "19700301", "20260301", "56 y"},
		{"", "20240401", "20260301", "23 mo"},
		{"", "20260201", "20260301", "1 mo"},
		{"", "20260202", "20260301", "27 d"},
		{"", "20260301", "20260301", "0 d"},
		{"", "20260302", "20260301", ""},
		{"", "1970", "20260301", ""},
		{"XXXY", "", "20260301", ""},
		{"-01Y", "", "", ""},
		{"042X", "", "", ""},
	} {
		if got := English.age(c.as, c.birth, c.at); got != c.want {
			t.Errorf("%+v: %q", c, got)
		}
	}
	for n, want := range map[int64]string{0: "0 B", 999: "999 B", 1000: "1.00 kB", 123456: "123 kB", 3_421_000: "3.42 MB", 99_999_999: "100 MB", 2 << 40: "2.20 TB", 999_600: "1.00 MB"} {
		if got := displayBytes(n); got != want {
			t.Errorf("%d: %q", n, got)
		}
	}
	if got := English.text("frame.series.count", 1) + English.text("frame.series.count", 2) + Chinese.text("frame.series.count", 1); got != "1 instance2 instances1 个实例" {
		t.Error(got)
	}
	for in, want := range map[string]string{"20260301": "2026-03-01", "2026": "2026", "": "", "\u002020260301": "2026-03-01"} {
		if got := displayDate(in); got != want {
			t.Errorf("%q: %q", in, got)
		}
	}
	for in, want := range map[string]string{"091502.123": "09:15", "0915": "09:15", "09": "09", "": ""} {
		if got := displayTime(in); got != want {
			t.Errorf("%q: %q", in, got)
		}
	}
	for s, want := range map[string]bool{"1.2.840": true, "": false, "1.2/..": false, "1.2\u0020": false, strings.Repeat("1", 64): true, strings.Repeat("1", 65): false} {
		if validUID(s) != want {
			t.Errorf("%q is %v", s, !want)
		}
	}
	if got := splitValues(`US\\ECG `); !slices.Equal(got, []string{"US", "ECG"}) {
		t.Errorf("%q", got)
	}
}
