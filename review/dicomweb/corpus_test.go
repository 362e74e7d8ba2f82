package dicomweb_test

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"io"
	"mime"
	"mime/multipart"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/tributary-dicom/tributary/parsers/part10"
	"github.com/tributary-dicom/tributary/pipeline/event"
	"github.com/tributary-dicom/tributary/pipeline/eventlog"
	"github.com/tributary-dicom/tributary/review/dicomweb"
	"github.com/tributary-dicom/tributary/storage/blob"
	"github.com/tributary-dicom/tributary/storage/index"
)

// corpus returns the folder of shared DICOM files, or skips the test.
func corpus(t *testing.T) string {
	t.Helper()
	dir := os.Getenv("TRIBUTARY_SHARED")
	if dir == "" {
		at, err := os.Getwd()
		if err != nil {
			t.Fatal(err)
		}
		for dir = filepath.Join(at, "shared"); ; dir = filepath.Join(at, "shared") {
			if _, err := os.Stat(filepath.Join(dir, "corpora")); err == nil {
				break
			}
			up := filepath.Dir(at)
			if up == at {
				t.Skip("no shared/corpora above the working directory and TRIBUTARY_SHARED is not set")
			}
			at = up
		}
	}
	return filepath.Join(dir, "corpora", "dicom")
}

// truth is what three other decoders say about one file.
type truth struct {
	TransferSyntaxUID string
	PatientNameGroups *struct{ Alphabetic, Ideographic, Phonetic string }
	Pixel             *struct {
		VR           string
		SHA256       string
		Encapsulated bool
	}
}

// files is a blob store of the corpus itself.
type files string

func (dir files) Open(_ context.Context, key string, off, n int64) (io.ReadCloser, error) {
	f, err := os.Open(filepath.Join(string(dir), filepath.FromSlash(key)))
	if err != nil {
		return nil, blob.ErrNotFound
	}
	if n < 0 {
		n = 1 << 62
	}
	return struct {
		io.Reader
		io.Closer
	}{io.NewSectionReader(f, off, n), f}, nil
}

// stored makes the record that admission would have appended.
func stored(t *testing.T, name string, file []byte, obj *part10.Object, offset int64) eventlog.Record {
	t.Helper()
	sum := sha256.Sum256(file)
	layout, err := event.EncodeLayout(event.Layout{Frames: obj.Frames, Bulk: obj.Bulk})
	if err != nil {
		t.Fatal(err)
	}
	in := event.Instance{
		ObjectID: fmt.Sprintf("%026d", offset), Tenant: name, Origin: event.Origin{Door: "import", ReceivedAt: time.Unix(1_760_000_000, 0)},
		Blob: event.Blob{
			Key: name, Bytes: int64(len(file)), SHA256: hex.EncodeToString(sum[:]), DatasetSHA256: hex.EncodeToString(sum[:]),
			DatasetOffset: obj.DatasetOffset, MediaType: "application/dicom", Format: "dicom", TransferSyntaxUID: obj.TransferSyntaxUID,
		},
		IDs: event.IDs{
			PatientID: obj.Attributes["PatientID"], StudyInstanceUID: obj.StudyInstanceUID, SeriesInstanceUID: obj.SeriesInstanceUID,
			SOPInstanceUID: obj.SOPInstanceUID, SOPClassUID: obj.SOPClassUID,
		},
		Attributes: obj.Attributes, Header: event.Attach(obj.Header), Frames: event.Attach(layout),
	}
	data, err := json.Marshal(in)
	if err != nil {
		t.Fatal(err)
	}
	return eventlog.Record{
		Position: eventlog.Position{Topic: event.TopicInstances, Offset: offset},
		Event: event.Envelope{
			ID: fmt.Sprintf("%026d", offset), Type: event.TypeInstanceStored, Topic: event.TopicInstances, Key: obj.StudyInstanceUID,
			Time: time.Unix(1_760_000_000, 0), Data: data,
		},
	}
}

// TestCorpus serves real files through the real scanner and index, and holds what comes out against
// what other decoders read.
func TestCorpus(t *testing.T) {
	dir := corpus(t)
	text, err := os.ReadFile(filepath.Join(dir, "expected.json"))
	if err != nil {
		t.Fatal(err)
	}
	var expected struct{ Files map[string]truth }
	if err := json.Unmarshal(text, &expected); err != nil {
		t.Fatal(err)
	}
	db, err := index.OpenSQLite(t.Context(), filepath.Join(t.TempDir(), "index.db"), index.Options{})
	if err != nil {
		t.Fatal(err)
	}
	defer db.Close() // a temporary index
	h := dicomweb.New(dicomweb.Config{Index: db, Blobs: files(dir), Tenant: func(r *http.Request) string { return r.Header.Get("Tenant") }})

	var records []eventlog.Record
	objects := map[string]*part10.Object{}
	for name := range expected.Files {
		const most = 1 << 20 // the larger ones add time, not cases
		file, err := os.ReadFile(filepath.Join(dir, filepath.FromSlash(name)))
		if err != nil {
			t.Fatal(err)
		}
		obj, err := part10.Scan(bytes.NewReader(file), part10.Options{})
		if err != nil || len(file) > most {
			continue // quarantined: readers never see it
		}
		objects[name] = obj
		records = append(records, stored(t, name, file, obj, int64(len(records))))
	}
	if err := db.Apply(t.Context(), records); err != nil {
		t.Fatal(err)
	}
	if len(objects) < 100 {
		t.Fatalf("only %d files of the corpus could be served", len(objects))
	}
	for name, obj := range objects {
		t.Run(name, func(t *testing.T) {
			c := client{t, h, name}
			c.checkSearch(obj, expected.Files[name])
			c.checkMetadata(obj)
			c.checkInstance(dir, obj)
			c.checkPixels(obj, expected.Files[name])
		})
	}
}

type client struct {
	*testing.T
	h      http.Handler
	tenant string
}

func (c client) get(target, accept string) *httptest.ResponseRecorder {
	c.Helper()
	r := httptest.NewRequest(http.MethodGet, target, nil)
	r.Header.Set("Accept", accept)
	r.Header.Set("Tenant", c.tenant)
	w := httptest.NewRecorder()
	c.h.ServeHTTP(w, r)
	if w.Code != http.StatusOK {
		c.Fatalf("%s: %d %.200s", target, w.Code, w.Body)
	}
	return w
}

func instancePath(o *part10.Object) string {
	return "/dicom-web/studies/" + o.StudyInstanceUID + "/series/" + o.SeriesInstanceUID + "/instances/" + o.SOPInstanceUID
}

type element struct {
	VR          string            `json:"vr"`
	Value       []json.RawMessage `json:",omitempty"`
	BulkDataURI string            `json:",omitempty"`
}

func (c client) json(target string) []map[string]element {
	c.Helper()
	var out []map[string]element
	if err := json.Unmarshal(c.get(target, "application/dicom+json").Body.Bytes(), &out); err != nil {
		c.Fatalf("%s: %v", target, err)
	}
	return out
}

func (c client) checkSearch(obj *part10.Object, want truth) {
	c.Helper()
	for _, target := range []string{"/dicom-web/studies", "/dicom-web/series", "/dicom-web/instances", "/dicom-web/instances?includefield=all"} {
		out := c.json(target)
		if len(out) != 1 {
			c.Fatalf("%s: %d results, want 1", target, len(out))
		}
		if uid := string(out[0]["0020000D"].Value[0]); uid != `"`+obj.StudyInstanceUID+`"` {
			c.Errorf("%s: Study Instance UID %s", target, uid)
		}
		if g := want.PatientNameGroups; g != nil && strings.TrimRight(g.Alphabetic+g.Ideographic, "^ ") != "" {
			var got struct{ Alphabetic, Ideographic, Phonetic string }
			if v := out[0]["00100010"].Value; len(v) > 0 {
				if err := json.Unmarshal(v[0], &got); err != nil {
					c.Fatal(err)
				}
			}
			if got.Ideographic != g.Ideographic && got.Ideographic != strings.TrimRight(g.Ideographic, "^ ") {
				c.Logf("name groups %+v, other decoders say %+v", got, *g) // mislabelled sets are repaired
			}
		}
	}
}

// checkMetadata follows every Bulk Data URI.
func (c client) checkMetadata(obj *part10.Object) {
	c.Helper()
	rec := c.get(instancePath(obj)+"/metadata", "application/dicom+json")
	if !json.Valid(rec.Body.Bytes()) {
		c.Fatal("metadata is not JSON")
	}
	text := rec.Body.String()
	followed := 0
	for {
		_, rest, found := strings.Cut(text, `"BulkDataURI":"`)
		if !found {
			break
		}
		uri, rest, _ := strings.Cut(rest, `"`)
		text = rest
		c.get(uri, "application/octet-stream")
		followed++
	}
	if followed != len(obj.Bulk) {
		c.Errorf("%d Bulk Data URIs, want %d", followed, len(obj.Bulk))
	}
}

func (c client) checkInstance(dir string, obj *part10.Object) {
	c.Helper()
	want, err := os.ReadFile(filepath.Join(dir, filepath.FromSlash(c.tenant)))
	if err != nil {
		c.Fatal(err)
	}
	if got := c.get(instancePath(obj), "application/dicom").Body.Bytes(); !bytes.Equal(got, want) {
		c.Error("the instance is not the stored file")
	}
	parts := c.parts("/dicom-web/studies/" + obj.StudyInstanceUID)
	if len(parts) != 1 || !bytes.Equal(parts[0], want) {
		c.Error("the study is not the stored file")
	}
}

func (c client) parts(target string) [][]byte {
	c.Helper()
	rec := c.get(target, "multipart/related")
	_, params, err := mime.ParseMediaType(rec.Header().Get("Content-Type"))
	if err != nil {
		c.Fatal(err)
	}
	var out [][]byte
	for mr := multipart.NewReader(rec.Body, params["boundary"]); ; {
		p, err := mr.NextRawPart()
		if err == io.EOF {
			return out
		}
		if err != nil {
			c.Fatal(err)
		}
		b, err := io.ReadAll(p)
		if err != nil {
			c.Fatal(err)
		}
		out = append(out, b)
	}
}

// checkPixels compares with the hash of the value bytes (native) or of all fragments (encapsulated).
func (c client) checkPixels(obj *part10.Object, want truth) {
	c.Helper()
	if want.Pixel == nil {
		return
	}
	var value []byte
	switch {
	case obj.Frames.Count > 0:
		list := make([]string, obj.Frames.Count)
		for i := range list {
			list[i] = fmt.Sprint(i + 1)
		}
		frames := c.parts(instancePath(obj) + "/frames/" + strings.Join(list, ","))
		value = bytes.Join(frames, nil)
		if len(frames) != obj.Frames.Count {
			c.Errorf("%d frames, want %d", len(frames), obj.Frames.Count)
		}
		if !want.Pixel.Encapsulated { // the value may be padded
			bulk := c.get(instancePath(obj)+"/bulkdata/"+pixelPath(obj), "application/octet-stream").Body.Bytes()
			if obj.Frames.FrameBits%8 == 0 && !bytes.HasPrefix(bulk, value) {
				c.Error("frames are not the begin of the value")
			}
			value = bulk
		}
	case !want.Pixel.Encapsulated && pixelPath(obj) != "":
		value = c.get(instancePath(obj)+"/bulkdata/"+pixelPath(obj), "application/octet-stream").Body.Bytes()
	default:
		return
	}
	if want.TransferSyntaxUID == "1.2.840.10008.1.2.2" && want.Pixel.VR == "OW" { // goes out in little endian order
		for i := 0; i+1 < len(value); i += 2 {
			value[i], value[i+1] = value[i+1], value[i]
		}
	}
	if sum := sha256.Sum256(value); want.Pixel.SHA256 != "" && hex.EncodeToString(sum[:]) != want.Pixel.SHA256 {
		c.Errorf("pixel data differ from what other decoders read (frame table from %q)", obj.Frames.Source)
	}
}

func pixelPath(obj *part10.Object) string {
	for _, b := range obj.Bulk {
		switch b.Path {
		case "7FE00010", "7FE00008", "7FE00009":
			return b.Path
		}
	}
	return ""
}
