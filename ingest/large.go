package ingest

import (
	"context"
	"time"

	"github.com/tributary-dicom/tributary/parsers/reject"
)

// An object with a header of 16 MiB, or with two million fragments, takes 40 to 250 MiB until its event is
// written; nearly all others less than one. So the large ones share a budget, in bytes as part10 counts
// them. A smaller one makes enhanced multi-frame objects wait for one another, a larger one lets a hostile
// network end the node.
const (
	largeBytes = 64 << 20
	largeWait  = 30 * time.Second
)

// largeShare is what one admission has of the budget.
type largeShare struct {
	in   *Intake
	ctx  context.Context
	held int64
}

// take waits for n bytes more, and refuses the object for now when others hold them too long.
func (s *largeShare) take(n int64) error {
	ctx, cancel := context.WithTimeout(s.ctx, largeWait)
	defer cancel()
	if err := s.in.large.Acquire(ctx, n); err != nil {
		if s.ctx.Err() != nil {
			return aborted(s.ctx.Err())
		}
		return reject.New(reject.OutOfResources, "ingest.Admit", "too many objects with large headers at a time; send again")
	}
	s.held += n
	return nil
}

func (s *largeShare) giveBack() { s.in.large.Release(s.held) }
