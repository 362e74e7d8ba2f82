package s3blob

import (
	"context"
	"fmt"
	"net/http"
	"sync"
	"time"

	"github.com/minio/minio-go/v7"
)

// upload is a multipart upload. One goroutine uses it; those that send parts are its own.
type upload struct {
	s      *Store
	key    string
	id     string
	sent   int // parts handed over
	ctx    context.Context
	cancel context.CancelFunc
	slots  chan struct{} // one for each part under way
	ended  chan struct{} // a part ended since somebody looked

	wg    sync.WaitGroup
	mu    sync.Mutex
	busy  int
	parts []minio.CompletePart
	sums  [][]byte
	err   error
	over  bool // completed or aborted
}

// beginUpload asks the server for an upload.
func (s *Store) beginUpload(key string) (*upload, error) {
	ctx, cancel := s.join(context.Background())
	var id string
	err := s.do(ctx, 0, func(ctx context.Context, _ *watch) error {
		opts := s.client.putOptions("")
		opts.UserMetadata["X-Amz-Checksum-Algorithm"] = s.client.algorithm.s3Name()
		var err error
		id, err = s.client.core.NewMultipartUpload(ctx, s.client.bucket, s.client.name(key), opts)
		return err
	})
	if err != nil {
		defer cancel()
		return nil, s.failedWrite(ctx, "begin upload", err)
	}
	s.mu.Lock()
	s.uploads[id] = true
	s.mu.Unlock()
	return &upload{
		s: s, key: key, id: id, ctx: ctx, cancel: cancel,
		slots: make(chan struct{}, s.opt.Parts), ended: make(chan struct{}, 1),
	}, nil
}

// failedWrite explains why a write failed, and opens the breaker where no other can succeed.
func (s *Store) failedWrite(ctx context.Context, op string, err error) error {
	if v := judge(err); (v == refused || v == full) && context.Cause(ctx) == nil {
		s.health.refuse(err)
	}
	return explain(ctx, op, err, true)
}

// send takes a part over. It waits while as many are under way as there may be.
func (u *upload) send(p *part) error {
	u.slots <- struct{}{} // each part under way ends by its watch
	if err := u.failure(); err != nil {
		<-u.slots
		p.free()
		return err
	}
	u.sent++
	number := u.sent
	u.mu.Lock()
	u.busy++
	u.parts = append(u.parts, minio.CompletePart{})
	u.sums = append(u.sums, nil)
	u.mu.Unlock()
	u.wg.Go(func() {
		sum := u.s.client.algorithm.raw(&p.sum)
		etag, err := u.put(number, p, sum)
		p.free()
		u.mu.Lock()
		u.busy--
		u.parts[number-1], u.sums[number-1] = u.s.client.algorithm.partOf(number, etag, sum), sum
		if err != nil && u.err == nil {
			u.err = u.s.failedWrite(u.ctx, fmt.Sprintf("send part %d", number), err)
		}
		u.mu.Unlock()
		<-u.slots
		select {
		case u.ended <- struct{}{}:
		default:
		}
	})
	return nil
}

func (u *upload) put(number int, p *part, sum []byte) (etag string, err error) {
	c := u.s.client
	err = u.s.do(u.ctx, 0, func(ctx context.Context, w *watch) error {
		b := &body{part: p, touch: w.touch}
		defer b.stop()
		header := c.algorithm.sumHeader(sum)
		got, err := c.core.PutObjectPart(ctx, c.bucket, c.name(u.key), u.id, number, b, p.size, minio.PutObjectPartOptions{
			Sha256Hex: c.algorithm.signed(&p.sum), DisableContentSha256: true, CustomHeader: header.Clone(),
		})
		if err != nil {
			return err
		}
		etag = got.ETag
		return c.algorithm.same(got.ChecksumCRC32C, got.ChecksumSHA256, header)
	})
	return etag, err
}

func (u *upload) failure() error {
	u.mu.Lock()
	defer u.mu.Unlock()
	return u.err
}

// waitOne returns when a part that was under way has ended, false when none is under way.
func (u *upload) waitOne() bool {
	u.mu.Lock()
	busy := u.busy
	u.mu.Unlock()
	if busy == 0 {
		return false
	}
	<-u.ended
	return true
}

// waitAll returns when all parts have been sent, or the first error.
func (u *upload) waitAll(ctx context.Context) error {
	stop := context.AfterFunc(ctx, u.cancel)
	defer stop()
	u.wg.Wait()
	if err := ctx.Err(); err != nil {
		return err
	}
	return u.failure()
}

// complete makes an object of the parts, and compares the sum that the server made of theirs.
func (u *upload) complete(ctx context.Context) error {
	c := u.s.client
	return u.s.do(ctx, max(completeTimeout, u.s.opt.Timeout), func(ctx context.Context, _ *watch) error {
		opts := minio.PutObjectOptions{}
		opts.SetMatchETagExcept("*")
		got, err := c.core.CompleteMultipartUpload(ctx, c.bucket, c.name(u.key), u.id, u.parts, opts)
		if err != nil {
			return err
		}
		sum := http.Header{}
		sum.Set(c.algorithm.header(), c.algorithm.composite(u.sums))
		return c.algorithm.same(got.ChecksumCRC32C, got.ChecksumSHA256, sum)
	})
}

// done says that the object is there.
func (u *upload) done() {
	u.cancel()
	u.forget()
}

func (u *upload) forget() {
	u.over = true
	u.s.mu.Lock()
	defer u.s.mu.Unlock()
	delete(u.s.uploads, u.id)
}

const abortTimeout = 10 * time.Second

// abortAgain is when the server is told once more: a part that was cut off here may still be written there, behind the
// first abort, and bring its upload back.
const abortAgain = 500 * time.Millisecond

// abort ends the parts under way and lets the server forget them, in the background. What fails here is left
// to Sweep.
func (u *upload) abort() {
	if u.over {
		return
	}
	u.cancel()
	u.over = true
	u.s.background(func(open context.Context) {
		u.wg.Wait() // or the server would keep a part that ends after the abort
		ctx, cancel := context.WithTimeout(context.Background(), abortTimeout)
		defer cancel()
		err := u.s.abortUpload(ctx, u.s.client.name(u.key), u.id)
		if err == nil {
			select {
			case <-time.After(abortAgain):
			case <-open.Done():
			}
			err = u.s.abortUpload(ctx, u.s.client.name(u.key), u.id)
		}
		if err != nil {
			u.s.opt.Log.Warn("an upload was not aborted and is left to the sweep", "blob", u.key, "error", err.Error())
		}
		u.forget()
	})
}

func (s *Store) abortUpload(ctx context.Context, name, id string) error {
	return s.once(ctx, s.opt.Timeout, func(ctx context.Context, _ *watch) error {
		err := s.client.core.AbortMultipartUpload(ctx, s.client.bucket, name, id)
		if err != nil && judge(err) == noUpload {
			return nil
		}
		return err
	})
}
