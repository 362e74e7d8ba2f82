package e2e

import (
	"bytes"
	"crypto/sha256"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"io"
	"net"
	"net/http"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/tributary-dicom/tributary/internal/testnode"
)

// tusUpload is one resumable upload, driven request by request.
type tusUpload struct {
	n    *testnode.Node
	path string
}

func tusHeader(extra ...string) http.Header {
	h := http.Header{"Tus-Resumable": {"1.0.0"}}
	for i := 0; i < len(extra); i += 2 {
		h.Set(extra[i], extra[i+1])
	}
	return h
}

func createTus(t *testing.T, n *testnode.Node, size int) tusUpload {
	t.Helper()
	resp, body := do(t, http.MethodPost, n.URL+"/upload/tus/", tusHeader("Upload-Length", strconv.Itoa(size)), nil)
	wantStatus(t, "create", resp, body, http.StatusCreated)
	where := resp.Header.Get("Location")
	if i := strings.Index(where, "/upload/tus/"); i >= 0 {
		where = where[i:]
	}
	return tusUpload{n, where}
}

func (u tusUpload) patch(t *testing.T, offset int, data []byte, extra ...string) (*http.Response, string) {
	t.Helper()
	h := tusHeader(append([]string{"Upload-Offset", strconv.Itoa(offset), "Content-Type", "application/offset+octet-stream"}, extra...)...)
	return do(t, http.MethodPatch, u.n.URL+u.path, h, bytes.NewReader(data))
}

func (u tusUpload) offset(t *testing.T) int {
	t.Helper()
	resp, _ := do(t, http.MethodHead, u.n.URL+u.path, tusHeader(), nil)
	offset, err := strconv.Atoi(resp.Header.Get("Upload-Offset"))
	if err != nil {
		t.Fatalf("HEAD: status %d, offset %q", resp.StatusCode, resp.Header.Get("Upload-Offset"))
	}
	return offset
}

// receipt is what the node says in the end.
func (u tusUpload) receipt(t *testing.T) (status int, rec struct{ ID, Status, SHA256 string }) {
	t.Helper()
	status, body := u.n.Get(t, u.path+"/receipt")
	_ = json.Unmarshal(body, &rec) // an error has no receipt
	return status, rec
}

// TestTus breaks the rules of resumable uploads.
func TestTus(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "data")
	n := testnode.Start(t, dir)
	o := object{number: 3000, pixels: 256 << 10}
	file := o.file()

	t.Run("wrong offsets and checksums", func(t *testing.T) {
		u := createTus(t, n, len(file))
		resp, body := u.patch(t, 10, file[10:20])
		wantStatus(t, "ahead", resp, body, http.StatusConflict)
		resp, body = u.patch(t, 0, file[:1000], "Upload-Checksum", "sha1 "+base64.StdEncoding.EncodeToString(make([]byte, 20)))
		wantStatus(t, "wrong checksum", resp, body, 460)
		if got := u.offset(t); got != 0 {
			t.Errorf("offset %d after a wrong checksum", got)
		}
		sum := sha256.Sum256(file[:1000])
		resp, body = u.patch(t, 0, file[:1000], "Upload-Checksum", "sha256 "+base64.StdEncoding.EncodeToString(sum[:]))
		wantStatus(t, "right checksum", resp, body, http.StatusNoContent)
		resp, body = u.patch(t, 0, file[:1000])
		wantStatus(t, "behind", resp, body, http.StatusConflict)
		if status, _ := u.receipt(t); status != http.StatusAccepted {
			t.Errorf("receipt of a part: %d", status)
		}
		resp, body = u.patch(t, 1000, file[1000:])
		wantStatus(t, "the rest", resp, body, http.StatusNoContent)
		status, rec := u.receipt(t)
		if status != http.StatusOK || rec.Status != "stored" || rec.SHA256 != sumOf(file) || rec.ID != resp.Header.Get("Tributary-Receipt-Id") {
			t.Errorf("receipt: %d, %+v", status, rec)
		}
		checkObjects(t, n, o)
		// The last answer got lost: the sender asks, or sends again.
		if got := u.offset(t); got != len(file) {
			t.Errorf("offset %d in the end", got)
		}
	})
	t.Run("headers", func(t *testing.T) {
		for name, c := range map[string]struct {
			header http.Header
			want   int
		}{
			"other version":   {http.Header{"Tus-Resumable": {"0.2.2"}, "Upload-Length": {"5"}}, http.StatusPreconditionFailed},
			"no length":       {tusHeader(), http.StatusBadRequest},
			"negative length": {tusHeader("Upload-Length", "-1"), http.StatusBadRequest},
			"2^63":            {tusHeader("Upload-Length", "9223372036854775808"), http.StatusRequestEntityTooLarge},
			"metadata 16 kB":  {tusHeader("Upload-Length", "5", "Upload-Metadata", "filename "+strings.Repeat("YWJj", 4<<10)), http.StatusBadRequest},
			"metadata 1 MB":   {tusHeader("Upload-Length", "5", "Upload-Metadata", "filename "+strings.Repeat("YWJj", 256<<10)), http.StatusRequestHeaderFieldsTooLarge},
			"no base64":       {tusHeader("Upload-Length", "5", "Upload-Metadata", "filename !!!"), http.StatusBadRequest},
			"concatenation":   {tusHeader("Upload-Concat", "final;/upload/tus/a /upload/tus/b"), http.StatusBadRequest},
		} {
			resp, body := do(t, http.MethodPost, n.URL+"/upload/tus/", c.header, nil)
			if name == "concatenation" && resp.StatusCode < 400 {
				t.Errorf("%s: %d", name, resp.StatusCode)
			} else if name != "concatenation" {
				wantStatus(t, name, resp, body, c.want)
			}
		}
		for _, method := range []string{http.MethodHead, http.MethodPatch, http.MethodDelete} {
			h := tusHeader("Upload-Offset", "0", "Content-Type", "application/offset+octet-stream")
			resp, body := do(t, method, n.URL+"/upload/tus/0123456789abcdef0123456789abcdef", h, nil)
			wantStatus(t, method+" of somebody else's", resp, body, http.StatusNotFound)
		}
	})
	t.Run("two at once", func(t *testing.T) {
		u := createTus(t, n, len(file))
		// The first holds the upload with a body that does not end; the second must not write meanwhile.
		pr, pw := io.Pipe()
		defer pw.Close()
		req, err := http.NewRequestWithContext(t.Context(), http.MethodPatch, n.URL+u.path, pr)
		if err != nil {
			t.Fatal(err)
		}
		req.Header = tusHeader("Upload-Offset", "0", "Content-Type", "application/offset+octet-stream")
		done := make(chan struct{})
		go func() {
			defer close(done)
			if resp, err := http.DefaultClient.Do(req); err == nil {
				resp.Body.Close()
			}
		}()
		if _, err := pw.Write(file[:50_000]); err != nil {
			t.Fatal(err)
		}
		resp, body := u.patch(t, 0, file)
		// Either the second is refused, or it ended the first (as a sender whose line went dead needs) and
		// met an offset that is no longer 0.
		wantStatus(t, "second writer", resp, body, http.StatusLocked, http.StatusConflict, http.StatusNoContent)
		pw.CloseWithError(io.ErrUnexpectedEOF)
		<-done
		if resp.StatusCode != http.StatusNoContent {
			at := u.offset(t)
			resp, body = u.patch(t, at, file[at:])
			wantStatus(t, "the rest", resp, body, http.StatusNoContent)
		}
		if _, rec := u.receipt(t); rec.SHA256 != sumOf(file) {
			t.Errorf("receipt: %+v", rec)
		}
	})
	t.Run("termination", func(t *testing.T) {
		u := createTus(t, n, len(file))
		u.patch(t, 0, file[:1000])
		resp, body := do(t, http.MethodDelete, n.URL+u.path, tusHeader(), nil)
		wantStatus(t, "DELETE", resp, body, http.StatusNoContent)
		resp, body = do(t, http.MethodHead, n.URL+u.path, tusHeader(), nil)
		wantStatus(t, "HEAD", resp, body, http.StatusNotFound, http.StatusGone)
	})
}

// TestTusSurvivesKills kills the node after every answered PATCH: no acknowledged byte may be lost.
func TestTusSurvivesKills(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "data")
	o := object{number: 3100, pixels: 1 << 20}
	file := o.file()
	n := testnode.Start(t, dir)
	u := createTus(t, n, len(file))
	rounds := 6
	if testing.Short() {
		rounds = 2
	}
	at := 0
	for i := range rounds {
		end := len(file) * (i + 1) / rounds
		resp, body := u.patch(t, at, file[at:end])
		wantStatus(t, fmt.Sprintf("PATCH to %d", end), resp, body, http.StatusNoContent)
		at = end
		n.Kill()
		n = testnode.Start(t, dir)
		u.n = n
		if got := u.offset(t); got < at {
			t.Fatalf("offset %d after %d bytes were acknowledged", got, at)
		}
	}
	status, rec := u.receipt(t)
	if status != http.StatusOK || rec.SHA256 != sumOf(file) {
		t.Errorf("receipt: %d, %+v", status, rec)
	}
	checkObjects(t, n, o)
}

// TestTusLostAnswer loses the answer to the last PATCH: the receipt must be there, once.
func TestTusLostAnswer(t *testing.T) {
	n := testnode.Start(t, filepath.Join(t.TempDir(), "data"))
	o := object{number: 3200, pixels: 512 << 10}
	file := o.file()
	u := createTus(t, n, len(file))
	conn, err := net.Dial("tcp", strings.TrimPrefix(n.URL, "http://"))
	if err != nil {
		t.Fatal(err)
	}
	if err := conn.SetDeadline(time.Now().Add(patience)); err != nil {
		t.Fatal(err)
	}
	fmt.Fprintf(conn, "PATCH %s HTTP/1.1\r\nHost: node\r\nTus-Resumable: 1.0.0\r\nUpload-Offset: 0\r\nContent-Type: application/offset+octet-stream\r\nContent-Length: %d\r\n\r\n", u.path, len(file))
	if _, err := conn.Write(file); err != nil {
		t.Fatal(err)
	}
	conn.Close() // without reading the answer
	until(t, "receipt", func() bool {
		status, _ := u.receipt(t)
		return status != http.StatusAccepted
	})
	if status, rec := u.receipt(t); status != http.StatusOK || rec.Status != "stored" || rec.SHA256 != sumOf(file) {
		t.Errorf("receipt: %d, %+v", status, rec)
	}
	if got := u.offset(t); got != len(file) {
		t.Errorf("offset %d", got)
	}
	instanceOf(t, n, o.instance())
}
