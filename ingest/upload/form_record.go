package upload

import (
	"bytes"
	"context"
	"crypto/sha256"
	"errors"
	"io"
	"os"

	"github.com/tributary-dicom/tributary/ingest"
	"github.com/tributary-dicom/tributary/ingest/bundle"
	"github.com/tributary-dicom/tributary/parsers/reject"
	"github.com/tributary-dicom/tributary/parsers/sniff"
)

// A form may bring a WFDB record: a header and the files that it names, in any order. What may be part of one,
// headers and files that no parser knows, is held until the form ends. If there is then exactly one header and
// all that it names, they become one object; if not, each is admitted by itself.

// Bounds of what one form holds back, bytes: in memory, and in a file without a name. A record of a day has some
// hundred megabytes. Beyond them parts are admitted as they come.
const (
	heldInMemory = 1 << 20
	heldOnDisk   = 1 << 30
)

// heldPart is one part that waits for the form's end.
type heldPart struct {
	name    string
	format  sniff.Format
	at      io.ReaderAt
	offset  int64
	size    int64
	header  []byte // of a WFDB header
	a       ingest.Arrival
	digests digests
	res     *result
}

func (p *heldPart) reader() io.Reader { return io.NewSectionReader(p.at, p.offset, p.size) }

// heldParts holds parts of one form.
type heldParts struct {
	dir    string
	parts  []*heldPart
	memory int64
	disk   *os.File
	used   int64 // bytes of disk
	full   bool  // nothing more is held
}

// take holds a part back if it may be one of a record. If not, the part is to be admitted from the reader, which
// yields all of it. The error is the part's.
func (h *heldParts) take(src io.Reader) (held *heldPart, rest io.Reader, err error) {
	if h.full || len(h.parts) >= bundle.MaxFiles {
		return nil, src, nil
	}
	head := make([]byte, sniff.HeadBytes)
	n, err := io.ReadFull(src, head)
	head = head[:n]
	if err != nil && err != io.EOF && !errors.Is(err, io.ErrUnexpectedEOF) {
		return nil, nil, err
	}
	whole := err != nil
	if whole && ended(src) != nil {
		return nil, nil, ended(src)
	}
	all := io.MultiReader(bytes.NewReader(head), src)
	held = &heldPart{format: sniff.Detect(head)}
	if n == 0 || held.format != sniff.Unknown && held.format != sniff.WFDBHeader {
		return nil, all, nil
	}
	if room := heldInMemory - h.memory; room > int64(n) {
		data, err := io.ReadAll(io.LimitReader(all, room))
		if err != nil {
			return nil, nil, err
		}
		if int64(len(data)) < room {
			h.memory += int64(len(data))
			held.at, held.size = bytes.NewReader(data), int64(len(data))
			if held.format == sniff.WFDBHeader {
				held.header = data
			}
			return held, nil, nil
		}
		all = io.MultiReader(bytes.NewReader(data), src)
	}
	return h.toDisk(held, all)
}

// ended is why a part broke off, nil when it came to its end.
func ended(src io.Reader) error {
	if n, ok := src.(*noted); ok {
		return n.err
	}
	return nil
}

// toDisk holds a part in the file. Where that fails, what is there already goes before the rest.
func (h *heldParts) toDisk(held *heldPart, all io.Reader) (*heldPart, io.Reader, error) {
	if h.disk == nil {
		f, err := os.CreateTemp(h.dir, "tributary-form-")
		if err != nil {
			h.full = true
			return nil, all, nil //nolint:nilerr // it goes by itself
		}
		h.disk = f
		_ = os.Remove(f.Name()) // where a system cannot do that yet, close does
	}
	held.at, held.offset = h.disk, h.used
	w := &diskPart{to: io.NewOffsetWriter(h.disk, h.used)}
	n, err := io.Copy(w, io.LimitReader(all, heldOnDisk-h.used))
	held.size = n
	switch {
	case w.err != nil: // of our disk
		h.full = true
		return nil, io.MultiReader(held.reader(), bytes.NewReader(w.lost), all), nil //nolint:nilerr // as above
	case err != nil:
		return nil, nil, err
	case n == heldOnDisk-h.used:
		h.full = true
		return nil, io.MultiReader(held.reader(), all), nil
	}
	h.used += n
	if held.format == sniff.WFDBHeader && n <= bundle.MaxHeader {
		held.header = make([]byte, n)
		if _, err := io.ReadFull(held.reader(), held.header); err != nil {
			held.header = nil
		}
	}
	return held, nil, nil
}

// diskPart writes, and keeps what could not be written.
type diskPart struct {
	to   io.Writer
	lost []byte
	err  error
}

func (d *diskPart) Write(p []byte) (int, error) {
	n, err := d.to.Write(p)
	if err != nil {
		d.err, d.lost = err, bytes.Clone(p[n:])
	}
	return n, err
}

// close gives the disk back.
func (h *heldParts) close() {
	if h.disk != nil {
		_ = h.disk.Close()
		_ = os.Remove(h.disk.Name()) // it is gone already where that is possible
	}
}

// admitHeld admits what a form held back.
func (h *handler) admitHeld(ctx context.Context, held *heldParts) {
	parts := held.parts
	if main, others := held.record(); main != nil {
		parts = h.admitRecord(ctx, held, main, others)
	}
	for _, p := range parts {
		p.a.Body = p.reader()
		p.res.rec, p.res.err = h.admit(ctx, p.a, p.digests)
	}
}

// record finds the one complete record among what is held.
func (h *heldParts) record() (main *heldPart, others []*heldPart) {
	byName := map[string]*heldPart{}
	var candidates []bundle.Candidate
	for _, p := range h.parts {
		if byName[p.name] != nil || p.name == "" {
			return nil, nil
		}
		byName[p.name] = p
		candidates = append(candidates, bundle.Candidate{Name: p.name, Format: p.format, Header: p.header})
	}
	records := bundle.Records(candidates)
	if len(records) != 1 || len(records[0].Missing) > 0 {
		return nil, nil
	}
	for _, name := range records[0].Parts {
		others = append(others, byName[name])
	}
	return byName[records[0].Main], others
}

// admitRecord admits a record's files as one object, whose receipt is that of each, and returns the parts that are
// none of its files.
func (h *handler) admitRecord(ctx context.Context, held *heldParts, main *heldPart, others []*heldPart) (left []*heldPart) {
	members := append([]*heldPart{main}, others...)
	files := make([]bundle.File, len(members))
	mine := map[*heldPart]bool{}
	var mismatch error
	for i, p := range members {
		mine[p] = true
		files[i] = bundle.File{Name: p.name, Size: p.size, Open: func() (io.ReadCloser, error) {
			c := p.digests.check(p.reader())
			if p.digests[sha256Name] != "" {
				c.hashes[sha256Name] = sha256.New()
			}
			return checkedFile{c, &mismatch}, nil
		}}
	}
	for _, p := range held.parts {
		if !mine[p] {
			left = append(left, p)
		}
	}
	body, err := bundle.New(files[0], files[1:])
	if err != nil {
		return held.parts // names that no tar can have: each by itself
	}
	defer body.Close()
	a := main.a
	a.Origin.Filename = bundle.Name(main.name)
	a.Body = body
	rec, err := h.admit(ctx, a, nil)
	if err != nil && reject.CodeOf(mismatch) == reject.ChecksumMismatch {
		err = mismatch
	}
	for _, p := range members {
		p.res.rec, p.res.err = rec, err
	}
	return left
}

// checkedFile is a held file whose checksums are compared while it is read.
type checkedFile struct {
	*checked
	mismatch *error
}

func (c checkedFile) Read(p []byte) (int, error) {
	n, err := c.checked.Read(p)
	if c.err != nil {
		*c.mismatch = c.err
	}
	return n, err
}

func (checkedFile) Close() error { return nil }
