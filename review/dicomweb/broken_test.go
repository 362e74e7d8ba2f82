package dicomweb

import (
	"io"
	"net/http"
	"net/http/httptest"
	"testing"

	"github.com/tributary-dicom/tributary/storage/index"
)

// TestBrokenRead: a read error in mid-body breaks the connection; the client never sees a good end.
func TestBrokenRead(t *testing.T) {
	for name, failAt := range map[string]int64{"in the middle": 900_000, "behind the last byte, as a wrong checksum is": 1_000_000} {
		t.Run(name, func(t *testing.T) {
			w := newWorld()
			o := w.add(studyUID, seriesUID, instanceUID, jpegBaseline, noise(1_000_000))
			w.failAt[o.BlobKey] = failAt
			srv := httptest.NewServer(w)
			defer srv.Close()
			for _, accept := range []string{typeDICOM, anyDICOM} {
				for _, target := range []string{instancePath, "/dicom-web/studies/1.2.3"} {
					if accept == typeDICOM && target != instancePath {
						continue
					}
					req, err := http.NewRequestWithContext(t.Context(), http.MethodGet, srv.URL+target, nil)
					if err != nil {
						t.Fatal(err)
					}
					req.Header.Set("Accept", accept)
					resp, err := srv.Client().Do(req)
					if err != nil {
						continue // broken before the header got through
					}
					n, err := io.Copy(io.Discard, resp.Body)
					_ = resp.Body.Close()
					if err == nil {
						t.Errorf("%s as %s: %d bytes ended well", target, accept, n)
					}
				}
			}
			srv.Close() // waits for the handlers
			if w.memBlobs.open != 0 {
				t.Errorf("%d readers left open", w.memBlobs.open)
			}
		})
	}
}

// TestMissingBlob: what fails before the first byte is an answer.
func TestMissingBlob(t *testing.T) {
	w := newWorld()
	w.add(studyUID, seriesUID, instanceUID, jpegBaseline, []byte("gone"), func(o *index.Object) { o.BlobKey = "nowhere" })
	wantStatus(t, w.get(instancePath, "Accept", typeDICOM), http.StatusInternalServerError)
	rec := w.get("/dicom-web/studies/1.2.3")
	wantStatus(t, rec, http.StatusInternalServerError)
	if rec.Header().Get("Content-Length") != "" || rec.Header().Get("Content-Type") != typeJSON {
		t.Errorf("headers %v", rec.Header())
	}
}

// TestSecondPartBroken: the first part is out when the second cannot be opened.
func TestSecondPartBroken(t *testing.T) {
	w := newWorld()
	w.add(studyUID, seriesUID, "1.2.3.4.1", jpegBaseline, noise(600_000))
	w.add(studyUID, seriesUID, "1.2.3.4.2", jpegBaseline, noise(10), func(o *index.Object) { o.BlobKey = "nowhere" })
	w.add(studyUID, seriesUID, "1.2.3.4.3", jpegBaseline, noise(10))
	srv := httptest.NewServer(w)
	defer srv.Close()
	req, err := http.NewRequestWithContext(t.Context(), http.MethodGet, srv.URL+"/dicom-web/studies/1.2.3", nil)
	if err != nil {
		t.Fatal(err)
	}
	resp, err := srv.Client().Do(req)
	if err == nil {
		_, err = io.Copy(io.Discard, resp.Body)
		_ = resp.Body.Close()
	}
	if err == nil {
		t.Error("half a study ended well")
	}
	srv.Close() // waits for the handlers
	if w.memBlobs.open != 0 {
		t.Errorf("%d readers left open", w.memBlobs.open)
	}
}
