package dirblob

import (
	"errors"
	"sync"
)

// rounds lets callers share work that is done one round at a time: who asks while a round runs joins the
// next, and exactly one of them does it for all. There is no goroutine and no delay: a lone caller does
// its own work at once. J is what a round carries.
type rounds[J any] struct {
	mu   sync.Mutex
	next *round[J] // not yet begun; may be joined
	run  sync.Mutex
}

type round[J any] struct {
	once sync.Once
	jobs J
	err  error
}

var errAbandoned = errors.New("shared work ended in a panic")

// do joins the next round. join adds the caller's job under a lock and may refuse, when the round is full,
// which starts another. work does a whole round; the rounds never overlap. do returns what work returned.
func (r *rounds[J]) do(join func(jobs *J) bool, work func(jobs *J) error) error {
	r.mu.Lock()
	mine := r.next
	if mine == nil || !join(&mine.jobs) {
		mine = &round[J]{err: errAbandoned}
		r.next = mine
		join(&mine.jobs)
	}
	r.mu.Unlock()

	mine.once.Do(func() {
		r.run.Lock()
		defer r.run.Unlock()
		r.mu.Lock()
		if r.next == mine {
			r.next = nil
		}
		r.mu.Unlock()
		mine.err = work(&mine.jobs)
	})
	return mine.err
}

// folderSync shares syncs of folders.
type folderSync struct {
	sync func(dir string) error

	mu   sync.Mutex
	dirs map[string]*rounds[struct{}]
}

// do returns once all that was done in dir before the call is durable.
func (f *folderSync) do(dir string) error {
	f.mu.Lock()
	r := f.dirs[dir]
	if r == nil {
		if len(f.dirs) >= 64 { // days come and go; whoever holds an old entry finishes with it
			clear(f.dirs)
		}
		r = &rounds[struct{}]{}
		f.dirs[dir] = r
	}
	f.mu.Unlock()
	return r.do(func(*struct{}) bool { return true }, func(*struct{}) error { return f.sync(dir) })
}
