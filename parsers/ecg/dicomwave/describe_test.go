package dicomwave

import (
	"bytes"
	"encoding/json"
	"errors"
	"path/filepath"
	"reflect"
	"slices"
	"testing"

	"github.com/tributary-dicom/tributary/parsers/ecg"
	"github.com/tributary-dicom/tributary/parsers/ecg/ecgtest"
	"github.com/tributary-dicom/tributary/parsers/part10"
)

// TestDescribe compares what the header alone tells with what the whole object does.
func TestDescribe(t *testing.T) {
	objects := map[string][]byte{
		"own":  small(t, "1.2.840.10008.1.2.1"),
		"deep": small(t, deflatedSyntax),
	}
	files, err := filepath.Glob(filepath.Join(ecgtest.Shared(t), "corpora", "dicom", "ecg", "*.dcm"))
	if err != nil {
		t.Fatal(err)
	}
	for _, path := range files {
		src := ecgtest.Open(t, path)
		data := make([]byte, src.Size)
		if _, err := src.At.ReadAt(data, 0); err != nil {
			t.Fatal(err)
		}
		objects[filepath.Base(path)] = data
	}
	described := 0
	for name, data := range objects {
		o, err := part10.Scan(bytes.NewReader(data), part10.Options{})
		if err != nil {
			continue // nothing that is indexed
		}
		whole, werr := Decode(ecgtest.Source("", data), ecg.Limits{})
		head, herr := Describe(o, int64(len(data)), ecg.Limits{})
		if (werr == nil) != (herr == nil) {
			t.Errorf("%s: %v and %v", name, werr, herr)
		}
		if werr != nil || herr != nil {
			continue
		}
		described++
		if got, want := facts(head), facts(whole); !reflect.DeepEqual(got, want) {
			t.Errorf("%s:\n%+v\n%+v", name, got, want)
		}
		for _, g := range head.Groups {
			if g.Length == 0 {
				continue
			}
			r, err := g.Samples()
			if err == nil {
				err = r.Next(&ecg.Block{})
			}
			if !errors.Is(err, errUnread) {
				t.Errorf("%s: samples that nobody fetched: %v", name, err)
			}
		}
	}
	if described < 2 {
		t.Errorf("%d objects were described", described)
	}
}

// facts is a recording without the readers of its samples.
func facts(r *ecg.Recording) any {
	c := *r
	c.Groups = nil
	var groups []ecg.Group
	var leads [][]ecg.Lead
	for _, g := range r.Groups {
		groups = append(groups, ecg.Group{Kind: g.Kind, Label: g.Label, Rate: g.Rate, StartOffset: g.StartOffset, Length: g.Length})
		leads = append(leads, slices.Clone(g.Leads))
	}
	return []any{c, groups, leads}
}

// slowElement is an attribute as the standard library reads it.
type slowElement struct {
	VR           string            `json:"vr"`
	Value        []json.RawMessage `json:"Value"`
	InlineBinary string            `json:"InlineBinary"`
}

// FuzzHeader compares with encoding/json on documents that are JSON, and wants no more of others than an end.
func FuzzHeader(f *testing.F) {
	f.Add([]byte(`{"00080005":{"vr":"CS","Value":["ISO_IR 192"]},"00100010":{"vr":"PN","Value":[{"Alphabetic":"Zhang^San","Ideographic":"张^三"}]}}`))
	f.Add([]byte(`{"54000100":{"vr":"SQ","Value":[{"003A0005":{"vr":"US","Value":[ 12 , 1e3, null]}},{}]},"7FE00010":{"vr":"OW","InlineBinary":"AAE="}}`))
	f.Add([]byte(`{"00104000":{"vr":"LT","Value":["a \"b\" \\ \u5f20"]}}`))
	f.Add([]byte(`{"1":{"Value":[[[[]]],[`))
	f.Fuzz(func(t *testing.T, doc []byte) {
		d, err := parse(doc)
		for _, field := range d.fields {
			tag := string(d.at(field.tag))
			d.text(tag)
			d.strings(tag)
			d.items(tag, 8)
			d.binary(tag)
			d.name(tag)
		}
		var want map[string]slowElement
		if !json.Valid(doc) || json.Unmarshal(doc, &want) != nil || bytes.ContainsRune(doc, '\\') || !bytes.HasPrefix(bytes.TrimSpace(doc), []byte("{")) {
			return
		}
		if err != nil {
			t.Fatalf("%s: %v", doc, err)
		}
		if bytes.Contains(bytes.ToLower(doc), []byte("value")) != bytes.Contains(doc, []byte("Value")) {
			return // keys in another case, which encoding/json takes too
		}
		seen := map[string]int{}
		for _, field := range d.fields {
			seen[string(d.at(field.tag))]++
		}
		for tag, e := range want {
			if seen[tag] != 1 {
				continue // encoding/json merges repeated keys
			}
			if n := d.get(tag).count(); e.Value != nil && bytes.Count(doc, []byte(`"Value"`)) == len(want) && n != len(e.Value) {
				t.Errorf("%s: %d values, want %d", doc, n, len(e.Value))
			}
		}
	})
}
