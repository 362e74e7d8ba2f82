package e2e

import (
	"net/http"
	"path/filepath"
	"strings"
	"testing"

	"github.com/tributary-dicom/tributary/device"
	"github.com/tributary-dicom/tributary/internal/testnode"
)

// TestReadersHTTP asks for every resource in every way that HTTP has: HEAD, conditions, ranges, other methods.
func TestReadersHTTP(t *testing.T) {
	n := testnode.Start(t, filepath.Join(t.TempDir(), "data"))
	o := object{number: 8500, pixels: 64 << 10}
	if sh := shipBytes(t, n, device.ViaUpload, "object.dcm", o.file()); sh.letter() != "S" {
		t.Fatalf("%+v", sh)
	}
	whole := readAll(t, n, o)
	for i, r := range resources(o) {
		get := whole[i]
		head := r.do(t.Context(), http.MethodHead, n, nil)
		if head.err != nil || head.status != get.status || len(head.body) != 0 {
			t.Errorf("HEAD %v: status %d, %d bytes, %v", r, head.status, len(head.body), head.err)
		}
		for _, name := range []string{"Content-Length", "Etag", "Last-Modified", "Content-Range", "Accept-Ranges", "Content-Disposition", "X-Content-Type-Options", "Cache-Control", "Vary"} {
			if a, b := get.header.Get(name), head.header.Get(name); a != b && !(name == "Content-Length" && b == "") {
				t.Errorf("%v: %s is %q, by HEAD %q", r, name, a, b)
			}
		}
		if a, b := mediaType(get.header), mediaType(head.header); a != b {
			t.Errorf("%v: Content-Type is %q, by HEAD %q", r, a, b)
		}
		if get.header.Get("X-Content-Type-Options") != "nosniff" || !strings.Contains(get.header.Get("Cache-Control"), "private") {
			t.Errorf("%v: %v", r, get.header)
		}
		etag := get.header.Get("Etag")
		if etag == "" {
			continue
		}
		for name, header := range map[string]http.Header{
			"the tag": {"If-None-Match": {etag}}, "any": {"If-None-Match": {"*"}}, "one of them": {"If-None-Match": {`"x", ` + etag + `, W/"y"`}},
		} {
			for _, method := range []string{http.MethodGet, http.MethodHead} {
				a := r.do(t.Context(), method, n, header)
				if a.status != http.StatusNotModified || len(a.body) != 0 || a.header.Get("Etag") != etag {
					t.Errorf("%s %v if it is not %s: status %d, %d bytes, %q", method, r, name, a.status, len(a.body), a.header.Get("Etag"))
				}
			}
		}
		if a := r.do(t.Context(), http.MethodGet, n, http.Header{"If-None-Match": {`"other"`}}); !a.good(get) {
			t.Errorf("%v if it is not another: status %d", r, a.status)
		}
		if r.byteRange != "" {
			if a := r.do(t.Context(), http.MethodGet, n, http.Header{"If-Range": {`"other"`}}); a.status != http.StatusOK || len(a.body) <= len(get.body) && r.byteRange != "bytes=0-" {
				t.Errorf("%v of another version: status %d, %d bytes", r, a.status, len(a.body))
			}
		}
	}
	for _, method := range []string{http.MethodPut, http.MethodDelete, http.MethodPatch, http.MethodPost} {
		for _, r := range resources(o)[3:] {
			if a := r.do(t.Context(), method, n, nil); a.status != http.StatusMethodNotAllowed || !strings.Contains(a.header.Get("Allow"), "GET") {
				t.Errorf("%s %v: status %d, Allow %q", method, r, a.status, a.header.Get("Allow"))
			}
		}
	}
	file := resource{path: o.path(), accept: "application/dicom"}
	for ranges, want := range map[string]int{
		"bytes=0-0": 206, "bytes=-1": 206, "bytes=65536-": 206, "bytes=99999999-": 416, "bytes=-0": 416, "bytes=5-2": 200, "bytes=a-b": 200,
		"bytes=": 200, "lines=1-2": 200, "bytes=0-18446744073709551616": 206, "bytes=18446744073709551616-": 416, "bytes=0-1,3-4": 200,
		"bytes=" + strings.Repeat("0-0,", 15) + "0-0": 200, "bytes=" + strings.Repeat("0-,", 16) + "0-": 416, "bytes=" + strings.Repeat(",", 5000): 416,
	} {
		file.byteRange = ranges
		if a := file.get(t.Context(), n); a.status != want || a.err != nil {
			t.Errorf("%.40s: status %d, want %d, %v", ranges, a.status, want, a.err)
		}
	}
}

func mediaType(h http.Header) string {
	kind, _, _ := strings.Cut(h.Get("Content-Type"), "boundary")
	return kind
}

// TestReadersBombs sends what is made to cost: long lists, deep nesting, tricks in paths. Nothing is worth a 5xx, and
// the next reader is served.
func TestReadersBombs(t *testing.T) {
	n := testnode.Start(t, filepath.Join(t.TempDir(), "data"))
	o := object{number: 8520, pixels: 4 << 10}
	if sh := shipBytes(t, n, device.ViaUpload, "object.dcm", o.file()); sh.letter() != "S" {
		t.Fatalf("%+v", sh)
	}
	readAll(t, n, o)
	if err := n.ResetPeakRSS(); err != nil {
		t.Fatal(err)
	}
	before, err := n.PeakRSS()
	if err != nil {
		t.Fatal(err)
	}
	const most = 30 << 10 // of a header that is still taken
	study := "/dicom-web/studies/" + o.study()
	for name, accept := range map[string]string{
		"many types":       strings.Repeat("a/b;q=0.1,", most/10) + "*/*",
		"many parameters":  "multipart/related;" + strings.Repeat("a=b;", most/4) + "type=application/dicom",
		"quotes":           strings.Repeat(`"`, most),
		"escapes":          `multipart/related; type="` + strings.Repeat(`\"`, most/2-20) + `"`,
		"commas":           strings.Repeat(",", most),
		"semicolons":       strings.Repeat(";", most),
		"stars":            strings.Repeat("*", most),
		"weights":          "*/*;q=" + strings.Repeat("9", most),
		"nested multipart": strings.Repeat("multipart/related; type=", most/24) + "x",
	} {
		for _, r := range resources(o) {
			if r.accept = accept; strings.HasPrefix(r.path, "/wado") || r.byteRange != "" {
				continue
			}
			if a := r.get(t.Context(), n); a.err != nil || a.status >= 500 {
				t.Errorf("Accept of %s: %v: status %d, %v", name, r.path, a.status, a.err)
			}
		}
	}
	long := strings.Repeat("1,", 12_000)
	for name, c := range map[string]struct {
		path string
		want int
	}{
		"a list of frames":         {o.path() + "/frames/" + long + "1", 400},
		"frames to be drawn":       {o.path() + "/frames/" + long + "1/rendered", 400},
		"blanks in a list":         {o.path() + "/frames/%20" + strings.Repeat(",%20", 5000), 400},
		"frame of 20,000 digits":   {o.path() + "/frames/" + strings.Repeat("9", 20_000), 400},
		"a path of bulk data":      {o.path() + "/bulkdata/" + strings.Repeat("00080018/0/", 2000) + "00080018", 400},
		"many parameters":          {study + "/series?" + strings.Repeat("a=b&", 6000), 400},
		"many fields":              {study + "/series?includefield=" + strings.Repeat("00080018,", 3000), 200},
		"many values":              {study + "/instances?SOPInstanceUID=" + strings.Repeat("1.2,", 6000), 400},
		"a long value":             {study + "/series?SeriesDescription=" + strings.Repeat("x", 20_000), 400},
		"many wildcards":           {"/dicom-web/studies?PatientName=" + strings.Repeat("*a", 5000), 400},
		"a deep attribute":         {"/dicom-web/studies?" + strings.Repeat("00400275.", 2000) + "00400009=x", 400},
		"a long order":             {"/dicom-web/studies?orderby=" + strings.Repeat("PatientName,", 2000), 400},
		"percent signs":            {"/dicom-web/studies?" + strings.Repeat("%", 10_000), 400},
		"long UID":                 {"/dicom-web/studies/" + strings.Repeat("1.", 10_000) + "1", 400},
		"a large viewport":         {o.path() + "/rendered?viewport=65535,65535", 400},
		"a viewport of 10⁹":        {o.path() + "/rendered?viewport=1000000000,1000000000", 400},
		"a window that is nothing": {o.path() + "/rendered?window=NaN,Inf,linear", 400},
		"many viewports":           {o.path() + "/rendered?" + strings.Repeat("viewport=64,64&", 500), 200},
		"a long range of nothing":  {"/dicom-web/studies?StudyDate=" + strings.Repeat("20260101-", 2000), 400},
	} {
		resp, body := raw(t, n, "GET "+c.path+" HTTP/1.1\r\nHost: node\r\nConnection: close\r\n\r\n")
		if resp.StatusCode != c.want && (resp.StatusCode >= 500 || c.want == 200) {
			t.Errorf("%s: status %d, want %d: %.200s", name, resp.StatusCode, c.want, body)
		} else if resp.StatusCode != c.want {
			t.Logf("%s: status %d: %.200s", name, resp.StatusCode, body)
		}
	}
	for _, path := range []string{
		"//dicom-web//studies", "/dicom-web/./studies/../../etc/passwd", "/dicom-web/studies/1.2.3/%2e%2e/%2e%2e/healthz",
		"/dicom-web/studies/1%2f..%2f..", "/dicom-web/studies/%252e%252e", "/dicom-web/studies/1.2.3%5c..%5c..", "/dicom-web/studies/1.2%0d%0aX-Evil:%201",
		"/dicom-web/studies/%c0%ae%c0%ae/", "/dicom-web/studies/1.2.3;a=b/series", "/dicom-web/studies/１.２", "http://elsewhere/dicom-web/studies/..",
		"/dicom-web/studies/1.2.3/series/1.2.3/instances/1.2.3/frames/", "/dicom-web/studies/1.2.3/series/1.2.3/instances/1.2.3/bulkdata/",
		"/wado?requestType=WADO&studyUID=..%2f&seriesUID=1&objectUID=1", "/originals/..%2f..%2flog.db", "/originals/%2e%2e/about", "/ohif/..%2f..%2fetc/passwd", "*",
	} {
		resp, body := raw(t, n, "GET "+path+" HTTP/1.1\r\nHost: node\r\nConnection: close\r\n\r\n")
		if resp.StatusCode < 300 || resp.StatusCode >= 500 || resp.Header.Get("X-Evil") != "" || strings.Contains(body, "root:") {
			t.Errorf("%s: status %d, %v: %.100s", path, resp.StatusCode, resp.Header, body)
		}
	}
	resp, body := raw(t, n, "GET /dicom-web/studies HTTP/1.1\r\nHost: node\r\nAccept: "+strings.Repeat("a/b,", 20_000)+"\r\n\r\n")
	wantStatus(t, "an Accept of 80 KB", resp, body, http.StatusRequestHeaderFieldsTooLarge)
	resp, body = raw(t, n, "GET /dicom-web/studies?"+strings.Repeat("a", 100_000)+" HTTP/1.1\r\nHost: node\r\n\r\n")
	wantStatus(t, "a query of 100 KB", resp, body, http.StatusRequestHeaderFieldsTooLarge, http.StatusRequestURITooLong)

	readAll(t, n, o)
	after, err := n.PeakRSS()
	if err != nil {
		t.Fatal(err)
	}
	t.Logf("resident memory grew from %d to %d MiB at most", before>>20, after>>20)
	if after-before > 64<<20 {
		t.Errorf("the peak of resident memory grew from %d to %d MiB", before>>20, after>>20)
	}
	if text := n.Errors(); text != "" {
		t.Errorf("logged as errors:\n%s", text)
	}
}
