package dicomweb_test

import (
	"bytes"
	"context"
	"encoding/binary"
	"encoding/json"
	"fmt"
	"image"
	"image/color"
	_ "image/gif"
	_ "image/jpeg"
	_ "image/png"
	"io"
	"mime"
	"mime/multipart"
	"net/http"
	"net/http/httptest"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/tributary-dicom/tributary/fixtures"
	"github.com/tributary-dicom/tributary/fixtures/hostile"
	"github.com/tributary-dicom/tributary/parsers/part10"
	"github.com/tributary-dicom/tributary/pipeline/eventlog"
	"github.com/tributary-dicom/tributary/review/dicomweb"
	"github.com/tributary-dicom/tributary/review/render"
	"github.com/tributary-dicom/tributary/storage/blob"
	"github.com/tributary-dicom/tributary/storage/index"
)

// held is a blob store in memory.
type held map[string][]byte

func (h held) Open(_ context.Context, key string, off, n int64) (io.ReadCloser, error) {
	b, ok := h[key]
	if !ok {
		return nil, blob.ErrNotFound
	}
	off = min(off, int64(len(b)))
	end := int64(len(b))
	if n >= 0 {
		end = min(end, off+n)
	}
	return io.NopCloser(bytes.NewReader(b[off:end])), nil
}

// server serves files as they would be after admission; each is its own tenant unless together.
type server struct {
	*testing.T
	http.Handler
	objects map[string]*part10.Object
}

func serve(t *testing.T, files map[string][]byte, together bool) server {
	t.Helper()
	s := server{T: t, objects: map[string]*part10.Object{}}
	var records []eventlog.Record
	for name, file := range files {
		obj, err := part10.Scan(bytes.NewReader(file), part10.Options{})
		if err != nil {
			continue
		}
		s.objects[name] = obj
		r := stored(t, name, file, obj, int64(len(records)))
		if together {
			r.Event.Data = bytes.Replace(r.Event.Data, []byte(`"tenant":"`+name+`"`), []byte(`"tenant":"all"`), 1)
		}
		records = append(records, r)
	}
	db, err := index.OpenSQLite(t.Context(), filepath.Join(t.TempDir(), "index.db"), index.Options{})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { db.Close() })
	if err := db.Apply(t.Context(), records); err != nil {
		t.Fatal(err)
	}
	s.Handler = dicomweb.New(dicomweb.Config{Index: db, Blobs: held(files), Tenant: func(r *http.Request) string {
		if together {
			return "all"
		}
		return r.Header.Get("Tenant")
	}})
	return s
}

// get asks for something; headers come in pairs.
func (s server) get(tenant, target string, headers ...string) *httptest.ResponseRecorder {
	s.Helper()
	r := httptest.NewRequest(http.MethodGet, target, nil)
	r.Header.Set("Tenant", tenant)
	for i := 0; i+1 < len(headers); i += 2 {
		r.Header.Set(headers[i], headers[i+1])
	}
	w := httptest.NewRecorder()
	s.ServeHTTP(w, r)
	return w
}

func (s server) want(status int, w *httptest.ResponseRecorder) *httptest.ResponseRecorder {
	s.Helper()
	if w.Code != status {
		s.Fatalf("status %d, want %d: %.200s", w.Code, status, w.Body)
	}
	return w
}

// picture decodes a picture of a format, "jpeg", "png" or "gif".
func (s server) picture(format string, w *httptest.ResponseRecorder) image.Image {
	s.Helper()
	s.want(http.StatusOK, w)
	if got := w.Header().Get("Content-Type"); got != "image/"+format {
		s.Fatalf("Content-Type %q, want image/%s", got, format)
	}
	p, got, err := image.Decode(w.Body)
	if err != nil || got != format {
		s.Fatalf("a picture of format %q: %v", got, err)
	}
	return p
}

// pixelFile is a file of Explicit VR Little Endian with a pixel module and elements of its own.
func pixelFile(series, instance string, rows, columns, samples, bits int, photometric string, pixels []byte, extra ...[]byte) []byte {
	el := func(tag uint32, vr, value string) []byte {
		if len(value)%2 == 1 {
			value += map[bool]string{true: "\x00", false: " "}[vr == "UI" || vr == "OB" || vr == "OW"]
		}
		b := binary.LittleEndian.AppendUint16(nil, uint16(tag>>16))
		b = binary.LittleEndian.AppendUint16(b, uint16(tag))
		b = append(b, vr...)
		if vr == "OB" || vr == "OW" || vr == "SQ" {
			b = append(b, 0, 0)
			b = binary.LittleEndian.AppendUint32(b, uint32(len(value)))
		} else {
			b = binary.LittleEndian.AppendUint16(b, uint16(len(value)))
		}
		return append(b, value...)
	}
	us := func(tag uint32, v int) []byte {
		return el(tag, "US", string(binary.LittleEndian.AppendUint16(nil, uint16(v))))
	}
	const secondaryCapture = "1.2.840.10008.5.1.4.1.1.7"
	meta := bytes.Join([][]byte{
		el(0x00020001, "OB", "\x00\x01"), el(0x00020002, "UI", secondaryCapture), el(0x00020003, "UI", instance),
		el(0x00020010, "UI", "1.2.840.10008.1.2.1"), el(0x00020012, "UI", "1.2.3"),
	}, nil)
	file := append(make([]byte, 128), "DICM"...)
	file = append(file, el(0x00020000, "UL", string(binary.LittleEndian.AppendUint32(nil, uint32(len(meta)))))...)
	file = append(file, meta...)
	for _, e := range [][]byte{
		el(0x00080016, "UI", secondaryCapture), el(0x00080018, "UI", instance), el(0x00080060, "CS", "OT"),
		el(0x00100010, "PN", "Test"), el(0x00100020, "LO", "1"), el(0x0020000D, "UI", "1.2.3"), el(0x0020000E, "UI", series),
		us(0x00280002, samples), el(0x00280004, "CS", photometric), us(0x00280010, rows), us(0x00280011, columns),
		bytes.Join(extra, nil), us(0x00280100, bits), us(0x00280101, bits), us(0x00280102, bits-1), us(0x00280103, 0),
		el(0x7FE00010, "OW", string(pixels)),
	} {
		file = append(file, e...)
	}
	return file
}

func ramp() []byte {
	pixels := make([]byte, 16*16)
	for i := range pixels {
		pixels[i] = byte(i)
	}
	return pixels
}

const rampPath = "/dicom-web/studies/1.2.3/series/1.2.4/instances/1.2.5"

// TestRenderedParameters asks for one picture in every way.
func TestRenderedParameters(t *testing.T) {
	s := serve(t, map[string][]byte{"ramp": pixelFile("1.2.4", "1.2.5", 16, 16, 1, 8, "MONOCHROME2", ramp())}, false)
	at := func(query, accept, format string) image.Image {
		t.Helper()
		return s.picture(format, s.get("ramp", rampPath+"/rendered"+query, "Accept", accept))
	}
	grey := func(p image.Image, x, y int) int {
		return int(color.GrayModel.Convert(p.At(p.Bounds().Min.X+x, p.Bounds().Min.Y+y)).(color.Gray).Y)
	}
	for _, accept := range []string{"", "*/*", "image/jpeg", "text/html,image/avif,image/webp,*/*;q=0.8", "image/png;q=0.5, image/jpeg"} {
		if p := at("", accept, "jpeg"); p.Bounds().Dx() != 16 || p.Bounds().Dy() != 16 {
			t.Errorf("Accept %q: %v", accept, p.Bounds())
		}
	}
	for _, format := range []string{"png", "gif"} {
		p := at("", "image/"+format, format)
		for i := range 256 {
			if got := grey(p, i%16, i/16); got != i {
				t.Fatalf("%s: pixel %d is %d", format, i, got)
			}
		}
	}
	at("?accept=image/png", "image/jpeg", "png") // the parameter counts more than the header
	w := at("?window=100.5,1,linear", "image/png", "png")
	if grey(w, 4, 6) != 0 || grey(w, 5, 6) != 255 { // values 100 and 101
		t.Errorf("window 100.5,1: %d %d", grey(w, 4, 6), grey(w, 5, 6))
	}
	w = at("?window=128,256,linear-exact", "image/png", "png")
	if got := grey(w, 0, 8); got != 128 {
		t.Errorf("window 128,256,linear-exact at 128: %d", got)
	}
	w = at("?window=128,64,sigmoid", "image/png", "png")
	if got := grey(w, 0, 8); got != 128 || grey(w, 0, 0) > 1 || grey(w, 15, 15) < 253 {
		t.Errorf("sigmoid: %d %d %d", grey(w, 0, 0), got, grey(w, 15, 15))
	}
	if p := at("?viewport=64,32", "image/png", "png"); p.Bounds().Dx() != 32 || p.Bounds().Dy() != 32 {
		t.Errorf("viewport 64,32: %v", p.Bounds())
	}
	part := at("?viewport=4,4,8,12,4,4", "image/png", "png")
	if part.Bounds().Dx() != 4 || grey(part, 0, 0) != 12*16+8 || grey(part, 3, 3) != 15*16+11 {
		t.Errorf("region: %v %d", part.Bounds(), grey(part, 0, 0))
	}
	flipped := at("?viewport=16,16,,,-16,16", "image/png", "png")
	if grey(flipped, 0, 0) != 15 || grey(flipped, 15, 0) != 0 {
		t.Errorf("mirrored: %d %d", grey(flipped, 0, 0), grey(flipped, 15, 0))
	}
	small := s.get("ramp", rampPath+"/rendered?quality=5", "Accept", "image/jpeg")
	large := s.get("ramp", rampPath+"/rendered?quality=100", "Accept", "image/jpeg")
	if small.Body.Len() >= large.Body.Len() {
		t.Errorf("quality 5 takes %d bytes, 100 takes %d", small.Body.Len(), large.Body.Len())
	}
	thumbnail := s.picture("jpeg", s.get("ramp", rampPath+"/thumbnail?viewport=8,8"))
	if thumbnail.Bounds().Dx() != 8 {
		t.Errorf("thumbnail %v", thumbnail.Bounds())
	}
	if p := s.picture("jpeg", s.get("ramp", rampPath+"/thumbnail")); p.Bounds().Dx() != 16 {
		t.Errorf("a thumbnail was enlarged to %v", p.Bounds())
	}
	for _, query := range []string{
		"viewport=1", "viewport=0,5", "viewport=-1,5", "viewport=99999,5", "viewport=a,b", "viewport=1,1,-5,0,1,1", "window=1", "window=1,0,linear",
		"window=1,-1", "window=NaN,1,linear", "window=1,1,cubic", "window=1e999,1", "quality=0", "quality=101", "quality=x", "viewport=8,8,1,1,1",
	} {
		s.want(http.StatusBadRequest, s.get("ramp", rampPath+"/rendered?"+query))
	}
	s.want(http.StatusUnprocessableEntity, s.get("ramp", rampPath+"/rendered?viewport=8,8,100,100,5,5"))
	s.want(http.StatusNotAcceptable, s.get("ramp", rampPath+"/rendered", "Accept", "application/dicom"))
	s.want(http.StatusNotFound, s.get("ramp", rampPath+"/frames/2/rendered"))
	if w := s.want(http.StatusOK, s.get("ramp", rampPath+"/rendered?iccprofile=srgb")); !strings.Contains(w.Header().Get("Warning"), "iccprofile") {
		t.Errorf("Warning %q", w.Header().Get("Warning"))
	}

	first := s.want(http.StatusOK, s.get("ramp", rampPath+"/rendered"))
	etag := first.Header().Get("ETag")
	s.want(http.StatusNotModified, s.get("ramp", rampPath+"/rendered", "If-None-Match", etag))
	for _, other := range []string{"?quality=50", "?window=1,2", "?viewport=8,8", "?accept=image/png"} {
		s.want(http.StatusOK, s.get("ramp", rampPath+"/rendered"+other, "If-None-Match", etag))
	}
	whole := first.Body.Bytes()
	if w := s.want(http.StatusPartialContent, s.get("ramp", rampPath+"/rendered", "Range", "bytes=2-9")); !bytes.Equal(w.Body.Bytes(), whole[2:10]) {
		t.Error("a range of a picture differs")
	}
}

// TestRenderedCorpus asks for the picture and the thumbnail of every file: each is one, or says why not.
func TestRenderedCorpus(t *testing.T) {
	dir := corpus(t)
	files := map[string][]byte{}
	err := filepath.WalkDir(dir, func(path string, d os.DirEntry, err error) error {
		if err != nil || d.IsDir() || strings.HasSuffix(path, ".json") || strings.HasSuffix(path, ".tsv") {
			return err
		}
		file, err := os.ReadFile(path)
		const most = 600 << 10 // the larger ones add time, not cases
		if err == nil && len(file) <= most {
			name, _ := filepath.Rel(dir, path)
			files[filepath.ToSlash(name)] = file
		}
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	s := serve(t, files, false)
	drawn := 0
	for name, obj := range s.objects {
		path := instancePath(obj)
		w := s.get(name, path+"/rendered", "Accept", "image/png, */*;q=0.1")
		small := s.get(name, path+"/thumbnail?viewport=64,64", "Accept", "image/jpeg")
		switch w.Code {
		case http.StatusOK:
			if w.Header().Get("Content-Type") == "application/pdf" || strings.HasPrefix(w.Header().Get("Content-Type"), "video/") {
				continue
			}
			drawn++
			p := s.picture("png", w)
			if p.Bounds().Empty() {
				t.Errorf("%s: an empty picture", name)
			}
			if q := s.picture("jpeg", small); q.Bounds().Dx() > 64 || q.Bounds().Dy() > 64 {
				t.Errorf("%s: thumbnail of %v", name, q.Bounds())
			}
		case http.StatusNotAcceptable:
			if obj.Frames.Count > 0 && render.CanDecode(obj.TransferSyntaxUID) != nil && !strings.Contains(w.Body.String(), obj.TransferSyntaxUID) {
				t.Errorf("%s: 406 does not name %s: %s", name, obj.TransferSyntaxUID, w.Body)
			}
			if obj.Frames.Count > 0 && render.CanDecode(obj.TransferSyntaxUID) == nil && obj.TransferSyntaxUID != "1.2.840.10008.1.2.4.51" {
				t.Errorf("%s: %s", name, w.Body)
			}
		case http.StatusUnprocessableEntity:
			t.Logf("%s: %s", name, strings.TrimSpace(w.Body.String()))
		default:
			t.Errorf("%s: %d %s", name, w.Code, w.Body)
		}
	}
	if drawn < 80 {
		t.Errorf("only %d pictures", drawn)
	}
}

// TestRenderedHostile asks for pictures of the files made to hurt.
func TestRenderedHostile(t *testing.T) {
	want := map[int]int{41: 422, 42: 422, 43: 422, 47: 422, 48: 422}
	files, numbers := map[string][]byte{}, map[string]int{}
	for i, c := range hostile.DICOM() {
		file, err := io.ReadAll(io.LimitReader(c.Data(), 4<<20))
		if err != nil {
			t.Fatal(err)
		}
		name := fmt.Sprintf("%02d-%d", c.Number, i)
		files[name], numbers[name] = file, c.Number
	}
	s := serve(t, files, false)
	seen := map[int]bool{}
	for name, obj := range s.objects {
		path := instancePath(obj)
		for _, target := range []string{"/rendered", "/thumbnail", "/frames/1/rendered", "/frames/1/thumbnail"} {
			w := s.get(name, path+target)
			status, listed := want[numbers[name]]
			seen[numbers[name]] = true
			if listed && w.Code != status {
				t.Errorf("%s%s: %d, want %d: %s", name, target, w.Code, status, w.Body)
			}
			if w.Code >= 500 {
				t.Errorf("%s%s: %d %s", name, target, w.Code, w.Body)
			}
		}
		if w := s.get(name, path+"/frames/1"); w.Code >= 500 {
			t.Errorf("%s/frames/1: %d %s", name, w.Code, w.Body)
		}
	}
	for number := range want {
		if !seen[number] {
			t.Errorf("row %d was not stored", number)
		}
	}
}

// TestJPEGPassesThrough: where a browser shows the stored frame as it is meant, it is sent bit for bit.
func TestJPEGPassesThrough(t *testing.T) {
	study := fixtures.Village(1, 1)[0].NewStudy("US", "a")
	files := map[string][]byte{}
	for name, encoding := range map[string]fixtures.Encoding{"colour": fixtures.JPEG, "grey": fixtures.JPEGGray} {
		i := study.UltrasoundCine(fixtures.Cine{Columns: 64, Rows: 64, Frames: 3, Encoding: encoding, Number: 1 + len(files)})
		var b bytes.Buffer
		if _, err := i.WriteTo(&b); err != nil {
			t.Fatal(err)
		}
		files[name] = b.Bytes()
	}
	s := serve(t, files, false)
	for name, obj := range s.objects {
		path := instancePath(obj)
		for n := 1; n <= 3; n++ {
			frame := s.want(200, s.get(name, fmt.Sprintf("%s/frames/%d", path, n), "Accept", "image/jpeg")).Body.Bytes()
			w := s.want(200, s.get(name, fmt.Sprintf("%s/frames/%d/rendered", path, n), "Accept", "image/jpeg"))
			if !bytes.Equal(w.Body.Bytes(), frame) {
				t.Errorf("%s frame %d was coded anew", name, n)
			}
			if w := s.get(name, fmt.Sprintf("%s/frames/%d/rendered?quality=50", path, n), "Accept", "image/jpeg"); bytes.Equal(w.Body.Bytes(), frame) {
				t.Errorf("%s frame %d: quality was ignored", name, n)
			}
		}
		first := s.get(name, path+"/frames/1", "Accept", "image/jpeg").Body.Bytes()
		if w := s.get(name, path+"/rendered", "Accept", "image/jpeg"); !bytes.Equal(w.Body.Bytes(), first) {
			t.Errorf("%s: the instance is not rendered as its first frame", name)
		}
		if parts := readPictures(t, s.get(name, path+"/frames/3,1/rendered")); len(parts) != 2 || !bytes.Equal(parts[1], first) {
			t.Errorf("%s: frames 3,1 are %d parts", name, len(parts))
		}
	}
}

func readPictures(t *testing.T, w *httptest.ResponseRecorder) (parts [][]byte) {
	t.Helper()
	_, params, err := mime.ParseMediaType(w.Header().Get("Content-Type"))
	if err != nil || w.Code != http.StatusOK {
		t.Fatalf("%d %q: %.200s", w.Code, w.Header().Get("Content-Type"), w.Body)
	}
	for mr := multipart.NewReader(w.Body, params["boundary"]); ; {
		p, err := mr.NextRawPart()
		if err == io.EOF {
			return parts
		}
		if err != nil {
			t.Fatal(err)
		}
		b, err := io.ReadAll(p)
		if err != nil {
			t.Fatal(err)
		}
		if _, _, err := image.Decode(bytes.NewReader(b)); err != nil {
			t.Errorf("a part is no picture: %v", err)
		}
		parts = append(parts, b)
	}
}

// TestRenderedStudy: a study and its series have a picture of each instance that has one, and one thumbnail.
func TestRenderedStudy(t *testing.T) {
	noPixels := pixelFile("1.2.9", "1.2.9.1", 4, 4, 2, 8, "MONOCHROME2", make([]byte, 32))
	files := map[string][]byte{"broken": noPixels}
	for i := range 5 {
		uid := fmt.Sprintf("1.2.4.%d", i+1)
		files[uid] = pixelFile("1.2.4", uid, 16, 16, 1, 8, "MONOCHROME2", ramp())
	}
	s := serve(t, files, true)
	const study = "/dicom-web/studies/1.2.3"
	for _, target := range []string{study, study + "/series/1.2.4"} {
		if parts := readPictures(t, s.get("", target+"/rendered")); len(parts) != 5 {
			t.Errorf("%s: %d pictures, want 5", target, len(parts))
		}
		s.picture("jpeg", s.get("", target+"/thumbnail", "Accept", "image/jpeg"))
		s.want(http.StatusNotAcceptable, s.get("", target+"/rendered", "Accept", "image/jpeg"))
	}
	s.want(http.StatusUnprocessableEntity, s.get("", study+"/series/1.2.9/rendered"))
	s.want(http.StatusUnprocessableEntity, s.get("", study+"/series/1.2.9/thumbnail"))
	s.want(http.StatusNotFound, s.get("", study+"/series/1.2.8/thumbnail"))
}

// TestDocumentsAndVideo: a PDF and a video are served as they are, by range.
func TestDocumentsAndVideo(t *testing.T) {
	dir := corpus(t)
	files := map[string][]byte{}
	for _, name := range []string{"encapsulated/syn-pdf.dcm", "encapsulated/syn-cda.dcm", "video/syn-h264-hp41.dcm", "video/syn-mpeg2-mpml.dcm", "video/syn-hevc-main.dcm"} {
		file, err := os.ReadFile(filepath.Join(dir, filepath.FromSlash(name)))
		if err != nil {
			t.Fatal(err)
		}
		files[name] = file
	}
	s := serve(t, files, false)
	browser := "text/html,application/xhtml+xml,application/xml;q=0.9,image/avif,*/*;q=0.8"
	for name, obj := range s.objects {
		path := instancePath(obj) + "/rendered"
		if name == "encapsulated/syn-cda.dcm" {
			s.want(http.StatusNotAcceptable, s.get(name, path, "Accept", browser))
			continue
		}
		whole := s.want(http.StatusOK, s.get(name, path, "Accept", browser))
		kind, begin := "video/", ""
		if strings.HasSuffix(name, "pdf.dcm") {
			kind, begin = "application/pdf", "%PDF-"
		}
		if !strings.HasPrefix(whole.Header().Get("Content-Type"), kind) || !strings.HasPrefix(whole.Body.String(), begin) {
			t.Errorf("%s: %v %.8q", name, whole.Header(), whole.Body)
		}
		if !bytes.Contains(files[name], whole.Body.Bytes()[:min(4000, whole.Body.Len())]) {
			t.Errorf("%s: not the stored bytes", name)
		}
		w := s.want(http.StatusPartialContent, s.get(name, path, "Accept", "*/*", "Range", "bytes=0-"))
		if w.Header().Get("Accept-Ranges") != "bytes" || w.Body.Len() != whole.Body.Len() {
			t.Errorf("%s: %v", name, w.Header())
		}
		s.want(http.StatusNotAcceptable, s.get(name, instancePath(obj)+"/thumbnail", "Accept", "image/jpeg"))
	}
}

// TestDates: an object that did not change is not sent again.
func TestDates(t *testing.T) {
	s := serve(t, map[string][]byte{"ramp": pixelFile("1.2.4", "1.2.5", 16, 16, 1, 8, "MONOCHROME2", ramp())}, false)
	for _, target := range []string{rampPath, rampPath + "/metadata", rampPath + "/frames/1", rampPath + "/bulkdata/7FE00010"} {
		date := s.want(200, s.get("ramp", target)).Header().Get("Last-Modified")
		s.want(http.StatusNotModified, s.get("ramp", target, "If-Modified-Since", date))
		s.want(http.StatusOK, s.get("ramp", target, "If-Modified-Since", "Thu, 01 Jan 1970 00:00:00 GMT"))
		s.want(http.StatusOK, s.get("ramp", target, "If-Modified-Since", date, "If-None-Match", `"other"`))
	}
	for _, target := range []string{"/dicom-web/studies/1.2.3", "/dicom-web/studies/1.2.3/metadata", "/dicom-web/studies/1.2.3/series/1.2.4/metadata"} {
		etag := s.want(200, s.get("ramp", target)).Header().Get("ETag")
		if w := s.want(http.StatusNotModified, s.get("ramp", target, "If-None-Match", etag)); w.Body.Len() != 0 {
			t.Errorf("%s: 304 with a body", target)
		}
	}
}

// FuzzRendered asks for pictures with any query.
func FuzzRendered(f *testing.F) {
	for _, seed := range []string{
		"viewport=8,8,1,1,-4,4&window=1,2,sigmoid&quality=3", "accept=image/gif;q=0.1,*/*", "viewport=4096,4096", "window=1e300,1e-300",
		"requestType=WADO&studyUID=1.2.3&seriesUID=1.2.4&objectUID=1.2.5&region=0,0,1,1&rows=9", "viewport=1,1,65535,65535,65535,65535", "viewport=2,2,,,1e-9,",
	} {
		f.Add(seed)
	}
	var s server
	f.Fuzz(func(t *testing.T, query string) {
		if s.Handler == nil {
			s = serve(t, map[string][]byte{}, false)
			s.Handler = fuzzed(pixelFile("1.2.4", "1.2.5", 16, 16, 1, 8, "MONOCHROME2", ramp()))
		}
		for _, path := range []string{rampPath + "/rendered", rampPath + "/thumbnail", "/wado"} {
			r := httptest.NewRequest(http.MethodGet, "/", nil)
			r.URL = &url.URL{Path: path, RawQuery: query}
			w := httptest.NewRecorder()
			s.ServeHTTP(w, r)
			if w.Code >= 500 {
				t.Fatalf("%s?%q: %d %s", path, query, w.Code, w.Body)
			}
			if w.Code >= 400 && !json.Valid(w.Body.Bytes()) {
				t.Fatalf("%s?%q: %s", path, query, w.Body)
			}
		}
	})
}

// fuzzed serves one file from an index that is only this one.
func fuzzed(file []byte) http.Handler {
	obj, err := part10.Scan(bytes.NewReader(file), part10.Options{})
	if err != nil {
		panic(err)
	}
	return dicomweb.New(dicomweb.Config{Blobs: held{"k": file}, Index: oneObject{index.Object{
		ObjectID: "1", StudyInstanceUID: obj.StudyInstanceUID, SeriesInstanceUID: obj.SeriesInstanceUID, SOPInstanceUID: obj.SOPInstanceUID,
		TransferSyntaxUID: obj.TransferSyntaxUID, BlobKey: "k", Bytes: int64(len(file)), SHA256: "ab", Current: true,
		DatasetOffset: obj.DatasetOffset, Header: obj.Header, Frames: obj.Frames, Bulk: obj.Bulk,
	}}})
}

type oneObject struct{ index.Object }

func (o oneObject) Search(context.Context, index.Query) ([]index.Row, error) { return nil, nil }

func (o oneObject) Objects(_ context.Context, s index.Scope, _ index.Want, fn func(index.Object) error) error {
	if s.StudyInstanceUID != o.StudyInstanceUID || s.SOPInstanceUID != "" && s.SOPInstanceUID != o.SOPInstanceUID {
		return index.ErrNotFound
	}
	return fn(o.Object)
}

// TestRenderedWithoutBytes: what the store lost is our fault and not the picture's, and costs no share of the
// memory that drawing has.
func TestRenderedWithoutBytes(t *testing.T) {
	var ecg bytes.Buffer
	i := fixtures.Village(1, 1)[0].NewStudy("ECG", "a").ECG12Lead(fixtures.ECG{})
	if _, err := i.WriteTo(&ecg); err != nil {
		t.Fatal(err)
	}
	file := pixelFile("1.2.4", "1.2.5", 16, 16, 1, 8, "MONOCHROME2", ramp())
	files := map[string][]byte{"ramp": file, "ecg": ecg.Bytes()}
	s := serve(t, files, false)
	ecgPath := instancePath(s.objects["ecg"])
	files["ramp"] = file[:len(file)-1]
	files["ecg"] = files["ecg"][:i.Size/2]
	for range 50 { // more than the memory for drawing would bear, if any were kept
		s.want(http.StatusInternalServerError, s.get("ramp", rampPath+"/rendered"))
		s.want(http.StatusInternalServerError, s.get("ecg", ecgPath+"/thumbnail"))
	}
	delete(files, "ramp")
	delete(files, "ecg")
	s.want(http.StatusInternalServerError, s.get("ramp", rampPath+"/thumbnail"))
	s.want(http.StatusInternalServerError, s.get("ecg", ecgPath+"/rendered"))
	files["ramp"] = file
	s.picture("jpeg", s.get("ramp", rampPath+"/rendered"))
}
