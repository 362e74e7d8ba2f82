package web

import (
	"context"
	"strconv"
	"sync"
	"time"
)

// Bounds of counting. Numbers above mostWaiting are shown as "99+".
const (
	mostWaiting  = 99
	countTimeout = time.Second
	maxTenants   = 256 // whose numbers are remembered
)

// waiting knows how much waits for operators. It counts a bounded number of rows, at most every badgeFor, one request
// at a time; the others meanwhile use the last numbers.
type waiting struct {
	desk Desk // nil: nothing ever waits
	now  func() time.Time

	mu    sync.Mutex
	known map[string]*waitingCount // by tenant
}

type waitingCount struct {
	quarantined, conflicts int
	until                  time.Time
	busy                   bool
}

func newWaiting(desk Desk, now func() time.Time) *waiting {
	return &waiting{desk: desk, now: now, known: map[string]*waitingCount{}}
}

// badges returns the numbers by section of the navigation; a section without one is not among them. An index that does
// not answer leaves the last numbers as they are: pages do not fail because of them.
func (c *waiting) badges(ctx context.Context, tenant string) map[string]string {
	if c == nil || c.desk == nil {
		return nil
	}
	c.mu.Lock()
	n := c.known[tenant]
	if n == nil {
		if len(c.known) >= maxTenants {
			clear(c.known)
		}
		n = &waitingCount{}
		c.known[tenant] = n
	}
	if now := c.now(); !n.busy && !now.Before(n.until) {
		n.busy = true
		c.mu.Unlock()
		quarantined, conflicts, err := c.count(ctx, tenant)
		c.mu.Lock()
		n.busy, n.until = false, now.Add(badgeFor)
		if err == nil {
			n.quarantined, n.conflicts = quarantined, conflicts
		}
	}
	defer c.mu.Unlock()
	out := map[string]string{}
	for section, count := range map[string]int{"quarantine": n.quarantined, "conflicts": n.conflicts} {
		switch {
		case count > mostWaiting:
			out[section] = strconv.Itoa(mostWaiting) + "+"
		case count > 0:
			out[section] = strconv.Itoa(count)
		}
	}
	return out
}

func (c *waiting) count(ctx context.Context, tenant string) (quarantined, conflicts int, err error) {
	ctx, cancel := context.WithTimeout(ctx, countTimeout)
	defer cancel()
	entries, err := c.desk.Quarantine(ctx, tenant, mostWaiting+1, 0)
	if err != nil {
		return 0, 0, err
	}
	open, err := c.desk.Conflicts(ctx, tenant, mostWaiting+1, 0)
	return len(entries), len(open), err
}

// forget lets the next page count again, after a decision.
func (c *waiting) forget(tenant string) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if n := c.known[tenant]; n != nil {
		n.until = time.Time{}
	}
}
