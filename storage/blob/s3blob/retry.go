package s3blob

import (
	"context"
	"fmt"
	"math/rand/v2"
	"time"
)

// Back-off between attempts is random up to a bound that doubles: many writers that failed together must not
// come back together.
const (
	backoffFirst = 100 * time.Millisecond
	backoffMost  = 3 * time.Second
)

// watch ends a request in which nothing moves for too long.
type watch struct {
	cancel context.CancelCauseFunc
	timer  *time.Timer
	limit  time.Duration
}

func newWatch(ctx context.Context, limit time.Duration) (context.Context, *watch) {
	ctx, cancel := context.WithCancelCause(ctx)
	return ctx, &watch{
		cancel: cancel, limit: limit,
		timer: time.AfterFunc(limit, func() { cancel(fmt.Errorf("%w (%v)", errStalled, limit)) }),
	}
}

// touch says that something moved.
func (w *watch) touch() { w.timer.Reset(w.limit) }

// pause stops the clock, while it is the caller who has to move.
func (w *watch) pause() { w.timer.Stop() }

// end releases everything. The request must be over.
func (w *watch) end() {
	w.timer.Stop()
	w.cancel(nil)
}

// do sends a request, again while it fails for a reason that may pass. It returns the library's error, or
// that of ctx when its owner gave up. try must use the context that it gets, and tell the watch what moves.
func (s *Store) do(ctx context.Context, limit time.Duration, try func(context.Context, *watch) error) error {
	if limit == 0 {
		limit = s.opt.Timeout
	}
	return s.again(ctx, func() error { return s.once(ctx, limit, try) })
}

// again calls try while it fails for a reason that may pass, with growing pauses. While the store is away it
// is called once.
func (s *Store) again(ctx context.Context, try func() error) error {
	began := s.health.successes()
	for attempt := 1; ; attempt++ {
		if err := context.Cause(ctx); err != nil {
			return err
		}
		err := try()
		if cause := context.Cause(ctx); err != nil && cause != nil {
			return cause
		}
		if err == nil || judge(err) != passing {
			return err
		}
		if attempt >= s.opt.Attempts {
			s.health.exhausted(began, err)
			return err
		}
		if s.health.cause() != nil {
			return err
		}
		if err := sleep(ctx, rand.N(min(backoffFirst<<(attempt-1), backoffMost))); err != nil {
			return err
		}
	}
}

// once sends a request and tells the breaker how it went.
func (s *Store) once(ctx context.Context, limit time.Duration, try func(context.Context, *watch) error) error {
	tctx, w := newWatch(ctx, limit)
	err := try(tctx, w)
	if cause := context.Cause(tctx); err != nil && cause != nil {
		err = cause // what the library makes of it says less
	}
	w.end()
	if cause := context.Cause(ctx); err != nil && cause != nil {
		return cause
	}
	s.health.heard(err)
	return err
}

func sleep(ctx context.Context, d time.Duration) error {
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-ctx.Done():
		return context.Cause(ctx)
	case <-t.C:
		return nil
	}
}
