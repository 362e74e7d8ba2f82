package ingest

import (
	"bytes"
	"encoding/hex"
	"fmt"
	"io"
	"sync"

	"github.com/tributary-dicom/tributary/ingest/twinsha"
	"github.com/tributary-dicom/tributary/parsers/reject"
	"github.com/tributary-dicom/tributary/parsers/sniff"
)

// maxPreface bounds what precedes a data set, bytes: preamble and File Meta. Longer ones are hashed as
// part of the data set, which only costs the recognition of a second copy.
const maxPreface = 1 << 20

// tee passes an arriving object to its reader and, in the same pass, to the blob store and two hashes:
// one over all bytes, one over the data set, which begins where the scanner says.
type tee struct {
	src   io.Reader
	dst   io.Writer
	left  int64 // bytes until the limit
	limit int64
	n     int64
	err   error // *reject.Error of the first failure, nil at a clean end
	first []byte
	room  *[sniff.HeadBytes]byte // what first lies in

	hashes  *twinsha.Pair // of all bytes, and of the data set
	dsOff   int64
	held    []byte // bytes that wait for datasetAt, from offset 0
	holding bool
}

func newTee(src io.Reader, dst io.Writer, limit int64) *tee {
	return &tee{src: src, dst: dst, left: limit, limit: limit, hashes: twinsha.New(), holding: true}
}

// Read implements io.Reader. Errors other than io.EOF are *reject.Error and stay.
func (t *tee) Read(p []byte) (int, error) {
	if t.err != nil {
		return 0, t.err
	}
	n, err := t.src.Read(p)
	if int64(n) > t.left {
		t.err = reject.New(reject.TooLarge, "ingest.Admit", "the object has more than %d bytes", t.limit)
		return 0, t.err
	}
	t.left -= int64(n)
	if n > 0 {
		if werr := t.keep(p[:n]); werr != nil {
			t.err = storeError("ingest.Admit", werr)
			return 0, t.err
		}
		t.n += int64(n)
	}
	if err != nil && err != io.EOF {
		t.err = senderError(err)
		return n, t.err
	}
	return n, err
}

// keep writes and hashes a piece.
func (t *tee) keep(p []byte) error {
	if t.holding && len(t.held)+len(p) > maxPreface {
		t.settle(0)
	}
	if t.holding {
		t.held = append(t.held, p...)
	} else {
		_, _ = t.hashes.Write(p) // never fails
	}
	_, err := t.dst.Write(p)
	return err
}

// senderError keeps the refusal of a door's own reader (too slow, too large) and calls all else broken off.
func senderError(err error) error {
	if code := reject.CodeOf(err); code != reject.Internal {
		return &reject.Error{Code: code, Op: "ingest.Admit", Offset: -1, Err: err}
	}
	return aborted(fmt.Errorf("sender broke off: %w", err))
}

var heads = sync.Pool{New: func() any { return new([sniff.HeadBytes]byte) }}

// head reads the first bytes, sniff.HeadBytes of them or fewer when the object is shorter. They are valid
// until release.
func (t *tee) head() ([]byte, error) {
	t.room = heads.Get().(*[sniff.HeadBytes]byte)
	t.held = t.room[:0] // keep appends to it what is there already
	got, err := io.ReadFull(t, t.room[:])
	t.first = t.room[:got]
	if t.err != nil {
		return nil, t.err
	}
	if err != nil && err != io.EOF && err != io.ErrUnexpectedEOF {
		return nil, aborted(err)
	}
	return t.first, nil
}

// replay returns the whole object from its first byte, head included.
func (t *tee) replay() io.Reader { return io.MultiReader(bytes.NewReader(t.first), t) }

// datasetAt says where the data set begins. The scanner calls it while it has read no more than
// maxPreface bytes; later calls and wild offsets count as 0.
func (t *tee) datasetAt(offset int64) {
	if t.holding {
		t.settle(offset)
	}
}

func (t *tee) settle(offset int64) {
	if offset < 0 || offset > int64(len(t.held)) {
		offset = 0
	}
	t.dsOff, t.holding = offset, false
	t.hashes.Skip(t.held[:offset])
	_, _ = t.hashes.Write(t.held[offset:]) // never fails
	t.held = nil
}

// sums returns the hex SHA-256 of all bytes and of the data set.
func (t *tee) sums() (file, dataset string) {
	if t.holding {
		t.settle(0)
	}
	all, ds := t.hashes.Sums()
	return hex.EncodeToString(all[:]), hex.EncodeToString(ds[:])
}

// release ends the use of what head and replay returned.
func (t *tee) release() {
	if t.room != nil {
		heads.Put(t.room)
	}
	t.held, t.first, t.room = nil, nil, nil
}
