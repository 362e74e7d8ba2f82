package main

import (
	"math"
	"slices"
	"time"
)

// percentile returns the nearest-rank percentile of sorted samples, 0 without any: the smallest sample
// that at least p of 100 are not above.
func percentile(sorted []time.Duration, p float64) time.Duration {
	if len(sorted) == 0 {
		return 0
	}
	rank := int(math.Ceil(p / 100 * float64(len(sorted))))
	return sorted[min(max(rank, 1), len(sorted))-1]
}

// median returns the middle value, the mean of the two middle ones of an even count, 0 without any.
func median(values []float64) float64 {
	if len(values) == 0 {
		return 0
	}
	v := slices.Sorted(slices.Values(values))
	half := len(v) / 2
	if len(v)%2 == 1 {
		return v[half]
	}
	return (v[half-1] + v[half]) / 2
}

// ratio returns how many times as good ours is as theirs, 0 when one is missing. Of latencies the smaller
// is the better one.
func ratio(ours, theirs float64, u unit) float64 {
	if ours <= 0 || theirs <= 0 {
		return 0
	}
	if u == millis {
		return theirs / ours
	}
	return ours / theirs
}

// unit is what the main figure of a line counts.
type unit string

// Units of lines.
const (
	objects unit = "obj/s"
	studies unit = "studies/s"
	mega    unit = "MB/s" // 10^6 bytes
	times   unit = "ops/s"
	millis  unit = "p50 ms"
)

// result is one measurement of one line at one system.
type result struct {
	Workload string  `json:"workload"`
	Line     string  `json:"line"`
	System   string  `json:"system"`
	Unit     unit    `json:"unit"`
	Rep      int     `json:"rep"`
	Value    float64 `json:"value"` // in Unit; 0 when it failed

	Objects int     `json:"objects,omitempty"` // instances or answers
	Bytes   int64   `json:"bytes,omitempty"`   // sent or received, headers of the protocols aside
	Seconds float64 `json:"seconds,omitempty"` // wall time

	P50 float64 `json:"p50_ms,omitempty"` // of one request, milliseconds
	P99 float64 `json:"p99_ms,omitempty"`

	CPU       float64 `json:"cpu_seconds,omitempty"` // user and system time of the server's processes
	CPUPerGiB float64 `json:"cpu_seconds_per_gib,omitempty"`

	Idle     float64 `json:"idle_mib,omitempty"` // resident memory of the fresh server
	Peak     float64 `json:"peak_mib,omitempty"` // highest during the measurement
	OverIdle float64 `json:"over_idle_mib,omitempty"`

	Err string `json:"error,omitempty"`
}

// load is what the clients of one measurement saw.
type load struct {
	ops     int // requests; of a series numbered from 0, all below this number succeeded
	bytes   int64
	elapsed time.Duration
	each    []time.Duration // sorted
}

// figures fills in what follows from a load; perOp is how many objects one request carries.
func (r *result) figures(l load, perOp int) {
	r.Objects, r.Bytes, r.Seconds = l.ops*perOp, l.bytes, l.elapsed.Seconds()
	r.P50, r.P99 = ms(percentile(l.each, 50)), ms(percentile(l.each, 99))
	if r.Seconds <= 0 {
		return
	}
	switch r.Unit {
	case mega:
		r.Value = float64(r.Bytes) / 1e6 / r.Seconds
	case millis:
		r.Value = r.P50
	case objects:
		r.Value = float64(r.Objects) / r.Seconds
	default:
		r.Value = float64(l.ops) / r.Seconds
	}
}

func ms(d time.Duration) float64 { return float64(d) / float64(time.Millisecond) }

const (
	mib = 1 << 20
	gib = 1 << 30
)
