package e2e

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"testing"

	"github.com/tributary-dicom/tributary/device"
	"github.com/tributary-dicom/tributary/internal/testnode"
	"github.com/tributary-dicom/tributary/storage/index"
)

// doors are the ways in that take any file.
var doors = []string{device.ViaDICOM, device.ViaSTOW, device.ViaUpload, device.ViaTus}

// shipment is one object that was handed to a door, and what became of it.
type shipment struct {
	device.Outcome
	err error

	// What the door was given of the object: all of it, or its data set by C-STORE.
	bytes  int64
	sha256 string
}

// letter is R for refused, Q for quarantined, S for stored.
func (s shipment) letter() string {
	switch {
	case s.err != nil || s.Status == device.Refused:
		return "R"
	case s.Status == device.Quarantined:
		return "Q"
	}
	return "S"
}

// sender opens the sender of one door of a node.
func sender(n *testnode.Node, via string, objects ...device.Object) device.Sender {
	t := device.Target{Via: via, Address: n.URL, CalledAE: n.AET, CallingAE: "E2E"}
	if via == device.ViaDICOM {
		t.Address = n.DICOM
	}
	return t.Open(objects)
}

// ship sends an object and notes what went out.
func ship(ctx context.Context, s device.Sender, via string, o device.Object) (shipment, error) {
	var sh shipment
	r, err := o.Open()
	if err != nil {
		return sh, err
	}
	if via == device.ViaDICOM {
		if _, err := io.CopyN(io.Discard, r, o.DatasetOffset); err != nil {
			return sh, err
		}
	}
	h := sha256.New()
	if sh.bytes, err = io.Copy(h, r); err != nil {
		return sh, err
	}
	sh.sha256 = hex.EncodeToString(h.Sum(nil))
	if err := r.Close(); err != nil {
		return sh, err
	}
	sh.Outcome, sh.err = s.Send(ctx, o)
	return sh, nil
}

// shipBytes sends one file by a sender of its own.
func shipBytes(t *testing.T, n *testnode.Node, via, name string, file []byte) shipment {
	t.Helper()
	o, err := device.Bytes(name, file)
	if err != nil {
		t.Fatal(err)
	}
	s := sender(n, via, o)
	defer s.Close()
	sh, err := ship(t.Context(), s, via, o)
	if err != nil {
		t.Fatal(err)
	}
	return sh
}

// tail returns the length of what is at path, and the SHA-256 of its last n bytes.
func tail(t *testing.T, n *testnode.Node, path string, last int64) (total int64, sum string, status int) {
	t.Helper()
	req, err := http.NewRequestWithContext(t.Context(), http.MethodGet, n.URL+path, nil)
	if err != nil {
		t.Fatal(err)
	}
	req.Header.Set("Accept", "application/dicom, application/octet-stream")
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		t.Fatalf("%s: %v", path, err)
	}
	defer resp.Body.Close()
	if resp.StatusCode != http.StatusOK {
		return 0, "", resp.StatusCode
	}
	if resp.ContentLength < last {
		t.Errorf("%s has %d bytes, %d were sent", path, resp.ContentLength, last)
		return resp.ContentLength, "", resp.StatusCode
	}
	if _, err := io.CopyN(io.Discard, resp.Body, resp.ContentLength-last); err != nil {
		t.Fatalf("%s: %v", path, err)
	}
	h := sha256.New()
	got, err := io.Copy(h, resp.Body)
	if err != nil || got != last {
		t.Fatalf("%s: %d bytes more, want %d: %v", path, got, last, err)
	}
	return resp.ContentLength, hex.EncodeToString(h.Sum(nil)), resp.StatusCode
}

// checkBytes compares what is at path with what was sent: bit for bit, by C-STORE behind a File Meta group.
func (s shipment) checkBytes(t *testing.T, n *testnode.Node, via, path string) {
	t.Helper()
	total, sum, status := tail(t, n, path, s.bytes)
	switch {
	case status != http.StatusOK:
		t.Errorf("%s: status %d", path, status)
	case sum != s.sha256:
		t.Errorf("%s came back with other bytes", path)
	case via != device.ViaDICOM && total != s.bytes:
		t.Errorf("%s has %d bytes, %d were sent", path, total, s.bytes)
	}
}

// checkQuarantined finds the entry of a quarantined object and compares its bytes. C-STORE does not tell
// the entry's id: then it is the newest.
func (s shipment) checkQuarantined(t *testing.T, n *testnode.Node, via string) {
	t.Helper()
	id := s.ID
	if id == "" {
		var list []index.Quarantined
		getJSON(t, n, "/quarantine?limit=1", &list)
		if len(list) == 0 {
			t.Error("the quarantine is empty")
			return
		}
		id = list[0].ObjectID
	}
	s.checkBytes(t, n, via, "/quarantine/"+id+"/file")
}

// getJSON fetches and decodes a document.
func getJSON(t *testing.T, n *testnode.Node, path string, v any) {
	t.Helper()
	status, body := n.Get(t, path)
	if status != http.StatusOK {
		t.Fatalf("%s: status %d: %.300s", path, status, body)
	}
	if err := json.Unmarshal(body, v); err != nil {
		t.Fatalf("%s: %v: %.300s", path, err, body)
	}
}

// attributes is one result of QIDO-RS, or one instance's metadata (PS3.18 Annex F).
type attributes map[string]struct {
	VR    string            `json:"vr"`
	Value []json.RawMessage `json:",omitempty"`
}

// text is an attribute's first value where that is a string.
func (a attributes) text(tag string) string {
	if v := a[tag].Value; len(v) > 0 {
		var s string
		_ = json.Unmarshal(v[0], &s) // not a string: ""
		return s
	}
	return ""
}

// name is a Person Name's three groups.
func (a attributes) name(tag string) (n personName) {
	if v := a[tag].Value; len(v) > 0 {
		_ = json.Unmarshal(v[0], &n) // no name: empty
	}
	return n
}

type personName struct{ Alphabetic, Ideographic, Phonetic string }

// instanceOf finds an instance by its UID and returns where it is retrieved.
func instanceOf(t *testing.T, n *testnode.Node, sopInstanceUID string) (attributes, string, bool) {
	t.Helper()
	var found []attributes
	getJSONOr204(t, n, "/dicom-web/instances?SOPInstanceUID="+url.QueryEscape(sopInstanceUID), &found)
	if len(found) != 1 {
		t.Errorf("QIDO-RS finds %d instances of %s", len(found), sopInstanceUID)
		return nil, "", false
	}
	a := found[0]
	return a, fmt.Sprintf("/dicom-web/studies/%s/series/%s/instances/%s", a.text("0020000D"), a.text("0020000E"), a.text("00080018")), true
}

// getJSONOr204 is getJSON for searches, which find nothing with 204 or an empty list.
func getJSONOr204(t *testing.T, n *testnode.Node, path string, v any) {
	t.Helper()
	status, body := n.Get(t, path)
	if status == http.StatusNoContent {
		return
	}
	if status != http.StatusOK {
		t.Fatalf("%s: status %d: %.300s", path, status, body)
	}
	if err := json.Unmarshal(body, v); err != nil {
		t.Fatalf("%s: %v: %.300s", path, err, body)
	}
}
