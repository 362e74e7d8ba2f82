package faultproxy

import (
	"math/rand/v2"
	"net"
	"sync"
	"sync/atomic"
	"time"
)

// link is one connection through the proxy.
type link struct {
	proxy          *Proxy
	client, engine *net.TCPConn
	rng            [2]*rand.Rand // one a direction: their order stays out of it
	forwarded      atomic.Int64
	dropAnswer     atomic.Bool

	once   sync.Once
	broken chan struct{} // closed by reset
}

func (l *link) reset() {
	l.once.Do(func() {
		close(l.broken)
		reset(l.client)
		reset(l.engine)
	})
}

// finish closes a link whose ends have both said that they are done. What is still under way arrives.
func (l *link) finish() {
	l.once.Do(func() {
		close(l.broken)
		_ = l.client.Close()
		_ = l.engine.Close()
	})
}

// pump forwards one direction to its end.
func (l *link) pump(way Direction) {
	from, to, rng := l.client, l.engine, l.rng[0]
	if way == ToClient {
		from, to, rng = l.engine, l.client, l.rng[1]
	}
	buf := make([]byte, piece)
	for {
		n, err := from.Read(buf)
		if n > 0 && !l.deliver(way, to, buf[:n], rng) {
			return
		}
		if err != nil {
			if l.free(way) && to.CloseWrite() == nil {
				return
			}
			l.reset()
			return
		}
	}
}

// deliver writes one piece under the faults of the moment. It reports false when the link is broken.
func (l *link) deliver(way Direction, to *net.TCPConn, b []byte, rng *rand.Rand) bool {
	if !l.free(way) {
		return false
	}
	f, _ := l.proxy.now()
	wait := f.Latency
	if f.Jitter > 0 {
		wait += time.Duration(rng.Int64N(int64(f.Jitter)))
	}
	if f.BytesPerSecond > 0 {
		wait += time.Duration(int64(len(b)) * int64(time.Second) / f.BytesPerSecond)
	}
	if !l.sleep(wait) || !l.free(way) {
		return false
	}
	if way == ToEngine && l.proxy.loses(b) {
		l.dropAnswer.Store(true)
	}
	if way == ToClient && l.dropAnswer.Load() {
		l.reset()
		return false
	}
	cut := false
	if f.ResetAfter > 0 {
		if over := l.forwarded.Add(int64(len(b))) - f.ResetAfter; over >= 0 {
			b, cut = b[:max(0, int64(len(b))-over)], true
		}
	}
	if _, err := to.Write(b); err != nil || cut {
		l.reset()
		return false
	}
	return true
}

// free waits until a direction is not held. It reports false when the link is broken.
func (l *link) free(way Direction) bool {
	for {
		f, changed := l.proxy.now()
		if f.Hold&way == 0 {
			return true
		}
		select {
		case <-changed:
		case <-l.broken:
			return false
		}
	}
}

func (l *link) sleep(d time.Duration) bool {
	if d <= 0 {
		return true
	}
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-timer.C:
		return true
	case <-l.broken:
		return false
	}
}
