package device

import (
	"context"
	"encoding/base64"
	"fmt"
	"net/http"
	"net/url"
	"path/filepath"
	"strconv"
	"time"
)

// tusSender sends by the tus 1.0 protocol and resumes where a broken line left off.
type tusSender struct{ Target }

// tusResumes is how often one Send resumes before it gives up; tusPause is the wait before each.
const (
	tusResumes = 8
	tusPause   = 500 * time.Millisecond
)

func (s *tusSender) Close() error { return nil }

func (s *tusSender) Send(ctx context.Context, o Object) (Outcome, error) {
	where, refused, err := s.create(ctx, o)
	if err != nil || where == "" {
		return refused, err
	}
	offset := int64(0)
	for try := 0; ; try++ {
		out, err := s.patch(ctx, where, o, offset)
		if err == nil || !Temporary(err) || try == tusResumes {
			return out, err
		}
		select {
		case <-ctx.Done():
			return Outcome{}, ctx.Err()
		case <-time.After(tusPause):
		}
		if offset, err = s.offset(ctx, where); err != nil && !Temporary(err) {
			return Outcome{}, err
		}
		if offset == o.Size { // all was there: only the answer got lost
			return s.receipt(ctx, where)
		}
	}
}

// create begins an upload and returns its address, or the node's refusal: an object without bytes is
// whole, and judged, at once.
func (s *tusSender) create(ctx context.Context, o Object) (where string, refused Outcome, err error) {
	endpoint := s.Address + "/upload/tus/"
	name := base64.StdEncoding.EncodeToString([]byte(filepath.Base(o.Name)))
	resp, answer, err := s.post(ctx, http.MethodPost, endpoint, http.Header{
		"Tus-Resumable": {"1.0.0"}, "Upload-Length": {strconv.FormatInt(o.Size, 10)}, "Upload-Metadata": {"filename " + name},
	}, http.NoBody, 0)
	if err != nil {
		return "", refused, err
	}
	if resp.StatusCode != http.StatusCreated {
		if refused, err := receiptOutcome(resp.Status, answer); err == nil {
			return "", refused, nil
		}
		return "", refused, fmt.Errorf("create the upload: the node says %s", resp.Status)
	}
	base, err := url.Parse(endpoint)
	if err != nil {
		return "", refused, err
	}
	location, err := base.Parse(resp.Header.Get("Location"))
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
	resp, answer, err := s.post(ctx, http.MethodPatch, where, http.Header{
		"Tus-Resumable": {"1.0.0"}, "Upload-Offset": {strconv.FormatInt(offset, 10)}, "Content-Type": {"application/offset+octet-stream"},
	}, body, o.Size-offset)
	if err != nil {
		return Outcome{}, err
	}
	if resp.StatusCode != http.StatusNoContent {
		if out, rerr := receiptOutcome(resp.Status, answer); rerr == nil {
			return out, nil
		}
		if out, rerr := s.receipt(ctx, where); rerr == nil {
			return out, nil
		}
		return Outcome{}, fmt.Errorf("the node says %s", resp.Status)
	}
	if status := resp.Header.Get("Tributary-Status"); status != "" {
		return Outcome{Status: status, Code: resp.Header.Get("Tributary-Reason"), ID: resp.Header.Get("Tributary-Receipt-Id")}, nil
	}
	return s.receipt(ctx, where)
}

func (s *tusSender) offset(ctx context.Context, where string) (int64, error) {
	resp, _, err := s.post(ctx, http.MethodHead, where, http.Header{"Tus-Resumable": {"1.0.0"}}, http.NoBody, 0)
	if err != nil {
		return 0, err
	}
	if resp.StatusCode != http.StatusOK && resp.StatusCode != http.StatusNoContent {
		return 0, fmt.Errorf("the upload is lost: the node says %s", resp.Status)
	}
	n, err := strconv.ParseInt(resp.Header.Get("Upload-Offset"), 10, 64)
	if err != nil {
		return 0, fmt.Errorf("the node gives no offset")
	}
	return n, nil
}

func (s *tusSender) receipt(ctx context.Context, where string) (Outcome, error) {
	resp, answer, err := s.post(ctx, http.MethodGet, where+"/receipt", nil, http.NoBody, 0)
	if err != nil {
		return Outcome{}, err
	}
	return receiptOutcome(resp.Status, answer)
}
