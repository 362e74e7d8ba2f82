package s3blob

import (
	"context"
	"errors"
	"log/slog"
	"math/rand/v2"
	"sync"
	"time"
)

const (
	// tripAfter failures in a row, of whatever requests, mean that the server is away. A stall counts for
	// several: it has taken long already.
	tripAfter    = 8
	stallWeighs  = 4
	probeFirst   = 250 * time.Millisecond
	probeMost    = 10 * time.Second
	probeTimeout = 5 * time.Second

	// freshFor is how long a success proves that the store takes writes.
	freshFor = 10 * time.Second
)

// health is the circuit breaker. While it is open nothing new is begun, and a goroutine writes a small
// object now and then until that succeeds.
type health struct {
	ctx   context.Context // of the store
	wg    *sync.WaitGroup
	log   *slog.Logger
	probe func(context.Context) error

	mu      sync.Mutex
	failed  int // in a row
	good    uint64
	last    time.Time // of the last good answer
	open    error     // why nothing is begun; nil means all is well
	stopped bool
}

// heard takes in how a request went.
func (h *health) heard(err error) {
	h.mu.Lock()
	defer h.mu.Unlock()
	if err == nil {
		h.good++
		h.failed, h.last = 0, time.Now()
		return
	}
	switch judge(err) {
	case passing:
		h.failed++
		if errors.Is(err, errStalled) {
			h.failed += stallWeighs - 1
		}
		if h.failed >= tripAfter {
			h.trip(err)
		}
	case refused, full:
		// For writes alone this ends everything: refuse tells.
	default:
		h.good++ // the server is there, and answers
		h.failed = 0
	}
}

func (h *health) successes() uint64 {
	h.mu.Lock()
	defer h.mu.Unlock()
	return h.good
}

// exhausted says that a request failed for good, that began when so many had succeeded.
func (h *health) exhausted(began uint64, err error) {
	h.mu.Lock()
	defer h.mu.Unlock()
	if h.good == began {
		h.trip(err)
	}
}

// refuse opens the breaker at once: no write can succeed.
func (h *health) refuse(err error) {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.trip(err)
}

// cause returns why nothing can be begun, nil when it can.
func (h *health) cause() error {
	h.mu.Lock()
	defer h.mu.Unlock()
	return h.open
}

// fresh tells whether a request succeeded a moment ago.
func (h *health) fresh() bool {
	h.mu.Lock()
	defer h.mu.Unlock()
	return !h.last.IsZero() && time.Since(h.last) < freshFor
}

// trip is called with mu held.
func (h *health) trip(err error) {
	if h.open != nil || h.stopped {
		return
	}
	h.open = err
	h.log.Error("blob store takes nothing new until it answers again", "error", err.Error())
	h.wg.Go(h.recover)
}

// recover probes until the store takes writes again.
func (h *health) recover() {
	for wait := probeFirst; ; wait = min(2*wait, probeMost) {
		if sleep(h.ctx, wait/2+rand.N(wait/2)) != nil {
			return
		}
		err := h.probe(h.ctx)
		if h.ctx.Err() != nil {
			return
		}
		h.mu.Lock()
		if h.open = err; err == nil {
			h.good++
			h.failed, h.last = 0, time.Now()
			h.log.Info("blob store takes writes again")
		}
		h.mu.Unlock()
		if err == nil {
			return
		}
	}
}

// stop keeps a new goroutine from being started.
func (h *health) stop() {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.stopped = true
}
