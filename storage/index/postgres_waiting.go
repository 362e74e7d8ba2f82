package index

import (
	"context"
	"math/rand/v2"
	"sync"
	"time"
)

// Pauses between looks for a server that was away when the index was opened.
const (
	lookFirst = 200 * time.Millisecond
	lookMost  = 5 * time.Second
)

// waiting is an index whose server was away when it was opened (Options.Patient). The zero value waits for
// nothing.
type waiting struct {
	done sync.WaitGroup

	mu  sync.Mutex
	why error // nil when the schema is as it must be
}

// cause returns why the index cannot be used yet, nil when it can.
func (w *waiting) cause() error {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.why
}

// begin calls prepare until it succeeds or life ends. A server that is back and will not do (one of a newer
// release, say) is asked on: operators mend it, and Ready tells what is wrong.
func (w *waiting) begin(life context.Context, why error, prepare func(context.Context) error) {
	w.why = why
	w.done.Go(func() {
		for pause := lookFirst; ; pause = min(2*pause, lookMost) {
			timer := time.NewTimer(pause/2 + rand.N(pause/2)) //nolint:gosec // no secret
			select {
			case <-timer.C:
			case <-life.Done():
				timer.Stop()
				return
			}
			ctx, cancel := context.WithTimeout(life, applyTimeout)
			err := prepare(ctx)
			cancel()
			if life.Err() != nil {
				return
			}
			w.mu.Lock()
			w.why = err
			w.mu.Unlock()
			if err == nil {
				return
			}
		}
	})
}
