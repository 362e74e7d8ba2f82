package main

import (
	"bytes"
	"encoding/json"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"github.com/tributary-dicom/tributary/parsers/ecg/scpecg/scptest"
)

// TestOriginalsAreGivenBack: a file that is not DICOM comes back as it was sent, and the list of ECGs names it.
func TestOriginalsAreGivenBack(t *testing.T) {
	file := (&scptest.Record{
		Default: true, Encoding: 1, Tags: []scptest.Tag{scptest.Text(0, "Zhang"), scptest.Text(2, "P7"), scptest.Date(25, 2026, 3, 4)},
		Leads: []scptest.Lead{{ID: 1, Samples: make([]int16, 1000)}, {ID: 2, Samples: make([]int16, 1000)}},
	}).Bytes()
	n := start(t, t.TempDir())
	status, body := n.do(t, http.MethodPost, "/upload", bytes.NewReader(file))
	var receipt struct{ ID, Status string }
	if err := json.Unmarshal(body, &receipt); err != nil || status != http.StatusCreated || receipt.Status != "stored" {
		t.Fatalf("%d %s, %v", status, body, err)
	}
	if status, body := n.do(t, http.MethodGet, "/originals/"+receipt.ID, nil); status != http.StatusOK || !bytes.Equal(body, file) {
		t.Errorf("%d, %d bytes, want the %d that were sent", status, len(body), len(file))
	}
	if status, body := n.do(t, http.MethodGet, "/originals/"+receipt.ID+"/about", nil); status != http.StatusOK || !strings.Contains(string(body), `"format":"scp-ecg"`) {
		t.Errorf("%d %s", status, body)
	}
	// The row may be that of the file, or of the DICOM object made of it.
	status, body = n.do(t, http.MethodGet, "/ecgs?patient_id=P7&date=20260304", nil)
	if status != http.StatusOK || strings.Count(string(body), `"/originals/`+receipt.ID+`"`) != 1 {
		t.Errorf("%d %s", status, body)
	}
	if status, body := n.do(t, http.MethodGet, "/conflicts/patients", nil); status != http.StatusOK || strings.TrimSpace(string(body)) != "[]" {
		t.Errorf("%d %s", status, body)
	}
}

func TestConflictLs(t *testing.T) {
	const one = `[{"instance":"1.2.3","current":"01A","versions":[{"id":"01A","bytes":5,"door":"dimse"},{"id":"01B","bytes":6,"door":"stow"}]}]`
	const mixed = `[{"study":"1.9","patients":[{"patient_id":"P1","patient_name":"Zhang^San=张^三\u001b[2J","instances":2},{"patient_id":"P2","patient_name":"Li^Si=李^四","instances":1}]}]`
	for name, c := range map[string]struct {
		cmd       conflictLs
		conflicts string
		patients  string
		want      []string
		not       string
	}{
		"none":              {conflictLs{}, "[]", "[]", []string{"There are no conflicts."}, "INSTANCE"},
		"both":              {conflictLs{}, one, mixed, []string{"01A      yes", "01B", "1.9", "张^三", "李^四"}, "\x1b"},
		"patients only":     {conflictLs{Patients: true}, one, mixed, []string{"P1", "P2"}, "01A"},
		"instances in JSON": {conflictLs{remote: remote{JSON: true}}, one, mixed, []string{`"instance": "1.2.3"`}, "P1"},
		"patients in JSON":  {conflictLs{remote: remote{JSON: true}, Patients: true}, one, mixed, []string{`"study": "1.9"`}, "1.2.3"},
	} {
		t.Run(name, func(t *testing.T) {
			srv := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
				_, _ = w.Write([]byte(map[string]string{"/conflicts": c.conflicts, "/conflicts/patients": c.patients}[r.URL.Path]))
			}))
			defer srv.Close()
			c.cmd.Server = srv.URL
			var out bytes.Buffer
			if err := c.cmd.Run(t.Context(), streams{out: &out}); err != nil {
				t.Fatal(err)
			}
			for _, want := range c.want {
				if !strings.Contains(out.String(), want) {
					t.Errorf("%q is not in:\n%s", want, out.String())
				}
			}
			if strings.Contains(out.String(), c.not) {
				t.Errorf("%q is in:\n%s", c.not, out.String())
			}
			if c.cmd.JSON && !json.Valid(out.Bytes()) {
				t.Errorf("no JSON: %s", out.String())
			}
		})
	}
}
