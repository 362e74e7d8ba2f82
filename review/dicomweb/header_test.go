package dicomweb

import (
	"bytes"
	"encoding/json"
	"reflect"
	"slices"
	"testing"
)

const base = "/dicom-web/studies/1/series/2/instances/3"

func rewritten(t *testing.T, header, syntax string) string {
	t.Helper()
	var b bytes.Buffer
	if err := writeHeader(&b, []byte(header), base, syntax); err != nil {
		t.Fatalf("%s: %v", header, err)
	}
	return b.String()
}

func TestWriteHeader(t *testing.T) {
	const (
		cs = `"00080005":{"vr":"CS","Value":["ISO_IR 192"]}`
		ts = `"00083002":{"vr":"UI","Value":["1.2.5"]}`
	)
	for _, c := range []struct{ header, syntax, want string }{
		{`{}`, "1.2.5", `{` + cs + `,` + ts + `}`},
		{`{}`, "", `{` + cs + `}`},
		{`{}`, "not a uid", `{` + cs + `}`},
		{
			`{"00080018":{"vr":"UI","Value":["1"]},"7FE00010":{"vr":"OW","BulkDataURI":"bulkdata/7FE00010"}}`, "1.2.5",
			`{` + cs + `,"00080018":{"vr":"UI","Value":["1"]},` + ts + `,"7FE00010":{"vr":"OW","BulkDataURI":"` + base + `/bulkdata/7FE00010"}}`,
		},
		{ // what the file said of itself gives way
			`{"00080005":{"vr":"CS","Value":["GB18030"]},"00083002":{"vr":"UI","Value":["9"]},"00100010":{"vr":"PN"}}`, "1.2.5",
			`{` + cs + `,` + ts + `,"00100010":{"vr":"PN"}}`,
		},
		{`{"00080001":{"vr":"UL"}}`, "1.2.5", `{"00080001":{"vr":"UL"},` + cs + `,` + ts + `}`},
		{`{"00083002":{"vr":"UI"}}`, "1.2.5", `{` + cs + `,` + ts + `}`},
		{ // in a sequence before and after, and as text that only looks like a reference
			`{"00081111":{"vr":"SQ","Value":[{"00091001":{"vr":"OB","BulkDataURI":"bulkdata/00081111/0/00091001"}}]},` +
				`"00104000":{"vr":"LT","Value":["\"BulkDataURI\":\"bulkdata/x} {\""]},` +
				`"54000100":{"vr":"SQ","Value":[{"54001010":{"vr":"OW","BulkDataURI":"bulkdata/54000100/0/54001010"}}]}}`, "1.2.5",
			`{` + cs + `,"00081111":{"vr":"SQ","Value":[{"00091001":{"vr":"OB","BulkDataURI":"` + base + `/bulkdata/00081111/0/00091001"}}]},` + ts +
				`,"00104000":{"vr":"LT","Value":["\"BulkDataURI\":\"bulkdata/x} {\""]},` +
				`"54000100":{"vr":"SQ","Value":[{"54001010":{"vr":"OW","BulkDataURI":"` + base + `/bulkdata/54000100/0/54001010"}}]}}`,
		},
	} {
		if got := rewritten(t, c.header, c.syntax); got != c.want {
			t.Errorf("%s\n got %s\nwant %s", c.header, got, c.want)
		}
	}
	for _, bad := range []string{"", "[", "{", `{"0008`, `{"00080005"}`, `{"00080005":[]}`, `{"00080005":{"vr":"CS"`, `{"00080001":{}`} {
		if err := writeHeader(&bytes.Buffer{}, []byte(bad), base, "1"); err == nil {
			t.Errorf("%s was taken for a header", bad)
		}
	}
}

// FuzzWriteHeader compares the rewriting of text with the rewriting of decoded JSON.
func FuzzWriteHeader(f *testing.F) {
	f.Add([]byte(`{"00080018":{"vr":"UI","Value":["1"]},"7FE00010":{"vr":"OW","BulkDataURI":"bulkdata/7FE00010"}}`))
	f.Add([]byte(`{"00080005":{},"00083002":{"vr":"SQ","Value":[{"a":{"b":"}"}}]},"00100010":{"x":"\\"}}`))
	f.Add([]byte(` { "00080001" : {"vr":"x"} , "00090001" : {} } `))
	f.Fuzz(func(t *testing.T, header []byte) {
		var b bytes.Buffer
		err := writeHeader(&b, header, base, "1.2.5")
		var in map[string]map[string]any
		if !json.Valid(header) || json.Unmarshal(header, &in) != nil || in == nil {
			return // not ours; it only must not panic
		}
		keys := make([]string, 0, len(in))
		for k, v := range in {
			if v == nil || len(k) != 8 {
				return
			}
			keys = append(keys, k)
		}
		if bytes.Count(header, []byte(`"`)) > 2000 || bytes.Contains(header, []byte(`\`)) || bytes.Contains(header, []byte("BulkDataURI")) {
			return
		}
		// Members must be in order, as admission writes them, and each once.
		m, _ := newMembers(header)
		var order []string
		for {
			k, _, _, err := m.next()
			if err != nil || k == nil {
				break
			}
			order = append(order, string(k))
		}
		if !slices.IsSorted(order) || len(order) != len(keys) {
			return
		}
		if err != nil {
			t.Fatalf("%s: %v", header, err)
		}
		var out map[string]map[string]any
		if err := json.Unmarshal(b.Bytes(), &out); err != nil {
			t.Fatalf("%s became %s: %v", header, b.Bytes(), err)
		}
		in["00080005"] = map[string]any{"vr": "CS", "Value": []any{"ISO_IR 192"}}
		in["00083002"] = map[string]any{"vr": "UI", "Value": []any{"1.2.5"}}
		if !reflect.DeepEqual(in, out) {
			t.Fatalf("%s became %s", header, b.Bytes())
		}
	})
}
