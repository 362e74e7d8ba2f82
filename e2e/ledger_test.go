package e2e

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"net/http"
	"sync"
	"testing"
	"time"

	"github.com/tributary-dicom/tributary/device"
	"github.com/tributary-dicom/tributary/ingest"
	"github.com/tributary-dicom/tributary/storage/index"
)

// parcel is what a device hands over: an object, a rival of one, or a broken file.
type parcel struct {
	twisted
	cut int // bytes that are missing at the end: it goes to quarantine
}

func (p parcel) file() []byte {
	b := p.twisted.file()
	return b[:len(b)-p.cut]
}

// books are what devices of a fleet know: what was sent, and what of it was acknowledged.
type books struct {
	mu     sync.Mutex
	next   int // number of the next new object
	first  int
	sent   map[int]map[byte]bool // number → twists
	acked  map[int]map[byte]bool
	broken map[int]parcel // acknowledged as quarantined, by whole file
	again  []parcel       // without an answer: devices send those again
	acks   int
	false_ []string // answers that cannot be
}

func newBooks(first int) *books {
	return &books{next: first, first: first, sent: map[int]map[byte]bool{}, acked: map[int]map[byte]bool{}, broken: map[int]parcel{}}
}

// draw picks what a device sends next by a door: new objects, what had no answer, what was sent before, with
// the same bytes or others, and files that are cut off.
func (b *books) draw(rng *rand.Rand, via string) parcel {
	b.mu.Lock()
	defer b.mu.Unlock()
	dice := rng.IntN(100)
	if n := len(b.again); n > 0 && dice < 40 {
		i := rng.IntN(n)
		if p := b.again[i]; p.cut == 0 || via != device.ViaDICOM { // C-STORE sends no file
			b.again[i] = b.again[n-1]
			b.again = b.again[:n-1]
			return p
		}
	}
	p := parcel{twisted: twisted{object: object{number: b.next}}}
	old := b.next - b.first
	if old > 0 && dice >= 85 {
		p.number = b.first + max(0, old-1-rng.IntN(30)) // others may be sending it just now
		if dice >= 93 {
			p.twist = byte(1 + rng.IntN(3))
		}
	}
	p.pixels = sizeOf(p.number)
	switch {
	case p.number < b.next:
	case dice >= 82 && dice < 85 && via != device.ViaDICOM:
		p.cut = 100
		b.next++
		return p // its UIDs are nobody else's
	default:
		b.next++
	}
	if b.sent[p.number] == nil {
		b.sent[p.number] = map[byte]bool{}
	}
	b.sent[p.number][p.twist] = true
	return p
}

// sizeOf is how large an object is, the same whenever it is made again.
func sizeOf(number int) int {
	rng := rand.New(rand.NewPCG(uint64(number), 77))
	switch dice := rng.IntN(200); {
	case dice < 1:
		return 6 << 20 // two parts
	case dice < 40:
		return 100<<10 + rng.IntN(400<<10)&^255
	default:
		return 512 + rng.IntN(24<<10)&^255
	}
}

// answered notes what a door said.
func (b *books) answered(p parcel, via string, out device.Outcome, err error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	wrong := func(format string, args ...any) { b.false_ = append(b.false_, fmt.Sprintf(format, args...)) }
	switch {
	case err != nil && (device.Temporary(err) || errors.Is(err, context.Canceled) || errors.Is(err, context.DeadlineExceeded)):
		b.again = append(b.again, p)
	case err != nil:
		b.again = append(b.again, p)
		wrong("object %d by %s: %v", p.number, via, err)
	case p.cut > 0 && out.Status == device.Quarantined:
		b.acks++
		b.broken[p.number] = p
	case p.cut == 0 && (out.Status == device.Stored || out.Status == device.Duplicate || out.Status == device.Conflict):
		b.acks++
		if b.acked[p.number] == nil {
			b.acked[p.number] = map[byte]bool{}
		}
		b.acked[p.number][p.twist] = true
	default:
		b.again = append(b.again, p)
		wrong("object %d (twist %d, cut %d) by %s: %+v", p.number, p.twist, p.cut, via, out)
	}
}

// pending takes all that had no answer.
func (b *books) pending() []parcel {
	b.mu.Lock()
	defer b.mu.Unlock()
	all := b.again
	b.again = nil
	return all
}

// sendParcel hands a parcel to a door and notes the answer.
func (b *books) sendParcel(ctx context.Context, at *post, via string, s device.Sender, p parcel) error {
	o, err := device.Bytes(fmt.Sprintf("object-%d.dcm", p.number), p.file())
	if err != nil {
		return err
	}
	ctx, cancel := context.WithTimeout(ctx, patience)
	defer cancel()
	out, err := s.Send(ctx, o)
	b.answered(p, via, out, err)
	return err
}

// play is a device at a door of a post, until ctx ends. It meets whatever node is there.
func (b *books) play(ctx context.Context, at *post, via string, rng *rand.Rand, pace time.Duration) {
	for ctx.Err() == nil {
		n := at.now()
		if n == nil {
			rest(ctx, 50*time.Millisecond)
			continue
		}
		s := sender(n, via)
		for ctx.Err() == nil && at.now() == n {
			if err := b.sendParcel(ctx, at, via, s, b.draw(rng, via)); err != nil {
				rest(ctx, 200*time.Millisecond)
				break
			}
			rest(ctx, time.Duration(rng.Int64N(int64(2*pace))))
		}
		_ = s.Close() // the line may be broken
	}
}

func rest(ctx context.Context, d time.Duration) {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-timer.C:
	case <-ctx.Done():
	}
}

// load plays devices at all doors of some posts until stop is called, which waits for their last answers.
func (b *books) load(t *testing.T, seed uint64, pace time.Duration, posts ...*post) (stop func()) {
	ctx, cancel := context.WithCancel(t.Context())
	var devices sync.WaitGroup
	for i, at := range posts {
		for d, via := range doors {
			rng := rand.New(rand.NewPCG(seed, uint64(i*len(doors)+d+1)))
			devices.Go(func() { b.play(ctx, at, via, rng, pace) })
		}
	}
	var once sync.Once
	stop = func() {
		once.Do(func() {
			cancel()
			devices.Wait()
		})
	}
	t.Cleanup(stop)
	return stop
}

// finish sends all that had no answer until everything has one.
func (b *books) finish(t *testing.T, posts ...*post) {
	t.Helper()
	round := 0
	eventually(t, "an answer for every object", func() error {
		todo := b.pending()
		for i, p := range todo {
			at := posts[(round+i)%len(posts)]
			via := doors[(round+i)%len(doors)]
			if p.cut > 0 {
				via = device.ViaUpload
			}
			s := sender(at.now(), via)
			_ = b.sendParcel(t.Context(), at, via, s, p) // noted
			_ = s.Close()
		}
		round++
		b.mu.Lock()
		defer b.mu.Unlock()
		if len(b.again) > 0 {
			return fmt.Errorf("%d of %d without an answer", len(b.again), len(todo))
		}
		return nil
	})
	b.mu.Lock()
	defer b.mu.Unlock()
	for _, what := range b.false_ {
		t.Errorf("an answer that cannot be: %s", what)
	}
}

// settled reports nil when the index shows every acknowledged object once, and nothing that was not sent.
func (b *books) settled(ctx context.Context, db *index.DB) error {
	b.mu.Lock()
	defer b.mu.Unlock()
	for number := b.first; number < b.next; number++ {
		o := object{number: number, pixels: sizeOf(number)}
		versions, current, err := db.Lookup(ctx, ingest.DefaultTenant, o.instance())
		if err != nil {
			return err
		}
		want := map[string]byte{}
		for twist := range b.sent[number] {
			want[hexSum(twisted{o, twist}.dataset())] = twist
		}
		seen := map[byte]bool{}
		currents := 0
		for _, v := range versions {
			twist, ok := want[v.DatasetSHA256]
			switch {
			case !ok:
				return fmt.Errorf("object %d has a version that nobody sent", number)
			case seen[twist]:
				return fmt.Errorf("object %d has one data set twice", number)
			}
			if v.ObjectID == current {
				currents++
			}
			seen[twist] = true
		}
		for twist := range b.acked[number] {
			if !seen[twist] {
				return fmt.Errorf("object %d (twist %d) was acknowledged and is not in the index", number, twist)
			}
		}
		if len(versions) > 0 && currents != 1 {
			return fmt.Errorf("object %d has %d current versions", number, currents)
		}
	}
	for number, p := range b.broken {
		if _, err := db.QuarantinedBytes(ctx, ingest.DefaultTenant, hexSum(p.file())); err != nil {
			return fmt.Errorf("object %d was acknowledged as quarantined: %w", number, err)
		}
	}
	return nil
}

func hexSum(b []byte) string {
	sum := sha256.Sum256(b)
	return hex.EncodeToString(sum[:])
}

// readable checks that a reader gives back what was sent of every object, most of them at least.
func (b *books) readable(t *testing.T, reader *post, most int, rng *rand.Rand) {
	t.Helper()
	b.mu.Lock()
	defer b.mu.Unlock()
	for _, i := range rng.Perm(b.next - b.first)[:min(most, b.next-b.first)] {
		number := b.first + i
		if len(b.acked[number]) == 0 {
			continue
		}
		var candidates []twisted
		for twist := range b.sent[number] {
			candidates = append(candidates, twisted{object{number: number, pixels: sizeOf(number)}, twist})
		}
		if which, status := got(t, reader.now(), candidates...); which < 0 {
			t.Errorf("object %d: status %d, or bytes that nobody sent", number, status)
		}
	}
}

// fetchJSON fetches and decodes a document of any status.
func fetchJSON(ctx context.Context, url string, v any) (status int, err error) {
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, url, nil)
	if err != nil {
		return 0, err
	}
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		return 0, err
	}
	defer resp.Body.Close()
	body, err := io.ReadAll(resp.Body)
	if err != nil {
		return 0, err
	}
	return resp.StatusCode, json.Unmarshal(body, v)
}
