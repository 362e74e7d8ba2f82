package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net"
	"net/http"
	"net/url"
	"strconv"
	"strings"

	"github.com/tributary-dicom/tributary/dimse"
)

// door is a way in.
type door string

// Doors.
const (
	cStore door = "C-STORE"
	stow   door = "STOW"
	upload door = "upload"
	tus    door = "tus"
)

// push is the objects of one measurement.
type push struct {
	*set
	salt uint64
	per  int // objects a request; 1 but for STOW-RS
}

// serves reports whether a server has a door.
func (s *server) serves(d door) bool {
	switch d {
	case cStore:
		return s.dicom != ""
	case stow:
		return s.stowPath != ""
	case upload:
		return s.uploadPath != ""
	default:
		return s.tusPath != ""
	}
}

// enter opens a client of a door.
func (s *server) enter(ctx context.Context, d door, p push) (client, error) {
	if d == cStore {
		return openStorer(ctx, s, p)
	}
	w, err := dialWire(ctx, s.http)
	if err != nil {
		return nil, err
	}
	switch d {
	case stow:
		return &stower{w, s, p}, nil
	case upload:
		return &uploader{w, s, p}, nil
	default:
		return &tusClient{w, s, p}, nil
	}
}

// storer sends by C-STORE over one Association.
type storer struct {
	c *dimse.Client
	push
}

func openStorer(ctx context.Context, s *server, p push) (client, error) {
	t := p.templates[0]
	c, err := dimse.Dial(ctx, s.dicom, dimse.ClientConfig{
		CallingAE: "BENCH", CalledAE: s.aet, Timeout: opTimeout,
		Contexts: []dimse.Proposal{{AbstractSyntax: t.sopClass, TransferSyntaxes: []string{t.syntax}}},
	})
	if err != nil {
		return nil, err
	}
	return &storer{c, p}, nil
}

func (s *storer) do(ctx context.Context, i int) (int64, error) {
	o, err := s.object(s.salt, i)
	if err != nil {
		return 0, err
	}
	status, comment, err := s.c.Store(ctx, dimse.StoreRequest{
		SOPClassUID: o.sopClass, SOPInstanceUID: o.instanceUID, TransferSyntaxUID: o.syntax, Data: &partsReader{o.parts[1:]},
	})
	if err != nil {
		return 0, fmt.Errorf("C-STORE: %w", err)
	}
	if status != dimse.StatusSuccess {
		return 0, fmt.Errorf("C-STORE: status %04XH %s", status, comment)
	}
	return o.size - int64(len(o.parts[0])), nil
}

func (s *storer) close() { _ = s.c.Release(context.Background()) }

// stower sends by STOW-RS, per objects a request (PS3.18 §10.5).
type stower struct {
	*wire
	s *server
	push
}

const boundary = "bench-5d1f0a77c3"

func (c *stower) do(ctx context.Context, i int) (int64, error) {
	var body net.Buffers
	var size int64
	for k := range c.per {
		o, err := c.object(c.salt, i*c.per+k)
		if err != nil {
			return 0, err
		}
		body = append(append(body, []byte("\r\n--"+boundary+"\r\nContent-Type: application/dicom\r\n\r\n")), o.parts...)
		size += o.size
	}
	body = append(body, []byte("\r\n--"+boundary+"--\r\n"))
	a, err := c.ask(ctx, http.MethodPost, c.s.stowPath, "Accept: application/dicom+json\r\n"+
		`Content-Type: multipart/related; type="application/dicom"; boundary=`+boundary+"\r\n", body, true)
	if err == nil {
		err = a.expect(http.StatusOK)
	}
	if err != nil {
		return 0, err
	}
	stored, err := referenced(a.kept)
	if err == nil && stored != c.per {
		err = fmt.Errorf("STOW-RS: %d of %d stored", stored, c.per)
	}
	return size, err
}

// referenced counts the instances that a STOW-RS answer says are stored: items of the Referenced SOP
// Sequence (0008,1199).
func referenced(answer []byte) (int, error) {
	var doc map[string]struct{ Value []json.RawMessage }
	if err := json.Unmarshal(answer, &doc); err != nil {
		return 0, errors.New("STOW-RS: the answer is no DICOM JSON")
	}
	return len(doc["00081199"].Value), nil
}

// uploader sends by a plain POST, one object a request.
type uploader struct {
	*wire
	s *server
	push
}

func (c *uploader) do(ctx context.Context, i int) (int64, error) {
	o, err := c.object(c.salt, i)
	if err != nil {
		return 0, err
	}
	a, err := c.ask(ctx, http.MethodPost, c.s.uploadPath, "Content-Type: application/dicom\r\n", o.parts, true)
	if err == nil {
		err = a.expect(http.StatusOK, http.StatusCreated)
	}
	if err == nil && !strings.Contains(string(a.kept), c.s.stored) {
		err = fmt.Errorf("not stored: %s", brief(a.kept))
	}
	return o.size, err
}

// tusClient sends by tus 1.0: one request creates the upload, one brings the bytes.
type tusClient struct {
	*wire
	s *server
	push
}

func (c *tusClient) do(ctx context.Context, i int) (int64, error) {
	o, err := c.object(c.salt, i)
	if err != nil {
		return 0, err
	}
	a, err := c.ask(ctx, http.MethodPost, c.s.tusPath, "Tus-Resumable: 1.0.0\r\nUpload-Length: "+strconv.FormatInt(o.size, 10)+"\r\n", nil, true)
	if err == nil {
		err = a.expect(http.StatusCreated)
	}
	if err != nil {
		return 0, err
	}
	where, err := url.Parse(a.header.Get("Location"))
	if err != nil {
		return 0, err
	}
	a, err = c.ask(ctx, http.MethodPatch, where.EscapedPath(),
		"Tus-Resumable: 1.0.0\r\nUpload-Offset: 0\r\nContent-Type: application/offset+octet-stream\r\n", o.parts, true)
	if err == nil {
		err = a.expect(http.StatusNoContent)
	}
	if err == nil && a.header.Get("Tributary-Status") != "stored" {
		err = fmt.Errorf("not stored: %q", a.header.Get("Tributary-Status"))
	}
	return o.size, err
}
