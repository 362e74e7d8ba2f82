package dicomweb

import "context"

// What is in memory as a whole while it is being sent, headers and pictures, shares heldMemory, bytes: a file may have
// 16 MiB of header, a picture more, and clients may take their time. What is not larger than heldSmall is not counted.
const (
	heldMemory = 256 << 20
	heldSmall  = 256 << 10
)

// hold waits for a share of n bytes, and returns what to call when they are no longer held.
func (s *server) hold(ctx context.Context, n int64) (free func(), err error) {
	if n <= heldSmall {
		return func() {}, nil
	}
	n = min(n, heldMemory)
	if err := s.held.Acquire(ctx, n); err != nil {
		return nil, err
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
