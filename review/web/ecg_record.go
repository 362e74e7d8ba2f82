package web

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"slices"
	"sync"
	"time"

	"github.com/tributary-dicom/tributary/parsers/ecg"
	"github.com/tributary-dicom/tributary/parsers/ecg/dicomwave"
	"github.com/tributary-dicom/tributary/parsers/part10"
	"github.com/tributary-dicom/tributary/storage/index"
)

// ecgRecord is a recording whose samples are read from the blob store when they are asked for. Its Annotations are
// taken away: a day has a hundred thousand, and only spikes are drawn.
type ecgRecord struct {
	*ecg.Recording
	spikes []ecgSpike // by time
	cost   int        // bytes of header

	mu        sync.Mutex
	overviews []ecgOverview // those that were made, the oldest first
}

// ecgSpike is a pacemaker's spike as the device found it.
type ecgSpike struct {
	millis float64 // on the recording's time line
	lead   string  // "" for all
}

// openECG makes a recording of what the index keeps of an object: the header and where its samples lie.
func openECG(ctx context.Context, blobs ECGBlobs, o index.Object) (*ecgRecord, error) {
	at := &ecgBytes{ctx: context.WithoutCancel(ctx), blobs: blobs, key: o.BlobKey, size: o.Bytes}
	rec, err := dicomwave.Open(&part10.Object{
		DatasetOffset: o.DatasetOffset, Size: o.Bytes, TransferSyntaxUID: o.TransferSyntaxUID, SOPClassUID: o.SOPClassUID,
		SOPInstanceUID: o.SOPInstanceUID, StudyInstanceUID: o.StudyInstanceUID, SeriesInstanceUID: o.SeriesInstanceUID,
		Header: o.Header, Bulk: o.Bulk,
	}, ecg.File{At: at, Size: o.Bytes}, ecg.Limits{})
	if err != nil {
		return nil, err
	}
	out := &ecgRecord{Recording: rec, cost: len(o.Header)}
	for _, a := range rec.Annotations {
		if a.Kind != ecg.Spike {
			continue
		}
		at := a.Onset
		if a.Group >= 0 && a.Group < len(rec.Groups) {
			at = at.Add(rec.Groups[a.Group].StartOffset)
		}
		out.spikes = append(out.spikes, ecgSpike{at.Float64(), a.Lead})
	}
	slices.SortStableFunc(out.spikes, func(a, b ecgSpike) int { return cmp.Compare(a.millis, b.millis) })
	rec.Annotations = nil
	return out, nil
}

// ecgBytes reads ranges of a blob, each by itself: nothing is kept. Several requests share it, so that it does not end
// with the first.
type ecgBytes struct {
	ctx   context.Context
	blobs ECGBlobs
	key   string
	size  int64
}

// ecgReadTimeout bounds one read of a block, at most 256 KiB.
const ecgReadTimeout = 30 * time.Second

// ReadAt implements io.ReaderAt.
func (b *ecgBytes) ReadAt(p []byte, off int64) (int, error) {
	if off < 0 {
		return 0, errors.New("read before the beginning")
	}
	if off >= b.size {
		return 0, io.EOF
	}
	ctx, cancel := context.WithTimeout(b.ctx, ecgReadTimeout)
	defer cancel()
	n := min(int64(len(p)), b.size-off)
	body, err := b.blobs.Open(ctx, b.key, off, n)
	if err != nil {
		return 0, err
	}
	defer body.Close()
	got, err := io.ReadFull(body, p[:n])
	if err != nil {
		return got, fmt.Errorf("read blob %s: %w", b.key, err)
	}
	// A store tells damage at the end of what was asked for.
	if more, err := body.Read(make([]byte, 1)); more > 0 || err != io.EOF {
		return 0, fmt.Errorf("read blob %s: %w", b.key, errors.Join(err, io.ErrUnexpectedEOF))
	}
	if got < len(p) {
		return got, io.EOF
	}
	return got, nil
}

// ecgShelf remembers recordings that are being looked at: a day is scrolled through in many requests. Keyed by object id,
// blob key and reading: the bytes under the first two never change, but newer parsers may read them otherwise.
type ecgShelf struct {
	mu    sync.Mutex
	known []ecgShelved // most recently used last
	cost  int
	turns chan struct{} // has a token for each header that is being read
}

type ecgShelved struct {
	id  string
	rec *ecgRecord
}

// Limits of the shelf. What is kept of a header is some three times its JSON.
const (
	ecgShelfCount = 32
	ecgShelfCost  = 8 << 20 // bytes of headers
	ecgOpening    = 2
)

func newECGShelf() *ecgShelf { return &ecgShelf{turns: make(chan struct{}, ecgOpening)} }

func (s *ecgShelf) lookup(id string) *ecgRecord {
	s.mu.Lock()
	defer s.mu.Unlock()
	i := slices.IndexFunc(s.known, func(k ecgShelved) bool { return k.id == id })
	if i < 0 {
		return nil
	}
	k := s.known[i]
	s.known = append(slices.Delete(s.known, i, i+1), k)
	return k.rec
}

// get returns the recording of an id, which open makes when it is not there.
func (s *ecgShelf) get(ctx context.Context, id string, open func() (*ecgRecord, error)) (*ecgRecord, error) {
	if rec := s.lookup(id); rec != nil {
		return rec, nil
	}
	select {
	case s.turns <- struct{}{}:
		defer func() { <-s.turns }()
	case <-ctx.Done():
		return nil, ctx.Err()
	}
	if rec := s.lookup(id); rec != nil { // somebody was faster
		return rec, nil
	}
	rec, err := open()
	if err != nil {
		return nil, err
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if slices.ContainsFunc(s.known, func(k ecgShelved) bool { return k.id == id }) {
		return rec, nil
	}
	s.known = append(s.known, ecgShelved{id, rec})
	for s.cost += rec.cost; len(s.known) > ecgShelfCount || s.cost > ecgShelfCost && len(s.known) > 1; {
		s.cost -= s.known[0].rec.cost
		s.known = slices.Delete(s.known, 0, 1)
	}
	return rec, nil
}
