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

// openIndexFile opens the embedded index. One that is damaged, or was made from another log than this
// node's (a copied file, a log restored from a backup), is put aside, and a new one is made from the log:
// going on with it would hide this node's objects, or show others'.
func (e *engines) openIndexFile(ctx context.Context) (err error) {
	path := e.places.index.path
	open := func() error {
		e.index, err = index.OpenSQLite(ctx, path, index.Options{Attachments: attachments{e.blobs}})
		return err
	}
	why := open()
	if why == nil {
		if why, err = e.foreign(ctx); err != nil || why == nil {
			return err
		}
		// What the log lost may lie in blobs since long ago.
		if err := os.Remove(e.adoptedMark()); err != nil && !errors.Is(err, os.ErrNotExist) {
			return err
		}
		if err := e.index.Close(); err != nil {
			return err
		}
	} else if !errors.Is(why, index.ErrDamaged) {
		return why
	}
	e.index = nil
	e.log.Warn("the index is put aside and made again from the log", "reason", why.Error(), "old", path+".old")
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

// foreign tells why the index cannot be of this node's log, nil when it is. Of a shared log, whose
// partitions are others' too, the index stage tells.
func (e *engines) foreign(ctx context.Context) (why, err error) {
	if e.local == nil {
		return nil, nil
	}
	offset, id, err := e.index.LastApplied(ctx, event.TopicInstances, 0)
	if err != nil || offset < 0 {
		return nil, err
	}
	records, err := e.local.ReadFrom(ctx, event.TopicInstances, eventlog.Position{Topic: event.TopicInstances, Offset: offset}, 1)
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
