package dicomweb

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"path"
	"slices"
	"strings"
	"sync"
	"testing"

	"github.com/tributary-dicom/tributary/parsers/part10"
	"github.com/tributary-dicom/tributary/storage/blob"
	"github.com/tributary-dicom/tributary/storage/index"
)

// memIndex is an index of a few objects. It matches by equality, "*" at the ends and lists; the real
// rules are tested with the index itself.
type memIndex struct {
	mu      sync.Mutex
	objects []index.Object
	rows    map[index.Level][]index.Row
	unknown []string // keywords that it refuses to match
	queries []index.Query
	wants   []index.Want
	block   bool // Search waits for its context
	fail    error
}

func (m *memIndex) Search(ctx context.Context, q index.Query) ([]index.Row, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.queries = append(m.queries, q)
	if m.block {
		<-ctx.Done()
		return nil, ctx.Err()
	}
	if m.fail != nil {
		return nil, m.fail
	}
	for _, o := range q.OrderBy {
		if slices.Contains(m.unknown, o.Keyword) {
			return nil, fmt.Errorf("order by %s: %w", o.Keyword, index.ErrUnsupportedMatch)
		}
	}
	var out []index.Row
	for _, k := range q.Matches {
		if slices.Contains(m.unknown, k.Keyword) {
			return nil, fmt.Errorf("match %s: %w", k.Keyword, index.ErrUnsupportedMatch)
		}
	}
	for _, r := range m.rows[q.Level] {
		ok := true
		for _, k := range q.Matches {
			ok = ok && slices.ContainsFunc(k.Values, func(v string) bool { return like(r.Attributes[k.Keyword], v) })
		}
		if ok {
			out = append(out, r)
		}
	}
	out = out[min(q.Offset, len(out)):]
	return out[:min(q.Limit, len(out))], nil
}

func like(have, want string) bool {
	for _, h := range append(strings.FieldsFunc(have, func(r rune) bool { return r == '\\' || r == '=' }), have) {
		if ok, _ := path.Match(strings.ToLower(want), strings.ToLower(h)); ok {
			return true
		}
	}
	lo, hi, isRange := strings.Cut(want, "-")
	return isRange && have >= lo && (hi == "" || have <= hi)
}

func (m *memIndex) Objects(ctx context.Context, s index.Scope, w index.Want, fn func(index.Object) error) error {
	m.mu.Lock()
	objects := slices.Clone(m.objects)
	m.wants = append(m.wants, w)
	m.mu.Unlock()
	if m.fail != nil {
		return m.fail
	}
	for _, o := range objects {
		if s.Tenant != DefaultTenant || o.StudyInstanceUID != s.StudyInstanceUID ||
			s.SeriesInstanceUID != "" && o.SeriesInstanceUID != s.SeriesInstanceUID ||
			s.SOPInstanceUID != "" && o.SOPInstanceUID != s.SOPInstanceUID {
			continue
		}
		if !w.Header {
			o.Header = nil
		}
		if !w.Layout {
			o.Frames, o.Bulk = part10.FrameTable{}, nil
		}
		if err := fn(o); err != nil {
			return err
		}
	}
	return ctx.Err()
}

func (m *memIndex) lastQuery(t *testing.T) index.Query {
	t.Helper()
	if len(m.queries) == 0 {
		t.Fatal("the index was not asked")
	}
	return m.queries[len(m.queries)-1]
}

// memBlobs is a blob store. failAt breaks the reader of a key after so many bytes of the blob.
type memBlobs struct {
	mu     sync.Mutex
	bytes  map[string][]byte
	failAt map[string]int64
	opened int
	open   int
}

var errDisk = errors.New("disk read error")

func (m *memBlobs) Open(_ context.Context, key string, off, n int64) (io.ReadCloser, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	b, ok := m.bytes[key]
	if !ok {
		return nil, blob.ErrNotFound
	}
	off = min(off, int64(len(b)))
	end := int64(len(b))
	if n >= 0 {
		end = min(end, off+n)
	}
	m.opened++
	m.open++
	r := io.Reader(struct{ io.Reader }{bytes.NewReader(b[off:end])})
	if at, broken := m.failAt[key]; broken {
		r = io.MultiReader(bytes.NewReader(b[off:max(off, min(end, at))]), errReader{})
	}
	return joined{r, closeFunc(func() { m.mu.Lock(); m.open--; m.mu.Unlock() })}, nil
}

type errReader struct{}

func (errReader) Read([]byte) (int, error) { return 0, errDisk }

type closeFunc func()

func (c closeFunc) Close() error { c(); return nil }

// world is a server over fakes.
type world struct {
	*memIndex
	*memBlobs
	http.Handler
}

func newWorld(edit ...func(*Config)) *world {
	w := &world{
		memIndex: &memIndex{rows: map[index.Level][]index.Row{}},
		memBlobs: &memBlobs{bytes: map[string][]byte{}, failAt: map[string]int64{}},
	}
	cfg := Config{Index: w.memIndex, Blobs: w.memBlobs}
	for _, e := range edit {
		e(&cfg)
	}
	w.Handler = New(cfg)
	return w
}

// add stores file as an object; edit may change what the index says of it.
func (w *world) add(study, series, instance, syntax string, file []byte, edit ...func(*index.Object)) index.Object {
	sum := sha256.Sum256(file)
	key := fmt.Sprintf("blob-%d", len(w.memBlobs.bytes))
	o := index.Object{
		ObjectID: "id-" + key, StudyInstanceUID: study, SeriesInstanceUID: series, SOPInstanceUID: instance,
		SOPClassUID: "1.2.840.10008.5.1.4.1.1.7", TransferSyntaxUID: syntax, BlobKey: key, Bytes: int64(len(file)),
		SHA256: hex.EncodeToString(sum[:]), Current: true, MediaType: typeDICOM,
		Header: []byte(`{"00080018":{"vr":"UI","Value":["` + instance + `"]}}`),
	}
	for _, e := range edit {
		e(&o)
	}
	w.memBlobs.bytes[key] = file
	w.memIndex.objects = append(w.memIndex.objects, o)
	return o
}

// get performs a request; headers come in pairs.
func (w *world) get(target string, headers ...string) *httptest.ResponseRecorder {
	return w.do(http.MethodGet, target, headers...)
}

func (w *world) do(method, target string, headers ...string) *httptest.ResponseRecorder {
	r := httptest.NewRequest(method, target, nil)
	for i := 0; i+1 < len(headers); i += 2 {
		r.Header.Add(headers[i], headers[i+1])
	}
	rec := httptest.NewRecorder()
	w.ServeHTTP(rec, r)
	return rec
}

func wantStatus(t *testing.T, rec *httptest.ResponseRecorder, status int) {
	t.Helper()
	if rec.Code != status {
		t.Fatalf("status %d, want %d; body %.300s", rec.Code, status, rec.Body)
	}
	if rec.Code >= 400 {
		var body map[string]string
		if err := json.Unmarshal(rec.Body.Bytes(), &body); err != nil || body["error"] == "" {
			t.Fatalf("error body %q is not {\"error\":…}", rec.Body)
		}
	}
}

// decode reads a JSON answer.
func decode(t *testing.T, rec *httptest.ResponseRecorder) []map[string]attr {
	t.Helper()
	wantStatus(t, rec, http.StatusOK)
	if got := rec.Header().Get("Content-Type"); got != typeDICOMJSON {
		t.Fatalf("Content-Type %q", got)
	}
	var out []map[string]attr
	if err := json.Unmarshal(rec.Body.Bytes(), &out); err != nil {
		t.Fatalf("%v in %s", err, rec.Body)
	}
	return out
}

type attr struct {
	VR          string `json:"vr"`
	Value       []any  `json:",omitempty"`
	BulkDataURI string `json:",omitempty"`
}
