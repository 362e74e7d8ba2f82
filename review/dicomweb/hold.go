package dicomweb

import (
	"context"
	"net/http"
	"time"
)

// What is in memory as a whole while it is being sent, headers and pictures, shares heldMemory, bytes: a file may have
// 16 MiB of header, a picture more, and clients may take their time. What is not larger than heldSmall is not counted.
const (
	heldMemory = 256 << 20
	heldSmall  = 256 << 10
)

// holdWait bounds how long a request waits for its share: who waits may have a share of drawing, which others want.
const holdWait = 10 * time.Second

// hold waits, bounded, for a share of n bytes, and returns what to call when they are no longer held.
func (s *server) hold(ctx context.Context, n int64) (free func(), err error) {
	if n <= heldSmall {
		return func() {}, nil
	}
	n = min(n, heldMemory)
	wait, cancel := context.WithTimeout(ctx, holdWait)
	defer cancel()
	if err := s.held.Acquire(wait, n); err != nil {
		if ctx.Err() != nil {
			return nil, ctx.Err()
		}
		return nil, fail(http.StatusServiceUnavailable, "too many clients take their time with large answers; try again")
	}
	return func() { s.held.Release(n) }, nil
}

// tryHold is hold without waiting: nil where there is no share now.
func (s *server) tryHold(n int64) (free func()) {
	if n <= heldSmall {
		return func() {}
	}
	n = min(n, heldMemory)
	if !s.held.TryAcquire(n) {
		return nil
	}
	return func() { s.held.Release(n) }
}
