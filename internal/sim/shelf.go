package sim

import (
	"context"
	"io"
	"maps"
	"time"

	"github.com/tributary-dicom/tributary/storage/blob"
	"github.com/tributary-dicom/tributary/storage/blob/dirblob/disk"
)

// shelf is the blob store as one node sees it.
type shelf struct {
	blob.Store
	node *Node
}

func (s shelf) Create(ctx context.Context) (blob.Writer, error) {
	if err := s.node.w.turns.await(s.node, "create"); err != nil {
		return nil, err
	}
	w, err := s.Store.Create(ctx)
	if err != nil {
		return nil, err
	}
	return &shelfWriter{w, s.node}, nil
}

func (s shelf) Open(ctx context.Context, key string, off, n int64) (io.ReadCloser, error) {
	if err := s.node.w.turns.await(s.node, "open"); err != nil {
		return nil, err
	}
	return s.Store.Open(ctx, key, off, n)
}

func (s shelf) List(ctx context.Context, since time.Time, fn func(blob.Info) error) error {
	if err := s.node.w.turns.await(s.node, "list"); err != nil {
		return err
	}
	return s.Store.List(ctx, since, func(info blob.Info) error {
		s.node.w.durable[info.Key] = true
		return fn(info)
	})
}

type shelfWriter struct {
	blob.Writer
	node *Node
}

func (w *shelfWriter) Commit(ctx context.Context, meta blob.Meta) (blob.Info, error) {
	if err := w.node.w.turns.await(w.node, "commit"); err != nil {
		return blob.Info{}, err
	}
	if w.node.w.opt.Lie == AppendFirst {
		return w.node.w.pending.later(w, meta), nil
	}
	info, err := w.Writer.Commit(ctx, meta)
	if err == nil {
		w.node.w.durable[info.Key] = true
	}
	return info, err
}

// lateCommits are the blobs of the lie AppendFirst: their keys are given out before they are there.
type lateCommits map[*Node][]func()

// later promises the blob of a writer of simS3.
func (l lateCommits) later(w *shelfWriter, meta blob.Meta) blob.Info {
	s3 := w.Writer.(*s3Writer)
	key, meta := s3.s.key(), maps.Clone(meta)
	l[w.node] = append(l[w.node], func() {
		s3.s.put(key, s3.buf.Bytes(), meta)
		w.node.w.durable[key] = true
	})
	return blob.Info{Key: key, Bytes: int64(s3.buf.Len()), Meta: meta, Created: s3.s.clock.now()}
}

// flush keeps what a node has promised, unless it dies before.
func (l lateCommits) flush(n *Node) {
	if len(l[n]) == 0 || n.w.turns.await(n, "late commit") != nil {
		return
	}
	for _, put := range l[n] {
		put()
	}
	delete(l, n)
}

// forgetful is a disk whose files are never synced: the lie SkipSync.
type forgetful struct{ disk.FS }

type forgetfulFile struct{ disk.File }

func (f forgetfulFile) Datasync() error { return nil }

func wrapFile(f disk.File, err error) (disk.File, error) {
	if err != nil {
		return nil, err
	}
	return forgetfulFile{f}, nil
}

func (f forgetful) OpenWrite(name string) (disk.File, error) { return wrapFile(f.FS.OpenWrite(name)) }
func (f forgetful) Create(name string) (disk.File, error)    { return wrapFile(f.FS.Create(name)) }
