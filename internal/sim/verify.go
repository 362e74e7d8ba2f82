package sim

import (
	"bufio"
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"maps"
	"math/rand/v2"
	"slices"
	"strings"
	"time"

	"github.com/tributary-dicom/tributary/pipeline/event"
	"github.com/tributary-dicom/tributary/pipeline/eventlog"
	"github.com/tributary-dicom/tributary/storage/blob"
	"github.com/tributary-dicom/tributary/storage/index"
)

// Kept is an object that a sender heard success for.
type Kept struct {
	Tenant            string
	SOPInstanceUID    string
	TransferSyntaxUID string
	DatasetSHA256     string // hex; empty for quarantined ones
	FileSHA256        string // hex, of the bytes as sent
	Quarantined       bool
}

// Evidence is what a run has left behind, at rest: no node writes, and the index has caught up.
type Evidence struct {
	Acked []Kept
	Sent  map[string]bool // SHA-256 (hex) of all files that senders ever began to send; nil allows any

	Blobs interface {
		List(ctx context.Context, since time.Time, fn func(blob.Info) error) error
		Open(ctx context.Context, key string, off, n int64) (io.ReadCloser, error)
	}
	Index *index.DB
	Log   []eventlog.Record // of the instances topic, all

	// Empty opens an index without rows, and returns what closes it. Nil leaves out the replay (I4).
	Empty func() (*index.DB, func() error, error)
	Rand  *rand.Rand // shuffles the replay; nil takes a fixed seed
}

// Violation is a broken promise, by the number that docs/decisions/0010 gives it.
type Violation struct{ Invariant, What string }

func (v Violation) String() string { return v.Invariant + ": " + v.What }

// verifier gathers violations.
type verifier struct {
	Evidence
	ctx   context.Context
	found []Violation
	sums  map[string]fileSums // by blob key
}

// fileSums is what reading a blob told.
type fileSums struct {
	file string // hex SHA-256
	err  error
}

// Verify returns the promises that the evidence shows broken. Its error is that of an engine that could not be asked.
//
//	I1 every acknowledged object is in the index, and its blob has the bytes that were sent
//	I2 no index row without its blob
//	I3 one row for each (tenant, SOP Instance UID, data set, transfer syntax), one of a UID is current: the first received
//	I4 the index is what a replay of the log makes, in any order across keys and with any repetition
//	I6 what was not acknowledged is there whole or not at all
//	orphan: every object's blob has an event
func Verify(ctx context.Context, e Evidence) ([]Violation, error) {
	if e.Rand == nil {
		e.Rand = rand.New(rand.NewPCG(1, 1))
	}
	v := &verifier{Evidence: e, ctx: ctx, sums: map[string]fileSums{}}
	dump, err := dumpOf(ctx, e.Index)
	if err != nil {
		return nil, err
	}
	for _, check := range []func() error{v.blobs, v.acknowledged, func() error { return v.rows(dump) }, func() error { return v.replay(dump) }} {
		if err := check(); err != nil {
			return v.found, err
		}
	}
	return v.found, nil
}

func (v *verifier) violate(invariant, format string, args ...any) {
	v.found = append(v.found, Violation{invariant, fmt.Sprintf(format, args...)})
}

// read reads a blob once and remembers it.
func (v *verifier) read(key string) fileSums {
	if s, ok := v.sums[key]; ok {
		return s
	}
	var s fileSums
	r, err := v.Blobs.Open(v.ctx, key, 0, -1)
	if err == nil {
		h := sha256.New()
		_, err = io.Copy(h, r)
		err = errors.Join(err, r.Close())
		s.file = hex.EncodeToString(h.Sum(nil))
	}
	s.err = err
	v.sums[key] = s
	return s
}

// dataset returns the hash of a blob's bytes from its data set on.
func (v *verifier) dataset(key string, off int64) (string, error) {
	r, err := v.Blobs.Open(v.ctx, key, off, -1)
	if err != nil {
		return "", err
	}
	h := sha256.New()
	_, err = io.Copy(h, r)
	return hex.EncodeToString(h.Sum(nil)), errors.Join(err, r.Close())
}

// blobs looks at every blob: whole, sent by somebody, with an event.
func (v *verifier) blobs() error {
	told := map[string]bool{}
	for _, r := range v.Log {
		if key, err := event.BlobKey(r.Event); err == nil {
			told[key] = true
		}
	}
	err := v.Blobs.List(v.ctx, time.Time{}, func(info blob.Info) error {
		s := v.read(info.Key)
		switch {
		case s.err != nil:
			v.violate("I6", "blob %s is there and cannot be read: %v", info.Key, s.err)
		case info.Meta["kind"] != "object":
		case v.Sent != nil && !v.Sent[s.file]:
			v.violate("I6", "blob %s has bytes that nobody sent", info.Key)
		case !told[info.Key]:
			v.violate("orphan", "blob %s has no event", info.Key)
		}
		return nil
	})
	if errors.Is(err, blob.ErrCorrupt) {
		v.violate("I6", "the store lists what it cannot read: %v", err)
		return nil
	}
	return err
}

// acknowledged looks for every object that a sender relies on.
func (v *verifier) acknowledged() error {
	for _, k := range v.Acked {
		if k.Quarantined {
			q, err := v.Index.QuarantinedBytes(v.ctx, k.Tenant, k.FileSHA256)
			if err != nil && !errors.Is(err, index.ErrNotFound) {
				return err
			}
			if err != nil {
				v.violate("I1", "an acknowledged object %.12s is not in the quarantine", k.FileSHA256)
			} else if s := v.read(q.BlobKey); s.err != nil || s.file != k.FileSHA256 {
				v.violate("I1", "the quarantined blob %s has other bytes than were sent, or none: %v", q.BlobKey, s.err)
			}
			continue
		}
		versions, _, err := v.Index.Lookup(v.ctx, k.Tenant, k.SOPInstanceUID)
		if err != nil {
			return err
		}
		i := slices.IndexFunc(versions, func(r index.Version) bool {
			return r.DatasetSHA256 == k.DatasetSHA256 && r.TransferSyntaxUID == k.TransferSyntaxUID
		})
		if i < 0 {
			v.violate("I1", "the acknowledged data set %.12s of %s is not in the index", k.DatasetSHA256, k.SOPInstanceUID)
			continue
		}
		if s := v.read(versions[i].BlobKey); s.err != nil || s.file != versions[i].SHA256 {
			v.violate("I1", "the blob %s of %s has other bytes than were sent, or none: %v", versions[i].BlobKey, k.SOPInstanceUID, s.err)
		}
	}
	return nil
}

// identity is what versions share.
type identity struct{ tenant, uid string }

// rows looks at every row: its blob, its only one of a data set, the one current of a UID.
func (v *verifier) rows(dump []byte) error {
	said := map[identity]map[string]*event.Instance{} // by data set and transfer syntax
	for _, r := range v.Log {
		if r.Event.Type != event.TypeInstanceStored && r.Event.Type != event.TypeInstanceConflict {
			continue
		}
		in, err := event.Decode[event.Instance](r.Event.Data)
		if err != nil {
			return fmt.Errorf("event %s: %w", r.Event.ID, err)
		}
		id := identity{in.Tenant, in.IDs.SOPInstanceUID}
		if said[id] == nil {
			said[id] = map[string]*event.Instance{}
		}
		said[id][in.Blob.DatasetSHA256+" "+in.Blob.TransferSyntaxUID] = in
	}
	promoted, decided, err := v.decisions()
	if err != nil {
		return err
	}
	conflicts := map[string]bool{}
	for tenant := range tenants(said) {
		waiting, err := v.Index.Conflicts(v.ctx, tenant, 0, 0)
		if err != nil {
			return err
		}
		for _, c := range waiting {
			conflicts[tenant+" "+c.SOPInstanceUID] = true
		}
	}
	all, current := 0, 0
	for id, sets := range said {
		versions, now, err := v.Index.Lookup(v.ctx, id.tenant, id.uid)
		if err != nil {
			return err
		}
		all += len(versions)
		current++
		v.versions(id, versions, now, promoted[id], sets)
		if (len(versions) > 1) != conflicts[id.tenant+" "+id.uid] && !decided[id] {
			v.violate("I3", "%s has %d data sets, listed as a conflict: %v", id.uid, len(versions), conflicts[id.tenant+" "+id.uid])
		}
	}
	rows, shown := 0, 0
	lines := bufio.NewScanner(bytes.NewReader(dump))
	lines.Buffer(nil, 1<<20)
	for lines.Scan() {
		if line := lines.Text(); strings.HasPrefix(line, "instance ") {
			rows++
			if !strings.Contains(line, " superseded=") {
				shown++
			}
		}
	}
	if rows != all || shown != current {
		v.violate("I3", "the index has %d rows, %d of them current; the log tells of %d and %d", rows, shown, all, current)
	}
	return lines.Err()
}

// decisions returns which data set people promoted last of each SOP Instance UID, and of which they decided anything.
func (v *verifier) decisions() (promoted map[identity]string, decided map[identity]bool, err error) {
	type set struct {
		identity
		hash string
	}
	sets := map[string]set{} // by object id
	for _, r := range v.Log {
		if in, err := event.Decode[event.Instance](r.Event.Data); err == nil && r.Event.Type != event.TypeInstanceQuarantined {
			sets[in.ObjectID] = set{identity{in.Tenant, in.IDs.SOPInstanceUID}, in.Blob.DatasetSHA256 + " " + in.Blob.TransferSyntaxUID}
		}
	}
	promoted, decided = map[identity]string{}, map[identity]bool{}
	type moment struct {
		at int64
		id string
	}
	latest := map[identity]moment{}
	for _, r := range v.Log {
		if r.Event.Type != event.TypeConflictResolved {
			continue
		}
		d, err := event.Decode[event.Resolution](r.Event.Data)
		if err != nil {
			return nil, nil, fmt.Errorf("event %s: %w", r.Event.ID, err)
		}
		s, now := sets[d.ObjectID], moment{d.At.UnixMicro(), r.Event.ID}
		decided[s.identity] = true
		if was := latest[s.identity]; d.Action == "promoted" && (now.at > was.at || now.at == was.at && now.id > was.id) {
			latest[s.identity], promoted[s.identity] = now, s.hash
		}
	}
	return promoted, decided, nil
}

func tenants(said map[identity]map[string]*event.Instance) map[string]bool {
	all := map[string]bool{}
	for id := range said {
		all[id.tenant] = true
	}
	return all
}

// versions looks at the rows of one SOP Instance UID, which Lookup orders by when they were received.
func (v *verifier) versions(id identity, versions []index.Version, current, promoted string, sets map[string]*event.Instance) {
	if len(versions) == 0 {
		v.violate("I4", "%s has events and no row", id.uid)
		return
	}
	first := versions[0].ObjectID
	for _, r := range versions {
		if promoted == r.DatasetSHA256+" "+r.TransferSyntaxUID {
			first = r.ObjectID
		}
	}
	if current != first {
		v.violate("I3", "current of %s is %q, not the one promoted or the first received, %s", id.uid, current, first)
	}
	seen := map[string]bool{}
	for _, r := range versions {
		key := r.DatasetSHA256 + " " + r.TransferSyntaxUID
		in, known := sets[key]
		if seen[key] || !known {
			v.violate("I3", "%s has a second row of one data set, or one that no event tells of", id.uid)
		}
		seen[key] = true
		switch s := v.read(r.BlobKey); {
		case s.err != nil:
			v.violate("I2", "the row of %s has no blob %s: %v", id.uid, r.BlobKey, s.err)
		case s.file != r.SHA256:
			v.violate("I2", "the blob %s of %s has other bytes than its row says", r.BlobKey, id.uid)
		case known && in.Blob.Key == r.BlobKey:
			if set, err := v.dataset(r.BlobKey, in.Blob.DatasetOffset); err != nil || set != r.DatasetSHA256 {
				v.violate("I2", "the blob %s of %s has another data set than its row says: %v", r.BlobKey, id.uid, err)
			}
		}
	}
}

// replay makes the index again from the log: keys in another order, records more than once.
func (v *verifier) replay(dump []byte) error {
	if v.Empty == nil {
		return nil
	}
	db, done, err := v.Empty()
	if err != nil {
		return err
	}
	records := v.shuffled()
	for from := 0; from < len(records) && err == nil; {
		to := min(len(records), from+1+v.Rand.IntN(64))
		err = db.Apply(v.ctx, records[from:to])
		from = to
	}
	var again []byte
	if err == nil {
		again, err = dumpOf(v.ctx, db)
	}
	if err := errors.Join(err, done()); err != nil {
		return err
	}
	if !bytes.Equal(dump, again) {
		v.violate("I4", "the index is not what its log makes: %s", firstDifference(dump, again))
	}
	return nil
}

// shuffled returns the log's records in any order, a third of them twice, at new positions.
func (v *verifier) shuffled() []eventlog.Record {
	records := slices.Clone(v.Log)
	for range len(v.Log) / 3 {
		records = append(records, v.Log[v.Rand.IntN(len(v.Log))])
	}
	v.Rand.Shuffle(len(records), func(i, j int) { records[i], records[j] = records[j], records[i] })
	for i := range records {
		records[i].Position = eventlog.Position{Topic: event.TopicInstances, Offset: int64(i + 1)}
	}
	return records
}

func dumpOf(ctx context.Context, db *index.DB) ([]byte, error) {
	var out bytes.Buffer
	err := db.Dump(ctx, &out)
	return out.Bytes(), err
}

// firstDifference tells the first line that only one of two dumps has, by its beginning.
func firstDifference(a, b []byte) string {
	count := map[string]int{}
	for line := range strings.Lines(string(a)) {
		count[line]++
	}
	for line := range strings.Lines(string(b)) {
		count[line]--
	}
	for _, line := range slices.Sorted(maps.Keys(count)) {
		if count[line] > 0 {
			return fmt.Sprintf("it has %.300q", line)
		} else if count[line] < 0 {
			return fmt.Sprintf("it lacks %.300q", line)
		}
	}
	return "the order of rows"
}
