package device

import (
	"io"
	"net/http"
	"net/http/httptest"
	"testing"
)

func TestReceiptOutcome(t *testing.T) {
	for answer, want := range map[string]Outcome{
		`{"id":"1","status":"stored"}`:                                        {Status: Stored, ID: "1"},
		`{"id":"1","status":"duplicate"}`:                                     {Status: Duplicate, ID: "1"},
		`{"id":"2","status":"conflict"}`:                                      {Status: Conflict, ID: "2"},
		`{"id":"3","status":"quarantined","reason":"truncated","detail":"x"}`: {Status: Quarantined, Code: "truncated", Detail: "x", ID: "3"},
		`{"id":"","status":"refused","reason":"empty","retry":false}`:         {Status: Refused, Code: "empty"},
	} {
		if got, err := receiptOutcome(reply{200, "200 OK", nil, []byte(answer)}); err != nil || got != want {
			t.Errorf("%s: %+v, %v", answer, got, err)
		}
	}
	for answer, temporary := range map[string]bool{
		``:                                  false,
		`{}`:                                false,
		`[]`:                                false,
		`{"status":"receiving"}`:            false,
		`{"status":"ok"}`:                   false,
		`{"status":"refused","retry":true}`: true,
	} {
		if got, err := receiptOutcome(reply{200, "200 OK", nil, []byte(answer)}); err == nil || Temporary(err) != temporary {
			t.Errorf("%s: %+v, %v; want an error, temporary %v", answer, got, err, temporary)
		}
	}
}

func TestStowOutcome(t *testing.T) {
	for name, c := range map[string]struct {
		answer, warning string
		want            Outcome
		fails           bool
	}{
		"stored": {answer: `{"00081199":{"vr":"SQ","Value":[{"00081155":{"vr":"UI","Value":["1.2"]}}]}}`, want: Outcome{Status: Stored}},
		"stored with a warning": {
			answer: `{"00081199":{"vr":"SQ","Value":[{"00081196":{"vr":"US","Value":[45056]}}]}}`,
			want:   Outcome{Status: Stored, Code: "B000"},
		},
		"failed": {
			answer: `{"00081198":{"vr":"SQ","Value":[{"00081197":{"vr":"US","Value":[43264]}}]}}`,
			want:   Outcome{Status: Refused, Code: "A900"},
		},
		"failed without UIDs": {
			answer: `{"0008119A":{"vr":"SQ","Value":[{"00081197":{"vr":"US","Value":[272]}}]}}`,
			want:   Outcome{Status: Refused, Code: "0110"},
		},
		"kept in quarantine": {
			answer:  `{"00081198":{"vr":"SQ","Value":[{"00081197":{"vr":"US","Value":[49152]}}]}}`,
			warning: `299 tributary "1 of 1 instances cannot be indexed and are kept in quarantine: 01ABC"`,
			want:    Outcome{Status: Quarantined, Code: "C000", Detail: "kept in quarantine", ID: "01ABC"},
		},
		"refused":                 {answer: `{"status":"refused","reason":"bad-uid","detail":"no UID"}`, want: Outcome{Status: Refused, Code: "bad-uid", Detail: "no UID"}},
		"nothing":                 {answer: ``, fails: true},
		"no instance":             {answer: `{}`, fails: true},
		"items of another shape":  {answer: `{"00081198":{"vr":"SQ","Value":["x",{"00081197":{"vr":"US","Value":["y"]}}]}}`, fails: true},
		"nothing in the sequence": {answer: `{"00081199":{"vr":"SQ","Value":[]}}`, fails: true},
	} {
		t.Run(name, func(t *testing.T) {
			header := http.Header{}
			if c.warning != "" {
				header.Set("Warning", c.warning)
			}
			got, err := stowOutcome(reply{200, "200 OK", header, []byte(c.answer)})
			if got != c.want || (err != nil) != c.fails {
				t.Errorf("%+v, %v; want %+v", got, err, c.want)
			}
		})
	}
}

// TestPostTellsTemporaryFromFinal: what a busy node or a proxy before it says may pass; what the request
// deserves does not.
func TestPostTellsTemporaryFromFinal(t *testing.T) {
	for status, temporary := range map[int]bool{
		http.StatusServiceUnavailable: true, http.StatusTooManyRequests: true, http.StatusBadGateway: true, http.StatusGatewayTimeout: true,
		http.StatusUnauthorized: false, http.StatusNotFound: false, http.StatusInternalServerError: false,
	} {
		server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			if r.Header.Get("Authorization") != "Bearer t0ken" {
				t.Errorf("Authorization %q", r.Header.Get("Authorization"))
			}
			_, _ = io.Copy(io.Discard, r.Body)
			w.WriteHeader(status)
		}))
		target, err := ParseTarget(server.URL, ViaUpload)
		if err != nil {
			t.Fatal(err)
		}
		target.Token = "t0ken"
		o, err := Bytes("x.bin", []byte("no image"))
		if err != nil {
			t.Fatal(err)
		}
		if out, err := target.Open(nil).Send(t.Context(), o); err == nil || Temporary(err) != temporary {
			t.Errorf("%d: %+v, %v; want an error, temporary %v", status, out, err, temporary)
		}
		server.Close()
		if _, err := target.Open(nil).Send(t.Context(), o); !Temporary(err) {
			t.Errorf("nobody listens: %v, want a temporary error", err)
		}
	}
}
