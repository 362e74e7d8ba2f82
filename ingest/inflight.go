package ingest

import (
	"context"
	"sync"
)

// identity names an instance within the node.
type identity struct{ tenant, sopInstanceUID string }

// inFlight makes admissions of one SOP Instance UID take turns from the duplicate check until the event
// can be seen, so that a node keeps one copy of what two devices send at once. Nodes do not share it:
// between nodes the index decides.
type inFlight struct {
	mu      sync.Mutex
	waiting map[identity]chan struct{} // closed when the holder is done
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
