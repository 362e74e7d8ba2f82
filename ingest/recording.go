package ingest

import (
	"context"
	"errors"
	"fmt"
	"path"
	"strings"
	"time"

	"github.com/tributary-dicom/tributary/parsers/ecg"
	"github.com/tributary-dicom/tributary/parsers/ecg/dicomwave"
	"github.com/tributary-dicom/tributary/parsers/ecg/formats"
	"github.com/tributary-dicom/tributary/parsers/part10"
	"github.com/tributary-dicom/tributary/parsers/reject"
	"github.com/tributary-dicom/tributary/parsers/sniff"
	"github.com/tributary-dicom/tributary/pipeline/event"
	"github.com/tributary-dicom/tributary/storage/blob"
	"github.com/tributary-dicom/tributary/storage/index"
)

// A recording in a format other than DICOM is kept as it came, under a UID made of its hash, and its event
// says what a reader of that format finds in it. The format's decoder needs random access, so it reads the
// blob, once that is durable; the derive stage makes the DICOM object that readers see.

// maxDecoding bounds the decoders that run at once: each may hold some hundred megabytes of a hostile file.
const maxDecoding = 2

// decodable reports whether files of a format are read as recordings, reports about one, or archives of one.
func decodable(f sniff.Format) bool {
	return f != sniff.DICOM && (formats.Decoder(f) != nil || f.Archive())
}

// isWaveform reports whether a SOP class is one of waveforms (PS3.4 §B.5).
func isWaveform(sopClass string) bool {
	return strings.HasPrefix(sopClass, "1.2.840.10008.5.1.4.1.1.9.")
}

// decoder waits for one of the decoders. Whoever got it gives it back.
func (in *Intake) decoder(ctx context.Context) (giveBack func(), err error) {
	select {
	case in.decoding <- struct{}{}:
		return func() { <-in.decoding }, nil
	case <-ctx.Done():
		return nil, ctx.Err()
	}
}

// decode reads a kept recording, by a decoder that the caller has. A *reject.Error is about its bytes; any other
// is not.
func (in *Intake) decode(ctx context.Context, key string, size int64, filename string) (rec *ecg.Recording, err error) {
	at, err := blob.At(ctx, in.blobs, key, size)
	if err != nil {
		return nil, err
	}
	defer func() {
		if p := recover(); p != nil { // a bug, and no reason to lose the others' objects
			in.cfg.Logger.Error("a decoder panicked", "blob", key, "panic", fmt.Sprint(p))
			rec, err = nil, reject.New(reject.Malformed, "ingest.decode", "the decoder failed on this file")
		}
	}()
	name := path.Base(strings.ReplaceAll(filename, `\`, "/"))
	return formats.Decode(ecg.Source{File: ecg.File{Name: name, At: at, Size: size}}, ecg.Limits{})
}

// recording keeps a recording that is not DICOM.
func (in *Intake) recording(ctx context.Context, a Arrival, ad admission, rd reading, w blob.Writer) (Receipt, error) {
	ids := ecg.Identity(a.Tenant, rd.file, nil)
	id := identity{a.Tenant, ids.Source}
	unlock, err := in.busy.lock(ctx, id)
	if err != nil {
		return Receipt{}, aborted(err)
	}
	defer unlock()
	ev := in.instance(a, ad, rd)
	rec := receipt(ad.objectID, rd)
	rec.Study, rec.Series, rec.Instance = ids.Study, ids.Series, ids.Derived
	switch v, whole, found := in.known(ctx, id, rd); {
	case whole:
		rec.ID, rec.Status = v.ObjectID, Duplicate
		if giveBack, err := in.decoder(ctx); err == nil {
			if same, err := in.decode(ctx, v.BlobKey, rd.bytes, a.Origin.Filename); err == nil {
				rec.Study = ecg.Identity(a.Tenant, rd.file, same).Study
			}
			giveBack()
		}
		return rec, nil
	case found:
		// The sender may be the only one that still has these bytes: they take the place of those lost.
		rec.ID, ev.ObjectID = v.ObjectID, v.ObjectID
		if at, err := time.Parse(time.RFC3339Nano, v.ReceivedAt); err == nil {
			ev.Origin.ReceivedAt = at
		}
	}
	if !ad.retry {
		if kept, err := in.view.QuarantinedBytes(ctx, a.Tenant, rd.file); err == nil && in.intact(ctx, kept.BlobKey) {
			rec.ID, rec.Status, rec.Reason, rec.Detail = kept.ObjectID, Quarantined, kept.Reason, kept.Detail
			rec.Study, rec.Series, rec.Instance = "", "", ""
			return rec, nil
		}
	}

	// First the decoder, then the blob: in a queue, one without its event would grow old enough to be adopted.
	giveBack, err := in.decoder(ctx)
	if err != nil {
		return Receipt{}, aborted(err)
	}
	defer giveBack()
	eventID := event.NewID()
	info, err := w.Commit(ctx, metaOf(&ev, eventID))
	if err != nil {
		return Receipt{}, storeError("ingest.Admit", err)
	}
	ev.Blob.Key = info.Key
	kind, err := in.describeDecoded(ctx, &ev)
	if err != nil {
		// Nothing is known against the bytes. The janitor gives them their event; a device that sends again
		// finds them there.
		return Receipt{}, storeError("ingest.Admit", err)
	}
	if code := reject.Code(ev.Reason); code != "" && (!code.Keeps() || ad.retry) {
		if err := in.blobs.Delete(context.WithoutCancel(ctx), info.Key); err != nil {
			in.cfg.Logger.Error("a refused object stays until it is found without an event", "blob", info.Key, "error", err.Error())
		}
		return Receipt{}, reject.New(code, "ingest.Admit", "%s", ev.ReasonDetail)
	}
	at, err := in.announce(ctx, &ev, kind, eventID)
	if err != nil {
		return Receipt{}, err
	}
	if ev.Reason != "" {
		rec.Status, rec.Reason, rec.Detail = Quarantined, ev.Reason, ev.ReasonDetail
		rec.Study, rec.Series, rec.Instance = "", "", ""
	} else {
		rec.Study = ev.IDs.StudyInstanceUID
		rec.Warnings = codesOf(ev.ECG)
	}
	if ev.Reason == "" {
		in.busy.remember(id, index.Version{
			ObjectID: ev.ObjectID, DatasetSHA256: rd.dataset, BlobKey: ev.Blob.Key,
			ReceivedAt: ev.Origin.ReceivedAt.UTC().Format(time.RFC3339Nano),
		}, at, in.view.Seen)
	}
	return rec, nil
}

// known looks for a copy of the same file, and whether it can be read.
func (in *Intake) known(ctx context.Context, id identity, rd reading) (v index.Version, whole, found bool) {
	late := in.busy.recall(id, in.view.Seen)
	versions, _, err := in.view.Lookup(ctx, id.tenant, id.sopInstanceUID)
	if err != nil {
		in.cfg.Logger.Warn("index cannot tell duplicates now", "error", err.Error())
	}
	for _, v := range append(versions, late...) {
		if v.DatasetSHA256 == rd.dataset {
			return v, in.intact(ctx, v.BlobKey), true
		}
	}
	return index.Version{}, false, false
}

// describeRecording decodes the blob of an event and completes the event: as stored, or as quarantined with
// the reason. An error is not about the bytes.
func (in *Intake) describeRecording(ctx context.Context, ev *event.Instance) (kind string, err error) {
	giveBack, err := in.decoder(ctx)
	if err != nil {
		return "", err
	}
	defer giveBack()
	return in.describeDecoded(ctx, ev)
}

// describeDecoded is describeRecording by a decoder that the caller has.
func (in *Intake) describeDecoded(ctx context.Context, ev *event.Instance) (kind string, err error) {
	rec, err := in.decode(ctx, ev.Blob.Key, ev.Blob.Bytes, ev.Origin.Filename)
	var why *reject.Error
	switch {
	case errors.As(err, &why):
		ev.Reason, ev.ReasonOffset = string(why.Code), max(why.Offset, 0)
		if why.Err != nil {
			ev.ReasonDetail = bounded(why.Err.Error())
		}
		return event.TypeInstanceQuarantined, nil
	case err != nil:
		return "", err
	}
	if rec.Format == sniff.DICOM { // its UIDs are its own, and an archive's are made of its hash
		ev.Reason, ev.ReasonDetail = string(reject.UnsupportedFormat), "an archive of DICOM: send the files in it, as tributary import does"
		return event.TypeInstanceQuarantined, nil
	}
	if rec.Format != sniff.PDF && !sampled(rec) {
		ev.Reason, ev.ReasonDetail = string(reject.NotParsed), "a description of a recording, without its samples"
		return event.TypeInstanceQuarantined, nil
	}
	ids := ecg.Identity(ev.Tenant, ev.Blob.SHA256, rec)
	ev.Attributes = attributesOf(rec)
	ev.IDs = event.IDs{
		PatientID: ev.Attributes["PatientID"], AccessionNumber: ev.Attributes["AccessionNumber"],
		StudyInstanceUID: ids.Study, SeriesInstanceUID: ids.Series, SOPInstanceUID: ids.Source,
	}
	if f := string(rec.Format); f != "" {
		ev.Blob.Format = f // of the recording inside an archive
	}
	ev.ECG = factsOf(rec)
	urgent(ev, rec)
	return event.TypeInstanceStored, nil
}

// sampled reports whether a recording has anything to show.
func sampled(rec *ecg.Recording) bool {
	for _, g := range rec.Groups {
		if g.Length > 0 && len(g.Leads) > 0 {
			return true
		}
	}
	return false
}

// describeWaveform adds what a DICOM waveform says to its event, from the header that was just scanned. What
// cannot be read is not told: the object is stored all the same.
func (in *Intake) describeWaveform(ev *event.Instance, object *part10.Object) {
	if !isWaveform(ev.IDs.SOPClassUID) {
		return
	}
	defer func() {
		if p := recover(); p != nil { // a bug, and no reason to lose the object
			in.cfg.Logger.Error("a decoder panicked", "object", ev.ObjectID, "panic", fmt.Sprint(p))
			ev.ECG, ev.Priority, ev.Findings = nil, "", nil
		}
	}()
	rec, err := dicomwave.Describe(object, ev.Blob.Bytes, ecg.Limits{})
	if err != nil {
		in.cfg.Logger.Info("a waveform object is kept without a description", "object", ev.ObjectID, "code", string(reject.CodeOf(err)))
		return
	}
	ev.ECG = factsOf(rec)
	if ev.DerivedFrom != "" && ev.Attributes["StudyDate"] == "" {
		// The original has no date. Acquisition DateTime may not be empty (PS3.3 §C.10.8), so one stands there.
		ev.ECG.AcquiredAt, ev.ECG.AcquiredRaw, ev.ECG.ZoneKnown = "", "", false
	}
	urgent(ev, rec)
}

// codesOf are the codes of warnings, each once.
func codesOf(f *event.ECG) (codes []string) {
	seen := map[string]bool{}
	for _, w := range f.Warnings {
		code, _, _ := strings.Cut(w, ":")
		if !seen[code] {
			seen[code] = true
			codes = append(codes, code)
		}
	}
	return codes
}
