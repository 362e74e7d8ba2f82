package device

import (
	"cmp"
	"context"
	"encoding/base64"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"path/filepath"
	"strconv"
	"time"
)

// tusSender sends by the tus 1.0 protocol and resumes where a broken line left off, also in the next Send
// of the same object.
type tusSender struct {
	Target
	pause      time.Duration
	unfinished string // address of an upload that Send gave up, "" for none
	name       string // of its object
	size       int64
}

// tusResumes is how often one Send resumes before it gives up; tusPause is the usual wait before each.
const (
	tusResumes = 8
	tusPause   = 500 * time.Millisecond
)

// tusUnknown is an offset that the node must be asked for.
const tusUnknown = -1

func (s *tusSender) Close() error { return nil }

func (s *tusSender) Send(ctx context.Context, o Object) (Outcome, error) {
	where, offset := s.unfinished, int64(tusUnknown)
	if where == "" || s.name != o.Name || s.size != o.Size {
		var refused Outcome
		var err error
		if where, refused, err = s.create(ctx, o); err != nil || where == "" {
			return refused, err
		}
		offset = 0
	}
	s.unfinished, s.name, s.size = where, o.Name, o.Size
	for try := 0; ; try++ {
		out, err := s.goOn(ctx, where, o, offset)
		if err == nil || !Temporary(err) || errors.Is(err, errUploadLost) {
			s.unfinished = ""
		}
		if s.unfinished == "" || try == tusResumes {
			return out, err
		}
		offset = tusUnknown
		select {
		case <-ctx.Done():
			return Outcome{}, ctx.Err()
		case <-time.After(s.pause):
		}
	}
}

// goOn sends what the node does not have yet.
func (s *tusSender) goOn(ctx context.Context, where string, o Object, offset int64) (out Outcome, err error) {
	if offset == tusUnknown {
		if offset, err = s.offset(ctx, where, o.Size); err != nil {
			return out, err
		}
		if offset == o.Size { // all was there: only the answer got lost
			return s.receipt(ctx, where)
		}
	}
	return s.patch(ctx, where, o, offset)
}

// create begins an upload and returns its address, or the node's refusal: an object without bytes is
// whole, and judged, at once.
func (s *tusSender) create(ctx context.Context, o Object) (where string, refused Outcome, err error) {
	endpoint := s.Address + "/upload/tus/"
	about := "filename " + base64.StdEncoding.EncodeToString([]byte(cmp.Or(o.Filename, filepath.Base(o.Name))))
	if o.Device != "" {
		about += ",device " + base64.StdEncoding.EncodeToString([]byte(o.Device))
	}
	got, err := s.post(ctx, http.MethodPost, endpoint, http.Header{
		"Tus-Resumable": {"1.0.0"}, "Upload-Length": {strconv.FormatInt(o.Size, 10)}, "Upload-Metadata": {about},
	}, http.NoBody, 0)
	if err != nil {
		return "", refused, err
	}
	if got.code != http.StatusCreated {
		if refused, err := receiptOutcome(got); err == nil || Temporary(err) {
			return "", refused, err
		}
		return "", refused, fmt.Errorf("create the upload: the node says %s", got.status)
	}
	base, err := url.Parse(endpoint)
	if err != nil {
		return "", refused, err
	}
	location, err := base.Parse(got.header.Get("Location"))
	if err != nil {
		return "", refused, fmt.Errorf("create the upload: bad Location: %w", err)
	}
	return location.String(), refused, nil
}

func (s *tusSender) patch(ctx context.Context, where string, o Object, offset int64) (Outcome, error) {
	body, err := s.body(o, offset)
	if err != nil {
		return Outcome{}, err
	}
	defer body.Close()
	got, err := s.post(ctx, http.MethodPatch, where, http.Header{
		"Tus-Resumable": {"1.0.0"}, "Upload-Offset": {strconv.FormatInt(offset, 10)}, "Content-Type": {"application/offset+octet-stream"},
	}, body, o.Size-offset)
	if err != nil {
		return Outcome{}, err
	}
	if got.code != http.StatusNoContent {
		return patchOutcome(got)
	}
	if status := got.header.Get("Tributary-Status"); status != "" {
		return Outcome{Status: status, Code: got.header.Get("Tributary-Reason"), ID: got.header.Get("Tributary-Receipt-Id")}, nil
	}
	return s.receipt(ctx, where)
}

// patchOutcome reads a PATCH's answer other than success.
func patchOutcome(got reply) (Outcome, error) {
	out, err := receiptOutcome(got)
	if err == nil || Temporary(err) {
		return out, err
	}
	switch got.code {
	// Another offset, another request that still holds the upload, a line too slow (500, see docs/doors.md):
	// what came is kept, and the offset tells what to send next.
	case http.StatusConflict, http.StatusLocked, http.StatusRequestTimeout, http.StatusInternalServerError:
		return Outcome{}, temporary("the node says %s", got.status)
	case http.StatusNotFound, http.StatusGone:
		return Outcome{}, temporary("%w: the node says %s", errUploadLost, got.status)
	}
	return Outcome{}, err
}

// errUploadLost is a temporary error after which the object is sent from its first byte.
var errUploadLost = errors.New("the upload is lost")

func (s *tusSender) offset(ctx context.Context, where string, size int64) (int64, error) {
	got, err := s.post(ctx, http.MethodHead, where, http.Header{"Tus-Resumable": {"1.0.0"}}, http.NoBody, 0)
	if err != nil {
		return 0, err
	}
	if got.code != http.StatusOK && got.code != http.StatusNoContent {
		return 0, temporary("%w: the node says %s", errUploadLost, got.status)
	}
	n, err := strconv.ParseInt(got.header.Get("Upload-Offset"), 10, 64)
	if err != nil || n < 0 || n > size {
		return 0, errors.New("the node gives no offset of this upload")
	}
	return n, nil
}

func (s *tusSender) receipt(ctx context.Context, where string) (Outcome, error) {
	got, err := s.post(ctx, http.MethodGet, where+"/receipt", nil, http.NoBody, 0)
	if err != nil {
		return Outcome{}, err
	}
	if got.code == http.StatusAccepted { // whole, and waits for admission
		return Outcome{}, temporary("the node has no receipt yet")
	}
	return receiptOutcome(got)
}
