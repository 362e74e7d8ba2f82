package upload

import (
	"context"
	"sync"

	tusd "github.com/tus/tusd/v2/pkg/handler"
)

// tusLocks lets one request at a time work on an upload. A HEAD or DELETE asks the holder to let go and
// waits: its client has lost the connection that still holds the lock. A second PATCH is answered 423 at
// once, since two senders of one upload are a mistake.
type tusLocks struct {
	mu   sync.Mutex
	held map[string]*holder
}

type holder struct {
	done    chan struct{}
	ask     func() // asks the holder to let go; may be nil
	writing bool
}

func newTusLocks() *tusLocks { return &tusLocks{held: map[string]*holder{}} }

// NewLock implements tusd.Locker.
func (l *tusLocks) NewLock(id string) (tusd.Lock, error) { return &tusLock{locks: l, id: id}, nil }

type tusLock struct {
	locks *tusLocks
	id    string
	mine  *holder
}

// Lock implements tusd.Lock.
func (l *tusLock) Lock(ctx context.Context, requestUnlock func()) error {
	return l.lock(ctx, requestUnlock, requestOf(ctx).writes)
}

func (l *tusLock) lock(ctx context.Context, ask func(), writing bool) error {
	for {
		l.locks.mu.Lock()
		h := l.locks.held[l.id]
		if h == nil {
			l.mine = &holder{done: make(chan struct{}), ask: ask, writing: writing}
			l.locks.held[l.id] = l.mine
			l.locks.mu.Unlock()
			return nil
		}
		l.locks.mu.Unlock()
		if writing && h.writing {
			return tusd.ErrFileLocked
		}
		if !writing && h.ask != nil {
			h.ask()
		}
		select {
		case <-h.done:
		case <-ctx.Done():
			return tusd.ErrFileLocked
		}
	}
}

// Unlock implements tusd.Lock.
func (l *tusLock) Unlock() error {
	l.locks.mu.Lock()
	delete(l.locks.held, l.id)
	l.locks.mu.Unlock()
	close(l.mine.done)
	return nil
}
