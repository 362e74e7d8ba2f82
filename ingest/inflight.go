package ingest

import (
	"context"
	"sync"

	"github.com/tributary-dicom/tributary/pipeline/eventlog"
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

	// unseen are durable versions that the index may not show yet, and queue their order.
	unseen map[identity][]lateVersion
	queue  []identity
}

// lateVersion is a version with the place of its event.
type lateVersion struct {
	index.Version
	at eventlog.Position
}

// maxUnseen bounds the versions remembered while the index lags. Beyond it a second copy of a resent
// object may be kept, which the index collapses.
const maxUnseen = 100_000

// remember notes a version whose event is durable at the position, and forgets those that seen says
// readers have. The caller holds id's lock.
func (f *inFlight) remember(id identity, v index.Version, at eventlog.Position, seen func(eventlog.Position) bool) {
	f.mu.Lock()
	defer f.mu.Unlock()
	for len(f.queue) > 0 {
		oldest := f.queue[0]
		if late := f.unseen[oldest]; !seen(late[0].at) {
			break
		} else if len(late) > 1 {
			f.unseen[oldest] = late[1:]
		} else {
			delete(f.unseen, oldest)
		}
		f.queue = f.queue[1:]
	}
	if len(f.queue) < maxUnseen {
		f.unseen[id] = append(f.unseen[id], lateVersion{v, at})
		f.queue = append(f.queue, id)
	}
}

// recall returns the versions of id that readers do not see yet. Ask before the index: what is seen by
// then, the index shows, unless an operator has removed it since.
func (f *inFlight) recall(id identity, seen func(eventlog.Position) bool) (versions []index.Version) {
	f.mu.Lock()
	defer f.mu.Unlock()
	for _, v := range f.unseen[id] {
		if !seen(v.at) {
			versions = append(versions, v.Version)
		}
	}
	return versions
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
