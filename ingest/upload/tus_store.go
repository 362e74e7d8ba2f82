package upload

import (
	"context"
	"crypto/rand"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"sync/atomic"
	"time"

	tusd "github.com/tus/tusd/v2/pkg/handler"

	"github.com/tributary-dicom/tributary/ingest"
	"github.com/tributary-dicom/tributary/ingest/upload/journal"
	"github.com/tributary-dicom/tributary/pipeline/event"
)

// What the spool knows of uploads is in its journal, one document for each (JSON of remembered). Bytes that
// must wait lie beside it in ID.data until admission has spoken; uploads that arrive whole in one request
// have no such file, see tusUpload.WriteChunk.
const dataSuffix = ".data"

// Tags in the journal.
const (
	isOpen    journal.Tag = 1 // admission has not spoken
	isSettled journal.Tag = 2
)

// checkpointBytes is after how many bytes of one PATCH the offset is made durable, so that a node that
// dies loses at most so much of a long one. Smaller costs syncs, larger costs villages their evenings.
const checkpointBytes = 64 << 20

// record is what the spool knows of an upload. Offset counts bytes that are synced to the disk.
type record struct {
	ID       string            `json:"id"`
	Size     int64             `json:"size"` // -1 while deferred
	Offset   int64             `json:"offset"`
	Metadata map[string]string `json:"metadata,omitempty"`
	Tenant   string            `json:"tenant,omitempty"`
	Origin   event.Origin      `json:"origin"`
	SHA256   string            `json:"sha256,omitempty"` // hex; the sender's checksum of the whole file
	Touched  time.Time         `json:"touched"`          // last progress; expiry counts from here
}

// whole tells whether all bytes are here and synced.
func (r *record) whole() bool { return r.Size >= 0 && r.Offset == r.Size }

// verdict is what admission said: a receipt, or a refusal that sending the same bytes again would repeat.
type verdict struct {
	Receipt *ingest.Receipt `json:"receipt,omitempty"`
	Refusal *Refusal        `json:"refusal,omitempty"`
	HTTP    int             `json:"http"`
	At      time.Time       `json:"at"`
}

// remembered is an upload in the journal.
type remembered struct {
	record
	Verdict *verdict `json:"verdict,omitempty"`
}

// spool is the folder of uploads. Its methods do not lock: who changes an upload holds its lock.
type spool struct {
	dir     string
	ttl     time.Duration
	journal *journal.Journal
	open    atomic.Int64 // uploads without a verdict
}

func openSpool(dir string, ttl time.Duration, logger *slog.Logger) (*spool, error) {
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return nil, fmt.Errorf("make spool folder: %w", err)
	}
	j, err := journal.Open(dir, journal.Options{Logger: logger.With("door", "tus")})
	if err != nil {
		return nil, fmt.Errorf("open spool: %w", err)
	}
	s := &spool{dir: dir, ttl: ttl, journal: j}
	s.open.Store(int64(len(s.ids(isOpen))))
	return s, nil
}

// newID returns 128 random bits in hex: whoever has it may go on with the upload.
func newID() string {
	var b [16]byte
	_, _ = rand.Read(b[:]) // never fails
	return hex.EncodeToString(b[:])
}

// validID tells whether s can be one of ours. Nothing else comes near a path.
func validID(s string) bool {
	return len(s) == 32 && strings.Trim(s, "0123456789abcdef") == ""
}

// keyOf is a valid id in the journal.
func keyOf(id string) (key journal.Key) {
	_, _ = hex.Decode(key[:], []byte(id))
	return key
}

func (s *spool) dataPath(id string) string { return filepath.Join(s.dir, id+dataSuffix) }

// ids lists the uploads with one of tags, or all.
func (s *spool) ids(tags ...journal.Tag) []string {
	keys := s.journal.Keys(tags...)
	ids := make([]string, len(keys))
	for i, k := range keys {
		ids[i] = hex.EncodeToString(k[:])
	}
	return ids
}

// load returns an upload's record, and what admission said of it, nil while it has not; fs.ErrNotExist for
// no such upload. The offset is never ahead of the data file.
func (s *spool) load(id string) (*record, *verdict, error) {
	if !validID(id) {
		return nil, nil, fs.ErrNotExist
	}
	doc, _, err := s.journal.Get(keyOf(id))
	if err != nil {
		return nil, nil, err
	}
	var m remembered
	if err := json.Unmarshal(doc, &m); err != nil {
		return nil, nil, fmt.Errorf("spool's record is damaged: %w", err)
	}
	r := &m.record
	switch {
	case m.Verdict != nil: // the data is gone, the offset stands
		r.Offset = r.Size
	case r.Offset > 0:
		r.Offset = min(r.Offset, sizeOf(s.dataPath(id)))
	}
	return r, m.Verdict, nil
}

// sizeOf returns a file's length in bytes, 0 when there is none.
func sizeOf(path string) int64 {
	st, err := os.Stat(path)
	if err != nil {
		return 0
	}
	return st.Size()
}

// save makes the record of an open upload durable.
func (s *spool) save(r *record) error {
	return s.put(s.journal.Put, isOpen, remembered{record: *r})
}

// begin makes the record of a new upload known. There are no bytes yet that a power cut could lose, so its
// sync may wait for that of the first bytes or of the verdict.
func (s *spool) begin(r *record) error {
	return s.put(s.journal.PutLazily, isOpen, remembered{record: *r})
}

func (s *spool) put(put func(journal.Key, journal.Tag, []byte) error, tag journal.Tag, m remembered) error {
	doc, err := json.Marshal(m)
	if err != nil {
		return fmt.Errorf("encode for spool: %w", err)
	}
	return put(keyOf(m.ID), tag, doc)
}

// settle remembers a verdict. The bytes are of no use from then on.
func (s *spool) settle(r *record, v *verdict) error {
	if err := s.put(s.journal.Put, isSettled, remembered{*r, v}); err != nil {
		return err
	}
	s.open.Add(-1)
	return nil
}

// remove forgets an upload. Its bytes go first: after a crash in between, its offset is 0.
func (s *spool) remove(id string) error {
	if err := s.dropData(id); err != nil {
		return err
	}
	tag, ok := s.journal.Has(keyOf(id))
	if err := s.journal.Remove(keyOf(id)); err != nil {
		return err
	}
	if ok && tag == isOpen {
		s.open.Add(-1)
	}
	return nil
}

func (s *spool) dropData(id string) error {
	if err := os.Remove(s.dataPath(id)); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return fmt.Errorf("remove from spool: %w", err)
	}
	return nil
}

// removeStrays removes bytes that belong to no open upload: a crash came before they were dropped.
func (s *spool) removeStrays() error {
	entries, err := os.ReadDir(s.dir)
	if err != nil {
		return fmt.Errorf("list spool: %w", err)
	}
	var errs []error
	for _, e := range entries {
		id, ok := strings.CutSuffix(e.Name(), dataSuffix)
		if !ok || !validID(id) {
			continue
		}
		if tag, ok := s.journal.Has(keyOf(id)); !ok || tag == isSettled {
			errs = append(errs, s.dropData(id))
		}
	}
	return errors.Join(errs...)
}

// append writes src to the data file from off on and returns how many bytes are durable of it. An error
// is the disk's: src's own end is the sender's affair, and what came before it counts. When check is not
// nil, all bytes count or none.
func (s *spool) append(r *record, off int64, src io.Reader, check *chunkSum) (n int64, err error) {
	f, err := os.OpenFile(s.dataPath(r.ID), os.O_WRONLY|os.O_CREATE, 0o600)
	if err != nil {
		return 0, fmt.Errorf("open spool: %w", err)
	}
	defer func() {
		if cerr := f.Close(); err == nil && cerr != nil {
			n, err = 0, fmt.Errorf("close spool: %w", cerr)
		}
	}()
	if r.Offset > off { // the last byte comes again, see tusUpload.GetInfo: bytes before their record
		r.Offset = off
		if err := s.save(r); err != nil {
			return 0, err
		}
	}
	if _, err := f.Seek(off, io.SeekStart); err != nil {
		return 0, fmt.Errorf("seek in spool: %w", err)
	}
	dst := io.Writer(f)
	if check != nil {
		dst = io.MultiWriter(f, check.hash)
	}
	for more := true; more; {
		var m int64
		m, err = io.CopyN(dst, struct{ io.Reader }{src}, checkpointBytes)
		n += m
		more = err == nil
		if err == io.EOF {
			err = nil
		}
		if err != nil {
			break
		}
		if check != nil {
			continue
		}
		if err := s.advance(f, r, off+n); err != nil {
			return 0, err
		}
	}
	switch {
	case check != nil && (err != nil || !check.matches()):
		if terr := f.Truncate(off); terr != nil && err == nil {
			err = fmt.Errorf("truncate spool: %w", terr)
		}
		if err == nil {
			err = errChecksum
		}
		return 0, err
	case err != nil:
		// Out of space, most likely. What the last checkpoint made durable counts.
		return max(0, r.Offset-off), fmt.Errorf("write to spool: %w", err)
	case check != nil:
		if err := s.advance(f, r, off+n); err != nil {
			return 0, err
		}
	}
	return n, nil
}

// advance makes the bytes before offset durable, and then the offset.
func (s *spool) advance(f *os.File, r *record, offset int64) error {
	if offset == r.Offset {
		return nil
	}
	if err := f.Sync(); err != nil {
		return fmt.Errorf("sync spool: %w", err)
	}
	if r.Offset == 0 { // the file may be new
		if err := journal.SyncFolder(s.dir); err != nil {
			return fmt.Errorf("sync spool: %w", err)
		}
	}
	was, touched := r.Offset, r.Touched
	r.Offset, r.Touched = offset, time.Now().UTC()
	if err := s.save(r); err != nil {
		r.Offset, r.Touched = was, touched
		return err
	}
	return nil
}

// expires is when an upload is given up because nothing moved, or its verdict is forgotten.
func (s *spool) expires(r *record, v *verdict) time.Time {
	if v != nil {
		return v.At.Add(s.ttl)
	}
	return r.Touched.Add(s.ttl)
}

// expired tells whether that time is over. Whole uploads wait for admission however long it takes.
func (s *spool) expired(r *record, v *verdict) bool {
	return time.Now().After(s.expires(r, v)) && (v != nil || !r.whole())
}

// tusStore is the data store of tusd's handler over a spool.
type tusStore struct{ t *Tus }

// NewUpload implements tusd.DataStore.
func (st tusStore) NewUpload(ctx context.Context, info tusd.FileInfo) (tusd.Upload, error) {
	q := requestOf(ctx)
	r := &record{ID: newID(), Size: info.Size, Metadata: info.MetaData, Tenant: q.tenant, Origin: q.origin, SHA256: q.sha256, Touched: time.Now().UTC()}
	if info.SizeIsDeferred {
		r.Size = -1
	}
	if st.t.spool.open.Add(1) > int64(st.t.cfg.MaxOpen) {
		st.t.spool.open.Add(-1)
		return nil, errFull
	}
	if err := st.t.spool.begin(r); err != nil {
		st.t.spool.open.Add(-1)
		return nil, st.t.diskError(err)
	}
	q.id, q.created = r.ID, true
	q.upload = &tusUpload{t: st.t, q: q, r: r}
	return q.upload, nil
}

// GetUpload implements tusd.DataStore. Uploads of another tenant are as unknown as expired ones.
func (st tusStore) GetUpload(ctx context.Context, id string) (tusd.Upload, error) {
	q := requestOf(ctx)
	r, v, err := st.t.find(id, q.tenant)
	if err != nil {
		return nil, err
	}
	q.id = id
	q.upload = &tusUpload{t: st.t, q: q, r: r, v: v}
	return q.upload, nil
}

func (st tusStore) AsTerminatableUpload(u tusd.Upload) tusd.TerminatableUpload {
	return u.(*tusUpload)
}

func (st tusStore) AsLengthDeclarableUpload(u tusd.Upload) tusd.LengthDeclarableUpload {
	return u.(*tusUpload)
}
