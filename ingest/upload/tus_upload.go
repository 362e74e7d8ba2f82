package upload

import (
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

// WriteChunk implements tusd.Upload. The bytes it counts are on the disk.
func (u *tusUpload) WriteChunk(_ context.Context, offset int64, src io.Reader) (int64, error) {
	limit := u.t.cfg.MaxBytes - offset
	if u.r.Size >= 0 {
		limit = u.r.Size - offset
	}
	room := &roomReader{src: io.LimitReader(src, limit), rest: limit, reserve: u.t.cfg.Reserve}
	n, err := u.t.spool.append(u.r, offset, room, u.q.check)
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

// FinishUpload implements tusd.Upload: the file is whole and synced, so it goes through admission before
// the last PATCH is answered.
func (u *tusUpload) FinishUpload(ctx context.Context) error {
	// The sender has nothing more to say and may wait long: no deadline of the body may end the request.
	_ = u.q.rc.SetReadDeadline(time.Time{})
	_ = u.q.rc.SetWriteDeadline(time.Time{})
	v, err := u.t.admit(ctx, u.r)
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

// admit gives a whole upload to admission and remembers the verdict. An error is one that may pass: the
// bytes stay, and Run tries again. The caller holds the upload's lock.
func (t *Tus) admit(ctx context.Context, r *record) (v *verdict, err error) {
	if v, err := t.spool.verdict(r.ID); v != nil || err != nil {
		return v, err
	}
	f, err := openData(t.spool.path(r.ID, dataSuffix))
	if err != nil {
		return nil, t.keepWaiting(r.ID, err)
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
		return nil, t.keepWaiting(r.ID, err)
	default:
		ref := refusal(err)
		ref.Retry = false // this upload is over; other bytes need another upload
		v = &verdict{Refusal: &ref, HTTP: statusOf(err)}
	}
	v.At = time.Now().UTC()
	if err := t.spool.settle(r.ID, v); err != nil {
		return nil, t.keepWaiting(r.ID, err)
	}
	t.mu.Lock()
	delete(t.waiting, r.ID)
	t.mu.Unlock()
	return v, nil
}

// keepWaiting notes that a whole upload needs another try.
func (t *Tus) keepWaiting(id string, err error) error {
	t.mu.Lock()
	t.waiting[id] = true
	t.mu.Unlock()
	t.cfg.Logger.Warn("upload waits for admission", "door", "tus", "upload", id, "code", string(reject.CodeOf(err)))
	return err
}

// find returns an upload that tenant may see, or tusd.ErrNotFound.
func (t *Tus) find(id, tenant string) (*record, *verdict, error) {
	r, err := t.spool.load(id)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil, tusd.ErrNotFound
	}
	if err != nil {
		return nil, nil, t.diskError(err)
	}
	v, err := t.spool.verdict(id)
	if err != nil {
		return nil, nil, t.diskError(err)
	}
	if r.Tenant != tenant || t.spool.expired(r, v) {
		return nil, nil, tusd.ErrNotFound
	}
	if v != nil { // the data is gone, the offset stands
		r.Offset = r.Size
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
