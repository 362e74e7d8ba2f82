package main

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"runtime"
	"strings"
	"time"
)

// Goals for the node's memory over idle in W3, MiB: one object, and four at once.
const (
	goalOne  = 64
	goalFour = 96
)

// columns of the table. Of figures with slashes the order is that of the systems in the header.
var columns = []string{
	"", "line", "unit", "tributary", "null", "storescp", "Orthanc", "× null", "× Orthanc",
	"p50 / p99 ms", "CPU s", "CPU s/GiB: ours / null / Orthanc", "peak MiB", "over idle MiB: ours / null / storescp / Orthanc",
}

// merged is one line over all repetitions: medians by system, the highest of memory.
type merged struct {
	workload, line string
	unit           unit
	by             map[string]result
}

// merge groups results by line, in the order in which they were first measured.
func merge(results []result) (lines []*merged) {
	type key struct{ workload, line string }
	groups := map[key]map[string][]result{}
	known := map[key]*merged{}
	for _, r := range results {
		k := key{r.Workload, r.Line}
		if known[k] == nil {
			known[k] = &merged{workload: r.Workload, line: r.Line, unit: r.Unit, by: map[string]result{}}
			groups[k] = map[string][]result{}
			lines = append(lines, known[k])
		}
		groups[k][r.System] = append(groups[k][r.System], r)
	}
	for k, m := range known {
		for system, all := range groups[k] {
			m.by[system] = middle(all)
		}
	}
	return lines
}

// middle returns the medians of the repetitions of one measurement and the highest of its memory. One
// failure fails it.
func middle(all []result) result {
	r := all[0]
	of := func(get func(result) float64) float64 {
		v := make([]float64, len(all))
		for i, one := range all {
			v[i] = get(one)
		}
		return median(v)
	}
	r.Value = of(func(r result) float64 { return r.Value })
	r.P50, r.P99 = of(func(r result) float64 { return r.P50 }), of(func(r result) float64 { return r.P99 })
	r.CPU, r.CPUPerGiB = of(func(r result) float64 { return r.CPU }), of(func(r result) float64 { return r.CPUPerGiB })
	for _, one := range all {
		r.Peak, r.OverIdle = max(r.Peak, one.Peak), max(r.OverIdle, one.OverIdle)
		if one.Err != "" {
			r.Err = one.Err
		}
	}
	return r
}

// writeTable prints all lines as a Markdown table that is readable as it is.
func writeTable(out io.Writer, results []result) {
	rows := [][]string{columns}
	for _, m := range merge(results) {
		rows = append(rows, m.cells())
	}
	width := make([]int, len(columns))
	for _, row := range rows {
		for i, c := range row {
			width[i] = max(width[i], len([]rune(c)))
		}
	}
	for n, row := range rows {
		for i, c := range row {
			fmt.Fprintf(out, "| %s%s ", c, strings.Repeat(" ", width[i]-len([]rune(c))))
		}
		fmt.Fprintln(out, "|")
		if n == 0 {
			for _, w := range width {
				fmt.Fprintf(out, "|%s", strings.Repeat("-", w+2))
			}
			fmt.Fprintln(out, "|")
		}
	}
}

func (m *merged) cells() []string {
	ours := m.by["tributary"]
	cells := []string{m.workload, m.line, string(m.unit)}
	for _, s := range []string{"tributary", "null", "storescp", "orthanc"} {
		cells = append(cells, m.value(s))
	}
	for _, s := range []string{"null", "orthanc"} {
		x := ratio(ours.Value, m.by[s].Value, m.unit)
		if x == 0 {
			cells = append(cells, "–")
			continue
		}
		cells = append(cells, figure(x))
	}
	if ours.System == "" || ours.Err != "" {
		cells = append(cells, "–", "–")
	} else {
		cells = append(cells, figure(ours.P50)+" / "+figure(ours.P99), figure(ours.CPU))
	}
	cpuPerGiB := func(r result) float64 {
		if m.unit == millis || r.CPUPerGiB == 0 {
			return -1 // of small answers, seconds a GiB say nothing
		}
		return r.CPUPerGiB
	}
	memory := func(get func(result) float64) func(result) float64 {
		return func(r result) float64 {
			if r.Peak == 0 {
				return -1
			}
			return get(r)
		}
	}
	cells = append(cells,
		m.several(cpuPerGiB, "tributary", "null", "orthanc"),
		m.several(memory(func(r result) float64 { return r.Peak }), "tributary"),
		m.several(memory(func(r result) float64 { return r.OverIdle }), "tributary", "null", "storescp", "orthanc"))
	return cells
}

// value is the main figure of a system.
func (m *merged) value(system string) string {
	r, ok := m.by[system]
	switch {
	case !ok:
		return "–"
	case r.Err != "":
		return "failed"
	default:
		return figure(r.Value)
	}
}

// several joins a figure of some systems. A negative figure is none.
func (m *merged) several(get func(result) float64, systems ...string) string {
	cells := make([]string, len(systems))
	some := false
	for i, s := range systems {
		cells[i] = "–"
		if r, ok := m.by[s]; ok && r.Err == "" && get(r) >= 0 {
			cells[i], some = figure(get(r)), true
		}
	}
	if !some {
		return "–"
	}
	return strings.Join(cells, " / ")
}

// figure prints three digits, and thousands as they are.
func figure(v float64) string {
	switch {
	case v >= 100:
		return fmt.Sprintf("%.0f", v)
	case v >= 10:
		return fmt.Sprintf("%.1f", v)
	default:
		return fmt.Sprintf("%.2f", v)
	}
}

// surroundings says where and when the run took place.
func surroundings() string {
	load := "unknown"
	if text, err := os.ReadFile("/proc/loadavg"); err == nil {
		load = strings.Join(strings.Fields(string(text))[:3], " ")
	}
	return fmt.Sprintf("%s, %s/%s, %d cores, %s, load average before the start %s",
		time.Now().UTC().Format("2006-01-02 15:04 UTC"), runtime.GOOS, runtime.GOARCH, runtime.NumCPU(), runtime.Version(), load)
}

func writeJSON(file, before string, results []result) error {
	text, err := json.MarshalIndent(struct {
		Run     string   `json:"run"`
		Results []result `json:"results"`
	}{before, results}, "", "  ")
	if err != nil {
		return err
	}
	return os.WriteFile(file, append(text, '\n'), 0o644)
}

// verdict fails when a line of the node failed or, when asked, took more memory than its goal. What peers
// cannot do is their affair.
func verdict(results []result, check bool) error {
	var errs []error
	for _, m := range merge(results) {
		r, ok := m.by["tributary"]
		if !ok {
			continue
		}
		if r.Err != "" {
			errs = append(errs, fmt.Errorf("%s %s: %s", m.workload, m.line, r.Err))
			continue
		}
		goal := float64(goalOne)
		if strings.HasSuffix(m.line, fmt.Sprintf("%d clients", crowd)) {
			goal = goalFour
		}
		if check && m.workload == "W3" && r.OverIdle > goal {
			errs = append(errs, fmt.Errorf("W3 %s: %.0f MiB over idle, the goal is %.0f", m.line, r.OverIdle, goal))
		}
	}
	return errors.Join(errs...)
}
