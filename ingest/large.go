package ingest

import (
	"context"
	"time"

	"golang.org/x/sync/semaphore"

	"github.com/tributary-dicom/tributary/parsers/reject"
)

// An object with a header of 16 MiB, or with two million fragments, takes 40 to 250 MiB until its event is
// written; nearly all others less than one. So the large ones share a budget, in bytes as part10 counts
// them. A smaller one makes enhanced multi-frame objects wait for one another, a larger one lets a hostile
// network end the node.
const (
	largeBytes = 32 << 20
	largeWait  = 30 * time.Second
)

// overdrafts is how many objects may go beyond the budget. Without them, many that have a part of it each
// would all wait for the rest.
const overdrafts = 2

// largeBudget is what large objects share.
type largeBudget struct {
	bytes *semaphore.Weighted
	over  chan struct{} // has a token for each overdraft
}

func newLargeBudget() largeBudget {
	return largeBudget{semaphore.NewWeighted(largeBytes), make(chan struct{}, overdrafts)}
}

// largeShare is what one admission has of the budget.
type largeShare struct {
	from *largeBudget
	ctx  context.Context
	held int64
	over bool
}

// take gets n bytes more. It waits where the budget is spent, and refuses the object for now when that
// takes too long.
func (s *largeShare) take(n int64) error {
	if s.over {
		return nil
	}
	if s.from.bytes.TryAcquire(n) {
		s.held += n
		return nil
	}
	late := time.NewTimer(largeWait)
	defer late.Stop()
	select {
	case s.from.over <- struct{}{}:
		s.over = true
		return nil
	case <-s.ctx.Done():
		return aborted(s.ctx.Err())
	case <-late.C:
		return reject.New(reject.OutOfResources, "ingest.Admit", "too many objects with large headers at a time; send again")
	}
}

func (s *largeShare) giveBack() {
	s.from.bytes.Release(s.held)
	if s.over {
		<-s.from.over
	}
}
