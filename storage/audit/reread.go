package audit

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"hash"
	"io"
	"runtime"

	"golang.org/x/sync/errgroup"

	"github.com/tributary-dicom/tributary/pipeline/event"
	"github.com/tributary-dicom/tributary/storage/blob"
)

// reread hashes objects again: a sample, or all.
func (a *audit) reread(ctx context.Context) error {
	const some = "SELECT " + toldColumns + ` FROM events e WHERE e.type IN (1, 2, 3) AND EXISTS (SELECT 1 FROM blobs b WHERE b.key = e.key)`
	switch {
	case a.opt.Full:
		return a.hashAll(ctx, func(fn func(told) error) error {
			return each(ctx, a.file, some+" AND e.n > ? ORDER BY e.n LIMIT ?", scanTold, fn)
		})
	case a.opt.Sample > 0:
		// In the order of the log, which is mostly that of the disk.
		err := a.file.run(ctx, fmt.Sprintf("CREATE TABLE chosen AS SELECT n FROM (%s ORDER BY random() LIMIT %d)", some, a.opt.Sample))
		if err != nil {
			return err
		}
		const query = "SELECT " + toldColumns + " FROM events e WHERE e.n IN (SELECT n FROM chosen) AND e.n > ? ORDER BY e.n LIMIT ?"
		return a.hashAll(ctx, func(fn func(told) error) error { return each(ctx, a.file, query, scanTold, fn) })
	}
	return nil
}

// hashAll reads objects side by side; which of them matter is looked up by this goroutine alone.
func (a *audit) hashAll(ctx context.Context, list func(func(told) error) error) error {
	workers, working := errgroup.WithContext(ctx)
	workers.SetLimit(runtime.GOMAXPROCS(0))
	type failure struct {
		told
		err error
	}
	var failed []failure
	report := func() error {
		a.mu.Lock()
		some := failed
		failed = nil
		a.mu.Unlock()
		for _, f := range some {
			if err := a.missed(ctx, f.told, f.err); err != nil {
				return err
			}
		}
		return nil
	}
	err := list(func(t told) error {
		if err := report(); err != nil {
			return err
		}
		if past, err := a.past(ctx, t); err != nil || past {
			return err
		}
		workers.Go(func() error {
			n, why, err := a.hash(working, t)
			a.mu.Lock()
			defer a.mu.Unlock()
			a.report.Reread++
			a.report.RereadBytes += n
			a.opt.Tell("bytes", a.report.RereadBytes)
			switch {
			case err != nil && working.Err() != nil:
				return working.Err()
			case err != nil:
				failed = append(failed, failure{t, err})
			case why != "":
				a.report.add(t.finding(HashMismatch, why))
			}
			return nil
		})
		return working.Err()
	})
	if err := errors.Join(workers.Wait(), err); err != nil {
		return err
	}
	return report()
}

// hash reads an object and tells what about it is not as its event says, "" for nothing.
func (a *audit) hash(ctx context.Context, t told) (n int64, why string, err error) {
	body, err := a.Blobs.Open(ctx, t.key, 0, -1)
	if err != nil {
		return 0, "", err
	}
	defer body.Close()
	whole := sha256.New()
	dataset := hash.Hash(nil)
	n, err = io.Copy(whole, io.LimitReader(body, t.dsoff))
	if err == nil && n == t.dsoff {
		to := io.Writer(whole)
		if t.dsoff > 0 {
			dataset = sha256.New()
			to = io.MultiWriter(whole, dataset)
		}
		var rest int64
		rest, err = io.Copy(to, body)
		n += rest
	}
	if err != nil {
		return n, "", err
	}
	if dataset == nil {
		dataset = whole
	}
	switch {
	case n != t.bytes:
		return n, fmt.Sprintf("%d bytes, the event says %d", n, t.bytes), nil
	case hex.EncodeToString(whole.Sum(nil)) != t.sha:
		return n, "sha256 of the file", nil
	case hex.EncodeToString(dataset.Sum(nil)) != t.dsh:
		return n, "sha256 of the data set", nil
	}
	return n, "", nil
}

// maxAttachment bounds what is read of an attachment, compressed bytes.
const maxAttachment = 128 << 20

// attachmentFault tells what is wrong with an attachment, "" for nothing.
func (a *audit) attachmentFault(ctx context.Context, t attachment) (why string, err error) {
	if !a.opt.Full {
		_, err = a.Blobs.Stat(ctx, t.blob)
	} else {
		why, err = a.readAttachment(ctx, t)
	}
	switch {
	case errors.Is(err, blob.ErrNotFound), errors.Is(err, blob.ErrBadKey):
		return "not there", nil
	case errors.Is(err, blob.ErrCorrupt):
		return "damaged", nil
	}
	return why, err
}

func (a *audit) readAttachment(ctx context.Context, t attachment) (why string, err error) {
	body, err := a.Blobs.Open(ctx, t.blob, 0, -1)
	if err != nil {
		return "", err
	}
	defer body.Close()
	data, err := io.ReadAll(io.LimitReader(body, maxAttachment))
	if err != nil {
		return "", err
	}
	if _, err := (&event.Attachment{Encoding: t.encoding, Bytes: t.size}).Open(data); err != nil {
		return "does not open", nil
	}
	return "", nil
}
