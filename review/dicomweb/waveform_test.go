package dicomweb_test

import (
	"bytes"
	"encoding/xml"
	"errors"
	"io"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/tributary-dicom/tributary/fixtures"
)

// TestWaveforms: an ECG is drawn, in the form that the client likes best.
func TestWaveforms(t *testing.T) {
	var b bytes.Buffer
	i := fixtures.Village(1, 1)[0].NewStudy("ECG", "a").ECG12Lead(fixtures.ECG{})
	if _, err := i.WriteTo(&b); err != nil {
		t.Fatal(err)
	}
	cut := bytes.Clone(b.Bytes())
	s := serve(t, map[string][]byte{"ecg": cut}, false)
	path := instancePath(s.objects["ecg"])
	for _, accept := range []string{"*/*", "", "image/svg+xml", "text/html,*/*;q=0.8"} {
		w := s.want(http.StatusOK, s.get("ecg", path+"/rendered", "Accept", accept))
		if w.Header().Get("Content-Type") != "image/svg+xml" || !strings.Contains(w.Header().Get("Content-Security-Policy"), "sandbox") {
			t.Errorf("%q: %v", accept, w.Header())
		}
		svg := w.Body.String()
		if !strings.Contains(svg, "aVR") || !strings.Contains(svg, "25 mm/s") {
			t.Errorf("%q: no leads or no speed on the drawing", accept)
		}
		for d := xml.NewDecoder(strings.NewReader(svg)); ; {
			if _, err := d.Token(); errors.Is(err, io.EOF) {
				break
			} else if err != nil {
				t.Fatal(err)
			}
		}
	}
	if p := s.picture("png", s.get("ecg", path+"/rendered", "Accept", "image/png")); p.Bounds().Dx() < 2900 {
		t.Errorf("a page of %v pixels", p.Bounds())
	}
	if p := s.picture("jpeg", s.get("ecg", path+"/rendered?viewport=800,300&quality=50", "Accept", "image/jpeg")); p.Bounds().Dx() > 800 || p.Bounds().Dy() > 300 {
		t.Errorf("a page of %v pixels in 800 × 300", p.Bounds())
	}
	if w := s.want(200, s.get("ecg", path+"/rendered?accept=application/pdf")); !strings.HasPrefix(w.Body.String(), "%PDF-") {
		t.Errorf("%.20q", w.Body)
	}
	if p := s.picture("jpeg", s.get("ecg", path+"/thumbnail?viewport=256,256", "Accept", "image/jpeg")); p.Bounds().Dx() > 256 || p.Bounds().Dx() < 100 {
		t.Errorf("thumbnail %v", p.Bounds())
	}
	study, _, _ := strings.Cut(path, "/series/")
	s.picture("jpeg", s.get("ecg", study+"/thumbnail", "Accept", "image/jpeg"))
	slow := s.want(200, s.get("ecg", path+"/rendered?speed=50&gain=20&layout=12x1&filter=lp40&lang=zh"))
	if !strings.Contains(slow.Body.String(), "50 mm/s") {
		t.Error("the speed that was asked for is not on the drawing")
	}
	etag := slow.Header().Get("ETag")
	s.want(http.StatusOK, s.get("ecg", path+"/rendered", "If-None-Match", etag))
	s.want(http.StatusNotModified, s.get("ecg", path+"/rendered?speed=50&gain=20&layout=12x1&filter=lp40&lang=zh", "If-None-Match", etag))
	for _, query := range []string{"speed=1", "gain=x", "layout=9x9", "filter=magic", "lang=xx", "layout=" + strings.Repeat("a", 100)} {
		s.want(http.StatusBadRequest, s.get("ecg", path+"/rendered?"+query))
	}
	s.want(http.StatusNotAcceptable, s.get("ecg", path+"/rendered", "Accept", "video/mp4"))
	w := s.want(200, s.get("ecg", "/wado?requestType=WADO&studyUID="+s.objects["ecg"].StudyInstanceUID+"&seriesUID="+
		s.objects["ecg"].SeriesInstanceUID+"&objectUID="+s.objects["ecg"].SOPInstanceUID+"&contentType=image/svg%2Bxml"))
	if w.Header().Get("Content-Type") != "image/svg+xml" {
		t.Errorf("WADO-URI: %v", w.Header())
	}
}

// TestWaveformsOfTheCorpus: every ECG of the corpus is drawn.
func TestWaveformsOfTheCorpus(t *testing.T) {
	dir := filepath.Join(corpus(t), "ecg")
	entries, err := os.ReadDir(dir)
	if err != nil {
		t.Fatal(err)
	}
	files := map[string][]byte{}
	for _, e := range entries {
		if files[e.Name()], err = os.ReadFile(filepath.Join(dir, e.Name())); err != nil {
			t.Fatal(err)
		}
	}
	s := serve(t, files, false)
	if len(s.objects) < 5 {
		t.Fatalf("only %d recordings", len(s.objects))
	}
	for name, obj := range s.objects {
		w := s.get(name, instancePath(obj)+"/thumbnail", "Accept", "image/png")
		if name == "dcmfx__waveform_ecg_synthetic_multi_group.dcm" { // signals that are no leads
			s.want(http.StatusNotAcceptable, w)
			continue
		}
		s.picture("png", w)
	}
}
