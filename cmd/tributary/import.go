package main

import (
	"bufio"
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"sync"
	"time"

	"golang.org/x/sync/errgroup"

	"github.com/tributary-dicom/tributary/device"
	"github.com/tributary-dicom/tributary/ingest/bulkimport"
	"github.com/tributary-dicom/tributary/pipeline/event"
)

type importCmd struct {
	Paths     []string      `arg:"" help:"Files, folders, archives (.zip, .tar, .tar.gz) and DICOMDIRs." type:"path" name:"path"`
	To        string        `help:"The node: http://HOST:PORT, by plain upload; dicom://AET@HOST:PORT for DICOM files only (default: ${default})." default:"http://127.0.0.1:8080/upload" env:"TRIBUTARY_SERVER" placeholder:"URL"`
	Via       string        `help:"How to send to an HTTP target: upload, tus or stow (default: upload)." placeholder:"WAY"`
	Device    string        `help:"Name of the device that the objects are from." placeholder:"NAME"`
	AET       string        `help:"Our AE title." default:"TRIBUTARY_SCU" name:"aet"`
	Token     string        `help:"Access token of the node." env:"TRIBUTARY_TOKEN"`
	Recursive bool          `help:"Folders in folders too." default:"true" negatable:""`
	Parallel  int           `help:"Concurrent connections." short:"n" default:"2"`
	Retries   int           `help:"How often an object is sent again after the line broke or the node was busy." default:"5"`
	Backoff   time.Duration `help:"Wait before the first repetition; it doubles each time." default:"500ms"`
	DryRun    bool          `help:"Say what would be sent, and send nothing."`
	Journal   string        `help:"File that remembers what the node has, so that the next run goes on (default: one for these paths and this node, in the user's cache folder)." placeholder:"FILE"`
	Again     bool          `help:"Send everything, whatever the journal says."`
	MaxFiles  int           `help:"Most members of one archive." default:"200000"`
	Temp      string        `help:"Folder for what must be unpacked to be sent." placeholder:"DIR" type:"existingdir"`
	JSON      bool          `help:"Print one JSON line per object and a summary." name:"json"`
	Quiet     bool          `help:"No progress bar." short:"q"`
}

// importSummary is the last line of `import --json`.
type importSummary struct {
	Objects int            `json:"objects"` // that were found, those of earlier runs with them
	Bytes   int64          `json:"bytes"`
	Seconds float64        `json:"seconds"`
	Status  map[string]int `json:"status"`
	Reasons map[string]int `json:"reasons,omitempty"`
	Failed  int            `json:"failed"`      // without an answer
	Earlier int            `json:"earlier"`     // on the node since an earlier run
	Passed  int            `json:"passed_over"` // no format that is taken, links, tables of contents
	Refused int            `json:"refused_here"`
}

// dry is the status of an object in a dry run.
const dry = "found"

// Run imports everything, and fails when something should be on the node and is not.
func (c *importCmd) Run(ctx context.Context, std streams) error {
	target, err := c.target()
	if err != nil {
		return err
	}
	if c.Parallel < 1 || c.Parallel > 64 || c.Retries < 0 || c.MaxFiles < 1 {
		return usagef("--parallel is 1 to 64, --retries is 0 or more, --max-files 1 or more")
	}
	imp := &importing{c: c, std: std, target: target, studies: map[string]bool{}, sum: importSummary{Status: map[string]int{}, Reasons: map[string]int{}}}
	if !c.DryRun {
		if imp.journal, err = openImportJournal(c.journalPath(target), c.Again); err != nil {
			return err
		}
	}
	err = imp.run(ctx)
	if err == nil {
		imp.complete(ctx)
	}
	if imp.journal != nil {
		err = errors.Join(err, imp.journal.Close())
	}
	return errors.Join(err, imp.report())
}

// target is where objects go. Plain upload takes every format and answers with receipts.
func (c *importCmd) target() (device.Target, error) {
	via := c.Via
	t, err := device.ParseTarget(c.To, via)
	if err != nil {
		return t, usageError{err}
	}
	if via == "" && t.Via == device.ViaSTOW {
		t.Via = device.ViaUpload
	}
	t.CallingAE = c.AET
	if c.Token != "" {
		t.Token = c.Token
	}
	return t, nil
}

// importing is one run.
type importing struct {
	c       *importCmd
	std     streams
	target  device.Target
	journal *importJournal
	bar     *progress

	mu      sync.Mutex
	studies map[string]bool // of this run's objects; nil when they are not to be told complete
	sum     importSummary
	out     error // of printing
}

func (i *importing) run(ctx context.Context) error {
	begin := time.Now()
	defer func() { i.sum.Seconds = time.Since(begin).Seconds() }()
	quiet := i.c.Quiet || i.c.JSON || i.c.DryRun
	var extent int64 // of archives as they lie on disk: most DICOM shrinks little
	if !quiet {
		extent = bulkimport.Extent(ctx, i.c.Paths, !i.c.Recursive)
	}
	i.bar = startProgress(i.std.err, quiet, "imported", 0, extent)
	defer i.bar.finish()
	i.target.Progress = func(n int) { i.bar.bytes.Add(int64(n)) }

	next := make(chan bulkimport.Entry)
	workers, sending := errgroup.WithContext(ctx)
	for range i.c.Parallel {
		workers.Go(func() error {
			s := i.target.Open(nil)
			defer s.Close() // every answer is in already
			for e := range next {
				i.one(ctx, s, e)
				e.Release()
			}
			return nil
		})
	}
	walk := func() error {
		defer close(next)
		for _, p := range i.c.Paths {
			err := bulkimport.Walk(sending, p, bulkimport.WalkConfig{
				Flat: !i.c.Recursive, MaxEntries: i.c.MaxFiles, TempDir: i.c.Temp, Skip: i.skip,
				Entry: func(e bulkimport.Entry) error {
					select {
					case next <- e:
						return nil
					case <-ctx.Done():
						e.Release()
						return ctx.Err()
					}
				},
			})
			if err != nil {
				return fmt.Errorf("read what to import: %w", err)
			}
		}
		return nil
	}
	err := walk()
	return errors.Join(err, workers.Wait())
}

// one sends an object, unless the node has it since an earlier run.
func (i *importing) one(ctx context.Context, s device.Sender, e bulkimport.Entry) {
	r := sendResult{File: e.Path}
	earlier := false
	switch {
	case i.c.DryRun:
		r.Status, r.Code = dry, e.Format.String()
	case i.journal.has(e.Key):
		earlier = true
		i.bar.bytes.Add(e.Size)
	default:
		o, err := device.Opener(e.Path, e.Size, e.Open)
		if err != nil {
			r.Error = err.Error()
			break
		}
		o.Filename, o.Device = e.Name, i.c.Device
		how := sendCmd{Retries: i.c.Retries, Backoff: i.c.Backoff}
		r = how.sendOne(ctx, s, o)
	}
	i.bar.items.Add(1)
	i.mu.Lock()
	defer i.mu.Unlock()
	i.sum.Objects++
	i.sum.Bytes += e.Size
	switch {
	case earlier:
		i.sum.Earlier++
		return
	case r.Error != "":
		i.sum.Failed++
	default:
		i.sum.Status[r.Status]++
		if r.Code != "" && r.Status != device.Stored {
			i.sum.Reasons[r.Code]++
		}
		if r.Kept() && !i.c.DryRun {
			i.keep(i.journal.add(e.Key, r.Outcome))
		}
	}
	i.note(r)
	i.print(r)
}

// maxCompleted bounds how many studies one run tells complete. Those of a larger one are so when they are quiet.
const maxCompleted = 100_000

// note remembers an object's study, or, when the object is not where readers find it, that no study of the run is known
// to be whole: of which one it is, nobody can say.
func (i *importing) note(r sendResult) {
	switch {
	case i.studies == nil || r.Study != "" && i.studies[r.Study]:
	case r.Error != "" || !r.Kept() || r.Status == device.Quarantined || len(i.studies) == maxCompleted:
		i.studies = nil
	case r.Study != "":
		i.studies[r.Study] = true
	}
}

// complete tells the node that the studies of this run have been sent whole. What an earlier run sent of them is there.
func (i *importing) complete(ctx context.Context) {
	i.mu.Lock()
	defer i.mu.Unlock()
	if len(i.studies) == 0 || i.c.DryRun || i.sum.Refused > 0 || i.target.Via == device.ViaDICOM {
		return
	}
	if err := i.target.Complete(ctx, event.SignalImport, slices.Sorted(maps.Keys(i.studies))); err != nil {
		fmt.Fprintf(i.std.err, "The node was not told that the studies are complete (%v). They count as such when they have been quiet.\n", err)
	}
}

// keep remembers the first error of writing.
func (i *importing) keep(err error) { i.out = cmp.Or(i.out, err) }

// print tells of one object: all of them for programs, those that are not simply stored for people.
func (i *importing) print(r sendResult) {
	switch {
	case i.c.JSON:
		i.keep(printLine(i.std.out, r))
	case r.Error != "":
		fmt.Fprintf(i.std.out, "FAILED       %s: %s\n", r.File, r.Error)
	case r.Status != device.Stored && r.Status != device.Duplicate:
		fmt.Fprintf(i.std.out, "%-12s %s %s %s\n", r.Status, r.File, r.Code, r.Detail)
	}
}

// skip hears of what is not sent.
func (i *importing) skip(s bulkimport.Skipped) {
	i.bar.bytes.Add(s.Size)
	i.mu.Lock()
	defer i.mu.Unlock()
	status := "passed"
	if s.Refused {
		status = device.Refused
		i.sum.Refused++
	} else {
		i.sum.Passed++
	}
	switch {
	case i.c.JSON:
		i.keep(printLine(i.std.out, sendResult{File: s.Path, Outcome: device.Outcome{Status: status, Detail: s.Why}}))
	case s.Refused || i.c.DryRun:
		fmt.Fprintf(i.std.out, "%-12s %s %s\n", status, s.Path, s.Why)
	}
}

// report prints the summary, and says whether something is missing on the node.
func (i *importing) report() error {
	s := i.sum
	if i.c.JSON {
		i.keep(printLine(i.std.out, map[string]importSummary{"summary": s}))
	} else {
		rate := byteCount(int64(float64(s.Bytes) / max(s.Seconds, 1e-3)))
		fmt.Fprintf(i.std.out, "\n%d objects, %s in %s (%s/s)\n", s.Objects, byteCount(s.Bytes), time.Duration(s.Seconds*float64(time.Second)).Round(time.Millisecond), rate)
		table := func(counts map[string]int) {
			for _, name := range slices.Sorted(maps.Keys(counts)) {
				fmt.Fprintf(i.std.out, "  %8d  %s\n", counts[name], name)
			}
		}
		table(s.Status)
		for _, line := range []struct {
			n    int
			what string
		}{
			{s.Earlier, "on the node since an earlier run"},
			{s.Failed, "failed"},
			{s.Refused, "refused before they were sent"},
			{s.Passed, "passed over"},
		} {
			if line.n > 0 {
				fmt.Fprintf(i.std.out, "  %8d  %s\n", line.n, line.what)
			}
		}
		if len(s.Reasons) > 0 {
			fmt.Fprintln(i.std.out, map[bool]string{false: "Reasons:", true: "Formats:"}[i.c.DryRun])
			table(s.Reasons)
		}
	}
	if lost := s.Failed + s.Refused + s.Status[device.Refused]; lost > 0 && !i.c.DryRun {
		return errors.Join(i.out, fmt.Errorf("%d objects are not on the node", lost))
	}
	if s.Objects == 0 {
		return errors.Join(i.out, errors.New("nothing to import was found"))
	}
	return i.out
}

// importJournal remembers by an entry's key what the node has. It names no file and no patient. What a crash
// leaves out of it is sent again, and is a duplicate.
type importJournal struct {
	f  *os.File
	mu sync.Mutex
	on map[string]bool
}

// journalLine is one object.
type journalLine struct {
	Key    string `json:"key"`
	Status string `json:"status"`
	ID     string `json:"id,omitempty"`
}

// journalPath is where the journal of these paths and this node is.
func (c *importCmd) journalPath(t device.Target) string {
	if c.Journal != "" {
		return c.Journal
	}
	dir, err := os.UserCacheDir()
	if err != nil {
		dir = os.TempDir()
	}
	paths := []string{t.Address}
	for _, p := range c.Paths {
		abs, err := filepath.Abs(p)
		if err != nil {
			abs = p
		}
		paths = append(paths, abs)
	}
	slices.Sort(paths[1:])
	return filepath.Join(dir, "tributary", "import-"+bulkimport.Key(paths...)+".jsonl")
}

// openImportJournal reads what is known, and goes on behind it.
func openImportJournal(path string, again bool) (*importJournal, error) {
	if err := os.MkdirAll(filepath.Dir(path), 0o700); err != nil {
		return nil, fmt.Errorf("make the journal's folder: %w", err)
	}
	f, err := os.OpenFile(path, os.O_RDWR|os.O_CREATE, 0o600)
	if err != nil {
		return nil, fmt.Errorf("open the journal: %w", err)
	}
	j := &importJournal{f: f, on: map[string]bool{}}
	var whole int64
	lines := bufio.NewReader(f)
	for {
		line, err := lines.ReadBytes('\n')
		if err == io.EOF { // what follows the last end of line was cut off by a crash
			break
		}
		var l journalLine
		if err != nil || json.Unmarshal(line, &l) != nil || l.Key == "" {
			_ = f.Close()
			return nil, fmt.Errorf("the journal %s is damaged at byte %d: remove it, and everything is sent again", path, whole)
		}
		whole += int64(len(line))
		j.on[l.Key] = !again
	}
	if err := f.Truncate(whole); err != nil {
		_ = f.Close()
		return nil, fmt.Errorf("open the journal: %w", err)
	}
	_, err = f.Seek(whole, io.SeekStart)
	return j, err
}

func (j *importJournal) has(key string) bool {
	j.mu.Lock()
	defer j.mu.Unlock()
	return j.on[key]
}

func (j *importJournal) add(key string, o device.Outcome) error {
	j.mu.Lock()
	defer j.mu.Unlock()
	j.on[key] = true
	line, err := json.Marshal(journalLine{key, o.Status, o.ID})
	if err == nil {
		_, err = j.f.Write(append(line, '\n'))
	}
	if err != nil {
		return fmt.Errorf("write the journal: %w", err)
	}
	return nil
}

func (j *importJournal) Close() error { return j.f.Close() }
