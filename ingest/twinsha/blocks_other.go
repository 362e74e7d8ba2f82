//go:build !amd64

package twinsha

const accelerated = false

var constants [64]uint32

func blocks(_, _ *state, _, _ *byte, _ int, _ *[64]uint32) { panic("twinsha: not accelerated") }
