package sim

import (
	"bytes"
	"context"
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"time"

	"github.com/tributary-dicom/tributary/ingest"
	"github.com/tributary-dicom/tributary/pipeline/event"
	"github.com/tributary-dicom/tributary/pipeline/eventlog"
	"github.com/tributary-dicom/tributary/pipeline/reprocess"
	"github.com/tributary-dicom/tributary/pipeline/reprocess/bind"
	"github.com/tributary-dicom/tributary/storage/index"
)

// A world of several releases (Options.Releases): each process is of one of three, whose parsers read one attribute
// each in their own way. Anybody may reprocess at any time, the older releases too, while devices send, operators
// decide, and everything crashes.

// releases is the version of the newest parsers.
const releases = 3

// release is a log into which the parsers of a version say their own word: Instance Number is their version.
type release struct {
	busOf
	version int
}

func (l release) Append(ctx context.Context, events ...event.Envelope) ([]eventlog.Position, error) {
	if err := l.speak(events); err != nil {
		return nil, err
	}
	return l.busOf.Append(ctx, events...)
}

func (l release) AppendBacked(ctx context.Context, events ...event.Envelope) ([]eventlog.Position, error) {
	if err := l.speak(events); err != nil {
		return nil, err
	}
	return l.busOf.AppendBacked(ctx, events...)
}

func (l release) speak(events []event.Envelope) error {
	for i, e := range events {
		if e.Type != event.TypeInstanceStored && e.Type != event.TypeInstanceConflict {
			continue
		}
		in, err := event.Decode[event.Instance](e.Data)
		if err != nil {
			return err
		}
		in.Attributes["InstanceNumber"] = strconv.Itoa(l.version)
		if events[i].Data, err = event.Encode(in); err != nil {
			return err
		}
	}
	return nil
}

// newIntake is admission of a node, by parsers of a version; 0 is this release's.
func (n *Node) newIntake(version int) *ingest.Intake {
	cfg := ingest.Config{Node: n.name, Now: n.clock.now, ParserVersion: version}
	if version == 0 {
		return ingest.New(cfg, shelf{n.blobs, n}, n.log, n.db)
	}
	return ingest.New(cfg, shelf{n.blobs, n}, release{n.log, version}, n.db)
}

// Readings and Said are the index as reprocessing reads it.
func (d dbOf) Readings(ctx context.Context, q index.ReadingQuery, after index.ReadingPlace, most int) ([]index.Reading, index.ReadingPlace, bool, error) {
	if err := d.node.w.turns.await(d.node, "readings"); err != nil {
		return nil, after, false, err
	}
	if d.node.w.chance(30) {
		return nil, after, false, errDBAway
	}
	return d.sim.db.Readings(ctx, q, after, most)
}

func (d dbOf) Said(ctx context.Context, r index.Reading) (index.Said, error) {
	if err := d.node.w.turns.await(d.node, "said"); err != nil {
		return index.Said{}, err
	}
	if d.node.w.chance(30) {
		return index.Said{}, errDBAway
	}
	return d.sim.db.Said(ctx, r)
}

// reprocess reads everything again, from where an earlier process of this node was. patience bounds how long it waits
// for its engines.
func (n *Node) reprocess(version int, force bool) (reprocess.Status, error) {
	cfg := reprocess.Config{
		Index: bind.Index(n.db, ingest.DefaultTenant), Intake: bind.Intake(n.newIntake(version)), OfObject: bind.OfObject, Page: 4,
		Keep: &reprocess.Keeper{Path: filepath.Join(n.w.jobs, fmt.Sprintf("%s-%d.json", n.name, version))},
		Wait: func(ctx context.Context, at eventlog.Position) error {
			ctx, cancel := context.WithTimeout(ctx, time.Second)
			defer cancel()
			_ = n.stage.WaitApplied(ctx, at) // an index that stands still is waited for elsewhere
			return nil
		},
	}
	return reprocess.Run(n.ctx, cfg, reprocess.Request{
		Selection: reprocess.Selection{Force: force}, Speed: reprocess.Speed{Parallel: 1 + n.w.rng.IntN(2)},
	})
}

// work is what people do between two turns: they begin to reprocess, and decide.
func (w *World) work() {
	var up []*Node
	for _, n := range w.nodes {
		if n.ready.Load() && !n.dead.Load() {
			up = append(up, n)
		}
	}
	if len(up) == 0 {
		return
	}
	n := up[w.rng.IntN(len(up))]
	switch w.rng.IntN(120) {
	case 0, 1:
		if n.jobs.CompareAndSwap(false, true) {
			force := w.rng.IntN(2) == 0
			n.wg.Go(func() {
				defer n.jobs.Store(false)
				if s, err := n.reprocess(n.version, force); err == nil {
					w.reread.Add(s.Written)
				}
			})
		}
	case 2, 3:
		pick := w.rng.Uint64()
		n.wg.Go(func() { n.remove(pick) })
	case 4, 5:
		pick := w.rng.Uint64()
		n.wg.Go(func() { n.promote(pick) })
	}
}

// remove is an operator who forgets an entry of the quarantine.
func (n *Node) remove(pick uint64) {
	if n.w.turns.await(n, "operator") != nil {
		return
	}
	list, err := n.w.db.db.Quarantine(n.ctx, ingest.DefaultTenant, 0, 0)
	if err != nil || len(list) == 0 {
		return
	}
	q := list[pick%uint64(len(list))]
	if n.intake.Remove(n.ctx, ingest.DefaultTenant, q, "operator") == nil && !n.dead.Load() {
		n.w.removed[q.ObjectID] = q.SHA256
	} else {
		n.w.doubtful[q.SHA256] = true // the decision may be there
	}
}

// promote is an operator who makes a version current.
func (n *Node) promote(pick uint64) {
	if n.w.turns.await(n, "operator") != nil {
		return
	}
	list, err := n.w.db.db.Conflicts(n.ctx, ingest.DefaultTenant, 0, 0)
	if err != nil || len(list) == 0 {
		return
	}
	c := list[pick%uint64(len(list))]
	_ = n.intake.Settle(n.ctx, ingest.DefaultTenant, c, c.Versions[pick/7%uint64(len(c.Versions))].ObjectID, ingest.ActionPromoted, "operator")
}

// upgraded brings a world at rest up to the newest release, and holds that it is.
func (w *World) upgraded(ctx context.Context) (bool, error) {
	if w.opt.Engine == Dir { // jobs end with their nodes
		if err := w.powerCut(ctx); err != nil {
			return false, err
		}
	} else {
		for i := range w.nodes {
			w.crashNode(i)
		}
	}
	if settled, err := w.settle(ctx); !settled || err != nil {
		return settled, err
	}
	if err := w.newest(ctx); err != nil {
		return false, err
	}
	n, done := w.nodes[0], false
	var status reprocess.Status
	n.wg.Go(func() {
		var err error
		if status, err = n.reprocess(releases, false); err != nil || status.Trouble() > 0 {
			w.violate("F15", "the last job: %+v, %v", status.Counts, err)
		}
		done = true
	})
	for !done {
		if !w.turns.next() {
			time.Sleep(idleSleep)
		}
	}
	if settled, err := w.settle(ctx); !settled || err != nil {
		return settled, err
	}
	dump, err := dumpOf(ctx, w.db.db)
	if err != nil {
		return false, err
	}
	for line := range bytes.Lines(dump) {
		if row := versioned.FindSubmatch(line); row != nil && string(row[2]) != strconv.Itoa(releases) {
			w.violate("F15", "a row of the index is by parsers of version %s after all was read by version %d: %.200s", row[2], releases, line)
		}
	}
	if err := w.newest(ctx); err != nil {
		return false, err
	}
	for object := range w.removed {
		if _, err := w.db.db.QuarantineEntry(ctx, ingest.DefaultTenant, object); err == nil {
			w.violate("F15", "the removed entry %s is back", object)
		}
	}
	w.acked = withoutRemoved(w.acked, w.removed, w.doubtful)
	return true, nil
}

func withoutRemoved(acked []Kept, removed map[string]string, doubtful map[string]bool) (rest []Kept) {
	gone := map[string]bool{}
	for _, sha256 := range removed {
		gone[sha256] = true
	}
	for _, k := range acked {
		if !k.Quarantined || !gone[k.FileSHA256] && !doubtful[k.FileSHA256] {
			rest = append(rest, k)
		}
	}
	return rest
}

var (
	versioned = regexp.MustCompile(`^(instance|quarantine) .* parser_version=(\d+)`)
	objectOf  = regexp.MustCompile(` object_id="([^"]*)"`)
	numberOf  = regexp.MustCompile(` number=(\d+)`)
)

// newest holds that each row is described by the newest parsers that ever spoke of its object, in their words.
func (w *World) newest(ctx context.Context) error {
	said := map[string]int{}
	for _, r := range w.bus.Events() {
		switch r.Event.Type {
		case event.TypeInstanceStored, event.TypeInstanceConflict, event.TypeInstanceQuarantined:
			in, err := event.Decode[event.Instance](r.Event.Data)
			if err != nil {
				return err
			}
			said[in.ObjectID] = max(said[in.ObjectID], in.ParserVersion)
		}
	}
	dump, err := dumpOf(ctx, w.db.db)
	if err != nil {
		return err
	}
	for line := range strings.Lines(string(dump)) {
		row := versioned.FindStringSubmatch(line)
		if row == nil {
			continue
		}
		object := objectOf.FindStringSubmatch(line)
		if object == nil || row[2] != strconv.Itoa(said[object[1]]) {
			w.violate("F15", "a row is by parsers of version %s, and the newest that spoke of it have %d: %.200s", row[2], said[object[1]], line)
			continue
		}
		if number := numberOf.FindStringSubmatch(line); row[1] == "instance" && (number == nil || number[1] != row[2]) {
			w.violate("F15", "a row is marked as read by version %s and says %q", row[2], number)
		}
	}
	return nil
}

// openJobs makes the folder where jobs remember their places.
func (w *World) openJobs() (err error) {
	w.jobs, err = os.MkdirTemp(w.opt.Ground.dir, "jobs-")
	return err
}
