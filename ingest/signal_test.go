package ingest

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"testing"
	"time"

	"github.com/tributary-dicom/tributary/pipeline/event"
	"github.com/tributary-dicom/tributary/pipeline/eventlog"
)

// signalLog keeps what is appended with a sync.
type signalLog struct {
	Log
	kept  []event.Envelope
	calls int
	fail  error
}

func (l *signalLog) Append(_ context.Context, events ...event.Envelope) ([]eventlog.Position, error) {
	l.calls++
	l.kept = append(l.kept, events...)
	return nil, l.fail
}

func TestSignalIsKept(t *testing.T) {
	log := &signalLog{}
	at := time.Date(2026, 11, 22, 8, 0, 0, 0, time.UTC)
	in := New(Config{Node: "/n", Now: func() time.Time { return at }}, nil, log, nil)
	var studies []string
	for i := range 600 {
		studies = append(studies, fmt.Sprintf("1.2.%d", i))
	}
	if err := in.Signal(t.Context(), "", event.SignalImport, studies...); err != nil {
		t.Fatal(err)
	}
	if len(log.kept) != len(studies) || log.calls != 3 {
		t.Fatalf("%d records by %d appends", len(log.kept), log.calls)
	}
	e := log.kept[599]
	body, err := event.Decode[event.StudySent](e.Data)
	if err != nil || *body != (event.StudySent{Tenant: DefaultTenant, StudyInstanceUID: "1.2.599", Signal: "import", At: at}) {
		t.Errorf("%+v, %v", body, err)
	}
	if e.Topic != event.TopicInstances || e.Key != "1.2.599" || e.Source != "/n" || !e.Time.Equal(at) {
		t.Errorf("envelope %+v", e)
	}

	log.kept = nil
	for _, bad := range [][]string{{"rumour", "1.2"}, {"stow", ""}, {"stow", "1.2", "../x"}, {"", "1.2"}} {
		if err := in.Signal(t.Context(), "", bad[0], bad[1:]...); !errors.Is(err, ErrBadSignal) || len(log.kept) > 0 {
			t.Errorf("%q: %v, %d records", bad, err, len(log.kept))
		}
	}
	log.fail = errors.New("full")
	if err := in.Signal(t.Context(), "", "api", "1.2"); !errors.Is(err, log.fail) {
		t.Errorf("a log that takes nothing: %v", err)
	}
}

func TestSaysComplete(t *testing.T) {
	for value, want := range map[string]bool{"true": true, "1": true, "": false, "false": false, "yes": false, "true, true": false} {
		if got := SaysComplete(http.Header{CompleteHeader: {value}}); got != want {
			t.Errorf("%q: %v", value, got)
		}
	}
}
