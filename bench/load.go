package main

import (
	"context"
	"slices"
	"sync/atomic"
	"time"

	"golang.org/x/sync/errgroup"
)

// client is one connection's worth of load.
type client interface {
	// do performs request number i and returns the bytes that mattered, sent or received.
	do(ctx context.Context, i int) (int64, error)
	close()
}

// drive has some clients perform requests 0 to n-1, each as fast as it can. No request starts after slice;
// the first failure ends it all. Connecting is not part of the time.
func drive(ctx context.Context, clients, n int, slice time.Duration, open func(ctx context.Context) (client, error)) (load, error) {
	all := make([]client, 0, clients)
	defer func() {
		for _, c := range all {
			c.close()
		}
	}()
	for range clients {
		c, err := open(ctx)
		if err != nil {
			return load{}, err
		}
		all = append(all, c)
	}
	var next, moved atomic.Int64
	each := make([][]time.Duration, clients)
	g, ctx := errgroup.WithContext(ctx)
	start := time.Now()
	for w, c := range all {
		g.Go(func() error {
			for {
				began := time.Now()
				if began.Sub(start) > slice || ctx.Err() != nil {
					return ctx.Err()
				}
				i := int(next.Add(1)) - 1
				if i >= n {
					return nil
				}
				bytes, err := c.do(ctx, i)
				if err != nil {
					return err
				}
				each[w] = append(each[w], time.Since(began))
				moved.Add(bytes)
			}
		})
	}
	err := g.Wait()
	l := load{elapsed: time.Since(start), bytes: moved.Load(), each: slices.Concat(each...)}
	l.ops = len(l.each)
	slices.Sort(l.each)
	return l, err
}
