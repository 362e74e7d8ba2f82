// Command tributary takes in DICOM and ECG studies, keeps them durably, indexes them and gives them back
// bit for bit. See README.md; each command has --help.
package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/signal"
	"syscall"

	"github.com/alecthomas/kong"
)

// Exit codes of every command.
const (
	exitOK     = 0
	exitFailed = 1
	exitUsage  = 2
)

// cli is the command line. The outside contract only grows: flags and commands are added, never renamed.
type cli struct {
	Serve      serveCmd      `cmd:"" help:"Run a node: take studies in, index them, give them back."`
	Demo       demoCmd       `cmd:"" help:"Run a node and play a village kit against it through every door."`
	Send       sendCmd       `cmd:"" help:"Send files to a node, as a device would."`
	Import     importCmd     `cmd:"" help:"Send folders, archives and media with many objects to a node; goes on where it was stopped."`
	Quarantine quarantineCmd `cmd:"" help:"Look at and decide on what could not be indexed."`
	Conflict   conflictCmd   `cmd:"" help:"Look at and decide on instances with more than one data set."`
	Health     healthCmd     `cmd:"" help:"Ask a running node whether its engines are well."`
	Reprocess  reprocessCmd  `cmd:"" help:"Read kept objects again with the parsers of this release; bytes stay as they are."`
	Reindex    reindexCmd    `cmd:"" help:"Make the index again from the log, or log and index from the blobs."`
	Fsck       fsckCmd       `cmd:"" help:"Compare blobs, log and index; with --repair, mend what can be mended safely."`
	ECG        ecgCmd        `cmd:"" help:"Look at recordings in files, convert and draw them." name:"ecg"`
	OHIFConfig ohifConfigCmd `cmd:"" help:"Print the configuration with which OHIF shows what a node has." name:"ohif-config"`
	Version    versionCmd    `cmd:"" help:"Print the version."`
}

// streams are where a command reads and writes; tests give their own.
type streams struct {
	out, err io.Writer
}

// usageError makes run exit with exitUsage.
type usageError struct{ error }

func usagef(format string, args ...any) error { return usageError{fmt.Errorf(format, args...)} }

func main() {
	os.Exit(run(os.Args[1:], streams{os.Stdout, os.Stderr}))
}

func run(args []string, std streams) (code int) {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	context.AfterFunc(ctx, stop) // a second signal kills at once

	var c cli
	exited := -1
	parser, err := kong.New(&c,
		kong.Name("tributary"),
		kong.Description("DICOM and ECG studies: taken in whole, once, and findable."),
		kong.Writers(std.out, std.err),
		kong.Exit(func(code int) { exited = code }), // --help
		kong.BindTo(ctx, (*context.Context)(nil)),
		kong.Bind(std),
		kong.ConfigureHelp(kong.HelpOptions{Compact: true}),
	)
	if err != nil {
		fmt.Fprintln(std.err, "tributary:", err)
		return exitFailed
	}
	if len(args) == 0 {
		args = []string{"--help"}
	}
	k, err := parser.Parse(args)
	if exited >= 0 {
		return exited
	}
	if err != nil {
		fmt.Fprintf(std.err, "tributary: %v\nTry: tributary --help\n", err)
		return exitUsage
	}
	if err := k.Run(); err != nil {
		fmt.Fprintln(std.err, "tributary:", err)
		var usage usageError
		if errors.As(err, &usage) {
			return exitUsage
		}
		return exitFailed
	}
	return exitOK
}
