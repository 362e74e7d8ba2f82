package reprocess

import (
	"context"
	"errors"
	"math"
	"sync"
	"time"
)

// Speed bounds what a job takes from live intake.
type Speed struct {
	Objects  float64 `json:"objects_per_second"` // 0 for any
	Bytes    float64 `json:"bytes_per_second"`   // 0 for any
	Parallel int     `json:"parallel"`           // objects that are read at a time; 0 means 1
}

// maxParallel bounds Speed.Parallel: each object may take some hundred megabytes while it is read.
const maxParallel = 16

// Validate reports every mistake.
func (s *Speed) Validate() error {
	var errs []error
	for _, rate := range []float64{s.Objects, s.Bytes} {
		if rate < 0 || math.IsNaN(rate) || math.IsInf(rate, 0) {
			errs = append(errs, errors.New("a rate is a number of 0 or more"))
			break
		}
	}
	if s.Parallel < 0 || s.Parallel > maxParallel {
		errs = append(errs, errors.New("1 to 16 objects are read at a time"))
	}
	return errors.Join(errs...)
}

// maxSaved is how much time a pause may save up for later: after a slow stretch, work goes on at its rate.
const maxSaved = time.Second

// pace spreads objects and bytes over time. Safe for concurrent use.
type pace struct {
	speed Speed
	mu    sync.Mutex
	next  time.Time // when the next object may begin
}

// take waits until an object of so many bytes may be read.
func (p *pace) take(ctx context.Context, bytes int64) error {
	var cost time.Duration
	if p.speed.Objects > 0 {
		cost = seconds(1 / p.speed.Objects)
	}
	if p.speed.Bytes > 0 {
		cost = max(cost, seconds(float64(bytes)/p.speed.Bytes))
	}
	now := time.Now()
	p.mu.Lock()
	if saved := now.Add(-maxSaved); p.next.Before(saved) {
		p.next = saved
	}
	wait := p.next.Sub(now)
	p.next = p.next.Add(cost)
	p.mu.Unlock()
	return sleep(ctx, wait)
}

// seconds is a duration that a tiny rate and a large object do not overflow.
func seconds(s float64) time.Duration {
	return time.Duration(min(s, float64(24*time.Hour/time.Second)) * float64(time.Second))
}

func sleep(ctx context.Context, d time.Duration) error {
	if d <= 0 {
		return ctx.Err()
	}
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-timer.C:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}
