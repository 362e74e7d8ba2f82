package dicomweb

import (
	"bytes"
	"compress/flate"
	"encoding/binary"
	"fmt"
	"io"
	"mime"
	"mime/multipart"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"github.com/tributary-dicom/tributary/parsers/part10"
	"github.com/tributary-dicom/tributary/storage/index"
)

const (
	jpegBaseline = "1.2.840.10008.1.2.4.50"
	bigEndian    = "1.2.840.10008.1.2.2"
	deflated     = "1.2.840.10008.1.2.1.99"
	anyDICOM     = `multipart/related; type="application/dicom"; transfer-syntax=*`
	anyFrames    = "multipart/related; type=application/octet-stream; transfer-syntax=*"
	instancePath = "/dicom-web/studies/1.2.3/series/1.2.3.4/instances/1.2.3.4.5"
)

type readPart struct {
	header map[string][]string
	body   []byte
}

// readParts parses a multipart answer with the standard library's reader.
func readParts(t *testing.T, rec *httptest.ResponseRecorder, rootType string) []readPart {
	t.Helper()
	wantStatus(t, rec, http.StatusOK)
	name, params, err := mime.ParseMediaType(rec.Header().Get("Content-Type"))
	if err != nil || name != typeRelated || params["type"] != rootType {
		t.Fatalf("Content-Type %q: %v", rec.Header().Get("Content-Type"), err)
	}
	if got := fmt.Sprint(rec.Body.Len()); rec.Header().Get("Content-Length") != got {
		t.Fatalf("Content-Length %s of a body of %s bytes", rec.Header().Get("Content-Length"), got)
	}
	var out []readPart
	mr := multipart.NewReader(rec.Body, params["boundary"])
	for {
		p, err := mr.NextRawPart()
		if err == io.EOF {
			return out
		}
		if err != nil {
			t.Fatal(err)
		}
		b, err := io.ReadAll(p)
		if err != nil {
			t.Fatal(err)
		}
		if p.Header.Get("Content-Length") != fmt.Sprint(len(b)) {
			t.Errorf("part says %s bytes, has %d", p.Header.Get("Content-Length"), len(b))
		}
		out = append(out, readPart{p.Header, b})
	}
}

func (p readPart) get(name string) string {
	if v := p.header[name]; len(v) > 0 {
		return v[0]
	}
	return ""
}

func TestRetrieveStudy(t *testing.T) {
	w := newWorld()
	files := map[string][]byte{}
	for i := range 40 {
		uid := fmt.Sprintf("%s.%d", seriesUID, i)
		files[uid] = noise(1 + i*i*700) // up to a megabyte: several copy buffers
		w.add(studyUID, seriesUID, uid, jpegBaseline, files[uid])
	}
	files["1.2.3.9.1"] = []byte("\r\n--tributary-\r\n\r\n")
	w.add(studyUID, "1.2.3.9", "1.2.3.9.1", implicitVRLittleEndian, files["1.2.3.9.1"])
	w.add("1.7", "1.8", "1.9", jpegBaseline, []byte("another study"))
	// The losing side of a conflict, and an ECG that is not DICOM.
	w.add(studyUID, seriesUID, seriesUID+".3", jpegBaseline, []byte("other bytes"), func(o *index.Object) { o.Current = false })
	w.add(studyUID, "1.2.3.9", "2.25.1", "", []byte("SCP-ECG"), func(o *index.Object) { o.MediaType = "application/x-scp-ecg" })

	for target, n := range map[string]int{"/dicom-web/studies/1.2.3": 41, "/dicom-web/studies/1.2.3/series/1.2.3.4": 40} {
		for _, accept := range []string{"", "*/*", anyDICOM, "multipart/related", `multipart/related; type=application/dicom`} {
			parts := readParts(t, w.get(target, "Accept", accept), typeDICOM)
			if len(parts) != n {
				t.Fatalf("%s: %d parts, want %d", target, len(parts), n)
			}
			for _, p := range parts {
				uid := p.get("Content-Location")[strings.LastIndex(p.get("Content-Location"), "/")+1:]
				if !bytes.Equal(p.body, files[uid]) {
					t.Errorf("%s differs from what is stored", uid)
				}
				want := "application/dicom; transfer-syntax=" + jpegBaseline
				if uid == "1.2.3.9.1" {
					want = "application/dicom; transfer-syntax=" + implicitVRLittleEndian
				}
				if p.get("Content-Type") != want {
					t.Errorf("%s is %q", uid, p.get("Content-Type"))
				}
			}
		}
	}
	if w.memBlobs.open != 0 {
		t.Errorf("%d readers left open", w.memBlobs.open)
	}

	rec := w.get("/dicom-web/studies/1.2.3", "Accept", `multipart/related; type="application/dicom"; transfer-syntax=1.2.840.10008.1.2.1`)
	wantStatus(t, rec, http.StatusNotAcceptable)
	if !strings.Contains(rec.Body.String(), jpegBaseline) || !strings.Contains(rec.Body.String(), implicitVRLittleEndian) {
		t.Errorf("406 does not name what is stored: %s", rec.Body)
	}
	wantStatus(t, w.get("/dicom-web/studies/1.2.3", "Accept", typeDICOM), http.StatusNotAcceptable)
	wantStatus(t, w.get("/dicom-web/studies/1.2.4"), http.StatusNotFound)
	wantStatus(t, w.get("/dicom-web/studies/1.2.3/series/1.8"), http.StatusNotFound)
	if head := w.do(http.MethodHead, "/dicom-web/studies/1.2.3"); head.Body.Len() != 0 || head.Header().Get("Content-Length") == "" {
		t.Errorf("HEAD: %d bytes, headers %v", head.Body.Len(), head.Header())
	}
}

func TestRetrieveInstance(t *testing.T) {
	w := newWorld()
	file := noise(700_000)
	w.add(studyUID, seriesUID, instanceUID, jpegBaseline, file)
	w.add(studyUID, seriesUID, "2.25.1", "", []byte("SCP-ECG"), func(o *index.Object) { o.MediaType = "application/x-scp-ecg" })

	for _, accept := range []string{"", "*/*", anyDICOM, anyDICOM + ", application/dicom"} {
		parts := readParts(t, w.get(instancePath, "Accept", accept), typeDICOM)
		if len(parts) != 1 || !bytes.Equal(parts[0].body, file) {
			t.Fatalf("%q: not the stored file", accept)
		}
	}
	rec := w.get(instancePath, "Accept", "application/dicom; transfer-syntax=*")
	wantStatus(t, rec, 200)
	h := rec.Header()
	if !bytes.Equal(rec.Body.Bytes(), file) || h.Get("Content-Type") != "application/dicom; transfer-syntax="+jpegBaseline ||
		!strings.HasPrefix(h.Get("Content-Disposition"), "attachment") || h.Get("Accept-Ranges") != "bytes" ||
		h.Get("X-Content-Type-Options") != "nosniff" || h.Get("Content-Length") != "700000" {
		t.Errorf("headers %v", h)
	}
	etag := h.Get("ETag")
	for _, c := range []struct {
		headers []string
		status  int
		body    []byte
	}{
		{[]string{"Range", "bytes=100-199"}, 206, file[100:200]},
		{[]string{"Range", "bytes=-5"}, 206, file[len(file)-5:]},
		{[]string{"Range", "bytes=0-"}, 206, file},
		{[]string{"Range", "bytes=100-199", "If-Range", etag}, 206, file[100:200]},
		{[]string{"Range", "bytes=100-199", "If-Range", `"other"`}, 200, file},
		{[]string{"Range", "bytes=0-1,5-6"}, 200, file},
		{[]string{"If-None-Match", `"x", ` + etag}, 304, nil},
		{[]string{"If-None-Match", "W/" + etag}, 304, nil},
		{[]string{"If-None-Match", `"x"`}, 200, file},
	} {
		rec := w.get(instancePath, append([]string{"Accept", typeDICOM}, c.headers...)...)
		wantStatus(t, rec, c.status)
		if !bytes.Equal(rec.Body.Bytes(), c.body) {
			t.Errorf("%v: wrong bytes", c.headers)
		}
		if c.status == 206 && !strings.HasSuffix(rec.Header().Get("Content-Range"), "/700000") {
			t.Errorf("%v: Content-Range %q", c.headers, rec.Header().Get("Content-Range"))
		}
	}
	rec = w.get(instancePath, "Accept", typeDICOM, "Range", "bytes="+strings.Repeat("0-,", 1000)+"0-")
	wantStatus(t, rec, 416)
	if rec.Header().Get("Content-Range") != "bytes */700000" {
		t.Errorf("416 with Content-Range %q", rec.Header().Get("Content-Range"))
	}
	head := w.do(http.MethodHead, instancePath, "Accept", typeDICOM)
	if head.Code != 200 || head.Body.Len() != 0 || head.Header().Get("Content-Length") != "700000" {
		t.Errorf("HEAD: %d, %v", head.Code, head.Header())
	}
	rec = w.get(instancePath, "Accept", "application/dicom; transfer-syntax=1.2.840.10008.1.2.1")
	wantStatus(t, rec, 406)
	if !strings.Contains(rec.Body.String(), jpegBaseline) {
		t.Errorf("406 does not name what is stored: %s", rec.Body)
	}
	wantStatus(t, w.get(instancePath, "Accept", "image/png"), 406)
	wantStatus(t, w.get(strings.Replace(instancePath, "1.2.3.4.5", "1.2.3.4.6", 1)), 404)

	other := strings.Replace(instancePath, instanceUID, "2.25.1", 1)
	rec = w.get(other)
	if rec.Body.String() != "SCP-ECG" || rec.Header().Get("Content-Type") != "application/x-scp-ecg" {
		t.Errorf("%v %s", rec.Header(), rec.Body)
	}
	wantStatus(t, w.get(other, "Accept", anyDICOM), 406)
}

// TestConflict: of two data sets under one UID only the current one is served, whichever came first.
func TestConflict(t *testing.T) {
	w := newWorld()
	first := w.add(studyUID, seriesUID, instanceUID, jpegBaseline, []byte("first"))
	w.add(studyUID, seriesUID, instanceUID, jpegBaseline, []byte("second"), func(o *index.Object) { o.Current = false })
	for want, current := range map[string]bool{"first": true, "second": false} {
		for i := range w.objects {
			w.objects[i].Current = (w.objects[i].ObjectID == first.ObjectID) == current
		}
		for _, target := range []string{"/dicom-web/studies/1.2.3", "/dicom-web/studies/1.2.3/series/1.2.3.4", instancePath} {
			parts := readParts(t, w.get(target), typeDICOM)
			if len(parts) != 1 || string(parts[0].body) != want {
				t.Errorf("%s: %d parts, want the current version alone", target, len(parts))
			}
		}
	}
}

// TestM1 is OHIF's request for a series' metadata.
func TestM1(t *testing.T) {
	w := newWorld()
	w.add(studyUID, seriesUID, instanceUID, jpegBaseline, nil, func(o *index.Object) {
		o.Header = []byte(`{"00080005":{"vr":"CS","Value":["GB18030"]},"00080018":{"vr":"UI","Value":["1.2.3.4.5"]},"54000100":{"vr":"SQ","Value":[{"54001010":{"vr":"OW","BulkDataURI":"bulkdata/54000100/0/54001010"}}]}}`)
	})
	w.add(studyUID, seriesUID, "1.2.3.4.6", explicitVRLittleEndian, nil)
	w.add(studyUID, seriesUID, "2.25.1", "", nil, func(o *index.Object) { o.Header = nil })
	for target, n := range map[string]int{"/dicom-web/studies/1.2.3/metadata": 2, "/dicom-web/studies/1.2.3/series/1.2.3.4/metadata": 2, instancePath + "/metadata": 1} {
		rec := w.get(target, "Accept", `application/dicom+json, multipart/related; type="application/octet-stream"`)
		out := decode(t, rec)
		if len(out) != n {
			t.Fatalf("%s: %d instances, want %d", target, len(out), n)
		}
		if !strings.Contains(rec.Body.String(), `"BulkDataURI":"`+instancePath+`/bulkdata/54000100/0/54001010"`) {
			t.Errorf("%s: Bulk Data URI is not server-relative: %s", target, rec.Body)
		}
		if out[0]["00083002"].Value[0] != jpegBaseline || out[0]["00080005"].Value[0] != "ISO_IR 192" {
			t.Errorf("%s: %v", target, out[0])
		}
	}
	rec := w.get(instancePath + "/metadata")
	etag := rec.Header().Get("ETag")
	again := w.get(instancePath+"/metadata", "If-None-Match", etag)
	if again.Code != http.StatusNotModified || again.Body.Len() != 0 {
		t.Errorf("%d for the ETag %s", again.Code, etag)
	}
	wantStatus(t, w.get(instancePath+"/metadata", "Accept", `multipart/related; type="application/dicom+xml"`), 406)
	wantStatus(t, w.get("/dicom-web/studies/1.2.4/metadata"), 404)
	wantStatus(t, w.get(strings.Replace(instancePath, instanceUID, "2.25.1", 1)+"/metadata"), 404)
	wantStatus(t, w.get(strings.Replace(instancePath, instanceUID, "2.25.7", 1)+"/metadata"), 404)
	w.add(studyUID, seriesUID, "1.2.3.4.7", "", nil, func(o *index.Object) { o.Header = []byte("damaged") })
	wantStatus(t, w.get("/dicom-web/studies/1.2.3/metadata"), 500)
}

// encapsulated builds a file whose pixel data has the given fragments, each behind an 8-byte item header.
func encapsulated(fragments ...[]byte) (file []byte, runs []part10.Range) {
	file = append(file, noise(1000)...)
	for _, f := range fragments {
		file = append(file, 0xFE, 0xFF, 0x00, 0xE0)
		file = binary.LittleEndian.AppendUint32(file, uint32(len(f)))
		runs = append(runs, part10.Range{Offset: int64(len(file)), Length: int64(len(f))})
		file = append(file, f...)
	}
	return append(file, 0xFE, 0xFF, 0xDD, 0xE0, 0, 0, 0, 0), runs
}

// TestF1 is OHIF's request for a frame, with and without quotes.
func TestF1(t *testing.T) {
	w := newWorld()
	a, b, c := noise(3000), noise(500), noise(70)
	file, runs := encapsulated(a, b, c)
	w.add(studyUID, seriesUID, instanceUID, jpegBaseline, file, func(o *index.Object) {
		o.Frames = part10.FrameTable{Kind: part10.Encapsulated, Count: 2, Fragments: runs, First: []int{0, 2}}
	})
	frames := [][]byte{append(bytes.Clone(a), b...), c}
	for _, accept := range []string{anyFrames, `multipart/related; type="application/octet-stream"; transfer-syntax="*"`, "*/*", ""} {
		for i, want := range frames {
			rec := w.get(fmt.Sprintf("%s/frames/%d", instancePath, i+1), "Accept", accept)
			parts := readParts(t, rec, typeOctetStream)
			if len(parts) != 1 || !bytes.Equal(parts[0].body, want) {
				t.Fatalf("frame %d differs", i+1)
			}
			if got := parts[0].get("Content-Type"); got != "application/octet-stream; transfer-syntax="+jpegBaseline {
				t.Errorf("part is %q", got)
			}
			again := w.get(fmt.Sprintf("%s/frames/%d", instancePath, i+1), "Accept", accept, "If-None-Match", rec.Header().Get("ETag"))
			wantStatus(t, again, http.StatusNotModified)
		}
	}
	parts := readParts(t, w.get(instancePath+"/frames/2,1", "Accept", `multipart/related; type="image/jpeg"; transfer-syntax=`+jpegBaseline), "image/jpeg")
	if len(parts) != 2 || !bytes.Equal(parts[0].body, frames[1]) || !bytes.Equal(parts[1].body, frames[0]) {
		t.Error("frames 2,1 differ")
	}
	rec := w.get(instancePath+"/frames/1", "Accept", "image/jpeg", "Range", "bytes=2990-3009")
	if rec.Code != 206 || !bytes.Equal(rec.Body.Bytes(), frames[0][2990:3010]) {
		t.Errorf("single part by range: %d", rec.Code)
	}
	for target, status := range map[string]int{
		"/frames/3": 404, "/frames/0": 400, "/frames/-1": 400, "/frames/1,1": 400, "/frames/x": 400, "/frames/1,": 400, "/frames/+1": 400,
		"/frames/" + strings.Repeat("1,", maxFramesAsked) + "1": 400, "/frames/99999999999999999999": 400, "/frames/%31": 200,
	} {
		if rec := w.get(instancePath + target); rec.Code != status {
			t.Errorf("%.40s: %d, want %d", target, rec.Code, status)
		}
	}
	rec = w.get(instancePath+"/frames/1", "Accept", "multipart/related; type=application/octet-stream; transfer-syntax=1.2.840.10008.1.2.1")
	wantStatus(t, rec, 406)
	if !strings.Contains(rec.Body.String(), jpegBaseline) {
		t.Errorf("406 does not name what is stored: %s", rec.Body)
	}
	layouts := 0
	for _, want := range w.wants {
		if want.Layout {
			layouts++
		}
	}
	if layouts != 1 {
		t.Errorf("the layout was read %d times, want once", layouts)
	}
}

// TestFrameTypes: a codec goes by the name of PS3.18 Table 8.7.3-5, and by that of older clients where they ask for it.
func TestFrameTypes(t *testing.T) {
	w := newWorld()
	file, runs := encapsulated(noise(100))
	for i, c := range []struct{ syntax, ask, want string }{
		{"1.2.840.10008.1.2.4.80", "image/jls", "image/jls"},
		{"1.2.840.10008.1.2.4.80", "image/x-jls", "image/x-jls"},
		{"1.2.840.10008.1.2.5", "image/dicom-rle", "image/dicom-rle"},
		{"1.2.840.10008.1.2.5", "image/x-dicom-rle", "image/x-dicom-rle"},
		{"1.2.840.10008.1.2.4.201", "image/jphc", "image/jphc"},
		{"1.2.840.10008.1.2.4.202", "image/jhc", "image/jhc"},
		{"1.2.840.10008.1.2.4.90", "image/*", "image/jp2"},
		{"1.2.840.10008.1.2.4.110", "image/*", "image/jxl"},
		{"1.2.840.10008.1.2.4.80", "image/jpeg", ""},
		{"1.2.840.10008.1.2.4.102", "video/mp4", ""},
	} {
		uid := fmt.Sprintf("%s.%d", instanceUID, i+1)
		w.add(studyUID, seriesUID, uid, c.syntax, file, func(o *index.Object) {
			o.Frames = part10.FrameTable{Kind: part10.Encapsulated, Count: 1, Fragments: runs, First: []int{0}}
		})
		target := instanceURL("/dicom-web", studyUID, seriesUID, uid) + "/frames/1"
		for _, syntax := range []string{"*", c.syntax} {
			accept := fmt.Sprintf("multipart/related; type=%q; transfer-syntax=%s", c.ask, syntax)
			if c.want == "" {
				wantStatus(t, w.get(target, "Accept", accept), http.StatusNotAcceptable)
				continue
			}
			parts := readParts(t, w.get(target, "Accept", accept), c.want)
			if len(parts) != 1 || parts[0].get("Content-Type") != c.want+"; transfer-syntax="+c.syntax {
				t.Errorf("%s: %d parts, %q", accept, len(parts), parts[0].get("Content-Type"))
			}
		}
	}
}

func TestNativeFrames(t *testing.T) {
	pixels := noise(3 * 6)
	swappedPixels := bytes.Clone(pixels)
	for i := 0; i < len(pixels); i += 2 {
		swappedPixels[i], swappedPixels[i+1] = pixels[i+1], pixels[i]
	}
	head := []byte("File Meta and header")
	var packed bytes.Buffer
	packed.Write(head[:10])
	z, _ := flate.NewWriter(&packed, flate.BestSpeed)
	_, _ = z.Write(append(bytes.Clone(head[10:]), pixels...))
	_ = z.Close()
	for name, c := range map[string]struct {
		syntax string
		file   []byte
		frames part10.FrameTable
		vr     string
		want   []byte
	}{
		"implicit":   {implicitVRLittleEndian, append(bytes.Clone(head), pixels...), part10.FrameTable{Offset: 20}, "OW", pixels},
		"big endian": {bigEndian, append(bytes.Clone(head), pixels...), part10.FrameTable{Offset: 20}, "OW", swappedPixels},
		"bytes":      {bigEndian, append(bytes.Clone(head), pixels...), part10.FrameTable{Offset: 20}, "OB", pixels},
		"deflated":   {deflated, packed.Bytes(), part10.FrameTable{Offset: 10, Inflated: true}, "OW", pixels},
	} {
		t.Run(name, func(t *testing.T) {
			w := newWorld()
			w.add(studyUID, seriesUID, instanceUID, c.syntax, c.file, func(o *index.Object) {
				o.DatasetOffset = 10
				o.Frames = c.frames
				o.Frames.Kind, o.Frames.Count, o.Frames.FrameBits = part10.Native, 6, 24
				o.Bulk = []part10.Bulk{{Path: "7FE00010", VR: c.vr, Offset: c.frames.Offset, Length: 18, Inflated: c.frames.Inflated}}
			})
			parts := readParts(t, w.get(instancePath+"/frames/1,2,3,4,5,6", "Accept", anyFrames), typeOctetStream)
			for i, p := range parts {
				if !bytes.Equal(p.body, c.want[3*i:3*i+3]) { // odd frames: words span their borders
					t.Errorf("frame %d: % x, want % x", i+1, p.body, c.want[3*i:3*i+3])
				}
				if got := p.get("Content-Type"); got != "application/octet-stream; transfer-syntax="+explicitVRLittleEndian {
					t.Errorf("part is %q", got)
				}
			}
			if len(parts) != 6 || w.memBlobs.open != 0 {
				t.Errorf("%d parts, %d readers left open", len(parts), w.memBlobs.open)
			}
			if c.frames.Inflated && w.memBlobs.opened != 1 {
				t.Errorf("inflated %d times for one request", w.memBlobs.opened)
			}
			rec := w.get(instancePath+"/bulkdata/7fe00010", "Accept", "application/octet-stream")
			if rec.Code != 200 || !bytes.Equal(rec.Body.Bytes(), c.want) {
				t.Errorf("bulk data: %d, % x", rec.Code, rec.Body.Bytes())
			}
			wantStatus(t, w.get(instancePath+"/frames/1", "Accept", anyFrames[:len(anyFrames)-1]+explicitVRLittleEndian), 200)
			wantStatus(t, w.get(instancePath+"/frames/1", "Accept", anyFrames[:len(anyFrames)-1]+jpegBaseline), 406)
		})
	}
}

func TestBitFrames(t *testing.T) {
	w := newWorld()
	pixels := noise(10)
	w.add(studyUID, seriesUID, instanceUID, explicitVRLittleEndian, pixels, func(o *index.Object) {
		o.Frames = part10.FrameTable{Kind: part10.Native, Count: 7, FrameBits: 11}
	})
	for i, p := range readParts(t, w.get(instancePath+"/frames/1,2,3,4,5,6,7", "Accept", anyFrames), typeOctetStream) {
		for j := range 16 {
			want := byte(0)
			if j < 11 {
				want = bit(pixels, 11*i+j)
			}
			if bit(p.body, j) != want {
				t.Fatalf("frame %d, pixel %d is wrong", i+1, j)
			}
		}
	}
}

func TestNoFrames(t *testing.T) {
	for name, ft := range map[string]part10.FrameTable{
		"none":     {},
		"problem":  {Kind: part10.Encapsulated, Problem: "fragments do not match frames"},
		"damaged":  {Kind: part10.Encapsulated, Count: 3, First: []int{0, 5, 1}, Fragments: []part10.Range{{Length: 1}}},
		"negative": {Kind: part10.Native, Count: 3, FrameBits: -8},
	} {
		w := newWorld()
		w.add(studyUID, seriesUID, instanceUID, jpegBaseline, []byte("x"), func(o *index.Object) { o.Frames = ft })
		for _, n := range []string{"1", "2", "3"} {
			if rec := w.get(instancePath + "/frames/" + n); rec.Code < 400 {
				t.Errorf("%s, frame %s: %d", name, n, rec.Code)
			}
		}
	}
}

// TestBulkData are OHIF's requests B1, B3 and B4.
func TestBulkData(t *testing.T) {
	w := newWorld()
	wave, doc := noise(5000), append([]byte("%PDF-1.4"), noise(300_000)...)
	file := append(append([]byte("head"), wave...), doc...)
	w.add(studyUID, seriesUID, instanceUID, explicitVRLittleEndian, file, func(o *index.Object) {
		o.Header = []byte(`{"00420012":{"vr":"LO","Value":["application/pdf"]}}`)
		o.Bulk = []part10.Bulk{
			{Path: "54000100/0/54001010", VR: "OW", Offset: 4, Length: 5000},
			{Path: "00420011", VR: "OB", Offset: 5004, Length: int64(len(doc))},
		}
	})
	rec := w.get(instancePath+"/bulkdata/54000100/0/54001010", "Accept", "application/octet-stream")
	wantStatus(t, rec, 200)
	if !bytes.Equal(rec.Body.Bytes(), wave) || rec.Header().Get("Content-Type") != typeOctetStream {
		t.Error("B1: not the waveform in one part")
	}
	rec = w.get(instancePath+"/bulkdata/54000100/0/54001010", "Range", "bytes=10-19")
	if rec.Code != 206 || !bytes.Equal(rec.Body.Bytes(), wave[10:20]) {
		t.Errorf("range: %d", rec.Code)
	}
	rec = w.get(instancePath+"/bulkdata/00420011", "Accept", "*/*")
	wantStatus(t, rec, 200)
	if !bytes.Equal(rec.Body.Bytes(), doc) {
		t.Error("B3: not the document in one part")
	}
	both := `multipart/related; type="application/pdf", multipart/related; type="application/octet-stream"`
	if parts := readParts(t, w.get(instancePath+"/bulkdata/00420011", "Accept", both), typePDF); len(parts) != 1 || !bytes.Equal(parts[0].body, doc) {
		t.Error("B4: not the document in one of one parts")
	}
	if parts := readParts(t, w.get(instancePath+"/bulkdata/54000100/0/54001010", "Accept", both), typeOctetStream); !bytes.Equal(parts[0].body, wave) {
		t.Error("B4: waveform differs")
	}
	if rec := w.get(instancePath+"/bulkdata/00420011", "Accept", typePDF); rec.Header().Get("Content-Type") != typePDF {
		t.Errorf("PDF as %q", rec.Header().Get("Content-Type"))
	}
	for target, status := range map[string]int{
		"/bulkdata/7FE00010": 404, "/bulkdata/54000100/1/54001010": 404, "/bulkdata/": 400, "/bulkdata/etc": 400, "/bulkdata/%2e%2e/x": 400,
		"/bulkdata/54000100/0": 400, "/bulkdata/" + strings.Repeat("54000100/0/", 500) + "54001010": 400, "/bulkdata/54000100/x/54001010": 400,
	} {
		if rec := w.get(instancePath + target); rec.Code != status {
			t.Errorf("%.60s: %d, want %d", target, rec.Code, status)
		}
	}
	wantStatus(t, w.get(instancePath+"/bulkdata/00420011", "Accept", "image/png"), 406)
}
