package desk

import (
	"context"
	"encoding/json"
	"errors"
	"log/slog"
	"net/http"
	"time"

	"github.com/tributary-dicom/tributary/ingest"
	"github.com/tributary-dicom/tributary/ingest/httpbody"
	"github.com/tributary-dicom/tributary/pipeline/event"
	"github.com/tributary-dicom/tributary/storage/index"
)

// States is where the desk looks up studies; *index.DB has it.
type States interface {
	StudyState(ctx context.Context, tenant, study string) (index.StudyState, error)
}

// Signals is who keeps a sender's word; *ingest.Intake has it.
type Signals interface {
	Signal(ctx context.Context, tenant, signal string, studies ...string) error
}

// CompletenessConfig of the handler of /completeness. Without States nothing is read, without Signals nothing is told.
type CompletenessConfig struct {
	Tenant  string
	States  States
	Signals Signals
	Logger  *slog.Logger
}

// Bounds of a request that names studies.
const (
	maxSignalled     = 1000
	maxSignalledBody = 128 << 10 // bytes: a UID has 64, and punctuation
)

// NewCompleteness returns the handler of GET /completeness/{study} and of POST /completeness, whose body is
// {"studies":["UID",…],"signal":"import"}: these studies have been sent whole.
func NewCompleteness(cfg CompletenessConfig) http.Handler {
	if cfg.Logger == nil {
		cfg.Logger = slog.New(slog.DiscardHandler)
	}
	d := desk{Config{Tenant: cfg.Tenant, Logger: cfg.Logger}}
	mux := http.NewServeMux()
	if cfg.States != nil {
		mux.HandleFunc("GET /completeness/{study}", func(w http.ResponseWriter, r *http.Request) {
			study := r.PathValue("study")
			s, err := cfg.States.StudyState(r.Context(), cfg.Tenant, study)
			if errors.Is(err, index.ErrNotFound) {
				writeJSON(w, http.StatusNotFound, map[string]string{"error": "no instance of this study is known"})
				return
			}
			d.answer(w, http.StatusOK, stateOf(study, s), err)
		})
	}
	if cfg.Signals != nil {
		mux.HandleFunc("POST /completeness", func(w http.ResponseWriter, r *http.Request) { d.signal(w, r, cfg.Signals) })
	}
	return mux
}

// studyState is a study's state as JSON.
type studyState struct {
	Study        string     `json:"study"`
	Complete     bool       `json:"complete"`
	Revision     int        `json:"revision"`
	CompletedAt  *time.Time `json:"completed_at,omitempty"`
	Reason       string     `json:"reason,omitempty"`
	Series       int64      `json:"series"`
	Instances    int64      `json:"instances"`
	LastReceived *time.Time `json:"last_received,omitempty"`
}

func stateOf(study string, s index.StudyState) studyState {
	out := studyState{
		Study: study, Complete: s.Complete, Revision: s.Revision, Reason: s.Reason, Series: s.Series, Instances: s.Instances,
	}
	if !s.CompletedAt.IsZero() {
		out.CompletedAt = &s.CompletedAt
	}
	if !s.LastReceived.IsZero() {
		out.LastReceived = &s.LastReceived
	}
	return out
}

// signal keeps a sender's word. The media type is asked for, since a page of another site may send any other one.
func (d desk) signal(w http.ResponseWriter, r *http.Request, signals Signals) {
	if m, ok := httpbody.ParseMediaType(r.Header.Get("Content-Type")); !ok || m.Type != "application/json" {
		writeJSON(w, http.StatusUnsupportedMediaType, map[string]string{"error": "the body is application/json"})
		return
	}
	var body struct {
		Studies []string `json:"studies"`
		Signal  string   `json:"signal"`
	}
	err := json.NewDecoder(http.MaxBytesReader(w, r.Body, maxSignalledBody)).Decode(&body)
	if err != nil || len(body.Studies) == 0 || len(body.Studies) > maxSignalled {
		writeJSON(w, http.StatusBadRequest, map[string]string{"error": `write {"studies":["UID",…]} with 1 to 1000 of them`})
		return
	}
	if body.Signal == "" {
		body.Signal = event.SignalAPI
	}
	err = signals.Signal(r.Context(), d.cfg.Tenant, body.Signal, body.Studies...)
	if errors.Is(err, ingest.ErrBadSignal) {
		writeJSON(w, http.StatusBadRequest, map[string]string{"error": err.Error()})
		return
	}
	if err != nil {
		d.cfg.Logger.Error("a signal cannot be kept", "error", err.Error())
		w.Header().Set("Retry-After", "10")
		writeJSON(w, http.StatusServiceUnavailable, map[string]string{"error": "the log takes nothing now; try again later"})
		return
	}
	writeJSON(w, http.StatusOK, map[string]any{"signalled": len(body.Studies), "signal": body.Signal})
}
