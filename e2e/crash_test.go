package e2e

import (
	"bytes"
	"context"
	"encoding/json"
	"flag"
	"io"
	"io/fs"
	"math/rand/v2"
	"net/http"
	"path/filepath"
	"sync"
	"testing"
	"time"

	"github.com/tributary-dicom/tributary/device"
	"github.com/tributary-dicom/tributary/internal/testnode"
)

var (
	kills = flag.Int("kills", 0, "how often TestCrash kills the node; 0 means 300, or 15 with -short")
	seed  = flag.Uint64("seed", 0, "seed of TestCrash; 0 draws one and prints it")
)

// checkEvery is after how many kills all objects so far are checked.
const checkEvery = 50

// ledger is what the test knows of each object: what was sent, and whether anybody was told success.
type ledger struct {
	mu     sync.Mutex
	next   int
	acked  map[int]bool
	sent   map[int]object
	unsure []object // sent without an answer: a device sends those again
}

// draw picks the next object of a device: now and then one whose answer never came.
func (l *ledger) draw(rng *rand.Rand) object {
	l.mu.Lock()
	defer l.mu.Unlock()
	if n := len(l.unsure); n > 0 && rng.IntN(3) == 0 {
		o := l.unsure[n-1]
		l.unsure = l.unsure[:n-1]
		return o
	}
	o := object{number: l.next}
	l.next++
	switch p := rng.IntN(100); {
	case p < 70:
		o.pixels = 512 + rng.IntN(40<<10)
	case p < 95:
		o.pixels = 100<<10 + rng.IntN(500<<10)
	default:
		o.pixels = 1200<<10 + rng.IntN(2<<20)
	}
	o.pixels &^= 255
	l.sent[o.number] = o
	return o
}

func (l *ledger) answered(o object, ok bool) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if ok {
		l.acked[o.number] = true
	} else if !l.acked[o.number] {
		l.unsure = append(l.unsure, o)
	}
}

// TestCrash kills the node with SIGKILL at random moments under load through every door. After each
// restart the node must be well; every acknowledged object must be there bit for bit and indexed once;
// an object without an answer must be whole or absent.
func TestCrash(t *testing.T) {
	t.Parallel()
	rounds := *kills
	if rounds == 0 {
		rounds = 300
		if testing.Short() {
			rounds = 15
		}
	}
	s := *seed
	if s == 0 {
		s = rand.Uint64()
	}
	t.Logf("%d kills; repeat with -seed %d", rounds, s)
	rng := rand.New(rand.NewPCG(s, 1))
	dir, bin := t.TempDir(), testnode.Binary(t)
	l := &ledger{acked: map[int]bool{}, sent: map[int]object{}}
	checked := 0
	for i := range rounds {
		n, err := testnode.Launch(bin, dir)
		if err != nil {
			t.Fatalf("start %d: %v", i, err)
		}
		ctx, cancel := context.WithCancel(t.Context())
		var devices sync.WaitGroup
		for d, via := range []string{device.ViaDICOM, device.ViaDICOM, device.ViaSTOW, device.ViaUpload, device.ViaTus} {
			own := rand.New(rand.NewPCG(rng.Uint64(), uint64(d)))
			devices.Go(func() { play(ctx, t, n, via, l, own) })
		}
		time.Sleep(time.Duration(5+rng.IntN(200)) * time.Millisecond) // the random moment
		n.Kill()
		cancel()
		devices.Wait()
		if (i+1)%checkEvery == 0 || i == rounds-1 {
			checked = check(t, bin, dir, l, checked)
		}
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	t.Logf("%d objects sent, %d acknowledged", len(l.sent), len(l.acked))
	if len(l.acked) < rounds {
		t.Errorf("only %d objects were acknowledged in %d rounds: the load is too thin to prove anything", len(l.acked), rounds)
	}
}

// play sends objects until the node dies.
func play(ctx context.Context, t *testing.T, n *testnode.Node, via string, l *ledger, rng *rand.Rand) {
	target := device.Target{Via: via, Address: n.URL, CalledAE: n.AET, CallingAE: "CRASHTEST"}
	if via == device.ViaDICOM {
		target.Address = n.DICOM
	}
	s := target.Open(nil)
	for ctx.Err() == nil {
		o := l.draw(rng)
		out, err := s.Send(ctx, o.sendable(t))
		l.answered(o, err == nil && out.Kept())
		if err != nil {
			return // the node is gone
		}
		if !out.Kept() || out.Status == device.Quarantined || out.Status == "conflict" {
			t.Errorf("object %d by %s: %+v", o.number, via, out)
		}
	}
}

// check starts the node once more and compares everything that was sent since the last check with what
// readers get. It returns how far it came.
func check(t *testing.T, bin, dir string, l *ledger, from int, flags ...string) int {
	t.Helper()
	n, err := testnode.Launch(bin, dir, flags...)
	if err != nil {
		t.Fatalf("start for the check: %v", err)
	}
	defer func() {
		if err := n.Stop(); err != nil {
			t.Errorf("the node did not end well: %v\n%s", err, n.Log())
		}
	}()
	if code, body := n.Get(t, "/readyz"); code != http.StatusOK {
		t.Fatalf("not ready: %s", body)
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	for number := from; number < l.next; number++ {
		o := l.sent[number]
		got, code := retrieve(t, n, o)
		switch {
		case code == http.StatusNotFound && l.acked[number]:
			t.Errorf("object %d was acknowledged and is lost", number)
			continue
		case code == http.StatusNotFound:
			continue
		case code != http.StatusOK:
			t.Errorf("object %d: status %d", number, code)
			continue
		}
		if !bytes.HasSuffix(got, o.dataset()) {
			t.Errorf("object %d came back with other bytes", number)
		}
		var rows []json.RawMessage
		_, body := n.Get(t, "/dicom-web/instances?SOPInstanceUID="+o.instance())
		if err := json.Unmarshal(body, &rows); err != nil || len(rows) != 1 {
			t.Errorf("object %d is in the index %d times (%v)", number, len(rows), err)
		}
	}
	for _, list := range []string{"/quarantine", "/conflicts"} {
		if _, body := n.Get(t, list); string(bytes.TrimSpace(body)) != "[]" {
			t.Errorf("%s is not empty: %s", list, body)
		}
	}
	err = filepath.WalkDir(filepath.Join(dir, "blobs"), func(path string, d fs.DirEntry, err error) error {
		if err == nil && !d.IsDir() && filepath.Base(filepath.Dir(path)) == "tmp" {
			t.Errorf("temporary file %s was not swept", path)
		}
		return err
	})
	if err != nil {
		t.Error(err)
	}
	return l.next
}

// retrieve fetches an object by WADO-RS.
func retrieve(t *testing.T, n *testnode.Node, o object) ([]byte, int) {
	t.Helper()
	req, err := http.NewRequestWithContext(t.Context(), http.MethodGet, n.URL+o.path(), nil)
	if err != nil {
		t.Fatal(err)
	}
	req.Header.Set("Accept", "application/dicom")
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	got, err := io.ReadAll(resp.Body)
	if err != nil {
		t.Fatal(err)
	}
	return got, resp.StatusCode
}
