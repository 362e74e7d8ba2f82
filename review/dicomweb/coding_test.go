package dicomweb

import (
	"bytes"
	"fmt"
	"io"
	"mime"
	"mime/multipart"
	"net/http"
	"net/http/httptest"
	"testing"

	"github.com/klauspost/compress/zstd"

	"github.com/tributary-dicom/tributary/storage/index"
)

func TestCodingOf(t *testing.T) {
	for header, want := range map[string]string{
		"": "", "gzip": "gzip", "zstd": "zstd", "gzip, deflate, br, zstd": "zstd", "gzip;q=1, zstd;q=0.5": "gzip", "zstd;q=0, gzip": "gzip",
		"gzip;q=0": "", "*": "gzip", "*;q=0": "", "identity": "", "x-gzip": "gzip", "GZIP ; q=0.5": "gzip", "br": "", "zstd;q=0": "",
	} {
		r := httptest.NewRequest(http.MethodGet, "/", nil)
		r.Header.Set("Accept-Encoding", header)
		if got := codingOf(r); got != want {
			t.Errorf("%q: %q, want %q", header, got, want)
		}
	}
}

func TestZstd(t *testing.T) {
	w := newWorld()
	for i := range 3000 {
		w.rows[index.StudyLevel] = append(w.rows[index.StudyLevel], index.Row{Attributes: with(echoStudy(), "StudyInstanceUID", fmt.Sprintf("1.%d", i))})
	}
	for range 3 { // encoders are used again
		for _, limit := range []int{5, 100, 3000} {
			target := fmt.Sprintf("/dicom-web/studies?limit=%d", limit)
			plain, packed := w.get(target), w.get(target, "Accept-Encoding", "gzip, deflate, br, zstd")
			if packed.Header().Get("Content-Encoding") != "zstd" {
				t.Fatalf("limit %d: %v", limit, packed.Header())
			}
			z, err := zstd.NewReader(packed.Body)
			if err != nil {
				t.Fatal(err)
			}
			body, err := io.ReadAll(z)
			z.Close()
			if err != nil || !bytes.Equal(body, plain.Body.Bytes()) {
				t.Errorf("limit %d: compressed and plain answers differ: %v", limit, err)
			}
		}
	}
}

// FuzzMultipart reads what is sent with the standard library's reader: whatever the stored bytes are, each
// part is one of them.
func FuzzMultipart(f *testing.F) {
	f.Add([]byte("a"), []byte("\r\n--tributary--\r\n"), uint8(3))
	f.Add([]byte{}, []byte("--\r\n\r\n"), uint8(1))
	f.Fuzz(func(t *testing.T, a, b []byte, n uint8) {
		w := newWorld()
		var want [][]byte
		for i := range 1 + int(n)%5 {
			file := [][]byte{a, b}[i%2]
			w.add(studyUID, seriesUID, fmt.Sprintf("%s.%d", seriesUID, i+1), jpegBaseline, file)
			want = append(want, file)
		}
		rec := w.get("/dicom-web/studies/" + studyUID)
		wantStatus(t, rec, http.StatusOK)
		_, params, err := mime.ParseMediaType(rec.Header().Get("Content-Type"))
		if err != nil {
			t.Fatal(err)
		}
		mr := multipart.NewReader(rec.Body, params["boundary"])
		for i := range want {
			p, err := mr.NextRawPart()
			if err != nil {
				t.Fatalf("part %d: %v", i, err)
			}
			if got, err := io.ReadAll(p); err != nil || !bytes.Equal(got, want[i]) {
				t.Fatalf("part %d differs: %v", i, err)
			}
		}
		if _, err := mr.NextRawPart(); err != io.EOF {
			t.Fatalf("after the last part: %v", err)
		}
	})
}
