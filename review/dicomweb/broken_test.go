package dicomweb

import (
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strconv"
	"strings"
	"testing"

	"github.com/tributary-dicom/tributary/parsers/part10"
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

// TestBrokenAtOnce: what breaks within the first piece is an answer too, whole small bodies among them.
func TestBrokenAtOnce(t *testing.T) {
	for name, c := range map[string]struct {
		size   int
		failAt int64
	}{
		"small, at its end": {3000, 3000}, "small": {3000, 10}, "large, at its begin": {1_000_000, 10},
	} {
		w := newWorld()
		o := w.add(studyUID, seriesUID, instanceUID, jpegBaseline, noise(c.size), func(o *index.Object) {
			o.Frames = part10.FrameTable{Kind: part10.Native, Count: 1, FrameBits: int64(c.size) * 8}
			o.Bulk = []part10.Bulk{{Path: "7FE00010", VR: "OB", Length: int64(c.size)}}
		})
		w.failAt[o.BlobKey] = c.failAt
		for target, accepts := range map[string][]string{
			instancePath:                        {typeDICOM, anyDICOM},
			"/dicom-web/studies/1.2.3":          {anyDICOM},
			instancePath + "/frames/1":          {anyFrames, typeOctetStream},
			instancePath + "/bulkdata/7FE00010": {typeOctetStream, typeRelated},
		} {
			for _, accept := range accepts {
				rec := w.get(target, "Accept", accept)
				wantStatus(t, rec, http.StatusInternalServerError)
				if rec.Header().Get("Content-Type") != typeJSON || rec.Header().Get("Content-Range") != "" || rec.Header().Get("Content-Location") != "" {
					t.Errorf("%s, %s as %s: %v", name, target, accept, rec.Header())
				}
			}
		}
		if w.memBlobs.open != 0 || readersNow.Load() != 0 {
			t.Errorf("%s: %d readers and %d buffers left", name, w.memBlobs.open, readersNow.Load())
		}
	}
}

// TestAwayOnEveryPath: what passes by itself is 503 with a hint when to come again, and nothing else is.
func TestAwayOnEveryPath(t *testing.T) {
	for name, c := range map[string]struct {
		fail   error
		status int
	}{
		"away":     {fmt.Errorf("search: %w: secret", index.ErrUnavailable), http.StatusServiceUnavailable},
		"too slow": {fmt.Errorf("search: %w", index.ErrTimeout), http.StatusServiceUnavailable},
		"our bug":  {errors.New("search: secret"), http.StatusInternalServerError},
	} {
		w := newWorld()
		w.fail = c.fail
		for _, target := range []string{
			"/dicom-web/studies", "/dicom-web/studies/1.2.3", "/dicom-web/studies/1.2.3/metadata", instancePath, instancePath + "/frames/1",
			instancePath + "/rendered", instancePath + "/thumbnail", instancePath + "/bulkdata/7FE00010", "/dicom-web/studies/1.2.3/thumbnail",
			"/dicom-web/studies/1.2.3/series/1.2.3.4/rendered", instancePath + "/metadata", "/dicom-web/instances",
			"/wado?requestType=WADO&studyUID=1.2.3&seriesUID=1.2.3.4&objectUID=1.2.3.4.5",
		} {
			rec := w.get(target)
			wantStatus(t, rec, c.status)
			if again := rec.Header().Get("Retry-After"); (again != "") != (c.status == http.StatusServiceUnavailable) {
				t.Errorf("%s, %s: Retry-After %q", name, target, again)
			}
			if strings.Contains(rec.Body.String(), "secret") {
				t.Errorf("%s, %s: internal text: %s", name, target, rec.Body)
			}
		}
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

// FuzzTarget: no path and no query make the server panic, answer with anything but JSON errors, or read
// what is not there.
func FuzzTarget(f *testing.F) {
	for _, s := range []string{
		"studies?limit=101&includefield=all", "studies/1.2.3/series/1.2.3.4/instances/1.2.3.4.5/frames/1,2",
		"studies/1.2.3/series/1.2.3.4/instances/1.2.3.4.5/bulkdata/7FE00010", "studies/%2e%2e/%00", "studies/1.2.3/metadata?accept=*/*;q=0",
		"instances?00400275.00400009=x&orderby=-StudyDate&offset=-1",
	} {
		f.Add(s, "*/*", "bytes=0-")
	}
	w := newWorld()
	w.add(studyUID, seriesUID, instanceUID, jpegBaseline, noise(100), func(o *index.Object) {
		o.Frames = part10.FrameTable{Kind: part10.Native, Count: 7, FrameBits: 11, Offset: 3}
		o.Bulk = []part10.Bulk{{Path: "7FE00010", VR: "OW", Offset: 3, Length: 10}}
	})
	f.Fuzz(func(t *testing.T, target, accept, byteRange string) {
		u, err := url.Parse("http://localhost/dicom-web/" + target)
		if err != nil {
			return
		}
		r := &http.Request{Method: http.MethodGet, URL: u, Host: "localhost", Header: http.Header{"Accept": {accept}, "Range": {byteRange}}}
		rec := httptest.NewRecorder()
		w.ServeHTTP(rec, r.WithContext(t.Context()))
		if rec.Code >= 400 && rec.Header().Get("Content-Type") != typeJSON {
			t.Fatalf("%s: %d as %q", target, rec.Code, rec.Header().Get("Content-Type"))
		}
		if rec.Code >= 500 {
			t.Fatalf("%s: %d %s", target, rec.Code, rec.Body)
		}
		if length := rec.Header().Get("Content-Length"); length != "" && rec.Code != http.StatusNotModified && length != strconv.Itoa(rec.Body.Len()) {
			t.Fatalf("%s: Content-Length %s of %d bytes", target, length, rec.Body.Len())
		}
	})
}
