package web

import (
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"net/http/httptest"
	"slices"
	"strings"
	"testing"

	"github.com/tributary-dicom/tributary/fixtures"
	"github.com/tributary-dicom/tributary/storage/index"
)

func written(t testing.TB, i fixtures.Instance) string {
	t.Helper()
	var out bytes.Buffer
	if _, err := i.WriteTo(&out); err != nil {
		t.Fatal(err)
	}
	return out.String()
}

// TestCompare: attributes that differ are told, also of objects that are longer than what is read of them.
func TestCompare(t *testing.T) {
	p := fixtures.Village(3, 1)[0]
	p.Name, p.Charset = "Zhang^Wei=张^伟", fixtures.UTF8
	renamed := p
	renamed.Name = "Zhang^Wei=章^伟"
	still := func(p fixtures.Patient) string {
		return written(t, p.NewStudy("US", "still").UltrasoundStill(fixtures.Still{Columns: 64, Rows: 64, Encoding: fixtures.NativeGray}))
	}
	loop := func(p fixtures.Patient) string {
		return written(t, p.NewStudy("US", "loop").UltrasoundCine(fixtures.Cine{Columns: 320, Rows: 240, Frames: 20}))
	}
	pixel := []byte(still(p))
	pixel[len(pixel)-1] ^= 1
	if len(loop(p)) < 2*comparedBytes {
		t.Fatalf("a loop of %d bytes is short", len(loop(p)))
	}
	for name, c := range map[string]struct {
		a, b string
		want []string // names of attributes
		done bool
	}{
		"a name":          {still(p), still(renamed), []string{"PatientName"}, true},
		"a pixel":         {still(p), string(pixel), nil, true},
		"a name in loops": {loop(p), loop(renamed), []string{"PatientName"}, true},
		"no DICOM":        {still(p), "hello", nil, false},
		"nothing to read": {still(p), "", nil, false},
	} {
		t.Run(name, func(t *testing.T) {
			o := newOperatorsOffice()
			o.two[0].BlobKey, o.two[1].BlobKey = "first", "second"
			o.bodies["first"] = c.a
			if c.b != "" {
				o.bodies["second"] = c.b
			}
			ops := &operators{cfg: OperatorsConfig{Blobs: o}, comparing: make(chan struct{}, 1)}
			got := ops.compare(t.Context(), index.Conflict{Versions: o.two, Current: o.current}, o.two)[idSecond]
			var names []string
			for _, r := range got.Rows {
				names = append(names, r.Name)
			}
			if got.Done != c.done || !slices.Equal(names, c.want) {
				t.Errorf("%+v, want %q", got, c.want)
			}
			for _, r := range got.Rows {
				if r.Name == "PatientName" && (r.Theirs != "Zhang^Wei=张^伟" || r.Mine != "Zhang^Wei=章^伟" || r.Tag != "(0010,0010)") {
					t.Errorf("row %+v", r)
				}
			}
			w, r := httptest.NewRecorder(), httptest.NewRequest("GET", "/pages/conflicts/1.2.3?lang=en", nil)
			o.handler(io.Discard).ServeHTTP(w, r)
			if page := w.Body.String(); w.Code != 200 || strings.Contains(page, "章") != (len(c.want) > 0) || strings.Contains(page, "What differs") != c.done {
				t.Errorf("%d: the page is %s", w.Code, page)
			}
		})
	}
}

// TestDifferences: rows and values are bounded; what cannot be seen to differ is marked.
func TestDifferences(t *testing.T) {
	a, b := map[string]element{}, map[string]element{}
	for n := range comparedRows + 5 {
		a[fmt.Sprintf("0011%04X", n)] = element{VR: "LO", Value: []json.RawMessage{json.RawMessage(fmt.Sprintf(`"%s%d"`, strings.Repeat("长", 500), n))}}
		b[fmt.Sprintf("0011%04X", n)] = element{VR: "LO", Value: []json.RawMessage{json.RawMessage(fmt.Sprintf(`"%s%d!"`, strings.Repeat("长", 500), n))}}
	}
	got := differences(a, b)
	if len(got.Rows) != comparedRows || got.More != 5 || !got.Done {
		t.Errorf("%d rows, %d more", len(got.Rows), got.More)
	}
	if r := got.Rows[0]; !strings.HasSuffix(r.Mine, "… …") || len([]rune(r.Mine)) > comparedText+5 || r.Tag != "(0011,0000)" {
		t.Errorf("row %+v", r)
	}
	got = differences(map[string]element{"00400275": {VR: "SQ", Value: []json.RawMessage{json.RawMessage(`{}`)}}, "x": {}}, map[string]element{"00280010": {VR: "US", Value: []json.RawMessage{json.RawMessage(`512`), json.RawMessage(`3`)}}, "x": {}})
	if len(got.Rows) != 2 || got.Rows[0].Mine != `512\3` || got.Rows[0].Name != "Rows" || got.Rows[1].Theirs != "[1]" || got.Rows[1].Mine != "" {
		t.Errorf("%+v", got)
	}
}

// FuzzDifferences: whatever headers say, a comparison is bounded, and nothing differs from itself.
func FuzzDifferences(f *testing.F) {
	f.Add([]byte(`{"00100010":{"vr":"PN","Value":[{"Alphabetic":"A^B"}]}}`), []byte(`{"00100010":{"vr":"PN","Value":["x",null,{"a":1}]},"?":{"vr":"SQ"}}`))
	f.Fuzz(func(t *testing.T, a, b []byte) {
		theirs, mine := map[string]element{}, map[string]element{}
		if json.Unmarshal(a, &theirs) != nil || json.Unmarshal(b, &mine) != nil {
			return
		}
		if got := differences(theirs, theirs); len(got.Rows) != 0 {
			t.Fatalf("%q differs from itself: %+v", a, got)
		}
		for _, r := range differences(theirs, mine).Rows {
			if len([]rune(r.Theirs)) > comparedText+5 || len([]rune(r.Mine)) > comparedText+5 {
				t.Fatalf("row %+v", r)
			}
		}
	})
}
