package ingest

import (
	"context"
	"time"

	"github.com/tributary-dicom/tributary/parsers/reject"
)

// An object with a header of 16 MiB, or with two million fragments, takes 40 to 180 MiB until its event is
// written. Most take less than one. So only few large ones are in hand at a time: a lower bound makes
// enhanced multi-frame objects wait for one another, a higher one lets a hostile network end the node.
const (
	largeAtOnce = 4
	largeWait   = 30 * time.Second
)

// largeTurn is one admission's right to be large.
type largeTurn struct {
	in   *Intake
	ctx  context.Context
	held bool
}

// take waits for the right, and refuses the object for now when others hold it too long.
func (t *largeTurn) take() error {
	late := time.NewTimer(largeWait)
	defer late.Stop()
	select {
	case t.in.large <- struct{}{}:
		t.held = true
		return nil
	case <-t.ctx.Done():
		return aborted(t.ctx.Err())
	case <-late.C:
		return reject.New(reject.OutOfResources, "ingest.Admit", "too many objects with large headers at a time; send again")
	}
}

func (t *largeTurn) leave() {
	if t.held {
		<-t.in.large
		t.held = false
	}
}
