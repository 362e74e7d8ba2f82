package stowrs

import (
	"context"
	"errors"
	"net/http"
	"strings"
	"testing"

	"github.com/tributary-dicom/tributary/ingest"
	"github.com/tributary-dicom/tributary/pipeline/event"
)

// The sender's word counts when it is given and every part is stored.
func TestSendersWord(t *testing.T) {
	for name, tc := range map[string]struct {
		parts  []string
		header []string
		fail   error
		said   string
		kept   bool
	}{
		"all stored":     {[]string{"stored 1.1", "duplicate 1.2", "conflict 1.3", "blemish 1.4"}, []string{ingest.CompleteHeader, "true"}, nil, "county stow 1.2", true},
		"no word":        {[]string{"stored 1.1"}, nil, nil, "", false},
		"another word":   {[]string{"stored 1.1"}, []string{ingest.CompleteHeader, "no"}, nil, "", false},
		"one refused":    {[]string{"stored 1.1", "bad-uid 1.2"}, []string{ingest.CompleteHeader, "true"}, nil, "", false},
		"one quarantine": {[]string{"stored 1.1", "quarantined:truncated 1.2"}, []string{ingest.CompleteHeader, "1"}, nil, "", false},
		"log is away":    {[]string{"stored 1.1"}, []string{ingest.CompleteHeader, "true"}, errors.New("away"), "county stow 1.2", false},
	} {
		said := ""
		h := New(Config{
			Admitter: &fakeIntake{}, Identify: func(*http.Request) (string, event.Origin) { return "county", event.Origin{} },
			Signal: func(_ context.Context, tenant, signal string, studies ...string) error {
				said += tenant + " " + signal + " " + strings.Join(studies, ",")
				return tc.fail
			},
		})
		w := post(h, "/dicom-web/studies", relatedType, related(tc.parts...), tc.header...)
		if said != tc.said || (w.Header().Get(ingest.CompleteHeader) == "true") != tc.kept {
			t.Errorf("%s: said %q, answer %q; want %q, %v", name, said, w.Header().Get(ingest.CompleteHeader), tc.said, tc.kept)
		}
	}
	// A body that breaks off is not all of it, whatever its header says.
	said := false
	h := New(Config{Admitter: &fakeIntake{}, Signal: func(context.Context, string, string, ...string) error { said = true; return nil }})
	whole := related("stored 1.1", "stored 1.2")
	if w := post(h, "/dicom-web/studies", relatedType, whole[:len(whole)-20], ingest.CompleteHeader, "true"); said || w.Header().Get(ingest.CompleteHeader) != "" {
		t.Errorf("a broken body was taken for a whole study: %d", w.Code)
	}
}
