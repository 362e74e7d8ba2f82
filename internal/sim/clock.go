package sim

import (
	"sync"
	"time"
)

// Clock says what the clocks of a world do.
type Clock int

// Clocks.
const (
	Steady   Clock = iota
	BackHour       // goes back by an hour in the middle of the run
	DayAhead       // jumps ahead by a day in the middle of the run
	Frozen         // stands still
	Skewed         // nodes differ by up to ten minutes from one another and from the engines
	clocks
)

func (c Clock) String() string {
	return [...]string{"steady", "back an hour", "a day ahead", "frozen", "skewed"}[c]
}

// wallClock is the clock of one node or engine.
type wallClock struct {
	mu     sync.Mutex
	offset time.Duration
	frozen time.Time // zero while it runs
}

func (c *wallClock) now() time.Time {
	c.mu.Lock()
	defer c.mu.Unlock()
	if !c.frozen.IsZero() {
		return c.frozen
	}
	return time.Now().Add(c.offset)
}

func (c *wallClock) jump(by time.Duration) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.offset += by
}

func (c *wallClock) freeze() {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.frozen = time.Now().Add(c.offset)
}
