package main

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"path/filepath"
	"sort"
	"strings"
	"sync"
	"time"

	"golang.org/x/sync/errgroup"

	"github.com/tributary-dicom/tributary/device"
)

type sendCmd struct {
	Paths    []string      `arg:"" help:"Files and folders." type:"path" name:"path"`
	To       string        `help:"Target: dicom://AET@HOST:PORT, or http://HOST:PORT." required:"" placeholder:"URL"`
	Via      string        `help:"How to send to an HTTP target: stow, upload or tus (default: stow for DICOM files, upload for others)." placeholder:"WAY"`
	AET      string        `help:"Our AE title." default:"TRIBUTARY_SCU" name:"aet"`
	Token    string        `help:"Access token of the node." env:"TRIBUTARY_TOKEN"`
	Parallel int           `help:"Concurrent connections." short:"n" default:"2"`
	Retries  int           `help:"How often an object is sent again after the line broke or the node was busy." default:"5"`
	Backoff  time.Duration `help:"Wait before the first repetition; it doubles each time." default:"500ms"`
	JSON     bool          `help:"Print one JSON line per object and a summary." name:"json"`
	Quiet    bool          `help:"No progress bar." short:"q"`
}

// sendResult is one line of `send --json`.
type sendResult struct {
	File string `json:"file"`
	device.Outcome
	Error string `json:"error,omitempty"`
	Tries int    `json:"tries"`
}

// sendSummary is the last line of `send --json`.
type sendSummary struct {
	Objects int            `json:"objects"`
	Bytes   int64          `json:"bytes"`
	Seconds float64        `json:"seconds"`
	Status  map[string]int `json:"status"`
	Failed  int            `json:"failed"`
	Passed  int            `json:"passed_over"` // files of folders that are no DICOM
}

// Run sends everything and fails when an object was neither stored nor kept.
func (c *sendCmd) Run(ctx context.Context, std streams) error {
	target, err := device.ParseTarget(c.To, c.Via)
	if err != nil {
		return usageError{err}
	}
	if c.Parallel < 1 || c.Parallel > 64 || c.Retries < 0 {
		return usagef("--parallel is 1 to 64, --retries is 0 or more")
	}
	target.CallingAE = c.AET
	if c.Token != "" {
		target.Token = c.Token
	}
	// Of a folder go those files that the way can carry; a file that was named must go or fail.
	fits := func(o device.Object) bool {
		return o.DICOM() || target.Via != device.ViaDICOM && (target.Via != device.ViaSTOW || c.Via == "")
	}
	objects, passed, err := collect(c.Paths, fits)
	if err != nil {
		return err
	}
	if len(objects) == 0 {
		return usagef("no files to send in %s (%d are no DICOM files)", strings.Join(c.Paths, ", "), passed)
	}
	results := c.send(ctx, std, target, objects)
	results.passed = passed
	return c.report(std, results)
}

// collect finds the files below paths, in order of name, and counts those of folders that do not fit.
func collect(paths []string, fits func(device.Object) bool) (objects []device.Object, passed int, err error) {
	for _, path := range paths {
		err := filepath.WalkDir(path, func(p string, d fs.DirEntry, err error) error {
			if err != nil {
				return err
			}
			if d.IsDir() || (p != path && !d.Type().IsRegular()) {
				return nil
			}
			o, err := device.File(p)
			if err != nil {
				return err
			}
			if p != path && !fits(o) {
				passed++
				return nil
			}
			objects = append(objects, o)
			return nil
		})
		if err != nil {
			return nil, 0, fmt.Errorf("read what to send: %w", err)
		}
	}
	return objects, passed, nil
}

// sent is what became of all objects.
type sent struct {
	results []sendResult
	passed  int // files of folders that are no DICOM and were left out
	bytes   int64
	took    time.Duration
}

func (c *sendCmd) send(ctx context.Context, std streams, target device.Target, objects []device.Object) sent {
	s := sent{}
	for _, o := range objects {
		s.bytes += o.Size
	}
	bar := startProgress(std.err, c.Quiet || c.JSON, "sent", int64(len(objects)), s.bytes)
	target.Progress = func(n int) { bar.bytes.Add(int64(n)) }
	var (
		mu    sync.Mutex
		next  = make(chan device.Object)
		begin = time.Now()
		group errgroup.Group
	)
	for range min(c.Parallel, len(objects)) {
		group.Go(func() error {
			ways := newWays(target, c.Via, objects)
			defer ways.close()
			for o := range next {
				r := c.sendOne(ctx, ways.of(o), o)
				bar.items.Add(1)
				mu.Lock()
				s.results = append(s.results, r)
				mu.Unlock()
			}
			return nil
		})
	}
	for _, o := range objects {
		next <- o
	}
	close(next)
	_ = group.Wait() // workers fail per object
	bar.finish()
	s.took = time.Since(begin)
	sort.Slice(s.results, func(i, j int) bool { return s.results[i].File < s.results[j].File })
	return s
}

// ways are one worker's senders: files that are no DICOM go by plain upload where STOW-RS was only a guess.
type ways struct {
	main, plain device.Sender
}

func newWays(t device.Target, via string, objects []device.Object) ways {
	w := ways{main: t.Open(objects)}
	if via == "" && t.Via == device.ViaSTOW {
		t.Via = device.ViaUpload
		w.plain = t.Open(nil)
	}
	return w
}

func (w ways) of(o device.Object) device.Sender {
	if w.plain != nil && !o.DICOM() {
		return w.plain
	}
	return w.main
}

func (w ways) close() {
	_ = w.main.Close() // every answer is in already
	if w.plain != nil {
		_ = w.plain.Close()
	}
}

// sendOne sends an object until it is answered, the error is final, or the retries are used up.
func (c *sendCmd) sendOne(ctx context.Context, s device.Sender, o device.Object) sendResult {
	r := sendResult{File: o.Name}
	wait := c.Backoff
	for {
		r.Tries++
		out, err := s.Send(ctx, o)
		if err == nil {
			r.Outcome = out
			return r
		}
		if !device.Temporary(err) || r.Tries > c.Retries || ctx.Err() != nil {
			r.Error = err.Error()
			return r
		}
		select {
		case <-ctx.Done():
			r.Error = ctx.Err().Error()
			return r
		case <-time.After(wait):
			wait = min(2*wait, 30*time.Second)
		}
	}
}

func (c *sendCmd) report(std streams, s sent) error {
	sum := sendSummary{Objects: len(s.results), Bytes: s.bytes, Seconds: s.took.Seconds(), Status: map[string]int{}, Passed: s.passed}
	for _, r := range s.results {
		if r.Error != "" {
			sum.Failed++
		} else {
			sum.Status[r.Status]++
		}
	}
	if c.JSON {
		for _, r := range s.results {
			if err := printLine(std.out, r); err != nil {
				return err
			}
		}
		if err := printLine(std.out, map[string]sendSummary{"summary": sum}); err != nil {
			return err
		}
	} else {
		for _, r := range s.results {
			switch {
			case r.Error != "":
				fmt.Fprintf(std.out, "FAILED       %s: %s\n", r.File, r.Error)
			case r.Status != device.Stored:
				fmt.Fprintf(std.out, "%-12s %s %s %s\n", r.Status, r.File, r.Code, r.Detail)
			}
		}
		var parts []string
		for _, status := range []string{device.Stored, device.Duplicate, device.Conflict, device.Quarantined, device.Refused} {
			if n := sum.Status[status]; n > 0 {
				parts = append(parts, fmt.Sprintf("%d %s", n, status))
			}
		}
		if sum.Failed > 0 {
			parts = append(parts, fmt.Sprintf("%d failed", sum.Failed))
		}
		if sum.Passed > 0 {
			parts = append(parts, fmt.Sprintf("%d passed over that are no DICOM files", sum.Passed))
		}
		rate := byteCount(int64(float64(s.bytes) / max(s.took.Seconds(), 1e-3)))
		fmt.Fprintf(std.out, "%d objects, %s in %s (%s/s): %s\n", sum.Objects, byteCount(s.bytes), s.took.Round(time.Millisecond), rate, strings.Join(parts, ", "))
	}
	if lost := sum.Failed + sum.Status[device.Refused]; lost > 0 {
		return fmt.Errorf("%d of %d objects are not on the node", lost, sum.Objects)
	}
	if sum.Objects == 0 {
		return errors.New("nothing was sent")
	}
	return nil
}
