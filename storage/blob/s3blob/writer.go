package s3blob

import (
	"context"
	"errors"
	"time"

	"github.com/tributary-dicom/tributary/storage/blob"
)

// writer gathers a blob. While it fits one part it is held here; then parts are sent while the next is
// being gathered.
type writer struct {
	s     *Store
	born  time.Time
	n     int64 // bytes of payload
	sums  sums
	part  *part   // being gathered; nil before the first byte
	up    *upload // nil while all of it fits one part
	err   error   // of an earlier Write
	spent bool
}

// Create starts a blob. It fails at once while the store is away.
func (s *Store) Create(ctx context.Context) (blob.Writer, error) {
	if err := s.usable(ctx); err != nil {
		return nil, err
	}
	if err := s.away(); err != nil {
		return nil, err
	}
	return &writer{s: s, born: s.opt.Now()}, nil
}

// partBytes is the length of the part with this number, from 1. Parts grow, since S3 allows 10,000 of them
// and nobody says how many there will be: with 8 MiB at first they hold 5.2 TiB.
func (s *Store) partBytes(number int) int64 {
	switch {
	case number <= 1000:
		return s.cfg.PartBytes
	case number <= 3000:
		return 8 * s.cfg.PartBytes
	default:
		return 96 * s.cfg.PartBytes
	}
}

const maxParts = 10_000

// Write fails with blob.ErrUnavailable, blob.ErrNoSpace or blob.ErrReadOnly; the blob cannot be committed
// then.
func (w *writer) Write(p []byte) (int, error) {
	if w.spent {
		return 0, errSpent
	}
	if w.err == nil {
		w.err = w.write(p)
	}
	if w.err != nil {
		return 0, w.err
	}
	return len(p), nil
}

func (w *writer) write(p []byte) error {
	if int64(len(p)) > maxBlobBytes-w.n {
		return errTooLarge
	}
	if err := w.gather(p); err != nil {
		return err
	}
	w.sums.add(p)
	w.n += int64(len(p))
	return nil
}

// gather fills parts with payload or record. None exceeds its size: some servers want all but the last to be
// of one size, and that one no larger.
func (w *writer) gather(p []byte) error {
	for len(p) > 0 {
		if err := w.makeRoom(); err != nil {
			return err
		}
		n := min(int64(len(p)), w.s.partBytes(w.number())-w.part.size)
		if err := w.part.write(p[:n], w.wait); err != nil {
			return err
		}
		p = p[n:]
	}
	return nil
}

// number is that of the part being gathered.
func (w *writer) number() int {
	if w.up == nil {
		return 1
	}
	return w.up.sent + 1
}

// makeRoom sends a part that is full and begins the next.
func (w *writer) makeRoom() error {
	if w.part != nil && w.part.size < w.s.partBytes(w.number()) {
		return nil
	}
	if w.part != nil {
		if err := w.send(); err != nil {
			return err
		}
	}
	w.begin()
	return nil
}

func (w *writer) begin() {
	w.part = &part{
		budget: &w.s.buffer, dir: w.s.opt.TempDir, limit: w.s.cfg.PartBytes,
		sum: w.s.client.algorithm.start(),
	}
}

// send hands the part to the upload, which is begun with the first.
func (w *writer) send() error {
	if w.up == nil {
		up, err := w.s.beginUpload(newKey(w.born, trailerSuffix))
		if err != nil {
			return err
		}
		w.up = up
	}
	if w.up.sent >= maxParts {
		return errTooLarge
	}
	p := w.part
	w.part = nil
	return w.up.send(p)
}

// wait lets a part that is being sent end, so that its memory comes free. It returns false when none is.
func (w *writer) wait() bool { return w.up != nil && w.up.waitOne() }

// Commit seals the blob. Once its last request is on the way it is not broken off by ctx: an answer would be
// lost that tells whether the blob is there. After an error the blob is removed where the server has it
// none the less.
func (w *writer) Commit(ctx context.Context, meta blob.Meta) (blob.Info, error) {
	if w.spent {
		return blob.Info{}, errSpent
	}
	defer w.Abort() // what is left of it, whatever happens
	err := w.s.usable(ctx)
	if err == nil {
		err = w.err
	}
	if err != nil {
		return blob.Info{}, err
	}
	text, err := encodeMeta(meta)
	if err != nil {
		return blob.Info{}, err
	}
	r := record{payload: w.n, meta: text, sums: w.sums.encode(), created: w.s.opt.Now().UTC().Truncate(time.Millisecond)}
	var key string
	if w.up == nil {
		key, err = w.commitSmall(&r)
	} else {
		key, err = w.commitLarge(ctx, &r)
	}
	if err != nil {
		return blob.Info{}, err
	}
	return r.info(key)
}

// commitSmall puts the blob with one request.
func (w *writer) commitSmall(r *record) (string, error) {
	ctx, cancel := w.s.join(context.Background())
	defer cancel()
	if w.part == nil {
		w.begin()
	}
	key := newKey(r.created, bareSuffix)
	header := encodeHeader(r.encode(key))
	if len(header) > maxHeaderBytes {
		key, header = newKey(r.created, trailerSuffix), ""
		if err := w.part.write(r.encode(key), w.wait); err != nil {
			return "", err
		}
	}
	err := w.s.do(ctx, 0, func(ctx context.Context, watch *watch) error {
		return w.s.client.put(ctx, watch, key, w.part, header, true)
	})
	if err == nil {
		return key, nil
	}
	return key, w.s.settle(ctx, "put blob", key, r, err)
}

// commitLarge sends the rest with the record behind it, and completes the upload.
func (w *writer) commitLarge(ctx context.Context, r *record) (string, error) {
	if age := w.s.opt.Now().Sub(w.born); age > maxUploadAge {
		return "", errTooOld
	}
	key := w.up.key
	if err := w.gather(r.encode(key)); err != nil {
		return "", err
	}
	if err := w.send(); err != nil {
		return "", err
	}
	if err := w.up.waitAll(ctx); err != nil {
		return "", err
	}
	ctx, cancel := w.s.join(context.Background())
	defer cancel()
	err := w.up.complete(ctx)
	if err == nil {
		w.up.done()
		return key, nil
	}
	if err = w.s.settle(ctx, "complete upload", key, r, err); err == nil {
		w.up.done()
	}
	return key, err
}

// settle decides what became of a blob whose last request failed: whether the server has it, whole, all the
// same. It returns nil when it does.
func (s *Store) settle(ctx context.Context, op, key string, r *record, err error) error {
	v := judge(err)
	if v == refused || v == full {
		s.health.refuse(err)
	}
	switch {
	case errors.Is(err, errMismatch):
		s.discard(key, r.created)
	case v == passing, v == exists, v == noUpload, v == missing:
		got, gerr := s.fetchRecord(ctx, key)
		switch {
		case gerr == nil && got.same(r):
			return nil
		case gerr == nil: // never remove what is not ours
		case judge(gerr) == missing && v != passing:
			err = errLost
		default:
			s.discard(key, r.created)
			if judge(gerr) != missing {
				err = gerr // it is not known whether the blob is there, because of this
			}
		}
	}
	return explain(ctx, op, err, true)
}

// Abort drops what was written. It does not wait for the server.
func (w *writer) Abort() {
	if w.spent {
		return
	}
	w.spent = true
	if w.part != nil {
		w.part.free()
		w.part = nil
	}
	if w.up != nil {
		w.up.abort()
	}
}
