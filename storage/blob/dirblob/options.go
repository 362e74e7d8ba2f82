package dirblob

import (
	"log/slog"
	"time"

	"github.com/tributary-dicom/tributary/storage/blob/dirblob/disk"
)

// Options tune a Store. The zero value is good for production. All sizes are bytes.
type Options struct {
	// SmallBytes is the largest payload that goes into a pack. Larger packs of it make commits wait for
	// one another's bytes, smaller ones cost a sync of file and folder each. 0 means 1 MiB, negative
	// means that every blob is a file.
	SmallBytes int64

	// PackBytes is the length at which a pack is closed and the next begun. 0 means 256 MiB.
	PackBytes int64

	// BufferBytes bounds the memory of all small blobs between Create and Commit. Writers beyond it go
	// through a file in tmp; none waits. 0 means 64 MiB.
	BufferBytes int64

	// PrewriteBytes of zeros are written behind a small batch now and then, so that the next ones
	// overwrite blocks that the file system has allocated already: half the time of a sync. 0 means
	// 2 MiB, negative means never.
	PrewriteBytes int64

	// ReserveBytes are left free on the file system: the log and the index need room to tell what was
	// stored. 0 means the lesser of 5 % and 2 GiB, negative means none.
	ReserveBytes int64

	// Log hears of recovery and of a disk that fails. nil means silence.
	Log *slog.Logger

	// FS is the file system, nil means the operating system's.
	FS disk.FS

	// Now is the clock, nil means time.Now. It names days and stamps blobs; nothing else trusts it.
	Now func() time.Time
}

const (
	maxReserve = 2 << 30

	// maxMetaBytes bounds the JSON of a blob.Meta, as its contract says.
	maxMetaBytes = 16 << 10

	// maxBatchBytes bounds one group commit: a larger one makes everybody in it wait longer than a sync
	// of its own would have cost.
	maxBatchBytes = 8 << 20

	// prewriteBatchBytes is the largest batch that is worth pre-writing for: above it a sync is bound by
	// the bytes, and the zeros would only double them.
	prewriteBatchBytes = 128 << 10
)

func (o Options) withDefaults() Options {
	setDefault(&o.SmallBytes, 1<<20)
	setDefault(&o.PackBytes, 256<<20)
	setDefault(&o.BufferBytes, 64<<20)
	setDefault(&o.PrewriteBytes, 2<<20)
	// A payload must fit the batch that carries it.
	o.SmallBytes = min(o.SmallBytes, maxBatchBytes/2)
	if o.Log == nil {
		o.Log = slog.New(slog.DiscardHandler)
	}
	if o.FS == nil {
		o.FS = disk.OS()
	}
	if o.Now == nil {
		o.Now = time.Now
	}
	return o
}

func setDefault(v *int64, def int64) {
	if *v == 0 {
		*v = def
	}
}
