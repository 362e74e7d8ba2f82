package web

import (
	"bytes"
	"context"
	"encoding/binary"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"sync/atomic"
	"testing"

	"github.com/tributary-dicom/tributary/ecgout/dicomecg"
	"github.com/tributary-dicom/tributary/parsers/ecg"
	"github.com/tributary-dicom/tributary/parsers/part10"
	"github.com/tributary-dicom/tributary/parsers/sniff"
	"github.com/tributary-dicom/tributary/storage/blob"
	"github.com/tributary-dicom/tributary/storage/index"
)

// ecgWorld is a few objects in memory, and what was read of them.
type ecgWorld struct {
	mu        sync.Mutex
	objects   []index.Object
	rows      []index.RecordingRow
	originals map[string]index.Original
	files     map[string]io.ReaderAt
	sizes     map[string]int64
	broken    error // of opening blobs
	read      atomic.Int64
	opened    atomic.Int64
	wants     []index.Want
}

func (w *ecgWorld) Search(context.Context, index.Query) ([]index.Row, error) { return nil, nil }

func (w *ecgWorld) Recordings(_ context.Context, q index.RecordingQuery) ([]index.RecordingRow, error) {
	var out []index.RecordingRow
	for _, r := range w.rows {
		if r.StudyInstanceUID == q.StudyInstanceUID {
			out = append(out, r)
		}
	}
	return out, nil
}

func (w *ecgWorld) Original(_ context.Context, _, id string) (index.Original, error) {
	if o, ok := w.originals[id]; ok {
		return o, nil
	}
	return index.Original{}, index.ErrNotFound
}

func (w *ecgWorld) Objects(_ context.Context, s index.Scope, want index.Want, fn func(index.Object) error) error {
	w.mu.Lock()
	w.wants = append(w.wants, want)
	w.mu.Unlock()
	for _, o := range w.objects {
		if o.StudyInstanceUID == s.StudyInstanceUID && o.SeriesInstanceUID == s.SeriesInstanceUID && o.SOPInstanceUID == s.SOPInstanceUID && s.Tenant == DefaultTenant {
			return fn(o)
		}
	}
	return index.ErrNotFound
}

func (w *ecgWorld) Open(_ context.Context, key string, off, n int64) (io.ReadCloser, error) {
	if w.broken != nil {
		return nil, w.broken
	}
	at, ok := w.files[key]
	if !ok {
		return nil, blob.ErrNotFound
	}
	w.opened.Add(1)
	if n < 0 {
		n = w.sizes[key] - off
	}
	return &ecgRangeReader{io.NewSectionReader(at, off, n), w}, nil
}

type ecgRangeReader struct {
	io.Reader
	w *ecgWorld
}

func (r *ecgRangeReader) Read(p []byte) (int, error) {
	n, err := r.Reader.Read(p)
	r.w.read.Add(int64(n))
	return n, err
}

func (r *ecgRangeReader) Close() error {
	r.w.opened.Add(-1)
	return nil
}

// handler is the pages over this world.
func (w *ecgWorld) handler() http.Handler {
	return New(Config{Index: w, ECG: ECGConfig{Objects: w, Blobs: w}})
}

// add stores a DICOM file and returns the path of its page.
func (w *ecgWorld) add(t testing.TB, at io.ReaderAt, size int64) string {
	t.Helper()
	o, err := part10.Scan(io.NewSectionReader(at, 0, size), part10.Options{})
	if err != nil {
		t.Fatal(err)
	}
	if w.files == nil {
		w.files, w.sizes = map[string]io.ReaderAt{}, map[string]int64{}
	}
	key := fmt.Sprint("blob", len(w.objects))
	w.files[key], w.sizes[key] = at, size
	w.objects = append(w.objects, index.Object{
		ObjectID: key, StudyInstanceUID: o.StudyInstanceUID, SeriesInstanceUID: o.SeriesInstanceUID, SOPInstanceUID: o.SOPInstanceUID,
		SOPClassUID: o.SOPClassUID, TransferSyntaxUID: o.TransferSyntaxUID, BlobKey: key, Bytes: size, DatasetOffset: o.DatasetOffset,
		MediaType: "application/dicom", Header: o.Header, Bulk: o.Bulk,
	})
	return ecgBase + o.StudyInstanceUID + "/" + o.SeriesInstanceUID + "/" + o.SOPInstanceUID
}

// addRecording stores a recording as DICOM.
func (w *ecgWorld) addRecording(t testing.TB, rec *ecg.Recording) string {
	t.Helper()
	var file bytes.Buffer
	if err := dicomecg.Write(&file, rec, dicomecg.Options{Tenant: "default", SourceSHA256: strings.Repeat("ab", 32)}); err != nil {
		t.Fatal(err)
	}
	return w.add(t, bytes.NewReader(file.Bytes()), int64(file.Len()))
}

// ecgMade is a recording whose count of sample i of lead l is count(l, i); missing samples where count says so.
func ecgMade(kind ecg.Kind, rate, samples int64, count func(lead int, i int64) (int32, bool), names ...string) *ecg.Recording {
	g := &ecg.Group{Kind: kind, Rate: ecg.Int(rate)}
	var counts [][]int32
	var missing [][]bool
	for n, name := range names {
		l := ecg.Lead{Unit: ecg.Microvolt, Scale: ecg.MustRat("2.5"), Bits: 16}
		l.SetLabel(name)
		g.Leads = append(g.Leads, l)
		c, m := make([]int32, samples), make([]bool, samples)
		for i := range samples {
			v, ok := count(n, i)
			c[i], m[i] = v, !ok
		}
		counts, missing = append(counts, c), append(missing, m)
	}
	g.Memory(counts, missing)
	return &ecg.Recording{
		Format: sniff.SCPECG, Groups: []*ecg.Group{g}, Acquired: ecg.ParseTime("20260302101530"),
		Patient: ecg.Patient{ID: "W-1", Name: "Zhao^Min=赵^敏", Sex: "F"},
	}
}

func getECG(t testing.TB, h http.Handler, path string) *httptest.ResponseRecorder {
	t.Helper()
	r := httptest.NewRequestWithContext(t.Context(), http.MethodGet, path, nil)
	r.Header.Set("Accept-Language", "en")
	w := httptest.NewRecorder()
	h.ServeHTTP(w, r)
	return w
}

// ecgGot is a window as a client reads it.
type ecgGot struct {
	from    int64
	width   int
	counts  [][]int32
	missing [][]bool
}

func readECGWindow(t testing.TB, b []byte) ecgGot {
	t.Helper()
	if len(b) < 24 || string(b[:4]) != "ECGW" {
		t.Fatalf("%d bytes that are no window", len(b))
	}
	leads, n := int(binary.LittleEndian.Uint32(b[4:])), int(binary.LittleEndian.Uint32(b[8:]))
	out := ecgGot{width: int(binary.LittleEndian.Uint32(b[12:])), from: int64(binary.LittleEndian.Uint64(b[16:]))}
	flags := b[24 : 24+leads]
	at := 24 + (leads+3)/4*4
	for range leads {
		c := make([]int32, n)
		for i := range c {
			if out.width == 2 {
				c[i] = int32(int16(binary.LittleEndian.Uint16(b[at+2*i:])))
			} else {
				c[i] = int32(binary.LittleEndian.Uint32(b[at+4*i:]))
			}
		}
		at += (n*out.width + 3) / 4 * 4
		out.counts = append(out.counts, c)
	}
	for lead := range leads {
		m := make([]bool, n)
		if flags[lead] != 0 {
			for i := range m {
				m[i] = b[at+i/8]>>(i%8)&1 == 1
			}
			at += (n + 7) / 8
		}
		out.missing = append(out.missing, m)
	}
	if at != len(b) {
		t.Fatalf("a window of %d bytes, %d of them told of", len(b), at)
	}
	return out
}
