package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"time"
)

// bench is one run.
type bench struct {
	options
	dir     string // servers' folders
	log     io.Writer
	systems []system
	results []result
	rep     int
	salt    uint64
	folders int
	began   time.Time

	// What the workloads need, made when first used.
	w1, w2, w3, w4 *set
}

// run measures everything that was asked for and prints the table.
func run(ctx context.Context, opt options, out, log io.Writer) (err error) {
	b := &bench{options: opt, log: log, began: time.Now(), salt: uint64(time.Now().Unix()%1e7) * 1000}
	if err := b.folder(); err != nil {
		return err
	}
	defer func() { err = errors.Join(err, os.RemoveAll(b.dir)) }()
	if b.binary == "" && (has(opt.systems, "tributary") || has(opt.systems, "shared")) {
		b.binary = filepath.Join(b.dir, "tributary")
		build := exec.CommandContext(ctx, "go", "build", "-trimpath", "-o", b.binary, "github.com/tributary-dicom/tributary/cmd/tributary")
		build.Env = append(os.Environ(), "CGO_ENABLED=0")
		if said, err := build.CombinedOutput(); err != nil {
			return fmt.Errorf("build tributary: %w\n%s", err, said)
		}
	}
	for _, name := range words(strings.ToLower(opt.systems)) {
		s, err := systemNamed(name, b.binary, opt.shared)
		if err != nil {
			fmt.Fprintf(log, "%s is skipped: %v\n", name, err)
			continue
		}
		b.systems = append(b.systems, s)
	}
	before := surroundings()
	for b.rep = 1; b.rep <= opt.reps; b.rep++ {
		if err := b.workloads(ctx); err != nil {
			return err
		}
	}
	fmt.Fprintln(out, before)
	fmt.Fprintln(out)
	writeTable(out, b.results)
	if opt.json != "" {
		if err := writeJSON(opt.json, before, b.results); err != nil {
			return err
		}
	}
	return verdict(b.results, opt.check)
}

// folder makes the folder of this run within -dir.
func (b *bench) folder() (err error) {
	if b.options.dir != "" {
		if err := os.MkdirAll(b.options.dir, 0o755); err != nil {
			return err
		}
	}
	if b.dir, err = os.MkdirTemp(b.options.dir, "tributary-bench-"); err != nil {
		return err
	}
	b.dir, err = filepath.Abs(b.dir)
	return err
}

// workloads runs everything once: each workload on one system after the other.
func (b *bench) workloads(ctx context.Context) error {
	if has(b.only, "raw") {
		results, err := machine(b.dir, min(time.Second, b.slice/4))
		if err != nil {
			return err
		}
		for _, r := range results {
			b.note(r)
		}
	}
	for _, w := range []struct {
		name    string
		prepare func() error
		run     func(ctx context.Context, s system) error
	}{
		{"W1", b.prepareW1, b.runW1}, {"W2", b.prepareW2, b.runW2}, {"W3", b.prepareW3, b.runW3}, {"W4", b.prepareW4, b.runW4},
	} {
		if !has(b.only, w.name) {
			continue
		}
		if err := w.prepare(); err != nil {
			return fmt.Errorf("%s: make the objects: %w", w.name, err)
		}
		for _, s := range b.systems {
			if err := w.run(ctx, s); err != nil {
				return fmt.Errorf("%s: %w", w.name, err)
			}
			if err := ctx.Err(); err != nil {
				return err
			}
		}
	}
	return nil
}

// fresh runs use against a server with an empty folder, which is gone afterwards.
func (b *bench) fresh(ctx context.Context, s system, o startOptions, use func(srv *server) error) error {
	b.folders++
	dir := filepath.Join(b.dir, fmt.Sprintf("%s-%d", s.name, b.folders))
	if err := os.Mkdir(dir, 0o755); err != nil {
		return err
	}
	srv, err := s.launch(ctx, dir, o)
	if err != nil {
		return err
	}
	err = use(srv)
	srv.stop()
	err = errors.Join(err, os.RemoveAll(dir))
	syncDisk(b.dir)
	return err
}

// after is how long a server's work that follows the last answer is still counted as its CPU time.
const after = 300 * time.Millisecond

// measure runs one line: drive has the clients do it, perOp is how many objects a request carries. A
// failure is a result too.
func (b *bench) measure(srv *server, workload, line string, u unit, perOp int, drive func() (load, error)) load {
	done := watch(srv.pid)
	l, err := drive()
	time.Sleep(after)
	cpu, peak := done()
	r := result{Workload: workload, Line: line, System: srv.system, Unit: u, Rep: b.rep, CPU: cpu}
	r.Idle, r.Peak, r.OverIdle = float64(srv.idle)/mib, float64(peak)/mib, max(0, float64(peak-srv.idle))/mib
	r.figures(l, perOp)
	if r.Bytes > 0 {
		r.CPUPerGiB = r.CPU / (float64(r.Bytes) / gib)
	}
	if err != nil {
		r.Err, r.Value = err.Error(), 0
	}
	b.note(r)
	return l
}

// note keeps a result and tells the one who waits.
func (b *bench) note(r result) {
	r.Rep = b.rep
	b.results = append(b.results, r)
	said := fmt.Sprintf("%s %s", figure(r.Value), r.Unit)
	if r.Err != "" {
		said = "failed: " + r.Err
	}
	fmt.Fprintf(b.log, "%5.0fs %-4s %-40s %-10s %s\n", time.Since(b.began).Seconds(), r.Workload, r.Line, r.System, said)
}

// nextSalt returns the salt of a measurement's objects.
func (b *bench) nextSalt() uint64 {
	b.salt++
	return b.salt
}

// scaled is a count, a tenth of it with -quick.
func (b *bench) scaled(n int) int {
	if b.quick {
		return n / 10
	}
	return n
}
