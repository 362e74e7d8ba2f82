package e2e

import (
	"bufio"
	"bytes"
	"fmt"
	"io"
	"net"
	"net/http"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/tributary-dicom/tributary/internal/testnode"
)

// raw writes a request as it is and reads the answer. Writing may fail when the node has answered early.
func raw(t *testing.T, n *testnode.Node, request ...string) (*http.Response, string) {
	t.Helper()
	conn, err := net.Dial("tcp", strings.TrimPrefix(n.URL, "http://"))
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	if err := conn.SetDeadline(time.Now().Add(patience)); err != nil {
		t.Fatal(err)
	}
	for _, piece := range request {
		if _, err := io.WriteString(conn, piece); err != nil {
			break
		}
	}
	resp, err := http.ReadResponse(bufio.NewReader(conn), nil)
	if err != nil {
		t.Fatalf("no answer to %.80q: %v", request[0], err)
	}
	defer resp.Body.Close()
	body, err := io.ReadAll(resp.Body)
	if err != nil {
		t.Fatalf("answer to %.80q: %v", request[0], err)
	}
	return resp, string(body)
}

// do sends a request by a client.
func do(t *testing.T, method, url string, header http.Header, body io.Reader) (*http.Response, string) {
	t.Helper()
	req, err := http.NewRequestWithContext(t.Context(), method, url, body)
	if err != nil {
		t.Fatal(err)
	}
	for k, v := range header {
		req.Header[k] = v
	}
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		t.Fatalf("%s %s: %v", method, url, err)
	}
	defer resp.Body.Close()
	text, err := io.ReadAll(resp.Body)
	if err != nil {
		t.Fatal(err)
	}
	return resp, string(text)
}

func wantStatus(t *testing.T, what string, resp *http.Response, body string, want ...int) {
	t.Helper()
	for _, w := range want {
		if resp.StatusCode == w {
			return
		}
	}
	t.Errorf("%s: status %d, want %v: %.300s", what, resp.StatusCode, want, body)
}

// TestHTTPCore attacks what comes before any door.
func TestHTTPCore(t *testing.T) {
	if testing.Short() {
		t.Skip("takes ten seconds; not with -short")
	}
	t.Parallel() // most of it is waiting
	n := testnode.Start(t, filepath.Join(t.TempDir(), "data"), "--stall", "3s")
	address := strings.TrimPrefix(n.URL, "http://")
	const host = "Host: node\r\n"

	// Slow headers: they are cut by the end of this test, and hold nobody up meanwhile.
	var drips []net.Conn
	for range 200 {
		conn, err := net.Dial("tcp", address)
		if err != nil {
			t.Fatal(err)
		}
		defer conn.Close()
		if _, err := io.WriteString(conn, "GET /healthz HTTP/1.1\r\nX-Slow: "); err != nil {
			t.Fatal(err)
		}
		drips = append(drips, conn)
	}

	t.Run("header of 1 MB", func(t *testing.T) {
		resp, body := raw(t, n, "GET /healthz HTTP/1.1\r\n"+host+"X-Long: ", strings.Repeat("a", 1<<20), "\r\n\r\n")
		wantStatus(t, "long header", resp, body, http.StatusRequestHeaderFieldsTooLarge)
	})
	t.Run("lengths that contradict", func(t *testing.T) {
		for name, fields := range map[string]string{
			"two lengths":     "Content-Length: 5\r\nContent-Length: 6\r\n",
			"negative length": "Content-Length: -1\r\n",
			"no number":       "Content-Length: 5x\r\n",
			"two codings":     "Transfer-Encoding: chunked\r\nTransfer-Encoding: identity\r\n",
			"unknown coding":  "Transfer-Encoding: gzip\r\n",
		} {
			// No body follows: what the node does not read makes its system reset the connection, answer and all.
			resp, body := raw(t, n, "POST /upload HTTP/1.1\r\n"+host+fields+"\r\n")
			wantStatus(t, name, resp, body, http.StatusBadRequest, http.StatusNotImplemented)
		}
		resp, body := raw(t, n, "GET /healthz HTTP/1.1\r\n\r\n")
		wantStatus(t, "no Host", resp, body, http.StatusBadRequest)
	})
	t.Run("length and chunks at once", func(t *testing.T) {
		// The chunks count (RFC 9112 §6.3): what is stored is what they carry.
		file := object{number: 2, pixels: 512}.file()
		body := fmt.Sprintf("%x\r\n%s\r\n0\r\n\r\n", len(file), file)
		resp, text := raw(t, n, "POST /upload HTTP/1.1\r\n"+host+"Content-Length: 7\r\nTransfer-Encoding: chunked\r\n\r\n", body)
		if resp.StatusCode != http.StatusBadRequest && (resp.StatusCode != http.StatusCreated || !strings.Contains(text, sumOf(file))) {
			t.Errorf("status %d: %s", resp.StatusCode, text)
		}
	})
	t.Run("a length beyond the limit", func(t *testing.T) {
		const terabyte = "Content-Length: 1099511627776\r\n"
		for _, head := range []string{
			"POST /upload HTTP/1.1\r\n" + host + terabyte,
			"POST /dicom-web/studies HTTP/1.1\r\n" + host + terabyte + "Content-Type: multipart/related; type=\"application/dicom\"; boundary=b\r\n",
			"POST /upload/tus/ HTTP/1.1\r\n" + host + "Tus-Resumable: 1.0.0\r\nContent-Length: 0\r\nUpload-Length: 1099511627776\r\n",
			"POST /upload/tus/ HTTP/1.1\r\n" + host + "Tus-Resumable: 1.0.0\r\nContent-Length: 0\r\nUpload-Length: 9223372036854775808\r\n",
		} {
			resp, body := raw(t, n, head+"\r\n") // and not a byte of the body
			wantStatus(t, head, resp, body, http.StatusRequestEntityTooLarge)
		}
	})
	t.Run("coded bodies", func(t *testing.T) {
		for _, path := range []string{"/upload", "/dicom-web/studies"} {
			resp, body := do(t, http.MethodPost, n.URL+path, http.Header{"Content-Encoding": {"gzip"}}, strings.NewReader("x"))
			wantStatus(t, path, resp, body, http.StatusUnsupportedMediaType)
		}
	})
	t.Run("slow bodies", func(t *testing.T) {
		for _, head := range []string{
			"POST /upload HTTP/1.1\r\n" + host + "Content-Length: 1000\r\n",
			"POST /dicom-web/studies HTTP/1.1\r\n" + host + "Content-Length: 1000\r\nContent-Type: application/dicom\r\n",
		} {
			resp, body := raw(t, n, head+"\r\n", "a few bytes")
			wantStatus(t, head, resp, body, http.StatusRequestTimeout)
		}
	})
	t.Run("methods and paths", func(t *testing.T) {
		for _, c := range []struct {
			method, path string
			want         int
		}{
			{http.MethodDelete, "/dicom-web/studies/1.2.3", http.StatusMethodNotAllowed},
			{http.MethodPut, "/dicom-web/studies", http.StatusMethodNotAllowed},
			{http.MethodGet, "/upload", http.StatusMethodNotAllowed},
			{http.MethodGet, "/nothing", http.StatusNotFound},
			{http.MethodGet, "/dicom-web/nothing", http.StatusNotFound},
			{http.MethodTrace, "/healthz", http.StatusMethodNotAllowed},
		} {
			resp, body := do(t, c.method, n.URL+c.path, nil, nil)
			wantStatus(t, c.method+" "+c.path, resp, body, c.want)
		}
	})
	t.Run("other sites' pages", func(t *testing.T) {
		resp, body := do(t, http.MethodPost, n.URL+"/upload", http.Header{"Sec-Fetch-Site": {"cross-site"}}, bytes.NewReader(object{number: 1, pixels: 512}.file()))
		wantStatus(t, "cross-site", resp, body, http.StatusForbidden)
	})
	t.Run("slow headers", func(t *testing.T) {
		for _, conn := range drips {
			if err := conn.SetReadDeadline(time.Now().Add(patience)); err != nil {
				t.Fatal(err)
			}
			if _, err := io.Copy(io.Discard, conn); err != nil && !strings.Contains(err.Error(), "reset") {
				t.Fatalf("still open: %v", err)
			}
		}
	})
}

// TestReadersUnderAttack asks readers for what does not exist, too much, and what is not theirs.
func TestReadersUnderAttack(t *testing.T) {
	n := testnode.Start(t, filepath.Join(t.TempDir(), "data"))
	o := object{number: 20, pixels: 4096}
	if sh := shipBytes(t, n, "upload", "object", o.file()); sh.letter() != "S" {
		t.Fatalf("%+v, %v", sh.Outcome, sh.err)
	}
	const get, end = "GET ", " HTTP/1.1\r\nHost: node\r\nConnection: close\r\n\r\n"
	for _, path := range []string{
		"/dicom-web/studies/%2e%2e/%2e%2e/etc/passwd", "/dicom-web/studies/..%2f..%2fetc%2fpasswd", "/dicom-web/studies/../../etc/passwd",
		"/dicom-web/studies/1.2%00.3", "/dicom-web/studies/" + strings.Repeat("1.2", 3333), "/dicom-web/studies/1.2.3/metadata",
		"/dicom-web/studies/1.2'--/series", "/dicom-web/studies/*/series", "/quarantine/..%2f..%2flog.db/file", "/quarantine/%2e%2e/file",
		"/upload/tus/..%2f..%2flog.db", "/upload/tus/../../log.db", o.path() + "/frames/0", o.path() + "/frames/2", o.path() + "/frames/99999999999999999999",
		o.path() + "/bulkdata/..%2f..%2f..%2fetc%2fpasswd", o.path() + "/bulkdata/7FE00010/9/00080018",
	} {
		resp, body := raw(t, n, get+path+end)
		if resp.StatusCode < 300 || resp.StatusCode >= 500 {
			t.Errorf("%.100s: status %d", path, resp.StatusCode)
		}
		if strings.Contains(body, "root:") || strings.Contains(body, "SQLite") {
			t.Errorf("%.100s: %.100q", path, body)
		}
	}
	for query, rows := range map[string]int{
		"limit=1000000000": 1, "offset=-1": 1, "limit=-5": 1, "limit=0": 1, "offset=1000000000": 0,
		"PatientName=" + strings.Repeat("*", 2000): -1, "PatientName=" + strings.Repeat("*a", 30): -1,
		"PatientName=%25": 0, "PatientName=Zhang_San20": 0, "PatientName=Zhang%25": 0, "PatientID=%27%20OR%20%271%27=%271": 0,
		"PatientName=Zhang*": 1, "PatientName=%E5%BC%A0*": 1,
	} {
		status, body := n.Get(t, "/dicom-web/studies?"+query)
		found := strings.Count(string(body), `"0020000D"`)
		if status != http.StatusOK && status != http.StatusNoContent && (rows >= 0 || status != http.StatusBadRequest) {
			t.Errorf("%.60s: status %d: %.200s", query, status, body)
		} else if rows >= 0 && found != rows {
			t.Errorf("%.60s: %d studies, want %d", query, found, rows)
		}
	}
	resp, body := do(t, http.MethodGet, n.URL+o.path(), http.Header{
		"Accept": {"application/dicom"}, "Range": {"bytes=0-" + strings.Repeat(",0-", 999)},
	}, nil)
	wantStatus(t, "1,000 ranges", resp, body, http.StatusRequestedRangeNotSatisfiable)
	resp, body = do(t, http.MethodGet, n.URL+o.path(), http.Header{"Accept": {"application/dicom"}, "Range": {"bytes=-100"}}, nil)
	wantStatus(t, "one range", resp, body, http.StatusPartialContent)
	if file := o.file(); body != string(file[len(file)-100:]) {
		t.Error("the last 100 bytes are others")
	}
}
