package sim

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"sync/atomic"

	"github.com/tributary-dicom/tributary/pipeline/event"
	"github.com/tributary-dicom/tributary/pipeline/eventlog"
	"github.com/tributary-dicom/tributary/storage/index"
)

// errDBAway is a database that does not answer, before or after it did what it was asked.
var errDBAway = errors.New("the database does not answer")

// Ground is a folder where worlds keep their indexes, best in memory. Safe for concurrent use.
type Ground struct {
	dir   string
	empty []byte // an index without rows
	made  atomic.Int64
}

// NewGround prepares a folder. Call it outside of any bubble of testing/synctest.
func NewGround(ctx context.Context, dir string) (*Ground, error) {
	event.Attach([]byte("{}")) // its coders keep channels, which must not belong to a bubble
	path := filepath.Join(dir, "empty.db")
	db, err := index.OpenSQLite(ctx, path, index.Options{Readers: 1})
	if err != nil {
		return nil, err
	}
	if err := db.Close(); err != nil {
		return nil, err
	}
	empty, err := os.ReadFile(path)
	return &Ground{dir: dir, empty: empty}, err
}

// index opens an index without rows. done closes and removes it.
func (g *Ground) index(ctx context.Context) (db *index.DB, done func() error, err error) {
	path := filepath.Join(g.dir, fmt.Sprintf("%d.db", g.made.Add(1)))
	if err := os.WriteFile(path, g.empty, 0o600); err != nil {
		return nil, nil, err
	}
	db, err = index.OpenSQLite(ctx, path, index.Options{Readers: 1})
	if err != nil {
		return nil, nil, err
	}
	return db, func() error {
		err := db.Close()
		for _, suffix := range []string{"", "-wal", "-shm"} {
			if rerr := os.Remove(path + suffix); !errors.Is(rerr, os.ErrNotExist) {
				err = errors.Join(err, rerr)
			}
		}
		return err
	}, nil
}

// simDB is the real index behind a door that can fail, and a history that can be cut: what a data base that does not
// sync its last transactions, or a standby that lags, comes back with.
type simDB struct {
	w       *World
	db      *index.DB
	done    func() error
	history [][]eventlog.Record
	broken  map[*Node]bool  // their sessions ended with the server that they were of
	apart   map[int32]int64 // positions outside the transactions: the lie OffsetApart
}

func (d *simDB) open(ctx context.Context) (err error) {
	d.db, d.done, err = d.w.opt.Ground.index(ctx)
	return err
}

// rewind goes back to the first keep transactions. Nobody may use the index meanwhile.
func (d *simDB) rewind(ctx context.Context, keep int) error {
	if keep == len(d.history) {
		return nil
	}
	d.history = d.history[:keep:keep]
	if err := errors.Join(d.done(), d.open(ctx)); err != nil {
		return err
	}
	for _, records := range d.history {
		if err := d.db.Apply(ctx, records); err != nil {
			return err
		}
	}
	return nil
}

// foreign tells whether the index ends with records that the log does not have.
func (d *simDB) foreign(ctx context.Context, bus *simBus) (bool, error) {
	for n := range bus.parts {
		offset, id, err := d.db.LastApplied(ctx, event.TopicInstances, int32(n))
		if err != nil {
			return false, err
		}
		if offset >= 0 && !bus.has(int32(n), offset, id) {
			return true, nil
		}
	}
	return false, nil
}

// dbOf is the index as one node sees it: for its stage, and with the stage as ingest.View.
type dbOf struct {
	sim  *simDB
	node *Node
}

func (d dbOf) Apply(ctx context.Context, records []eventlog.Record) error {
	if err := d.node.w.turns.await(d.node, "apply"); err != nil {
		return err
	}
	if d.sim.broken[d.node] {
		delete(d.sim.broken, d.node)
		return errDBAway
	}
	if d.node.w.chance(50) {
		return errDBAway
	}
	if d.node.w.opt.Lie == OffsetApart {
		for _, r := range records {
			d.sim.apart[r.Partition] = max(d.sim.apart[r.Partition], r.Offset)
		}
		if err := d.node.w.turns.await(d.node, "apply rows"); err != nil {
			return err
		}
	}
	if err := d.sim.db.Apply(ctx, records); err != nil {
		return err
	}
	d.sim.history = append(d.sim.history, records)
	if d.node.w.chance(30) {
		return errDBAway // after the commit
	}
	return nil
}

func (d dbOf) Applied(ctx context.Context, topic string, partition int32) (int64, error) {
	if d.node.w.opt.Lie == OffsetApart {
		if offset, ok := d.sim.apart[partition]; ok {
			return offset, nil
		}
		return -1, nil
	}
	return d.sim.db.Applied(ctx, topic, partition)
}

func (d dbOf) Lookup(ctx context.Context, tenant, sop string) ([]index.Version, string, error) {
	if err := d.node.w.turns.await(d.node, "look up"); err != nil {
		return nil, "", err
	}
	if d.node.w.chance(30) {
		return nil, "", errDBAway
	}
	return d.sim.db.Lookup(ctx, tenant, sop)
}

func (d dbOf) QuarantinedBytes(ctx context.Context, tenant, sha256 string) (index.Quarantined, error) {
	if err := d.node.w.turns.await(d.node, "look up"); err != nil {
		return index.Quarantined{}, err
	}
	if d.node.w.chance(30) {
		return index.Quarantined{}, errDBAway
	}
	return d.sim.db.QuarantinedBytes(ctx, tenant, sha256)
}

func (d dbOf) WaitApplied(ctx context.Context, pos eventlog.Position) error {
	return d.node.stage.WaitApplied(ctx, pos)
}

func (d dbOf) Seen(pos eventlog.Position) bool { return d.node.stage.Seen(pos) }
