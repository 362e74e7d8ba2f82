package storescp

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"

	"github.com/tributary-dicom/tributary/dimse"
	"github.com/tributary-dicom/tributary/ingest"
	"github.com/tributary-dicom/tributary/parsers/part10"
	"github.com/tributary-dicom/tributary/parsers/reject"
	"github.com/tributary-dicom/tributary/parsers/uid"
	"github.com/tributary-dicom/tributary/pipeline/event"
)

// Door is the name of this door in events, logs and metrics.
const Door = "dimse"

// Admitter takes objects in; *ingest.Intake has it.
type Admitter interface {
	Admit(ctx context.Context, a ingest.Arrival) (ingest.Receipt, error)
}

// Config of the door.
type Config struct {
	Intake   Admitter
	Tenant   string
	AETitle  string            // ours; Associations that call another are rejected when CheckAETitle is set
	Peers    []Peer            // who may associate; empty: everyone
	SOPClass func(string) bool // storage classes taken; nil: all

	// CheckAETitle rejects Associations that call another AE title than ours. Off by default: a village
	// cannot read a reject code, and the object tells where it belongs.
	CheckAETitle bool
}

// Policy decides about Associations: known callers only when Peers says so, and every storage SOP Class
// in the transfer syntax that the caller proposed first.
func Policy(cfg Config) dimse.Policy {
	storage := cfg.SOPClass
	if storage == nil {
		storage = uid.IsStorage
	}
	contexts := dimse.AcceptStorage(storage, nil)
	known := func(_ context.Context, rq *dimse.AssociateRQ, peer dimse.Peer) dimse.Decision {
		if !allowed(cfg.Peers, rq.CallingAETitle, peer.IP()) {
			return dimse.Decision{Reject: &dimse.RejectCallingAE}
		}
		return dimse.Decision{Contexts: contexts}
	}
	if cfg.CheckAETitle {
		return dimse.ForCalledAE(known, cfg.AETitle)
	}
	return known
}

// Handler answers C-ECHO and C-STORE.
func Handler(cfg Config) dimse.Handler { return door{cfg} }

type door struct{ cfg Config }

func (d door) ServeDIMSE(ctx context.Context, w dimse.ResponseWriter, m *dimse.Message) error {
	switch m.Cmd.Field {
	case dimse.CEchoRQ:
		return w.Status(dimse.StatusSuccess, "")
	case dimse.CStoreRQ:
		return d.store(ctx, w, m)
	default:
		return w.Status(dimse.StatusUnrecognizedOperation, "C-ECHO and C-STORE are served here")
	}
}

func (d door) store(ctx context.Context, w dimse.ResponseWriter, m *dimse.Message) error {
	cmd := &m.Cmd
	if err := d.precheck(m); err != nil {
		return refuse(w, err)
	}
	meta := part10.AppendFileMeta(nil, part10.FileMeta{
		MediaStorageSOPClassUID:    cmd.AffectedSOPClassUID,
		MediaStorageSOPInstanceUID: cmd.AffectedSOPInstanceUID,
		TransferSyntaxUID:          m.Context.TransferSyntax,
		SourceAETitle:              m.Assoc.CallingAETitle,
	})
	rec, err := d.cfg.Intake.Admit(ctx, ingest.Arrival{
		Body:   &file{meta: meta, data: m.Data},
		Tenant: d.cfg.Tenant,
		Origin: event.Origin{
			Door: Door, Device: m.Assoc.Device, Remote: m.Assoc.Peer.Addr.String(),
			CallingAE: m.Assoc.CallingAETitle, CalledAE: m.Assoc.CalledAETitle,
		},
		SOPClassUID:    cmd.AffectedSOPClassUID,
		SOPInstanceUID: cmd.AffectedSOPInstanceUID,
		MaxBytes:       m.Assoc.MaxObject + int64(len(meta)),
	})
	if err != nil {
		return refuse(w, err)
	}
	if rec.Status == ingest.Quarantined {
		code := reject.Code(rec.Reason)
		return w.Status(ingest.AnswerFor(code).DIMSE, "kept in quarantine: "+rec.Reason)
	}
	return w.Status(dimse.StatusSuccess, "")
}

// precheck refuses what the command alone shows to be wrong.
func (d door) precheck(m *dimse.Message) error {
	const op = "storescp.store"
	switch cmd := &m.Cmd; {
	case cmd.AffectedSOPClassUID != m.Context.AbstractSyntax:
		return reject.New(reject.ContextMismatch, op, "SOP Class is not the Presentation Context's")
	case uid.ValidLenient(cmd.AffectedSOPInstanceUID) != nil:
		return reject.New(reject.BadUID, op, "Affected SOP Instance UID is malformed")
	case m.Data == nil:
		return reject.New(reject.Empty, op, "the C-STORE has no data set")
	}
	return nil
}

// refuse answers a refusal. When the peer is gone the status goes nowhere, which is fine: nothing is kept.
func refuse(w dimse.ResponseWriter, err error) error {
	code := reject.CodeOf(err)
	if serr := w.Status(ingest.AnswerFor(code).DIMSE, string(code)); serr != nil {
		return errors.Join(err, serr)
	}
	if code == reject.Internal {
		return err
	}
	return nil
}

// file yields File Meta and data set as one DICOM file, and calls the data set's errors by their codes.
type file struct {
	meta []byte
	data io.Reader
}

func (f *file) Read(p []byte) (int, error) {
	if len(f.meta) > 0 {
		n := copy(p, f.meta)
		f.meta = f.meta[n:]
		return n, nil
	}
	n, err := f.data.Read(p)
	if err == nil || err == io.EOF {
		return n, err
	}
	code := reject.Aborted
	if errors.Is(err, dimse.ErrTooLarge) {
		code = reject.TooLarge
	}
	if errors.Is(err, os.ErrDeadlineExceeded) {
		err = fmt.Errorf("the sender is too slow: %w", err)
	}
	return n, &reject.Error{Code: code, Op: "storescp.store", Offset: -1, Err: err}
}
