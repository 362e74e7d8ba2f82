package e2e

import (
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"testing"

	"github.com/tributary-dicom/tributary/fixtures"
	"github.com/tributary-dicom/tributary/internal/testengine"
	"github.com/tributary-dicom/tributary/internal/testnode"
)

// orthancPlugin is where Debian's orthanc-dicomweb puts DICOMweb.
const orthancPlugin = "/usr/share/orthanc/plugins/libOrthancDicomWeb.so"

// orthanc is a running Orthanc that knows one node, under the name "node", as DICOMweb server and as modality.
type orthanc struct {
	url   string // "http://127.0.0.1:PORT"
	dicom string // "127.0.0.1:PORT"
}

// startOrthanc starts Orthanc with an empty folder and ends it with the test. It is skipped, or fails in CI,
// where Debian's orthanc and orthanc-dicomweb are missing. Its DICOM port listens on all addresses: 1.10
// has no option against that; it takes objects from anybody only while the test runs.
func startOrthanc(t *testing.T, n *testnode.Node) orthanc {
	t.Helper()
	bin, err := exec.LookPath("Orthanc")
	if err != nil {
		bin, err = exec.LookPath("/usr/sbin/Orthanc")
	}
	if err == nil {
		_, err = os.Stat(orthancPlugin)
	}
	if err != nil {
		testengine.Missing(t, "Orthanc or its DICOMweb plugin is not installed (scripts/test-deps.sh does): %v", err)
	}
	_, peer, err := net.SplitHostPort(n.DICOM)
	if err != nil {
		t.Fatal(err)
	}
	peerPort, err := strconv.Atoi(peer)
	if err != nil {
		t.Fatal(err)
	}
	dir := t.TempDir()
	httpPort, dicomPort := testengine.FreePort(t), testengine.FreePort(t)
	config, err := json.Marshal(map[string]any{
		"Name": "e2e", "StorageDirectory": dir, "IndexDirectory": dir, "Plugins": []string{orthancPlugin},
		"HttpPort": httpPort, "HttpBindAddresses": []string{"127.0.0.1"}, "RemoteAccessAllowed": false, "AuthenticationEnabled": false,
		"DicomAet": "ORTHANC", "DicomPort": dicomPort, "DicomCheckCalledAet": false, "DicomAlwaysAllowStore": true, "DicomAlwaysAllowEcho": true,
		"DicomScuTimeout": 30, "HttpTimeout": 60, "TcpNoDelay": true,
		"DicomModalities": map[string]any{"node": []any{n.AET, "127.0.0.1", peerPort}},
		"DicomWeb": map[string]any{"Enable": true, "Root": "/dicom-web/", "Servers": map[string]any{
			"node": map[string]any{"Url": n.URL + "/dicom-web/", "HasWadoRsUniversalTransferSyntax": true, "ChunkedTransfers": true},
		}},
	})
	if err != nil {
		t.Fatal(err)
	}
	file := filepath.Join(dir, "orthanc.json")
	if err := os.WriteFile(file, config, 0o600); err != nil {
		t.Fatal(err)
	}
	cmd := exec.Command(bin, file)
	cmd.Env = append(os.Environ(), "TCP_NODELAY=1")
	var log output
	cmd.Stdout, cmd.Stderr = &log, &log
	cmd.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	done := make(chan struct{})
	go func() {
		_ = cmd.Wait() // it is killed
		close(done)
	}()
	t.Cleanup(func() {
		_ = cmd.Process.Kill() // it may have ended
		<-done
		if text := log.String(); t.Failed() {
			t.Logf("the end of Orthanc's log:\n%s", text[max(0, len(text)-4000):])
		}
	})
	o := orthanc{url: "http://127.0.0.1:" + strconv.Itoa(httpPort), dicom: net.JoinHostPort("127.0.0.1", strconv.Itoa(dicomPort))}
	until(t, "Orthanc answers", func() bool {
		select {
		case <-done:
			t.Fatalf("Orthanc ended:\n%s", log.String())
		default:
		}
		req, err := http.NewRequestWithContext(t.Context(), http.MethodGet, o.url+"/system", nil)
		if err != nil {
			t.Fatal(err)
		}
		resp, err := http.DefaultClient.Do(req)
		if err != nil {
			return false
		}
		_ = resp.Body.Close()
		return resp.StatusCode == http.StatusOK
	})
	return o
}

// call sends body, JSON unless it is bytes, and returns the answer, which must be 200.
func (o orthanc) call(t *testing.T, method, path string, body any) []byte {
	t.Helper()
	var sent io.Reader
	switch b := body.(type) {
	case nil:
	case []byte:
		sent = bytes.NewReader(b)
	default:
		text, err := json.Marshal(b)
		if err != nil {
			t.Fatal(err)
		}
		sent = bytes.NewReader(text)
	}
	req, err := http.NewRequestWithContext(t.Context(), method, o.url+path, sent)
	if err != nil {
		t.Fatal(err)
	}
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	answer, err := io.ReadAll(resp.Body)
	if err != nil || resp.StatusCode != http.StatusOK {
		t.Fatalf("Orthanc %s %s: %d, %v\n%.2000s", method, path, resp.StatusCode, err, answer)
	}
	return answer
}

// list is call for an answer that is a list of strings.
func (o orthanc) list(t *testing.T, path string) (ids []string) {
	t.Helper()
	if err := json.Unmarshal(o.call(t, http.MethodGet, path, nil), &ids); err != nil {
		t.Fatal(err)
	}
	return ids
}

// empty deletes everything that Orthanc has.
func (o orthanc) empty(t *testing.T) {
	t.Helper()
	for _, id := range o.list(t, "/patients") {
		o.call(t, http.MethodDelete, "/patients/"+id, nil)
	}
}

// files returns what Orthanc has, by SOP Instance UID.
func (o orthanc) files(t *testing.T) map[string][]byte {
	t.Helper()
	out := map[string][]byte{}
	for _, id := range o.list(t, "/instances") {
		var about struct {
			MainDicomTags struct{ SOPInstanceUID string }
		}
		if err := json.Unmarshal(o.call(t, http.MethodGet, "/instances/"+id, nil), &about); err != nil {
			t.Fatal(err)
		}
		out[about.MainDicomTags.SOPInstanceUID] = o.call(t, http.MethodGet, "/instances/"+id+"/file", nil)
	}
	return out
}

// specimen is an object of a fixture with its bytes.
type specimen struct {
	fixtures.Instance
	file []byte
}

func (s specimen) path() string {
	return "/dicom-web/studies/" + s.StudyInstanceUID + "/series/" + s.SeriesInstanceUID + "/instances/" + s.SOPInstanceUID
}

// written writes instances.
func written(t *testing.T, instances ...fixtures.Instance) (all []specimen) {
	t.Helper()
	for _, i := range instances {
		var b bytes.Buffer
		if _, err := i.WriteTo(&b); err != nil {
			t.Fatal(err)
		}
		all = append(all, specimen{i, b.Bytes()})
	}
	return all
}

// storedFile retrieves an instance as the node keeps it.
func storedFile(t *testing.T, n *testnode.Node, path string) ([]byte, int) {
	t.Helper()
	req, err := http.NewRequestWithContext(t.Context(), http.MethodGet, n.URL+path, nil)
	if err != nil {
		t.Fatal(err)
	}
	req.Header.Set("Accept", "application/dicom")
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	got, err := io.ReadAll(resp.Body)
	if err != nil {
		t.Fatal(err)
	}
	return got, resp.StatusCode
}

// examination is one visit of a Chinese patient with objects of all kinds: stills and loops of every encoding.
func examination(p fixtures.Patient, label string) []fixtures.Instance {
	us := p.NewStudy("US", label)
	var all []fixtures.Instance
	for i, e := range []fixtures.Encoding{fixtures.NativeRGB, fixtures.NativeGray, fixtures.ImplicitRGB, fixtures.ImplicitGray, fixtures.JPEG, fixtures.JPEGGray} {
		all = append(all,
			us.UltrasoundStill(fixtures.Still{Columns: 96, Rows: 64, Encoding: e, Number: 1 + i}),
			us.UltrasoundCine(fixtures.Cine{Columns: 64, Rows: 64, Frames: 5, Encoding: e, Number: 21 + i, Offsets: fixtures.Offsets(i % 3)}))
	}
	return append(all, p.NewStudy("ECG", label).Instances()...)
}

// inside compares what a server has with what it shall have.
func inside(t *testing.T, got map[string][]byte, want []specimen, alike func(got, want []byte) bool) {
	t.Helper()
	if len(got) != len(want) {
		t.Errorf("%d objects, want %d", len(got), len(want))
	}
	for _, s := range want {
		if !alike(got[s.SOPInstanceUID], s.file) {
			t.Errorf("%s (%s, %s) came with other bytes: %d, sent %d", s.Name, s.Modality, s.TransferSyntaxUID, len(got[s.SOPInstanceUID]), len(s.file))
		}
	}
}

// TestOrthanc lets Orthanc read from a node and send to it as a DICOMweb client, and the node's command line
// send to Orthanc.
func TestOrthanc(t *testing.T) {
	n := testnode.Start(t, filepath.Join(t.TempDir(), "data"))
	o := startOrthanc(t, n)
	people := fixtures.Village(31, 4)
	person := people[0]
	sent := written(t, examination(person, "a")...)
	study := sent[0].StudyInstanceUID
	alphabetic, ideographic, _ := strings.Cut(person.Name, "=")

	t.Run("STOW-RS from Orthanc", func(t *testing.T) {
		for _, s := range sent {
			o.call(t, http.MethodPost, "/instances", s.file)
		}
		o.call(t, http.MethodPost, "/dicom-web/servers/node/stow", map[string]any{"Resources": o.list(t, "/studies"), "Synchronous": true})
		for _, s := range sent {
			if got, status := storedFile(t, n, s.path()); status != http.StatusOK || !bytes.Equal(got, s.file) {
				t.Errorf("%s (%s): status %d, or other bytes", s.Name, s.TransferSyntaxUID, status)
			}
		}
	})
	t.Run("QIDO-RS by Orthanc", func(t *testing.T) {
		for name, c := range map[string]struct {
			uri   string
			match map[string]string
			want  int
		}{
			"name in hanzi":     {"/studies", map[string]string{"PatientName": ideographic}, 2},
			"a part of a name":  {"/studies", map[string]string{"00100010": alphabetic[:3] + "*"}, 2},
			"patient and study": {"/studies", map[string]string{"PatientID": person.ID, "StudyInstanceUID": study}, 1},
			"nobody":            {"/studies", map[string]string{"PatientID": "nobody"}, 0},
			"series":            {"/studies/" + study + "/series", map[string]string{"Modality": "US"}, 2},
			"instances":         {"/studies/" + study + "/instances", map[string]string{}, 12},
			"page":              {"/studies/" + study + "/instances", map[string]string{"limit": "5", "offset": "10"}, 2},
			"all series":        {"/series", map[string]string{"PatientID": person.ID, "includefield": "all"}, 5},
		} {
			var rows []map[string]struct{ Value any } // Orthanc's way to show attributes
			answer := o.call(t, http.MethodPost, "/dicom-web/servers/node/qido", map[string]any{"Uri": c.uri, "Arguments": c.match})
			if err := json.Unmarshal(answer, &rows); err != nil {
				t.Fatalf("%s: %v\n%.500s", name, err, answer)
			}
			if len(rows) != c.want {
				t.Errorf("%s: %d rows, want %d", name, len(rows), c.want)
			}
			for _, row := range rows { // Orthanc reads the first component group alone
				if got := row["00100010"].Value; c.uri == "/studies" && got != alphabetic {
					t.Errorf("%s: Orthanc reads the name %q, want %q", name, got, alphabetic)
				}
			}
		}
	})
	retrieved := func(resource map[string]string) map[string][]byte {
		t.Helper()
		o.empty(t)
		o.call(t, http.MethodPost, "/dicom-web/servers/node/retrieve", map[string]any{"Resources": []any{resource}, "Synchronous": true})
		return o.files(t)
	}
	var ofStudy, ofSeries []specimen
	for _, s := range sent {
		if s.StudyInstanceUID == study {
			ofStudy = append(ofStudy, s)
			if s.SeriesInstanceUID == sent[0].SeriesInstanceUID {
				ofSeries = append(ofSeries, s)
			}
		}
	}
	for name, c := range map[string]struct {
		resource map[string]string
		want     []specimen
	}{
		"a study":      {map[string]string{"Study": study}, ofStudy},
		"a series":     {map[string]string{"Study": study, "Series": sent[0].SeriesInstanceUID}, ofSeries},
		"an instance":  {map[string]string{"Study": study, "Series": sent[0].SeriesInstanceUID, "Instance": sent[0].SOPInstanceUID}, sent[:1]},
		"an ECG visit": {map[string]string{"Study": sent[len(sent)-1].StudyInstanceUID}, sent[len(ofStudy):]},
	} {
		t.Run("WADO-RS by Orthanc: "+name, func(t *testing.T) { inside(t, retrieved(c.resource), c.want, bytes.Equal) })
	}
	t.Run("metadata by Orthanc", func(t *testing.T) {
		text := o.call(t, http.MethodPost, "/dicom-web/servers/node/get", map[string]any{
			"Uri": "/studies/" + study + "/metadata", "HttpHeaders": map[string]string{"Accept": "application/dicom+json"},
		})
		var all []map[string]struct{ Value []any }
		if err := json.Unmarshal(text, &all); err != nil || len(all) != len(ofStudy) {
			t.Fatalf("%d instances, want %d: %v\n%.300s", len(all), len(ofStudy), err, text)
		}
		for _, m := range all {
			if v := m["00100010"].Value; len(v) != 1 || v[0].(map[string]any)["Ideographic"] != ideographic {
				t.Errorf("the name is %v", v)
			}
		}
	})
	t.Run("what is not there", func(t *testing.T) {
		body, err := json.Marshal(map[string]any{"Resources": []any{map[string]string{"Study": "1.2.3"}}, "Synchronous": true})
		if err != nil {
			t.Fatal(err)
		}
		req, err := http.NewRequestWithContext(t.Context(), http.MethodPost, o.url+"/dicom-web/servers/node/retrieve", bytes.NewReader(body))
		if err != nil {
			t.Fatal(err)
		}
		resp, err := http.DefaultClient.Do(req)
		if err != nil {
			t.Fatal(err)
		}
		defer resp.Body.Close()
		if resp.StatusCode < 400 {
			t.Errorf("Orthanc takes a study that is not there for retrieved: %d", resp.StatusCode)
		}
	})
	t.Run("C-STORE from Orthanc", func(t *testing.T) {
		o.empty(t)
		objects := written(t, examination(people[1], "b")...)
		for _, s := range objects {
			o.call(t, http.MethodPost, "/instances", s.file)
		}
		o.call(t, http.MethodPost, "/modalities/node/store", map[string]any{"Resources": o.list(t, "/studies"), "Synchronous": true})
		for _, s := range objects {
			if got, status := storedFile(t, n, s.path()); status != http.StatusOK || !bytes.HasSuffix(got, s.file[s.DatasetOffset:]) {
				t.Errorf("%s (%s): status %d, or another data set", s.Name, s.TransferSyntaxUID, status)
			}
		}
	})
	for i, c := range []struct {
		name, to, via string
		alike         func(got, want []byte) bool
	}{
		{"tributary send by STOW-RS", o.url + "/dicom-web", "stow", bytes.Equal},
		{"tributary send by C-STORE", "dicom://ORTHANC@" + o.dicom, "", nil},
	} {
		t.Run(c.name, func(t *testing.T) {
			o.empty(t)
			objects := written(t, examination(people[2+i], "c")...)
			dir := t.TempDir()
			for k, s := range objects {
				if err := os.WriteFile(filepath.Join(dir, fmt.Sprintf("%d.dcm", k)), s.file, 0o600); err != nil {
					t.Fatal(err)
				}
			}
			args := []string{"send", "--to", c.to, "--json", dir}
			if c.via != "" {
				args = append(args, "--via", c.via)
			}
			if code, out, stderr := run(t, args...); code != 0 {
				t.Fatalf("exit %d\n%s\n%s", code, out, stderr)
			}
			alike := c.alike
			if alike == nil { // Orthanc writes File Meta Information of its own
				offsets := map[string]int64{}
				for _, s := range objects {
					offsets[string(s.file)] = s.DatasetOffset
				}
				alike = func(got, want []byte) bool { return bytes.HasSuffix(got, want[offsets[string(want)]:]) }
			}
			inside(t, o.files(t), objects, alike)
		})
	}
}
