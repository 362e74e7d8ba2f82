package httpbody

import (
	"bytes"
	"context"
	"errors"
	"io"
	"sync"
	"sync/atomic"
	"testing"
	"testing/iotest"
)

func TestLanes(t *testing.T) {
	sizes := []int{0, 1, smallBuffer - 1, smallBuffer, smallBuffer + 1, largeBuffer - 1, largeBuffer, largeBuffer + 1, 3 << 20, 5, 200_000}
	got := make([][]byte, len(sizes))
	l := NewLanes(0)
	for i, n := range sizes {
		data := bytes.Repeat([]byte{byte(i + 1)}, n)
		err := l.Run(t.Context(), iotest.DataErrReader(bytes.NewReader(data)), func(r io.Reader) {
			b, err := io.ReadAll(r)
			if err != nil {
				t.Error(err)
			}
			got[i] = b
		})
		if err != nil {
			t.Fatal(err)
		}
	}
	l.Wait()
	for i, n := range sizes {
		if !bytes.Equal(got[i], bytes.Repeat([]byte{byte(i + 1)}, n)) {
			t.Errorf("part %d: %d bytes, want %d", i, len(got[i]), n)
		}
	}
	if !l.budget.TryAcquire(smallBuffer + largeBuffer) {
		t.Error("budget was not given back")
	}
}

func TestLanesOverlap(t *testing.T) {
	l := NewLanes(8 << 20)
	var wg sync.WaitGroup
	wg.Add(10) // each admission waits for all others: they must run side by side
	for range 10 {
		if err := l.Run(t.Context(), bytes.NewReader(make([]byte, 100_000)), func(io.Reader) { wg.Done(); wg.Wait() }); err != nil {
			t.Fatal(err)
		}
	}
	l.Wait()
}

func TestLanesErrors(t *testing.T) {
	l := NewLanes(0)
	boom := errors.New("boom")
	for _, before := range []int{0, 10, 200_000} {
		r := io.MultiReader(bytes.NewReader(make([]byte, before)), iotest.ErrReader(boom))
		if err := l.Run(t.Context(), r, func(io.Reader) { t.Error("admitted") }); !errors.Is(err, boom) {
			t.Errorf("%d bytes before the error: %v", before, err)
		}
	}
	var seen atomic.Value
	r := io.MultiReader(bytes.NewReader(make([]byte, 2<<20)), iotest.ErrReader(boom))
	if err := l.Run(t.Context(), r, func(r io.Reader) { _, err := io.Copy(io.Discard, r); seen.Store(err) }); err != nil {
		t.Fatal(err)
	}
	if seen.Load() != boom {
		t.Errorf("a long part's error: %v", seen.Load())
	}
	if err := l.Run(t.Context(), bytes.NewReader(nil), func(io.Reader) {}); err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	release := make(chan struct{})
	for range 9 { // 1 MiB + 128 KiB hold nine small buffers
		if err := l.Run(ctx, bytes.NewReader(nil), func(io.Reader) { <-release }); err != nil {
			t.Fatal(err)
		}
	}
	cancel()
	if err := l.Run(ctx, bytes.NewReader(nil), func(io.Reader) {}); !errors.Is(err, context.Canceled) {
		t.Errorf("no room and cancelled: %v", err)
	}
	close(release)
	l.Wait()
}
