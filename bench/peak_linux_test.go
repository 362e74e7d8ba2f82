package main

import (
	"os"
	"syscall"
)

// peakOf is the peak of resident memory of an ended process, bytes.
func peakOf(p *os.ProcessState) int64 {
	if u, ok := p.SysUsage().(*syscall.Rusage); ok {
		return u.Maxrss << 10
	}
	return 0
}
