package ingest

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"net/http"
	"slices"
	"strconv"

	"github.com/tributary-dicom/tributary/parsers/uid"
	"github.com/tributary-dicom/tributary/pipeline/event"
)

// CompleteHeader is what a sender gives an HTTP request ("true") to say that with it each study of its objects has been
// sent whole. Nothing else says so: a request with all of a study and one with the first part of it look the
// same. It is in the answer when the word was kept.
const CompleteHeader = "Tributary-Study-Complete"

// SaysComplete reports whether a request's header has the sender's word.
func SaysComplete(h http.Header) bool {
	said, err := strconv.ParseBool(h.Get(CompleteHeader))
	return err == nil && said
}

// ErrBadSignal is returned by Signal for what is no study or no signal.
var ErrBadSignal = errors.New("a signal names one of stow, upload, import and api, and studies by their UIDs")

// signals are those that come from outside of the node.
var signals = []string{event.SignalSTOW, event.SignalUpload, event.SignalImport, event.SignalAPI}

// signalsAtOnce is how many records one append has.
const signalsAtOnce = 256

// Signal keeps the word that studies have been sent whole, and returns once that is durable. It holds for the objects
// that were admitted before. The word is no fact about bytes and no decision: when the log is lost, the studies
// count as complete when they have been quiet.
func (in *Intake) Signal(ctx context.Context, tenant, signal string, studies ...string) error {
	tenant = cmp.Or(tenant, DefaultTenant)
	if !slices.Contains(signals, signal) {
		return ErrBadSignal
	}
	for _, study := range studies {
		if study == "" || uid.ValidLenient(study) != nil {
			return ErrBadSignal
		}
	}
	now := in.cfg.Now()
	for some := range slices.Chunk(studies, signalsAtOnce) {
		records := make([]event.Envelope, 0, len(some))
		for _, study := range some {
			e, err := event.NewStudySent(in.cfg.Node, &event.StudySent{Tenant: tenant, StudyInstanceUID: study, Signal: signal, At: now})
			if err != nil {
				return fmt.Errorf("encode signal: %w", err)
			}
			records = append(records, e)
		}
		if _, err := in.log.Append(context.WithoutCancel(ctx), records...); err != nil {
			return fmt.Errorf("append signal: %w", err)
		}
	}
	return nil
}
