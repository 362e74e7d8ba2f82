package dimse

import (
	"context"
	"sync"
	"time"
)

// budget counts the bytes of data sets under way. A message enters while the count is below the maximum,
// first come first served; after that its bytes are added as they arrive and never held up, so that no
// two messages can wait for each other.
type budget struct {
	max int64

	mu      sync.Mutex
	used    int64
	waiting []chan struct{} // closed on entry
}

// entryCost is what a message counts before its first byte, so that a crowd of slow starters counts too.
const entryCost = 64 << 10

// enter waits until there is room and says whether it came.
func (b *budget) enter(ctx context.Context, wait time.Duration) bool {
	b.mu.Lock()
	if len(b.waiting) == 0 && b.used < b.max {
		b.used += entryCost
		b.mu.Unlock()
		return true
	}
	in := make(chan struct{})
	b.waiting = append(b.waiting, in)
	b.mu.Unlock()

	timer := time.NewTimer(wait)
	defer timer.Stop()
	select {
	case <-in:
		return true
	case <-timer.C:
	case <-ctx.Done():
	}
	b.mu.Lock()
	defer b.mu.Unlock()
	for i, w := range b.waiting {
		if w == in {
			b.waiting = append(b.waiting[:i], b.waiting[i+1:]...)
			return false
		}
	}
	return true // let in at the last moment
}

// add counts n more bytes of a message that is in.
func (b *budget) add(n int64) {
	b.mu.Lock()
	b.used += n
	b.mu.Unlock()
}

// leave ends a message with n bytes beyond entryCost.
func (b *budget) leave(n int64) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.used -= n + entryCost
	for len(b.waiting) > 0 && b.used < b.max {
		b.used += entryCost
		close(b.waiting[0])
		b.waiting = b.waiting[1:]
	}
}

// share is one message's part of the budget; it reports in steps so that the lock is rarely taken.
type share struct {
	b        *budget
	total    int64 // bytes so far
	reported int64 // beyond entryCost
}

func (s *share) grow(n int64) {
	s.total += n
	if extra := s.total - entryCost - s.reported; extra >= 1<<20 {
		s.b.add(extra)
		s.reported += extra
	}
}

func (s *share) leave() { s.b.leave(s.reported) }
