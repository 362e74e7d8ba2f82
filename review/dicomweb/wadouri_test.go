package dicomweb_test

import (
	"bytes"
	"fmt"
	"image"
	"image/color"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"testing"

	"github.com/tributary-dicom/tributary/fixtures"
)

// TestWADOURI is what older readers ask.
func TestWADOURI(t *testing.T) {
	file := pixelFile("1.2.4", "1.2.5", 16, 16, 1, 8, "MONOCHROME2", ramp())
	s := serve(t, map[string][]byte{"ramp": file}, false)
	const object = "requestType=WADO&studyUID=1.2.3&seriesUID=1.2.4&objectUID=1.2.5"
	for _, prefix := range []string{"/wado?", "/dicom-web/wado?", "/dicom-web?", "/dicom-web/?"} {
		w := s.want(200, s.get("ramp", prefix+object+"&contentType=application%2Fdicom&transferSyntax=1.2.840.10008.1.2.1"))
		if !bytes.Equal(w.Body.Bytes(), file) || !strings.HasPrefix(w.Header().Get("Content-Type"), "application/dicom") {
			t.Errorf("not the stored file: %v", w.Header())
		}
		s.picture("jpeg", s.get("ramp", prefix+object))
	}
	get := func(query string) *httptest.ResponseRecorder { return s.get("ramp", "/wado?"+object+"&"+query) }
	s.want(200, get("contentType=application/dicom&transferSyntax=*"))
	if w := s.want(200, get("contentType=application/dicom&transferSyntax=1.2.840.10008.1.2.4.90")); !bytes.Equal(w.Body.Bytes(), file) {
		t.Error("where another syntax cannot be had, Explicit VR Little Endian is not sent")
	}
	s.want(http.StatusPartialContent, s.get("ramp", "/wado?"+object+"&contentType=application/dicom", "Range", "bytes=128-131"))
	s.picture("png", get("contentType=image/png,image/jpeg"))
	if p := s.picture("png", get("contentType=image/png&rows=8&columns=64")); p.Bounds() != image.Rect(0, 0, 8, 8) {
		t.Errorf("rows=8: %v", p.Bounds())
	}
	if p := s.picture("png", get("contentType=image/png&region=0.5,0.5,1,1&frameNumber=1")); p.Bounds() != image.Rect(0, 0, 8, 8) || color.GrayModel.Convert(p.At(0, 0)).(color.Gray).Y != 8*16+8 {
		t.Errorf("region: %v %v", p.Bounds(), p.At(0, 0))
	}
	if p := s.picture("png", get("contentType=image/png&windowCenter=100.5&windowWidth=1")); color.GrayModel.Convert(p.At(15, 15)).(color.Gray).Y != 255 {
		t.Error("the window was not applied")
	}
	for query, status := range map[string]int{
		"contentType=image/png&frameNumber=2": 404, "contentType=image/png&frameNumber=x": 400, "contentType=image/png&frameNumber=1,1": 400,
		"contentType=image/png&frameNumber=1,2": 400, "anonymize=yes": 400, "presentationUID=1.2": 400, "contentType=image/png&rows=0": 400,
		"contentType=image/png&region=0,0,1": 400, "contentType=image/png&region=0.5,0,0.4,1": 400, "contentType=image/png&windowCenter=1": 400,
		"contentType=text/html": 406, "studyUID=1.2.4": 400, "contentType=image/jpeg&imageQuality=200": 400,
	} {
		if w := get(query); w.Code != status {
			t.Errorf("%s: %d, want %d: %s", query, w.Code, status, w.Body)
		}
	}
	for _, target := range []string{"/dicom-web", "/dicom-web/", "/dicom-web/?studyUID=1.2.3", "/dicom-web?%zz", "/dicom-web?requestType="} {
		s.want(404, s.get("ramp", target))
	}
	for _, target := range []string{"/wado", "/wado?requestType=STOW", "/dicom-web?requestType=STOW", "/wado?requestType=WADO&studyUID=1.2.3&seriesUID=1.2.4&objectUID=" + url.QueryEscape("../x")} {
		s.want(400, s.get("ramp", target))
	}
	s.want(404, s.get("ramp", "/wado?requestType=WADO&studyUID=1.2.3&seriesUID=1.2.4&objectUID=1.2.6"))
	s.want(404, s.get("ramp", "/wado?requestType=WADO&studyUID=1.2.7&seriesUID=1.2.4&objectUID=1.2.5"))
}

// TestWeasis asks as Weasis does: for the file of each object, for a thumbnail of each series, with what an operator
// has it append; and as others do who spell the parameters in their own way.
func TestWeasis(t *testing.T) {
	study := fixtures.Village(1, 1)[0].NewStudy("US", "a")
	var b bytes.Buffer
	i := study.UltrasoundCine(fixtures.Cine{Columns: 320, Rows: 240, Frames: 4, Encoding: fixtures.JPEG})
	if _, err := i.WriteTo(&b); err != nil {
		t.Fatal(err)
	}
	s := serve(t, map[string][]byte{"cine": b.Bytes()}, false)
	object := fmt.Sprintf("studyUID=%s&seriesUID=%s&objectUID=%s", i.StudyInstanceUID, i.SeriesInstanceUID, i.SOPInstanceUID)
	for _, query := range []string{
		"requestType=WADO&" + object + "&contentType=application%2Fdicom",
		"requestType=WADO&" + object + "&contentType=application/dicom&anonymize=no&contentType=application/dicom",
		"requestType=WADO&" + object + "&contentType=application%2Fdicom&transferSyntax=1.2.840.10008.1.2.4.50&imageQuality=80",
		"requestType=WADO&" + object + "&contentType=application%2Fdicom&transferSyntax=*&session=x&custodianOID=2.16",
		"RequestType=wado&" + object + "&contentType=application/dicom", "requesttype=WADO&" + object, // several frames: the file
	} {
		w := s.want(200, s.get("cine", "/wado?"+query, "Accept", "text/html, image/gif, image/jpeg, *; q=.2, */*; q=.2"))
		if !bytes.Equal(w.Body.Bytes(), b.Bytes()) || !strings.HasPrefix(w.Header().Get("Content-Type"), "application/dicom") {
			t.Errorf("%s: %v", query, w.Header())
		}
	}
	p := s.picture("jpeg", s.get("cine", "/wado?requestType=WADO&"+object+"&contentType=image/jpeg&imageQuality=70&rows=256&columns=256"))
	if p.Bounds() != image.Rect(0, 0, 256, 192) {
		t.Errorf("a thumbnail of %v", p.Bounds())
	}
	s.picture("jpeg", s.get("cine", "/wado?requestType=WADO&"+object+"&contentType=image/jpeg&frameNumber=4"))
	w := s.want(http.StatusNotAcceptable, s.get("cine", "/wado?requestType=WADO&"+object+"&contentType=application%2Fdicom&transferSyntax=1.2.840.10008.1.2.4.70"))
	if !strings.Contains(w.Body.String(), "1.2.840.10008.1.2.4.50") {
		t.Errorf("406 does not name what is stored: %s", w.Body)
	}
	for _, query := range []string{"anonymize=yes", "contentType=application/dicom&contentType=image/png", "transferSyntax=1&transferSyntax=2"} {
		s.want(http.StatusBadRequest, s.get("cine", "/wado?requestType=WADO&"+object+"&"+query))
	}
}
