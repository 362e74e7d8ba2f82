package main

import (
	"bytes"
	"context"
	"fmt"
	"math/rand/v2"
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"time"
)

// reader sends one GET after the other and checks each answer.
type reader struct {
	*wire
	accept string
	path   func(i int) (string, error)
	keep   bool
	check  func(a answer) error // nil checks the status only
}

func (c *reader) do(ctx context.Context, i int) (int64, error) {
	path, err := c.path(i)
	if err != nil {
		return 0, err
	}
	a, err := c.ask(ctx, http.MethodGet, path, "Accept: "+c.accept+"\r\n", nil, c.keep)
	if err == nil {
		err = a.expect(http.StatusOK)
	}
	if err == nil && c.check != nil {
		if err = c.check(a); err != nil {
			err = fmt.Errorf("GET %s: %w", path, err)
		}
	}
	return a.size, err
}

// reading describes the GETs of a line.
type reading struct {
	accept string
	path   func(i int) (string, error)
	keep   bool
	check  func(a answer) error
}

func (s *server) read(r reading) func(ctx context.Context) (client, error) {
	return func(ctx context.Context) (client, error) {
		w, err := dialWire(ctx, s.http)
		if err != nil {
			return nil, err
		}
		return &reader{w, r.accept, r.path, r.keep, r.check}, nil
	}
}

// What readers ask for.
const (
	acceptJSON  = "application/dicom+json"
	acceptFile  = `multipart/related; type="application/dicom"`
	acceptFrame = `multipart/related; type="application/octet-stream"`
)

// queryKind is a way to search for studies.
type queryKind string

// Searches of W4.
const (
	byPatient   queryKind = "patient id"
	byAccession queryKind = "accession"
	byName      queryKind = "name *…*"
	byDate      queryKind = "date+modality"
	newest      queryKind = "newest 50"
)

var queryKinds = []queryKind{byPatient, byAccession, byName, byDate, newest}

// searches returns the queries of a kind about patients of a set, the same ones for every server.
func (s *set) searches(base string, k queryKind) reading {
	pick := rand.New(rand.NewPCG(4, uint64(len(s.templates)))) //nolint:gosec // which studies are asked for is no secret
	var queries []string
	for range 997 {
		study := s.templates[pick.IntN(len(s.templates))].study
		v := url.Values{}
		switch k {
		case byPatient:
			v.Set("PatientID", study.Patient.ID)
		case byAccession:
			v.Set("AccessionNumber", study.AccessionNumber)
		case byName:
			v.Set("PatientName", "*"+givenName(study.Patient.Name)+"*")
			v.Set("limit", "50")
		case byDate:
			v.Set("StudyDate", around(study.Date))
			v.Set("ModalitiesInStudy", "US")
			v.Set("limit", "50")
		case newest:
			v.Set("limit", "50")
		}
		// Orthanc 1.10 takes an escaped asterisk for the character itself.
		queries = append(queries, base+"/studies?"+strings.ReplaceAll(v.Encode(), "%2A", "*"))
	}
	return reading{
		accept: acceptJSON, keep: true,
		path: func(i int) (string, error) { return queries[i%len(queries)], nil },
		check: func(a answer) error {
			if !bytes.Contains(a.kept, []byte(`"0020000D"`)) {
				return fmt.Errorf("QIDO-RS by %s found nothing", k)
			}
			return nil
		},
	}
}

// around returns the range of 31 days with a date, YYYYMMDD, in its middle.
func around(date string) string {
	const form = "20060102"
	day, err := time.Parse(form, date)
	if err != nil {
		return date
	}
	return day.AddDate(0, 0, -15).Format(form) + "-" + day.AddDate(0, 0, 15).Format(form)
}

// givenName returns the Latin letters at the start of the given name of "Zhang^Wei=张^伟"; "a", which
// nearly every name has, when there are none.
func givenName(name string) string {
	latin, _, _ := strings.Cut(name, "=")
	parts := strings.Split(latin, "^")
	if len(parts) < 2 {
		return "a"
	}
	end := strings.IndexFunc(parts[1], func(r rune) bool { return r < 'A' || r > 'z' })
	if end < 0 {
		end = len(parts[1])
	}
	if end == 0 {
		return "a"
	}
	return parts[1][:end]
}

// wholeStudies reads studies that were sent under a salt, in turn.
func (s *set) wholeStudies(base string, salt uint64, count int) reading {
	return reading{accept: acceptFile, path: func(i int) (string, error) {
		o, err := s.object(salt, i%count*s.perStudy)
		return base + "/studies/" + o.studyUID, err
	}}
}

// path is the object's resource in WADO-RS.
func (o object) path(base string) string {
	return base + "/studies/" + o.studyUID + "/series/" + o.seriesUID + "/instances/" + o.instanceUID
}

// wholeInstance reads the object to its end.
func (o object) wholeInstance(base string) reading {
	return reading{accept: acceptFile, path: fixed(o.path(base)), check: func(a answer) error {
		if a.size < o.size-int64(len(o.parts[0])) {
			return fmt.Errorf("WADO-RS: %d bytes of %d", a.size, o.size)
		}
		return nil
	}}
}

func (o object) metadata(base string) reading {
	return reading{accept: acceptJSON, keep: true, path: fixed(o.path(base) + "/metadata"), check: func(a answer) error {
		if !bytes.Contains(a.kept, []byte(o.instanceUID)) {
			return fmt.Errorf("metadata without the instance: %s", brief(a.kept))
		}
		return nil
	}}
}

// oneFrame reads frame n and compares its pixels.
func (o object) oneFrame(base string, n int) reading {
	want := o.frame(n)
	return reading{accept: acceptFrame, keep: true, path: fixed(o.path(base) + "/frames/" + strconv.Itoa(n)), check: func(a answer) error {
		if !bytes.Contains(a.kept, want) {
			return fmt.Errorf("frame %d has other pixels", n)
		}
		return nil
	}}
}

// early reads the first byte of an answer and hangs up: the time until then is what a viewer waits for. Each request
// has a connection of its own, which loopback makes in a fraction of a millisecond.
type early struct{ reader }

func (c *early) do(ctx context.Context, i int) (int64, error) {
	path, err := c.path(i)
	if err != nil {
		return 0, err
	}
	status, err := c.begin(ctx, path, "Accept: "+c.accept+"\r\n")
	if err == nil {
		err = answer{status: status}.expect(http.StatusOK)
	}
	return 1, err
}

// readEarly is read up to the first byte.
func (s *server) readEarly(r reading) func(ctx context.Context) (client, error) {
	return func(ctx context.Context) (client, error) {
		w, err := dialWire(ctx, s.http)
		if err != nil {
			return nil, err
		}
		return &early{reader{w, r.accept, r.path, false, nil}}, nil
	}
}

func fixed(path string) func(int) (string, error) {
	return func(int) (string, error) { return path, nil }
}
