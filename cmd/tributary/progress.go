package main

import (
	"fmt"
	"io"
	"os"
	"strings"
	"sync"
	"sync/atomic"
	"time"
)

// progress draws one line about long work: done, bytes, rate, time left. On a terminal it redraws; into
// a file or pipe it prints a line now and then.
type progress struct {
	out        io.Writer
	terminal   bool
	what       string
	totalItems int64
	totalBytes int64
	items      atomic.Int64
	bytes      atomic.Int64
	begin      time.Time
	stop       chan struct{}
	drawn      sync.WaitGroup
}

// How often the line is redrawn on a terminal, and printed elsewhere.
const (
	redrawEvery = 200 * time.Millisecond
	printEvery  = 10 * time.Second
)

func startProgress(out io.Writer, quiet bool, what string, items, bytes int64) *progress {
	p := &progress{out: out, what: what, totalItems: items, totalBytes: bytes, begin: time.Now(), stop: make(chan struct{})}
	if f, ok := out.(*os.File); ok {
		if info, err := f.Stat(); err == nil {
			p.terminal = info.Mode()&os.ModeCharDevice != 0
		}
	}
	if quiet {
		return p
	}
	every := printEvery
	if p.terminal {
		every = redrawEvery
	}
	p.drawn.Go(func() {
		tick := time.NewTicker(every)
		defer tick.Stop()
		for {
			select {
			case <-tick.C:
				p.draw()
			case <-p.stop:
				if p.terminal {
					p.draw()
					fmt.Fprintln(p.out)
				}
				return
			}
		}
	})
	return p
}

// finish draws the last state and ends the line.
func (p *progress) finish() {
	close(p.stop)
	p.drawn.Wait()
}

func (p *progress) draw() {
	const width = 24
	done := p.bytes.Load()
	var share float64
	took := time.Since(p.begin)
	rate := byteCount(int64(float64(done)/took.Seconds())) + "/s"
	switch {
	case p.totalBytes > 0:
		share = min(float64(done)/float64(p.totalBytes), 1) // resent bytes count twice
	case p.totalItems > 0: // of work that has no bytes
		share = min(float64(p.items.Load())/float64(p.totalItems), 1)
		rate = fmt.Sprintf("%.0f/s", float64(p.items.Load())/took.Seconds())
	default: // nobody knows how much there is
		begin, end := "", "\n"
		if p.terminal {
			begin, end = "\r", "\x1b[K"
		}
		fmt.Fprint(p.out, begin, p.what, " ", p.items.Load(), end)
		return
	}
	of := ""
	if p.totalItems > 0 {
		of = fmt.Sprintf("/%d", p.totalItems)
	}
	line := fmt.Sprintf("%s %d%s  %s", p.what, p.items.Load(), of, rate)
	if share > 0 && share < 1 {
		line += "  " + (time.Duration(float64(took)/share) - took).Round(time.Second).String() + " left"
	}
	if !p.terminal {
		fmt.Fprintln(p.out, line)
		return
	}
	full := int(share * width)
	fmt.Fprintf(p.out, "\r[%s%s] %3.0f%%  %s\x1b[K", strings.Repeat("=", full), strings.Repeat(" ", width-full), share*100, line)
}

// byteCount writes n bytes in binary units.
func byteCount(n int64) string {
	units := []string{"B", "KiB", "MiB", "GiB", "TiB"}
	v, u := float64(n), 0
	for v >= 1024 && u < len(units)-1 {
		v, u = v/1024, u+1
	}
	if u == 0 {
		return fmt.Sprintf("%d B", n)
	}
	return fmt.Sprintf("%.1f %s", v, units[u])
}
