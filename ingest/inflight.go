package ingest

import (
	"context"
	"slices"
	"sync"

	"github.com/tributary-dicom/tributary/storage/index"
)

// identity names an instance within the node.
type identity struct{ tenant, sopInstanceUID string }

// inFlight makes admissions of one SOP Instance UID take turns from the duplicate check until the event
// can be seen, so that a node keeps one copy of what two devices send at once. Nodes do not share it:
// between nodes the index decides.
type inFlight struct {
	mu      sync.Mutex
	waiting map[identity]chan struct{} // closed when the holder is done

	// unseen are durable versions that the index had not applied when their sender was answered.
	unseen map[identity][]index.Version
}

// maxUnseen bounds the identities remembered while the index lags. Beyond it a second copy of a resent
// object may be kept, which the index collapses.
const maxUnseen = 100_000

// remember notes a version that the index does not show yet. The caller holds id's lock.
func (f *inFlight) remember(id identity, v index.Version) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if len(f.unseen) < maxUnseen {
		f.unseen[id] = append(f.unseen[id], v)
	}
}

// recall returns the remembered versions that shown lacks, and forgets the others. The caller holds id's
// lock.
func (f *inFlight) recall(id identity, shown []index.Version) (late []index.Version, ok bool) {
	f.mu.Lock()
	defer f.mu.Unlock()
	for _, v := range f.unseen[id] {
		if !slices.ContainsFunc(shown, func(s index.Version) bool { return s.DatasetSHA256 == v.DatasetSHA256 }) {
			late = append(late, v)
		}
	}
	delete(f.unseen, id)
	if len(late) > 0 {
		f.unseen[id] = late
	}
	return late, len(late) > 0
}

// lock waits for id's turn, or for ctx to end.
func (f *inFlight) lock(ctx context.Context, id identity) (unlock func(), err error) {
	for {
		f.mu.Lock()
		held, taken := f.waiting[id]
		if !taken {
			done := make(chan struct{})
			f.waiting[id] = done
			f.mu.Unlock()
			return func() {
				f.mu.Lock()
				delete(f.waiting, id)
				f.mu.Unlock()
				close(done)
			}, nil
		}
		f.mu.Unlock()
		select {
		case <-held:
		case <-ctx.Done():
			return nil, ctx.Err()
		}
	}
}
