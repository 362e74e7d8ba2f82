package indexer

import (
	"context"
	"hash/maphash"
	"sync"

	"github.com/tributary-dicom/tributary/pipeline/eventlog"
)

// Known tells which SOP Instance UIDs the index cannot have. Nearly every object that comes is new, and to hear
// so from a filter of a few bits a UID costs a hundredth of asking the index. It is for an index that this process
// alone writes: what another one adds, it does not hear of. Safe for concurrent use.
//
// It is a Bloom filter: "absent" is certain, "may be there" is wrong once in some hundred times while it
// holds what it was made for, and more often beyond.
type Known struct {
	seed maphash.Seed

	mu   sync.RWMutex
	bits []uint64 // a power of two of words
	full bool     // everything that the index has is in it
}

// Sizes of a filter: 16 bits for each UID, hashes positions each. The least is 2 MiB, for a million UIDs; the
// most 64 MiB.
const (
	bitsOfUID  = 16
	leastWords = 1 << 18
	mostWords  = 1 << 23
	hashes     = 4
)

// NewKnown returns a filter for some count UIDs that the index has, and twice as many to come. It says of
// every UID that it may be there, until Learn. The indexer must have it before it runs.
func NewKnown(count int64) *Known {
	words := leastWords
	for words < mostWords && float64(words) < float64(count)*3*bitsOfUID/64 {
		words *= 2
	}
	return &Known{seed: maphash.MakeSeed(), bits: make([]uint64, words)}
}

// Learn adds what the index holds: each calls its function with every UID. After an error the filter goes on
// saying that all may be there.
func (k *Known) Learn(ctx context.Context, each func(ctx context.Context, fn func(uid string) error) error) error {
	err := each(ctx, func(uid string) error {
		k.mu.Lock()
		k.add(uid)
		k.mu.Unlock()
		return ctx.Err()
	})
	if err != nil {
		return err
	}
	k.mu.Lock()
	k.full = true
	k.mu.Unlock()
	return nil
}

// Absent reports whether the index certainly has no object with this UID. Records that are not applied yet
// may have one.
func (k *Known) Absent(uid string) bool {
	k.mu.RLock()
	defer k.mu.RUnlock()
	if !k.full {
		return false
	}
	at, step := k.place(uid)
	for range hashes {
		if k.bits[at/64&uint64(len(k.bits)-1)]&(1<<(at%64)) == 0 {
			return true
		}
		at += step
	}
	return false
}

// add is called with mu held.
func (k *Known) add(uid string) {
	at, step := k.place(uid)
	for range hashes {
		k.bits[at/64&uint64(len(k.bits)-1)] |= 1 << (at % 64)
		at += step
	}
}

// place is the first position of a UID and the way to the next.
func (k *Known) place(uid string) (at, step uint64) {
	h := maphash.String(k.seed, uid)
	return h, h>>32 | h<<32 | 1
}

// note adds the UIDs of records, before the index has them.
func (k *Known) note(records []eventlog.Record) {
	k.mu.Lock()
	defer k.mu.Unlock()
	for i := range records {
		if uid := lastPart(records[i].Event.Subject); uid != "" {
			k.add(uid)
		}
	}
}

// lastPart is what stands behind the last slash: the SOP Instance UID of a subject (event.NewInstance).
func lastPart(subject string) string {
	for i := len(subject) - 1; i >= 0; i-- {
		if subject[i] == '/' {
			return subject[i+1:]
		}
	}
	return subject
}
