package web

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"math"
	"net/http"
	"net/url"
	"strings"
	"testing"

	"github.com/tributary-dicom/tributary/parsers/ecg"
	"github.com/tributary-dicom/tributary/storage/blob"
	"github.com/tributary-dicom/tributary/storage/index"
)

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

// TestECGReadAgain: newer parsers read a file otherwise, and its page shows that at once.
func TestECGReadAgain(t *testing.T) {
	made := func(scale string) *ecg.Recording {
		rec := ecgMade(ecg.Rhythm, 500, 1000, func(int, int64) (int32, bool) { return 0, true }, "I")
		rec.Groups[0].Leads[0].Scale = ecg.MustRat(scale)
		return rec
	}
	w := &ecgWorld{}
	path := w.addRecording(t, made("4.88"))
	w.addRecording(t, made("2.5"))
	h := w.handler()
	for _, want := range []string{"4.88", "2.5"} {
		var head ecgHeader
		if err := json.Unmarshal(getECG(t, h, path+"/recording").Body.Bytes(), &head); err != nil || len(head.Groups) != 1 {
			t.Fatal(err, head)
		}
		if got := head.Groups[0].Leads[0].Scale; got != want {
			t.Errorf("scale %s, want %s", got, want)
		}
		w.objects[0].Header, w.objects[0].Reading = w.objects[1].Header, "again"
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
