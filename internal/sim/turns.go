package sim

import (
	"cmp"
	"errors"
	"math/rand/v2"
	"slices"
	"sync"
	"testing/synctest"
)

// errDead is what a node that has crashed sees of every engine.
var errDead = errors.New("this node has crashed")

// turns lets one goroutine of a world run at a time, in the order that the seed decides.
type turns struct {
	rng *rand.Rand

	mu     sync.Mutex
	parked []*turn
	calls  int
}

// turn is a goroutine that waits to call an engine.
type turn struct {
	who, what string
	of        *Node
	run       chan struct{}
}

// await parks the caller until its turn comes. It fails when its node is dead by then.
func (t *turns) await(of *Node, what string) error {
	if of.dead.Load() {
		return errDead
	}
	mine := &turn{who: of.name, what: what, of: of, run: make(chan struct{})}
	t.mu.Lock()
	t.parked = append(t.parked, mine)
	t.mu.Unlock()
	<-mine.run
	if of.dead.Load() {
		return errDead
	}
	return nil
}

// next lets one parked goroutine run until it parks again or ends. It reports false when nobody waits.
func (t *turns) next() bool {
	synctest.Wait()
	t.mu.Lock()
	if len(t.parked) == 0 {
		t.mu.Unlock()
		return false
	}
	t.sort()
	i := t.rng.IntN(len(t.parked))
	chosen := t.parked[i]
	t.parked = slices.Delete(t.parked, i, i+1)
	t.calls++
	t.mu.Unlock()
	close(chosen.run)
	synctest.Wait()
	return true
}

// release lets all goroutines of a dead node run to their ends, one after another.
func (t *turns) release(of *Node) {
	for {
		t.mu.Lock()
		t.sort()
		i := slices.IndexFunc(t.parked, func(w *turn) bool { return w.of == of })
		if i < 0 {
			t.mu.Unlock()
			return
		}
		chosen := t.parked[i]
		t.parked = slices.Delete(t.parked, i, i+1)
		t.mu.Unlock()
		close(chosen.run)
		synctest.Wait()
	}
}

// sort makes the order of those who wait independent of who came first: Go's scheduler has a say in that.
func (t *turns) sort() {
	slices.SortStableFunc(t.parked, func(a, b *turn) int { return cmp.Or(cmp.Compare(a.who, b.who), cmp.Compare(a.what, b.what)) })
}

// chance draws a fault with a probability of permille / 1000.
func (w *World) chance(permille int) bool { return w.faulty && w.rng.IntN(1000) < permille }
