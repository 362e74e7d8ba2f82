package main

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"strings"

	"github.com/tributary-dicom/tributary/fixtures"
)

// maxBlock bounds the pixels that are kept of one kind of object; longer PixelData repeats them.
const maxBlock = 12 << 20

// template is an instance of which any number can be made: its bytes before the pixels with the places of
// its UIDs, and the pixels, which all instances of a kind share. What differs between two instances lies in
// the header, so making one costs a copy of about 2 KiB.
type template struct {
	sopClass, syntax string
	meta             []byte // preamble and File Meta
	head             []byte // the data set before the pixels
	metaPlaces       []place
	headPlaces       []place
	block            []byte // pixels, repeated until tail bytes
	tail             int64
	frames           int
	study            fixtures.Study
}

// place is where a UID of a kind stands.
type place struct {
	at, length int
	kind       uidKind
}

// uidKind tells the UIDs of one instance apart.
type uidKind byte

// Kinds of UIDs.
const (
	studyUID    uidKind = '1'
	seriesUID   uidKind = '2'
	instanceUID uidKind = '3'
)

// saltDigits and numberDigits are how much of a UID tells the measurement and the object.
const (
	saltDigits   = 10
	numberDigits = 7
)

// saltedUID returns a UID of exactly so many characters under the 2.25 root (PS3.5 §B.2), unique for its
// kind, salt and number, so that it can take the place of another one without moving a byte. It starts with
// 1: 39 digits are less than 2^128 then.
func saltedUID(length int, kind uidKind, salt uint64, number int) (string, error) {
	const fixed = len("2.25.1") + 1 + saltDigits + numberDigits
	text := fmt.Sprintf("%0*d%0*d", saltDigits, salt, numberDigits, number)
	if length < fixed || length > 44 || len(text) != saltDigits+numberDigits {
		return "", fmt.Errorf("no UID of %d characters for salt %d, number %d", length, salt, number)
	}
	return "2.25.1" + string(kind) + strings.Repeat("0", length-fixed) + text, nil
}

// places returns where uid stands in b.
func places(b []byte, uid string, kind uidKind) (all []place) {
	for from := 0; ; {
		at := bytes.Index(b[from:], []byte(uid))
		if at < 0 {
			return all
		}
		all = append(all, place{from + at, len(uid), kind})
		from += at + len(uid)
	}
}

// patched returns a copy of b with the UIDs of one object.
func patched(b []byte, all []place, salt uint64, number, study int) ([]byte, error) {
	b = bytes.Clone(b)
	for _, p := range all {
		n := number
		if p.kind != instanceUID {
			n = study
		}
		uid, err := saltedUID(p.length, p.kind, salt, n)
		if err != nil {
			return nil, err
		}
		copy(b[p.at:], uid)
	}
	return b, nil
}

// newTemplate takes an instance apart. block nil makes it from the instance.
func newTemplate(i fixtures.Instance, study fixtures.Study, pixels int64, block []byte) (*template, error) {
	t := &template{sopClass: i.SOPClassUID, syntax: i.TransferSyntaxUID, tail: pixels, frames: i.Frames, block: block, study: study}
	front := i.Size - pixels
	if front <= i.DatasetOffset {
		return nil, fmt.Errorf("%s has no %d bytes of pixels", i.Name, pixels)
	}
	want := front
	if block == nil {
		frame := pixels / int64(max(i.Frames, 1))
		want += min(pixels, max(1, maxBlock/frame)*frame)
	}
	c := &cutWriter{limit: int(want)}
	if _, err := i.WriteTo(c); err != nil && !errors.Is(err, errCut) {
		return nil, err
	}
	t.meta, t.head = c.buf[:i.DatasetOffset:i.DatasetOffset], c.buf[i.DatasetOffset:front:front]
	if block == nil {
		t.block = c.buf[front:]
	}
	t.metaPlaces = places(t.meta, i.SOPInstanceUID, instanceUID)
	t.headPlaces = append(places(t.head, i.SOPInstanceUID, instanceUID), append(
		places(t.head, i.StudyInstanceUID, studyUID), places(t.head, i.SeriesInstanceUID, seriesUID)...)...)
	if len(t.metaPlaces) != 1 || len(t.headPlaces) < 3 {
		return nil, fmt.Errorf("%s: the UIDs are not where they should be", i.Name)
	}
	return t, nil
}

// errCut ends writing when enough is known.
var errCut = errors.New("enough")

// cutWriter keeps the first limit bytes and fails with errCut as soon as it has them.
type cutWriter struct {
	buf   []byte
	limit int
}

func (c *cutWriter) Write(p []byte) (int, error) {
	n := min(len(p), c.limit-len(c.buf))
	c.buf = append(c.buf, p[:n]...)
	if len(c.buf) == c.limit {
		return n, errCut
	}
	return n, nil
}

// object is one instance to send.
type object struct {
	*template
	studyUID, seriesUID, instanceUID string

	parts [][]byte // the file; parts[1:] is the data set. Not to be written to.
	size  int64    // of the file
}

// set makes the objects of a workload.
type set struct {
	templates []*template // one a study, used in turn
	perStudy  int
}

// object returns the i-th object under a salt.
func (s *set) object(salt uint64, i int) (object, error) {
	study := i / s.perStudy
	t := s.templates[study%len(s.templates)]
	o := object{template: t, size: int64(len(t.meta)+len(t.head)) + t.tail}
	meta, err := patched(t.meta, t.metaPlaces, salt, i, study)
	if err != nil {
		return o, err
	}
	head, err := patched(t.head, t.headPlaces, salt, i, study)
	if err != nil {
		return o, err
	}
	for _, p := range t.headPlaces {
		uid := string(head[p.at : p.at+p.length])
		switch p.kind {
		case studyUID:
			o.studyUID = uid
		case seriesUID:
			o.seriesUID = uid
		case instanceUID:
			o.instanceUID = uid
		}
	}
	o.parts = append(make([][]byte, 0, 3+t.tail/int64(len(t.block))), meta, head)
	for left := t.tail; left > 0; {
		b := t.block[:min(left, int64(len(t.block)))]
		o.parts = append(o.parts, b)
		left -= int64(len(b))
	}
	return o, nil
}

// frame returns the pixels of frame n, counted from 1, of frames that fill PixelData evenly.
func (t *template) frame(n int) []byte {
	size := t.tail / int64(t.frames)
	at := int64(n-1) * size % int64(len(t.block))
	return t.block[at : at+size]
}

// stills makes a set of single grey pictures, side by side pixels, with patients of their own.
func stills(seed uint64, patients, perStudy, side int) (*set, error) {
	s := &set{perStudy: perStudy}
	var block []byte
	for _, p := range fixtures.Village(seed, patients) {
		study := p.NewStudy("US", "bench")
		i := study.UltrasoundStill(fixtures.Still{Columns: side, Rows: side, Encoding: fixtures.NativeGray})
		t, err := newTemplate(i, study, int64(side)*int64(side), block)
		if err != nil {
			return nil, err
		}
		block = t.block
		s.templates = append(s.templates, t)
	}
	return s, nil
}

// loops makes a set of grey loops.
func loops(seed uint64, patients, perStudy, columns, rows, frames int) (*set, error) {
	s := &set{perStudy: perStudy}
	var block []byte
	for _, p := range fixtures.Village(seed, patients) {
		study := p.NewStudy("US", "bench")
		i := study.UltrasoundCine(fixtures.Cine{Columns: columns, Rows: rows, Frames: frames, Encoding: fixtures.NativeGray})
		t, err := newTemplate(i, study, int64(columns)*int64(rows)*int64(frames), block)
		if err != nil {
			return nil, err
		}
		block = t.block
		s.templates = append(s.templates, t)
	}
	return s, nil
}

// partsReader reads slices one after the other.
type partsReader struct{ parts [][]byte }

func (r *partsReader) Read(p []byte) (int, error) {
	n := 0
	for n < len(p) && len(r.parts) > 0 {
		c := copy(p[n:], r.parts[0])
		n += c
		if r.parts[0] = r.parts[0][c:]; len(r.parts[0]) == 0 {
			r.parts = r.parts[1:]
		}
	}
	if n == 0 && len(r.parts) == 0 {
		return 0, io.EOF
	}
	return n, nil
}
