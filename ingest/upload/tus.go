package upload

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"maps"
	"net/http"
	"os"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"time"

	tusd "github.com/tus/tusd/v2/pkg/handler"
	xslog "golang.org/x/exp/slog"

	"github.com/tributary-dicom/tributary/ingest/httpbody"
	"github.com/tributary-dicom/tributary/pipeline/event"
)

// TusConfig of the tus door. Zero fields take the defaults.
type TusConfig struct {
	Config // MaxFiles and BufferBytes do not matter here

	Dir      string        // spool folder, required; made when missing
	BasePath string        // where the door is mounted, default "/upload/tus/"
	TTL      time.Duration // how long an upload or a receipt lives after its last progress, default 7 days
	MaxOpen  int           // uploads that are not admitted yet, default 10,000

	// HoldBytes bounds what all requests together hold in memory of small uploads that may arrive whole;
	// beyond it the spool takes them. Default 32 MiB; negative: none.
	HoldBytes int64

	// Reserve is asked before an upload of so many bytes (0 while the length is deferred) is begun, and for
	// every few mebibytes that a PATCH brings; an error refuses it with 503. Nil: none.
	Reserve func(bytes int64) error

	RetryEvery time.Duration // of whole uploads that could not be admitted, default 30 s
	SweepEvery time.Duration // of expired uploads, default 10 min
}

// Tus is the door for resumable uploads: tus 1.0 with creation, creation-with-upload,
// creation-defer-length, termination, checksum and expiration. A PATCH is answered 204 when its bytes
// are on the disk, the last one when admission has kept the file too; the answer then carries the
// receipt's id, status and reason, and GET BasePath/ID/receipt the whole receipt.
type Tus struct {
	cfg   TusConfig
	spool *spool
	locks *tusLocks
	held  atomic.Int64 // bytes, see TusConfig.HoldBytes
	inner http.Handler

	mu      sync.Mutex
	waiting map[string]bool // whole uploads that wait for admission
}

// NewTus opens the spool. One process may use a folder at a time.
func NewTus(cfg TusConfig) (*Tus, error) {
	cfg.Config = cfg.withDefaults()
	cfg.BasePath = "/" + strings.Trim(cfg.BasePath, "/") + "/"
	if cfg.BasePath == "//" {
		cfg.BasePath = "/upload/tus/"
	}
	if cfg.TTL == 0 {
		cfg.TTL = 7 * 24 * time.Hour
	}
	if cfg.MaxOpen == 0 {
		cfg.MaxOpen = 10_000
	}
	if cfg.HoldBytes == 0 {
		cfg.HoldBytes = 32 << 20
	}
	if cfg.RetryEvery == 0 {
		cfg.RetryEvery = 30 * time.Second
	}
	if cfg.SweepEvery == 0 {
		cfg.SweepEvery = 10 * time.Minute
	}
	if cfg.Dir == "" {
		return nil, errors.New("tus: no spool folder given")
	}
	sp, err := openSpool(cfg.Dir, cfg.TTL, cfg.Logger)
	if err != nil {
		return nil, err
	}
	t := &Tus{cfg: cfg, spool: sp, locks: newTusLocks(), waiting: map[string]bool{}}
	store := tusStore{t}
	composer := tusd.NewStoreComposer()
	composer.UseCore(store)
	composer.UseTerminater(store)
	composer.UseLengthDeferrer(store)
	composer.UseLocker(t.locks)
	stall := cfg.Pace.Stall
	if stall == 0 {
		stall = 30 * time.Second
	}
	inner, err := tusd.NewHandler(tusd.Config{
		StoreComposer: composer, MaxSize: cfg.MaxBytes, BasePath: cfg.BasePath, DisableDownload: true,
		Cors: &tusd.CorsConfig{Disable: true}, Logger: xslog.New(tusdLog{to: cfg.Logger}),
		NetworkTimeout: stall, GracefulRequestCompletionTimeout: 100 * time.Millisecond,
	})
	if err != nil {
		return nil, fmt.Errorf("tus handler: %w", err)
	}
	t.inner = inner
	return t, nil
}

// tusRequest is what the door knows of one request; the store and the locks find it in the context.
type tusRequest struct {
	rc      *http.ResponseController
	tenant  string
	origin  event.Origin
	sha256  string
	check   *chunkSum
	writes  bool
	id      string // of the upload it is about, "" while unknown
	created bool
	upload  *tusUpload // nil while the store was not asked
	holds   int64      // bytes of Tus.held
}

type tusRequestKey struct{}

func requestOf(ctx context.Context) *tusRequest {
	q, ok := ctx.Value(tusRequestKey{}).(*tusRequest)
	if !ok {
		panic("upload: tus store used outside of the tus door")
	}
	return q
}

// ServeHTTP implements http.Handler.
func (t *Tus) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	method := r.Method
	if o := r.Header.Get("X-HTTP-Method-Override"); method == http.MethodPost && o != "" {
		method = o
	}
	rest, ok := strings.CutPrefix(r.URL.Path+"/", t.cfg.BasePath)
	rest = strings.Trim(rest, "/")
	id, tail, _ := strings.Cut(rest, "/")
	q := &tusRequest{rc: http.NewResponseController(w), writes: method == http.MethodPost || method == http.MethodPatch}
	if t.cfg.Identify != nil {
		q.tenant, q.origin = t.cfg.Identify(r)
	}
	fillOrigin(&q.origin, "tus", r)
	aw := &tusAnswer{ResponseWriter: w, t: t, q: q}
	switch {
	case !ok, rest != "" && !validID(id), tail != "" && tail != "receipt":
		answerTus(aw, tusd.ErrNotFound)
		return
	case tail == "receipt":
		t.receipt(aw, r, id)
		return
	}
	if err := t.check(q, r, method, id); err != nil {
		answerTus(aw, err)
		return
	}
	guard := httpbody.NewGuard(w, r, t.cfg.Pace, t.cfg.MaxBytes)
	in := r.WithContext(context.WithValue(r.Context(), tusRequestKey{}, q))
	in.Body = &tusBody{guard}
	defer func() { t.held.Add(-q.holds) }()
	u := *r.URL
	u.Path, u.RawPath = "/"+id, ""
	in.URL = &u
	t.inner.ServeHTTP(aw, in)
}

// check refuses what tusd would let pass or answer in another way.
func (t *Tus) check(q *tusRequest, r *http.Request, method, id string) (err error) {
	if q.check, err = parseChecksum(r.Header.Get("Upload-Checksum")); err != nil {
		return err
	}
	if lengthTooLarge(r.Header.Get("Upload-Length"), t.cfg.MaxBytes) || r.ContentLength > t.cfg.MaxBytes {
		return tusd.ErrMaxSizeExceeded
	}
	switch {
	case method == http.MethodPost && id == "":
		m, err := parseMetadata(strings.Join(r.Header.Values("Upload-Metadata"), ","))
		if err != nil {
			return err
		}
		if q.sha256, err = applyMetadata(m, &q.origin); err != nil {
			return err
		}
		if t.cfg.Reserve != nil {
			size := max(0, r.ContentLength)
			_, _ = fmt.Sscan(r.Header.Get("Upload-Length"), &size)
			if err := t.cfg.Reserve(size); err != nil {
				return errFull
			}
		}
	case method == http.MethodPatch && id != "":
		if tag, ok := t.spool.journal.Has(keyOf(id)); !ok || tag != isSettled {
			return nil // the store will look at it
		}
		_, v, err := t.find(id, q.tenant)
		if err != nil {
			return err
		}
		if v != nil && v.Refusal != nil {
			q.id = id
			return refused(*v.Refusal, v.HTTP)
		}
	}
	return nil
}

// receipt answers GET BasePath/ID/receipt: 200 with the receipt, the refusal with its status, or 202
// while bytes are missing or admission has not spoken.
func (t *Tus) receipt(w *tusAnswer, r *http.Request, id string) {
	if r.Method != http.MethodGet && r.Method != http.MethodHead {
		w.Header().Set("Allow", "GET, HEAD")
		http.Error(w, "method not allowed", http.StatusMethodNotAllowed)
		return
	}
	rec, v, err := t.find(id, w.q.tenant)
	switch {
	case err != nil:
		answerTus(w, err)
	case v == nil:
		length := any(nil)
		if rec.Size >= 0 {
			length = rec.Size
		}
		writeJSON(w, http.StatusAccepted, map[string]any{"status": "receiving", "offset": rec.Offset, "length": length})
	case v.Refusal != nil:
		w.q.id = id
		writeJSON(w, v.HTTP, v.Refusal)
	default:
		w.q.id = id
		writeJSON(w, http.StatusOK, v.Receipt)
	}
}

// answerTus answers with one of tusd's errors.
func answerTus(w http.ResponseWriter, err error) {
	var e tusd.Error
	if !errors.As(err, &e) {
		e = errDisk
	}
	w.Header().Set("Tus-Resumable", "1.0.0")
	w.Header().Set("X-Content-Type-Options", "nosniff")
	for k, v := range e.HTTPResponse.Header {
		w.Header().Set(k, v)
	}
	w.WriteHeader(e.HTTPResponse.StatusCode)
	_, _ = io.WriteString(w, e.HTTPResponse.Body)
}

// tusAnswer adds to tusd's answers: a Location that any proxy leaves right, when the upload expires,
// what became of it, and the extensions that are ours.
type tusAnswer struct {
	http.ResponseWriter
	t       *Tus
	q       *tusRequest
	written bool
}

// Unwrap lets http.ResponseController find the connection.
func (w *tusAnswer) Unwrap() http.ResponseWriter { return w.ResponseWriter }

// WriteHeader implements http.ResponseWriter.
func (w *tusAnswer) WriteHeader(status int) {
	if !w.written {
		w.written = true
		if status == http.StatusServiceUnavailable {
			w.Header().Set("Retry-After", w.t.cfg.retryAfter())
		}
		w.decorate()
	}
	w.ResponseWriter.WriteHeader(status)
}

func (w *tusAnswer) decorate() {
	h := w.Header()
	if ext := h.Get("Tus-Extension"); ext != "" {
		h.Set("Tus-Extension", ext+",checksum,expiration")
		h.Set("Tus-Checksum-Algorithm", checksumAlgorithms)
	}
	if w.q.id == "" {
		return
	}
	if w.q.created { // also when the bytes that came along were refused: the upload is there
		h.Set("Location", w.t.cfg.BasePath+w.q.id)
	}
	var rec *record
	var v *verdict
	if u := w.q.upload; u != nil {
		rec, v = u.r, u.v
	} else if r, known, err := w.t.find(w.q.id, w.q.tenant); err == nil {
		rec, v = r, known
	} else {
		return
	}
	h.Set("Upload-Expires", w.t.spool.expires(rec, v).UTC().Format(http.TimeFormat))
	switch {
	case v == nil:
	case v.Refusal != nil:
		h.Set("Tributary-Status", string(Refused))
		h.Set("Tributary-Reason", string(v.Refusal.Reason))
	default:
		h.Set("Tributary-Receipt-Id", v.Receipt.ID)
		h.Set("Tributary-Status", string(v.Receipt.Status))
		if v.Receipt.Reason != "" {
			h.Set("Tributary-Reason", v.Receipt.Reason)
		}
	}
}

// tusBody turns the guard's errors into answers.
type tusBody struct{ g *httpbody.Guard }

// Read implements io.Reader.
func (b *tusBody) Read(p []byte) (int, error) {
	n, err := b.g.Read(p)
	switch {
	case err == nil, err == io.EOF:
		return n, err
	case b.g.Slow():
		return n, tusd.ErrReadTimeout // 500: tus clients give up on a 408, and go on after this
	}
	return n, tusd.ErrUnexpectedEOF
}

// Close implements io.Closer.
func (b *tusBody) Close() error { return b.g.Close() }

// Close closes the spool. Requests that come later fail.
func (t *Tus) Close() error { return t.spool.journal.Close() }

// Recover removes what a crash left half made and admits uploads that were whole but not admitted. It
// must end before the door is served; failures of single uploads are logged and tried again by Run.
func (t *Tus) Recover(ctx context.Context) error {
	if err := t.spool.removeStrays(); err != nil {
		t.cfg.Logger.Warn("spool keeps a stray file", "door", "tus", "error", err.Error())
	}
	for _, id := range t.spool.ids(isOpen) {
		if ctx.Err() != nil {
			return ctx.Err()
		}
		t.settleOne(ctx, id)
	}
	return nil
}

// settleOne admits an upload if it is whole, and finishes what a crash after its verdict left.
func (t *Tus) settleOne(ctx context.Context, id string) {
	unlock, ok := t.tryLock(ctx, id)
	if !ok {
		return // a request is at it
	}
	defer unlock()
	r, v, err := t.spool.load(id)
	switch {
	case err == nil && v == nil && r.whole():
		_, _ = t.admit(ctx, r, nil) // logged there, tried again by Run
		return
	case err == nil && v != nil:
		err = t.spool.dropData(id)
	case errors.Is(err, fs.ErrNotExist):
		err = nil
	}
	if err != nil {
		t.cfg.Logger.Error("upload spool failed", "door", "tus", "upload", id, "error", err.Error())
	}
	t.mu.Lock()
	delete(t.waiting, id)
	t.mu.Unlock()
}

func (t *Tus) tryLock(ctx context.Context, id string) (unlock func(), ok bool) {
	l := &tusLock{locks: t.locks, id: id}
	ctx, cancel := context.WithCancel(ctx)
	cancel()
	if err := l.lock(ctx, nil, true); err != nil {
		return nil, false
	}
	return func() { _ = l.Unlock() }, true
}

// Run retries admissions and removes expired uploads until ctx ends.
func (t *Tus) Run(ctx context.Context) error {
	retry, sweep := time.NewTicker(t.cfg.RetryEvery), time.NewTicker(t.cfg.SweepEvery)
	defer retry.Stop()
	defer sweep.Stop()
	for {
		select {
		case <-ctx.Done():
			return nil
		case <-retry.C:
			t.Retry(ctx)
		case <-sweep.C:
			if err := t.Sweep(ctx); err != nil {
				t.cfg.Logger.Error("upload spool failed", "door", "tus", "error", err.Error())
			}
		}
	}
}

// Retry admits whole uploads that admission had no room for.
func (t *Tus) Retry(ctx context.Context) {
	t.mu.Lock()
	ids := slices.Collect(maps.Keys(t.waiting))
	t.mu.Unlock()
	for _, id := range ids {
		if ctx.Err() == nil {
			t.settleOne(ctx, id)
		}
	}
}

// Sweep removes uploads that nobody went on with, and receipts that nobody needs any more.
func (t *Tus) Sweep(ctx context.Context) error {
	for _, id := range t.spool.ids() {
		if ctx.Err() != nil {
			return ctx.Err()
		}
		r, v, err := t.spool.load(id)
		if err != nil || !t.spool.expired(r, v) {
			continue
		}
		if unlock, ok := t.tryLock(ctx, id); ok {
			err = t.spool.remove(id)
			unlock()
		}
		if err != nil {
			return err
		}
	}
	return nil
}

// openData opens an upload's bytes; an upload of length 0 has no file.
func openData(path string) (io.ReadCloser, error) {
	f, err := os.Open(path)
	if os.IsNotExist(err) {
		return io.NopCloser(strings.NewReader("")), nil
	}
	if err != nil {
		return nil, err
	}
	return f, nil
}

func isNoSpace(err error) bool {
	return errors.Is(err, syscall.ENOSPC) || errors.Is(err, syscall.EDQUOT)
}
