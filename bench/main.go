package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"os/signal"
	"strings"
	"syscall"
	"time"
)

// options are the command line.
type options struct {
	only    string
	systems string
	quick   bool
	reps    int
	dir     string
	json    string
	binary  string
	w3Bytes int64
	slice   time.Duration
	check   bool
	shared  string
}

func main() {
	if len(os.Args) == 3 && os.Args[1] == nullCommand {
		exit(serveNull(os.Args[2], os.Stdin, os.Stdout))
	}
	opt, err := parse(os.Args[1:], os.Stderr)
	switch {
	case errors.Is(err, flag.ErrHelp):
		return
	case err != nil:
		os.Exit(2)
	}
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	context.AfterFunc(ctx, stop) // a second signal kills at once
	exit(run(ctx, opt, os.Stdout, os.Stderr))
}

func exit(err error) {
	if err != nil {
		fmt.Fprintln(os.Stderr, "bench:", err)
		os.Exit(1)
	}
	os.Exit(0)
}

func parse(args []string, out io.Writer) (options, error) {
	var o options
	f := flag.NewFlagSet("bench", flag.ContinueOnError)
	f.SetOutput(out)
	f.StringVar(&o.only, "only", "raw,W1,W2,W3,W4", "workloads to run")
	f.StringVar(&o.systems, "systems", "tributary,null,storescp,orthanc", "servers to measure; those not installed are skipped")
	f.BoolVar(&o.quick, "quick", false, "a tenth of the objects and 64 MiB for W3: about a minute, for a first look")
	f.IntVar(&o.reps, "reps", 1, "repetitions of everything; the table has medians")
	f.StringVar(&o.dir, "dir", "", "folder for the servers' data, on the disk to measure (default: a new temporary one)")
	f.StringVar(&o.json, "json", "", "write every single measurement to this file")
	f.StringVar(&o.binary, "tributary", "", "measure this binary (default: build the one of this module)")
	f.Int64Var(&o.w3Bytes, "w3-bytes", 0, "PixelData of the one big instance, in bytes (default 2 GiB, 64 MiB with -quick)")
	f.DurationVar(&o.slice, "slice", 0, "start no new request after this time in one measurement (default 10s, 1s with -quick)")
	f.StringVar(&o.shared, "shared", "", "flags of a node over shared engines, measured as the system \"shared\"; NUMBER becomes another number for each fresh node")
	f.BoolVar(&o.check, "check", false, "fail when the node's memory in W3 is over its goal")
	if err := f.Parse(args); err != nil {
		return o, err
	}
	if f.NArg() > 0 || o.reps < 1 || o.w3Bytes < 0 {
		fmt.Fprintln(out, "bench takes options only, -reps from 1 and -w3-bytes from 0; see -h")
		return o, errors.New("usage")
	}
	for _, w := range words(o.only) {
		if !has("raw,W1,W2,W3,W4", w) {
			fmt.Fprintf(out, "bench: no workload %q\n", w)
			return o, errors.New("usage")
		}
	}
	for _, s := range words(o.systems) {
		if !has("tributary,null,storescp,orthanc,shared", s) {
			fmt.Fprintf(out, "bench: no system %q\n", s)
			return o, errors.New("usage")
		}
	}
	if has(o.systems, "shared") && o.shared == "" {
		fmt.Fprintln(out, "bench: the system shared wants -shared FLAGS")
		return o, errors.New("usage")
	}
	if o.w3Bytes == 0 {
		o.w3Bytes = 2 << 30
		if o.quick {
			o.w3Bytes = 64 << 20
		}
	}
	if o.slice == 0 {
		o.slice = 10 * time.Second
		if o.quick {
			o.slice = time.Second
		}
	}
	return o, nil
}

// words splits a comma list.
func words(list string) []string {
	return strings.FieldsFunc(list, func(r rune) bool { return r == ',' || r == ' ' })
}

// has reports whether a comma list has a word, in any case.
func has(list, word string) bool {
	for _, w := range words(list) {
		if strings.EqualFold(w, word) {
			return true
		}
	}
	return false
}
