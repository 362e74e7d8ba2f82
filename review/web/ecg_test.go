package web

import (
	"bytes"
	"context"
	"encoding/binary"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"math"
	"net/http"
	"net/http/httptest"
	"net/url"
	"runtime"
	"slices"
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

// TestECGWindows asks for every kind of window and compares each sample with what was recorded.
func TestECGWindows(t *testing.T) {
	const samples = 10_001
	for name, count := range map[string]func(lead int, i int64) (int32, bool){
		"16 bits": func(lead int, i int64) (int32, bool) { return int32(i*7%60000) - 30000 + int32(lead), true },
		"missing": func(lead int, i int64) (int32, bool) { return int32(i % 500), lead != 1 || i < 4090 || i > 4110 },
		"32 bits": func(lead int, i int64) (int32, bool) { return int32(i-5000) * 100_000 * int32(lead+1), true },
	} {
		t.Run(name, func(t *testing.T) {
			w := &ecgWorld{}
			path := w.addRecording(t, ecgMade(ecg.Rhythm, 500, samples, count, "I", "II", "V1"))
			h := w.handler()
			for _, q := range []struct{ from, count int64 }{{0, samples}, {0, 1}, {1, 3}, {4095, 3}, {4096, 4096}, {9_999, 2}, {10_000, 1}, {10_000, 500}, {3, 9990}} {
				answer := getECG(t, h, fmt.Sprintf("%s/samples?group=0&from=%d&count=%d", path, q.from, q.count))
				if answer.Code != http.StatusOK || answer.Header().Get("Cache-Control") != "no-store" {
					t.Fatalf("%+v: %d %q", q, answer.Code, answer.Header().Get("Cache-Control"))
				}
				got := readECGWindow(t, answer.Body.Bytes())
				want := min(q.count, samples-q.from)
				if got.from != q.from || int64(len(got.counts[0])) != want || len(got.counts) != 3 {
					t.Fatalf("%+v: %d samples from %d", q, len(got.counts[0]), got.from)
				}
				for lead := range got.counts {
					for i := range want {
						v, there := count(lead, q.from+i)
						if got.missing[lead][i] == there || there && got.counts[lead][i] != v {
							t.Fatalf("%+v lead %d sample %d: %d, missing %t; want %d, %t", q, lead, i, got.counts[lead][i], got.missing[lead][i], v, !there)
						}
					}
				}
				if wide := got.width == 4; wide && name != "32 bits" {
					t.Errorf("%+v: %d bytes a sample", q, got.width)
				}
			}
			if n := w.opened.Load(); n != 0 {
				t.Errorf("%d blobs were left open", n)
			}
		})
	}
}

// TestECGHeader: exact scales, names by script, who read, and what the device filtered.
func TestECGHeader(t *testing.T) {
	rec := ecgMade(ecg.Rhythm, 500, 5000, func(int, int64) (int32, bool) { return 0, true }, "I", "II")
	rec.Groups[0].Leads[0].Scale = ecg.MustRat("4.88")
	rec.Groups[0].Leads[1].Filters = ecg.Filters{HighPassHz: ecg.MustRat("0.05"), LowPassHz: ecg.Int(150)}
	rec.Annotations = []ecg.Annotation{{Kind: ecg.Spike, Group: 0, Onset: ecg.Int(1500)}, {Kind: ecg.Spike, Group: 0, Onset: ecg.Int(500)}}
	w := &ecgWorld{}
	path := w.addRecording(t, rec)
	w.rows = []index.RecordingRow{{
		ObjectID: "blob0", DerivedFrom: "01ORIGINAL", StudyInstanceUID: w.objects[0].StudyInstanceUID, SOPInstanceUID: w.objects[0].SOPInstanceUID,
		RecordingFacts: index.RecordingFacts{
			Priority: "STAT", Findings: []index.Finding{{Finding: "acute-mi", Statement: "STEMI"}},
			Facts: json.RawMessage(`{"statements":[{"text":"Confirmed over-read"},{"text":"STEMI"}]}`),
		},
	}}
	w.originals = map[string]index.Original{"01ORIGINAL": {
		RecordingFacts: index.RecordingFacts{
			Facts: json.RawMessage(`{"acquired_at":"2026-03-02T10:15:30","paced":true,"statements":[{"text":"STEMI","author":"over-read","name":"Li^Wei","status":"confirmed"},{"text":"Sinus rhythm","author":"machine"}]}`),
		},
	}}
	h := w.handler()
	var head ecgHeader
	answer := getECG(t, h, path+"/recording")
	if err := json.Unmarshal(answer.Body.Bytes(), &head); err != nil || answer.Code != http.StatusOK {
		t.Fatal(answer.Code, err)
	}
	lead := head.Groups[0].Leads
	if lead[0].Scale != "4.88" || lead[1].Scale != "2.5" || head.Groups[0].Rate != "500" || head.Groups[0].Samples != 5000 || head.Groups[0].Window != ecgWindow/2 {
		t.Errorf("%+v", head.Groups)
	}
	if lead[0].Filters != nil || lead[1].Filters == nil || lead[1].Filters.HighPassHz != "0.05" || lead[1].Filters.LowPassHz != "150" {
		t.Errorf("filters: %+v", lead)
	}
	if head.Patient.Ideographic != "赵敏" || head.Patient.Alphabetic != "Zhao Min" || head.Priority != "STAT" || !head.Confirm || head.Links["original"] != "/originals/01ORIGINAL" {
		t.Errorf("%+v", head)
	}
	if head.Acquired.ZoneKnown || head.Acquired.At != "2026-03-02T10:15:30" || head.Spikes != 2 {
		t.Errorf("%+v, %d spikes", head.Acquired, head.Spikes)
	}
	for query, want := range map[string]string{"": `[[500,""],[1500,""]]`, "?from=501": `[[1500,""]]`, "?from=0&to=1500": `[[500,""]]`, "?from=9999": `[]`} {
		if got := getECG(t, h, path+"/spikes"+query).Body.String(); got != want {
			t.Errorf("spikes%s: %s, want %s", query, got, want)
		}
	}
	shown := getECG(t, h, path).Body.String()
	for _, part := range []string{"赵敏", "Zhao Min", "STEMI", "STAT", "Confirmed · Li Wei", "Over-read · Li Wei", "Machine reading", `href="/originals/01ORIGINAL"`, "local time, zone not known"} {
		if !strings.Contains(shown, part) {
			t.Errorf("the page lacks %q", part)
		}
	}
	if strings.Contains(shown, "Confirmed over-read") || head.Pacing == nil || !head.Pacing.Paced {
		t.Errorf("the object's own words stand for the file's; pacing %+v", head.Pacing)
	}
	if machine := strings.Index(shown, "Machine reading"); machine < strings.Index(shown, "Over-read") {
		t.Error("the machine's reading stands before the person's")
	}
	// A file without a date: that of its object stands in for one, and is not told.
	w.originals["01ORIGINAL"] = index.Original{RecordingFacts: index.RecordingFacts{Facts: json.RawMessage(`{"zone_known":false}`)}}
	head = ecgHeader{}
	if err := json.Unmarshal(getECG(t, h, path+"/recording").Body.Bytes(), &head); err != nil || head.Acquired.At != "" || head.Pacing != nil || len(head.Says) != 0 || head.Confirm {
		t.Errorf("%+v %v", head, err)
	}
	if shown := getECG(t, h, path).Body.String(); !strings.Contains(shown, "time not known") || strings.Contains(shown, "2026-03-02") || !strings.Contains(shown, "Unconfirmed") {
		t.Error("a date that nobody stated is shown")
	}
}

// TestECGRefused: what is asked wrongly, or is no ECG, is told so, and reads nothing.
func TestECGRefused(t *testing.T) {
	w := &ecgWorld{}
	path := w.addRecording(t, ecgMade(ecg.Rhythm, 500, 5000, func(int, int64) (int32, bool) { return 1, true }, "II"))
	file := w.objects[0]
	file.SOPInstanceUID, file.MediaType = "2.25.7", "application/x-scp-ecg"
	picture := w.objects[0]
	picture.SOPInstanceUID, picture.Header, picture.Bulk = "2.25.8", []byte(`{"00080016":{"vr":"UI","Value":["1.2.840.10008.5.1.4.1.1.7"]}}`), nil
	damaged := w.objects[0]
	damaged.SOPInstanceUID, damaged.Header = "2.25.9", []byte(`{"54000100":{"vr":"SQ","Value":[{}]}}`)
	w.objects = append(w.objects, file, picture, damaged)
	for i := range w.objects {
		w.objects[i].ObjectID = fmt.Sprint("object", i)
	}
	h := w.handler()
	instance := func(uid string) string { return path[:strings.LastIndexByte(path, '/')+1] + uid }
	for at, want := range map[string]int{
		path:                                            http.StatusOK,
		instance("1.2.3"):                               http.StatusNotFound,
		instance("..%2f..%2fetc"):                       http.StatusNotFound,
		instance("1.2.3%00"):                            http.StatusNotFound,
		instance(strings.Repeat("1", 65)):               http.StatusNotFound,
		instance("2.25.7"):                              http.StatusUnsupportedMediaType,
		instance("2.25.8"):                              http.StatusUnsupportedMediaType,
		instance("2.25.9"):                              http.StatusUnprocessableEntity,
		instance("2.25.8") + "/samples":                 http.StatusUnsupportedMediaType,
		instance("2.25.9") + "/recording":               http.StatusUnprocessableEntity,
		instance("1.2.3") + "/overview":                 http.StatusNotFound,
		path + "/samples?group=1":                       http.StatusNotFound,
		path + "/samples?group=-1":                      http.StatusBadRequest,
		path + "/samples?group=0x1":                     http.StatusBadRequest,
		path + "/samples?group=":                        http.StatusBadRequest,
		path + "/samples?group=0&group=0":               http.StatusBadRequest,
		path + "/samples?from=5000":                     http.StatusRequestedRangeNotSatisfiable,
		path + "/samples?from=999999999999999":          http.StatusRequestedRangeNotSatisfiable,
		path + "/samples?from=1e3":                      http.StatusBadRequest,
		path + "/samples?from=99999999999999999999":     http.StatusBadRequest,
		path + "/samples?count=0":                       http.StatusBadRequest,
		path + "/samples?count=-5":                      http.StatusBadRequest,
		path + "/samples?count=1048577":                 http.StatusBadRequest,
		path + "/samples?count=1048576":                 http.StatusOK,
		path + "/samples?count=%00":                     http.StatusBadRequest,
		path + "/overview?lead=1":                       http.StatusNotFound,
		path + "/overview?group=9":                      http.StatusNotFound,
		path + "/overview?lead=x":                       http.StatusBadRequest,
		path + "/spikes?from=x":                         http.StatusBadRequest,
		path + "/nothing":                               http.StatusNotFound,
		path + "/recording?x=" + strings.Repeat("y", 9): http.StatusOK,
	} {
		answer := getECG(t, h, at)
		if answer.Code != want {
			t.Errorf("%s: %d, want %d", at, answer.Code, want)
		}
		if answer.Header().Get("Content-Security-Policy") == "" || answer.Header().Get("Cache-Control") != "no-store" {
			t.Errorf("%s: headers %v", at, answer.Header())
		}
	}
	// Errors of the store are theirs, and the page of a recording whose samples are gone still tells who it is.
	w.broken = blob.ErrUnavailable
	if got := getECG(t, h, path+"/samples"); got.Code != http.StatusServiceUnavailable || got.Header().Get("Retry-After") == "" {
		t.Errorf("the store is away: %d", got.Code)
	}
	w.broken = errors.New("secret path")
	if got := getECG(t, h, path+"/samples"); got.Code != http.StatusInternalServerError || strings.Contains(got.Body.String(), "secret") {
		t.Errorf("the store is broken: %d %s", got.Code, got.Body)
	}
	if got := getECG(t, h, path); got.Code != http.StatusOK {
		t.Errorf("the page: %d", got.Code)
	}
	if n := w.opened.Load(); n != 0 {
		t.Errorf("%d blobs were left open", n)
	}
}

// ecgDay is the file of a day of three leads, some 66 MB, of which nothing is kept: each byte follows from its place.
type ecgDay struct {
	head, tail []byte
	data       int64
}

func (d *ecgDay) size() int64 { return int64(len(d.head)) + d.data + int64(len(d.tail)) }

func (d *ecgDay) ReadAt(p []byte, off int64) (int, error) {
	head := int64(len(d.head))
	for n := 0; n < len(p); {
		switch at := off + int64(n) - head; {
		case at < 0:
			n += copy(p[n:], d.head[at+head:])
		case at < d.data:
			run := p[n : n+int(min(int64(len(p)-n), d.data-at))]
			n += len(run)
			if at%2 != 0 {
				run[0] = byte(uint16(ecgDayCount(at/2)) >> 8)
				run, at = run[1:], at+1
			}
			for i := 0; i < len(run); i += 2 {
				v := uint16(ecgDayCount((at + int64(i)) / 2))
				if run[i] = byte(v); i+1 < len(run) {
					run[i+1] = byte(v >> 8)
				}
			}
		case at-d.data < int64(len(d.tail)):
			n += copy(p[n:], d.tail[at-d.data:])
		default:
			return n, io.EOF
		}
	}
	return len(p), nil
}

// ecgDayCount is the n-th count of the file: a sawtooth that is another in each lead.
func ecgDayCount(n int64) int16 { return int16(n%3*1000 + n/3%997) }

// TestECGDay streams a day: a window anywhere reads what it needs, and no request holds the recording.
func TestECGDay(t *testing.T) {
	// The header of a short one, told that it is long.
	const rate, second = 128, 128
	short := ecgMade(ecg.FullDisclosure, rate, 2, func(int, int64) (int32, bool) { return 0, true }, "I", "II", "V1")
	var file bytes.Buffer
	if err := dicomecg.Write(&file, short, dicomecg.Options{Tenant: "default", SourceSHA256: strings.Repeat("cd", 32)}); err != nil {
		t.Fatal(err)
	}
	scanned, err := part10.Scan(bytes.NewReader(file.Bytes()), part10.Options{})
	if err != nil {
		t.Fatal(err)
	}
	i := slices.IndexFunc(scanned.Bulk, func(b part10.Bulk) bool { return strings.HasSuffix(b.Path, "/54001010") })
	waves := scanned.Bulk[i]
	day := &ecgDay{data: 24 * 3600 * rate * 3 * 2}
	day.head = bytes.Clone(file.Bytes()[:waves.Offset])
	day.tail = bytes.Clone(file.Bytes()[waves.Offset+waves.Length:])
	binary.LittleEndian.PutUint32(day.head[len(day.head)-4:], uint32(day.data))
	number := []byte{0x3A, 0x00, 0x10, 0x00, 'U', 'L', 4, 0, 2, 0, 0, 0} // (003A,0010) Number of Waveform Samples
	at := bytes.Index(day.head, number)
	if at < 0 {
		t.Fatal("no Number of Waveform Samples")
	}
	binary.LittleEndian.PutUint32(day.head[at+8:], 24*3600*rate)

	w := &ecgWorld{}
	path := w.add(t, day, day.size())
	h := w.handler()
	w.read.Store(0)
	var before, after runtime.MemStats
	runtime.GC()
	runtime.ReadMemStats(&before)
	for _, hour := range []int64{0, 1, 12, 23} {
		from := hour*3600*rate + 7
		got := readECGWindow(t, getECG(t, h, fmt.Sprintf("%s/samples?from=%d&count=%d", path, from, 10*second)).Body.Bytes())
		for lead := range got.counts {
			for i, v := range got.counts[lead] {
				if want := ecgDayCount((from+int64(i))*3 + int64(lead)); v != int32(want) {
					t.Fatalf("hour %d lead %d sample %d: %d, want %d", hour, lead, i, v, want)
				}
			}
		}
	}
	// A block is 4096 samples; a window of 2000 touches two.
	if n := w.read.Load(); n > 4*2*ecg.BlockSamples*6 {
		t.Errorf("four windows of ten seconds read %d bytes", n)
	}
	runtime.ReadMemStats(&after)
	if used := after.TotalAlloc - before.TotalAlloc; used > 16<<20 {
		t.Errorf("four windows of a day of %d MB took %d MB", day.size()>>20, used>>20)
	}
	overview := getECG(t, h, path+"/overview?lead=2").Body.Bytes()
	pieces := int(binary.LittleEndian.Uint32(overview[4:]))
	each := int64(binary.LittleEndian.Uint64(overview[8:]))
	if pieces != ecgBuckets || each != (24*3600*rate+ecgBuckets-1)/ecgBuckets || len(overview) != 16+8*pieces {
		t.Fatalf("%d pieces of %d samples", pieces, each)
	}
	for i := range pieces {
		low, high := int32(binary.LittleEndian.Uint32(overview[16+8*i:])), int32(binary.LittleEndian.Uint32(overview[20+8*i:]))
		if low != 2000 || high != 2996 {
			t.Fatalf("piece %d: %d to %d", i, low, high)
		}
	}
	runtime.ReadMemStats(&after)
	runtime.GC()
	var kept runtime.MemStats
	runtime.ReadMemStats(&kept)
	if grown := int64(kept.HeapAlloc) - int64(before.HeapAlloc); grown > 8<<20 {
		t.Errorf("a day leaves %d MB behind", grown>>20)
	}
	first := w.read.Load()
	if again := getECG(t, h, path+"/overview?lead=2").Body.Bytes(); !bytes.Equal(again, overview) || w.read.Load() != first {
		t.Error("an overview that was made is made again")
	}
}

// TestECGShelf: opened once while it is looked at, and the shelf does not grow without end.
func TestECGShelf(t *testing.T) {
	s := newECGShelf()
	opened := 0
	get := func(id string, cost int) {
		t.Helper()
		if _, err := s.get(t.Context(), id, func() (*ecgRecord, error) {
			opened++
			return &ecgRecord{cost: cost}, nil
		}); err != nil {
			t.Fatal(err)
		}
	}
	get("a", 1)
	get("a", 1)
	if opened != 1 {
		t.Errorf("opened %d times", opened)
	}
	for i := range 100 {
		get(fmt.Sprint(i), 1)
	}
	if len(s.known) != ecgShelfCount || s.cost != ecgShelfCount {
		t.Errorf("%d recordings of cost %d", len(s.known), s.cost)
	}
	get("large", ecgShelfCost)
	get("larger", 3*ecgShelfCost)
	if len(s.known) != 1 || s.cost != 3*ecgShelfCost {
		t.Errorf("%d recordings of cost %d", len(s.known), s.cost)
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	for range ecgOpening {
		s.turns <- struct{}{}
	}
	if _, err := s.get(ctx, "other", nil); !errors.Is(err, context.Canceled) {
		t.Error(err)
	}
}

// FuzzECGQuery: whatever is asked, what is read lies within the recording and the limit of a window.
func FuzzECGQuery(f *testing.F) {
	for _, q := range []string{"", "group=0&from=10&count=20", "group=1", "from=-1", "count=99999999999999999", "from=%00", "group=0;from=1", "from=1&from=2", "count=1048576"} {
		f.Add(q)
	}
	rec := ecgMade(ecg.Rhythm, 500, 5000, func(int, int64) (int32, bool) { return 0, true }, "I", "II", "V1")
	rec.Groups = append(rec.Groups, &ecg.Group{Kind: ecg.FullDisclosure, Rate: ecg.Int(200), Length: math.MaxInt64 / 4})
	f.Fuzz(func(t *testing.T, query string) {
		q, _ := url.ParseQuery(query)
		s, err := parseECGStretch(q, rec)
		if err != nil {
			var refused *failure
			if !errors.As(err, &refused) || refused.status < 400 || refused.status > 416 {
				t.Fatalf("%q: %v", query, err)
			}
			return
		}
		g := rec.Groups[s.group]
		if s.from < 0 || s.count < 1 || s.from+s.count > g.Length || s.count*int64(max(1, len(g.Leads))) > ecgWindow {
			t.Fatalf("%q: %+v", query, s)
		}
		again, err := parseECGStretch(url.Values{
			"group": {fmt.Sprint(s.group)}, "from": {fmt.Sprint(s.from)}, "count": {fmt.Sprint(s.count)},
		}, rec)
		if err != nil || again != s {
			t.Fatalf("%q: %+v and %+v, %v", query, s, again, err)
		}
	})
}
