package main

import (
	"math"
	"testing"
	"time"
)

func TestPercentile(t *testing.T) {
	var hundred []time.Duration
	for i := 1; i <= 100; i++ {
		hundred = append(hundred, time.Duration(i))
	}
	for _, c := range []struct {
		sorted []time.Duration
		p      float64
		want   time.Duration
	}{
		{nil, 50, 0},
		{hundred[:1], 50, 1},
		{hundred[:1], 99, 1},
		{hundred[:2], 50, 1},
		{hundred[:3], 50, 2},
		{hundred, 0, 1},
		{hundred, 50, 50},
		{hundred, 99, 99},
		{hundred, 100, 100},
		{hundred[:10], 99, 10},
	} {
		if got := percentile(c.sorted, c.p); got != c.want {
			t.Errorf("percentile(%d samples, %v) = %d, want %d", len(c.sorted), c.p, got, c.want)
		}
	}
}

func TestMedian(t *testing.T) {
	for _, c := range []struct {
		values []float64
		want   float64
	}{{nil, 0}, {[]float64{3}, 3}, {[]float64{3, 1}, 2}, {[]float64{9, 1, 5}, 5}, {[]float64{4, 1, 2, 3}, 2.5}} {
		if got := median(c.values); got != c.want {
			t.Errorf("median(%v) = %v, want %v", c.values, got, c.want)
		}
	}
	kept := []float64{3, 1, 2}
	median(kept)
	if kept[0] != 3 {
		t.Error("median sorted its argument")
	}
}

func TestRatio(t *testing.T) {
	for _, c := range []struct {
		ours, theirs float64
		u            unit
		want         float64
	}{
		{300, 100, objects, 3},
		{50, 100, mega, 0.5},
		{2, 10, millis, 5}, // half the latency is twice as good
		{10, 2, millis, 0.2},
		{0, 100, objects, 0},
		{100, 0, objects, 0},
		{0, 2, millis, 0},
	} {
		if got := ratio(c.ours, c.theirs, c.u); math.Abs(got-c.want) > 1e-9 {
			t.Errorf("ratio(%v, %v, %s) = %v, want %v", c.ours, c.theirs, c.u, got, c.want)
		}
	}
}

func TestFigures(t *testing.T) {
	l := load{ops: 20, bytes: 40e6, elapsed: 2 * time.Second, each: []time.Duration{time.Millisecond, 2 * time.Millisecond}}
	for _, c := range []struct {
		u    unit
		want float64
	}{{objects, 100}, {studies, 10}, {times, 10}, {mega, 20}, {millis, 1}} {
		r := result{Unit: c.u}
		r.figures(l, 10)
		if r.Value != c.want || r.Objects != 200 || r.P99 != 2 {
			t.Errorf("%s: %+v, want value %v of 200 objects", c.u, r, c.want)
		}
	}
	empty := result{Unit: mega}
	if empty.figures(load{}, 1); empty.Value != 0 {
		t.Errorf("no load gives %v", empty.Value)
	}
}
