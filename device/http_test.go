package device

import (
	"net/http"
	"testing"
)

// TestSTOWOutcome reads the answers that a STOW-RS door gives for one instance.
func TestSTOWOutcome(t *testing.T) {
	const refs = `"00081150":{"vr":"UI","Value":["1.2"]},"00081155":{"vr":"UI","Value":["1.2.3"]}`
	for name, c := range map[string]struct {
		answer, warning string
		want            Outcome
	}{
		"stored": {answer: `{"00081199":{"vr":"SQ","Value":[{` + refs + `}]}}`, want: Outcome{Status: Stored}},
		"stored with a warning": {
			answer: `{"00081199":{"vr":"SQ","Value":[{` + refs + `,"00081196":{"vr":"US","Value":[45063]}}]}}`,
			want:   Outcome{Status: Stored, Code: "B007"},
		},
		"failed": {
			answer: `{"00081198":{"vr":"SQ","Value":[{` + refs + `,"00081197":{"vr":"US","Value":[43264]}}]}}`,
			want:   Outcome{Status: Refused, Code: "A900"},
		},
		"failed without UIDs": {
			answer: `{"0008119A":{"vr":"SQ","Value":[{"00081197":{"vr":"US","Value":[49152]}}]}}`,
			want:   Outcome{Status: Refused, Code: "C000"},
		},
		"kept in quarantine": {
			answer:  `{"00081198":{"vr":"SQ","Value":[{` + refs + `,"00081197":{"vr":"US","Value":[49152]}}]}}`,
			warning: `299 tributary "1 of 1 instances cannot be indexed and are kept in quarantine: 01ABC"`,
			want:    Outcome{Status: Quarantined, Code: "C000", Detail: "kept in quarantine", ID: "01ABC"},
		},
		"refused as a whole": {
			answer: `{"status":"refused","reason":"too-large","detail":"much","retry":false}`,
			want:   Outcome{Status: Refused, Code: "too-large", Detail: "much"},
		},
	} {
		resp := &http.Response{Status: "200 OK", Header: http.Header{"Warning": {c.warning}}}
		if got, err := stowOutcome(resp, []byte(c.answer)); err != nil || got != c.want {
			t.Errorf("%s: %+v, %v; want %+v", name, got, err, c.want)
		}
	}
	for _, answer := range []string{"", "<html>", "{}", `{"00081199":{"vr":"SQ"}}`, `[]`} {
		if got, err := stowOutcome(&http.Response{Status: "200 OK", Header: http.Header{}}, []byte(answer)); err == nil {
			t.Errorf("%q: %+v, want an error", answer, got)
		}
	}
}
