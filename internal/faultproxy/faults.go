package faultproxy

import "time"

// Direction is a way through the proxy.
type Direction int

// Directions; they add up.
const (
	ToEngine Direction = 1 << iota
	ToClient
	Both = ToEngine | ToClient
)

// Faults is what a Proxy does to its connections, old and new. The zero value forwards everything at once.
type Faults struct {
	// Latency and a random part of Jitter pass before each piece of at most 32 KiB is forwarded.
	Latency, Jitter time.Duration

	// BytesPerSecond bounds each direction of each connection; 0 means no bound.
	BytesPerSecond int64

	// ResetAfter resets a connection that has forwarded so many bytes, both directions together. 0 means never.
	ResetAfter int64

	// Refuse closes the listening port: new connections are refused by the system. Old ones stay.
	Refuse bool

	// Hold forwards nothing in the given directions: connections are taken and stay open, as in a partition.
	// With one direction a connection is half-open. What was held flows when the direction is free again.
	Hold Direction
}

// piece is how much is forwarded at once, bytes.
const piece = 32 << 10
