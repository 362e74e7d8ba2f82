package device

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"strings"
	"time"
)

// client is shared: connections are kept between objects and workers.
var client = &http.Client{Transport: func() http.RoundTripper {
	t := http.DefaultTransport.(*http.Transport).Clone()
	t.MaxIdleConnsPerHost = 64
	t.ResponseHeaderTimeout = answerTimeout
	t.WriteBufferSize = 256 << 10
	return t
}()}

// answerTimeout is how long a node may take from the last byte to its answer. That of tus comes after the
// whole file was copied once more; a node that hangs must not hold a device for ever.
const answerTimeout = 15 * time.Minute

// maxAnswer bounds what is read of an answer, bytes.
const maxAnswer = 1 << 20

// reply is an answer, read to its end.
type reply struct {
	code   int
	status string // "201 Created"
	header http.Header
	body   []byte
}

// post sends one request. Failures of the line are temporary.
func (t Target) post(ctx context.Context, method, url string, header http.Header, body io.Reader, size int64) (reply, error) {
	req, err := http.NewRequestWithContext(ctx, method, url, body)
	if err != nil {
		return reply{}, err
	}
	req.ContentLength = size
	if header != nil {
		req.Header = header
	}
	if t.Token != "" {
		req.Header.Set("Authorization", "Bearer "+t.Token)
	}
	resp, err := client.Do(req)
	if err != nil {
		return reply{}, temporary("send: %w", err)
	}
	defer resp.Body.Close()
	answer, err := io.ReadAll(io.LimitReader(resp.Body, maxAnswer))
	if err != nil {
		return reply{}, temporary("read the answer: %w", err)
	}
	switch resp.StatusCode {
	case http.StatusServiceUnavailable, http.StatusTooManyRequests, http.StatusBadGateway, http.StatusGatewayTimeout:
		return reply{}, temporary("the node says %s", resp.Status)
	case http.StatusUnauthorized:
		return reply{}, fmt.Errorf("the node says %s: give its token", resp.Status)
	}
	return reply{resp.StatusCode, resp.Status, resp.Header, answer}, nil
}

// uploader sends by POST /upload.
type uploader struct{ Target }

func (u *uploader) Send(ctx context.Context, o Object) (Outcome, error) {
	body, err := u.body(o, 0)
	if err != nil {
		return Outcome{}, err
	}
	defer body.Close()
	got, err := u.post(ctx, http.MethodPost, u.Address+"/upload", o.header(), body, o.Size)
	if err != nil {
		return Outcome{}, err
	}
	return receiptOutcome(got)
}

// header is what an upload tells of a file; nil for nothing.
func (o Object) header() http.Header {
	h := http.Header{}
	if o.Filename != "" {
		h.Set("X-Filename", url.PathEscape(o.Filename))
	}
	if o.Device != "" {
		h.Set("X-Device", o.Device)
	}
	if len(h) == 0 {
		return nil
	}
	return h
}

func (u *uploader) Close() error { return nil }

// receiptOutcome reads a receipt of /upload or tus. Only a status that says what became of the object is
// one: anything else would pass for kept.
func receiptOutcome(got reply) (Outcome, error) {
	var r struct {
		ID, Status, Reason, Detail, Study string
		Retry                             bool
	}
	if err := json.Unmarshal(got.body, &r); err != nil {
		return Outcome{}, fmt.Errorf("the node says %s without a receipt", got.status)
	}
	switch r.Status {
	case Refused:
		if r.Retry {
			return Outcome{}, temporary("the node says %s: %s", got.status, r.Reason)
		}
	case Stored, Duplicate, Conflict, Quarantined:
	default:
		return Outcome{}, fmt.Errorf("the node says %s without a receipt", got.status)
	}
	return Outcome{Status: r.Status, Code: r.Reason, Detail: r.Detail, ID: r.ID, Study: r.Study}, nil
}

// stower sends by STOW-RS, one instance a request.
type stower struct{ Target }

const stowBoundary = "tributary-boundary-6f1d0c2b9a"

func (s *stower) Send(ctx context.Context, o Object) (Outcome, error) {
	body, err := s.body(o, 0)
	if err != nil {
		return Outcome{}, err
	}
	defer body.Close()
	head := "--" + stowBoundary + "\r\nContent-Type: application/dicom\r\n\r\n"
	tail := "\r\n--" + stowBoundary + "--\r\n"
	got, err := s.post(ctx, http.MethodPost, s.Address+"/dicom-web/studies",
		http.Header{
			"Content-Type": {`multipart/related; type="application/dicom"; boundary=` + stowBoundary},
			"Accept":       {"application/dicom+json"},
		},
		io.MultiReader(strings.NewReader(head), body, strings.NewReader(tail)), int64(len(head))+o.Size+int64(len(tail)))
	if err != nil {
		return Outcome{}, err
	}
	return stowOutcome(got)
}

func (s *stower) Close() error { return nil }

// stowOutcome reads the answer to a request with one instance (PS3.18 §10.5.3).
func stowOutcome(got reply) (Outcome, error) {
	var refusal struct{ Status, Reason, Detail string }
	if err := json.Unmarshal(got.body, &refusal); err == nil && refusal.Status == Refused {
		return Outcome{Status: Refused, Code: refusal.Reason, Detail: refusal.Detail}, nil
	}
	type attribute struct{ Value []json.RawMessage }
	var doc map[string]attribute
	if err := json.Unmarshal(got.body, &doc); err != nil {
		return Outcome{}, fmt.Errorf("the node says %s without a STOW-RS answer", got.status)
	}
	number := func(seq, tag string) (uint16, bool) {
		for _, item := range doc[seq].Value {
			var attrs map[string]struct{ Value []json.RawMessage }
			_ = json.Unmarshal(item, &attrs) // an item of another shape has no such number
			var n uint16
			if v := attrs[tag].Value; len(v) > 0 && json.Unmarshal(v[0], &n) == nil {
				return n, true
			}
		}
		return 0, false
	}
	for _, seq := range []string{"00081198", "0008119A"} { // Failed SOP Sequence, Other Failures Sequence
		code, ok := number(seq, "00081197")
		if !ok {
			continue
		}
		out := Outcome{Status: Refused, Code: fmt.Sprintf("%04X", code)}
		if id, kept := quarantinedAs(got.header.Get("Warning")); kept {
			out.Status, out.ID, out.Detail = Quarantined, id, "kept in quarantine"
		}
		return out, nil
	}
	if len(doc["00081199"].Value) == 0 {
		return Outcome{}, fmt.Errorf("the node says %s and names no instance", got.status)
	}
	out := Outcome{Status: Stored}
	if code, ok := number("00081199", "00081196"); ok {
		out.Code = fmt.Sprintf("%04X", code)
	}
	return out, nil
}

// quarantinedAs finds in a Warning header what the answer's data set cannot say: the instance failed to be
// indexed, and is kept under this id.
func quarantinedAs(warning string) (id string, ok bool) {
	_, rest, ok := strings.Cut(warning, "kept in quarantine: ")
	return strings.Trim(rest, `" `), ok
}
