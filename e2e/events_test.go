package e2e

import (
	"bufio"
	"encoding/json"
	"net/http"
	"strings"
	"testing"

	"github.com/tributary-dicom/tributary/internal/testnode"
)

// listener hears a node's events.
type listener struct{ lines *bufio.Scanner }

// follow listens to a node behind an id, from now on where there is none.
func follow(t *testing.T, n *testnode.Node, id string) listener {
	t.Helper()
	req, err := http.NewRequestWithContext(t.Context(), http.MethodGet, n.URL+"/events", nil)
	if err != nil {
		t.Fatal(err)
	}
	if id != "" {
		req.Header.Set("Last-Event-ID", id)
	}
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { resp.Body.Close() })
	if resp.StatusCode != http.StatusOK {
		t.Fatalf("events: %s", resp.Status)
	}
	l := listener{bufio.NewScanner(resp.Body)}
	if !l.lines.Scan() { // it is connected: what comes from here on is heard
		t.Fatal(l.lines.Err())
	}
	return l
}

// next returns the id and SOP Instance UID of the next event about an object.
func (l listener) next(t *testing.T) (id, instance string) {
	t.Helper()
	for l.lines.Scan() {
		if text, ok := strings.CutPrefix(l.lines.Text(), "id: "); ok {
			id = text
		}
		text, ok := strings.CutPrefix(l.lines.Text(), "data: ")
		if !ok {
			continue
		}
		var e struct {
			IDs struct {
				Instance string `json:"sop_instance_uid"`
			} `json:"ids"`
		}
		if err := json.Unmarshal([]byte(text), &e); err != nil {
			t.Fatalf("%s: %v", text, err)
		}
		if e.IDs.Instance == "" {
			continue // about a study as a whole
		}
		return id, e.IDs.Instance
	}
	t.Fatalf("the stream ended: %v", l.lines.Err())
	return "", ""
}
