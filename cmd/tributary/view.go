package main

import (
	"context"
	"errors"
	"fmt"
	"os"

	"github.com/tributary-dicom/tributary/pipeline/event"
	"github.com/tributary-dicom/tributary/pipeline/eventlog"
	"github.com/tributary-dicom/tributary/storage/index"
)

// openIndex opens the index. One that is damaged, or was made from another log than this node's (a copied
// file, a log restored from a backup), is put aside, and a new one is made from the log: going on with it
// would hide this node's objects, or show others'.
func (n *node) openIndex(ctx context.Context) (err error) {
	open := func() error {
		n.index, err = index.OpenSQLite(ctx, n.cfg.paths.index, index.Options{Attachments: attachments{n.blobs}})
		return err
	}
	why := open()
	if why == nil {
		if why, err = n.foreign(ctx); err != nil || why == nil {
			return err
		}
		// What the log lost may lie in blobs since long ago.
		if err := os.Remove(n.adoptedMark()); err != nil && !errors.Is(err, os.ErrNotExist) {
			return err
		}
		if err := n.index.Close(); err != nil {
			return err
		}
	} else if !errors.Is(why, index.ErrDamaged) {
		return why
	}
	n.index = nil
	path := n.cfg.paths.index
	n.cfg.log.Warn("the index is put aside and made again from the log", "reason", why.Error(), "old", path+".old")
	for _, suffix := range []string{"-wal", "-shm"} { // they belong to the old file alone
		if err := os.Remove(path + suffix); err != nil && !errors.Is(err, os.ErrNotExist) {
			return err
		}
	}
	if err := os.Rename(path, path+".old"); err != nil {
		return err
	}
	return open()
}

// foreign tells why the index cannot be of this node's log, nil when it is.
func (n *node) foreign(ctx context.Context) (why, err error) {
	offset, id, err := n.index.LastApplied(ctx, event.TopicInstances, 0)
	if err != nil || offset < 0 {
		return nil, err
	}
	records, err := n.events.ReadFrom(ctx, event.TopicInstances, eventlog.Position{Topic: event.TopicInstances, Offset: offset}, 1)
	switch {
	case err != nil:
		return nil, err
	case len(records) == 0 || records[0].Offset != offset:
		return fmt.Errorf("it goes up to record %d, which the log does not have", offset), nil
	case id != "" && records[0].Event.ID != id:
		return fmt.Errorf("record %d of the log is another than the one that it ends with", offset), nil
	}
	return nil, nil
}
