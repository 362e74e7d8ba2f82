// Package bind lets package reprocess work on a node's index and intake. It is the one place that knows all three.
package bind

import (
	"context"
	"errors"
	"maps"
	"slices"

	"github.com/tributary-dicom/tributary/ingest"
	"github.com/tributary-dicom/tributary/parsers/reject"
	"github.com/tributary-dicom/tributary/pipeline/event"
	"github.com/tributary-dicom/tributary/pipeline/eventlog"
	"github.com/tributary-dicom/tributary/pipeline/reprocess"
	"github.com/tributary-dicom/tributary/storage/blob"
	"github.com/tributary-dicom/tributary/storage/index"
)

// By is who takes entries out of the quarantine, as their decisions tell it.
const By = "reprocess"

// DB is what is read of an index; *index.DB has it.
type DB interface {
	Readings(ctx context.Context, q index.ReadingQuery, after index.ReadingPlace, most int) ([]index.Reading, index.ReadingPlace, bool, error)
	Said(ctx context.Context, r index.Reading) (index.Said, error)
}

// Index reads the objects of a tenant.
func Index(db DB, tenant string) reprocess.Index { return view{db, tenant} }

type view struct {
	db     DB
	tenant string
}

// kinds are those of the index.
var kinds = map[string]string{
	reprocess.KindInstance: index.RowInstance, reprocess.KindOriginal: index.RowOriginal, reprocess.KindQuarantine: index.RowQuarantine,
}

func (v view) Objects(ctx context.Context, s reprocess.Selection, below int, after reprocess.Place, most int) (page []reprocess.Object, next reprocess.Place, last bool, err error) {
	q := index.ReadingQuery{
		Tenant: v.tenant, Below: below, Studies: s.Studies, Modalities: s.Modalities, SOPClasses: s.SOPClasses, Formats: s.Formats,
		Reasons: s.Reasons, From: s.From, To: s.To,
	}
	for _, k := range s.Kinds {
		q.Kinds = append(q.Kinds, kinds[k])
	}
	found, place, last, err := v.db.Readings(ctx, q, index.ReadingPlace(after), most)
	for _, r := range found {
		o := reprocess.Object{
			ID: r.ObjectID, Blob: r.BlobKey, Bytes: r.Bytes, Reason: r.Reason, Tenant: r.Tenant, SOPInstanceUID: r.SOPInstanceUID,
			DatasetSHA256: r.DatasetSHA256, TransferSyntaxUID: r.TransferSyntaxUID, Ref: r,
		}
		for kind, row := range kinds {
			if row == r.Kind {
				o.Kind = kind
			}
		}
		page = append(page, o)
	}
	return page, reprocess.Place(place), last, err
}

func (v view) Said(ctx context.Context, o reprocess.Object) (reprocess.Said, error) {
	r, _ := o.Ref.(index.Reading)
	s, err := v.db.Said(ctx, r)
	if errors.Is(err, index.ErrNotFound) {
		err = reprocess.ErrGone
	}
	return said{s}, err
}

type said struct{ index.Said }

func (s said) Beside() (header, layout string) {
	if s.Header != nil {
		header = s.Header.BlobKey
	}
	if s.Layout != nil {
		layout = s.Layout.BlobKey
	}
	return header, layout
}

func (s said) Differs(ev *event.Instance) (parts, keywords []string, err error) {
	now, err := index.SaidBy(ev)
	if err != nil {
		return nil, nil, err
	}
	parts, keywords = s.Differences(now)
	return parts, keywords, nil
}

// Intake reads with the parsers of in.
func Intake(in *ingest.Intake) reprocess.Intake { return intake{in} }

type intake struct{ *ingest.Intake }

func (i intake) Reread(ctx context.Context, key, header, layout string, accept func(kind string, ev *event.Instance) bool) ([]eventlog.Position, error) {
	return i.Intake.Reread(ctx, key, ingest.Beside{Header: header, Layout: layout}, accept)
}

func (i intake) Retry(ctx context.Context, o reprocess.Object) (newID, status string, err error) {
	r, _ := o.Ref.(index.Reading)
	q := index.Quarantined{ObjectID: o.ID, BlobKey: o.Blob, SHA256: r.SHA256, StudyInstanceUID: r.StudyInstanceUID}
	rec, err := i.Intake.Retry(ctx, o.Tenant, q, By)
	return rec.ID, string(rec.Status), err
}

// OfObject tells whether an error is about one object alone.
func OfObject(err error) bool {
	if errors.Is(err, blob.ErrUnavailable) {
		return false
	}
	return errors.Is(err, blob.ErrCorrupt) || errors.Is(err, blob.ErrNotFound) || errors.Is(err, blob.ErrBadKey) || errors.Is(err, ingest.ErrNoEvent)
}

// Reasons are the codes that entries of the quarantine may have, for people who select by them.
func Reasons() []string {
	all := map[string]bool{}
	for _, c := range reject.All() {
		if c.Keeps() {
			all[string(c)] = true
		}
	}
	return slices.Sorted(maps.Keys(all))
}
