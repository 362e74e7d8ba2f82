package e2e

import (
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"net"
	"net/http"
	"path/filepath"
	"strings"
	"testing"

	"github.com/tributary-dicom/tributary/internal/testnode"
)

// stowBody is a multipart/related body of files.
func stowBody(closing bool, files ...[]byte) []byte {
	var b bytes.Buffer
	for _, f := range files {
		b.WriteString("\r\n--frontier\r\nContent-Type: application/dicom\r\n\r\n")
		b.Write(f)
	}
	if closing {
		b.WriteString("\r\n--frontier--\r\n")
	}
	return b.Bytes()
}

// stowAnswer is what a STOW-RS answer says (PS3.18 Annex I).
type stowAnswer struct {
	stored []string // SOP Instance UIDs
	failed []int    // Failure Reasons, of the other failures too
}

func stow(t *testing.T, n *testnode.Node, study string, body []byte) (int, stowAnswer) {
	t.Helper()
	url := n.URL + "/dicom-web/studies"
	if study != "" {
		url += "/" + study
	}
	resp, text := do(t, http.MethodPost, url, http.Header{
		"Content-Type": {`multipart/related; type="application/dicom"; boundary=frontier`}, "Accept": {"application/dicom+json"},
	}, bytes.NewReader(body))
	var doc map[string]struct{ Value []json.RawMessage }
	var a stowAnswer
	if json.Unmarshal([]byte(text), &doc) != nil {
		return resp.StatusCode, a // a refusal of the request
	}
	for _, item := range doc["00081199"].Value {
		var v attributes
		if err := json.Unmarshal(item, &v); err != nil {
			t.Fatal(err)
		}
		a.stored = append(a.stored, v.text("00081155"))
	}
	for _, sequence := range []string{"00081198", "0008119A"} {
		for _, item := range doc[sequence].Value {
			var v map[string]struct{ Value []json.RawMessage }
			var code int
			if err := json.Unmarshal(item, &v); err != nil || len(v["00081197"].Value) != 1 || json.Unmarshal(v["00081197"].Value[0], &code) != nil {
				t.Fatalf("failure without reason: %s", item)
			}
			a.failed = append(a.failed, code)
		}
	}
	return resp.StatusCode, a
}

// TestSTOW sends what senders get wrong.
func TestSTOW(t *testing.T) {
	n := testnode.Start(t, filepath.Join(t.TempDir(), "data"))
	file := func(number int) []byte { return object{number: number, pixels: 1024}.file() }

	t.Run("one bad of ten", func(t *testing.T) {
		var files [][]byte
		for i := range 10 {
			f := file(1000 + i)
			if i == 4 {
				f = []byte("this is no DICOM file, whatever its part's header says")
			}
			files = append(files, f)
		}
		status, a := stow(t, n, "", stowBody(true, files...))
		if status != http.StatusAccepted || len(a.stored) != 9 || len(a.failed) != 1 {
			t.Errorf("%d: %+v", status, a)
		}
		checkObjects(t, n, object{1003, 1024}, object{1005, 1024}, object{1009, 1024})
	})
	t.Run("another study than the URL's", func(t *testing.T) {
		status, a := stow(t, n, "1.2.3.4", stowBody(true, file(1020)))
		if status != http.StatusConflict || len(a.failed) != 1 || a.failed[0] != 0xA900 {
			t.Errorf("%d: %+v", status, a)
		}
		o := object{1021, 1024}
		if status, a := stow(t, n, o.study(), stowBody(true, o.file())); status != http.StatusOK || len(a.stored) != 1 {
			t.Errorf("the right study: %d: %+v", status, a)
		}
	})
	t.Run("no closing boundary", func(t *testing.T) {
		status, a := stow(t, n, "", stowBody(false, file(1030), file(1031)))
		if status != http.StatusAccepted || len(a.stored) != 1 || len(a.failed) != 1 {
			t.Errorf("%d: %+v; want the first stored and the second failed", status, a)
		}
		checkObjects(t, n, object{1030, 1024})
		if _, status := retrieve(t, n, object{1031, 1024}); status != http.StatusNotFound {
			t.Errorf("a part that may go on was stored: %d", status)
		}
	})
	t.Run("boundaries", func(t *testing.T) {
		for _, boundary := range []string{strings.Repeat("b", 71), strings.Repeat("b", 20<<10), `"a\"b"`, `""`} {
			resp, body := do(t, http.MethodPost, n.URL+"/dicom-web/studies", http.Header{
				"Content-Type": {`multipart/related; type="application/dicom"; boundary=` + boundary},
			}, bytes.NewReader(stowBody(true, file(1040))))
			wantStatus(t, fmt.Sprintf("boundary of %d", len(boundary)), resp, body, http.StatusBadRequest, http.StatusUnsupportedMediaType)
		}
		resp, body := do(t, http.MethodPost, n.URL+"/dicom-web/studies", http.Header{
			"Content-Type": {`multipart/related; type="application/dicom"; boundary=` + strings.Repeat("b", 70<<10)},
		}, bytes.NewReader(stowBody(true, file(1040))))
		wantStatus(t, "boundary of 70 kB", resp, body, http.StatusBadRequest, http.StatusRequestHeaderFieldsTooLarge)
	})
	t.Run("too many parts", func(t *testing.T) {
		part := "--frontier\r\nContent-Type: application/dicom\r\n\r\n\r\n"
		const count = 100_001
		pieces := make([]io.Reader, 0, count)
		for range count {
			pieces = append(pieces, strings.NewReader(part))
		}
		resp, body := do(t, http.MethodPost, n.URL+"/dicom-web/studies", http.Header{
			"Content-Type": {`multipart/related; type="application/dicom"; boundary=frontier`},
		}, io.MultiReader(append(pieces, strings.NewReader("--frontier--\r\n"))...))
		wantStatus(t, "parts", resp, body[:min(len(body), 300)], http.StatusRequestEntityTooLarge, http.StatusConflict)
	})
	t.Run("remote bulk data", func(t *testing.T) {
		asked := make(chan struct{}, 1)
		l, err := net.Listen("tcp", "127.0.0.1:0")
		if err != nil {
			t.Fatal(err)
		}
		defer l.Close()
		go func() {
			if c, err := l.Accept(); err == nil {
				c.Close()
				asked <- struct{}{}
			}
		}()
		url := "http://" + l.Addr().String() + "/pixels"
		body := strings.Replace(string(stowBody(true, file(1050))), "Content-Type: application/dicom\r\n", "Content-Type: application/dicom\r\nContent-Location: "+url+"\r\n", 1)
		if status, a := stow(t, n, "", []byte(body)); status != http.StatusOK {
			t.Errorf("%d: %+v", status, a)
		}
		doc := `[{"7FE00010":{"vr":"OW","BulkDataURI":"` + url + `"}}]`
		resp, text := do(t, http.MethodPost, n.URL+"/dicom-web/studies", http.Header{
			"Content-Type": {`multipart/related; type="application/dicom+json"; boundary=frontier`},
		}, strings.NewReader("--frontier\r\nContent-Type: application/dicom+json\r\n\r\n"+doc+"\r\n--frontier--\r\n"))
		wantStatus(t, "metadata with a remote address", resp, text, http.StatusUnsupportedMediaType)
		select {
		case <-asked:
			t.Error("the node fetched a sender's address")
		default:
		}
	})
	t.Run("an answer that got lost", func(t *testing.T) {
		o := object{1060, 100 << 10}
		body := stowBody(true, o.file())
		conn, err := net.Dial("tcp", strings.TrimPrefix(n.URL, "http://"))
		if err != nil {
			t.Fatal(err)
		}
		fmt.Fprintf(conn, "POST /dicom-web/studies HTTP/1.1\r\nHost: node\r\nContent-Type: multipart/related; type=\"application/dicom\"; boundary=frontier\r\nContent-Length: %d\r\n\r\n", len(body))
		if _, err := conn.Write(body); err != nil {
			t.Fatal(err)
		}
		until(t, "stored", func() bool {
			_, status := retrieve(t, n, o)
			return status == http.StatusOK
		})
		conn.Close()
		if status, a := stow(t, n, "", body); status != http.StatusOK || len(a.stored) != 1 {
			t.Errorf("again: %d: %+v", status, a)
		}
		if _, text := n.Get(t, "/conflicts"); strings.TrimSpace(string(text)) != "[]" {
			t.Errorf("conflicts: %s", text)
		}
		instanceOf(t, n, o.instance())
	})
}
