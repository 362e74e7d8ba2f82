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
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"sync/atomic"
	"time"

	tusd "github.com/tus/tusd/v2/pkg/handler"

	"github.com/tributary-dicom/tributary/ingest"
	"github.com/tributary-dicom/tributary/pipeline/event"
)

// Files of one upload in the spool folder: ID.info (JSON of record), ID.data (the bytes), and once
// admission has spoken ID.receipt (JSON of verdict); then the data goes. A file is replaced by writing
// ID.x.tmp, syncing it, renaming it and syncing the folder.
const (
	infoSuffix    = ".info"
	dataSuffix    = ".data"
	receiptSuffix = ".receipt"
	tempSuffix    = ".tmp"
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

// spool is the folder of uploads. Its methods do not lock: who changes an upload holds its lock.
type spool struct {
	dir  string
	ttl  time.Duration
	open atomic.Int64 // uploads without a verdict
}

func openSpool(dir string, ttl time.Duration) (*spool, error) {
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return nil, fmt.Errorf("make spool folder: %w", err)
	}
	s := &spool{dir: dir, ttl: ttl}
	ids, err := s.ids()
	if err != nil {
		return nil, err
	}
	for _, id := range ids {
		if v, err := s.verdict(id); v == nil || err != nil {
			s.open.Add(1)
		}
	}
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

func (s *spool) path(id, suffix string) string { return filepath.Join(s.dir, id+suffix) }

// ids lists the uploads.
func (s *spool) ids() ([]string, error) {
	names, err := s.names()
	var ids []string
	for _, n := range names {
		if id, ok := strings.CutSuffix(n, infoSuffix); ok && validID(id) {
			ids = append(ids, id)
		}
	}
	return ids, err
}

func (s *spool) names() ([]string, error) {
	d, err := os.Open(s.dir)
	if err != nil {
		return nil, fmt.Errorf("list spool: %w", err)
	}
	defer d.Close()
	names, err := d.Readdirnames(-1)
	if err != nil {
		return nil, fmt.Errorf("list spool: %w", err)
	}
	return names, nil
}

// load returns an upload's record; fs.ErrNotExist for none. The offset is never ahead of the data file.
func (s *spool) load(id string) (*record, error) {
	if !validID(id) {
		return nil, fs.ErrNotExist
	}
	var r record
	if err := readJSON(s.path(id, infoSuffix), &r); err != nil {
		return nil, err
	}
	if st, err := os.Stat(s.path(id, dataSuffix)); err == nil {
		r.Offset = min(r.Offset, st.Size())
	} else if _, err := os.Stat(s.path(id, receiptSuffix)); err != nil {
		r.Offset = 0
	}
	return &r, nil
}

func (s *spool) save(r *record) error { return s.replace(s.path(r.ID, infoSuffix), r) }

// verdict returns what admission said of an upload, nil while it has not.
func (s *spool) verdict(id string) (*verdict, error) {
	if !validID(id) {
		return nil, fs.ErrNotExist
	}
	var v verdict
	err := readJSON(s.path(id, receiptSuffix), &v)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	}
	return &v, err
}

// settle remembers a verdict and then lets go of the bytes.
func (s *spool) settle(id string, v *verdict) error {
	if err := s.replace(s.path(id, receiptSuffix), v); err != nil {
		return err
	}
	s.open.Add(-1)
	return s.drop(id, dataSuffix)
}

// remove forgets an upload. After a crash in between, Sweep or Recover goes on.
func (s *spool) remove(id string) error {
	v, err := s.verdict(id)
	if err != nil {
		return err
	}
	for _, suffix := range []string{dataSuffix, infoSuffix, receiptSuffix} {
		if err := s.drop(id, suffix); err != nil {
			return err
		}
	}
	if v == nil {
		s.open.Add(-1)
	}
	return nil
}

func (s *spool) drop(id, suffix string) error {
	if err := os.Remove(s.path(id, suffix)); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return fmt.Errorf("remove from spool: %w", err)
	}
	return nil
}

// replace makes path hold v's JSON, durably and at once.
func (s *spool) replace(path string, v any) (err error) {
	doc, err := json.Marshal(v)
	if err != nil {
		return fmt.Errorf("encode for spool: %w", err)
	}
	f, err := os.OpenFile(path+tempSuffix, os.O_WRONLY|os.O_CREATE|os.O_TRUNC, 0o600)
	if err != nil {
		return fmt.Errorf("write to spool: %w", err)
	}
	_, err = f.Write(doc)
	if err == nil {
		err = f.Sync()
	}
	if cerr := f.Close(); err == nil {
		err = cerr
	}
	if err == nil {
		err = os.Rename(path+tempSuffix, path)
	}
	if err == nil {
		err = syncFolder(s.dir)
	}
	if err != nil {
		return fmt.Errorf("write to spool: %w", err)
	}
	return nil
}

func readJSON(path string, v any) error {
	doc, err := os.ReadFile(path)
	if err != nil {
		return err
	}
	if err := json.Unmarshal(doc, v); err != nil {
		return fmt.Errorf("spool file is damaged: %w", err)
	}
	return nil
}

// syncFolder makes renames durable. Windows has no such call and journals them itself.
func syncFolder(dir string) error {
	if runtime.GOOS == "windows" {
		return nil
	}
	d, err := os.Open(dir)
	if err != nil {
		return err
	}
	defer d.Close()
	return d.Sync()
}

// append writes src to the data file from off on and returns how many bytes are durable of it. An error
// is the disk's: src's own end is the sender's affair, and what came before it counts. When check is not
// nil, all bytes count or none.
func (s *spool) append(r *record, off int64, src io.Reader, check *chunkSum) (n int64, err error) {
	f, err := os.OpenFile(s.path(r.ID, dataSuffix), os.O_WRONLY|os.O_CREATE, 0o600)
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
	if err := st.t.spool.save(r); err != nil {
		st.t.spool.open.Add(-1)
		return nil, st.t.diskError(err)
	}
	q.id, q.created = r.ID, true
	return &tusUpload{st.t, q, r, nil}, nil
}

// GetUpload implements tusd.DataStore. Uploads of another tenant are as unknown as expired ones.
func (st tusStore) GetUpload(ctx context.Context, id string) (tusd.Upload, error) {
	q := requestOf(ctx)
	r, v, err := st.t.find(id, q.tenant)
	if err != nil {
		return nil, err
	}
	q.id = id
	return &tusUpload{st.t, q, r, v}, nil
}

func (st tusStore) AsTerminatableUpload(u tusd.Upload) tusd.TerminatableUpload {
	return u.(*tusUpload)
}

func (st tusStore) AsLengthDeclarableUpload(u tusd.Upload) tusd.LengthDeclarableUpload {
	return u.(*tusUpload)
}
