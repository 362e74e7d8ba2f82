package ohif

import (
	"bytes"
	"compress/gzip"
	"crypto/sha256"
	"encoding/base64"
	"encoding/json"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"testing/iotest"
)

const page = `<!doctype html><html><head><meta name="x" content="/assets/tile.png"><meta content="#fff">
<script>window.PUBLIC_URL="/"</script><link rel="manifest" href="/manifest.json"><a href="/">home</a>
<script src="//elsewhere.example/x.js"></script><script rel="preload" src="/app-config.js"></script>
<script>let a = 1; window.PUBLIC_URL='/'</script><script defer src='/app.bundle.0f6159c501addfe9.js'></script></head><body>首页</body></html>`

var bundle = strings.Repeat("console.log('超声');\n", 1000)

func TestScriptsAndStylesBelowAMount(t *testing.T) {
	const loader = `__webpack_require__.p = "/";`
	for name, c := range map[string]struct{ in, want string }{
		"a.js":          {"x();" + loader + "y('/');" + loader, `x();__webpack_require__.p = "/m/";y('/');__webpack_require__.p = "/m/";`},
		"a.css":         {`a{src:url(/f.woff2)}b{src:url("/g.woff2")}c{src:url(data:x)}d{src:url(//h/i)}e{src:url(f)}`, `a{src:url(/m/f.woff2)}b{src:url("/m/g.woff2")}c{src:url(data:x)}d{src:url(//h/i)}e{src:url(f)}`},
		"c.js":          {"browserImportFunction('/d/e.js')", "browserImportFunction('/m/d/e.js')"},
		"a.png":         {loader, loader},
		"b.js":          {"", ""},
		"manifest.json": {`{"src": "/i.png","start_url":"/","x": "/y"}`, `{"src": "/m/i.png","start_url":"/m/","x": "/y"}`},
	} {
		got, err := io.ReadAll(rebaseFile(name, "/m/", iotest.OneByteReader(strings.NewReader(c.in))))
		if err != nil || string(got) != c.want {
			t.Errorf("%s: %q, %v", name, got, err)
		}
	}
	// Wherever a piece ends.
	for at := 64<<10 - 2*len(loader); at < 64<<10+len(loader); at++ {
		pad := strings.Repeat("x", at)
		got, err := io.ReadAll(rebaseFile("a.js", "/m/", strings.NewReader(pad+loader+pad+loader)))
		if want := strings.ReplaceAll(pad+loader+pad+loader, `"/"`, `"/m/"`); err != nil || string(got) != want {
			t.Fatalf("after %d bytes: %v, %d bytes of %d", at, err, len(got), len(want))
		}
	}
	if _, err := io.ReadAll(rebaseFile("a.js", "/m/", iotest.ErrReader(io.ErrClosedPipe))); err != io.ErrClosedPipe {
		t.Errorf("an error of the disk is %v", err)
	}
}

// build is a folder like OHIF's, with a file beside it that nobody may have.
func build(t *testing.T) string {
	t.Helper()
	above := t.TempDir()
	dir := filepath.Join(above, "dist")
	for name, text := range map[string]string{
		"dist/index.html": page, "dist/app-config.js": "window.config = 'of the build'", "dist/app.bundle.css": "a{}",
		"dist/app.bundle.0f6159c501addfe9.js": bundle, "dist/0ddf166f7a343eda.wasm": "\x00asm", "dist/assets/tile.png": "png",
		"dist/_headers": "secret", "dist/.env": "secret", "secret.js": "secret", "dist/odd.bin": "?",
	} {
		path := filepath.Join(above, filepath.FromSlash(name))
		if err := os.MkdirAll(filepath.Dir(path), 0o700); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	if err := os.Symlink(filepath.Join(above, "secret.js"), filepath.Join(dir, "link.js")); err != nil {
		t.Fatal(err)
	}
	return dir
}

func open(t *testing.T, cfg Config) *Viewer {
	t.Helper()
	v, err := Open(cfg)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = v.Close() })
	return v
}

func get(v http.Handler, path string, header ...string) *httptest.ResponseRecorder {
	r := httptest.NewRequest(http.MethodGet, "http://node", nil)
	r.URL.Path = path // as it is: the mux above cleans paths, and nothing here relies on it
	for i := 0; i < len(header); i += 2 {
		r.Header.Set(header[i], header[i+1])
	}
	w := httptest.NewRecorder()
	v.ServeHTTP(w, r)
	return w
}

func TestFiles(t *testing.T) {
	v := open(t, Config{Dir: build(t)})
	for _, c := range []struct{ path, contentType, cache, body string }{
		{"/ohif/app.bundle.0f6159c501addfe9.js", "text/javascript; charset=utf-8", "max-age=31536000, immutable", bundle},
		{"/ohif/0ddf166f7a343eda.wasm", "application/wasm", "max-age=31536000, immutable", "\x00asm"},
		{"/ohif/app.bundle.css", "text/css; charset=utf-8", "no-cache", "a{}"},
		{"/ohif/assets/tile.png", "image/png", "no-cache", "png"},
		{"/ohif/odd.bin", "application/octet-stream", "no-cache", "?"},
	} {
		w := get(v, c.path)
		h := w.Header()
		if w.Code != http.StatusOK || h.Get("Content-Type") != c.contentType || h.Get("Cache-Control") != c.cache || w.Body.String() != c.body {
			t.Errorf("%s: %d %v", c.path, w.Code, h)
		}
		if h.Get("X-Content-Type-Options") != "nosniff" {
			t.Errorf("%s may be sniffed", c.path)
		}
		if again := get(v, c.path, "If-None-Match", h.Get("Etag")); again.Code != http.StatusNotModified {
			t.Errorf("%s with its own tag: %d", c.path, again.Code)
		}
	}
}

func TestAddressesOfTheViewer(t *testing.T) {
	v := open(t, Config{Dir: build(t)})
	want := get(v, "/ohif/").Body.String()
	for _, path := range []string{"/ohif/index.html", "/ohif/viewer", "/ohif/viewer/dicomweb", "/ohif/assets/", "/ohif/assets", "/ohif/viewer/2.25.3/"} {
		if w := get(v, path); w.Code != http.StatusOK || w.Body.String() != want || w.Header().Get("Cache-Control") != "no-cache" {
			t.Errorf("%s: %d, %q", path, w.Code, w.Body)
		}
	}
	for _, path := range []string{
		"/ohif/9.bundle.0123456789abcdef.js", "/ohif/none.css", "/ohif/none.wasm", "/ohif/app.bundle.css/",
		"/ohif/../secret.js", "/ohif/..", "/ohif/assets/../../secret.js", "/ohif//etc/passwd", "/ohif/link.js", "/ohif/_headers", "/ohif/.env",
		`/ohif/..\secret.js`, "/ohif/a\x00.js", "/ohif/C:/x", "/other", "/ohif", "/ohif/" + strings.Repeat("a", 600),
	} {
		if w := get(v, path); w.Code != http.StatusNotFound || strings.Contains(w.Body.String(), "secret") {
			t.Errorf("%q: %d, %q", path, w.Code, w.Body)
		}
	}
	r := httptest.NewRequest(http.MethodPost, "/ohif/", nil)
	w := httptest.NewRecorder()
	if v.ServeHTTP(w, r); w.Code != http.StatusMethodNotAllowed || w.Header().Get("Allow") != "GET, HEAD" {
		t.Errorf("POST: %d %v", w.Code, w.Header())
	}
}

func TestPageBelowAMount(t *testing.T) {
	w := get(open(t, Config{Dir: build(t), Mount: "/a/viewer"}), "/a/viewer/")
	got := w.Body.String()
	for _, want := range []string{
		`content="/a/viewer/assets/tile.png"`, `content="#fff"`, `window.PUBLIC_URL="/a/viewer/"</script><link`, `href="/a/viewer/manifest.json"`,
		`href="/a/viewer/"`, `src="//elsewhere.example/x.js"`, `src="/a/viewer/app-config.js"`, `src='/a/viewer/app.bundle.0f6159c501addfe9.js'`,
		`let a = 1; window.PUBLIC_URL="/a/viewer/"</script>`, "首页",
	} {
		if !strings.Contains(got, want) {
			t.Errorf("no %s in\n%s", want, got)
		}
	}
	csp := w.Header().Get("Content-Security-Policy")
	for _, inline := range []string{`window.PUBLIC_URL="/a/viewer/"`, `let a = 1; window.PUBLIC_URL="/a/viewer/"`} {
		sum := sha256.Sum256([]byte(inline))
		if !strings.Contains(csp, "'sha256-"+base64.StdEncoding.EncodeToString(sum[:])+"'") {
			t.Errorf("the policy does not let %s run: %s", inline, csp)
		}
	}
	if strings.Count(csp, "'sha256-") != 2 || strings.Contains(strings.Split(csp, "style-src")[0], "unsafe-inline") {
		t.Errorf("policy: %s", csp)
	}
	if at := policy(nil, "https://pacs.example:8443/dicom-web"); !strings.Contains(at, "connect-src 'self' blob: data: https://pacs.example:8443;") {
		t.Errorf("policy for DICOMweb elsewhere: %s", at)
	}
}

func TestNoBuild(t *testing.T) {
	for name, files := range map[string]map[string]string{
		"empty": {}, "another page": {"index.html": "<html></html>"}, "of another mount": {"index.html": `<script>window.PUBLIC_URL="/x/"</script>`},
		"huge": {"index.html": page + strings.Repeat(" ", maxPage)},
	} {
		dir := t.TempDir()
		for file, text := range files {
			if err := os.WriteFile(filepath.Join(dir, file), []byte(text), 0o600); err != nil {
				t.Fatal(err)
			}
		}
		if _, err := Open(Config{Dir: dir}); err == nil || !strings.Contains(err.Error(), "dist folder") {
			t.Errorf("%s: %v", name, err)
		}
	}
	if _, err := Open(Config{Dir: filepath.Join(t.TempDir(), "none")}); err == nil {
		t.Error("a folder that is not there was opened")
	}
}

func TestAppConfig(t *testing.T) {
	var got struct {
		RouterBasename *string
		DataSources    []struct{ Configuration map[string]any }
	}
	read := func(script []byte) {
		t.Helper()
		text, ok := strings.CutPrefix(strings.TrimSuffix(string(script), ";\n"), "window.config = ")
		got.RouterBasename, got.DataSources = nil, nil
		if err := json.Unmarshal([]byte(text), &got); !ok || err != nil {
			t.Fatalf("%v in %s", err, script)
		}
	}
	w := get(open(t, Config{Dir: build(t), App: AppConfig{Store: true}}), "/ohif/app-config.js")
	read(w.Body.Bytes())
	if w.Header().Get("Cache-Control") != "no-cache" || *got.RouterBasename != "/ohif" {
		t.Errorf("%v, %v", w.Header(), *got.RouterBasename)
	}
	of := got.DataSources[0].Configuration
	if of["qidoRoot"] != "/dicom-web" || of["wadoRoot"] != "/dicom-web" || of["supportsStow"] != true || of["singlepart"] != "bulkdata,pdf,video" {
		t.Errorf("%v", of)
	}
	script, err := AppConfig{Mount: "/", DICOMWeb: "https://pacs.example/dicom-web/"}.Script()
	if err != nil {
		t.Fatal(err)
	}
	if read(script); got.RouterBasename != nil || got.DataSources[0].Configuration["wadoRoot"] != "https://pacs.example/dicom-web" {
		t.Errorf("%s", script)
	}
	for _, bad := range []AppConfig{
		{Mount: "ohif"},
		{Mount: "//host"},
		{Mount: `/"`},
		{Mount: "/<x>"},
		{DICOMWeb: "dicom-web"},
		{DICOMWeb: "javascript:x"},
		{DICOMWeb: "//host/x"},
		{DICOMWeb: "https://u:p@h/x"},
		{DICOMWeb: "/x?y"},
		{DICOMWeb: "https://h/;x\n"},
	} {
		if script, err := bad.Script(); err == nil {
			t.Errorf("%+v: %s", bad, script)
		}
	}
	own := []byte("window.config = {};")
	if w := get(open(t, Config{Dir: build(t), Script: own}), "/ohif/app-config.js"); !bytes.Equal(w.Body.Bytes(), own) {
		t.Errorf("%s", w.Body)
	}
}

func unzip(t *testing.T, w *httptest.ResponseRecorder) string {
	t.Helper()
	if w.Header().Get("Content-Encoding") != "gzip" || w.Header().Get("Vary") != "Accept-Encoding" {
		t.Fatalf("not gzip: %v", w.Header())
	}
	zip, err := gzip.NewReader(w.Body)
	if err != nil {
		t.Fatal(err)
	}
	text, err := io.ReadAll(zip)
	if err != nil {
		t.Fatal(err)
	}
	return string(text)
}

func TestCompressed(t *testing.T) {
	const path = "/ohif/app.bundle.0f6159c501addfe9.js"
	dir := build(t)
	v := open(t, Config{Dir: dir})
	plain := get(v, path)
	var all sync.WaitGroup
	answers := make([]*httptest.ResponseRecorder, 8)
	for i := range answers {
		all.Go(func() { answers[i] = get(v, path, "Accept-Encoding", "br, gzip") })
	}
	all.Wait()
	for _, w := range answers {
		if size := w.Body.Len(); unzip(t, w) != bundle || size > len(bundle)/10 || w.Header().Get("Etag") == plain.Header().Get("Etag") {
			t.Errorf("%d bytes, %v", size, w.Header())
		}
	}
	if plain.Header().Get("Vary") == "" || plain.Header().Get("Content-Encoding") != "" {
		t.Errorf("%v", plain.Header())
	}
	if w := get(v, "/ohif/0ddf166f7a343eda.wasm", "Accept-Encoding", "gzip"); w.Header().Get("Content-Encoding") != "" {
		t.Error("four bytes were compressed")
	}
	// The file is another: so is what is sent, and the cache holds it once.
	other := strings.Repeat("another();\n", 1000)
	if err := os.WriteFile(filepath.Join(dir, "app.bundle.0f6159c501addfe9.js"), []byte(other), 0o600); err != nil {
		t.Fatal(err)
	}
	w := get(v, path, "Accept-Encoding", "gzip")
	size := w.Body.Len()
	if unzip(t, w) != other {
		t.Error("the file as it was is sent")
	}
	if v.cache.used < int64(size) || v.cache.used > int64(size)+1024 || len(v.cache.files) != 1 {
		t.Errorf("the cache counts %d bytes of %d, in %d files", v.cache.used, size, len(v.cache.files))
	}
}

func TestCacheIsBounded(t *testing.T) {
	v := open(t, Config{Dir: build(t), CacheBytes: 16})
	w := get(v, "/ohif/app.bundle.0f6159c501addfe9.js", "Accept-Encoding", "gzip")
	if w.Code != http.StatusOK || w.Header().Get("Content-Encoding") != "" || w.Body.String() != bundle || v.cache.used != 0 {
		t.Errorf("%d %v, %d bytes kept", w.Code, w.Header(), v.cache.used)
	}
}

func TestAcceptsGzip(t *testing.T) {
	for value, want := range map[string]bool{
		"gzip": true, "br, GZIP;q=0.5": true, "gzip;q=0": false, "gzip; q=0.000": false, "*": true, "*;q=0": false, "br": false, "": false,
		"*, gzip;q=0": false, "x-gzip": true, "gzip;q=none": false,
	} {
		if got := acceptsGzip([]string{value}); got != want {
			t.Errorf("%q: %v", value, got)
		}
	}
}

func FuzzRebase(f *testing.F) {
	f.Add([]byte(page), "/ohif/")
	f.Add([]byte(`<script>window.PUBLIC_URL='/'</script><script`), "/$1/")
	f.Fuzz(func(t *testing.T, html []byte, mount string) {
		app, err := AppConfig{Mount: mount}.withDefaults()
		if err != nil {
			return
		}
		out, err := rebase(html, app.Mount)
		if err != nil {
			return
		}
		if !bytes.Contains(out, []byte(app.Mount)) {
			t.Fatalf("no %s in %q", app.Mount, out)
		}
		if csp := policy(out, DefaultDICOMWeb); strings.ContainsAny(csp, "\r\n") {
			t.Fatalf("policy %q", csp)
		}
	})
}
