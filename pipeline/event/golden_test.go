package event_test

import (
	"bytes"
	"encoding/json"
	"flag"
	"os"
	"path/filepath"
	"reflect"
	"strings"
	"testing"

	"github.com/tributary-dicom/tributary/pipeline/event"
)

var update = flag.Bool("update", false, "write golden events that do not exist yet; existing ones are never rewritten")

// release is the release whose events are the newest golden ones.
const release = "v0.1"

// Every event that a release has written decodes for ever: no member is lost, and attachments open.
func TestGolden(t *testing.T) {
	if *update {
		writeGolden(t)
	}
	files, err := filepath.Glob("testdata/golden/*/*.json")
	if err != nil || len(files) == 0 {
		t.Fatalf("no golden events, %v", err)
	}
	types := map[string]bool{}
	for _, file := range files {
		doc, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		var c event.CloudEvent
		if err := json.Unmarshal(doc, &c); err != nil {
			t.Fatalf("%s: %v", file, err)
		}
		e := c.Envelope()
		types[e.Type] = true
		if err := conforms(t, e.Type, e.Data); err != nil {
			t.Errorf("%s: %v", file, err)
		}
		body, err := event.DecodeRecord(e)
		if err != nil {
			t.Errorf("%s: %v", file, err)
			continue
		}
		again, err := json.Marshal(body)
		if err != nil {
			t.Fatal(err)
		}
		if !reflect.DeepEqual(generic(t, again), generic(t, e.Data)) {
			t.Errorf("%s: lost members: %s", file, again)
		}
		if in, ok := body.(*event.Instance); ok && in.Header != nil {
			if header, err := in.Header.Open(in.Header.Data); err != nil || !json.Valid(header) {
				t.Errorf("%s: header: %v", file, err)
			}
		}
	}
	for _, typ := range event.Types() {
		if !types[typ] {
			t.Errorf("no golden event of type %s", typ)
		}
	}
}

func generic(t *testing.T, data []byte) (v any) {
	t.Helper()
	d := json.NewDecoder(bytes.NewReader(data))
	d.UseNumber()
	if err := d.Decode(&v); err != nil {
		t.Fatal(err)
	}
	return v
}

func writeGolden(t *testing.T) {
	t.Helper()
	folder := filepath.Join("testdata", "golden", release)
	if err := os.MkdirAll(folder, 0o755); err != nil {
		t.Fatal(err)
	}
	for name, e := range samples(t) {
		path := filepath.Join(folder, strings.ReplaceAll(name, " ", "-")+".json")
		if _, err := os.Stat(path); err == nil {
			continue
		}
		doc, err := json.MarshalIndent(event.NewCloudEvent(e), "", "  ")
		if err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(path, append(doc, '\n'), 0o644); err != nil {
			t.Fatal(err)
		}
	}
}
