package main

import (
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"time"
)

// ticks is how many clock ticks of /proc make a second (USER_HZ, 100 on every Linux).
const ticks = 100

// cpuSeconds returns the user and system time of a process and its children so far, in seconds; 0 where
// there is no /proc.
func cpuSeconds(pid int) float64 {
	text, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", pid))
	if err != nil {
		return 0
	}
	used := statTicks(string(text))
	for _, c := range children(pid) {
		used += int64(cpuSeconds(c) * ticks)
	}
	return float64(used) / ticks
}

// statTicks sums utime, stime, cutime and cstime of /proc/PID/stat, fields 14 to 17.
func statTicks(stat string) (sum int64) {
	fields := strings.Fields(stat[strings.LastIndexByte(stat, ')')+1:]) // from field 3 on; the name may have spaces
	if len(fields) < 15 {
		return 0
	}
	for _, f := range fields[11:15] {
		n, _ := strconv.ParseInt(f, 10, 64)
		sum += n
	}
	return sum
}

// children returns the processes that a process's threads started and not yet waited for.
func children(pid int) (all []int) {
	lists, _ := filepath.Glob(fmt.Sprintf("/proc/%d/task/*/children", pid)) // the pattern is good
	for _, l := range lists {
		text, err := os.ReadFile(l)
		if err != nil {
			continue // the thread is gone
		}
		for _, f := range strings.Fields(string(text)) {
			if c, err := strconv.Atoi(f); err == nil {
				all = append(all, c)
			}
		}
	}
	return all
}

// residentBytes returns the resident memory of a process and its children.
func residentBytes(pid int) int64 {
	sum := statusBytes(pid, "VmRSS:")
	for _, c := range children(pid) {
		sum += residentBytes(c)
	}
	return sum
}

// statusBytes reads a size from /proc/PID/status, 0 when there is none.
func statusBytes(pid int, field string) int64 {
	text, err := os.ReadFile(fmt.Sprintf("/proc/%d/status", pid))
	if err != nil {
		return 0
	}
	for line := range strings.Lines(string(text)) {
		if rest, ok := strings.CutPrefix(line, field); ok {
			kib, _ := strconv.ParseInt(strings.TrimSpace(strings.TrimSuffix(strings.TrimSpace(rest), "kB")), 10, 64)
			return kib << 10
		}
	}
	return 0
}

// sampling is how often the memory of a process and its children is looked at. The peak of the process
// itself is the kernel's own count.
const sampling = 100 * time.Millisecond

// watch starts to follow a server and returns how to end that: it tells the CPU seconds and the peak of
// resident memory in between.
func watch(pid int) (done func() (cpu float64, peak int64)) {
	_ = os.WriteFile(fmt.Sprintf("/proc/%d/clear_refs", pid), []byte("5"), 0o600) // 5 resets VmHWM; without, the peak is that since the start
	before := cpuSeconds(pid)
	stop, sampled := make(chan struct{}), make(chan int64)
	go func() {
		var peak int64
		tick := time.NewTicker(sampling)
		defer tick.Stop()
		for {
			peak = max(peak, residentBytes(pid))
			select {
			case <-stop:
				sampled <- peak
				return
			case <-tick.C:
			}
		}
	}()
	return func() (float64, int64) {
		close(stop)
		return cpuSeconds(pid) - before, max(<-sampled, statusBytes(pid, "VmHWM:"))
	}
}
