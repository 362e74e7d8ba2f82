package upload

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"io"
	"io/fs"
	"net/http"
	"time"

	tusd "github.com/tus/tusd/v2/pkg/handler"

	"github.com/tributary-dicom/tributary/ingest"
	"github.com/tributary-dicom/tributary/parsers/reject"
)

// Answers that tusd does not have.
var (
	errChecksum = tusd.NewError("ERR_CHECKSUM_MISMATCH", "the bytes received have another checksum", 460) // tus 1.0, Checksum
	errDisk     = tusd.NewError("ERR_SPOOL", "the node failed to keep the bytes", http.StatusInternalServerError)
	errFull     = tusd.NewError("ERR_NO_ROOM", "no upload can be taken now", http.StatusServiceUnavailable)
)

// tusUpload is one upload during one request.
type tusUpload struct {
	t *Tus
	q *tusRequest
	r *record
	v *verdict

	held []byte // the whole file, when it is not in the spool
}

// GetInfo implements tusd.Upload. The last byte counts only once admission has kept the file: clients
// take an offset equal to the length for success, and a client whose final answer was lost, or was 503,
// has a byte left to send, which asks for admission again.
func (u *tusUpload) GetInfo(context.Context) (tusd.FileInfo, error) {
	info := tusd.FileInfo{ID: u.r.ID, Size: u.r.Size, Offset: u.r.Offset, MetaData: u.r.Metadata}
	if u.r.Size < 0 {
		info.Size, info.SizeIsDeferred = 0, true
	}
	if u.r.whole() && u.r.Size > 0 && (u.v == nil || u.v.Receipt == nil) {
		info.Offset = u.r.Size - 1
	}
	return info, nil
}

// WriteChunk implements tusd.Upload. The bytes it counts are on the disk, or they are all of a small upload:
// those are held in memory for FinishUpload, which follows before anything is answered.
func (u *tusUpload) WriteChunk(_ context.Context, offset int64, src io.Reader) (int64, error) {
	if u.v != nil && u.v.Refusal != nil {
		return 0, refused(*u.v.Refusal, u.v.HTTP)
	}
	limit := u.t.cfg.MaxBytes - offset
	if u.r.Size >= 0 {
		limit = u.r.Size - offset
	}
	room := &roomReader{src: io.LimitReader(src, limit), reserve: u.t.cfg.Reserve}
	var n int64
	var err error
	if u.mayHold() {
		n, err = u.hold(room)
	} else {
		n, err = u.t.spool.append(u.r, offset, room, u.q.check)
	}
	switch {
	case room.full: // what came before is kept and counts
		return n, errFull
	case err != nil:
		return n, u.t.diskError(err)
	}
	if n == limit {
		if more, _ := src.Read(make([]byte, 1)); more > 0 {
			return n, tusd.ErrSizeExceeded
		}
	}
	return n, nil
}

// holdMost is how long an upload may be that is held in memory until it is whole, bytes. Longer ones gain
// little, and what came of them before the line broke is dear to their senders.
const holdMost = 1 << 20

// mayHold tells whether an upload of which nothing is here yet is small enough to be held, and there is
// memory for it, which is the request's from now on.
func (u *tusUpload) mayHold() bool {
	if u.r.Offset != 0 || u.r.Size <= 0 || u.r.Size > holdMost {
		return false
	}
	if u.t.held.Add(u.r.Size) > u.t.cfg.HoldBytes {
		u.t.held.Add(-u.r.Size)
		return false
	}
	u.q.holds += u.r.Size
	return true
}

// hold reads a small upload into memory. If it does not come whole, what came goes to the spool. Like
// spool.append it takes src's own end for the sender's affair.
func (u *tusUpload) hold(src io.Reader) (int64, error) {
	b := make([]byte, u.r.Size)
	n, _ := io.ReadFull(src, b)
	if c := u.q.check; c != nil {
		c.hash.Write(b[:n])
		if !c.matches() {
			return 0, errChecksum
		}
	}
	if n < len(b) {
		return u.t.spool.append(u.r, 0, bytes.NewReader(b[:n]), nil)
	}
	u.held = b
	return int64(n), nil
}

// roomEvery is after how many bytes of one PATCH the disk reserve is looked at again. Uploads that were
// begun while there was room may together be larger than it.
const roomEvery = 4 << 20

// roomReader ends when the disk reserve is reached.
type roomReader struct {
	src     io.Reader
	rest    int64                   // bytes that may come
	reserve func(bytes int64) error // nil for none
	left    int64                   // until the next look
	full    bool
}

func (r *roomReader) Read(p []byte) (int, error) {
	if r.reserve == nil {
		return r.src.Read(p)
	}
	if r.left <= 0 {
		if r.full = r.reserve(min(r.rest, roomEvery)) != nil; r.full {
			return 0, io.EOF
		}
		r.left = roomEvery
	}
	n, err := r.src.Read(p[:min(int64(len(p)), r.left)])
	r.left -= int64(n)
	r.rest -= int64(n)
	return n, err
}

// DeclareLength implements tusd.LengthDeclarableUpload.
func (u *tusUpload) DeclareLength(_ context.Context, length int64) error {
	u.r.Size = length
	if err := u.t.spool.save(u.r); err != nil {
		return u.t.diskError(err)
	}
	return nil
}

// GetReader implements tusd.Upload. The handler never asks: downloads are off.
func (u *tusUpload) GetReader(context.Context) (io.ReadCloser, error) {
	return nil, tusd.ErrNotFound
}

// Terminate implements tusd.TerminatableUpload. What was admitted stays admitted.
func (u *tusUpload) Terminate(context.Context) error {
	u.q.id = ""
	if err := u.t.spool.remove(u.r.ID); err != nil {
		return u.t.diskError(err)
	}
	return nil
}

// FinishUpload implements tusd.Upload: the file is whole, in the spool or in memory, so it goes through
// admission before the last PATCH is answered.
func (u *tusUpload) FinishUpload(ctx context.Context) error {
	// The sender has nothing more to say and may wait long: no deadline of the body may end the request.
	_ = u.q.rc.SetReadDeadline(time.Time{})
	_ = u.q.rc.SetWriteDeadline(time.Time{})
	v, err := u.t.admit(ctx, u.r, u.held)
	_ = u.q.rc.SetWriteDeadline(time.Now().Add(answerWithin))
	if err != nil {
		status := http.StatusServiceUnavailable // which clients try again, unlike what answers Aborted elsewhere
		if reject.CodeOf(err) == reject.Internal {
			status = http.StatusInternalServerError
		}
		return refused(refusal(err), status)
	}
	u.v = v
	if v.Refusal != nil {
		return refused(*v.Refusal, v.HTTP)
	}
	return nil
}

// answerWithin is how long a final answer may take to be sent.
const answerWithin = time.Minute

// refused is a refusal as tusd answers it.
func refused(r Refusal, status int) error {
	doc, _ := json.Marshal(r) // strings and a bool cannot fail
	e := tusd.NewError(string(r.Reason), "", status)
	e.HTTPResponse.Body = string(doc) + "\n"
	e.HTTPResponse.Header = tusd.HTTPHeader{"Content-Type": "application/json"}
	return e
}

// admit gives a whole upload to admission and remembers the verdict; there was none. The bytes are held, or
// in the spool when held is nil. An error is one that may pass: the bytes stay in the spool, and Run tries
// again. The caller holds the upload's lock.
func (t *Tus) admit(ctx context.Context, r *record, held []byte) (v *verdict, err error) {
	f := io.NopCloser(bytes.NewReader(held))
	if held == nil {
		if f, err = openData(t.spool.dataPath(r.ID)); err != nil {
			return nil, t.keepWaiting(r, nil, err)
		}
	}
	defer f.Close()
	// All bytes are here: the sender's leaving no longer matters.
	h := &handler{t.cfg.Config}
	rec, err := h.admit(context.WithoutCancel(ctx), ingest.Arrival{
		Body: io.LimitReader(f, r.Size), Tenant: r.Tenant, Origin: r.Origin, MaxBytes: t.cfg.MaxBytes,
	}, digests{sha256Name: r.SHA256})
	switch code := reject.CodeOf(err); {
	case err == nil:
		v = &verdict{Receipt: &rec, HTTP: http.StatusNoContent}
	case code == reject.Internal, code == reject.OutOfResources, code == reject.Aborted:
		return nil, t.keepWaiting(r, held, err)
	default:
		ref := refusal(err)
		ref.Retry = false // this upload is over; other bytes need another upload
		v = &verdict{Refusal: &ref, HTTP: statusOf(err)}
	}
	v.At = time.Now().UTC()
	if err := t.spool.settle(r, v); err != nil {
		return nil, t.keepWaiting(r, held, err)
	}
	if err := t.spool.dropData(r.ID); err != nil { // Recover will
		t.cfg.Logger.Warn("spool keeps a stray file", "door", "tus", "error", err.Error())
	}
	t.mu.Lock()
	delete(t.waiting, r.ID)
	t.mu.Unlock()
	return v, nil
}

// keepWaiting notes that a whole upload needs another try, and puts its bytes into the spool if they are not
// there. If that fails too, the upload has none of them and its sender hears so.
func (t *Tus) keepWaiting(r *record, held []byte, err error) error {
	if held != nil {
		if _, serr := t.spool.append(r, 0, bytes.NewReader(held), nil); serr != nil {
			_ = t.diskError(serr) // logged; the answer is err
			return err
		}
	}
	t.mu.Lock()
	t.waiting[r.ID] = true
	t.mu.Unlock()
	t.cfg.Logger.Warn("upload waits for admission", "door", "tus", "upload", r.ID, "code", string(reject.CodeOf(err)))
	return err
}

// find returns an upload that tenant may see, or tusd.ErrNotFound.
func (t *Tus) find(id, tenant string) (*record, *verdict, error) {
	r, v, err := t.spool.load(id)
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return nil, nil, tusd.ErrNotFound
	case err != nil:
		return nil, nil, t.diskError(err)
	case r.Tenant != tenant || t.spool.expired(r, v):
		return nil, nil, tusd.ErrNotFound
	}
	return r, v, nil
}

// diskError logs what the disk said and tells the peer no more than that it failed.
func (t *Tus) diskError(err error) error {
	var known tusd.Error
	if errors.As(err, &known) {
		return err
	}
	t.cfg.Logger.Error("upload spool failed", "door", "tus", "error", err.Error())
	if isNoSpace(err) {
		return refused(refusal(reject.New(reject.OutOfResources, "tus", "spool is full")), http.StatusServiceUnavailable)
	}
	return errDisk
}
