package dicomweb

import (
	"net/http"
	"net/http/httptest"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"testing"

	"github.com/tributary-dicom/tributary/parsers/part10"
	"github.com/tributary-dicom/tributary/storage/index"
)

// FuzzParseFrames: a list that is taken is different numbers from 1 up, in the order that they were asked for in.
func FuzzParseFrames(f *testing.F) {
	for _, s := range []string{"1", "1,2,5", " 3 , 1", "1,,2", "0", "-1", "+1", "1,1", "99999999999999999999", strings.Repeat("1,", 10_001), "१", "1\x00", "0x1", "1e3"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, list string) {
		numbers, err := parseFrames(list)
		if err != nil {
			return
		}
		if len(numbers) == 0 || len(numbers) > maxFramesAsked {
			t.Fatalf("%d frames", len(numbers))
		}
		var again []string
		for i, n := range numbers {
			if n < 1 || slices.Contains(numbers[:i], n) {
				t.Fatalf("frame %d of %v", n, numbers)
			}
			again = append(again, strconv.Itoa(n))
		}
		if twice, err := parseFrames(strings.Join(again, ",")); err != nil || !slices.Equal(twice, numbers) {
			t.Fatalf("%v, read again %v, %v", numbers, twice, err)
		}
	})
}

// FuzzWADOURI: no query makes the server fail or send another object than that which it names.
func FuzzWADOURI(f *testing.F) {
	const object = "requestType=WADO&studyUID=1.2.3&seriesUID=1.2.3.4&objectUID=1.2.3.4.5"
	for _, s := range []string{
		"", "&contentType=application%2Fdicom", "&contentType=application/dicom&transferSyntax=1.2.840.10008.1.2.4.70", "&contentType=image/jpeg&imageQuality=70&rows=256&columns=256",
		"&contentType=image/png&frameNumber=2&region=0.1,0.1,0.9,0.9", "&anonymize=yes", "&presentationUID=1.2", "&windowCenter=1&windowWidth=1e300",
		"&objectUID=1.2.3.4.6", "&CONTENTTYPE=*/*;q=0", "&contentType=" + strings.Repeat("a/b,", 100), "&rows=1&rows=2", "&region=NaN,0,1,1", "&imageQuality=0",
	} {
		f.Add(object + s)
	}
	w := newWorld()
	file := noise(100)
	w.add(studyUID, seriesUID, instanceUID, explicitVRLittleEndian, file, func(o *index.Object) {
		o.Header = []byte(`{"00280002":{"vr":"US","Value":[1]},"00280004":{"vr":"CS","Value":["MONOCHROME2"]},"00280008":{"vr":"IS","Value":[4]},` +
			`"00280010":{"vr":"US","Value":[5]},"00280011":{"vr":"US","Value":[5]},"00280100":{"vr":"US","Value":[8]},"00280101":{"vr":"US","Value":[8]}}`)
		o.Frames = part10.FrameTable{Kind: part10.Native, Count: 4, FrameBits: 200}
		o.Bulk = []part10.Bulk{{Path: "7FE00010", VR: "OB", Length: 100}}
	})
	f.Fuzz(func(t *testing.T, query string) {
		r := &http.Request{Method: http.MethodGet, URL: &url.URL{Path: WADOURI, RawQuery: query}, Host: "localhost", Header: http.Header{}}
		rec := httptest.NewRecorder()
		w.ServeHTTP(rec, r.WithContext(t.Context()))
		switch kind := rec.Header().Get("Content-Type"); {
		case rec.Code >= 500:
			t.Fatalf("%q: %d %s", query, rec.Code, rec.Body)
		case rec.Code >= 400:
			if kind != typeJSON {
				t.Fatalf("%q: %d as %q", query, rec.Code, kind)
			}
		case strings.HasPrefix(kind, typeDICOM):
			if rec.Body.String() != string(file) {
				t.Fatalf("%q: other bytes", query)
			}
		case !strings.HasPrefix(kind, "image/") && !strings.HasPrefix(kind, typeRelated):
			t.Fatalf("%q: %d as %q", query, rec.Code, kind)
		}
		if rec.Code == http.StatusOK {
			q, err := url.ParseQuery(query)
			for name, values := range q {
				want := map[string]string{"studyuid": studyUID, "seriesuid": seriesUID, "objectuid": instanceUID}[strings.ToLower(name)]
				if err == nil && want != "" && values[0] != want {
					t.Fatalf("%q: 200", query)
				}
			}
		}
	})
}

// FuzzBulkPath: a path that is taken is tags and numbers in turns.
func FuzzBulkPath(f *testing.F) {
	for _, s := range []string{"7FE00010", "54000100/0/54001010", "", "/", "../../etc/passwd", "7FE00010/", "00420011/00/00420011", strings.Repeat("54000100/0/", 70) + "54001010"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, path string) {
		if !bulkPath(path) {
			return
		}
		for i, name := range strings.Split(path, "/") {
			base, most := 10, 9
			if i%2 == 0 {
				base, most = 16, 8
			}
			if _, err := strconv.ParseUint(name, base, 32); err != nil || len(name) > most {
				t.Fatalf("%q in %q", name, path)
			}
		}
	})
}
