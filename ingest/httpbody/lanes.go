package httpbody

import (
	"bytes"
	"context"
	"io"
	"sync"

	"golang.org/x/sync/semaphore"
)

// Buffers of Lanes, bytes: most objects of a slice-by-slice series fit the small one.
const (
	smallBuffer = 128 << 10
	largeBuffer = 1 << 20
)

var (
	smallBuffers = sync.Pool{New: func() any { return new([smallBuffer]byte) }}
	largeBuffers = sync.Pool{New: func() any { return new([largeBuffer]byte) }}
)

// Lanes admits the parts of one request side by side. Parts come one after another on the wire, and
// making one durable takes as long as receiving many: so a part of up to 1 MiB is taken into memory and
// admitted while the next is received. Longer parts stream through on the caller's goroutine.
type Lanes struct {
	budget *semaphore.Weighted // bytes in buffers
	wg     sync.WaitGroup
}

// NewLanes returns Lanes that hold at most budget bytes, and not less than 1 MiB + 128 KiB.
func NewLanes(budget int64) *Lanes {
	return &Lanes{budget: semaphore.NewWeighted(max(budget, smallBuffer+largeBuffer))}
}

// Run calls admit with the bytes of part, on another goroutine when they fit a buffer, and returns then
// without waiting for it. An error is the part's, or ctx's while waiting for room; admit is not called.
func (l *Lanes) Run(ctx context.Context, part io.Reader, admit func(io.Reader)) error {
	if err := l.budget.Acquire(ctx, smallBuffer); err != nil {
		return err
	}
	small := smallBuffers.Get().(*[smallBuffer]byte)
	dropSmall := func() { smallBuffers.Put(small); l.budget.Release(smallBuffer) }
	n, whole, err := readWhole(part, small[:])
	if err != nil {
		dropSmall()
		return err
	}
	if whole {
		l.start(small[:n], admit, dropSmall)
		return nil
	}
	// A lane never waits for a large buffer while it holds a small one and others do the same: this
	// goroutine is the only one that acquires.
	if err := l.budget.Acquire(ctx, largeBuffer); err != nil {
		dropSmall()
		return err
	}
	large := largeBuffers.Get().(*[largeBuffer]byte)
	dropLarge := func() { largeBuffers.Put(large); l.budget.Release(largeBuffer) }
	n = copy(large[:], small[:n])
	dropSmall()
	m, whole, err := readWhole(part, large[n:])
	n += m
	switch {
	case err != nil:
		dropLarge()
		return err
	case whole:
		l.start(large[:n], admit, dropLarge)
		return nil
	}
	head := &headThen{head: large[:n], drop: dropLarge, rest: part}
	admit(head)
	head.release()
	return nil
}

func (l *Lanes) start(data []byte, admit func(io.Reader), drop func()) {
	l.wg.Go(func() {
		defer drop()
		admit(bytes.NewReader(data))
	})
}

// Wait returns when all admissions are done.
func (l *Lanes) Wait() { l.wg.Wait() }

// readWhole fills b; whole tells that r ended within it.
func readWhole(r io.Reader, b []byte) (n int, whole bool, err error) {
	for n < len(b) {
		m, err := r.Read(b[n:])
		n += m
		if err == io.EOF {
			return n, true, nil
		}
		if err != nil {
			return n, false, err
		}
	}
	return n, false, nil
}

// headThen yields a buffer, gives it back as soon as it is read, and goes on with the rest.
type headThen struct {
	head []byte
	drop func()
	rest io.Reader
}

func (h *headThen) Read(p []byte) (int, error) {
	if len(h.head) == 0 {
		h.release()
		return h.rest.Read(p)
	}
	n := copy(p, h.head)
	h.head = h.head[n:]
	return n, nil
}

func (h *headThen) release() {
	if h.drop != nil {
		h.drop()
		h.drop, h.head = nil, nil
	}
}
