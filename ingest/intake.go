package ingest

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"slices"
	"time"

	"github.com/tributary-dicom/tributary/parsers/part10"
	"github.com/tributary-dicom/tributary/parsers/reject"
	"github.com/tributary-dicom/tributary/parsers/sniff"
	"github.com/tributary-dicom/tributary/pipeline/event"
	"github.com/tributary-dicom/tributary/pipeline/eventlog"
	"github.com/tributary-dicom/tributary/storage/blob"
	"github.com/tributary-dicom/tributary/storage/index"
)

// DefaultTenant owns what arrives where nobody named a tenant.
const DefaultTenant = "default"

// ScannerVersion is written into each event: that of the scanner alone. ParserVersion is what counts.
const ScannerVersion = 1

// Blobs is what admission needs from a blob store; blob.Store has it.
type Blobs interface {
	Create(ctx context.Context) (blob.Writer, error)
	Open(ctx context.Context, key string, off, n int64) (io.ReadCloser, error)
	Stat(ctx context.Context, key string) (blob.Info, error)
	Delete(ctx context.Context, key string) error
}

// Log makes events durable; eventlog.Log has it.
type Log interface {
	Append(ctx context.Context, events ...event.Envelope) ([]eventlog.Position, error)
	// AppendBacked may return a moment before the events are durable: AdoptOrphans makes them again from
	// their blobs (docs/decisions/0006).
	AppendBacked(ctx context.Context, events ...event.Envelope) ([]eventlog.Position, error)
}

// View is what admission asks of the index. The index may lag or be away: then a second copy of an
// object may be kept, and the index tells the versions apart later.
type View interface {
	// Lookup returns the known data sets of a SOP Instance UID and the current one's object id.
	Lookup(ctx context.Context, tenant, sopInstanceUID string) ([]index.Version, string, error)
	// QuarantinedBytes returns the entry of the quarantine with these bytes (hex SHA-256 of the file), or
	// index.ErrNotFound.
	QuarantinedBytes(ctx context.Context, tenant, sha256 string) (index.Quarantined, error)
	// WaitApplied returns once readers can see the event at pos, or ctx ends.
	WaitApplied(ctx context.Context, pos eventlog.Position) error
	// Seen reports at no cost whether readers see the event at pos.
	Seen(pos eventlog.Position) bool
}

// Config of an Intake. Zero fields take the defaults.
type Config struct {
	Node     string        // ce_source of events; default "/tributary"
	MaxBytes int64         // largest object, bytes; default 8 GiB
	Visible  time.Duration // how long an operator's decision waits for the index; default 1 s
	Limits   part10.Limits // of the scanner; default part10.DefaultLimits

	// SOPClass restricts what is stored; nil takes every storage class.
	SOPClass func(uid string) bool

	// ParserVersion of events; default ParserVersion, less than 0 means none. Tests of two releases set it.
	ParserVersion int

	Logger  *slog.Logger
	Metrics *Metrics
	Now     func() time.Time
}

// Intake admits objects: the one path behind every door. Safe for concurrent use.
type Intake struct {
	cfg   Config
	blobs Blobs
	log   Log
	view  View
	busy  inFlight
	large largeBudget

	decoding chan struct{} // a place for each decoder of recordings that runs
}

// New returns an Intake over its engines.
func New(cfg Config, blobs Blobs, log Log, view View) *Intake {
	if cfg.Node == "" {
		cfg.Node = "/tributary"
	}
	if cfg.MaxBytes == 0 {
		cfg.MaxBytes = 8 << 30
	}
	if cfg.ParserVersion == 0 {
		cfg.ParserVersion = ParserVersion
	}
	cfg.ParserVersion = max(cfg.ParserVersion, 0)
	if cfg.Visible == 0 {
		cfg.Visible = time.Second
	}
	if cfg.Logger == nil {
		cfg.Logger = slog.New(slog.DiscardHandler)
	}
	if cfg.Now == nil {
		cfg.Now = time.Now
	}
	return &Intake{cfg: cfg, blobs: blobs, log: log, view: view, large: newLargeBudget(), busy: inFlight{waiting: map[identity]chan struct{}{}, unseen: map[identity][]lateVersion{}}, decoding: make(chan struct{}, maxDecoding)}
}

// Admit reads one object to its end, keeps it, and returns its receipt once the bytes are durable and its event is
// in the log, durable too or made again from the blob after a power cut (docs/decisions/0006).
// An error is a *reject.Error: nothing of the object is kept; the receipt then has the UIDs, as far as they
// were read, and no status. The caller may send the same object again after any outcome.
func (in *Intake) Admit(ctx context.Context, a Arrival) (Receipt, error) {
	begin := in.cfg.Now()
	rec, err := in.admit(ctx, a, admission{objectID: event.NewID(), received: begin})
	in.cfg.Metrics.admitted(a.Origin.Door, rec, err, time.Since(begin))
	if err != nil {
		in.cfg.Logger.Info("object refused", "door", a.Origin.Door, "code", string(reject.CodeOf(err)))
		if reject.CodeOf(err) == reject.Internal || reject.CodeOf(err) == reject.OutOfResources {
			in.cfg.Logger.Error("admission failed", "door", a.Origin.Door, "error", err.Error())
		}
	}
	return rec, err
}

// admission is what tells a retry and an adoption from a fresh arrival.
type admission struct {
	objectID string
	received time.Time
	retry    bool // a quarantine verdict is an error: the bytes are kept already
}

// reading is what one pass over the bytes told.
type reading struct {
	format  sniff.Format
	object  *part10.Object // nil for formats other than DICOM
	verdict error          // *reject.Error, nil for an object that can be indexed
	file    string         // hex SHA-256 of all bytes
	dataset string         // hex SHA-256 of the data set
	bytes   int64
	dsOff   int64
}

func (in *Intake) admit(ctx context.Context, a Arrival, ad admission) (Receipt, error) {
	if a.Tenant == "" {
		a.Tenant = DefaultTenant
	}
	if a.Origin.ReceivedAt.IsZero() {
		a.Origin.ReceivedAt = ad.received
	}
	if a.MaxBytes == 0 || a.MaxBytes > in.cfg.MaxBytes {
		a.MaxBytes = in.cfg.MaxBytes
	}
	w, err := in.blobs.Create(ctx)
	if err != nil {
		return Receipt{}, storeError("ingest.Admit", err)
	}
	defer w.Abort()

	share := largeShare{from: &in.large, ctx: ctx}
	defer share.giveBack()
	rd, err := in.read(a, w, &share)
	if err != nil {
		return Receipt{}, err
	}
	if a.SHA256 != "" && a.SHA256 != rd.file {
		return Receipt{}, reject.New(reject.ChecksumMismatch, "ingest.Admit", "the bytes received are not those announced; send again")
	}
	rd.verdict = in.judge(a, rd)
	if code := reject.CodeOf(rd.verdict); rd.verdict != nil && (!code.Keeps() || ad.retry) {
		refused := receipt("", rd) // the UIDs, so that a door can say which instance it refuses
		refused.Status = ""
		return refused, rd.verdict
	}
	if rd.verdict != nil {
		return in.quarantine(ctx, a, ad, rd, w)
	}
	if rd.object == nil {
		return in.recording(ctx, a, ad, rd, w)
	}
	return in.store(ctx, a, ad, rd, w)
}

// read makes the one pass over at most a.MaxBytes: sniff, scan, hash, write.
func (in *Intake) read(a Arrival, w io.Writer, share *largeShare) (reading, error) {
	t := newTee(a.Body, w, a.MaxBytes)
	defer t.release()
	head, err := t.head()
	if err != nil {
		return reading{}, err
	}
	if len(head) == 0 {
		return reading{}, reject.New(reject.Empty, "ingest.Admit", "no bytes")
	}
	rd := reading{format: sniff.Detect(head)}
	switch {
	case rd.format == sniff.DICOM:
		rd.object, rd.verdict = part10.Scan(t.replay(), part10.Options{Limits: in.cfg.Limits, OnDataset: t.datasetAt, Grow: share.take})
		if t.err != nil {
			return reading{}, t.err
		}
		var known *reject.Error
		if rd.verdict != nil && !errors.As(rd.verdict, &known) {
			return reading{}, &reject.Error{Code: reject.Internal, Op: "part10.Scan", Offset: -1, Err: rd.verdict}
		}
	case decodable(rd.format): // its decoder gives the verdict, when the bytes are kept
	case rd.format.Kept():
		rd.verdict = reject.New(reject.NotParsed, "ingest.Admit", "%s is kept until this node reads it", rd.format)
	default:
		rd.verdict = reject.New(reject.UnsupportedFormat, "ingest.Admit", "the content (%s) is of no format that is taken here", rd.format)
	}
	if _, err := io.Copy(io.Discard, t); err != nil {
		return reading{}, t.err
	}
	rd.bytes, rd.dsOff = t.n, t.dsOff
	rd.file, rd.dataset = t.sums()
	return rd, nil
}

// judge adds to the scanner's verdict what the protocol and the configuration said.
func (in *Intake) judge(a Arrival, rd reading) error {
	if rd.verdict != nil {
		if reject.CodeOf(rd.verdict) == reject.UIDContradiction && a.SOPInstanceUID != "" {
			// The File Meta group was made from the C-STORE command: this is the command's fault (PS3.4 §B.2.3).
			return reject.New(reject.ClassMismatch, "ingest.Admit", "UIDs of the data set are not the command's")
		}
		return rd.verdict
	}
	o := rd.object
	switch {
	case o == nil && (a.SOPInstanceUID != "" || a.StudyInstanceUID != ""):
		return reject.New(reject.StudyMismatch, "ingest.Admit", "%s has none of the UIDs that the request names", rd.format)
	case o == nil:
		return nil
	case a.SOPInstanceUID != "" && a.SOPInstanceUID != o.SOPInstanceUID:
		return reject.New(reject.ClassMismatch, "ingest.Admit", "SOP Instance UID of the data set is not the command's")
	case a.SOPClassUID != "" && a.SOPClassUID != o.SOPClassUID:
		return reject.New(reject.ClassMismatch, "ingest.Admit", "SOP Class UID of the data set is not the command's")
	case a.StudyInstanceUID != "" && a.StudyInstanceUID != o.StudyInstanceUID:
		return reject.New(reject.StudyMismatch, "ingest.Admit", "Study Instance UID of the data set is not the request's")
	case in.cfg.SOPClass != nil && !in.cfg.SOPClass(o.SOPClassUID):
		return reject.New(reject.UnsupportedClass, "ingest.Admit", "SOP Class %s is not taken here", o.SOPClassUID)
	}
	return nil
}

// store keeps an object that can be indexed.
func (in *Intake) store(ctx context.Context, a Arrival, ad admission, rd reading, w blob.Writer) (Receipt, error) {
	id := identity{a.Tenant, rd.object.SOPInstanceUID}
	unlock, err := in.busy.lock(ctx, id)
	if err != nil {
		return Receipt{}, aborted(err)
	}
	defer unlock()

	rec := receipt(ad.objectID, rd)
	ev := in.instance(a, ad, rd)
	kind := event.TypeInstanceStored
	late := in.busy.recall(id, in.view.Seen)
	versions, current, err := in.view.Lookup(ctx, a.Tenant, id.sopInstanceUID)
	if err != nil {
		// Without the index a second copy may be kept; refusing the device would be worse.
		in.cfg.Logger.Warn("index cannot tell duplicates now", "error", err.Error())
	}
	if len(late) > 0 {
		versions, current = append(versions, late...), cmp.Or(current, late[0].ObjectID)
	}
	same := slices.IndexFunc(versions, func(v index.Version) bool {
		return v.DatasetSHA256 == rd.dataset && v.TransferSyntaxUID == rd.object.TransferSyntaxUID
	})
	switch {
	case same >= 0 && in.intact(ctx, versions[same].BlobKey):
		rec.ID, rec.Status = versions[same].ObjectID, Duplicate
		return rec, in.prefer(ctx, a, versions, same)
	case same >= 0:
		// The sender may be the only one that still has these bytes: they take the place of those lost.
		rec.ID, ev.ObjectID = versions[same].ObjectID, versions[same].ObjectID
		if at, err := time.Parse(time.RFC3339Nano, versions[same].ReceivedAt); err == nil {
			ev.Origin.ReceivedAt = at
		}
	case len(versions) > 0 && !madeAgain(a, versions):
		rec.Status, ev.ConflictOf, kind = Conflict, current, event.TypeInstanceConflict
	}
	if err := in.describe(ctx, &ev, rd, nil); err != nil {
		return Receipt{}, err
	}
	if err := in.putBeside(ctx, &ev); err != nil {
		return Receipt{}, err
	}
	at, err := in.seal(ctx, w, &ev, kind)
	if err != nil {
		return Receipt{}, err
	}
	in.busy.remember(id, index.Version{
		ObjectID: ev.ObjectID, DatasetSHA256: rd.dataset, BlobKey: ev.Blob.Key,
		TransferSyntaxUID: ev.Blob.TransferSyntaxUID, ReceivedAt: ev.Origin.ReceivedAt.UTC().Format(time.RFC3339Nano),
		DerivedFrom: ev.DerivedFrom, DerivedVersion: ev.DerivedVersion,
	}, at, in.view.Seen)
	return rec, nil
}

// intact reads a kept blob to its end, where the store compares checksums. Before a sender hears that its
// object is here already, it is: disks rot, and folders lose files.
func (in *Intake) intact(ctx context.Context, key string) bool {
	body, err := in.blobs.Open(ctx, key, 0, -1)
	if err == nil {
		_, err = io.Copy(io.Discard, body)
		err = errors.Join(err, body.Close())
	}
	if err != nil {
		in.cfg.Logger.Error("a kept object cannot be read; the copy that came replaces it", "blob", key, "error", err.Error())
	}
	return err == nil
}

// describe adds to an event what the scanner read: header, layout, and what a waveform says of itself. kept is the
// meta of a blob that had an event before, and may name attachments that are there already. Others are inline,
// whatever their size, until putBeside.
func (in *Intake) describe(ctx context.Context, ev *event.Instance, rd reading, kept blob.Meta) (err error) {
	ev.Header = in.attachment(ctx, rd.object.Header, kept[metaHeaderBlob])
	layout, err := event.EncodeLayout(event.Layout{Frames: rd.object.Frames, Bulk: rd.object.Bulk})
	if err != nil {
		return fmt.Errorf("encode layout: %w", err)
	}
	ev.Frames = in.attachment(ctx, layout, kept[metaLayoutBlob])
	in.describeWaveform(ev, rd.object)
	return nil
}

// quarantine keeps the bytes of an object that cannot be indexed, with the reason, once: a device that
// repeats itself all night must not fill the disk.
func (in *Intake) quarantine(ctx context.Context, a Arrival, ad admission, rd reading, w blob.Writer) (Receipt, error) {
	rec := receipt(ad.objectID, rd)
	var why *reject.Error
	errors.As(rd.verdict, &why)
	rec.Status, rec.Reason = Quarantined, string(why.Code)
	if why.Err != nil {
		rec.Detail = why.Err.Error()
	}
	id := quarantined(a.Tenant, rd.file)
	unlock, err := in.busy.lock(ctx, id)
	if err != nil {
		return Receipt{}, aborted(err)
	}
	defer unlock()
	if late := in.busy.recall(id, in.view.Seen); len(late) > 0 {
		rec.ID = late[0].ObjectID
		return rec, nil
	}
	switch kept, err := in.view.QuarantinedBytes(ctx, a.Tenant, rd.file); {
	case err == nil && !in.intact(ctx, kept.BlobKey): // another entry, with bytes that can be retried
	case err == nil:
		rec.ID = kept.ObjectID
		return rec, nil
	case !errors.Is(err, index.ErrNotFound):
		in.cfg.Logger.Warn("index cannot tell duplicates now", "error", err.Error())
	}
	ev := in.instance(a, ad, rd)
	ev.Reason, ev.ReasonDetail, ev.ReasonOffset = rec.Reason, bounded(rec.Detail), max(why.Offset, 0)
	at, err := in.seal(ctx, w, &ev, event.TypeInstanceQuarantined)
	if err != nil {
		return Receipt{}, err
	}
	in.busy.remember(id, index.Version{ObjectID: ev.ObjectID}, at, in.view.Seen)
	return rec, nil
}

// seal makes the blob durable, then appends the event, and returns its place.
func (in *Intake) seal(ctx context.Context, w blob.Writer, ev *event.Instance, kind string) (eventlog.Position, error) {
	id := event.NewID() // before the blob, which keeps it: an event that is made again is the same one
	info, err := w.Commit(ctx, metaOf(ev, id))
	if err != nil {
		return eventlog.Position{}, storeError("ingest.Admit", err)
	}
	ev.Blob.Key = info.Key
	return in.announce(ctx, ev, kind, id)
}

// announce appends the event of a durable blob, under its id. The sender may go away meanwhile: the blob is kept, so
// the event must come, and ctx's end no longer counts.
func (in *Intake) announce(ctx context.Context, ev *event.Instance, kind, id string) (at eventlog.Position, err error) {
	env, err := event.NewInstance(kind, in.cfg.Node, in.cfg.Now(), ev)
	if err != nil {
		return at, fmt.Errorf("encode event: %w", err)
	}
	env.ID = id
	pos, err := in.log.AppendBacked(context.WithoutCancel(ctx), env)
	if err != nil {
		return at, &reject.Error{Code: reject.OutOfResources, Op: "ingest.Admit", Offset: -1, Err: fmt.Errorf("append event: %w", err)}
	}
	return pos[0], nil
}

// waitVisible waits until readers see the last of pos, within bounds: an operator looks at the list that
// the decision changes. Admission does not wait; readers do (docs/decisions/0005).
func (in *Intake) waitVisible(ctx context.Context, pos []eventlog.Position) {
	ctx, cancel := context.WithTimeout(ctx, in.cfg.Visible)
	defer cancel()
	if err := in.view.WaitApplied(ctx, pos[len(pos)-1]); err != nil {
		in.cfg.Logger.Warn("the index is late", "error", err.Error())
	}
}

// instance fills an event with all that is known before the blob has its key.
func (in *Intake) instance(a Arrival, ad admission, rd reading) event.Instance {
	ev := event.Instance{
		ObjectID: ad.objectID, Tenant: a.Tenant, Origin: a.Origin, ScannerVersion: ScannerVersion, DerivedFrom: a.DerivedFrom,
		ParserVersion: in.cfg.ParserVersion,
		Blob: event.Blob{
			Bytes: rd.bytes, SHA256: rd.file, DatasetSHA256: rd.dataset, DatasetOffset: rd.dsOff,
			MediaType: rd.format.MediaType(), Format: rd.format.String(),
		},
	}
	if a.DerivedFrom != "" {
		ev.DerivedVersion = in.cfg.ParserVersion
	}
	if o := rd.object; o != nil {
		ev.Blob.TransferSyntaxUID = o.TransferSyntaxUID
		ev.Attributes, ev.Warnings = o.Attributes, o.Warnings
		ev.IDs = event.IDs{
			PatientID: o.Attributes["PatientID"], IssuerOfPatientID: o.Attributes["IssuerOfPatientID"],
			AccessionNumber:  o.Attributes["AccessionNumber"],
			StudyInstanceUID: o.StudyInstanceUID, SeriesInstanceUID: o.SeriesInstanceUID,
			SOPInstanceUID: o.SOPInstanceUID, SOPClassUID: o.SOPClassUID,
		}
	}
	return ev
}

func receipt(objectID string, rd reading) Receipt {
	rec := Receipt{ID: objectID, Format: rd.format.String(), SHA256: rd.file, Bytes: rd.bytes, Status: Stored}
	if o := rd.object; o != nil {
		rec.Study, rec.Series, rec.Instance, rec.SOPClass = o.StudyInstanceUID, o.SeriesInstanceUID, o.SOPInstanceUID, o.SOPClassUID
		seen := map[string]bool{}
		for _, w := range o.Warnings {
			if !seen[w.Code] {
				seen[w.Code] = true
				rec.Warnings = append(rec.Warnings, w.Code)
			}
		}
	}
	return rec
}

// storeError classifies what a blob store failed with.
func storeError(op string, err error) error {
	code := reject.Internal
	switch {
	case errors.Is(err, blob.ErrNoSpace), errors.Is(err, blob.ErrReadOnly), errors.Is(err, blob.ErrUnavailable):
		code = reject.OutOfResources
	case errors.Is(err, context.Canceled), errors.Is(err, context.DeadlineExceeded):
		code = reject.Aborted
	}
	return &reject.Error{Code: code, Op: op, Offset: -1, Err: err}
}

func aborted(err error) error {
	return &reject.Error{Code: reject.Aborted, Op: "ingest.Admit", Offset: -1, Err: err}
}
