package dicomweb

import (
	"context"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"runtime"
	"slices"
	"sync"
	"testing"

	"github.com/tributary-dicom/tributary/parsers/part10"
	"github.com/tributary-dicom/tributary/storage/index"
)

// sparse is a blob of any size that nobody holds: a run that begins at byte i begins with i·7 mod 251. It notes which runs are read.
type sparse struct {
	size int64
	mu   sync.Mutex
	runs []part10.Range
}

func (s *sparse) Open(_ context.Context, _ string, off, n int64) (io.ReadCloser, error) {
	if n < 0 {
		n = s.size - off
	}
	s.mu.Lock()
	s.runs = append(s.runs, part10.Range{Offset: off, Length: n})
	s.mu.Unlock()
	return io.NopCloser(&sparseReader{off, off + n}), nil
}

type sparseReader struct{ at, end int64 }

func (r *sparseReader) Read(p []byte) (int, error) {
	if r.at == r.end {
		return 0, io.EOF
	}
	p = p[:min(int64(len(p)), r.end-r.at)]
	if len(p) > 0 {
		clear(p)
		p[0] = byte(r.at * 7 % 251)
	}
	r.at += int64(len(p))
	return len(p), nil
}

// counter is a response that is read and forgotten.
type counter struct {
	header http.Header
	status int
	bytes  int64
	first  byte
}

func (c *counter) Header() http.Header { return c.header }
func (c *counter) WriteHeader(s int)   { c.status = s }
func (c *counter) Write(p []byte) (int, error) {
	if c.bytes == 0 && len(p) > 0 {
		c.first = p[0]
	}
	c.bytes += int64(len(p))
	return len(p), nil
}

// TestLargeInstance: of an instance of more than 2 GiB any frame is one range read of its own bytes, wherever
// it lies, and neither that nor the whole instance is ever held in memory.
func TestLargeInstance(t *testing.T) {
	const (
		rows, columns = 1024, 1024
		frame         = rows * columns * 2
		count         = 1100
		pixels        = 4096 // where they begin
	)
	blob := &sparse{size: pixels + frame*count}
	if blob.size < 2<<30 {
		t.Fatal("the instance is too small for this test")
	}
	header := fmt.Sprintf(`{"00280002":{"vr":"US","Value":[1]},"00280004":{"vr":"CS","Value":["MONOCHROME2"]},"00280008":{"vr":"IS","Value":[%d]},`+
		`"00280010":{"vr":"US","Value":[%d]},"00280011":{"vr":"US","Value":[%d]},"00280100":{"vr":"US","Value":[16]},"00280101":{"vr":"US","Value":[12]},`+
		`"00280102":{"vr":"US","Value":[11]},"00280103":{"vr":"US","Value":[0]}}`, count, rows, columns)
	native := index.Object{
		ObjectID: "native", TransferSyntaxUID: explicitVRLittleEndian, Frames: part10.FrameTable{
			Kind: part10.Native, Count: count, Offset: pixels, FrameBits: frame * 8,
		},
	}
	fragmented := index.Object{ObjectID: "fragmented", TransferSyntaxUID: jpegBaseline, Frames: part10.FrameTable{Kind: part10.Encapsulated, Count: count}}
	for i := range int64(count) { // three fragments a frame, each behind its item header
		fragmented.Frames.First = append(fragmented.Frames.First, int(i)*3)
		for j := range int64(3) {
			fragmented.Frames.Fragments = append(fragmented.Frames.Fragments, part10.Range{Offset: pixels + i*frame + j*600_000 + 8, Length: 599_992})
		}
	}
	for _, o := range []index.Object{native, fragmented} {
		o.StudyInstanceUID, o.SeriesInstanceUID, o.SOPInstanceUID = studyUID, seriesUID, instanceUID
		o.BlobKey, o.Bytes, o.SHA256, o.Current, o.MediaType, o.Header = "k", blob.size, "ab", true, typeDICOM, []byte(header)
		h := New(Config{Index: &memIndex{objects: []index.Object{o}}, Blobs: blob})
		get := func(target, accept string) *counter {
			t.Helper()
			r := httptest.NewRequest(http.MethodGet, target, nil)
			r.Header.Set("Accept", accept)
			w := &counter{header: http.Header{}}
			h.ServeHTTP(w, r)
			if w.status != http.StatusOK {
				t.Fatalf("%s %s: %d", o.ObjectID, target, w.status)
			}
			return w
		}
		get(instancePath+"/frames/1", "application/octet-stream") // what is shared is made once
		for _, n := range []int64{1, count / 2, count} {
			blob.runs = nil
			var before, after runtime.MemStats
			runtime.ReadMemStats(&before)
			w := get(fmt.Sprintf("%s/frames/%d", instancePath, n), "application/octet-stream; transfer-syntax=*")
			runtime.ReadMemStats(&after)
			at := pixels + (n-1)*frame
			want := part10.Range{Offset: at, Length: frame}
			length := int64(frame)
			if o.ObjectID == "fragmented" {
				want, length = part10.Range{Offset: at + 8, Length: 2*600_000 + 599_992}, 3*599_992
			}
			if len(blob.runs) != 1 || blob.runs[0] != want {
				t.Errorf("%s frame %d: read %v, want %v in one", o.ObjectID, n, blob.runs, want)
			}
			if w.bytes != length || w.first != byte(want.Offset*7%251) {
				t.Errorf("%s frame %d: %d bytes from %d", o.ObjectID, n, w.bytes, w.first)
			}
			const most = 1 << 20 // two copy buffers, and what a request takes
			if took := after.TotalAlloc - before.TotalAlloc; took > most {
				t.Errorf("%s frame %d took %d bytes of memory", o.ObjectID, n, took)
			}
		}
		blob.runs = nil
		get(fmt.Sprintf("%s/frames/%d,1,%d", instancePath, count, count/2), anyFrames) // several: one read each, in their order
		var starts []int64
		for _, r := range blob.runs {
			starts = append(starts, (r.Offset-pixels)/frame+1)
			if r.Length > frame {
				t.Errorf("%s: a read of %d bytes for a frame of %d", o.ObjectID, r.Length, frame)
			}
		}
		if !slices.Equal(starts, []int64{count, 1, count / 2}) {
			t.Errorf("%s: frames %d,1,%d read frames %v", o.ObjectID, count, count/2, starts)
		}
		blob.runs = nil
		get(instancePath+"/metadata", typeDICOMJSON)
		if len(blob.runs) != 0 {
			t.Errorf("%s: metadata read %v", o.ObjectID, blob.runs)
		}
		if o.ObjectID == "native" {
			blob.runs = nil
			get(instancePath+"/frames/1100/rendered", "image/jpeg")
			if len(blob.runs) != 1 || blob.runs[0] != (part10.Range{Offset: pixels + (count-1)*frame, Length: frame}) {
				t.Errorf("rendering the last frame read %v", blob.runs)
			}
			var before, after runtime.MemStats
			runtime.ReadMemStats(&before)
			if w := get(instancePath, typeDICOM); w.bytes != blob.size {
				t.Errorf("%d bytes of %d", w.bytes, blob.size)
			}
			runtime.ReadMemStats(&after)
			const most = 1 << 20
			if took := after.TotalAlloc - before.TotalAlloc; took > most {
				t.Errorf("the whole instance took %d bytes of memory", took)
			}
		}
	}
}
